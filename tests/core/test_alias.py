"""Aliases: each kind's values as they are compared, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.errors import IdentifierError
from core.ident.alias import Alias, AliasKind, gtin14, make_alias, parse_alias
from core.ident.gs1 import check_digit
from tests.kit.gs1_links import values

GTIN = "06901234567892"

WRITTEN = {
    "gtin:6901234567892": f"gtin:{GTIN}",
    "GTIN:96385074": "gtin:00000096385074",
    " gtin : 036000291452 ": "gtin:00036000291452",
    f"gtin+lot:{GTIN}/L20261121": f"gtin+lot:{GTIN}/L20261121",
    "gtin+lot:6901234567892/a/b:c": f"gtin+lot:{GTIN}/a/b:c",
    "gtin+serial:6901234567892/A7K2m9": f"gtin+serial:{GTIN}/A7K2m9",
    "sscc:069012345000000011": "sscc:069012345000000011",
    "gln:6901234567892": "gln:6901234567892",
    "oid:urn:oid:1.2.156.99999.7": "oid:1.2.156.99999.7",
    "ecode:1 0064-ab.cd": "ecode:10064ABCD",
    "bid:zu7f:efAsXwyKqbQGxkK3": "bid:did:bid:zu7f:efAsXwyKqbQGxkK3",
    "bid:did:bid:ef24NBA7au": "bid:did:bid:ef24NBA7au",
    "vaa:vaa12ab": "vaa:VAA12AB",
}


@pytest.mark.parametrize("text", WRITTEN)
def test_an_alias_is_read_as_it_is_compared(text: str) -> None:
    """Zeros in front, separators dropped, capitals; and read again it is the same."""
    alias = parse_alias(text)
    assert str(alias) == WRITTEN[text]
    assert parse_alias(str(alias)) == alias


@pytest.mark.parametrize(
    "text",
    [
        "", "gtin", ":", "gtin:", "gtin: ", "isbn:6901234567892", "gtin+lot+serial:1", "gtin6901234567892",
        "gtin:6901234567893", "gtin:690123456789", "gtin:069012345678920", "gtin:69012345678９2", "gtin:690123456789x",
        "gtin+lot:6901234567892", "gtin+lot:6901234567892/", "gtin+lot:6901234567893/L1", "gtin+lot:/L1",
        f"gtin+lot:{GTIN}/{'A' * 21}", f"gtin+lot:{GTIN}/盐", f"gtin+serial:{GTIN}/a b", f"gtin+serial:{GTIN}/a%b#",
        "sscc:069012345000000017", "sscc:69012345000000011", "gln:6901234567893", f"gln:{GTIN}",
        "oid:1", "oid:1.02", "oid:3.1",
        "ecode:12345", "ecode:1234_6", "ecode:" + "1" * 65, "ecode:ß12345", "ecode:ı12345", "ecode:１２３４５６",
        "bid:x", "bid:did:web:example", "bid:DID:BID:ef24NBA7au", "bid:did:bid:zu7:ef24NBA7au:x", "bid:did:bid:盐盐",
        "vaa:12", "vaa:VAA", "vaa:VAA_1", "vaa:vaaß", "vaa:" + "VAA" + "1" * 62,
        "gtin:" + "1" * (limits.ALIAS_CHARS_MAX + 1), "gtin:\ud800", "oid:\ud800",
    ],
)  # fmt: skip
def test_what_is_no_alias_is_refused(text: str) -> None:
    """Wrong kinds, digits, lengths, characters; letters that only become ASCII as capitals. In both languages."""
    with pytest.raises(IdentifierError) as error:
        parse_alias(text)
    assert error.value.message.isprintable()
    assert not error.value.message.isascii()


@given(st.sampled_from(AliasKind), st.text(max_size=140) | st.text("0123456789/.-:VAabcdid", max_size=40))
def test_any_text_is_an_alias_or_is_refused(kind: AliasKind, text: str) -> None:
    """Nothing but IdentifierError; what comes out is written, read and made again as it is."""
    for read in (
        lambda: make_alias(kind, text),
        lambda: parse_alias(text),
        lambda: parse_alias(f"{kind.value}:{text}"),
    ):
        try:
            alias = read()
        except IdentifierError:
            continue
        assert parse_alias(str(alias)) == alias
        assert make_alias(*alias) == alias
        assert len(alias.value) <= limits.ALIAS_CHARS_MAX
        assert alias.value.isascii()


@given(st.text("0123456789", min_size=7, max_size=7), values("10"), values("21"))
def test_every_gtin_with_any_lot_or_serial_is_an_alias(body: str, lot: str, serial: str) -> None:
    """GTIN-8 with zeros in front is the same alias."""
    gtin = body + check_digit(body)
    padded = gtin.zfill(14)
    assert gtin14(gtin) == padded
    for kind, rest in ((AliasKind.GTIN_LOT, lot), (AliasKind.GTIN_SERIAL, serial)):
        assert make_alias(kind, f"{gtin}/{rest}") == Alias(kind, f"{padded}/{rest}")


def test_a_wrong_gtin_says_which_digit_would_be_right() -> None:
    """And that it is a GTIN."""
    with pytest.raises(IdentifierError, match=r"GTIN 的校验码不符.*应为 2.*2 is right"):
        gtin14("6901234567890")
