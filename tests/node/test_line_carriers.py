"""What a camera reads from the labels of this project, reduced to the code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.labels import gs1
from node.line.carriers import FNC1, Carried, read_carrier
from node.line.codes import Code, Codes
from node.line.shape import Kind, Lot, format_serial

PREFIX = "88.118.7"
GTIN = "6901234567892"
BASE = "https://id.example.cn"
LOT_CODES = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-", min_size=1, max_size=10)
SERIALS = st.integers(0, 2**50 - 1)


def carried(prefix: str, suffix: str) -> list[str]:
    """Return every form in which a reader may tell a code."""
    gtin = gs1.gtin14(GTIN)
    elements = gs1.element_string(GTIN, suffix)
    identifier = f"{prefix}/{suffix}"
    return [
        identifier, suffix, gs1.address(BASE, identifier), gs1.printed(gs1.address(f"{BASE}:8443/", identifier)),
        f"HTTPS://ID.EXAMPLE.CN/{prefix}%2F{suffix}", f"{BASE}/{identifier}/?from=phone#top",
        f"id.example.cn/{identifier}",
        gs1.digital_link(BASE, GTIN, suffix), gs1.printed(gs1.digital_link(f"{BASE}/a/b", GTIN, suffix)),
        f"{BASE}/01/{gtin}/10/B7/21/{suffix}?17=270101", f"{BASE}/01/{GTIN}/21/{suffix}/",
        elements, f"{FNC1}{elements}", f"{elements}{FNC1}", f"]d2{elements}", f"]Q3{FNC1}{elements}",
        f"01{gtin}{FNC1}21{suffix}", f"01{gtin}1727010111261121310300125021{suffix}{FNC1}10B7",
        f"01{gtin}10B7{FNC1}21{suffix}", f"01{gtin}24021X{FNC1}21{suffix}",
        f"(01){gtin}(21){suffix}", f"]d2(01){gtin}(10)B7(21){suffix}",
    ]  # fmt: skip


@given(LOT_CODES, SERIALS)
def test_a_code_is_found_in_every_carrier(lot_code: str, serial: int) -> None:
    """Identifier, address, Digital Link, element string, in capitals as a reading has it; not of another prefix."""
    lot = Lot(f"{PREFIX}/{lot_code}", 1)
    codes = Codes(lot, [Code(0, format_serial(serial, lot.handle), Kind.UNIT, None, None)])
    suffix = codes[0].partition("/")[2]
    looks_like_elements = suffix[:2] == "01" and suffix[:16].isdigit()
    for text in carried(PREFIX, suffix):
        assert codes.find(text.upper()) == 0 or (looks_like_elements and text == suffix), text
    others = Lot(f"88.118.70/{lot_code}", 1)
    codes = Codes(others, [Code(0, format_serial(serial, others.handle), Kind.UNIT, None, None)])
    for text in (text for text in carried(PREFIX, suffix) if PREFIX in text):
        assert codes.find(text.upper()) is None, text


@given(st.text() | st.text("0123456789()[]/?#%\x1d]dLX-.:", max_size=80))
def test_any_text_is_a_carrier_or_none(text: str) -> None:
    """Total; and no code is found in what names none."""
    found = read_carrier(text)
    assert found is None or found.suffix
    codes = Codes(Lot(f"{PREFIX}/L1", 1), [Code(0, f"{PREFIX}/L1ABCDEFGHJK", Kind.UNIT, None, None)])
    assert codes.find(text) is None or "L1ABCDEFGHJK" in text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", None), ("/", None), ("]d2", None), (f"01{0:014}", None), (f"01{0:014}21", None), ("(21)", None),
        (f"01{0:014}10X21Y", None), (f"{BASE}/01/{0:014}", None), (f"{BASE}/01/{0:014}/10/X", None),
        ("a/b/c", Carried("b", "c")), ("c", Carried("", "c")), (f"01{0:014}21Y10X", Carried("", "Y10X")),
    ],
)  # fmt: skip
def test_what_carries_no_code(text: str, found: Carried | None) -> None:
    """An element that is missing, empty, or hidden in another one."""
    assert read_carrier(text) == found
