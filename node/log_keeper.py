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
from collections.abc import Callable
from typing import Final, NamedTuple

from audit.files import RewriteError
from audit.own_log import SequencerError
from audit.sequencer import Round, Sequencer
from core import limits
from core.clock import Millis
from core.config import Config
from core.errors import StoreError
from core.store.log_rows import LogEntry
from core.streams import Stream
from node import VERSION

_LOG: Final = logging.getLogger("saltern.log")
_CONFIGURATION: Final = "configuration"
_START: Final = "start"


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
    """Runs the sequencer. ``failed`` counts rounds that failed; ``published`` is told which logs grew."""

    def __init__(
        self, sequencer: Sequencer, clocks: Clocks, failed: Callable[[], None],
        published: Callable[[Round], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self._sequencer = sequencer
        self._clocks = clocks
        self._watch = ClockWatch(clocks)
        self._failed = failed
        self._published = published
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
        if marks.get(_START) != start:
            entry = LogEntry(Stream.MAINTENANCE.value, "node.start", "", reason=f"version {VERSION}")
            self._sequencer.note(entry, now_ms, (_START, start))
        if now_ms < newest_ms - limits.CLOCK_STEP_MS:
            self.note("clock.behind", reason=f"{newest_ms - now_ms} ms before the newest entry")
        digest, before = config_digest(config), marks.get(_CONFIGURATION, "")
        if digest != before:
            entry = LogEntry(
                Stream.CHANGE.value, "configuration.change", "node.toml",
                before=bytes.fromhex(before), after=bytes.fromhex(digest),
            )  # fmt: skip
            self._sequencer.note(entry, now_ms, (_CONFIGURATION, digest))

    async def keep(self, stopping: asyncio.Event) -> None:
        """Run rounds until it is told to stop, and then those for what is left."""
        while not stopping.is_set():
            await asyncio.to_thread(self.run)
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
        while self._round():
            pass

    def _round(self) -> bool:
        """Run one round; return whether another one has work."""
        try:
            done = self._sequencer.round(self._clocks.now_ms())
        except (OSError, StoreError, SequencerError, RewriteError) as error:
            self._tell(error)
            return False
        if done.published:
            self._published(done)
        if self._failing:
            self._failing = False
            _LOG.warning("日志恢复发布。The logs are published again")
        if self._beginning is not None:
            self._note_beginning(*self._beginning)
            self._beginning = None
            return True
        return done.more

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
