"""The calls that the sides of benchmarks/unary.py are measured with: requests, and the constant answers to them."""

import base64
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from random import Random
from typing import Any, Final

from benchmarks.http_load import request

LINES: Final = 9_000
ORDERS: Final = 50
TITLE: Final = "A folding saw with a blade of hardened steel"
BLOB_BYTES: Final = 1_000_000
MISSING: Final = "00000000-0000-4000-8000-000000000404"
"""The id of an order that the backend does not have: its source has it too."""
_ID: Final = "0d1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"


@dataclass(frozen=True, slots=True)
class Work:
    """A kind of call. `calls` is their number in a round, over so many `connections` unless the plan decides. One in
    `missing_every` is for an order that the backend does not have.
    """

    name: str
    what: str
    method: str
    http_method: str
    path: str
    answer: Mapping[str, Any]
    calls: int
    body: Mapping[str, Any] | None = None
    connections: int | None = None
    missing_every: int | None = None

    def requests(self, headers: dict[str, str], count: int) -> list[str]:
        """Returns so many requests."""
        requests = [self._request(self.path, headers)] * count
        for number in self._missing(count):
            requests[number] = self._request(f"/v1/orders/{MISSING}", headers)
        return requests

    def statuses(self, count: int) -> Counter[int]:
        """Returns the statuses with which so many requests must be answered."""
        missing = len(self._missing(count))
        return +Counter[int]({HTTPStatus.OK: count - missing, HTTPStatus.NOT_FOUND: missing})

    def _missing(self, count: int) -> range:
        return range(0, count, self.missing_every) if self.missing_every else range(0)

    def _request(self, path: str, headers: dict[str, str]) -> str:
        return request(self.http_method, path, {"accept": "application/json"} | headers, self.body)


def money(units: int, nanos: int) -> dict[str, Any]:
    """Returns an amount."""
    return {"currencyCode": "EUR", "units": str(units), "nanos": nanos}


def line(number: int) -> dict[str, Any]:
    """Returns a line of an order."""
    return {
        "product": f"products/6f1c7b1e-6a35-4b43-9d53-{number:012}",
        "quantity": 3,
        "title": "Folding saw",
        "unitPrice": money(24, 900_000_000),
        "amount": money(74, 700_000_000),
    }


def order() -> dict[str, Any]:
    """Returns an order."""
    return {
        "name": f"orders/{_ID}",
        "uid": _ID,
        "customer": "users/5e4d3c2b-1a09-4f8e-9d7c-6b5a43210fed",
        "lines": [line(1), line(2)],
        "total": money(149, 400_000_000),
        "state": "STATE_PENDING",
        "createTime": "2025-10-09T08:53:20.123456Z",
        "updateTime": "2025-10-09T08:53:20.123456Z",
        "etag": "1",
    }


def works() -> tuple[Work, ...]:
    """Returns all kinds of calls."""
    asked = {"customer": order()["customer"], "lines": [line(1), line(2)], "total": order()["total"]}
    lines = [
        {"product": f"products/{number:08}", "quantity": number % 99 + 1, "title": TITLE, "price": 24.75}
        for number in range(LINES)
    ]
    blob = base64.b64encode(Random(1).randbytes(BLOB_BYTES)).decode()
    get = Work("get", "one order", "GetOrder", "GET", f"/v1/orders/{_ID}", order(), 6_000)
    return (
        get,
        replace(get, name="get 8", what="one order, over 8 connections", connections=8),
        replace(get, name="get 32", what="one order, over 32 connections", connections=32),
        replace(get, name="errors", what="one order, and one call in 20 is 404", missing_every=20),
        Work("create", "an order in and out", "CreateOrder", "POST", "/v1/orders", order(), 4_000, asked),
        Work("list", "50 orders", "ListOrders", "GET", "/v1/orders?pageSize=50", {"orders": [order()] * ORDERS}, 600),
        Work("lines", "1 MB of JSON", "ListLines", "GET", "/v1/lines", {"lines": lines}, 40),
        Work("blob", "1 MB of bytes as base64", "GetBlob", "GET", "/v1/blobs/1", {"data": blob}, 150),
    )
