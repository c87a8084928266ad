"""Go programs in .tools/bin: a link to the one on PATH if that is new enough, else a build of the pinned version.

python tools/go_tools.py actionlint grpcurl helm helm3
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tools.go import LINKED_QUICKLY, QUICK, go

BIN = Path(__file__).resolve().parent.parent / ".tools" / "bin"


@dataclass(frozen=True, slots=True)
class GoTool:
    """A program written in Go. The linker sets `variable` to the version; `version_arguments` make the program print
    it. `estimate` is the duration of a build, measured with an empty cache.
    """

    module: str
    package: str
    version: str
    variable: str
    version_arguments: tuple[str, ...]
    estimate: str

    @property
    def program(self) -> str:
        """Returns the usual name of the program. Its key in TOOLS also distinguishes major versions."""
        return self.package.rpartition("/")[2]


TOOLS = {
    "actionlint": GoTool(
        "github.com/rhysd/actionlint",
        "cmd/actionlint",
        "v1.7.12",
        "github.com/rhysd/actionlint.version",
        ("-version",),
        "about 10 s on two cores",
    ),
    "grpcurl": GoTool(
        "github.com/fullstorydev/grpcurl",
        "cmd/grpcurl",
        "v1.9.4",
        "main.version",
        ("-version",),
        "about 40 s on two cores",
    ),
    "helm": GoTool(
        "helm.sh/helm/v4",
        "cmd/helm",
        "v4.3.1",
        "helm.sh/helm/v4/internal/version.version",
        ("version", "--short"),
        "about 100 s on two cores",
    ),
    "helm3": GoTool(
        "helm.sh/helm/v3",
        "cmd/helm",
        "v3.22.0",
        "helm.sh/helm/v3/internal/version.version",
        ("version", "--short"),
        "about 45 s on two cores after Helm 4",
    ),
}


def main() -> None:
    """Provides the programs that the arguments name. Exits with a message if a build fails."""
    BIN.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[1:]:
        provide(name, TOOLS[name])


def provide(name: str, tool: GoTool) -> None:
    """Makes the program available under this name."""
    target = BIN / name
    if is_good(version_of(target, tool), tool):
        return
    target.unlink(missing_ok=True)
    found = shutil.which(tool.program, path=os.pathsep.join(path for path in os.get_exec_path() if Path(path) != BIN))
    if found and is_good(version_of(Path(found), tool), tool):
        target.symlink_to(found)
    else:
        build(name, tool, target)


def build(name: str, tool: GoTool, target: Path) -> None:
    """Builds the program from its source."""
    print(f"Building {name} {tool.version} into .tools/bin, {tool.estimate}.", flush=True)
    flags = f"-ldflags={LINKED_QUICKLY} -X {tool.variable}={tool.version}"
    package = f"{tool.module}/{tool.package}@{tool.version}"
    with tempfile.TemporaryDirectory(dir=BIN) as folder:
        go(f"{name} {tool.version}", "install", *QUICK, flags, package, folder=BIN, environment={"GOBIN": folder})
        Path(folder, tool.program).rename(target)


def version_of(program: Path, tool: GoTool) -> tuple[int, ...]:
    """Returns the version that the program prints; empty if it does not run."""
    try:
        said = subprocess.run([program, *tool.version_arguments], capture_output=True, text=True, check=False)
    except OSError:
        return ()
    match = re.search(r"v?(\d+)\.(\d+)\.(\d+)", said.stdout + said.stderr)
    return tuple(map(int, match.groups())) if match else ()


def is_good(version: tuple[int, ...], tool: GoTool) -> bool:
    """Returns whether this is the pinned version or a newer one with the same major version."""
    pinned = tuple(map(int, tool.version[1:].split(".")))
    return version[:1] == pinned[:1] and version >= pinned


if __name__ == "__main__":
    main()
