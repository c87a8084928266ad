"""Wires the inventory service."""

from mesh.database import Database
from mesh.events import Relay, connect
from mesh.process import Process, run
from mesh.server import serve
from services.inventory.handlers import InventoryHandlers
from services.inventory.settings import InventorySettings


async def wire(process: Process, settings: InventorySettings) -> None:
    """Serves the handlers, and publishes the events that they write to the database."""
    database = await process.enter(Database.open(settings, process.name))
    broker = await process.enter(connect(settings.nats_url.get_secret_value(), process.name))
    await process.enter(Relay(database, broker))
    await serve(process, settings, InventoryHandlers(database))


if __name__ == "__main__":
    run("inventory", InventorySettings, wire)
