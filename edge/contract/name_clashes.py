"""Detection of ambiguous field names in the messages that rules reach."""

from collections.abc import Iterable, Iterator

from google.protobuf.descriptor_pb2 import DescriptorProto

from edge.contract.rule_checks import Messages
from edge.contract.types import json_name, json_name_owners


def find_name_clashes(roots: Iterable[str], messages: Messages) -> Iterator[tuple[str, str]]:
    """Yields the ambiguous names in these messages and those that they contain, each as (message, description)."""
    waiting = list(dict.fromkeys(roots))
    seen = set(waiting)
    while waiting:
        name = waiting.pop()
        message = messages.get(name)
        if message is None:
            continue
        yield from ((name, why) for why in _in_message(message))
        held = dict.fromkeys(field.type_name[1:] for field in message.field if field.type_name)
        new = [each for each in held if each not in seen]
        seen.update(new)
        waiting += new


def _in_message(message: DescriptorProto) -> Iterator[str]:
    json_names = {field.name: field.json_name or json_name(field.name) for field in message.field}
    renamed = {json for proto, json in json_names.items() if json != proto}
    if renamed.isdisjoint(json_names) and len(set(json_names.values())) == len(json_names):
        return
    owners = json_name_owners((json, proto) for proto, json in json_names.items())
    for proto, json in json_names.items():
        if owners[json] != proto:
            json_names[proto] = proto
            owner = owners[json]
            yield f"{proto} and {owner} are both {json!r} in JSON: it means {owner}; {proto} keeps its name"
    for proto, json in json_names.items():
        if (owner := owners.get(proto, proto)) != proto:
            why = f"{proto!r} means {owner}, whose json_name it is, wherever clients write it"
            yield f"{why}; the field {proto} is {json!r} there"
