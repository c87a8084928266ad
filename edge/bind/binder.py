"""From path, query and body to the bytes of the request message, or to every violation that keeps it from being one."""

from protobuf import DescField, DescFieldValueEnum, DescFieldValueMessage, DescFieldValueScalar, Message

from edge.bind.body import Body
from edge.bind.header_fields import HeaderFields
from edge.bind.query import Parameters, split
from edge.bind.rules import Rules
from edge.contract.route import Route
from edge.http.preconditions import alternatives
from edge.http.request import Request
from edge.protojson.client_paths import json_path
from edge.protojson.fields import assign, descend, value_at
from edge.protojson.leaves import Leaf, text_leaf
from edge.protojson.problems import ROOT, InvalidValue, Problems, shorten
from edge.protojson.readers import Readers
from edge.protojson.serialised import to_bytes
from mesh.validation import Validator


class Binder:
    """Makes the request messages of one route."""

    def __init__(self, route: Route, readers: Readers, validator: Validator) -> None:
        """Raises protovalidate.CompilationError if a rule of the contract is wrong."""
        self._input = route.method.desc.input
        self._whole_body = route.whole_body
        self._ignore_unknown = readers.ignore_unknown
        self._variables = tuple((fields, _leaf(fields[-1]), json_path(fields)) for fields in route.variables)
        self._body = Body(route, readers)
        self._parameters = Parameters(route.method.desc.input, readers, in_path=route.variables, in_body=route.body)
        self._header_fields = HeaderFields(route)
        self._rules = Rules(route.method.desc.input, validator)

    def bind(self, request: Request, values: tuple[str, ...], query: bytes, content: bytes) -> tuple[bytes, set[str]]:
        """The request message on the wire, and the names of the contract that the client used instead of JSON's.
        `values` are those of the path's variables, `query` is the one without system parameters, `content` the body.

        Raises InvalidArgument with every violation that was found, HttpError if the body is of a type not taken.
        """
        problems = Problems()
        message, document = self._body.read(request, content, problems)
        self._bind_path(values, message, problems)
        if query:
            self._bind_query(query, message, problems)
        self._header_fields.fill(message, request.headers, document, problems)
        return self._checked(message, problems), problems.own_names

    def alternatives(self, request: Request) -> list[Request]:
        """The requests that this one stands for: one for each version that its If-Match lists, where that counts."""
        return alternatives(request) if self._header_fields.takes_etag else [request]

    def bind_next(self, request: Request, content: bytes) -> tuple[bytes, set[str]]:
        """A message of a stream after its first, which alone has what the URL and the headers say. Raises as bind()."""
        problems = Problems()
        message, _ = self._body.read(request, content, problems)
        return self._checked(message, problems), problems.own_names

    def check_url(self, values: tuple[str, ...], query: bytes) -> None:
        """Raises InvalidArgument with what is wrong with the URL, whatever the body will be."""
        problems, message = Problems(), self._input.type()
        self._bind_path(values, message, problems)
        self._bind_query(query, message, problems)
        problems.check()

    def _checked(self, message: Message, problems: Problems) -> bytes:
        self._rules.check(message, problems)
        problems.check()
        sent: bytes = to_bytes(message, ROOT, problems)
        problems.check()
        return sent

    def _bind_path(self, values: tuple[str, ...], message: Message, problems: Problems) -> None:
        for (fields, leaf, name), text in zip(self._variables, values, strict=True):
            try:
                value = leaf(text)
                given = value_at(message, fields)
                if given is not None and given != value:
                    raise InvalidValue("is not what the path says", "FIELD_GIVEN_TWICE")  # noqa: TRY301 # caught with the rest
                assign(descend(message, fields), fields[-1], value)
            except InvalidValue as wrong:
                problems.add(name, wrong)

    def _bind_query(self, query: bytes, message: Message, problems: Problems) -> None:
        pairs = split(query, problems)
        if not self._whole_body:
            self._parameters.bind(pairs, message, problems)
        elif not self._ignore_unknown:
            for key, _ in pairs:
                problems.add(
                    shorten(key), InvalidValue("belongs in the body: this method takes no parameters", "FIELD_IN_BODY")
                )


def _leaf(field: DescField) -> Leaf:
    """Reads a path's text for a field. The contract has made sure that there is such a leaf."""
    match field.value:
        case (
            DescFieldValueScalar(scalar=element)
            | DescFieldValueEnum(enum=element)
            | DescFieldValueMessage(message=element)
        ) if (leaf := text_leaf(element)) is not None:
            return leaf
    raise AssertionError(f"{field} can't be in a path")
