"""The parser of path templates."""

import pytest

from edge.httprule.template import ANY, REST, TemplateError, parse


@pytest.mark.parametrize(
    ("text", "segments", "verb"),
    [
        ("/v1/books", ("v1", "books"), ""),
        ("/v1/*", ("v1", ANY), ""),
        ("/v1/**", ("v1", REST), ""),
        ("/v1/{name}", ("v1", ANY), ""),
        ("/v1/{name=shelves/*/books/**}", ("v1", "shelves", ANY, "books", REST), ""),
        ("/v1/books:search", ("v1", "books"), "search"),
        ("/v1/{name=books/*}:lend", ("v1", "books", ANY), "lend"),
        ("/v1/{a.b.c}/x/{d_1}", ("v1", ANY, "x", ANY), ""),
        ("/v1/{path=**}/versions/*", ("v1", REST, "versions", ANY), ""),
        ("/.well-known/jwks.json", (".well-known", "jwks.json"), ""),
        ("/a%20b/$x~y", ("a b", "$x~y"), ""),
        ("/{name=*}", (ANY,), ""),
    ],
)
def test_the_whole_grammar_is_read(text: str, segments: tuple[str, ...], verb: str) -> None:
    """The parser accepts every production of the grammar, and the extensions of published contracts."""
    template = parse(text)
    assert (template.segments, template.verb) == (segments, verb)


def test_variables_know_what_they_capture() -> None:
    """A variable has its field path, its span of segments, and a flag for several segments."""
    first, second, third = parse("/v1/{a.b=x/*}/{c}/{d=**}").variables
    assert (first.field_path, first.start, first.end, first.multi) == (("a", "b"), 1, 3, True)
    assert (second.field_path, second.start, second.end, second.multi) == (("c",), 3, 4, False)
    assert (third.multi, third.column) == (True, 19)


def test_a_literal_that_looks_like_a_wildcard_is_a_literal() -> None:
    """%2A is a literal asterisk, not a wildcard."""
    template = parse("/v1/%2A")
    assert (template.segments[1], template.literal[1]) == ("*", True)


@pytest.mark.parametrize(
    ("text", "column", "why"),
    [
        ("", 1, "expected '/', found the end"),
        ("v1/books", 1, "expected '/', found 'v'"),
        ("/", 2, "expected a segment"),
        ("/v1/", 5, "expected a segment"),
        ("/v1//books", 5, "expected a segment"),
        ("/v1/{", 6, "expected the name of a field"),
        ("/v1/{}", 6, "expected the name of a field"),
        ("/v1/{1a}", 6, "expected the name of a field"),
        ("/v1/{a.}", 8, "expected the name of a field"),
        ("/v1/{a", 7, "expected '}', found the end"),
        ("/v1/{a=}", 8, "expected a segment"),
        ("/v1/{a=x/{b}}", 10, "a variable can't be inside a variable"),
        ("/v1/{a=b:c}", 9, "expected '}', found ':'"),
        ("/v1/{a}b", 8, "unexpected 'b'; a wildcard or a variable takes up its whole segment"),
        ("/v1/a*", 6, "unexpected '*'; a wildcard or a variable takes up its whole segment"),
        ("/v1/***", 7, "unexpected '*'; a wildcard or a variable takes up its whole segment"),
        ("/v1/{a}/{a}", 9, "the variable a is already used"),
        ("/v1/a}", 6, "unexpected '}'; expected '/', ':' or the end"),
        ("/v1/a:", 7, "expected the verb"),
        ("/v1/a:b/c", 8, "unexpected '/'; a verb ends the template"),
        ("/v1/a b", 6, "a path can't contain ' '; percent-encode it"),
        ("/v1/a#b", 6, "a path can't contain '#'; percent-encode it"),
        ("/v1/{a}\t", 8, "a path can't contain '\\t'; percent-encode it"),
        ("/v1/*ü", 6, "a path can't contain 'ü'; percent-encode it"),
        ("/v1/a%2", 6, "a path can't contain '%'; percent-encode it"),
        ("/v1/a:b c", 8, "a path can't contain ' '; percent-encode it"),
        ("/v1/{a=b c}", 9, "a path can't contain ' '; percent-encode it"),
        ("/v1/{a b}", 7, "expected '}', found ' '"),
        ("/v1/a?b=c", 6, "a template can't contain '?': the query parameters follow from the request's fields"),
        ("/v1/ü", 5, "a path can't contain 'ü'; percent-encode it"),
        ("/v1/%zz", 5, "a path can't contain '%'; percent-encode it"),
        ("/v1/%ff", 5, "the percent-encoded bytes are not valid UTF-8"),
        ("/" + "a" * 2000, 2001, "a template has at most 2000 characters"),
    ],
)
def test_an_error_names_the_column(text: str, column: int, why: str) -> None:
    """An error has the column and the reason, so that the author of a rule can fix it."""
    with pytest.raises(TemplateError) as caught:
        parse(text)
    assert (caught.value.column, caught.value.why) == (column, why)
