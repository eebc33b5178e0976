"""Forms of web pages: what a browser sends is what is read; anything else is a WireError."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import WireError
from core.wire.form import decode_form

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)


@given(st.lists(st.tuples(TEXT, TEXT), max_size=8))
def test_what_was_typed_is_what_is_read(pairs: list[tuple[str, str]]) -> None:
    """Repeated names keep all their values, in order."""
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    assert decode_form(urlencode(pairs).encode(), 8) == fields


@given(st.binary(max_size=60))
def test_total_on_any_octets(body: bytes) -> None:
    try:
        decode_form(body, 8)
    except WireError:
        return


@pytest.mark.parametrize("body", [b"a=%ff", b"a=\xff", b"a=%C3", b"%80=a", b"a=%ED%A0%80"])
def test_what_is_not_utf_8_is_refused(body: bytes) -> None:
    """Raw or %-encoded; halves of surrogate pairs, too."""
    with pytest.raises(WireError, match="UTF-8"):
        decode_form(body, 8)


def test_so_many_fields_and_no_more() -> None:
    assert len(decode_form(b"a=1&b=2&c=3", 3)) == 3
    with pytest.raises(WireError, match="3 fields"):
        decode_form(b"a=1&b=2&c=3&d=4", 3)
