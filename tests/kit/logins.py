"""Log-ins to the JSON interface as a client makes them: a signature over a session's nonce and a cnonce of its own.

Written from handle-protocol.md §3 alone; it shares no code with the server.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from typing import NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.kit.node import Node, Reply

MACS = ("HMAC-SHA256", "HMAC-SHA1", "SHA256", "SHA1", "PBKDF2-HMAC-SHA1")
DIGESTS = ("SHA256", "SHA1")
THIS = "/api/sessions/this"
Members = dict[str, str]


class Begun(NamedTuple):
    """A session, and the nonce to sign."""

    session_id: str
    nonce: bytes


def b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def begun(reply: Reply) -> Begun:
    """Return the session of an answer that shows one."""
    return Begun(reply.json["sessionId"], base64.b64decode(reply.json["nonce"]))


def begin(node: Node) -> Begun:
    """Begin a session, over TLS."""
    reply = node.ask("POST", "/api/sessions", tls=True)
    assert reply.status == 201, reply
    return begun(reply)


def by_secret(
    session: Begun, identity: str, secret: bytes, alg: str = "HMAC-SHA256", iterations: int = 10_000
) -> Members:
    """Return the members of a log-in by HS_SECKEY."""
    cnonce = os.urandom(16)
    data = session.nonce + cnonce
    more: Members = {}
    if alg == "PBKDF2-HMAC-SHA1":
        salt = os.urandom(16)
        more = {"salt": b64(salt), "iterations": str(iterations), "length": "160"}
        mac = hmac.digest(hashlib.pbkdf2_hmac("sha1", secret, salt, iterations, 20), data, "sha1")
    elif alg.startswith("HMAC-"):
        mac = hmac.digest(secret, data, alg.removeprefix("HMAC-").lower())
    else:
        mac = hashlib.new(alg.lower(), secret + data + secret).digest()
    return _members(session, identity, "HS_SECKEY", cnonce, alg, mac) | more


def by_key(session: Begun, identity: str, key: rsa.RSAPrivateKey, alg: str = "SHA256") -> Members:
    """Return the members of a log-in by HS_PUBKEY."""
    cnonce = os.urandom(16)
    digest = hashes.SHA256() if alg == "SHA256" else hashes.SHA1()
    signature = key.sign(session.nonce + cnonce, padding.PKCS1v15(), digest)
    return _members(session, identity, "HS_PUBKEY", cnonce, alg, signature)


def _members(session: Begun, identity: str, kind: str, cnonce: bytes, alg: str, signature: bytes) -> Members:
    return {
        "version": "0", "sessionId": session.session_id, "id": identity, "type": kind,
        "cnonce": b64(cnonce), "alg": alg, "signature": b64(signature),
    }  # fmt: skip


def header(members: Members, separator: str = ", ") -> dict[str, str]:
    """Return the header of a log-in."""
    return {"Authorization": "Handle " + separator.join(f'{name}="{value}"' for name, value in members.items())}


def session_header(session: Begun) -> dict[str, str]:
    """Return the header of a request in a session."""
    return header({"version": "0", "sessionId": session.session_id})
