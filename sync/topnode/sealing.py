"""How rows with personal data lie in the top node's store: AES-256-GCM, bound to the key that they are put under."""

from __future__ import annotations

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.errors import SealError

_NONCE: Final = 12
_BOUND: Final = b"saltern topnode 1"


def seal(cipher: AESGCM, place: bytes, row: bytes) -> bytes:
    """Return a row sealed: 12 octets nonce, ciphertext, 16 octets tag. ``place``: its key in the store."""
    nonce = os.urandom(_NONCE)
    return nonce + cipher.encrypt(nonce, row, _BOUND + place)


def unseal(cipher: AESGCM, place: bytes, sealed: bytes) -> bytes:
    """Return a row. Errors: SealError where it was altered, put elsewhere, or sealed by another key."""
    try:
        return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], _BOUND + place)
    except (InvalidTag, ValueError):
        raise SealError(
            "数据无法解密：已被改动，或密钥不对。A sealed row does not open: altered, or another key"
        ) from None
