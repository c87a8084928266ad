"""The composition root of the orders service."""

from mesh.client import Channel
from mesh.database import Database
from mesh.events import Relay, connect
from mesh.process import Process, run
from mesh.server import serve
from services.orders.clients import Catalog
from services.orders.handlers import OrdersHandlers
from services.orders.settings import OrdersSettings


async def wire(process: Process, settings: OrdersSettings) -> None:
    """Starts the relay of events, the channel to catalog, and the gRPC server with the handlers. While catalog is away,
    orders can still be read and cancelled.
    """
    database = await process.enter(Database.open(settings, process.name))
    broker = await process.enter(connect(settings.nats_url.get_secret_value(), process.name))
    await process.enter(Relay(database, broker))
    catalog = await process.enter(
        Channel("catalog", settings.catalog_address, caller=process.name, in_mesh=settings.service_mesh),
        required=False,
    )
    await serve(process, settings, OrdersHandlers(database, Catalog(catalog)))


if __name__ == "__main__":
    run("orders", OrdersSettings, wire)
