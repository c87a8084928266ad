"""The composition root of the orders service."""

from mesh.client import Channel
from mesh.database import ChangeListener, Database
from mesh.events import Relay, connect
from mesh.identity import ServiceTokens
from mesh.process import Process, run
from mesh.server import serve
from services.orders import consumers, storage
from services.orders.clients import Catalog, Inventory, Payments
from services.orders.handlers import OrdersHandlers
from services.orders.settings import OrdersSettings
from services.orders.sweeper import Sweeper


async def wire(process: Process, settings: OrdersSettings) -> None:
    """Starts the relay and the inbox of events, the sweeper, what wakes streams, and the gRPC server with the handlers.
    While other services are away, orders can still be read and cancelled.
    """
    database = await process.enter(Database.open(settings, process.name))
    broker = await process.enter(connect(settings.broker_url.get_secret_value(), process.name))
    await process.enter(Relay(database, broker))
    await process.enter(consumers.inbox(database, broker))
    tokens = ServiceTokens(settings.token_url, settings.client_id, settings.client_secret.get_secret_value())

    async def channel(workload: str, address: str) -> Channel:
        opened = Channel(workload, address, caller=process.name, tokens=tokens, in_mesh=settings.service_mesh)
        return await process.enter(opened, required=False)

    catalog = Catalog(await channel("catalog", settings.catalog_address))
    inventory = Inventory(await channel(Inventory.NAME, settings.inventory_address))
    payments = Payments(await channel(Payments.NAME, settings.payments_address))
    await process.enter(Sweeper(database, inventory, payments, settings.limits))
    changes = await process.enter(ChangeListener(database, storage.CHANNEL))
    await serve(process, settings, OrdersHandlers(database, catalog, inventory, changes, settings.limits))


if __name__ == "__main__":
    run("orders", OrdersSettings, wire)
