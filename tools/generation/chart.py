"""charts/meshwright/services.yaml: the declared services, as the chart's templates read them."""

from collections.abc import Sequence
from typing import Any, Final

import yaml

from local.declarations.service import Service

HEADER: Final = (
    "# The services, as services/*/service.toml declare them. Written by `make generate`: change those, not this.\n"
    "# The values of the chart take precedence: `services` in values.yaml.\n"
)


def write_services(services: Sequence[Service]) -> str:
    """Returns the text of the file."""
    return HEADER + yaml.safe_dump({each.name: _spec(each) for each in services}, default_flow_style=None, width=120)


def _spec(service: Service) -> dict[str, Any]:
    """Returns the declaration with the keys of the chart's values."""
    memory = service.declaration.memory
    spec = {
        "database": service.declaration.database,
        "mail": service.declaration.mail,
        "internet": service.declaration.internet,
        "issuesTokens": service.declaration.issues_tokens,
        "generatedSecrets": list(service.declaration.generated_secrets),
        "env": service.declaration.environment(),
        "resources": {"requests": {"memory": memory}} if memory else {},
    }
    return {key: value for key, value in spec.items() if value}
