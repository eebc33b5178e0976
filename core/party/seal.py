"""Identity fields at rest: each sealed by AES-256-GCM, bound to its party and its field.

```
 0   1  version (1)
 1   4  key id
 5  12  nonce
17   n  ciphertext, as long as the text in UTF-8
17+n 16  tag
```
Associated data: "saltern party", the first five octets above, then party and field, each as a
bstr. So a sealed value opens only where it was sealed: moved to another party or field it is
as good as altered. Its length shows how long the text is, and nothing else.

The nonce is the caller's: 12 octets of a random source, new for every sealing. With random
nonces one key seals 2**32 values and no more (NIST SP 800-38D §8.3).
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.errors import LimitError, SealError
from core.keyring import KEY_BYTES, KEY_ID_MAX, KeyRing
from core.limits import SEALED_BYTES_MAX

NONCE_BYTES: Final = 12

_VERSION: Final = b"\x01"
_TAG_BYTES: Final = 16
_HEAD_BYTES: Final = 5
_TEXT_AT: Final = _HEAD_BYTES + NONCE_BYTES
_PURPOSE: Final = b"saltern party"


def seal(ring: KeyRing, nonce: bytes, party_id: str, field: str, text: str) -> bytes:
    """Seal a text under the current key.

    Errors: ValueError for a key, key id, nonce or text that no caller may pass; LimitError
    if the text is too long.
    """
    if len(nonce) != NONCE_BYTES:
        raise ValueError(f"a nonce of {len(nonce)} octets")
    plain = text.encode()
    if len(plain) > SEALED_BYTES_MAX - _TEXT_AT - _TAG_BYTES:
        raise LimitError(f"a text of {len(plain)} octets is too long to be sealed", field=field)
    head = _VERSION + _key_id(ring.current)
    return head + nonce + _cipher(ring.keys[ring.current]).encrypt(nonce, plain, _bound_to(head, party_id, field))


def unseal(ring: KeyRing, sealed: bytes, party_id: str, field: str) -> str:
    """Open a sealed text.

    Errors: SealError if it was altered or cut, was sealed for another party or field, or under
    a key that is not on the ring.
    """
    if not _TEXT_AT + _TAG_BYTES <= len(sealed) <= SEALED_BYTES_MAX or sealed[:1] != _VERSION:
        raise SealError("a sealed field cannot be read: not of our form", field=field)
    key = ring.keys.get(key_id_of(sealed))
    if key is None:
        raise SealError("a sealed field cannot be read: its key is not on the ring", field=field)
    head, nonce = sealed[:_HEAD_BYTES], sealed[_HEAD_BYTES:_TEXT_AT]
    try:
        return _cipher(key).decrypt(nonce, sealed[_TEXT_AT:], _bound_to(head, party_id, field)).decode()
    except (InvalidTag, UnicodeDecodeError):
        raise SealError("a sealed field cannot be read: altered, or of another party or field", field=field) from None


def reseal(ring: KeyRing, nonce: bytes, party_id: str, field: str, sealed: bytes) -> bytes:
    """Open a sealed text and seal it under the current key. Errors: see ``seal`` and ``unseal``."""
    return seal(ring, nonce, party_id, field, unseal(ring, sealed, party_id, field))


def key_id_of(sealed: bytes) -> int:
    """Return the id of the key that sealed it: which rows are left to reseal."""
    return int.from_bytes(sealed[1:_HEAD_BYTES], "big")


def _key_id(key_id: int) -> bytes:
    if not 0 <= key_id <= KEY_ID_MAX:
        raise ValueError(f"key id {key_id}")
    return key_id.to_bytes(_HEAD_BYTES - 1, "big")


def _cipher(key: bytes) -> AESGCM:
    if len(key) != KEY_BYTES:  # AESGCM would take 16 and 24, too
        raise ValueError(f"a key of {len(key)} octets")
    return AESGCM(key)


def _bound_to(head: bytes, party_id: str, field: str) -> bytes:
    """Return the associated data; lengths before the names keep one from running into the other."""
    names = (name.encode() for name in (party_id, field))
    return _PURPOSE + head + b"".join(len(name).to_bytes(4, "big") + name for name in names)
