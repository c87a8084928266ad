"""The signing keys: creation, publication, use and deletion, and agreement between replicas."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from meshwright.identity.v1.identity_pb import GetJwksRequest, GetOpenIdConfigurationRequest, GetUserRequest

from mesh.database import Database
from mesh.errors import FailedPrecondition
from services.identity.cipher import Cipher
from services.identity.keys import PUBLISHED_AFTER, PUBLISHED_BEFORE, KeyRotation, SigningKeys, plan_rotation
from services.identity.storage import StoredKey
from tests.services.identity.conftest import Identity

NOW = datetime(2024, 1, 1, tzinfo=UTC)
AGE_MAX = timedelta(days=30)
MINUTE = timedelta(minutes=1)


def keys_of(*activations: datetime) -> list[StoredKey]:
    """Returns keys named by their index, with these activation times."""
    return [StoredKey(str(place), "", time) for place, time in enumerate(activations)]


@pytest.mark.parametrize(
    ("activations", "expected"),
    [
        ([], KeyRotation(NOW, ())),
        ([NOW], KeyRotation(None, ())),
        ([NOW - AGE_MAX + PUBLISHED_BEFORE + MINUTE], KeyRotation(None, ())),
        ([NOW - AGE_MAX + PUBLISHED_BEFORE], KeyRotation(NOW + PUBLISHED_BEFORE, ())),
        ([NOW - AGE_MAX * 2], KeyRotation(NOW + PUBLISHED_BEFORE, ())),
        ([NOW - AGE_MAX, NOW + MINUTE], KeyRotation(None, ())),
        ([NOW - AGE_MAX, NOW - PUBLISHED_AFTER + MINUTE], KeyRotation(None, ())),
        ([NOW - AGE_MAX, NOW - PUBLISHED_AFTER], KeyRotation(None, ("0",))),
        ([NOW - AGE_MAX * 3, NOW - AGE_MAX * 2, NOW - MINUTE], KeyRotation(None, ("0",))),
        ([NOW + MINUTE], KeyRotation(NOW, ())),
    ],
    ids=[
        "the first signs at once",
        "a young key stays",
        "almost old enough",
        "old enough, the next is published first",
        "long overdue, the next is published first all the same",
        "the next waits already",
        "the last tokens of the old key may be good yet",
        "the last token of the old key has expired",
        "only keys whose successor signs for long are forgotten",
        "the one that signed was deleted: a new one signs at once",
    ],
)
def test_rotation_is_planned_by_age(activations: list[datetime], expected: KeyRotation) -> None:
    """The plan depends on the keys and the time alone."""
    assert plan_rotation(keys_of(*activations), NOW, AGE_MAX) == expected


async def test_replicas_that_start_at_once_agree_on_one_key(database: Database, cipher: Cipher) -> None:
    """One of several processes on an empty database creates the key, and all sign with it."""
    replicas = [SigningKeys(database, cipher, AGE_MAX) for _ in range(4)]
    await asyncio.gather(*(replica.refresh() for replica in replicas))
    assert {replica.current.kid for replica in replicas} == {replicas[0].current.kid}
    assert {len(replica.published) for replica in replicas} == {1}


async def test_replicas_that_rotate_at_once_make_one_key(identity: Identity, cipher: Cipher) -> None:
    """Several processes create one key when it is due, published but not used yet."""
    await _age(identity, AGE_MAX)
    replicas = [SigningKeys(identity.database, cipher, AGE_MAX) for _ in range(4)]
    await asyncio.gather(*(replica.refresh() for replica in replicas))
    assert await identity.count("SELECT count(*) FROM signing_keys") == 2
    assert {replica.current.kid for replica in replicas} == {identity.keys.current.kid}
    await replicas[0].refresh()
    assert len(replicas[0].published) == 2


async def test_tokens_outlive_the_rotation_of_their_key(identity: Identity) -> None:
    """A token signed before the rotation is valid until its key is deleted; new ones have the new key."""
    user = await identity.register()
    old_key, old_token = identity.keys.current, (await identity.sign_in(user.email)).access_token
    await _age(identity, AGE_MAX)
    await identity.keys.refresh()
    assert identity.keys.current.kid == old_key.kid
    await _age(identity, PUBLISHED_BEFORE)
    await identity.keys.refresh()
    new_token = (await identity.sign_in(user.email)).access_token
    new_kid = identity.keys.current.kid
    assert new_kid != old_key.kid
    for token in (old_token, new_token):
        assert await (await identity.client(token)).get_user(GetUserRequest(name="users/me")) == user
    await _age(identity, PUBLISHED_AFTER)
    await identity.keys.refresh()
    assert await identity.keys.find(old_key.kid or "") is None
    assert identity.keys.current.kid == new_kid


async def test_the_key_set_holds_public_keys_only(identity: Identity) -> None:
    """GetJwks returns every published key with the parameters that a verifier needs."""
    client = await identity.client()
    await _age(identity, AGE_MAX)
    await identity.keys.refresh()
    published = (await client.get_jwks(GetJwksRequest())).keys
    assert [key.kid for key in published] == [key.kid for key in identity.keys.published]
    assert len(published) == 2
    for key in published:
        assert (key.kty, key.use, key.alg, key.crv) == ("EC", "sig", "ES256", "P-256")
        assert len(key.x) == len(key.y) == 43  # 32 octets in base64url, RFC 7518, section 6.2.1.2


async def test_private_keys_are_encrypted_at_rest(identity: Identity) -> None:
    """With the database alone, nobody can sign."""
    private = identity.keys.current.as_dict(private=True)["d"]
    assert await identity.count("SELECT count(*) FROM signing_keys AS k WHERE k::text LIKE $1", f"%{private}%") == 0
    assert await identity.count("SELECT count(*) FROM signing_keys WHERE sealed LIKE '%PRIVATE%'") == 0


async def test_a_wrong_secret_is_reported_to_the_operator(keys: SigningKeys, database: Database) -> None:
    """A process with another KEY_ENCRYPTION_SECRET does not start, and the error names the variable."""
    assert keys.current.kid
    other = SigningKeys(database, Cipher("another secret of more than 32 characters"), AGE_MAX)
    with pytest.raises(FailedPrecondition, match="KEY_ENCRYPTION_SECRET can't decrypt"):
        await other.refresh()


async def test_a_deleted_key_is_replaced_at_once(identity: Identity) -> None:
    """An operator deletes the row of a leaked key: its tokens become invalid, and a new key signs."""
    leaked = identity.keys.current.kid or ""
    await identity.execute("DELETE FROM signing_keys WHERE kid = $1", leaked)
    await identity.keys.refresh()
    assert await identity.keys.find(leaked) is None
    assert identity.keys.current.kid != leaked


async def test_the_metadata_follows_the_issuer(identity: Identity) -> None:
    """Every URL of the discovery document begins with the issuer, and what it declares is supported."""
    metadata = await (await identity.client()).get_open_id_configuration(GetOpenIdConfigurationRequest())
    assert metadata.issuer == "https://shop.test"
    assert metadata.token_endpoint == "https://shop.test/v1/oauth2/token"
    assert metadata.revocation_endpoint == "https://shop.test/v1/oauth2/revoke"
    assert metadata.jwks_uri == "https://shop.test/.well-known/jwks.json"
    assert metadata.id_token_signing_alg_values_supported == ["ES256"]
    assert "password" in metadata.grant_types_supported


async def _age(identity: Identity, by: timedelta) -> None:
    """Changes the activation times as if time had passed."""
    await identity.execute("UPDATE signing_keys SET activate_time = activate_time - $1::interval", by)
