"""The canonical form of a request: the same bytes for equal requests."""

import copy

from protobuf import DescFieldValueList, DescFieldValueMap, DescFieldValueMessage, DescMessage, Message

REQUEST_ID_FIELD = "request_id"
ETAG_FIELD = "etag"


def canonical_form(request: Message) -> bytes:
    """Returns the request without its request_id and its etag as bytes, the same for equal requests: maps are sorted by
    key.

    An etag (AIP-154) is a condition on the request and not a part of it. A repeated call may have another one: the edge
    tries the versions of an If-Match in turn, and a client may have read the resource again.
    """
    form = copy.deepcopy(request)
    _remove(REQUEST_ID_FIELD, form)
    if not _remove(ETAG_FIELD, form):
        for field in list(form):
            if isinstance(field.value, DescFieldValueMessage):
                _remove(ETAG_FIELD, form[field])
    _sort_maps(form)
    return form.desc().type_name.encode() + b"\0" + form.to_binary()


def _remove(name: str, message: Message) -> bool:
    """Removes the value of a field. Returns whether the message has this field."""
    found = next((field for field in message.desc().fields if field.name == name), None)
    if found is not None:
        del message[found]
    return found is not None


def _sort_maps(message: Message) -> None:
    for field in list(message):
        kind, value = field.value, message[field]
        if isinstance(kind, DescFieldValueMap):
            message[field] = dict(sorted(value.items()))
            nested = list(value.values()) if isinstance(kind.value, DescMessage) else []
        elif isinstance(kind, DescFieldValueList):
            nested = value if isinstance(kind.element, DescMessage) else []
        else:
            nested = [value] if isinstance(kind, DescFieldValueMessage) else []
        for inner in nested:
            _sort_maps(inner)
