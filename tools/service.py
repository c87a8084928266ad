"""The scaffold of a new service: its contract, its code, a migration and tests.

    python tools/service.py <name> [<its resource, in the singular>]

The service works as generated and is meant to be changed. `make generate` makes everything else that it needs.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from local.declarations.service_name import variables_of_ports
from tools.scaffold.names import Names, WrongName, camel, pascal, words
from tools.scaffold.template_files import names_in_code, rendered

ROOT: Final = Path(__file__).resolve().parent.parent
USAGE: Final = """\
This makes a new service, for example:

  make service NAME=reviews
  make service NAME=order-items
  make service NAME=warehouse RESOURCE=box

NAME is the service: its folder and its package. RESOURCE is what it keeps, in the singular; without it, the singular of
NAME. The service can create, get, list, update, delete and watch its resource, and publishes an event for each change.
It comes with its contract, a migration and tests, and is meant to be changed. docs/tutorial.md goes through it step by
step."""


def main() -> None:
    """Writes the service that the arguments name. Exits with a message if a name is invalid or taken."""
    arguments = [argument for argument in sys.argv[1:] if argument]
    if not arguments:
        sys.exit(USAGE)
    try:
        names = Names.read(arguments[0], "".join(arguments[1:]), used=names_in_code())
        check_free(names)
    except WrongName as error:
        sys.exit(str(error))
    files = rendered(names)
    try:
        for path, text in files.items():
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_text(text)
        tidy(files)
    except BaseException:
        for folder in folders(names):  # otherwise the next try would find the name taken
            shutil.rmtree(ROOT / folder, ignore_errors=True)
        raise
    print(summary(names, files))


def folders(names: Names) -> tuple[str, ...]:
    """Returns the folders of a service."""
    return f"services/{names.service}", f"proto/meshwright/{names.service}", f"tests/services/{names.service}"


def check_free(names: Names) -> None:
    """Raises WrongName if the name of the service or the URL of the resource is taken."""
    for folder in folders(names):
        if (ROOT / folder).exists():
            raise WrongName(f"The name {names.service} is taken: there is {folder}. Choose another one.")
    others = {
        variable: path.name for path in (ROOT / "services").iterdir() for variable in variables_of_ports(path.name)
    }
    for variable in variables_of_ports(names.service):
        if variable in others:
            raise WrongName(f"{variable} sets a port of the service {others[variable]}, too. Choose another name.")
    url = re.compile(rf'"/v1/(\{{[a-z_.]+=)?{camel(names.resources)}["/:]')
    for path in sorted((ROOT / "proto").rglob("*.proto")):
        if url.search(path.read_text()):
            raise WrongName(
                f"The URL /v1/{camel(names.resources)} is taken by {path.relative_to(ROOT)}. "
                f"Choose another resource: make service NAME={names.service} RESOURCE=<a noun in the singular>."
            )


def tidy(files: Iterable[Path]) -> None:
    """Formats the written files, because names differ in length and alphabetical order."""
    programs = Path(sys.executable).parent
    code = [ROOT / path for path in files if path.suffix == ".py"]
    subprocess.run([programs / "ruff", "check", "--quiet", "--select", "I", "--fix", *code], cwd=ROOT, check=True)
    subprocess.run([programs / "ruff", "format", "--quiet", *code], cwd=ROOT, check=True)
    for path in files:
        if path.suffix == ".proto":
            subprocess.run([programs / "buf", "format", "--write", ROOT / path], cwd=ROOT, check=True)


def summary(names: Names, files: Iterable[Path]) -> str:
    """Returns a summary of the written files and the next steps."""
    written = "\n".join(f"  {path}" for path in files)
    url = f"/v1/{camel(names.resources)}"
    return f"""\
{written}

The service {names.service} keeps {words(names.resources)} ({pascal(names.resource)}) at {url}.

  make generate   makes the code of its contract, and all else that a service needs
  make up         runs it with the others
  make test SERVICE={names.service}   tests it; without SERVICE, all are tested

Change it from proto/meshwright/{names.service}/v1/{names.service}.proto on; docs/tutorial.md shows how."""


if __name__ == "__main__":
    main()
