"""Samples of requests and responses, which the pages show."""
