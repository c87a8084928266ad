"""protoc-gen-mesh."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.mesh.greeter import ROOT, compile_contract

STREAMING = """
syntax = "proto3";
package streaming.v1;
service StreamService { rpc Watch(Item) returns (stream Item); }
message Item {}
"""

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
    """A reader of the generated base sees what the contract says of a method."""
    assert greeter.grpc.GreeterServiceBase.__doc__ == "Greets."
    assert greeter.grpc.GreeterServiceClient.greet.__doc__.split() == ["Says", "hello", "to", "one", "person."]


def test_a_handler_that_is_missing_can_not_be_made(greeter: SimpleNamespace) -> None:
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
    (tmp_path / "handlers.py").write_text(HANDLERS.format(greet=greet, shout=shout, whisper=whisper))
    paths = ":".join(str(path) for path in (ROOT, ROOT / "gen", greeter.folder))
    command = [sys.executable, "-m", "mypy", "--strict", "--explicit-package-bases", "handlers.py"]
    command += ["--cache-dir", str(greeter.folder / "mypy")]
    checked = subprocess.run(
        command, cwd=tmp_path, env={"MYPYPATH": paths}, capture_output=True, text=True, check=False
    )
    assert expected in checked.stdout


def test_a_streaming_method_is_refused_by_its_name(tmp_path: Path) -> None:
    """What the runtime can't serve stops generation with a sentence that names file and method."""
    compiled = compile_contract(STREAMING, "streaming/v1/streaming.proto", tmp_path)
    assert compiled.returncode != 0
    assert (
        "streaming/v1/streaming.proto: StreamService.Watch is server_streaming; only unary is served" in compiled.stderr
    )
