"""The invariants of the store, each with the check that reads it from the databases."""

from collections.abc import Sequence
from typing import Final

from demo.finding import Check
from demo.invariants.chats import check_chats
from demo.invariants.events import check_events
from demo.invariants.money import check_ledger, check_money
from demo.invariants.orders import check_limits, check_orders, check_requests
from demo.invariants.recommendations import check_recommendations
from demo.invariants.stock import check_stock

CHECKS: Final[Sequence[Check]] = (
    check_money,
    check_ledger,
    check_stock,
    check_orders,
    check_requests,
    check_events,
    check_limits,
    check_recommendations,
    check_chats,
)
