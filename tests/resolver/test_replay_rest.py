"""The reference server's JSON exchanges, replayed octet by octet over TCP and TLS.

Where a session's id and nonce stand in a request, and with them a signature, those of a
session of our own take their place. What differs on purpose stands in
docs/standards/divergences.md.
"""

from __future__ import annotations

import base64
import gzip
import hmac
import json
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from core.records import HandleValue, ValueReference, Values
from tests.kit.handle_messages import Reader, decode_values
from tests.kit.handle_proofs import encode_rsa_key
from tests.kit.node import Node, admin_value, saltern
from tests.kit.vectors import import_lines, load, reference_records, value_of

PREFIX = "0.NA/88.9999.1"
EXCHANGES = {exchange["name"]: exchange for exchange in load("handle/rest_json.json")["exchanges"]}
MORE = load("handle/more.json")
MORE_EXCHANGES = {each["name"]: each for each in MORE["exchanges"] if each["transport"] == "https"}
LIVE = re.compile("session_get|pubkey|sessions_this_auth|sessions_login|sessions_delete")  # need a session of our own
NO_SUCH_STATE = re.compile("rc7")  # this node is never switched off while it runs
REPLAYED = [name for name in EXCHANGES if not LIVE.search(name)]
MORE_REPLAYED = [name for name in MORE_EXCHANGES if not LIVE.search(name) and not NO_SUCH_STATE.search(name)]
CHARS = [name for name in MORE_REPLAYED if name.startswith("chars_")]
ADMIN = admin_value("0.NA/88.9999.1")
# What exchanges that are not in the file had made before these were sent.
MADE_BEFORE: dict[str, list[dict[str, Any]]] = {
    "put_index_exists_overwrite": [
        {"index": 1, "type": "URL", "data": "https://a.example"},
        {"index": 2, "type": "DESC", "data": "d"},
        ADMIN,
    ],
}
VARYING = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SESSION = re.compile(rb'("?sessionId"?[:=])"[\w-]{6,64}"')
NONCE = re.compile(rb'("?nonce"?[:=])"[A-Za-z0-9+/]{22}=="')
JAVA = b"java.lang.Exception: "  # docs/standards/divergences.md#error-messages-without-class-names
TRACE = "TRACE, "  # offered by the reference server's HTTP library, not by us
COMPARED = ("Content-Type", "Vary", "Content-Encoding", "Location", "Allow", "Access-Control-Allow-Origin")
# docs/standards/divergences.md#encoded-surrogates-are-base64
DIVERGING = {"chars_eda080": ('"string","value":"\ufffd"'.encode(), b'"base64","value":"7aCA"')}
Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("reference") / "node"
    made = Node(folder, "88.9999.1", "88.9999.2", "88.9999.3", handle__root=True, http__plain_auth="never")
    with made:
        bulk_admin = value_of(load("handle/records.json")["bulk_admin"])
        records = reference_records() | {f"88.9999.1/B{number:08}": (bulk_admin,) for number in range(5)}
        saltern("record", "import", "-", "--config", str(made.config), stdin=import_lines(records))
        yield made


@pytest.fixture(scope="module")
def second(node: Node) -> Node:
    """The same node as it was in the second run: with more records, which listings of the first do not show."""
    lines = import_lines(dict(map(record_of_setup, MORE["setup"]))) + b"".join(lines_of_answers())
    saltern("record", "import", "-", "--config", str(node.config), stdin=lines)
    return node


def record_of_setup(setup: dict[str, str]) -> tuple[str, Values]:
    """Read the body of an operation 100."""
    octets = Reader(bytes.fromhex(setup["body"]))
    handle = octets.text()
    return handle, tuple(
        HandleValue(
            each.index, each.type, each.data, each.ttl, bool(each.ttl_type), each.permissions, each.timestamp,
            tuple(ValueReference(*reference) for reference in each.references),
        )
        for each in decode_values(octets)
    )  # fmt: skip


def lines_of_answers() -> Iterator[bytes]:
    """Yield the records, as lines to import, that are known by what the reference server answered alone."""
    for name in MORE_REPLAYED:
        if name.startswith(("chars_", "escape_", "gzip_")):
            body = json.loads(split(bytes.fromhex(MORE_EXCHANGES[name]["response"]))[2])
            if name in CHARS:
                body["handle"] = handle_of_chars(name)
                body["values"][0]["data"] = {"format": "hex", "value": name.partition("_")[2]}
            if body["handle"] not in reference_records():
                yield json.dumps({"handle": body["handle"], "values": body["values"]}).encode() + b"\n"


def handle_of_chars(name: str) -> str:
    """All of them were one record, one after the other; here each has one."""
    return f"88.9999.1/CH{CHARS.index(name)}"


def sent(node: Node, request: bytes, *, tls: bool) -> Answer:
    """Send the very octets; return status, headers and body."""
    raw: socket.socket = socket.create_connection(("127.0.0.1", node.ready["https" if tls else "http"]), timeout=20)
    if tls:
        context = ssl.create_default_context(cafile=str(node.folder / "keys" / "tls.crt"))
        raw = context.wrap_socket(raw, server_hostname="localhost")
    with raw:
        raw.sendall(request)
        received = b""
        while chunk := raw.recv(65_536):
            received += chunk
    return split(received)


def split(octets: bytes) -> Answer:
    """Cut an answer; the lines of a header that comes more than once are joined in their order."""
    head, _, body = octets.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    for name, _, value in (line.partition(": ") for line in lines[1:]):
        headers[name] = f"{headers[name]}\n{value}" if name in headers else value
    if headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    return int(lines[0].split(" ")[1]), headers, body


def without_session(octets: bytes) -> bytes:
    return NONCE.sub(rb'\1"NONCE"', SESSION.sub(rb'\1"SESSION"', octets))


def comparable(body: bytes) -> bytes:
    """Blank what differs between two runs of any server, and the number of bulk records."""
    body = without_session(VARYING.sub(b"UUID", body))
    return re.sub(rb'"totalCount":"\d+"', b'"totalCount":"N"', body).replace(JAVA, b"")


def swapped(request: bytes, swaps: Mapping[str, str]) -> bytes:
    """Put other texts into a request, and the length that it then has."""
    for old, new in swaps.items():
        assert old.encode() in request, old
        request = request.replace(old.encode(), new.encode())
    head, end, body = request.partition(b"\r\n\r\n")
    return re.sub(rb"(?<=Content-Length: )\d+", str(len(body)).encode(), head) + end + body


def replay(node: Node, name: str, swaps: Mapping[str, str] | None = None) -> Answer:
    """Send a recorded request; hold the answer against the recorded one: status, members, their order, headers.

    ``swaps``: texts of the request, and what stands in their place in it and in the answer.
    """
    if name in EXCHANGES:
        exchange = EXCHANGES[name]
        request, answer = bytes.fromhex(exchange["request_hex"]), bytes.fromhex(exchange["response_hex"])
        tls = exchange["tls"]
    else:
        request, answer = (bytes.fromhex(MORE_EXCHANGES[name][part]) for part in ("request", "response"))
        tls = True
    old, new = DIVERGING.get(name, (b"", b""))
    status, headers, body = got = sent(node, swapped(request, swaps or {}), tls=tls)
    want_status, want_headers, want_body = split(answer)
    assert status == want_status
    for text, instead in (swaps or {}).items():
        want_body = want_body.replace(text.encode(), instead.encode())
    assert comparable(body) == comparable(want_body).replace(old, new)
    for header in COMPARED:
        assert headers.get(header, "") == want_headers.get(header, "").replace(TRACE, ""), header
    challenges = (each.get("WWW-Authenticate", "").encode() for each in (headers, want_headers))
    assert len({without_session(each) for each in challenges}) == 1
    assert "Server" not in headers
    return got


@pytest.mark.parametrize("name", REPLAYED)
def test_the_reference_exchange_is_answered_the_same(node: Node, name: str) -> None:
    """Status, members, their order and values, headers that carry meaning: as the reference server."""
    if name in MADE_BEFORE:
        made = node.ask("PUT", "/api/handles/88.9999.1/R1", MADE_BEFORE[name], basic_of_vectors(), tls=True)
        assert made.status == 201, made.body
    replay(node, name)


@pytest.mark.parametrize("name", MORE_REPLAYED)
def test_an_exchange_of_the_second_run_is_answered_the_same(second: Node, name: str) -> None:
    """Rights, sessions, verifications, escapes, compression, characters."""
    replay(second, name, {"88.9999.1/CHB": handle_of_chars(name)} if name in CHARS else {})


def basic_of_vectors() -> dict[str, str]:
    line = next(line for line in EXCHANGES["delete_handle"]["request"].split("\r\n") if line.startswith("Auth"))
    return {"Authorization": line.partition(": ")[2]}


def test_the_total_counts_what_is_there(node: Node) -> None:
    """totalCount, blanked above, is the number of records under the prefix."""
    reply = node.ask("GET", "/api/handles?prefix=88.9999.1", headers=basic_of_vectors(), tls=True)
    handles = reply.json["handles"]
    assert reply.json["totalCount"] == str(len(handles))
    assert handles == sorted(handles, key=lambda handle: handle.encode())
    assert json.dumps(handles).count("B0000") == 5


def test_credentials_are_never_taken_over_plain_http(node: Node) -> None:
    """With plain_auth = never even loopback is told 403 with responseCode 402."""
    reply = node.ask("PUT", "/api/handles/88.9999.1/R9", [ADMIN], basic_of_vectors())
    assert (reply.status, reply.json) == (403, {"responseCode": 402, "handle": "88.9999.1/R9"})


def test_there_are_no_sessions_over_plain_http(node: Node) -> None:
    """403 without a body, whatever is asked of them, also with a session that was begun over TLS."""
    session_id, _ = begun(node, "sessions_post_basic")
    for headers in ({}, basic_of_vectors(), {"Authorization": f'Handle sessionId="{session_id}"'}):
        for method, path in (
            ("POST", ""),
            ("GET", ""),
            *((each, "/this") for each in ("GET", "PUT", "POST", "DELETE")),
        ):
            reply = node.ask(method, f"/api/sessions{path}", headers=headers)
            assert (reply.status, reply.body, reply.headers["Content-Type"]) == (403, b"", None)
            assert "WWW-Authenticate" not in reply.headers
    shown = node.ask("GET", "/api/sessions/this", headers=headers, tls=True)
    assert shown.json["authenticated"] is True


# --- sessions of our own, in recorded requests ------------------------------


def members(name: str) -> dict[str, str]:
    """Return the members of the log-in that a recorded request holds, in its header or its body."""
    octets = bytes.fromhex((EXCHANGES.get(name) or {"request_hex": MORE_EXCHANGES[name]["request"]})["request_hex"])
    return dict(re.findall(r'(\w+)"?[:=] ?"([^"]*)"', octets.decode().partition("\r\nConnection")[2]))


def begun(node: Node, name: str = "sessions_post2") -> tuple[str, bytes]:
    """Begin a session by a recorded request; return its id and nonce."""
    body = json.loads(replay(node, name)[2])
    return body["sessionId"], base64.b64decode(body["nonce"])


def test_a_session_is_begun_shown_and_ended(node: Node) -> None:
    """By Basic; shown twice as recorded; ended with no body and then unknown: as the reference server."""
    session_id, _ = begun(node, "sessions_post_basic")
    for name in ("sessions_this_authenticated", "session_get", "sessions_delete"):
        replay(node, name, {members(name)["sessionId"]: session_id})
    swaps = {members("sessions_delete")["sessionId"]: session_id}
    request = swapped(bytes.fromhex(MORE_EXCHANGES["sessions_delete"]["request"]), swaps)
    status, headers, body = sent(node, request, tls=True)
    assert (status, body) == (403, b"")
    assert not {"Content-Type", "Vary"} & set(headers)


def test_a_log_in_by_body_is_answered_the_same(node: Node) -> None:
    """The recorded signature is over the recorded nonce; ours is over ours, and the same."""
    session_id, nonce = begun(node)
    known = members("sessions_login_json_body")
    secret, cnonce = b"salt-secret-key", base64.b64decode(known["cnonce"])
    recorded = base64.b64decode(
        json.loads(split(bytes.fromhex(MORE_EXCHANGES["sessions_post2"]["response"]))[2])["nonce"]
    )

    def signature(nonce: bytes) -> str:
        return base64.b64encode(hmac.digest(secret, nonce + cnonce, "sha256")).decode()

    assert signature(recorded) == known["signature"]
    swaps = {known["sessionId"]: session_id, known["signature"]: signature(nonce)}
    replay(node, "sessions_login_json_body", swaps)


def test_a_public_key_logs_in_and_its_session_goes_on(node: Node) -> None:
    """With both digests: a PUT that logs in, then requests with the session's id alone.

    The private key of value 300 is not given, so the record gets another one meanwhile.
    """
    key = rsa.generate_private_key(65_537, 2_048)
    values = reference_records()[PREFIX]
    encoded = encode_rsa_key(key.public_key())
    keep(node, tuple(each._replace(data=encoded) if each.value_index == 300 else each for each in values))
    for digest in (hashes.SHA256(), hashes.SHA1()):
        log_in_by_key(node, key, digest)
    keep(node, values)


def keep(node: Node, values: Values) -> None:
    saltern("record", "import", "-", "--config", str(node.config), stdin=import_lines({PREFIX: values}))


def log_in_by_key(node: Node, key: rsa.RSAPrivateKey, digest: hashes.HashAlgorithm) -> None:
    session_id, nonce = begun(node)
    flow = f"pubkey_{digest.name.upper()}"
    known = members(f"{flow}_put")
    signed = key.sign(nonce + base64.b64decode(known["cnonce"]), padding.PKCS1v15(), digest)
    swaps = {known["sessionId"]: session_id}
    replay(node, f"{flow}_put", swaps | {known["signature"]: base64.b64encode(signed).decode()})
    for name in (f"{flow}_prefixes", f"{flow}_list", f"{flow}_delete"):
        if name in EXCHANGES:
            replay(node, name, swaps)


def test_every_exchange_is_replayed() -> None:
    """In one way or the other; those of a server that is switched off are left out."""
    by_hand = {name for name in (*EXCHANGES, *MORE_EXCHANGES) if LIVE.search(name)}
    left_out = set(MORE_EXCHANGES) - set(MORE_REPLAYED) - by_hand
    assert len(EXCHANGES | MORE_EXCHANGES) == 61 + 33
    assert left_out == {"rc7_json"}
    assert by_hand == {
        "session_get", "sessions_this_authenticated", "sessions_login_json_body", "sessions_delete",
        "pubkey_SHA256_put", "pubkey_SHA256_prefixes", "pubkey_SHA256_list", "pubkey_SHA256_delete",
        "pubkey_SHA1_put", "pubkey_SHA1_prefixes",
    }  # fmt: skip
