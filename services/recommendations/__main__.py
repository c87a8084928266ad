"""The composition root of the recommendations service."""

from mesh.database import Database
from mesh.events import Relay, connect
from mesh.process import Process, run
from mesh.server import serve
from services.recommendations import consumers
from services.recommendations.handlers import RecommendationsHandlers
from services.recommendations.settings import RecommendationsSettings
from services.recommendations.training_worker import TrainingWorker


async def wire(process: Process, settings: RecommendationsSettings) -> None:
    """Starts the relay and the inbox of events, the worker that learns, and the gRPC server with the handlers."""
    database = await process.enter(Database.open(settings, process.name))
    broker = await process.enter(connect(settings.broker_url.get_secret_value(), process.name))
    await process.enter(Relay(database, broker))
    await process.enter(consumers.inbox(database, broker))
    await process.enter(TrainingWorker(database))
    await serve(process, settings, RecommendationsHandlers(database, settings.running_experiment))


if __name__ == "__main__":
    run("recommendations", RecommendationsSettings, wire)
