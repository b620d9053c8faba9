"""What client and server do when something dies: confirms, retries, redeliveries, reconnecting."""
