"""The rejection of callers who were erased while their call was on its way."""

from mesh.database import Connection
from mesh.erased_users import erased_caller
from services.notifications.domain.keyed_hash import KeyedHash
from services.notifications.storage import erased_users


async def check_not_erased(tx: Connection, hashes: KeyedHash, user: str) -> None:
    """Raises Unauthenticated if a user was erased, so that nothing is stored about the user again. The transaction must
    have taken or shared the lock of the user.
    """
    if await erased_users.contains(tx, hashes.of_user(user)):
        raise erased_caller()
