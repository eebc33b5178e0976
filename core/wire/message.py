"""Messages of the Handle protocol: header, body, credential (RFC 3652 §2.2, §2.3).

offset  width  field
0       4      operation
4       4      response code, 0 in requests
8       4      flags
12      2      serial of the site information, FFFF if unknown
14      1      recursion count
15      1      reserved, 0
16      4      expiration, Unix seconds
20      4      length of the body
24             body
        4      length of the credential, 0 for none; may be missing in a request
               that carries none
               credential
"""

from __future__ import annotations

import hashlib
import struct
from typing import Final, NamedTuple

from core.errors import WireError
from core.wire.codepoints import DIGESTS_FROM, SHA256_FROM, VERSION, OpFlag, Version
from core.wire.envelope import Envelope

HEADER_BYTES: Final = 24
_LAYOUT: Final = struct.Struct(">IIIHBBII")
_LENGTH: Final = 4
_FLAGS_COPIED: Final = (
    OpFlag.CERTIFIED | OpFlag.CACHE_CERTIFIED | OpFlag.ENCRYPTED | OpFlag.PUBLIC_ONLY
    | OpFlag.RETURN_DIGEST | OpFlag.NO_REFERRAL | OpFlag.MINT
)  # fmt: skip
_FLAGS_ALWAYS: Final = OpFlag.AUTHORITATIVE | OpFlag.RECURSIVE


class Header(NamedTuple):
    """One header; ``body_length`` is kept by the codec."""

    op: int
    code: int
    flags: int
    site_serial: int
    recursion: int
    expiration: int
    reserved: int = 0

    def has(self, flag: int) -> bool:
        """Whether a flag is set."""
        return bool(self.flags & flag)


class Message(NamedTuple):
    """One message without its envelope. ``credential``: empty for none."""

    header: Header
    body: bytes
    credential: bytes = b""

    @property
    def signed_part(self) -> bytes:
        """Header and body, the octets that digests, signatures and MACs cover."""
        return encode_header(self.header, len(self.body)) + self.body


def encode_header(header: Header, body_length: int) -> bytes:
    """Return the 24 octets."""
    return _LAYOUT.pack(
        header.op,
        header.code,
        header.flags,
        header.site_serial,
        header.recursion,
        header.reserved,
        header.expiration,
        body_length,
    )


def encode_message(message: Message) -> bytes:
    """Return header, body, length of the credential, credential."""
    return message.signed_part + len(message.credential).to_bytes(_LENGTH, "big") + message.credential


def peek_header(data: bytes) -> Header | None:
    """Return the header of a message that may be damaged behind it, None if there is not even that."""
    if len(data) < HEADER_BYTES:
        return None
    op, code, flags, site_serial, recursion, reserved, expiration, _ = _LAYOUT.unpack_from(data)
    return Header(op, code, flags, site_serial, recursion, expiration, reserved)


def decode_message(data: bytes) -> Message:
    """Read a whole message. Errors: WireError, also for octets left over."""
    header = peek_header(data)
    if header is None:
        raise WireError(f"a header has {HEADER_BYTES} octets, {len(data)} are there")
    body_length = int.from_bytes(data[HEADER_BYTES - _LENGTH : HEADER_BYTES], "big")
    body_end = HEADER_BYTES + body_length
    if body_end > len(data):
        raise WireError(f"a body of {body_length} octets is announced, {len(data) - HEADER_BYTES} are there")
    credential = data[body_end + _LENGTH :]
    announced = data[body_end : body_end + _LENGTH]
    if announced and (len(announced) < _LENGTH or int.from_bytes(announced, "big") != len(credential)):
        raise WireError("the credential's length is not what the message has left")
    return Message(header, data[HEADER_BYTES:body_end], credential)


def negotiate(envelope: Envelope) -> Version:
    """Return the version to answer in: what the peer suggests, at most ours.

    0.0 suggests the message's own version; one above 2 is an old peer's mistake for 2.0.
    """
    if envelope.suggested != (0, 0):
        return min(envelope.suggested, VERSION)
    return min(envelope.version, VERSION) if envelope.version.major <= VERSION.major else Version(VERSION.major, 0)


def answer_flags(flags: int) -> int:
    """Return the flags of an answer to a message with these flags."""
    return flags & _FLAGS_COPIED | _FLAGS_ALWAYS


class DigestAlgorithm(NamedTuple):
    """One of the digests that messages carry, by its code."""

    code: int
    name: str
    size: int


MD5: Final = DigestAlgorithm(1, "md5", 16)
SHA1: Final = DigestAlgorithm(2, "sha1", 20)
SHA256: Final = DigestAlgorithm(3, "sha256", 32)
DIGESTS: Final = {algorithm.code: algorithm for algorithm in (MD5, SHA1, SHA256)}


def digest_algorithm(version: Version) -> DigestAlgorithm:
    """Return the algorithm of request digests in this version."""
    if version >= SHA256_FROM:
        return SHA256
    return SHA1 if version >= DIGESTS_FROM else MD5


def digest(algorithm: DigestAlgorithm, data: bytes) -> bytes:
    """Return the raw digest. MD5 and SHA-1 are the protocol's own choice for old versions."""
    return hashlib.new(algorithm.name, data, usedforsecurity=False).digest()
