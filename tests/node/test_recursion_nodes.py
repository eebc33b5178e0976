"""Two nodes and a top node as they are run: one resolves for others what the other one serves; the command shows it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.kit.handle_node import record
from tests.kit.node import Node, saltern
from tests.kit.spools import entries
from tests.kit.topnodes import HOST, Below, TopNode, at, route

THERE, HANGING, HERE = "88.118.7", "88.118.9", "88.119"
BAG = f"{THERE}/BAG-1"


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """The node that the bag is registered at. It does not resolve for others."""
    with Node(tmp_path_factory.mktemp("there") / "node", THERE) as made:
        assert made.put(BAG, record(made, "https://bag.example")).status == 201
        yield made


@pytest.fixture(scope="module")
def silent() -> Iterator[socket.socket]:
    """A server that takes questions and never answers."""
    with socket.create_server((HOST, 0)) as made:
        made.settimeout(30)
        yield made


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory, there: Node, silent: socket.socket) -> Iterator[TopNode]:
    """A top node that knows where; and of a prefix whose server is silent."""
    with TopNode(tmp_path_factory.mktemp("top") / "top") as made:
        below = Below(made)
        below.connect()
        routes = [route(THERE, at(there.ready["handle"])), route(HANGING, at(silent.getsockname()[1]))]
        assert below.tell("T2", routes).why == "applied"
        yield made


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, top: TopNode) -> Iterator[Node]:
    """The node that is asked."""
    made = Node(
        tmp_path_factory.mktemp("here") / "node", HERE,
        resolver__recursive=True, resolver__roots=[f"{HOST}:{top.ready['handle']}"],
    )  # fmt: skip
    with made:
        assert made.put(f"{HERE}/A", record(made, "https://here.example")).status == 201
        yield made
    assert "Traceback" not in made.log()


def test_a_bag_of_another_node_is_found_through_the_top_node(node: Node, top: TopNode, there: Node) -> None:
    """Who was asked is told, and both resolutions are logged: for others here, authoritative there."""
    answer = node.ask("GET", f"/v1/resolve?identifier={BAG}")
    assert answer.status == 200
    told = answer.json
    assert (told["authoritative"], told["handle"], told["secure"]) == (False, BAG, None)
    assert told["values"] == [each for each in there.get(BAG).json["values"] if each["type"] in ("URL", "HS_ADMIN")]
    assert told["asked"] == [f"{HOST}:{top.ready['handle']}", f"{HOST}:{there.ready['handle']}"]
    asked = [(each.via.name, each.outcome.value) for each in entries(node) if each.identifier == BAG.encode()]
    assert asked == [("ALIAS", "ok")]
    assert ("HANDLE_TCP", "ok") in [(each.via.name, each.outcome.value) for each in entries(there)]


def test_no_other_way_of_the_node_resolves_for_others(node: Node) -> None:
    """The Handle interface says that it is not responsible, as without."""
    assert node.get(BAG).json["responseCode"] == 301
    own = node.ask("GET", f"/v1/resolve?identifier={HERE}/A").json
    assert (own["authoritative"], own["asked"]) == (True, [])


@pytest.mark.parametrize("name", ["oid:1.2.156.99999.7", "gtin:06901234567892"])
def test_what_is_registered_here_is_found_by_its_other_names(node: Node, name: str) -> None:
    """By the command, as by its handle; nobody else is asked."""
    saltern("alias", "add", f"{HERE}/A", name, "--config", str(node.config), "--actor", "经办人")
    done = saltern("resolve", name, "--server", f"{HOST}:{node.ready['http']}")
    assert done.stdout.decode().splitlines()[0] == f"{HERE}/A"
    assert (b"https://here.example" in done.stdout, done.stderr) == (True, b"")


@pytest.mark.parametrize("handle", [f"{THERE}/NOSUCH", "77.7/X"])
def test_what_is_nowhere_is_told(node: Node, handle: str) -> None:
    answer = node.ask("GET", f"/v1/resolve?identifier={handle}")
    assert (answer.status, answer.json["outcome"]) == (404, "handle-not-found")


def test_the_command_asks_on_where_the_node_resolves_for_others(node: Node, there: Node, top: TopNode) -> None:
    server = ("--server", f"{HOST}:{node.ready['http']}")
    done = saltern("resolve", BAG, *server)
    assert done.stdout.decode().splitlines()[0] == BAG
    assert "https://bag.example" in done.stdout.decode()
    assert f"{HOST}:{top.ready['handle']} → {HOST}:{there.ready['handle']}" in done.stderr.decode()
    assert json.loads(saltern("resolve", BAG, *server, "--json").stdout)["kind"] == "handle"
    own = saltern("resolve", f"{HERE}/A", *server, "--json")
    assert json.loads(own.stdout)["responseCode"] == 1
    nowhere = saltern("resolve", "77.7/X", *server, check=False)
    assert (nowhere.returncode, "handle-not-found" in nowhere.stderr.decode()) == (1, True)
    off = saltern("resolve", f"{HERE}/A", "--server", f"{HOST}:{there.ready['http']}", check=False)
    assert (off.returncode, "(301)" in off.stderr.decode()) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("gtn:6901234567892",), 1, "gtin:"),
        (("gtin:6901234567893",), 1, "6901234567893"),
        (("1.2.156.7", "--over", "udp"), 2, "handle"),
        (("88.118/A", "--over", "dns"), 2, "oid"),
        (("88.118/A", "--server", "nowhere"), 2, "HOST:PORT"),
        (("88.118/A", "--server", "127.0.0.1:99999", "--over", "udp"), 2, "HOST:PORT"),
    ],
)
def test_what_is_asked_wrongly_is_told(arguments: tuple[str, ...], code: int, told: str) -> None:
    done = saltern("resolve", *arguments, check=False)
    assert (done.returncode, told in done.stderr.decode()) == (code, True), done.stderr.decode()


def test_the_command_shows_links(tmp_path: Path) -> None:
    """Of a GS1 key elsewhere: type, address, title; what says something else is told as no node.

    No text of an answer commands the terminal, or looks like another line.
    """
    link = {"anchor": "x", "rel": "https://ref.gs1.org/voc/pip", "href": "https://x.example/p", "title": "产品"}
    hostile = {"responseCode": 1, "handle": "a/b", "values": [
        {"index": 1, "type": "DESC", "data": {"value": "x\n\x1b[2J\u202e\U000e0001"}}]}  # fmt: skip
    said = {"1.2.3": None, "a/b": hostile, "a/c": {"responseCode": 1}, "a/d": {"responseCode": []}}
    answer = {"identifier": "oid:1.2.3", "kind": "gs1", "authoritative": False, "links": [link], "secure": None,
              "ttl": 1, "asked": ["https://id.example/01/1"]}  # fmt: skip

    class Canned(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            told = next((told or answer for name, told in said.items() if self.path.endswith(name)), [])
            self.wfile.write(json.dumps(told).encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer((HOST, 0), Canned) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = ("--server", f"{HOST}:{server.server_port}")
        done = saltern("resolve", "1.2.3", *place)
        assert done.stdout.decode().split() == ["oid:1.2.3", "pip", "https://x.example/p", "产品"]
        assert "https://id.example/01/1" in done.stderr.decode()
        shown = saltern("resolve", "a/b", *place).stdout.decode()
        assert shown.splitlines()[1:] == ["     1  DESC         x\\n\\u001b[2J\\u202e\\udb40\\udc01"]
        as_json = saltern("resolve", "a/b", *place, "--json").stdout.decode()
        assert (json.loads(as_json), "\u202e" in as_json) == (hostile, False)
        for strange in ("1.2.4", "a/c", "a/d"):
            wrong = saltern("resolve", strange, *place, check=False)
            assert (wrong.returncode, "does not answer as a node" in wrong.stderr.decode()) == (1, True)
        server.shutdown()


def test_others_that_hang_hold_up_nothing_here(node: Node, silent: socket.socket) -> None:
    """While questions wait for a server that never answers, all own answers come; and then the node ends at once."""
    told: list[int] = []

    def wait(suffix: int) -> None:
        told.append(node.ask("GET", f"/v1/resolve?identifier={HANGING}/{suffix}").status)

    waiting = [threading.Thread(target=wait, args=(at,)) for at in range(8)]
    for each in waiting:
        each.start()
    taken = [silent.accept()[0] for _ in waiting]
    for _ in range(50):
        assert node.get(f"{HERE}/A").status == 200
        assert node.ask("GET", f"/v1/resolve?identifier={HERE}/A").status in (200, 429)
    assert told == []
    assert node.stop() == 0
    for each in waiting:
        each.join(30)
    assert told == [503] * 8
    for line in taken:
        line.close()


def test_settings_that_are_wrong_are_told_before_the_node_runs(tmp_path: Path) -> None:
    made = Node(tmp_path / "node", HERE)
    for setting, told in (
        ("resolver.roots=['nowhere']", "resolver.roots"),
        ("resolver.roots=['127.0.0.1:99999']", "resolver.roots"),
        ("resolver.name_servers=['127.0.0.1@0']", "resolver.name_servers"),
        ("resolver.gs1=ftp://x", "resolver.gs1"),
    ):
        done = saltern("config", "check", "--config", str(made.config), "--set", setting, check=False)
        assert (done.returncode, told in done.stderr.decode()) == (1, True), done.stderr.decode()
    done = saltern("serve", "--config", str(made.config), "--set", "resolver.gs1=ftp://x", check=False)
    assert (done.returncode, b"resolver.gs1" in done.stderr) == (1, True), done.stderr.decode()
