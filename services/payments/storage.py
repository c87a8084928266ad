"""The SQL of payments. Every function runs in its caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from mesh.database import Connection
from mesh.erased_users import ERASED_USER, ErasedUsers, erase_in_parts
from mesh.money import Money
from mesh.pagination import Page
from mesh.position import Key
from mesh.standard_webhooks import TOLERANCE
from mesh.telemetry.origin import Origin
from services.payments import refund_storage
from services.payments.domain import Failure, Finding, Payment, State
from services.payments.risk import History

CHANNEL: Final = "payments_due"
"""The channel that is notified when a payment is due. The payload is its uid."""

KEY_TYPES: Final[tuple[type[Key], ...]] = (datetime, UUID)
"""The sort key of list_payments(): create_time, uid."""

HISTORY_MAX: Final = 100

# For longer than an order may take to be charged.
ERASED_CUSTOMERS: Final = ErasedUsers("erased_customers", "customer", timedelta(days=30))

REPORTS_KEPT: Final = 2 * TOLERANCE
"""For how long the id of a report is remembered: longer than its signature is accepted."""

REPORTS_PURGED_MAX: Final = 100

_COLUMNS: Final = (
    "uid, order_name, customer, payment_method, currency, amount_hundredths, captured_hundredths, refunded_hundredths, "
    "state, failure, cancel_requested, create_time, update_time, version, reviewer"
)


_PAYMENT: Final = f"""
    {_COLUMNS},
    ARRAY(SELECT rule FROM risk_findings WHERE payment_uid = payments.uid ORDER BY rule) AS rules,
    ARRAY(SELECT explanation FROM risk_findings WHERE payment_uid = payments.uid ORDER BY rule) AS explanations
"""


@dataclass(frozen=True, slots=True)
class DuePayment:
    """A payment that was taken to ask the provider, how often it was taken since its last change, and what caused it to
    be due.
    """

    payment: Payment
    attempts: int
    origin: Origin


@dataclass(frozen=True, slots=True)
class Standing:
    """The standing of an order and its customer: the payment that there is, and what speaks against a new one."""

    payment: UUID | None
    is_cancelled: bool
    is_erased: bool


async def lock_order(tx: Connection, order: str) -> None:
    """Locks the payment of an order until the transaction ends, also if there is none yet."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", order)


async def lock(tx: Connection, payment: Payment) -> Payment:
    """Locks a payment and its order until the transaction ends, and returns the payment as it is then."""
    query = """
        WITH locked AS MATERIALIZED (SELECT pg_advisory_xact_lock(hashtextextended($1, 0)))
        SELECT version FROM locked, payments WHERE uid = $2 FOR UPDATE OF payments
    """
    if await tx.fetchval(query, payment.order, payment.uid) == payment.version:
        return payment
    return await get(tx, payment.uid)


async def standing(tx: Connection, order: str, customer: str) -> Standing:
    """Returns what is known of an order before it is charged. The locks of both keep that so."""
    row = await tx.fetchrow(
        """
        SELECT (SELECT uid FROM payments WHERE order_name = $1) AS payment,
            EXISTS (SELECT FROM cancelled_orders WHERE order_name = $1) AS is_cancelled,
            EXISTS (SELECT FROM erased_customers WHERE customer = $2) AS is_erased
        """,
        order,
        customer,
    )
    assert row is not None, "it selects one row"
    return Standing(row["payment"], is_cancelled=row["is_cancelled"], is_erased=row["is_erased"])


async def mark_cancelled(tx: Connection, order: str, now: datetime) -> None:
    """Records that an order can't be charged."""
    await tx.execute("INSERT INTO cancelled_orders VALUES ($1, $2) ON CONFLICT DO NOTHING", order, now)


async def insert(tx: Connection, payment: Payment) -> None:
    """Inserts a new payment, which is due."""
    origin = Origin.current()
    await tx.execute(
        f"""
        INSERT INTO payments ({_COLUMNS}, due_time, request_id, traceparent)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, now(), $17, $18)
        RETURNING pg_notify($16, uid::text)
        """,
        payment.uid,
        payment.order,
        payment.customer,
        payment.payment_method,
        payment.amount.currency,
        payment.amount.hundredths,
        payment.captured.hundredths,
        payment.refunded.hundredths,
        payment.state.value,
        payment.failure.value,
        payment.cancel_requested,
        payment.create_time,
        payment.update_time,
        payment.version,
        payment.reviewer,
        CHANNEL,
        origin.request_id,
        origin.traceparent,
    )


async def update(tx: Connection, payment: Payment, *, lease: timedelta | None = None) -> None:
    """Writes what can change of a payment, whose row must be locked. It is due at once if the provider is to be asked
    something. A caller who asks next gives a `lease`, and has taken the payment then as by take_due().
    """
    origin = Origin.current()
    await tx.execute(
        """
        UPDATE payments SET captured_hundredths = $2, refunded_hundredths = $3, state = $4, failure = $5,
            cancel_requested = $6, update_time = $7, version = $8, reviewer = $9,
            request_id = $13, traceparent = $14,
            attempts = CASE WHEN $11 IS NULL THEN 0 ELSE 1 END,
            due_time = CASE
                WHEN $10 OR EXISTS (SELECT FROM refunds WHERE payment_uid = $1 AND done_time IS NULL)
                THEN now() + coalesce($11, '0')
            END
        WHERE uid = $1
        RETURNING CASE WHEN $11::interval IS NULL AND due_time IS NOT NULL THEN pg_notify($12, uid::text) END
        """,
        payment.uid,
        payment.captured.hundredths,
        payment.refunded.hundredths,
        payment.state.value,
        payment.failure.value,
        payment.cancel_requested,
        payment.update_time,
        payment.version,
        payment.reviewer,
        payment.waits_for_provider,
        lease,
        CHANNEL,
        origin.request_id,
        origin.traceparent,
    )
    if payment.findings:
        await tx.executemany(
            "INSERT INTO risk_findings (payment_uid, rule, explanation) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            [(payment.uid, finding.rule, finding.explanation) for finding in payment.findings],
        )


async def make_due(tx: Connection, uid: UUID) -> bool:
    """Makes a payment due if it waits for the provider, as if it was not taken yet; returns whether it does."""
    query = """
        UPDATE payments SET due_time = now(), attempts = 0 WHERE uid = $1 AND due_time IS NOT NULL
        RETURNING true, pg_notify($2, uid::text)
    """
    return await tx.fetchval(query, uid, CHANNEL) is not None


async def record_report(tx: Connection, report_id: str, now: datetime) -> bool:
    """Records that a report has arrived; returns False if it had arrived before. Forgets old ones."""
    await tx.execute(
        """
        DELETE FROM received_reports WHERE id IN (
            SELECT id FROM received_reports WHERE receive_time < $1 ORDER BY receive_time LIMIT $2
            FOR UPDATE SKIP LOCKED
        )
        """,
        now - REPORTS_KEPT,
        REPORTS_PURGED_MAX,
    )
    query = "INSERT INTO received_reports VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING true"
    return await tx.fetchval(query, report_id, now) is not None


async def postpone(tx: Connection, uid: UUID, pause: timedelta) -> None:
    """Lets a payment that was taken be due after a pause, unless it was made due, or not due, since it was taken."""
    query = "UPDATE payments SET due_time = now() + $2 WHERE uid = $1 AND due_time > now()"
    await tx.execute(query, uid, pause)


async def take_due(tx: Connection, lease: timedelta, *, repeats: bool = True) -> DuePayment | None:
    """Takes the payment that has been due for longest. Returns None if none is due. Nobody else takes it until the
    lease ends, so that it is taken again if this process dies. Without `repeats`, considers only payments that were not
    taken since their last change.

    Does not wait for the disk: a payment whose taking is lost in a crash of PostgreSQL is due, and is taken again.
    """
    due = "due_time <= now()" if repeats else "due_time <= now() AND attempts = 0"
    row = await tx.fetchrow(
        f"""
        UPDATE payments SET due_time = now() + $1, attempts = attempts + 1 WHERE uid = (
            SELECT uid FROM payments WHERE {due} ORDER BY due_time LIMIT 1 FOR UPDATE SKIP LOCKED
        ) RETURNING {_PAYMENT}, attempts, request_id, traceparent, set_config('synchronous_commit', 'off', true)
        """,
        lease,
    )
    if row is None:
        return None
    return DuePayment(_payment(row), row["attempts"], Origin(row["request_id"], row["traceparent"]))


async def find(tx: Connection, uid: UUID, *, lock: bool = False) -> Payment | None:
    """Returns a payment, None if there is none; with `lock`, locks it until the transaction ends."""
    if lock:  # a statement that has waited for a lock reads the findings as they were before it
        await tx.execute("SELECT FROM payments WHERE uid = $1 FOR UPDATE", uid)
    row = await tx.fetchrow(f"SELECT {_PAYMENT} FROM payments WHERE uid = $1", uid)
    return None if row is None else _payment(row)


async def get(tx: Connection, uid: UUID) -> Payment:
    """Returns a payment that was found before."""
    payment = await find(tx, uid)
    assert payment is not None, "payments are not deleted"
    return payment


async def find_of_order(tx: Connection, order: str) -> Payment | None:
    """Returns the payment for an order, None if there is none."""
    row = await tx.fetchrow(f"SELECT {_PAYMENT} FROM payments WHERE order_name = $1", order)
    return None if row is None else _payment(row)


async def lock_of_order(tx: Connection, order: str) -> Payment | None:
    """Locks the payment for an order until the transaction ends, and returns it; None if there is none."""
    uid = await tx.fetchval("SELECT uid FROM payments WHERE order_name = $1 FOR UPDATE", order)
    return None if uid is None else await get(tx, uid)


async def list_payments(
    tx: Connection, customer: str | None, order: str, state: State | None, page: Page
) -> tuple[Sequence[Payment], str]:
    """Returns a page of payments, the newest first, and the next page's token: those of one customer, or of all if
    None; of one order, unless it is empty; in one state, unless it is None.
    """
    conditions, arguments = ["true"], [page.limit]  # type: list[str], list[object]
    for column, value in (("customer", customer), ("order_name", order or None), ("state", state and state.value)):
        if value is not None:
            arguments.append(value)
            conditions.append(f"{column} = ${len(arguments)}")
    if page.after:
        conditions.append(f"(create_time, uid) < (${len(arguments) + 1}, ${len(arguments) + 2})")
        arguments.extend(page.after)
    rows = await tx.fetch(
        f"""
        SELECT {_PAYMENT} FROM payments WHERE {" AND ".join(conditions)} ORDER BY create_time DESC, uid DESC LIMIT $1
        """,
        *arguments,
    )
    return page.split([_payment(row) for row in rows], lambda payment: (payment.create_time, payment.uid))


async def history(tx: Connection, customer: str, now: datetime) -> History:
    """Returns what a customer has paid before, from the newest HISTORY_MAX payments and those of the last hour. A
    customer who was erased has no history.
    """
    if not customer:
        return History(0, frozenset())
    row = await tx.fetchrow(
        f"""
        SELECT
            (SELECT count(*) FROM payments WHERE customer = $1 AND create_time > $2) AS count_of_hour,
            ARRAY(
                SELECT DISTINCT currency FROM (
                    SELECT currency, state FROM payments WHERE customer = $1
                    ORDER BY create_time DESC, uid DESC LIMIT {HISTORY_MAX}
                ) AS newest WHERE state = 'captured'
            ) AS currencies
        """,
        customer,
        now - timedelta(hours=1),
    )
    assert row is not None, "it selects one row"
    return History(row["count_of_hour"], frozenset(row["currencies"]))


async def anonymise(tx: Connection, customer: str) -> None:
    """Removes a customer from their payments, also from those that are begun later, and a member of staff from those
    that they decided on or refunded. Amounts and the ledger stay, as the law on accounting requires. Raises
    LockNotAvailableError instead of waiting for a payment that another transaction has locked: that one may wait for
    another of these payments, as the events of a batch come in any order.
    """
    await ERASED_CUSTOMERS.lock(tx, customer)
    await ERASED_CUSTOMERS.add(tx, customer)
    for column, erased in (("customer", ""), ("reviewer", ERASED_USER)):
        await erase_in_parts(
            tx,
            customer,
            find=f"""
            SELECT uid FROM payments WHERE {column} = $1 AND {column} <> '' ORDER BY uid FOR UPDATE NOWAIT
            """,
            erase=f"UPDATE payments SET {column} = '{erased}', version = version + 1 WHERE uid = ANY($1::uuid[])",
        )
    await refund_storage.anonymise(tx, customer)


def _payment(row: "asyncpg.Record") -> Payment:
    return Payment(
        row["uid"],
        row["order_name"],
        row["customer"],
        row["payment_method"],
        amount=Money(row["currency"], row["amount_hundredths"]),
        captured=Money(row["currency"], row["captured_hundredths"]),
        refunded=Money(row["currency"], row["refunded_hundredths"]),
        state=State(row["state"]),
        failure=Failure(row["failure"]),
        cancel_requested=row["cancel_requested"],
        findings=tuple(map(Finding, row["rules"], row["explanations"])),
        create_time=row["create_time"],
        update_time=row["update_time"],
        version=row["version"],
        reviewer=row["reviewer"],
    )
