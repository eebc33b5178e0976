"""Unit codes: each index has a serial of its own, and nothing but those serials is taken for one."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ident.unitcode import (
    ALPHABET,
    INDEXES_MAX,
    LOT_KEY_BYTES,
    SERIAL_CHARS,
    UnitCodes,
    case_of,
    derive_lot_key,
    is_lot_code,
)
from tests.kit.guesses import altered_hits, guessed_hits

KEYS = st.binary(min_size=LOT_KEY_BYTES, max_size=LOT_KEY_BYTES)
CODES = UnitCodes(bytes(range(LOT_KEY_BYTES)))
SIZES_AROUND = sorted({2**power + by for power in range(1, 21) for by in (-1, 0, 1)} & set(range(1, INDEXES_MAX + 1)))
GUESSES, CHANGES = 100_000, 10_000  # a tenth of the soak's


@given(KEYS)
def test_every_size_up_to_5000_has_distinct_serials_that_lead_back(key: bytes) -> None:
    """The indexes of a smaller lot are the first ones of a bigger one: all sizes from 1 to 5 000 at once."""
    codes = UnitCodes(key)
    serials = codes.serials(0, 5_000)
    assert len(set(serials)) == 5_000
    assert [codes.index(serial) for serial in serials] == list(range(5_000))


@pytest.mark.parametrize("size", SIZES_AROUND)
def test_sizes_around_powers_of_two(size: int) -> None:
    """The last indexes of the lot, and the first ones."""
    for start in {0, max(0, size - 300)}:
        serials = CODES.serials(start, min(300, size - start))
        assert [CODES.index(serial) for serial in serials] == list(range(start, start + len(serials)))


def test_all_indexes_have_distinct_serials() -> None:
    serials = CODES.serials(0, INDEXES_MAX)
    assert len(set(serials)) == INDEXES_MAX


@given(KEYS, st.integers(0, INDEXES_MAX - 1))
def test_one_by_one_is_as_in_bulk(key: bytes, index: int) -> None:
    codes = UnitCodes(key)
    serial = codes.serial(index)
    assert codes.serials(index, 1) == [serial]
    assert len(serial) == SERIAL_CHARS
    assert set(serial) <= set(ALPHABET)
    assert codes.index(serial) == index


@given(st.integers(0, 20_000), st.integers(0, 20_000))
def test_bulks_of_any_length_join(start: int, count: int) -> None:
    """Also over the borders of what is encrypted at once."""
    assert CODES.serials(start, count) == [CODES.serial(index) for index in range(start, start + count)]


@given(
    st.binary(max_size=14)
    | st.text(max_size=12).map(str.encode)
    | st.text("23456789ABCZ0O", min_size=10, max_size=10).map(str.encode)
)
def test_any_octets_are_read(octets: bytes) -> None:
    """Total: an index whose serial they are, or None."""
    index = CODES.index(octets)
    assert index is None or CODES.serial(index) == octets


@pytest.mark.parametrize(
    "serial",
    [b"", b"2222222222 ", b" 222222222", b"+222222222", b"2_22222222", b"-222222222", b"22222\n2222", b"\xb2" * 10],
)
def test_what_a_number_might_hold_is_no_serial(serial: bytes) -> None:
    """Signs, blanks and underscores, that Python reads in numbers."""
    assert CODES.index(serial) is None


def test_lower_case_is_for_the_caller_to_fold() -> None:
    serial = next(serial for serial in CODES.serials(0, 100) if serial.lower() != serial)
    assert CODES.index(serial.lower()) is None


@pytest.mark.parametrize("index", [-1, INDEXES_MAX])
def test_an_index_beyond_the_space_has_no_serial(index: int) -> None:
    for make in (lambda: CODES.serial(index), lambda: CODES.serials(index, 1)):
        with pytest.raises(ValueError, match="index"):
            make()


def test_keys_differ_by_all_that_they_are_derived_from() -> None:
    """Prefix, lot code, key id, master key; and no part runs into the next one."""
    master = bytes(32)
    of = [
        derive_lot_key(master, b"88.1", b"L1", 1), derive_lot_key(master, b"88.1L", b"1", 1),
        derive_lot_key(master, b"88.1", b"L2", 1), derive_lot_key(master, b"88.1", b"L1", 2),
        derive_lot_key(bytes([1]) * 32, b"88.1", b"L1", 1),
    ]  # fmt: skip
    assert len(set(of)) == len(of)
    assert {len(key) for key in of} == {LOT_KEY_BYTES}


def test_a_code_of_one_lot_is_none_of_another() -> None:
    other = UnitCodes(derive_lot_key(bytes(32), b"88.1", b"L1", 1))
    assert not any(other.index(serial) is not None for serial in CODES.serials(0, 10_000))


@given(st.integers(0, INDEXES_MAX - 1), st.integers(0, 2_000), st.integers(0, 2_000), st.integers(1, 1_000))
def test_the_quick_way_to_a_case_is_the_long_one(index: int, before: int, behind: int, per_case: int) -> None:
    """Inside its range the serial of the case, else None; for no serial None."""
    low, high = max(0, index - before), index + behind
    first = INDEXES_MAX - 1 - index // per_case
    found = case_of(CODES.encrypt, CODES.serial(index), low, high, (first, per_case))
    assert found == (CODES.serial(first + index // per_case) if low <= index < high else None)


@given(
    st.binary(min_size=SERIAL_CHARS, max_size=SERIAL_CHARS)
    | st.text("23456789ABCZ0O", min_size=10, max_size=10).map(str.encode)
    | st.integers(0, INDEXES_MAX - 1).map(CODES.serial)
)
def test_the_quick_way_takes_what_the_long_one_takes(octets: bytes) -> None:
    found = case_of(CODES.encrypt, octets, 0, INDEXES_MAX, (0, 1))
    assert found == (None if CODES.index(octets) is None else octets)


def test_guesses_do_not_hit(seed: int) -> None:
    """With the right lot code, length and alphabet, at a lot of a million units; all of it is in the soak."""
    assert guessed_hits(CODES, 1_000_000, GUESSES, random.Random(seed)) == 0


def test_changes_of_genuine_codes_do_not_hit(seed: int) -> None:
    """Of one or two characters, by any characters of the alphabet, or of two that change places."""
    assert altered_hits(CODES, 1_000_000, CHANGES, random.Random(seed)) == 0


@pytest.mark.parametrize("code", [b"L1", b"0", b"A-B", b"ABCDEFGHIJ", b"-"])
def test_lot_codes(code: bytes) -> None:
    assert is_lot_code(code)


@pytest.mark.parametrize("code", [b"", b"l1", b"ABCDEFGHIJK", b"A B", b"A.B", b"L\xef\xbc\x91", b"A/B", b"A\n"])
def test_no_lot_codes(code: bytes) -> None:
    assert not is_lot_code(code)
