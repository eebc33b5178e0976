"""What this node says about itself: ports, site information, the key that signs its answers."""

from __future__ import annotations

import ipaddress
import json
from functools import lru_cache
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from core import limits
from core.config import Config
from core.errors import ConfigError, WireError
from core.hdl.proof import ServerKey
from core.ident.sitehash import ServerChoice
from core.records import HashOption, Interface, ServerInfo, SiteInfo
from core.wire.jsondata import load_site
from core.wire.jsontext import parse
from core.wire.publickey import encode_public_key
from core.wire.site import PORTS
from sync.sources.routes import Address, addresses_of

_NAMES: Final = ("http", "https", "handle", "management", "dns")
_PROTOCOL: Final = (2, 11)
_UDP: Final = 0
_TCP: Final = 1
_HTTP: Final = 2
_HTTPS: Final = 3
_QUERY: Final = 2
_QUERY_AND_ADMIN: Final = 3


class Ports:
    """The ports in use, as the sockets have them; None is off."""

    def __init__(self, http: int, https: int | None, handle: int, management: int, dns: int | None = None) -> None:
        self.http = http
        self.https = https
        self.handle = handle
        self.management = management
        self.dns = dns


def keep_ports(config: Config, ports: Ports) -> None:
    """Write down the ports in use, for commands beside the running node. Before: the folder is there."""
    path = _ports_file(config)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(vars(ports)), "ascii")
    fresh.replace(path)


def known_ports(config: Config) -> Ports:
    """Return the ports of the node that runs, or that ran last; of one that never did those that are configured."""
    try:
        with _ports_file(config).open("rb") as file:
            kept = json.loads(file.read(limits.PORTS_FILE_BYTES_MAX))
        http, https, handle, management, dns = (kept[name] for name in _NAMES)
        if all(port in PORTS for port in (http, handle, management, https or http, dns or http)):
            return Ports(http, https, handle, management, dns)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        pass
    return configured_ports(config)


def configured_ports(config: Config) -> Ports:
    """Return the ports as the settings have them; 0 for any free one."""
    https = config.integer("https.port") if config.file("https.certificate") is not None else None
    http, handle, management = (config.integer(f"{name}.port") for name in ("http", "handle", "management"))
    return Ports(http, https, handle, management, config.integer("dns.port") if answers_dns(config) else None)


def answers_dns(config: Config) -> bool:
    """Whether there is a zone that the node answers by DNS."""
    return any(config.text(f"dns.{name}_suffix") for name in ("ors", "ons"))


def _ports_file(config: Config) -> Path:
    return config.data / "run" / "ports"


def own_addresses(config: Config, ports: Ports) -> tuple[Address, ...]:
    """Return the addresses that others resolve hosted prefixes at; those of all servers of a site of several.

    They are node.public_addresses, else what the node listens on where that is no wildcard. Errors: ConfigError.
    """
    site = configured_site(config)
    if site is not None:
        return addresses_of((site,))
    handle, http = ports.handle or None, ports.http or None  # 0 is any port, and not known yet
    public = [_ip_address(str(item)) for item in config.items("node.public_addresses")]
    if public:
        found = [(address, handle, http) for address in public]
    else:
        at_handle, at_http = (_ip_address(config.text(f"{name}.address")) for name in ("handle", "http"))
        if at_handle == at_http:
            found = [(at_handle, handle, http)]
        else:
            found = [(at_handle, handle, None), (at_http, None, http)]
    return tuple(
        Address(f"IPv{address.version}", str(address), at_handle, at_handle, at_http)
        for address, at_handle, at_http in found
        if not address.is_unspecified and (at_handle or at_http)
    )


def _ip_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise ConfigError(f"{text!r} 不是 IP 地址。{text!r} is no IP address") from None


@lru_cache(maxsize=1)
def configured_site(config: Config) -> SiteInfo | None:
    """Return the site of handle.site, None where the node describes itself.

    Read once, before the processes are forked: all of them go by the same site.
    Bounds: SITE_FILE_BYTES_MAX. Errors: ConfigError that names the setting.
    """
    path = config.file("handle.site")
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            content = file.read(limits.SITE_FILE_BYTES_MAX + 1)
        if len(content) > limits.SITE_FILE_BYTES_MAX:
            raise WireError(f"more than {limits.SITE_FILE_BYTES_MAX} octets")
        return load_site(parse(content), "site")
    except OSError as error:
        raise ConfigError(f"handle.site: cannot read {path}: {error.strerror}", setting="handle.site") from None
    except WireError as error:
        raise ConfigError(f"handle.site: {path}: {error.message}", setting="handle.site") from None


def server_choice(config: Config, site: SiteInfo) -> ServerChoice:
    """Return the place of handle.server_id in the site. Errors: ConfigError that names the setting."""
    if site.hash_option not in tuple(HashOption):
        raise ConfigError(
            f"handle.site: hashOption {site.hash_option} is none of 0 (prefix), 1 (suffix), 2 (whole)",
            setting="handle.site",
        )
    own, ids = config.integer("handle.server_id"), [server.server_id for server in site.servers]
    if ids.count(own) != 1:
        there = "more than one server" if own in ids else "no server"
        raise ConfigError(
            f"handle.server_id: the site of handle.site has {there} {own}; it has {', '.join(map(str, ids)) or 'none'}",
            setting="handle.server_id",
        )
    return ServerChoice(site.hash_option, len(ids), ids.index(own))


def site_info(config: Config, ports: Ports) -> SiteInfo:
    """Return the site that this node is a server of: the configured one, or itself. Errors: ConfigError."""
    site = configured_site(config)
    return _own_site(config, ports) if site is None else site


def _own_site(config: Config, ports: Ports) -> SiteInfo:
    address = bytes(16)
    for item in config.items("node.public_addresses"):
        try:
            address = ipaddress.ip_address(str(item)).packed.rjust(16, b"\0")
            break
        except ValueError:
            raise ConfigError(f"node.public_addresses: {item!r} is no IP address") from None
    doors = [
        Interface(_QUERY_AND_ADMIN, _TCP, ports.handle),
        Interface(_QUERY, _UDP, ports.handle),
        Interface(_QUERY_AND_ADMIN, _HTTP, ports.http),
    ]
    if ports.https is not None:
        doors.append(Interface(_QUERY_AND_ADMIN, _HTTPS, ports.https))
    key = server_key(config)
    public = b"" if key is None else encode_public_key(key.public)
    server = ServerInfo(1, address, public, tuple(doors))
    return SiteInfo(1, *_PROTOCOL, 1, True, False, HashOption.BY_ALL, "", (), (server,))


def server_key(config: Config) -> ServerKey | None:
    """Return the key of handle.server_key, None if there is none: answers are not signed then. Errors: ConfigError."""
    path = config.file("handle.server_key")
    if path is None:
        return None
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"handle.server_key: cannot read {path}: {error}") from None
    if not isinstance(key, RSAPrivateKey):
        raise ConfigError(f"handle.server_key: {path} is no RSA key")
    return ServerKey(key)
