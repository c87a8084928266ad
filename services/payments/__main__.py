"""The composition root of the payments service."""

from mesh.database import Database, WorkListener
from mesh.events import Relay, connect
from mesh.process import Process, run
from mesh.server import serve
from services.payments.consumers import Consumers
from services.payments.handlers import PaymentsHandlers
from services.payments.provider_worker import WORKERS, ProviderWorker
from services.payments.sandbox import Sandbox
from services.payments.sandbox_reports import SandboxReports
from services.payments.settings import PaymentsSettings
from services.payments.storage import CHANNEL


async def wire(process: Process, settings: PaymentsSettings) -> None:
    """Starts the relay and the inbox of events, the worker that asks the provider, the sandbox's reports, and the gRPC
    server with the handlers.
    """
    database = await process.enter(Database.open(settings, process.name))
    broker = await process.enter(connect(settings.broker_url.get_secret_value(), process.name))
    await process.enter(Relay(database, broker))
    sandbox = Sandbox(database)
    secret = settings.provider_report_secret.get_secret_value().encode()
    await process.enter(SandboxReports(sandbox, settings.report_url, secret))
    listener = await process.enter(WorkListener(database, CHANNEL, WORKERS))
    await process.enter(ProviderWorker(database, sandbox, settings.risk_limits, settings.payment_time_max, listener))
    await process.enter(Consumers(settings.default_payment_method).inbox(database, broker))
    await serve(process, settings, PaymentsHandlers(database, secret, settings.default_payment_method))


if __name__ == "__main__":
    run("payments", PaymentsSettings, wire)
