"""The inventory service: keeps the inventories of users."""
