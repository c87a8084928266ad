"""Real servers for the tests: one PostgreSQL and one NATS for the run, an empty database for each test that asks."""

import gc
import itertools
import os
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

# Tests start programs while gRPC's threads run. Its handlers of fork() are for processes that use gRPC after it;
# now and then they end a child before it becomes the program (github.com/grpc/grpc/issues/13873).
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import asyncpg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import HealthCheck, settings

from local.nats import Nats
from local.postgres import SUPERUSER, Postgres
from mesh.database import Database, Session
from mesh.migrations import MESH_FOLDER, migrate
from mesh.settings import DatabaseSettings
from tests import memory
from tests.broker import ADMIN

# Nothing depends on how fast a machine is; the rest is Hypothesis' own profile, another one in CI.
settings.register_profile("untimed", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# A job in the background of a shell, and so all that the tests start, would ignore SIGINT, which tests of Ctrl-C send.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A folder that PostgreSQL's own user can enter, which pytest's temporary folders are not when we are root."""
    with memory.server_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
async def postgres(server_folder: Path) -> AsyncIterator[Postgres]:
    """A PostgreSQL that all tests share: do not stop it. Tests that do start their own."""
    async with Postgres(server_folder / "postgres") as server:
        yield server
        # The immediate stop writes none of the databases to disk first, and leaves no shared memory, as SIGKILL does.
        os.kill(server.pid, signal.SIGQUIT)


@pytest.fixture(scope="session")
async def _superuser(postgres: Postgres) -> AsyncIterator[Session]:
    connection = await asyncpg.connect(postgres.url("postgres", SUPERUSER))
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
def _database_names() -> Iterator[str]:
    return (f"test_{number}" for number in itertools.count(1))


@pytest.fixture
async def _database_name(postgres: Postgres, _superuser: Session, _database_names: Iterator[str]) -> AsyncIterator[str]:
    """The name of the test's database, for what creates it first."""
    yield (name := next(_database_names))
    if memory.holds(postgres.folder):  # a disk removes them sooner all at once, at the end
        await _superuser.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
async def database_url(postgres: Postgres, _database_name: str) -> str:
    """A fresh database and the role that owns it. It is empty unless `open_database` has been called."""
    await postgres.create_databases(_database_name)
    return postgres.url(_database_name)


@pytest.fixture(scope="session")
def _templates() -> set[str]:
    """The databases that have all tables of a service, to be copied: this takes less time than to migrate."""
    return set()


@pytest.fixture
async def open_database(
    postgres: Postgres, _superuser: Session, _database_name: str, _templates: set[str]
) -> AsyncIterator[Callable[..., Awaitable[Database]]]:
    """Opens the test's database; it has the mesh's tables and those of the service that is named, if one is."""
    name = _database_name
    async with AsyncExitStack() as stack:

        async def open_(service: str | None = None) -> Database:
            folders = [MESH_FOLDER, *([Path("services", service, "migrations")] if service else [])]
            if (template := f"template_{service or 'mesh'}") not in _templates:
                await postgres.create_databases(template)
                migrate(postgres.url(template), folders)
                _templates.add(template)
            if await _superuser.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
                migrate(postgres.url(name), folders)
            else:
                await _superuser.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
                await postgres.create_databases(name)  # its role, which then may do what the owner of the tables may
                await _superuser.execute(f"ALTER DATABASE {name} OWNER TO {name}; GRANT {template} TO {name}")
            settings = DatabaseSettings(database_url=postgres.url(name))
            return await stack.enter_async_context(Database.open(settings, service or "test"))

        yield open_


@pytest.fixture(scope="session")
async def nats_server(server_folder: Path) -> AsyncIterator[Nats]:
    """A NATS with JetStream that all tests share: do not stop it. Tests that do start their own."""
    async with Nats(server_folder / "nats", [ADMIN]) as server:
        yield server


@pytest.fixture(scope="session")
def nats_url(nats_server: Nats) -> str:
    """Returns the URL of the shared NATS server, with credentials."""
    return nats_server.url(ADMIN.name)


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """The context of a server on 127.0.0.1 or at server.test, whose certificate this process trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "server.test")])
    alternatives = [x509.IPAddress(IPv4Address("127.0.0.1")), x509.DNSName("server.test")]
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, private = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate.write_bytes(signed.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    return context


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Turns the garbage collector off."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
