"""Rows of version 1 as most tables have them: the octet 1, then msgpack of an array."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgpack

from core.errors import StoreError

T = TypeVar("T")

VERSION: Final = b"\x01"
_CAUSES: Final = (ValueError, TypeError, KeyError, AttributeError, RecursionError, msgpack.UnpackException)


def pack_versioned(members: tuple[Any, ...]) -> bytes:
    """Return a row."""
    packed: bytes = msgpack.packb(members)
    return VERSION + packed


def read_versioned(row: bytes, what: str, read: Callable[[Any], T]) -> T:
    """Read a row. ``what``: it is called in the error. ``read`` may raise what ``_CAUSES`` has. Errors: StoreError."""
    try:
        if row[:1] != VERSION:
            raise ValueError(f"version {row[:1]!r}")
        return read(msgpack.unpackb(row[1:]))
    except _CAUSES as error:
        raise StoreError(f"{what} cannot be read: {error}") from None
