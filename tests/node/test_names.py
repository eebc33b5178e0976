"""A running node whose names are out of the ordinary: where case matters, one server of three, delegated prefixes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.config import load
from core.errors import ConfigError
from node import wiring
from registry.client import BlockingClient
from registry.commands import OPERATOR, Home, Request, Unhome
from tests.kit.node import Node, admin_value, saltern
from tests.kit.vectors import load as load_vectors

PREFIX = "88.9999.1"
URL = {"index": 1, "type": "URL", "data": "https://a.example"}
RECORD = [URL, admin_value(f"0.NA/{PREFIX}")]


def server(number: int) -> dict[str, Any]:
    doors = [{"query": True, "admin": True, "protocol": "TCP", "port": 2641}]
    return {"serverId": number, "address": f"10.0.0.{number}", "interfaces": doors}


SITE = {"version": 1, "serialNumber": 7, "servers": [server(number) for number in (1, 2, 5)]}


# --- where case matters -------------------------------------------------------


def test_a_node_where_case_matters_from_the_first_record_to_the_switch_that_is_refused(tmp_path: Path) -> None:
    """Switched after init, while there are only prefix handles; then held by serve, doctor and every command."""
    node = Node(tmp_path / "node", PREFIX, handle__case_sensitive=True)
    with node:
        for suffix in ("Abc", "abc"):
            assert (
                node.put(f"{PREFIX}/{suffix}", [{**URL, "data": f"https://{suffix}.example"}, RECORD[1]]).status == 201
            )
        assert node.get(f"{PREFIX}/abc").json["values"][0]["data"]["value"] == "https://abc.example"
        assert node.get(f"{PREFIX}/ABC").status == 404
        assert node.ask("GET", f"/{PREFIX}/Abc").headers["Location"] == "https://Abc.example"
        alias = [{"index": 1, "type": "HS_ALIAS", "data": f"{PREFIX}/Abc"}, RECORD[1]]
        assert node.put(f"{PREFIX}/ABC", alias).status == 201
        assert node.ask("GET", f"/{PREFIX}/ABC").headers["Location"] == "https://Abc.example"
        assert node.get(f"0.na/{PREFIX}").status == 200
        wrong = {"handle": f"{PREFIX}/ABC", "values": RECORD}
        assert node.put(f"{PREFIX}/Abc", wrong).json["message"] == "Mismatched handle in PUT request"
        listed = node.ask("GET", f"/api/handles?prefix={PREFIX}", headers=node.admin()).json["handles"]
        assert listed == [f"{PREFIX}/{suffix}" for suffix in ("ABC", "Abc", "abc")]
    config = ("--config", str(node.config))
    cased = ("--set", "handle.case_sensitive=true")
    assert "every row is right" in saltern("doctor", "--deep", *config, *cased).stdout.decode()
    shown = json.loads(saltern("record", "get", f"{PREFIX}/abc", "--json", *config, *cased).stdout)
    assert shown["values"][0]["data"]["value"] == "https://abc.example"
    for command in (("serve",), ("doctor",), ("record", "get", f"{PREFIX}/abc"), ("record", "delete", f"{PREFIX}/abc")):
        done = saltern(*command, *config, check=False)
        assert done.returncode == 1
        said = (done.stdout + done.stderr).decode()
        assert "handle.case_sensitive = false" in said
        assert "才能切换" in said
    for suffix in ("ABC", "Abc", "abc"):
        saltern("record", "delete", f"{PREFIX}/{suffix}", *config, *cased)
    assert "every row is right" in saltern("doctor", "--deep", *config).stdout.decode()
    node.settings.pop("handle.case_sensitive")
    with node:
        assert node.put(f"{PREFIX}/Abc", RECORD).status == 201
        assert node.get(f"{PREFIX}/aBC").status == 200


# --- one server of three --------------------------------------------------------


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "site.json").write_text(json.dumps(SITE))
    with Node(folder / "node", PREFIX, handle__site="../site.json") as node:
        yield node


def test_the_site_is_the_configured_one(first: Node) -> None:
    """As it stands in the file."""
    site = first.ask("GET", "/api/site").json["site"]
    assert [each["serverId"] for each in site["servers"]] == [1, 2, 5]
    assert (site["serialNumber"], site["servers"][2]["address"]) == (7, "10.0.0.5")


def test_requests_for_the_other_servers_are_refused(first: Node) -> None:
    """Reads and writes, with credentials or without, by the operator's command too; what is ours is done."""
    exchanges = load_vectors("handle/set_e_three_server_site_tcp.json")["exchanges"]
    ours = next(each["handle"] for each in exchanges if each["responseCode"] == 1)
    theirs = next(each["handle"] for each in exchanges if each["responseCode"] == 301)
    assert first.put(ours, RECORD).status in (200, 201)
    assert first.get(ours).status == 200
    anonymous = first.ask("PUT", f"/api/handles/{theirs}", RECORD)
    for reply in (first.get(theirs), first.put(theirs, RECORD), first.delete(theirs), anonymous):
        assert (reply.status, reply.json["responseCode"]) == (400, 301)
        assert reply.json["message"] == "Request was hashed incorrectly"
    options = ("--config", str(first.config), "--set", "handle.site=../site.json")
    done = saltern("record", "put", theirs, "--url", "https://a.example", *options, check=False)
    assert "Request was hashed incorrectly" in done.stderr.decode()
    assert "3 台服务器 servers in the site; this is 1" in saltern("doctor", *options).stdout.decode()


BAD_SITES: dict[str, tuple[object, str]] = {
    "no file": (None, "handle.site: cannot read"),
    "no json": ("{", "handle.site: .*Invalid JSON"),
    "no site": ({"responseCode": 1, "site": SITE}, "handle.site: .*servers"),
    "an array": ([], "handle.site: "),
    "no such server": ({"servers": [server(2), server(3)]}, "handle.server_id: .* no server 1; it has 2, 3"),
    "no server at all": ({"servers": []}, "handle.server_id: .* no server 1; it has none"),
    "one twice": ({"servers": [server(1), server(1)]}, "handle.server_id: .* more than one server 1"),
    "an unknown option": (SITE | {"hashOption": 3}, "handle.site: hashOption 3"),
    "an address that is none": ({"servers": [{**server(1), "address": "x"}]}, "handle.site: .*no IP address"),
    "too long": (" " * 1_048_577, "handle.site: .*more than 1048576 octets"),
}


@pytest.mark.parametrize(("content", "message"), BAD_SITES.values(), ids=BAD_SITES)
def test_a_site_that_cannot_be_used_is_refused_by_its_setting(tmp_path: Path, content: object, message: str) -> None:
    """Before anything starts."""
    if content is not None:
        (tmp_path / "site.json").write_text(content if isinstance(content, str) else json.dumps(content))
    (tmp_path / "node.toml").write_text('[handle]\nsite = "site.json"\n')
    config = load(tmp_path / "node.toml")
    with pytest.raises(ConfigError, match=message):
        wiring.handle_rules(config)
    with pytest.raises(ConfigError, match=message):
        wiring.server_admins(config)


@pytest.mark.parametrize(("server_id", "position"), [(1, 0), (2, 1), (5, 2)])
def test_the_place_in_the_list_counts_not_the_number(tmp_path: Path, server_id: int, position: int) -> None:
    """As clients count."""
    (tmp_path / "site.json").write_text(json.dumps(SITE | {"hashOption": 1}))
    (tmp_path / "node.toml").write_text(f'[handle]\nsite = "site.json"\nserver_id = {server_id}\n')
    choice = wiring.handle_rules(load(tmp_path / "node.toml")).server
    assert choice == (1, 3, position)


def test_a_node_with_a_bad_site_does_not_start_and_the_doctor_says_why(tmp_path: Path) -> None:
    """Exit code 1 and one line."""
    node = Node(tmp_path / "node", PREFIX)
    for command in ("serve", "doctor"):
        done = saltern(command, "--config", str(node.config), "--set", "handle.site=none.json", check=False)
        assert done.returncode == 1
        assert "handle.site: cannot read" in (done.stdout + done.stderr).decode()


# --- prefixes that are homed while the node runs ----------------------------------


def test_a_prefix_is_homed_delegated_and_unhomed_while_the_node_runs(tmp_path: Path) -> None:
    """By the socket of the registrar; the next request goes by it."""
    with Node(tmp_path / "node", PREFIX, "88.2", handle__server_admins="[301]") as node:
        client = BlockingClient(node.folder / "data" / "run")

        def do(command: Home | Unhome) -> None:
            assert client.call(Request(command, OPERATOR)).done

        do(Unhome("88.2"))
        assert node.get("88.2/A").json["responseCode"] == 301
        do(Home("88.2"))
        assert node.put("88.2/A", RECORD).status == 201
        assert node.get("88.2/A").status == 200
        do(Home("88.2", "delegated"))
        site = {"index": 2, "type": "HS_SITE", "data": {"format": "site", "value": SITE}}
        assert node.put("0.NA/88.2", [URL, site]).status == 200
        reply = node.get("88.2/a")
        assert (reply.status, reply.json["responseCode"], reply.json["handle"]) == (300, 302, "88.2/a")
        assert [each["index"] for each in reply.json["values"]] == [2]
        assert node.get("88.2/a", "?doNotRefer").json == {"responseCode": 100, "handle": "88.2/a"}
        refused = node.put("88.2/A", RECORD)
        assert (refused.status, refused.json["responseCode"]) == (400, 301)
        assert refused.json["message"] == "That prefix is served elsewhere; ask the site in 0.NA/88.2"
        page = node.ask("GET", "/88.2/A")
        assert (page.status, "Another node serves the prefix" in page.body.decode()) == (300, True)
        alias = [{"index": 1, "type": "HS_ALIAS", "data": "88.2/A"}, RECORD[1]]
        assert node.put(f"{PREFIX}/ALIAS", alias).status == 201
        assert "points to another node" in node.ask("GET", f"/{PREFIX}/ALIAS").body.decode()
        do(Unhome("88.2"))
        assert node.get("88.2/A").json["responseCode"] == 301
        client.close()
        assert "every row is right" in node.fsck()
