"""The parser of google.api.http path templates.

google/api/http.proto defines the grammar:

    Template  = "/" Segments [ Verb ] ;
    Segments  = Segment { "/" Segment } ;
    Segment   = "*" | "**" | LITERAL | Variable ;
    Variable  = "{" FieldPath [ "=" Segments ] "}" ;
    FieldPath = IDENT { "." IDENT } ;
    Verb      = ":" LITERAL ;

A LITERAL consists of the characters of a URL's path segment (RFC 3986, pchar) except those that the grammar uses. The
text beside the grammar requires `**` to be last, but published contracts have literals and wildcards after it, so it is
accepted anywhere. Variables do not nest.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

ANY: Final = "*"
"""The segment pattern that matches one non-empty segment."""
REST: Final = "**"
"""The segment pattern that matches zero or more segments."""

TEMPLATE_LENGTH_MAX = 2000

_LITERAL = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()+,;=@]|%[0-9A-Fa-f]{2})+")
_IDENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_END_OF_LITERAL = "/{}:*"


class TemplateError(ValueError):
    """A template that does not follow the grammar. `column` counts from 1."""

    def __init__(self, column: int, why: str) -> None:
        super().__init__(f"column {column}: {why}")
        self.column = column
        self.why = why


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable, which captures the segments from `start` up to `end` into the field at `field_path`.

    `multi` is true if it can capture several segments, which determines how the value is decoded.
    """

    field_path: tuple[str, ...]
    start: int
    end: int
    multi: bool
    column: int


@dataclass(frozen=True, slots=True)
class PathTemplate:
    """A parsed template. Each segment is ANY, REST, or a decoded literal; `literal` marks the literals."""

    text: str
    segments: tuple[str, ...]
    literal: tuple[bool, ...]
    variables: tuple[Variable, ...]
    verb: str


def parse(text: str) -> PathTemplate:
    """Parses a template. Raises TemplateError with the column of the first invalid character."""
    return _Parser(text).template()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._segments: list[str] = []
        self._literal: list[bool] = []
        self._variables: list[Variable] = []

    def template(self) -> PathTemplate:
        if len(self._text) > TEMPLATE_LENGTH_MAX:
            raise TemplateError(TEMPLATE_LENGTH_MAX + 1, f"a template has at most {TEMPLATE_LENGTH_MAX} characters")
        self._expect("/")
        self._read_segments(inside_variable=False)
        verb = ""
        if self._peek() == ":":
            self._at += 1
            verb = self._read_literal("the verb")
        if self._peek():
            raise self._unexpected("a verb ends the template" if verb else "expected '/', ':' or the end")
        return PathTemplate(self._text, tuple(self._segments), tuple(self._literal), tuple(self._variables), verb)

    def _read_segments(self, *, inside_variable: bool) -> None:
        self._read_segment(inside_variable=inside_variable)
        while self._peek() == "/":
            self._at += 1
            self._read_segment(inside_variable=inside_variable)

    def _read_segment(self, *, inside_variable: bool) -> None:
        character = self._peek()
        if character == "*":
            wildcard = REST if self._text.startswith(REST, self._at) else ANY
            self._at += len(wildcard)
            self._add(wildcard, literal=False)
        elif character == "{":
            if inside_variable:
                raise self._error("a variable can't be inside a variable")
            self._read_variable()
        else:
            self._add(self._read_literal("a segment"), literal=True)
        if (after := self._peek()) and after not in "/:}":
            raise self._unexpected("a wildcard or a variable takes up its whole segment")

    def _read_variable(self) -> None:
        column = self._at + 1
        self._expect("{")
        field_path = self._read_field_path()
        start = len(self._segments)
        if self._peek() == "=":
            self._at += 1
            self._read_segments(inside_variable=True)
        else:
            self._add(ANY, literal=False)
        self._expect("}")
        if any(variable.field_path == field_path for variable in self._variables):
            raise TemplateError(column, f"the variable {'.'.join(field_path)} is already used")
        end = len(self._segments)
        multi = end - start > 1 or self._segments[start] == REST
        self._variables.append(Variable(field_path, start, end, multi, column))

    def _read_field_path(self) -> tuple[str, ...]:
        names = [self._read_ident()]
        while self._peek() == ".":
            self._at += 1
            names.append(self._read_ident())
        return tuple(names)

    def _read_ident(self) -> str:
        found = _IDENT.match(self._text, self._at)
        if found is None:
            raise self._error("expected the name of a field")
        self._at = found.end()
        return found[0]

    def _read_literal(self, what: str) -> str:
        found = _LITERAL.match(self._text, self._at)
        if found is None:
            if self._peek() and self._peek() not in _END_OF_LITERAL:
                raise self._unexpected(f"expected {what}")
            raise self._error(f"expected {what}")
        self._at = found.end()
        try:
            return unquote(found[0], errors="strict")
        except UnicodeDecodeError:
            raise TemplateError(found.start() + 1, "the percent-encoded bytes are not valid UTF-8") from None

    def _add(self, segment: str, *, literal: bool) -> None:
        self._segments.append(segment)
        self._literal.append(literal)

    def _expect(self, character: str) -> None:
        if self._peek() != character:
            found = repr(self._peek()) if self._peek() else "the end"
            raise self._error(f"expected {character!r}, found {found}")
        self._at += 1

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _unexpected(self, otherwise: str) -> TemplateError:
        """Returns the error for the next character: a path can't contain it, or `otherwise`."""
        character = self._peek()
        if character == "?":
            return self._error("a template can't contain '?': the query parameters follow from the request's fields")
        if not _LITERAL.match(character) and character not in _END_OF_LITERAL:
            return self._error(f"a path can't contain {character!r}; percent-encode it")
        return self._error(f"unexpected {character!r}; {otherwise}")

    def _error(self, why: str) -> TemplateError:
        return TemplateError(self._at + 1, why)
