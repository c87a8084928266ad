"""The composition root of the identity service."""

from datetime import timedelta
from functools import partial

from mesh.database import Database
from mesh.events import Relay, connect
from mesh.process import Process, run
from mesh.server import serve
from services.identity.accounts import Accounts
from services.identity.authentication import Authentication
from services.identity.authorization import Authorization
from services.identity.bootstrap import ensure_staff, until_available
from services.identity.browser_clients import BrowserClients
from services.identity.cipher import CODES, ONE_TIME_TOKENS, Cipher
from services.identity.client_authentication import Clients
from services.identity.ended_tokens import EndedTokenList
from services.identity.grants import Grants
from services.identity.handlers import IdentityHandlers
from services.identity.keys import SigningKeys
from services.identity.pages_handlers import PagesHandlers
from services.identity.passwords import Passwords
from services.identity.sessions import Sessions
from services.identity.settings import IdentitySettings
from services.identity.sign_in_limit import SignInLimit
from services.identity.signed_ids import SignedIds
from services.identity.tokens import AccessTokens


async def wire(process: Process, settings: IdentitySettings) -> None:
    """Starts the database, the signing keys, the relay of events, and the gRPC server with the handlers."""
    database = await process.enter(Database.open(settings, process.name))
    passwords = await process.enter(Passwords.open(settings.password_workers))
    cipher = Cipher(settings.key_encryption_secret.get_secret_value())
    keys = SigningKeys(database, cipher, settings.signing_key_rotation)
    await until_available(keys.refresh)
    if settings.staff_email is not None and settings.staff_password is not None:
        password = settings.staff_password.get_secret_value()
        await until_available(partial(ensure_staff, database, passwords, settings.staff_email, password))
    ended = EndedTokenList(database, timedelta(seconds=settings.access_token_lifetime_s))
    await until_available(ended.refresh)
    process.spawn(keys.keep_fresh(), name="signing keys")
    process.spawn(ended.follow(), name="ended tokens")
    broker = await process.enter(connect(settings.broker_url.get_secret_value(), process.name))
    await process.enter(Relay(database, broker))
    access_tokens = AccessTokens(keys, settings.token_issuer, settings.token_audience, settings.access_token_lifetime_s)
    clients = Clients({name: secret.get_secret_value() for name, secret in settings.service_clients.items()})
    limit = SignInLimit(database, cipher)
    authentication = Authentication(database, passwords, limit)
    sessions = Sessions(database, ended)
    tokens = SignedIds(cipher, ONE_TIME_TOKENS)
    codes = SignedIds(cipher, CODES)
    browser_clients = BrowserClients(settings.browser_clients, settings.token_issuer)
    grants = Grants(
        database,
        authentication,
        limit,
        access_tokens,
        clients,
        browser_clients,
        cipher,
        ended,
        codes,
        settings.refresh_token_lifetime,
    )
    accounts = Accounts(database, passwords, cipher, authentication, limit, sessions, tokens, ended)
    handlers = IdentityHandlers(
        database,
        passwords,
        cipher,
        limit,
        grants,
        accounts,
        sessions,
        keys,
        ended,
        settings.token_issuer,
        password_grant=settings.password_grant,
    )
    authorization = Authorization(database, authentication, limit, browser_clients, codes, settings.token_issuer)
    pages = PagesHandlers(authorization, accounts)
    await serve(process, settings, handlers, pages, keys=keys, ended=ended)
    await process.enter(ended.serving())  # entered last, so that waiting readers are released before the server stops


if __name__ == "__main__":
    run("identity", IdentitySettings, wire)
