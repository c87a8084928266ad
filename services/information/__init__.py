"""The information service: one method, no database, no events."""
