"""The client of grpc-go, directly and behind a proxy: `make go-backend` builds it."""

import asyncio
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Final

import pytest

from tests.backends.conftest import PROGRAM as BACKEND
from tests.mesh.http2.server_interop.interop_service import compiled, serving
from tests.mesh.http2.server_interop.proxy import proxied

PROGRAM: Final = BACKEND.with_name("go-interop")

PASSED: Final = [
    *("empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream"),
    *("timeout_on_sleeping_server", "cancel_after_begin", "cancel_after_first_response"),
    *("status_code_and_message", "special_status_message", "unimplemented_method", "unimplemented_service"),
    *("compressed", "busy"),
]


async def passed(port: int) -> list[str]:
    """Returns the names of the test cases that pass."""
    process = await asyncio.create_subprocess_exec(PROGRAM, f"127.0.0.1:{port}", stdout=PIPE, stderr=PIPE)
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode().split()


async def test_the_interoperability_tests_of_grpc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All cases pass that need no metadata of responses, which our handlers do not set; connections are renewed."""
    monkeypatch.setattr("mesh.server.server.CONNECTION_AGE_S", 0.2)
    monkeypatch.setattr("mesh.http2.server.connection.PONG_S_MAX", 60.0)  # however late the proxy notices
    (tmp_path / "code").mkdir()
    async with serving(compiled(tmp_path / "code")) as port, proxied(port, tmp_path) as proxy_port:
        assert await passed(port) == PASSED
        assert await passed(proxy_port) == PASSED
