"""Challenges: a request that waits for proof of who sent it.

Row of the run store: octet 1, then msgpack [nonce, message, version major, minor,
session id of the request, MAC right]. A challenge is answered once, and within
CHALLENGE_S. Source: RFC 3652 §3.5.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgpack

from core.errors import StoreError
from core.wire.codepoints import Version

_VERSION: Final = b"\x01"


class Challenge(NamedTuple):
    """One challenge. ``message``: the request, clear, without its envelope.

    ``mac_right``: the request carried the MAC of its session; outside a session true.
    """

    nonce: bytes
    message: bytes
    version: Version
    session_id: int = 0
    mac_right: bool = True


def pack_challenge(challenge: Challenge) -> bytes:
    """Return the row of a challenge."""
    row: bytes = msgpack.packb(
        (
            challenge.nonce, challenge.message, challenge.version.major, challenge.version.minor,
            challenge.session_id, challenge.mac_right,
        )
    )  # fmt: skip
    return _VERSION + row


def unpack_challenge(row: bytes) -> Challenge:
    """Read the row of a challenge. Errors: StoreError."""
    try:
        if row[:1] != _VERSION:
            raise ValueError(f"version {row[:1]!r}")
        nonce, message, major, minor, session_id, mac_right = msgpack.unpackb(row[1:])
        return Challenge(nonce, message, Version(major, minor), session_id, mac_right)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise StoreError(f"a challenge cannot be read: {error}") from None
