"""Sessions of the JSON interface on a real node of four workers, over TLS."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from core import limits
from tests.kit.handle_proofs import rsa_holds
from tests.kit.logins import (
    DIGESTS,
    MACS,
    THIS,
    Begun,
    Members,
    b64,
    begin,
    begun,
    by_key,
    by_secret,
    header,
    session_header,
)
from tests.kit.node import Node, Reply, admin_value, basic, saltern

SECRET_ID, KEY_ID = "301:0.NA/88.1", "300:0.NA/88.1"
WAYS = [*(("HS_SECKEY", alg) for alg in MACS), *(("HS_PUBKEY", alg) for alg in DIGESTS)]
every_way = pytest.mark.parametrize(("kind", "alg"), WAYS)
VALUES = [{"index": 1, "type": "URL", "data": "https://a.example"}, admin_value("0.NA/88.1")]
PRIVATE = {"index": 2, "type": "NOTE", "data": "for us", "permissions": "1100"}
UNKNOWN = {"Authorization": 'Handle version="0", sessionId="nosuch"'}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("sessions") / "node", "88.1", resolver__workers=4) as made:
        yield made


def key_of(node: Node) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key((node.folder / "keys" / "admin.pem").read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def login(node: Node, session: Begun, kind: str = "HS_SECKEY", alg: str = "HMAC-SHA256") -> Members:
    """Return the members of a log-in that is right."""
    if kind == "HS_PUBKEY":
        return by_key(session, KEY_ID, key_of(node), alg)
    return by_secret(session, SECRET_ID, node.secret.encode(), alg)


def in_session(node: Node) -> dict[str, str]:
    """Log in; return the header of later requests."""
    session = begin(node)
    assert node.ask("PUT", THIS, {}, header(login(node, session)), tls=True).status == 200
    return session_header(session)


def is_known(node: Node, session: Begun) -> bool:
    """Whether somebody is proven in a session."""
    reply = node.ask("GET", THIS, headers=session_header(session), tls=True)
    assert begun(reply) == session
    return bool(reply.json.get("authenticated", False))


def challenges(reply: Reply) -> list[str]:
    return [value.partition(" ")[0] for value in reply.headers.get_all("WWW-Authenticate", [])]


# --- logging in -------------------------------------------------------------


@every_way
def test_a_put_logs_in_by_itself_and_its_session_goes_on(node: Node, kind: str, alg: str) -> None:
    """Every MAC of a secret key, every digest under a private key; then the session's id alone is enough."""
    session, path = begin(node), f"/api/handles/88.1/one-{alg}"
    reply = node.ask("PUT", path, VALUES, header(login(node, session, kind, alg)), tls=True)
    assert (reply.status, reply.json) == (201, {"responseCode": 1, "handle": f"88.1/one-{alg}"})
    assert node.ask("DELETE", path, headers=session_header(session), tls=True).status == 200
    assert node.ask("GET", path, tls=True).status == 404


@every_way
def test_a_log_in_to_a_session_is_answered_by_who_it_is(node: Node, kind: str, alg: str) -> None:
    """PUT of the header with the body {}, as the clients send it; the members in the reference's order."""
    session = begin(node)
    assert not is_known(node, session)
    reply = node.ask("PUT", THIS, {}, header(login(node, session, kind, alg), ","), tls=True)
    named = KEY_ID if kind == "HS_PUBKEY" else SECRET_ID
    assert reply.status == 200
    assert list(reply.json) == ["sessionId", "nonce", "authenticated", "id"]
    assert (begun(reply), reply.json["authenticated"], reply.json["id"]) == (session, True, named)
    assert is_known(node, session)
    listing = node.ask("GET", "/api/handles?prefix=88.1", headers=session_header(session), tls=True)
    assert listing.status == 200


@pytest.mark.parametrize("method", ["PUT", "POST"])
@every_way
def test_a_log_in_by_body(node: Node, method: str, kind: str, alg: str) -> None:
    """A JSON object with the same members; numbers may be numbers."""
    session = begin(node)
    members: dict[str, Any] = dict(login(node, session, kind, alg))
    members |= {name: int(members[name]) for name in ("iterations", "length") if name in members}
    reply = node.ask(method, THIS, members, tls=True)
    assert (reply.status, reply.json["authenticated"]) == (200, True)
    assert is_known(node, session)


@pytest.mark.parametrize("identity", [quote(SECRET_ID, safe=""), quote(SECRET_ID), "301:0.na/88.1"])
def test_an_identity_may_be_percent_encoded(node: Node, identity: str) -> None:
    session = begin(node)
    reply = node.ask("PUT", THIS, {}, header(login(node, session) | {"id": identity}), tls=True)
    assert reply.status == 200, reply.body


def test_basic_begins_a_session_that_is_proven(node: Node) -> None:
    """Wrong credentials begin none."""
    reply = node.ask("POST", "/api/sessions", headers=node.admin(), tls=True)
    assert (reply.status, reply.json["id"]) == (201, SECRET_ID)
    assert is_known(node, begun(reply))
    refused = node.ask("POST", "/api/sessions", headers=basic(SECRET_ID, "wrong"), tls=True)
    assert (refused.status, refused.body) == (401, b"")


def test_a_session_is_known_to_every_worker(node: Node) -> None:
    """Each connection goes to the worker that is free."""
    known = in_session(node)
    seen = {node.ask("GET", "/api/handles?prefix=88.1", headers=known, tls=True).status for _ in range(40)}
    assert seen == {200}
    assert node.ask("DELETE", THIS, headers=known, tls=True).status == 204
    seen = {node.ask("GET", "/api/handles?prefix=88.1", headers=known, tls=True).status for _ in range(40)}
    assert seen == {401}


def test_the_server_proves_itself(node: Node) -> None:
    """To whoever sends a cnonce and no id: signed are nonce and cnonce, by the key of /api/site."""
    site = node.ask("GET", "/api/site").json["site"]
    jwk = site["servers"][0]["publicKey"]["value"]
    modulus, exponent = (int.from_bytes(base64.urlsafe_b64decode(jwk[name] + "==")) for name in ("n", "e"))
    key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    session = begin(node)
    known = begun(node.ask("POST", "/api/sessions", headers=node.admin(), tls=True))
    cnonce = os.urandom(16)
    asked: list[tuple[str, str, dict[str, str] | None, dict[str, str]]] = [
        ("POST", "/api/sessions", {"cnonce": b64(cnonce)}, {}),
        ("POST", "/api/sessions", None, header({"cnonce": b64(cnonce)})),
        ("PUT", THIS, {"cnonce": b64(cnonce)}, session_header(session)),
        ("PUT", THIS, {"cnonce": b64(cnonce)}, session_header(known)),
    ]
    for method, path, body, headers in asked:
        reply = node.ask(method, path, body, headers, tls=True)
        assert list(reply.json)[:4] == ["sessionId", "nonce", "serverAlg", "serverSignature"]
        assert reply.json["serverAlg"] == "SHA-256"
        signature = base64.b64decode(reply.json["serverSignature"])
        assert rsa_holds(key, begun(reply).nonce + cnonce, "SHA-256", signature)
    assert not is_known(node, session)


def test_a_session_is_ended(node: Node) -> None:
    """204 and then unknown; ending what is not there is 403; all without a body."""
    known = in_session(node)
    for status in (204, 403):
        reply = node.ask("DELETE", THIS, headers=known, tls=True)
        assert (reply.status, reply.body, reply.headers["Content-Type"]) == (status, b"", None)
    reply = node.ask("GET", "/api/handles/88.1/x", headers=known, tls=True)
    assert (reply.status, challenges(reply)) == (401, ["Handle"])


# --- refused ----------------------------------------------------------------

WRONG: dict[str, Members] = {
    "signature": {"signature": b64(bytes(32))},
    "signature of another length": {"signature": b64(b"x")},
    "no signature": {"signature": ""},
    "no base64": {"signature": "?"},
    "alg": {"alg": "ROT13"},
    "type": {"type": "HS_ADMIN"},
    "cnonce": {"cnonce": b64(bytes(16))},
    "index": {"id": "999:0.NA/88.1"},
    "a value that is no secret": {"id": "200:0.NA/88.1"},
    "foreign prefix": {"id": "301:0.NA/99.1"},
    "no such record": {"id": "301:88.1/nobody"},
    "no identity": {"id": "alice"},
    "iterations": {"alg": "PBKDF2-HMAC-SHA1", "salt": "eA==", "iterations": "2147483647", "length": "160"},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_a_wrong_log_in_is_401_and_proves_nothing(node: Node, change: Members) -> None:
    """Without a body and with two challenges; in a log-in to the session with the session in the body."""
    session = begin(node)
    sent = header(login(node, session) | change)
    before = time.monotonic()
    reply = node.ask("PUT", "/api/handles/88.1/wrong", VALUES, sent, tls=True)
    assert (reply.status, reply.body, challenges(reply)) == (401, b"", ["Basic", "Handle"])
    assert 'error="Identity not verified"' in reply.headers.get_all("WWW-Authenticate", [])[1]
    reply = node.ask("PUT", THIS, {}, sent, tls=True)
    assert (reply.status, begun(reply), challenges(reply)) == (401, session, ["Basic", "Handle"])
    assert list(reply.json) == ["sessionId", "nonce", "error"]
    assert reply.json["error"] == "Identity not verified"
    assert f'sessionId="{session.session_id}"' in reply.headers.get_all("WWW-Authenticate", [])[1]
    assert time.monotonic() - before < 20
    assert not is_known(node, session)


def test_a_failed_log_in_to_a_session_is_written_down(node: Node) -> None:
    """As those of any other request, by the identity that was claimed; a verification is of somebody else's proof."""
    time.sleep(1)  # the failures of the tests before fill their second
    session, before = begin(node), failed_log_ins(node)
    wrong = login(node, session) | {"signature": b64(b"no proof")}
    for method in ("PUT", "POST"):
        assert node.ask(method, THIS, {}, header(wrong), tls=True).status == 401
    query = "&".join(f"{name}={b64(b'x' * 16)}" for name in ("nonce", "cnonce", "signature"))
    checked = node.ask("GET", f"/api/verifications/{quote(SECRET_ID)}?alg=HMAC-SHA256&{query}", tls=True)
    assert checked.json["isValid"] is False
    entries = failed_log_ins(node)[len(before) :]
    assert [(each["object"], each["outcome"]) for each in entries] == [(SECRET_ID, "authentication-failed")] * 2
    assert {each["who"]["name"] for each in entries} == {""}
    told = saltern("journal", "--after", str(entries[0]["number"] - 1), "--config", str(node.config)).stdout.decode()
    assert f"  -  log-in {SECRET_ID}: authentication-failed" in told


def failed_log_ins(node: Node) -> list[Any]:
    done = saltern("journal", "--count", "1000", "--config", str(node.config), "--json")
    return [each for each in json.loads(done.stdout) if each["action"] == "log-in"]


def test_a_signature_cannot_be_replayed(node: Node) -> None:
    """It is over one session's nonce: in another one it is wrong."""
    mine, other = begin(node), begin(node)
    members = login(node, mine, "HS_PUBKEY", "SHA256")
    assert node.ask("PUT", THIS, {}, header(members), tls=True).status == 200
    replayed = header(members | {"sessionId": other.session_id})
    assert node.ask("PUT", THIS, {}, replayed, tls=True).status == 401
    assert node.ask("PUT", "/api/handles/88.1/replay", VALUES, replayed, tls=True).status == 401
    assert not is_known(node, other)


def test_a_wrong_log_in_to_a_proven_session_changes_nothing(node: Node) -> None:
    session = begin(node)
    members = login(node, session)
    assert node.ask("PUT", THIS, {}, header(members), tls=True).status == 200
    wrong = header(members | {"signature": b64(bytes(32))})
    assert node.ask("PUT", THIS, {}, wrong, tls=True).status == 401
    assert is_known(node, session)


GARBAGE = {
    "no member": "Handle garbage",
    "scheme alone": "Handle",
    "no names": "Handle =,=",
    "a member twice": 'Handle sessionId="a", sessionId="a"',
    "another scheme": "Digest x",
    "quote not closed": 'Handle a="' + "x" * 15_000,
    "blanks": "Handle a=" + " " * 15_000 + '"',
}


@pytest.mark.parametrize("value", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_401_with_both_ways(node: Node, value: str) -> None:
    """Also where no credentials are needed: who sends some wants them looked at."""
    reply = node.ask("GET", "/api/handles/88.1/x", headers={"Authorization": value}, tls=True)
    assert (reply.status, reply.body, challenges(reply)) == (401, b"", ["Basic", "Handle"])
    assert node.ask("GET", THIS, headers={"Authorization": value}, tls=True).json == {"authenticated": False}


def test_a_header_beyond_a_line_is_refused(node: Node) -> None:
    """400, and the connection ends; the node goes on."""
    value = 'Handle sessionId="' + "x" * limits.HTTP_HEAD_BYTES_MAX + '"'
    assert node.ask("GET", THIS, headers={"Authorization": value}, tls=True).status == 400
    assert node.ask("GET", THIS, tls=True).status == 200


@pytest.mark.parametrize(
    "path", ["/api/handles/88.1/x", "/api/handles?prefix=88.1", "/api/site", "/api/prefixes", THIS]
)
def test_an_unknown_session_is_told_a_new_one_alone(node: Node, path: str) -> None:
    reply = node.ask("GET", path, headers=UNKNOWN, tls=True)
    assert (reply.status, reply.body, challenges(reply)) == (401, b"", ["Handle"])
    assert reply.headers["Content-Type"] is reply.headers["Vary"] is None


def test_the_doors_around_a_session(node: Node) -> None:
    """Statuses without a body: another name, another method; a new session gets its own id."""
    for method, path, status in (
        ("GET", "/api/sessions/other", 403), ("PUT", "/api/sessions/this/x", 403), ("GET", "/api/sessions", 405),
        ("PUT", "/api/sessions", 405), ("DELETE", THIS, 403), ("OPTIONS", THIS, 200),
    ):  # fmt: skip
        reply = node.ask(method, path, tls=True)
        assert (reply.status, reply.body) == (status, b""), (method, path)
    assert node.ask("POST", "/api/sessions", {"sessionId": "mine"}, tls=True).status == 400
    assert node.ask("POST", "/api/sessions", b"{", {"Content-Type": "application/json"}, tls=True).status == 400
    assert node.ask("PATCH", THIS, tls=True).status == 501


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"sessionId":[]}', b'{"cnonce":{}}'])
def test_a_body_that_is_no_object_of_texts_is_400(node: Node, body: bytes) -> None:
    for method in ("PUT", "POST"):
        reply = node.ask(method, THIS, body, {"Content-Type": "application/json"}, tls=True)
        assert (reply.status, reply.json["responseCode"]) == (400, 4)


# --- what a session is good for ---------------------------------------------


def test_a_session_reads_what_is_not_public_but_never_by_jsonp(node: Node) -> None:
    """A foreign page's script is nobody, whatever the browser sends along."""
    known = in_session(node)
    assert node.ask("PUT", "/api/handles/88.1/P", [*VALUES, PRIVATE], known, tls=True).status == 201
    assert b"for us" in node.ask("GET", "/api/handles/88.1/P", headers=known, tls=True).body
    for query in ("callback=f", "callback=f&publicOnly=false", "callback=f&index=2"):
        reply = node.ask("GET", f"/api/handles/88.1/P?{query}", headers=known, tls=True)
        assert b"for us" not in reply.body
    listing = node.ask("GET", "/api/handles?prefix=88.1&callback=f", headers=known, tls=True)
    assert listing.status == 401
    shown = node.ask("GET", f"{THIS}?callback=f", headers=known, tls=True)
    assert shown.headers["Content-Type"] == "application/json;charset=utf-8"


def test_a_session_registers_batches(node: Node) -> None:
    """By its id, or logging in at once; refused credentials are offered the ways to log in."""
    batch = [{"handle": "88.1/BATCH", "values": VALUES}]
    for sent in (in_session(node), header(login(node, begin(node)))):
        reply = node.ask("POST", "/v1/records:batch", batch, sent, tls=True)
        assert (reply.status, len(reply.json["results"])) == (200, 1), reply.body
    wrong = header(login(node, begin(node)) | {"signature": "eA=="})
    for refused, ways in (
        (None, ["Basic", "Handle", "Bearer"]),
        (wrong, ["Basic", "Handle", "Bearer"]),
        (UNKNOWN, ["Handle"]),
    ):
        for body in (batch, None):
            reply = node.ask("POST", "/v1/records:batch", body, refused, tls=True)
            assert (reply.status, challenges(reply)) == (401, ways)


def test_verifications_need_no_credentials(node: Node) -> None:
    """Of a secret key that lives here, over plain HTTP too; every MAC; never of a public key."""
    nonce = os.urandom(16)
    for alg in MACS:
        known = by_secret(Begun("", nonce), SECRET_ID, node.secret.encode(), alg) | {"nonce": b64(nonce)}
        for tls in (True, False):
            for asked, right in ((known, True), (known | {"signature": b64(bytes(20))}, False)):
                reply = node.ask("POST", f"/api/verifications/{SECRET_ID}", asked, tls=tls)
                assert (reply.status, reply.json) == (
                    200,
                    {"responseCode": 1, "isValid": right, "handle": "0.NA/88.1"},
                )
    signed = by_key(Begun("", nonce), KEY_ID, key_of(node)) | {"nonce": b64(nonce)}
    reply = node.ask("POST", f"/api/verifications/{KEY_ID}", signed)
    assert reply.json["isValid"] is False


SLOWER = {"alg": "PBKDF2-HMAC-SHA1", "salt": "eA==", "iterations": "100001", "length": "160"}


@pytest.mark.parametrize(
    ("path", "change", "answer"),
    [
        ("301:0.NA/99.1", {}, (400, 301)),
        ("301:0.NA/88.1", {"alg": "ROT13"}, (400, 4)),
        ("301:0.NA/88.1", {"nonce": "?"}, (400, 4)),
        ("301:0.NA/88.1", {"alg": "PBKDF2-HMAC-SHA1"}, (400, 4)),
        ("0.NA/88.1", {}, (400, 4)),
        ("%FF", {}, (400, 102)),
        ("", {}, (400, 4)),
        ("301%3A0.NA%2F88.1", SLOWER, (200, 1)),
    ],
)
def test_verifications_that_cannot_be_made(node: Node, path: str, change: Members, answer: tuple[int, int]) -> None:
    """Not homed; unknown or incomplete algorithm; no index; no handle. Too many iterations are never right."""
    known = {"nonce": "eA==", "cnonce": "eA==", "alg": "SHA1", "signature": "eA=="} | change
    reply = node.ask("POST", f"/api/verifications/{path}", known)
    assert (reply.status, reply.json["responseCode"]) == answer
    assert reply.json.get("isValid", False) is False


def test_nothing_of_a_log_in_stands_in_the_log(node: Node) -> None:
    """Right or wrong: no secret, nonce, signature, session id."""
    session = begin(node)
    right = login(node, session)
    for members in (right, right | {"signature": b64(os.urandom(32))}, right | {"alg": "x"}):
        node.ask("PUT", THIS, {}, header(members), tls=True)
        node.ask("PUT", "/api/handles/88.1/log", VALUES, header(members), tls=True)
        node.ask("PUT", THIS, members, tls=True)
        assert not [part for part in (members["signature"], members["cnonce"]) if part in node.log()]
    assert not [part for part in (node.secret, b64(session.nonce), session.session_id) if part in node.log()]
    assert "Traceback" not in node.log()
