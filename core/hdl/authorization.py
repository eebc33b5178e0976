"""``Authorization: Handle``: the members of a log-in, and the proof that they make.

    version="0", sessionId=, id=, type=HS_PUBKEY|HS_SECKEY, cnonce=, alg=, signature=,
    salt=, iterations=, length=

cnonce, signature and salt are base64. The proof is over nonce and cnonce. A JSON object
with the same members says the same. Source: the reference server's JSON interface.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

from core import limits
from core.admission import Identity, parse_identity
from core.errors import WireError
from core.hdl.proof import Proof, signature_proof
from core.wire.codepoints import AUTH_PUBLIC_KEY, AUTH_SECRET_KEY
from core.wire.cursor import bstr
from core.wire.http import Request, media_type
from core.wire.jsontext import parse

# Possessive, so that a header of blanks is refused in time that grows with its length alone.
_MEMBER: Final = re.compile(r'\s*+([A-Za-z]++)\s*+=\s*+(?:"([^"]*+)"|([^\s,"]*+))\s*+(?:,|$)')
_MEMBERS_MAX: Final = 32
_MACS: Final = {"MD5": 1, "SHA1": 2, "SHA-1": 2, "SHA256": 3, "SHA-256": 3, "HMAC-SHA1": 0x12, "HMAC-SHA256": 0x13}
_PBKDF2: Final = "PBKDF2-HMAC-SHA1"
_PBKDF2_CODE: Final = 0x22

Members = Mapping[str, str]


def parse_authorization(header: str) -> Members | None:
    """Return the members of the header; None if its scheme is another or it cannot be read.

    A member that comes twice makes it unreadable (RFC 9110 §11.2).
    """
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "handle":
        return None
    members: dict[str, str] = {}
    position = 0
    while position < len(rest):
        match = _MEMBER.match(rest, position)
        if match is None or match[1] in members or len(members) >= _MEMBERS_MAX:
            return None
        members[match[1]] = match[2] if match[2] is not None else match[3]
        position = match.end()
    return members


def members_of(request: Request) -> Members:
    """Return the members of the header and, where it has none, of a JSON body. Errors: WireError."""
    members = dict(parse_authorization(request.headers.get("authorization", "")) or {})
    if request.body and media_type(request.headers) == "application/json":
        known = parse(request.body, dict[str, str | int | bool | None])
        if len(known) > _MEMBERS_MAX:
            raise WireError(f"More than {_MEMBERS_MAX} members")
        for name, value in known.items():
            members.setdefault(name, "" if value is None else str(value))
    return members


def identity_of(text: str) -> Identity:
    """Read an identity, plain or percent-encoded. Errors: WireError."""
    try:
        return parse_identity(text)
    except WireError:
        return parse_identity(unquote(text))


def login_proof(members: Members, nonce: bytes) -> Proof:
    """Return the proof of a log-in. Errors: WireError for members that are missing or unreadable."""
    identity = identity_of(members.get("id", ""))
    data = nonce + octets(members, "cnonce")
    signature, algorithm = octets(members, "signature"), members.get("alg", "")
    match members.get("type", ""):
        case "HS_PUBKEY":
            return Proof(identity, AUTH_PUBLIC_KEY, signature_proof(algorithm, signature), data)
        case "HS_SECKEY":
            return Proof(identity, AUTH_SECRET_KEY, mac_proof(members, signature), data)
    raise WireError("type: HS_PUBKEY or HS_SECKEY is wanted")


def mac_proof(members: Members, mac: bytes) -> bytes:
    """Return the signed response of HS_SECKEY from its members. Errors: WireError for an unknown algorithm."""
    algorithm = members.get("alg", "").upper()
    if algorithm in _MACS:
        return bytes((_MACS[algorithm],)) + mac
    if algorithm != _PBKDF2:
        raise WireError("Unknown algorithm")
    iterations, bits = number(members, "iterations"), number(members, "length")
    head = bytes((_PBKDF2_CODE,)) + bstr(octets(members, "salt"))
    return head + iterations.to_bytes(4, "big") + bits.to_bytes(4, "big") + bstr(mac)


def octets(members: Members, name: str) -> bytes:
    """Return a member that is base64. Errors: WireError; bounds: SECRET_BYTES_MAX."""
    try:
        value = base64.b64decode(members.get(name, ""), validate=True)
    except (binascii.Error, ValueError):
        raise WireError(f"{name}: base64 is wanted") from None
    if not value or len(value) > limits.SECRET_BYTES_MAX:
        raise WireError(f"{name}: 1 … {limits.SECRET_BYTES_MAX} octets in base64 are wanted")
    return value


def number(members: Members, name: str) -> int:
    """Return a member that is a number of 31 bits. Errors: WireError."""
    text = members.get(name, "")
    if not (text.isascii() and text.isdecimal() and len(text) <= 10) or int(text) > limits.VALUE_INDEX_MAX:
        raise WireError(f"{name}: a number is wanted")
    return int(text)
