"""Data of HS_SIGNATURE and HS_CERT values: a JWS in compact serialisation.

    base64url(header) "." base64url(payload) "." base64url(signature)

The three parts are kept as octets, so nothing that a signature covers is written
anew; who reads the claims parses ``payload``. Source: RFC 7515 §7.1.
"""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple

from core.errors import WireError


class Jws(NamedTuple):
    """The three parts, decoded."""

    header: bytes
    payload: bytes
    signature: bytes


def encode_jws(jws: Jws) -> bytes:
    """Return the compact serialisation, in ASCII."""
    return b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in jws)


def decode_jws(data: bytes) -> Jws:
    """Read a compact serialisation. Errors: WireError, also for base64url that is not canonical."""
    parts = data.split(b".")
    if len(parts) != 3:
        raise WireError(f"a JWS has three parts divided by '.', this has {len(parts)}")
    try:
        jws = Jws(*(base64.b64decode(part + b"=" * (-len(part) % 4), b"-_", validate=True) for part in parts))
    except binascii.Error as error:
        raise WireError(f"a part of the JWS is no base64url: {error}") from None
    if encode_jws(jws) != data:
        raise WireError("a part of the JWS is not canonical base64url")
    return jws
