"""Provisioning of the stream and the consumers."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import nats
import pytest
import yaml
from nats.js.errors import NotFoundError

from local.nats import Nats
from local.ports import free_port
from mesh.events.nats.provision import provision
from mesh.events.nats.stream import STREAM
from mesh.events.nats.users import PROVISIONER, provisioner
from tests.broker import ADMIN
from tests.mesh.events.keep import KEEP

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Nats]:
    """Starts an empty broker for this module."""
    async with Nats(tmp_path, [ADMIN, provisioner()]) as server:
        yield server


async def filters(server: Nats) -> dict[str, list[str]]:
    """Returns the event types of each consumer of the stream."""
    client = await nats.connect(server.url(ADMIN.name))
    try:
        consumers = await client.jetstream().consumers_info(STREAM)
    except NotFoundError:
        return {}
    finally:
        await client.close()
    return {each.name: each.config.filter_subjects or [] for each in consumers}


async def test_existing_consumers_are_updated_and_none_is_deleted(server: Nats) -> None:
    """A consumer gets its new types and keeps its position; so does one that is no longer declared."""
    one, two = "meshwright.x.v1.One", "meshwright.x.v1.Two"
    await provision(server.url(PROVISIONER), [one], {"a": [one], "b": [one]})
    client = await nats.connect(server.url(ADMIN.name))
    await client.jetstream().publish("meshwright.x.v1.One", b"")
    await client.close()
    await provision(server.url(PROVISIONER), [one, two], {"a": [one, two]})
    assert await filters(server) == {"a": [one, two], "b": [one]}
    client = await nats.connect(server.url(ADMIN.name))
    assert (await client.jetstream().stream_info(STREAM)).state.messages == 1
    await client.close()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["meshwright.>"], ["acme.x.v1.*", "meshwright.>"]),
        (["meshwright.x.v1.One", "kept.>"], ["acme.x.v1.*", "kept.>", "meshwright.x.v1.*"]),
        (["acme.x.v1.*", "meshwright.x.v1.*"], ["acme.x.v1.*", "meshwright.x.v1.*"]),
    ],
)
async def test_a_stream_gets_the_subjects_that_it_lacks(server: Nats, before: list[str], after: list[str]) -> None:
    """Types of any package are covered; subjects that were there stay, but for those that overlap with new ones."""
    client = await nats.connect(server.url(ADMIN.name))
    await client.jetstream().add_stream(name=STREAM, subjects=before)
    await provision(server.url(PROVISIONER), ["acme.x.v1.One", "meshwright.x.v1.One"], {"a": ["acme.x.v1.One"]})
    subjects = (await client.jetstream().stream_info(STREAM)).config.subjects
    await client.close()
    assert sorted(subjects or ()) == after


async def test_the_command_provisions_the_broker_for_the_contracts(server: Nats) -> None:
    """The command succeeds, and can be repeated."""
    for _ in range(2):
        done = await asyncio.to_thread(run, server.url(PROVISIONER))
        assert done.returncode == 0, done.stderr
    declared = yaml.safe_load((ROOT / "charts/meshwright/events.yaml").read_text())
    consumed = {name: events["consumes"] for name, events in declared.items() if events["consumes"]}
    assert "meshwright.identity.v1.UserRegistered" in consumed["notifications"]
    assert await filters(server) == consumed


async def test_lost_data_is_provisioned_again(
    server: Nats, eventually: Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]
) -> None:
    """With --keep the command runs until SIGTERM, which it must handle as the first process of a container."""
    process = await asyncio.create_subprocess_exec(
        *KEEP, env=environment(server.url(PROVISIONER)), stdout=subprocess.DEVNULL
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


def test_an_unreachable_broker_is_an_error() -> None:
    """The command fails after a while, with a message that does not hold the password."""
    hasty = "from mesh.events import provision; provision.ATTEMPTS_MAX = 2"
    done = run(f"nats://provisioner:secret@127.0.0.1:{free_port()}", hasty)
    assert done.returncode == 1
    assert "The broker of BROKER_URL could not be provisioned: " in done.stderr
    assert "secret" not in done.stdout + done.stderr


def run(url: str, before: str = "") -> "subprocess.CompletedProcess[str]":
    """Runs the command after some Python code."""
    program = f"{before}\nimport sys; from mesh.events.provision import main; sys.exit(main([]))"
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environment(url), capture_output=True, text=True, check=False)


def environment(url: str) -> dict[str, str]:
    """Returns the variables that the command reads."""
    return {"BROKER_URL": url, "PYTHONPATH": ".:gen"}
