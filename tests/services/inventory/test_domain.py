"""The rules of stock and reservations."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mesh.errors import Aborted, FailedPrecondition, NotFound
from services.inventory.domain import UNITS_MAX, Shortage, Stock, product_of, shortages, total_units

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SAW = "products/saw"
QUANTITIES = st.integers(1, 20)


def stock_of(on_hand: int, reserved: int = 0, level: int = 0, quantity: int = 0) -> Stock:
    """Returns the stock of a product."""
    return Stock(SAW, on_hand, reserved, level, quantity, update_time=NOW, version=1)


class Keeping(RuleBasedStateMachine):
    """The stock of a product, compared with lists of the units that are free, reserved and sold."""

    @initialize()
    def begin(self) -> None:
        """There are no units."""
        self.stock = Stock.empty(SAW, NOW)
        self.free = 0
        self.held: list[int] = []
        self.sold: list[int] = []
        self.changes = 0

    def change(self, stock: Stock) -> None:
        """Notes a change."""
        self.stock = stock
        self.changes += 1

    @rule(delta=st.integers(-30, 30))
    def adjust(self, delta: int) -> None:
        """Adds units, or takes some that are free; more than these can't be taken."""
        if self.free + delta < 0:
            with pytest.raises(FailedPrecondition) as caught:
                self.stock.adjust(delta, NOW)
            assert (caught.value.reason, caught.value.metadata["available"]) == ("STOCK_SHORT", str(self.free))
        else:
            self.change(self.stock.adjust(delta, NOW))
            self.free += delta

    @rule(quantity=QUANTITIES)
    def reserve(self, quantity: int) -> None:
        """Reserves units that are free, or finds out how many are missing."""
        missing = shortages({SAW: quantity}, {SAW: self.stock})
        if quantity > self.free:
            assert missing == (Shortage(SAW, quantity, self.free),)
        else:
            assert missing == ()
            self.change(self.stock.reserve(quantity, NOW))
            self.free -= quantity
            self.held.append(quantity)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        """Frees what is reserved."""
        quantity = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        self.change(self.stock.release(quantity, NOW))
        self.free += quantity

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        """Sells what is reserved."""
        quantity = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        self.change(self.stock.commit(quantity, NOW))
        self.sold.append(quantity)

    @precondition(lambda self: self.sold)
    @rule(data=st.data())
    def put_back(self, data: st.DataObject) -> None:
        """Takes back what was sold."""
        quantity = self.sold.pop(data.draw(st.integers(0, len(self.sold) - 1)))
        self.change(self.stock.put_back(quantity, NOW))
        self.free += quantity

    @rule(level=st.integers(0, 30), quantity=st.integers(0, 5))
    def reorder_at(self, level: int, quantity: int) -> None:
        """Changes when to reorder; a repetition is no change."""
        changed = self.stock.reorder_at(level, quantity, self.stock.etag, NOW)
        if changed is not self.stock:
            self.change(changed)
        assert changed.reorder_at(level, quantity, "", NOW) is changed

    @invariant()
    def agrees_with_the_model(self) -> None:
        """Nothing is oversold, and the proposal is the least that brings the stock above its level."""
        stock = self.stock
        assert (stock.available, stock.reserved) == (self.free, sum(self.held))
        assert 0 <= stock.reserved <= stock.on_hand
        assert stock.etag == str(self.changes)
        assert stock.low is (self.free <= stock.reorder_level)
        if stock.low and stock.reorder_quantity:
            assert stock.adjust(stock.proposed, NOW).low is False
            assert stock.adjust(stock.proposed - stock.reorder_quantity, NOW).low is True
            assert stock.proposed % stock.reorder_quantity == 0
        else:
            assert stock.proposed == 0


TestKeeping = Keeping.TestCase


@given(st.lists(st.tuples(st.sampled_from(["saw", "axe", "rake"]), QUANTITIES)))
def test_lines_of_a_product_add_up(lines: list[tuple[str, int]]) -> None:
    """Each product has one total, and no unit is lost."""
    units = total_units(lines)
    assert units.keys() == {product for product, _ in lines}
    assert sum(units.values()) == sum(quantity for _, quantity in lines)
    assert all(units[product] >= quantity for product, quantity in lines)


def test_all_shortages_are_found() -> None:
    """Those of products that are short, and of those that were never in stock, by name; reserved units don't count."""
    stock = {"products/axe": stock_of(5, reserved=4), "products/saw": stock_of(5, reserved=2)}
    units = {"products/tin": 1, "products/saw": 3, "products/axe": 2}
    assert shortages(units, stock) == (Shortage("products/axe", 2, 1), Shortage("products/tin", 1, 0))


def test_a_warehouse_has_a_limit() -> None:
    """The stock can reach the limit, but not exceed it."""
    assert stock_of(UNITS_MAX - 1).adjust(1, NOW).on_hand == UNITS_MAX
    with pytest.raises(FailedPrecondition) as caught:
        stock_of(UNITS_MAX).adjust(1, NOW)
    assert caught.value.reason == "STOCK_FULL"


def test_a_stock_above_the_limit_can_be_reduced() -> None:
    """Units of a cancelled order come back to a stock that was filled up meanwhile."""
    overfull = stock_of(UNITS_MAX - 5).adjust(5, NOW).put_back(5, NOW)
    assert overfull.adjust(-1, NOW).on_hand == UNITS_MAX + 4
    with pytest.raises(FailedPrecondition) as caught:
        overfull.adjust(1, NOW)
    assert caught.value.reason == "STOCK_FULL"


def test_a_deleted_product_is_never_low() -> None:
    """So it is not reordered, whatever its level."""
    stock = replace(stock_of(1, level=5, quantity=2), deleted=True)
    assert (stock.low, stock.proposed) == (False, 0)
    assert stock.reorder_at(9, 2, "", NOW).proposed == 0


def test_a_stale_etag_changes_nothing() -> None:
    """The error names the current one."""
    with pytest.raises(Aborted) as caught:
        stock_of(5).reorder_at(1, 1, "0", NOW)
    assert caught.value.metadata["etag"] == "1"


@pytest.mark.parametrize(
    "name",
    [
        "products/saw/stock",
        "products//stock",
        "orders/0c2b6d2e-3f4f-4c5e-9d5e-1f2a3b4c5d6e/stock",
        "products/0C2B6D2E-3F4F-4C5E-9D5E-1F2A3B4C5D6E/stock",
        "products/0c2b6d2e-3f4f-4c5e-9d5e-1f2a3b4c5d6e/stock/stock",
    ],
)
def test_only_products_have_stock(name: str) -> None:
    """Any other name belongs to nothing, also another spelling of a product's."""
    with pytest.raises(NotFound):
        product_of(name, "/stock")


def test_the_product_of_a_stock() -> None:
    """Is the name without its end."""
    product = "products/0c2b6d2e-3f4f-4c5e-9d5e-1f2a3b4c5d6e"
    assert product_of(f"{product}/stock", "/stock") == product
