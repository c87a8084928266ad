"""An event as JSON, for people who look into a broker or an inbox."""

import json
from base64 import b64encode
from typing import Any

from protobuf import Registry

from mesh.events.envelope import Envelope
from mesh.rpc.parse_errors import PARSE_ERRORS


def as_json(event: Envelope, types: Registry) -> dict[str, Any]:
    """Returns an event in the JSON format of CloudEvents, its data as ProtoJSON. Data of a type that the contracts do
    not declare, or that is corrupt, is in `data_base64`.
    """
    attributes = event.attributes() | {"datacontenttype": "application/json"}
    desc = types.message(event.type)
    try:
        if desc is not None:
            return {**attributes, "data": json.loads(desc.type.from_binary(event.payload).to_json(registry=types))}
    except PARSE_ERRORS:
        pass
    return {**event.attributes(), "data_base64": b64encode(event.payload).decode()}
