"""Rows of holds: round trip, and total on any octets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import Millis
from core.errors import StoreError
from core.store.hold_rows import (
    Hold,
    HoldCounts,
    HoldKind,
    Order,
    hold_key,
    hold_kind,
    pack_hold,
    pack_hold_counts,
    unpack_hold,
    unpack_hold_counts,
)
from core.who import Who

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
TIME = st.integers(0, 2**32 * 1_000 - 1).map(Millis)
WHO = st.builds(Who, TEXT, TEXT, st.integers(-1, 2**32 - 1), TEXT)
ORDERS = st.lists(st.builds(Order, TEXT, TEXT, st.booleans(), TIME, WHO), min_size=1, max_size=3).map(tuple)
HOLD = st.builds(Hold, st.binary(max_size=40), ORDERS)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.binary(max_size=4) | TEXT,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(HOLD)
def test_a_hold_goes_round(hold: Hold) -> None:
    assert unpack_hold(pack_hold(hold)) == hold


@given(st.builds(HoldCounts, *[st.integers(0, 2**32 - 1)] * 3))
def test_counts_go_round(counts: HoldCounts) -> None:
    assert unpack_hold_counts(pack_hold_counts(counts)) == counts


def test_no_counts_are_none() -> None:
    assert unpack_hold_counts(None) == HoldCounts(0, 0, 0)


@given(st.sampled_from(HoldKind), st.binary(min_size=1, max_size=80))
def test_a_key_names_its_target(kind: HoldKind, target: bytes) -> None:
    key = hold_key(kind, target)
    assert (hold_kind(key), key[1:]) == (kind, target)


def test_a_very_long_handle_fits_a_key() -> None:
    """As its record does; two of them have two keys."""
    one, other = (hold_key(HoldKind.IDENTIFIER, b"88.1/" + b"X" * 900 + end) for end in (b"A", b"B"))
    assert one != other
    assert len(one) <= 511


@pytest.mark.parametrize("unpack", [unpack_hold, unpack_hold_counts])
@given(octets=st.binary(max_size=40), hold=HOLD, data=st.data())
def test_total_on_any_octets(unpack: Callable[[bytes], Any], octets: bytes, hold: Hold, data: st.DataObject) -> None:
    """A value or StoreError; of a row that was cut, too."""
    row = pack_hold(hold)
    at = data.draw(st.integers(0, len(row)))
    for damaged in (octets, b"\x01" + octets, row[:at], row[:at] + octets):
        read(unpack, damaged)


@given(ANYTHING, st.integers(0, 4))
def test_total_on_any_member(wrong: object, at: int) -> None:
    """What is read can be written again."""
    order: list[object] = ["1", "because", False, 0, ["local", "anna", 1, ""]]
    order[at] = wrong
    for packed in (wrong, [wrong], [b"x", wrong], [wrong, [order]], [b"x", [order]], [b"x", [[*order, wrong]]]):
        hold = read(unpack_hold, b"\x01" + msgpack.packb(packed))
        assert hold is None or unpack_hold(pack_hold(hold)) == hold


def read(unpack: Callable[[bytes], Any], row: bytes) -> Any:
    try:
        return unpack(row)
    except StoreError:
        return None
