"""A client of the shop's public API, with the methods that the demo uses."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Self
from uuid import NAMESPACE_URL, uuid5

import httpx

from demo.customers import Customer
from demo.products import Category, Product

CONCURRENCY = 8
ATTEMPTS = 6
TIMEOUT_S = 30.0
STOCK_UNITS = 500
PAUSE_S = 0.5
BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)


class DemoError(Exception):
    """An error that stops the demo. Its message is for the user."""


class Shop:
    """A client of the shop. Request ids are derived from the data, so that a second run creates nothing twice."""

    def __init__(self, url: str) -> None:
        # The proxy of HTTP_PROXY can't reach the shop of this machine.
        self._http = httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, trust_env=False)
        self._slots = asyncio.Semaphore(CONCURRENCY)
        self._url = url

    async def token(self, email: str, password: str) -> str:
        """Obtains an access token for a user (RFC 6749, section 4.3)."""
        form = {"grant_type": "password", "username": email, "password": password}
        return str((await self._call("POST", "/v1/oauth2/token", data=form))["access_token"])

    async def register(self, customer: Customer, password: str) -> None:
        """Registers a customer. The response is the same if the account exists already."""
        body = {"email": customer.email, "password": password, "displayName": customer.display_name}
        await self._call("POST", "/v1/users", key=customer.email, json=body)

    async def is_confirmed(self, token: str) -> bool:
        """Returns whether the user of an access token has confirmed their address."""
        return bool((await self._call("GET", "/v1/users/me", token)).get("emailConfirmed", False))

    async def confirm_address(self, one_time_token: str) -> None:
        """Confirms the address to which a one-time token was mailed; an outdated token changes nothing."""
        body = {"token": one_time_token}
        await self._call("POST", "/v1/users:confirmEmail", accepted=(HTTPStatus.BAD_REQUEST,), json=body)

    async def create_category(self, category: Category, token: str) -> None:
        """Creates a category, unless it exists already."""
        body = {"title": category.title, "parent": f"categories/{category.parent}" if category.parent else ""}
        path = f"/v1/categories?categoryId={category.id}"
        await self._call("POST", path, token, accepted=(HTTPStatus.CONFLICT,), json=body)

    async def create_product(self, product: Product, token: str) -> str:
        """Creates a product, and returns its name."""
        cents = int(product.price * 100)
        body = {
            "title": product.title,
            "description": product.description,
            "category": product.category,
            "additionalCategories": list(product.additional_categories),
            "price": {"currencyCode": "EUR", "units": str(cents // 100), "nanos": cents % 100 * 10_000_000},
        }
        return str((await self._call("POST", "/v1/products", token, key=product.title, json=body))["name"])

    async def fill_stock(self, products: Sequence[str], token: str) -> None:
        """Adds units to the stock of all products, up to 1000."""
        adjustment = {"delta": STOCK_UNITS, "reason": "REASON_RECEIVED", "note": "For the demo"}
        requests = [{"name": f"{product}/stock", "adjustment": adjustment} for product in products]
        await self._call("POST", "/v1/stock:batchAdjust", token, key="stock", json={"requests": requests})

    async def create_order(self, quantities: dict[str, int], key: str, token: str) -> str:
        """Places an order, and returns its name. `quantities` are by the names of products."""
        lines = [{"product": product, "quantity": quantity} for product, quantity in quantities.items()]
        return str((await self._call("POST", "/v1/orders", token, key=key, json={"lines": lines}))["name"])

    async def cancel_order(self, name: str, token: str) -> None:
        """Cancels an order; repeating that changes nothing."""
        await self._call("POST", f"/v1/{name}:cancel", token, json={})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def _call(
        self,
        method: str,
        path: str,
        token: str = "",
        key: str = "",
        accepted: Sequence[HTTPStatus] = (),
        **body: Any,
    ) -> dict[str, Any]:
        """Calls the API, and retries while the shop is busy. Raises DemoError for an error that is not `accepted`."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        if key:
            headers["idempotency-key"] = str(uuid5(NAMESPACE_URL, f"meshwright-demo:{path}:{key}"))
        for attempt in range(ATTEMPTS):
            async with self._slots:
                response = await self._send(method, path, headers, body)
            if response.status_code not in BUSY:
                break
            await asyncio.sleep(float(response.headers.get("retry-after", PAUSE_S * 2**attempt)))
        if response.is_success or response.status_code in accepted:
            return dict(response.json())
        raise DemoError(f"{method} {path} failed with status {response.status_code}: {_message(response)}")

    async def _send(self, method: str, path: str, headers: dict[str, str], body: dict[str, Any]) -> httpx.Response:
        try:
            return await self._http.request(method, path, headers=headers, **body)
        except httpx.TransportError as error:
            raise DemoError(f"No mesh responds at {self._url}. Start one with `make up`, and try again.") from error


def _message(response: httpx.Response) -> str:
    """Returns the message of an error in the format of AIP-193."""
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return response.text[:200]
