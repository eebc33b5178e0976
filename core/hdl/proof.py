"""Proof of identity by answering a challenge: secret keys and RSA keys of the store.

A challenge is a nonce and the digest of the request; the answer is, by method,

    HS_SECKEY   1 octet code, MAC of nonce and digest under the secret:
                1, 2, 3    MD5, SHA-1, SHA-256 of key, data, key
                12, 13     HMAC-SHA1, HMAC-SHA256 (hexadecimal codes)
                22         PBKDF2-HMAC-SHA1: bstr salt, int32 iterations, int32 key
                           bits, bstr HMAC-SHA1 under the derived key
                before version 2.1 no code, MD5 of key, data, key
    HS_PUBKEY   bstr name of the digest, bstr signature (PKCS #1 v1.5) of nonce and digest

The names of digests may also be codes of one octet. Index 0 tries the RSA keys of the
record, KEYS_TRIED_MAX of them. Only identities whose record lives here are proven. Source: RFC 3652 §3.5.2 and
the reference server.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from core import limits
from core.admission import Identity, Records
from core.errors import WireError
from core.records import RsaKey
from core.wire.codepoints import AUTH_PUBLIC_KEY, AUTH_SECRET_KEY, DIGESTS_FROM, Version
from core.wire.cursor import Cursor, bstr
from core.wire.publickey import decode_public_key
from core.wire.valuetypes import HS_PUBKEY, HS_SECKEY

_NOBODY: Final = secrets.token_bytes(32)
"""The secret where there is none, so that both cases take as long."""

_KEY_TYPES: Final = {AUTH_SECRET_KEY: HS_SECKEY, AUTH_PUBLIC_KEY: HS_PUBKEY}
_WRAPPED: Final = {1: "md5", 2: "sha1", 3: "sha256"}
_HMAC: Final = {0x12: "sha1", 0x13: "sha256"}
_PBKDF2: Final = 0x22
_SHA1_BITS: Final = 160

_DIGESTS: Final[dict[bytes, hashes.HashAlgorithm]] = {
    b"SHA-256": hashes.SHA256(),
    b"SHA256": hashes.SHA256(),
    b"\x03": hashes.SHA256(),
    b"SHA-1": hashes.SHA1(),  # noqa: S303 - what peers before 2.7 sign with
    b"SHA1": hashes.SHA1(),  # noqa: S303
    b"\x02": hashes.SHA1(),  # noqa: S303
    b"MD5": hashes.MD5(),  # noqa: S303
    b"\x01": hashes.MD5(),  # noqa: S303
}


class Proof(NamedTuple):
    """Who somebody says to be, how that is proven, and over what."""

    identity: Identity
    method: str
    signed: bytes
    data: bytes

    @property
    def slow(self) -> bool:
        """Whether checking it takes milliseconds; what is out of bounds is refused without being tried."""
        if self.method != AUTH_SECRET_KEY or self.signed[:1] != bytes((_PBKDF2,)):
            return False
        try:
            _require_bounds(*_pbkdf2(self.signed)[1:3])
        except WireError:
            return False
        return True


def keys_of(proof: Proof, records: Records) -> tuple[bytes, ...]:
    """Return the data of the values that may prove it. Bounds: KEYS_TRIED_MAX."""
    return _keys(proof.identity, _KEY_TYPES.get(proof.method), records)


def still_proves(identity: Identity, mark: bytes, records: Records) -> bool:
    """Whether the key of that mark is still one of the identity's."""
    keys = [key for kind in _KEY_TYPES.values() for key in _keys(identity, kind, records)]
    return any(hmac.compare_digest(mark_of(key), mark) for key in keys)


def key_mark(identity: Identity, records: Records) -> bytes:
    """Return the mark of the first key of an identity, of no key where it has none."""
    return next((mark_of(key) for kind in _KEY_TYPES.values() for key in _keys(identity, kind, records)), mark_of(b""))


def mark_of(key: bytes) -> bytes:
    """Return by what a key is known again: its SHA-256, so that no key stands in the run store."""
    return hashlib.sha256(b"saltern key\0" + key).digest()


def _keys(identity: Identity, wanted: str | None, records: Records) -> tuple[bytes, ...]:
    try:
        values = records.load(records.key(identity.handle)) or ()
    except UnicodeEncodeError:
        return ()
    any_key = identity.value_index == 0 and wanted == HS_PUBKEY
    found = [v.data for v in values if v.type == wanted and (any_key or v.value_index == identity.value_index)]
    return tuple(found[: limits.KEYS_TRIED_MAX])


def check(proof: Proof, keys: tuple[bytes, ...], version: Version) -> bytes | None:
    """Return the key that proves it, None if none does.

    Needs nothing of the store, so it may run in a thread. Bounds: PBKDF2_ITERATIONS_MAX,
    PBKDF2_KEY_BITS_MAX, RSA_MODULUS_BITS_MAX, RSA_EXPONENT_BITS_MAX.
    """
    try:
        if proof.method == AUTH_SECRET_KEY:
            secret = keys[0] if keys and keys[0] else None
            right = _secret_proves(secret or _NOBODY, proof.signed, proof.data, version)
            return secret if right else None
        if proof.method == AUTH_PUBLIC_KEY:
            return next((key for key in keys if _signature_proves(key, proof.signed, proof.data)), None)
    except WireError:
        return None
    return None


def _secret_proves(secret: bytes, signed: bytes, data: bytes, version: Version) -> bool:
    """Errors: WireError."""
    if version < DIGESTS_FROM:
        return hmac.compare_digest(_wrapped("md5", secret, data), signed)
    cursor = Cursor(signed)
    code = cursor.uint8()
    if code in _WRAPPED:
        return hmac.compare_digest(_wrapped(_WRAPPED[code], secret, data), cursor.rest())
    if code in _HMAC:
        return hmac.compare_digest(hmac.digest(secret, data, _HMAC[code]), cursor.rest())
    if code != _PBKDF2:
        raise WireError(f"MAC {code:#x} is none of 1, 2, 3, 0x12, 0x13, 0x22")
    salt, iterations, bits, mac = _pbkdf2(signed)
    key = derive_key(secret, salt, iterations, bits)
    return hmac.compare_digest(hmac.digest(key, data, "sha1"), mac)


def derive_key(secret: bytes, salt: bytes, iterations: int, bits: int) -> bytes:
    """Return the key of PBKDF2-HMAC-SHA1. Errors: WireError beyond PBKDF2_ITERATIONS_MAX, PBKDF2_KEY_BITS_MAX."""
    _require_bounds(iterations, bits)
    return hashlib.pbkdf2_hmac("sha1", secret, salt, iterations, bits // 8)


def _pbkdf2(signed: bytes) -> tuple[bytes, int, int, bytes]:
    """Read salt, iterations, key bits and MAC behind the code. Errors: WireError."""
    cursor = Cursor(signed[1:])
    return cursor.bstr(), cursor.uint32(), cursor.uint32(), cursor.bstr()


def _require_bounds(iterations: int, bits: int) -> None:
    """Errors: WireError."""
    if not 0 < bits <= limits.PBKDF2_KEY_BITS_MAX or bits % 8:
        raise WireError(f"a key of {bits} bits; whole octets up to {limits.PBKDF2_KEY_BITS_MAX} bits are taken")
    blocks = -(-bits // _SHA1_BITS)
    if not 0 < iterations * blocks <= limits.PBKDF2_ITERATIONS_MAX:
        raise WireError(f"{iterations} iterations; 1 … {limits.PBKDF2_ITERATIONS_MAX // blocks} are taken")


def _wrapped(name: str, secret: bytes, data: bytes) -> bytes:
    return hashlib.new(name, secret + data + secret, usedforsecurity=False).digest()


def _signature_proves(key_data: bytes, signed: bytes, data: bytes) -> bool:
    """Errors: WireError."""
    cursor = Cursor(signed)
    algorithm = _DIGESTS.get(cursor.bstr())
    signature = cursor.bstr()
    try:
        key = decode_public_key(key_data)
    except WireError:  # a damaged value does not hide the others of its record
        return False
    if algorithm is None or not isinstance(key, RsaKey):
        return False
    if (
        key.modulus.bit_length() > limits.RSA_MODULUS_BITS_MAX
        or key.exponent.bit_length() > limits.RSA_EXPONENT_BITS_MAX
    ):
        return False
    try:
        public = rsa.RSAPublicNumbers(key.exponent, key.modulus).public_key()
        public.verify(signature, data, padding.PKCS1v15(), algorithm)
    except (InvalidSignature, ValueError):  # ValueError: numbers that are no key
        return False
    return True


class ServerKey:
    """The private key of this server, which signs answers."""

    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        self._key = key

    def sign(self, algorithm: str, data: bytes) -> bytes:
        """Return the PKCS #1 v1.5 signature. ``algorithm``: SHA-256 or SHA1."""
        return self._key.sign(data, padding.PKCS1v15(), _DIGESTS[algorithm.encode()])

    @property
    def public(self) -> RsaKey:
        """Its public half."""
        numbers = self._key.public_key().public_numbers()
        return RsaKey(numbers.n, numbers.e)


def signature_proof(algorithm: str, signature: bytes) -> bytes:
    """Return the signed response of HS_PUBKEY from its parts. Errors: WireError for an unknown algorithm."""
    try:
        name = algorithm.encode("ascii")
    except UnicodeEncodeError:
        raise WireError("Unknown algorithm") from None
    return bstr(name) + bstr(signature)
