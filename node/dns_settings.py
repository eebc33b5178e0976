"""The zones as the settings have them, and what they say of this node where no setting does."""

from __future__ import annotations

import hashlib
from ipaddress import ip_address
from urllib.parse import urlunsplit

from core.config import Config
from core.errors import ConfigError
from node.duties import load_duties
from node.secondaries import parse_secondaries
from node.site import Ports, configured_ports, own_addresses
from resolver.zone import Zones, ZoneSettings

_LOOPBACK = "127.0.0.1"
_FORM = 1
"""To be raised when the same settings and aliases make other records: secondaries take the zones anew."""


def zone_settings(config: Config, ports: Ports) -> ZoneSettings:
    """Return the settings of the zones; ``Zones`` says which of them are wrong. Errors: ConfigError."""
    text, items = config.text, _items
    return ZoneSettings(
        text("dns.ors_suffix"), text("dns.ons_suffix"), items(config, "dns.ors_services"), text("dns.ons_service"),
        items(config, "dns.oid_labels"), items(config, "dns.nameservers"), _addresses(config),
        node_url(config, ports), config.integer("dns.ttl"), config.integer("dns.negative_ttl"),
    )  # fmt: skip


def settings_digest(config: Config) -> bytes:
    """Return SHA-256 of all that zones are made of but aliases. Errors: ConfigError."""
    settings = zone_settings(config, configured_ports(config))
    return hashlib.sha256(repr((_FORM, tuple(settings), config.flag("handle.root"))).encode()).digest()


def make_zones(config: Config, ports: Ports) -> Zones:
    """Return the zones of the settings. Errors: ConfigError that names the setting."""
    return Zones(zone_settings(config, ports), root=config.flag("handle.root"))


def require_dns(config: Config, ports: Ports) -> None:
    """Errors: ConfigError for settings of DNS, or a file of keys, that a node could not be started with."""
    make_zones(config, ports)
    parse_secondaries(config)
    if config.file("dns.tsig_file") is not None:
        from node.tsig_file import load_tsig  # and dnspython, where there are keys alone

        load_tsig(config)


def _items(config: Config, setting: str) -> tuple[str, ...]:
    return tuple(map(str, config.items(setting)))


def node_url(config: Config, ports: Ports) -> str:
    """Return node.public_url, else the first address that HTTP is reached at; on this machine if none is known."""
    given = load_duties(config).public_url
    if given:
        return given
    found = next((each for each in own_addresses(config, ports) if each.http), None)
    host, port = (_LOOPBACK, ports.http) if found is None else (found.address, found.http)
    return urlunsplit(("http", f"[{host}]:{port}" if ":" in host else f"{host}:{port}", "", "", ""))


def _addresses(config: Config) -> tuple[str, ...]:
    """Return the addresses of ``ns.<apex>``: node.public_addresses, else what DNS listens on where that is no wildcard.

    Errors: ConfigError that names the setting.
    """
    setting = "node.public_addresses" if config.items("node.public_addresses") else "dns.address"
    texts = _items(config, setting) if setting == "node.public_addresses" else (config.text(setting),)
    try:
        found = [ip_address(each) for each in texts]
    except ValueError as error:
        raise ConfigError(f"{setting}: 不是 IP 地址。That is no IP address: {error}", setting=setting) from None
    return tuple(str(each) for each in found if not each.is_unspecified)
