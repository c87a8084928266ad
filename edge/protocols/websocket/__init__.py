"""Streams over WebSocket (RFC 6455): a JSON message in each text frame, the pieces of files in binary ones."""
