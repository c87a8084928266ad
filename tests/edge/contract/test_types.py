"""Types that are built when they are asked for."""

import json
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import Edition, FileDescriptorSet

from edge.contract.types import Types
from edge.sources.folder import compile_folder
from mesh.errors import InvalidArgument
from tests.edge.contracts import LIBRARY, compile_image

FILES = {
    "base": "message Base { extensions 100 to 200; message Inner { enum E { A = 0; } } }",
    "user": 'import "base.proto"; message User { optional base.Base base = 1; optional base.Base.Inner.E e = 2; }',
    "more": 'import "base.proto"; message More { extend base.Base { optional int32 x = 100; } }',
}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> FileDescriptorSet:
    """Three files: one that is used by the second and extended by the third."""
    folder = tmp_path_factory.mktemp("types")
    for name, text in FILES.items():
        (folder / f"{name}.proto").write_text(f'syntax = "proto2"; package {name}; {text}')
    return compile_folder(folder)


def built(types: Types) -> list[str]:
    """The files that are there."""
    return sorted(types._files)


def test_a_type_is_built_with_what_it_needs(image: FileDescriptorSet) -> None:
    """Its file, what that imports, and what extends one of these; nothing before it is asked for."""
    types = Types(image)
    assert built(types) == []
    user = types.message("user.User")
    assert user is not None
    assert [field.json_name for field in user.fields] == ["base", "e"]
    assert built(types) == ["base.proto", "more.proto", "user.proto"]
    assert [each.type_name for each in types.extensions_for("base.Base")] == ["more.More.x"]


@pytest.mark.parametrize("name", ["base.Base", "base.Base.Inner"])
def test_nested_types_are_found_by_their_full_names(image: FileDescriptorSet, name: str) -> None:
    """However deep, and enums and extensions as well as messages."""
    message = Types(image).message(name)
    assert message is not None
    assert message.type_name == name
    assert Types(image).enum("base.Base.Inner.E") is not None
    assert Types(image).extension("more.More.x") is not None


def test_what_is_not_declared_is_none(image: FileDescriptorSet) -> None:
    """Also what only begins like a type that is."""
    types = Types(image)
    assert (types.message("nope"), types.message("base.Base.Nope"), types.message("")) == (None, None, None)
    assert (types.service("user.User"), types.file("nope.proto")) == (None, None)


def test_all_are_there_for_who_goes_through_them(image: FileDescriptorSet) -> None:
    """As if all had been built at once."""
    names = {getattr(each, "type_name", "") for each in Types(image)}
    assert {"user.User", "base.Base.Inner", "base.Base.Inner.E", "more.More.x"} <= names


def test_names_in_json_need_not_be_in_the_image(tmp_path: Path) -> None:
    """What servers carry for reflection lacks them; a name that the contract gives itself stays."""
    image = compile_image(LIBRARY, tmp_path)
    for file in image.file:
        for message in file.message_type:
            for field in message.field:
                if field.name != "renamed":
                    field.ClearField("json_name")
    book = Types(image).message("library.v1.Book")
    everything = Types(image).message("library.v1.Everything")
    assert book is not None
    assert everything is not None
    assert [field.json_name for field in book.fields[:3]] == ["name", "title", "pageCount"]
    assert everything.fields[-1].json_name == "otherName"


def test_a_missing_import_is_a_sentence(image: FileDescriptorSet) -> None:
    """It names both files."""
    alone = FileDescriptorSet(file=[file for file in image.file if file.name == "user.proto"])
    with pytest.raises(InvalidArgument, match=r"user\.proto imports base\.proto, which is missing"):
        Types(alone)


def test_one_name_stands_for_one_file(image: FileDescriptorSet) -> None:
    """Images may be joined, but two versions of a file are one too many."""
    twice = FileDescriptorSet(file=[*image.file, *image.file])
    assert Types(twice).message("user.User") is not None
    twice.file[-1].package = "other"
    with pytest.raises(InvalidArgument, match=r"two different files named user\.proto"):
        Types(twice)


def test_an_edition_of_the_future_is_a_sentence(image: FileDescriptorSet) -> None:
    """At the start, not at the first call."""
    newer = FileDescriptorSet.FromString(image.SerializeToString())
    newer.file[-1].syntax, newer.file[-1].edition = "editions", Edition.EDITION_99997_TEST_ONLY
    with pytest.raises(InvalidArgument, match=r"\.proto is of an edition that is not known here yet"):
        Types(newer)


@pytest.mark.parametrize(
    "held",
    [
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SOLD_OUT"},
        {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1.500s"},
    ],
)
def test_an_any_holds_what_is_known_everywhere(tmp_path: Path, held: dict[str, str]) -> None:
    """As the result of a long-running operation does, whose contract need not import the types of errors."""
    (tmp_path / "holder.proto").write_text(
        'syntax = "proto3"; import "google/protobuf/any.proto"; message Holder { google.protobuf.Any any = 1; }'
    )
    types = Types(compile_folder(tmp_path))
    holder = types.message("Holder")
    assert holder is not None
    written = holder.type.from_json(json.dumps({"any": held}), registry=types).to_json(registry=types)
    assert json.loads(written) == {"any": held}
