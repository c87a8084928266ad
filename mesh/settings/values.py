"""The types of settings' values, each with a validator whose message completes "NAME: "."""

import re
from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field, SecretStr

PORT_FROM_1 = r"(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"

T = TypeVar("T", str, SecretStr)


def matching(pattern: str, requirement: str) -> AfterValidator:
    """Returns the validator of a text that must contain a match of `pattern`; `requirement` completes "NAME: "."""
    compiled = re.compile(pattern)

    def check(value: T) -> T:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if compiled.search(text) is None:
            raise ValueError(requirement)
        return value

    return AfterValidator(check)


Address = Annotated[str, matching(rf"^[^\s]+:{PORT_FROM_1}\Z", "must be host:port with a port from 1 to 65535")]
"""The gRPC address of a workload: host:port."""

HttpUrl = Annotated[str, matching(r"^https?://[^\s/]", "must be a URL that starts with http:// or https://")]
HttpUrlOrEmpty = Annotated[
    str, matching(r"^(?:https?://[^\s/]|\Z)", "must be a URL that starts with http:// or https://, or empty")
]
BrokerUrl = Annotated[
    SecretStr, matching("^(nats|tls|amqps?)://", "must be a URL that starts with nats://, tls://, amqp:// or amqps://")
]
PostgresUrl = Annotated[
    SecretStr, matching("^postgres(ql)?://", "must be a URL that starts with postgresql:// or postgres://")
]
Port = Annotated[int, Field(ge=0, le=65535)]
Text = Annotated[str, Field(min_length=1)]
