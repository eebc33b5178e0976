"""Rows of records and answers, and the small tables: packing, flags, long handles, damage."""

from __future__ import annotations

import json
from collections.abc import Callable

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.changes import Change, ChangeKind, pack_change, unpack_change
from core.clock import Millis
from core.errors import StoreError
from core.limits import HANDLE_BYTES_MAX, PREFIX_CHARS_MAX, STORE_KEY_BYTES_MAX
from core.records import HandleValue, ValueReference, Values
from core.store.prefix_rows import HOSTINGS, HomedPrefix, pack_count, pack_prefix, unpack_count, unpack_prefix
from core.store.record_rows import (
    KEY_HEAD,
    KEY_RAW_MAX,
    pack_record,
    prefix_range,
    record_key,
    unpack_answer,
    unpack_handle,
    unpack_values,
)
from core.store.token_rows import TokenRow, pack_token, time_key, token_key, unpack_token
from tests.kit.vectors import reference_records

PUBLIC = HandleValue(1, "URL", b"https://salt.example/1")
PRIVATE = HandleValue(2, "SECRET", b"hidden", permissions=0b1100)
WRITE_ONLY = HandleValue(3, "IN", b"box", permissions=0b0001)
LONG = b"88.118.7/" + b"X" * KEY_RAW_MAX
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
VALUES = st.lists(
    st.builds(
        HandleValue,
        st.integers(1, 2**31 - 1),
        TEXT,
        st.binary(max_size=20),
        st.integers(0, 2**31 - 1),
        st.booleans(),
        st.integers(0, 15),
        st.integers(0, 2**32 - 1),
        st.lists(st.builds(ValueReference, TEXT, st.integers(-(2**31), 2**31 - 1)), max_size=2).map(tuple),
    ),
    max_size=4,
).map(tuple)
HANDLES = st.builds(
    lambda prefix, suffix, times: (f"{prefix}/{suffix}" + "盐" * times).encode().upper(),
    st.sampled_from(["88", "88.118.7", "88.118.70", "盐" * PREFIX_CHARS_MAX]),
    TEXT,
    st.sampled_from([0, 1, 150, 160, 300, 600]),
)


# --- both rows of a record --------------------------------------------------


@pytest.mark.parametrize("handle", reference_records())
def test_the_reference_records_go_through_the_store(handle: str) -> None:
    """Values come back in their order, octet by octet; the answer is the public part, ready to send."""
    values = reference_records()[handle]
    key = handle.encode().upper()
    rows = pack_record(key, values)
    assert unpack_values(rows.record) == values
    assert unpack_handle(key, rows.record) == key
    answer = unpack_answer(rows.answer)
    public = [value.value_index for value in values if value.public_read]
    assert [form["index"] for form in json.loads(answer.values_json)] == public
    assert answer.private == (len(public) != len(values))


FLAGS: list[tuple[Values, bool, bool]] = [
    ((), False, True),
    ((PUBLIC,), False, False),
    ((PUBLIC, PRIVATE), True, False),
    ((PRIVATE, PUBLIC), True, False),
    ((PRIVATE,), True, True),
    ((WRITE_ONLY, PRIVATE), True, True),
]


@pytest.mark.parametrize(("values", "private", "nothing"), FLAGS)
def test_flags_say_what_an_answer_leaves_out(values: Values, private: bool, nothing: bool) -> None:
    """Whether a value is not public, and whether none is; a private value is nowhere in the answer."""
    rows = pack_record(b"88.118.7/A", values)
    answer = unpack_answer(rows.answer)
    assert (answer.private, answer.nothing_public) == (private, nothing)
    assert rows.record[1] == rows.answer[1] & 1 == private
    assert b"hidden" not in rows.answer
    assert b"SECRET" not in rows.answer
    assert json.loads(answer.values_json) == [
        {"index": 1, "type": "URL", "data": {"format": "string", "value": "https://salt.example/1"}, "ttl": 86400}
        for value in values
        if value is PUBLIC
    ]


def test_rows_begin_with_their_version_and_flags() -> None:
    """The byte map: version 1, flags, then the values as on the wire, or JSON."""
    rows = pack_record(b"88.118.7/A", (PRIVATE,))
    assert rows.record[:6] == b"\x01\x01" + b"\0\0\0\x01"
    assert rows.answer == b"\x01\x05[]"
    assert pack_record(LONG, ()).record[:6] == b"\x01\x02" + len(LONG).to_bytes(4, "big")


@given(handle=HANDLES, values=VALUES)
def test_record_rows_round_trip(handle: bytes, values: Values) -> None:
    """Every handle, long ones too, and every value; the answer is JSON."""
    rows = pack_record(handle, values)
    assert unpack_values(rows.record) == values
    assert unpack_handle(record_key(handle), rows.record) == handle
    answer = unpack_answer(rows.answer)
    assert answer.nothing_public == (json.loads(answer.values_json) == [])


# --- keys -------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, KEY_HEAD, KEY_RAW_MAX])
def test_a_handle_that_fits_is_its_own_key(size: int) -> None:
    """Up to KEY_RAW_MAX octets, and a listing reads the handle off the key."""
    handle = (b"88.118.7/" + b"X" * size)[:size]
    assert record_key(handle) == handle


@pytest.mark.parametrize("size", [KEY_RAW_MAX + 1, 1_000, HANDLE_BYTES_MAX])
def test_a_longer_handle_has_a_shortened_key_and_stands_whole_in_the_row(size: int) -> None:
    """Head, FF, SHA-256: the store's bound holds, and nothing of the handle is lost."""
    handle = (b"88.118.7/" + b"X" * size)[:size]
    key = record_key(handle)
    assert len(key) <= STORE_KEY_BYTES_MAX
    assert key[: KEY_HEAD + 1] == handle[:KEY_HEAD] + b"\xff"
    assert unpack_handle(key, pack_record(handle, (PUBLIC,)).record) == handle


def test_two_long_handles_with_the_same_head_differ() -> None:
    """The digest is over all of the handle."""
    same = b"88.118.7/" + b"X" * 1_000
    keys = {record_key(same + tail) for tail in (b"", b"1", b"2", b"11")}
    assert len(keys) == 4
    assert len({key[:KEY_HEAD] for key in keys}) == 1


@given(handles=st.lists(HANDLES, max_size=8, unique=True))
def test_keys_differ_fit_and_lie_in_the_range_of_their_prefix(handles: list[bytes]) -> None:
    """Two handles never share a key, and a listing of a prefix sees its own handles alone, long ones too."""
    keys = {record_key(handle): handle for handle in handles}
    assert len(keys) == len(handles)
    for key, handle in keys.items():
        assert len(key) <= STORE_KEY_BYTES_MAX
        prefix = handle[: handle.index(b"/")]
        for each in (b"88", b"88.118.7", b"88.118.70", ("盐" * PREFIX_CHARS_MAX).encode()):
            start, stop = prefix_range(each)
            assert (start <= key < stop) == (each == prefix)


def test_short_handles_keep_their_order_before_and_behind_long_ones() -> None:
    """A shortened key stands where its head stands."""
    handles = [b"88.118.7/A", LONG, b"88.118.7/Y", b"88.118.8/A"]
    assert sorted(map(record_key, handles)) == [record_key(handle) for handle in handles]


# --- the small tables -------------------------------------------------------


@given(kind=st.sampled_from(ChangeKind), identifier=TEXT, at=st.integers(0, 2**63))
def test_change_rows_round_trip(kind: ChangeKind, identifier: str, at: int) -> None:
    """Kind, identifier and time of a change."""
    assert unpack_change(pack_change(kind, identifier.encode(), at)) == Change(kind, identifier, Millis(at))


@given(count=st.integers(0, 2**64 - 1))
def test_counter_rows_round_trip(count: int) -> None:
    """Eight octets; no row is zero."""
    assert unpack_count(pack_count(count)) == count
    assert unpack_count(None) == 0


@given(hosting=st.sampled_from(HOSTINGS), at=st.integers(0, 2**32 * 1_000 - 1), suspended=st.booleans())
def test_prefix_rows_round_trip(hosting: str, at: int, suspended: bool) -> None:
    """How the prefix is hosted, since when, and whether it is suspended."""
    homed = HomedPrefix(hosting, Millis(at), suspended)
    assert unpack_prefix(pack_prefix(homed)) == homed


def test_a_prefix_row_of_before_is_not_suspended() -> None:
    """The member is there only where it is true: other rows are what they were."""
    row = b"\x01" + msgpack.packb({"hosting": "hosted", "homed_ms": 7})
    assert unpack_prefix(row) == HomedPrefix("hosted", Millis(7))
    assert pack_prefix(HomedPrefix("hosted", Millis(7))) == row


@pytest.mark.parametrize("suspended", [1, 0, None, "yes"])
def test_a_prefix_row_says_plainly_whether_it_is_suspended(suspended: object) -> None:
    """Anything but true or false is a damaged row."""
    with pytest.raises(StoreError, match="suspended"):
        unpack_prefix(b"\x01" + msgpack.packb({"hosting": "hosted", "homed_ms": 7, "suspended": suspended}))


@given(digest=st.binary(max_size=32), at=st.integers(0, 2**63), answer=st.binary(max_size=50))
def test_token_rows_round_trip(digest: bytes, at: int, answer: bytes) -> None:
    """Digest, time and answer of an idempotency token."""
    row = TokenRow(digest, Millis(at), answer)
    assert unpack_token(pack_token(row)) == row


def test_token_times_are_in_order_of_time() -> None:
    """Expired tokens are a range at the start of the table."""
    key = token_key("300:0.NA/88.1", "import-1")
    times = [1, 255, 256, 2**32, 2**40]
    assert sorted(time_key(at, key) for at in times) == [time_key(at, key) for at in times]
    assert time_key(256) <= time_key(256, key) < time_key(257)


def test_two_who_ask_never_share_a_token() -> None:
    """The key is of who asked and the token together, divided where neither can reach."""
    pairs = [("a", "b"), ("ab", ""), ("", "ab"), ("a", "B"), ("b", "a")]
    assert len({token_key(*pair) for pair in pairs}) == len(pairs)
    assert all(len(token_key(*pair)) == 32 for pair in pairs)


READERS: dict[str, Callable[[bytes], object]] = {
    "record": unpack_values,
    "record handle": lambda row: unpack_handle(b"key", row),
    "answer": unpack_answer,
    "change": unpack_change,
    "prefix": unpack_prefix,
    "counter": unpack_count,
    "token": unpack_token,
}
GOOD_ROWS = [
    *pack_record(LONG, (PUBLIC, PRIVATE)),
    pack_change(ChangeKind.RECORD_CREATED, b"88.118.7/A", 1),
    pack_prefix(HomedPrefix("hosted", Millis(1))),
    pack_prefix(HomedPrefix("delegated", Millis(1), suspended=True)),
    pack_count(1),
    pack_token(TokenRow(b"d", Millis(1), b"a")),
]
DAMAGED = st.builds(
    lambda row, cut, place, octet: row[:cut][:place] + bytes([octet]) + row[:cut][place + 1 :],
    st.sampled_from(GOOD_ROWS),
    st.integers(0, 600),
    st.integers(0, 60),
    st.integers(0, 255),
)


@pytest.mark.parametrize("name", READERS)
@given(row=st.one_of(st.binary(max_size=60), st.binary(max_size=60).map(b"\x01".__add__), DAMAGED))
def test_rows_any_bytes_give_a_value_or_store_error(name: str, row: bytes) -> None:
    """A damaged row is named as such; it never ends in an error of Python."""
    try:
        READERS[name](row)
    except StoreError as error:
        assert "cannot be read" in error.message


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("row", [b"", b"\x00", b"\x02", b"\x01"], ids=["empty", "version 0", "version 2", "no more"])
def test_a_row_of_another_version_is_refused(name: str, row: bytes) -> None:
    """And one that ends behind its version."""
    with pytest.raises(StoreError, match="cannot be read"):
        READERS[name](row)
