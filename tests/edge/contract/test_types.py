"""Types that are built on first use."""

import json
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import Edition, FileDescriptorSet
from protobuf import DescFieldValueMessage, DescMessage, Message

from edge.contract.types import LazyTypes
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
    """Returns three files: the second uses the first, and the third extends it."""
    folder = tmp_path_factory.mktemp("types")
    for name, text in FILES.items():
        (folder / f"{name}.proto").write_text(f'syntax = "proto2"; package {name}; {text}')
    return compile_folder(folder)


def built(types: LazyTypes) -> list[str]:
    """Returns the names of the files that have been built."""
    return sorted(types._files)


def test_a_type_is_built_with_its_dependencies(image: FileDescriptorSet) -> None:
    """Looking up a type builds its file, its imports and their extensions, and nothing is built before."""
    types = LazyTypes(image)
    assert built(types) == []
    user = types.message("user.User")
    assert user is not None
    assert [field.json_name for field in user.fields] == ["base", "e"]
    assert built(types) == ["base.proto", "more.proto", "user.proto"]
    assert [each.type_name for each in types.extensions_for("base.Base")] == ["more.More.x"]


def test_a_source_has_comments_and_builds_nothing(image: FileDescriptorSet) -> None:
    """The source of a file has its comments, before and after its types are built without them."""
    types = LazyTypes(image)
    source = types.source("base.proto")
    assert source.source_code_info.location
    assert built(types) == []
    assert (file := types.file("base.proto")) is not None
    assert file.proto.source_code_info is None
    assert types.source("base.proto") == source
    assert types.source("nope.proto").name == ""


@pytest.mark.parametrize("name", ["base.Base", "base.Base.Inner"])
def test_nested_types_are_found_by_their_full_names(image: FileDescriptorSet, name: str) -> None:
    """Nested messages, enums and extensions of any depth are found by their full names."""
    message = LazyTypes(image).message(name)
    assert message is not None
    assert message.type_name == name
    assert LazyTypes(image).enum("base.Base.Inner.E") is not None
    assert LazyTypes(image).extension("more.More.x") is not None


def test_an_undeclared_type_is_none(image: FileDescriptorSet) -> None:
    """An undeclared name is None, even if it begins with a declared one."""
    types = LazyTypes(image)
    assert (types.message("nope"), types.message("base.Base.Nope"), types.message("")) == (None, None, None)
    assert (types.service("user.User"), types.file("nope.proto")) == (None, None)


def test_iterating_builds_all_types(image: FileDescriptorSet) -> None:
    """Iterating yields the types of all files."""
    names = {getattr(each, "type_name", "") for each in LazyTypes(image)}
    assert {"user.User", "base.Base.Inner", "base.Base.Inner.E", "more.More.x"} <= names


def classes(types: LazyTypes) -> dict[str, type[Message]]:
    """Returns the classes of the messages, by their names."""
    return {each.type_name: each.type for each in types if isinstance(each, DescMessage)}


def test_images_share_the_classes_of_files_that_are_the_same(image: FileDescriptorSet) -> None:
    """protobuf-py never frees a class. A file is the same if only its comments differ, not if an import differs."""
    first = classes(LazyTypes(image))
    assert all(classes(LazyTypes(image)) == first for _ in range(3))

    changed = FileDescriptorSet.FromString(image.SerializeToString())
    files = {file.name: file for file in changed.file}
    files["base.proto"].source_code_info.Clear()
    assert classes(LazyTypes(changed)) == first
    files["user.proto"].message_type.add(name="Another")
    second = classes(LazyTypes(changed))
    assert {name for name in second if second[name] is first.get(name)} == {"base.Base", "base.Base.Inner", "more.More"}
    files["base.proto"].message_type.add(name="Another")
    third = LazyTypes(changed)
    assert not set(classes(third).values()) & {*first.values(), *second.values()}
    assert (user := third.message("user.User")) is not None
    assert isinstance(user.fields[0].value, DescFieldValueMessage)
    assert user.fields[0].value.message is third.message("base.Base")

    again = LazyTypes(image)
    assert classes(again) == first
    assert [each.type_name for each in again.extensions_for("base.Base")] == ["more.More.x"]


def test_names_in_json_need_not_be_in_the_image(tmp_path: Path) -> None:
    """Missing JSON names are derived, as servers omit them in reflection; explicit ones are kept."""
    image = compile_image(LIBRARY, tmp_path)
    for file in image.file:
        for message in file.message_type:
            for field in message.field:
                if field.name != "renamed":
                    field.ClearField("json_name")
    book = LazyTypes(image).message("library.v1.Book")
    everything = LazyTypes(image).message("library.v1.Everything")
    assert book is not None
    assert everything is not None
    assert [field.json_name for field in book.fields[:3]] == ["name", "title", "pageCount"]
    assert everything.fields[-1].json_name == "otherName"


def test_a_missing_import_raises(image: FileDescriptorSet) -> None:
    """The message names both files."""
    alone = FileDescriptorSet(file=[file for file in image.file if file.name == "user.proto"])
    with pytest.raises(InvalidArgument, match=r"user\.proto imports base\.proto, which is missing"):
        LazyTypes(alone)


def test_two_different_files_of_one_name_raise(image: FileDescriptorSet) -> None:
    """Images may be concatenated, but not with two versions of a file."""
    twice = FileDescriptorSet(file=[*image.file, *image.file])
    assert LazyTypes(twice).message("user.User") is not None
    twice.file[-1].package = "other"
    with pytest.raises(InvalidArgument, match=r"two different files named user\.proto"):
        LazyTypes(twice)


def test_an_unsupported_edition_raises(image: FileDescriptorSet) -> None:
    """An unsupported edition raises at startup, not at the first call."""
    newer = FileDescriptorSet.FromString(image.SerializeToString())
    newer.file[-1].syntax, newer.file[-1].edition = "editions", Edition.EDITION_99997_TEST_ONLY
    with pytest.raises(InvalidArgument, match=r"\.proto uses an edition of Protobuf that is not supported yet"):
        LazyTypes(newer)


@pytest.mark.parametrize(
    "held",
    [
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SOLD_OUT"},
        {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1.500s"},
    ],
)
def test_an_any_may_hold_common_types(tmp_path: Path, held: dict[str, str]) -> None:
    """An Any, such as a long-running operation's result, may hold error types that the contract does not import."""
    (tmp_path / "holder.proto").write_text(
        'syntax = "proto3"; import "google/protobuf/any.proto"; message Holder { google.protobuf.Any any = 1; }'
    )
    types = LazyTypes(compile_folder(tmp_path))
    holder = types.message("Holder")
    assert holder is not None
    written = holder.type.from_json(json.dumps({"any": held}), registry=types).to_json(registry=types)
    assert json.loads(written) == {"any": held}
