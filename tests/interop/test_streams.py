"""Typed streams against grpc-go in both roles: grpcurl calls our server, and our client calls the backend in Go."""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

from mesh.client import Channel
from mesh.errors import MeshError
from tests.backends.conftest import go_backend_of
from tests.issuer import Issuer
from tests.mesh.conftest import greeter, issuer
from tests.mesh.greeter import ROOT
from tests.mesh.stream_service import Streams, serving

__all__ = ("greeter", "issuer")

GRPCURL: Final = shutil.which("grpcurl") or str(ROOT / ".tools" / "bin" / "grpcurl")
SERVICE: Final = "greeter.v1.StreamService"


async def grpcurl(port: int, method: str, *requests: dict[str, Any], token: str = "") -> tuple[list[Any], str]:
    """Calls a method with these requests. Returns the responses, and the error output of grpcurl."""
    flags = ["-H", f"authorization: Bearer {token}"] if token else []
    process = await asyncio.create_subprocess_exec(
        *(GRPCURL, "-plaintext", *flags, "-d", "@", f"127.0.0.1:{port}", f"{SERVICE}/{method}"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    output, errors = await process.communicate("\n".join(map(json.dumps, requests)).encode())
    decoder, text, responses = json.JSONDecoder(), output.decode().strip(), []
    while text:
        response, end = decoder.raw_decode(text)
        responses.append(response)
        text = text[end:].strip()
    return responses, errors.decode()


async def test_grpc_go_calls_every_kind_of_stream(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """grpcurl calls by reflection alone, and receives errors with their details."""
    ada, bob = {"name": "Ada", "times": 2}, {"name": "Bob"}
    async with serving(greeter, issuer, Streams(greeter)) as (server, _):
        token = issuer.token("users/ada", "greet")
        counted = await grpcurl(server.port, "Count", ada)
        summed = await grpcurl(server.port, "Sum", ada, bob, token=token)
        echoed = await grpcurl(server.port, "Echo", ada, bob)
        refused = await grpcurl(server.port, "Sum", ada)
        wrong = await grpcurl(server.port, "Echo", ada, {"name": ""})
    assert counted == ([{"text": "Ada 0"}, {"text": "Ada 1"}], "")
    assert summed == ([{"text": "Ada+Bob"}], "")
    assert echoed == ([{"text": "ADA"}, {"text": "BOB"}], "")
    assert "Code: Unauthenticated" in refused[1]
    assert wrong[0] == [{"text": "ADA"}]
    assert "Code: InvalidArgument\n  Message: [1]: name:" in wrong[1]
    assert '"@type": "type.googleapis.com/google.rpc.BadRequest"' in wrong[1]
    assert '"field": "[1].name"' in wrong[1]
    assert '"reason": "TOKEN_MISSING"' in refused[1]


@pytest.fixture(scope="module")
def image(greeter: SimpleNamespace) -> Path:
    """Returns the descriptor image of the greeter contract."""
    path: Path = greeter.folder / "greeter.binpb"
    includes = [f"-I{folder}" for folder in (greeter.folder, ROOT / "proto", ROOT / "third_party")]
    command = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        *includes,
        "--include_imports",
        f"--descriptor_set_out={path}",
    ]
    subprocess.run([*command, "greeter/v1/greeter.proto"], check=True)
    return path


async def test_our_client_calls_every_kind_of_stream_of_grpc_go(greeter: SimpleNamespace, image: Path) -> None:
    """Requests and responses are the messages of the contract on both sides."""

    async def requests() -> AsyncIterator[Any]:
        for name in ("Ada", "Bob"):
            yield greeter.pb.GreetRequest(name=name)

    async with go_backend_of(image) as backend, Channel("go", f"127.0.0.1:{backend.port}") as channel:
        client = greeter.grpc.StreamServiceClient(channel)
        async with client.count(greeter.pb.GreetRequest(name="Ada")) as responses:
            assert [response.text async for response in responses] == ["Ada"]
        assert (await client.sum(requests())).text == "Ada"
        async with client.echo(requests()) as responses:
            assert [response.text async for response in responses] == ["Ada", "Bob"]


async def test_a_status_of_grpc_go_ends_a_stream(greeter: SimpleNamespace, image: Path) -> None:
    """Its code, message and details reach the caller."""
    async with go_backend_of(image) as backend, Channel("go", f"127.0.0.1:{backend.port}") as channel:
        method = f"/{SERVICE}/Count"
        request = greeter.pb.GreetRequest(name="Ada").to_binary()

        async def once() -> AsyncIterator[bytes]:
            yield request

        async with channel.stream(method, once(), timeout_s=5, metadata=(("x-behave", "error=5"),)) as responses:
            with pytest.raises(MeshError) as caught:
                await anext(responses)
    assert (caught.value.code.name, caught.value.reason) == ("NOT_FOUND", "GO_SAID_SO")
