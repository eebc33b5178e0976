"""A top node whose answers are signed, and not true: what is kept here stays readable, and nothing is sent for ever."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core import limits
from core.records import HandleValue
from core.store.engine import Table
from core.store.upstream_rows import refused_range
from registry.commands import Put
from sync.link import UpstreamError
from sync.messages import Delta, Holding, Piece, Question, Receipt, Refused, Repair, State
from tests.kit.governance import OPERATOR, Office
from tests.kit.upstream import Sending, Top, sources

Lie = Callable[[Question, Any], Any]


class Liar:
    """A link whose answers are changed on their way."""

    def __init__(self, sending: Sending, lie: Lie, most: int = 300) -> None:
        self._link = sending.link
        self._lie = lie
        self._left = most

    def ask(self, question: Question, kind: type[Any]) -> Any:
        """See Asks. ``most`` questions are enough for all that a test sends."""
        self._left -= 1
        assert self._left, "it is sent for ever"
        return self._lie(question, self._link.ask(question, kind))


def sending_to(tmp_path: Path, office: Office) -> Sending:
    office.allocated("88.118.7")
    top = Top(tmp_path)
    return Sending(office.store, top, top.carry)


def lied_to(sending: Sending, lie: Lie) -> Liar:
    liar = Liar(sending, lie)
    sending.courier._link = liar
    return liar


def test_refused_rows_that_were_never_sent_are_not_kept(tmp_path: Path) -> None:
    """Nor more of the reasons than people read. A key may be longer than the store takes."""
    office = Office()
    sending = sending_to(tmp_path, office)
    nonsense = [
        Refused(0, b"k" * 5_000, "rule", "中", "en"),
        Refused(2**63 - 1, b"\xff", "rule", "中", "en"),
    ]

    def lie(question: Question, answer: Any) -> Any:
        if (
            not isinstance(answer, Receipt)
            or not isinstance(question, Delta | Piece | Repair)
            or question.table != "T6"
        ):
            return answer
        real = [Refused(each.serial, each.key, "rule\x1b[2J", "中" * 10_000, "en\n") for each in question.items]
        return answer._replace(refused=(*nonsense, *real))

    lied_to(sending, lie)
    sending.courier.round(force=True)
    with sending.store.snapshot() as snapshot:
        rows = list(snapshot.scan(Table.SYNC_REFUSED, *refused_range(sending.upstream, "T6")))
    assert len(rows) == 1
    assert len(rows[0][1]) < 4 * limits.UPSTREAM_REASON_CHARS_MAX
    assert b"\x1b" not in rows[0][1]
    sending.restart()
    sending.settle()
    assert sending.differences() == {}


@pytest.mark.parametrize("serial", [2**62, 2**63 - 1])
def test_a_number_of_a_whole_table_near_the_end_of_numbers(tmp_path: Path, serial: int) -> None:
    """What is kept of T1, T5 and T10 can be read afterwards, and both sides come together again."""
    sending = sending_to(tmp_path, Office())
    sending.settle()

    def lie(question: Question, answer: Any) -> Any:
        if not isinstance(answer, State):
            return answer
        held = tuple(Holding(each.table, serial, 0, b"", 0) for each in answer.holdings if each.table in {"T1", "T5"})
        return answer._replace(holdings=held)

    lied_to(sending, lie)
    sending.courier.round(force=True)
    sending.restart()
    sending.settle()
    assert sending.differences() == {}


@pytest.mark.parametrize("following", [b"", b"k" * 5_000, b"\xff" * 481])
def test_a_snapshot_that_never_ends_ends(tmp_path: Path, following: bytes) -> None:
    """Every answer says that the next piece starts somewhere else."""
    sending = sending_to(tmp_path, Office())
    said = 0

    def lie(question: Question, answer: Any) -> Any:
        nonlocal said
        if not isinstance(question, Piece):
            return answer
        said += 1
        start = following + bytes((said % 2,))
        return Receipt("applied", Holding(question.table, 0, question.at, start, 0), ())

    lied_to(sending, lie)
    with pytest.raises(UpstreamError):
        sending.courier.round(force=True)
    sending.restart()
    sending.settle()
    assert sending.differences() == {}


def put(office: Office, *handles: str) -> None:
    for handle in handles:
        office.do(Put(handle, (HandleValue(1, "URL", b"https://example.cn/"),)), OPERATOR)


def test_a_top_node_that_loses_again_and_again_what_it_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """It gets it again some times, then it is left alone for a while."""
    monkeypatch.setattr(limits, "UPSTREAM_BATCH_ITEMS", 1)
    office = Office()
    sending = sending_to(tmp_path, office)
    sending.settle()
    put(office, *(f"88.118.7/{each}" for each in range(5)))
    turn = 0

    def lie(question: Question, answer: Any) -> Any:
        nonlocal turn
        if not isinstance(question, Delta) or question.table != "T9":
            return answer
        turn += 1
        held = 0 if turn % 4 == 3 else question.to
        return Receipt("applied" if held else "gap", Holding("T9", held, 0, b"", 0), ())

    lied_to(sending, lie)
    with pytest.raises(UpstreamError):
        sending.courier.round(force=True)


def test_a_node_that_was_put_back_and_wrote_on_sends_nothing_until_a_person_decides(tmp_path: Path) -> None:
    """Also where it has written more since than was lost: else the changes between were taken for sent."""
    office = Office()
    sending = sending_to(tmp_path, office)
    sending.settle()
    copy = office.fork()
    put(office, *(f"88.118.7/lost{each}" for each in range(3)))
    sending.settle()
    put(copy, *(f"88.118.7/new{each}" for each in range(9)))
    again = Sending(copy.store, sending.top, sending.top.carry, signer=sending.signer)
    above = sending.rows_above("T9")
    for _ in range(3):
        done = again.round()
        assert done is not None
        assert "T9" in done.faults
    assert sending.rows_above("T9") == above
    again.courier.send_whole(again.sources["T9"])
    for name in done.faults:
        again.courier.send_whole(again.sources[name])
    again.settle()
    assert again.differences() == {}


def test_an_empty_store_with_the_same_key_does_not_empty_the_top_node(tmp_path: Path) -> None:
    """A node that begins anew says so to a person first."""
    office = Office()
    sending = sending_to(tmp_path, office)
    put(office, "88.118.7/a")
    sending.settle()
    above = {name: sending.rows_above(name) for name in ("T6", "T7", "T9")}
    again = Sending(Office().store, sending.top, sending.top.carry, signer=sending.signer)
    done = again.round()
    assert done is not None
    assert {"T6", "T7", "T9"} <= set(done.faults)
    assert {name: sending.rows_above(name) for name in above} == above


def test_a_table_that_cannot_be_made_keeps_no_other_waiting(tmp_path: Path) -> None:
    """A file of applications with a fault: all other tables go, and the fault is told."""
    office = Office()
    office.allocated("88.118.7")
    top = Top(tmp_path)
    applications = tmp_path / "applications.csv"
    applications.write_text("no columns\n", "utf-8")
    sending = Sending(office.store, top, top.carry, sources(operator="nobody", applications=applications))
    done = sending.courier.round(force=True)
    assert set(done.faults) == {"T1", "T5", "T10"}
    assert sending.rows_above("T6")
    assert sending.rows_above("T7")
