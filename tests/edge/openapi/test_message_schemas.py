"""The schemas of messages in requests and in responses."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # has no stubs

from edge.contract.contract import Contract, read
from edge.openapi.document import Documents
from edge.reply.response_writer import JsonStyle
from tests.edge.contracts import compile_image
from tests.edge.openapi.contracts import OLD, documents_of

RESPONSE, REQUEST, UPDATE = "shapes.v1.Tree", "shapes.v1.Tree-Input", "shapes.v1.Tree-Update"


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Returns the schemas of a contract in proto2."""
    contract = read(compile_image(OLD, tmp_path_factory.mktemp("old")))
    schemas: dict[str, Any] = json.loads(b"".join(documents_of(contract).pieces()))["components"]["schemas"]
    return schemas


def takes(document: dict[str, Any], name: str, value: Any) -> bool:
    """Returns whether a schema of a document accepts a value."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    return bool(Draft202012Validator(schema).is_valid(value))


@pytest.mark.parametrize(
    ("given", "right"),
    [
        ({}, True),
        ({"metres": "5"}, True),
        ({"metres": 5}, True),
        ({"metres": "five"}, False),
        ({"metres": "5", "ratio": 0.5}, False),
        ({"kind": "KIND_CONIFER"}, True),
        ({"kind": 1}, True),
        ({"kind": 77}, True),
        ({"kind": "KIND_PALM"}, False),
        ({"kind": 2**31}, False),
        ({"kind": None}, True),
        ({"bark": "AP8="}, True),
        ({"bark": "@@@@"}, False),
        ({"age": "1.5s"}, True),
        ({"age": "1.5"}, False),
        ({"mask": "a.b,cD"}, True),
        ({"mask": "a b"}, False),
        ({"rings": 3}, True),
        ({"rings": None}, True),
        ({"rings": True}, False),
        ({"cells": "18446744073709551615"}, True),
        ({"cells": "18446744073709551616"}, False),
        ({"cells": "-1"}, False),
        ({"metres": "-9223372036854775808"}, True),
        ({"metres": "9223372036854775808"}, False),
        ({"ratio": "Infinity"}, True),
        ({"ratio": "far"}, False),
        ({"nothing": None}, True),
        ({"nothing": 1}, False),
        ({"anyValue": {"a": [None]}}, True),
        ({"notes": [1]}, False),
        ({"values": [1, "a"]}, True),
        ({"years": {"-5": True}}, True),
        ({"years": {"x": True}}, False),
        ({"flags": {"true": 1}}, True),
        ({"flags": {"1": 1}}, False),
        ({"roots": -1}, False),
        ({"density": 1e39}, False),
        ({"children": [{"name": "b"}]}, True),
        ({"children": [{}]}, False),
        ({"children": [None]}, False),
        ({"metres": None, "ratio": 1}, True),
        ({"metres": 2, "ratio": 1}, False),
        ({"mask": "leaf.*,counts.`a-1`"}, True),
        ({"mask": "any_value"}, False),
        ({"thing": {}}, True),
        ({"thing": {"name": "b"}}, False),
        ({"unknown": 1}, False),
        ({"name": None}, False),
    ],
)
def test_requests_may_hold_what_protojson_reads(shapes: dict[str, Any], given: dict[str, Any], right: bool) -> None:
    """Enums may be names or numbers, 64-bit integers strings or numbers, optional fields null; unknown fields are
    rejected.
    """
    assert takes(shapes, REQUEST, {"name": "a", **given}) is right


def test_texts_may_be_what_the_edge_reads(shapes: dict[str, Any]) -> None:
    """A mask in a query may have the contract's names, and null is a text there."""
    parameters = shapes["paths"]["/v1/children"]["put"]["parameters"]
    texts = {each["name"]: each["schema"] for each in parameters if "schema" in each}
    assert texts["nothing"] == {"type": "string", "enum": ["null", "NULL_VALUE", "0"]}
    assert Draft202012Validator(texts["mask"]).is_valid("any_value,leaf")
    assert not Draft202012Validator(texts["mask"]).is_valid("leaf,")


def test_answers_are_what_protojson_writes(shapes: dict[str, Any]) -> None:
    """64-bit integers are strings, times are date-times, messages may contain themselves, and no field is required."""
    tree = shapes["components"]["schemas"][RESPONSE]
    fields = tree["properties"]
    assert fields["metres"] == {"$ref": "#/components/schemas/Int64"}
    long = shapes["components"]["schemas"]["Int64"]
    assert (long["type"], long["format"]) == ("string", "int64")
    assert fields["planted"] == {"type": "string", "format": "date-time"}
    assert fields["children"]["items"] == {"$ref": f"#/components/schemas/{RESPONSE}"}
    assert fields["labeled"]["additionalProperties"] == {"$ref": "#/components/schemas/shapes.v1.Leaf"}
    assert takes(shapes, RESPONSE, {"nothing": None})
    assert not takes(shapes, RESPONSE, {"nothing": 0})
    assert fields["place"]["description"] == "Where it stands.\n\nCan't be changed later."
    assert fields["id"]["format"] == "uuid"
    assert fields["old"]["deprecated"] is True
    assert not {"required", "additionalProperties"} & tree.keys()
    assert takes(shapes, RESPONSE, {"metres": "5", "newerField": 1})
    assert not takes(shapes, RESPONSE, {"metres": 5})
    assert takes(shapes, RESPONSE, {"ratio": "NaN", "density": "-Infinity"})
    assert not takes(shapes, RESPONSE, {"ratio": "much"})
    assert not takes(shapes, RESPONSE, {"metres": "5", "ratio": 1})


def test_field_behavior_is_described(shapes: dict[str, Any]) -> None:
    """Fields that only the service sets are read-only in requests, those that only clients set are not in responses
    (AIP-203).
    """
    schemas = shapes["components"]["schemas"]
    assert schemas[REQUEST]["properties"]["uid"]["readOnly"] is True
    assert schemas[REQUEST]["properties"]["secret"]["writeOnly"] is True
    assert "uid" in schemas[RESPONSE]["properties"]
    assert "secret" not in schemas[RESPONSE]["properties"]


def test_an_update_demands_what_rules_do(shapes: dict[str, Any], shop: dict[str, Any]) -> None:
    """A PATCH holds the fields to change; only rules require fields of it, not the behavior REQUIRED."""
    assert not takes(shapes, UPDATE, {"name": "a", "leaf": {"veins": 3}})
    patch = shop["paths"]["/v1/products/{product}"]["patch"]
    reference = patch["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    assert reference == "#/components/schemas/meshwright.catalog.v1.Product-Update"
    assert "required" not in shop["components"]["schemas"]["meshwright.catalog.v1.Product-Update"]
    assert "title" in shop["components"]["schemas"]["meshwright.catalog.v1.Product-Input"]["required"]


def test_comments_and_deprecation_of_enums(shapes: dict[str, Any]) -> None:
    """The description has a line for each value that has a comment or is deprecated."""
    kind = shapes["components"]["schemas"]["shapes.v1.Kind"]
    assert kind["description"] == "Kinds of trees.\n- `KIND_CONIFER`: Green all year.\n- `KIND_SHRUB`: Deprecated."


def test_proto2_has_defaults_groups_extensions_and_closed_enums(old: dict[str, Any]) -> None:
    """Required fields are required in requests and responses; a default is shown if JSON can hold it."""
    given, answered = old["old.v1.Old-Input"], old["old.v1.Old"]
    assert given["required"] == answered["required"] == ["name"]
    defaults = {name: each["default"] for name, each in answered["properties"].items() if "default" in each}
    assert defaults == {"color": 'gr"een', "size": "-5", "alive": True, "count": 3}
    assert answered["properties"]["side"]["description"] == "The default is `SIDE_RIGHT`."
    assert answered["properties"]["part"] == {"$ref": "#/components/schemas/old.v1.Old.Part"}
    assert answered["properties"]["[old.v1.note]"] == {"type": "string", "description": "Added later."}
    assert [each["enum"] for each in old["old.v1.Side"]["anyOf"]] == [["SIDE_LEFT", "SIDE_RIGHT"], [1, 2]]


def test_the_settings_of_the_edge_apply(torture: Contract) -> None:
    """Responses are described with the contract's names if the edge writes them so; unknown fields are allowed if it
    ignores them.
    """
    documents = Documents(
        torture.routes,
        torture.registry,
        title="T",
        secured=False,
        style=JsonStyle(proto_names=True),
        ignore_unknown=True,
    )
    schemas = json.loads(b"".join(documents.pieces()))["components"]["schemas"]
    assert "any_value" in schemas[RESPONSE]["properties"]
    assert "anyValue" in schemas[REQUEST]["properties"]
    assert "additionalProperties" not in schemas[REQUEST]


def test_types_that_hold_each_other_without_end_are_described(tmp_path: Path) -> None:
    """A chain of a thousand types is described without a stack of a thousand frames."""
    chain = "\n".join(f"message M{number} {{ M{number + 1} next = 1; }}" for number in range(1000))
    text = f"""
    syntax = "proto3";
    package chain.v1;
    import "google/api/annotations.proto";
    {chain}
    message M1000 {{ M0 first = 1; }}
    service S {{ rpc Get(M0) returns (M0) {{ option (google.api.http) = {{post: "/v1/m" body: "*"}}; }} }}
    """
    contract = read(compile_image(text, tmp_path))
    schemas = json.loads(b"".join(documents_of(contract).pieces()))["components"]["schemas"]
    assert len(schemas) == 2 + 2 * 1001
