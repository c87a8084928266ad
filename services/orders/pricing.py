"""The pricing of orders: which products can be sold together, and for how much."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mesh.errors import FieldViolation, InvalidArgument
from mesh.money import Money
from services.orders.domain import OrderLine


@dataclass(frozen=True, slots=True)
class Product:
    """A product on sale, as it is in the catalog now."""

    name: str
    title: str
    price: Money


@dataclass(frozen=True, slots=True)
class RequestedLine:
    """A line of an order as the customer requests it."""

    product: str
    quantity: int


def price(requested: Sequence[RequestedLine], products: Mapping[str, Product]) -> tuple[OrderLine, ...]:
    """Prices lines with the prices of these products. Raises InvalidArgument with every line that can't be sold."""
    violations = []
    currency = next((products[line.product].price.currency for line in requested if line.product in products), "")
    for index, line in enumerate(requested):
        if problem := _problem(products.get(line.product), currency):
            reason, description = problem
            violations.append(FieldViolation(f"order.lines[{index}].product", description, reason))
    if violations:
        raise InvalidArgument(
            f"{len(violations)} of {len(requested)} lines can't be sold.",
            reason="LINES_REJECTED",
            violations=violations,
        )
    return tuple(
        OrderLine(line.product, products[line.product].title, line.quantity, products[line.product].price)
        for line in requested
    )


def _problem(product: Product | None, currency: str) -> tuple[str, str] | None:
    """Returns the reason and the description of a problem, None if there is none. They are short because an error with
    a hundred of them must fit into the trailers of gRPC.
    """
    if product is None:
        return "NOT_FOUND", "is not on sale"
    if product.price.currency != currency:
        return "CURRENCY", f"is not in {currency}"
    return None
