"""The resolution log on a full disk: no answer leaves without its entry, the node lives, and goes on with space."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kit.crowd import connected
from tests.kit.dns import ask, over_tcp, over_udp, rcode
from tests.kit.full_disks import Disk, FileLimit, SmallDisk, small_disk
from tests.kit.handle_client import MEDIA_TYPE, read_message
from tests.kit.handle_messages import Flag, Message, Op, bstr
from tests.kit.handle_node import READ, datagrams_to, line_to, question, record
from tests.kit.node import Node, saltern
from tests.kit.spools import assert_whole, entries

PREFIX = "88.118.7"
FOUND = f"{PREFIX}/" + "F" * 240  # its entry is longer than those of the missing
ROOM = 1_000  # a few frames, and a part of one
TRIES = 400
LOOKS = 200
LOOK_S = 0.2
SITE_ID = 99
MEDIA = {"Accept": MEDIA_TYPE, "Content-Type": MEDIA_TYPE}

OID, OID_NAME = "oid:1.2.156.99999.7", "7.99999.156.2.1"
DNS = ("dns, udp", "dns, tcp")

ANSWERED, REFUSED, NOTHING = "answered", "refused", "nothing"
"""What a client got: an answer that says something of the identifier, a word that it is too early, no octet."""


@pytest.fixture(params=["limit", "file system"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Node, Disk]]:
    """A node with a disk that can be filled."""
    node = Node(tmp_path / "node", PREFIX, log__disk_stop=0, log__disk_reserve=0)  # no guard: writes themselves fail
    kind = FileLimit if request.param == "limit" else SmallDisk
    with contextlib.nullcontext() if kind is FileLimit else small_disk(node), node:
        assert node.put(FOUND, record(node, "https://a.example")).status == 201
        assert node.get(FOUND).status == 200
        saltern("alias", "add", FOUND, OID, "--config", str(node.config))
        yield node, kind(node)


# --- asking ---


def by_http(node: Node, path: str, body: bytes | None = None) -> str:
    """Ask over a connection of its own."""
    connection = node.connection()
    try:
        connection.request("GET" if body is None else "POST", path, body, {} if body is None else MEDIA)
        answer = connection.getresponse()
        content = answer.read()
    except (http.client.RemoteDisconnected, ConnectionResetError):
        return NOTHING
    finally:
        connection.close()
    if body is not None:
        assert answer.status == 200
        return said(content)
    assert answer.status in (200, 302, 404, 503), content
    if answer.status == 503:
        assert b"resolution log cannot be written" in content
        assert b"a.example" not in content
    return REFUSED if answer.status == 503 else ANSWERED


def said(octets: bytes) -> str:
    answer = Message.decode(octets)
    assert answer.code in (1, 3, 100), answer
    assert answer.code == 1 or b"a.example" not in answer.body
    return REFUSED if answer.code == 3 else ANSWERED


def by_tcp(node: Node, handle: str) -> str:
    with line_to(node) as line, line.makefile("rb") as stream:
        line.sendall(question(handle).encode())
        try:
            return said(read_message(stream.read))
        except ConnectionError:
            return NOTHING


def by_udp(node: Node, handle: str) -> str:
    with datagrams_to(node) as line:
        line.send(question(handle).encode())
        return next(iter(said_before_site(line)), NOTHING)


def said_before_site(line: socket.socket) -> list[str]:
    """Return what comes before the answer to one more question that needs no log; nothing comes later."""
    site = Message(Op.GET_SITE, body=bstr("/"), request_id=SITE_ID).encode()
    line.settimeout(LOOK_S)
    found: list[str] = []
    for _ in range(LOOKS):
        line.send(site)
        with contextlib.suppress(TimeoutError):
            while int.from_bytes((datagram := line.recv(65_535))[8:12]) != SITE_ID:
                found.append(said(datagram))
            return found
    raise AssertionError("the node is deaf")


def dns_name(handle: str) -> str:
    """Return the name that a handle is asked by: the record by its OID, a missing one by one of its own."""
    return f"{OID_NAME if handle == FOUND else handle.rpartition('/')[2][:6].lower()}.oid-res.org"


def by_dns(node: Node, handle: str, asked: Callable[..., list[bytes]]) -> str:
    """Ask for a name; SERVFAIL is a refusal."""
    try:
        found = asked(node.ready["dns"], ask(dns_name(handle)), timeout_s=LOOK_S)
    except (TimeoutError, ConnectionError):
        return NOTHING
    if not found:
        return NOTHING
    said = rcode(found[0])
    assert said in ("NOERROR", "NXDOMAIN", "SERVFAIL")
    assert said == "NOERROR" or b"ORS" not in found[0]
    return REFUSED if said == "SERVFAIL" else ANSWERED


WAYS: dict[str, Callable[[Node, str], str]] = {
    "json, quick": lambda node, handle: by_http(node, f"/api/handles/{handle}"),
    "json, by query": lambda node, handle: by_http(node, f"/api/handles/{handle}?index=1"),
    "page": lambda node, handle: by_http(node, f"/{handle}"),
    "udp": by_udp,
    "tcp": by_tcp,
    "dns, udp": lambda node, handle: by_dns(node, handle, over_udp),
    "dns, tcp": lambda node, handle: by_dns(node, handle, over_tcp),
    "message over http": lambda node, handle: by_http(node, "/", question(handle).encode()),
}
QUICK = ("json, quick", "udp", "tcp", "dns, udp", "dns, tcp")


class Client:
    """Asks for names of its own, each once; ``answered``: those that it was told something of."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._number = 0
        self.answered: list[str] = []

    def ask(self, way: str) -> str:
        self._number += 1
        name = f"{PREFIX}/D{self._number:05}-" + "X" * 200
        got = WAYS[way](self._node, name)
        if got == ANSWERED:
            self.answered.append(dns_name(name) if way in DNS else name)
        return got

    def assert_all_logged(self) -> None:
        """Whatever was answered is in the log, once."""
        logged = Counter(entry.identifier.decode() for entry in entries(self._node))
        assert [name for name in self.answered if logged[name] != 1] == []
        assert_whole(self._node)


# --- tests ---


def test_nothing_is_answered_that_is_not_logged(disk: tuple[Node, Disk]) -> None:
    """On a disk that fills within a frame, every protocol refuses; with space the first request is answered.

    The records themselves are refused as the missing ones are; /healthz answers, /readyz says no, and no
    process ends. What fitted in part was taken back: nothing in the log hides what was written behind it.
    """
    node, full = disk
    client, processes = Client(node), node.children()
    for _ in range(2):
        full.fill(ROOM)
        refused: Counter[str] = Counter()
        for _ in range(TRIES):
            for way in WAYS:
                got = client.ask(way)
                assert got != NOTHING or way in QUICK
                refused[way] += got != ANSWERED
            if min(refused[way] for way in WAYS) > 2:
                break
        assert set(refused) == set(WAYS)
        assert all(WAYS[way](node, FOUND) != ANSWERED for way in WAYS)
        assert [node.ask("GET", path).status for path in ("/readyz", "/healthz", "/api/site")] == [503, 200, 200]
        client.assert_all_logged()
        full.free()
        assert [client.ask(way) for way in WAYS] == [ANSWERED] * len(WAYS)
        assert all(WAYS[way](node, FOUND) == ANSWERED for way in WAYS)
        client.assert_all_logged()
    assert node.children() == processes
    assert "the resolution log cannot be written" in node.log()
    assert "Traceback" not in node.log()


@contextlib.contextmanager
def asking(client: Client) -> Iterator[None]:
    """Ask again and again: a log that nobody needs for a second is taken to be well."""
    ending = threading.Event()

    def ask() -> None:
        while not ending.wait(0.05):
            client.ask(QUICK[0])

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


@pytest.mark.parametrize("disk", ["limit"], indirect=True)
def test_the_doctor_calls_it_an_error(disk: tuple[Node, Disk]) -> None:
    """Exit code 1 while /readyz says no; with space all is well."""
    node, full = disk
    command = ("doctor", "--json", "--config", str(node.config), "--set", f"http.port={node.ready['http']}")
    full.fill()
    client = Client(node)
    assert client.ask(QUICK[0]) != ANSWERED
    with asking(client):
        sick = saltern(*command, check=False)
    (found,) = [each for each in json.loads(sick.stdout) if "/readyz" in each["message"]]
    assert (sick.returncode, found["level"]) == (1, "error")
    full.free()
    assert client.ask(QUICK[0]) == ANSWERED
    well = saltern(*command)
    assert not [each for each in json.loads(well.stdout) if "/readyz" in each["message"]]


@pytest.mark.parametrize("disk", ["limit"], indirect=True)
@pytest.mark.parametrize("way", QUICK)
def test_the_turn_that_cannot_be_logged_says_nothing(disk: tuple[Node, Disk], way: str) -> None:
    """By the quick ways no octet leaves; the next request is told why, and the first with space is answered."""
    node, full = disk
    client = Client(node)
    full.fill()
    assert [client.ask(way), client.ask(way)] == [NOTHING, REFUSED]
    full.free()
    assert [client.ask(way), client.ask(way)] == [ANSWERED] * 2
    client.assert_all_logged()


@pytest.mark.parametrize("disk", ["limit"], indirect=True)
@pytest.mark.parametrize("kinds", ["sq", "qsq"])
def test_what_came_together_is_lost_together(disk: tuple[Node, Disk], kinds: str) -> None:
    """Quick (q) and slow (s) questions that a worker finds at once: none is answered, whichever write failed."""
    node, full = disk
    names = {"q": FOUND, "s": f"0.NA/{PREFIX}"}
    messages = [question(names[kind], number, READ | Flag.KPAL).encode() for number, kind in enumerate(kinds, 1)]
    with datagrams_to(node) as datagrams, line_to(node) as line:
        full.fill()
        with stopped(node.children()["worker-0"]):
            for message in messages:
                datagrams.send(message)
        assert ANSWERED not in said_before_site(datagrams)
        full.free()
        assert WAYS["page"](node, FOUND) == ANSWERED
        full.fill()
        line.sendall(b"".join(messages))
        line.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError), line.makefile("rb") as stream:
            while stream.peek(1):
                assert said(read_message(stream.read)) == REFUSED
    full.free()
    assert WAYS["page"](node, FOUND) == ANSWERED
    full.fill()
    queries = {"q": "", "s": "?index=1"}
    heads = [f"GET /api/handles/{FOUND}{queries[kind]} HTTP/1.1\r\nHost: x\r\n\r\n" for kind in kinds]
    with connected(node) as line:
        line.sendall("".join(heads).encode())
        with contextlib.suppress(ConnectionError), line.makefile("rb") as stream:
            for row in stream:
                assert row[:12] != b"HTTP/1.1 200"
                assert b"a.example" not in row


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Let a process stand still."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("disk", ["file system"], indirect=True)
def test_a_worker_that_starts_on_a_full_disk_refuses_until_there_is_room(disk: tuple[Node, Disk]) -> None:
    """It begins a segment that it cannot write to, and goes on in it later."""
    node, full = disk
    client = Client(node)
    full.fill()
    with stopped(node.children()["keeper"]):  # it would take the segment of the dead worker away, and so make room
        os.kill(node.children()["worker-0"], signal.SIGKILL)
        got = {way: client.ask(way) for way in ("page", "udp", "tcp", "message over http", "json, by query")}
        assert ANSWERED not in got.values()
    full.free()
    assert [client.ask(way) for way in WAYS] == [ANSWERED] * len(WAYS)
    client.assert_all_logged()
