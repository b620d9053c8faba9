"""Request and reply over RabbitMQ: servers, clients, callback workers, and the processes they run in."""
