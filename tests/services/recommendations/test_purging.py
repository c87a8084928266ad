"""The deletion of rows past their retention."""

from datetime import timedelta

from mesh.database import Database
from services.recommendations import erasure_storage, exposure_storage
from services.recommendations.exposure_storage import Exposure
from tests.services.recommendations.shop import NOW, Shop


async def test_old_exposures_and_erasures_are_deleted(database: Database) -> None:
    """Younger ones stay, because they are still needed."""
    async with database.transaction() as tx:
        for age in (timedelta(0), timedelta(seconds=1)):
            user = f"users/{age.seconds}"
            await exposure_storage.insert(tx, Exposure(user, "one", "cosine"), NOW - exposure_storage.KEPT_FOR - age)
            await erasure_storage.erase(tx, f"{user}-erased", NOW - erasure_storage.REMEMBERED_FOR - age)
    shop = Shop(database)
    await shop.learn()
    assert await shop.read("SELECT user_name FROM exposures") == [("users/0",)]
    assert await shop.read("SELECT user_name FROM erased_users") == [("users/0-erased",)]


async def test_a_purge_does_not_wait_for_an_erasure(database: Database) -> None:
    """The erasure of the user may wait for another one of the exposures, which the purge deletes meanwhile."""
    old = NOW - exposure_storage.KEPT_FOR - timedelta(seconds=1)
    async with database.transaction() as tx:
        for experiment in ("one", "two", "three"):
            await exposure_storage.insert(tx, Exposure("users/ada", experiment, "cosine"), old)
    async with database.transaction() as erasing:
        await erasing.execute("DELETE FROM exposures WHERE experiment = 'two'")
        async with database.transaction() as tx:
            assert await exposure_storage.purge(tx, NOW) == 2
