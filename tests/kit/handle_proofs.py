"""Proofs of the Handle protocol for tests: challenge answers, session MACs and ciphers, server signatures.

Written from handle-protocol.md §2.11, §2.12 and handle-protocol-details.md §1, §2 alone.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.kit.handle_messages import BadMessage, Message, Reader, Version, bstr

DH_PRIME = int(
    "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404dd"
    "ef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed"
    "ee386bfb5a899fa5ae9f24117c4b1fe649286651ece65381ffffffffffffffff",
    16,
)
"""RFC 2409 §6.2, second group; the generator is 2 (§7 of the facts)."""
DH_GENERATOR = 2
AES = 3
DIGESTS: dict[int, Callable[[bytes], bytes]] = {
    1: lambda data: hashlib.md5(data).digest(),
    2: lambda data: hashlib.sha1(data).digest(),
    3: lambda data: hashlib.sha256(data).digest(),
}


def request_digest(request: Message, algorithm: int) -> bytes:
    """Digest of the clear header and body of a request; 1 MD5, 2 SHA-1, 3 SHA-256 (§2.6)."""
    return DIGESTS[algorithm](request.signed_part())


# --- answers to a challenge (§2.11) ---


class Identity(Protocol):
    """Who answers challenges, and how."""

    @property
    def handle(self) -> str: ...

    @property
    def index(self) -> int: ...

    @property
    def kind(self) -> str: ...

    def prove(self, nonce: bytes, digest: bytes, version: Version) -> bytes: ...


def _pbkdf2(secret: bytes, data: bytes, salt: bytes, rounds: int, bits: int) -> bytes:
    key = hashlib.pbkdf2_hmac("sha1", secret, salt, rounds, bits // 8)
    return bstr(salt) + struct.pack(">ii", rounds, bits) + bstr(hmac.digest(key, data, "sha1"))


def secret_key_proof(secret: bytes, data: bytes, method: int, salt: bytes = b"", rounds: int = 10_000) -> bytes:
    """Code octet and MAC over nonce || digest, by each method of §2.11; method 0 is the bare MD5 of 2.0."""
    if method == 0:
        return DIGESTS[1](secret + data + secret)
    if method in DIGESTS:
        return bytes([method]) + DIGESTS[method](secret + data + secret)
    if method in (0x12, 0x13):
        return bytes([method]) + hmac.digest(secret, data, {0x12: "sha1", 0x13: "sha256"}[method])
    if method == 0x22:
        return bytes([method]) + _pbkdf2(secret, data, salt or os.urandom(16), rounds, 160)
    raise ValueError(f"MAC method {method:#x}")


def secret_key_holds(secret: bytes, data: bytes, proof: bytes) -> bool:
    """Check a signed response of HS_SECKEY (2.1 or later)."""
    if proof[0] != 0x22:
        return secret_key_proof(secret, data, proof[0]) == proof
    octets = Reader(proof[1:])
    salt, rounds, bits = octets.bstr(), octets.signed(), octets.signed()
    return proof[1:] == _pbkdf2(secret, data, salt, rounds, bits)


@dataclass(frozen=True)
class SecretKey:
    """An HS_SECKEY identity; method None is the reference client's: 0x22 from 2.7, 2 before, bare MD5 in 2.0."""

    handle: str
    index: int
    secret: bytes = field(repr=False)
    method: int | None = None
    kind: str = "HS_SECKEY"

    def prove(self, nonce: bytes, digest: bytes, version: Version) -> bytes:
        usual = 0x22 if version >= (2, 7) else 2 if version >= (2, 1) else 0
        return secret_key_proof(self.secret, nonce + digest, usual if self.method is None else self.method)


def _hash_of(name: str | bytes) -> hashes.HashAlgorithm:
    """Names and 1-byte codes of hashes (§2.11)."""
    text = name if isinstance(name, str) else name.decode("latin-1")
    known: dict[str, type[hashes.HashAlgorithm]] = {
        "SHA-256": hashes.SHA256, "SHA256": hashes.SHA256, "\3": hashes.SHA256,
        "SHA1": hashes.SHA1, "SHA-1": hashes.SHA1, "\2": hashes.SHA1,
        "MD5": hashes.MD5, "\1": hashes.MD5,
    }  # fmt: skip
    if text not in known:
        raise BadMessage(f"hash name {text!r}")
    return known[text]()


def rsa_holds(key: rsa.RSAPublicKey, data: bytes, name: str | bytes, signature: bytes) -> bool:
    """Check a PKCS#1 v1.5 signature."""
    try:
        key.verify(signature, data, rsa_padding.PKCS1v15(), _hash_of(name))
    except InvalidSignature:
        return False
    return True


def rsa_proof_holds(key: rsa.RSAPublicKey, data: bytes, proof: bytes) -> bool:
    """Check a signed response of HS_PUBKEY: bstr hash name, bstr signature over nonce || digest."""
    octets = Reader(proof)
    name, signature = octets.bstr(), octets.bstr()
    octets.end()
    return rsa_holds(key, data, name, signature)


@dataclass(frozen=True)
class RsaKey:
    """An HS_PUBKEY identity; hash_name None is SHA-256 from 2.7 and SHA1 before."""

    handle: str
    index: int
    private_key: rsa.RSAPrivateKey = field(repr=False)
    hash_name: str | None = None
    kind: str = "HS_PUBKEY"

    def prove(self, nonce: bytes, digest: bytes, version: Version) -> bytes:
        name = self.hash_name or ("SHA-256" if version >= (2, 7) else "SHA1")
        return bstr(name) + bstr(self.private_key.sign(nonce + digest, rsa_padding.PKCS1v15(), _hash_of(name)))


# --- keys (§2.9 HS_PUBKEY) ---


def signed_octets(number: int) -> bytes:
    """A big integer in two's complement, so with 00 in front where the top bit is set."""
    return number.to_bytes(number.bit_length() // 8 + 1)


def encode_rsa_key(key: rsa.RSAPublicKey) -> bytes:
    numbers = key.public_numbers()
    return bstr("RSA_PUB_KEY") + bytes(2) + bstr(signed_octets(numbers.e)) + bstr(signed_octets(numbers.n)) + bytes(4)


def decode_rsa_key(data: bytes) -> rsa.RSAPublicKey:
    octets = Reader(data)
    if octets.text() != "RSA_PUB_KEY":
        raise BadMessage("not an RSA_PUB_KEY")
    octets.take(2)
    exponent, modulus = (int.from_bytes(octets.bstr()) for _ in range(2))
    if octets.rest() not in (b"", bytes(4)):
        raise BadMessage("an RSA_PUB_KEY ends in four zero octets or not at all")
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def encode_dh_key(y: int, p: int = DH_PRIME, g: int = DH_GENERATOR) -> bytes:
    return bstr("DH_PUB_KEY") + bytes(2) + b"".join(bstr(signed_octets(number)) for number in (y, p, g))


def decode_dh_key(octets: Reader) -> tuple[int, int, int]:
    """Return y, p, g."""
    if octets.text() != "DH_PUB_KEY":
        raise BadMessage("not a DH_PUB_KEY")
    octets.take(2)
    y, p, g = (int.from_bytes(octets.bstr(), signed=True) for _ in range(3))
    return y, p, g


# --- credentials (§2.12) ---


class Credential(NamedTuple):
    """What stands behind the body of a signed message."""

    counter: int
    kind: str
    hash_name: bytes
    signature: bytes

    def encode(self) -> bytes:
        proof = bstr(self.hash_name) + bstr(self.signature)
        return bytes(4) + bstr(b"") + struct.pack(">i", self.counter) + bstr(self.kind) + bstr(proof)

    @classmethod
    def decode(cls, data: bytes) -> Credential:
        octets = Reader(data)
        if octets.take(4) != bytes(4) or octets.bstr():
            raise BadMessage("a credential begins with eight zero octets")
        counter, kind, proof = octets.signed(), octets.text(), Reader(octets.bstr())
        octets.end()
        credential = cls(counter, kind, proof.bstr(), proof.bstr())
        proof.end()
        return credential


def _signed_head(message: Message, counter: int) -> bytes:
    """What stands before header+body from 2.7 on; the two suggested octets from 2.8 (details §1, §2)."""
    versions = message.version + (message.suggested if message.version >= (2, 8) else ())
    return bytes(versions) + struct.pack(">IIi", message.session_id, message.request_id, counter)


def session_mac(key: bytes, message: Message, counter: int) -> tuple[bytes, bytes]:
    """Name and MAC of HS_MAC by the message's own version (details §1)."""
    signed = message.signed_part()
    if message.version >= (2, 7):
        return b"HMAC-SHA256", hmac.digest(key, _signed_head(message, counter) + signed, "sha256")
    if message.version >= (2, 5):
        octets = key[:4] + signed + key + bytes(len(key) + 10)
        return b"SHA1" if message.version == (2, 6) else b"\2", DIGESTS[2](octets)
    return b"\2", DIGESTS[2](key + signed + key)


def server_signature_holds(key: rsa.RSAPublicKey, answer: Message) -> bool:
    """Check HS_SIGNED of an answer by its version (details §2)."""
    credential = Credential.decode(answer.credential)
    name, head = b"SHA1", b""
    if answer.version >= (2, 7):
        name, head = b"SHA-256", _signed_head(answer, credential.counter)
    elif answer.version == (2, 6):
        session = struct.pack(">I", answer.session_id)
        head = bytes(answer.version) + session[:2] + struct.pack(">i", credential.counter) + bytes(6)
    if (credential.kind, credential.hash_name) != ("HS_SIGNED", name):
        return False
    return rsa_holds(key, head + answer.signed_part(), name, credential.signature)


# --- sessions (details §1) ---


def session_key(secret: int, p: int = DH_PRIME) -> bytes:
    """The shared secret padded to the length of p, leading zero octets stripped (32 stay), cut to 32."""
    padded = secret.to_bytes((p.bit_length() + 7) // 8)
    stripped = padded.lstrip(b"\0")
    return (stripped if len(stripped) >= 32 else padded[-32:])[:32]


@dataclass
class Session:
    """One DH session: key, id, counters, AES-128-CBC. It works over any connection.

    encrypt: requests go out encrypted. ask_encrypted: they carry ENCR, so that answers come encrypted (None: as
    `encrypt`). certify: they carry CERT, so that answers carry HS_MAC.
    """

    id: int
    key: bytes = field(repr=False)
    encrypt: bool = False
    ask_encrypted: bool | None = None
    certify: bool = True
    counter: int = 0
    seen: list[int] = field(default_factory=list)

    @property
    def wants_encrypted(self) -> bool:
        return self.encrypt if self.ask_encrypted is None else self.ask_encrypted

    def seal(self, clear: bytes, iv: bytes = b"") -> bytes:
        iv = iv or os.urandom(16)
        padder = padding.PKCS7(128).padder()
        padded = padder.update(clear) + padder.finalize()
        encryptor = self._cipher(iv).encryptor()
        return iv + encryptor.update(padded) + encryptor.finalize()

    def unseal(self, sealed: bytes) -> bytes:
        if len(sealed) < 32 or len(sealed) % 16:
            raise BadMessage(f"{len(sealed)} octets are no IV and cipher text")
        decryptor = self._cipher(sealed[:16]).decryptor()
        unpadder = padding.PKCS7(128).unpadder()
        try:
            padded = decryptor.update(sealed[16:]) + decryptor.finalize()
            return unpadder.update(padded) + unpadder.finalize()
        except ValueError as error:
            raise BadMessage("an answer of the session does not decrypt") from error

    def _cipher(self, iv: bytes) -> Cipher[modes.CBC]:
        return Cipher(algorithms.AES(self.key[:16]), modes.CBC(iv))

    def next_counter(self) -> int:
        self.counter += 1
        return self.counter

    def credential(self, message: Message, counter: int | None = None) -> bytes:
        """HS_MAC of a request; counts up unless the caller names a counter."""
        number = self.next_counter() if counter is None else counter
        return Credential(number, "HS_MAC", *session_mac(self.key, message, number)).encode()

    def mac_holds(self, answer: Message) -> bool:
        """Check the name, the MAC of an answer."""
        credential = Credential.decode(answer.credential)
        expected = session_mac(self.key, answer, credential.counter)
        return credential.kind == "HS_MAC" and (credential.hash_name, credential.signature) == expected

    def take(self, answer: Message) -> None:
        """Check the HS_MAC of an answer; the server's counters begin at 1 and never come twice (§7)."""
        if not self.mac_holds(answer):
            raise BadMessage(f"HS_MAC of the answer is wrong: {answer}")
        counter = Credential.decode(answer.credential).counter
        if counter < 1 or counter in self.seen:
            raise BadMessage(f"session counter {counter} after {self.seen[-5:]}")
        self.seen.append(counter)


class KeyExchange:
    """The client's half of mode 4: own key pair, then the key from the server's answer (§2.12, §7)."""

    def __init__(self, private: int = 0, p: int = DH_PRIME, g: int = DH_GENERATOR) -> None:
        self.p, self.g = p, g
        self.private = private or secrets.randbits(512) | 1 << 511
        self.public = pow(g, self.private, p)

    def setup_body(self, handle: str, index: int, timeout_s: int = 86_400, mode: int = 4) -> bytes:
        """Body of op 400; the two spare octets are those of the stock client (§2.6)."""
        identity = struct.pack(">Hi", mode, timeout_s) + bstr(handle) + struct.pack(">i", index)
        return identity + bstr(encode_dh_key(self.public, self.p, self.g)) + bytes(2)

    def key(self, session_data: bytes) -> bytes:
        """The session key from the data of the answer: int32 algorithm (AES), the server's DH_PUB_KEY."""
        octets = Reader(session_data)
        algorithm = octets.signed()
        y, p, g = decode_dh_key(octets)
        octets.end()
        if (algorithm, p, g) != (AES, self.p, self.g):
            raise BadMessage(f"algorithm {algorithm}, or another group than the client's")
        if not 1 < y < p - 1:
            raise BadMessage("the server's public value is degenerate")
        return session_key(pow(y, self.private, p), p)
