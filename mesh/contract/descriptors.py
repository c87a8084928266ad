"""Traversal of descriptors: the messages that fields hold, the files that files import."""

from collections.abc import Iterable, Iterator

from protobuf import (
    DescEnum,
    DescExtension,
    DescField,
    DescFieldValueEnum,
    DescFieldValueList,
    DescFieldValueMap,
    DescFieldValueMessage,
    DescFieldValueScalar,
    DescFile,
    DescMessage,
    ScalarType,
)


def element_of(field: DescField | DescExtension) -> DescMessage | DescEnum | ScalarType:
    """Returns the type of a field, of a list's elements or of a map's values."""
    match field.value:
        case (
            DescFieldValueScalar(scalar=element)
            | DescFieldValueEnum(enum=element)
            | DescFieldValueMessage(message=element)
            | DescFieldValueList(element=element)
            | DescFieldValueMap(value=element)
        ):
            return element


def inner_message(field: DescField) -> DescMessage | None:
    """Returns the message type of a field, of a list's elements or of a map's values; None for other types."""
    element = element_of(field)
    return element if isinstance(element, DescMessage) else None


def messages_within(message: DescMessage) -> Iterator[DescMessage]:
    """Yields a message type and all types that it can contain, each once."""
    waiting, seen = [message], {message.type_name}
    while waiting:
        at = waiting.pop()
        yield at
        for field in at.fields:
            inner = inner_message(field)
            if inner is not None and inner.type_name not in seen:
                seen.add(inner.type_name)
                waiting.append(inner)


def with_imports(files: Iterable[DescFile]) -> dict[str, DescFile]:
    """Returns every file once by its name, after the files that it imports."""
    done: dict[str, DescFile] = {}

    def visit(file: DescFile) -> None:
        if file.name not in done:
            for dependency in file.dependencies:
                visit(dependency)
            done[file.name] = file

    for file in files:
        visit(file)
    return done
