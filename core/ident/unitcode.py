"""Unit codes: the serial that follows a lot's code, made of an index and read back without a store.

Serial: 10 characters of ALPHABET, most significant first: 50 bits.

    bit 49 … 20   tag:  the first 30 bits of AES_k(block 0, index)
    bit 19 …  0   the index, XORed with the first 20 bits of AES_k(block 1, tag)

    block   0  1  which one: 0, 1; 2 for the value that a key is checked by
            1 11  zero
           12  4  index or tag, big-endian

k, 16 octets, is the lot's own: HKDF-SHA256 (RFC 5869) of the node's master key, without salt, over
``saltern unit code 1``, then prefix and lot code, each behind its length (4 octets), and the key's id (4 octets).

A serial shows neither order nor volume, two indexes never share one, and a guess hits with the probability
2**-30 times the indexes issued. Source: design §2; docs/explanation/unit-codes.md has the argument.
"""

from __future__ import annotations

import hmac
import re
import struct
from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

ALPHABET: Final = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""32 characters: digits and capital letters without 0, 1, I and O, which are taken for one another."""

SCHEME: Final = 1
"""The scheme that this module is; a lot keeps the number of the one that it was made with."""

SERIAL_CHARS: Final = 10
LOT_CODE_CHARS_MAX: Final = 10  # so that the whole suffix is an AI 21 value: 20 characters (GS1 General Specifications)
INDEXES_MAX: Final = 1 << 20
LOT_KEY_BYTES: Final = 16
CHECK_BYTES: Final = 4

_LOT_CODE: Final = re.compile(rb"[A-Z0-9-]{1,10}")
_PURPOSE: Final = b"saltern unit code 1"
_INDEX_BITS: Final = 20
_INDEX_MASK: Final = INDEXES_MAX - 1
_TAG_MASK: Final = (1 << 30) - 1
_BASE32: Final = b"0123456789abcdefghijklmnopqrstuv"  # what int() reads
_READ: Final = bytes(_BASE32[ALPHABET.index(octet)] if octet in ALPHABET else ord("!") for octet in range(256))
_PAIRS: Final = [bytes((high, low)) for high in ALPHABET for low in ALPHABET]  # 10 bits each
_BULK: Final = 8_192  # blocks encrypted by one call: 128 KiB
_MASK_BLOCK: Final = 1 << 120  # block 1 as a number
_HIGH: Final = _MASK_BLOCK >> 64


def is_lot_code(code: bytes) -> bool:
    """Whether it can be the code of a lot: 1 to 10 of A-Z, 0-9 and "-"."""
    return _LOT_CODE.fullmatch(code) is not None


def derive_lot_key(master: bytes, prefix: bytes, lot_code: bytes, key_id: int) -> bytes:
    """Return a lot's key, LOT_KEY_BYTES octets. ``prefix``, ``lot_code``: folded. ``master``: 32 octets."""
    named = b"".join(struct.pack(">I", len(part)) + part for part in (prefix, lot_code))
    info = _PURPOSE + named + struct.pack(">I", key_id)
    return HKDF(SHA256(), LOT_KEY_BYTES, None, info).derive(master)


class UnitCodes:
    """The serials of one lot. Cost: one microsecond a serial, and less in bulk; keeps one encryptor."""

    __slots__ = ("encrypt",)

    def __init__(self, lot_key: bytes) -> None:
        """Take the lot's key. Errors: ValueError for one that has not LOT_KEY_BYTES octets."""
        if len(lot_key) != LOT_KEY_BYTES:
            raise ValueError(f"a lot key of {len(lot_key)} octets")
        # One block at a time, each on its own: a permutation of blocks is what the scheme is made of, not a mode.
        self.encrypt = Cipher(AES(lot_key), ECB()).encryptor().update  # noqa: S305

    def serial(self, index: int) -> bytes:
        """Return the serial of an index, SERIAL_CHARS octets of ASCII. Errors: ValueError beyond INDEXES_MAX."""
        if not 0 <= index < INDEXES_MAX:
            raise ValueError(f"index {index}")
        encrypt = self.encrypt
        tag = int.from_bytes(encrypt(index.to_bytes(16, "big"))[:4], "big") >> 2
        mask = int.from_bytes(encrypt((_MASK_BLOCK | tag).to_bytes(16, "big"))[:3], "big") >> 4
        low = index ^ mask
        return (
            _PAIRS[tag >> 20] + _PAIRS[tag >> 10 & 1023] + _PAIRS[tag & 1023] + _PAIRS[low >> 10] + _PAIRS[low & 1023]
        )

    def check_value(self) -> bytes:
        """Return CHECK_BYTES octets by which a key is known again: AES_k(block 2, zero), cut. It opens nothing."""
        return self.encrypt((2 << 120).to_bytes(16, "big"))[:CHECK_BYTES]

    def serials(self, start: int, count: int) -> list[bytes]:
        """Return the serials of ``count`` indexes from ``start`` on. Errors: ValueError beyond INDEXES_MAX."""
        if count < 0 or not 0 <= start <= INDEXES_MAX - count:
            raise ValueError(f"{count} indexes from {start} on")
        found: list[bytes] = []
        for at in range(start, start + count, _BULK):
            found += self._bulk(at, min(_BULK, start + count - at))
        return found

    def index(self, serial: bytes) -> int | None:
        """Return the index of a serial, None for one that was never made with this key. Total on any octets.

        The tag is compared in constant time. The caller looks whether the lot has so many indexes.
        """
        if len(serial) != SERIAL_CHARS:
            return None
        try:
            code = int(serial.translate(_READ), 32)
        except ValueError:
            return None
        tag = code >> _INDEX_BITS
        encrypt = self.encrypt
        mask = int.from_bytes(encrypt((_MASK_BLOCK | tag).to_bytes(16, "big"))[:3], "big") >> 4
        index = (code & _INDEX_MASK) ^ mask
        made = int.from_bytes(encrypt(index.to_bytes(16, "big"))[:4], "big") >> 2
        return index if hmac.compare_digest(made.to_bytes(4, "big"), tag.to_bytes(4, "big")) else None

    def _bulk(self, start: int, count: int) -> list[bytes]:
        indexes = range(start, start + count)
        heads = struct.Struct(f">{4 * count}I")
        blocks = struct.Struct(f">{2 * count}Q")
        numbers = [0] * (2 * count)
        numbers[1::2] = indexes
        tags = [head >> 2 for head in heads.unpack(self.encrypt(blocks.pack(*numbers)))[::4]]
        numbers = [_HIGH] * (2 * count)
        numbers[1::2] = tags
        masks = heads.unpack(self.encrypt(blocks.pack(*numbers)))[::4]
        pairs = _PAIRS
        return [
            pairs[tag >> 20] + pairs[tag >> 10 & 1023] + pairs[tag & 1023] + pairs[low >> 10] + pairs[low & 1023]
            for tag, low in zip(
                tags, [mask >> 12 ^ index for mask, index in zip(masks, indexes, strict=True)], strict=True
            )
        ]


def case_of(
    encrypt: Callable[[bytes], bytes], serial: bytes, low: int, high: int, cases: tuple[int, int]
) -> bytes | None:
    """Return the serial of the case that a unit is in by rule; None for what is no serial of an index in low … high-1.

    The same as ``index``, a division and ``serial``, at two thirds of their cost. ``encrypt``: of the lot's UnitCodes.
    ``serial``: SERIAL_CHARS octets of any kind. ``cases``: index of the first one, and how many units each holds.
    """
    try:
        code = int(serial.translate(_READ), 32)
    except ValueError:
        return None
    number = int.from_bytes
    tag = code >> _INDEX_BITS
    index = (code & _INDEX_MASK) ^ (number(encrypt((_MASK_BLOCK | tag).to_bytes(16, "big")), "big") >> 108)
    if not low <= index < high:
        return None
    case = cases[0] + index // cases[1]
    made = number(encrypt((index << 128 | case).to_bytes(32, "big")), "big")
    if not hmac.compare_digest((made >> 226).to_bytes(4, "big"), tag.to_bytes(4, "big")):
        return None
    tag = made >> 98 & _TAG_MASK
    low = case ^ (number(encrypt((_MASK_BLOCK | tag).to_bytes(16, "big")), "big") >> 108)
    return _PAIRS[tag >> 20] + _PAIRS[tag >> 10 & 1023] + _PAIRS[tag & 1023] + _PAIRS[low >> 10] + _PAIRS[low & 1023]
