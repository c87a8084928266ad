"""The store through its public API: from REST over gRPC to PostgreSQL, and from events to mail."""

import json
import uuid

from tests.system.mesh import Client, Mesh, eventually, oauth_error, problem


def test_a_welcome_mail_follows_a_registration(mesh: Mesh, customer: Client) -> None:
    """The event of a registration leads to a mail, which the user can list."""
    mail = eventually(lambda: mesh.mails(customer.email))
    assert len(mail) == 1
    assert "Ada" not in mail[0]["text"], "nobody has proved that the address is hers"
    listed = eventually(lambda: customer.get("/v1/notifications").json().get("notifications"))
    assert [notification["subject"] for notification in listed] == [mail[0]["subject"]]


def test_a_customer_buys(staff: Client, customer: Client) -> None:
    """A product is created, found, ordered at its price, paid, read, listed and cancelled."""
    word = f"w{uuid.uuid4().hex}"
    saw = staff.create_product(f"Folding saw {word}", units=24)
    rake = staff.create_product(f"Rake {word}", units=9)
    found = customer.get("/v1/products:search", params={"query": word}).json()["products"]
    assert {product["name"] for product in found} == {saw["name"], rake["name"]}
    both = customer.get("/v1/products:batchGet", params={"names": [rake["name"], saw["name"]]}).json()["products"]
    assert [product["title"] for product in both] == [rake["title"], saw["title"]]

    for product in (saw, rake):
        staff.adjust_stock(product)
    placed = customer.order(saw, rake)
    assert placed.status_code == 201
    assert placed.json()["state"] == "STATE_PENDING"
    order = customer.wait_for_order(placed.json()["name"], "STATE_CONFIRMED")
    assert order["total"] == {"currencyCode": "EUR", "units": "34", "nanos": 800_000_000}
    assert [line["title"] for line in order["lines"]] == [saw["title"], rake["title"]]

    assert customer.get(f"/v1/{order['name']}").json() == order
    assert [listed["name"] for listed in customer.get("/v1/orders").json()["orders"]] == [order["name"]]
    assert order["name"] in {o["name"] for o in staff.get("/v1/orders", params={"pageSize": 1000}).json()["orders"]}

    cancelled = customer.post(f"/v1/{order['name']}:cancel", json={"etag": order["etag"]})
    assert cancelled.json()["state"] == "STATE_CANCELLED"
    again = customer.post(f"/v1/{order['name']}:cancel", json={}).json()
    assert (again["state"], again["lines"]) == ("STATE_CANCELLED", cancelled.json()["lines"])


def test_an_order_keeps_its_price(staff: Client, customer: Client) -> None:
    """A later change of the product does not change the order."""
    product = staff.create_product(units=10)
    order = customer.order(product).json()
    changed = staff.patch(f"/v1/{product['name']}", json={"price": {"currencyCode": "EUR", "units": "99"}})
    assert changed.status_code == 200, changed.text
    assert customer.get(f"/v1/{order['name']}").json()["total"]["units"] == "10"
    assert customer.order(product).json()["total"]["units"] == "99"


def test_staff_manages_the_catalog(staff: Client, anyone: Client) -> None:
    """Staff updates by mask and etag, deletes and undeletes; anybody may read products that are not deleted."""
    product = staff.create_product(description="Sharp.")
    path = f"/v1/{product['name']}"
    renamed = staff.patch(path, params={"updateMask": "title"}, json={"title": "Saw", "etag": product["etag"]}).json()
    assert (renamed["title"], renamed["description"]) == ("Saw", "Sharp.")
    assert problem(staff.patch(path, json={"title": "x", "etag": product["etag"]}))[:3] == (
        409,
        "ABORTED",
        "ETAG_MISMATCH",
    )
    assert "deleteTime" in staff.delete(path).json()
    assert "deleteTime" in staff.get(path).json()
    assert problem(anyone.get(path))[:3] == (404, "NOT_FOUND", "PRODUCT_NOT_FOUND")
    assert problem(anyone.get("/v1/products?showDeleted=true"))[:3] == (401, "UNAUTHENTICATED", "TOKEN_MISSING")
    assert "deleteTime" not in staff.post(f"{path}:undelete", json={}).json()


def test_a_browser_changes_what_it_has_read(staff: Client, anyone: Client) -> None:
    """A compressed read and an update with its entity tag succeed; a second update with the same tag is rejected."""
    path = f"/v1/{staff.create_product(description='Sharp. ' * 500)['name']}"
    read = anyone.get(path, headers={"accept-encoding": "gzip"})
    assert (read.headers["content-encoding"], read.headers["etag"].startswith("W/")) == ("gzip", False)
    headers = {"if-match": read.headers["etag"]}
    assert staff.patch(path, json={"title": "Saw"}, headers=headers).json()["title"] == "Saw"
    assert problem(staff.patch(path, json={"title": "Axe"}, headers=headers))[:3] == (412, "ABORTED", "ETAG_MISMATCH")
    known = {"accept-encoding": "gzip", "if-none-match": read.headers["etag"]}
    again = anyone.get(path, headers=known)
    assert (again.status_code, again.json()["title"]) == (200, "Saw")
    assert anyone.get(path, headers=known | {"if-none-match": again.headers["etag"]}).status_code == 304


def test_products_are_imported(staff: Client, anyone: Client) -> None:
    """A file of JSON lines becomes products; its bad lines are reported, and a repetition changes nothing."""
    category = f"c{uuid.uuid4().hex}"
    good = json.dumps({"title": "Saw", "category": category, "price": {"currencyCode": "EUR", "units": "3"}})
    headers = {"content-type": "application/x-ndjson", "idempotency-key": str(uuid.uuid4())}
    file = "\n".join([good, '{"title": ', good])
    first = staff.post("/v1/products:import", content=file, headers=headers)
    assert first.status_code == 200, first.text
    assert (first.json()["createdCount"], first.json()["rejectedCount"]) == (2, 1)
    assert [(each["line"], each["reason"]) for each in first.json()["rejectedLines"]] == [(2, "MALFORMED_JSON")]
    again = staff.post("/v1/products:import", content=file, headers=headers).json()
    assert (again["unchangedCount"], again.get("createdCount", 0)) == (2, 0)
    listed = anyone.get("/v1/products", params={"filter": f'category = "{category}"'}).json()["products"]
    assert [product["title"] for product in listed] == ["Saw", "Saw"]
    assert problem(anyone.post("/v1/products:import", content=file, headers=headers))[:2] == (401, "UNAUTHENTICATED")


def test_lists_are_filtered_ordered_and_paged(staff: Client, anyone: Client) -> None:
    """The pages have no gaps, the requested order, and only products that match the filter."""
    category = f"c{uuid.uuid4().hex}"
    for units in (5, 3, 9, 1, 7):
        staff.create_product(f"Thing {units}", units=units, category=category)
    query = {"filter": f'category = "{category}" AND price > 2', "orderBy": "price desc", "pageSize": "2"}
    titles, token = [], ""
    while True:
        page = anyone.get("/v1/products", params=query | ({"pageToken": token} if token else {})).json()
        titles += [product["title"] for product in page.get("products", [])]
        if not (token := page.get("nextPageToken", "")):
            break
    assert titles == ["Thing 9", "Thing 7", "Thing 5", "Thing 3"]


def test_a_user_manages_the_account(customer: Client) -> None:
    """A user can read, update by mask and etag, and delete the account; afterwards its tokens are invalid."""
    me = customer.get("/v1/users/me").json()
    assert me["email"] == customer.email
    changed = customer.patch("/v1/users/me", json={"displayName": "Countess", "etag": me["etag"]})
    assert changed.json()["displayName"] == "Countess"
    assert problem(customer.patch("/v1/users/me", json={"displayName": "x", "etag": me["etag"]}))[:2] == (
        409,
        "ABORTED",
    )
    assert customer.delete("/v1/users/me").status_code == 200
    form = {"grant_type": "password", "username": customer.email, "password": "correct horse battery"}
    assert oauth_error(customer.post("/v1/oauth2/token", data=form)) == (400, "invalid_grant")


def test_tokens_rotate_and_reuse_is_noticed(customer: Client) -> None:
    """A refresh token works once; used again, it ends the whole sign-in."""
    first = customer.sign_in(customer.email)
    form = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    second = customer.post("/v1/oauth2/token", data=form)
    assert second.status_code == 200
    assert second.headers["cache-control"] == "no-store"
    assert oauth_error(customer.post("/v1/oauth2/token", data=form)) == (400, "invalid_grant")
    form["refresh_token"] = second.json()["refresh_token"]
    assert oauth_error(customer.post("/v1/oauth2/token", data=form)) == (400, "invalid_grant")


def test_a_revoked_token_refreshes_nothing(customer: Client) -> None:
    """RFC 7009: a revoked token is invalid, and revoking it again is not an error."""
    tokens = customer.sign_in(customer.email)
    for _ in range(2):
        assert customer.post("/v1/oauth2/revoke", data={"token": tokens["refresh_token"]}).status_code == 200
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert oauth_error(customer.post("/v1/oauth2/token", data=form)) == (400, "invalid_grant")


def test_the_issuer_describes_itself(anyone: Client) -> None:
    """Keys and metadata are where OpenID Connect clients look for them."""
    discovery = anyone.get("/.well-known/openid-configuration").json()
    assert discovery["jwks_uri"].endswith("/.well-known/jwks.json")
    assert discovery["token_endpoint"].endswith("/v1/oauth2/token")
    keys = anyone.get("/.well-known/jwks.json").json()["keys"]
    assert keys
    assert all(key["kty"] == "EC" and "d" not in key for key in keys)


def test_the_answer(customer: Client, anyone: Client) -> None:
    """Every caller with a valid token gets the answer, others get 401."""
    assert customer.get("/v1/information").json() == {"text": "The answer is 42."}
    refused = anyone.get("/v1/information")
    assert problem(refused)[:3] == (401, "UNAUTHENTICATED", "TOKEN_MISSING")
    assert refused.headers["www-authenticate"].startswith("Bearer")


def test_one_request_id_is_one_order(staff: Client, customer: Client) -> None:
    """The same Idempotency-Key returns the first response again; with another body it is rejected."""
    product, another = staff.create_product(), staff.create_product()
    key = str(uuid.uuid4())
    first, again = customer.order(product, request_id=key), customer.order(product, request_id=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert problem(customer.order(another, request_id=key))[:3] == (400, "INVALID_ARGUMENT", "REQUEST_ID_REUSED")
    assert len(customer.get("/v1/orders").json()["orders"]) == 1
