"""A long backlog of identifiers: other tables pass it over, find what is theirs behind it, and do not wait for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.changes import ChangeKind, identifier_of, pack_change, unpack_change
from core.records import HandleValue
from core.store.engine import Batch
from core.store.memory_engine import MemoryEngine
from registry.commands import MovePrefix, Put
from sync import courier, skim
from sync.envelope import QUESTION, open_envelope
from sync.feeding import gather
from sync.form import decode
from sync.messages import Delta
from sync.skim import Look, Skim, read_feed
from sync.table import Basis, unpack_row
from tests.kit.governance import EVIDENCE, OPERATOR, Office
from tests.kit.upstream import Sending, Top, sources

_KINDS = [kind for kind in ChangeKind if kind < ChangeKind.HOLD_PLACED or kind >= ChangeKind.TEMPLATE_PUBLISHED]
_NAMES = [b"88.118.7", b"0.NA/88.118.7", b"88.118/A", b"88.118/" + b"A" * 300, b"P1@1.0"]
_SOURCES = [each for name, each in sources().items() if each.table.basis is Basis.FEED and name != "T9"]


@given(
    changes=st.lists(st.tuples(st.sampled_from(_KINDS), st.sampled_from(_NAMES)), max_size=40),
    asked=st.lists(st.tuples(st.sampled_from(_SOURCES), st.integers(0, 40)), min_size=1, max_size=8),
    bounds=st.tuples(st.integers(1, 6), st.integers(1, 12), st.integers(1, 9)),
)
def test_it_finds_what_all_of_the_feed_has_for_a_table(
    changes: list[tuple[ChangeKind, bytes]], asked: list[tuple[object, int]], bounds: tuple[int, int, int]
) -> None:
    """Whatever tables ask, in whatever order, from wherever, and where spans end early."""
    store, batch = MemoryEngine(), Batch()
    batch.changes += [pack_change(kind, name, 1) for kind, name in changes]
    store.commit(batch)
    skimmed = Skim({kind for source in _SOURCES for kind in source.kinds})

    def keys(source: object, after: int, look: Look) -> list[bytes]:
        found: list[bytes] = []
        while after < len(changes):
            gathered = gather(store.snapshot(), source, after, len(changes), look)  # type: ignore[arg-type]
            assert gathered.looked > after and not gathered.trimmed
            after = gathered.looked
            found += [item.key for item in gathered.items if item.key not in found]
        return sorted(found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "UPSTREAM_BATCH_ITEMS", bounds[0])
        patch.setattr(limits, "UPSTREAM_LOOKED_AT", bounds[1])
        patch.setattr(skim, "_CHUNK", bounds[2])
        for source, after in asked:
            assert keys(source, after, skimmed.look) == keys(source, after, read_feed)


@given(kind=st.sampled_from(list(ChangeKind)), name=st.binary(max_size=600).map(lambda octets: octets.hex().encode()))
def test_the_identifier_of_a_change_is_read_alone(kind: ChangeKind, name: bytes) -> None:
    row = pack_change(kind, name, 1)
    assert identifier_of(row) == unpack_change(row).identifier.encode() == name


def _register(office: Office, count: int) -> None:
    for number in range(count):
        office.do(Put(f"88.118/B{number}", (HandleValue(1, "NAME", b"salt"),), overwrite=True), OPERATOR)


def _is_suspended(sending: Sending) -> bool:
    ((_, row),) = sending.rows_above("T7")
    return unpack_row(row)[-1] == 0


def test_a_route_behind_a_long_backlog_goes_in_the_same_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More changes lie before it than are looked through for one message, and the daily table is not due."""
    office, top = Office(), Top(tmp_path)
    office.allocated("88.118.7")
    sending = Sending(office.store, top, top.carry)
    sending.settle()
    monkeypatch.setattr(limits, "UPSTREAM_LOOKED_AT", 20)
    monkeypatch.setattr(skim, "_CHUNK", 10)
    monkeypatch.setattr(courier, "_LOOKED_KEPT", 10)
    _register(office, 100)
    office.ask(MovePrefix("88.118.7", "suspend", "检查", EVIDENCE))
    sending.round(force=False)
    assert _is_suspended(sending)
    top.store.close()


def test_a_route_does_not_wait_until_a_backlog_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    office, top = Office(), Top(tmp_path)
    office.allocated("88.118.7")
    said: list[str] = []

    def carry(octets: bytes) -> bytes:
        answer = top.carry(octets)
        message = decode(open_envelope(QUESTION, octets).payload)
        if isinstance(message, Delta) and message.items:
            said.append(message.table)
            if said.count("T9") == 1 and said[-1] == "T9":
                office.ask(MovePrefix("88.118.7", "suspend", "检查", EVIDENCE))
        sending.now += 1_000  # type: ignore[assignment]
        return answer

    sending = Sending(office.store, top, top.carry)
    sending.settle()
    monkeypatch.setattr(limits, "UPSTREAM_BATCH_ITEMS", 5)
    _register(office, 30)
    sending.carry = carry
    sending.restart()
    sending.round()
    assert said[:4] == ["T9", "T2", "T7", "T9"] and said.count("T9") == 6, said
    assert _is_suspended(sending)
    top.store.close()
