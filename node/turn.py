"""One turn of a worker's event loop: what is answered in it is logged by one write, and then leaves.

1. A front to which something came (``take``), or that has answers (``leave``), says so; the
   first of a turn schedules the end.
2. At the end what came is answered, and the log is written. If that fails, nothing that was
   answered in the turn leaves: an answer without an entry would be unlawful (Measures art. 13).
3. What cannot leave at the end of its turn is recorded at once, before it is answered.
4. After a failure the quick ways resolve nothing for LOG_RETRY_S, and all others try.
5. All answers of a turn took as long as from when its first octets came to when all of them were handed to the kernel;
   what is recorded at once is measured by itself, from ``node/arrival.py`` to behind its answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

from audit.frame import Row
from core import clock, limits
from core.admission import Identity
from core.errors import Outcome
from core.events import LogFullError, Via
from node.arrival import ARRIVED_NS

_LOG: Final = logging.getLogger("saltern.node")
_VALUES: Final = {outcome: outcome.value for outcome in Outcome}
_IDENTIFIER: Final = limits.LOGGED_IDENTIFIER_BYTES


class Spool(Protocol):
    """What the log is written to."""

    def write(self, rows: Sequence[Row]) -> bool:
        """Write entries; False if that failed, and then none of them is there."""


class Leaving(Protocol):
    """A front, or a connection, with answers that wait for the log."""

    def let_go(self) -> None:
        """Send them."""

    def hold_back(self) -> None:
        """They are not logged: drop them, and end the connection."""


class Working(Protocol):
    """A front to which something came."""

    def work(self) -> None:
        """Answer it."""


Schedule = Callable[[Callable[[], None]], object]


def _soon(end: Callable[[], None]) -> object:
    """Run behind what is ready now."""
    return asyncio.get_running_loop().call_soon(end)


def _unmeasured(answers: int, came_ns: int) -> None:
    """Measure nothing."""


class Turn:
    """The turns of one worker.

    ``count``: so many resolutions that are logged ended so (value of Outcome); ``failed``: a write of the log failed.
    ``measure``: so many were answered now of what came then. ``came_ns``: when the first octets of this turn came, 0
    before they do.
    """

    def __init__(
        self, spool: Spool, count: Callable[[str, int], None], failed: Callable[[], None],
        now_s: Callable[[], float] = clock.monotonic_s, schedule: Schedule = _soon, *,
        measure: Callable[[int, int], None] = _unmeasured,
    ) -> None:  # fmt: skip
        self._spool = spool
        self._rows: list[Row] = []
        self._count = count
        self._failed = failed
        self._now_s = now_s
        self._schedule = schedule
        self._working: list[Working] = []
        self._leaving: list[Leaving] = []
        self._scheduled = False
        self._lost = False
        self._closed_until_s = 0.0
        self._measure = measure
        self._answers = 0  # that are logged and leave at the end of this turn
        self.came_ns = 0

    @property
    def writable(self) -> bool:
        """See ResolutionLog."""
        return not self._closed_until_s or self._now_s() >= self._closed_until_s

    def resolved(self, via: Via, outcome: Outcome, peer: bytes, identifier: bytes, who: str = "") -> None:
        """See ResolutionLog."""
        self._rows.append((via, _VALUES[outcome], peer, identifier[:_IDENTIFIER], who))

    def record(self, via: Via, outcome: Outcome, peer: bytes, identifier: bytes, who: Identity | None) -> None:
        """See ResolutionLog."""
        self.resolved(via, outcome, peer, identifier, "" if who is None else f"{who.value_index}:{who.handle}")
        if not self._log():
            raise LogFullError
        self._answers -= 1
        came_ns = ARRIVED_NS.get()
        if came_ns:
            self._schedule(partial(self._measure, 1, came_ns))  # its answer is handed over before that

    def leave(self, leaving: Leaving, came_ns: int = 0) -> None:
        """Let answers go at the end of this turn. Once a turn; before anything else is recorded, which may fail.

        ``came_ns``: when what they answer came, 0 for now.
        """
        self._leaving.append(leaving)
        if not self.came_ns:
            self.came_ns = came_ns or clock.monotonic_ns()
        if not self._scheduled:
            self._see_to_the_end()

    def take(self, working: Working) -> None:
        """Let what comes in this turn be answered together, at its end."""
        self._working.append(working)
        if not self.came_ns:
            self.came_ns = clock.monotonic_ns()
        if not self._scheduled:
            self._see_to_the_end()

    def _see_to_the_end(self) -> None:
        self._scheduled = True
        self._schedule(self._end_scheduled)

    def _log(self) -> bool:
        """Write what is noted; False if that failed. What leaves at the end of this turn shares its fate."""
        rows, self._rows = self._rows, []
        if not rows:
            return True
        if self._spool.write(rows):
            self._closed_until_s = 0.0
            self._answers += len(rows)
            self._count_all(rows)
            return True
        self._lost = bool(self._leaving)
        self._failed()
        self._closed_until_s = self._now_s() + limits.LOG_RETRY_S
        return False

    def _count_all(self, rows: list[Row]) -> None:
        counts: dict[str, int] = {}
        for _, outcome, _, _, _ in rows:
            counts[outcome] = counts.get(outcome, 0) + 1
        for outcome, count in counts.items():
            self._count(outcome, count)

    def end(self) -> None:
        """End the turn now: write the log, let go or hold back."""
        leaving, self._leaving = self._leaving, []
        lost, self._lost = self._lost, False
        came_ns, self.came_ns = self.came_ns, 0
        try:
            logged = self._log() and not lost
        except Exception:
            _LOG.exception("the resolution log failed")
            logged = False
        answers, self._answers = self._answers, 0
        for each in leaving:
            try:
                if logged:
                    each.let_go()
                else:
                    each.hold_back()
            except Exception:
                _LOG.exception("answers did not leave")
        if answers and logged:
            self._measure(answers, came_ns)

    def _end_scheduled(self) -> None:
        working, self._working = self._working, []
        for each in working:
            try:
                each.work()
            except Exception:
                _LOG.exception("what came was not answered")
        self._scheduled = False
        self.end()
        if self._working:  # what came of that is for the next turn
            self._see_to_the_end()
