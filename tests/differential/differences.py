"""The differences between the edge and Envoy, with the rule for each. docs/envoy-differences.md explains them."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

from tests.differential.requests import Request


@dataclass(frozen=True)
class Outcome:
    """The outcome of a request: the status, the request message that reached the backend and the response message, both
    as bytes if there are any, and the body of an error of the edge.
    """

    status: int
    received: bytes | None
    reply: bytes | None
    error: dict[str, Any] = field(default_factory=dict)

    @property
    def reasons(self) -> set[str]:
        """Returns the reason why the edge rejected the request."""
        details = self.error.get("details", [])
        violations = [each for detail in details for each in detail.get("fieldViolations", [])]
        return {each["reason"] for each in (violations or details)}


Pair = tuple[Request, Outcome, Outcome]
"""A request, and what came of it at the edge and at Envoy."""


def agree(edge: Outcome, envoy: Outcome) -> bool:
    """Returns whether both rejected the request, or both sent the same messages."""
    if edge.status >= 400:
        return edge.status // 100 == envoy.status // 100
    return edge == envoy


@dataclass(frozen=True)
class Difference:
    """A kind of difference, with a request that shows it."""

    applies: Callable[[Request, Outcome, Outcome], bool]
    example: Request


def _edge_refuses(*reasons: str) -> Callable[[Request, Outcome, Outcome], bool]:
    """The edge refuses the request for these reasons, and Envoy sends it on."""
    return lambda _, edge, envoy: edge.status == 400 and envoy.received is not None and bool(edge.reasons & {*reasons})


def _parameters(request: Request) -> list[tuple[str, str]]:
    return parse_qsl(request.target.partition("?")[2], keep_blank_values=True)


def _only_the_edge_takes(number: str) -> Callable[[Request, Outcome, Outcome], bool]:
    """The edge takes a text of this kind in the path or the query, and Envoy refuses it."""
    pattern = re.compile(number)

    def applies(request: Request, edge: Outcome, envoy: Outcome) -> bool:
        texts = [text for _, text in _parameters(request)] + request.target.partition("?")[0].split("/")
        return edge.status == 200 and envoy.status == 400 and any(map(pattern.fullmatch, texts))

    return applies


def _has_json_parameter(request: Request, edge: Outcome, _: Outcome) -> bool:
    names = {name.partition("[")[0] for name, _ in _parameters(request)}
    return edge.status == 200 and not names.isdisjoint({"value", "struct", "listValue", "any"})


def _answers_a_field(request: Request, edge: Outcome, envoy: Outcome) -> bool:
    return edge.status == 200 and edge.received == envoy.received and request.target.startswith("/response")


def _has_no_body_for_a_field(request: Request, edge: Outcome, _: Outcome) -> bool:
    return edge.status == 200 and request.body == b"" and request.target.startswith(("/inner", "/field"))


def _ends_with_a_known_verb(request: Request, edge: Outcome, envoy: Outcome) -> bool:
    return (edge.status, envoy.status) == (200, 404) and request.target.endswith(":verb")


def _has_an_empty_segment(request: Request, edge: Outcome, envoy: Outcome) -> bool:
    path = request.target.partition("?")[0]
    return edge.status in (200, 404) and envoy.status == 200 and (path.endswith("/") or "//" in path)


def _has_a_mask_in_capitals(request: Request, edge: Outcome, envoy: Outcome) -> bool:
    both = (edge.status, envoy.status) == (200, 200)
    return both and any(re.search("[A-Z]{2}", text) for name, text in _parameters(request) if name == "fieldMask")


def _has_a_long_number(request: Request, edge: Outcome, envoy: Outcome) -> bool:
    return (edge.status, envoy.status) == (200, 200) and re.search(rb"[0-9][.eE]", request.body or b"") is not None


DIFFERENCES: Final[dict[str, Difference]] = {
    "Unknown fields and parameters": Difference(
        _edge_refuses("FIELD_UNKNOWN"), Request("POST", "/body", b'{"nope": 1}')
    ),
    "Values given twice": Difference(
        _edge_refuses("FIELD_GIVEN_TWICE", "ONEOF_GIVEN_TWICE"), Request("GET", "/one/a?string=b")
    ),
    "Malformed percent-encoding": Difference(
        _edge_refuses("MALFORMED_PATH", "MALFORMED_ENCODING"), Request("GET", "/one/%zz")
    ),
    "Parameters of fields that the body has": Difference(
        _edge_refuses("FIELD_IN_BODY"), Request("POST", "/body?int32=1", b"{}")
    ),
    "Lenient values": Difference(
        _edge_refuses("INVALID_VALUE", "OUT_OF_RANGE", "NESTED_TOO_DEEPLY"), Request("GET", "/query?bool=yes")
    ),
    "Lenient documents": Difference(_edge_refuses("MALFORMED_JSON"), Request("POST", "/body", b"{'int32': 1,}")),
    "Whole numbers in other notations": Difference(
        _only_the_edge_takes(r"-?[0-9]+(\.0+([eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+)|-0"), Request("GET", "/query?int32=1e3")
    ),
    "Numbers that an open enum does not name": Difference(
        _only_the_edge_takes("-?[0-9]+"), Request("GET", "/query?color=99")
    ),
    "Parameters that hold any JSON": Difference(_has_json_parameter, Request("GET", "/query?value=1")),
    "No body where a field is the body": Difference(_has_no_body_for_a_field, Request("PATCH", "/inner/5", b"")),
    "A field as the response": Difference(
        _answers_a_field, Request("POST", "/response", b'{"int32": 1, "inner": {"text": "a"}}')
    ),
    "Verbs of another method": Difference(_ends_with_a_known_verb, Request("DELETE", "/one/a:verb")),
    "Empty segments": Difference(_has_an_empty_segment, Request("GET", "/deep//1")),
    "Capitals in field masks": Difference(_has_a_mask_in_capitals, Request("GET", "/query?fieldMask=fooBAR")),
    "Digits of 64-bit numbers": Difference(
        _has_a_long_number, Request("POST", "/body", b'{"int64": 9.007199254740993e15}')
    ),
}


def difference(pair: Pair) -> str | None:
    """The name of the kind of difference, None if it is not listed."""
    return next((name for name, each in DIFFERENCES.items() if each.applies(*pair)), None)
