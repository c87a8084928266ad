"""The binding of requests: from path, query and body to the bytes of the message, or to a list of all violations."""

from protobuf import DescField, DescFieldValueEnum, DescFieldValueMessage, DescFieldValueScalar, Message

from edge.bind.body_reader import BodyReader
from edge.bind.header_fields import HeaderFields
from edge.bind.query_parameters import QueryParameters
from edge.bind.query_string import split_query
from edge.bind.request_rules import RequestRules
from edge.contract.route import Route
from edge.http.preconditions import split_by_version
from edge.http.request import Request
from edge.protojson.client_paths import ClientPaths, json_path, proto_path
from edge.protojson.fields import assign, descend, value_at
from edge.protojson.leaf_readers import LeafReader, text_leaf
from edge.protojson.readers import Readers
from edge.protojson.serialization import to_bytes
from edge.protojson.violations import ROOT, InvalidValue, Violations, shorten
from mesh.validation import Validator


class Binder:
    """The binding of one route's requests."""

    def __init__(self, route: Route, readers: Readers, validator: Validator) -> None:
        """Raises protovalidate.CompilationError if a rule of the contract is wrong."""
        self._input = route.method.desc.input
        self._whole_body = route.whole_body
        self._ignore_unknown = readers.ignore_unknown
        self._variables = tuple((fields, _leaf(fields[-1]), json_path(fields)) for fields in route.variables)
        self._body = BodyReader(route, readers)
        self._parameters = QueryParameters(
            route.method.desc.input, readers, in_path=route.variables, in_body=route.body
        )
        self._header_fields = HeaderFields(route, readers.depth_max)
        self.paths = ClientPaths(route.method.desc.input, route.body, frozenset(map(proto_path, route.variables)))
        self._body_name = route.body.json_name if route.body is not None else ""
        self._rules = RequestRules(route.method.desc.input, validator, self.paths)

    def bind(self, request: Request, values: tuple[str, ...], query: bytes, content: bytes) -> tuple[bytes, set[str]]:
        """Returns the serialised request message, and the proto names that the client used instead of JSON names.
        `values` are those of the path's variables, `query` is the query without system parameters, `content` the body.

        Raises InvalidArgument with all violations, HttpError if the media type of the body is not supported.
        """
        violations = Violations(self._body_name)
        message, document = self._body.read(request, content, violations)
        self._bind_path(values, message, violations, has_body=bool(content))
        if query:
            self._bind_query(query, message, violations)
        self._header_fields.fill(message, request.headers, document, violations)
        return self._checked(message, violations), violations.proto_names_used

    def split_by_version(self, request: Request) -> list[Request]:
        """Returns the requests to try in turn: one for each version in If-Match if the method takes an etag, otherwise
        the request itself.
        """
        return split_by_version(request) if self._header_fields.takes_etag else [request]

    def bind_next(self, request: Request, content: bytes) -> tuple[bytes, set[str]]:
        """Returns a message of a stream after the first, as bind() does. Only the first message has the values of the
        URL and of headers.
        """
        violations = Violations(self._body_name)
        message, _ = self._body.read(request, content, violations)
        return self._checked(message, violations), violations.proto_names_used

    def check_url(self, values: tuple[str, ...], query: bytes) -> None:
        """Raises InvalidArgument if the URL is invalid, before there is a body."""
        violations, message = Violations(), self._input.type()
        self._bind_path(values, message, violations, has_body=False)
        self._bind_query(query, message, violations)
        violations.raise_if_any()

    def _checked(self, message: Message, violations: Violations) -> bytes:
        self._rules.check(message, violations)
        violations.raise_if_any()
        sent: bytes = to_bytes(message, ROOT, violations)
        violations.raise_if_any()
        return sent

    def _bind_path(self, values: tuple[str, ...], message: Message, violations: Violations, *, has_body: bool) -> None:
        for (fields, leaf, name), text in zip(self._variables, values, strict=True):
            try:
                value = leaf(text)
                if has_body and (given := value_at(message, fields)) is not None and given != value:
                    raise InvalidValue("differs from the path", "FIELD_GIVEN_TWICE")  # noqa: TRY301 # caught with the rest
                assign(descend(message, fields), fields[-1], value)
            except InvalidValue as wrong:
                violations.add(name, wrong)

    def _bind_query(self, query: bytes, message: Message, violations: Violations) -> None:
        pairs = split_query(query, violations)
        if not self._whole_body:
            self._parameters.bind(pairs, message, violations)
        elif not self._ignore_unknown:
            for key, _ in pairs:
                violations.add(
                    shorten(key),
                    InvalidValue("belongs in the body: this method takes no query parameters", "FIELD_IN_BODY"),
                )


def _leaf(field: DescField) -> LeafReader:
    """Returns the reader of the path's text for a field. The check of the contract ensures that there is one."""
    match field.value:
        case (
            DescFieldValueScalar(scalar=element)
            | DescFieldValueEnum(enum=element)
            | DescFieldValueMessage(message=element)
        ) if (leaf := text_leaf(element)) is not None:
            return leaf
    raise AssertionError(f"{field} can't be in a path")
