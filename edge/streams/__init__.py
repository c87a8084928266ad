"""Streams of messages, each way: over HTTP as JSON arrays, lines or events, and over WebSocket."""
