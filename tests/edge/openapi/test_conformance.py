"""The conformance of the running edge to its document, by valid and invalid requests of schemathesis."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import grpc
import pytest
from googleapis.google.api.field_behavior_pb import FieldBehavior
from protobuf import DescFieldValueList, DescFieldValueMap, DescFieldValueMessage, DescMessage, Message

from edge.contract.contract import Contract, read
from edge.openapi.schemas.field_behavior import behaviors
from tests.edge.backend import Context, Received, backend_of
from tests.edge.contracts import compile_image
from tests.edge.openapi.contracts import OLD
from tests.edge.served import edge_of
from tests.generators.contract import EVERYTHING

ROOT = Path(__file__).resolve().parents[3]

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,unsupported_method,takes_valid_requests,refuses_invalid_requests"
)
FIELD_MASK = "google.protobuf.FieldMask"
LACKS = "REQUIRED fields are missing"


def lacks_required(message: Message) -> bool:
    """Returns whether a field is absent that AIP-203 lets a service demand. An update holds only the fields to
    change.
    """
    fields = message.desc().fields
    if any(field.name == "update_mask" for field in fields):
        return False
    for field in fields:
        if field not in message:
            if FieldBehavior.REQUIRED in behaviors(field):
                return True
        elif isinstance(field.value, DescFieldValueMessage) and lacks_required(message[field]):
            return True
    return False


def without_masks(message: Message) -> bytes:
    """Returns a message without masks, because some paths that a query may hold have no JSON."""
    clear_masks(message)
    encoded: bytes = message.to_binary()
    return encoded


def clear_masks(message: Message) -> None:
    """Removes the masks from a message and its fields."""
    for field in message.desc().fields:
        match field.value:
            case DescFieldValueMessage(message=kind) if kind.type_name == FIELD_MASK:
                message.clear_field(field.name)
            case DescFieldValueMessage() if field in message:
                clear_masks(message[field])
            case DescFieldValueList(element=DescMessage()):
                for each in message[field]:
                    clear_masks(each)
            case DescFieldValueMap(value=DescMessage()):
                for each in message[field].values():
                    clear_masks(each)


def answers(contract: Contract) -> Callable[[Received, Context], Awaitable[bytes]]:
    """Returns a handler that answers like a service: with the resource of the request, or with an empty message."""
    methods = {method.path: method.desc for method in contract.methods}

    async def answer(received: Received, context: Context) -> bytes:
        method = methods[received.path]
        request = method.input.type.from_binary(received.request)
        if lacks_required(request):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, LACKS)
        if method.input.type_name == method.output.type_name:
            return without_masks(request)
        for field in method.input.fields:
            is_resource = (
                isinstance(field.value, DescFieldValueMessage)
                and field.value.message.type_name == method.output.type_name
            )
            if is_resource and field in request:
                return without_masks(request[field])
        return b""

    return answer


async def one_answer(requests: AsyncIterator[bytes], _: Context) -> AsyncIterator[bytes]:
    """Answers a stream with one empty message when it has ended."""
    async for _request in requests:
        pass
    yield b""


async def hold_against_document(contract: Contract, examples: int, folder: Path) -> None:
    """Fails with the findings of schemathesis, which writes its files into this folder, about the edge of a
    contract.
    """
    streaming = [method.path for method in contract.methods if method.streams]
    async with backend_of(contract.registry, streaming) as backend:
        backend.answer, backend.stream = answers(contract), one_answer
        async with edge_of(contract, backend.port) as client:
            status, report = await _schemathesis(f"{client.base_url}/openapi.json", examples, folder)
    if status != 0:
        pytest.fail(report, pytrace=False)


async def _schemathesis(url: str, examples: int, folder: Path) -> tuple[int | None, str]:
    options = ["--checks", CHECKS, "--phases", "examples,fuzzing", "--max-examples", str(examples), "--seed", "1"]
    options += ["--generation-database", "none", "--no-color", "--suppress-health-check", "all"]
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}",
        "SCHEMATHESIS_HOOKS": "tests.edge.openapi.checks",
    }
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).parent / "schemathesis"), "run", url, *options),
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


async def test_the_edge_does_what_its_document_says(torture: Contract, tmp_path: Path) -> None:
    """The edge conforms to the document of a contract with all features, among them streams."""
    await hold_against_document(torture, 5, tmp_path)


async def test_a_success_without_content_has_none(torture: Contract) -> None:
    """A method with status 204 sends no body, for any response of the service."""
    async with backend_of(torture.registry) as backend, edge_of(torture, backend.port) as client:
        backend.answer = answers(torture)
        response = await client.post("/v1/store", content=b"x")
        assert (response.status_code, response.content, response.headers.get("content-type")) == (204, b"", None)


async def test_the_store_does_what_its_document_says(store: Contract, tmp_path: Path) -> None:
    """The edge conforms to the document of the store, which has rules of real use."""
    await hold_against_document(store, 2, tmp_path)


async def test_proto2_does_what_its_document_says(tmp_path: Path) -> None:
    """The edge conforms to the document of a contract with required fields, groups, extensions and closed enums."""
    await hold_against_document(read(compile_image(OLD, tmp_path)), 10, tmp_path)


async def test_every_kind_does_what_its_document_says(tmp_path: Path) -> None:
    """The edge conforms to the document of a contract with every kind of field, rule and method for generated
    clients.
    """
    await hold_against_document(read(compile_image(EVERYTHING, tmp_path)), 1, tmp_path)
