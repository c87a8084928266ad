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
    """A line of an order as the customer requests it. Without an expected price, any price is right."""

    product: str
    quantity: int
    expected_price: Money | None = None


def price(requested: Sequence[RequestedLine], products: Mapping[str, Product]) -> tuple[OrderLine, ...]:
    """Prices lines with the prices of these products. Raises InvalidArgument with every line that can't be sold, or not
    at the price that its customer expects.
    """
    currency = next((products[line.product].price.currency for line in requested if line.product in products), "")
    found = (_violation(f"order.lines[{index}]", line, products, currency) for index, line in enumerate(requested))
    if violations := [each for each in found if each is not None]:
        raise InvalidArgument(
            f"{len(violations)} of {len(requested)} lines can't be sold, or have another price.",
            reason="LINES_REJECTED",
            violations=violations,
        )
    return tuple(
        OrderLine(line.product, products[line.product].title, line.quantity, products[line.product].price)
        for line in requested
    )


def _violation(
    field: str, line: RequestedLine, products: Mapping[str, Product], currency: str
) -> FieldViolation | None:
    """Returns the violation of a line, None if there is none. Descriptions are short because an error with a hundred of
    them must fit into the trailers of gRPC.
    """
    product = products.get(line.product)
    if product is None:
        return FieldViolation(f"{field}.product", "is not on sale", "NOT_FOUND")
    if product.price.currency != currency:
        return FieldViolation(f"{field}.product", f"is not in {currency}", "CURRENCY")
    if line.expected_price not in (None, product.price):
        now = f"now {product.price.hundredths / 100:.2f} {product.price.currency}"
        return FieldViolation(field, now, "PRICE_CHANGED")
    return None
