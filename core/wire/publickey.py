"""Data of HS_PUBKEY values, and the keys inside site information.

    offset  width  field
    0       bstr   kind: RSA_PUB_KEY, DSA_PUB_KEY, DH_PUB_KEY, or another
            2      flags, 0
            bstr…  RSA: exponent, modulus, then four zero octets that older
                   writers leave out; DSA: q, p, g, y; DH: y, p, g

Source: the layout of the reference server.
"""

from __future__ import annotations

from typing import Final

from core.errors import WireError
from core.records import DhKey, DsaKey, OtherKey, PublicKey, RsaKey
from core.wire.cursor import Cursor, integer, text

_FLAGS: Final = b"\0\0"
_SPARE: Final = b"\0\0\0\0"


def encode_public_key(key: PublicKey) -> bytes:
    """Return the octets of a public key."""
    match key:
        case RsaKey():
            return text("RSA_PUB_KEY") + _FLAGS + integer(key.exponent) + integer(key.modulus) + _SPARE
        case DsaKey():
            return text("DSA_PUB_KEY") + _FLAGS + b"".join(map(integer, key))
        case DhKey():
            return text("DH_PUB_KEY") + _FLAGS + b"".join(map(integer, key))
        case OtherKey():
            return text(key.kind) + _FLAGS + key.data


def decode_public_key(data: bytes) -> PublicKey:
    """Read a public key. Errors: WireError."""
    cursor = Cursor(data)
    kind = cursor.text()
    if cursor.octets(2) != _FLAGS:
        raise WireError("a public key with flags that nobody knows")
    key: PublicKey
    match kind:
        case "RSA_PUB_KEY":
            exponent, modulus = cursor.integer(), cursor.integer()
            key = RsaKey(modulus, exponent)
            if cursor.left and cursor.octets(len(_SPARE)) != _SPARE:
                raise WireError("an RSA key with octets behind it")
        case "DSA_PUB_KEY":
            key = DsaKey(cursor.integer(), cursor.integer(), cursor.integer(), cursor.integer())
        case "DH_PUB_KEY":
            key = DhKey(cursor.integer(), cursor.integer(), cursor.integer())
        case _:
            key = OtherKey(kind, cursor.rest())
    cursor.end()
    return key
