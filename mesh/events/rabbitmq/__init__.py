"""The adapter to RabbitMQ: AMQP 0-9-1, quorum queues and publisher confirms."""
