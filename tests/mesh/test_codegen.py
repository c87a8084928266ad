"""protoc-gen-mesh."""

import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from tests.mesh.greeter import ROOT, compile_contract

HANDLERS = """
from greeter.v1.greeter_grpc import GreeterServiceBase
from greeter.v1.greeter_pb import GreetRequest, GreetResponse
from mesh.rpc import Call

class Handlers(GreeterServiceBase):
    async def greet(self, request: GreetRequest, call: Call) -> {greet}: raise NotImplementedError
    async def shout(self, request: {shout}, call: Call) -> GreetResponse: raise NotImplementedError
    {whisper}

Handlers()
"""
WHISPER = "async def whisper(self, request: GreetRequest, call: Call) -> GreetResponse: raise NotImplementedError"


def test_the_contracts_comments_become_docstrings(greeter: SimpleNamespace) -> None:
    """The generated base has the contract's comment on each method."""
    assert greeter.grpc.GreeterServiceBase.__doc__ == "Greets."
    assert greeter.grpc.GreeterServiceClient.greet.__doc__.split() == ["Says", "hello", "to", "one", "person."]


def test_a_base_with_a_missing_handler_can_not_be_instantiated(greeter: SimpleNamespace) -> None:
    """Every method of the base is abstract, so a new RPC in a contract is noticed at once."""
    with pytest.raises(TypeError, match=r"greet.*, .*shout.*, .*whisper"):
        greeter.grpc.GreeterServiceBase()


@pytest.mark.parametrize(
    ("greet", "shout", "whisper", "expected"),
    [
        ("GreetResponse", "GreetRequest", WHISPER, "Success"),
        ("GreetRequest", "GreetRequest", WHISPER, 'Return type "Coroutine[Any, Any, GreetRequest]" of "greet"'),
        ("GreetResponse", "GreetResponse", WHISPER, 'Argument 1 of "shout" is incompatible'),
        ("GreetResponse", "GreetRequest", "pass", 'abstract class "Handlers" with abstract attribute "whisper"'),
    ],
    ids=["right", "wrong response", "wrong request", "missing"],
)
def test_the_type_checker_holds_handlers_to_the_contract(
    greeter: SimpleNamespace, tmp_path: Path, greet: str, shout: str, whisper: str, expected: str
) -> None:
    """A handler with a wrong request or response type, or a missing one, fails mypy."""
    program = HANDLERS.format(greet=greet, shout=shout, whisper=whisper)
    assert expected in mypy(greeter, tmp_path, program)


STREAM_HANDLERS = """
from collections.abc import AsyncIterator
from greeter.v1.greeter_grpc import StreamServiceBase, StreamServiceClient
from greeter.v1.greeter_pb import FollowRequest, FollowResponse, GreetRequest, GreetResponse
from mesh.resume import resuming
from mesh.rpc import Call

class Handlers(StreamServiceBase):
    async def count(self, request: GreetRequest, call: Call) -> AsyncIterator[GreetResponse]:
        yield {count}
    async def sum(self, requests: AsyncIterator[GreetRequest], call: Call) -> GreetResponse:
        return GreetResponse(text="".join([request.{name} async for request in requests]))
    async def echo(self, requests: AsyncIterator[GreetRequest], call: Call) -> AsyncIterator[GreetResponse]:
        async for request in requests:
            yield GreetResponse(text=request.name)
    async def follow(self, request: FollowRequest, call: Call) -> AsyncIterator[FollowResponse]:
        yield FollowResponse()

async def call(client: StreamServiceClient) -> None:
    async with client.count(GreetRequest()) as responses:
        async for response in responses:
            text: {text} = response.text
    async for followed in resuming(client.follow, FollowRequest()):
        number: int = followed.number

Handlers()
"""


@pytest.mark.parametrize(
    ("count", "name", "text", "expected"),
    [
        ("GreetResponse()", "name", "str", "Success"),
        ("GreetRequest()", "name", "str", 'Incompatible types in "yield" (actual type "GreetRequest"'),
        ("GreetResponse()", "nome", "str", '"GreetRequest" has no attribute "nome"'),
        ("GreetResponse()", "name", "int", 'expression has type "str", variable has type "int"'),
    ],
    ids=["right", "wrong response", "wrong request", "wrong use"],
)
def test_the_type_checker_knows_the_messages_of_streams(
    greeter: SimpleNamespace, tmp_path: Path, count: str, name: str, text: str, expected: str
) -> None:
    """Handlers and callers of all kinds of methods fail mypy where a message is of another type."""
    assert expected in mypy(greeter, tmp_path, STREAM_HANDLERS.format(count=count, name=name, text=text))


ODD = """
syntax = "proto3";
package odd.v1;
message M {}
"""
CALLING = """
from odd.v1.odd_grpc import OddServiceClient
from odd.v1.odd_pb import M

async def call(client: OddServiceClient) -> M:
    return await client.import_(await client.get(M(), timeout_s=1.0))
"""


def service(name: str, *methods: str) -> str:
    """Returns a service with these methods, each of which may have a comment before it."""
    return f"service {name} {{\n{' '.join(f'{method}(M) returns (M);' for method in methods)} }}\n"


def odd(folder: Path, services: str) -> ModuleType:
    """Returns the generated module of a contract with these services."""
    compiled = compile_contract(ODD + services, "odd/v1/odd.proto", folder)
    assert compiled.returncode == 0, compiled.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        for name in [name for name in sys.modules if name.partition(".")[0] == "odd"]:
            patch.delitem(sys.modules, name)
        return importlib.import_module("odd.v1.odd_grpc")


@pytest.mark.parametrize(
    ("comment", "docstring"),
    [
        ('// Moves it to the state "shipped"', 'Moves it to the state "shipped"'),
        ('// "shipped" is its state', '"shipped" is its state'),
        ('// Ends with """', 'Ends with """'),
        ('// Ends with """"', 'Ends with """"'),
        ("// Ends with \\", "Ends with \\"),
        ('// Ends with \\"', 'Ends with \\"'),
        ('// "', '"'),
        ('// Has """ within\n// and "two" \\lines"', 'Has """ within\nand "two" \\lines"'),
        ("//", "Move."),
    ],
)
def test_a_comment_may_have_any_text(tmp_path: Path, comment: str, docstring: str) -> None:
    """Quotes and backslashes of a comment are those of the docstring, also where they touch its end."""
    module = odd(tmp_path, '// Is the service "odd"\n' + service("OddService", f"{comment}\nrpc Move"))
    assert module.OddServiceClient.__doc__ == 'Is the service "odd"'
    assert inspect.getdoc(module.OddServiceClient.move) == docstring
    assert inspect.getdoc(module.OddServiceBase.move) == docstring


def test_a_method_may_have_the_name_of_a_word_of_python(tmp_path: Path) -> None:
    """Keywords, and names that the generated classes use, have an underscore at their ends."""
    names = ("Import", "Class", "Yield", "Handlers", "Float", "Tuple")
    module = odd(tmp_path, service("OddService", *(f"rpc {name}" for name in names), "rpc Get"))
    assert module.OddServiceBase.__abstractmethods__ == {*(f"{name.lower()}_" for name in names), "get"}
    assert "Success" in mypy(SimpleNamespace(folder=tmp_path), tmp_path, CALLING)


@pytest.mark.parametrize(
    ("first", "second"), [(("Orders", "Admin"), ("OrdersAdmin", "Get")), (("Foo", "BarBaz"), ("FooBar", "Baz"))]
)
def test_services_with_the_same_words_are_apart(
    tmp_path: Path, first: tuple[str, str], second: tuple[str, str]
) -> None:
    """Each handler and client has the method of its own service, also if another one has a name of the same words."""
    module = odd(tmp_path, "".join(service(name, f"rpc {method}") for name, method in (first, second)))
    for name, method in (first, second):
        base = getattr(module, f"{name}Base")
        assert base.DESC.name == name
        handlers = {each: lambda _: None for each in base.__abstractmethods__}
        [handler] = type(name, (base,), handlers)().handlers()
        assert handler.method.path == f"/odd.v1.{name}/{method}"


def mypy(greeter: SimpleNamespace, folder: Path, program: str) -> str:
    """Returns the output of mypy for a program that uses the greeter's modules."""
    name = f"{folder.name}.py"  # mypy's cache takes files of one name, size and second for the same
    (folder / name).write_text(program)
    paths = ":".join(str(path) for path in (ROOT, ROOT / "gen", greeter.folder))
    command = [sys.executable, "-m", "mypy", "--strict", "--explicit-package-bases", name]
    command += ["--cache-dir", str(greeter.folder / "mypy")]
    checked = subprocess.run(command, cwd=folder, env={"MYPYPATH": paths}, capture_output=True, text=True, check=False)
    return checked.stdout
