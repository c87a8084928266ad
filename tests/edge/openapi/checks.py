"""Two checks of schemathesis without those rules that no OpenAPI document can express. schemathesis loads this module.

OpenAPI can't express that two parameters exclude each other, that one requires another, that a header and a field must
agree, which types an Any may hold, and the rules in CEL, which the document states in sentences. The range of an
integer in text would need an unreadable pattern. The size of a request is not part of its schema. In the text of a
query or a form, an array of one element and null in a map of strings are not violations.
"""

import json
from typing import Any, Final

import schemathesis
from schemathesis.checks import CHECKS

from edge.protojson.scalars import RANGES

_NOT_EXPRESSIBLE: Final = {"FIELD_GIVEN_TWICE", "ONEOF_GIVEN_TWICE", "MESSAGE_ONEOF", "TYPE_UNKNOWN"}
_RANGES: Final = {f"must be from {least} to {greatest}" for least, greatest in RANGES.values()}
_INVENTED_HEADER: Final = "If-Match"
"""schemathesis invents values of this header that its schema does not allow."""
_TOO_LARGE: Final = {413, 414, 431}
_accepts: Any = CHECKS.get_one("positive_data_acceptance")
_rejects: Any = CHECKS.get_one("negative_data_rejection")


@schemathesis.check
def takes_valid_requests(ctx: Any, response: Any, case: Any) -> None:
    """Fails if the edge rejects a request that conforms to the document."""
    if response.status_code in _TOO_LARGE:
        return
    violations = _violations(response) if response.status_code == 400 else []
    document = json.dumps(case.operation.schema.raw_schema, ensure_ascii=False).lower()
    around = {name.partition(".")[0] for name in case.query or {} if "." in name}
    if not violations or not all(_is_not_expressible(each, around, document) for each in violations):
        _accepts(ctx, response, case)


def _is_not_expressible(violation: dict[str, str], around: set[str], document: str) -> bool:
    """Returns whether the document can't express the violation. `around` are messages whose fields are parameters."""
    return (
        violation["reason"] in _NOT_EXPRESSIBLE
        or violation["description"] in _RANGES
        or violation["field"] == _INVENTED_HEADER
        or violation["field"].partition(".")[0] in around
        or violation["description"].lower() in document
    )


@schemathesis.check
def refuses_invalid_requests(ctx: Any, response: Any, case: Any) -> None:
    """Fails if the edge accepts a request that violates the document."""
    is_form = case.media_type == "application/x-www-form-urlencoded"
    has_map = any(isinstance(value, dict) or "[" in name for name, value in (case.query or {}).items())
    if response.status_code not in _TOO_LARGE and not is_form and not has_map:
        _rejects(ctx, response, case)


def _violations(response: Any) -> list[dict[str, str]]:
    error = response.json()["error"]
    details = [] if isinstance(error, str) else error.get("details", [])  # OAuth 2.0 has a code in its place
    return [violation for detail in details for violation in detail.get("fieldViolations", [])]
