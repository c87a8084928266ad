"""The pool, its transactions, and the errors that callers get while PostgreSQL is away."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from local.postgres import Postgres
from mesh.database import Database
from mesh.database import database as database_module
from mesh.errors import Aborted, InvalidArgument, ResourceExhausted, Unavailable
from mesh.rpc import Call, current_call
from mesh.settings import DatabaseSettings


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Opens a database with one table and small limits."""
    settings = DatabaseSettings(database_url=database_url, database_pool_size=2, database_statement_timeout_s=1)
    async with Database.open(settings, "test") as database:
        async with database.transaction() as tx:
            await tx.execute("CREATE TABLE numbers (n int PRIMARY KEY)")
        yield database


async def _numbers(database: Database) -> list[int]:
    async with database.transaction() as tx:
        return [row["n"] for row in await tx.fetch("SELECT n FROM numbers ORDER BY n")]


async def test_a_transaction_is_all_or_nothing(database: Database) -> None:
    """A transaction that raises changes nothing; one that ends normally is committed."""
    async with database.transaction() as tx:
        await tx.execute("INSERT INTO numbers VALUES (1)")

    async def fail_late() -> None:
        async with database.transaction() as tx:
            await tx.execute("INSERT INTO numbers VALUES (2)")
            raise LookupError

    with pytest.raises(LookupError):
        await fail_late()
    assert await _numbers(database) == [1]


async def test_a_transaction_with_a_failed_statement_is_not_taken_for_committed(database: Database) -> None:
    """PostgreSQL has rolled it back, which a block that goes on after the error of a statement would not notice."""

    async def insert_twice() -> None:
        async with database.transaction() as tx:
            await tx.execute("INSERT INTO numbers VALUES (1)")
            with contextlib.suppress(asyncpg.UniqueViolationError):
                await tx.execute("INSERT INTO numbers VALUES (1)")

    with pytest.raises(asyncpg.InFailedSQLTransactionError):
        await insert_twice()
    assert await _numbers(database) == []


async def test_a_violated_constraint_is_for_the_storage_to_catch(database: Database) -> None:
    """Errors caused by the data keep their class."""
    with pytest.raises(asyncpg.UniqueViolationError):
        async with database.transaction() as tx:
            await tx.execute("INSERT INTO numbers VALUES (1), (1)")


async def test_a_text_that_can_not_be_stored_is_an_invalid_argument(database: Database) -> None:
    """PostgreSQL has no text with U+0000 in it. The caller sent it, so the call is not an internal error."""
    with pytest.raises(InvalidArgument) as caught:
        async with database.transaction() as tx:
            await tx.execute("SELECT $1::text", "a\0")
    assert caught.value.reason == "CHARACTER_NOT_ALLOWED"


async def test_a_statement_is_planned_once(database: Database) -> None:
    """PostgreSQL would make a plan for each LIMIT, and read a table that was small when a plan was made as a whole."""
    query = "SELECT n FROM numbers WHERE n > $1 ORDER BY n LIMIT $2"
    scans = "SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relname = 'numbers'"
    async with database.transaction() as tx:
        before = await tx.fetchval(scans)
        for limit in range(10):
            await tx.fetch(query, 0, limit)
        plans = await tx.fetchrow(
            "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement = $1", query
        )
        assert plans is not None
        assert tuple(plans) == (10, 0)
        assert await tx.fetchval(scans) == before


async def test_settings_end_with_their_transaction(database: Database) -> None:
    """A transaction has its settings from its first statement on, and leaves none of them in the session, not even one
    that it made itself.
    """
    async with database.transaction(statement_timeout_s=0.5, settings={"enable_tidscan": "off"}) as tx:
        session = await tx.fetchval("SELECT pg_backend_pid()")
        assert await tx.fetchval("SHOW enable_tidscan") == "off"
        assert await tx.fetchval("SHOW statement_timeout") == "500ms"
        await tx.execute("SET LOCAL enable_sort = off")
    async with database.transaction() as tx:
        assert await tx.fetchval("SELECT pg_backend_pid()") == session
        settings = [
            await tx.fetchval(f"SHOW {name}") for name in ("enable_tidscan", "enable_sort", "statement_timeout")
        ]
    assert settings == ["on", "on", "1s"]


async def test_a_slow_statement_is_ended_by_the_server(database: Database) -> None:
    """The server enforces the statement timeout, and the caller gets an error without the driver's message."""
    with pytest.raises(ResourceExhausted) as caught:
        async with database.transaction() as tx:
            await tx.execute("SELECT pg_sleep(30)")
    assert caught.value.message == "The database took too long for this call."
    assert await _numbers(database) == []


@pytest.fixture
async def patient(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """Opens a database whose statements end long before the deadline of their call, and not shortly before."""
    assert database_module.DEADLINE_SHARE < 1
    monkeypatch.setattr(database_module, "DEADLINE_SHARE", 0.01)
    settings = DatabaseSettings(database_url=database_url, database_statement_timeout_s=60)
    async with Database.open(settings, "test") as database:
        yield database


async def test_a_statement_ends_before_its_calls_deadline(patient: Database) -> None:
    """Within a call, a statement ends before the call's deadline, so that the caller gets the reason."""
    call = Call("/test", deadline=time.monotonic() + 30)
    token = current_call.set(call)
    try:
        with pytest.raises(ResourceExhausted):
            async with patient.transaction() as tx:
                await tx.execute("SELECT pg_sleep(60)")
        assert call.remaining_s() > 0
    finally:
        current_call.reset(token)


async def test_a_cancelled_call_cancels_its_statement_on_the_server(database: Database) -> None:
    """The database stops working for a cancelled call, and the connection can be used again."""
    running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep(3%'"

    async def sleep() -> None:
        async with database.transaction(statement_timeout_s=30) as tx:
            await tx.execute("SELECT pg_sleep(30)")

    async def count() -> int:
        async with database.transaction() as tx:
            found: int = await tx.fetchval(running)
            return found

    sleeping = asyncio.create_task(sleep())
    while not await count():
        await asyncio.sleep(0.01)
    sleeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeping
    assert await count() == 0
    assert await _numbers(database) == []


async def test_a_call_that_is_cancelled_again_leaves_no_transaction(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """A call that is cancelled twice, by its deadline and its caller, returns its connection without a transaction."""

    async def sleep() -> None:
        async with database.transaction(statement_timeout_s=30) as tx:
            await tx.execute("SELECT pg_sleep(30)")

    for pauses in range(8):
        sleeping = asyncio.create_task(sleep())
        await asyncio.sleep(0.05)
        for _ in range(3):
            sleeping.cancel()
            for _ in range(pauses):
                await asyncio.sleep(0.0005)
        await asyncio.wait([sleeping])
        assert sleeping.cancelled()
    assert caplog.text == ""
    assert await _numbers(database) == []


async def test_a_call_with_a_short_deadline_does_not_blame_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the server is silent, only callers that had the time to connect get Unavailable; others get a status that no
    circuit breaker counts.
    """
    monkeypatch.setattr(database_module, "ACQUIRE_TIMEOUT_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://test:test@127.0.0.1:{silent.getsockname()[1]}/test"
        async with Database.open(DatabaseSettings(database_url=url), "test") as database:
            for remaining_s, expected in ((0.1, ResourceExhausted), (60, Unavailable)):
                token = current_call.set(Call("/test", deadline=time.monotonic() + remaining_s))
                try:
                    with pytest.raises(expected):
                        async with database.transaction():
                            pass
                finally:
                    current_call.reset(token)


async def test_conflicting_transactions_are_aborted(database: Database) -> None:
    """A transaction that waits too long for a lock ends with an error that suggests a retry."""
    async with database.transaction() as tx:
        await tx.execute("INSERT INTO numbers VALUES (1), (2)")
    both_locked = asyncio.Barrier(2)

    async def lock(first: int, second: int) -> None:
        async with database.transaction() as tx:
            await tx.execute("SELECT n FROM numbers WHERE n = $1 FOR UPDATE", first)
            await both_locked.wait()
            await tx.execute("SET LOCAL lock_timeout = '500ms'")
            await tx.execute("SELECT n FROM numbers WHERE n = $1 FOR UPDATE", second)

    results = await asyncio.gather(lock(1, 2), lock(2, 1), return_exceptions=True)
    failures = [result for result in results if result is not None]
    assert failures
    assert all(isinstance(failure, Aborted) and failure.retry_after_s for failure in failures)


async def test_an_exhausted_pool_is_busy_and_ready(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """When every connection is busy, calls are rejected with a status that no circuit breaker counts, and the process
    stays ready.
    """
    async with database.transaction(), database.transaction():
        monkeypatch.setattr(database_module, "ACQUIRE_TIMEOUT_S", 0.05)
        with pytest.raises(ResourceExhausted) as caught:
            async with database.transaction():
                pass
        assert caught.value.retry_after_s
        await database.check()


@pytest.mark.parametrize("table", ["not_there", "no_schema.not_there"])
async def test_a_database_without_its_tables_is_not_available_yet(database: Database, table: str) -> None:
    """Before the migrations have run, calls end with Unavailable and a retry delay."""
    with pytest.raises(Unavailable) as caught:
        async with database.transaction() as tx:
            await tx.execute(f"SELECT * FROM {table}")
    assert "not_there" not in caught.value.message


async def test_an_idle_transaction_is_ended(database: Database) -> None:
    """The server ends a session with an idle transaction, and the next use opens a new one."""

    async def idle() -> None:
        async with database.transaction() as tx:
            await tx.execute("SET LOCAL idle_in_transaction_session_timeout = '20ms'")
            while not tx.is_closed():
                await asyncio.sleep(0.01)
            await tx.execute("SELECT 1")

    with pytest.raises(Unavailable):
        await idle()
    assert await _numbers(database) == []


@pytest.fixture
async def own_postgres(server_folder: Path) -> AsyncIterator[Postgres]:
    """Starts a server for one test, which may kill it."""
    async with Postgres(server_folder / "own-postgres") as server:
        await server.create_databases("mortal")
        yield server


def _settings(server: Postgres, **others: Any) -> DatabaseSettings:
    return DatabaseSettings(**{"database_url": server.url("mortal"), **others})


async def test_a_killed_server_is_unavailable_until_it_is_back(own_postgres: Postgres) -> None:
    """After kill -9 of PostgreSQL, calls are Unavailable without the driver's message; they succeed once it is back."""
    async with Database.open(_settings(own_postgres), "test") as database:
        async with database.transaction() as tx:
            await tx.execute("CREATE TABLE kept AS SELECT 42 AS answer")

        async def lose_the_server() -> None:
            async with database.transaction() as tx:
                await own_postgres.kill()
                while True:  # a session's own process outlives the server's by a moment
                    await tx.execute("SELECT 1")

        with pytest.raises(Unavailable):
            await lose_the_server()
        with pytest.raises(Unavailable) as caught:
            await database.check()
        assert caught.value.message == "The database does not answer. Try again."
        assert caught.value.retry_after_s
        await own_postgres.start()
        async with database.transaction() as tx:
            assert await tx.fetchval("SELECT answer FROM kept") == 42


async def test_a_process_may_start_before_its_database(own_postgres: Postgres) -> None:
    """Opening succeeds while PostgreSQL is down; transactions are Unavailable until it is up."""
    await own_postgres.kill()
    async with Database.open(_settings(own_postgres), "test") as database:
        with pytest.raises(Unavailable):
            await database.check()
        with pytest.raises(Unavailable):
            async with database.session():
                pass
        await own_postgres.start()
        await database.check()


async def test_a_silent_server_is_unavailable(own_postgres: Postgres) -> None:
    """A server that stops responding on open connections counts as gone soon after the statement timeout."""
    async with Database.open(_settings(own_postgres, database_statement_timeout_s=0.2), "test") as database:
        async with database.transaction() as tx:
            backend = await tx.fetchval("SELECT pg_backend_pid()")
        os.kill(backend, signal.SIGSTOP)
        try:
            with pytest.raises(Unavailable):
                await database.check()
        finally:
            os.kill(backend, signal.SIGCONT)
        await database.check()


async def test_a_short_call_does_not_blame_a_silent_session(own_postgres: Postgres) -> None:
    """Its statement can't be cancelled in time either, which does not make it the failure of the database."""
    async with Database.open(_settings(own_postgres), "test") as database:
        async with database.autocommit() as connection:
            backend = await connection.fetchval("SELECT pg_backend_pid()")
        os.kill(backend, signal.SIGSTOP)
        token = current_call.set(Call("/test", deadline=time.monotonic() + 0.3))
        try:
            with pytest.raises(ResourceExhausted):
                async with database.autocommit() as connection:
                    await connection.execute("SELECT 1")
        finally:
            current_call.reset(token)
            os.kill(backend, signal.SIGCONT)
        await database.check()


@pytest.mark.parametrize("kind", ["autocommit", "session"])
async def test_what_is_done_does_not_fail_when_its_session_is_slow_to_end(
    own_postgres: Postgres, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A connection may be closed after its use, as one that has expired is: that changes nothing for its user."""
    async with Database.open(_settings(own_postgres), "test") as database:
        async with database.transaction(), database.transaction():
            pass  # now there are connections, which are acquired at once
        monkeypatch.setattr(database_module, "ACQUIRE_TIMEOUT_S", 0.3)
        monkeypatch.setattr(database_module, "CLOSE_TIMEOUT_S", 0.3)
        async with getattr(database, kind)() as connection:
            backend = await connection.fetchval("SELECT pg_backend_pid()")
            await connection.execute("DROP TABLE IF EXISTS done; CREATE TABLE done AS SELECT 42 AS answer")
            with pytest.raises(Unavailable):
                async with database.transaction() as tx:
                    await tx.execute("SELECT FROM missing")  # expires all connections
            os.kill(backend, signal.SIGSTOP)
        os.kill(backend, signal.SIGCONT)
        monkeypatch.undo()
        async with database.transaction() as tx:
            assert await tx.fetchval("SELECT answer FROM done") == 42


async def test_wrong_credentials_do_not_leak(own_postgres: Postgres) -> None:
    """A wrong password makes the process unready; the error holds neither the role nor the driver's message."""
    url = f"postgresql://mortal:wrong@127.0.0.1:{own_postgres.port}/mortal"
    async with Database.open(_settings(own_postgres, database_url=url), "test") as database:
        with pytest.raises(Unavailable) as caught:
            await database.check()
    assert "mortal" not in caught.value.message


async def test_a_statement_is_a_transaction_by_itself(database: Database) -> None:
    """A statement is committed at its end, and one that fails leaves nothing behind in the session."""
    async with database.autocommit() as connection:
        await connection.execute("INSERT INTO numbers VALUES (1)")
        assert not connection.is_in_transaction()
    with pytest.raises(asyncpg.UniqueViolationError):
        async with database.autocommit() as connection:
            await connection.execute("INSERT INTO numbers VALUES (1)")
    assert await _numbers(database) == [1]


async def test_a_statement_has_the_limits_of_a_transaction(database: Database, patient: Database) -> None:
    """It ends at the session's timeout, before the deadline of a call, and with the errors of a transaction."""
    with pytest.raises(ResourceExhausted):
        async with database.autocommit() as connection:
            await connection.execute("SELECT pg_sleep(30)")
    call = Call("/test", deadline=time.monotonic() + 30)
    token = current_call.set(call)
    try:
        with pytest.raises(ResourceExhausted):
            async with patient.autocommit() as connection:
                await connection.execute("SELECT pg_sleep(60)")
        assert call.remaining_s() > 0
    finally:
        current_call.reset(token)
