"""The form of the contracts' comments, which are the API's documentation."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from googleapis.google.api.field_behavior_pb import FieldBehavior, ext_field_behavior
from protobuf import DescField, DescMessage, DescService
from protobuf.plugin import get_comments
from protobuf.wkt import FileDescriptorSet

ROOT: Final = Path(__file__).resolve().parents[2]
REGISTRY: Final = FileDescriptorSet.from_binary((ROOT / "gen" / "contracts.binpb").read_bytes()).to_registry()
COLUMNS_MAX: Final = 100
PREFIXES: Final = {
    FieldBehavior.REQUIRED: "Required.",
    FieldBehavior.OUTPUT_ONLY: "Output only.",
    FieldBehavior.IDENTIFIER: "Identifier.",
}


def fields() -> Iterator[DescField]:
    """Yields the fields of our messages."""
    for desc in REGISTRY:
        if isinstance(desc, DescMessage) and desc.type_name.startswith("meshwright."):
            yield from desc.fields


def comment_of(desc: object) -> str:
    """Returns the comment as one line."""
    return " ".join((get_comments(desc).leading or "").split())  # type: ignore[arg-type] # any descriptor


def expected_prefix(field: DescField) -> str:
    """Returns how the comment of a field begins, by its behavior."""
    options = field.proto.options
    behaviors = options[ext_field_behavior] if options is not None and ext_field_behavior in options else ()
    return next((PREFIXES[each] for each in behaviors if each in PREFIXES), "")


def test_a_field_begins_with_its_behavior() -> None:
    """The comment of a field begins with "Required.", "Output only." or "Identifier." exactly if its options say so."""
    found = {f"{field.parent.type_name}.{field.name}": comment_of(field) for field in fields()}
    expected = {f"{field.parent.type_name}.{field.name}": expected_prefix(field) for field in fields()}
    begun = {name: next((p for p in PREFIXES.values() if text.startswith(p)), "") for name, text in found.items()}
    assert "Required." in expected.values()
    assert begun == expected


def test_a_method_begins_with_a_verb() -> None:
    """The comment of a method begins with a verb in the third person, such as "Returns", and ends with a period."""
    services = [desc for desc in REGISTRY if isinstance(desc, DescService)]
    comments = {method.name: comment_of(method) for service in services for method in service.methods}
    assert "GetInformation" in comments
    assert [name for name, text in comments.items() if not re.fullmatch(r"[A-Z][a-z]+s .*\.", text)] == []


def test_comments_are_wrapped() -> None:
    """A comment has at most 100 columns a line."""
    files = list((ROOT / "proto").rglob("*.proto"))
    assert files
    lines = [line for file in files for line in file.read_text().splitlines() if line.lstrip().startswith("//")]
    assert [line for line in lines if len(line) > COLUMNS_MAX] == []
