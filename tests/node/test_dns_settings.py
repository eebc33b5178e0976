"""The zones that a configuration makes, and what they say of a node that does not say where it is reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.changes import ChangeKind, Serial, unpack_change
from core.config import Config
from core.errors import ConfigError
from core.settings import BY_NAME
from core.store.fsck import check_store
from core.store.memory_engine import MemoryEngine
from core.store.zone_row import adopt_zone_settings, zone_serial
from node.dns_settings import settings_digest, zone_settings
from node.site import Ports
from resolver.zone import Zones
from tests.kit.dns import ask, over_udp, read
from tests.kit.node import Node
from tests.kit.zones import NOW, ONS, ORS

PORTS = Ports(8001, 8444, 2642, 8002)


def config_of(**settings: object) -> Config:
    return Config(Path("node.toml"), {name.replace("__", "."): value for name, value in settings.items()})  # type: ignore[misc] # as the test says


def test_the_defaults_make_both_zones() -> None:
    """Of a node that listens on this machine alone: its addresses are those."""
    settings = zone_settings(config_of(), PORTS)
    assert Zones(settings).apexes == (ORS, ONS)
    assert (settings.public_url, settings.addresses) == ("http://127.0.0.1:8001", ("127.0.0.1",))
    assert settings.ttl == BY_NAME["dns.ttl"].default


@pytest.mark.parametrize(
    ("settings", "url", "addresses"),
    [
        ({"node__public_url": "https://id.example.cn/"}, "https://id.example.cn", ("127.0.0.1",)),
        (
            {"node__public_addresses": ("192.0.2.7", "2001:db8::7")},
            "http://192.0.2.7:8001", ("192.0.2.7", "2001:db8::7"),
        ),
        ({"node__public_addresses": ("2001:db8::7",)}, "http://[2001:db8::7]:8001", ("2001:db8::7",)),
        ({"http__address": "0.0.0.0", "handle__address": "0.0.0.0", "dns__address": "::"}, "http://127.0.0.1:8001", ()),
        ({"dns__address": "192.0.2.8"}, "http://127.0.0.1:8001", ("192.0.2.8",)),
    ],
)  # fmt: skip
def test_where_dns_leads_to(settings: dict[str, object], url: str, addresses: tuple[str, ...]) -> None:
    """node.public_url and node.public_addresses, else what is listened on, else this machine."""
    made = zone_settings(config_of(**settings), PORTS)
    assert (made.public_url, made.addresses) == (url, addresses)
    Zones(made)


@pytest.mark.parametrize("setting", ["dns.address", "node.public_addresses"])
def test_a_name_is_no_address(setting: str) -> None:
    """The error names the setting."""
    value = "localhost" if setting == "dns.address" else ("localhost",)
    given = {"node.public_url": "https://id.example.cn", setting: value}
    with pytest.raises(ConfigError, match=setting):
        zone_settings(Config(Path("node.toml"), given), PORTS)


# --- others are a change of the zones ---
def serial_of(store: MemoryEngine) -> tuple[int, int]:
    with store.snapshot() as snapshot:
        return zone_serial(snapshot), snapshot.serial()


@pytest.mark.parametrize(
    "settings",
    [
        {"dns__ttl": 60}, {"dns__ors_suffix": "oid.example.cn"}, {"dns__oid_labels": ("1=iso",)},
        {"node__public_url": "https://id.example.cn"}, {"node__public_addresses": ("192.0.2.7",)},
        {"handle__root": True},
    ],
)  # fmt: skip
def test_settings_that_make_other_records_raise_the_serial(settings: dict[str, object]) -> None:
    """Once; others, and the first of all, do not: nobody has a zone that was made otherwise."""
    store = MemoryEngine()
    adopt_zone_settings(store, settings_digest(config_of()), NOW)
    adopt_zone_settings(store, settings_digest(config_of(dns__rate_limit=7, resolver__workers=3)), NOW)
    assert serial_of(store) == (0, 0)
    for _ in range(2):
        adopt_zone_settings(store, settings_digest(config_of(**settings)), NOW)
        assert serial_of(store) == (1, 1)
    adopt_zone_settings(store, settings_digest(config_of()), NOW)
    assert serial_of(store) == (2, 2)
    with store.snapshot() as snapshot:
        assert unpack_change(snapshot.feed(Serial(1), 1)[0][1]).kind is ChangeKind.ZONE_SETTINGS
        assert list(check_store(snapshot)) == []


def test_a_node_that_starts_with_other_settings_gives_its_zones_another_serial(tmp_path: Path) -> None:
    """Not by starting anew; and what it answers is made of them."""
    node = Node(tmp_path / "node", "88.1")

    def soa() -> tuple[int, int]:
        with node:
            (rrset,) = read(over_udp(node.ready["dns"], ask("oid-res.org", "SOA"))[0]).answer
        return rrset[0].serial, rrset[0].minimum

    first = soa()
    assert soa() == first
    node.settings["dns.negative_ttl"] = 77
    serial, minimum = soa()
    assert serial > first[0]
    assert (minimum, soa()) == (77, (serial, 77))
    node.fsck()
