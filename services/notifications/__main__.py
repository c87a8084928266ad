"""The composition root of the notifications service."""

from mesh.client import Channel as GrpcChannel
from mesh.database import Database
from mesh.events import Inbox, connect
from mesh.identity import ServiceTokens
from mesh.process import Process, run
from mesh.server import serve
from services.notifications.clients import Users
from services.notifications.consumers.account import AccountConsumers
from services.notifications.consumers.erasure import ErasureConsumers
from services.notifications.consumers.orders import OrderConsumers
from services.notifications.domain.keyed_hash import KeyedHash
from services.notifications.domain.notification import Channel
from services.notifications.handlers.notifications import NotificationsHandlers
from services.notifications.letters import Letters
from services.notifications.notifier import Notifier
from services.notifications.purge import Purge
from services.notifications.senders.mail import Mailer, MailSender
from services.notifications.senders.outgoing import OutgoingMessages
from services.notifications.settings import NotificationsSettings


async def wire(process: Process, settings: NotificationsSettings) -> None:
    """Starts the inbox with its consumers, the workers that send, and the gRPC server with the handlers. While identity
    or the mail server is away, messages wait and everything else works.
    """
    database = await process.enter(Database.open(settings, process.name))
    broker = await process.enter(connect(settings.nats_url.get_secret_value(), process.name))
    client_secret = settings.client_secret.get_secret_value()
    tokens = ServiceTokens(settings.token_url, settings.client_id, client_secret)
    identity = await process.enter(
        GrpcChannel(
            "identity", settings.identity_address, caller=process.name, tokens=tokens, in_mesh=settings.service_mesh
        ),
        required=False,
    )
    users, letters, hashes = Users(identity), Letters(), KeyedHash(client_secret)
    notifier, mailer = Notifier(letters, hashes), Mailer(settings.smtp_url.get_secret_value())
    handlers = (
        AccountConsumers(users, mailer, letters, hashes, settings.mail_from).handlers()
        | OrderConsumers(notifier).handlers()
        | ErasureConsumers(hashes).handlers()
    )
    await process.enter(Inbox(database, broker, service=process.name, handlers=handlers))
    await process.enter(OutgoingMessages(database, {Channel.EMAIL: MailSender(users, mailer, settings.mail_from)}))
    await process.enter(Purge(database))
    await serve(process, settings, NotificationsHandlers(database))


if __name__ == "__main__":
    run("notifications", NotificationsSettings, wire)
