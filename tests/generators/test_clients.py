"""Clients that are generated from the edge's documents: they are made without complaint, compile and call the edge."""

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from edge.contract.contract import Contract, load, read
from tests.conformance.rest_client import RestClient
from tests.edge.backend import Backend, Context, Received, backend_of
from tests.edge.contracts import compile_image
from tests.edge.openapi.contracts import OLD, documents_of
from tests.edge.served import Client, edge_of
from tests.generators.contract import EVERYTHING
from tests.generators.generated import ROOT, SCRIPTS, Clients, environment, generate, run
from tests.valid_openapi import validate

CALLERS: Final = Path(__file__).parent / "callers"
DOCUMENTS: Final = ("everything", "store", "proto2", "firestore")

EXPECTED: Final[dict[str, Any]] = {
    "create": ["Emma", "KIND_ONE", "5000000000", 1.5],
    "list": [["Persuasion", 7, "NaN"]],
    "upload": "raw bytes",
    "sign in": ["ada", "secret", "7"],
    "delete": None,
    "missing": [404, "NOT_FOUND"],
}
CREATED: Final = {
    "parent": "shelves/novels",
    "resource": {"title": "Emma", "kind": "KIND_ONE", "size": "5000000000", "weight": 1.5},
    "resourceId": "emma",
    "requestId": "00000000-0000-0000-0000-000000000001",
}
LISTED: Final = {
    "shelf": "novels",
    "kinds": ["KIND_ONE", "KIND_TWO"],
    "kind": "KIND_ONE",
    "filter": {"title": "x"},
    "sizes": ["1", "2"],
    "flag": True,
}

SHADOWS: Final = "ignore:Field name:UserWarning"
"""What pydantic says about a field that has the name of one of its own methods."""

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    """The contract with everything."""
    return read(compile_image(EVERYTHING, tmp_path_factory.mktemp("everything")))


@pytest.fixture(scope="module")
def documents(everything: Contract, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The documents that clients are made of."""
    contracts = {
        "everything": documents_of(everything),
        "store": documents_of(load(ROOT / "gen" / "contracts.binpb"), secured=True),
        "proto2": documents_of(read(compile_image(OLD, tmp_path_factory.mktemp("old")))),
        "firestore": documents_of(read(RestClient("google.cloud.firestore_v1.services.firestore").image)),
    }
    return {name: b"".join(documents.pieces()) for name, documents in contracts.items()}


@pytest.fixture(scope="module")
def clients(documents: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Clients:
    """Clients of all documents by all generators, made once."""
    return generate(documents, tmp_path_factory.mktemp("clients"))


@pytest.fixture(scope="module")
def built(clients: Clients) -> Clients:
    """The same after the compiler of TypeScript."""
    shutil.copyfile(CALLERS / "calls.ts", clients.folder / "calls.ts")
    done = run(SCRIPTS / "node", clients.folder / "node_modules" / ".bin" / "tsc", folder=clients.folder)
    assert done.returncode == 0, done.stdout
    return clients


def answers(backend: Backend) -> None:
    """Answers as a service of the contract would."""
    books = backend.message(
        "every.v1.ListResponse", '{"resources": [{"title": "Persuasion", "kind": 7, "weight": "NaN"}]}'
    )
    parts = {"Create": ("every.v1.CreateRequest", "resource"), "Upload": ("every.v1.Upload_", "file")}

    async def answer(received: Received, context: Context) -> bytes:
        method = received.path.rpartition("/")[2]
        if method == "Get":
            await context.abort(grpc.StatusCode.NOT_FOUND, "There is no such book.")
        if method in parts:
            type_name, part = parts[method]
            desc = backend.registry.message(type_name)
            assert desc is not None
            return bytes(getattr(desc.type.from_binary(received.request), part).to_binary())
        if method == "List":
            return books.to_binary()
        return b"" if method == "Delete" else received.request

    backend.answer = answer


@pytest.fixture
async def backend(everything: Contract) -> AsyncIterator[Backend]:
    """A service that remembers its requests."""
    async with backend_of(everything.registry) as made:
        answers(made)
        yield made


@pytest.fixture
async def edge(everything: Contract, backend: Backend) -> AsyncIterator[Client]:
    """An edge before it."""
    async with edge_of(everything, backend.port) as client:
        yield client


def requests(backend: Backend, method: str, message: str) -> list[dict[str, Any]]:
    """Returns the request of a method as JSON."""
    desc = backend.registry.message(message)
    assert desc is not None
    calls = [call.request for call in backend.calls if call.path.endswith(f"/{method}")]
    return [json.loads(desc.type.from_binary(call).to_json(registry=backend.registry)) for call in calls]


def check_requests(backend: Backend, count: int = 1) -> None:
    """Each client's requests arrived as they were meant."""
    assert requests(backend, "Create", "every.v1.CreateRequest") == [CREATED] * count
    assert requests(backend, "List", "every.v1.ListRequest") == [LISTED] * count
    assert [each["name"] for each in requests(backend, "Upload", "every.v1.Upload_")] == ["a file"] * count
    assert requests(backend, "Delete", "every.v1.GetRequest") == [{"name": "shelves/novels/books/emma"}] * count


async def call(*command: str | Path, folder: Path, env: dict[str, str] | None = None) -> Any:
    """Runs a caller against the edge in this process and returns its output."""
    done = await asyncio.to_thread(run, *command, folder=folder, env=env)
    assert done.returncode == 0, done.stdout
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_are_openapi(name: str, documents: dict[str, bytes]) -> None:
    """The documents are valid by the JSON Schema of OpenAPI 3.1."""
    validate(json.loads(documents[name]))


def test_generators_have_no_complaint(clients: Clients) -> None:
    """The generators print no warning, and leave nothing out."""
    assert {source: said for source, said in clients.complaints.items() if said} == {}
    assert len(clients.complaints) == 1 + 3 * len(DOCUMENTS)


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("generator", ["openapi_generator_python", "openapi_python_client"])
def test_python_can_be_imported(generator: str, name: str, clients: Clients) -> None:
    """Every module of it, without a warning but for names of fields that pydantic's models have too."""
    path = clients.folder if generator == "openapi_python_client" else clients.folder / f"{generator}_{name}"
    env = environment() | {"PYTHONPATH": f"{environment()['PYTHONPATH']}:{path}"}
    command = (sys.executable, "-W", "error", "-W", SHADOWS, CALLERS / "import_all.py", f"{generator}_{name}")
    done = run(*command, folder=clients.folder, env=env)
    assert done.returncode == 0, done.stdout
    assert int(done.stdout) > 10


@pytest.mark.parametrize("name", DOCUMENTS)
def test_go_compiles(name: str, clients: Clients) -> None:
    """The client in Go compiles, and `go vet` finds nothing."""
    folder = clients.folder / f"openapi_generator_go_{name}"
    done = run(SCRIPTS / "go", "vet", "./...", folder=folder, env=environment() | {"GOWORK": "off"})
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("generator", ["openapi_generator", "openapi_python_client"])
async def test_python_calls(generator: str, clients: Clients, edge: Client, backend: Backend) -> None:
    """Requests arrive as they were sent, and responses are returned as they were given."""
    paths = (environment()["PYTHONPATH"], clients.folder, clients.folder / "openapi_generator_python_everything")
    env = environment() | {"PYTHONPATH": ":".join(map(str, paths))}
    caller = CALLERS / f"with_{generator}.py"
    command = (sys.executable, "-W", SHADOWS, caller)
    assert await call(*command, str(edge.base_url), folder=clients.folder, env=env) == EXPECTED
    check_requests(backend)


async def test_go_calls(clients: Clients, edge: Client, backend: Backend) -> None:
    """Requests of the client in Go arrive as they were sent, and its responses are those of the service."""
    folder = clients.folder / "openapi_generator_go_everything"
    (folder / "calls").mkdir()
    shutil.copyfile(CALLERS / "calls.go", folder / "calls" / "main.go")
    url = str(edge.base_url).rstrip("/")
    env = environment() | {"GOWORK": "off"}
    assert await call(SCRIPTS / "go", "run", "./calls", url, folder=folder, env=env) == EXPECTED
    check_requests(backend)


async def test_typescript_calls(built: Clients, edge: Client, backend: Backend) -> None:
    """The same is true of the clients of all three generators of TypeScript."""
    url = str(edge.base_url).rstrip("/")
    results = await call(SCRIPTS / "node", "built/calls.js", url, folder=built.folder)
    assert results == dict.fromkeys(("openapi-typescript", "@hey-api/openapi-ts", "openapi-generator"), EXPECTED)
    check_requests(backend, count=3)
