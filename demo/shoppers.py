"""Shoppers of a running shop: each visit places an order by the public API, as a careful client does.

An attempt that fails is repeated under the same Idempotency-Key until it is answered, so that each visit has one order,
whatever happens to the shop meanwhile. The visits of a seed are always the same.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final
from uuid import UUID

import httpx

from demo.client import DemoError

PASSWORD: Final = "shopper's password"  # not a secret: the shoppers are fictional
RETRIED: Final = frozenset({429, 502, 503, 504})
GIVE_UP_S: Final = 180.0
TIMEOUT_S: Final = 10.0
TOKEN_S: Final = 300.0
"""The age at which a shopper signs in again: less than the lifetime of a token."""

CARDS: Final = {
    "card_ok": 88,
    "card_declined": 4,
    "card_timeout": 3,
    "card_unknown": 2,
    "card_late": 2,
    "card_twice": 1,
}
"""How often each test card is used, in percent."""

DECIDING_S: Final = 900.0
"""The time after which an order must be decided: more than the limits of the sweeper of orders."""

REPEATERS: Final = 16
UNITS_PER_VISIT: Final = 4.0

CANCELLED_SHARE: Final = 0.05
"""The share of the visits that cancel their order at once, and of those that do so after its decision."""

DECIDED: Final = frozenset({"STATE_CONFIRMED", "STATE_CANCELLED", "STATE_SHIPPED"})


@dataclass(frozen=True, slots=True)
class Visit:
    """The plan of a visit: who orders what under which Idempotency-Key, and whether they change their mind."""

    email: str
    order: dict[str, Any]
    key: str
    cancels_at_once: bool
    cancels_later: bool


@dataclass(slots=True)
class Figures:
    """The observations of the shoppers. Times are in seconds."""

    placed: dict[int, dict[str, Any]] = field(default_factory=dict)
    """The orders as they were acknowledged, by the numbers of the visits."""

    placing_s: list[float] = field(default_factory=list)
    deciding_s: list[float] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    repeated: Counter[str] = field(default_factory=Counter)


class Shoppers:
    """The shoppers of a shop, and what they have seen."""

    def __init__(
        self, url: str, staff: tuple[str, str], *, seed: int, visits: int, people: int = 12, products: int = 12
    ) -> None:
        """Prepares shoppers. `staff` are the address and the password of a member of staff, who fills the shop. Some
        products are sold out before this number of visits is over.
        """
        self.figures = Figures()
        self._http = httpx.AsyncClient(
            base_url=url,
            timeout=TIMEOUT_S,
            limits=httpx.Limits(max_connections=200, max_keepalive_connections=50),
            trust_env=False,  # the proxy of HTTP_PROXY can't reach the shop of this machine
        )
        self._staff = staff
        self._seed = seed
        self._people = [f"shopper-{seed}-{number}@example.com" for number in range(people)]
        self._visits = visits
        self._products_count = products
        self._products: list[str] = []
        self._tokens: dict[str, tuple[str, float]] = {}

    async def __aenter__(self) -> "Shoppers":
        await self._fill()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def visit(self, number: int) -> None:
        """Places the order of a visit, waits until it is decided, and cancels some."""
        visit = self._plan(number)
        begun = time.monotonic()
        placed = await self._place(visit)
        self.figures.placing_s.append(time.monotonic() - begun)
        self.figures.placed[number] = placed
        if visit.cancels_at_once:
            await self._cancel(placed["name"], visit.email)
        await self._watch(placed["name"], visit.email, begun)
        if visit.cancels_later:
            await self._cancel(placed["name"], visit.email)

    async def find_problems(self) -> list[str]:
        """Compares what the shop has with what it acknowledged. Repeats all requests, which have to be answered as they
        were at first.
        """
        found = {name for person in self._people for name in await self._order_names(person)}
        placed = {order["name"] for order in self.figures.placed.values()}
        problems = [f"{name} was acknowledged, and is lost" for name in sorted(placed - found)]
        problems += [f"{name} was placed by no visit" for name in sorted(found - placed)]
        numbers = iter(self.figures.placed)
        repeated = await asyncio.gather(*(self._repeat(numbers) for _ in range(REPEATERS)))
        return problems + [problem for each in repeated for problem in each]

    async def _repeat(self, numbers: Iterator[int]) -> list[str]:
        problems = []
        for number in numbers:  # shared by all repeaters
            before, after = self.figures.placed[number], await self._place(self._plan(number))
            if after != before:
                problems.append(f"{before['name']}: the repeated request was answered by {after}, not {before}")
        return problems

    def _plan(self, number: int) -> Visit:
        chance = Random(f"{self._seed}:{number}")
        email = chance.choice(self._people)
        products = chance.sample(self._products, chance.randint(1, 3))
        order = {
            "lines": [{"product": product, "quantity": chance.randint(1, 3)} for product in products],
            "paymentMethod": chance.choices(list(CARDS), list(CARDS.values()))[0],
        }
        key = str(UUID(int=chance.getrandbits(128), version=4))
        return Visit(email, order, key, chance.random() < CANCELLED_SHARE, chance.random() < CANCELLED_SHARE)

    async def _place(self, visit: Visit) -> dict[str, Any]:
        return await self._call("POST", "/v1/orders", visit.email, key=visit.key, json=visit.order)

    async def _order_names(self, email: str) -> list[str]:
        names: list[str] = []
        page_token = ""
        while True:
            page = await self._call("GET", f"/v1/orders?pageSize=1000&pageToken={page_token}", email)
            names += [order["name"] for order in page.get("orders", [])]
            if not (page_token := page.get("nextPageToken", "")):
                return names

    async def _watch(self, name: str, email: str, begun: float) -> None:
        pause_s = 0.05
        while time.monotonic() - begun < DECIDING_S:
            order = await self._call("GET", f"/v1/{name}", email)
            if order["state"] in DECIDED:
                self.figures.deciding_s.append(time.monotonic() - begun)
                self.figures.states[order["state"].removeprefix("STATE_").lower()] += 1
                return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, 2.0)
        raise DemoError(f"{name} is still pending after {DECIDING_S:.0f} s")

    async def _cancel(self, name: str, email: str) -> None:
        await self._call("POST", f"/v1/{name}:cancel", email, json={})

    async def _fill(self) -> None:
        for email in self._people:
            account = {"email": email, "password": PASSWORD, "displayName": "Shopper"}
            await self._call("POST", "/v1/users", "", json=account)
        chance = Random(self._seed)
        for number in range(self._products_count):
            body = {
                "title": f"Article {number}",
                "category": "simulation",
                "price": {"currencyCode": "EUR", "units": str(chance.randint(1, 99)), "nanos": 990_000_000},
            }
            product = await self._call("POST", "/v1/products", self._staff[0], json=body)
            expected = UNITS_PER_VISIT * self._visits / self._products_count
            units = 1 + round(expected * chance.uniform(0.5, 3.0))
            adjustment = {"delta": units, "reason": "REASON_RECEIVED"}
            path = f"/v1/{product['name']}/stock:adjust"
            await self._call("POST", path, self._staff[0], json={"adjustment": adjustment})
            self._products.append(product["name"])

    async def _token(self, email: str) -> str:
        token, since = self._tokens.get(email, ("", float("-inf")))
        if time.monotonic() - since > TOKEN_S:
            password = self._staff[1] if email == self._staff[0] else PASSWORD
            form = {"grant_type": "password", "username": email, "password": password}
            token = (await self._call("POST", "/v1/oauth2/token", "", data=form))["access_token"]
            self._tokens[email] = token, time.monotonic()
        return token

    async def _call(self, method: str, path: str, email: str, *, key: str = "", **body: Any) -> dict[str, Any]:
        """Calls the API until it answers. Raises DemoError for an answer that no retry can change."""
        headers = {"authorization": f"Bearer {await self._token(email)}"} if email else {}
        if key:
            headers["idempotency-key"] = key
        give_up_at = time.monotonic() + GIVE_UP_S
        pause_s = 0.05
        while True:
            try:
                response = await self._http.request(method, path, headers=headers, **body)
                problem = str(response.status_code)
            except httpx.TransportError as error:
                response, problem = None, type(error).__name__
            if response is not None and response.is_success:
                return dict(response.json())
            if response is not None and response.status_code not in RETRIED:
                raise DemoError(f"{method} {path}: {response.status_code} {response.text[:200]}")
            if time.monotonic() > give_up_at:
                raise DemoError(
                    f"{method} {path}: no successful response within {GIVE_UP_S:.0f} s, the last result was {problem}"
                )
            self.figures.repeated[problem] += 1
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, 1.0)
