"""The stream and the consumers."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import nats
import pytest
from nats.js.errors import NotFoundError

from local.nats import Nats
from local.ports import free_port
from mesh.events.nats.provision import provision
from mesh.events.nats.stream import STREAM
from mesh.events.nats.users import PROVISIONER, provisioner
from tests.broker import ADMIN

COMMAND = (sys.executable, "-m", "mesh.events.nats.provision")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Nats]:
    """A broker of its own, with nothing in it."""
    async with Nats(tmp_path, [ADMIN, provisioner()]) as server:
        yield server


async def filters(server: Nats) -> dict[str, list[str]]:
    """What each consumer of the stream delivers."""
    client = await nats.connect(server.url(ADMIN.name))
    try:
        consumers = await client.jetstream().consumers_info(STREAM)
    except NotFoundError:
        return {}
    finally:
        await client.close()
    return {each.name: each.config.filter_subjects or [] for each in consumers}


async def test_what_is_there_is_changed_and_nothing_deleted(server: Nats) -> None:
    """A consumer gets its new types and keeps its place; one that is no longer declared stays, with its place."""
    await provision(server.url(PROVISIONER), {"a": ["meshwright.x.v1.One"], "b": ["meshwright.x.v1.One"]})
    client = await nats.connect(server.url(ADMIN.name))
    await client.jetstream().publish("meshwright.x.v1.One", b"")
    await client.close()
    await provision(server.url(PROVISIONER), {"a": ["meshwright.x.v1.One", "meshwright.x.v1.Two"]})
    assert await filters(server) == {
        "a": ["meshwright.x.v1.One", "meshwright.x.v1.Two"],
        "b": ["meshwright.x.v1.One"],
    }
    client = await nats.connect(server.url(ADMIN.name))
    assert (await client.jetstream().stream_info(STREAM)).state.messages == 1
    await client.close()


async def test_the_command_provisions_what_the_contracts_say(server: Nats) -> None:
    """It ends with success, also the second time."""
    for _ in range(2):
        done = await asyncio.to_thread(run, server.url(PROVISIONER))
        assert done.returncode == 0, done.stderr
    assert await filters(server) == {
        "notifications": [
            f"meshwright.identity.v1.{name}" for name in ("RegistrationRepeated", "UserDeleted", "UserRegistered")
        ]
    }


async def test_what_gets_lost_is_made_again(
    server: Nats, eventually: Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]
) -> None:
    """With --keep it goes on, until it is told to stop: then it ends of itself, as the first process of a container has
    to, which no signal ends.
    """
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "--keep", env=environment(server.url(PROVISIONER)), stdout=subprocess.DEVNULL
    )

    async def provisioned() -> bool:
        return "notifications" in await filters(server)

    try:
        await eventually(provisioned)
        client = await nats.connect(server.url(ADMIN.name))
        await client.jetstream().delete_stream(STREAM)
        await client.close()
        await eventually(provisioned)
        process.terminate()
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()


def test_a_broker_that_is_not_there_is_an_error() -> None:
    """The command says so after a while, without the password."""
    hasty = "from mesh.events.nats import provision; provision.ATTEMPTS_MAX = 2"
    done = run(f"nats://provisioner:secret@127.0.0.1:{free_port()}", hasty)
    assert done.returncode == 1
    assert "The broker of NATS_URL could not be provisioned: " in done.stderr
    assert "secret" not in done.stdout + done.stderr


def run(url: str, before: str = "") -> "subprocess.CompletedProcess[str]":
    """Runs the command, after some Python."""
    program = f"{before}\nimport sys; from mesh.events.nats.provision import main; sys.exit(main([]))"
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environment(url), capture_output=True, text=True, check=False)


def environment(url: str) -> dict[str, str]:
    """The variables that the command reads."""
    return {"NATS_URL": url, "PYTHONPATH": ".:gen"}
