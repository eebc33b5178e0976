"""The ports of the running node, as a command beside it knows them, and the addresses that routes tell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.config import Config, load
from core.errors import ConfigError
from node.site import Ports, keep_ports, known_ports, own_addresses
from sync.sources.routes import Address
from tests.kit.node import Node

PORTS = Ports(8001, 8444, 2642, 8002, 5301)
USUAL = {"http": 8000, "https": None, "handle": 2641, "management": 8001, "dns": 5300}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "node.toml").write_text("", "utf-8")
    (tmp_path / "data" / "run").mkdir(parents=True)
    return tmp_path


def config_of(folder: Path, *settings: str) -> Config:
    return load(folder / "node.toml", settings)


def test_a_running_node_tells_its_ports(tmp_path: Path) -> None:
    """Which were any free ones; whoever looks when it is stopped sees those that it had."""
    node = Node(tmp_path / "node", "88.118")
    config = load(node.config)
    assert vars(known_ports(config))["handle"] == config.integer("handle.port")
    with node:
        assert vars(known_ports(config)) == {name: node.ready[name] for name in USUAL}
        assert own_addresses(config, known_ports(config))[0].tcp == node.ready["handle"]


def test_ports_are_kept_and_read_again(folder: Path) -> None:
    """In the place of what was there, and no half of a file is ever seen."""
    config = config_of(folder)
    assert vars(known_ports(config)) == USUAL
    for ports in (PORTS, Ports(1, None, 2, 3), Ports(1, 2, 3, 4)):
        keep_ports(config, ports)
        assert vars(known_ports(config)) == vars(ports)
    assert [path.name for path in (folder / "data" / "run").iterdir()] == ["ports"]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\xff", b"[]", b"{}", b"null", b"[" * 5_000, json.dumps(vars(PORTS) | {"http": "1"}).encode(),
        json.dumps(vars(PORTS) | {"handle": 0}).encode(), json.dumps(vars(PORTS) | {"https": 70_000}).encode(),
        json.dumps(vars(PORTS) | {"dns": "x"}).encode(), json.dumps(vars(PORTS)).encode()[:-1],
    ],
)  # fmt: skip
def test_a_file_that_is_none_is_as_if_there_were_none(folder: Path, content: bytes) -> None:
    """The configured ports are taken."""
    (folder / "data" / "run" / "ports").write_bytes(content)
    assert vars(known_ports(config_of(folder))) == USUAL


def test_without_a_zone_there_is_no_port_of_dns(folder: Path) -> None:
    """The ports of a node of an earlier version are not known, either."""
    config = config_of(folder, "dns.ors_suffix=", "dns.ons_suffix=")
    assert known_ports(config).dns is None
    kept = vars(PORTS) | {"http": 1}
    del kept["dns"]
    (folder / "data" / "run" / "ports").write_text(json.dumps(kept))
    assert vars(known_ports(config_of(folder))) == USUAL


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ((), [("IPv4", "127.0.0.1", 2642, 2642, 8001)]),
        (("handle.address=0.0.0.0", "http.address=::"), []),
        (("handle.address=0.0.0.0",), [("IPv4", "127.0.0.1", None, None, 8001)]),
        (("handle.address=::1",), [("IPv6", "::1", 2642, 2642, None), ("IPv4", "127.0.0.1", None, None, 8001)]),
        (
            ('node.public_addresses=["192.0.2.1", "2001:DB8::1"]', "handle.address=0.0.0.0"),
            [("IPv4", "192.0.2.1", 2642, 2642, 8001), ("IPv6", "2001:db8::1", 2642, 2642, 8001)],
        ),
    ],
)
def test_where_others_reach_the_node(
    folder: Path, settings: tuple[str, ...], wanted: list[tuple[str, str, int, int, int]]
) -> None:
    """Its public addresses, else what it listens on; a wildcard is no address."""
    assert own_addresses(config_of(folder, *settings), PORTS) == tuple(Address(*each) for each in wanted)


def test_ports_that_are_not_known_yet_are_none(folder: Path) -> None:
    """0 is any free port."""
    config = config_of(folder, "http.port=0")
    assert own_addresses(config, known_ports(config)) == (Address("IPv4", "127.0.0.1", 2641, 2641, None),)
    config = config_of(folder, "http.port=0", "handle.port=0")
    assert own_addresses(config, known_ports(config)) == ()


def test_a_site_of_several_servers_is_told_whole(folder: Path) -> None:
    """Whichever of its servers this node is."""
    servers = [
        {"serverId": number, "address": f"192.0.2.{number}",
         "interfaces": [{"protocol": "TCP", "port": 2641, "query": True}]}
        for number in (1, 2)
    ]  # fmt: skip
    (folder / "site.json").write_text(json.dumps({
        "version": 1, "protocolVersion": "2.11", "serialNumber": 1, "primarySite": True, "multiPrimary": False,
        "servers": servers,
    }), "utf-8")  # fmt: skip
    found = own_addresses(config_of(folder, "handle.site=site.json"), PORTS)
    assert found == tuple(Address("IPv4", f"192.0.2.{number}", 2641, None, None) for number in (1, 2))


def test_a_name_is_no_address(folder: Path) -> None:
    with pytest.raises(ConfigError, match="is no IP address"):
        own_addresses(config_of(folder, 'node.public_addresses=["node.example"]'), PORTS)
