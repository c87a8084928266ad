"""One way to reach a method over HTTP."""

from functools import cached_property

from protobuf import DescField, DescFieldValueMessage, DescMessage

from edge.contract.method import Method
from edge.contract.rule_checks import WHOLE_BODY
from edge.httprule.template import PathTemplate


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
