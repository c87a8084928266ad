"""The composition root of the inventory service."""

from mesh.database import Database
from mesh.events import Relay, connect
from mesh.process import Process, run
from mesh.server import serve
from services.inventory.consumers import Consumers
from services.inventory.expiry import Expiry
from services.inventory.handlers import InventoryHandlers
from services.inventory.product_changes import ProductChanges
from services.inventory.settings import InventorySettings


async def wire(process: Process, settings: InventorySettings) -> None:
    """Starts the relay and the inbox of events, the workers of reservations and products, and the gRPC server."""
    database = await process.enter(Database.open(settings, process.name))
    broker = await process.enter(connect(settings.broker_url.get_secret_value(), process.name))
    await process.enter(Relay(database, broker))
    await process.enter(Consumers(settings.reservation_valid_for).inbox(database, broker))
    await process.enter(Expiry(database))
    await process.enter(ProductChanges(database))
    await serve(process, settings, InventoryHandlers(database, settings.reservation_valid_for))


if __name__ == "__main__":
    run("inventory", InventorySettings, wire)
