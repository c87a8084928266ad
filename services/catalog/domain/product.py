"""The rules of products: valid details and allowed changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self
from uuid import UUID

from mesh.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    invalid_fields,
)
from mesh.etag import check_etag
from mesh.money import Money
from mesh.resource_name import uid_in
from services.catalog.domain.text import required, text_violations, title_violations

NAME_PREFIX = "products/"
RETRY_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class Details:
    """The details of a product, which staff provides. The contract's rules on lengths, patterns and ranges are checked
    earlier.
    """

    title: str
    description: str
    category: str
    price: Money
    additional_categories: tuple[str, ...] = ()

    @classmethod
    def checked(
        cls,
        title: str,
        description: str,
        category: str,
        price: Money | None,
        additional_categories: Sequence[str] = (),
    ) -> Self:
        """Returns the details if they are complete and valid. The main category is dropped from the additional ones.
        Raises InvalidArgument with every violation.
        """
        violations = [
            *title_violations(title, "product.title"),
            *text_violations(description, "product.description"),
            *([] if category else [required("product.category")]),
            *_price_violations(price),
        ]
        if violations or price is None:
            raise invalid_fields(violations)
        others = tuple(each for each in additional_categories if each != category)
        return cls(title, description, category, price, others)


@dataclass(frozen=True, slots=True)
class PriceInForce:
    """The amount of a scheduled price that is in force, and the identifier of the price."""

    uid: UUID
    amount: Money


@dataclass(frozen=True, slots=True)
class Product:
    """A product. `version` starts at 1 and grows by 1 with every change; `delete_time` is None unless it is deleted.

    The price of `details` is the regular one. `scheduled_price` is in force instead, at least until
    `next_price_change`.
    """

    uid: UUID
    details: Details
    create_time: datetime
    update_time: datetime
    delete_time: datetime | None
    version: int
    scheduled_price: PriceInForce | None = None
    next_price_change: datetime | None = None

    @classmethod
    def create(cls, uid: UUID, details: Details, now: datetime) -> Self:
        """Returns a new product."""
        return cls(uid, details, create_time=now, update_time=now, delete_time=None, version=1)

    @property
    def name(self) -> str:
        """Returns the resource name."""
        return f"{NAME_PREFIX}{self.uid}"

    @property
    def etag(self) -> str:
        """Returns the identifier of this version: another one while a scheduled price is in force."""
        return str(self.version) if self.scheduled_price is None else f"{self.version}.{self.scheduled_price.uid.hex}"

    @property
    def price(self) -> Money:
        """Returns the price in force."""
        return self.details.price if self.scheduled_price is None else self.scheduled_price.amount

    def is_priced_at(self, now: datetime) -> bool:
        """Returns whether the price is still the one in force at this time."""
        return self.next_price_change is None or now < self.next_price_change

    def reprice(self, scheduled_price: PriceInForce | None, next_price_change: datetime | None) -> Self:
        """Returns the product with this scheduled price in force, None for the regular one. It is no new version."""
        return replace(self, scheduled_price=scheduled_price, next_price_change=next_price_change)

    def update(self, details: Details, etag: str, now: datetime) -> Self:
        """Returns the product with these details; itself if they are the same. The price in force, as a caller has read
        it, leaves the regular one as it is. Raises FailedPrecondition if it is deleted, Aborted if `etag` is given and
        stale.
        """
        if self.delete_time is not None:
            raise FailedPrecondition(
                "The product is deleted. Undelete it before you change it.", reason="PRODUCT_DELETED"
            )
        self._check_etag(etag)
        if details.price == self.price:
            details = replace(details, price=self.details.price)
        if details == self.details:
            return self
        return replace(self, details=details, update_time=now, version=self.version + 1)

    def delete(self, etag: str, now: datetime) -> Self:
        """Returns the deleted product. Raises NotFound if it is deleted already (AIP-164), Aborted as update() does."""
        if self.delete_time is not None:
            raise NotFound("The product is deleted already.", reason="PRODUCT_DELETED")
        self._check_etag(etag)
        return replace(self, delete_time=now, update_time=now, version=self.version + 1)

    def undelete(self, etag: str, now: datetime) -> Self:
        """Returns the restored product. Raises AlreadyExists if it is not deleted (AIP-164), Aborted as update()
        does.
        """
        if self.delete_time is None:
            raise AlreadyExists("The product is not deleted.", reason="PRODUCT_NOT_DELETED")
        self._check_etag(etag)
        return replace(self, delete_time=None, update_time=now, version=self.version + 1)

    def _check_etag(self, etag: str) -> None:
        check_etag(etag, self.etag, "The product has changed since it was read. Read it again before you change it.")


def uid_of(name: str, field: str = "name") -> UUID:
    """Returns the identifier in a product's name. Raises InvalidArgument with a violation of `field` if it is not the
    name of a product, NotFound if no product can have it.
    """
    if not name.startswith(NAME_PREFIX):
        description = f"must be {NAME_PREFIX} followed by an identifier"
        raise invalid_fields([FieldViolation(field, description, "NAME_INVALID")])
    if (uid := uid_in(name, NAME_PREFIX)) is None:
        raise _not_found()
    return uid


def existing(product: Product | None) -> Product:
    """Returns the product. Raises NotFound if there is none."""
    if product is None:
        raise _not_found()
    return product


def visible(product: Product | None, *, staff: bool) -> Product:
    """Returns the product if the caller may see it: only staff may see deleted ones. Raises NotFound."""
    product = existing(product)
    if product.delete_time is not None and not staff:
        raise _not_found()
    return product


def all_of(names: Sequence[str], found: Mapping[str, Product]) -> list[Product]:
    """Returns the products of these names, in their order (AIP-231). Raises NotFound with a violation of `names[i]` for
    every missing one.

    The descriptions are short because an error with a hundred of them must fit into the trailers of gRPC.
    """
    missing = [index for index, name in enumerate(names) if name not in found]
    if missing:
        violations = [FieldViolation(f"names[{index}]", "does not exist", "NOT_FOUND") for index in missing]
        count = "1 of the products does" if len(missing) == 1 else f"{len(missing)} of the products do"
        raise NotFound(f"{count} not exist.", reason="PRODUCT_NOT_FOUND", violations=violations)
    return [found[name] for name in names]


def storable(text: str, field: str) -> str:
    """Returns the text if PostgreSQL can store it. Raises InvalidArgument with a violation of `field` if it contains
    NUL.
    """
    if "\0" in text:
        raise invalid_fields([FieldViolation(field, "must not contain the character NUL", "TEXT_INVALID")])
    return text


def changed_meanwhile() -> Aborted:
    """Returns the error of a change whose categories were changed by a concurrent change."""
    return _conflict("A category was changed by a concurrent change. Try again.")


def created_meanwhile() -> Aborted:
    """Returns the error of a change that creates a product which a concurrent change has created."""
    return _conflict("One of the products was created by a concurrent change. Try again.")


def not_searchable(description: str) -> InvalidArgument:
    """Returns the error of a search query that is not supported."""
    return invalid_fields([FieldViolation("query", description, "QUERY_INVALID")])


def _price_violations(price: Money | None) -> list[FieldViolation]:
    if price is None:
        return [required("product.price")]
    return [] if price.currency else [required("product.price.currency_code")]


def _conflict(message: str) -> Aborted:
    """Returns the error of a change that may be repeated as it is: its retry delay distinguishes it from a stale
    etag.
    """
    return Aborted(message, reason="CONCURRENT_CHANGE", retry_after_s=RETRY_AFTER_S)


def _not_found() -> NotFound:
    return NotFound("The product does not exist.", reason="PRODUCT_NOT_FOUND")
