"""The store with RabbitMQ in the place of NATS: `make up BROKER=rabbitmq`."""

from collections.abc import Iterator
from functools import partial

import pytest

from tests.system.mesh import Client, Mesh, eventually


@pytest.fixture(scope="module")
def rabbitmq_mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """Starts a mesh of its own and waits until it is ready."""
    folder = tmp_path_factory.mktemp("rabbitmq")
    for path in (folder, *folder.parents[:2]):
        path.chmod(0o711)  # PostgreSQL may have to pass through as a user of its own
    with Mesh.running(folder / "home", BROKER="rabbitmq") as running:
        yield running


def registered(mesh: Mesh) -> str:
    """Registers a customer and returns the address."""
    with Client(mesh) as client:
        client.register()
        return client.email


def test_a_welcome_mail_follows_a_registration(rabbitmq_mesh: Mesh) -> None:
    """An event gets from its publisher by the exchange of its type to its consumer; NATS does not run."""
    email = registered(rabbitmq_mesh)
    assert len(eventually(lambda: rabbitmq_mesh.mails(email))) == 1
    with pytest.raises(StopIteration):
        rabbitmq_mesh.process("nats")


@pytest.mark.parametrize("victim", ["rabbitmq", "notifications"])
def test_a_kill_delays_the_mail_only(rabbitmq_mesh: Mesh, victim: str) -> None:
    """Each mail is sent when the killed process is back, and once unless its sender was killed right after it."""
    before = [registered(rabbitmq_mesh) for _ in range(3)]
    rabbitmq_mesh.kill(victim)
    if victim == "rabbitmq":  # no public write needs the broker
        before.append(registered(rabbitmq_mesh))
    rabbitmq_mesh.wait_until_ready(victim)
    for email in [*before, registered(rabbitmq_mesh)]:
        sent = eventually(partial(rabbitmq_mesh.mails, email))
        assert len(sent) == 1 or victim == "notifications"
