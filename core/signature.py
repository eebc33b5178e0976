"""What this node signs: an Ed25519 signature over a purpose and a text, and signed JSON documents.

Signed are the octets ``"saltern " + purpose + "\\n" + text``: a signature made for one purpose is none
for another. The algorithm's name is stored with each signature, so that SM2 fits later (design §8).
A key's id is the first 32 hexadecimal digits of the SHA-256 of its 32 octets: keys are trusted by their ids,
and nobody makes another key with one of 128 bits.

A signed document is a JSON object with the member ``signature``; its text is the canonical form of all
other members: RFC 8785, for objects with ASCII names, arrays, texts, booleans, null, and integers up
to 2**53 - 1. Sources: RFC 8032 (Ed25519), RFC 8785 §3.2.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import Any, Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from core.errors import WireError

ALGORITHM: Final = "Ed25519"
PUBLIC_KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
KEY_ID_DIGITS: Final = 32
_MEMBER: Final = "signature"
_INTEGER_MAX: Final = 2**53 - 1


class Signature(NamedTuple):
    """A signature and who made it. ``public_key``: 32 octets; ``value``: 64 octets."""

    algorithm: str
    public_key: bytes
    value: bytes

    @property
    def key_id(self) -> str:
        """Return the id of the key that made it."""
        return key_id(self.public_key)


class Signer:
    """Signs with one private key."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public_key = private.public_key().public_bytes_raw()

    def sign(self, purpose: str, text: bytes) -> Signature:
        """Sign a text for a purpose."""
        return Signature(ALGORITHM, self.public_key, self._private.sign(_signed(purpose, text)))

    def sign_note(self, text: bytes) -> bytes:
        """Sign the text of a note as it is (C2SP signed-note); 64 octets. It begins with the name of a log."""
        return self._private.sign(text)

    def sign_document(self, purpose: str, document: dict[str, Any]) -> dict[str, Any]:
        """Return the document with its signature. Errors: ValueError for what has no canonical form."""
        signature = self.sign(purpose, canonical(document))
        return document | {_MEMBER: dump_signature(signature)}


def key_id(public_key: bytes) -> str:
    """Return the id of a public key. Shape: 32 hexadecimal digits."""
    return hashlib.sha256(public_key).hexdigest()[:KEY_ID_DIGITS]


def verify(purpose: str, text: bytes, signature: Signature) -> bool:
    """Whether the signature is one of this text for this purpose, by the key that it names.

    Whether that key is to be trusted is the caller's to know.
    """
    if signature.algorithm != ALGORITHM:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(signature.public_key).verify(signature.value, _signed(purpose, text))
    except (InvalidSignature, ValueError):
        return False
    return True


def verify_document(purpose: str, document: dict[str, Any]) -> Signature | None:
    """Return the signature of a signed document, None where it is not good."""
    try:
        signature = load_signature(document.get(_MEMBER))
        text = canonical({name: value for name, value in document.items() if name != _MEMBER})
    except (WireError, ValueError):
        return None
    return signature if verify(purpose, text, signature) else None


def dump_signature(signature: Signature) -> dict[str, str]:
    """Return a signature as JSON has it: octets in base64."""
    return {
        "algorithm": signature.algorithm,
        "key_id": signature.key_id,
        "public_key": base64.b64encode(signature.public_key).decode(),
        "value": base64.b64encode(signature.value).decode(),
    }


def load_signature(packed: Any) -> Signature:
    """Read a signature from JSON, in the one form that dump_signature() gives. Errors: WireError."""
    try:
        public_key, value = (base64.b64decode(packed[name], validate=True) for name in ("public_key", "value"))
        signature = Signature(packed["algorithm"], public_key, value)
        if len(public_key) != PUBLIC_KEY_BYTES or len(value) != SIGNATURE_BYTES:
            raise ValueError("length")
        if packed != dump_signature(signature):  # another spelling of the same octets, another key's id, more members
            raise ValueError("form")
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise WireError("签名格式有误。The signature is not one of this node's form") from None
    return signature


def canonical(document: Any) -> bytes:
    """Return the canonical form (RFC 8785). Errors: ValueError for what has none, see above."""
    _check(document)
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _check(part: Any) -> None:
    match part:
        case None | bool() | str():
            return
        case int():
            if abs(part) > _INTEGER_MAX:
                raise ValueError(f"{part} is no integer that every reader of JSON keeps")
        case dict():
            for name, value in part.items():
                if not (isinstance(name, str) and name.isascii()):
                    raise ValueError(f"the name {name!r} is no ASCII text")
                _check(value)
        case list() | tuple():
            for value in part:
                _check(value)
        case _:
            raise ValueError(f"{type(part).__name__} has no canonical form")


def _signed(purpose: str, text: bytes) -> bytes:
    return f"saltern {purpose}\n".encode() + text
