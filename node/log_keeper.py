"""The keeper's side of the logs: rounds of the sequencer, and what the node writes about itself.

A round is run in a thread each LOG_ROUND_S, until nothing waits. One that fails is tried again; the failure is said
once, counted, and said to be over. What needs a person (a log that was altered, another process at work) is tried
again as well, since a person may mend it while the node runs; resolutions wait in the spools meanwhile, and the disk
guard ends them before they could be lost.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from prometheus_client.core import Metric

from audit.dropping import Dropped, Publish
from audit.retention import Clocks as RetentionClocks
from audit.sequencer import Round, Sequencer
from core import limits
from core.clock import Millis
from core.config import Config
from core.errors import NodeError
from core.store.log_rows import LogEntry
from core.streams import Stream
from node import VERSION
from node.metrics import family
from node.signing import public_key

_LOG: Final = logging.getLogger("saltern.log")
_CONFIGURATION: Final = "configuration"
_START: Final = "start"


Drop = Callable[[Callable[[], RetentionClocks], Publish], Dropped]
"""Drops the months that may go (``node/keeping.py``)."""


class Clocks(NamedTuple):
    """Where the time comes from: the time of day, and a clock that never jumps."""

    now_ms: Callable[[], Millis]
    monotonic_s: Callable[[], float]


class ClockWatch:
    """Finds out when the time of day jumps."""

    def __init__(self, clocks: Clocks) -> None:
        self._clocks = clocks
        self._ahead_ms = self._ahead()

    def step_ms(self) -> int:
        """Return by how much it jumped since it was asked last; 0 for less than CLOCK_STEP_MS."""
        ahead_ms = self._ahead()
        step = ahead_ms - self._ahead_ms
        self._ahead_ms = ahead_ms
        return step if abs(step) >= limits.CLOCK_STEP_MS else 0

    def _ahead(self) -> int:
        return self._clocks.now_ms() - int(self._clocks.monotonic_s() * 1_000)


class LogKeeper:
    """Runs the sequencer. ``drop``: drops months; ``failed`` counts rounds that failed."""

    def __init__(self, sequencer: Sequencer, clocks: Clocks, drop: Drop, failed: Callable[[], None]) -> None:
        self.published: Callable[[Round], None] = lambda _: None
        """Is told which logs grew."""
        self._drop = drop
        self._drop_at_s = 0.0
        self._done_at_s = clocks.monotonic_s()
        self._believed_ms = 0
        """What the time was when this process, or the last jump of the clock, began: as the newest entry said."""
        self._believed_at_s = clocks.monotonic_s()
        self._sequencer = sequencer
        self._clocks = clocks
        self._watch = ClockWatch(clocks)
        self._failed = failed
        self._failing = False
        self._beginning: tuple[Config, str] | None = None

    def note(self, act: str, about: str = "", reason: str = "", *, stream: Stream = Stream.MAINTENANCE) -> None:
        """Have something that the node did written into its logs."""
        self._sequencer.note(LogEntry(stream.value, act, about, reason=reason), self._clocks.now_ms())

    def begin(self, config: Config, start: str) -> None:
        """Publish what a crash left, and write down what is new, as soon as the logs can be read.

        ``start``: names this start of the node, and not that of the keeper alone.
        """
        self._beginning = config, start
        self.run()

    def _note_beginning(self, config: Config, start: str) -> None:
        """Note what was not noted before. Each mark is decided with its entry: whatever is killed, it is once."""
        now_ms, newest_ms, marks = self._clocks.now_ms(), self._sequencer.newest_ms, self._sequencer.marks
        known_start, _, known_key = marks.get(_START, "").partition(" ")
        key = hashlib.sha256(public_key(config) or b"").hexdigest()
        mark = (_START, f"{start} {key}")
        if known_start != start:
            entry = LogEntry(Stream.MAINTENANCE.value, "node.start", "", reason=f"version {VERSION}")
            self._sequencer.note(entry, now_ms, mark)
        if known_key and known_key != key:
            digests = bytes.fromhex(known_key), bytes.fromhex(key)
            entry = LogEntry(Stream.MAINTENANCE.value, "node.key", "node.signing_key", *digests)
            self._sequencer.note(entry, now_ms, mark)
        if now_ms < newest_ms - limits.CLOCK_STEP_MS:
            self.note("clock.behind", reason=f"{newest_ms - now_ms} ms before the newest entry")
        digest, before = config_digest(config), marks.get(_CONFIGURATION, "")
        if digest != before:
            entry = LogEntry(
                Stream.CHANGE.value, "configuration.change", "node.toml",
                before=bytes.fromhex(before), after=bytes.fromhex(digest),
            )  # fmt: skip
            self._sequencer.note(entry, now_ms, (_CONFIGURATION, digest))

    def collect(self) -> Iterator[Metric]:
        """Yield how long ago the logs were published last, be it that nothing waited."""
        age_s = self._clocks.monotonic_s() - self._done_at_s
        yield family("saltern_log_round_age_seconds", age_s)

    async def keep(self, stopping: asyncio.Event) -> None:
        """Run rounds until it is told to stop, and then those for what is left."""
        while not stopping.is_set():
            await asyncio.to_thread(self._run_and_drop)
            try:
                await asyncio.wait_for(stopping.wait(), limits.LOG_ROUND_S)
            except TimeoutError:
                continue
        self.note("node.stop")
        await asyncio.to_thread(self.run)

    def run(self) -> None:
        """Run rounds until nothing waits, or one fails."""
        step_ms = self._watch.step_ms()
        if step_ms:
            _LOG.warning("the clock jumped by %d ms", step_ms)
            self.note("clock.step", reason=f"{step_ms} ms")
            self._believed_ms = self._believe_ms()
            self._believed_at_s = self._clocks.monotonic_s()
        while self._round():
            pass

    def _round(self) -> bool:
        """Run one round; return whether another one has work."""
        try:
            done = self._sequencer.round(self._clocks.now_ms())
        except (OSError, NodeError) as error:
            self._tell(error)
            return False
        if done.published:
            self.published(done)
        if self._failing:
            self._failing = False
            _LOG.warning("日志恢复发布。The logs are published again")
        self._done_at_s = self._clocks.monotonic_s()
        if self._beginning is not None:
            self._believed_ms = self._sequencer.newest_ms
            self._note_beginning(*self._beginning)
            self._beginning = None
            return True
        return done.more

    def _run_and_drop(self) -> None:
        """Run rounds; and now and then drop what may go."""
        self.run()
        now_s = self._clocks.monotonic_s()
        if now_s >= self._drop_at_s and not self._failing:
            self._drop_at_s = now_s + limits.LOG_DROP_EVERY_S
            dropped = self._drop(self.retention_clocks, self._publish)
            for name in dropped.logs:
                _LOG.warning("dropped the log %s: its time is over", name)
            for problem in dropped.problems:
                _LOG.error("not dropped: %s", problem)

    def retention_clocks(self) -> RetentionClocks:
        """Return the time, and what the newest entry says of it: no jump of the clock ends a month's time.

        A start, and a jump, count from the newest entry before it, until CLOCK_SETTLED_S are over.
        """
        return RetentionClocks(self._clocks.now_ms(), self._believe_ms())

    def _believe_ms(self) -> Millis:
        passed_s = self._clocks.monotonic_s() - self._believed_at_s
        if passed_s >= limits.CLOCK_SETTLED_S:
            return Millis(self._sequencer.newest_ms)
        return Millis(min(self._believed_ms + int(passed_s * 1_000), self._sequencer.newest_ms))

    def _publish(self, entry: LogEntry) -> None:
        """Publish an entry, durably. Errors: those of a round; it is published with a later one then."""
        self._sequencer.note(entry, self._clocks.now_ms())
        while self._sequencer.round(self._clocks.now_ms()).more:
            continue

    def _tell(self, error: Exception) -> None:
        """Say once that the logs are not published."""
        self._failed()
        if not self._failing:
            self._failing = True
            _LOG.critical("日志未能发布，将继续尝试。The logs are not published; the node goes on trying: %s", error)


def config_digest(config: Config) -> str:
    """Return the SHA-256 of all settings in force, as JSON in the order of their names; they hold no secrets."""
    text = json.dumps(config.values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
