"""CloudEvents attributes as properties and headers of AMQP messages, in binary mode.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/amqp-protocol-binding.md
That binding is for AMQP 1.0; its application properties are the headers of AMQP 0-9-1.
"""

from collections.abc import Mapping
from typing import Final

_PREFIX: Final = "cloudEvents_"
_TRACE: Final = "traceparent"  # that of W3C Trace Context
_CONTENT_TYPE: Final = "datacontenttype"


def to_headers(attributes: Mapping[str, str]) -> dict[str, str]:
    """Returns the headers that encode these attributes, all but the content type."""
    return {
        name if name == _TRACE else f"{_PREFIX}{name}": value
        for name, value in attributes.items()
        if name != _CONTENT_TYPE
    }


def from_message(headers: Mapping[str, object], content_type: str | None) -> dict[str, str]:
    """Returns the attributes in the headers and the content type of a message."""
    texts = {name: value for name, value in headers.items() if isinstance(value, str)}
    attributes = {
        name.removeprefix(_PREFIX).lower(): value for name, value in texts.items() if name.startswith(_PREFIX)
    }
    own = {_TRACE: texts.get(_TRACE), _CONTENT_TYPE: content_type}
    return {name: value for name, value in attributes.items() if name not in own} | {
        name: value for name, value in own.items() if value is not None
    }
