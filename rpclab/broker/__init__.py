"""Which RabbitMQ the lab uses, how it runs, and what can be asked of it."""
