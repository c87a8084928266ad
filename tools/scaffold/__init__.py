"""Writes a new service: its contract, its code and its tests, from the service in template/."""
