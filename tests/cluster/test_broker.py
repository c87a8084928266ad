"""The broker of the release, and the provisioner, which creates what events need there."""

from tests.cluster.cluster import BROKER, Release, eventually, mails, stream
from tests.cluster.conftest import Shop


def test_the_provisioner(shop: Shop) -> None:
    """The provisioner is not root, events arrive, and it stops on SIGTERM."""
    user = shop.release.kubectl("exec", "deployment/shop-provisioner", "--", "id", "-u")
    assert user.strip() == "10001"
    sign_up(shop, "grace@example.com")
    eventually(lambda: "grace@example.com" in mails(shop.release))
    pod = shop.release.pods("provisioner")[0]["metadata"]["name"]
    shop.release.kubectl("delete", "pod", pod, "--timeout=30s")


def test_a_broker_that_lost_its_data(shop: Shop) -> None:
    """Without anybody's help it has the users, the queues and the consumers again, and events arrive."""
    pod, before = f"shop-{BROKER}-0", origin(shop.release)
    shop.release.kubectl("exec", pod, f"--container={BROKER}", "--", "sh", "-c", "rm -rf /data/* /data/.[!.]*")
    shop.release.kubectl("delete", "pod", pod)
    eventually(shop.release.is_ready)
    eventually(lambda: origin(shop.release) not in ("", before))
    sign_up(shop, "lin@example.com")
    eventually(lambda: "lin@example.com" in mails(shop.release))


def sign_up(shop: Shop, email: str) -> None:
    """Registers a user, which publishes an event that leads to a mail."""
    body = {"email": email, "password": "analytical engine", "display_name": "Somebody"}
    shop.client.call("POST", "/v1/users", body=body)


def origin(release: Release) -> str:
    """Returns what the data of the broker have from when they were made: the time, or Erlang's cookie."""
    if BROKER == "nats":
        return str(stream(release).get("created", ""))
    return release.kubectl("exec", "shop-rabbitmq-0", "--container=rabbitmq", "--", "cat", "/data/.erlang.cookie")
