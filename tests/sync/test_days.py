"""Statistics of a day (T3, T8): exactly what happened, whenever they are made; and what is made is kept and goes."""

from __future__ import annotations

import datetime
import ipaddress
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.day_queries import day_queries
from audit.reading import LogReadError
from audit.retention import Clocks, judge
from audit.sequencer import Sequencer
from audit.side import month_folder
from audit.source_tally import SourceTally as RealTally
from core import limits
from core.clock import DAY_MS, month_after, month_start, shanghai_midnight
from core.errors import StoreError
from core.events import Via
from core.store.engine import Batch, Table
from core.store.fsck import check_store
from core.store.upstream_rows import day_key, pack_day
from core.streams import Stream
from registry.commands import ApplyPrefix, Home, MovePrefix, ReviewPrefix
from sync.days import drop_days, first_month_kept, make_days, missing_days
from sync.feeding import day_number
from sync.sources.statistics import StatisticsSource
from sync.tables import TABLES, check_row
from tests.kit.days import CountedNode, Query, shanghai
from tests.kit.governance import BEN, EVIDENCE

A, B, C = bytes((192, 0, 2, 7)), bytes((198, 51, 100, 1)), ipaddress.ip_address("2001:db8::1").packed
T3, T8 = TABLES["T3"], TABLES["T8"]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[CountedNode]:
    node = CountedNode(tmp_path)
    yield node
    with node.store.snapshot() as snapshot:
        assert [fault for fault in check_store(snapshot) if "sync" in fault] == []
        for table in (T3, T8):
            for key, row in StatisticsSource(table).rows(snapshot, b"", None):
                assert check_row(table, key, row) == [], key


def make_all(node: CountedNode, now: str, **options: Any) -> int:
    made = 0
    while make_days(node.data, node.store, shanghai(now), **options):
        made += 1
    return made


def test_a_day_is_counted_as_it_was(node: CountedNode) -> None:
    """Added, total, received, answered and each address; what is of other days, or of nobody here, is not in it."""
    node.allocated("2023-11-15T10:00:00", "88.118.7")
    node.put("2023-11-15T11:00:00", "88.118.7/OLD", "88.118/OWN")
    node.put("2023-11-16T00:00:00", "88.118.7/P", "88.118.7/NEW")
    node.lot("2023-11-16T12:00:00", "88.118.7/L1", 1_000)
    node.delete("2023-11-16T23:59:59", "88.118.7/OLD")
    node.put("2023-11-17T00:00:00", "88.118.7/LATER")
    node.ask("2023-11-15T23:59:59.999", ("88.118.7/P", "ok", A))
    node.ask("2023-11-16T00:00:00.000", ("88.118.7/p", "ok", A), ("88.118.7/x", "handle-not-found", B))
    node.ask("2023-11-16T00:00:00.001", ("0.na/88.118.7", "ok", A), ("88.118.7", "ok", C), ("88.118/OWN", "ok", B))
    node.ask("2023-11-16T12:00:00", ("88.118.7/held", "held", b""), ("88.118.70/x", "not-responsible", A))
    node.ask("2023-11-16T12:00:00", ("10.1/x", "not-responsible", A), ("no/thing", "ok", A), ("", "invalid-handle", A))
    node.ask("2023-11-16T23:59:59.999", ("88.118.7/P", "ok", B))
    node.ask("2023-11-17T00:00:00.000", ("88.118.7/P", "ok", A))
    node.publish("2023-11-17T00:00:10")
    assert make_all(node, "2023-11-17T00:01:00") == 2
    day = "2023-11-16"
    sources = [["192.0.2.7", 2], ["198.51.100.1", 2], ["2001:db8::1", 1]]
    assert node.kept("T8", day) == {
        f"{day}/88.118": ["88.118", day, 0, 1, 1, 1, [["198.51.100.1", 1]], 0],
        f"{day}/88.118.7": ["88.118.7", day, 1_002, 1_002, 6, 4, sources, 1],
    }
    below = [["192.0.2.7", 3], ["198.51.100.1", 3], ["2001:db8::1", 1]]
    assert node.kept("T3", day) == {f"{day}/88.118": ["88.118", day, 0, 1, 8, 5, below, 1]}
    assert node.kept("T8", "2023-11-15")["2023-11-15/88.118.7"][2:6] == [1, 1, 1, 1]
    assert node.kept("T3", "2023-11-15")["2023-11-15/88.118"][2:6] == [1, 1, 1, 1]


def test_a_gs1_key_is_of_no_prefix(node: CountedNode) -> None:
    """Also where a prefix is called as its first AI is: its own identifiers count, and keys do not."""
    keys = ("01/06901234567892/21/X", "ok", A), ("01/06901234567892", "handle-not-found", B)
    node.ask("2023-11-16T12:00:00", *keys, via=Via.DIGITAL_LINK)
    node.ask("2023-11-16T12:00:01", ("01/SKU", "ok", A), *keys[1:], via=Via.JSON)
    node.publish("2023-11-17T00:00:10")
    begin, tally = shanghai_midnight(DAY), RealTally(node.data)
    counted = day_queries(
        node.data, begin, begin + DAY_MS, tally, rows_of=lambda prefix: (0,) if prefix == b"01" else (), rows=1
    )
    assert (counted.received, counted.answered) == ([2], [1])
    assert [at for at, _ in tally.top(9)] == [0]
    tally.close()


NAMES = ("88.118/a", "88.118.7/a", "88.118.7/B", "0.NA/88.118.7", "0.na/88.118", "0.NA/0.NA", "0.NA/x/y", "88.118.9/a")
OTHER_KINDS = (
    "oid:1.2.156.88.118.7", "gtin:06901234567892", "gtin+lot:06901234567892/88.118.7", "did:bid:88.118.7",
    "01/06901234567892/21/88.118.7", "00/069012345000000014", "7.8.118.88.oid-res.org", "OID:88.118.7/x",
)  # fmt: skip
"""What the log calls what is asked for by other protocols: of no prefix."""
QUERY = st.tuples(
    st.sampled_from((*NAMES, "88.118.7", "88.11/a", "/", "\x00", *OTHER_KINDS)),
    st.sampled_from(("ok", "handle-not-found", "prefix-referral")),
    st.sampled_from((b"", A, B, C, *(bytes((10, 0, 0, each)) for each in range(6)))),
)
TURN = st.tuples(st.integers(-3, 2), st.lists(QUERY, min_size=1, max_size=8))
DAY = datetime.date(2023, 11, 16)


def counted(turns: list[tuple[int, list[Query]]], low: int, prefixes: set[str], cut: int, own: bool) -> list[Any]:
    """Return received, answered, sources and others of one day, counted one by one."""
    received = answered = 0
    sources: Counter[bytes] = Counter()
    for at, queries in turns:
        for name, outcome, address in queries if low <= at < low + 3 else ():
            head, _, rest = name.upper().partition("/")
            prefix = rest if head == "0.NA" else head
            if not (prefix in prefixes or (own and prefix.startswith("88.118.") and "/" not in prefix)):
                continue
            received += 1
            answered += outcome == "ok"
            sources[address] += bool(address)
    order = sorted((item for item in sources.items() if item[0]), key=lambda item: (-item[1], len(item[0]), item[0]))
    told = [[str(ipaddress.ip_address(address)), count] for address, count in order[:cut]]
    return [received, answered, told, received - sum(count for _, count in told)]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    turns=st.lists(TURN, max_size=12), cut=st.integers(1, 5), kept=st.integers(1, 4), rounds=st.sets(st.integers(0, 11))
)
def test_it_is_what_counting_one_by_one_gives(
    tmp_path_factory: pytest.TempPathFactory,
    turns: list[tuple[int, list[Query]]],
    cut: int,
    kept: int,
    rounds: set[int],
) -> None:
    """In any order, round by round; with a file for what is too much for memory; made at once or late."""
    node = CountedNode(tmp_path_factory.mktemp("node"))
    node.allocated("2023-11-15T10:00:00", "88.118.7")
    border = shanghai_midnight(DAY + datetime.timedelta(days=1))
    for number, (at, queries) in enumerate(turns):
        node.ask(border + at, *queries)
        if number in rounds:
            node.publish("2023-11-17T00:00:30")
    node.publish("2023-11-17T00:00:31")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sync.days.SourceTally", lambda folder: RealTally(folder, kept))
        make_all(node, "2023-11-17T00:01:00", sources_max=cut)
    first = node.dump()
    make_all(node, "2023-11-18T00:01:00", sources_max=cut)
    for low, day in ((-3, "2023-11-16"), (0, "2023-11-17")):
        for table, prefix, own in (("T8", "88.118.7", False), ("T8", "88.118", False), ("T3", "88.118", True)):
            found = node.kept(table, day)[f"{day}/{prefix}"]
            assert found[4:] == counted(turns, low, {prefix}, cut, own), (table, day, prefix)
    node.forget()
    make_all(node, "2023-12-01T00:01:00", sources_max=cut)
    assert {key: row for key, row in node.dump().items() if not key.endswith(b"/")}.items() >= {
        key: row for key, row in first.items() if not key.endswith(b"/")
    }.items()
    node.sequencer.close()


def test_late_is_as_at_once(node: CountedNode) -> None:
    """Whatever came and went since: records, lots, prefixes."""
    node.allocated("2023-11-15T10:00:00", "88.118.7")
    node.allocated("2023-11-15T12:00:00", "88.118.6", 1)
    node.act("2023-11-15T13:00:00", ApplyPrefix("88.118.5", "P000001"))
    node.put("2023-11-15T14:00:00", "88.118.7/A", "88.118.7/P", "88.118.6/A")
    node.lot("2023-11-15T15:00:00", "88.118.7/L1", 60)
    node.ask("2023-11-15T16:00:00", ("88.118.7/A", "ok", A), ("88.118.5/A", "not-responsible", B))
    node.publish("2023-11-16T00:00:10")
    assert make_all(node, "2023-11-16T00:01:00") == 1
    at_once = node.dump()
    assert node.kept("T8")["2023-11-15/88.118.7"][2:4] == [62, 62]
    assert node.kept("T3")["2023-11-15/88.118"][2:5] == [2, 2, 2]
    node.delete("2023-11-16T00:00:00", "88.118.7/A", "88.118.6/A")
    node.put("2023-11-16T01:00:00", "88.118.7/A", "88.118.7/B")
    node.lot("2023-11-16T02:00:00", "88.118.7/L2", 70)
    node.act("2023-11-16T03:00:00", MovePrefix("88.118.6", "delete", "gone", EVIDENCE))
    node.office.do(ReviewPrefix("88.118.5", approve=True), BEN)
    node.act("2023-11-16T05:00:00", MovePrefix("88.118.7", "suspend", "because", EVIDENCE))
    node.ask("2023-11-16T06:00:00", ("88.118.7/A", "held", A))
    node.publish("2023-11-17T00:00:10")
    node.forget()
    assert make_all(node, "2023-11-17T00:01:00") == 2
    assert {key: row for key, row in node.dump().items() if key in at_once} == at_once
    assert set(node.kept("T8")) - {f"2023-11-16/{each}" for each in ("88.118", "88.118.5", "88.118.7")} == {
        f"2023-11-15/{each}" for each in ("88.118", "88.118.6", "88.118.7")
    }
    assert node.kept("T8")["2023-11-16/88.118.7"][2:4] == [72, 133]
    assert node.kept("T3")["2023-11-16/88.118"][2:4] == [1, 2]


def test_own_prefixes_and_delegated_ones(node: CountedNode) -> None:
    """A query counts for the nearest own prefix; a delegated one has a row only if it was asked for."""
    node.office.registry.founding = True
    node.act("2023-11-15T10:00:00", Home("88.118.3"), Home("88.118.4", "delegated"), Home("88.118.5", "delegated"))
    node.office.registry.founding = False
    node.allocated("2023-11-15T11:00:00", "88.118.3.1")
    node.ask("2023-11-15T12:00:00", ("88.118.3.1/A", "ok", A), ("88.118.4/A", "service-referral", B))
    node.publish("2023-11-16T00:00:10")
    assert make_all(node, "2023-11-16T00:01:00") == 1
    t3 = {key.partition("/")[2]: row[2:6] for key, row in node.kept("T3").items()}
    assert t3 == {
        "88.118": [0, 0, 0, 0], "88.118.3": [1, 1, 1, 1], "88.118.4": [0, 0, 1, 0], "88.118.5": [0, 0, 0, 0],
    }  # fmt: skip
    t8 = {key.partition("/")[2]: row[4:6] for key, row in node.kept("T8").items()}
    assert t8 == {"88.118": [0, 0], "88.118.3": [0, 0], "88.118.3.1": [1, 1], "88.118.4": [1, 0]}


# --- when a day is made ---
def test_a_day_is_made_once_all_of_it_is_published(node: CountedNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not while a worker's frame waits, and not while a round is decided but not published."""
    node.ask("2023-11-15T23:59:59", ("88.118/A", "ok", A))
    assert make_all(node, "2023-11-16T00:00:59") == 0  # within the grace
    assert make_all(node, "2023-11-16T09:00:00") == 0
    monkeypatch.setattr(Sequencer, "_publish_checkpoint", broken)
    with pytest.raises(OSError, match="no room"):
        node.publish("2023-11-16T09:00:00")
    assert make_all(node, "2023-11-16T09:00:00") == 0
    monkeypatch.undo()
    node.publish("2023-11-16T09:00:01")
    node.ask("2023-11-16T09:00:01", ("88.118/A", "ok", A))  # what waits of another day is no reason to wait
    assert make_all(node, "2023-11-16T09:00:02") == 1
    assert node.kept("T8")["2023-11-15/88.118"][4] == 1


def broken(*_: object) -> None:
    raise OSError("no room")


def test_over_a_month_nothing_is_lost(node: CountedNode) -> None:
    """The last day of a month is whole, also where some of it came so late that it lies in the next month's log."""
    node.ask("2023-11-30T23:59:58", ("88.118/A", "ok", A))
    node.publish("2023-12-01T00:00:03")
    node.ask("2023-12-01T00:00:04", ("88.118/A", "ok", B))
    node.publish("2023-12-01T00:00:05")
    node.ask("2023-11-30T23:59:59", ("88.118/A", "ok", C))
    node.publish("2023-12-01T00:00:06")
    assert len(list((node.data / "log/resolution").iterdir())) == 2
    make_all(node, "2023-12-01T00:01:00")
    assert node.kept("T8", "2023-11-30")["2023-11-30/88.118"][4:] == [2, 2, [["192.0.2.7", 1], ["2001:db8::1", 1]], 0]
    node.ask("2023-12-01T23:00:00", ("88.118/A", "ok", A))
    node.publish("2023-12-02T00:00:06")
    make_all(node, "2023-12-02T00:01:00")
    assert node.kept("T8", "2023-12-01")["2023-12-01/88.118"][4:6] == [2, 2]


def test_a_node_that_was_off_makes_what_it_missed(node: CountedNode) -> None:
    """In order, a day a call, STATISTICS_DAYS_MAX back; a day that is made is not made again."""
    node.publish("2024-01-15T12:00:00")
    assert not make_days(node.data, node.store, shanghai("2023-11-15T23:00:00"))
    days = list(missing_days(node.data, node.store, shanghai("2024-01-15T12:00:00")))
    assert (len(days), str(days[0]), str(days[-1])) == (limits.STATISTICS_DAYS_MAX, "2023-12-15", "2024-01-14")
    assert make_days(node.data, node.store, shanghai("2024-01-15T12:00:00")) == 1
    assert list(node.kept("T8")) == ["2023-12-15/88.118"]
    assert make_all(node, "2024-01-15T12:00:00") == 30
    before = node.dump()
    assert (make_all(node, "2024-01-15T13:00:00"), node.dump()) == (0, before)
    assert list(missing_days(node.data / "none", node.store, shanghai("2024-01-15T12:00:00"))) == []


def test_without_its_side_table_addresses_are_unknown(node: CountedNode) -> None:
    """Gone, cut, or of other blocks: the count stays, in `others`."""
    node.ask("2023-11-15T12:00:00", ("88.118/A", "ok", A))
    node.publish("2023-11-15T12:00:01")
    node.ask("2023-11-15T13:00:00", ("88.118/A", "ok", A), ("88.118/A", "ok", B))
    node.publish("2023-11-16T00:00:10")
    side = month_folder(node.data, "2023-11") / "resolution"
    octets = side.read_bytes()
    for damaged, sources, others in (
        (octets, [["192.0.2.7", 2], ["198.51.100.1", 1]], 0),
        (octets[:-1], [["192.0.2.7", 1]], 2),
        (octets[octets[3] + 4 :], [["192.0.2.7", 1], ["198.51.100.1", 1]], 1),
        (b"\0\0\0\x03\x92\xa1x\x90" + octets, [], 3),
        (b"garbage", [], 3),
        (None, [], 3),
    ):
        side.write_bytes(damaged) if damaged is not None else side.unlink()
        node.forget()
        assert make_all(node, "2023-11-16T00:01:00") == 1
        assert node.kept("T8")["2023-11-15/88.118"][4:] == [3, 3, sources, others]


def test_a_damaged_log_is_told_and_nothing_is_made(node: CountedNode) -> None:
    """In words that hold no address."""
    node.ask("2023-11-15T12:00:00", ("88.118/A", "ok", A))
    node.publish("2023-11-16T00:00:10")
    bundle = next((node.data / "log/resolution/2023-11/tile/entries").rglob("2"))
    whole = bundle.read_bytes()
    for damaged in (
        whole[:-1],
        whole.replace(b"\x28\xb5\x2f\xfd", b"ZSTD"),
        whole.replace(b"\x01\0\x01", b"\x01\xff\x01"),
    ):
        assert damaged != whole
        bundle.write_bytes(damaged)
        with pytest.raises(LogReadError) as caught:
            make_all(node, "2023-11-16T00:01:00")
        assert ("192.0.2" in str(caught.value), node.dump()) == (False, {})


# --- what is kept ---
def test_a_day_is_there_as_a_whole(node: CountedNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes several commits and is interrupted is none; the next making replaces it."""
    node.allocated("2023-11-15T10:00:00", "88.118.7")
    node.publish("2023-11-16T00:00:10")
    monkeypatch.setattr(limits, "STATISTICS_COMMIT_BYTES", 1)
    commit, left = node.store.commit, [2]

    def failing(batch: Batch) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise StoreError("full")
        return commit(batch)

    monkeypatch.setattr(node.store, "commit", failing)
    with pytest.raises(StoreError):
        make_all(node, "2023-11-16T00:01:00")
    source = StatisticsSource(T3)
    with node.store.snapshot() as snapshot:
        assert (len(node.dump()), source.latest(snapshot), list(source.rows(snapshot, b"", None))) == (2, 0, [])
        assert source.row(snapshot, b"2023-11-15/88.118") is None
    monkeypatch.undo()
    batch = Batch()
    batch.put(Table.SYNC_DAYS, day_key("T8", "2023-11-15", b"88.999"), pack_day(b"\x90"))
    node.store.commit(batch)
    assert make_all(node, "2023-11-16T00:01:00") == 1
    assert list(node.kept("T8")) == ["2023-11-15/88.118", "2023-11-15/88.118.7"]


def test_the_source_tells_what_was_made(node: CountedNode) -> None:
    """Rows by key and by range, without marks; the newest day is the serial, also if it has no rows."""
    node.publish("2023-11-18T00:00:10")
    sources = [StatisticsSource(table) for table in (T3, T8)]
    with node.store.snapshot() as snapshot:
        assert [source.latest(snapshot) for source in sources] == [0, 0]
    make_all(node, "2023-11-18T00:01:00")
    with node.store.snapshot() as snapshot:
        for source in sources:
            rows = dict(source.rows(snapshot, b"", None))
            assert list(rows) == [b"2023-11-15/88.118", b"2023-11-16/88.118", b"2023-11-17/88.118"]
            assert {key: source.row(snapshot, key) for key in rows} == rows
            assert list(source.rows(snapshot, b"2023-11-15/88.119", b"2023-11-16/88.118")) == []
            assert [key for key, _ in source.rows(snapshot, b"2023-11-16/88", b"2023-11-17")] == [b"2023-11-16/88.118"]
            assert [source.row(snapshot, key) for key in (b"", b"2023-11-15/", b"2023-11-15/8", b"x" * 20)] == [
                None
            ] * 4
            assert source.latest(snapshot) == day_number("2023-11-17") == 19_678
            assert (source.kinds, source.context(snapshot)) == (frozenset(), b"")


def test_rows_go_with_the_month_of_their_log(node: CountedNode) -> None:
    """All that is of earlier months, and nothing else."""
    node.publish("2023-12-02T00:00:10")
    make_all(node, "2023-12-02T00:01:00")
    assert drop_days(node.store, "2023-11") == 0
    assert drop_days(node.store, "2023-12") == 2 * 2 * 16  # two tables; a row and a mark of each day
    assert (list(node.kept("T3")), list(node.kept("T8"))) == (["2023-12-01/88.118"], ["2023-12-01/88.118"])
    with node.store.snapshot() as snapshot:
        assert StatisticsSource(T8).latest(snapshot) == day_number("2023-12-01")


@given(st.integers(0, 2**32 * 1_000 - 1), st.integers(0, 10**10), st.integers(6, 60))
def test_kept_is_what_the_logs_keep(now_ms: int, behind_ms: int, months: int) -> None:
    """By the rule of the logs, and by both clocks."""
    clocks = Clocks(now_ms, max(0, now_ms - behind_ms))
    first = first_month_kept(clocks, months)
    if first < "1970-02" or month_start(first) < 0:
        return
    assert not judge(Stream.RESOLUTION, first, months, clocks).clients_go
    assert judge(Stream.RESOLUTION, month_after(first, -1), months, clocks).clients_go


def test_times_out_of_order_are_counted_by_their_day(node: CountedNode) -> None:
    """A clock that was put right by less than STATISTICS_SKEW_MS."""
    node.put("2023-11-16T00:05:00", "88.118/A")
    node.put("2023-11-15T23:58:00", "88.118/B")
    node.put("2023-11-16T00:02:00", "88.118/C")
    node.publish("2023-11-17T00:00:10")
    make_all(node, "2023-11-17T00:01:00")
    assert [row[2:4] for row in node.kept("T8").values()] == [[1, 1], [2, 3]]
