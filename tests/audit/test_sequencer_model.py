"""Whatever workers, queue, clock and crashes do: everything is logged once, and each month verifies."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from audit.places import SPOOL_FOLDER
from core.clock import Millis, month_after, month_start, shanghai_month
from core.store.log_rows import LogEntry
from core.streams import Stream
from tests.kit.sequencing import (
    Rows,
    Segment,
    Watching,
    assert_consistent,
    assert_nothing_is_left_over,
    entry_of,
    logged,
    months_of,
    run_out,
    sequencer_of,
)

BEGIN = month_start("2026-10")
HOUR = 3_600_000
WORKERS = st.sampled_from(["worker-0", "worker-1", "worker-2"])


class Machine(RuleBasedStateMachine):
    """A node's logs: ``now_ms`` is its clock, which goes on by itself and jumps."""

    def __init__(self) -> None:
        super().__init__()
        self.data = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        self.rows = Rows()
        self.files = Watching({}, [])
        self.sequencer = sequencer_of(self.data, self.rows, self.files)
        self.now_ms = BEGIN + 40 * HOUR
        self.counts: dict[str, int] = {}
        self.asked: dict[str, list[str]] = {}
        self.acts: list[str] = []
        self.noted: list[str] = []
        self.segments: dict[str, Segment] = {}
        self.names: set[int] = set()
        self.run_once()

    def name(self, kind: str) -> str:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return f"{kind}/{self.counts[kind]}"

    def run_once(self) -> None:
        self.now_ms += 1_000
        self.sequencer.round(Millis(self.now_ms))

    # --- what comes in ---
    @rule(worker=WORKERS, rows=st.integers(1, 700), turns=st.integers(1, 4))
    def ask(self, worker: str, rows: int, turns: int) -> None:
        if worker not in self.segments:
            number = self.now_ms
            while number in self.names:
                number += 1
            self.names.add(number)
            self.segments[worker] = Segment(self.data, worker, number)
        for _ in range(turns):
            self.now_ms += 700
            names = [self.name(worker) for _ in range(rows)]
            self.segments[worker].add(self.now_ms, *names)
            self.asked.setdefault(worker, []).extend(names)

    @rule(worker=WORKERS)
    def rotate_or_die(self, worker: str) -> None:
        segment = self.segments.pop(worker, None)
        if segment is not None:
            segment.end()

    @rule(entries=st.integers(1, 300), stream=st.sampled_from([Stream.REGISTRATION, Stream.CHANGE]))
    def act(self, entries: int, stream: Stream) -> None:
        self.now_ms += 5
        names = [self.name("act") for _ in range(entries)]
        self.rows.add(self.now_ms, *(entry_of(name, stream) for name in names))
        self.acts += names

    @rule()
    def note(self) -> None:
        name = self.name("note")
        self.noted.append(name)
        self.sequencer.note(LogEntry("maintenance", "note", name), Millis(self.now_ms), (name, "noted"))

    # --- time ---
    @rule(step=st.sampled_from([-31 * 24 * HOUR, -24 * HOUR, -HOUR, -5_000, HOUR, 24 * HOUR, 31 * 24 * HOUR]))
    def jump(self, step: int) -> None:
        self.now_ms = max(BEGIN, self.now_ms + step)

    @rule(before=st.booleans())
    def midnight(self, before: bool) -> None:
        """Around the first moment of the next month."""
        self.now_ms = month_start(month_after(shanghai_month(self.now_ms))) - (1_500 if before else -500)

    @rule()
    def off_for_two_months(self) -> None:
        self.crash()
        for worker in list(self.segments):
            self.rotate_or_die(worker)
        self.now_ms += 61 * 24 * HOUR

    # --- the sequencer ---
    @rule()
    def round(self) -> None:
        self.run_once()

    @rule()
    def rounds(self) -> None:
        self.now_ms += 1_000
        run_out(self.sequencer, self.now_ms)

    @rule()
    def crash(self) -> None:
        """Killed between two rounds; the faults within one are those of test_sequencer_faults."""
        self.sequencer.close()
        self.sequencer = sequencer_of(self.data, self.rows, self.files)
        self.run_once()
        for name in self.noted:
            if name not in self.sequencer.marks:
                entry = LogEntry("maintenance", "note", name)
                self.sequencer.note(entry, Millis(self.now_ms), (name, "noted"))

    # --- the end ---
    def teardown(self) -> None:
        try:
            self.check()
        finally:
            self.sequencer.close()
            shutil.rmtree(self.data)

    def check(self) -> None:
        for worker in list(self.segments):
            self.rotate_or_die(worker)
        self.now_ms += 3_000
        run_out(self.sequencer, self.now_ms)
        found = logged(self.data)
        for worker, asked in self.asked.items():
            mine = [name for name in found.resolutions if name.startswith(f"{worker}/")]
            assert sorted(mine) == sorted(asked)
        assert len(found.resolutions) == sum(map(len, self.asked.values()))
        acts = [name for act, name in found.all_acts if act == "record.create"]
        assert sorted(acts) == sorted(self.acts)
        assert sorted(name for act, name in found.all_acts if act == "note") == sorted(self.noted)
        for stream in (Stream.REGISTRATION, Stream.CHANGE):
            mine = [int(name.partition("/")[2]) for _, name in found.acts[stream] if name.startswith("act/")]
            assert mine == sorted(mine), "rows of the queue keep their order"
        assert_consistent(self.files.checkpoints)
        assert_nothing_is_left_over(self.data)
        assert not list((self.data / SPOOL_FOLDER).iterdir())
        assert not self.rows.queue.read(0, 1)
        months = [[month.month for month in months_of(self.data, stream)] for stream in Stream]
        assert months[1:] == months[:-1], "all logs have the same months"


Machine.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestModel = Machine.TestCase
