"""The broker of the local mesh and of the tests."""

import asyncio
import stat
from pathlib import Path

import nats
import pytest

from local.errors import SetupError
from local.nats import Nats
from tests.broker import ADMIN


async def test_an_acknowledged_message_survives_a_crash(tmp_path: Path) -> None:
    """Events that JetStream acknowledged before kill -9 are in the stream after the next start."""
    async with Nats(tmp_path, [ADMIN]) as server:
        client = await nats.connect(server.url(ADMIN.name))
        stream = client.jetstream()
        await stream.add_stream(name="KEPT", subjects=["kept.>"])
        await stream.publish("kept.answer", b"42")
        await client.close()
        await server.kill()
    async with Nats(tmp_path, [ADMIN]) as server:
        client = await nats.connect(server.url(ADMIN.name))
        message = await client.jetstream().get_last_msg("KEPT", "kept.answer")
        assert message.data == b"42"
        await client.close()


async def test_only_the_password_opens_it(tmp_path: Path) -> None:
    """A client without the generated password is rejected; the password is in a file of mode 0600."""
    async with Nats(tmp_path, [ADMIN]) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"CONNECT {}\r\nPING\r\n")
        assert (await reader.readline()).startswith(b"INFO ")
        assert await reader.readline() == b"-ERR 'Authorization Violation'\r\n"
        writer.close()
        await writer.wait_closed()
    for name in ("passwords/admin", "passwords.conf", "nats.conf"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


async def test_a_port_in_use_is_an_error(tmp_path: Path) -> None:
    """A server whose port is in use stops: clients must not reach another server in its place."""
    async with Nats(tmp_path / "first", [ADMIN]) as first:
        with pytest.raises(SetupError, match="nats stopped with exit code"):
            await Nats(tmp_path / "second", [ADMIN], port=first.port).start()


async def test_its_folder_may_have_any_name(tmp_path: Path) -> None:
    """Names of folders have spaces, quotation marks, and letters of all languages."""
    async with Nats(tmp_path / 'Grüße "für" 商店', [ADMIN]) as server:
        assert (server.folder / "streams").is_dir()
