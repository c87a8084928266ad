"""From a descriptor image to the frozen records that all later stages work with.

An image is a google.protobuf.FileDescriptorSet with every import in it. google/api/http.proto says what its rules mean.
Rules are read and checked at the start, all of them; the types that they are about are built when they are used.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from google.protobuf.descriptor_pb2 import FileDescriptorSet, MethodDescriptorProto
from protobuf import DescField, DescFieldValueMessage, DescMessage, DescMethod
from protobuf.wkt.google.protobuf.descriptor_pb import MethodOptions

from edge.contracts.image import HTTP_RULE, read_image
from edge.contracts.types import Types, messages_in
from edge.name_clashes import clashes
from edge.path_template import PathTemplate, TemplateError, parse
from edge.rule_checks import WHOLE_BODY, Messages, RuleCheck, RuleError
from mesh.errors import InvalidArgument
from mesh.policy import Policy, policy_of

VALIDATION_RULES: Final = "buf/validate/validate.proto"

# What a method is written in: RFC 9110, section 5.6.2.
_METHOD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Z]+")
_IDEMPOTENT: Final = frozenset(
    {MethodOptions.IdempotencyLevel.NO_SIDE_EFFECTS, MethodOptions.IdempotencyLevel.IDEMPOTENT}
)


class Method:
    """One RPC. `name` is "package.Service.Method", `path` what gRPC sends, "/package.Service/Method"."""

    def __init__(self, service: str, name: str, types: Types, *, has_effects: bool, streams: bool) -> None:
        """`has_effects` is false only if the contract says so: by idempotency_level NO_SIDE_EFFECTS. `streams` says
        that requests or responses may be several messages.
        """
        self.name = f"{service}.{name}"
        self.path = f"/{service}/{name}"
        self.service = service
        self.has_effects = has_effects
        self.streams = streams
        self._types = types

    @cached_property
    def desc(self) -> DescMethod:
        """The method's descriptor."""
        service = self._types.service(self.service)
        assert service is not None, "the image declares it"
        return next(method for method in service.methods if self.path.endswith(f"/{method.name}"))

    @cached_property
    def policy(self) -> Policy:
        """What the contract says about its operation."""
        return policy_of(self.desc)

    @cached_property
    def idempotent(self) -> bool:
        """Whether it may be called again when nobody knows if it was carried out."""
        return self.desc.idempotency in _IDEMPOTENT


class Route:
    """One way to reach a method over HTTP: a google.api.http rule or one of its additional bindings.

    `whole_body` says that the body is the request itself.
    """

    def __init__(
        self, method: Method, http_method: str, template: PathTemplate, body: str = "", response_body: str = ""
    ) -> None:
        """`body` and `response_body` are those of the rule."""
        self.method = method
        self.http_method = http_method
        self.template = template
        self.whole_body = body == WHOLE_BODY
        self._body = "" if self.whole_body else body
        self._response_body = response_body

    @cached_property
    def variables(self) -> tuple[tuple[DescField, ...], ...]:
        """The fields, from the outermost to the leaf, that each of the template's variables sets, in their order."""
        return tuple(_fields(self.method.desc.input, variable.field_path) for variable in self.template.variables)

    @cached_property
    def body(self) -> DescField | None:
        """The field that the body is, None if it is another, or none."""
        return _fields(self.method.desc.input, (self._body,))[0] if self._body else None

    @cached_property
    def response_body(self) -> DescField | None:
        """The field of the response that is answered, None for all of it."""
        return _fields(self.method.desc.output, (self._response_body,))[0] if self._response_body else None


def _fields(message: DescMessage, path: tuple[str, ...]) -> tuple[DescField, ...]:
    """The fields along a path, which the start has found good."""
    fields: list[DescField] = []
    for name in path:
        fields.append(next(field for field in message.fields if field.name == name))
        if isinstance(fields[-1].value, DescFieldValueMessage):
            message = fields[-1].value.message
    return tuple(fields)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something about a rule that its author should know. `column` counts from 1; 0 stands for the whole rule. Without
    a template it is about the message or the services that `method` names.
    """

    method: str
    template: str
    column: int
    why: str
    fatal: bool = True

    def __str__(self) -> str:
        column = f", column {self.column}" if self.column else ""
        where = f"{self.template!r}{column}: " if self.template else ""
        return f"{'error' if self.fatal else 'warning'}: {self.method}: {where}{self.why}"


@dataclass(frozen=True, slots=True, repr=False)
class Contract:
    """All that an image says about HTTP, in the order of its files. `services` are the full names of all, `methods`
    those that have a rule; `validated` are the methods whose requests may have validation rules.
    """

    registry: Types
    services: tuple[str, ...]
    methods: tuple[Method, ...]
    routes: tuple[Route, ...]
    problems: tuple[Problem, ...]
    validated: frozenset[str]


def load(path: Path) -> Contract:
    """Reads the image in a file. Raises InvalidArgument with a sentence if it is none."""
    return read(read_image(path))


def read(image: FileDescriptorSet) -> Contract:
    """Reads an image that is in memory. Raises InvalidArgument if something is missing from it."""
    types = Types(image)
    files = {file.name: file for file in image.file}.values()
    messages = {name: message for file in files for name, message in messages_in(file)}
    with_rules = types.files_importing(VALIDATION_RULES)
    services, methods, validated = [], [], set()
    reached: list[str] = []
    found: list[Route | Problem] = []
    for file in files:
        for service in file.service:
            name = f"{file.package}.{service.name}" if file.package else service.name
            services.append(name)
            for proto in service.method:
                has_effects = proto.options.idempotency_level != MethodOptions.IdempotencyLevel.NO_SIDE_EFFECTS.value
                streams = proto.client_streaming or proto.server_streaming
                method = Method(name, proto.name, types, has_effects=has_effects, streams=streams)
                if not proto.options.HasExtension(HTTP_RULE):
                    continue
                methods.append(method)
                found += _routes(method, proto, messages)
                reached += (proto.input_type[1:], proto.output_type[1:])
                if types.file_of(proto.input_type[1:]) in with_rules:
                    validated.add(method.name)
    routes = tuple(each for each in found if isinstance(each, Route))
    problems = [each for each in found if isinstance(each, Problem)]
    problems += (Problem(message, "", 0, why, fatal=False) for message, why in clashes(reached, messages))
    return Contract(types, tuple(services), tuple(methods), routes, tuple(problems), frozenset(validated))


def _routes(method: Method, proto: MethodDescriptorProto, messages: Messages) -> Iterator[Route | Problem]:
    for type_name in (proto.input_type, proto.output_type):
        if type_name[1:] not in messages:
            raise InvalidArgument(f"The contracts are damaged: {method.name} uses {type_name[1:]}, which is not there.")
    rule = proto.options.Extensions[HTTP_RULE]
    yield from _route(method, rule, proto, messages)
    for additional in rule.additional_bindings:
        if additional.additional_bindings:
            yield Problem(method.name, _pattern(additional)[1], 0, "additional_bindings can't be nested")
        yield from _route(method, additional, proto, messages)


def _pattern(rule: Any) -> tuple[str, str]:
    """The HTTP method and the template of a google.api.HttpRule; both are empty if it has none."""
    kind = rule.WhichOneof("pattern")
    if kind == "custom":
        return rule.custom.kind.upper(), rule.custom.path
    return (kind.upper(), getattr(rule, kind)) if kind else ("", "")


def _route(method: Method, rule: Any, proto: MethodDescriptorProto, messages: Messages) -> Iterator[Route | Problem]:
    http_method, text = _pattern(rule)
    if http_method and not _METHOD.fullmatch(http_method):
        yield Problem(method.name, text, 0, f"{http_method!r} can't be an HTTP method")
        return
    if not http_method:
        yield Problem(method.name, text, 0, "the rule names no HTTP method and path")
        return
    request, response = proto.input_type[1:], proto.output_type[1:]
    try:
        template = parse(text)
        check = RuleCheck(request, response, template, rule.body, messages)
        check.check(rule.response_body)
    except (TemplateError, RuleError) as error:
        yield Problem(method.name, text, error.column, error.why)
        return
    for column, why in check.contradictions():
        yield Problem(method.name, text, column, why, fatal=False)
    if rule.body and http_method in ("GET", "HEAD", "DELETE"):
        yield Problem(method.name, text, 0, f"clients may not be able to send a body with {http_method}", fatal=False)
    yield Route(method, http_method, template, rule.body, rule.response_body)
