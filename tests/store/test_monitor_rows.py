"""Rows of what is measured: round trip, total on any octets, and how they are found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import Millis
from core.errors import StoreError
from core.store.engine import Batch, Table
from core.store.memory_engine import MemoryEngine
from core.store.monitor_rows import (
    EventRow,
    HourRow,
    hour_in,
    hour_key,
    hours_between,
    is_event_number,
    last_event,
    newest_hours,
    open_anomalies,
    pack_event,
    pack_hour,
    subjects,
    unpack_event,
    unpack_hour,
)

NUMBER = st.integers(0, 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
TIME = st.integers(0, 2**32 * 1_000 - 1).map(Millis)
LATENCY = st.tuples(*[NUMBER] * 8)
HOURS = st.builds(HourRow, st.booleans(), NUMBER, LATENCY, LATENCY, st.tuples(*[NUMBER] * 5))
EVENTS = st.builds(EventRow, st.just(1), TEXT, TEXT, st.integers(1, 4), TIME, st.just(""), TEXT) | st.builds(
    EventRow, st.just(2), TEXT, TEXT, st.integers(1, 4), TIME, st.just("E00000001"), TEXT
)
KINDS: dict[str, tuple[st.SearchStrategy[Any], Callable[[Any], bytes], Callable[[bytes], Any]]] = {
    "hour": (HOURS, pack_hour, unpack_hour),
    "event": (EVENTS, pack_event, unpack_event),
}
ANY = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.binary(max_size=5), st.text(max_size=5)),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_a_row_is_read_as_it_was_written(kind: str, data: st.DataObject) -> None:
    """All of it."""
    rows, pack, unpack = KINDS[kind]
    row = data.draw(rows)
    assert unpack(pack(row)) == row


@pytest.mark.parametrize("kind", KINDS)
@given(octets=st.binary(max_size=40) | ANY.map(lambda value: b"\x01" + msgpack.packb(value)), data=st.data())
def test_any_octets_are_a_row_or_an_error(kind: str, octets: bytes, data: st.DataObject) -> None:
    """Also a right one with one member that is another."""
    rows, pack, unpack = KINDS[kind]
    members = list(data.draw(rows))
    members[data.draw(st.integers(0, len(members) - 1))] = data.draw(ANY)
    for row in (octets, b"\x01" + msgpack.packb(members)):
        try:
            read = unpack(row)
        except StoreError:
            continue
        assert unpack(pack(read)) == read


@given(
    st.binary(max_size=30) | st.tuples(st.sampled_from([b"node/2026-11-", b"/"]), st.binary(max_size=6)).map(b"".join)
)
def test_any_key_is_one_of_an_hour_or_none(key: bytes) -> None:
    """Whatever it is."""
    try:
        told = hour_in(key)
    except StoreError:
        return
    assert hour_key(*told) == key


def test_hours_are_found_by_subject_and_time() -> None:
    """The newest ones, those of a day, and who has any."""
    store = MemoryEngine()
    batch = Batch()
    keys = [("node", "2026-11-21T23"), ("node", "2026-11-22T00"), ("node", "2026-11-22T09"), ("node", "2026-11-22T10"),
            ("88.118.9", "2026-11-22T05"), ("88.118", "2026-11-20T05")]  # fmt: skip
    for number, key in enumerate(keys):
        batch.put(Table.MONITOR_HOURS, hour_key(*key), pack_hour(HourRow(True, number, (0,) * 8, (0,) * 8, (0,) * 5)))
    store.commit(batch)
    with store.snapshot() as snapshot:
        assert list(subjects(snapshot)) == ["88.118.9", "88.118", "node"]
        newest = newest_hours(snapshot, "node", 3)
        assert [hour for hour, _ in newest] == ["2026-11-22T10", "2026-11-22T09", "2026-11-22T00"]
        assert [hour for hour, _ in newest_hours(snapshot, "88.118", 3)] == ["2026-11-20T05"]
        day = hours_between(snapshot, "node", "2026-11-22T", "2026-11-22U")
        assert [(hour, row.counted_s) for hour, row in day] == [
            ("2026-11-22T00", 1), ("2026-11-22T09", 2), ("2026-11-22T10", 3),
        ]  # fmt: skip


def test_events_are_open_until_they_are_ended() -> None:
    """And the newest number is known."""
    store = MemoryEngine()
    batch = Batch()
    bad = EventRow(1, "node", "disk", 2, Millis(1), "", "")
    batch.put(Table.MONITOR_EVENTS, b"E00000001", pack_event(bad))
    batch.put(Table.MONITOR_EVENTS, b"E00000002", pack_event(bad._replace(condition="resolution")))
    batch.put(Table.MONITOR_EVENTS, b"E00000003", pack_event(bad._replace(status=2, ends="E00000001")))
    with store.snapshot() as snapshot:
        assert (last_event(snapshot), open_anomalies(snapshot)) == (0, {})
    store.commit(batch)
    with store.snapshot() as snapshot:
        assert (last_event(snapshot), list(open_anomalies(snapshot))) == (3, ["E00000002"])
    assert [is_event_number(each) for each in (b"E00000001", b"E1", b"X00000001", b"E000000012345")] == [
        True, False, False, True,
    ]  # fmt: skip
