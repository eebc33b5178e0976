"""Codes, versions, bindings and data types of metadata templates: what is one, and what is none."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.wire.metadata import (
    DATA_TYPES,
    Binding,
    code_range,
    fold,
    is_binding,
    is_code,
    is_item_name,
    is_version,
    parse_binding,
    template_key,
    version_numbers,
)

ANY_TEXT = st.text(max_size=60)

GOOD = {
    "text": ["x", "加碘食用盐", " ", "a\tb\nc\r\n", "🧂", "0"],
    "integer": ["0", "7", "-12", "-0", "9" * 60],
    "decimal": ["0", "0.5", "-12.50", "12", "1." + "0" * 40],
    "date": ["2026-01-31", "2024-02-29", "0001-01-01", "9999-12-31"],
    "datetime": [
        "2026-01-31T08:00:00Z", "2026-01-31 08:00:00+08:00", "2026-01-31T23:59:59.123456789-23:59",
        "2024-02-29T00:00:00Z",
    ],
    "boolean": ["true", "false"],
    "url": ["https://salt.example.cn", "http://10.1.2.3:8080/a?b=c#d", "https://xn--fiq.cn/%E7%9B%90"],
}  # fmt: skip
BAD = {
    "text": ["\0", "a\x07", "\x7f", "\x85", "\u2028"],
    "integer": ["", "+1", "01", "1.0", "1e3", " 1", "1 ", "--1", "-", "１", "٣", "1_000", "1\n"],
    "decimal": ["", ".5", "5.", "1,5", "1e3", "NaN", "Infinity", "+1.5", "00.5", "1.5.5", "-.5", "０.５", "1.5\n"],
    "date": ["", "2026-02-29", "2026-13-01", "2026-1-1", "20260131", "2026/01/31", "0000-01-01", "2026-W05-6",
             "２０２６-01-31", "2026-01-31\n", "2026-01-31T00:00:00Z"],
    "datetime": ["", "2026-01-31", "2026-01-31T08:00:00", "2026-01-31T24:00:00Z", "2026-01-31T08:60:00Z",
                 "2026-01-31T08:00:60Z", "2026-02-30T08:00:00Z", "2026-01-31T08:00Z", "2026-01-31T08:00:00+24:00",
                 "2026-01-31T08:00:00.Z", "2026-01-31T08:00:00z", "2026-01-31  08:00:00Z", "2026-01-31T08:00:00Z\n"],
    "boolean": ["", "True", "1", "0", "yes", "true ", "是"],
    "url": ["", "salt.example.cn", "ftp://a.cn", "https://", "https://a b.cn", "https://用户.cn", "https://u:p@a.cn",
            "javascript:alert(1)", "http://[::1", "https://a.cn:99999/"],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in GOOD.items() for text in texts])
def test_data_of_a_type(kind: str, text: str) -> None:
    assert DATA_TYPES[kind].reads(text)
    assert len(text) <= (DATA_TYPES[kind].chars_max or len(text))


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in BAD.items() for text in texts])
def test_data_of_no_type(kind: str, text: str) -> None:
    assert not DATA_TYPES[kind].reads(text)


def test_both_tables_are_whole() -> None:
    assert GOOD.keys() == BAD.keys() == DATA_TYPES.keys()


@given(ANY_TEXT | st.from_regex(r"[0-9T:.+-]{1,40}"))
def test_the_types_are_total_and_bounded(text: str) -> None:
    """Yes or no of any text; where the grammar bounds the length, no longer text is one."""
    for kind in DATA_TYPES.values():
        if kind.reads(text) and kind.chars_max:
            assert len(text) <= kind.chars_max


@pytest.mark.parametrize("code", ["A", "0", "salt-1_2.3", "x" * 64])
def test_codes(code: str) -> None:
    """The key is folded, and lies in the range of its code alone."""
    assert is_code(code)
    start, stop = code_range(code)
    key = template_key(code, "1.0")
    assert key == template_key(code.swapcase(), "V01")
    assert start <= key < stop
    for other in (f"{code}-1"[-64:], f"{code}."[-64:], f"{code}A"[-64:], "Z", "1"):
        if other.upper() != code.upper() and is_code(other):
            assert not start <= template_key(other, "1") < stop


@pytest.mark.parametrize("code", ["", "-a", ".a", "_a", "a b", "a@b", "a/b", "盐", "a\n", "x" * 65, "ａ"])
def test_no_codes(code: str) -> None:
    assert not is_code(code)


def test_versions_compare_by_their_numbers() -> None:
    """1.10 is after 1.9; zeros at either end of it, and the V, say nothing."""
    ordered = ["0", "0.1", "V1.0", "1.0.0.1", "1.2", "v1.9", "1.10", "2", "2.1", "10", "20260101"]
    assert all(map(is_version, ordered))
    assert all(version_numbers(low) < version_numbers(high) for low, high in pairwise(ordered))
    for same in ("1", "1.0", "01", "V1", "v1.0.0.0"):
        assert template_key("A", same) == b"A@1"
    for none in ("", "V", "1.", ".1", "1..2", "1.2.3.4.5", "1a", "1-2", "-1", " 1", "1\n", "123456789", "１", "VV1"):
        assert not is_version(none), none


def test_a_key_is_a_segment_of_a_path() -> None:
    longest = template_key("x" * limits.METADATA_CODE_CHARS_MAX, ".".join(["9" * 8] * 4))
    assert len(longest) == limits.PREFIX_CHARS_MAX
    assert len("V" + ".".join(["9" * 8] * 4)) == limits.METADATA_VERSION_CHARS_MAX


def test_bindings() -> None:
    """Code and version, or a code alone; nothing else."""
    assert parse_binding(b"SALT@1.0") == Binding("SALT", "1.0")
    assert parse_binding(b"salt@V2") == Binding("salt", "V2")
    assert parse_binding(b"SALT") == Binding("SALT", "")
    for none in (b"", b"@1.0", b"SALT@", b"SALT@x", b"SALT@1@2", "盐@1".encode(), b"\xff", b"SALT @1", b"x" * 10_000):
        assert parse_binding(none) is None


@given(st.binary(max_size=40))
def test_reading_a_binding_is_total(data: bytes) -> None:
    binding = parse_binding(data)
    if binding is not None and binding.version:
        assert f"{binding.code}@{binding.version}".encode() == data
        assert template_key(*binding)


def test_types_that_bind_and_names_that_items_may_have() -> None:
    """The binding in any case; no item takes a name that the node uses itself."""
    assert all(map(is_binding, ("METADATA_TEMPLATE", "metadata_template")))
    assert not any(map(is_binding, ("METADATA-TEMPLATE", "METADATA_TEMPLATES", "", "URL")))
    assert all(map(is_item_name, ("name", "NET_CONTENT", "a.b-c", "0", "URL", "HSX")))
    for none in ("", "HS_ADMIN", "hs_x", "Metadata_Template", "_a", "a b", "盐", "x" * 65, "a\n"):
        assert not is_item_name(none), none


@given(ANY_TEXT)
def test_folding_is_that_of_handles(text: str) -> None:
    """ASCII letters alone: the same as bytes.upper() of the octets."""
    if not any("\ud800" <= char <= "\udfff" for char in text):
        assert fold(text).encode() == text.encode().upper()
