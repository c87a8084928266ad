"""$alt, $fields and $prettyPrint, over HTTP."""

import json

import pytest

from tests.edge.backend import Backend
from tests.edge.served import Client

BOOK = "library.v1.Book"
LIST = "library.v1.ListBooksResponse"
GET = "/v1/shelves/a/books/b"
BOOKS = "/v1/shelves/a/books"


async def test_alt_json_is_the_usual_form(client: Client, backend: Backend) -> None:
    """Google's clients send alt=json with every call, and ask for enums as numbers."""
    backend.replies(backend.message(BOOK, '{"title": "T"}'))
    for query in ("alt=json", "$alt=json", "%24alt=json", "$alt=json;enum-encoding=int", "alt=json&show_deleted=true"):
        assert (await client.get(f"{GET}?{query}")).json() == {"title": "T"}, query
    echo = {"kind": "KIND_NOVEL"}
    backend.answer = None
    assert (await client.post("/v1/echo?$alt=json;enum-encoding=int", json=echo)).json() == {"kind": 1}
    assert (await client.post("/v1/echo?$alt=json", json=echo)).json() == echo


async def test_alt_proto_is_the_message_itself(client: Client, backend: Backend) -> None:
    """The response has its own media type, which Accept must admit; a response that is a field is the field's
    message.
    """
    book = backend.message(BOOK, '{"title": "T"}')
    backend.replies(book)
    response = await client.get(f"{GET}?$alt=proto")
    assert (response.headers["content-type"], response.content) == ("application/x-protobuf", book.to_binary())
    refused = await client.get(f"{GET}?$alt=proto", headers={"accept": "application/json"})
    assert refused.status_code == 406
    backend.replies(backend.message(LIST, '{"first": {"title": "T"}}'))
    assert (await client.get("/v1/first?$alt=proto")).content == book.to_binary()
    assert await client.violations("GET", "/v1/titles?$alt=proto") == {"$alt": "INVALID_VALUE"}


async def test_alt_media_is_a_raw_answer(client: Client, backend: Backend) -> None:
    """alt=media selects a download and is rejected for other methods."""
    backend.replies(backend.message("google.api.HttpBody", '{"contentType": "image/x", "data": "AP8="}'))
    assert (await client.put("/v1/files/a?alt=media")).content == b"\x00\xff"
    assert await client.violations("GET", f"{GET}?alt=media") == {"$alt": "INVALID_VALUE"}
    assert await client.violations("GET", f"{GET}?alt=sse") == {"$alt": "INVALID_VALUE"}


async def test_pretty_print(client: Client, backend: Backend) -> None:
    """The JSON is indented for people and the same for programs."""
    backend.replies(backend.message(BOOK, '{"title": "Ü"}'))
    for query in ("$prettyPrint=true", "prettyPrint=true", "$prettyPrint"):
        assert (await client.get(f"{GET}?{query}")).text == '{\n  "title": "Ü"\n}', query
    assert (await client.get(f"{GET}?prettyPrint=false")).text == '{"title":"Ü"}'


WHOLE = {
    "books": [
        {"title": "A", "pageCount": 1, "author": {"givenName": "G", "homeAddress": {"city": "C"}}},
        {"title": "B", "author": {"givenName": "H"}},
    ],
    "titles": ["x"],
}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("*", WHOLE),
        ("titles", {"titles": ["x"]}),
        ("books.title", {"books": [{"title": "A"}, {"title": "B"}]}),
        ("books/title,titles", {"books": [{"title": "A"}, {"title": "B"}], "titles": ["x"]}),
        ("books(title,pageCount)", {"books": [{"title": "A", "pageCount": 1}, {"title": "B"}]}),
        ("books.page_count", {"books": [{"pageCount": 1}, {}]}),
        ("books(author/homeAddress(city))", {"books": [{"author": {"homeAddress": {"city": "C"}}}, {"author": {}}]}),
        ("books.author.given_name, first", {"books": [{"author": {"givenName": "G"}}, {"author": {"givenName": "H"}}]}),
        ("books,books.title", {"books": WHOLE["books"]}),
        ("books.title,books", {"books": WHOLE["books"]}),
        ("*,books.title", WHOLE),
        ("books(author.givenName,*),titles", WHOLE),
        ("*/title", {"books": [{"title": "A"}, {"title": "B"}], "titles": ["x"]}),
        ("first", {}),
    ],
)  # fmt: skip
async def test_fields_trims_the_answer(client: Client, backend: Backend, fields: str, expected: object) -> None:
    """Fields are selected by a field mask or in the notation of Google's older APIs, in either spelling (AIP-157)."""
    backend.replies(backend.message(LIST, json.dumps(WHOLE)))
    assert (await client.get(BOOKS, params={"$fields": fields})).json() == expected
    assert (await client.get(BOOKS, params={"fields": fields})).json() == expected


async def test_fields_of_maps_and_free_json(client: Client, backend: Backend) -> None:
    """The keys of a map, and members of a Struct, can be selected too."""
    backend.answer = None
    everything = {"struct": {"a": {"b": 1, "c": 2}, "d": 3}, "counts": {"x": 1, "y": 2}, "inners": {"true": {}}}
    response = await client.post("/v1/echo?$fields=struct.a.b,counts.x", json=everything)
    assert response.json() == {"struct": {"a": {"b": 1}}, "counts": {"x": 1}}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ("nothing", "FIELD_UNKNOWN"),
        ("books.nothing", "FIELD_UNKNOWN"),
        ("books.title.more", "FIELD_UNKNOWN"),
        ("titles.x", "FIELD_UNKNOWN"),
        ("books(title", "INVALID_VALUE"),
        ("books)", "INVALID_VALUE"),
        ("books title", "INVALID_VALUE"),
        ("books..title", "INVALID_VALUE"),
        (",books", "INVALID_VALUE"),
        ("books.", "INVALID_VALUE"),
        ("(" * 50, "INVALID_VALUE"),
        ("*" + "/*" * 40, "NESTED_TOO_DEEPLY"),
        ("*(title),books(pageCount)", "INVALID_VALUE"),
        ("books(author.givenName,*.city)", "INVALID_VALUE"),
    ],
)
async def test_wrong_fields_are_refused_before_the_call(
    client: Client, backend: Backend, fields: str, reason: str
) -> None:
    """The error names the invalid field, and no service is called."""
    assert await client.violations("GET", BOOKS, params={"$fields": fields}) == {"$fields": reason}
    assert not backend.calls


@pytest.mark.parametrize(
    ("query", "name", "reason"),
    [
        ("$alt=xml", "$alt", "INVALID_VALUE"),
        ("$alt=json;enum-encoding=hex", "$alt", "INVALID_VALUE"),
        ("$prettyPrint=maybe", "$prettyPrint", "INVALID_VALUE"),
        ("$alt=json&alt=json", "$alt", "FIELD_GIVEN_TWICE"),
        ("$fields=%zz", "$fields", "MALFORMED_ENCODING"),
        ("$callback=x", "$callback", "FIELD_UNKNOWN"),
    ],
)
async def test_wrong_system_parameters(client: Client, query: str, name: str, reason: str) -> None:
    """Invalid values, repeated parameters and unsupported parameters are rejected."""
    assert await client.violations("GET", f"{GET}?{query}") == {name: reason}
