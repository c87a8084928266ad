"""Two checks of schemathesis less what no OpenAPI document can say. schemathesis loads this module by itself.

Not sayable: that two parameters exclude each other, that one is needed beside another, that a header and a field must
agree, which types an Any may hold, and what a rule in CEL demands, which the document has in words. That an integer
given as text fits could be said, by a pattern that no one could read. Whether a request is too large is not about its
schema. And in the text of a query or a form an array of one, and null in a map of strings, are no violations.
"""

import json
from typing import Any, Final

import schemathesis
from schemathesis.checks import CHECKS

from edge.protojson.scalars import RANGES

_UNSAYABLE: Final = {"FIELD_GIVEN_TWICE", "ONEOF_GIVEN_TWICE", "MESSAGE_ONEOF", "TYPE_UNKNOWN"}
_RANGES: Final = {f"must be from {least} to {greatest}" for least, greatest in RANGES.values()}
_OWN_IDEA: Final = "If-Match"
"""schemathesis makes up the values of this header, whatever its schema says."""
_TOO_LARGE: Final = {413, 414, 431}
_accepts: Any = CHECKS.get_one("positive_data_acceptance")
_rejects: Any = CHECKS.get_one("negative_data_rejection")


@schemathesis.check
def takes_valid_requests(ctx: Any, response: Any, case: Any) -> None:
    """What follows the document is not refused."""
    if response.status_code in _TOO_LARGE:
        return
    violations = _violations(response) if response.status_code == 400 else []
    document = json.dumps(case.operation.schema.raw_schema, ensure_ascii=False).lower()
    around = {name.partition(".")[0] for name in case.query or {} if "." in name}
    if not violations or not all(_is_unsayable(each, around, document) for each in violations):
        _accepts(ctx, response, case)


def _is_unsayable(violation: dict[str, str], around: set[str], document: str) -> bool:
    """`around` are the messages of which parameters give fields."""
    return (
        violation["reason"] in _UNSAYABLE
        or violation["description"] in _RANGES
        or violation["field"] == _OWN_IDEA
        or violation["field"].partition(".")[0] in around
        or violation["description"].lower() in document
    )


@schemathesis.check
def refuses_invalid_requests(ctx: Any, response: Any, case: Any) -> None:
    """What breaks the document is refused."""
    is_form = case.media_type == "application/x-www-form-urlencoded"
    has_map = any(isinstance(value, dict) or "[" in name for name, value in (case.query or {}).items())
    if response.status_code not in _TOO_LARGE and not is_form and not has_map:
        _rejects(ctx, response, case)


def _violations(response: Any) -> list[dict[str, str]]:
    details = response.json()["error"].get("details", [])
    return [violation for detail in details for violation in detail.get("fieldViolations", [])]
