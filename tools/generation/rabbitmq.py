"""charts/meshwright/files/rabbitmq-definitions.json: the users of the chart's RabbitMQ, without their passwords."""

import json
from collections.abc import Sequence
from typing import Final

from mesh.contract.events import Participant
from mesh.events.rabbitmq.users import definitions, users

VERSION: Final = 4  # the major version of the image in the chart and in compose.rabbitmq.yaml


def rabbitmq_definitions(services: Sequence[Participant]) -> str:
    """Returns the text of the file."""
    all_users = users(services)
    return json.dumps(definitions(all_users, {user.name: "" for user in all_users}, VERSION), indent=2) + "\n"
