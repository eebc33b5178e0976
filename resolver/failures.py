"""How often somebody failed to prove who he is: buckets as in ``resolver/ratelimit.py``, in a table of their own.

A bucket holds LOGIN_FAILURES and gains one each LOGIN_FAILURE_S. Here it is asked before something
is tried, and taken from only when that failed. No source is exempt.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from core import limits
from resolver.ratelimit import key_of, slots_of

_INTERVAL_NS: Final = limits.LOGIN_FAILURE_S * 1_000_000_000
_WINDOW_NS: Final = limits.LOGIN_FAILURES * _INTERVAL_NS


class LoginFailures:
    """See Failures. ``table``: of ``shared_table``, for this alone. ``now_ns``: the same clock in all workers."""

    __slots__ = ("_key", "_now_ns", "_table")

    def __init__(self, table: memoryview, now_ns: Callable[[], int]) -> None:
        self._table = table
        self._key = key_of(table)
        self._now_ns = now_ns

    def wait_s(self, who: bytes) -> int:
        first, second = slots_of(self._key, who)
        full = self._now_ns() + _WINDOW_NS
        over_ns = min(self._table[first], self._table[second], full) + _INTERVAL_NS - full
        return max(0, -(-over_ns // 1_000_000_000))

    def note(self, who: bytes, cost: int) -> None:
        now = self._now_ns()
        slots = slots_of(self._key, who)
        taken = min(self._table[slot] for slot in slots)
        after = min(max(taken, now) + cost * _INTERVAL_NS, now + _WINDOW_NS)
        for slot in slots:
            if not after <= self._table[slot] <= now + _WINDOW_NS:  # lags behind, or is of another time
                self._table[slot] = after
