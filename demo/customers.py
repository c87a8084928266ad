"""The customers of the demo and their orders, the same in every run."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

SEED = 1843
CUSTOMERS = 60
ORDERS_EACH_MAX = 5
LINES_MAX = 5
QUANTITIES = (1, 1, 1, 1, 2, 2, 3, 6)
CANCELLED_SHARE = 0.1
TOGETHER_SHARE = 0.7
"""The share of products that are bought with one that is near in the list, as those of one department are."""

NEAR = 4

GIVEN_NAMES = (
    "Ada", "Amina", "Anton", "Bela", "Carla", "Chidi", "Dana", "Elif", "Emil", "Farah", "Greta", "Hana", "Ines",
    "Jonas", "Kofi", "Lena", "Luca", "Maja", "Mateo", "Nadia", "Noor", "Oskar", "Priya", "Ravi", "Rosa", "Sami",
    "Theo", "Yuki",
)  # fmt: skip
FAMILY_NAMES = (
    "Abbott", "Berg", "Costa", "Demir", "Eriksen", "Fischer", "Gupta", "Haddad", "Ito", "Jansen", "Kowalski", "Laurent",
    "Meyer", "Novak", "Okafor", "Petrov", "Quinn", "Rossi", "Silva", "Tanaka", "Ueda", "Vargas", "Weiss", "Ziegler",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DemoOrder:
    """An order. `quantities` are by the index of a product in the list of all."""

    quantities: dict[int, int]
    cancelled: bool


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer with their orders, the oldest first."""

    display_name: str
    email: str
    orders: tuple[DemoOrder, ...]


def customers(products: int) -> Sequence[Customer]:
    """Returns all customers. `products` is the number of products to choose from."""
    random = Random(SEED)
    names = random.sample([(given, family) for given in GIVEN_NAMES for family in FAMILY_NAMES], CUSTOMERS)
    return [_customer(random, given, family, products) for given, family in names]


def _customer(random: Random, given: str, family: str, products: int) -> Customer:
    orders = tuple(_order(random, products) for _ in range(random.randint(1, ORDERS_EACH_MAX)))
    return Customer(f"{given} {family}", f"{given}.{family}@example.com".lower(), orders)


def _order(random: Random, products: int) -> DemoOrder:
    first = random.randrange(products)
    chosen = dict.fromkeys([first, *(_another(random, first, products) for _ in range(random.randrange(LINES_MAX)))])
    return DemoOrder({product: random.choice(QUANTITIES) for product in chosen}, random.random() < CANCELLED_SHARE)


def _another(random: Random, first: int, products: int) -> int:
    """Returns a product to buy with the first one of an order."""
    if random.random() < TOGETHER_SHARE:
        return min(products - 1, max(0, first + random.randint(-NEAR, NEAR)))
    return random.randrange(products)
