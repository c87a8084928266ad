"""A short run of `make chaos` against a mesh of its own, and an audit that can fail."""

import itertools
import uuid
from collections.abc import Iterator

import pytest

from demo import audit, chaos
from demo.databases import opened
from local.declarations.checkout import read_services
from local.home import Home
from local.postgres import SUPERUSER
from tests.system.mesh import ROOT, Client, Mesh, temporary_home

SEED = 20261128
ORDERS = 50
FAULTS = 10
UNKNOWN = f"orders/{uuid.UUID(int=0)}"


@pytest.fixture(scope="module")
def broken_mesh() -> Iterator[Mesh]:
    """Starts a mesh of its own, which the tests of this module break."""
    with temporary_home() as home, Mesh.running(home) as running:
        yield running


@pytest.fixture(scope="module")
def sold(broken_mesh: Mesh) -> None:
    """Places two equal orders, which are paid."""
    with Client(broken_mesh) as staff, Client(broken_mesh) as customer:
        staff.sign_in(*broken_mesh.staff_login())
        product = staff.create_product()
        staff.adjust_stock(product)
        customer.register()
        for _ in range(2):
            placed = customer.order(product, request_id=str(uuid.uuid4()))
            customer.wait_for_order(placed.json()["name"], "STATE_CONFIRMED")


@pytest.mark.timeout(600)
async def test_chaos_breaks_no_invariant(broken_mesh: Mesh) -> None:
    """Orders are placed while processes die and hang and connections break: none is lost, doubled, or stuck."""
    print(f"seed {SEED}")
    outcome = await chaos.run(Home(broken_mesh.home), orders=ORDERS, faults=FAULTS, seed=SEED)
    chaos.print_outcome(outcome)
    assert (outcome.orders, outcome.faults.total()) == (ORDERS, FAULTS)
    assert outcome.problems == []
    assert [each for each in outcome.findings if each.broken] == []
    assert outcome.sound


ONE_CENT_MOVES = """
    WITH sold AS (SELECT uid, row_number() OVER (ORDER BY create_time DESC) AS number FROM orders)
    UPDATE order_lines SET unit_price_hundredths = unit_price_hundredths + CASE number WHEN 1 THEN 1 ELSE -1 END
    FROM sold WHERE order_uid = uid AND number <= 2
"""
PAID_FOR_NOTHING = f"""
    INSERT INTO payments (uid, order_name, customer, payment_method, currency, amount_hundredths, state, create_time,
        update_time, version)
    SELECT gen_random_uuid(), '{UNKNOWN}', customer, payment_method, currency, amount_hundredths, 'authorized', now(),
        now(), 1
    FROM payments LIMIT 1
"""
CORRUPTIONS = [
    ("Money captured", "payments", "UPDATE payments SET captured_hundredths = 0, refunded_hundredths = 0"),
    ("Money captured", "orders", ONE_CENT_MOVES),
    ("The ledger balances", "payments", "UPDATE ledger_entries SET hundredths = hundredths + 1"),
    ("Stock on hand", "inventory", "UPDATE stock SET on_hand = on_hand + 1"),
    ("Each order has", "inventory", "UPDATE reservations SET state = 'released'"),
    ("Each order has", "inventory", "DELETE FROM reserved_units"),
    ("Each order has", "inventory", f"INSERT INTO reservations VALUES ('{UNKNOWN}', 'reserved', now())"),
    ("Each order has", "payments", PAID_FOR_NOTHING),
    ("Each acknowledged request", "orders", "UPDATE orders SET uid = gen_random_uuid()"),
    ("Each event was applied", "inventory", "DELETE FROM mesh.inbox"),
    ("Each event was applied", "orders", "DELETE FROM mesh.outbox WHERE type LIKE '%OrderConfirmed'"),
    ("No order is pending", "orders", "UPDATE orders SET state = 'pending', step_since = now() - interval '1 day'"),
    ("Recommendations are learned", "recommendations", "UPDATE product_counts SET baskets = baskets + 1"),
    ("The store settles", "orders", "UPDATE mesh.outbox SET published_at = NULL"),
]
"""Statements that break an invariant: the beginning of its name, the database, and the statement."""


@pytest.mark.parametrize(("invariant", "service", "statement"), CORRUPTIONS, ids=itertools.count())
@pytest.mark.usefixtures("sold")
async def test_the_audit_finds_what_is_broken(broken_mesh: Mesh, invariant: str, service: str, statement: str) -> None:
    """A corrupted row breaks the invariant about it, which holds before."""
    server = broken_mesh.postgres
    urls = {each.name: server.url(each.name, SUPERUSER) for each in read_services(ROOT) if each.declaration.database}
    async with opened(urls) as databases:
        before = await audit.audit(databases, audit.SETTLE_S)
        transaction = databases[service].transaction()
        await transaction.start()
        try:
            # In this mode no trigger or foreign key stops us.
            await databases[service].execute(f"SET LOCAL session_replication_role = replica; {statement}")
            after = await audit.audit(databases, 0)
        finally:
            await transaction.rollback()
    assert [each.invariant for each in before if each.broken] == []
    assert [each.invariant for each in after if each.broken and each.invariant.startswith(invariant)]
