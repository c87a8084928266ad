"""A page of instructions: its blocks, and a reader who follows them in a copy of the checkout.

```sh             commands of the first or the second terminal; `make up` keeps running
```sh eventually  commands that only read: they are repeated until their output is the expected one
```diff           a change that the reader makes
```text           the output of the block before; … stands for anything, alone on a line for any lines
"""

import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.checkout import ASSUME_OLD, Checkout
from tests.system.mesh import WAIT_TIMEOUT_S, Mesh

EDGE_PORT: Final = 8080
START: Final = "make up"
STOP: Final = "make down"

_BLOCK: Final = re.compile(r"^```(?P<kind>[a-z ]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_KINDS: Final = ("sh", "sh eventually", "diff")


@dataclass(frozen=True, slots=True)
class Step:
    """Something that the reader does; `expected` is the output that the page shows, None if it shows none."""

    line: int
    kind: str
    text: str
    expected: str | None


def read_steps(page: str) -> Iterator[Step]:
    """Yields the steps of a page. Raises ValueError if it has a block that nobody would check."""
    blocks = list(_BLOCK.finditer(page))
    for number, block in enumerate(blocks):
        line = page.count("\n", 0, block.start()) + 1
        is_output = block["kind"] == "text"
        if is_output and (number == 0 or not blocks[number - 1]["kind"].startswith("sh")):
            raise ValueError(f"line {line}: an output without commands before it")
        if not is_output and block["kind"] not in _KINDS:
            raise ValueError(f"line {line}: blocks are {', '.join(_KINDS)} or text, not {block['kind']!r}")
        if not is_output:
            after = blocks[number + 1] if number + 1 < len(blocks) else None
            output = after["text"] if after and after["kind"] == "text" else None
            yield Step(line, block["kind"], block["text"], output)


def matches(expected: str, output: str) -> bool:
    """Returns whether an output is the expected one."""
    lines = [
        r"(?:.*\n)*" if line.strip() == "…" else "[^\n]*".join(map(re.escape, line.split("…"))) + r"\n"
        for line in expected.strip("\n").split("\n")
    ]
    return re.fullmatch("".join(lines), output.strip("\n") + "\n") is not None


class Reader:
    """Follows the steps in a copy of the checkout. A shell's variables live on from block to block."""

    def __init__(self, checkout: Checkout, service: str, port: int) -> None:
        """`port` is the one that the page shows for the service's gRPC."""
        self._checkout = checkout
        self._service = service
        self._port = port
        self._home = checkout.home
        self._variables = checkout.folder.parent / "variables.sh"
        self._variables.touch()
        self._mesh: Mesh | None = None
        self._edge_port: dict[str, str] = {}

    def follow(self, step: Step) -> None:
        """Does a step. Raises AssertionError if it fails, or if its output is not the expected one."""
        deadline = time.monotonic() + WAIT_TIMEOUT_S
        while True:
            status, output = self._do(step)
            expected = None if step.expected is None else self._with_ports(step.expected)
            is_right = status == 0 and (expected is None or matches(expected, output))
            if is_right or step.kind != "sh eventually" or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        assert is_right, f"docs/tutorial.md:{step.line}: exit status {status}, and not the expected output:\n{output}"

    def close(self) -> None:
        """Stops what still runs."""
        if self._mesh is not None:
            self._mesh.stop()

    def _do(self, step: Step) -> tuple[int, str]:
        """Returns the exit status and the output of a step."""
        if step.kind == "diff":
            return self._run(["git", "apply", "-"], step.text)
        if step.text.strip() == START:
            return 0, self._start()
        status, output = self._run(["bash", "-c", self._script(step.text)])
        if step.text.strip() == STOP and self._mesh is not None:
            with self._mesh.output:
                status = status or self._mesh.supervisor.wait(WAIT_TIMEOUT_S)
            self._mesh = None
        return status, output

    def _start(self) -> str:
        """Starts the mesh on free ports, and a second time with the same port of the edge, as tokens name it."""
        environment = {"PYTHONPATH": self._checkout.python_path} | self._edge_port
        self._mesh = Mesh(self._home, checkout=self._checkout.folder, **environment)
        self._mesh.wait_until_up()
        self._edge_port = {"PORT": str(self._mesh.process("edge").port)}
        return self._mesh.said()

    def _script(self, commands: str) -> str:
        """Returns a script of these commands."""
        variables = shlex.quote(str(self._variables))
        return f"""set -e
make() {{ command make {shlex.join(ASSUME_OLD)} "$@"; }}
. {variables}
set -a
{self._with_ports(commands)}
export -p > {variables}
"""

    def _run(self, command: list[str], given: str = "") -> tuple[int, str]:
        ours = {"MESH_HOME": str(self._home), "COLUMNS": "200", "GIT_CEILING_DIRECTORIES": str(Path("/"))}
        done = subprocess.run(
            command,
            cwd=self._checkout.folder,
            env=self._checkout.environment | ours,
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    def _with_ports(self, text: str) -> str:
        """Returns a text with the ports of this run: those of the page may be taken."""
        if self._mesh is None:
            return text
        ports = {EDGE_PORT: self._mesh.process("edge").port, self._port: self._mesh.process(self._service).port}
        return re.sub(r"\b\d+\b", lambda match: str(ports.get(int(match[0]), match[0])), text)
