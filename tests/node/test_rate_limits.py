"""The rate limits of a running node: who asks too much is told so, or hears nothing; nobody else notices."""

from __future__ import annotations

import contextlib
import re
import select
import socket
import time
import urllib.request
from collections.abc import Iterator
from itertools import count

import pytest

from core.errors import Outcome
from core.events import Via
from core.peer import address_of
from tests.kit.handle_client import MEDIA_TYPE, read_message
from tests.kit.handle_messages import Flag, Message
from tests.kit.handle_node import question
from tests.kit.node import Node
from tests.kit.spools import entries, entries_by_worker, told

PREFIX = "88.118.7"
RATE = 2  # one more is admitted after half a second: no test is slow enough for that
RATE_OF_ALL = 40
TIMEOUT_S = 20
MANY = 2_000  # twice the default limit
EXEMPT = "127.0.0.1"
LOOKS = 2_000
STRICT = {"http__rate_limit": RATE, "handle__rate_limit": RATE}
_SOURCES = (f"127.0.1.{number}" for number in count(2))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("rates") / "node"
    with Node(folder, PREFIX, **STRICT, resolver__rate_limit_exempt=[f"{EXEMPT}/32"]) as made:
        yield made


@pytest.fixture
def source() -> str:
    """An address of this machine that asked nothing so far."""
    return next(_SOURCES)


# --- asking ---


@contextlib.contextmanager
def line_from(source: str, port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> Iterator[socket.socket]:
    """Open a way to a port of the node from an address of this machine."""
    with socket.socket(socket.AF_INET, kind) as line:
        line.settimeout(TIMEOUT_S)
        line.bind((source, 0))
        line.connect(("127.0.0.1", port))
        yield line


def get(path: str, method: str = "GET", more: str = "") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode()


def http(node: Node, source: str, *requests: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    """Send requests in one go; return status, headers and body of each answer, up to the last or the end."""
    found: list[tuple[int, dict[str, str], bytes]] = []
    with line_from(source, node.ready["http"]) as line, line.makefile("rb") as stream:
        line.sendall(b"".join(requests))
        while len(found) < len(requests) and (first := stream.readline()):
            headers = {}
            while (row := stream.readline().strip()) != b"":
                name, _, value = row.decode().partition(": ")
                headers[name] = value
            found.append((int(first.split()[1]), headers, stream.read(int(headers["Content-Length"]))))
    return found


def tcp(node: Node, source: str, questions: int) -> list[Message]:
    """Send questions in one go; return the answers."""
    asked = [question(f"{PREFIX}/T{number}", number, Flag.PUBL | Flag.KPAL) for number in range(1, questions + 1)]
    with line_from(source, node.ready["handle"]) as line, line.makefile("rb") as stream:
        line.sendall(b"".join(message.encode() for message in asked))
        return [Message.decode(read_message(stream.read)) for _ in asked]


def udp(node: Node, source: str, questions: int) -> list[Message]:
    """Send questions; return what was answered before a later question of somebody who is exempt."""
    port = node.ready["handle"]
    with line_from(source, port, socket.SOCK_DGRAM) as line, line_from(EXEMPT, port, socket.SOCK_DGRAM) as other:
        for number in range(1, questions + 1):
            line.send(question(f"{PREFIX}/U{number}", number).encode())
        other.send(question(f"{PREFIX}/OTHER").encode())
        other.recv(65_535)
        line.setblocking(False)
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(Message.decode(line.recv(65_535)))
        return found


def codes(answers: list[Message]) -> list[int]:
    return [answer.code for answer in answers]


QUICK = get(f"/api/handles/{PREFIX}/NONE")
SLOW = get(f"/api/handles/{PREFIX}/NONE?type=URL")
BY_MESSAGE = question(f"{PREFIX}/NONE").encode()
MESSAGE = get(
    "/", "POST", f"Accept: {MEDIA_TYPE}\r\nContent-Type: {MEDIA_TYPE}\r\nContent-Length: {len(BY_MESSAGE)}\r\n"
)
REQUESTS = {
    "quick": QUICK,
    "slow": SLOW,
    "page": get(f"/{PREFIX}/NONE"),
    "message": MESSAGE + BY_MESSAGE,
    "health": get("/healthz"),
}


# --- one source ---


@pytest.mark.parametrize("way", REQUESTS)
def test_http_is_refused_by_429(node: Node, source: str, way: str) -> None:
    """Behind as many as are admitted; it says when to come again, and the log knows of the admitted alone."""
    with told(node) as new:
        answers = http(node, source, *[REQUESTS[way]] * (RATE + 1))
    assert [status for status, _, _ in answers[:-1]] == [answers[0][0]] * RATE
    status, headers, body = answers[-1]
    assert answers[0][0] != status == 429
    assert headers["Retry-After"] == "1"
    assert b"oo many requests" in body or b"rate-limited" in body, body
    assert len(new) == (0 if way == "health" else RATE)
    assert Outcome.RATE_LIMITED not in {entry.outcome for entry in new}


def test_a_quick_connection_is_read_again_after_a_second(node: Node, source: str) -> None:
    """What stands behind the refusal waits for it, and is answered then."""
    began = time.monotonic()
    answers = http(node, source, *[QUICK] * (RATE + 2))
    assert [status for status, _, _ in answers] == [404] * RATE + [429, 404]
    assert time.monotonic() - began > 0.9


def test_tcp_is_refused_by_its_request_id_and_read_again_after_a_second(node: Node, source: str) -> None:
    """Response code 3 under the id of the request; the connection stays."""
    with told(node) as new:
        answers = tcp(node, source, RATE + 2)
    assert codes(answers) == [100] * RATE + [3, 100]
    assert [answer.request_id for answer in answers] == [1, 2, 3, 4]
    assert [entry.identifier.decode() for entry in new] == [f"{PREFIX}/T{number}" for number in (1, 2, 4)]


def test_udp_is_silent(node: Node, source: str) -> None:
    """No datagram goes to a source that may be forged; the log has what was answered."""
    with told(node) as new:
        answers = udp(node, source, 50)
    assert [answer.request_id for answer in answers] == list(range(1, RATE + 1))
    assert codes(answers) == [100] * RATE
    assert [entry.identifier.decode() for entry in new] == [f"{PREFIX}/U1", f"{PREFIX}/U2", f"{PREFIX}/OTHER"]


def test_nobody_else_notices(node: Node, source: str) -> None:
    """While one source is refused everywhere, another and an exempt one are answered; each protocol counts apart."""
    assert http(node, source, *[QUICK] * (RATE + 1))[-1][0] == 429
    assert codes(tcp(node, source, RATE + 1))[-1] == 3
    assert len(udp(node, source, RATE + 1)) == RATE
    other = next(_SOURCES)
    assert [status for status, _, _ in http(node, other, *[QUICK] * RATE)] == [404] * RATE
    assert codes(tcp(node, other, RATE)) == codes(udp(node, other, RATE)) == [100] * RATE
    assert [status for status, _, _ in http(node, EXEMPT, *[QUICK] * 50, *[SLOW] * 50)] == [404] * 100
    assert codes(tcp(node, EXEMPT, 50)) == [100] * 50


# --- settings ---


def assert_unlimited(node: Node, source: str, questions: int) -> None:
    """Nothing of it is refused."""
    assert [status for status, _, _ in http(node, source, *[QUICK] * questions, SLOW)] == [404] * (questions + 1)
    assert codes(tcp(node, source, questions)) == [100] * questions
    with line_from(source, node.ready["handle"], socket.SOCK_DGRAM) as line:
        for number in range(1, questions + 1):
            line.send(question(f"{PREFIX}/U{number}", number).encode())
            assert Message.decode(line.recv(65_535)).request_id == number


def test_zero_is_no_limit(tmp_path_factory: pytest.TempPathFactory, source: str) -> None:
    """Twice the default at once, from one source, by nobody who is exempt."""
    settings = {"http__rate_limit": 0, "handle__rate_limit": 0, "resolver__rate_limit_exempt": []}
    with Node(tmp_path_factory.mktemp("off") / "node", PREFIX, **settings) as free:
        assert_unlimited(free, source, MANY)


def test_this_machine_is_exempt_by_default(tmp_path_factory: pytest.TempPathFactory, source: str) -> None:
    """All of 127.0.0.0/8, whatever the limit."""
    with Node(tmp_path_factory.mktemp("default") / "node", PREFIX, **STRICT) as strict:
        assert_unlimited(strict, source, 50 * RATE)


# --- all workers together ---


def test_the_limit_holds_over_all_workers_together(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Four workers, each asked: what one source gets is one bucket and what came in since, on each protocol."""
    settings = {"http__rate_limit": RATE_OF_ALL, "handle__rate_limit": RATE_OF_ALL, "resolver__workers": 4}
    with Node(tmp_path_factory.mktemp("all") / "node", PREFIX, **settings, resolver__rate_limit_exempt=[]) as four:
        for via, burst in {Via.JSON: http_burst, Via.HANDLE_TCP: tcp_burst, Via.HANDLE_UDP: udp_burst}.items():
            asked, began = next(_SOURCES), time.monotonic()
            burst(four, asked)
            most = RATE_OF_ALL * (1 + time.monotonic() - began) + 4  # each worker may overlook one of another's
            admitted = [entry for entry in entries(four) if entry.via is via]
            assert RATE_OF_ALL <= len(admitted) <= most < 3 * RATE_OF_ALL, via
            assert {address_of(entry.peer) for entry in admitted} == {socket.inet_aton(asked)}
            shares = [sum(entry.via is via for entry in found) for found in entries_by_worker(four).values()]
            assert len(shares) == 4 and min(shares), f"{via} was not asked of every worker: {shares}"


def http_burst(node: Node, source: str) -> None:
    statuses = [http(node, source, QUICK)[0][0] for _ in range(4 * RATE_OF_ALL)]
    assert set(statuses) == {404, 429}


def tcp_burst(node: Node, source: str) -> None:
    found = [codes(tcp(node, source, 1))[0] for _ in range(4 * RATE_OF_ALL)]
    assert set(found) == {100, 3}


def udp_burst(node: Node, source: str) -> None:
    """Send from as many ports, each datagram when the one before is answered, or counted as refused."""
    refused_before = refused(node)
    for number in range(4 * RATE_OF_ALL):
        with line_from(source, node.ready["handle"], socket.SOCK_DGRAM) as line:
            line.send(question(f"{PREFIX}/U{number}").encode())
            for _ in range(LOOKS):
                if select.select([line], [], [], 0)[0] or refused(node) > refused_before:
                    break
            else:
                raise AssertionError(f"datagram {number} is neither answered nor counted")
            refused_before = refused(node)
    assert refused_before


def refused(node: Node) -> int:
    """Return how many messages of the Handle protocol the node counts as refused by the limit."""
    with urllib.request.urlopen(f"http://127.0.0.1:{node.ready['management']}/metrics") as answer:
        text: str = answer.read().decode()
    found = re.search(r'^saltern_rate_limited_total\{front="handle"\} (\d+)', text, re.MULTILINE)
    assert found is not None, text
    return int(found[1])
