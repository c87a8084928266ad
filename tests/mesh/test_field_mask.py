"""Partial updates by field mask."""

import pytest
from protobuf import Message
from protobuf.wkt import FieldMask, StringValue, Value
from protobuf.wkt.google.protobuf.api_pb import Api, Method
from protobuf.wkt.google.protobuf.source_context_pb import SourceContext

from edge.contract.contract import read
from mesh.errors import InvalidArgument
from mesh.field_mask import apply_update
from tests.edge.contracts import compile_image

UPDATABLE = frozenset({"version", "methods", "source_context"})


def _current() -> Api:
    return Api(name="n", version="1", methods=[Method(name="a")], source_context=SourceContext(file_name="f"))


def _update(patch: Api, *paths: str) -> Api:
    return apply_update(_current(), patch, FieldMask(paths=list(paths)), updatable=UPDATABLE)


def test_only_masked_fields_change() -> None:
    """A masked field takes the patch's value, an unmasked one keeps its own, and the arguments stay as they were."""
    current, patch = _current(), Api(name="other", version="2", methods=[Method(name="b")])
    updated = apply_update(current, patch, FieldMask(paths=["version"]), updatable=UPDATABLE)
    assert updated == Api(
        name="n", version="2", methods=[Method(name="a")], source_context=SourceContext(file_name="f")
    )
    assert current == _current()
    updated.methods.append(Method(name="c"))
    assert current == _current()


def test_a_masked_field_that_is_unset_is_cleared() -> None:
    """The mask decides, not the patch: a field that it names and the patch lacks becomes empty."""
    assert _update(Api(), "version", "methods", "source_context") == Api(name="n")


def test_repeated_fields_are_replaced() -> None:
    """A repeated field is taken as a whole, never appended to (AIP-161)."""
    assert [method.name for method in _update(Api(methods=[Method(name="b")]), "methods").methods] == ["b"]


def test_star_takes_every_updatable_field() -> None:
    """The mask "*" replaces what may be updated, unset fields too, and leaves the rest."""
    assert _update(Api(name="other", version="2"), "*") == Api(name="n", version="2")


@pytest.mark.parametrize("mask", [None, FieldMask()])
def test_without_a_mask_the_fields_that_are_there_count(mask: FieldMask | None) -> None:
    """An absent or empty mask means the fields that the patch has; those that cannot be updated are ignored."""
    updated = apply_update(_current(), Api(name="other", version="2"), mask, updatable=UPDATABLE)
    assert updated == Api(
        name="n", version="2", methods=[Method(name="a")], source_context=SourceContext(file_name="f")
    )


def test_nested_paths() -> None:
    """A path into a singular message changes that field alone; it makes a missing parent, but not to clear in it."""
    patch = Api(source_context=SourceContext(file_name="g"))
    assert _update(patch, "source_context.file_name").source_context == SourceContext(file_name="g")
    assert _update(Api(), "source_context.file_name").source_context == SourceContext()
    mask, empty = FieldMask(paths=["source_context.file_name"]), Api()
    assert apply_update(empty, patch, mask, updatable=UPDATABLE) == patch
    assert apply_update(empty, Api(), mask, updatable=UPDATABLE) == Api()


def test_a_nested_path_may_be_all_that_is_updatable() -> None:
    """If only a path inside a message may be changed, the message as a whole may not."""
    updatable, patch = frozenset({"source_context.file_name"}), Api(source_context=SourceContext(file_name="g"))
    assert apply_update(Api(), patch, FieldMask(paths=["*"]), updatable=updatable) == patch
    assert apply_update(Api(), patch, None, updatable=updatable) == patch
    with pytest.raises(InvalidArgument):
        apply_update(Api(), patch, FieldMask(paths=["source_context"]), updatable=updatable)


def test_a_member_of_a_oneof_replaces_its_sibling() -> None:
    """Taking one member of a oneof clears the other; naming an unset member clears the one that is set there only."""
    updatable = frozenset({"string_value", "bool_value"})
    current, patch = Value.from_json("true"), Value.from_json('"x"')
    assert apply_update(current, patch, FieldMask(paths=["string_value"]), updatable=updatable) == patch
    assert apply_update(current, Value(), FieldMask(paths=["string_value"]), updatable=updatable) == current


def test_every_wrong_path_is_listed() -> None:
    """Unknown, unchangeable and impossible paths are violations of update_mask, all of them, and nothing changes."""
    wrong = {
        "nosuch": '"nosuch": Api has no field "nosuch"',
        "name": '"name" cannot be updated; these can: methods, source_context, version',
        "methods.name": '"methods.name": the path must end at "methods", which is not a singular message',
        "version.x": '"version.x": the path must end at "version", which is not a singular message',
        "source_context.nosuch": '"source_context.nosuch": SourceContext has no field "nosuch"',
        "source_context.": '"source_context.": SourceContext has no field ""',
        "": '"": Api has no field ""',
        "*": '"*" stands for every field and must be the only path',
        "a" + ".a" * 40_000: "a path has more than 32 parts",
    }
    with pytest.raises(InvalidArgument) as caught:
        _update(Api(version="2"), "version", *wrong)
    assert [violation.description for violation in caught.value.violations] == list(wrong.values())
    assert {violation.field for violation in caught.value.violations} == {"update_mask"}


def test_a_present_zero_value_is_a_value() -> None:
    """A message that is present and empty is not an absent one."""
    assert (
        apply_update(Api(), Api(source_context=SourceContext()), None, updatable=UPDATABLE).source_context is not None
    )
    assert (
        apply_update(
            StringValue(value="x"), StringValue(), FieldMask(paths=["*"]), updatable=frozenset({"value"})
        ).value
        == ""
    )


MAPS = """
syntax = "proto3";
package maps.v1;

message Thing {
  map<string, string> labels = 1;
  map<string, Part> parts = 2;
  map<int32, string> by_number = 3;
  map<bool, string> by_flag = 4;
}
message Part { int32 size = 1; string text = 2; }
"""


@pytest.fixture(scope="module")
def thing(tmp_path_factory: pytest.TempPathFactory) -> type[Message]:
    """Returns the class of a message with maps."""
    message = read(compile_image(MAPS, tmp_path_factory.mktemp("maps"))).registry.message("maps.v1.Thing")
    assert message is not None
    return message.type


@pytest.mark.parametrize(
    ("path", "updated"),
    [
        ("labels.fooBar", '{"labels": {"fooBar": "new", "a.b": "old", "kept": "old"}}'),
        ("labels.`a.b`", '{"labels": {"fooBar": "old", "a.b": "new", "kept": "old"}}'),
        ("labels.kept", '{"labels": {"fooBar": "old", "a.b": "old"}}'),
        ("labels.none", '{"labels": {"fooBar": "old", "a.b": "old", "kept": "old"}}'),
        ("parts.x.size", '{"parts": {"x": {"size": 2, "text": "old"}}}'),
        ("parts.x", '{"parts": {"x": {"size": 2, "text": "new"}}}'),
        ("parts.y.size", '{"parts": {"x": {"size": 1, "text": "old"}, "y": {"size": 3}}}'),
        ("by_number.-7", '{"byNumber": {"-7": "new"}}'),
        ("by_flag.true", '{"byFlag": {"true": "new"}}'),
    ],
)
def test_a_path_may_name_the_key_of_a_map(thing: type[Message], path: str, updated: str) -> None:
    """An entry is replaced, added or removed, or a field of it changed, and the other entries stay (AIP-161)."""
    names = thing.desc().fields
    current = thing.from_json(
        '{"labels": {"fooBar": "old", "a.b": "old", "kept": "old"}, "parts": {"x": {"size": 1, "text": "old"}}}'
    )
    patch = thing.from_json(
        '{"labels": {"fooBar": "new", "a.b": "new"}, "byNumber": {"-7": "new"}, "byFlag": {"true": "new"},'
        ' "parts": {"x": {"size": 2, "text": "new"}, "y": {"size": 3}}}'
    )
    updatable = frozenset(field.name for field in names)
    found = apply_update(current, patch, FieldMask(paths=[path]), updatable=updatable)
    wanted = thing.from_json(updated)
    for field in names:
        assert found[field] == (wanted[field] if field.name == path.split(".")[0] else current[field])


@pytest.mark.parametrize(
    "path",
    [
        "labels.*",
        "labels.",
        "labels.a.b",
        "labels.`a.b`junk",
        "labels.`a",
        "labels.a`",
        "by_number.x",
        "by_flag.1",
        "parts.x.nosuch",
        "parts.`x`size",
    ],
)
def test_a_path_that_no_map_has_is_a_violation(thing: type[Message], path: str) -> None:
    """A key must be one of the map's type, a wildcard needs backquotes to be a key, backquotes enclose a whole key, and
    a value may have no fields.
    """
    updatable = frozenset(field.name for field in thing.desc().fields)
    with pytest.raises(InvalidArgument) as caught:
        apply_update(thing(), thing(), FieldMask(paths=[path]), updatable=updatable)
    assert caught.value.reason == "FIELD_UNKNOWN"
