"""Rows of complaints: round trip, total on any octets; and what the deep check finds in them."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import Millis
from core.complaints import KINDS, Event, State
from core.errors import StoreError
from core.store.complaint_rows import (
    COUNTS_KEY,
    WAITING_ROW,
    Complaint,
    Step,
    pack_complaint,
    pack_counts,
    read_waiting,
    unpack_complaint,
    unpack_counts,
    waiting_key,
)
from core.store.engine import Batch, Table
from core.store.fsck import check_store
from core.store.memory_engine import MemoryEngine
from core.who import Who
from tests.store.test_governance_rows import ANYTHING, OCTETS, TEXT, TIME, WHO

E = Event
WAYS = [(E.FILE,), (E.FILE, E.ACCEPT), (E.FILE, E.REJECT), (E.FILE, E.ACCEPT, E.REJECT), (E.FILE, E.ACCEPT, E.ANSWER),
        (E.FILE, E.ACCEPT, E.ANSWER, E.CLOSE)]  # fmt: skip
STEPS = st.sampled_from(WAYS).flatmap(
    lambda way: st.tuples(*(st.builds(Step, TIME, st.just(e), WHO, TEXT) for e in way))
)
COMPLAINT = st.builds(
    Complaint, st.sampled_from(sorted(KINDS)), TEXT, TEXT, st.dictionaries(TEXT, OCTETS, max_size=3),
    st.dates().map(lambda day: day.isoformat()), STEPS,
)  # fmt: skip


@given(COMPLAINT)
def test_round_trip(complaint: Complaint) -> None:
    """What is packed is what is unpacked."""
    assert unpack_complaint(pack_complaint(complaint)) == complaint


def read(row: bytes) -> Complaint | None:
    try:
        return unpack_complaint(row)
    except StoreError:
        return None


@given(COMPLAINT, st.data(), OCTETS)
def test_total_on_any_octets(complaint: Complaint, data: st.DataObject, octets: bytes) -> None:
    """A value or StoreError: of any octets, of a row that was cut, and of one with other octets in it."""
    row = pack_complaint(complaint)
    at = data.draw(st.integers(0, len(row)))
    for damaged in (octets, b"\x01" + octets, row[:at], row[:at] + octets, row[:at] + octets + row[at + len(octets) :]):
        read(damaged)


@given(COMPLAINT, st.data(), ANYTHING)
def test_total_on_any_member(complaint: Complaint, data: st.DataObject, wrong: object) -> None:
    """One member is something else, or missing, or is one too many; what is read can be written again."""
    members = msgpack.unpackb(pack_complaint(complaint)[1:])
    name = data.draw(st.sampled_from([*members, "more"]))
    for changed in (members | {name: wrong}, {key: value for key, value in members.items() if key != name}, wrong):
        found = read(b"\x01" + msgpack.packb(changed))
        if found is not None:
            assert unpack_complaint(pack_complaint(found)) == found
            assert isinstance(found.state, State)


@given(st.dictionaries(st.sampled_from(State), st.integers(0, 2**60)), ANYTHING)
def test_numbers_round_trip_and_are_total(counts: dict[State, int], wrong: object) -> None:
    assert unpack_counts(pack_counts(counts)) == dict.fromkeys(State, 0) | counts
    assert unpack_counts(None) == dict.fromkeys(State, 0)
    for row in (b"\x01" + msgpack.packb(wrong), b"\x01" + msgpack.packb({"received": wrong}), b"", b"\x02\x80"):
        try:
            unpack_counts(row)
        except StoreError:
            continue


@given(st.binary(max_size=40), st.binary(max_size=3))
def test_the_list_of_those_that_wait_is_total(key: bytes, row: bytes) -> None:
    try:
        deadline, ticket = read_waiting(key, row)
    except StoreError:
        return
    assert waiting_key(deadline, ticket) == key


WHO_DID = Who("local", "anna", 1)
WRONG_WAYS: list[tuple[Event, ...]] = [
    (), (E.ACCEPT,), (E.FILE, E.FILE), (E.FILE, E.ANSWER), (E.FILE, E.REJECT, E.ACCEPT), (E.FILE, E.CLOSE),
]  # fmt: skip


@pytest.mark.parametrize("way", WRONG_WAYS, ids=lambda way: "-".join(event.value for event in way))
def test_steps_that_the_table_does_not_have_are_no_row(way: tuple[Event, ...]) -> None:
    steps = tuple(Step(Millis(1), event, WHO_DID) for event in way)
    with pytest.raises(StoreError):
        unpack_complaint(pack_complaint(Complaint("other", "", "x", {}, "2026-12-06", steps)))


@pytest.mark.parametrize("deadline", ["", "2026-13-01", "20261206", "2026-W49-7", "tomorrow"])
def test_a_deadline_is_a_day(deadline: str) -> None:
    with pytest.raises(StoreError):
        unpack_complaint(pack_complaint(made(E.FILE)._replace(deadline=deadline)))


# --- the deep check ---


def made(*way: Event) -> Complaint:
    steps = tuple(Step(Millis(1), event, WHO_DID) for event in way)
    return Complaint("other", "", "x", {}, "2026-12-06", steps)


WAITING, CLOSED = b"C20261121-AAAAAAAAAA", b"C20261121-BBBBBBBBBB"
PLACE = waiting_key("2026-12-06", WAITING.decode())
OTHER_PLACE = waiting_key("2026-12-06", CLOSED.decode())


def clean() -> Batch:
    batch = Batch()
    batch.put(Table.COMPLAINTS, WAITING, pack_complaint(made(E.FILE)))
    batch.put(Table.COMPLAINTS, CLOSED, pack_complaint(made(*WAYS[-1])))
    batch.put(Table.WAITING_COMPLAINTS, PLACE, WAITING_ROW)
    batch.put(Table.META, COUNTS_KEY, pack_counts({State.RECEIVED: 1, State.CLOSED: 1}))
    return batch


def faults(batch: Batch) -> list[str]:
    store = MemoryEngine()
    store.commit(batch)
    with store.snapshot() as snapshot:
        return list(check_store(snapshot))


def test_a_clean_store_has_no_faults() -> None:
    assert faults(clean()) == []


@pytest.mark.parametrize(
    ("table", "key", "row", "told"),
    [
        (Table.COMPLAINTS, WAITING, b"\x01\xc1", f"complaints {WAITING!r}: a row of complaints cannot be read"),
        (Table.COMPLAINTS, b"C1", pack_complaint(made(*WAYS[-1])), "complaints b'C1': is no ticket"),
        (Table.COMPLAINTS, CLOSED, None, "complaints: their numbers are not"),
        (Table.COMPLAINTS, CLOSED, pack_complaint(made(E.FILE)), f"waiting_complaints {OTHER_PLACE!r}: missing"),
        (Table.COMPLAINTS, WAITING, pack_complaint(made(*WAYS[-1])), f"{PLACE!r}: no complaint waits"),
        (Table.WAITING_COMPLAINTS, PLACE, None, f"waiting_complaints {PLACE!r}: missing"),
        (Table.WAITING_COMPLAINTS, OTHER_PLACE, WAITING_ROW, f"{OTHER_PLACE!r}: no complaint waits"),
        (Table.WAITING_COMPLAINTS, PLACE, b"\x02", f"waiting_complaints {PLACE!r}: a row of waiting_complaints"),
        (Table.WAITING_COMPLAINTS, b"x", WAITING_ROW, "waiting_complaints b'x': a row of waiting_complaints cannot"),
        (Table.META, COUNTS_KEY, None, "complaints: their numbers are not"),
        (Table.META, COUNTS_KEY, pack_counts({State.RECEIVED: 2}), "complaints: their numbers are not"),
        (Table.META, COUNTS_KEY, b"\x01\xc1", "complaints: the numbers of complaints cannot be read"),
    ],
)  # fmt: skip
def test_damage_is_found(table: Table, key: bytes, row: bytes | None, told: str) -> None:
    """Of one row, whichever it is."""
    batch = clean()
    batch.put(table, key, row)
    found = faults(batch)
    assert any(told in sentence for sentence in found), found


@given(
    table=st.sampled_from([Table.COMPLAINTS, Table.WAITING_COMPLAINTS]),
    key=st.sampled_from([WAITING, CLOSED, PLACE]) | st.binary(min_size=1, max_size=40),
    row=st.binary(max_size=40) | st.sampled_from([pack_complaint(made(E.FILE)), WAITING_ROW]),
)
def test_the_check_is_total(table: Table, key: bytes, row: bytes) -> None:
    """Sentences, and no error of its own."""
    batch = clean()
    batch.put(table, key, row)
    told: list[Any] = faults(batch)
    assert all(isinstance(sentence, str) for sentence in told)
