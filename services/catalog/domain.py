"""The rules of products: what they must say, and what may become of them."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self
from uuid import UUID

from mesh.errors import AlreadyExists, FailedPrecondition, FieldViolation, InvalidArgument, NotFound
from mesh.etag import check_etag
from mesh.money import Money
from mesh.resource_name import uid_in

NAME_PREFIX = "products/"

# Controls (NUL among them, which PostgreSQL can't store) and the separators of lines and paragraphs.
_CONTROL_CATEGORIES = frozenset({"Cc", "Zl", "Zp"})
_LAYOUT = frozenset("\n\r\t")


@dataclass(frozen=True, slots=True)
class Details:
    """What staff says about a product. Lengths, patterns and ranges are the contract's rules, checked before."""

    title: str
    description: str
    category: str
    price: Money

    @classmethod
    def checked(cls, title: str, description: str, category: str, price: Money | None) -> Self:
        """The details, if they are whole. Raises InvalidArgument with every violation."""
        violations = [
            *_title_violations(title),
            *_description_violations(description),
            *([] if category else [_required("product.category")]),
            *_price_violations(price),
        ]
        if violations or price is None:
            raise _invalid(violations)
        return cls(title, description, category, price)


@dataclass(frozen=True, slots=True)
class Product:
    """A product. `version` counts the changes, from 1; `delete_time` is None unless it is deleted."""

    uid: UUID
    details: Details
    create_time: datetime
    update_time: datetime
    delete_time: datetime | None
    version: int

    @classmethod
    def create(cls, uid: UUID, details: Details, now: datetime) -> Self:
        """A new product."""
        return cls(uid, details, create_time=now, update_time=now, delete_time=None, version=1)

    @property
    def name(self) -> str:
        """The resource name."""
        return f"{NAME_PREFIX}{self.uid}"

    @property
    def etag(self) -> str:
        """The identifier of this version."""
        return str(self.version)

    def update(self, details: Details, etag: str, now: datetime) -> Self:
        """The product with these details; itself, where they are no other ones.

        Raises FailedPrecondition if it is deleted, Aborted if `etag` is given and stale.
        """
        if self.delete_time is not None:
            raise FailedPrecondition("The product is deleted. Undelete it, then change it.", reason="PRODUCT_DELETED")
        self._check_etag(etag)
        if details == self.details:
            return self
        return replace(self, details=details, update_time=now, version=self.version + 1)

    def delete(self, etag: str, now: datetime) -> Self:
        """The product, deleted. Raises NotFound if it is deleted already (AIP-164), Aborted as update() does."""
        if self.delete_time is not None:
            raise NotFound("The product is deleted already.", reason="PRODUCT_DELETED")
        self._check_etag(etag)
        return replace(self, delete_time=now, update_time=now, version=self.version + 1)

    def undelete(self, etag: str, now: datetime) -> Self:
        """The product, back again. Raises AlreadyExists if it is not deleted (AIP-164), Aborted as update() does."""
        if self.delete_time is None:
            raise AlreadyExists("The product is not deleted.", reason="PRODUCT_NOT_DELETED")
        self._check_etag(etag)
        return replace(self, delete_time=None, update_time=now, version=self.version + 1)

    def _check_etag(self, etag: str) -> None:
        check_etag(etag, self.etag, "The product has changed since it was read. Read it again, then decide.")


def uid_of(name: str, field: str = "name") -> UUID:
    """The identifier in a product's name.

    Raises InvalidArgument with a violation of `field` if it is no name of products at all, NotFound if no product can
    have it.
    """
    if not name.startswith(NAME_PREFIX):
        raise _invalid([FieldViolation(field, f"must be {NAME_PREFIX} and an identifier", "NAME_INVALID")])
    if (uid := uid_in(name, NAME_PREFIX)) is None:
        raise _not_found()
    return uid


def existing(product: Product | None) -> Product:
    """The product that was looked for. Raises NotFound if there is none."""
    if product is None:
        raise _not_found()
    return product


def shown(product: Product | None, *, staff: bool) -> Product:
    """The product, if the caller may see it: a deleted one is there for staff alone. Raises NotFound."""
    product = existing(product)
    if product.delete_time is not None and not staff:
        raise _not_found()
    return product


def all_of(names: Sequence[str], found: Mapping[str, Product]) -> list[Product]:
    """The products of these names, in their order (AIP-231). Raises NotFound that names every missing one, `names[i]`.

    The descriptions are short: with a hundred of them, an error must still fit into the trailers of gRPC.
    """
    missing = [index for index, name in enumerate(names) if name not in found]
    if missing:
        violations = [FieldViolation(f"names[{index}]", "does not exist", "NOT_FOUND") for index in missing]
        count = "1 of the products does" if len(missing) == 1 else f"{len(missing)} of the products do"
        raise NotFound(f"{count} not exist.", reason="PRODUCT_NOT_FOUND", violations=violations)
    return [found[name] for name in names]


def storable(text: str, field: str) -> str:
    """The text, if PostgreSQL can take it. Raises InvalidArgument with a violation of `field` if it has a NUL."""
    if "\0" in text:
        raise _invalid([FieldViolation(field, "must not have the character NUL", "TEXT_INVALID")])
    return text


def not_searchable(description: str) -> InvalidArgument:
    """The error of a search query that is not served."""
    return _invalid([FieldViolation("query", description, "QUERY_INVALID")])


def _title_violations(title: str) -> list[FieldViolation]:
    if not title.strip():
        return [_required("product.title")]
    if any(_is_control(char) for char in title):
        return [FieldViolation("product.title", "must not have line breaks or control characters", "TEXT_INVALID")]
    return []


def _description_violations(description: str) -> list[FieldViolation]:
    if any(_is_control(char) and char not in _LAYOUT for char in description):
        problem = "must not have control characters other than line breaks and tabs"
        return [FieldViolation("product.description", problem, "TEXT_INVALID")]
    return []


def _price_violations(price: Money | None) -> list[FieldViolation]:
    if price is None:
        return [_required("product.price")]
    return [] if price.currency else [_required("product.price.currency_code")]


def _is_control(char: str) -> bool:
    return unicodedata.category(char) in _CONTROL_CATEGORIES


def _required(field: str) -> FieldViolation:
    return FieldViolation(field, "must be given", "REQUIRED")


def _invalid(violations: Sequence[FieldViolation]) -> InvalidArgument:
    first = violations[0]
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    return InvalidArgument(f"{first.field}: {first.description}{more}", reason="INVALID_FIELD", violations=violations)


def _not_found() -> NotFound:
    return NotFound("The product does not exist.", reason="PRODUCT_NOT_FOUND")
