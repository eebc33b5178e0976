"""Rows of what is owed to top nodes: round trip, total on any octets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import Millis
from core.errors import StoreError
from core.store.upstream_rows import (
    DayMark,
    LinkState,
    LogSent,
    RefusedRow,
    TableState,
    Upstream,
    day_key,
    day_of,
    days_range,
    pack_day,
    pack_link_state,
    pack_logs,
    pack_mark,
    pack_refused,
    pack_table_state,
    pack_upstream,
    refused_key,
    refused_of,
    refused_range,
    table_key,
    unpack_day,
    unpack_link_state,
    unpack_logs,
    unpack_mark,
    unpack_refused,
    unpack_table_state,
    unpack_upstream,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
OCTETS = st.binary(max_size=40)
TIME = st.integers(0, 2**32 * 1_000 - 1).map(Millis)
NUMBER = st.integers(0, 2**63 - 1)
DAY = st.dates().map(lambda day: day.isoformat())
MONTH = DAY.map(lambda day: day[:7])
LOG_SENT = st.builds(LogSent, NUMBER, TIME, st.booleans(), TEXT, TIME)
KINDS: dict[str, tuple[st.SearchStrategy[Any], Callable[[Any], bytes], Callable[[bytes], Any]]] = {
    "upstream": (
        st.builds(Upstream, TEXT, st.binary(min_size=32, max_size=32), TEXT, TIME), pack_upstream, unpack_upstream,
    ),
    "table": (
        st.builds(
            TableState, NUMBER, NUMBER, NUMBER, NUMBER, OCTETS, OCTETS, NUMBER, NUMBER, NUMBER, TIME, TEXT, TIME, NUMBER
        ),
        pack_table_state, unpack_table_state,
    ),
    "link": (
        st.builds(LinkState, TEXT, TIME, st.integers(-(2**63), 2**63 - 1), TIME, TEXT, TIME, NUMBER),
        pack_link_state, unpack_link_state,
    ),
    "logs": (
        st.dictionaries(st.sampled_from(["change/2026-11", "resolution/2026-10"]), LOG_SENT), pack_logs, unpack_logs,
    ),
    "refused": (st.builds(RefusedRow, st.integers(0, 3), TEXT, TEXT, TEXT, TIME), pack_refused, unpack_refused),
    "mark": (st.builds(DayMark, MONTH, NUMBER), pack_mark, unpack_mark),
    "day": (OCTETS, pack_day, unpack_day),
}  # fmt: skip
every_kind = pytest.mark.parametrize("kind", KINDS)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.binary(max_size=4) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)


def read(unpack: Callable[[Any], Any], row: bytes) -> Any:
    try:
        return unpack(row)
    except StoreError:
        return None


@every_kind
@given(data=st.data())
def test_round_trip(kind: str, data: st.DataObject) -> None:
    """What is packed is what is unpacked."""
    values, pack, unpack = KINDS[kind]
    value = data.draw(values)
    assert unpack(pack(value)) == value


@every_kind
@given(data=st.data(), octets=OCTETS, wrong=ANYTHING)
def test_total(kind: str, data: st.DataObject, octets: bytes, wrong: object) -> None:
    """A value or StoreError: of any octets, of a row that was cut or has other octets, or another member, in it."""
    values, pack, unpack = KINDS[kind]
    row = pack(data.draw(values))
    at = data.draw(st.integers(0, len(row)))
    for damaged in (octets, b"\x01" + octets, row[:at], row[:at] + octets, row[:at] + octets + row[at + len(octets) :]):
        read(unpack, damaged)
    if kind in ("day", "logs"):
        return
    members = msgpack.unpackb(row[1:])
    at = data.draw(st.integers(0, len(members) - 1))
    for changed in ([*members[:at], wrong, *members[at + 1 :]], members[:at], [*members, wrong], wrong):
        value = read(unpack, b"\x01" + msgpack.packb(changed))
        if value is not None:
            assert unpack(pack(value)) == value


@every_kind
@pytest.mark.parametrize("version", [b"", b"\x00", b"\x02"])
def test_another_version_is_refused(kind: str, version: bytes) -> None:
    """Nobody guesses what it says."""
    with pytest.raises(StoreError):
        KINDS[kind][2](version + b"\x80")


def test_of_which_nothing_was_sent_has_no_row() -> None:
    """And is read as that."""
    assert unpack_table_state(None) == TableState()


@given(st.sampled_from(["T3", "T8"]), DAY, OCTETS)
def test_the_key_of_a_day(table: str, day: str, prefix: bytes) -> None:
    """Told from it again, and within the range of its table."""
    key = day_key(table, day, prefix)
    assert day_of(key) == (table, day, prefix)
    start, stop = days_range(table)
    assert start < key < stop


@given(st.sampled_from([b"T3/", b"T8/2023-11-1", b""]), st.binary(max_size=14))
def test_a_key_of_a_day_is_one_or_none(begin: bytes, rest: bytes) -> None:
    """Whatever it is."""
    told = read(day_of, begin + rest)
    assert told is None or day_key(*told) == begin + rest


@given(TEXT, NUMBER, OCTETS)
def test_the_key_of_a_refused_row(table: str, serial: int, key: bytes) -> None:
    """Told from it again, and within the range of its table; without a zero in an id, as there is none."""
    table = table.replace("\0", "")
    whole = refused_key("0" * 32, table, serial, key)
    assert refused_of(whole) == (serial, key)
    start, stop = refused_range("0" * 32, table)
    assert start < whole < stop
    assert table_key("0" * 32, table) < start
    assert read(refused_of, whole[: len(whole) - len(key) - 1]) is None


@given(OCTETS)
def test_a_key_of_a_refused_row_is_one_or_none(octets: bytes) -> None:
    """Whatever it is."""
    read(refused_of, octets)
