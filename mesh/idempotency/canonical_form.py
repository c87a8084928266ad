"""The canonical form of a request: the same bytes for equal requests."""

import copy

from protobuf import DescFieldValueList, DescFieldValueMap, DescFieldValueMessage, DescMessage, Message

REQUEST_ID_FIELD = "request_id"


def canonical_form(request: Message) -> bytes:
    """Returns the request without its request_id as bytes, the same for equal requests: maps are sorted by key."""
    form = copy.deepcopy(request)
    for field in form.desc().fields:
        if field.name == REQUEST_ID_FIELD:
            del form[field]
    _sort_maps(form)
    return form.desc().type_name.encode() + b"\0" + form.to_binary()


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
