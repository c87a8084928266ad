"""Contradictions between declarations, contracts and code."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from meshwright.policy.v1.policy_pb import MethodPolicy, ext_method
from protobuf import DescMessage, DescMethod, DescService
from protobuf.plugin import get_comments
from protobuf.wkt import FileDescriptorSet
from protobuf.wkt.google.protobuf.descriptor_pb import FieldDescriptorProto

from local.declarations.checkout import PACKAGE_PREFIX
from local.declarations.problem import Problem
from local.declarations.service import Service
from mesh.codegen.chart import workload_of
from mesh.codegen.generator import python_name
from mesh.codegen.source_line import source_line
from mesh.contract.events import consumers_of_events, publisher_of
from mesh.contract.policy import ANY_WORKLOAD, policy_of
from services.identity.domain import ALL_SCOPES
from tools.generation.code import Place, ServiceCode, client_methods

# Field numbers in the path to an option: google/protobuf/descriptor.proto, policy.proto.
_SERVICE, _METHOD, _OPTIONS, _POLICY = 6, 2, 4, 51820
_MESSAGE_OPTIONS, _EVENT, _CONSUMERS, _SCOPES, _CALLERS = 7, 51820, 1, 2, 6
PROTO: Final = "proto"
EVENTS_PACKAGE: Final = "mesh.events"
_RELAY: Final = "Relay(database, broker)"
_INBOX: Final = "Inbox(database, broker, service=process.name, handlers=…)"


def contract_problems(services: Sequence[Service], image: FileDescriptorSet) -> Iterator[Problem]:
    """Yields the contradictions between contracts and declarations. Nothing can be generated while there are any."""
    names = {service.name for service in services}
    for method, path in _methods(image):
        yield from _method_problems(method, path, names, image)
    yield from _name_problems(image)
    yield from _package_problems(names, image)
    for event, consumers in consumers_of_events(image.to_registry()):
        yield from _event_problems(event, consumers, names, image)
    for service in services:
        if not service.types:
            why = (
                f"There is no contract: no .proto file of the package {PACKAGE_PREFIX}{service.name}.v1, in "
                f"{PROTO}/{service_folder(service)}, declares a gRPC service."
            )
            yield service.file.problem(why)
        if service.events and not service.declaration.database:
            why = "The service publishes or consumes events, which needs a database: add database = true."
            yield service.file.problem(why, "database")


def code_problems(code: Mapping[str, ServiceCode], image: FileDescriptorSet) -> Iterator[Problem]:
    """Yields calls and events in the code of the services, by their names, that contracts do not allow, and scopes,
    callers and events of contracts that the code lacks.
    """
    methods = client_methods(image)
    events = {event.type_name: (event, consumers) for event, consumers in consumers_of_events(image.to_registry())}
    called: set[tuple[str, str]] = set()
    for service, own_code in code.items():
        calls = list(own_code.calls(methods))
        called |= {(service, _full_name(method)) for method, _ in calls}
        yield from _call_problems(service, calls)
        used = dict(own_code.messages())
        yield from _use_problems(service, used, events, image)
        yield from _wiring_problems(service, own_code, [events[name] for name in used if name in events])
    for method, path in _methods(image):
        yield from _scope_problems(method, path, image)
        for position, caller in enumerate(_policy_option(method).callers):
            if caller in code and (caller, _full_name(method)) not in called:
                why = f"{method.name} names the caller {caller!r}, but no file of services/{caller} calls it."
                yield _at_policy(method, path, image, why, _CALLERS, position)


def _call_problems(service: str, calls: Sequence[tuple[DescMethod, Place]]) -> Iterator[Problem]:
    for method, place in calls:
        if workload_of(method.parent) != service and not policy_of(method).admits_connection(service):
            why = (
                f"{service} calls {method.parent.name}.{method.name}, whose contract does not name it: add "
                f'callers: "{service}" in {PROTO}/{method.parent.file.name}.'
            )
            yield Problem(place.path, place.line, why)


def _use_problems(
    service: str,
    used: Mapping[str, Place],
    events: Mapping[str, tuple[DescMessage, Sequence[str]]],
    image: FileDescriptorSet,
) -> Iterator[Problem]:
    for name, (event, consumers) in events.items():
        is_publisher, is_consumer = publisher_of(name) == service, service in consumers
        if (place := used.get(name)) is not None:
            if not is_publisher and not is_consumer:
                why = (
                    f"{service} uses the event {event.name}, whose contract does not name it: add "
                    f'consumers: "{service}" in {PROTO}/{event.file.name}.'
                )
                yield Problem(place.path, place.line, why)
            continue
        if is_publisher:
            why = f"The event {event.name} is published by nobody: no file of services/{service} uses it."
            yield _at_event(event, image, why)
        if is_consumer:
            why = f"The event {event.name} names the consumer {service!r}, but no file of services/{service} uses it."
            yield _at_event(event, image, why)


def _wiring_problems(
    service: str, own_code: ServiceCode, used: Collection[tuple[DescMessage, Sequence[str]]]
) -> Iterator[Problem]:
    """Yields the parts of a service without which its events stay in the outbox, or at the broker, unnoticed."""
    publishers = {publisher_of(event.type_name) for event, _ in used}
    consumers = {consumer for _, consumers in used for consumer in consumers}
    for does, part, services in (("publishes", _RELAY, publishers), ("consumes", _INBOX, consumers)):
        name = part.partition("(")[0]
        if service in services and not own_code.uses(EVENTS_PACKAGE, name):
            why = f"{service} {does} events, but no file starts its {name}: add `await process.enter({part})`."
            yield Problem(f"services/{service}/__main__.py", 1, why)


def service_folder(service: Service) -> str:
    """Returns the folder of a service's contract, below proto/."""
    return f"{PACKAGE_PREFIX.replace('.', '/')}{service.name}/v1"


def _method_problems(
    method: DescMethod, path: tuple[int, ...], names: set[str], image: FileDescriptorSet
) -> Iterator[Problem]:
    policy = policy_of(method)
    if why := policy.contradiction or policy.contradiction_of_response(_flags(method.output), streams=_streams(method)):
        yield _at_policy(method, path, image, f"{method.name} {why}.")
    if policy.internal and not policy.callers:
        why = "has neither a google.api.http rule nor callers: nobody can call it."
        yield _at_policy(method, path, image, f"{method.name} {why}")
    for position, caller in enumerate(_policy_option(method).callers):
        if caller not in {*names, ANY_WORKLOAD}:
            why = (
                f"{method.name} names the caller {caller!r}, which is no workload. "
                f"Name some of these: {', '.join(sorted(names))}; or {ANY_WORKLOAD!r}, which is all of them."
            )
            yield _at_policy(method, path, image, why, _CALLERS, position)


def _name_problems(image: FileDescriptorSet) -> Iterator[Problem]:
    """Yields the methods that have the Python name of an earlier one of their service, which they would replace."""
    earlier: dict[tuple[str, str], DescMethod] = {}
    for method, path in _methods(image):
        name = python_name(method)
        first = earlier.setdefault((method.parent.type_name, name), method)
        if first is not method:
            why = f"{method.name} is {name} in Python, and so is {first.name}: rename one of them."
            yield _problem(image, method.parent.file.name, path, why)


def _package_problems(names: set[str], image: FileDescriptorSet) -> Iterator[Problem]:
    """Yields the gRPC services with routes whose package is that of no service. The edge does not start without an
    upstream for each.
    """
    for desc in image.to_registry():
        if not isinstance(desc, DescService):
            continue
        has_owner = desc.type_name.startswith(PACKAGE_PREFIX) and workload_of(desc) in names
        if not has_owner and not all(policy_of(method).internal for method in desc.methods):
            why = (
                f"No service has {desc.name} of the package {desc.file.proto.package}. Packages are "
                f"{PACKAGE_PREFIX}<service>.v1, and the services are: {', '.join(sorted(names))}."
            )
            yield _problem(image, desc.file.name, (_SERVICE, list(desc.file.services).index(desc)), why)


def _scope_problems(method: DescMethod, path: tuple[int, ...], image: FileDescriptorSet) -> Iterator[Problem]:
    for position, scope in enumerate(_policy_option(method).scopes):
        if scope not in ALL_SCOPES:
            why = (
                f"{method.name} requires the scope {scope!r}, which no role of identity has: "
                "add it in services/identity/domain.py."
            )
            yield _at_policy(method, path, image, why, _SCOPES, position)


def _policy_option(method: DescMethod) -> MethodPolicy:
    """Returns the option as it is written, in the order of its parts."""
    options = method.proto.options
    return options[ext_method] if options is not None and ext_method in options else MethodPolicy()


def _flags(response: DescMessage) -> list[str]:
    fields = (field.proto for field in response.fields)
    return [
        field.name
        for field in fields
        if field.type is FieldDescriptorProto.Type.BOOL and field.label is not FieldDescriptorProto.Label.REPEATED
    ]


def _streams(method: DescMethod) -> bool:
    return method.proto.client_streaming or method.proto.server_streaming


def _event_problems(
    event: DescMessage, consumers: Sequence[str], names: set[str], image: FileDescriptorSet
) -> Iterator[Problem]:
    if event.parent is not None:
        why = (
            f"{event.name} is an event inside the message {event.parent.name}: move it out, because the package before "
            "its name is that of its publisher."
        )
        yield _at_event(event, image, why)
        return
    for position, consumer in enumerate(consumers):
        if consumer not in names:
            why = (
                f"{event.name} names the consumer {consumer!r}, which is no workload. "
                f"Name some of these: {', '.join(sorted(names))}."
            )
            yield _at_event(event, image, why, position)
    publisher = publisher_of(event.type_name)
    if consumers and publisher not in names:
        why = f"The event {event.name} is consumed, but there is no service that publishes it: services/{publisher}."
        yield _at_event(event, image, why)


def _methods(image: FileDescriptorSet) -> Iterator[tuple[DescMethod, tuple[int, ...]]]:
    """Yields our methods with their paths in their files' descriptors."""
    for desc in image.to_registry():
        if isinstance(desc, DescService) and desc.type_name.startswith(PACKAGE_PREFIX):
            index = list(desc.file.services).index(desc)
            yield from ((method, (_SERVICE, index, _METHOD, number)) for number, method in enumerate(desc.methods))


def _full_name(method: DescMethod) -> str:
    return f"{method.parent.type_name}.{method.name}"


def _at_policy(method: DescMethod, path: tuple[int, ...], image: FileDescriptorSet, why: str, *within: int) -> Problem:
    return _problem(image, method.parent.file.name, (*path, _OPTIONS, _POLICY, *within), why)


def _at_event(event: DescMessage, image: FileDescriptorSet, why: str, consumer: int = 0) -> Problem:
    path = (*get_comments(event).source_path, _MESSAGE_OPTIONS, _EVENT, _CONSUMERS, consumer)
    return _problem(image, event.file.name, path, why)


def _problem(image: FileDescriptorSet, file_name: str, path: tuple[int, ...], why: str) -> Problem:
    return Problem(f"{PROTO}/{file_name}", source_line(image, file_name, path), why)
