"""The analytics service: counts events of clients and sales, and keeps the log of the store's events."""
