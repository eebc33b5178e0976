"""Where the reference top node sends whoever asks it: the sites of a route (T2, T7), as a Handle client reads them.

A row of T2 or T7: kind, prefix, addresses, hosting, state; an address is type of IP, address, and the ports of TCP,
UDP and HTTP, None where there is none (``sync/fields.py``). The IPv4 addresses make one site (HS_SITE), the IPv6
addresses another one (HS_SITE.6): clients share out handles among the servers of one site, and go to another site where
they cannot reach it. Source of the values: RFC 3651 §3.2.2.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Any, Final, NamedTuple

from core import limits
from core.errors import WireError
from core.ident.handle import ancestors
from core.records import HandleValue, HashOption, Interface, InterfaceKind, InterfaceProtocol, ServerInfo, SiteInfo
from core.wire.site import PORTS, encode_site
from core.wire.valuetypes import HS_SITE, HS_SITE_6
from sync.table import unpack_row

_PROTOCOL: Final = (2, 11)
_FAMILIES: Final[dict[str, type[IPv4Address] | type[IPv6Address]]] = {"IPv4": IPv4Address, "IPv6": IPv6Address}
_DOORS: Final = (InterfaceProtocol.TCP, InterfaceProtocol.UDP, InterfaceProtocol.HTTP)
_ENABLED: Final = 1
_ADDRESS_BYTES: Final = 16

Address = IPv4Address | IPv6Address


class Server(NamedTuple):
    """One address of a route. ``ports``: of TCP, UDP, HTTP; None where there is none."""

    address: Address
    ports: tuple[int | None, int | None, int | None]


class Route(NamedTuple):
    """Who answers for a prefix. ``prefix``: as it was filed; ``stopped``: nobody is to be sent there."""

    prefix: str
    stopped: bool
    servers: tuple[Server, ...]


class Found(NamedTuple):
    """The route of a prefix, or of the nearest one above it. ``exact``: it is that prefix's own."""

    route: Route
    exact: bool


def read_route(row: bytes) -> Route:
    """Read a row of T2 or T7; addresses that nobody can be sent to are left out. Errors: WireError."""
    try:
        _, prefix, addresses, _, state = unpack_row(row)
        servers = tuple(server for each in addresses if (server := _server(*each)) is not None)
    except (ValueError, TypeError, KeyError, AddressValueError):
        raise WireError("这一行不是解析路由。This is no row of a route") from None
    return Route(str(prefix), state != _ENABLED, servers)


def _server(family: str, text: str, *ports: Any) -> Server | None:
    address = _FAMILIES[family](text)
    tcp, udp, http = (port if type(port) is int and port in PORTS else None for port in ports)
    if address.is_unspecified or address.is_multicast or (tcp is None and udp is None):
        return None
    return Server(address, (tcp, udp, http))


def nearest_route(prefix: bytes, row_of: Callable[[bytes], bytes | None]) -> Found | None:
    """Return the route of a prefix (folded), or of the nearest above it that has one. ``row_of``: of a folded prefix.

    Errors: WireError.
    """
    for above in ancestors(prefix):
        row = row_of(above)
        route = None if row is None else read_route(row)
        if route is not None and (route.servers or route.stopped):
            return Found(route, above == prefix)
    return None


def site_values(servers: tuple[Server, ...]) -> tuple[HandleValue, ...]:
    """Return HS_SITE and HS_SITE.6, with indexes from 1 on, which anybody reads."""
    families = ((HS_SITE, IPv4Address), (HS_SITE_6, IPv6Address))
    sites = [
        (kind, encode_site(site_of(tuple(each for each in servers if isinstance(each.address, family)))))
        for kind, family in families
        if any(isinstance(each.address, family) for each in servers)
    ]
    return tuple(
        HandleValue(index, kind, data, ttl=limits.TOPNODE_TTL_S) for index, (kind, data) in enumerate(sites, start=1)
    )


def site_of(servers: tuple[Server, ...]) -> SiteInfo:
    """Return the site of these servers, in their order; the whole of a handle chooses one."""
    infos = tuple(_info(number, server) for number, server in enumerate(servers, start=1))
    return SiteInfo(1, *_PROTOCOL, 1, True, False, HashOption.BY_ALL, "", (), infos)


def _info(number: int, server: Server) -> ServerInfo:
    doors = tuple(
        Interface(InterfaceKind.QUERY, protocol, port)
        for protocol, port in zip(_DOORS, server.ports, strict=True)
        if port is not None
    )
    return ServerInfo(number, server.address.packed.rjust(_ADDRESS_BYTES, b"\0"), b"", doors)
