"""A budget gives no more than it has, whatever the clock does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.budget import Budget


@given(st.integers(1, 50), st.lists(st.floats(0, 3), max_size=60))
def test_never_more_than_the_rate_and_what_was_saved(per_s: int, steps: list[float]) -> None:
    """At once ``per_s``, then ``per_s`` a second."""
    now = 100.0
    budget = Budget(per_s, now)
    taken = 0
    for step in steps:
        now += step
        while budget.take(now):
            taken += 1
        assert taken <= per_s * (1 + now - 100.0) + 1e-6


def test_a_clock_that_is_set_back_takes_nothing_away() -> None:
    budget = Budget(2, 100.0)
    assert [budget.take(50.0) for _ in range(3)] == [True, True, False]
    assert budget.take(51.0)
