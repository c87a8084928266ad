"""The message of a product, from and to the domain."""

from collections.abc import Sequence

from meshwright.catalog.v1.catalog_pb import Product as ProductMessage
from protobuf.wkt import Timestamp

from mesh.money_message import money_message, money_of
from services.catalog.domain.product import Details, Product

SOURCE = "catalog"
"""The source of the events with these messages."""


def details_of(message: ProductMessage) -> Details:
    """Returns the details in a message. Raises InvalidArgument with every violation."""
    price = None if message.price is None else money_of(message.price)
    return Details.checked(message.title, message.description, message.category, price, message.additional_categories)


def product_messages(products: Sequence[Product]) -> list[ProductMessage]:
    """Returns the messages of products."""
    return [product_message(product) for product in products]


def regular_message(product: Product) -> ProductMessage:
    """Returns the message of a product at its regular price."""
    return product_message(product.reprice(None, None))


def product_message(product: Product) -> ProductMessage:
    """Returns the message of a product."""
    details = product.details
    return ProductMessage(
        name=product.name,
        uid=str(product.uid),
        title=details.title,
        description=details.description,
        category=details.category,
        price=money_message(product.price),
        create_time=Timestamp.from_datetime(product.create_time),
        update_time=Timestamp.from_datetime(product.update_time),
        delete_time=None if product.delete_time is None else Timestamp.from_datetime(product.delete_time),
        etag=product.etag,
        additional_categories=list(details.additional_categories),
        regular_price=None if product.scheduled_price is None else money_message(details.price),
    )
