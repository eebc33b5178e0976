"""The process ``monitor``: measures the node and the enterprise nodes below it, beside the registrar.

1. Each second it reads the seconds of workers and registrar (``node/seconds.py``) some time behind, and adds them and
   what probes found to the open hours (``sync/monitor/adding.py``).
2. Each minute it writes these; an hour that is over is closed with its entry in the maintenance log, in one commit, so
   that it gets one however often the process is killed. What is counted says up to which second: a process that is
   started again goes on there, as far as the rings reach. Of a time in which nothing ran nothing is written.
3. What ``watch`` makes of all that is written as soon as it happens.

Probes come from whoever has them (``Prober``), in the event loop; rounds are run in a thread.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Protocol

from core import clock, limits
from core.clock import Millis
from core.errors import NodeError
from core.store.engine import Engine
from node.rounds import unless
from node.seconds import read_seconds
from sync.monitor.adding import HOUR_MS, Hours, hour_of
from sync.monitor.happening import Happening
from sync.monitor.observation import Observation
from sync.monitor.storing import Left, close_hours, drop_old, read_left, write_happening, write_hours

_LOG: Final = logging.getLogger("saltern.monitor")
_FAILED: Final = 1
_FAR_S: Final = 60


class Prober(Protocol):
    """Whoever probes."""

    async def run(self, stopping: asyncio.Event, observe: Callable[[Observation], None]) -> None:
        """Probe until it is told to stop, and tell what is found."""


class Watches(Protocol):
    """Decides what is an anomaly and when it is over."""

    def observe(self, seen: Observation) -> None:
        """Take what a probe found."""

    def tick(self, now_ms: Millis) -> Iterable[Happening]:
        """Look at everything; return what changed."""


class Monitoring:
    """Measures one node. ``run``: where the rings lie. ``period_s``: between two rounds of probes, 0 for none.

    ``left``: how the process before left the hours. Bounds: MONITOR_WAITING_MAX observations, and happenings, that wait
    for a round. Errors of the constructor: StoreError.
    """

    def __init__(
        self, engine: Engine, run: Path, period_s: int = 0, watch: Watches | None = None,
        now_ms: Callable[[], Millis] = clock.now_ms,
    ) -> None:  # fmt: skip
        self._engine = engine
        self._run = run
        self._watch = watch
        self._now_ms = now_ms
        with engine.snapshot() as snapshot:
            self.left: Left = read_left(snapshot, now_ms())
        self._period_s = period_s
        self._hours = Hours(period_s, self.left.closed, self.left.hours)
        self._counted_s = self.left.counted_s
        self._written_ms = self._dropped_ms = Millis(0)
        self._seen: deque[Observation] = deque(maxlen=limits.MONITOR_WAITING_MAX)
        self._happened: deque[Happening] = deque(maxlen=limits.MONITOR_WAITING_MAX)

    def observe(self, seen: Observation) -> None:
        """Take what a probe found; it is added with the next round."""
        self._seen.append(seen)

    def round(self) -> None:
        """Add what came since the last round, and write what is due. Errors: StoreError; the next round tries again."""
        now_ms = self._now_ms()
        self._add(now_ms, limits.SECONDS_LAG_S)
        if self._watch is not None:
            self._happened += self._watch.tick(now_ms)
        while self._happened:
            write_happening(self._engine, self._happened[0], now_ms)
            self._happened.popleft()
        over = self._hours.over(now_ms)
        if over:
            still_open = [hour for hour in self._hours.all() if hour not in over]
            close_hours(self._engine, over, still_open, self._counted_s, now_ms)
            self._hours.close(over)
            self._written_ms = now_ms
        elif not 0 <= now_ms - self._written_ms < limits.MONITOR_WRITE_MS:
            write_hours(self._engine, self._hours.all(), self._counted_s)
            self._written_ms = now_ms
        if not 0 <= now_ms - self._dropped_ms < HOUR_MS:
            self._dropped_ms = now_ms
            drop_old(self._engine, now_ms)  # some at a time: a clock that is ahead for a while costs no more

    def end(self) -> None:
        """Write what came up to now; whoever answers has ended before. Errors: StoreError."""
        self._add(self._now_ms(), 0)
        write_hours(self._engine, self._hours.all(), self._counted_s)

    def _go_back(self, now_ms: Millis) -> None:
        """Go on with the hours as they are stored: what was closed or begun ahead of now keeps no real hour out."""
        write_hours(self._engine, self._hours.all(), self._counted_s)
        with self._engine.snapshot() as snapshot:
            left = read_left(snapshot, now_ms)
        self._hours = Hours(self._period_s, left.closed, left.hours)

    def _add(self, now_ms: Millis, lag_s: int) -> None:
        to_s = now_ms // 1_000 - lag_s
        if self._counted_s > to_s + _FAR_S:
            _LOG.warning(
                "时钟曾超前。The clock was ahead: seconds up to %s were counted", hour_of(self._counted_s * 1_000)
            )
            self._counted_s = to_s
            self._go_back(now_ms)
        self._hours.begin(now_ms)
        if to_s > self._counted_s:
            after_s = max(self._counted_s, to_s - limits.SECONDS_KEPT + limits.SECONDS_LAG_S)
            self._hours.add(*read_seconds(self._run, after_s, to_s))
            self._counted_s = to_s
        while self._seen:
            seen = self._seen.popleft()
            self._hours.observe(seen)
            if self._watch is not None:
                self._watch.observe(seen)


async def keep_monitoring(monitoring: Monitoring, stopping: asyncio.Event, prober: Prober | None = None) -> None:
    """Run rounds until it is told to stop. A failure that is not expected ends the process."""
    probing = None if prober is None else asyncio.create_task(_probe(prober, stopping, monitoring.observe))
    told = ""
    while not stopping.is_set():
        told = await _try(stopping, monitoring.round, told)
        try:
            await asyncio.wait_for(stopping.wait(), limits.MONITOR_ROUND_S)
        except TimeoutError:
            continue
    if probing is not None:
        await probing
    await _try(stopping, monitoring.end, told)


async def _try(stopping: asyncio.Event, step: Callable[[], None], told: str) -> str:
    """Run a step in a thread; return what kept it from its end, which is logged once."""
    try:
        await unless(stopping, asyncio.to_thread(step))
    except NodeError as error:
        if error.message != told:
            _LOG.error("监测数据未写入。What is measured is not written: %s", error.message)
        return error.message
    except Exception:
        _LOG.exception("monitoring failed")
        os._exit(_FAILED)
    return ""


async def _probe(prober: Prober, stopping: asyncio.Event, observe: Callable[[Observation], None]) -> None:
    try:
        await prober.run(stopping, observe)
    except Exception:
        _LOG.exception("probing failed")
        os._exit(_FAILED)
