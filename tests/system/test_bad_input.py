"""Invalid input to the running store: the correct status, every invalid field, no internals, no changes."""

import base64
import json
import uuid
from typing import Any

import httpx
import pytest

from tests.issuer import Issuer
from tests.system.mesh import PASSWORD, Client, Mesh, oauth_error, problem

JSON = {"content-type": "application/json"}
USER = {"email": "new@example.com", "password": PASSWORD, "display_name": "Ada"}


def body(**changed: Any) -> bytes:
    """Returns a registration with changed fields."""
    return json.dumps({key: value for key, value in (USER | changed).items() if value is not None}).encode()


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        (b'{"email": "new@example.com"', []),
        (b"", ["email", "password", "displayName"]),
        (b"[]", []),
        (b"null", None),
        (b'"text"', []),
        (body(nickname="A"), ["nickname"]),
        (body(email=7), ["email"]),
        (body(email=["new@example.com"]), ["email"]),
        (body(display_name=None), ["displayName"]),
        (body(email="no address", password="short"), ["email", "password"]),
        (body(password="x" * 129), ["password"]),
        (body(request_id="not a uuid"), ["requestId"]),
        (body(displayName="twice"), ["displayName"]),
        (b'{"email": "a@example.com", "email": "b@example.com"}', ["email"]),
        (body(email="new@example.com\x00"), ["email"]),
        (body().replace(b"Ada", b"\xff\xfe"), []),
        (body().replace(b"Ada", b"\\ud800"), None),
        (b"[" * 50_000, []),
        (b'{"email":' * 5_000 + b"1" + b"}" * 5_000, None),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, bytes) else "",
)
def test_an_invalid_registration_names_its_fields(anyone: Client, content: bytes, fields: list[str] | None) -> None:
    """A body that is malformed or breaks the contract is 400 with all invalid fields."""
    status, name, _, violations = problem(anyone.post("/v1/users", content=content, headers=JSON))
    assert (status, name) == (400, "INVALID_ARGUMENT")
    if fields is not None:
        assert [to_camel(violation) for violation in violations] == fields or set(violations) >= set(fields)


def to_camel(path: str) -> str:
    """Returns a field path with JSON names."""
    head, *rest = path.split("_")
    return head + "".join(part.title() for part in rest)


def test_invalid_registrations_register_nobody(anyone: Client) -> None:
    """The address of all the invalid registrations is still free."""
    answer = anyone.post("/v1/users", json=USER | {"email": f"{uuid.uuid4().hex}@example.com"})
    assert answer.status_code == 201
    form = {"grant_type": "password", "username": USER["email"], "password": PASSWORD}
    assert oauth_error(anyone.post("/v1/oauth2/token", data=form)) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("method", "path", "options", "expected"),
    [
        ("GET", "/v1/products?pageToken=nonsense", {}, (400, "INVALID_ARGUMENT", ["pageToken"])),
        ("GET", "/v1/products?pageSize=-1", {}, (400, "INVALID_ARGUMENT", ["pageSize"])),
        ("GET", "/v1/products?pageSize=many", {}, (400, "INVALID_ARGUMENT", ["pageSize"])),
        ("GET", "/v1/products?pageSize=99999999999", {}, (400, "INVALID_ARGUMENT", ["pageSize"])),
        ("GET", "/v1/products?colour=red", {}, (400, "INVALID_ARGUMENT", ["colour"])),
        ("GET", "/v1/products?filter=price%20%3E", {}, (400, "INVALID_ARGUMENT", ["filter"])),
        ("GET", "/v1/products?orderBy=weight", {}, (400, "INVALID_ARGUMENT", ["orderBy"])),
        ("GET", "/v1/products:search?query=%00", {}, (400, "INVALID_ARGUMENT", ["query"])),
        ("GET", "/v1/products:batchGet", {}, (400, "INVALID_ARGUMENT", ["names"])),
        ("GET", "/v1/products/3430a263-a978-4677-bf95-6d2ce1210fea", {}, (404, "NOT_FOUND", [])),
        ("GET", "/v1/products/%FF", {}, (400, "INVALID_ARGUMENT", None)),
        ("GET", "/v1/nothing", {}, (404, "NOT_FOUND", [])),
        ("GET", "/", {"headers": {"accept": "application/json"}}, (404, "NOT_FOUND", [])),
        ("PUT", "/v1/products", {}, (405, "UNIMPLEMENTED", [])),
        ("POST", "/v1/users", {"content": b"<xml/>", "headers": {"content-type": "text/xml"}}, (415, None, [])),
        ("POST", "/v1/users", {"content": b'"' + b"x" * 2 * 2**20 + b'"', "headers": JSON}, (413, None, [])),
        ("POST", "/v1/users", {"content": b"[" * 100_000, "headers": JSON}, (413, None, [])),
        ("POST", "/v1/orders", {"json": {}}, (401, "UNAUTHENTICATED", [])),
        ("GET", "/v1/users/me", {}, (401, "UNAUTHENTICATED", [])),
    ],
)
def test_invalid_requests_get_the_correct_status(
    anyone: Client, method: str, path: str, options: dict[str, Any], expected: tuple[int, str | None, list[str] | None]
) -> None:
    """Every error has the common format, whether the framework, the edge or a service reports it."""
    answer = anyone.request(method, path, **options)
    status, name, _, violations = problem(answer)
    assert status == expected[0], answer.text
    assert expected[1] in (None, name)
    assert expected[2] in (None, violations)
    if status == 405:
        assert "POST" in answer.headers["allow"]


def test_invalid_tokens_are_rejected(mesh: Mesh, customer: Client, anyone: Client) -> None:
    """A missing, malformed or forged token, or one with another algorithm, is 401 with a challenge."""
    good = customer.headers["authorization"].removeprefix("Bearer ")
    header, payload, _ = good.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    forger = Issuer()
    forger.kid = json.loads(base64.urlsafe_b64decode(header + "=="))["kid"]
    forger.keys[forger.kid] = forger.keys["key-1"]
    for token in ("rubbish", f"{header}.{payload}.", forger.sign(claims), good[:-6] + "AAAAAA"):
        answer = anyone.get("/v1/users/me", headers={"authorization": f"Bearer {token}"})
        assert problem(answer)[:2] == (401, "UNAUTHENTICATED"), token
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_scope_that_is_missing_is_named(customer: Client) -> None:
    """A customer can't change the catalog, and the error names the required scope."""
    product = {"title": "x", "category": "x", "price": {"currencyCode": "EUR", "units": "1"}}
    answer = customer.post("/v1/products", json=product)
    assert problem(answer)[:3] == (403, "PERMISSION_DENIED", "SCOPE_MISSING")
    assert "catalog.write" in answer.text


def test_another_customers_order_does_not_exist(staff: Client, customer: Client, other: Client) -> None:
    """Reading and cancelling another customer's order fail as for a missing order."""
    product = staff.create_product()
    staff.adjust_stock(product)
    order = customer.order(product).json()
    for client, name in ((other, order["name"]), (customer, f"orders/{uuid.uuid4()}")):
        for answer in (client.get(f"/v1/{name}"), client.post(f"/v1/{name}:cancel", json={})):
            assert problem(answer)[:2] == (404, "NOT_FOUND")
            assert answer.json()["error"]["message"].replace(name, "") == (
                other.get(f"/v1/orders/{uuid.UUID(int=0)}")
                .json()["error"]["message"]
                .replace(f"orders/{uuid.UUID(int=0)}", "")
            )
    customer.wait_for_order(order["name"], "STATE_CONFIRMED")


def test_an_invalid_order_names_every_line(staff: Client, customer: Client) -> None:
    """Each invalid line is listed with its index, and no order is placed."""
    good = staff.create_product()
    gone = staff.create_product()
    staff.delete(f"/v1/{gone['name']}")
    lines = [
        {"product": good["name"], "quantity": 1},
        {"product": f"products/{uuid.uuid4()}", "quantity": 1},
        {"product": gone["name"], "quantity": 1},
    ]
    status, name, _, violations = problem(customer.post("/v1/orders", json={"lines": lines}))
    assert (status, name) == (400, "INVALID_ARGUMENT")
    assert [violation.split(".")[-2:] for violation in violations] == [["lines[1]", "product"], ["lines[2]", "product"]]
    wrong = {"lines": [{"product": "saw", "quantity": 0}, {"product": good["name"], "quantity": 1001}]}
    status, name, _, violations = problem(customer.post("/v1/orders", json=wrong))
    assert status == 400
    assert len(violations) == 3
    assert customer.get("/v1/orders").json().get("orders", []) == []


def test_an_invalid_mask_names_every_path(staff: Client) -> None:
    """Unknown and immutable paths of an update mask are listed, and nothing changes."""
    product = staff.create_product()
    mask = {"updateMask": "title,weight,createTime"}
    answer = staff.patch(f"/v1/{product['name']}", params=mask, json={"title": "x"})
    assert problem(answer)[:2] == (400, "INVALID_ARGUMENT")
    assert "weight" in answer.text
    assert staff.get(f"/v1/{product['name']}").json() == product


def test_internals_never_leak(anyone: Client, customer: Client) -> None:
    """No response to hostile input holds a stack trace, an address, a query or a driver's name."""
    answers: list[httpx.Response] = [
        anyone.get("/v1/products", params={"filter": "'; DROP TABLE products; --"}),
        anyone.get("/v1/products:search", params={"query": "' OR 1=1 --"}),
        anyone.get("/v1/products/" + "x" * 4000),
        customer.post("/v1/orders", json={"lines": [{"product": "products/'", "quantity": 1}]}),
        customer.get("/v1/orders", params={"pageToken": base64.b64encode(b'["x", 1, 2]').decode()}),
        anyone.post("/v1/oauth2/token", data={"grant_type": "password", "username": "x' --", "password": "y"}),
        anyone.post("/v1/oauth2/token", data={"grant_type": "client_credentials", "client_id": "orders"}),
    ]
    for answer in answers:
        assert answer.status_code < 500, answer.text
        for word in ("Traceback", "asyncpg", "SELECT", "127.0.0.1:", "site-packages", "grpc"):
            assert word not in answer.text
