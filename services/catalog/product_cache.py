"""The cache of products that are read by anybody (docs/decisions/0053-cached-products.md)."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from meshwright.catalog.v1.catalog_pb import Product as ProductMessage
from prometheus_client import Counter

from mesh.database import Database, Listener
from services.catalog.domain.product import Product
from services.catalog.product_message import product_message
from services.catalog.storage import CHANNEL

STALE_S_MAX: Final = 10.0
"""The age at which an entry is dropped, in case its invalidation was lost with the connection that listens."""

PRODUCTS_MAX: Final = 1000
TEXT_LENGTH_MAX: Final = 2 * 1024 * 1024
"""The most characters of descriptions in the cache."""

READS: Final = Counter("catalog_cached_reads_total", "Reads of products, by whether the cache had them.", ["outcome"])
_HITS, _MISSES = READS.labels("hit"), READS.labels("miss")


@dataclass(frozen=True, slots=True)
class _Entry:
    message: ProductMessage
    length: int
    drop_at_s: float
    next_price_change: datetime | None


@dataclass(slots=True)
class PendingRead:
    """A read of a product from the database, whose result is cached unless the product changes meanwhile."""

    uid: UUID
    started_s: float
    product: Product | None = None
    is_outdated: bool = False


class ProductCache(Listener):
    """The products that were read last, which listens to changes by all replicas while its context lasts.

    An entry is dropped when a transaction that changed its product is committed, when its price changes, and after
    STALE_S_MAX.
    """

    def __init__(self, database: Database, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._entries: OrderedDict[UUID, _Entry] = OrderedDict()
        self._length = 0
        self._pending_reads: dict[int, PendingRead] = {}
        super().__init__(database, CHANNEL, self._notified_of)

    def get(self, uid: UUID) -> ProductMessage | None:
        """Returns a product, which must not be modified; None if it is not in the cache, or too old."""
        entry = self._entries.get(uid)
        if entry is None or not self._is_fresh(entry):
            _MISSES.inc()
            return None
        self._entries.move_to_end(uid)
        _HITS.inc()
        return entry.message

    @contextmanager
    def reading(self, uid: UUID) -> Iterator[PendingRead]:
        """Caches the product that the block reads from the database and sets in the PendingRead. It is not cached if it
        was changed since the block began, because the block may have read it as it was before.
        """
        pending = PendingRead(uid, self._clock_s())
        self._pending_reads[id(pending)] = pending
        try:
            yield pending
            if pending.product is not None and not pending.is_outdated:
                self._add(pending.product, pending.started_s)
        finally:
            del self._pending_reads[id(pending)]

    def drop(self, uid: UUID) -> None:
        """Drops a product that was changed."""
        self._remove(uid)
        for pending in self._pending_reads.values():
            pending.is_outdated = pending.is_outdated or pending.uid == uid

    def clear(self) -> None:
        """Drops all products, because changes may have been missed."""
        self._entries.clear()
        self._length = 0
        for pending in self._pending_reads.values():
            pending.is_outdated = True

    def _is_fresh(self, entry: _Entry) -> bool:
        if self._clock_s() >= entry.drop_at_s:
            return False
        return entry.next_price_change is None or datetime.now(UTC) < entry.next_price_change

    def _add(self, product: Product, read_at_s: float) -> None:
        self._remove(product.uid)
        length = len(product.details.description)
        entry = _Entry(product_message(product), length, read_at_s + STALE_S_MAX, product.next_price_change)
        self._entries[product.uid] = entry
        self._length += length
        while len(self._entries) > PRODUCTS_MAX or self._length > TEXT_LENGTH_MAX:
            self._remove(next(iter(self._entries)))

    def _remove(self, uid: UUID) -> None:
        if (entry := self._entries.pop(uid, None)) is not None:
            self._length -= entry.length

    def _notified_of(self, payload: str | None) -> None:
        if payload is None:
            self.clear()
        else:
            self.drop(UUID(payload))
