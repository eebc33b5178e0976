"""Credentials of messages: signatures of the server, MACs of a session (RFC 3652 §2.2.4).

    offset  width  field
    0       1      version 0
    1       1      0
    2       2      0
    4       bstr   empty
            int32  counter in the session, 0 outside
            bstr   kind: HS_SIGNED or HS_MAC
            4      length of the rest
            bstr   name of the algorithm
            bstr   signature or MAC

What is signed besides header and body changed with the versions; the tables below are
those of the reference server, its slips in 2.5 and 2.6 included.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final, NamedTuple

from core.wire.codepoints import CODES_FROM, SHA256_FROM, SUGGESTED_SIGNED_FROM, Version
from core.wire.cursor import Cursor, bstr, text

SIGNED: Final = "HS_SIGNED"
MAC: Final = "HS_MAC"
_HEAD: Final = b"\0\0\0\0"
_SHA1_CODE: Final = "\x02"
_SLIP: Final = Version(2, 6)


class Credential(NamedTuple):
    """One credential. ``algorithm``: its name, or before 2.6 a code of one octet."""

    kind: str
    algorithm: str
    proof: bytes
    counter: int = 0


class Signing(NamedTuple):
    """What of the envelope is covered: that of the message that carries the credential."""

    version: Version
    suggested: Version
    session_id: int
    request_id: int
    counter: int


def encode_credential(credential: Credential) -> bytes:
    """Return the octets of a credential."""
    proof = bstr(credential.algorithm.encode("latin-1")) + bstr(credential.proof)
    counter = credential.counter.to_bytes(4, "big", signed=True)
    return _HEAD + bstr(b"") + counter + text(credential.kind) + bstr(proof)


def decode_credential(data: bytes) -> Credential:
    """Read a credential. Errors: WireError."""
    cursor = Cursor(data)
    cursor.octets(len(_HEAD))
    cursor.bstr()
    counter = cursor.int32()
    kind = cursor.text()
    rest = Cursor(cursor.bstr())
    algorithm = rest.bstr().decode("latin-1")  # a code of one octet in old versions
    return Credential(kind, algorithm, rest.bstr(), counter)


def signature_input(signing: Signing, header_and_body: bytes) -> bytes:
    """Return what an HS_SIGNED signature covers."""
    if signing.version >= SHA256_FROM:
        return _prefix(signing) + header_and_body
    if signing.version < _SLIP:
        return header_and_body
    session_id = signing.session_id.to_bytes(4, "big")
    counter = signing.counter.to_bytes(4, "big", signed=True)
    return bytes(signing.version) + session_id[:2] + counter + bytes(6) + header_and_body


def signature_algorithm(version: Version) -> str:
    """Return the name of the digest that an HS_SIGNED signature is made over."""
    return "SHA-256" if version >= SHA256_FROM else "SHA1"


def session_mac(key: bytes, signing: Signing, header_and_body: bytes) -> Credential:
    """Return the HS_MAC credential of a message in a session. ``key``: the session's 32 octets."""
    if signing.version >= SHA256_FROM:
        mac = hmac.digest(key, _prefix(signing) + header_and_body, "sha256")
        return Credential(MAC, "HMAC-SHA256", mac, signing.counter)
    if signing.version >= CODES_FROM:
        octets = key[:4] + header_and_body + key + bytes(len(key) + 10)
    else:
        octets = key + header_and_body + key
    name = "SHA1" if signing.version == _SLIP else _SHA1_CODE
    return Credential(MAC, name, hashlib.sha1(octets, usedforsecurity=False).digest(), signing.counter)


def covers_counter(version: Version) -> bool:
    """Whether the MAC of this version covers counter and ids, so that a repeated message is noticed."""
    return version >= SHA256_FROM


def _prefix(signing: Signing) -> bytes:
    suggested = bytes(signing.suggested) if signing.version >= SUGGESTED_SIGNED_FROM else b""
    return (
        bytes(signing.version)
        + suggested
        + signing.session_id.to_bytes(4, "big")
        + signing.request_id.to_bytes(4, "big")
        + signing.counter.to_bytes(4, "big", signed=True)
    )
