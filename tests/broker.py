"""The user of brokers in tests that are not about permissions."""

from mesh.events.nats.users import User

ADMIN = User("admin", (">",), (">",))
"""It may do everything."""
