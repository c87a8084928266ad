"""The contract: a descriptor image as the immutable records that all later stages use.

An image is a google.protobuf.FileDescriptorSet with all of its imports. google/api/http.proto defines the meaning of
the rules. All rules are read and checked at startup; message types are built on first use.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)
from protobuf.wkt.google.protobuf.descriptor_pb import MethodOptions

from edge.contract.authorization_endpoint import authorizes_clients
from edge.contract.image import HTTP_RULE, read_image
from edge.contract.method import Method
from edge.contract.name_clashes import find_name_clashes
from edge.contract.problem import Problem
from edge.contract.route import Route
from edge.contract.rule_checks import Messages, RuleCheck, RuleError
from edge.contract.token_endpoint import issues_tokens
from edge.contract.types import LazyTypes, messages_in
from edge.httprule.template import TemplateError, parse
from mesh.contract.policy import policy_of_options
from mesh.errors import InvalidArgument

VALIDATION_RULES: Final = "buf/validate/validate.proto"
POLICY: Final = "meshwright/policy/v1/policy.proto"

# The characters of a method: RFC 9110, section 5.6.2, without lower-case letters.
_METHOD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Z]+")


@dataclass(frozen=True, slots=True, repr=False)
class Contract:
    """The HTTP interface of an image, in the order of its files.

    `services` are the full names of all services, `methods` the methods with a rule, and `validated` the names of the
    methods whose requests may have validation rules, `refused` those of the methods whose policy contradicts itself:
    they are not served under any URL.
    """

    registry: LazyTypes
    services: tuple[str, ...]
    methods: tuple[Method, ...]
    routes: tuple[Route, ...]
    problems: tuple[Problem, ...]
    validated: frozenset[str]
    refused: frozenset[str]


def load(path: Path) -> Contract:
    """Reads the image in a file. Raises InvalidArgument if the file is not a complete image."""
    return read(read_image(path))


def read(image: FileDescriptorSet) -> Contract:
    """Reads an image in memory. Raises InvalidArgument if it is not complete."""
    types = LazyTypes(image)
    files = {file.name: file for file in image.file}.values()
    messages = {name: message for file in files for name, message in messages_in(file)}
    with_rules = types.files_importing(VALIDATION_RULES)
    with_policies = types.files_importing(POLICY)
    services, methods, validated, refused = [], [], set(), set()
    reached: list[str] = []
    found: list[Route | Problem] = []
    for file in files:
        for service in file.service:
            name = f"{file.package}.{service.name}" if file.package else service.name
            services.append(name)
            for proto in service.method:
                if not proto.options.HasExtension(HTTP_RULE):
                    continue
                method = _method(name, proto, types, messages)
                methods.append(method)
                if file.name in with_policies and (why := _contradiction(proto, messages)):
                    found.append(Problem(method.name, "", 0, why))
                    refused.add(method.name)
                    continue
                found += _routes(method, proto, messages)
                reached += (proto.input_type[1:], proto.output_type[1:])
                if types.file_of(proto.input_type[1:]) in with_rules:
                    validated.add(method.name)
    routes = tuple(each for each in found if isinstance(each, Route))
    problems = [each for each in found if isinstance(each, Problem)]
    problems += (Problem(message, "", 0, why, fatal=False) for message, why in find_name_clashes(reached, messages))
    return Contract(
        types, tuple(services), tuple(methods), routes, tuple(problems), frozenset(validated), frozenset(refused)
    )


def _method(service: str, proto: MethodDescriptorProto, types: LazyTypes, messages: Messages) -> Method:
    return Method(
        service,
        proto.name,
        types,
        has_effects=proto.options.idempotency_level != MethodOptions.IdempotencyLevel.NO_SIDE_EFFECTS.value,
        streams=proto.client_streaming or proto.server_streaming,
        issues_tokens=issues_tokens(proto, messages),
        authorizes_clients=authorizes_clients(proto, messages),
    )


def _contradiction(proto: MethodDescriptorProto, messages: Messages) -> str:
    """Returns why the policy of a method can't be as it is; empty if it can. Its types need not be built for that."""
    policy = policy_of_options(MethodOptions.from_binary(proto.options.SerializeToString()))
    if policy.contradiction or not policy.degraded_field:
        return policy.contradiction
    response = messages.get(proto.output_type[1:], DescriptorProto())
    flags = [field.name for field in response.field if _is_flag(field)]
    return policy.contradiction_of_response(flags, streams=proto.client_streaming or proto.server_streaming)


def _is_flag(field: FieldDescriptorProto) -> bool:
    return field.type == FieldDescriptorProto.TYPE_BOOL and field.label != FieldDescriptorProto.LABEL_REPEATED


def _routes(method: Method, proto: MethodDescriptorProto, messages: Messages) -> Iterator[Route | Problem]:
    for type_name in (proto.input_type, proto.output_type):
        if type_name[1:] not in messages:
            raise InvalidArgument(
                f"The contracts are not complete: {method.name} uses {type_name[1:]}, which is missing."
            )
    rule = proto.options.Extensions[HTTP_RULE]
    yield from _route(method, rule, proto, messages)
    for additional in rule.additional_bindings:
        if additional.additional_bindings:
            yield Problem(method.name, _pattern(additional)[1], 0, "additional_bindings can't be nested")
        yield from _route(method, additional, proto, messages)


def _pattern(rule: Any) -> tuple[str, str]:
    """Returns the HTTP method and the template of a google.api.HttpRule, both empty if it has no pattern."""
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
        yield Problem(method.name, text, 0, "the rule has no HTTP method and path")
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
        yield Problem(method.name, text, 0, f"some clients can't send a body with {http_method}", fatal=False)
    yield Route(method, http_method, template, rule.body, rule.response_body)
