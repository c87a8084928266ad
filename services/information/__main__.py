"""The composition root of the information service."""

from mesh.process import Process, run
from mesh.server import serve
from mesh.settings import ServiceSettings
from services.information.handlers import InformationHandlers


async def wire(process: Process, settings: ServiceSettings) -> None:
    """Starts the gRPC server with the handlers."""
    await serve(process, settings, InformationHandlers())


if __name__ == "__main__":
    run("information", ServiceSettings, wire)
