"""The channels by which messages leave the shop."""
