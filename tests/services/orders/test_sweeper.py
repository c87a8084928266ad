"""The sweeper of orders that wait for too long, with an inventory and a payments that answer over gRPC."""

from datetime import timedelta

PATIENCE_S = 20.0
SOON = timedelta(milliseconds=50)
NEVER = timedelta(days=1)
