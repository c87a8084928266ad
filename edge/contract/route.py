"""The HTTP routes of methods."""

from functools import cached_property

from protobuf import DescField, DescFieldValueMessage, DescMessage

from edge.contract.method import Method
from edge.contract.rule_checks import WHOLE_BODY
from edge.httprule.template import PathTemplate


class Route:
    """One HTTP route of a method: a google.api.http rule or one of its additional bindings.

    `whole_body` is true if the body is the whole request message.
    """

    def __init__(
        self, method: Method, http_method: str, template: PathTemplate, body: str = "", response_body: str = ""
    ) -> None:
        """`body` and `response_body` are the values of the rule."""
        self.method = method
        self.http_method = http_method
        self.template = template
        self.whole_body = body == WHOLE_BODY
        self._body = "" if self.whole_body else body
        self._response_body = response_body

    @cached_property
    def variables(self) -> tuple[tuple[DescField, ...], ...]:
        """Returns the field path of each variable in the template, from the outermost field to the leaf."""
        return tuple(_fields(self.method.desc.input, variable.field_path) for variable in self.template.variables)

    @cached_property
    def body(self) -> DescField | None:
        """Returns the request field in the body, or None if the body is the whole request or absent."""
        return _fields(self.method.desc.input, (self._body,))[0] if self._body else None

    @cached_property
    def response_body(self) -> DescField | None:
        """Returns the response field in the response body, or None if it is the whole response."""
        return _fields(self.method.desc.output, (self._response_body,))[0] if self._response_body else None


def _fields(message: DescMessage, path: tuple[str, ...]) -> tuple[DescField, ...]:
    """Returns the fields along a path, which was validated at startup."""
    fields: list[DescField] = []
    for name in path:
        fields.append(next(field for field in message.fields if field.name == name))
        if isinstance(fields[-1].value, DescFieldValueMessage):
            message = fields[-1].value.message
    return tuple(fields)
