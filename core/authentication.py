"""Proof of identity by secret key: HTTP Basic over the HS_SECKEY values of the store.

Source: the reference server's JSON interface; RFC 7617. The user is the identity
``INDEX:HANDLE``, percent-encoded since it holds a colon; the password is the
secret. Comparison takes the same time whatever is wrong.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from typing import Final, NamedTuple
from urllib.parse import unquote

from core import limits
from core.admission import Identity, Records, parse_identity
from core.errors import WireError
from core.wire.valuetypes import HS_SECKEY

_NOBODY: Final = secrets.token_bytes(32)
"""Compared with where there is no key, so that both cases take one comparison."""


class Credentials(NamedTuple):
    """Who somebody says to be, and the secret that is to prove it."""

    identity: Identity
    secret: bytes

    def __repr__(self) -> str:
        return f"Credentials({self.identity!r}, secret=…)"


def parse_basic(header: str) -> Credentials | None:
    """Read an ``Authorization: Basic`` header; None if it cannot be read.

    Shape: base64 of ``percent-encoded(INDEX:HANDLE) ":" secret``, UTF-8.
    Bounds: SECRET_BYTES_MAX.
    """
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, secret = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        identity = parse_identity(unquote(user.decode(), errors="strict"))
    except (binascii.Error, UnicodeError, ValueError, WireError):
        return None
    if not colon or len(secret) > limits.SECRET_BYTES_MAX:
        return None
    return Credentials(identity, secret)


def proves(credentials: Credentials, records: Records) -> bool:
    """Whether the secret is that of the HS_SECKEY value that the identity names."""
    expected = _NOBODY
    for value in records.load(records.key(credentials.identity.handle)) or ():
        if value.value_index == credentials.identity.value_index and value.type == HS_SECKEY and value.data:
            expected = value.data
    return hmac.compare_digest(expected, credentials.secret)
