"""The stage that prepares features: counts baskets that are new, and no longer those that are withdrawn or old."""

from datetime import datetime
from typing import Final

from mesh.database import Connection
from services.recommendations import basket_storage, feature_storage
from services.recommendations.domain.basket import KEPT_FOR
from services.recommendations.domain.features import Features, products_of

BASKETS_PER_STEP: Final = 50
PRODUCTS_PER_STEP: Final = 50


async def prepare(tx: Connection, now: datetime) -> bool:
    """Prepares the features of some baskets, and marks the lists that depend on them as stale. Returns False if there
    was nothing to do. One transaction at a time may do so.
    """
    added = await basket_storage.take_new(tx, BASKETS_PER_STEP)
    removed = await basket_storage.take_withdrawn(tx, BASKETS_PER_STEP - len(added))
    removed += await basket_storage.take_old(tx, now - KEPT_FOR, BASKETS_PER_STEP - len(added) - len(removed))
    changed = {*products_of(added), *products_of(removed), *await feature_storage.take_pending(tx, PRODUCTS_PER_STEP)}
    if not changed:
        return False
    await feature_storage.change(tx, Features.change(added, removed))
    await feature_storage.mark_stale(tx, changed)
    return True
