"""The vectors of unit codes: the module, another implementation beside it, and the page that shows them.

The other one is written from the page alone: HKDF by hmac (RFC 5869), AES a block at a time, digits one by one. Where
the scheme has to change, it gets another number, and these vectors stay.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from core.ident.handle import HandleRules
from core.ident.unitcode import ALPHABET, INDEXES_MAX, SCHEME, UnitCodes, derive_lot_key
from core.lots import Packaging
from core.store.lot_rows import lot_of_unit

ROOT = Path(__file__).parent.parent.parent
VECTORS: Any = json.loads((ROOT / "tests" / "vectors" / "unit-codes.json").read_text("utf-8"))
PAGE = (ROOT / "docs" / "reference" / "unit-codes.md").read_text("utf-8")
LOTS = {lot["name"]: lot for lot in VECTORS["lots"]}
MASTERS = {each["name"]: bytes.fromhex(each["hex"]) for each in VECTORS["masters"]}
CHARACTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
every_lot = pytest.mark.parametrize("lot", LOTS.values(), ids=LOTS)


class Parts(NamedTuple):
    """What a serial is made of."""

    tag: int
    mask: int
    serial: str


def plain_lot_key(master: bytes, prefix: str, code: str, key_id: int) -> bytes:
    """HKDF-SHA256, extract and expand; one block of output is more than the 16 octets."""
    info = b"saltern unit code 1"
    for part in (prefix.encode(), code.encode()):
        info += len(part).to_bytes(4, "big") + part
    info += key_id.to_bytes(4, "big")
    extracted = hmac.digest(bytes(hashlib.sha256().digest_size), master, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")[:16]


def plain_bits(key: bytes, block: int, number: int, bits: int) -> int:
    """The first bits of one block, encrypted by itself."""
    clear = bytes([block]) + bytes(11) + number.to_bytes(4, "big")
    encryptor = Cipher(AES(key), ECB()).encryptor()
    return int.from_bytes(encryptor.update(clear) + encryptor.finalize(), "big") >> (128 - bits)


def plain_parts(key: bytes, index: int) -> Parts:
    tag = plain_bits(key, 0, index, 30)
    mask = plain_bits(key, 1, tag, 20)
    code = tag << 20 | index ^ mask
    return Parts(tag, mask, "".join(CHARACTERS[code >> 5 * at & 31] for at in range(9, -1, -1)))


def plain_index(key: bytes, serial: str) -> int | None:
    if len(serial) != 10 or any(character not in CHARACTERS for character in serial):
        return None
    code = 0
    for character in serial:
        code = code * 32 + CHARACTERS.index(character)
    tag = code >> 20
    index = code % 2**20 ^ plain_bits(key, 1, tag, 20)
    return index if plain_bits(key, 0, index, 30) == tag else None


def key_of(lot: dict[str, Any]) -> bytes:
    return derive_lot_key(MASTERS[lot["master"]], lot["prefix"].encode(), lot["code"].encode(), lot["key_id"])


def packaging_of(lot: dict[str, Any]) -> Packaging:
    return Packaging(lot["count"], lot["units_per_case"], lot["cases_per_pallet"])


def said_of(lot: dict[str, Any], index: int) -> str:
    """Return what an index is in a lot."""
    packaging = packaging_of(lot)
    return packaging.level(index).word if index < packaging.total else "none"


@every_lot
def test_the_key_of_a_lot(lot: dict[str, Any]) -> None:
    """By the module, by hand, and as it stands there."""
    made = key_of(lot)
    assert made.hex() == lot["lot_key"]
    assert made == plain_lot_key(MASTERS[lot["master"]], lot["prefix"], lot["code"], lot["key_id"])


@every_lot
def test_each_code_of_a_lot(lot: dict[str, Any]) -> None:
    """There and back: index, tag, mask, serial, identifier."""
    key = key_of(lot)
    codes = UnitCodes(key)
    for each in lot["codes"]:
        index, serial = each["index"], each["serial"]
        parts = plain_parts(key, index)
        assert (f"{parts.tag:08x}", f"{parts.mask:05x}", parts.serial) == (each["tag"], each["mask"], serial)
        assert codes.serial(index) == serial.encode()
        assert codes.serials(index, 1) == [serial.encode()]
        assert codes.index(serial.encode()) == plain_index(key, serial) == index
        assert each["kind"] == said_of(lot, index)
        assert each["identifier"] == f"{lot['prefix']}/{lot['code']}{serial}"
        assert lot_of_unit(HandleRules().key(each["identifier"])).decode() == f"{lot['prefix']}/{lot['code']}"


@pytest.mark.parametrize("case", VECTORS["invalid"], ids=lambda case: case["reason"])
def test_what_is_no_code_of_a_lot(case: dict[str, Any]) -> None:
    """Neither implementation takes it; or it is an index that the lot has not."""
    lot = LOTS[case["lot"]]
    key = key_of(lot)
    serial = case["serial"]
    index = UnitCodes(key).index(serial.encode())
    assert index == plain_index(key, serial) == case["index"]
    assert index is None or index >= packaging_of(lot).total


def test_codes_of_equal_tag_differ_as_their_indexes_do() -> None:
    """They share the mask, so that the XOR of the serials is that of the indexes."""
    equal = VECTORS["equal_tags"]
    key = key_of(LOTS[equal["lot"]])
    one, two = (plain_parts(key, index) for index in equal["indexes"])
    assert (one.tag, one.mask) == (two.tag, two.mask)
    assert one.serial != two.serial
    assert one.serial[:6] == two.serial[:6]


def test_the_vectors_reach_the_edges() -> None:
    """Two master keys, three lots, the first and the last index, each kind, each reason once."""
    assert {lot["scheme"] for lot in LOTS.values()} == {SCHEME}
    assert len(MASTERS) >= 2
    assert len(LOTS) >= 3
    indexes = {code["index"] for lot in LOTS.values() for code in lot["codes"]}
    assert {0, 1, INDEXES_MAX - 1} <= indexes
    assert {code["kind"] for lot in LOTS.values() for code in lot["codes"]} == {"unit", "case", "pallet", "none"}
    reasons = [case["reason"] for case in VECTORS["invalid"]]
    assert len(set(reasons)) == len(reasons)
    assert ALPHABET.decode() == CHARACTERS


def rows_of_the_page() -> list[tuple[str, ...]]:
    """Return the cells of all tables of the page, without the marks of code."""
    return [
        tuple(cell.strip().strip("`") for cell in line.strip("|").split("|"))
        for line in PAGE.splitlines()
        if line.startswith("|")
    ]


def test_the_page_shows_the_vectors_and_no_others() -> None:
    """Each vector is a row; and each row of a table of vectors is one of them."""
    rows = rows_of_the_page()
    codes = {
        (lot["name"], str(code["index"]), code["kind"], code["tag"], code["mask"], code["serial"], code["identifier"])
        for lot in LOTS.values()
        for code in lot["codes"]
    }
    keys = {
        (
            lot["name"], lot["master"], str(lot["key_id"]), lot["prefix"], lot["code"],
            "/".join(str(lot[name]) for name in ("count", "units_per_case", "cases_per_pallet")), lot["lot_key"],
            lot["check"],
        )
        for lot in LOTS.values()
    }  # fmt: skip
    named = {row for row in rows if len(row) in (7, 8) and row[0] in LOTS}
    assert named == codes | keys
    assert {row for row in rows if len(row) == 2 and row[0] in MASTERS} == {
        (name, key.hex()) for name, key in MASTERS.items()
    }
    invalid = {
        (case["lot"], case["serial"], case["reason"], "–" if case["index"] is None else str(case["index"]))
        for case in VECTORS["invalid"]
    }
    assert {row for row in rows if len(row) == 4 and row[0] in LOTS} == invalid


@every_lot
def test_check_values(lot: Any) -> None:
    """By which a lot knows its key again; the page shows them."""
    key = bytes.fromhex(lot["lot_key"])
    assert f"{plain_bits(key, 2, 0, 32):08x}" == lot["check"] == UnitCodes(key).check_value().hex()
    assert f"| `{lot['lot_key']}` | `{lot['check']}` |" in PAGE
