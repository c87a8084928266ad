"""The table of services in docs/architecture.md, between two comments."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from protobuf import DescService
from protobuf.plugin import get_comments
from protobuf.wkt import FileDescriptorSet

from local.declarations.service import Service

FILE: Final = Path("docs/architecture.md")
BEGIN, END = "<!-- Services: written by `make generate`. -->\n", "<!-- End of the services. -->\n"


def write_table(text: str, services: Sequence[Service], image: FileDescriptorSet) -> str:
    """Returns the text of the page with the current table. Raises ValueError if the two comments are missing."""
    before, found, rest = text.partition(BEGIN)
    _, found_end, after = rest.partition(END)
    if not found or not found_end:
        raise ValueError(f"These lines are missing, one after the other: {BEGIN.strip()} {END.strip()}")
    return f"{before}{BEGIN}\n{_table(services, _purposes(image))}\n{END}{after}"


def _table(services: Sequence[Service], purposes: Mapping[str, str]) -> str:
    rows = [
        "| Service | Purpose | Calls | Publishes | Consumes | Has | Ports of `make up` |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| `{each.name}` | {' '.join(purposes[name] for name in each.types)} | {_codes(each.callees)} "
            f"| {_events(each.publishes)} | {_events(each.consumes)} | {_needs(each)} | {each.port}, {each.ops_port} |"
            for each in services
        ),
    ]
    return "".join(f"{row}\n" for row in rows)


def _purposes(image: FileDescriptorSet) -> dict[str, str]:
    """Returns the first sentence of the comment of each gRPC service."""
    found = {}
    for desc in image.to_registry():
        if isinstance(desc, DescService):
            comment = " ".join((get_comments(desc).leading or "").split())
            found[desc.type_name] = re.split(r"(?<=\.) ", comment)[0].replace("|", "\\|")
    return found


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _events(types: Iterable[str]) -> str:
    return _codes(name.rpartition(".")[2] for name in types)


def _needs(service: Service) -> str:
    return ", ".join(
        what for what, has in (("database", service.declaration.database), ("mail", service.declaration.mail)) if has
    )
