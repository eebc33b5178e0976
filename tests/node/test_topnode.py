"""The reference top node as it is run: made, served, asked over sockets, told to misbehave; by it a bag is found."""

from __future__ import annotations

import json
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import limits
from core.errors import ConfigError
from node.topnode import serve_topnode
from node.topnode_keys import read_public_key
from node.topnode_settings import load_topnode
from sync import messages
from tests.kit.handle_client import Client, Tcp, Transport, Udp
from tests.kit.handle_messages import Reply as Answer
from tests.kit.handle_messages import Site
from tests.kit.handle_node import record
from tests.kit.node import Node, saltern
from tests.kit.topnodes import HOST, Below, TopNode, at, route

PREFIX = "88.118.7"
BAG = f"{PREFIX}/BAG-1"
WAYS = ("udp", "tcp")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """The node that answers for the prefix, with a bag."""
    with Node(tmp_path_factory.mktemp("below") / "node", PREFIX) as made:
        assert made.put(BAG, record(made, "https://bag.example")).status == 201
        yield made


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory, node: Node) -> Iterator[TopNode]:
    """A top node that was told of the prefix, of one that is stopped, and of one without an address of use."""
    with TopNode(tmp_path_factory.mktemp("top") / "top") as made:
        below = Below(made)
        assert below.connect().enrolment == "enrolled"
        here = at(node.ready["handle"], node.ready["http"])
        told = below.tell(
            "T2",
            [route(PREFIX, here), route("88.118.8", here, state=0), route("88.118.9", ("IPv4", "0.0.0.0", 1, 1, None))],
        )
        assert (told.why, told.refused) == ("applied", ())
        yield made


def transport(way: str, host: str, port: int) -> Transport:
    return Udp(host, port) if way == "udp" else Tcp(host, port)


def client(top: TopNode, way: str) -> Client:
    return Client(transport(way, HOST, top.ready["handle"]))


def site_place(value: bytes, way: str) -> tuple[str, int]:
    """Where a site is asked, as a stock client picks it: of one server, its door for this protocol and queries."""
    (server,) = Site.decode(value).servers
    (port,) = [door.port for door in server.interfaces if door.protocol == {"udp": 0, "tcp": 1}[way] and door.kind & 2]
    return socket.inet_ntoa(bytes(server.address)[-4:]), port


def found(answer: Answer) -> list[bytes]:
    return [value.data for value in answer.values if value.type in ("URL", b"URL")]


# --- a bag, from the top ------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_a_client_that_knows_only_the_top_node_finds_a_bag_by_its_referral(top: TopNode, way: str) -> None:
    """302 with the sites of the route; there the same question has its answer."""
    referred = client(top, way).resolve(BAG)
    assert (referred.code, referred.handle) == (302, f"0.NA/{PREFIX}")
    assert [value.type for value in referred.values] == ["HS_SITE"]
    answer = Client(transport(way, *site_place(referred.values[0].data, way))).resolve(BAG)
    assert (answer.code, found(answer)) == (1, [b"https://bag.example"])


@pytest.mark.parametrize("way", WAYS)
def test_and_by_asking_the_root_for_the_site_of_the_prefix_first(top: TopNode, way: str) -> None:
    """As stock clients do: 0.NA/P, values of type HS_SITE; then that site."""
    asked = client(top, way).resolve(f"0.NA/{PREFIX.lower()}", types=["HS_SITE", "HS_SERV"])
    assert (asked.code, [value.type for value in asked.values]) == (1, ["HS_SITE"])
    assert asked.values[0].ttl == limits.TOPNODE_TTL_S
    answer = Client(transport(way, *site_place(asked.values[0].data, way))).resolve(BAG)
    assert (answer.code, found(answer)) == (1, [b"https://bag.example"])


@pytest.mark.parametrize("way", WAYS)
def test_the_command_line_follows_the_referral(top: TopNode, node: Node, way: str) -> None:
    place = f"{HOST}:{top.ready['handle']}"
    told = json.loads(saltern("resolve", BAG, "--server", place, "--over", way, "--json").stdout)
    assert told["asked"] == [place, f"{HOST}:{node.ready['handle']}"]
    assert told["values"][0]["data"]["value"] == "https://bag.example"


def test_a_prefix_below_one_with_a_route_is_referred_to_that_one(top: TopNode) -> None:
    """Its prefix handle by 303 with HS_SITE.PREFIX, what is below it by 302; not where no referral is wanted."""
    asked = client(top, "udp").resolve(f"0.NA/{PREFIX}.5")
    assert (asked.code, [value.type for value in asked.values]) == (303, ["HS_SITE.PREFIX"])
    assert client(top, "udp").resolve(f"{PREFIX}.5/A").code == 302


@pytest.mark.parametrize(
    ("handle", "code"),
    {
        "0.NA/99.1": 100, "99.1/A": 301,  # nobody told of it
        "0.NA/88.118.8": 100, "88.118.8/A": 100, "88.118.8.1/A": 100,  # stopped
        "0.NA/88.118.9": 100, "88.118.9/A": 301,  # no address that anybody could go to
        f"{PREFIX}\n/A": 102,
    }.items(),
)  # fmt: skip
def test_what_has_no_route_is_not_referred(top: TopNode, handle: str, code: int) -> None:
    assert client(top, "tcp").resolve(handle).code == code


def test_the_root_tells_its_own_site(top: TopNode) -> None:
    answer = client(top, "udp").resolve("0.NA/0.NA")
    assert answer.code == 1
    assert site_place(answer.values[0].data, "tcp") == (HOST, top.ready["handle"])


def test_a_change_of_a_route_is_seen_at_once(top: TopNode, node: Node) -> None:
    """Also that it is gone; and a node that is refused is no destination any more."""
    below = Below(top, "77")
    below.connect()
    below.tell("T2", [route("77.1", at(5)), route("77.2", at(6))])
    below.tell("T2", [route("77.1", at(7)), ("Handle/77.2", None)])
    asking = client(top, "udp")
    assert site_place(asking.resolve("77.1/A").values[0].data, "udp") == (HOST, 7)
    assert asking.resolve("77.2/A").code == 301
    top.run("refuse", "77")
    assert asking.resolve("77.1/A").code == 301
    assert below.say(messages.ListKeys("T6", b"", None)).rule == "not-enrolled"


# --- pages and messages -------------------------------------------------------


def test_its_pages_tell_nodes_tables_and_routes(top: TopNode) -> None:
    (shown,) = [each for each in top.ask("GET", "/v1/nodes").json["nodes"] if each["prefix"] == "88.118"]
    assert (shown["enrolment"], shown["name"]) == ("enrolled", "示例运营者")
    tables = top.ask("GET", f"/v1/nodes/{shown['id']}/tables").json["tables"]
    assert (tables["T2"]["serial"], tables["T2"]["rows"], tables["T2"]["lag_s"] < 600) == (3, 3, True)
    assert (tables["T9"]["told"], tables["T9"]["lag_s"]) == (None, None)
    told = top.ask("GET", f"/v1/routes/{PREFIX}").json
    assert (told["node"], told["table"], told["route"]["addresses"][0]["address"]) == (shown["id"], "T2", HOST)
    assert top.ask("GET", "/healthz").json == {"ok": True}
    for path in ("/v1/routes/99.1", "/v1/nodes/00/tables", f"/v1/nodes/{'0' * 32}/tables", "/v1/none", "/witness/none"):
        assert top.ask("GET", path).status == 404, path


def test_what_is_no_message_is_refused_without_a_signature(top: TopNode) -> None:
    """No octets of a stranger cause a 5xx; a recorded message is answered with a refusal that says so."""
    below = Below(top)
    sealed = below.sealed(messages.ListKeys("T6", b"", None))
    for octets in (b"", b"\0" * 100, sealed[:-1], sealed[:-1] + bytes([sealed[-1] ^ 1])):
        assert below.post(octets).status == 400, octets
    assert top.ask("GET", "/upstream/v1").status == 405
    line = {"Content-Length": str(limits.UPSTREAM_BODY_BYTES_MAX + 1)}
    assert top.ask("POST", "/upstream/v1", b"", line).status == 413
    assert below.say(messages.ListKeys("T6", b"", None)).rule == "not-connected"


def test_a_review_waits_for_a_person(tmp_path: Path) -> None:
    """With review = manual; the verdict is what the command said, and stands."""
    with TopNode(tmp_path / "top", review="manual") as top:
        below = Below(top)
        below.connect()
        for prefix in ("88.118.1", "88.118.2", "88.118.3"):
            assert below.say(messages.Review(prefix, "P000001", "hosted", 1_000)).verdict == "waiting"
        top.run("approve", "88.118.1", "--actor", "赵审核")
        top.run("reject", "88.118.2", "--reason", "名称冲突")
        top.run("ask", "88.118.3", "--field", "website=无法打开")
        assert below.say(messages.Review("88.118.1", "P000001", "hosted", 1_000)).verdict == "approved"
        assert below.say(messages.Review("88.118.2", "P000001", "hosted", 1_000)).reason == "名称冲突"
        assert below.say(messages.Review("88.118.3", "P000001", "hosted", 1_000)).fields == (("website", "无法打开"),)
        again = top.run("reject", "88.118.1", "--reason", "x", check=False)
        assert (again.returncode, json.loads(again.stdout)["outcome"]) == (1, "conflict")
        listed = json.loads(top.run("reviews", "--json").stdout)
        assert [(each["prefix"], each["verdict"], each["by"]) for each in listed[:1]] == [
            ("88.118.1", "approved", "赵审核")
        ]


def test_enrolment_by_a_person_and_what_the_commands_show(tmp_path: Path) -> None:
    with TopNode(tmp_path / "top", enrol="review") as top:
        below = Below(top)
        assert below.connect().enrolment == "waiting"
        assert json.loads(top.run("enrol", below.node_id, "--json").stdout)["enrolment"] == "enrolled"
        below.tell("T2", [route(PREFIX, at(9))])
        (row,) = json.loads(top.run("rows", "88.118", "T2", "--json").stdout)
        assert (row["key"], row["row"]["prefix"]) == (f"Handle/{PREFIX}", PREFIX)
        assert json.loads(top.run("tables", "88.118", "--json").stdout)["tables"]["T2"]["rows"] == 1
        assert [each["id"] for each in json.loads(top.run("nodes", "--json").stdout)] == [below.node_id]


# --- misbehaviour -------------------------------------------------------------


def test_told_to_misbehave_it_drops_cuts_and_fails_and_says_so_to_nobody_else(tmp_path: Path) -> None:
    """Each way by itself, always; the pages and the Handle protocol go on."""
    folder = tmp_path / "top"
    for spec, told in {
        "drop=1": "dropped",
        "truncate=1": "cut",
        "error=1": "500",
        "delay=1,reorder=1,duplicate=1": "200",
    }.items():
        with TopNode(folder, misbehave=spec) as top:
            below = Below(top)
            try:
                reply = below.post(below.sealed(messages.Connect("88.118", ("88.118",), "n", "s", "", "")))
                shown = str(reply.status)
            except ConnectionError:
                shown = "dropped"
            except Exception as error:
                assert type(error).__name__ == "IncompleteRead", error
                shown = "cut"
            assert shown == told
            assert top.ask("GET", "/healthz").status == 200
            assert client(top, "udp").resolve("99.1/A").code == 301


# --- the process ----------------------------------------------------------------


def test_it_ends_by_sigterm_and_a_second_one_on_the_same_data_is_refused(tmp_path: Path) -> None:
    with TopNode(tmp_path / "top") as top:
        assert set(top.ready) == {"ready", "http", "https", "handle", "dns", "management", "pid"}
        assert (top.ready["https"], top.ready["dns"], top.ready["management"]) == (None, None, None)
        second = saltern(
            "topnode",
            "serve",
            "--config",
            str(top.config),
            "--set",
            "http.port=0",
            "--set",
            "handle.port=0",
            check=False,
        )
        assert (second.returncode, "Another node is running" in second.stderr.decode()) == (1, True)
        below = Below(top)
        below.connect()
        assert top.stop() == 0
        top.start()
        assert below.connect().enrolment == "enrolled"
        assert top.stop(signal.SIGINT) == 0
        assert "Traceback" not in top.log()


def test_mutual_tls_takes_no_client_without_a_certificate(tmp_path: Path) -> None:
    """https.client_ca; the certificate of a node made by init is its own authority."""
    node = Node(tmp_path / "node", PREFIX)
    certificate, key = node.folder / "keys" / "tls.crt", node.folder / "keys" / "tls.key"
    names = {"https__certificate": certificate, "https__key": key, "https__client_ca": certificate, "https__port": 0}
    with TopNode(tmp_path / "top", **names) as top:
        for own in (True, False):
            context = ssl.create_default_context(cafile=str(certificate))
            if own:
                context.load_cert_chain(certificate, key)
            with socket.create_connection((HOST, top.ready["https"])) as raw:
                try:
                    with context.wrap_socket(raw, server_hostname="localhost") as line:
                        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                        said = line.recv(64)
                except (ssl.SSLError, ConnectionError):
                    said = b""
            assert said.startswith(b"HTTP/1.1 200") is own


@pytest.mark.parametrize(
    ("setting", "said"),
    {
        "enrl=open": "did you mean enrol?", "enrol=never": "none of open, review", "http.port=65536": "out of bounds",
        "top.nme=x": "did you mean top.name?", "zzzzzz=1": "did you mean",
    }.items(),
)  # fmt: skip
def test_a_wrong_setting_is_told_with_what_would_be_right(tmp_path: Path, setting: str, said: str) -> None:
    (tmp_path / "topnode.toml").write_text("")
    with pytest.raises(ConfigError, match=said.replace("?", r"\?")):
        load_topnode(tmp_path / "topnode.toml", [setting])


def test_what_is_wrong_with_its_files_is_told_before_it_serves(tmp_path: Path) -> None:
    folder = tmp_path / "top"
    saltern("topnode", "init", str(folder))
    again = saltern("topnode", "init", str(folder), check=False)
    assert (again.returncode, "nothing was changed" in again.stderr.decode()) == (1, True)
    for settings, said in {
        "top.name=a b": "top.name", "https.client_ca=x": "https.certificate", "top.key=none.pem": "top.key",
        "top.store_key=none": "top.store_key", "data=none": "topnode init",
    }.items():  # fmt: skip
        with pytest.raises(ConfigError, match=said):
            serve_topnode(load_topnode(folder / "topnode.toml", [settings]), None)
    with pytest.raises(ConfigError, match="'delay'"):
        serve_topnode(load_topnode(folder / "topnode.toml"), "dealy=1")
    (folder / "keys" / "top.pem").chmod(0o644)
    with pytest.raises(ConfigError, match="0600"):
        serve_topnode(load_topnode(folder / "topnode.toml"), None)


def test_the_public_key_file_is_read_or_said_what_is_wrong(tmp_path: Path) -> None:
    folder = tmp_path / "top"
    saltern("topnode", "init", str(folder))
    assert len(read_public_key(folder / "keys" / "top.pub")) == 32
    file = tmp_path / "key"
    for content, said in {
        b"": "one line", b"AA==\n": "1 octets", b"!!!\n": "Base64", b"\xff": "no text", b"x\ny\n": "one line",
        (folder / "keys" / "top.pem").read_bytes(): "private key",
    }.items():  # fmt: skip
        file.write_bytes(content)
        with pytest.raises(ConfigError, match=said):
            read_public_key(file)
    with pytest.raises(ConfigError, match="Cannot read"):
        read_public_key(tmp_path / "none")
