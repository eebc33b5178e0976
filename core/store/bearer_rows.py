"""Rows of the table BEARERS: bearer tokens, keyed by their id, ASCII.

0  1  version (1)
1     msgpack map: digest, role, party, holder, issued_ms, expires_ms, revoked_ms, issuer

A token reads ``saltern_<id>_<secret>``. The secret has 256 random bits, so its SHA-256 needs no
salt; it is shown once and stored nowhere.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final, NamedTuple

import msgpack

from core.clock import Millis, read_millis
from core.errors import StoreError
from core.who import Role, Who, unpack_who

_VERSION: Final = b"\x01"
_DIGEST_BYTES: Final = 32
_FORM: Final = re.compile(r"saltern_([0-9a-f]{12})_([A-Za-z0-9_-]{43})", re.ASCII)


class Bearer(NamedTuple):
    """A bearer token as it is stored. ``revoked_ms``: 0 while it is not. ``party``: of an enterprise."""

    digest: bytes
    role: Role
    party: str
    holder: str
    issued_ms: Millis
    expires_ms: Millis
    revoked_ms: Millis
    issuer: Who

    def lives(self, now_ms: Millis) -> bool:
        """Whether it is neither revoked nor expired."""
        return not self.revoked_ms and now_ms < self.expires_ms


class Presented(NamedTuple):
    """A token as somebody sent it."""

    name: str
    digest: bytes


def format_bearer(name: str, secret: str) -> str:
    """Return the text of a token. Shape: id of 12 hexadecimal digits, secret of 43 characters of base64url."""
    return f"saltern_{name}_{secret}"


def parse_bearer(text: str) -> Presented | None:
    """Read the text of a token, None if it is none."""
    match = _FORM.fullmatch(text)
    return None if match is None else Presented(match[1], hashlib.sha256(match[2].encode()).digest())


def proves(presented: Presented, bearer: Bearer | None, now_ms: Millis) -> bool:
    """Whether the token is the stored one and lives. Takes the same time whatever is wrong."""
    same = hmac.compare_digest(presented.digest, bearer.digest if bearer else bytes(_DIGEST_BYTES))
    return same and bearer is not None and bearer.lives(now_ms)


def pack_bearer(bearer: Bearer) -> bytes:
    """Return the row of a bearer token."""
    row: bytes = msgpack.packb(bearer._asdict() | {"role": bearer.role.value})
    return _VERSION + row


def unpack_bearer(row: bytes) -> Bearer:
    """Read the row of a bearer token. Errors: StoreError if it cannot be read."""
    try:
        if row[:1] != _VERSION:
            raise ValueError(f"version {row[:1]!r}")
        bearer = Bearer(**msgpack.unpackb(row[1:]))
        if not (isinstance(bearer.digest, bytes) and len(bearer.digest) == _DIGEST_BYTES):
            raise ValueError("digest")
        if not (isinstance(bearer.party, str) and isinstance(bearer.holder, str)):
            raise ValueError("party or holder")
        for each in (bearer.issued_ms, bearer.expires_ms, bearer.revoked_ms):
            read_millis(each)
        return bearer._replace(role=Role(bearer.role), issuer=unpack_who(bearer.issuer))
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise StoreError(f"a row of bearers cannot be read: {error}") from None
