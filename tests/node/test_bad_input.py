"""Nothing that a client sends gives a 500, stops others, or is half applied."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from core import limits
from tests.kit.node import Node, admin_value, basic

PREFIX = "88.118.7"
URL = {"index": 1, "type": "URL", "data": "https://a.example"}
HEAD = "Host: localhost\r\nConnection: close\r\n"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("bad") / "node", PREFIX) as running:
        assert running.put(f"{PREFIX}/GOOD", [URL, admin_value(f"0.NA/{PREFIX}")]).status == 201
        yield running
        assert running.get(f"{PREFIX}/GOOD").status == 200, "others are still served"
        assert "ticket" not in running.log(), "no handler failed"
    assert "every row is right" in running.fsck()


def raw(node: Node, octets: bytes, *, end: bool = False) -> bytes:
    """Send octets as they are; return what comes until the node closes."""
    with socket.create_connection(("127.0.0.1", node.ready["http"]), timeout=20) as connection:
        try:
            connection.sendall(octets)
            if end:
                connection.shutdown(socket.SHUT_WR)
            received = b""
            while chunk := connection.recv(65_536):
                received += chunk
        except (ConnectionResetError, BrokenPipeError):
            return received
    return received


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 0


BAD_VALUES: list[tuple[str, Any, int, int]] = [
    ("an index of 2^40", [{**URL, "index": 2**40}], 400, 4),
    ("an index of zero", [{**URL, "index": 0}], 400, 202),
    ("a negative index", [{**URL, "index": -1}], 400, 202),
    ("an index as text", [{**URL, "index": "one"}], 400, 4),
    ("an index as float", [{**URL, "index": 1.5}], 400, 4),
    ("an index twice", [URL, URL], 409, 201),
    ("no type", [{"index": 1, "data": "x"}], 400, 4),
    ("no data", [{"index": 1, "type": "URL"}], 400, 4),
    ("an empty type", [{**URL, "type": ""}], 400, 202),
    ("data as number", [{**URL, "data": 7}], 400, 4),
    ("an unknown format", [{**URL, "data": {"format": "yaml", "value": ""}}], 400, 4),
    ("bad base64", [{**URL, "data": {"format": "base64", "value": "?"}}], 400, 4),
    ("bad hex", [{**URL, "data": {"format": "hex", "value": "0g"}}], 400, 4),
    ("bad admin", [{**URL, "data": {"format": "admin", "value": []}}], 400, 4),
    ("bad key", [{**URL, "data": {"format": "key", "value": {"kty": "EC"}}}], 400, 4),
    ("bad permissions", [{**URL, "permissions": "rwx"}], 400, 4),
    ("a negative TTL", [{**URL, "ttl": -1}], 400, 202),
    ("a TTL that is no time", [{**URL, "ttl": "tomorrow"}], 400, 4),
    ("an object without values", {"handle": "x"}, 400, 4),
    ("a number", 7, 400, 4),
    ("null", None, 400, 4),
    ("a value of 300 000 octets", [{**URL, "data": "x" * 300_000}], 413, 4),
]


@pytest.mark.parametrize(("name", "body", "status", "code"), BAD_VALUES, ids=[each[0] for each in BAD_VALUES])
def test_a_bad_record_is_refused_with_its_reason(node: Node, name: str, body: Any, status: int, code: int) -> None:
    """The documented status, a message that names the place, and no record."""
    sent = json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    reply = node.put(f"{PREFIX}/BAD", sent, headers=headers)
    assert (reply.status, reply.json["responseCode"]) == (status, code), reply.body
    assert reply.json["message"]
    assert node.get(f"{PREFIX}/BAD").status == 404


BAD_BODIES: list[tuple[str, bytes]] = [
    ("no JSON", b"{"),
    ("a bomb of brackets", b"[" * 200_000),
    ("a bomb of objects", b'{"a":' * 200_000),
    ("a bomb inside a value", b'[{"index":1,"type":"X","data":{"format":"site","value":' + b"[" * 100_000),
    ("not UTF-8", b'[{"index":1,"type":"\xff\xfe","data":"x"}]'),
    ("half a surrogate pair", b'[{"index":1,"type":"X","data":"\\ud800"}]'),
    ("a number of 100 000 digits", b'[{"index":' + b"9" * 100_000 + b',"type":"X","data":""}]'),
    ("a number beyond all floats", b'[{"index":1e999,"type":"X","data":""}]'),
    ("NaN", b'[{"index":NaN,"type":"X","data":""}]'),
    ("nothing", b""),
    ("zero octets", b"\0\0\0"),
]


@pytest.mark.parametrize(("name", "body"), BAD_BODIES, ids=[each[0] for each in BAD_BODIES])
def test_a_body_that_is_no_json_is_malformed(node: Node, name: str, body: bytes) -> None:
    """400 with responseCode 4, for PUT and for a POST with parameters; a batch gets problem details."""
    headers = {"Content-Type": "application/json"}
    reply = node.put(f"{PREFIX}/BAD", body, headers=headers)
    assert (reply.status, reply.json["responseCode"]) == (400, 4), reply.body
    if body:
        reply = node.ask("POST", f"/api/handles/{PREFIX}/GOOD", body, headers)
        assert (reply.status, reply.json["responseCode"]) == (400, 4), reply.body
    reply = node.ask("POST", "/v1/records:batch", body, headers | node.admin())
    assert reply.status == 400 or b'"malformed"' in reply.body, reply.body


@pytest.mark.parametrize("handle", ["x" * 10_000_000, f"{PREFIX}/{'y' * 10_000_000}"])
def test_a_handle_of_ten_megabytes_is_refused(node: Node, handle: str) -> None:
    """In the path it is no acceptable head; in a batch it is one refused item."""
    answer = raw(node, f"GET /api/handles/{handle} HTTP/1.1\r\n{HEAD}\r\n".encode())
    assert status_of(answer) in (0, 400, 414, 431)
    reply = node.ask("POST", "/v1/records:batch", [{"handle": handle, "values": []}], node.admin())
    assert reply.json["results"][0]["outcome"] == "invalid-handle"
    assert len(reply.json["results"][0]["message"]) < 200


BAD_PATHS = [
    "/api/handles/%ff%fe",
    "/api/handles/%",
    "/api/handles/%zz",
    "/api/handles/88.118.7%00/X",
    "/api/handles//",
    "/api/handles/../../etc/passwd",
    "/api/handles/88..7/X",
    "/api/handles/.88/X",
    "/api/handles/" + "x" * 3_000,
    "/api/handles/88.118.7/GOOD?index=abc",
    "/api/handles/88.118.7/GOOD?index=99999999999999999999",
    "/api/handles/88.118.7/GOOD?" + "&".join(["index=1"] * 3_000),
    "/api/handles/88.118.7/GOOD?callback=%3Cscript%3E&pretty",
    "/api/handles?prefix=",
    "/api/handles?prefix=%00",
    "/api/handles?prefix=88.118.7&page=-1&pageSize=-1",
    "/api/handles?prefix=88.118.7&page=9999999999&pageSize=9999999999",
    "/%ff/x",
    "/88.118.7/%0d%0aSet-Cookie:x",
    "//evil.example/x",
    "/v1/unknown",
    "/.well-known/x",
    "/api/handles/88.118.7/GOOD?type=%ff",
    "/api/handles/a b",
]


@pytest.mark.parametrize("path", BAD_PATHS, ids=range(len(BAD_PATHS)))
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST", "HEAD", "OPTIONS", "PATCH", "FROB"])
def test_no_path_gives_a_500(node: Node, path: str, method: str) -> None:
    """Whatever path and method, with credentials."""
    line = f"{method} {path} HTTP/1.1\r\n{HEAD}Authorization: {node.admin()['Authorization']}\r\n"
    for body in ("", "Content-Type: application/json\r\nContent-Length: 2\r\n"):
        answer = raw(node, f"{line}{body}\r\n{'[]' if body else ''}".encode())
        assert 200 <= status_of(answer) < 500 or status_of(answer) == 501, answer[:300]
        assert b"Traceback" not in answer


def test_a_body_over_the_limit_is_refused_before_it_is_read(node: Node) -> None:
    """By its announced length: the answer comes although nothing of the body was sent."""
    for path, method in ((f"/api/handles/{PREFIX}/X", "PUT"), ("/v1/records:batch", "POST")):
        limit = limits.BATCH_BODY_BYTES_MAX if method == "POST" else limits.BODY_BYTES_MAX
        answer = raw(
            node,
            f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Content-Length: {limit + 1}\r\n\r\n".encode(),
        )
        assert status_of(answer) == 413, answer
        assert str(limit).encode() in answer


def test_a_body_without_a_length_is_refused_at_the_limit(node: Node) -> None:
    """Chunked, it is counted while it is read."""
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    head = f"PUT /api/handles/{PREFIX}/X HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    answer = raw(node, head + chunk * (limits.BODY_BYTES_MAX // 0x10000 + 2))
    assert status_of(answer) in (413, 0)


def test_a_compressed_body_is_not_taken(node: Node) -> None:
    """A bomb would unfold after its length was checked."""
    reply = node.put(f"{PREFIX}/X", b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
    assert reply.status == 400
    assert "compressed" in reply.json["message"]


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "", "application/jsonx", "a/b;" * 1_000])
def test_an_unknown_content_type_is_refused(node: Node, kind: str) -> None:
    """400 with responseCode 4 on the Handle interface, 415 on ours."""
    headers = {"Content-Type": kind}
    reply = node.put(f"{PREFIX}/X", b"[]", headers=headers)
    assert (reply.status, reply.json["responseCode"]) == (400, 4)
    assert reply.json["message"].startswith("Unsupported media type")
    reply = node.ask("POST", "/v1/records:batch", b"[]", headers | node.admin())
    assert (reply.status, reply.json["outcome"]) == (415, "media-type")


BAD_CREDENTIALS = [
    "Basic",
    "Basic !!!",
    "Basic bm9jb2xvbg==",
    "Basic " + "QQ==" * 2_000,
    "Bearer token",
    "Handle sessionId",
    'Handle sessionId="x',
    basic("301:0.NA/88.118.7", "wrong")["Authorization"],
    basic("301:0.NA/88.118.7", "")["Authorization"],
    basic("300:0.NA/88.118.7", "x")["Authorization"],
    basic("99999999999:0.NA/88.118.7", "x")["Authorization"],
    basic("301:0.NA/99.1", "x")["Authorization"],
    basic("0.NA/88.118.7", "x")["Authorization"],
    basic("301:\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), "x")["Authorization"],
]


@pytest.mark.parametrize("header", BAD_CREDENTIALS, ids=range(len(BAD_CREDENTIALS)))
def test_bad_credentials_are_401_everywhere(node: Node, header: str) -> None:
    """Empty on the Handle interface, problem details on ours; nothing is done."""
    headers = {"Authorization": header}
    for method, path in (("GET", f"/api/handles/{PREFIX}/GOOD"), ("PUT", f"/api/handles/{PREFIX}/NEW")):
        reply = node.ask(method, path, [URL] if method == "PUT" else None, headers)
        assert (reply.status, reply.body) == (401, b"")
        assert 'Basic realm="handle"' in reply.headers.get_all("WWW-Authenticate", [])
    reply = node.ask("POST", "/v1/records:batch", [], headers)
    assert (reply.status, reply.json["outcome"]) == (401, "authentication-failed")
    assert node.get(f"{PREFIX}/NEW").status == 404


def test_a_proxied_request_is_not_loopback(node: Node) -> None:
    """Credentials over plain HTTP behind a proxy are not looked at (design §8)."""
    for header in ("X-Forwarded-For", "Forwarded"):
        reply = node.put(f"{PREFIX}/P", [URL], headers={header: "127.0.0.1"})
        assert (reply.status, reply.json["responseCode"]) == (403, 402)


def test_an_anonymous_write_learns_nothing_of_what_exists(node: Node) -> None:
    """402 whether the handle exists or not; faults of its own come first."""
    for handle in ("GOOD", "NOT-THERE"):
        reply = node.ask("PUT", f"/api/handles/{PREFIX}/{handle}?overwrite=false", [URL])
        assert (reply.status, reply.json["responseCode"]) == (401, 402)
    reply = node.ask("PUT", "/api/handles/99.1/X", [URL])
    assert (reply.status, reply.json["responseCode"]) == (400, 301)
    reply = node.ask("PUT", f"/api/handles/{PREFIX}/X", [{**URL, "index": 0}])
    assert (reply.status, reply.json["responseCode"]) == (400, 202)


@pytest.mark.parametrize("key", ["", "x" * 65, "tab\there"])
def test_a_bad_idempotency_key_is_refused(node: Node, key: str) -> None:
    """Between 1 and 64 printable characters."""
    reply = node.put(f"{PREFIX}/I", [URL], headers={"Idempotency-Key": key})
    assert reply.status == 400
    assert "Idempotency-Key" in reply.json["message"]


def test_an_idempotency_key_gives_the_first_answer_again(node: Node) -> None:
    """Over HTTP: 201 twice, then 409 for another body."""
    headers = {"Idempotency-Key": "once"}
    values = [URL, admin_value(f"0.NA/{PREFIX}")]
    first = node.put(f"{PREFIX}/ONCE", values, headers=headers)
    again = node.put(f"{PREFIX}/ONCE", values, headers=headers)
    assert (first.status, again.status, again.body) == (201, 201, first.body)
    other = node.put(f"{PREFIX}/ONCE", [URL], headers=headers)
    assert (other.status, other.json["responseCode"]) == (409, 2)
    batch = [{"handle": f"{PREFIX}/ONCE-1", "values": [URL]}]
    first, again = (
        node.ask("POST", "/v1/records:batch", batch, node.admin() | {"Idempotency-Key": "b"}) for _ in range(2)
    )
    assert first.json["counts"] == {"created": 1}
    assert again.body == first.body


NO_HTTP = [
    b"\0" * 100,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    b"PUT /api/handles/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nBad Header: y\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 1_000 + b"\r\n",
    b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
]


@pytest.mark.parametrize("octets", NO_HTTP, ids=range(len(NO_HTTP)))
def test_what_is_no_http_is_refused_and_closed(node: Node, octets: bytes) -> None:
    """400 or a closed connection, and no trace of how the node is built."""
    answer = raw(node, octets, end=True)
    assert status_of(answer) in (0, 400), answer[:200]
    assert b"aiohttp" not in answer
    assert b"Traceback" not in answer


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/api/site"),
        ("DELETE", "/api/prefixes"),
        ("GET", "/v1/records:batch"),
        ("POST", "/healthz"),
        ("PUT", "/x/y"),
    ],
)
def test_a_method_that_a_path_does_not_have_names_those_it_has(node: Node, method: str, path: str) -> None:
    """405 with Allow (RFC 9110 §15.5.6)."""
    reply = node.ask(method, path, headers=node.admin())
    assert reply.status == 405
    assert reply.headers["Allow"]


def test_a_batch_without_credentials_is_refused_before_its_body(node: Node) -> None:
    """Its head is enough; so is a wrong media type."""
    head = "POST /v1/records:batch HTTP/1.1\r\nHost: x\r\nContent-Type: {}\r\nContent-Length: 30000000\r\n{}\r\n"
    anonymous = raw(node, head.format("application/json", "").encode())
    assert status_of(anonymous) == 401
    wrong = raw(node, head.format("text/plain", f"Authorization: {node.admin()['Authorization']}\r\n").encode())
    assert status_of(wrong) == 415


def test_a_client_may_ask_before_it_sends(node: Node) -> None:
    """Expect: 100-continue is answered when the head is right, and not when it is wrong (RFC 9110 §10.1.1)."""
    body = json.dumps([URL, admin_value(f"0.NA/{PREFIX}")]).encode()
    head = f"PUT /api/handles/{PREFIX}/E HTTP/1.1\r\n{HEAD}Content-Type: application/json\r\nExpect: 100-continue\r\n"
    head += f"Authorization: {node.admin()['Authorization']}\r\nContent-Length: {{}}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", node.ready["http"]), timeout=20) as connection:
        connection.sendall(head.format(len(body)).encode())
        assert connection.recv(1_024) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        answer = connection.recv(65_536)
    assert status_of(answer) in (200, 201)
    assert status_of(raw(node, head.format(10**9).encode())) == 413


def test_a_refused_body_does_not_lose_its_answer(node: Node) -> None:
    """A client that sends all of it, and only then reads, still gets its 413."""
    body = b" " * (limits.BODY_BYTES_MAX + 1_000_000)
    reply = node.put(f"{PREFIX}/X", body)
    assert reply.status == 413


def test_octets_that_are_no_text_in_a_head_are_no_500(node: Node) -> None:
    """They would come back in the message."""
    for line in (b"Content-Type: text/\xff", b"Origin: \xff", b"Idempotency-Key: \xff", b"Authorization: Basic \xff"):
        head = f"PUT /api/handles/{PREFIX}/X HTTP/1.1\r\n{HEAD}Content-Length: 2\r\n".encode()
        assert status_of(raw(node, head + line + b"\r\n\r\n[]")) < 500
    answer = raw(
        node, f"GET /api/handles/{PREFIX}/GOOD?callback=".encode() + b"\xff HTTP/1.1\r\nHost: x\r\n\r\n", end=True
    )
    assert status_of(answer) in (0, 200, 400)


@pytest.mark.parametrize("query", ["pageSize=0", "page=0&pageSize=0", "page=5&pageSize=0", "page=3", "pageSize=-1"])
def test_a_page_of_nothing(node: Node, query: str) -> None:
    """Is a page."""
    reply = node.ask("GET", f"/api/handles?prefix={PREFIX}&{query}", headers=node.admin())
    assert reply.status == 200
    assert int(reply.json["totalCount"]) >= 1


def test_a_script_of_a_foreign_page_is_nobody(node: Node) -> None:
    """With callback= no credentials count: a browser would send them by itself."""
    reply = node.ask("GET", f"/api/handles/0.NA/{PREFIX}?callback=f", headers=node.admin())
    assert b"HS_SECKEY" not in reply.body
    assert reply.body.startswith(b"f(")
    listing = node.ask("GET", f"/api/handles?prefix={PREFIX}&callback=f", headers=node.admin())
    assert (listing.status, listing.body[:2]) == (401, b"f(")


def test_parameters_dress_errors_too(node: Node) -> None:
    """pretty and callback, whatever is answered."""
    for path in ("/api/handles/?pretty", f"/api/handles/{PREFIX}/GOOD?index=x&pretty", "/api/site?pretty"):
        assert b'{\n  "responseCode"' in node.ask("GET", path).body


def test_a_client_that_goes_away_is_no_failure(node: Node) -> None:
    """In the middle of a body."""
    head = f"PUT /api/handles/{PREFIX}/X HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[".encode()
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", node.ready["http"])) as connection:
            connection.sendall(head)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert node.get(f"{PREFIX}/GOOD").status == 200


def test_a_head_is_a_get_without_its_body(node: Node) -> None:
    """The same status and length (RFC 9110 §9.3.2)."""
    get, head = (node.ask(method, f"/api/handles/{PREFIX}/GOOD") for method in ("GET", "HEAD"))
    assert (head.status, head.body) == (get.status, b"")
    assert head.headers["Content-Length"] == get.headers["Content-Length"]


def test_random_requests_never_give_a_500(node: Node) -> None:
    """Pieces of requests, put together at random; the seed is in the failure's message."""
    seed = random.SystemRandom().randrange(2**32)
    chance = random.Random(seed)
    pieces = [b"GET ", b"PUT ", b"/api/handles/", b"88.118.7/GOOD", b" HTTP/1.1\r\n", b"Host: x\r\n", b"\r\n",
              b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"[1,2]", b"\xff", b"%2F", b"?index=1",
              b"Connection: close\r\n", b"Authorization: Basic QQ==\r\n", b"5\r\nhello\r\n0\r\n\r\n"]  # fmt: skip
    for _ in range(300):
        octets = b"".join(chance.choices(pieces, k=chance.randrange(1, 12)))
        answer = raw(node, octets, end=True)
        assert b"HTTP/1.1 500" not in answer, (seed, octets)
