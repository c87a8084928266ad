"""The composition root of the catalog service."""

from mesh.database import Database
from mesh.events import Relay, connect
from mesh.process import Process, run
from mesh.server import serve
from services.catalog.category_handlers import CategoriesHandlers
from services.catalog.handlers import CatalogHandlers
from services.catalog.price_handlers import PricesHandlers
from services.catalog.pricing import Repricer
from services.catalog.product_cache import ProductCache
from services.catalog.settings import CatalogSettings


async def wire(process: Process, settings: CatalogSettings) -> None:
    """Starts the relay of events, the repricer, the cache of products, and the gRPC server with the handlers."""
    database = await process.enter(Database.open(settings, process.name))
    broker = await process.enter(connect(settings.broker_url.get_secret_value(), process.name))
    await process.enter(Relay(database, broker))
    cache = await process.enter(ProductCache(database))
    await process.enter(Repricer(database))
    await serve(
        process,
        settings,
        CatalogHandlers(database, cache),
        CategoriesHandlers(database),
        PricesHandlers(database, cache),
    )


if __name__ == "__main__":
    run("catalog", CatalogSettings, wire)
