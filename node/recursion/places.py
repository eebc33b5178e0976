"""Where is asked: addresses as settings name them, and which addresses others may send this node to."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final, NamedTuple

from core import limits
from core.config import Config
from core.errors import ConfigError, WireError
from core.store.engine import Engine
from core.store.upstream_rows import upstreams
from core.upstream_url import UpstreamUrl, read_upstream_url
from core.wire.sitefile import AddressPolicy
from node.address import DNS_PORT, read_address

HANDLE_PORT: Final = 2641
_ROOTS: Final = "resolver.roots"
_NAME_SERVERS: Final = "resolver.name_servers"
_GS1: Final = "resolver.gs1"


class Place(NamedTuple):
    """Where a server is asked. ``host``: an address, or of a top node a name."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def require_places(config: Config) -> None:
    """Errors: ConfigError for places that a node could not be started with."""
    read_roots(config)
    read_name_servers(config)
    read_gs1(config)


def read_roots(config: Config) -> tuple[Place, ...]:
    """Return the servers of resolver.roots. Errors: ConfigError. Bounds: RECURSION_DEPTH_MAX."""
    return tuple(Place(*read_address(_ROOTS, each, ":", HANDLE_PORT)) for each in _items(config, _ROOTS))


def read_name_servers(config: Config) -> tuple[Place, ...]:
    """Return the servers of resolver.name_servers. Errors: ConfigError. Bounds: RECURSION_DEPTH_MAX."""
    return tuple(Place(*read_address(_NAME_SERVERS, each, "@", DNS_PORT)) for each in _items(config, _NAME_SERVERS))


def read_gs1(config: Config) -> UpstreamUrl:
    """Return resolver.gs1. Errors: ConfigError."""
    try:
        return read_upstream_url(config.text(_GS1))
    except WireError as error:
        raise ConfigError(f"{_GS1}: {error.message}", setting=_GS1) from None


def top_nodes(store: Engine) -> tuple[Place, ...]:
    """Return the top nodes that are connected, at the registered port of the Handle protocol. Errors: StoreError."""
    with store.snapshot() as snapshot:
        found = [row.url for _, row in upstreams(snapshot)]
    return tuple(Place(read_upstream_url(url).host, HANDLE_PORT) for url in found)


def allows(policy: AddressPolicy, host: str) -> bool:
    """Whether somebody else may send this node to an address; a name is judged once it is looked up.

    Digits and dots that are no address, 127.1, are no name either: systems connect to them without a look.
    """
    try:
        address = ip_address(host)
    except ValueError:
        return not host.replace(".", "").isdigit()
    return policy.allows(address)


def _items(config: Config, setting: str) -> list[str]:
    items = [str(each) for each in config.items(setting)]
    if len(items) > limits.RECURSION_DEPTH_MAX:
        raise ConfigError(
            f"{setting}: 至多 {limits.RECURSION_DEPTH_MAX} 项。At most {limits.RECURSION_DEPTH_MAX} of them",
            setting=setting,
        )
    return items
