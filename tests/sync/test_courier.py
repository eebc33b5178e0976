"""The sending side against a real top node's desk: what it shows is that both sides become equal, whatever happened."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from core import limits
from core.clock import DAY_MS, Millis
from core.errors import ConfigError, NodeError, SealError, StoreError
from core.records import HandleValue
from core.store.engine import Table
from core.store.memory_engine import MemoryEngine
from core.store.upstream_rows import Upstream, refused_range
from registry.commands import OPERATOR, Delete, Put
from sync.link import Asks, RefusalError, UpstreamError
from sync.messages import Delta, Holding, Piece, Question, Receipt, Repair
from sync.standing import dump_standing
from sync.tables import TABLES
from sync.topnode.takings import Judge
from tests.kit.governance import EVIDENCE, Office
from tests.kit.upstream import BadLine, Sending, Top, check


class Bench:
    """A node with a party and a prefix, and a top node."""

    def __init__(self, folder: Path) -> None:
        self.office = Office()
        self.party = self.office.allocated("88.118.7")
        self.top = Top(folder)
        self.line = BadLine(self.top, random.Random(1))
        self.sending = Sending(self.office.store, self.top, self.line)
        self.spoilt: frozenset[bytes] = frozenset()
        self.puts = 0

    def put(self, *names: str, octets: int = 4) -> None:
        for name in names:
            self.puts += 1
            value = HandleValue(1, "NAME", b"%04d" % self.puts + b"x" * (octets - 4))
            self.office.do(Put(name, (value,), overwrite=True), OPERATOR)

    def refuse(self, *keys: str) -> None:
        """Have the top node refuse rows of T9 from now on."""
        self.spoilt = frozenset(key.encode() for key in keys)

        def judged(table: str, key: bytes, row: bytes) -> list[tuple[str, str, str]]:
            return [("spoilt", "坏", "spoilt")] if table == "T9" and key in self.spoilt else check(table, key, row)

        self.top.desk._judge = Judge(judged, lambda: False)

    def refused(self, table: str = "T9") -> list[str]:
        """Return the keys of rows that are kept as refused."""
        return [row["key"] for row in self.standing()["tables"][table]["refused_rows"]]

    def standing(self) -> dict[str, Any]:
        row = Upstream("http://localhost", self.top.signer.public_key, "顶级节点", Millis(0))
        with self.office.store.snapshot() as snapshot:
            return dump_standing(snapshot, self.sending.upstream, row, self.sending.sources, self.sending.now)

    def heard(self, tables: str = "") -> Recorder:
        """Have what is said recorded from now on."""
        recorder = Recorder(self.sending.link)
        self.sending.courier._link = recorder
        return recorder


class Recorder:
    """Passes questions on and keeps those with rows."""

    def __init__(self, link: Asks, lie: Callable[[Question, Any], Any] = lambda _, answer: answer) -> None:
        self._link, self._lie = link, lie
        self.said: list[Delta | Piece | Repair] = []

    def ask(self, question: Question, kind: type[Any]) -> Any:
        if isinstance(question, Delta | Piece | Repair):
            self.said.append(question)
        return self._lie(question, self._link.ask(question, kind))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.top.store.close()


def names(*numbers: int) -> list[str]:
    return [f"88.118/S{number}" for number in numbers]


def test_all_tables_are_equal_after_one_round(bench: Bench) -> None:
    done = bench.sending.round()
    assert done is not None and not done.faults, done
    assert bench.sending.differences() == {}
    bench.sending.settle()


# --- lost answers
def test_a_message_that_is_cut_sooner_the_second_time_loses_nothing(bench: Bench) -> None:
    """Its rows grew meanwhile: neither are changes skipped, nor is forgotten what was refused behind the cut."""
    bench.sending.settle()
    source, carry = bench.sending.sources["T9"], bench.sending.link._carry
    for applied, refused in ((False, []), (True, names(3))):
        bench.put(*names(1, 2, 3))
        bench.refuse(*refused)
        bench.sending.link._carry = (lambda octets: bytes(len(carry(octets)))) if applied else (lambda _: b"")
        with pytest.raises(UpstreamError):
            bench.sending.courier.drain(source)
        bench.sending.link._carry = carry
        bench.put(*names(1, 2), octets=900)
        with mock.patch.object(limits, "UPSTREAM_BATCH_BYTES", 800):
            bench.sending.courier.drain(source)
        assert bench.refused() == refused
    bench.refuse()
    bench.sending.settle()
    assert bench.sending.differences() == {}
    assert len(bench.sending.history()) == 10


def test_batches_are_cut_by_octets_and_by_rows(bench: Bench) -> None:
    """T9 tells each change of a name, the last one of a message with the row as it is; nothing is told twice."""
    bench.sending.settle()
    bench.put(*names(1, 2, 3, 1, 2, 1, 4), octets=300)
    bench.office.do(Delete("88.118/S4"), OPERATOR)
    heard = bench.heard()
    with mock.patch.object(limits, "UPSTREAM_BATCH_BYTES", 700):
        bench.sending.courier.drain(bench.sending.sources["T9"])
    items = [item for message in heard.said for item in message.items]
    assert [item.key for item in items] == [name.encode() for name in names(1, 2, 3, 1, 2, 1, 4, 4)]
    assert [item.operation for item in items] == [1, 1, 1, 3, 3, 3, 1, 2]
    assert len(heard.said) > 2
    assert sum(item.row is None for item in items) == 2
    with mock.patch.object(limits, "UPSTREAM_BATCH_ITEMS", 2):
        bench.put(*names(5, 6, 7))
        bench.sending.courier.drain(bench.sending.sources["T9"])
    assert [len(message.items) for message in heard.said[-2:]] == [2, 1]
    bench.sending.settle()
    assert bench.sending.differences() == {}


def test_of_other_tables_a_row_travels_once_a_message(bench: Bench) -> None:
    from registry.commands import MovePrefix

    bench.sending.settle()
    for event in ("suspend", "resume", "suspend"):
        bench.office.do(MovePrefix("88.118.7", event, "检查", EVIDENCE))
    heard = bench.heard()
    bench.sending.courier.drain(bench.sending.sources["T7"])
    assert [[item.key for item in message.items] for message in heard.said] == [[b"Handle/88.118.7"]]


class Trimmed(MemoryEngine):
    """A store whose feed lacks the changes up to a serial."""

    gone = 0

    def snapshot(self) -> Any:
        snapshot = super().snapshot()
        feed, gone = snapshot.feed, self.gone
        snapshot.feed = lambda after, count: feed(max(after, gone), count)  # type: ignore[method-assign]
        return snapshot


def test_changes_that_are_gone_are_made_good_by_a_snapshot(bench: Bench, tmp_path: Path) -> None:
    bench.put(*names(*range(9)))
    store = Trimmed()
    store._state = bench.office.store._state  # type: ignore[attr-defined]
    bench.sending.store = store
    bench.sending.restart()
    bench.sending.settle()
    assert bench.sending.differences() == {}
    bench.top.lose()
    store.gone = 5
    heard = bench.heard()
    with mock.patch.object(limits, "UPSTREAM_BATCH_ITEMS", 4):
        bench.sending.round()
    assert [type(each) for each in heard.said if each.table == "T9"][:3] == [Piece, Piece, Piece]
    bench.sending.settle()
    assert bench.sending.differences() == {}


# --- a top node that says strange things
def test_one_that_claims_more_than_was_sent_gets_nothing(bench: Bench) -> None:
    """The node was put back from an old copy: however much it changes then, nothing goes until a person decides."""
    bench.sending.settle()
    old = bench.office.store._state  # type: ignore[attr-defined]
    bench.put(*names(1, 2, 3))
    bench.sending.settle()
    bench.office.store._state = old  # type: ignore[attr-defined]
    bench.put(*names(7, 8, 9))  # as many as the top node has of the other life
    bench.sending.restart()
    heard = bench.heard()
    for _ in range(3):
        done = bench.sending.round()
        assert done is not None and "verify --repair" in done.faults["T9"]
        bench.put(*names(10))
    assert [each for each in heard.said if each.table == "T9"] == []
    assert "verify --repair" in bench.standing()["tables"]["T9"]["fault"]
    for name, source in bench.sending.sources.items():
        if bench.sending.state(name).ahead:
            bench.sending.courier.send_whole(source)
    bench.sending.settle()
    assert bench.sending.differences() == {}


def _less(_: Question, answer: Any) -> Any:
    """Hold a little less each time."""
    if isinstance(answer, Receipt):
        return answer._replace(why="gap", holding=answer.holding._replace(serial=max(0, answer.holding.serial - 2)))
    return answer


def _to_and_fro(question: Question, answer: Any) -> Any:
    if isinstance(answer, Receipt) and isinstance(question, Delta | Piece):
        at = question.at if isinstance(question, Piece) else 0
        return Receipt("piece", Holding(question.table, 0, at, random.Random(question.table).randbytes(2), 0), ())
    return answer


def _of_another_table(_: Question, answer: Any) -> Any:
    return answer._replace(holding=answer.holding._replace(table="T1")) if isinstance(answer, Receipt) else answer


def _long_key(_: Question, answer: Any) -> Any:
    return answer._replace(holding=Holding("T9", 0, 1, b"x" * 9_999, 0)) if isinstance(answer, Receipt) else answer


def _digest(_: Question, answer: Any) -> Any:
    return answer._replace(why="digest") if isinstance(answer, Receipt) else answer


@pytest.mark.parametrize("lie", [_less, _to_and_fro, _of_another_table, _long_key, _digest])
def test_one_that_leads_in_circles_is_left_soon(bench: Bench, lie: Callable[[Question, Any], Any]) -> None:
    """A few messages, then it is asked again later; and once it is honest both sides become equal."""
    bench.put(*names(1, 2, 3))
    bench.sending.courier.connect()
    liar = Recorder(bench.sending.link, lie)
    bench.sending.courier._link = liar
    for _ in range(4):
        before = len(liar.said)
        try:
            bench.sending.courier.drain(bench.sending.sources["T9"])
        except UpstreamError as error:
            named = error.message.partition("：")[0]  # a table in real time may be asked for between two messages
            assert named in TABLES
        assert len(liar.said) - before <= 6
    bench.sending.restart()
    bench.sending.round()  # now it claims more than this node believed to have been taken
    if bench.sending.state("T9").ahead:
        bench.sending.courier.send_whole(bench.sending.sources["T9"])
    bench.sending.settle()
    assert bench.sending.differences() == {}


def test_a_message_that_is_refused_whole_stops_its_table_alone(bench: Bench) -> None:
    """And it is not sent again each round."""
    bench.top.desk._tables = {name: table for name, table in bench.top.desk._tables.items() if name != "T6"}
    heard = bench.heard()
    done = bench.sending.round()
    assert done is not None and list(done.faults) == ["T6"]
    for _ in range(10):
        assert bench.sending.round(force=False) is not None
    assert sum(each.table == "T6" for each in heard.said) == 1
    assert "no such table" in bench.standing()["tables"]["T6"]["fault"]
    found = bench.sending.compare()
    assert [name for name, each in found.items() if each.fault] == ["T6"]
    assert not any(each.differences for each in found.values())


# --- rows that are refused
def test_a_row_that_is_refused_for_ever_keeps_no_other(bench: Bench) -> None:
    bench.put(*names(1, 2, 3))
    bench.refuse(*names(2))
    for _ in range(3):
        done = bench.sending.round()
        assert done is not None and not done.faults
    told = bench.standing()["tables"]["T9"]["refused_rows"]
    assert [(row["key"], row["rule"], row["zh"], row["en"]) for row in told] == [
        ("88.118/S2", "spoilt", "坏", "spoilt")
    ]
    assert bench.sending.differences() == {"T9": [(b"88.118/S2", "missing")]}
    bench.refuse()
    bench.sending.round()
    assert bench.refused() == []
    assert bench.sending.differences() == {}
    assert len(bench.sending.history()) == 3


def test_rows_that_stay_refused_do_not_keep_those_behind_them(bench: Bench) -> None:
    bench.put(*names(1, 2, 3, 4, 5))
    bench.refuse(*names(1, 2, 3, 4, 5))
    bench.sending.round()
    bench.refuse(*names(1, 2))
    with mock.patch.object(limits, "UPSTREAM_BATCH_ITEMS", 2):
        bench.sending.round()
    assert bench.refused() == names(1, 2)


def test_too_many_refused_rows_stop_a_table_until_they_are_taken(bench: Bench) -> None:
    bench.sending.settle()
    with mock.patch.object(limits, "UPSTREAM_REFUSED_MAX", 3), mock.patch.object(limits, "UPSTREAM_BATCH_ITEMS", 2):
        bench.put(*names(*range(8)))
        bench.refuse(*names(*range(8)))
        for _ in range(2):
            done = bench.sending.round()
            assert done is not None and "3 rows are refused" in done.faults["T9"]
        assert len(bench.refused()) == 4
        bench.refuse()
        done = bench.sending.round()
        assert done is not None and not done.faults
        assert bench.refused() == []
    assert bench.sending.differences() == {}
    assert bench.standing()["tables"]["T9"]["fault"] is None


def test_a_snapshot_with_too_many_refused_rows_ends(bench: Bench) -> None:
    """What is not kept of them is found when both sides are compared."""
    bench.put(*names(*range(8)))
    bench.sending.settle()
    bench.top.lose()
    bench.refuse(*names(*range(8)))
    with mock.patch.object(limits, "UPSTREAM_REFUSED_MAX", 3), mock.patch.object(limits, "UPSTREAM_BATCH_ITEMS", 2):
        bench.sending.courier.send_whole(bench.sending.sources["T9"])
        bench.sending.round()
        assert not bench.sending.state("T9").piece_at
        with bench.office.store.snapshot() as snapshot:
            kept = list(snapshot.scan(Table.SYNC_REFUSED, *refused_range(bench.sending.upstream, "T9")))
        assert len(kept) == 4
        bench.refuse()
        bench.sending.round()
        keys = [each.key for each in bench.sending.compare()["T9"].differences]
        for start in range(0, len(keys), 2):
            bench.sending.courier.send_rows(bench.sending.sources["T9"], keys[start : start + 2])
    assert bench.sending.differences() == {}


# --- sources that fail
@pytest.mark.parametrize("error", [SealError("T6: 打不开"), ConfigError("T6: wrong"), StoreError("T6: broken")])
@pytest.mark.parametrize("verb", ["context", "row", "latest"])
def test_a_source_that_fails_is_the_fault_of_its_table(bench: Bench, error: NodeError, verb: str) -> None:
    """Others are sent, run and status tell it, verify tells it; and once it is mended all is well."""
    bench.put(*names(1))
    source = bench.sending.sources["T6"]

    def fail(*_: object) -> None:
        raise error

    heard = bench.heard()
    with mock.patch.object(type(source), verb, fail):
        done = bench.sending.round()
        assert done is not None
        assert done.faults == {"T6": error.message}
        for _ in range(5):
            assert bench.sending.round(force=False) is not None
        table = bench.standing()["tables"]["T6"]
        assert table["fault"] == error.message
        assert table["waiting"]
        found = bench.sending.compare()
        assert found["T6"].fault in ("", error.message)
        assert found["T6"].fault or found["T6"].differences
        assert not any(each.differences for name, each in found.items() if name != "T6")
    assert all(each.table != "T6" for each in heard.said)
    bench.sending.settle()
    assert bench.standing()["tables"]["T6"]["fault"] is None
    assert bench.sending.differences() == {}


# --- clocks, outages, several top nodes
def test_a_clock_that_was_wrong_silences_no_table(bench: Bench) -> None:
    """A year ahead, and back: what is due hourly and daily is sent at its time, and refused rows again."""
    sending, right = bench.sending, bench.sending.now
    sending.now = Millis(right + 365 * DAY_MS)
    sending.settle()
    sending.now = right
    bench.office.ask(_amend(bench.party))
    bench.put(*names(1))
    assert sending.round(force=False) is not None
    assert sending.differences() == {}
    sending.now = Millis(right - DAY_MS)
    sending.restart()
    bench.put(*names(2))
    assert sending.round(force=False) is not None
    assert sending.differences() == {}


def _amend(party: str) -> Any:
    from registry.commands import AmendParty

    return AmendParty(party, '{"address": "天津市"}'.encode())


def test_a_week_without_the_top_node(bench: Bench) -> None:
    """Every change arrives once, and what waits is told meanwhile."""
    bench.sending.settle()
    bench.top.away = True
    for hour in range(7 * 24):
        bench.sending.now = Millis(bench.sending.now + 3_600_000)
        if hour % 24 == 0:
            bench.put(*names(hour))
        assert bench.sending.round(force=False) is None
    told = bench.standing()
    assert told["away_since"] is not None and told["fault"] == "away"
    assert told["tables"]["T9"]["waiting"] == 7
    assert told["tables"]["T9"]["waiting_s"] > 0
    bench.top.away = False
    bench.sending.settle()
    told = bench.standing()
    assert (told["away_since"], told["tables"]["T9"]["waiting"]) == (None, 0)
    assert bench.sending.differences() == {}
    assert len(bench.sending.history()) == 7


def test_two_top_nodes_have_states_of_their_own(bench: Bench, tmp_path: Path) -> None:
    """And one that was left goes on where it was when it is connected again: nothing is sent twice."""
    folder = tmp_path / "other"
    folder.mkdir()
    other = Top(folder)
    second = Sending(bench.office.store, other, BadLine(other, random.Random(2)))
    bench.put(*names(1, 2))
    bench.sending.settle()
    assert second.state("T9").serial == 0
    other.away = True
    assert second.round() is None
    bench.put(*names(3))
    bench.sending.settle()
    other.away = False
    second.settle()
    assert second.differences() == {} == bench.sending.differences()
    again = Sending(bench.office.store, other, second.carry, signer=second.signer)
    bench.put(*names(4))
    recorder = Recorder(again.link)
    again.courier._link = recorder
    again.settle()
    assert [item.key for each in recorder.said if each.table == "T9" for item in each.items] == [b"88.118/S4"]
    other.store.close()


def test_one_that_has_not_enrolled_the_node_gets_nothing(tmp_path: Path) -> None:
    office = Office()
    top = Top(tmp_path, enrol_open=False)
    sending = Sending(office.store, top, top.carry)
    with pytest.raises(RefusalError, match="has not enrolled"):
        sending.courier.round()
    assert sending.state("T2").pending == 0
    top.store.close()
