"""Digests by which both sides compare: of items that travel, and of rows that lie in a range of keys.

items_digest  SHA-256 of the octets of the items as they travel (``sync/form.py``)
row_digest    SHA-256 of a row
RowsDigest    SHA-256 over the rows of a range in the order of their keys, each as
              length of the key (2 octets, big-endian), key, row_digest
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import msgpack

_sha256 = hashlib.sha256


def items_digest(items: Sequence[Any]) -> bytes:
    """Return the digest of items, 32 octets."""
    return _sha256(msgpack.packb(items)).digest()


def row_digest(row: bytes) -> bytes:
    """Return the digest of a row, 32 octets."""
    return _sha256(row).digest()


class RowsDigest:
    """The digest of a range of rows, one row after the other."""

    def __init__(self) -> None:
        self._digest = _sha256()
        self.rows = 0

    def add(self, key: bytes, row: bytes) -> None:
        """Add the next row."""
        self._digest.update(len(key).to_bytes(2, "big") + key + _sha256(row).digest())
        self.rows += 1

    def digest(self) -> bytes:
        """Return the digest of what was added, 32 octets."""
        return self._digest.digest()
