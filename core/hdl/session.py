"""Sessions: a key that both sides agree on by Diffie-Hellman, and what it protects.

The shared secret is as long as p, leading zero octets stripped as long as 32 remain;
its first 32 octets key the MACs, the first 16 AES-128-CBC with the IV in front.
Each direction counts its messages that carry a credential, from 1.

1. A counter is taken once. The last SESSION_COUNTERS are remembered; one at or below
   the highest that was forgotten is refused, and so are 0 and below.
2. A session proves its identity by one challenge; then its MACs do. Before version 2.7
   a MAC covers neither counter nor ids, so each change is challenged anew.
3. Only AES is offered, so sessions need version 2.4.

Row of the run store: octet 1, then msgpack [key, handle, index, life in seconds, mark,
sent, forgotten, counters]. Source: RFC 3652 §3.6 and the reference server.

DIVERGES: docs/standards/divergences.md#session-counters-are-strict
"""

from __future__ import annotations

import secrets
from typing import Final, NamedTuple

import msgpack
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from core import limits
from core.admission import Identity
from core.errors import NodeError, Outcome, StoreError, WireError
from core.records import DhKey

KEY_BYTES: Final = 32
ALGORITHM_AES: Final = 3
_AES_KEY_BYTES: Final = 16
_BLOCK_BITS: Final = 128
_BLOCK_BYTES: Final = 16
_VERSION: Final = b"\x01"


class SessionError(NodeError):
    """A message that its session does not allow."""

    outcome = Outcome.SESSION_FAILED


class Session(NamedTuple):
    """One session. ``sent``: counter of the last answer; ``counters``: taken ones, the newest last.

    ``life_s``: how long it was asked to live once its identity is proven. ``mark``: of the key
    that proved it, empty before.
    """

    key: bytes
    identity: Identity
    life_s: int
    mark: bytes = b""
    sent: int = 0
    forgotten: int = 0
    counters: tuple[int, ...] = ()

    @property
    def authenticated(self) -> bool:
        """Whether its identity was proven."""
        return bool(self.mark)

    @property
    def anonymous(self) -> bool:
        """Whether it was set up without an identity, so that it is always challenged."""
        return not self.identity.handle

    def __repr__(self) -> str:
        return f"Session({self.identity!r}, authenticated={self.authenticated}, key=…)"


def pack_session(session: Session) -> bytes:
    """Return the row of a session."""
    key, identity, *rest = session
    row: bytes = msgpack.packb((key, identity.handle, identity.value_index, *rest))
    return _VERSION + row


def unpack_session(row: bytes) -> Session:
    """Read the row of a session. Errors: StoreError."""
    try:
        if row[:1] != _VERSION:
            raise ValueError(f"version {row[:1]!r}")
        key, handle, index, life_s, mark, sent, forgotten, counters = msgpack.unpackb(row[1:])
        return Session(key, Identity(handle, index), life_s, mark, sent, forgotten, tuple(counters))
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise StoreError(f"a session cannot be read: {error}") from None


def take_counter(session: Session, counter: int) -> Session | None:
    """Return the session with one counter taken, None if it must be refused."""
    if counter <= session.forgotten or counter in session.counters:
        return None
    counters, forgotten = (*session.counters, counter), session.forgotten
    if len(counters) > limits.SESSION_COUNTERS:
        forgotten, counters = max(forgotten, counters[0]), counters[1:]
    return session._replace(counters=counters, forgotten=forgotten)


class Agreement(NamedTuple):
    """What this side adds: its public key, and the session's key."""

    public: DhKey
    key: bytes

    def __repr__(self) -> str:
        return "Agreement(key=…)"


def agree(peer: DhKey, exponent: int | None = None) -> Agreement:
    """Answer the peer's public key with one of the same group.

    Bounds: DH_MODULUS_BITS_MIN … _MAX. Errors: SessionError for a key that is none.
    """
    bits = peer.p.bit_length()
    if not limits.DH_MODULUS_BITS_MIN <= bits <= limits.DH_MODULUS_BITS_MAX or not peer.p & 1:
        raise SessionError(
            f"The session key's modulus has {bits} bits; odd ones of {limits.DH_MODULUS_BITS_MIN} … "
            f"{limits.DH_MODULUS_BITS_MAX} bits are taken"
        )
    if not (1 < peer.y < peer.p - 1 and 1 < peer.g < peer.p - 1):
        raise SessionError("The session key lies outside its group")
    own = (
        exponent
        if exponent is not None
        else secrets.randbits(limits.DH_EXPONENT_BITS) | 1 << (limits.DH_EXPONENT_BITS - 1)
    )
    secret = pow(peer.y, own, peer.p)
    if secret in (0, 1, peer.p - 1):
        raise SessionError("The session key lies in a group of two elements")
    return Agreement(DhKey(pow(peer.g, own, peer.p), peer.p, peer.g), session_key(secret, bits))


def session_key(secret: int, modulus_bits: int) -> bytes:
    """Return the session's 32 octets of a shared secret."""
    octets = secret.to_bytes(-(-modulus_bits // 8), "big")
    zeros = len(octets) - len(octets.lstrip(b"\0"))
    return octets[min(zeros, len(octets) - KEY_BYTES) :][:KEY_BYTES]


def encrypt(key: bytes, message: bytes, iv: bytes) -> bytes:
    """Return IV and cipher text of a message: header, body, credential with its length."""
    padder = padding.PKCS7(_BLOCK_BITS).padder()
    encryptor = _cipher(key, iv).encryptor()
    return iv + encryptor.update(padder.update(message) + padder.finalize()) + encryptor.finalize()


def decrypt(key: bytes, octets: bytes) -> bytes:
    """Return the message. Errors: WireError for octets that are none under this key."""
    iv, cipher_text = octets[:_BLOCK_BYTES], octets[_BLOCK_BYTES:]
    if not cipher_text or len(cipher_text) % _BLOCK_BYTES:
        raise WireError("an encrypted message has an IV and whole blocks of 16 octets")
    decryptor = _cipher(key, iv).decryptor()
    unpadder = padding.PKCS7(_BLOCK_BITS).unpadder()
    try:
        padded = decryptor.update(cipher_text) + decryptor.finalize()
        return unpadder.update(padded) + unpadder.finalize()
    except ValueError:
        raise WireError("the message cannot be decrypted with the session's key") from None


def _cipher(key: bytes, iv: bytes) -> Cipher[modes.CBC]:
    return Cipher(algorithms.AES(key[:_AES_KEY_BYTES]), modes.CBC(iv))
