"""The gRPC server of a service: pipeline, health, reflection, drain. Knows no client, no database and no events."""

from mesh.server.server import Server, serve

__all__ = ["Server", "serve"]
