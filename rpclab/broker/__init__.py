"""Which RabbitMQ the lab uses, how it runs, and what it can report."""
