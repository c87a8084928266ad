"""The stage that trains the model: ranks the companions of products whose features have changed."""

from typing import Final

import structlog
from prometheus_client import Counter, Gauge

from mesh.database import Connection
from services.recommendations import feature_storage, model_storage
from services.recommendations.domain.ranking import Ranking, rank

PRODUCTS_PER_STEP: Final = 20

VERSION: Final = Gauge("recommendations_model_version", "The version of the model that this process trained last.")
TRAINED: Final = Counter("recommendations_trained_lists_total", "Products whose lists were trained.")

log = structlog.get_logger()


async def train(tx: Connection) -> bool:
    """Trains the lists of some products, by which the model gets its next version. Returns False if no list is stale.
    One transaction at a time may do so.

    After all stale lists, the model is the same as if it were trained from nothing.
    """
    products = await feature_storage.take_stale(tx, PRODUCTS_PER_STEP)
    if not products:
        return False
    baskets = await feature_storage.count_baskets(tx, products)
    lists = {}
    for product, count in baskets.items():
        companions = await feature_storage.find_companions(tx, product)
        for ranking in Ranking:
            lists[product, ranking] = rank(ranking, count, companions)
    version = await model_storage.replace_lists(tx, products, lists)
    VERSION.set(version)
    TRAINED.inc(len(products))
    log.debug("model trained", version=version, products=len(products))
    return True
