"""One effect for each request_id."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from protobuf.wkt import StringValue

from mesh.database import Connection, Database
from mesh.errors import Aborted, Code, InvalidArgument, MeshError, NotFound, error_for
from mesh.idempotency import RequestKey, forget, forget_caller, once, once_prepared
from mesh.identity import Caller
from mesh.rpc import Call
from tests.lock_waits import lock_waits
from tests.mesh.messages import Note


@pytest.fixture
async def database(open_database: Callable[..., Awaitable[Database]]) -> Database:
    """Creates the mesh's tables and one for effects."""
    database = await open_database()
    async with database.transaction() as tx:
        await tx.execute("CREATE TABLE effects (n bigint GENERATED ALWAYS AS IDENTITY)")
    return database


def _called_by(caller: str) -> Call:
    """Returns a call of the method /m, whose response is a string."""
    return Call("/m", Caller(caller), response=StringValue)


async def _count(database: Database) -> int:
    async with database.transaction() as tx:
        return int(await tx.fetchval("SELECT count(*) FROM effects"))


class Pause:
    """A pause in the effect of a call, which the test ends."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.over = asyncio.Event()

    async def take(self) -> None:
        """Pauses."""
        self.begun.set()
        await self.over.wait()

    async def end_with_waiting(self, database: Database, calls: int) -> None:
        """Ends the pause once this number of other calls wait for the one that pauses."""
        while await lock_waits(database) < calls:
            await asyncio.sleep(0.01)
        self.over.set()


async def _call(
    database: Database,
    request: Any,
    *,
    request_id: str = "r",
    caller: str = "users/1",
    pause: Pause | None = None,
    fail: bool = False,
) -> str:
    """Makes a call whose effect is numbered, and returns its answer."""
    async with database.transaction() as tx:

        async def effect() -> StringValue:
            number = await tx.fetchval("INSERT INTO effects DEFAULT VALUES RETURNING n")
            if pause is not None:
                await pause.take()
            if fail:
                raise LookupError
            return StringValue(value=str(number))

        request.request_id = request_id
        answer = await once(tx, _called_by(caller), request, effect)
    return answer.value


async def test_the_same_id_gets_the_same_answer(database: Database) -> None:
    """A repeated call has no effect and gets the answer of the first."""
    assert [await _call(database, Note(text="x")) for _ in range(3)] == ["1", "1", "1"]
    assert await _count(database) == 1


async def test_a_uuid_is_the_same_in_upper_and_lower_case(database: Database) -> None:
    """RFC 9562, section 4. Other ids are not."""
    uuid = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
    ids = [uuid, uuid.upper(), "key", "Key"]
    assert [await _call(database, Note(text="x"), request_id=each) for each in ids] == ["1", "1", "2", "3"]


async def test_another_id_caller_or_no_id_runs_again(database: Database) -> None:
    """An id is unique for one caller, and calls without an id are never the same."""
    answers = [
        await _call(database, Note(), request_id="a"),
        await _call(database, Note(), request_id="b"),
        await _call(database, Note(), request_id="a", caller="users/2"),
        await _call(database, Note(), request_id=""),
        await _call(database, Note(), request_id=""),
    ]
    assert answers == ["1", "2", "3", "4", "5"]


async def test_a_different_request_under_the_same_id_is_refused(database: Database) -> None:
    """The id can't be used for another request, and the error names the field."""
    await _call(database, Note(text="x"))
    with pytest.raises(InvalidArgument) as caught:
        await _call(database, Note(text="y"))
    assert caught.value.reason == "REQUEST_ID_REUSED"
    assert [violation.field for violation in caught.value.violations] == ["request_id"]
    assert await _count(database) == 1


async def test_concurrent_calls_with_one_id_have_one_effect(database: Database) -> None:
    """Concurrent calls with one id wait for the first and get its answer."""
    pause = Pause()
    calls = (_call(database, Note(), pause=pause) for _ in range(4))  # and a connection to watch them
    *answers, _ = await asyncio.gather(*calls, pause.end_with_waiting(database, 3))
    assert set(answers) == {"1"}
    assert await _count(database) == 1


async def test_a_repeated_call_runs_after_a_failed_one(database: Database) -> None:
    """Errors are not stored: the call that waited, or a later one, has the effect instead."""
    pause = Pause()
    failing = asyncio.create_task(_call(database, Note(), pause=pause, fail=True))
    await pause.begun.wait()
    answered, _ = await asyncio.gather(_call(database, Note()), pause.end_with_waiting(database, 1))
    with pytest.raises(LookupError):
        await failing
    assert answered == "2"
    assert await _call(database, Note()) == "2"


async def test_a_concurrent_call_does_not_wait_forever(database: Database) -> None:
    """A call that waits longer than the lock timeout ends with an error that suggests a retry."""
    pause = Pause()
    first = asyncio.create_task(_call(database, Note(), pause=pause))
    await pause.begun.wait()
    with pytest.raises(Aborted):
        await _call_with_lock_timeout(database)
    pause.over.set()
    assert await first == "1"


async def _call_with_lock_timeout(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute("SET LOCAL lock_timeout = '100ms'")

        async def effect() -> StringValue:
            raise AssertionError("the first call holds the id")

        await once(tx, _called_by("users/1"), Note(request_id="r"), effect)


async def test_an_expired_answer_is_forgotten(database: Database) -> None:
    """After its time the id is free again, and later calls delete old rows."""
    for number in range(4):
        await _call(database, Note(), request_id=f"old-{number}")
    async with database.transaction() as tx:
        await tx.execute("UPDATE mesh.answers SET expires_at = now()")
    assert await _call(database, Note(text="different"), request_id="old-0") == "5"
    await _call(database, Note(), request_id="new")
    async with database.transaction() as tx:
        kept = {row["request_id"] for row in await tx.fetch("SELECT request_id FROM mesh.answers")}
    assert kept == {"old-0", "new"}


@pytest.mark.parametrize("request_id", ["x" * 129, "a\0b", "ü", "a\nb"])
async def test_an_invalid_id_is_rejected(database: Database, request_id: str) -> None:
    """An id that the database can't store is an invalid argument."""
    with pytest.raises(InvalidArgument) as caught:
        await _call(database, Note(), request_id=request_id)
    assert caught.value.reason == "REQUEST_ID_INVALID"


async def _prepared(database: Database, request: Any, request_id: str = "r") -> tuple[str, bool]:
    """Makes a call that prepares its effect; returns its answer, and whether it was prepared."""
    prepared: list[str] = []

    async def prepare() -> str:
        prepared.append("ready")
        return "ready"

    async def effect(tx: Connection, ready: str) -> StringValue:
        assert ready == "ready"
        return StringValue(value=str(await tx.fetchval("INSERT INTO effects DEFAULT VALUES RETURNING n")))

    request.request_id = request_id
    answer = await once_prepared(database, _called_by("users/1"), request, prepare, effect)
    return answer.value, bool(prepared)


async def test_a_repeated_call_prepares_nothing(database: Database) -> None:
    """A call prepares its effect the first time, after its answer has expired, and without an id."""
    assert await _prepared(database, Note(text="x")) == ("1", True)
    assert await _prepared(database, Note(text="x")) == ("1", False)
    assert await _prepared(database, Note(text="x"), request_id="") == ("2", True)
    async with database.transaction() as tx:
        await tx.execute("UPDATE mesh.answers SET expires_at = now()")
    assert await _prepared(database, Note(text="x")) == ("3", True)


async def test_of_calls_that_prepare_at_once_one_has_the_effect(database: Database) -> None:
    """Concurrent calls with one id may all prepare, but only one has an effect."""
    answers = await asyncio.gather(*(_prepared(database, Note(text="x")) for _ in range(5)))
    assert {answer for answer, _ in answers} == {"1"}
    assert await _count(database) == 1


# They tell of the state of the system, which a concurrent call may have changed.
OF_STATE = {
    Code.ABORTED,
    Code.ALREADY_EXISTS,
    Code.FAILED_PRECONDITION,
    Code.INVALID_ARGUMENT,
    Code.NOT_FOUND,
    Code.OUT_OF_RANGE,
    Code.PERMISSION_DENIED,
    Code.UNAUTHENTICATED,
}


@pytest.mark.parametrize("code", [code for code in Code if code in OF_STATE])
async def test_a_call_that_can_not_prepare_waits_for_a_concurrent_one(database: Database, code: Code) -> None:
    """The first call may have changed what the second one found, and its answer may have been lost."""
    pause, error = Pause(), error_for(code)("not on sale")
    first = asyncio.create_task(_call(database, Note(text="x"), pause=pause))
    await pause.begun.wait()
    waiting = _unprepared(database, Note(text="x", request_id="r"), error)
    answer, _ = await asyncio.gather(waiting, pause.end_with_waiting(database, 1))
    assert answer == await first == "1"
    assert await _count(database) == 1


@pytest.mark.parametrize("request_id", ["r", ""])
async def test_a_call_that_can_not_prepare_fails(database: Database, request_id: str) -> None:
    """Without a call that has the effect it is an error, which is not stored."""
    with pytest.raises(NotFound, match="not on sale"):
        await _unprepared(database, Note(text="x", request_id=request_id))
    assert await _prepared(database, Note(text="x"), request_id) == ("1", True)


@pytest.mark.parametrize("code", [code for code in Code if code not in OF_STATE | {Code.OK}])
async def test_an_error_that_no_concurrent_call_causes_is_raised_at_once(database: Database, code: Code) -> None:
    """Without a transaction, which would wait for the concurrent call: an outage makes no call and no retry write."""

    async def effect() -> StringValue:
        with pytest.raises(MeshError) as caught:
            await _unprepared(database, Note(request_id="r"), error)
        assert caught.value is error
        return StringValue()

    error = error_for(code)("not now")
    async with asyncio.timeout(30), database.transaction() as tx:
        await once(tx, _called_by("users/1"), Note(request_id="r"), effect)


async def _unprepared(database: Database, request: Any, error: MeshError | None = None) -> str:
    """Makes a call that can't prepare its effect. Returns its answer."""

    async def prepare() -> str:
        raise error or NotFound("not on sale", reason="GONE")

    async def effect(_: Connection, __: str) -> StringValue:
        raise AssertionError("done")

    return (await once_prepared(database, _called_by("users/1"), request, prepare, effect)).value


async def test_another_request_under_the_id_prepares_nothing(database: Database) -> None:
    """A used id with another request, or an invalid id, is rejected before any slow work."""
    await _prepared(database, Note(text="x"))

    async def prepare() -> str:
        raise AssertionError("prepared")

    async def effect(_: Connection, __: str) -> StringValue:
        raise AssertionError("done")

    for request, reason in (
        (Note(text="y", request_id="r"), "REQUEST_ID_REUSED"),
        (Note(request_id="x" * 129), "REQUEST_ID_INVALID"),
    ):
        with pytest.raises(InvalidArgument) as caught:
            await once_prepared(database, _called_by("users/1"), request, prepare, effect)
        assert caught.value.reason == reason


async def test_a_forgotten_answer_is_gone(database: Database) -> None:
    """Forgetting deletes one answer, so that the same call has its effect again; others stay."""
    for request_id in ("a", "b"):
        await _call(database, Note(text="x"), request_id=request_id)
    async with database.transaction() as tx:
        await forget(tx, RequestKey("users/1", "/m", "a"))
    assert await _call(database, Note(text="x"), request_id="b") == "2"
    assert await _call(database, Note(text="x"), request_id="a") == "3"


async def test_all_answers_to_a_caller_are_forgotten(database: Database) -> None:
    """Those to others stay."""
    for caller in ("users/1", "users/2"):
        for request_id in ("a", "b"):
            await _call(database, Note(text="x"), request_id=request_id, caller=caller)
    async with database.transaction() as tx:
        await forget_caller(tx, "users/1")
    assert await _call(database, Note(text="x"), request_id="b", caller="users/2") == "4"
    assert await _call(database, Note(text="x"), request_id="a", caller="users/1") == "5"
