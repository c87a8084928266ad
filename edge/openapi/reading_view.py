"""A document for people to read: shorter than the one for validators and generators, which stays as it is.

Pages show keywords such as `if` and `else` as alternatives of types (`string | (string | string)`), and repeat each
error and each header below every operation. Here a schema has one readable type, an operation one response for all
errors, and the introduction says once what all operations have.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from edge.http.request import JSON
from edge.openapi.document import BEARER, METHODS, X_OAUTH2
from edge.openapi.json_schema import Schema

OAUTH2: Final = "oauth2"
PATTERN_LENGTH_MAX: Final = 60
"""Longer patterns, such as that of all 64-bit integers, are for machines only."""

_ERROR_MIN: Final = 400
_NOT_MODIFIED: Final = "304"
_REQUEST_HEADERS: Final = ("X-Server-Timeout", "Idempotency-Key", "If-None-Match")
_RESPONSE_HEADERS: Final = ("X-Request-Id", "ETag", "Link", "RateLimit", "RateLimit-Policy")
_HIDDEN_HEADERS: Final = frozenset({*_REQUEST_HEADERS, *_RESPONSE_HEADERS})
_HEADERS: Final = """\
In a request `X-Server-Timeout` shortens the method's own timeout, and `Idempotency-Key` sets its request id if it has \
one. A response to a read has its version as `ETag`; sent as `If-None-Match`, it is answered by 304 until there is a \
newer one. `Link` has the URL of the next page. `RateLimit` and `RateLimit-Policy` have the number of calls left and \
allowed, if they are limited. `X-Request-Id` is for reports to the operator."""
_BY_NAME: Final = frozenset({"properties", "patternProperties", "schemas"})
"""The keywords whose members are schemas by name."""
_VALUES: Final = frozenset({"example", "examples", "default", "enum", "const", "required"})
_ADOPTED: Final = frozenset(
    {"pattern", "format", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems"}
)
_BOUNDS: Final = ("minimum", "maximum")


def reading_view(document: bytes) -> bytes:
    """Returns the document as the pages show it."""
    made = json.loads(document)
    responses = made.get("components", {}).get("responses", {})
    for operation in _operations(made):
        _shorten(operation)
    if responses:
        made["info"]["description"] += f"\n\n{_errors(responses)}"
        made["components"]["responses"] = {}
    _offer_sign_in(made)
    return json.dumps(_readable(made), ensure_ascii=False).encode()


def _offer_sign_in(document: dict[str, Any]) -> None:
    """Makes the sign-in of a document an alternative to a token, for operations that need one."""
    schemes = document.get("components", {}).get("securitySchemes", {})
    sign_in = schemes.get(BEARER, {}).pop(X_OAUTH2, None)
    if sign_in is None:
        return
    document["components"]["securitySchemes"] = {OAUTH2: sign_in, **schemes}
    for operation in _operations(document):
        needed = operation.get("security", [])
        operation["security"] = [*({OAUTH2: scopes} for each in needed for scopes in each.values()), *needed]


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields the operations of a document. Pages don't show those of custom HTTP methods."""
    for item in document["paths"].values():
        yield from (operation for method, operation in item.items() if method.upper() in METHODS)


def _errors(responses: dict[str, Any]) -> str:
    """Returns the shape, a sample and a table of the errors, and the headers, once for all operations. Pages show it as
    a part that readers unfold, so that the operations come first.
    """
    rows = (f"| `{status}` | {each['description']} |" for status, each in responses.items() if status.isdigit())
    samples = (each["content"][JSON]["example"] for each in responses.values() if "example" in each["content"][JSON])
    sample = json.dumps(min(samples, key=lambda each: len(str(each))), indent=2)
    shape = "Errors have one shape, `Error`, or that of RFC 9457 if `Accept` is `application/problem+json`:"
    parts = (
        "<details><summary>Errors, and headers that all methods have</summary>",
        shape,
        f"```json\n{sample}\n```",
        "\n".join(("| Status | Meaning |", "|---|---|", *rows)),
        _HEADERS,
        "</details>",
    )
    return "\n\n".join(parts)


def _shorten(operation: dict[str, Any]) -> None:
    """Leaves out what the introduction says: the errors, the headers that all operations have, and the summary."""
    kept = {status: each for status, each in operation["responses"].items() if not _is_error(status)}
    errors = {status: each for status, each in operation["responses"].items() if _is_error(status)}
    kept.pop(_NOT_MODIFIED, None)
    for each in kept.values():
        each["headers"] = {name: value for name, value in each.get("headers", {}).items() if not _is_hidden(value)}
    if errors:
        kept["default"] = _any_error(errors)
    operation["responses"] = kept
    operation["parameters"] = [each for each in operation.get("parameters", ()) if not _is_hidden(each)]
    summary = operation.get("summary", "")
    operation["description"] = _without_summary(operation.get("description", ""), summary)
    operation["summary"] = summary.replace("`", "")  # pages show Markdown in descriptions only


def _without_summary(description: str, summary: str) -> str:
    """Returns a description without its first sentence if that is the summary, which pages show above it."""
    words = r"\s+".join(re.escape(word) for word in summary.split())
    return re.sub(rf"\A{words}\.\s*", "", description)


def _is_error(status: str) -> bool:
    return not status.isdigit() or int(status) >= _ERROR_MIN


def _any_error(errors: dict[str, Any]) -> dict[str, Any]:
    """Returns one response for all errors. Their content is in the introduction, unless it is the operation's own."""
    statuses = ", ".join(status for status in errors if status.isdigit())
    made: dict[str, Any] = {"description": f"An error: {statuses} or another."}
    own = [each["content"][JSON] for each in errors.values() if "content" in each]
    return {**made, "content": {JSON: own[0]}} if own else made


def _is_hidden(reference: dict[str, Any]) -> bool:
    name = str(reference.get("$ref", "")).rpartition("/")[2]
    return name in _HIDDEN_HEADERS or (reference.get("in") == "header" and reference.get("name") in _HIDDEN_HEADERS)


def _readable(value: Any) -> Any:
    """Returns a part of the document with readable schemas."""
    if isinstance(value, list):
        return [_readable(each) for each in value]
    if not isinstance(value, dict):
        return value
    made = {key: _member(key, each) for key, each in _one_type(_without_conditions(value)).items()}
    if len(str(made.get("pattern", ""))) > PATTERN_LENGTH_MAX:
        del made["pattern"]
    if str(made.get("format", "")).endswith(("int32", "int64", "float")):
        made = {key: each for key, each in made.items() if key not in _BOUNDS or abs(each) < 2**31 - 1}
    return made


def _member(key: str, value: Any) -> Any:
    if key in _VALUES and not (key == "example" and isinstance(value, dict) and "$ref" in value):
        return value
    if key in _BY_NAME and isinstance(value, dict):
        return {name: _readable(each) for name, each in value.items()}
    return _readable(value)


def _without_conditions(schema: Schema) -> Schema:
    """Returns a schema without `if` and `else`, but with the keywords that narrow its values most of the time."""
    if "if" not in schema or "else" not in schema:
        return schema
    made = {key: each for key, each in schema.items() if key not in ("if", "else")}
    rules = schema["else"]
    rules = rules["anyOf"][0] if "anyOf" in rules else rules
    adopted = {key: each for key, each in rules.items() if key in _ADOPTED} if isinstance(rules, dict) else {}
    if schema["if"] == {"not": {}}:
        return {**made, **rules}
    return {**adopted, **made}


def _one_type(schema: Schema) -> Schema:
    """Returns a schema without null, and with the first of its alternatives if the others are only other spellings: the
    name of an enum's value and not its number, a number and not "NaN".
    """
    made = dict(schema)
    if isinstance(made.get("type"), list):
        types = [each for each in made["type"] if each != "null"]
        made["type"] = types[0] if len(types) == 1 else types
    if isinstance(made.get("enum"), list):
        made["enum"] = [each for each in made["enum"] if each is not None]
    choices = [each for each in made.get("anyOf", ()) if each != {"type": "null"}]
    scalars = [str(each.get("type")) for each in choices]
    if len(choices) == 1 or sorted(scalars) in (["integer", "string"], ["number", "string"]):
        del made["anyOf"]
        notes = {key: each for key, each in made.items() if key != "anyOf"}
        made = {**_one_type(choices[0]), **notes}
    return made
