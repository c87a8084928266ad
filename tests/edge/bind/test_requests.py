"""The binding of path, query, body and headers to one message."""

import asyncio
import json
from typing import Any

import pytest

from edge.contract.contract import Contract
from tests.edge.backend import Backend
from tests.edge.served import Client, edge_of

BOOK = "library.v1.Book"
EVERYTHING = "library.v1.Everything"


async def echoed(client: Client, backend: Backend, method: str, url: str, **options: Any) -> Any:
    """Returns the Everything that the backend received, as JSON."""
    response = await client.request(method, url, **options)
    assert response.status_code == 200, response.text
    return json.loads(backend.received(EVERYTHING))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "/v1/echo?i32=-5&u64=18446744073709551615&flag=true",
            {"i32": -5, "u64": "18446744073709551615", "flag": True},
        ),
        ("/v1/echo?doubleValue=1e3&float_value=-0.5", {"doubleValue": 1000, "floatValue": -0.5}),
        ("/v1/echo?text=a+b%2Bc%20%E2%82%AC&maybe=", {"text": "a b+c €", "maybe": ""}),
        ("/v1/echo?data=-_8%3D", {"data": "+/8="}),
        (
            "/v1/echo?kind=KIND_POEM&kinds=1&kinds=KIND_POEM",
            {"kind": "KIND_POEM", "kinds": ["KIND_NOVEL", "KIND_POEM"]},
        ),
        ("/v1/echo?numbers=1&numbers=2&strings=x", {"numbers": [1, 2], "strings": ["x"]}),
        ("/v1/echo?counts[a.b]=1&counts[c]=2&names[3]=x", {"counts": {"a.b": 1, "c": 2}, "names": {"3": "x"}}),
        (
            "/v1/echo?inner.text=x&deeper.deeper.inner.number=3",
            {"inner": {"text": "x"}, "deeper": {"deeper": {"inner": {"number": 3}}}},
        ),
        (
            "/v1/echo?timestamp=2026-01-31T09:30:00%2B01:00&duration=-1.5s",
            {"timestamp": "2026-01-31T08:30:00Z", "duration": "-1.500s"},
        ),
        (
            "/v1/echo?fieldMask=inner.text,i32&wrappedInt=0&wrapped_bool=false",
            {"fieldMask": "inner.text,i32", "wrappedInt": 0, "wrappedBool": False},
        ),
        ("/v1/echo?field_mask=wrapped_int,deeper.double_value", {"fieldMask": "wrappedInt,deeper.doubleValue"}),
        ("/v1/echo?choiceB=7", {"choiceB": 7}),
        ("/v1/echo?otherName=a", {"otherName": "a"}),
        ("/v1/echo?renamed=a", {"otherName": "a"}),
        ("/v1/echo?&&text=a&", {"text": "a"}),
        ("/v1/numbers/-9223372036854775808", {"i64": "-9223372036854775808"}),
        (
            "/v1/time/2026-01-31T09:30:00Z/3s/a%2Fb",
            {"timestamp": "2026-01-31T09:30:00Z", "duration": "3s", "wrappedString": "a/b"},
        ),
        (
            "/v1/echo?timestamp.seconds=1&timestamp.nanos=5&wrappedInt.value=0&fieldMask.paths=a_b&fieldMask.paths=c",
            {"timestamp": "1970-01-01T00:00:01.000000005Z", "wrappedInt": 0, "fieldMask": "aB,c"},
        ),
        (
            '/v1/echo?struct={"a":[1]}&list_value=[null]&value=x&any={"@type":"t/library.v1.Inner","number":1}',
            {
                "struct": {"a": [1]},
                "listValue": [None],
                "value": "x",
                "any": {"@type": "t/library.v1.Inner", "number": 1},
            },
        ),
        ('/v1/echo?value={"a":true}', {"value": {"a": True}}),
        ("/v1/echo?value=1", {"value": 1}),
        ("/v1/nested/a%20b?inner.number=2", {"inner": {"text": "a b", "number": 2}}),
    ],
)
async def test_query_and_path_reach_every_leaf(client: Client, backend: Backend, url: str, message: Any) -> None:
    """Nested fields, lists, maps, enums, bytes and well-known types are set by names in camelCase and snake_case."""
    assert await echoed(client, backend, "GET", url) == message


@pytest.mark.parametrize(
    ("query", "violations"),
    [
        (
            "nope=1&inner.nope=2&i32.x=3",
            {"nope": "FIELD_UNKNOWN", "inner.nope": "FIELD_UNKNOWN", "i32.x": "FIELD_UNKNOWN"},
        ),
        ("i32=1&i32=2", {"i32": "FIELD_GIVEN_TWICE"}),
        ("i32=0&i32=0", {"i32": "FIELD_GIVEN_TWICE"}),
        ("doubleValue=1&double_value=1", {"double_value": "FIELD_GIVEN_TWICE"}),
        ("wrapped_int=1&wrappedInt=1", {"wrappedInt": "FIELD_GIVEN_TWICE"}),
        ("counts[a]=1&counts[a]=2", {"counts[a]": "FIELD_GIVEN_TWICE"}),
        ("choiceA=x&choiceB=1", {"choiceB": "ONEOF_GIVEN_TWICE"}),
        ("counts=1", {"counts": "FIELD_UNKNOWN"}),
        ("i32[a]=1", {"i32[a]": "FIELD_UNKNOWN"}),
        ("inner=x", {"inner": "FIELD_UNKNOWN"}),
        ("list=x", {"list": "FIELD_UNKNOWN"}),
        ("nothing=1", {"nothing": "INVALID_VALUE"}),
        ("timestamp.x=1&any=x", {"timestamp.x": "FIELD_UNKNOWN", "any": "INVALID_VALUE"}),
        ("timestamp.seconds=253402300800&any.value=", {"timestamp.seconds": "OUT_OF_RANGE"}),
        ("duration.seconds=1&duration.nanos=-1", {"duration.nanos": "OUT_OF_RANGE"}),
        ("duration=1s&duration.seconds=1", {"duration.seconds": "FIELD_GIVEN_TWICE"}),
        ("wrapped_int.value=1&wrappedInt=1", {"wrappedInt": "FIELD_GIVEN_TWICE"}),
        ("names[1]=a&names[1.0]=b", {"names[1.0]": "FIELD_GIVEN_TWICE"}),
        ("struct=%7B%22a%22:1e400%7D&listValue=1&value=%7B", {"struct": "OUT_OF_RANGE", "listValue": "INVALID_VALUE"}),
        ("value=%5B" + "%5B" * 70 + "%5D" * 71, {"value": "NESTED_TOO_DEEPLY"}),
        (
            "i32=1_000&i64=%D9%A3&u32=-1&s32=%2B1&u64=1.5",
            dict.fromkeys(("i32", "i64", "s32", "u64"), "INVALID_VALUE") | {"u32": "OUT_OF_RANGE"},
        ),
        ("i32=2147483648&i64=9223372036854775808", {"i32": "OUT_OF_RANGE", "i64": "OUT_OF_RANGE"}),
        ("i32=&flag=1&flag2=", {"i32": "INVALID_VALUE", "flag": "INVALID_VALUE", "flag2": "FIELD_UNKNOWN"}),
        (
            "data=@@@@&kind=novel&kinds=99999999999",
            {"data": "INVALID_VALUE", "kind": "INVALID_VALUE", "kinds": "OUT_OF_RANGE"},
        ),
        (
            "timestamp=yesterday&duration=5&fieldMask=a,,b",
            dict.fromkeys(("timestamp", "duration", "fieldMask"), "INVALID_VALUE"),
        ),
        (
            "text=%ff&maybe=%zz&%fe=1",
            {"text": "MALFORMED_ENCODING", "maybe": "MALFORMED_ENCODING", "%fe": "MALFORMED_ENCODING"},
        ),
        ("a[b=1&[c]=2&=3", {"a[b": "FIELD_UNKNOWN", "[c]": "FIELD_UNKNOWN", "": "FIELD_UNKNOWN"}),
        ("&".join(f"x{n}=" for n in range(1001)), {"query": "TOO_MANY_PARAMETERS"}),
        ("deeper." * 64 + "i32=1", {f"{('deeper.' * 64)[:120]}…": "NESTED_TOO_DEEPLY"}),
    ],
)
async def test_every_wrong_parameter_is_named(
    client: Client, backend: Backend, query: str, violations: dict[str, str]
) -> None:
    """All violations are listed together, in the client's spelling, and no service is called."""
    assert await client.violations("GET", f"/v1/echo?{query}") == violations
    assert backend.calls == []


async def test_the_path_cannot_be_overridden(client: Client, backend: Backend) -> None:
    """Authorisation looks at the path, so neither the query, the body nor another member of a oneof can change its
    fields.
    """
    book = "/v1/shelves/a/books/b"
    assert await client.violations("GET", f"{book}?name=shelves/x/books/y") == {"name": "FIELD_GIVEN_TWICE"}
    assert await client.violations("GET", "/v1/time/2026-01-31T09:30:00Z/1s/x?timestamp.seconds=1") == {
        "timestamp.seconds": "FIELD_GIVEN_TWICE"
    }
    assert await client.violations("POST", f"{book}:lend", json={"name": "shelves/x/books/y"}) == {
        "name": "FIELD_GIVEN_TWICE"
    }
    assert await client.violations("PATCH", book, json={"name": "shelves/x/books/y"}) == {
        "book.name": "FIELD_GIVEN_TWICE"
    }
    assert await client.violations("POST", "/v1/choice/a", json={"choiceB": 1}) == {"choiceA": "ONEOF_GIVEN_TWICE"}
    assert await client.violations("POST", "/v1/echo/1/2/true/KIND_POEM", json={"i64": str(2**32 + 2)}) == {
        "i64": "FIELD_GIVEN_TWICE"
    }
    assert backend.calls == []


async def test_a_body_may_repeat_the_values_of_the_path(client: Client, backend: Backend) -> None:
    """A resource that was read can be sent back unchanged, with the same name in the path and in the body."""
    await client.patch("/v1/shelves/a/books/b", json={"name": "shelves/a/books/b", "title": "New"})
    sent = json.loads(backend.received("library.v1.UpdateBookRequest"))
    assert sent == {"book": {"name": "shelves/a/books/b", "title": "New"}, "updateMask": "title"}


async def test_path_variables_of_every_type_are_checked_without_a_body(client: Client, backend: Backend) -> None:
    """The values in the path are checked even if the body is empty."""
    message = await echoed(client, backend, "POST", "/v1/echo/1/4294967298/true/2")
    assert message == {"i32": 1, "i64": "4294967298", "flag": True, "kind": "KIND_POEM"}
    violations = await client.violations("POST", "/v1/echo/one/9223372036854775808/1/KIND_ESSAY")
    assert violations == {
        "i32": "INVALID_VALUE",
        "i64": "OUT_OF_RANGE",
        "flag": "INVALID_VALUE",
        "kind": "INVALID_VALUE",
    }


async def test_a_body_can_be_a_field_of_any_kind(client: Client, backend: Backend) -> None:
    """The body may be a message, a list or any JSON value; the query sets the other fields but none inside the body."""
    response = await client.post("/v1/shelves/a/books?bookId=7", json={"title": "T"}, headers={"authorization": "x"})
    assert response.status_code == 201
    sent = json.loads(backend.received("library.v1.CreateBookRequest"))
    assert sent == {"parent": "shelves/a", "book": {"title": "T"}, "bookId": "7"}
    assert await echoed(client, backend, "POST", "/v1/items?i32=1", json=["a", "b"]) == {
        "i32": 1,
        "strings": ["a", "b"],
    }
    assert await echoed(client, backend, "POST", "/v1/value", json=[1, {"a": None}]) == {"value": [1, {"a": None}]}
    assert await echoed(client, backend, "POST", "/v1/value", content="null") == {"value": None}
    assert await echoed(client, backend, "POST", "/v1/items?i32=1", content="null") == {"i32": 1}
    assert await client.violations("POST", "/v1/shelves/a/books?book.title=x", json={}) == {
        "book.title": "FIELD_IN_BODY"
    }
    assert await client.violations("POST", "/v1/echo?i32=1", json={}) == {"i32": "FIELD_IN_BODY"}
    assert await client.violations("POST", "/v1/items", json="a") == {"body": "INVALID_VALUE"}


async def test_paths_of_violations_start_at_the_body(client: Client) -> None:
    """The paths of violations start where the body does, and have indices and keys, in the client's spelling."""
    body = {"author": {"homeAddress": {"city": 1}}, "tags": ["a", 2], "price": {"currency_code": 3}, "nope": 4}
    assert await client.violations("POST", "/v1/shelves/a/books", json=body) == {
        "author.homeAddress.city": "INVALID_VALUE",
        "tags[1]": "INVALID_VALUE",
        "price.currency_code": "INVALID_VALUE",
        "nope": "FIELD_UNKNOWN",
    }
    assert await client.violations("POST", "/v1/shelves/a/books", json=[]) == {"body": "INVALID_VALUE"}
    assert await client.violations("POST", "/v1/items", json=["a", 2]) == {"[1]": "INVALID_VALUE"}


async def test_validation_rules_are_checked_with_the_types(client: Client, backend: Backend) -> None:
    """Broken rules are listed with the other violations, in the client's spelling, but not for fields that are invalid
    anyway.
    """
    body = {"emailAddress": "nobody", "parts": [{"partSize": 1}, {"partSize": 0}, {"partSize": "x"}]}
    assert await client.violations("POST", "/v1/check", json=body) == {
        "parts[2].partSize": "INVALID_VALUE",
        "emailAddress": "STRING_EMAIL",
        "parts[1].partSize": "INT32_GT",
        "(request)": "CHECK_TOGETHER",
    }
    assert await client.violations("GET", "/v1/check?email_address=nobody") == {
        "email_address": "STRING_EMAIL",
        "parts": "REPEATED_MIN_ITEMS",
    }
    assert backend.calls == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "MALFORMED_JSON"),
        (b"{} {}", "MALFORMED_JSON"),
        (b'{"text": "\xff"}', "MALFORMED_JSON"),
        (b'{"doubleValue": NaN}', "MALFORMED_JSON"),
        (b" ", "MALFORMED_JSON"),
        (b"[" * 100_000, "MALFORMED_JSON"),
        (b'{"deeper":' * 65 + b"{}" + b"}" * 65, "NESTED_TOO_DEEPLY"),
        (b'{"struct":' + b'{"a":' * 60 + b"1" + b"}" * 61, "NESTED_TOO_DEEPLY"),
        (b"null", "INVALID_VALUE"),
        (b"[]", "INVALID_VALUE"),
        (b'{"i32": 1, "i32": 1}', "FIELD_GIVEN_TWICE"),
    ],
)
async def test_a_malformed_body_is_rejected(client: Client, backend: Backend, body: bytes, reason: str) -> None:
    """A body that is broken, has trailing text, is too deep or of the wrong type is 400 with the reason, and nothing is
    called.
    """
    response = await client.post("/v1/echo", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400, response.text
    assert reason in response.text
    assert backend.calls == []


async def test_forms_are_accepted_where_the_body_is_the_request(client: Client, backend: Backend) -> None:
    """As for OAuth2's token endpoint, application/x-www-form-urlencoded is read as strictly as a query."""
    form = {"text": "a b&c", "numbers": ["1", "2"], "inner.text": "x"}
    assert await echoed(client, backend, "POST", "/v1/echo", data=form) == {
        "text": "a b&c",
        "numbers": [1, 2],
        "inner": {"text": "x"},
    }
    twice = {"content-type": "application/x-www-form-urlencoded"}
    assert await client.violations("POST", "/v1/echo", content="i32=a&i32=b&nope=", headers=twice) == {
        "i32": "FIELD_GIVEN_TWICE",
        "nope": "FIELD_UNKNOWN",
    }


async def test_patch_fills_the_mask_from_the_body(client: Client, backend: Backend) -> None:
    """Nested fields become paths of their own, values stay whole, and unchanged fields are not in the mask
    (AIP-134).
    """
    body = {
        "name": "shelves/a/books/b",
        "title": "T",
        "page_count": 0,
        "price": {"units": "1"},
        "author": {"homeAddress": {"city": "Ulm"}, "givenName": None},
        "createTime": "2026-01-31T09:30:00Z",
        "etag": "7",
        "tags": [],
    }
    mask = "title,pageCount,price,author.homeAddress.city,author.givenName,tags"
    await client.patch("/v1/shelves/a/books/b", json=body)
    assert json.loads(backend.received("library.v1.UpdateBookRequest"))["updateMask"] == mask
    await client.patch("/v2/shelves/a/books/b", json={"book": body})
    assert json.loads(backend.received("library.v1.UpdateBookRequest"))["updateMask"] == mask


async def test_a_mask_in_the_request_is_not_changed(client: Client, backend: Backend) -> None:
    """The mask may be in the query or in the body, in either spelling; an empty body results in an empty mask."""
    await client.patch("/v1/shelves/a/books/b?update_mask=page_count,title", json={"tags": ["x"]})
    assert json.loads(backend.received("library.v1.UpdateBookRequest"))["updateMask"] == "pageCount,title"
    await client.patch("/v2/shelves/a/books/b", json={"book": {"title": "x"}, "updateMask": "tags"})
    assert json.loads(backend.received("library.v1.UpdateBookRequest"))["updateMask"] == "tags"
    await client.patch("/v1/shelves/a/books/b")
    assert "updateMask" not in json.loads(backend.received("library.v1.UpdateBookRequest"))


async def test_the_idempotency_key_is_the_request_id(client: Client, backend: Backend) -> None:
    """The key may have quotes, as its draft demands, or not; it must not contradict the field."""
    url = "/v1/shelves/a/books/b:lend"
    for key in ("k-1", '"k-1"'):
        await client.post(url, json={}, headers={"idempotency-key": key})
        assert json.loads(backend.received("library.v1.LendBookRequest"))["requestId"] == "k-1"
    await client.post(url, json={"requestId": "k-1"}, headers={"idempotency-key": "k-1"})
    assert json.loads(backend.received("library.v1.LendBookRequest"))["requestId"] == "k-1"
    contradiction = {"json": {"requestId": "k-2"}, "headers": {"idempotency-key": "k-1"}}
    assert await client.violations("POST", url, **contradiction) == {"requestId": "FIELD_GIVEN_TWICE"}


async def test_if_match_is_the_etag(client: Client, backend: Backend) -> None:
    """The etag is set beside the resource or in it; an invalid tag, or one that the method would not check, is
    rejected.
    """
    url = "/v1/shelves/a/books/b"
    await client.delete(url, headers={"if-match": '"a%22b"'})
    assert json.loads(backend.received("library.v1.DeleteBookRequest"))["etag"] == 'a"b'
    await client.patch(url, json={"title": "T"}, headers={"if-match": '"7"'})
    assert json.loads(backend.received("library.v1.UpdateBookRequest"))["book"]["etag"] == "7"
    await client.delete(url, headers={"if-match": "*"})
    assert "etag" not in json.loads(backend.received("library.v1.DeleteBookRequest"))
    backend.calls.clear()
    for wrong in ("7", '"7" "8"', '"7", 8', '*, "7"', "", '"a b"', 'w/"7"', '"1","2","3","4","5"'):
        assert await client.violations("DELETE", url, headers={"if-match": wrong}) == {"If-Match": "MALFORMED_HEADER"}
    create = {"json": {"title": "T"}, "headers": {"if-none-match": "*"}}
    assert await client.violations("PATCH", url, **create) == {"If-None-Match": "HEADER_NOT_SUPPORTED"}
    refused = await client.violations("POST", f"{url}:lend", json={}, headers={"if-match": '"7"'})
    assert refused == {"If-Match": "HEADER_NOT_SUPPORTED"}
    assert await client.violations("DELETE", f"{url}?etag=8", headers={"if-match": '"7"'}) == {
        "etag": "FIELD_GIVEN_TWICE"
    }
    assert backend.calls == []


async def test_raw_bodies_are_passed_on_unchanged(client: Client, backend: Backend) -> None:
    """A google.api.HttpBody holds any bytes with their type, and the path may contain slashes."""
    await client.put("/v1/files/a/b.bin", content=b"\x00\xff", headers={"content-type": "image/x; q=1"})
    assert json.loads(backend.received("library.v1.UploadRequest")) == {
        "path": "a/b.bin",
        "file": {"contentType": "image/x; q=1", "data": "AP8="},
    }


async def test_unknown_fields_can_be_ignored(library: Contract, backend: Backend) -> None:
    """The setting drops fields that the contract lacks and still checks the others."""
    async with edge_of(library, backend.port, ignore_unknown_fields=True) as client:
        assert await echoed(client, backend, "POST", "/v1/echo?x=1", json={"y": {"z": [1]}, "i32": 1}) == {"i32": 1}
        assert await echoed(client, backend, "GET", "/v1/echo?y.z=1&i32=1") == {"i32": 1}
        names = {"kind": "KIND_ESSAY", "kinds": ["KIND_ESSAY", "KIND_POEM"], "list": [{}]}
        assert await echoed(client, backend, "POST", "/v1/echo", json=names) == {"kinds": ["KIND_POEM"], "list": [{}]}
        assert await client.violations("POST", "/v1/echo", json={"kind": True}) == {"kind": "INVALID_VALUE"}
        assert await client.violations("GET", "/v1/echo?i32=1&i32=2&y=1") == {"i32": "FIELD_GIVEN_TWICE"}


async def test_a_method_without_a_body_takes_none(client: Client, backend: Backend) -> None:
    """A body that the method would not read is rejected, because it is a mistake of the client."""
    for body in (b'{"etag": "7"}', b"[1]", b'""', b"0", b"{", b"a=b", b"{" + b" " * 100 + b"}", b" " * 100 + b"1"):
        response = await client.request("DELETE", "/v1/shelves/a/books/b", content=body)
        assert (response.status_code, backend.calls) == (400, []), body
        assert response.json()["error"]["details"][0]["reason"] == "BODY_NOT_EXPECTED"


NOTHING = [b"", b"{}", b" {\r\n} ", b"null", b"[]", b" \n", b" " * 1000]


@pytest.mark.parametrize("body", NOTHING)
@pytest.mark.parametrize("media_type", ["", "application/json", "application/x-www-form-urlencoded", "text/plain"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_an_empty_value_is_no_body(
    client: Client, backend: Backend, method: str, body: bytes, media_type: str
) -> None:
    """Some clients send {} with every request; it is ignored where no body is expected."""
    headers = {"content-type": media_type} if media_type else {}
    response = await client.request(method, "/v1/shelves/a/books/b", content=body, headers=headers)
    assert (response.status_code, len(backend.calls)) == (200, 1), response.text


async def test_a_body_where_none_is_expected_can_be_ignored(library: Contract, backend: Backend) -> None:
    """IGNORE_UNKNOWN_FIELDS also ignores a body where none is expected."""
    async with edge_of(library, backend.port, ignore_unknown_fields=True) as client:
        response = await client.request("DELETE", "/v1/shelves/a/books/b", json={"etag": "7"})
    assert response.status_code == 200
    assert json.loads(backend.received("library.v1.DeleteBookRequest")) == {"name": "shelves/a/books/b"}


FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize(
    "body",
    [
        b'{"i32": 1}',
        b' \t\r\n{"i32": 1}',
        b'\xef\xbb\xbf{"i32": 1}',
        b"{}",
        b"{",
        b'[{"i32": 1}]',
        b'"text"',
        b"null",
        b"true",
        b" 12 ",
        b"-1.5e+3",
        b"%7B%22i32%22%3A1%7D",
        b"%7b%22i32%22%3a1%7d",
        b"+%20%0A%0d%09%7B%22i32%22%3A+1%7D",
        b"%EF%BB%BF%5B1%5D",
        b'{"text": "a=b&c=d"}',
        b"%22a%22",
    ],
)
async def test_json_sent_as_a_form_is_rejected_with_a_hint(
    library: Contract, backend: Backend, body: bytes, lenient: bool
) -> None:
    """curl -d sends JSON as a form; it is never read as an empty form, and the error names the type to send."""
    async with edge_of(library, backend.port, ignore_unknown_fields=lenient) as client:
        for headers in (FORM, {"content-type": "Application/X-WWW-Form-Urlencoded; charset=UTF-8"}):
            for url in ("/v1/echo", "/v1/value", "/v1/shelves/a/books"):
                response = await client.post(url, content=body, headers=headers)
                error = response.json()["error"]
                assert (response.status_code, error["details"][0]["reason"]) == (415, "CONTENT_TYPE_NOT_SUPPORTED")
                assert "Send Content-Type: application/json." in error["message"]
    assert backend.calls == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", {}),
        (b"text=%7B%22a%22%3A1%7D", {"text": '{"a":1}'}),
        (b"text={}&i32=1", {"text": "{}", "i32": 1}),
        (b"strings=a&strings=%5B", {"strings": ["a", "["]}),
        (b"text", {"text": ""}),
        (b"&i32=1&", {"i32": 1}),
    ],
)
async def test_real_forms(client: Client, backend: Backend, body: bytes, expected: dict[str, Any]) -> None:
    """Forms are read even if they are empty or their values are JSON."""
    response = await client.post("/v1/echo", content=body, headers=FORM)
    assert (response.status_code, {**dict.fromkeys(expected, ""), **response.json()}) == (200, expected)


@pytest.mark.parametrize(
    "media_type",
    [
        "text/xml",
        "text/json",
        "application/merge-patch+json",
        "application/json, application/json",
        "application/json; charset=utf-16",
        "multipart/form-data; boundary=x",
        "nonsense",
        "application/x-www-form-urlencoded",
    ],
)
async def test_a_415_lists_the_accepted_types(client: Client, backend: Backend, media_type: str) -> None:
    """Accept-Patch (RFC 5789, section 2.2) or Accept-Post lists the accepted types, and the error names the received
    one.
    """
    for method, url, types in (
        ("PATCH", "/v1/shelves/a/books/b", "application/json"),
        ("PATCH", "/v2/shelves/a/books/b", "application/json, application/x-www-form-urlencoded"),
        ("POST", "/v1/shelves/a/books", "application/json"),
    ):
        content = b"\xff" if method == "PATCH" else b"title=T"
        if url.startswith("/v2") and media_type.endswith("urlencoded"):
            continue
        response = await client.request(method, url, content=content, headers={"content-type": media_type})
        assert (response.status_code, backend.calls) == (415, [])
        assert response.headers["accept"] == response.headers[f"accept-{method.lower()}"] == types
        assert media_type in response.json()["error"]["message"]


@pytest.mark.parametrize("framing", ["content-length: 0", "transfer-encoding: chunked"])
async def test_an_upload_of_no_bytes_keeps_its_type(client: Client, backend: Backend, framing: str) -> None:
    """An empty file keeps its Content-Type."""
    body = b"0\r\n\r\n" if "chunked" in framing else b""
    head = f"PUT /v1/files/a HTTP/1.1\r\nhost: x\r\ncontent-type: text/csv; header=present\r\n{framing}\r\n\r\n"
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    writer.write(head.encode() + body)
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()
    upload = json.loads(backend.received("library.v1.UploadRequest"))
    assert upload == {"path": "a", "file": {"contentType": "text/csv; header=present"}}
