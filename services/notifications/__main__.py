"""The composition root of the notifications service."""

from pathlib import Path

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
from services.notifications.consumers.payments import PaymentConsumers
from services.notifications.domain.keyed_hash import KeyedHash
from services.notifications.domain.notification import Channel
from services.notifications.domain.reachable_addresses import ReachableAddresses
from services.notifications.domain.webhook_secret import WebhookSecrets
from services.notifications.handlers.notifications import NotificationsHandlers
from services.notifications.handlers.preferences import PreferencesHandlers
from services.notifications.handlers.webhook_deliveries import WebhookDeliveriesHandlers
from services.notifications.handlers.webhook_endpoints import WebhookEndpointsHandlers
from services.notifications.letters import Letters
from services.notifications.notifier import Notifier
from services.notifications.purge import Purge
from services.notifications.senders.mail import Mailer, MailSender
from services.notifications.senders.outgoing_messages import OutgoingMessages
from services.notifications.senders.resolver import Resolver
from services.notifications.senders.sms import FileSmsGateway, SmsSender
from services.notifications.senders.webhook_client import WebhookClient
from services.notifications.senders.webhooks import WebhookDeliveries
from services.notifications.settings import NotificationsSettings
from services.notifications.webhook_publisher import WebhookPublisher


async def wire(process: Process, settings: NotificationsSettings) -> None:
    """Starts the inbox with its consumers, the workers that send, and the gRPC server with the handlers. While identity
    or the mail server is away, messages wait and everything else works.
    """
    database = await process.enter(Database.open(settings, process.name))
    broker = await process.enter(connect(settings.broker_url.get_secret_value(), process.name))
    users, letters, hashes = await _users(process, settings), Letters(), KeyedHash(_client_secret(settings))
    notifier, mailer = Notifier(letters, hashes), Mailer(settings.smtp_url.get_secret_value())
    mailed = AccountConsumers(database, users, mailer, letters, hashes, settings.mail_from).handlers()
    handlers = (
        mailed
        | OrderConsumers(notifier, WebhookPublisher(hashes)).handlers()
        | PaymentConsumers(notifier).handlers()
        | ErasureConsumers(hashes).handlers()
    )
    await process.enter(Inbox(database, broker, service=process.name, handlers=handlers, separate=mailed))
    gateway = FileSmsGateway(Path(settings.sms_folder, "messages.jsonl")) if settings.sms_folder else None
    mail, sms = MailSender(users, mailer, settings.mail_from), SmsSender(database, gateway)
    await process.enter(OutgoingMessages(database, {Channel.EMAIL: mail, Channel.SMS: sms}))
    await process.enter(Purge(database))
    secrets = WebhookSecrets(settings.webhook_signing_secret.get_secret_value())
    reachable = ReachableAddresses(settings.webhook_networks)
    client = WebhookClient(Resolver(reachable), http_allowed=settings.webhook_http_allowed)
    await process.enter(WebhookDeliveries(database, client, secrets, notifier))
    await serve(
        process,
        settings,
        NotificationsHandlers(database),
        PreferencesHandlers(database, hashes, gateway),
        WebhookEndpointsHandlers(
            database, hashes, secrets, reachable, Resolver(reachable), http_allowed=settings.webhook_http_allowed
        ),
        WebhookDeliveriesHandlers(database),
    )


async def _users(process: Process, settings: NotificationsSettings) -> Users:
    tokens = ServiceTokens(settings.token_url, settings.client_id, _client_secret(settings))
    identity = GrpcChannel(
        "identity", settings.identity_address, caller=process.name, tokens=tokens, in_mesh=settings.service_mesh
    )
    return Users(await process.enter(identity, required=False))


def _client_secret(settings: NotificationsSettings) -> str:
    return settings.client_secret.get_secret_value()


if __name__ == "__main__":
    run("notifications", NotificationsSettings, wire)
