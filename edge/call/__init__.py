"""Calls of RPCs: access, limits, timeouts, metadata, and the upstreams."""
