"""Delegated and suspended prefixes on running nodes: a referral that leads somewhere, and silence on every protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from core.clock import now_s
from core.config import load
from core.errors import Outcome
from core.events import Via
from core.store.engine import Engine
from core.wire.sitefile import read_sites, site_values
from node import wiring
from registry.client import BlockingClient
from registry.commands import OPERATOR, Home, Put, Request
from tests.kit.handle_client import MEDIA_TYPE
from tests.kit.handle_messages import Message, Site
from tests.kit.handle_node import HOST, assert_unharmed, client_of, question, record
from tests.kit.node import Node
from tests.kit.prefixes import suspend
from tests.kit.spools import entries

PREFIX = "88.118.7"
ENTERPRISE = "88.118.9"
HERE, THERE, NONE = f"{PREFIX}/A", f"{ENTERPRISE}/A", f"{ENTERPRISE}/NONE"
BY_HANDLE = {via for via in Via if via <= Via.PAGE}  # the others ask by other names
WAYS = ("udp", "tcp", "kept", "http")


@pytest.fixture(scope="module")
def enterprise(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """The enterprise's own node, with a record."""
    with Node(tmp_path_factory.mktemp("enterprise") / "node", ENTERPRISE) as made:
        assert made.put(THERE, record(made, "https://enterprise.example")).status == 201
        yield made


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, enterprise: Node) -> Iterator[Node]:
    """The secondary node, two workers, which delegates the enterprise's prefix."""
    made = Node(tmp_path_factory.mktemp("states") / "node", PREFIX, ENTERPRISE, resolver__workers=2)
    with made:
        assert made.put(HERE, record(made, "https://here.example")).status == 201
        sites = read_sites(json.dumps(site_of(enterprise)).encode())
        client = BlockingClient(made.folder / "data" / "run")
        for command in (
            Home(ENTERPRISE, "delegated"),
            Put(f"0.NA/{ENTERPRISE}", site_values(sites, now_s()), overwrite=True),
        ):
            assert client.call(Request(command, OPERATOR)).done
        client.close()
        yield made


@pytest.fixture
def store(node: Node) -> Iterator[Engine]:
    """The store of the running node, opened beside it; both prefixes are resumed at the end."""
    engine = wiring.open_store(load(node.config))
    yield engine
    for prefix in (PREFIX, ENTERPRISE):
        suspend(engine, prefix, suspended=False)
    engine.close()


def site_of(node: Node) -> dict[str, Any]:
    """What a node says of itself, with the address at which it can be reached here."""
    answer: dict[str, Any] = node.ask("GET", "/api/site").json
    for server in answer["site"]["servers"]:
        server["address"] = HOST
    return answer


# --- delegated ---------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_a_delegated_prefix_is_referred_to_where_it_is_answered(node: Node, enterprise: Node, way: str) -> None:
    """302 with the site; there the same question has its answer."""
    for handle in (THERE, NONE):
        reply = client_of(node, way).resolve(handle)
        assert (reply.code, reply.handle) == (302, f"0.NA/{ENTERPRISE}")
        (value,) = reply.values
        (server,) = Site.decode(value.data).servers
        assert bytes(server.address)[-4:] == bytes((127, 0, 0, 1))
        assert enterprise.ready["handle"] in [door.port for door in server.interfaces]
    assert client_of(enterprise, way).resolve(THERE).code == 1


def test_over_the_handle_interface_it_is_300_with_the_sites(node: Node, enterprise: Node) -> None:
    """As the reference's clients read it; the site is what /api/site of the enterprise says."""
    reply = node.get(THERE)
    assert (reply.status, reply.json["responseCode"], reply.json["handle"]) == (300, 302, THERE)
    (value,) = reply.json["values"]
    assert (value["index"], value["type"], value["data"]["value"]) == (1, "HS_SITE", site_of(enterprise)["site"])
    assert node.get(THERE, "?doNotRefer").json == {"responseCode": 100, "handle": THERE}


def test_a_browser_is_sent_to_the_enterprises_own_page(node: Node, enterprise: Node) -> None:
    """By HTTPS, which it offers; from there to the URL of the record. With ?noredirect the sites are shown."""
    reply = node.ask("GET", f"/{THERE}?x=1")
    assert (reply.status, reply.headers["Location"]) == (302, f"https://{HOST}:{enterprise.ready['https']}/{THERE}")
    onward = enterprise.ask("GET", f"/{THERE}", tls=True)
    assert (onward.status, onward.headers["Location"]) == (302, "https://enterprise.example")
    shown = node.ask("GET", f"/{THERE}?noredirect")
    assert (shown.status, "Location" in shown.headers, "HS_SITE" in shown.body.decode()) == (300, False, True)


# --- suspended ---------------------------------------------------------------


def answers(node: Node, handle: str) -> list[object]:
    """Return how each way ends for a handle, over new connections: whichever worker takes them."""
    media = {"Accept": MEDIA_TYPE, "Content-Type": MEDIA_TYPE}
    by_http = node.ask("POST", "/", question(handle).encode(), media)
    return [
        *(client_of(node, way).resolve(handle).code for way in WAYS),
        Message.decode(by_http.body).code,
        *((each.status, each.json["responseCode"]) for each in (node.get(handle), node.get(handle, "?pretty"))),
        node.ask("HEAD", f"/api/handles/{handle}").status,
        *(node.ask("GET", f"/{handle}{query}").status for query in ("", "?noredirect")),
    ]


SILENT = [100, 100, 100, 100, 100, (404, 100), (404, 100), 404, 451, 451]


def test_a_suspended_prefix_is_silent_on_every_protocol_and_back_unharmed(node: Node, store: Engine) -> None:
    """With the next request of any worker, hosted or delegated, quick way or long; the record is what it was."""
    before = {handle: answers(node, handle) for handle in (HERE, THERE)}
    bodies = [node.get(handle).body for handle in (HERE, THERE)]
    for _ in range(3):
        for prefix, held, other in ((PREFIX, HERE, THERE), (ENTERPRISE, THERE, HERE)):
            suspend(store, prefix)
            for _ in range(2):
                assert answers(node, held) == SILENT
            assert answers(node, other) == before[other]
            assert node.get(f"0.NA/{prefix}").status == 404
            suspend(store, prefix, suspended=False)
            assert answers(node, held) == before[held]
    assert [node.get(handle).body for handle in (HERE, THERE)] == bodies
    assert_unharmed(node)
    assert "every row is right" in node.fsck(apart=True)  # the store is open here


def test_each_silence_is_told_in_the_log_as_held(node: Node, store: Engine) -> None:
    """Whatever the client hears; and counted so."""
    suspend(store, PREFIX)
    handle = f"{PREFIX}/held"
    assert answers(node, handle) == SILENT
    new = [entry for entry in entries(node) if entry.identifier == handle.encode()]
    assert {entry.outcome for entry in new} == {Outcome.HELD}
    assert {entry.via for entry in new} == BY_HANDLE
    assert len(new) == len(SILENT)
    connection = node.connection()
    connection.port = node.ready["management"]
    connection.request("GET", "/metrics")
    assert 'saltern_resolutions_total{outcome="held"}' in connection.getresponse().read().decode()
    connection.close()


def test_nothing_is_written_below_a_suspended_prefix(node: Node, store: Engine) -> None:
    """Refused as held, with the reason; a batch too. The prefix handle can still be changed."""
    suspend(store, PREFIX)
    refused = node.put(HERE, record(node, "https://other.example"))
    assert (refused.status, refused.json["responseCode"]) == (404, 100)
    assert refused.json["message"] == "该前缀已暂停。That prefix is suspended"
    items = [{"handle": handle, "values": record(node, "https://other.example")} for handle in (HERE, f"{PREFIX}/NEW")]
    batch = node.ask("POST", "/v1/records:batch", items, node.admin())
    assert batch.json["counts"] == {"held": 2}
    page = node.ask("GET", f"/{HERE}").body.decode()
    assert "已停止解析" in page
    assert "is stopped" in page
    suspend(store, PREFIX, suspended=False)
    assert node.get(HERE).json["values"][0]["data"]["value"] == "https://here.example"
    assert node.get(f"{PREFIX}/NEW").status == 404
