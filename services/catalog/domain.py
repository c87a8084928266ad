"""The rules of products: valid details and allowed changes."""

import unicodedata
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

NAME_PREFIX = "products/"

# Control characters (including NUL, which PostgreSQL can't store) and the separators of lines and paragraphs.
_CONTROL_CATEGORIES = frozenset({"Cc", "Zl", "Zp"})
_LAYOUT = frozenset("\n\r\t")


@dataclass(frozen=True, slots=True)
class Details:
    """The details of a product, which staff provides. The contract's rules on lengths, patterns and ranges are checked
    earlier.
    """

    title: str
    description: str
    category: str
    price: Money

    @classmethod
    def checked(cls, title: str, description: str, category: str, price: Money | None) -> Self:
        """Returns the details if they are complete and valid. Raises InvalidArgument with every violation."""
        violations = [
            *_title_violations(title),
            *_description_violations(description),
            *([] if category else [_required("product.category")]),
            *_price_violations(price),
        ]
        if violations or price is None:
            raise invalid_fields(violations)
        return cls(title, description, category, price)


@dataclass(frozen=True, slots=True)
class Product:
    """A product. `version` starts at 1 and grows by 1 with every change; `delete_time` is None unless it is deleted."""

    uid: UUID
    details: Details
    create_time: datetime
    update_time: datetime
    delete_time: datetime | None
    version: int

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
        """Returns the identifier of this version."""
        return str(self.version)

    def update(self, details: Details, etag: str, now: datetime) -> Self:
        """Returns the product with these details; itself if they are the same. Raises FailedPrecondition if it is
        deleted, Aborted if `etag` is given and stale.
        """
        if self.delete_time is not None:
            raise FailedPrecondition(
                "The product is deleted. Undelete it before you change it.", reason="PRODUCT_DELETED"
            )
        self._check_etag(etag)
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


def created_meanwhile() -> Aborted:
    """Returns the error of a change that creates a product which a concurrent change has created."""
    return Aborted("One of the products was created by a concurrent change. Try again.", reason="CONCURRENT_CHANGE")


def not_searchable(description: str) -> InvalidArgument:
    """Returns the error of a search query that is not supported."""
    return invalid_fields([FieldViolation("query", description, "QUERY_INVALID")])


def _title_violations(title: str) -> list[FieldViolation]:
    if not title.strip():
        return [_required("product.title")]
    if any(_is_control(char) for char in title):
        return [FieldViolation("product.title", "must not contain line breaks or control characters", "TEXT_INVALID")]
    return []


def _description_violations(description: str) -> list[FieldViolation]:
    if any(_is_control(char) and char not in _LAYOUT for char in description):
        problem = "must not contain control characters other than line breaks and tabs"
        return [FieldViolation("product.description", problem, "TEXT_INVALID")]
    return []


def _price_violations(price: Money | None) -> list[FieldViolation]:
    if price is None:
        return [_required("product.price")]
    return [] if price.currency else [_required("product.price.currency_code")]


def _is_control(char: str) -> bool:
    return unicodedata.category(char) in _CONTROL_CATEGORIES


def _required(field: str) -> FieldViolation:
    return FieldViolation(field, "is required", "REQUIRED")


def _not_found() -> NotFound:
    return NotFound("The product does not exist.", reason="PRODUCT_NOT_FOUND")
