"""The composition root of the notifications service."""

from mesh.client import Channel
from mesh.database import Database
from mesh.events import Inbox, connect
from mesh.identity import ServiceTokens
from mesh.process import Process, run
from mesh.server import serve
from services.notifications.clients import Users
from services.notifications.consumers import Consumers
from services.notifications.handlers import NotificationsHandlers
from services.notifications.mail import Mailer
from services.notifications.settings import NotificationsSettings


async def wire(process: Process, settings: NotificationsSettings) -> None:
    """Starts the inbox with its consumers, and the gRPC server with the handlers. While identity or the mail server is
    away, events wait and everything else works.
    """
    database = await process.enter(Database.open(settings, process.name))
    broker = await process.enter(connect(settings.nats_url.get_secret_value(), process.name))
    client_secret = settings.client_secret.get_secret_value()
    tokens = ServiceTokens(settings.token_url, settings.client_id, client_secret)
    identity = await process.enter(
        Channel(
            "identity", settings.identity_address, caller=process.name, tokens=tokens, in_mesh=settings.service_mesh
        ),
        required=False,
    )
    mailer = Mailer(settings.smtp_url.get_secret_value())
    consumers = Consumers(Users(identity), mailer, settings.mail_from, client_secret)
    await process.enter(Inbox(database, broker, service=process.name, handlers=consumers.handlers()))
    await serve(process, settings, NotificationsHandlers(database))


if __name__ == "__main__":
    run("notifications", NotificationsSettings, wire)
