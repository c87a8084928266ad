"""The edge as a process: its command line, its start and its end."""

import asyncio
import signal
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edge.call.address import Address
from edge.contract.contract import Contract
from edge.settings import from_command_line
from local.ports import free_ports
from mesh.http_server import HttpServer
from mesh.listening import bind
from tests.edge.backend import Backend
from tests.edge.command import process, run, wait_until_ready
from tests.edge.contracts import LIBRARY, compile_image
from tests.issuer import Issuer


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the library's image as a file."""
    folder = tmp_path_factory.mktemp("image")
    compile_image(LIBRARY, folder)
    return folder / "test.proto.binpb"


async def test_it_serves_and_drains(image: Path, backend: Backend, library: Contract) -> None:
    """The edge runs with flags alone; SIGTERM lets the call in flight finish and exits with status 0."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    entered, free = asyncio.Event(), asyncio.Event()

    async def answer(*_: object) -> bytes:
        entered.set()
        await free.wait()
        return backend.message("library.v1.Book", '{"title": "T"}').to_binary()

    backend.answer = answer
    upstream = f"library.v1.Library=127.0.0.1:{backend.port}"
    async with process("--contracts", image, "--upstream", upstream, "--port", str(port)) as child:
        await wait_until_ready(url)
        async with httpx.AsyncClient() as client:
            call = asyncio.ensure_future(client.get(f"{url}/v1/books/a"))
            await entered.wait()
            child.send_signal(signal.SIGTERM)
            free.set()
            assert (await call).json() == {"title": "T"}
        assert await child.wait() == 0


HANGS_UP_EARLY = """
import os, runpy, signal, sys

def hang_up():
    os.kill(os.getpid(), signal.SIGHUP)

class Imports:
    def find_spec(self, name, *_):
        if name == "edge.app.edge_process":
            hang_up()

sys.meta_path.insert(0, Imports())
os.register_at_fork(after_in_child=hang_up)
runpy.run_module("edge", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("workers", [1, 2])
async def test_an_early_hang_up_waits(image: Path, backend: Backend, workers: int) -> None:
    """SIGHUP during the imports, or in a worker that has just been forked, reloads the contracts after the start."""
    options = ("--contracts", image, "--upstream", f"*=127.0.0.1:{backend.port}", "--port", str(free_ports(1)[0]))
    environment = {"RELOAD_EVERY_S": "0", "WORKERS": str(workers)}
    async with process(*options, program=("-c", HANGS_UP_EARLY), **environment) as child:
        assert child.stderr is not None
        for _ in range(2 * workers):
            while b"contracts loaded" not in (line := await child.stderr.readline()):
                assert line, "the edge has ended"
        child.terminate()
        await child.communicate()
    assert child.returncode == 0


async def test_operations_can_have_a_port_of_their_own(image: Path, backend: Backend) -> None:
    """OPS_PORT moves /livez, /readyz and /metrics from the public port; all settings can be environment variables."""
    port, ops_port = free_ports(2)
    environment = {
        "CONTRACTS": str(image),
        "UPSTREAMS": f"*=127.0.0.1:{backend.port}",
        "PORT": str(port),
        "OPS_PORT": str(ops_port),
    }
    async with process(**environment):
        await wait_until_ready(f"http://127.0.0.1:{ops_port}")
        async with httpx.AsyncClient() as client:
            public = [await client.get(f"http://127.0.0.1:{port}{page}") for page in ("/readyz", "/metrics", "/docs")]
    assert [response.status_code for response in public] == [404, 404, 200]


async def test_traces_are_continued_and_exported(image: Path, backend: Backend) -> None:
    """With a collector, the service continues the client's trace in a span of the edge, which is exported."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    trace_id, span_id = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    arguments = ("--contracts", image, "--upstream", f"*=127.0.0.1:{backend.port}", "--port", str(port))
    async with process(*arguments, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{backend.port}") as child:
        await wait_until_ready(url)
        async with httpx.AsyncClient() as client:
            await client.get(f"{url}/v1/books/a", headers={"traceparent": f"00-{trace_id}-{span_id}-01"})
        child.send_signal(signal.SIGTERM)
        await child.wait()
    calls = {call.path: call for call in backend.calls}
    sent = str(calls["/library.v1.Library/GetBook"].metadata["traceparent"]).split("-")
    assert (sent[1], sent[2] != span_id) == (trace_id, True)
    exported = calls["/opentelemetry.proto.collector.trace.v1.TraceService/Export"].request
    assert bytes.fromhex(sent[2]) in exported
    assert b"library.v1.Library.GetBook" in exported


def test_check_prints_routes_and_problems(image: Path, tmp_path: Path) -> None:
    """Routes are on standard output, problems on standard error, and the exit status shows whether the edge would
    start.
    """
    good = run("--contracts", image, "--check")
    assert good.returncode == 0
    assert "PATCH   /v1/{book.name=shelves/*/books/*}  library.v1.Library.UpdateBook" in good.stdout
    compile_image(LIBRARY.replace('get: "/v1/limited"', 'get: "/v1/{limited}"'), tmp_path)
    bad = run("--contracts", tmp_path / "test.proto.binpb", "--check")
    assert bad.returncode == 1
    assert "error: library.v1.Library.Limited: '/v1/{limited}', column 5" in bad.stderr


def test_check_names_rules_that_share_urls(tmp_path: Path) -> None:
    """The warning names both templates; the edge starts anyway."""
    text = LIBRARY.replace('get: "/v1/first"', 'get: "/v1/{parent}/first"')
    compile_image(text.replace('get: "/v1/titles"', 'get: "/v1/{filter.title_part=shelves/*}/books"'), tmp_path)
    checked = run("--contracts", tmp_path / "test.proto.binpb", "--check", "--upstream", "*=localhost:1")
    assert checked.returncode == 0
    assert checked.stderr.splitlines() == [
        "warning: library.v1.Library.ListBooks: '/v1/{filter.title_part=shelves/*}/books': GET of this URL is already"
        " served by '/v1/{parent=shelves/*}/books' of library.v1.Library.ListBooks",
        "warning: library.v1.Library.ListBooks: '/v1/{parent}/first': GET /v1/books/first also matches"
        " '/v1/books/{name}' of library.v1.Library.GetBook, which wins",
    ]


def test_check_fails_where_nothing_would_be_served(tmp_path: Path) -> None:
    """The check fails as a start does, and names the cause."""
    (tmp_path / "a.proto").write_text('syntax = "proto3"; package p; service S { rpc A(M) returns (M); } message M {}')
    for arguments in (("--check",), ("--upstream", "*=localhost:1", "--port", "0")):
        ended = run("--contracts", tmp_path, *arguments)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert "error: p.S: no method has a google.api.http rule, so nothing would be served" in ended.stderr


def test_check_checks_upstreams_and_can_be_lenient(image: Path, tmp_path: Path) -> None:
    """The exit status is that of a start with the same settings."""
    missing = run("--contracts", image, "--check", "--upstream", "no.Such=localhost:1")
    assert (missing.returncode, "There is no upstream for library.v1.Library" in missing.stderr) == (1, True)
    unknown = run("--contracts", image, "--check", "--upstream", "*=no-such-host.invalid:1")
    assert (unknown.returncode, "could not resolve the host of an upstream" in unknown.stderr) == (0, True)
    assert "no-such-host" not in unknown.stdout
    compile_image(LIBRARY.replace('get: "/v1/limited"', 'get: "/v1/{limited}"'), tmp_path)
    lenient = run("--contracts", tmp_path / "test.proto.binpb", "--check", "--lenient")
    assert (lenient.returncode, "error: library.v1.Library.Limited" in lenient.stderr) == (0, True)


async def test_tokens_need_only_their_keys(image: Path, backend: Backend, issuer: Issuer) -> None:
    """With --jwks alone every call needs a valid token of any issuer; the log names the missing checks."""
    port, jwks_port = free_ports(2)
    url = f"http://127.0.0.1:{port}"
    arguments: tuple[str | Path, ...] = ("--contracts", image, "--upstream", f"*=127.0.0.1:{backend.port}")
    arguments += ("--port", str(port), "--jwks", f"http://127.0.0.1:{jwks_port}/jwks")

    async def jwks(_: Request) -> Response:
        return JSONResponse(issuer.jwks())

    keys = HttpServer(Starlette(routes=[Route("/jwks", jwks)]), bind("127.0.0.1", jwks_port))
    async with keys, process(*arguments) as child:
        await wait_until_ready(url)
        token = issuer.token(iss="https://any.example", aud=None, scope="books.write")
        statuses = []
        async with httpx.AsyncClient() as client:
            for headers in ({}, {"authorization": f"Bearer {token}"}, {"authorization": f"Bearer {token}x"}):
                answer = await client.post(f"{url}/v1/shelves/a/books", json={}, headers=headers)
                statuses.append(answer.status_code)
        child.send_signal(signal.SIGTERM)
        assert child.stderr is not None
        log = (await child.stderr.read()).decode()
    assert statuses == [401, 201, 401]
    assert "the issuer of tokens is not checked" in log
    assert "the audience of tokens is not checked" in log


def test_an_invalid_rule_prevents_the_start(tmp_path: Path) -> None:
    """A start without the route would break clients that depend on it."""
    compile_image(LIBRARY.replace('get: "/v1/limited"', 'get: "/v1/{limited}"'), tmp_path)
    ended = run("--contracts", tmp_path / "test.proto.binpb", "--upstream", "*=localhost:1", "--port", "0")
    assert ended.returncode == 1
    assert "google.protobuf.Empty has no field limited" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "--contracts (CONTRACTS): is not set. Example: --contracts image.binpb"),
        (("--contracts", "missing", "--upstream", "*=a:1"), "Can't read the contracts from missing"),
        (("--upstream", "a"), "'a' is not pkg.Service=host:port"),
        (
            ("--upstream", "a=b:0"),
            "--upstream (UPSTREAMS): 'a=b:0': it has no port from 1 to 65535. Example: --upstream pkg.Service",
        ),
        (("--upstream", "a=b:1", "--upstream", "a=b:2"), "a has two addresses"),
        (("--upstream", "no.Such=localhost:1"), "There is no upstream for library.v1.Library. Add --upstream"),
        (("--upstream", "*=a:1", "--upstream", "no.Such=a:1"), "There are upstreams for no.Such, which"),
        (("--contracts", "reflect", "--check"), "Reflection needs an upstream. Add --upstream"),
        (("--upstream", "*=ftp://b:1"), "ftp:// is neither http:// nor https://"),
        (
            ("--upstream", "*=https://localhost:1"),
            "Can't set up TLS to the upstreams with nowhere.pem: No such file",
        ),
        (
            ("--upstream", "*=a:1", "--jwks", "a"),
            "--jwks (JWKS_URL): must be a URL that starts with http:// or https://",
        ),
        (
            ("--upstream", "*=a:1", "--port", "x"),
            "--port (PORT): must be a whole number from 0 to 65535. Example: --port 8080",
        ),
    ],
)
def test_invalid_settings_are_explained(image: Path, arguments: tuple[str, ...], sentence: str) -> None:
    """The error names the setting and the remedy, without a traceback."""
    contracts = () if not arguments or "--contracts" in arguments else ("--contracts", image)
    ended = run(*contracts, *arguments, UPSTREAM_CA_FILE="nowhere.pem")
    assert ended.returncode in (1, 2)
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_port_in_use_is_explained(image: Path, backend: Backend) -> None:
    """The error names the port that another process uses, and the remedy."""
    ended = run("--contracts", image, "--upstream", "*=localhost:1", "--port", str(backend.port))
    assert ended.returncode == 1
    assert f"127.0.0.1:{backend.port}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_command_line_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line overrides the environment; lists are separated by commas or spaces."""
    for name, value in {"CONTRACTS": "a", "UPSTREAMS": "s=a:1, t=b:2", "PORT": "1", "CORS_ORIGINS": "x y"}.items():
        monkeypatch.setenv(name, value)
    settings, check_only = from_command_line(["--port", "2", "--host", "::1"])
    assert (settings.port, settings.listen_host, settings.cors_origins) == (2, "::1", ["x", "y"])
    assert (settings.upstreams, check_only) == ({"s": Address("a", 1), "t": Address("b", 2)}, False)


def test_help_reads_well(capsys: pytest.CaptureFixture[str]) -> None:
    """The help has every setting with its default."""
    with pytest.raises(SystemExit):
        from_command_line(["--help"])
    text = capsys.readouterr().out
    assert "--upstream SERVICE=HOST:PORT" in text
    assert "CONCURRENT_REQUESTS_MAX     the maximum number of concurrent requests (default 1000)" in text
