"""The document as the pages show it: shorter, with one readable type for each schema."""

import json
from typing import Any

import pytest

from edge.contract.contract import Contract
from edge.openapi.reading_view import reading_view
from tests.edge.openapi.contracts import documents_of


@pytest.fixture(scope="module")
def shown(store: Contract) -> dict[str, Any]:
    """Returns the view of the store's document."""
    made: dict[str, Any] = json.loads(reading_view(b"".join(documents_of(store, secured=True).pieces())))
    return made


def test_a_schema_has_one_type_and_the_rules_of_its_values(shown: dict[str, Any]) -> None:
    """Conditions for validators become plain keywords, and null and numbers of enums are left out."""
    schemas = shown["components"]["schemas"]
    category = schemas["meshwright.catalog.v1.Product-Input"]["properties"]["category"]
    assert (category["type"], category["maxLength"]) == ("string", 64)
    assert not category.keys() & {"if", "else", "anyOf"}
    assert schemas["meshwright.catalog.v1.Product-Input"]["properties"]["description"]["type"] == "string"
    state = schemas["meshwright.orders.v1.Order.State"]
    assert state["type"] == "string"
    assert "STATE_PENDING" in state["enum"]


def test_an_operation_has_one_response_for_all_errors(shown: dict[str, Any]) -> None:
    """The response names the statuses; headers that all operations have are in the introduction."""
    create = shown["paths"]["/v1/products"]["post"]
    assert list(create["responses"]) == ["201", "default"]
    assert create["responses"]["default"] == {"description": "An error: 400, 401, 403, 404, 409, 503, 504 or another."}
    assert [each["name"] for each in create["parameters"]] == ["requestId"]
    for statement in (
        "`Idempotency-Key`",
        "`If-None-Match`",
        "304",
        "`RateLimit`",
        '"status": "NOT_FOUND"',
        "| `409` |",
    ):
        assert statement in shown["info"]["description"], statement


def test_a_read_has_no_headers_of_its_own(shown: dict[str, Any]) -> None:
    """Headers of versions, pages and rate limits are in the introduction, and so is the response without content."""
    listing = shown["paths"]["/v1/products"]["get"]
    assert list(listing["responses"]) == ["200", "default"]
    assert listing["responses"]["200"]["headers"] == {}
    assert {each["in"] for each in listing["parameters"]} == {"query"}


def test_errors_of_an_operations_own_are_shown_below_it(shown: dict[str, Any]) -> None:
    """Errors of the token endpoint have the shape of RFC 6749."""
    token = shown["paths"]["/v1/oauth2/token"]["post"]["responses"]["default"]
    assert token["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/OAuth2Error"}
    assert token["content"]["application/json"]["example"]["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("description", "rest"),
    [
        ("Lists the\n  `books`. Sorted.", "Sorted."),
        ("Lists the `books`.\n\nRequires the scope `read`.", "Requires the scope `read`."),
        ("Lists the `books`", "Lists the `books`"),
        ("Requires the scope `read`.", "Requires the scope `read`."),
    ],
)
def test_a_description_does_not_repeat_the_summary(description: str, rest: str) -> None:
    """The summary is plain text, and stands above the description."""
    operation = {"summary": "Lists the `books`", "description": description, "responses": {}}
    document = {"info": {"description": ""}, "paths": {"/books": {"get": operation}}}
    shown = json.loads(reading_view(json.dumps(document).encode()))["paths"]["/books"]["get"]
    assert (shown["summary"], shown["description"]) == ("Lists the books", rest)


def test_operations_that_need_a_token_offer_the_sign_in(shown: dict[str, Any], shop: dict[str, Any]) -> None:
    """The document for generators keeps it as an extension of the bearer token."""
    schemes = shown["components"]["securitySchemes"]
    assert list(schemes) == ["oauth2", "bearer"]
    flow = schemes["oauth2"]["flows"]["authorizationCode"]
    assert (flow["authorizationUrl"], flow["tokenUrl"]) == ("/v1/oauth2/authorize", "/v1/oauth2/token")
    scopes = ["catalog.write"]
    assert shown["paths"]["/v1/products"]["post"]["security"] == [{"oauth2": scopes}, {"bearer": scopes}]
    assert shown["paths"]["/v1/users"]["post"]["security"] == []
    assert list(shop["components"]["securitySchemes"]) == ["bearer"]


def test_samples_stay_as_they_are(shown: dict[str, Any], shop: dict[str, Any]) -> None:
    """Only schemas are made readable."""
    for path, item in shop["paths"].items():
        for method, operation in item.items():
            if (body := operation.get("requestBody")) is not None:
                there = shown["paths"][path][method]["requestBody"]["content"]
                assert {kind: each.get("example") for kind, each in body["content"].items()} == {
                    kind: each.get("example") for kind, each in there.items()
                }


def test_a_field_may_have_the_name_of_a_keyword() -> None:
    """Fields named `if`, `else`, `type` or `pattern` stay."""
    fields = {name: {"type": ["string", "null"]} for name in ("if", "else", "type", "pattern", "enum", "example")}
    document = {
        "info": {"description": ""},
        "paths": {},
        "components": {"schemas": {"M": {"type": "object", "properties": fields}}},
    }
    shown = json.loads(reading_view(json.dumps(document).encode()))
    assert shown["components"]["schemas"]["M"]["properties"] == {name: {"type": "string"} for name in fields}
