"""The operations port of a process: readiness, pages, and their HTTP server. Knows no gRPC and no components."""

from mesh.operations.pages import page
from mesh.operations.readiness import Check, Readiness
from mesh.operations.server import OpsServer

__all__ = ["Check", "OpsServer", "Readiness", "page"]
