"""The problems of HTTP rules, which the edge finds in the contracts, at their lines."""

from collections.abc import Iterator
from typing import Final

from googleapis.google.api.annotations_pb import ext_http
from googleapis.google.api.http_pb import HttpRule
from protobuf.wkt import FileDescriptorSet
from protobuf.wkt.google.protobuf.descriptor_pb import DescriptorProto, FileDescriptorProto, MethodDescriptorProto

from edge.app.routes import build_routes
from edge.call.no_upstream import NoUpstream
from edge.contract.contract import read
from edge.contract.image import parse_image
from edge.contract.problem import Problem as EdgeProblem
from edge.settings import EdgeSettings
from local.declarations.problem import Problem
from mesh.codegen.source_line import source_line

PROTO: Final = "proto"

# Field numbers in the path to a rule: google/protobuf/descriptor.proto, google/api/http.proto.
_MESSAGE, _SERVICE, _METHOD, _OPTIONS, _RULE, _ADDITIONAL = 4, 6, 2, 4, 72295728, 11
_NESTED_MESSAGE: Final = 3

ElementPath = tuple[int, ...]


def rule_problems(image: FileDescriptorSet) -> tuple[list[Problem], list[Problem]]:
    """Returns the errors and the warnings of the edge about these contracts, with its default settings."""
    contract = read(parse_image(image.to_binary(), PROTO))
    settings = EdgeSettings.model_construct(contracts=PROTO, upstreams={})
    found = build_routes(contract, settings, NoUpstream, None).problems
    errors = [_at_line(problem, image) for problem in found if problem.fatal]
    return errors, [_at_line(problem, image) for problem in found if not problem.fatal]


def _at_line(problem: EdgeProblem, image: FileDescriptorSet) -> Problem:
    for file in image.file:
        for name, path in _elements(file, problem.template):
            if name == problem.method:
                return Problem(f"{PROTO}/{file.name}", source_line(image, file.name, path), f"{problem}.")
    return Problem(PROTO, 1, f"{problem}.")  # of all contracts together


def _elements(file: FileDescriptorProto, template: str) -> Iterator[tuple[str, ElementPath]]:
    """Yields the names of messages and methods with their paths. That of a method leads to the rule with this template,
    if there is one.
    """
    for index, service in enumerate(file.service):
        for number, method in enumerate(service.method):
            path = (_SERVICE, index, _METHOD, number, _OPTIONS, _RULE)
            yield f"{file.package}.{service.name}.{method.name}", (*path, *_binding(method, template))
    for index, message in enumerate(file.message_type):
        yield from _messages(file.package, message, (_MESSAGE, index))


def _messages(parent: str, message: DescriptorProto, path: ElementPath) -> Iterator[tuple[str, ElementPath]]:
    name = f"{parent}.{message.name}"
    yield name, path
    for index, nested in enumerate(message.nested_type):
        yield from _messages(name, nested, (*path, _NESTED_MESSAGE, index))


def _binding(method: MethodDescriptorProto, template: str) -> ElementPath:
    """Returns the path from a rule to its additional binding with this template, empty if there is none."""
    if method.options is None or ext_http not in method.options:
        return ()
    rule = method.options[ext_http]
    templates = [_template(each) for each in (rule, *rule.additional_bindings)]
    place = templates.index(template) if template in templates else 0
    return (_ADDITIONAL, place - 1) if place else ()


def _template(rule: HttpRule) -> str:
    pattern = rule.pattern
    if pattern is None:
        return ""
    return pattern.value.path if pattern.field == "custom" else pattern.value
