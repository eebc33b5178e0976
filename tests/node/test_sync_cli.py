"""`saltern sync …` between a real node and a real top node: connected, away, lost, reviewed."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from core.config import load
from core.records import HandleValue
from core.signature import key_id
from node.cli.main import cli
from node.signing import load_signer
from node.topnode_keys import read_public_key
from node.topnode_settings import load_topnode
from node.topnode_store import open_top_store
from node.writing import writer
from registry.commands import (
    Actor,
    AddParty,
    AddTemplate,
    ApplyPrefix,
    Command,
    Delete,
    PublishTemplate,
    Put,
    Request,
    ReviewPrefix,
    VerifyParty,
)
from sync.tables import TABLES
from tests.kit.governance import form
from tests.kit.handle_client import Client, Udp
from tests.kit.handle_node import record
from tests.kit.node import Node
from tests.kit.templates import CODE, template_form
from tests.kit.topnodes import HOST, TopNode
from tests.node.test_serve import eventually

OWN = "88.118"
CLERK, REVIEWER = "张经办", "李审核"


class Told(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    error: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run(node: Node, *arguments: str) -> Told:
    """Run a command of the node; whatever fails is told in one line."""
    done = CliRunner().invoke(cli, [*arguments, "--config", str(node.config)])
    told = Told(done.exit_code, done.stdout, done.stderr)
    assert "Traceback" not in told.error
    if told.status == 1:
        assert told.error.count("错误 Error: ") == 1, told
    return told


def do(node: Node, *arguments: str) -> Any:
    """Run one that succeeds; return its JSON."""
    told = run(node, *arguments, "--json")
    assert told.status == 0, told
    return told.json


def status(node: Node) -> dict[str, Any]:
    (found,) = do(node, "sync", "status")["upstreams"]
    return dict(found)


def verify(node: Node, *options: str) -> tuple[int, dict[str, set[tuple[str, str]]]]:
    """Return the exit code, and what differs by table."""
    told = run(node, "sync", "verify", "--json", *options)
    tables = told.json["tables"]
    assert set(tables) == set(TABLES)
    differing = {
        name: {(each["key"], each["why"]) for each in table["differences"]}
        for name, table in tables.items()
        if table["differences"]
    }
    assert told.json["equal"] is (told.status == 0) is (not differing)
    return told.status, differing


def act(node: Node, *commands: Command, by: str = CLERK) -> Any:
    """Have acts done, whether the node runs or not; return what the last one told."""
    body = b""
    with writer(load(node.config)) as write:
        for command in commands:
            result = write(Request(command, Actor(local=True, name=by)))
            assert result.done, result
            body = result.body
    return json.loads(body) if body else {}


def put(name: str, text: str = "海盐") -> Put:
    return Put(f"{OWN}/{name}", (HandleValue(1, "NAME", text.encode()),), overwrite=True)


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TopNode]:
    """A top node that reviews by hand, on a port that it keeps."""
    with TopNode(tmp_path_factory.mktemp("top") / "top", review="manual") as made:
        made.settings |= {"http.port": made.ready["http"], "handle.port": made.ready["handle"]}
        yield made


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node that does not run yet."""
    made = Node(tmp_path_factory.mktemp("sync") / "node", OWN)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def connected(node: Node, top: TopNode) -> Node:
    told = do(node, "sync", "connect", "--url", top.url, "--key", str(top.folder / "keys" / "top.pub"))
    assert told["id"] == key_id(top.public_key)
    assert (told["name"], told["url"], told["enrolment"]) == ("top.example", top.url, "enrolled")
    return node


def key_of(top: TopNode) -> str:
    return str(top.folder / "keys" / "top.pub")


# --- before and while connecting ---------------------------------------------------


def test_what_cannot_be_connected_is_told_and_nothing_is_kept(node: Node, top: TopNode, tmp_path: Path) -> None:
    """Exit code 1 with the reason, 2 for what is no address; then every other command says what comes first."""
    other = TopNode(tmp_path / "other")
    private = tmp_path / "private.pub"
    private.write_bytes((other.folder / "keys" / "top.pem").read_bytes())
    with contextlib.closing(socket.create_server((HOST, 0))) as taken:
        nobody = f"http://{HOST}:{taken.getsockname()[1]}"
    for url, key, code, said in (
        (top.url, key_of(other), 1, "answers 400"),
        (nobody, key_of(top), 1, "cannot be reached"),
        (f"http://{HOST}:{top.ready['handle']}", key_of(top), 1, "cannot be reached"),
        (top.url, str(tmp_path / "none"), 1, "Cannot read"),
        (top.url, str(private), 1, "private key"),
        ("http://top.example.cn", key_of(top), 2, "https://"),
        ("ftp://top.example.cn", key_of(top), 2, "https://"),
    ):
        told = run(node, "sync", "connect", "--url", url, "--key", key)
        assert (told.status, said in told.error) == (code, True), (url, told)
        if code == 1:
            assert len(told.error.strip().splitlines()) == 1, told
    for command in ("status", "run", "verify"):
        told = run(node, "sync", command)
        assert (told.status, "saltern sync connect" in told.error) == (1, True), told
    assert top.run("nodes", "--json").stdout.strip() == b"[]"


def test_all_is_sent_and_compared_while_the_node_does_not_run(connected: Node, top: TopNode) -> None:
    """Status before and after; then differences by their keys, of what was not sent and of what the top node lost."""
    node = connected
    assert run(node, "sync", "run", "--upstream", "0" * 32).status == 1
    act(node, put("A"), put("B"), put("C"))
    before = status(node)["tables"]
    assert list(before) == list(TABLES)
    assert (before["T9"]["waiting"], before["T9"]["sent"], before["T9"]["acknowledged"]) == (3, 0, None)
    (sent,) = do(node, "sync", "run")["upstreams"]
    assert (sent["faults"], sent["rows"] >= 4) == ({}, True)
    after = status(node)
    assert (after["enrolment"], after["fault"], after["away_since"]) == ("enrolled", None, None)
    t9 = after["tables"]["T9"]
    assert (t9["waiting"], t9["sent"], t9["accepted"], t9["refused"], t9["refused_rows"]) == (0, 3, 3, 0, [])
    assert verify(node) == (0, {})
    act(node, put("A", "另一种"), Delete(f"{OWN}/B"), put("D"))
    missed = {(f"{OWN}/A", "other"), (f"{OWN}/B", "extra"), (f"{OWN}/D", "missing")}
    assert verify(node) == (1, {"T9": missed})
    assert "saltern sync run" in run(node, "sync", "verify").error
    do(node, "sync", "run")
    assert verify(node) == (0, {})
    with contextlib.closing(open_top_store(load_topnode(top.config))) as store, store.write() as change:
        node_id = key_id(load_signer(load(node.config)).public_key)
        change.apply(node_id, TABLES["T9"], {f"{OWN}/C".encode(): None})
        change.apply(node_id, TABLES["T2"], {f"Handle/{OWN}".encode(): None})
    lost = {"T9": {(f"{OWN}/C", "missing")}, "T2": {(f"Handle/{OWN}", "missing")}}
    assert verify(node) == (1, lost)
    do(node, "sync", "run")
    assert verify(node) == (1, lost)
    assert verify(node, "--repair") == (0, {})


# --- a running node --------------------------------------------------------------------


@pytest.fixture(scope="module")
def running(connected: Node) -> Iterator[Node]:
    with connected:
        yield connected


def above(top: TopNode, node: Node, table: str) -> set[str]:
    """Return the keys that the top node holds of a table."""
    node_id = key_id(load_signer(load(node.config)).public_key)
    with contextlib.closing(open_top_store(load_topnode(top.config))) as store:
        return {key.decode() for key, _ in store.rows(node_id, TABLES[table], b"", 1_000)}


def test_what_is_written_is_above_without_a_command(running: Node, top: TopNode) -> None:
    """A template within 5 s; a bag is found by a client that knows the top node alone."""
    assert running.put(f"{OWN}/LIVE", record(running, "https://live.example")).status == 201
    party = act(running, AddParty(form(9)))["party"]
    act(running, AddTemplate(template_form(party=party)), PublishTemplate(CODE, "1.0"))
    eventually(lambda: above(top, running, "T11") == {f"{CODE}@1"}, 250)
    client = Client(Udp(HOST, top.ready["handle"]))
    assert client.resolve(f"{OWN}/LIVE").code == 302
    do(running, "sync", "run")
    assert verify(running) == (0, {})


def test_a_top_node_that_is_away_stops_nothing_here_and_one_that_lost_its_store_is_told_all(
    running: Node, top: TopNode
) -> None:
    """One line says what to do; keys are kept, data are gone."""
    top.stop()
    told = run(running, "sync", "run")
    assert (told.status, len(told.error.strip().splitlines())) == (1, 1)
    assert "cannot be reached" in told.error
    assert running.put(f"{OWN}/AWAY", record(running, "https://away.example")).status == 201
    assert running.get(f"{OWN}/AWAY").status == 200
    away = status(running)
    assert away["away_since"] is not None
    assert "cannot be reached" in away["fault"]
    assert away["tables"]["T9"]["waiting"] >= 1
    shutil.rmtree(top.folder / "data" / "store")
    top.start()
    do(running, "sync", "run")
    assert verify(running) == (0, {})
    assert f"{OWN}/AWAY" in above(top, running, "T9")
    back = status(running)
    assert (back["away_since"], back["fault"]) == (None, None)


def application(node: Node, number: int, prefix: str) -> None:
    """File a party and its application, have both approved here."""
    party = str(act(node, AddParty(form(number)))["party"])
    act(node, ApplyPrefix(prefix, party))
    for reviewer in (REVIEWER, "王审核"):
        act(node, VerifyParty(party, "manual", bytes(32)), by=reviewer)
    assert act(node, ReviewPrefix(prefix, approve=True), by="王审核")["state"] == "national-review"


def shown(node: Node, prefix: str, state: str) -> Any:
    """Wait until a prefix is in a state; return what is told of it."""

    def look() -> Any:
        told = do(node, "prefix", "show", prefix)
        return told if told["state"] == state else None

    return eventually(look, 250)


def test_prefixes_wait_for_the_national_review_and_follow_its_verdict(running: Node, top: TopNode) -> None:
    """Approved: homed, and resolvable from the top. Rejected and asked: as such, with the reasons of the top node."""
    prefixes = [f"{OWN}.{number}" for number in (2, 3, 4)]
    for number, prefix in enumerate(prefixes, 1):
        application(running, number, prefix)
    do(running, "sync", "run")
    waiting = {each["prefix"] for each in json.loads(top.run("reviews", "--state", "waiting", "--json").stdout)}
    assert waiting == set(prefixes)
    top.run("approve", prefixes[0])
    top.run("reject", prefixes[1], "--reason", "名称与商标冲突")
    top.run("ask", prefixes[2], "--field", "website=无法打开")
    shown(running, prefixes[0], "homed")
    assert "名称与商标冲突" in json.dumps(shown(running, prefixes[1], "rejected"), ensure_ascii=False)
    assert "无法打开" in json.dumps(shown(running, prefixes[2], "needs-correction"), ensure_ascii=False)
    eventually(lambda: f"Handle/{prefixes[0]}" in above(top, running, "T7"), 250)
    client = Client(Udp(HOST, top.ready["handle"]))
    told = client.resolve(f"{prefixes[0]}/BAG")
    assert (told.code, told.handle) == (302, f"0.NA/{prefixes[0]}")
    do(running, "sync", "run")
    assert verify(running) == (0, {})


# --- enrolment, mutual TLS -----------------------------------------------------------


def test_a_top_node_that_enrols_by_hand_over_mutual_tls(node: Node, tmp_path: Path) -> None:
    """An untrusted certificate and a missing one are told; a node waits until it is enrolled, then all goes on."""
    below = Node(tmp_path / "node", OWN)
    certificate, key = str(below.folder / "keys" / "tls.crt"), str(below.folder / "keys" / "tls.key")
    names = {"https__certificate": certificate, "https__key": key, "https__client_ca": certificate, "https__port": 0}
    with TopNode(tmp_path / "top", enrol="review", **names) as top:
        url = f"https://localhost:{top.ready['https']}"
        connect = ("sync", "connect", "--url", url, "--key", key_of(top))
        untrusted = run(below, *connect)
        assert (untrusted.status, "setting sync.ca" in untrusted.error) == (1, True), untrusted
        trusting = ("--set", f"sync.ca={certificate}")
        assert run(below, *connect, *trusting).status == 1
        assert run(below, "sync", "status").status == 1
        both = (*trusting, "--set", f"sync.client_certificate={certificate}", "--set", f"sync.client_key={key}")
        assert do(below, *connect, *both)["enrolment"] == "waiting"
        told = run(below, "sync", "run", *both)
        assert (told.status, "ask its operator" in told.error) == (1, True), told
        standing = status(below)
        assert (standing["enrolment"], "ask its operator" in standing["fault"]) == ("waiting", True)
        top.run("enrol", OWN)
        do(below, "sync", "run", *both)
        assert verify(below, *both) == (0, {})
        assert status(below)["enrolment"] == "enrolled"
        assert read_public_key(Path(key_of(top))) == top.public_key
