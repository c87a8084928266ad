"""The peers in Go, in benchmarks/peers/go: the backend that answers with constant bytes, and grpc-gateway.

grpc-gateway's code is generated from the measured contract each time, and not committed.
"""

import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from grpc_tools import protoc  # type: ignore[import-untyped] # has no stubs

from benchmarks.program import ROOT
from benchmarks.unary_contract import FILE
from tools.go import LINKED_QUICKLY, QUICK, go

SOURCE: Final = ROOT / "benchmarks" / "peers" / "go"
BIN: Final = ROOT / ".tools" / "bench"
_PLUGINS: Final = ("go", "go-grpc", "grpc-gateway")
_VERSIONED: Final = {"grpc-gateway": "github.com/grpc-ecosystem/grpc-gateway/v2", "grpc-go": "google.golang.org/grpc"}


@dataclass(frozen=True, slots=True)
class GoPeers:
    """The built programs."""

    backend: Path
    gateway: Path


def build(image: Path) -> GoPeers:
    """Generates the code of a descriptor image's contract, and builds the programs."""
    BIN.mkdir(parents=True, exist_ok=True)
    go("grpc-gateway's generators", "build", *_options(), "tool", folder=SOURCE)
    generated = SOURCE / "gen"
    shutil.rmtree(generated, ignore_errors=True)
    generated.mkdir()
    plugins = [f"--plugin=protoc-gen-{name}={BIN / f'protoc-gen-{name}'}" for name in _PLUGINS]
    outputs = [f"--{name}_out={SOURCE}" for name in _PLUGINS]
    module = [f"--{name}_opt=module=meshwright.example/peers" for name in _PLUGINS]
    if protoc.main(["protoc", f"--descriptor_set_in={image}", *plugins, *outputs, *module, FILE]):
        sys.exit("protoc says why above")
    go("grpc-gateway and the backend", "build", *_options(), "./backend", "./gateway", folder=SOURCE)
    return GoPeers(BIN / "backend", BIN / "gateway")


def _options() -> tuple[str, ...]:
    return ("-mod=readonly", *QUICK, f"-ldflags={LINKED_QUICKLY}", "-o", f"{BIN}/")


def versions(go_mod: str) -> dict[str, str]:
    """Returns the versions of grpc-gateway and grpc-go in the text of a go.mod, by the names of their repositories."""
    required = dict(re.findall(r"^\s*(\S+) v(\S+)", go_mod, re.MULTILINE))
    return {name: required[module] for name, module in _VERSIONED.items()}
