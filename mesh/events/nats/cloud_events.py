"""CloudEvents attributes as headers of NATS messages, in binary mode.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/nats-protocol-binding.md
"""

from collections.abc import Mapping
from typing import Final

_PREFIX: Final = "ce-"
_OWN_HEADERS: Final = {"datacontenttype": "content-type", "traceparent": "traceparent"}
"""The attributes with a header name of their own: traceparent is that of W3C Trace Context."""


def to_headers(attributes: Mapping[str, str]) -> dict[str, str]:
    """Returns the headers that encode these attributes."""
    return {_OWN_HEADERS.get(name, f"{_PREFIX}{name}"): value for name, value in attributes.items()}


def from_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Returns the attributes in headers, whose names are not case-sensitive."""
    given = {name.lower(): value for name, value in headers.items()}
    attributes = {name.removeprefix(_PREFIX): value for name, value in given.items() if name.startswith(_PREFIX)}
    own = {name: given[header] for name, header in _OWN_HEADERS.items() if header in given}
    return {name: value for name, value in attributes.items() if name not in _OWN_HEADERS} | own
