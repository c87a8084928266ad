"""The users of brokers in tests that are not about permissions."""

from mesh.events.nats.users import User
from mesh.events.rabbitmq.users import User as RabbitMQUser

ADMIN = User("admin", (">",), (">",))
RABBITMQ_ADMIN = RabbitMQUser("admin", ".*", ".*", ".*")
"""They may do everything."""
