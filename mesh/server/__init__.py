"""The gRPC server of a service: pipeline, health, reflection, drain. Knows no clients, database or events."""

from mesh.server.server import Server, serve

__all__ = ["Server", "serve"]
