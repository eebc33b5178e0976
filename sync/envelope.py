"""Who says it: a message, sealed by a signature of a node or of a top node.

An envelope is msgpack ``[algorithm, public key, number, to, payload, signature]``; what is signed is
``core/signature.py``'s text with a purpose of its own over SHA-256 of the msgpack of the first five. ``to``: key id of
whom it is for. ``payload``: ``sync/form.py``.

1. A question has a number above all that its node used before: the top node takes none twice, so a recorded one is of
   no use. Senders take the time of day in microseconds, and at least one more than the top node last saw.
2. An answer has the number of its question, and ``to`` is the node: an answer to another question is none.

Transport-independent; over HTTP an envelope is the body (docs/reference/upstream-protocol.md).
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, NamedTuple

import msgpack

from core import limits
from core.errors import WireError
from core.signature import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, Signature, Signer, key_id, verify

QUESTION: Final = "upstream question 1"
ANSWER: Final = "upstream answer 1"
NUMBER_MAX: Final = 2**62
_MEMBERS: Final = 6
_CAUSES: Final = (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException)


class Envelope(NamedTuple):
    """A message and who says it. ``sender``: 32 octets of a public key."""

    sender: bytes
    number: int
    to: str
    payload: bytes

    @property
    def sender_id(self) -> str:
        """Return the key id of the sender."""
        return key_id(self.sender)


def seal(purpose: str, signer: Signer, number: int, to: str, payload: bytes) -> bytes:
    """Return an envelope as octets. ``purpose``: QUESTION or ANSWER."""
    public = signer.public_key
    signature = signer.sign(purpose, _signed("Ed25519", public, number, to, payload))
    octets: bytes = msgpack.packb((signature.algorithm, public, number, to, payload, signature.value))
    return octets


def open_envelope(purpose: str, octets: bytes) -> Envelope:
    """Return what an envelope holds, if its signature is one of the key that it names; whose that is, is the
    caller's to know. Bounds: UPSTREAM_BODY_BYTES_MAX. Errors: WireError.
    """
    if len(octets) > limits.UPSTREAM_BODY_BYTES_MAX:
        raise WireError("消息过长。The message is too long")
    try:
        algorithm, public, number, to, payload, value = msgpack.unpackb(
            octets, max_array_len=_MEMBERS, max_map_len=0, list_hook=_required
        )
    except _CAUSES:
        raise WireError("不是签名消息。This is no signed message") from None
    signature = Signature(algorithm, public, value)
    if not verify(purpose, _signed(algorithm, public, number, to, payload), signature):
        raise WireError("签名无效。The signature is wrong")
    return Envelope(public, number, to, payload)


def _required(members: list[Any]) -> list[Any]:
    """Return the members as they are; a list in a list is none of them. Errors: ValueError."""
    algorithm, public, number, to, payload, value = members
    texts = isinstance(algorithm, str) and isinstance(to, str)
    octets = all(isinstance(each, bytes) for each in (public, payload, value))
    if not (texts and octets and type(number) is int and 0 <= number <= NUMBER_MAX):
        raise ValueError("members")
    if len(public) != PUBLIC_KEY_BYTES or len(value) != SIGNATURE_BYTES:
        raise ValueError("lengths")
    return members


def _signed(*members: Any) -> bytes:
    return hashlib.sha256(msgpack.packb(members)).digest()
