"""What an answer teaches, whatever it says: a state is never ahead of what was sent, and nothing is skipped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.clock import Millis
from core.store.engine import Batch, Table
from core.store.memory_engine import MemoryEngine
from core.store.upstream_rows import (
    DayMark,
    TableState,
    day_key,
    pack_day,
    pack_mark,
    pack_table_state,
    unpack_table_state,
)
from sync import outbox
from sync.digests import items_digest
from sync.feeding import DAY_SERIALS, day_number, gather_days, last_serial
from sync.messages import Delta, Holding, Item, Piece, Receipt, Refused, Repair
from sync.sources.identifiers import IdentifierSource
from sync.sources.overview import ApplicationsFile, Overview
from sync.sources.statistics import StatisticsSource
from sync.tables import TABLES
from tests.kit.upstream import sources

T9, T8, T5 = (
    IdentifierSource(TABLES["T9"]),
    StatisticsSource(TABLES["T8"]),
    Overview(TABLES["T5"], ApplicationsFile(None)),
)
NOW = Millis(1_790_000_000_000)
HUGE = 2**63 - 1
ITEMS = (Item(11, 1, b"A", b"\x90"), Item(12, 3, b"B", b"\x90"))
SENT = TableState(serial=10, looked=12, pending=12)
WHOLE = TableState(serial=10, looked=12, piece_at=12, piece_next=b"C")
DELTA = Delta("T9", 10, 12, items_digest(ITEMS), ITEMS)
PIECE = Piece("T9", 12, b"C", b"F", b"", (Item(0, 0, b"C", b"\x90"),))
LAST = PIECE._replace(stop=None)


def said(why: str, serial: int, at: int = 0, following: bytes = b"", refused: tuple[Refused, ...] = ()) -> Receipt:
    return Receipt(why, Holding("T9", serial, at, following, 0), refused)


def no(serial: int, key: bytes) -> Refused:
    return Refused(serial, key, "rule", "因", "why")


@pytest.mark.parametrize(
    ("state", "message", "receipt", "serial", "pending", "piece"),
    [
        # changes
        (SENT, DELTA, said("applied", 12), 12, 0, (0, b"")),
        (SENT, DELTA, said("duplicate", 12), 12, 0, (0, b"")),  # the first answer was lost
        (SENT._replace(pending=20), DELTA, said("applied", 12), 12, 0, (0, b"")),  # it was cut sooner
        (SENT._replace(pending=20), DELTA, said("duplicate", 20), 12, 20, (0, b"")),
        (SENT, DELTA, said("gap", 7), 7, 0, (0, b"")),  # it lost something
        (SENT, DELTA, said("gap", 0), 0, 0, (0, b"")),
        (SENT, DELTA, said("gap", 11), 10, 12, (0, b"")),
        (SENT, DELTA, said("gap", 13), 10, 12, (0, b"")),  # never sent
        (SENT, DELTA, said("duplicate", HUGE), 10, 12, (0, b"")),
        (SENT, DELTA, said("applied", HUGE), 10, 12, (0, b"")),
        (SENT, DELTA, said("applied", 11), 10, 12, (0, b"")),
        (SENT, DELTA, said("digest", 10), 10, 12, (0, b"")),
        (SENT, DELTA, said("piece", 10, 9, b"K"), 10, 0, (0, b"")),  # a snapshot that nobody here knows
        (SENT, DELTA, said("piece", 10, HUGE, b"K"), 10, 12, (0, b"")),
        (SENT, DELTA, said("nonsense", 10), 10, 0, (0, b"")),
        # pieces
        (WHOLE, PIECE, said("applied", 10, 12, b"F"), 10, 0, (12, b"F")),
        (WHOLE, PIECE, said("duplicate", 10, 12, b"F"), 10, 0, (12, b"F")),
        (WHOLE, PIECE, said("duplicate", 10, 12, b"E"), 10, 0, (12, b"E")),  # the first one was shorter
        (WHOLE, PIECE, said("duplicate", 10, 12, b"K"), 10, 0, (12, b"F")),  # it was longer: its refusals are told yet
        (WHOLE, PIECE, said("applied", 10, 12, b"A"), 10, 0, (12, b"A")),
        (WHOLE, PIECE, said("piece", 10, 12, b"A"), 10, 0, (12, b"A")),
        (WHOLE, PIECE, said("piece", 10), 10, 0, (12, b"")),  # it lost it: from the beginning
        (WHOLE, PIECE, said("piece", 10, 9, b"K"), 10, 0, (12, b"")),
        (WHOLE, PIECE, said("applied", 12), 10, 0, (12, b"")),  # this was not the last one
        (WHOLE, PIECE, said("digest", 10, 12, b"C"), 10, 0, (12, b"C")),
        (WHOLE, PIECE, said("gap", HUGE), 10, 0, (12, b"")),
        (WHOLE, LAST, said("applied", 12), 12, 0, (0, b"")),
        (WHOLE, LAST, said("duplicate", 12), 12, 0, (0, b"")),
        (WHOLE, LAST, said("applied", 13), 10, 0, (12, b"")),
    ],
)  # fmt: skip
def test_what_an_answer_teaches(
    state: TableState, message: outbox.Message, receipt: Receipt, serial: int, pending: int, piece: tuple[int, bytes]
) -> None:
    learnt = outbox.learn(T9, state, message, receipt, NOW).state
    assert (learnt.serial, learnt.pending, (learnt.piece_at, learnt.piece_next)) == (serial, pending, piece)
    claimed = max(receipt.holding[1:3])
    ahead = claimed > learnt.serial and claimed != state.pending and not state.piece_at
    assert (learnt.ahead > 0) == ahead
    assert learnt.told_ms == NOW
    if learnt.serial != state.serial:
        assert learnt.looked == learnt.serial, "changes behind it are looked at again"


_SERIALS = st.integers(0, 25) | st.just(HUGE)
_KEYS = st.binary(max_size=2)


@given(
    source=st.sampled_from([T9, T8, T5]),
    state=st.tuples(
        st.integers(0, 12), st.just(12), st.sampled_from([0, 12, 20]), st.sampled_from([0, 0, 12]), _KEYS,
        st.sampled_from([b"", b"c" * 32]),
    ).map(lambda members: TableState(*members)),
    message=st.sampled_from([DELTA, PIECE, LAST, Repair("T9", 10, b"", ITEMS)]),
    receipt=st.builds(
        Receipt, st.sampled_from(["applied", "duplicate", "gap", "piece", "digest", "", "x"]),
        st.builds(Holding, st.just("T9"), _SERIALS, _SERIALS, _KEYS, _SERIALS),
        st.lists(st.builds(Refused, _SERIALS, _KEYS, st.text(), st.text(), st.text())).map(tuple),
    ),
)  # fmt: skip
def test_any_answer_leaves_a_state_that_can_be_kept(
    source: outbox.Source, state: TableState, message: outbox.Message, receipt: Receipt
) -> None:
    """And one that never believes more than was sent, but where a table has no serials."""
    learnt = outbox.learn(source, state, message, receipt, NOW)
    after = learnt.state
    assert unpack_table_state(pack_table_state(after)) == after
    if source is T9:
        assert after.serial <= max(state.serial, state.pending, state.piece_at, getattr(message, "to", 0), 12)
    sent = {(item.serial, item.key) for item in message.items}
    assert {(each.serial, each.key) for each in learnt.refused} <= sent
    assert after.accepted + after.refused <= after.sent or isinstance(message, Repair)
    met = outbox.meet(source, state, receipt.holding)
    assert unpack_table_state(pack_table_state(met)) == met


def test_rows_that_were_never_sent_are_not_refused() -> None:
    """Nor is one refused twice, nor more rows than there were."""
    refused = (no(11, b"A"), no(11, b"A"), no(11, b"B"), no(0, b"A"), no(HUGE, b"Z"), no(5, b"x" * 9_999))
    learnt = outbox.learn(T9, SENT, DELTA, said("applied", 12, refused=refused), NOW)
    assert [(each.serial, each.key) for each in learnt.refused] == [(11, b"A")]
    assert (learnt.state.sent, learnt.state.accepted, learnt.state.refused) == (2, 1, 1)
    repair = Repair("T9", 10, b"", ITEMS)
    again = outbox.learn(T9, TableState(serial=10), repair, said("applied", 10, refused=refused), NOW)
    assert [each.key for each in again.refused] == [b"A"]
    assert again.taken == ((12, b"B"),)


@pytest.mark.parametrize(
    ("state", "holding", "serial", "ahead"),
    [
        (TableState(serial=10), Holding("T9", 10, 0, b"", 1), 10, False),
        (TableState(serial=10, pending=12), Holding("T9", 12, 0, b"", 1), 10, False),  # it is sent again
        (TableState(serial=10), Holding("T9", 0, 0, b"", 0), 0, False),
        (TableState(serial=10), Holding("T9", 11, 0, b"", 1), 10, True),
        (TableState(serial=10), Holding("T9", HUGE, 0, b"", 1), 10, True),
        (TableState(serial=10), Holding("T9", 10, 11, b"K", 1), 10, True),
        (TableState(serial=10, piece_at=9, piece_next=b"K"), Holding("T9", HUGE, 0, b"", 1), 10, False),
    ],
)
def test_what_is_held_when_it_is_met(state: TableState, holding: Holding, serial: int, ahead: bool) -> None:
    met = outbox.meet(T9, state, holding)
    assert (met.serial, met.ahead > 0) == (serial, ahead)


def test_one_that_holds_what_we_have_again_is_ahead_no_more() -> None:
    state = outbox.meet(T9, TableState(serial=10), Holding("T9", 11, 0, b"", 1))
    assert outbox.meet(T9, state, Holding("T9", 10, 0, b"", 1)) == TableState(serial=10)


def test_a_table_without_serials_never_runs_out_of_them() -> None:
    """A holding of 2**63 - 1 would be followed by a number that no message can have."""
    state = outbox.meet(T5, TableState(serial=1, context=b"c" * 32), Holding("T5", HUGE, 0, b"", 1))
    with MemoryEngine().snapshot() as snapshot:
        planned = outbox.plan(snapshot, T5, state)
    assert isinstance(planned.message, Piece)
    assert 0 < planned.message.at < HUGE


# --- days
DAY = "2026-11-22"


def days(**rows: int) -> MemoryEngine:
    """Return a store with so many rows of T8 of each day, whole."""
    engine, batch = MemoryEngine(), Batch()
    for day, count in rows.items():
        text = f"2026-11-{day[1:]}"
        for number in range(count):
            batch.put(Table.SYNC_DAYS, day_key("T8", text, b"88.118.%05d" % number), pack_day(b"\x90"))
        batch.put(Table.SYNC_DAYS, day_key("T8", text), pack_mark(DayMark("2026-11", 0)))
    engine.commit(batch)
    return engine


def test_days_are_sent_row_after_row_across_batches_and_empty_days() -> None:
    """Three days, one without rows, one with more rows than a message holds: each row once, in order."""
    many = limits.UPSTREAM_BATCH_ITEMS + 7
    with days(d20=3, d21=0, d22=many).snapshot() as snapshot:
        state, sent = TableState(), []
        while True:
            planned = outbox.plan(snapshot, T8, state)
            if planned.message is None:
                break
            message = planned.message
            assert isinstance(message, Delta)
            again = outbox.plan(snapshot, T8, planned.state).message
            assert again == message, "sent again while no answer is there"
            sent += message.items
            state = outbox.learn(T8, planned.state, message, said("applied", message.to), NOW).state
        assert [item.key for item in sent] == [key for key, _ in T8.rows(snapshot, b"", None)]
        assert [item.serial for item in sent] == sorted({item.serial for item in sent})
        assert state.serial == last_serial(snapshot, T8) == day_number(DAY) * DAY_SERIALS + many


def test_a_day_that_is_gone_before_its_answer_came_blocks_nothing() -> None:
    """Its rows went with the month of their log; the days behind it are sent all the same."""
    with days(d20=3).snapshot() as snapshot:
        planned = outbox.plan(snapshot, T8, TableState())
    pending = planned.state.pending
    with days(d22=2).snapshot() as snapshot:
        for answer in ("applied", "duplicate"):
            again = outbox.plan(snapshot, T8, planned.state)
            assert again.message == Delta("T8", 0, pending, items_digest(()), ())
            state = outbox.learn(T8, again.state, again.message, said(answer, pending), NOW).state
            message = outbox.plan(snapshot, T8, state).message
            assert message is not None
            assert [item.key[:10] for item in message.items] == [DAY.encode()] * 2


def test_a_day_that_is_not_whole_is_not_sent() -> None:
    engine, batch = days(d20=1), Batch()
    batch.put(Table.SYNC_DAYS, day_key("T8", DAY, b"88.118"), pack_day(b"\x90"))
    engine.commit(batch)
    with engine.snapshot() as snapshot:
        assert len(gather_days(snapshot, T8, 0, 0)) == 1


_STRANGE = (
    b"", b"\0", b"\xff" * 481, b"x" * 600, b"Handle/", b"Handle/" + b"\xff" * 500, b"2026-11-22/", b"2026-11-22/\xff",
    b"\xff" * 100_000,
)  # fmt: skip


def test_no_key_from_above_is_too_much_for_a_source(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keys of differences, and where a piece starts, come from the top node: any octets."""
    from core.store.lmdb_engine import LmdbEngine

    engine = LmdbEngine(tmp_path_factory.mktemp("store"), map_size_bytes=1 << 24, create=True)
    with engine.snapshot() as snapshot:
        for source in sources().values():
            for key in _STRANGE:
                assert source.row(snapshot, key) is None
                assert list(source.rows(snapshot, key[:481], None)) == []
    engine.close()
