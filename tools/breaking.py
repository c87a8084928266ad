"""The changes of HTTP rules and policies that break clients. `buf breaking` finds those of messages and methods.

python -m tools.breaking <image before> <image after>
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from protobuf import DescService
from protobuf.wkt import FileDescriptorSet

from edge.contract.contract import load
from edge.contract.route import Route
from edge.contract.rule_checks import WHOLE_BODY
from mesh.contract.policy import ANY_WORKLOAD, Policy, policy_of


def main() -> None:
    """Prints the changes between two images. Exits with 1 if there are any."""
    changes = list(breaking_changes(Path(sys.argv[1]), Path(sys.argv[2])))
    for change in changes:
        print(change)
    sys.exit(1 if changes else 0)


def breaking_changes(before: Path, after: Path) -> Iterator[str]:
    """Yields the changes between the images in two files. Methods that are in one of them only have none."""
    new_policies, new_routes = _policies(after), _routes(after)
    for method, policy in _policies(before).items():
        if method in new_policies:
            yield from (f"{method} {change}." for change in _policy_changes(policy, new_policies[method]))
    for key, route in _routes(before).items():
        if route.method.name in new_policies and (change := _route_change(route, new_routes.get(key))):
            yield f"{route.method.name}: {route.http_method} {route.template.text} {change}."


def _policies(image: Path) -> dict[str, Policy]:
    registry = FileDescriptorSet.from_binary(image.read_bytes()).to_registry()
    services = [desc for desc in registry if isinstance(desc, DescService)]
    return {f"{service.type_name}.{each.name}": policy_of(each) for service in services for each in service.methods}


def _routes(image: Path) -> dict[Any, Route]:
    """Returns the routes by their methods and URLs, regardless of the names of variables."""
    return {
        (each.method.name, each.http_method, each.template.segments, each.template.literal, each.template.verb): each
        for each in load(image).routes
    }


def _policy_changes(before: Policy, after: Policy) -> Iterator[str]:
    if before.public and not after.public:
        yield "requires a token"
    if scopes := after.scopes - before.scopes:
        yield f"requires more scopes: {', '.join(sorted(scopes))}"
    if ANY_WORKLOAD not in after.callers and (callers := before.callers - after.callers):
        yield f"no longer admits callers: {', '.join(sorted(callers))}"
    if before.http_status != after.http_status:
        yield f"has http_status {after.http_status}, not {before.http_status}"
    if before.error_format != after.error_format:
        yield f"has error_format {after.error_format.name}, not {before.error_format.name}"
    if before.ignore_unknown_fields and not after.ignore_unknown_fields:
        yield "no longer ignores unknown fields"


def _route_change(before: Route, after: Route | None) -> str:
    if after is None:
        return "is no longer served"
    if _captures(before) != _captures(after):
        return f"is now {after.template.text}, which sets other fields"
    if _body(before) != _body(after):
        return f"has body {_body(after)!r}, not {_body(before)!r}"
    if _response_body(before) != _response_body(after):
        return f"has response_body {_response_body(after)!r}, not {_response_body(before)!r}"
    return ""


def _captures(route: Route) -> list[Any]:
    return [(each.field_path, each.start, each.end) for each in route.template.variables]


def _body(route: Route) -> str:
    """Returns the body as the rule names it."""
    return WHOLE_BODY if route.whole_body else route.body.name if route.body else ""


def _response_body(route: Route) -> str:
    return route.response_body.name if route.response_body else ""


if __name__ == "__main__":
    main()
