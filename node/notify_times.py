"""When which secondary is told of which zone (NOTIFY): a table without a clock; the caller gives times, in seconds.

1. A change is told at once, and to the same secondary not again before ``first_s`` is over: changes that follow one
   another closely are told together.
2. What is not acknowledged is told again, each time after twice as long, up to ``longest_s``: RFC 1996 §3.6. It never
   ends: a secondary that was away for a week is told within the hour. The next change begins anew.
3. An acknowledgement counts for the newest serial that was told before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from core import limits


class Pair(NamedTuple):
    """Who is told of what. ``secondary``: ADDRESS@PORT. ``zone``: its apex as text."""

    secondary: str
    zone: str


class Pace(NamedTuple):
    """After how many seconds it is told again: first, and at most."""

    first_s: float = limits.NOTIFY_S
    longest_s: float = limits.NOTIFY_S_MAX


class _Standing:
    __slots__ = ("acknowledged", "delay_s", "sent_s", "told")

    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s
        self.sent_s: float | None = None
        self.told: int | None = None
        self.acknowledged: int | None = None


class NotifyTimes:
    """Who is to be told, and when."""

    def __init__(self, pairs: Sequence[Pair], pace: Pace) -> None:
        self._pace = pace
        self._standings = {pair: _Standing(pace.first_s) for pair in pairs}
        self._serial: int | None = None

    @property
    def serial(self) -> int | None:
        """The serial that is told, None before the first look."""
        return self._serial

    def look(self, serial: int) -> None:
        """Take note of the serial of the zones."""
        if serial != self._serial:
            self._serial = serial
            for standing in self._standings.values():
                standing.delay_s = self._pace.first_s

    def due(self, now_s: float) -> list[Pair]:
        """Return who is to be told now, in the order in which they are configured."""
        return [
            pair
            for pair, standing in self._standings.items()
            if standing.acknowledged != self._serial
            and (standing.sent_s is None or standing.sent_s + standing.delay_s <= now_s)
        ]

    def sent(self, pair: Pair, now_s: float) -> None:
        """Take note that it was told."""
        standing = self._standings[pair]
        if standing.told == self._serial:
            standing.delay_s = min(standing.delay_s * 2, self._pace.longest_s)
        standing.told, standing.sent_s = self._serial, now_s

    def acknowledged(self, pair: Pair) -> None:
        """Take note that the secondary has heard it."""
        standing = self._standings[pair]
        standing.acknowledged = standing.told

    def heard(self) -> dict[Pair, int | None]:
        """Return the serial that each acknowledged last, None where it never did."""
        return {pair: standing.acknowledged for pair, standing in self._standings.items()}
