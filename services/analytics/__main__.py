"""The composition root of the analytics service."""

from mesh.database import Database
from mesh.events import connect
from mesh.process import Process, run
from mesh.server import serve
from services.analytics import consumers
from services.analytics.handlers import AnalyticsHandlers
from services.analytics.ingestion import Ingestion
from services.analytics.purge import Purge
from services.analytics.settings import AnalyticsSettings


async def wire(process: Process, settings: AnalyticsSettings) -> None:
    """Starts the inbox with its consumers, the deletion of old rows, and the gRPC server with the handlers."""
    database = await process.enter(Database.open(settings, process.name))
    broker = await process.enter(connect(settings.broker_url.get_secret_value(), process.name))
    await process.enter(consumers.inbox(database, broker))
    await process.enter(Purge(database))
    ingestion = Ingestion(database, settings.events_of_user_per_day)
    await serve(process, settings, AnalyticsHandlers(database, ingestion))


if __name__ == "__main__":
    run("analytics", AnalyticsSettings, wire)
