"""Streams over WebSocket (RFC 6455): JSON messages in text frames, the pieces of files in binary frames."""
