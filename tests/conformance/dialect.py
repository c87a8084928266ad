"""The edge's reader of one contract's message `All`, and Google's implementation of ProtoJSON beside it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pool, json_format, message, message_factory

from edge.contract.contract import Contract, read
from edge.protojson.parser import parse
from edge.protojson.readers import Readers
from edge.protojson.serialization import to_bytes
from edge.protojson.violations import ROOT, Violations
from tests.edge.contracts import compile_image


@dataclass(frozen=True)
class Dialect:
    """The two implementations of one contract. `all` is Google's class of the message."""

    contract: Contract
    readers: Readers
    pool: descriptor_pool.DescriptorPool
    all: type[message.Message]

    def read(self, text: str | bytes) -> tuple[bytes, list[str]]:
        """The bytes that the edge makes of JSON, as Google's implementation orders them, and the fields that it
        refuses. Raises MalformedJson.
        """
        desc = self.contract.registry.message(self.all.DESCRIPTOR.full_name)
        assert desc is not None, "the contract has it"
        violations = Violations()
        document = parse(text if isinstance(text, bytes) else text.encode())
        found = self.readers.message(desc).read(document, ROOT, violations)
        sent = b"" if violations.found else to_bytes(found, ROOT, violations)
        fields = [violation.field for violation in violations.found]
        return (b"", fields) if fields else (self.all.FromString(sent).SerializeToString(deterministic=True), [])

    def google_reads(self, text: str) -> bytes:
        """Raises json_format.ParseError."""
        found = json_format.Parse(text, self.all(), descriptor_pool=self.pool)
        return found.SerializeToString(deterministic=True)

    def google_writes(self, sent: bytes) -> Any:
        """The JSON of a message. Raises json_format.SerializeToJsonError."""
        return json.loads(json_format.MessageToJson(self.all.FromString(sent), descriptor_pool=self.pool))

    def reads(self, text: str, expected: Any) -> None:
        """Asserts that both read the same message, whose JSON is as expected."""
        assert self.accepts(text) == expected
        assert self.read(text)[0] == self.google_reads(text)

    def accepts(self, text: str) -> Any:
        """The JSON of what the edge reads, where Google's reader differs from the specification."""
        sent, refused = self.read(text)
        assert refused == []
        return self.google_writes(sent)

    def refuses(self, text: str, *fields: str) -> None:
        """Asserts that the edge refuses these fields, and no others."""
        assert self.read(text) == (b"", list(fields)), text


def dialect_of(text: str, folder: Path) -> Dialect:
    """Both implementations of a contract."""
    image = compile_image(text, folder)
    contract = read(image)
    pool = descriptor_pool.DescriptorPool()
    for file in image.file:
        pool.Add(file)
    classes = message_factory.GetMessageClassesForFiles(["test.proto"], pool)
    found = next(each for name, each in classes.items() if name.endswith(".All"))
    return Dialect(contract, Readers(contract.registry), pool, found)
