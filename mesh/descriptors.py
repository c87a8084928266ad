"""Fields as their descriptors declare them."""

from protobuf import DescField, DescFieldValueList, DescFieldValueMap, DescFieldValueMessage, DescMessage


def inner_message(field: DescField) -> DescMessage | None:
    """Returns the message type that a field holds, singly, in a list or in a map; None if it holds none."""
    match field.value:
        case (
            DescFieldValueMessage(message=DescMessage() as message)
            | DescFieldValueList(element=DescMessage() as message)
            | DescFieldValueMap(value=DescMessage() as message)
        ):
            return message
    return None
