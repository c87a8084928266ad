"""The composition root of the sample_shelf service."""

from mesh.database import Database
from mesh.events import Relay, connect
from mesh.process import Process, run
from mesh.server import serve
from services.sample_shelf.handlers import SampleShelfHandlers
from services.sample_shelf.settings import SampleShelfSettings


async def wire(process: Process, settings: SampleShelfSettings) -> None:
    """Serves the handlers and publishes the events that they write to the database."""
    database = await process.enter(Database.open(settings, process.name))
    broker = await process.enter(connect(settings.broker_url.get_secret_value(), process.name))
    await process.enter(Relay(database, broker))
    await serve(process, settings, SampleShelfHandlers(database))


if __name__ == "__main__":
    run("sample_shelf", SampleShelfSettings, wire)
