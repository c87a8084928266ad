"""From a descriptor image to the frozen records that all later stages work with.

An image is a serialised google.protobuf.FileDescriptorSet with every import in it, as `buf build` and
`protoc --include_imports --descriptor_set_out` write it. google/api/http.proto says what the rules mean.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from googleapis.google.api.annotations_pb import ext_http
from googleapis.google.api.http_pb import CustomHttpPattern, HttpRule
from protobuf import (
    DescField,
    DescFieldValueEnum,
    DescFieldValueMessage,
    DescFieldValueScalar,
    DescMessage,
    DescMethod,
    DescService,
    Registry,
)
from protobuf.wkt import FileDescriptorSet
from protobuf.wkt.google.protobuf.descriptor_pb import MethodOptions

from edge.path_template import PathTemplate, TemplateError, Variable, parse
from edge.protojson.leaves import text_leaf
from mesh.errors import InvalidArgument
from mesh.policy import Policy, policy_of

WHOLE_BODY: Final = "*"

_IDEMPOTENT: Final = frozenset(
    {MethodOptions.IdempotencyLevel.NO_SIDE_EFFECTS, MethodOptions.IdempotencyLevel.IDEMPOTENT}
)


@dataclass(frozen=True, slots=True, repr=False)
class Method:
    """One RPC. `name` is "package.Service.Method", `path` what gRPC sends, "/package.Service/Method"."""

    name: str
    path: str
    service: str
    desc: DescMethod
    policy: Policy
    idempotent: bool

    @classmethod
    def of(cls, desc: DescMethod) -> "Method":
        """Reads a method's record from its descriptor."""
        service = desc.parent.type_name
        path, idempotent = f"/{service}/{desc.name}", desc.idempotency in _IDEMPOTENT
        return cls(f"{service}.{desc.name}", path, service, desc, policy_of(desc), idempotent)


@dataclass(frozen=True, slots=True, repr=False)
class Route:
    """One way to reach a method over HTTP: a google.api.http rule or one of its additional bindings.

    `variables` are the fields, from the outermost to the leaf, that each of the template's variables sets, in their
    order. `body` is the field that the body is, if `whole_body` does not make it the request itself.
    `response_body` is the field of the response that is answered, None for all of it.
    """

    method: Method
    http_method: str
    template: PathTemplate
    variables: tuple[tuple[DescField, ...], ...]
    whole_body: bool
    body: DescField | None
    response_body: DescField | None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something about a rule that its author should know. `column` counts from 1; 0 stands for the whole rule."""

    method: str
    template: str
    column: int
    why: str
    fatal: bool = True

    def __str__(self) -> str:
        where = f"{self.template!r}, column {self.column}" if self.column else repr(self.template)
        return f"{'error' if self.fatal else 'warning'}: {self.method}: {where}: {self.why}"


@dataclass(frozen=True, slots=True, repr=False)
class Contract:
    """All that an image says about HTTP, in the order of its files."""

    registry: Registry
    services: tuple[DescService, ...]
    routes: tuple[Route, ...]
    problems: tuple[Problem, ...]


def load(path: Path) -> Contract:
    """Reads an image. Raises InvalidArgument with a sentence if it is none."""
    try:
        image = FileDescriptorSet.from_binary(path.read_bytes())
    except OSError as error:
        raise InvalidArgument(f"The contracts can't be read from {path}: {error.strerror}.") from error
    except (ValueError, EOFError) as error:
        raise InvalidArgument(f"{path} is not a descriptor image, as `buf build -o` writes it.") from error
    return read(image)


def read(image: FileDescriptorSet) -> Contract:
    """Reads an image that is in memory. Raises InvalidArgument if an import is missing from it."""
    try:
        registry = image.to_registry()
    except ValueError as error:
        raise InvalidArgument(f"The descriptor image is not complete: {error}. Build it with its imports.") from error
    files = [file for proto in image.file if (file := registry.file(proto.name)) is not None]
    services = tuple(service for file in files for service in file.services)
    found = [each for service in services for desc in service.methods for each in _routes(desc)]
    routes = tuple(each for each in found if isinstance(each, Route))
    problems = tuple(each for each in found if isinstance(each, Problem))
    return Contract(registry, services, routes, problems)


def _routes(desc: DescMethod) -> Iterator[Route | Problem]:
    options = desc.proto.options
    if options is None or ext_http not in options:
        return
    method, rule = Method.of(desc), options[ext_http]
    if desc.method_kind != "unary":
        yield Problem(method.name, _pattern(rule)[1], 0, "streams are not served; the rule is left out", fatal=False)
        return
    yield from _route(method, rule)
    for additional in rule.additional_bindings:
        if additional.additional_bindings:
            yield Problem(method.name, _pattern(additional)[1], 0, "additional_bindings can't be nested")
        yield from _route(method, additional)


def _pattern(rule: HttpRule) -> tuple[str, str]:
    """The HTTP method and the template of a rule; both are empty if it has none."""
    if rule.pattern is None:
        return "", ""
    if isinstance(rule.pattern.value, CustomHttpPattern):
        return rule.pattern.value.kind.upper(), rule.pattern.value.path
    return rule.pattern.field.upper(), rule.pattern.value


class _RuleError(ValueError):
    def __init__(self, column: int, why: str) -> None:
        super().__init__(why)
        self.column = column
        self.why = why


def _route(method: Method, rule: HttpRule) -> Iterator[Route | Problem]:
    http_method, text = _pattern(rule)
    if not http_method:
        yield Problem(method.name, text, 0, "the rule names no HTTP method and path")
        return
    try:
        template = parse(text)
        variables = tuple(_variable(method.desc.input, variable) for variable in template.variables)
        body = _body(method.desc.input, rule.body, variables)
        response_body = _field(method.desc.output, rule.response_body, "response_body") if rule.response_body else None
    except (TemplateError, _RuleError) as error:
        yield Problem(method.name, text, error.column, error.why)
        return
    if rule.body and http_method in ("GET", "HEAD", "DELETE"):
        yield Problem(method.name, text, 0, f"clients may not be able to send a body with {http_method}", fatal=False)
    yield Route(method, http_method, template, variables, rule.body == WHOLE_BODY, body, response_body)


def _variable(message: DescMessage, variable: Variable) -> tuple[DescField, ...]:
    """The fields along a variable's path; the last one is a leaf that text can stand for."""
    fields: list[DescField] = []
    at: DescMessage | None = message
    for name in variable.field_path:
        if at is None:
            raise _RuleError(variable.column, f"{fields[-1].name} is not a message and has no field {name}")
        field = _find(at, name)
        if field is None:
            raise _RuleError(variable.column, f"{at.type_name} has no field {name}")
        fields.append(field)
        at = field.value.message if isinstance(field.value, DescFieldValueMessage) else None
    match fields[-1].value:
        case (
            DescFieldValueScalar(scalar=element)
            | DescFieldValueEnum(enum=element)
            | DescFieldValueMessage(message=element)
        ) if text_leaf(element) is not None:
            return tuple(fields)
    raise _RuleError(variable.column, f"{'.'.join(variable.field_path)} is repeated or a message; a path can't hold it")


def _body(message: DescMessage, name: str, variables: tuple[tuple[DescField, ...], ...]) -> DescField | None:
    if name in ("", WHOLE_BODY):
        return None
    field = _field(message, name, "body")
    if (field,) in variables:
        raise _RuleError(0, f"{name} is both the body and a variable of the path")
    return field


def _field(message: DescMessage, name: str, what: str) -> DescField:
    field = _find(message, name)
    if field is None:
        raise _RuleError(0, f"{what}: {message.type_name} has no field {name}")
    return field


def _find(message: DescMessage, name: str) -> DescField | None:
    return next((field for field in message.fields if field.name == name), None)
