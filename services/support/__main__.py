"""The composition root of the support service."""

from mesh.database import ChangeListener, Database
from mesh.events import Relay, connect
from mesh.process import Process, run
from mesh.server import serve
from services.support import storage
from services.support.chat import Chats
from services.support.consumers import Consumers
from services.support.handlers import SupportHandlers
from services.support.posting import Posting
from services.support.presence import Presence
from services.support.settings import SupportSettings


async def wire(process: Process, settings: SupportSettings) -> None:
    """Starts the relay and the inbox of events, the listener that wakes streams, presence, and the gRPC server."""
    database = await process.enter(Database.open(settings, process.name))
    broker = await process.enter(connect(settings.broker_url.get_secret_value(), process.name))
    await process.enter(Relay(database, broker))
    await process.enter(Consumers().inbox(database, broker))
    changes = await process.enter(ChangeListener(database, storage.CHANNEL))
    presence = await process.enter(Presence(database))
    posting = Posting(database)
    chats = Chats(database, changes, presence, posting)
    await serve(process, settings, SupportHandlers(database, chats, posting))


if __name__ == "__main__":
    run("support", SupportSettings, wire)
