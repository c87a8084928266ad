"""The identity service over a real channel and a real database, without a broker: events stay in the outbox."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from meshwright.identity.v1.identity_grpc import IdentityServiceClient
from meshwright.identity.v1.identity_pb import CreateUserRequest, IssueTokenRequest, Token, User

from local.postgres import Postgres
from mesh.client import Channel
from mesh.database import Database
from mesh.identity import Verifier
from mesh.migrations import MESH_FOLDER, migrate
from mesh.operations import Readiness
from mesh.server import Server
from mesh.settings import DatabaseSettings
from services.identity.accounts import Accounts
from services.identity.authentication import Authentication
from services.identity.authorization import Authorization
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
from services.identity.sign_in_limit import SignInLimit
from services.identity.signed_ids import SignedIds
from services.identity.tokens import AccessTokens
from tests.given_token import GivenToken

ISSUER = "https://shop.test"
AUDIENCE = "meshwright"
PASSWORD = "correct horse battery"
BROWSER_CLIENTS = {"web": ["https://app.example.com/signed-in?from=shop", "/signed-in"]}
CLIENT_SECRETS = {"notifications": "notifications-secret", "orders": "orders-secret-0123"}


@dataclass
class Identity:
    """A running identity service and its parts."""

    database: Database
    passwords: Passwords
    keys: SigningKeys
    access_tokens: AccessTokens
    handlers: IdentityHandlers
    address: str
    stack: AsyncExitStack = field(repr=False)

    async def channel(self, token: str = "") -> Channel:
        """Opens a channel whose calls carry this token."""
        return await self.stack.enter_async_context(Channel("identity", self.address, tokens=GivenToken(token)))

    async def client(self, token: str = "") -> IdentityServiceClient:
        """Returns the generated client, with this token."""
        return IdentityServiceClient(await self.channel(token))

    async def register(self, email: str = "", display_name: str = "Ada") -> User:
        """Registers a new customer, whose password is PASSWORD."""
        request = CreateUserRequest(
            email=email or f"{uuid4()}@example.com", password=PASSWORD, display_name=display_name
        )
        return await (await self.client()).create_user(request)

    async def sign_in(self, email: str, scope: str = "") -> Token:
        """Returns the tokens of a new sign-in."""
        request = IssueTokenRequest(grant_type="password", username=email, password=PASSWORD, scope=scope)
        return await (await self.client()).issue_token(request)

    async def signed_in(self) -> tuple[User, IdentityServiceClient]:
        """Registers a customer; returns it, and a client with the customer's token."""
        user = await self.register()
        return user, await self.client((await self.sign_in(user.email)).access_token)

    async def workload(self, name: str) -> IdentityServiceClient:
        """Returns a client that calls as this workload."""
        return await self.client(self.access_tokens.issue(f"workloads/{name}", name, frozenset()).text)

    async def count(self, query: str, *values: object) -> int:
        """Returns the number that a query selects."""
        async with self.database.transaction() as tx:
            return int(await tx.fetchval(query, *values))

    async def execute(self, query: str, *values: object) -> None:
        """Changes rows directly in the database."""
        async with self.database.transaction() as tx:
            await tx.execute(query, *values)

    async def events(self) -> list[tuple[str, str]]:
        """Returns the type and the aggregate of the events published so far."""
        async with self.database.transaction() as tx:
            rows = await tx.fetch("SELECT type, aggregate FROM mesh.outbox ORDER BY id")
        return [(row["type"], row["aggregate"]) for row in rows]


@pytest.fixture(scope="session")
async def _database(postgres: Postgres) -> AsyncIterator[Database]:
    """Creates one database for all tests of identity, because migrating one for each would take most of the time."""
    await postgres.create_databases("identity_tests")
    url = postgres.url("identity_tests")
    migrate(url, [MESH_FOLDER, Path("services", "identity", "migrations")])
    async with Database.open(DatabaseSettings(database_url=url), "identity") as opened:
        yield opened


@pytest.fixture
async def database(_database: Database) -> Database:
    """Returns the empty database of identity."""
    async with _database.transaction() as tx:
        await tx.execute(
            "TRUNCATE users, refresh_families, signing_keys, ended_tokens, ended_token_readers, sign_in_attempts,"
            " one_time_tokens, authorization_codes, known_addresses, mesh.answers, mesh.outbox"
        )
    return _database


@pytest.fixture
def cipher() -> Cipher:
    """Returns a cipher with the secret that all replicas of the tests share."""
    return Cipher("0123456789abcdef0123456789abcdef")


@pytest.fixture
async def passwords() -> AsyncIterator[Passwords]:
    """Starts the hashing of passwords, two at once."""
    async with Passwords.open(2) as opened:
        yield opened


@pytest.fixture
async def keys(database: Database, cipher: Cipher) -> SigningKeys:
    """Returns the signing keys, with the first one created."""
    signing_keys = SigningKeys(database, cipher, timedelta(days=30))
    await signing_keys.refresh()
    return signing_keys


@pytest.fixture
async def identity(
    database: Database, cipher: Cipher, passwords: Passwords, keys: SigningKeys
) -> AsyncIterator[Identity]:
    """Starts the service on a free port."""
    access_tokens = AccessTokens(keys, ISSUER, AUDIENCE, 900)
    clients = Clients(CLIENT_SECRETS)
    ended = EndedTokenList(database, timedelta(seconds=900))
    limit = SignInLimit(database, cipher)
    authentication = Authentication(database, passwords, limit)
    sessions = Sessions(database, ended)
    tokens = SignedIds(cipher, ONE_TIME_TOKENS)
    codes = SignedIds(cipher, CODES)
    browser_clients = BrowserClients(BROWSER_CLIENTS, ISSUER)
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
        timedelta(days=30),
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
        ISSUER,
        password_grant=True,
    )
    pages = PagesHandlers(Authorization(database, authentication, limit, browser_clients, codes, ISSUER), accounts)
    verifier = Verifier(keys, ISSUER, AUDIENCE, ended)
    following = asyncio.create_task(ended.follow())
    async with (
        Server("127.0.0.1:0", (handlers, pages), verifier, Readiness(), 1.0) as server,
        AsyncExitStack() as stack,
    ):
        await stack.enter_async_context(ended.serving())
        yield Identity(database, passwords, keys, access_tokens, handlers, f"127.0.0.1:{server.port}", stack)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
