"""The table of allowances of all methods."""

import pytest

from edge.call.allowances import SWEPT_COUNT, Allowances


def own_entries(allowances: Allowances, method: str, callers: int, now: float, full_at: float) -> int:
    """Adds callers of a method. Returns how many of them have an entry of their own."""
    count = 0
    for number in range(callers):
        key = allowances.key(method, f"{now} {number}", now)
        count += key[1] != ""
        allowances.set(key, full_at)
    return count


@pytest.mark.parametrize(("methods", "each"), [(1, 500), (2, 333), (3, 250), (9, 100), (99, 10)])
def test_a_flood_of_methods_leaves_entries_to_another(methods: int, each: int) -> None:
    """Methods that are flooded at the same time have equal shares, and another finds as much as each of them."""
    allowances = Allowances(1000)
    counts = dict.fromkeys(map(str, range(methods)), 0)
    for number in range(2000):
        for method in counts:
            key = allowances.key(method, str(number), 0.0)
            counts[method] += key[1] != ""
            allowances.set(key, 1.0)
    shared = methods  # the entries that the other callers of each method share
    assert all(each - shared <= count <= each + 1 for count in counts.values())
    assert own_entries(allowances, "another", 2000, 0.0, 1.0) >= (1000 - methods * each) // 2 - shared


def test_the_table_is_bounded_for_every_contract() -> None:
    """A thousand methods have no more entries together than one could have, beside one for each."""
    allowances = Allowances(1000)
    own = sum(own_entries(allowances, str(method), 50, 0.0, 1.0) for method in range(1000))
    assert own <= 1000


def test_a_caller_with_an_entry_keeps_it() -> None:
    """A flood of new callers changes no count, and a caller of the full table that has an entry is still found."""
    allowances = Allowances(1000)
    first = allowances.key("m", "first", 0.0)
    allowances.set(first, 9.0)
    own_entries(allowances, "m", 5000, 0.0, 5.0)
    assert allowances.key("m", "first", 1.0) == first
    assert allowances.full_at(first, 1.0) == 9.0


def test_full_allowances_make_room_for_other_methods() -> None:
    """The entries of a method that is no longer called are removed by the callers of another, a few at each call."""
    allowances = Allowances(1000)
    old = own_entries(allowances, "old", 1000, 0.0, 1.0)
    new = own_entries(allowances, "new", 1000, 2.0, 3.0)
    assert (old, new) == (500, 500)
    assert own_entries(allowances, "old", SWEPT_COUNT, 2.0, 3.0) == SWEPT_COUNT
