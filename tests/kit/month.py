"""A simulated month of a node for tests: what happens to it goes into a real published log, and is counted beside it.

Probes each 15 s and seconds of traffic go through what the process ``monitor`` is made of, the registrar is a real one,
and a real sequencer publishes. What the simulation counts by itself, ``Kept``, never looks at any of that.
"""

from __future__ import annotations

import random
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from audit.sequencer import Sequencer
from core.clock import Millis
from core.config import Config, load
from core.downtime import Downtime, format_downtime
from core.store.engine import Batch, Snapshot
from core.store.log_queue import LogQueue, append
from core.store.log_rows import LogEntry, LogRow
from core.who import NODE as BY_ITSELF
from registry.commands import Actor, Governance, NoteAct
from sync.monitor.adding import Hours, Second
from sync.monitor.figures import NODE
from sync.monitor.happening import Happening, Kind, Status
from sync.monitor.observation import Observation, Way
from sync.monitor.storing import close_hours, read_left, write_happening, write_hours
from tests.kit.days import shanghai
from tests.kit.governance import ANNA, Office
from tests.kit.sequencing import PUBLISHER, run_out

PERIOD_S: Final = 15
RESOLUTION: Final = (Way.UDP, Way.TCP, Way.HTTP)
_WAYS: Final = tuple(Way)
_PERIOD_MS: Final = PERIOD_S * 1_000
_HOUR_MS: Final = 3_600_000


class Kept:
    """What the simulation counts: sums in microseconds, extremes with their second, seconds of availability.

    A round counts once the next one begins: the last one before the node ends in the middle of it is lost.
    """

    def __init__(self) -> None:
        self.answers = {"resolution": 0, "registration": 0}
        self.sum_us = dict(self.answers)
        self.most: dict[str, tuple[int, int]] = {}
        self.least: dict[str, tuple[int, int]] = {}
        self.peak: dict[str, tuple[int, int]] = {}
        self.available_s = {"both": 0, "resolution": 0, "registration": 0}
        self.running_s = 0
        self._last: dict[str, bool] | None = None

    def second(self, kind: str, second: int, took_us: list[int]) -> None:
        """Count the answers of a second; seconds come in order, so that the earliest extreme stays."""
        self.answers[kind] += len(took_us)
        self.sum_us[kind] += sum(took_us)
        if kind not in self.most or max(took_us) > self.most[kind][0]:
            self.most[kind] = (max(took_us), second)
        if kind not in self.least or min(took_us) < self.least[kind][0]:
            self.least[kind] = (min(took_us), second)
        if kind not in self.peak or len(took_us) > self.peak[kind][0]:
            self.peak[kind] = (len(took_us), second)

    def round(self, good: dict[str, bool] | None) -> None:
        """Count the round before this one; None: the node ends."""
        if self._last is not None and good is not None:
            self.running_s += PERIOD_S
            for name, was in self._last.items():
                self.available_s[name] += PERIOD_S * was
        self._last = good


class MonthNode:
    """A node from ``begun`` on. Time goes on by ``run``; what a person does comes at its time."""

    def __init__(self, folder: Path, begun: str, seed: int = 7) -> None:
        self.now = shanghai(begun)
        self.kept = Kept()
        self.office = Office()
        self.data = folder / "data"
        self._broken: list[tuple[Millis, Millis, tuple[Way, ...]]] = []
        self._sequencer = Sequencer(self.data, LogQueue(self.office.store), PUBLISHER)
        self._random = random.Random(seed)
        self._hours = Hours(PERIOD_S)
        (folder / "node.toml").write_text('[node]\nprefix = "88.118"\n[about]\noperator = "浙江某盐业集团有限公司"\n')
        self.config: Config = load(folder / "node.toml")

    def reading(self) -> AbstractContextManager[Snapshot]:
        """Open the state of the store."""
        return self.office.store.snapshot()

    # --- what happens
    def do(self, at: str, *commands: Governance, actor: Actor = ANNA) -> None:
        """Have somebody do something at a time, behind all that has happened."""
        self.office.now = Millis(shanghai(at) - 1_000)
        for result in self.office.run(*commands, actor=actor):
            assert result.done, result

    def plan(self, at: str, since: str, until: str, reason: str, act: str = "downtime.plan") -> None:
        """Enter a planned downtime, or take it back."""
        self.do(at, NoteAct(act, format_downtime(Downtime(shanghai(since), shanghai(until))), reason))

    def happens(self, number: str, at: str, condition: str, ends: str = "", cause: str = "") -> None:
        """Enter an anomaly, or the recovery that ends one."""
        status = Status.RECOVERED if ends else Status.ANOMALY
        happening = Happening(number, status, NODE, condition, Kind.SYSTEM, shanghai(at), ends, cause)
        write_happening(self.office.store, happening, shanghai(at))

    def fails(self, since: str, until: str, *ways: Way) -> None:
        """Have these ways of asking fail while the node runs."""
        self._broken.append((shanghai(since), shanghai(until), ways))

    def run(self, until: str) -> None:
        """Let the node run: probes each 15 s, traffic in some seconds; hours that are over are entered."""
        end = shanghai(until)
        while self.now < end:
            stop = min(end, self.now - self.now % _HOUR_MS + _HOUR_MS)
            seconds = range(self.now // 1_000, stop // 1_000)
            self._hours.add(self._traffic("resolution", seconds), self._traffic("registration", seconds))
            for at_ms in range(self.now, stop, _PERIOD_MS):
                self._probe(Millis(at_ms))
            self.now = Millis(stop)
            self._close()

    def away(self, until: str) -> None:
        """Have the node end at once, and be back later: the hour that it was in is entered then."""
        write_hours(self.office.store, self._hours.all(), self.now // 1_000)
        self.kept.round(None)
        self.now = shanghai(until)
        with self.reading() as snapshot:
            left = read_left(snapshot, Millis(self.now))
        self._hours = Hours(PERIOD_S, left.closed, left.hours)
        self._close()

    def publish(self) -> None:
        """Have the sequencer publish what waits."""
        run_out(self._sequencer, self.now)

    def enter(self, *entries: LogEntry) -> None:
        """Commit a row of the queue as it is."""
        batch = Batch()
        with self.reading() as snapshot:
            append(batch, snapshot, LogRow(self.now, BY_ITSELF, "", b"", entries))
        self.office.store.commit(batch)

    def _traffic(self, kind: str, seconds: range) -> list[Second]:
        some, answers, quickest, slowest = (12, 40, 90, 4_000) if kind == "resolution" else (2, 5, 2_000, 60_000)
        found = []
        for second in sorted(self._random.sample(seconds, min(some, len(seconds)))):
            took = [self._random.randint(quickest, slowest) for _ in range(self._random.randint(1, answers))]
            self.kept.second(kind, second, took)
            cut = self._random.randint(0, len(took))  # two workers answered
            found += [
                Second(second, len(part), sum(part), min(part), max(part)) for part in (took[:cut], took[cut:]) if part
            ]
        return found

    def _probe(self, at_ms: Millis) -> None:
        failed = [way for since, until, ways in self._broken if since <= at_ms < until for way in ways]
        resolves = not failed or sum(way in RESOLUTION for way in failed) <= 1  # of three; two are more than half
        registers = Way.REGISTRATION not in failed
        self.kept.round({"resolution": resolves, "registration": registers, "both": resolves and registers})
        for way in _WAYS:
            self._hours.observe(Observation(NODE, way, at_ms, None if way in failed else 900))

    def _close(self) -> None:
        over = self._hours.over(self.now)
        close_hours(self.office.store, over, self._hours.all(), self.now // 1_000, self.now)
        self._hours.close(over)
