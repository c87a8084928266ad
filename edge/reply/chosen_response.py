"""The status and headers that a service chooses for a google.api.HttpBody: pages and redirects."""

import re
from typing import Any, Final

from meshwright.policy.v1.policy_pb import HttpResponse

from edge.http.headers import Headers

PASSED_ON: Final = frozenset(
    {"cache-control", "content-security-policy", "location", "referrer-policy", "x-frame-options"}
)

_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_TYPE_NAME: Final = HttpResponse.desc().type_name


def chosen_response(http_body: Any) -> tuple[int, Headers]:
    """Returns the status, 0 if the service chose none, and the headers that may be passed on. Raises the errors of
    protobuf-py if the extension is malformed.
    """
    for extension in http_body.extensions:
        if extension.type_url.rpartition("/")[2] == _TYPE_NAME:
            chosen = HttpResponse.from_binary(extension.value)
            status = chosen.status if 200 <= chosen.status <= 599 else 0
            headers = [
                (name.encode(), value.encode())
                for name, value in sorted(chosen.headers.items())
                if name in PASSED_ON and _VALUE.fullmatch(value)
            ]
            return status, headers
    return 0, []
