"""Every resolution that is answered, on every protocol, is one entry of the log, and is there before its answer."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest

from audit.frame import Entry
from core.errors import Outcome
from core.events import Via
from node.seconds import read_seconds
from tests.kit.handle_client import MEDIA_TYPE, read_message
from tests.kit.handle_messages import Flag, Message, Op, Value, bstr
from tests.kit.handle_node import (
    administrator,
    client_of,
    datagrams_to,
    line_to,
    question,
    record,
    rsa_key,
    secret_key,
)
from tests.kit.node import Node, admin_value, saltern
from tests.kit.spools import entries, own_name, published, told

PREFIX = "88.118.7"
FOUND = f"{PREFIX}/Found-盐"
SECRET = f"{PREFIX}/SECRET"
MISSING = f"{PREFIX}/Missing"
FOREIGN = "99.9/X"
INVALID = f"{PREFIX}/" + "X" * 255
MEDIA = {"Accept": MEDIA_TYPE, "Content-Type": MEDIA_TYPE}
ADMINISTRATOR = f"301:0.NA/{PREFIX}"
PRIVATE = {"index": 2, "type": "NOTE", "data": "not for all", "permissions": "1100"}
OUTCOMES = {
    FOUND: Outcome.OK, MISSING: Outcome.HANDLE_NOT_FOUND, FOREIGN: Outcome.NOT_RESPONSIBLE,
    INVALID: Outcome.INVALID_HANDLE, SECRET: Outcome.NO_VALUES,
}  # fmt: skip

Answered = tuple[int, bytes]
"""The status or code of an answer, and who asked, as the log has it."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    made = Node(tmp_path_factory.mktemp("log") / "node", PREFIX)
    with made:
        assert made.put(FOUND, record(made, "https://a.example")).status == 201
        administered = [PRIVATE, admin_value(f"0.NA/{PREFIX}") | {"permissions": "1100"}]
        assert made.put(SECRET, administered).status == 201
        yield made


def by_http(node: Node, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answered:
    """Ask over a connection of its own."""
    connection = node.connection()
    try:
        connection.connect()
        peer = own_name(connection.sock)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        return Message.decode(content).code if body is not None else answer.status, peer
    finally:
        connection.close()


def by_udp(node: Node, handle: str) -> Answered:
    with datagrams_to(node) as line:
        line.send(question(handle).encode())
        return Message.decode(line.recv(65_535)).code, own_name(line)


def by_tcp(node: Node, handle: str) -> Answered:
    with line_to(node) as line, line.makefile("rb") as stream:
        line.sendall(question(handle).encode())
        return Message.decode(read_message(stream.read)).code, own_name(line)


WAYS: dict[str, tuple[Via, Callable[[Node, str], Answered]]] = {
    "json, quick": (Via.JSON, lambda node, handle: by_http(node, f"/api/handles/{quote(handle)}")),
    "json, by query": (Via.JSON, lambda node, handle: by_http(node, f"/api/handles/{quote(handle)}?index=1")),
    "json, by HEAD": (Via.JSON, lambda node, handle: by_http(node, f"/api/handles/{quote(handle)}", "HEAD")),
    "page": (Via.PAGE, lambda node, handle: by_http(node, f"/{quote(handle)}")),
    "udp": (Via.HANDLE_UDP, by_udp),
    "tcp": (Via.HANDLE_TCP, by_tcp),
    "message over http": (
        Via.HANDLE_HTTP,
        lambda node, handle: by_http(node, "/", "POST", question(handle).encode(), **MEDIA),
    ),
}


@pytest.mark.parametrize("handle", OUTCOMES)
@pytest.mark.parametrize("way", WAYS)
def test_each_answer_leaves_one_entry_and_it_is_there_with_the_answer(node: Node, way: str, handle: str) -> None:
    """Protocol, outcome, who asked from where, and the identifier as asked, in upper and lower case."""
    via, ask = WAYS[way]
    with told(node) as new:
        status, peer = ask(node, handle)
    assert [entry[1:] for entry in new] == [(via, OUTCOMES[handle], peer, handle.encode(), "")], status


@pytest.mark.parametrize("handle", [FOUND, MISSING])
def test_what_is_published_says_the_same_of_each_protocol(node: Node, handle: str) -> None:
    """One line of each, whichever way it was asked: identifier, outcome, client; the protocol as it was."""
    before = len(entries(node))
    asked = [(via, ask(node, handle)[1]) for via, ask in WAYS.values()]
    deadline = time.monotonic() + 20
    while len(published(node)) < before + len(WAYS):
        assert time.monotonic() < deadline, "what was answered is published within a second or two"
        time.sleep(0.02)
    lines = published(node)[before:]
    assert [(line.via, line.peer) for line in lines] == asked
    assert {(line.identifier, line.outcome, line.who) for line in lines} == {(handle.encode(), OUTCOMES[handle], "")}


def test_the_found_and_the_missing_are_told_apart_by_the_answers_too(node: Node) -> None:
    """What the log says is what the client was told."""
    found = [WAYS[way][1](node, FOUND)[0] for way in WAYS]
    missing = [WAYS[way][1](node, MISSING)[0] for way in WAYS]
    assert found == [200, 200, 200, 302, 1, 1, 1]
    assert missing == [404, 404, 404, 404, 100, 100, 100]


def test_requests_in_one_go_leave_one_entry_each_in_their_order(node: Node) -> None:
    """Pipelined over HTTP and TCP."""
    names = [f"{PREFIX}/P{number}" for number in range(20)]
    heads = [f"GET /api/handles/{name} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for name in names]
    messages = [question(name, number, Flag.PUBL | Flag.KPAL).encode() for number, name in enumerate(names, 1)]
    with told(node) as new, socket.create_connection(("127.0.0.1", node.ready["http"]), 20) as line:
        line.sendall(b"".join(heads))
        came = b""
        while came.count(b'{"responseCode":100') < len(names):
            came += line.recv(65_536)
    assert [entry.identifier.decode() for entry in new] == names
    with told(node) as new, line_to(node) as line, line.makefile("rb") as stream:
        line.sendall(b"".join(messages))
        assert [Message.decode(read_message(stream.read)).code for _ in names] == [100] * 20
    assert [entry.identifier.decode() for entry in new] == names


def outcomes(new: list[Entry]) -> list[tuple[Via, Outcome, str]]:
    return [(entry.via, entry.outcome, entry.who) for entry in new]


def test_who_has_proven_himself_stands_in_the_entry(node: Node) -> None:
    """By HTTP Basic; a script of a foreign page is nobody, whatever the browser sends along."""
    with told(node) as new:
        assert node.ask("GET", f"/api/handles/{SECRET}", headers=node.admin()).status == 200
        assert node.ask("GET", f"/api/handles/{quote(FOUND)}?callback=f", headers=node.admin()).status == 200
        assert node.ask("GET", f"/api/handles/{SECRET}?publicOnly=false").status == 401
    assert outcomes(new) == [
        (Via.JSON, Outcome.OK, ADMINISTRATOR),
        (Via.JSON, Outcome.OK, ""),
        (Via.JSON, Outcome.AUTHENTICATION_NEEDED, ""),
    ]


def test_a_challenged_read_leaves_two_entries(node: Node) -> None:
    """The challenge is an answer to nobody; what comes behind the proof is one to somebody."""
    ways = {"udp": Via.HANDLE_UDP, "tcp": Via.HANDLE_TCP, "http": Via.HANDLE_HTTP}
    for name, via in ways.items():
        with told(node) as new:
            assert client_of(node, name, secret_key(node)).resolve(SECRET, public_only=False).code == 1
        assert outcomes(new) == [(via, Outcome.AUTHENTICATION_NEEDED, ""), (via, Outcome.OK, ADMINISTRATOR)]
    with told(node) as new:
        assert client_of(node, "tcp", rsa_key(node)).resolve(SECRET, public_only=False).code == 1
    assert [entry.who for entry in new] == ["", f"300:0.NA/{PREFIX}"]


def test_the_state_of_the_node_is_a_resolution_too(node: Node) -> None:
    """0.SITE/status: not public; then challenged, and refused to whoever is no server administrator."""
    api = client_of(node, "tcp", secret_key(node))
    with told(node) as new:
        codes = [api.resolve("0.SITE/status", public_only=public).code for public in (True, False)]
    assert codes == [200, 400]
    assert [(each.identifier, each.outcome, bool(each.who)) for each in new] == [
        (b"0.SITE/status", Outcome.NO_VALUES, False),
        (b"0.SITE/status", Outcome.AUTHENTICATION_NEEDED, False),
        (b"0.SITE/status", Outcome.FORBIDDEN, True),
    ]


def test_an_alias_that_a_page_follows_is_one_entry_under_the_name_asked(node: Node) -> None:
    """Its outcome is that of the last."""
    alias = f"{PREFIX}/ALIAS"
    assert node.put(alias, [{"index": 1, "type": "HS_ALIAS", "data": FOUND}, admin_value(f"0.NA/{PREFIX}")]).status
    with told(node) as new:
        assert by_http(node, f"/{alias}")[0] == 302
    assert [(entry.outcome, entry.identifier) for entry in new] == [(Outcome.OK, alias.encode())]


def test_what_resolves_nothing_leaves_no_entry(node: Node) -> None:
    """Looks at the node, lists, writes, and what is refused before it is a question."""
    api, handle = client_of(node, "tcp", secret_key(node)), f"{PREFIX}/WRITTEN"
    with told(node) as new:
        for path in (
            "/healthz",
            "/readyz",
            "/",
            "/api/site",
            "/api/prefixes",
            "/v1/none",
            "/api/none",
            "/favicon.ico",
            "/api/handles/",
        ):
            by_http(node, path)
        assert node.ask("GET", f"/api/handles?prefix={PREFIX}", headers=node.admin()).status == 200
        by_http(node, f"/api/handles/{quote(FOUND)}?index=x")
        by_http(node, f"/api/handles/{quote(FOUND)}", "OPTIONS")
        by_http(node, f"/api/handles/{quote(FOUND)}", "PATCH")
        wrong = {"Authorization": "Basic " + "x" * 8}
        assert node.ask("GET", f"/api/handles/{quote(FOUND)}", headers=wrong).status == 401
        assert node.put(handle, record(node, "https://b.example")).status == 201
        assert node.delete(handle).status == 200
        batch = [{"handle": handle, "values": record(node, "https://c.example")}]
        assert node.ask("POST", "/v1/records:batch", batch, node.admin()).status == 200
        assert api.add_values(handle, [Value(7, "X", b"x")]).code == 1
        assert api.create(f"{handle}-2", [administrator(node)]).code == 1
        assert api.delete(handle).code == 1
        assert api.get_site().code == 1
        assert api.list_handles(f"0.NA/{PREFIX}").code == 1
        assert (
            client_of(node, "udp", check=False).send(Message(Op.RESOLVE, body=bstr("cut")[:-1], request_id=1)).code > 1
        )
    assert new == []


def test_an_identifier_that_is_none_by_its_length_is_cut(node: Node) -> None:
    """The entry stays bounded, whatever is asked."""
    handle = f"{PREFIX}/" + "L" * 9_000
    with told(node) as new:
        assert by_tcp(node, handle)[0] == 102
        assert by_http(node, f"/api/handles/{handle}")[0] == 400
    assert [entry.identifier for entry in new] == [handle.encode()[:2_048]] * 2


def test_a_node_that_is_started_again_goes_on_in_a_new_segment(node: Node) -> None:
    """What was logged before stays as it was; this test ends and starts the node of this module."""
    before = entries(node)
    assert node.stop() == 0
    assert entries(node) == before
    node.start()
    with told(node) as new:
        assert node.get(FOUND).status == 200
    assert [entry.identifier for entry in new] == [FOUND.encode()]


# --- how long they took ---
def test_the_seconds_count_each_resolution_that_the_log_has(node: Node) -> None:
    """On every way, quick and long. The monitor that is told to end has as many as the log, from before the node was
    started again, too; and the registrations.
    """

    def answers() -> tuple[int, int]:
        found = read_seconds(node.folder / "data" / "run", 0, 2**40)
        assert all(0 < each.min_us <= each.max_us < 30_000_000 for of in found for each in of)
        return sum(each.answers for each in found[0]), sum(each.answers for each in found[1])

    before = len(entries(node)) - answers()[0]
    for _, ask in WAYS.values():
        ask(node, FOUND)
    deadline = time.monotonic() + 20
    while answers()[0] < len(entries(node)) - before:
        assert time.monotonic() < deadline, "what was answered is measured behind its answer"
        time.sleep(0.02)
    assert answers()[0] == len(entries(node)) - before
    monitor = node.children()["monitor"]
    os.kill(monitor, signal.SIGTERM)
    while node.children().get("monitor", monitor) == monitor:
        assert time.monotonic() < deadline, "it is started again"
        time.sleep(0.02)
    (told,) = json.loads(saltern("monitor", "status", "--json", "--config", str(node.config)).stdout)["subjects"]
    figures, resolution = told["today"], told["today"]["resolution"]
    assert (told["subject"], resolution["answers"]) == ("node", len(entries(node)))
    assert figures["registration"]["answers"] >= 2
    assert 0 < resolution["min_us"] <= resolution["mean_us"] <= resolution["max_us"]
