"""Rows of the tables TOKENS and TOKEN_TIMES: idempotency tokens, kept 30 days.

TOKENS       key  32  SHA-256 of who asked and the token
             row   1  version (1), then msgpack [body digest, at_ms, answer]
TOKEN_TIMES  key  40  at_ms, eight octets, then the key in TOKENS
             row   1  version (1)
"""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

import msgpack

from core.clock import Millis
from core.errors import StoreError

_VERSION: Final = b"\x01"


class TokenRow(NamedTuple):
    """What a token was first used for, and the answer that it got."""

    body_digest: bytes
    at_ms: Millis
    answer: bytes


def token_key(asked_by: str, token: str) -> bytes:
    """Return the key in TOKENS. Two who ask never share a token."""
    return hashlib.sha256(f"{asked_by}\0{token}".encode()).digest()


def time_key(at_ms: int, key: bytes = b"") -> bytes:
    """Return the key in TOKEN_TIMES; without ``key`` the start of a time's range."""
    return at_ms.to_bytes(8, "big") + key


def pack_token(row: TokenRow) -> bytes:
    """Return the row of a token."""
    packed: bytes = msgpack.packb(tuple(row))
    return _VERSION + packed


def unpack_token(row: bytes) -> TokenRow:
    """Read the row of a token. Errors: StoreError if it cannot be read."""
    try:
        if row[:1] != _VERSION:
            raise ValueError(f"version {row[:1]!r}")
        token = TokenRow(*msgpack.unpackb(row[1:]))
        time_key(token.at_ms)  # a time that a key can hold
        return token
    except (ValueError, TypeError, AttributeError, OverflowError, msgpack.UnpackException) as error:
        raise StoreError(f"a row of tokens cannot be read: {error}") from None


TIME_ROW: Final = _VERSION
