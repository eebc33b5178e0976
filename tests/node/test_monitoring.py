"""The process monitor: each hour gets its entry once, whenever it is killed, and nothing is invented."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core import limits
from core.changes import ChangeKind, Serial, unpack_change
from core.clock import Millis, shanghai_date
from core.errors import StoreError
from core.store.engine import Batch, ExpectationError, Table
from core.store.fsck import check_store
from core.store.log_queue import append
from core.store.log_rows import LogEntry, LogRow
from core.store.memory_engine import MemoryEngine
from core.store.monitor_rows import events, newest_hours
from core.store.upstream_rows import DayMark, day_key, pack_mark
from core.who import Who
from node.cli.monitor import show, standing
from node.monitor_metrics import MonitorMetrics
from node.monitoring import Monitoring
from node.seconds import Seconds
from node.telemetry import render
from sync.feeding import gather_days, last_serial
from sync.monitor.adding import hour_of
from sync.monitor.days import make_figures
from sync.monitor.figures import NODE, Hour, Latency, load_hour
from sync.monitor.happening import Happening, Kind, Status, load_happening
from sync.monitor.observation import Observation, Way
from sync.monitor.storing import drop_old, happening_from, write_happening
from sync.sources.events import EventSource
from sync.sources.statistics import StatisticsSource
from sync.table import pack_row
from sync.tables import TABLES, check_row, values
from tests.kit.logs import log_rows

BEGIN_S = 1_800_000_000 // 3_600 * 3_600
DAY_BEGIN_S = BEGIN_S - 16 * 3_600  # midnight in Shanghai
HAPPENING = Happening(
    "E00000001", Status.ANOMALY, NODE, "disk", Kind.SYSTEM, Millis(BEGIN_S * 1_000), cause="磁盘。The disk"
)


class Killed(BaseException):
    """The process is gone."""


class Engine(MemoryEngine):
    """A store whose next commits can be made to end otherwise: before or behind the commit, or by another writer."""

    def __init__(self) -> None:
        super().__init__()
        self.fates: list[str] = []

    def commit(self, batch: Batch) -> Serial:
        fate = self.fates.pop(0) if self.fates else ""
        if fate == "killed before":
            raise Killed
        if fate == "full":
            raise StoreError("the disk is full")
        if fate == "other":
            other = Batch()
            with self.snapshot() as snapshot:
                append(other, snapshot, LogRow(Millis(1), Who("local"), "local", b"", (LogEntry("change", "x", "y"),)))
            super().commit(other)
        serial = super().commit(batch)
        if fate == "killed behind":
            raise Killed
        return serial


class Bench:
    """A node whose workers answer, and its monitor. The time is given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Engine()
        self.us = BEGIN_S * 1_000_000
        self.ns = 10**15
        self.answered: dict[str, list[tuple[int, int]]] = {}
        self.worker, self.registrar = (self._ring(name) for name in ("worker-0", "registrar"))
        self.monitor = self.start()

    def _ring(self, name: str) -> Seconds:
        return Seconds(self.folder, name, lambda: self.ns, lambda: self.us)

    def start(self) -> Monitoring:
        self.monitor = Monitoring(self.store, self.folder, 15, now_ms=lambda: Millis(self.us // 1_000))
        return self.monitor

    def second(self, answers: int = 1, took_us: int = 100) -> None:
        """Let a second pass in which something is answered; then comes the monitor's round."""
        if answers:
            self.worker.add(answers, self.ns - took_us * 1_000)
            self.answered.setdefault(hour_of(self.us // 1_000), []).append((answers, took_us))
        self.us += 1_000_000
        self.ns += 1_000_000_000
        try:
            self.monitor.round()
        except Killed:
            self.start()
        except StoreError:
            pass

    def pass_to(self, second: int) -> None:
        """Let time pass in which nothing runs."""
        self.ns += abs(second * 1_000_000 - self.us) * 1_000
        self.us = second * 1_000_000

    def entries(self) -> dict[str, Hour]:
        """Return the entries of hours by object, each one there once."""
        with self.store.snapshot() as snapshot:
            told = [entry for row in log_rows(snapshot) for entry in row.entries if entry.action == "monitor.hour"]
        assert len({entry.object for entry in told}) == len(told)
        return {entry.object: load_hour(entry.object, entry.reason) for entry in told}

    def stored(self) -> Hour:
        with self.store.snapshot() as snapshot:
            ((hour, row),) = newest_hours(snapshot, NODE, 1)
        return Hour(NODE, hour, Latency(*row.resolution), Latency(*row.registration))

    def faults(self) -> list[str]:
        with self.store.snapshot() as snapshot:
            return list(check_store(snapshot))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    assert made.faults() == []


WAYS = ("resolution", "registration", "both")
FATES = ("killed before", "killed behind", "full", "other")


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("commit", range(3))
def test_an_hour_gets_its_entry_once_whenever_the_monitor_is_killed(bench: Bench, fate: str, commit: int) -> None:
    """Around its end, at each commit; the figures are all that was answered, for the rings reach further back."""
    bench.pass_to(BEGIN_S + 3_600 - 70)
    bench.monitor.round()
    bench.store.fates = [""] * commit + [fate]
    for number in range(70 + limits.MONITOR_HOUR_GRACE_MS // 1_000 + 70):
        bench.second(answers=1 + number % 3, took_us=100 + number)
    assert bench.store.fates == []
    first, second = sorted(bench.answered)
    (told,) = bench.entries().values()
    assert (told.hour, told.resolution.answers) == (first, sum(count for count, _ in bench.answered[first]))
    assert told.resolution.sum_us == sum(count * took for count, took in bench.answered[first])
    assert (told.resolution.max_us, told.resolution.min_us, told.resolution.peak) == (169, 100, 3)
    bench.monitor.end()
    assert bench.stored().hour == second
    assert bench.stored().resolution.answers == sum(count for count, _ in bench.answered[second])


def test_of_a_time_in_which_nothing_ran_nothing_is_written(bench: Bench) -> None:
    """The hour that was open gets its entry at the next start, as it was; those between get none."""
    for _ in range(3):
        bench.second()
    bench.monitor.end()
    bench.pass_to(BEGIN_S + 5 * 3_600)
    bench.start().round()
    assert [(name, hour.resolution.answers) for name, hour in bench.entries().items()] == [
        (f"node {hour_of(BEGIN_S * 1_000)}", 3)
    ]
    assert bench.stored() == Hour(NODE, hour_of((BEGIN_S + 5 * 3_600) * 1_000))


def test_a_monitor_that_is_away_for_a_moment_loses_nothing_and_counts_nothing_twice(bench: Bench) -> None:
    """Killed in between, some seconds behind its last write."""
    for number in range(30):
        bench.second(number % 4)
        if number == 17:
            bench.start()
    bench.registrar.add(1, bench.ns - 4_000_000)
    bench.monitor.end()
    assert bench.stored().resolution.answers == sum(number % 4 for number in range(30))
    assert bench.stored().registration == Latency(1, 4_000, 4_000, BEGIN_S + 30, 4_000, BEGIN_S + 30, 1, BEGIN_S + 30)


def test_a_clock_that_was_ahead_does_not_stop_the_counting(bench: Bench) -> None:
    """It goes on from where the clock is now; nothing is counted in the hour that was closed meanwhile."""
    bench.pass_to(BEGIN_S + 2 * 3_600)
    bench.second()
    bench.pass_to(BEGIN_S + 60)
    bench.start()
    for _ in range(9):
        bench.second()
    bench.monitor.end()
    with bench.store.snapshot() as snapshot:
        assert [(hour, row.resolution[0]) for hour, row in newest_hours(snapshot, NODE, 2)] == [
            (hour_of((BEGIN_S + 7_200) * 1_000), 0), (hour_of(BEGIN_S * 1_000), 9),
        ]  # fmt: skip


@pytest.mark.parametrize("ahead_days", [3, 400])
def test_hours_behind_a_clock_that_was_far_ahead_for_hours_count(bench: Bench, ahead_days: int) -> None:
    """Those that were closed ahead of their time stay; the real ones, now and after a restart, get their entries."""
    for _ in range(9):
        bench.second()
    for hour in range(3):
        bench.pass_to(BEGIN_S + ahead_days * 86_400 + hour * 3_600)
        bench.second()
    for hour in (1, 2, 3):
        bench.pass_to(BEGIN_S + hour * 3_600 + 100)
        if hour == 2:
            bench.monitor.end()
            bench.start()
        bench.second()
        for _ in range(5):
            bench.second()
    bench.pass_to(BEGIN_S + 5 * 3_600)
    bench.second()
    told = {name: hour.resolution.answers for name, hour in bench.entries().items()}
    assert [told.get(f"node {hour_of((BEGIN_S + hour * 3_600) * 1_000)}", 0) >= 4 for hour in (1, 2, 3)] == [True] * 3


# --- events ---
@pytest.mark.parametrize("fate", FATES)
def test_an_event_is_a_row_a_change_and_an_entry_at_once_and_once(bench: Bench, fate: str) -> None:
    """Whatever happens to its commit; another one under its number is refused."""
    bench.store.fates = [fate]
    for _ in range(2):
        try:
            write_happening(bench.store, HAPPENING, HAPPENING.at_ms)
        except (Killed, StoreError):
            continue
    write_happening(bench.store, HAPPENING, HAPPENING.at_ms)
    with bench.store.snapshot() as snapshot:
        (change,) = [unpack_change(row) for _, row in snapshot.feed(Serial(0), 9)]
        (entry,) = [e for row in log_rows(snapshot) for e in row.entries if e.action == "monitor.anomaly"]
        source = EventSource()
        ((key, row),) = list(source.rows(snapshot, b"", None))
        assert source.row(snapshot, key) == row
    assert (change.kind, change.identifier) == (ChangeKind.MONITOR_EVENT, "E00000001")
    assert source.touched(change.kind, change.identifier.encode()) == (b"E00000001", 0)
    assert load_happening(entry.action, entry.object, entry.reason) == HAPPENING
    assert check_row(TABLES["T13"], key, row) == []
    with pytest.raises(StoreError, match="E00000001"):
        write_happening(bench.store, HAPPENING._replace(condition="resolution"), HAPPENING.at_ms)


def test_what_is_watched_is_written_with_the_round_and_waits_for_the_disk(bench: Bench) -> None:
    """What a probe found reaches whoever watches; what he says is not lost while nothing can be written."""

    class Watch:
        def __init__(self) -> None:
            self.seen: list[Observation] = []
            self.said = [HAPPENING]

        def observe(self, seen: Observation) -> None:
            self.seen.append(seen)

        def tick(self, now_ms: Millis) -> list[Happening]:
            return [self.said.pop()] if self.seen and self.said else []

    watch = Watch()
    bench.monitor = Monitoring(bench.store, bench.folder, 15, watch, lambda: Millis(bench.us // 1_000))
    seen = Observation(NODE, Way.UDP, Millis(bench.us // 1_000), 700)
    bench.monitor.observe(seen)
    bench.store.fates = ["full"]
    with pytest.raises(StoreError):
        bench.monitor.round()
    bench.monitor.round()
    assert watch.seen == [seen]
    with bench.store.snapshot() as snapshot:
        assert [happening_from(number, row) for number, row in events(snapshot)] == [HAPPENING]


# --- days, and the end of rows ---
def test_a_day_is_made_of_its_hours_once_it_is_over_and_all_are_closed(bench: Bench) -> None:
    """T12: one row a subject; figures are those of the hours; nothing where nothing was answered."""
    bench.pass_to(DAY_BEGIN_S + 3_600)
    bench.start().round()
    for hour in (1, 2, 23):
        bench.pass_to(DAY_BEGIN_S + hour * 3_600 + 100)
        for number in range(3):
            bench.second(number + hour, took_us=hour * 100 + number)
        for _ in range(limits.SECONDS_LAG_S):
            bench.second(0)
    bench.monitor.observe(Observation("88.118.9", Way.UDP, Millis(bench.us // 1_000), 5_000))
    bench.second(0)
    bench.monitor.end()
    over = Millis((DAY_BEGIN_S + 86_400) * 1_000 + limits.MONITOR_DAY_GRACE_MS)
    assert (make_figures(bench.store, Millis(over - 1)), make_figures(bench.store, over)) == (0, 0)  # an hour is open
    bench.pass_to(over // 1_000)
    bench.monitor.round()
    assert (make_figures(bench.store, over), make_figures(bench.store, over)) == (1, 0)
    ahead, batch = day_key("T12", shanghai_date(over).isoformat()), Batch()
    batch.put(Table.SYNC_DAYS, ahead, pack_mark(DayMark("2027-01", 0)))  # by a clock that was ahead
    bench.store.commit(batch)
    assert make_figures(bench.store, over) == 0
    with bench.store.snapshot() as snapshot:
        assert snapshot.get(Table.SYNC_DAYS, ahead) is None, "it is made once it is over"
    source = StatisticsSource(TABLES["T12"])
    with bench.store.snapshot() as snapshot:
        rows = dict(source.rows(snapshot, b"", None))
        items = gather_days(snapshot, source, 0, 0)
        assert [item.key for item in items] == list(rows) == [b"2027-01-15/88.118.9", b"2027-01-15/node"]
        assert items[-1].serial == last_serial(snapshot, source)
    for key, row in rows.items():
        assert check_row(TABLES["T12"], key, row) == []
    at_s = DAY_BEGIN_S + 23 * 3_600 + 100
    assert rows[b"2027-01-15/node"] == pack_row(values(
        TABLES["T12"], subject="node", day="2027-01-15", resolution_answers=87, resolution_mean_us=1_932,
        resolution_max_us=2_302, resolution_max_s=at_s + 2, resolution_min_us=100,
        resolution_min_s=DAY_BEGIN_S + 3_700, resolution_peak=25, resolution_peak_s=at_s + 2, registration_answers=0,
    ))  # fmt: skip
    enterprise = values(
        TABLES["T12"], subject="88.118.9", day="2027-01-15", resolution_answers=1, resolution_mean_us=5_000,
        resolution_max_us=5_000, resolution_max_s=at_s + 5, resolution_min_us=5_000, resolution_min_s=at_s + 5,
        registration_answers=0,
    )  # fmt: skip
    assert rows[b"2027-01-15/88.118.9"] == pack_row(enterprise)


def test_what_is_old_goes_and_what_is_open_stays(bench: Bench) -> None:
    """Hours of 62 days, events of thirteen months; the newest number is not used again."""
    bench.second()
    bench.monitor.end()
    for number, (ends, at_ms) in enumerate((("", 0), ("", 1), ("E00000001", 2), ("", 3), ("E00000004", 4)), 1):
        status = Status.RECOVERED if ends else Status.ANOMALY
        told = HAPPENING._replace(number=f"E{number:08}", ends=ends, status=status, at_ms=Millis(at_ms * 1_000))
        write_happening(bench.store, told, told.at_ms)
    late = Millis((BEGIN_S + 63 * 86_400) * 1_000)
    assert drop_old(bench.store, late) == 3
    with bench.store.snapshot() as snapshot:
        assert [key for key, _ in snapshot.scan(Table.MONITOR_EVENTS, b"")] == [b"E00000002", b"E00000005"]
        assert len(newest_hours(snapshot, NODE, 9)) == 1  # it is open still
    bench.pass_to(late // 1_000)
    bench.start().round()
    with bench.store.snapshot() as snapshot:
        assert [hour for hour, _ in newest_hours(snapshot, NODE, 9)] == [hour_of(late)]
        assert snapshot.get(Table.SYNC_DAYS, day_key("T12", "2027-01-15")) is None
    assert list(bench.entries()) == [f"node {hour_of(BEGIN_S * 1_000)}"]


def test_another_writer_that_is_always_faster_is_told(bench: Bench) -> None:
    """And nothing is half there."""
    bench.store.fates = ["other"] * limits.COMMIT_TRIES_MAX
    with pytest.raises(StoreError) as told:
        write_happening(bench.store, HAPPENING, HAPPENING.at_ms)
    assert not isinstance(told.value, ExpectationError)
    with bench.store.snapshot() as snapshot:
        assert list(snapshot.scan(Table.MONITOR_EVENTS, b"")) == []


# --- what is shown ---
def shown(bench: Bench) -> dict[str, float]:
    lines = render(MonitorMetrics(bench.store, lambda: Millis(bench.us // 1_000))).decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def test_the_open_hour_is_shown_as_metrics_and_by_the_command(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """Figures of what was answered; none of what nobody measured."""
    assert [name for name in shown(bench) if "anomalies" not in name] == []
    for took_us in (200, 600, 400):
        bench.second(2, took_us)
    for way in Way:
        bench.monitor.observe(Observation(NODE, way, Millis(bench.us // 1_000), 700))
    bench.monitor.observe(Observation(NODE, Way.UDP, Millis(bench.us // 1_000 + 15_000), None))
    bench.monitor.end()
    write_happening(bench.store, HAPPENING, HAPPENING.at_ms)
    bench.us += 7_000_000
    assert shown(bench) == {
        "saltern_monitor_age_seconds": 7,
        'saltern_monitor_answers{service="resolution"}': 6,
        'saltern_monitor_answers{service="registration"}': 0,
        'saltern_monitor_latency_seconds{figure="mean",service="resolution"}': 0.0004,
        'saltern_monitor_latency_seconds{figure="max",service="resolution"}': 0.0006,
        'saltern_monitor_latency_seconds{figure="min",service="resolution"}': 0.0002,
        'saltern_monitor_peak{service="resolution"}': 2,
        'saltern_monitor_peak{service="registration"}': 0,
        **{f'saltern_monitor_periods{{available="{each}"}}': 1 for each in ("any", *WAYS)},
        **{f'saltern_monitor_anomalies{{kind="{each}"}}': each == "system"
           for each in ("network", "system", "attack", "other")},
    }  # fmt: skip
    with bench.store.snapshot() as snapshot:
        show(standing(snapshot, NODE, Millis(bench.us // 1_000)))
    told = capsys.readouterr().out
    assert "本节点 This node" in told and "当前小时 Hour 2027-01-15T16" in told
    assert "6 次 answers，均值 mean 0.400 ms，最大 max 0.600 ms (2027-01-15T08:00:01Z)" in told
    assert "峰值 peak 2/s" in told and "注册 registration: –" in told and "1/1 可用 available" in told
