"""Deposits are encrypted to the public key of whoever holds them: only he reads them, and he sees any change.

An algorithm is a row of ALGORITHMS; its name stands in the head. ``x25519-aes256gcm``, the default:

    key        32 random octets, of this deposit alone
    wrapping   HKDF-SHA256 without salt over X25519(ephemeral, recipient), with the info
               "saltern escrow x25519-aes256gcm" NUL ephemeral recipient bound
    sealed key Base64 of: 32 octets ephemeral public key, 48 octets AES-256-GCM(wrapping, nonce of zeros, key)
    content    chunks of ESCROW_CHUNK_BYTES, the last one of 1 octet to that many, each AES-256-GCM(key, nonce) with
               16 octets tag; nonce: 11 octets number of the chunk from 0, big-endian, and 1 octet: 1 of the last
               chunk, else 0

``bound`` is ``<key id of the node>/<deposit id>``: nobody can pass a deposit on as his own, or as another one. A chunk
that is altered, elsewhere, gone, or behind which the rest is gone does not open.

Sources: RFC 7748, RFC 5869, RFC 8410 (PEM); NIST SP 800-38D; Hoang et al., "Online Authenticated-Encryption and its
Nonce-Reuse Misuse-Resistance" (2015), STREAM.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from core import limits
from core.durable import write_new_file
from core.errors import ConfigError
from core.signature import key_id
from sync.escrow.faults import DepositError

DEFAULT: Final = "x25519-aes256gcm"
_KEY: Final = 32
_NONCE: Final = 12
_TAG: Final = 16
_INFO: Final = b"saltern escrow x25519-aes256gcm\0"
_LAST: Final = 1
_UNREADABLE: Final = (ValueError, TypeError, UnsupportedAlgorithm)


class ChunkSeal(Protocol):
    """Encrypts the content of one deposit, chunk by chunk in order."""

    chunk_bytes: int

    def seal(self, chunk: bytes, *, last: bool) -> bytes:
        """Return a chunk sealed. All but the last one have ``chunk_bytes``."""


class ChunkOpener(Protocol):
    """Decrypts it, in the same order. ``sealed_bytes``: of a sealed chunk; the last one may be shorter."""

    sealed_bytes: int

    def open(self, sealed: bytes, *, last: bool) -> bytes:
        """Return a chunk. Errors: DepositError altered, cut."""


class Recipient(Protocol):
    """Whom a deposit is for: the public key. ``key_id``: 32 hexadecimal digits."""

    algorithm: str
    key_id: str

    def begin(self, bound: bytes) -> tuple[str, ChunkSeal]:
        """Begin a deposit; return its sealed key, and what seals its content."""


class Opener(Protocol):
    """Who reads deposits: the private key. ``key_id``: of the public one."""

    algorithm: str
    key_id: str

    def begin(self, sealed_key: str, bound: bytes) -> ChunkOpener:
        """Begin to read a deposit. Errors: DepositError altered."""


class Algorithm(NamedTuple):
    """How deposits are encrypted. Both read PEM; errors: ValueError for a key that is none of it."""

    load_public: Callable[[bytes], Recipient]
    load_private: Callable[[bytes], Opener]
    make: Callable[[], tuple[bytes, bytes]]
    """Returns a new key as PEM: the private one, the public one."""


# --- x25519-aes256gcm ---
class AesChunks:
    """See ChunkSeal and ChunkOpener. ``key``: 32 octets, never used for other content."""

    def __init__(self, key: bytes, chunk_bytes: int = limits.ESCROW_CHUNK_BYTES) -> None:
        self._cipher = AESGCM(key)
        self._number = 0
        self.chunk_bytes = chunk_bytes
        self.sealed_bytes = chunk_bytes + _TAG

    def seal(self, chunk: bytes, *, last: bool) -> bytes:
        """See ChunkSeal."""
        sealed = self._cipher.encrypt(_nonce(self._number, last=last), chunk, None)
        self._number += 1
        return sealed

    def open(self, sealed: bytes, *, last: bool) -> bytes:
        """See ChunkOpener."""
        place = f"chunk {self._number}"
        for marked in (last, not last):
            try:
                chunk = self._cipher.decrypt(_nonce(self._number, last=marked), sealed, None)
            except (InvalidTag, ValueError):
                continue
            if marked != last:
                raise DepositError("cut" if last else "altered", f"{place} is {'not ' if last else ''}the last one")
            self._number += 1
            return chunk
        raise DepositError("altered", place)


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(_NONCE - 1) + bytes((_LAST if last else 0,))


class X25519Recipient:
    """See Recipient."""

    algorithm = DEFAULT

    def __init__(self, public: X25519PublicKey) -> None:
        self._public = public
        self._raw = public.public_bytes_raw()
        self.key_id = key_id(self._raw)

    def begin(self, bound: bytes) -> tuple[str, ChunkSeal]:
        """See Recipient."""
        ephemeral = X25519PrivateKey.generate()
        raw = ephemeral.public_key().public_bytes_raw()
        wrapping = _wrapping(ephemeral.exchange(self._public), raw, self._raw, bound)
        key = os.urandom(_KEY)
        sealed = raw + AESGCM(wrapping).encrypt(bytes(_NONCE), key, None)
        return base64.b64encode(sealed).decode(), AesChunks(key)


class X25519Opener:
    """See Opener."""

    algorithm = DEFAULT

    def __init__(self, private: X25519PrivateKey) -> None:
        self._private = private
        self._raw = private.public_key().public_bytes_raw()
        self.key_id = key_id(self._raw)

    def begin(self, sealed_key: str, bound: bytes) -> ChunkOpener:
        """See Opener."""
        try:
            sealed = base64.b64decode(sealed_key, validate=True)
            if len(sealed) != _KEY + _KEY + _TAG:
                raise ValueError("length")
            raw = sealed[:_KEY]
            shared = self._private.exchange(X25519PublicKey.from_public_bytes(raw))
            key = AESGCM(_wrapping(shared, raw, self._raw, bound)).decrypt(bytes(_NONCE), sealed[_KEY:], None)
        except (InvalidTag, ValueError):
            raise DepositError("altered", "sealed_key") from None
        return AesChunks(key)


def _wrapping(shared: bytes, ephemeral: bytes, recipient: bytes, bound: bytes) -> bytes:
    return HKDF(SHA256(), _KEY, None, _INFO + ephemeral + recipient + bound).derive(shared)


def _load_public(pem: bytes) -> Recipient:
    key = serialization.load_pem_public_key(pem)
    if not isinstance(key, X25519PublicKey):
        raise ValueError("no X25519 key")
    return X25519Recipient(key)


def _load_private(pem: bytes) -> Opener:
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, X25519PrivateKey):
        raise ValueError("no X25519 key")
    return X25519Opener(key)


def _make() -> tuple[bytes, bytes]:
    key = X25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private, public


ALGORITHMS: Final[dict[str, Algorithm]] = {DEFAULT: Algorithm(_load_public, _load_private, _make)}


# --- key files ---
def make_escrow_key(private: Path, public: Path, algorithm: str = DEFAULT) -> None:
    """Make a key: PKCS8 in PEM of mode 0600, SubjectPublicKeyInfo in PEM. Errors: OSError, also where one is."""
    secret, shown = ALGORITHMS[algorithm].make()
    write_new_file(private, secret)
    write_new_file(public, shown, 0o644)


def load_recipient(path: Path, algorithm: str = DEFAULT) -> Recipient:
    """Read the public key of whom deposits are for. Errors: ConfigError that says what is wrong."""
    pem = _read(path)
    if b"PRIVATE KEY" in pem:
        raise ConfigError(
            f"{path} 是私钥，请妥善保管；此处需要接收方的公钥。"
            f"{path} holds a private key: keep it secret; the public one of the receiver is asked for"
        )
    try:
        return ALGORITHMS[algorithm].load_public(pem)
    except _UNREADABLE:
        raise _no_key(path, algorithm, "公钥", "public") from None


def load_opener(path: Path, algorithm: str = DEFAULT, *, any_mode: bool = False) -> Opener:
    """Read the private key that deposits are opened with. Errors: ConfigError that shows no key.

    ``any_mode``: also where others may read it. A key that is brought for a restore may lie where there are no modes.
    """
    pem = _read(path, secret=not any_mode)
    try:
        return ALGORITHMS[algorithm].load_private(pem)
    except _UNREADABLE:
        raise _no_key(path, algorithm, "私钥", "private") from None


def _read(path: Path, *, secret: bool = False) -> bytes:
    try:
        with path.open("rb") as file:
            pem = file.read(limits.TOP_KEY_FILE_BYTES_MAX)
            if secret and b"PUBLIC KEY" not in pem and os.fstat(file.fileno()).st_mode & 0o077:
                raise ConfigError(f"{path} 可被他人读取，应为 0600。{path} can be read by others; make it 0600")
            return pem
    except OSError as error:
        raise ConfigError(f"无法读取密钥文件 {path}。Cannot read the key {path}: {error.strerror}") from None


def _no_key(path: Path, algorithm: str, zh: str, en: str) -> ConfigError:
    return ConfigError(f"{path} 不是 {algorithm} 的 PEM {zh}。{path} is no {en} key of {algorithm} in PEM")
