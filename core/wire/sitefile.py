"""The sites of a delegated prefix, as an operator gives them: read, checked, made into handle values.

Read is JSON: one site object, as the member ``site`` of ``/api/site``; an object with the
member ``site`` that holds one; the data of a handle value, ``{"format":"site","value":{…}}``;
or a list of any of these. What a site may name is a policy of the node, not of the format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, NamedTuple

from core import limits
from core.errors import WireError
from core.party.rules import Fault
from core.records import (
    HandleValue,
    HashOption,
    Interface,
    InterfaceKind,
    InterfaceProtocol,
    ServerInfo,
    SiteInfo,
    Values,
)
from core.wire.jsondata import load_site
from core.wire.jsontext import parse
from core.wire.site import PORTS, address_of, encode_site
from core.wire.valuetypes import HS_SITE

_UNICAST: Final = IPv6Network("2000::/3")
_SIX_TO_FOUR: Final = IPv6Network("2002::/16")
_HASH_OPTIONS: Final = tuple(HashOption)
_HANDLE_PROTOCOLS: Final = (InterfaceProtocol.UDP, InterfaceProtocol.TCP)
_RULES: Final[dict[str, tuple[str, str]]] = {
    "site.none": ("至少需要一个站点", "At least one site is needed"),
    "site.many": ("最多可有{most}个站点", "There may be {most} sites at most"),
    "site.hash-option": (
        "hashOption应为0（前缀）、1（后缀）或2（整个标识）",
        "hashOption must be 0 (prefix), 1 (suffix) or 2 (whole handle)",
    ),
    "site.no-server": ("站点至少需要一台服务器", "A site needs at least one server"),
    "server.address": (
        "{address}不能作为服务器地址：请填写该服务器自己的单播地址",
        "{address} is no address of a server: give its own unicast address",
    ),
    "server.address-policy": (
        "本节点不接受地址{address}：应为公网地址，或在本节点允许的网段内",
        "This node does not take the address {address}: give a public one, or one in a network that it allows",
    ),
    "server.no-interface": (
        "服务器至少需要一个可查询（query）的UDP或TCP接口",
        "A server needs at least one interface with query over UDP or TCP",
    ),
    "interface.port": ("端口应为1至65535", "The port must be 1 to 65535"),
}

Address = IPv4Address | IPv6Address


class AddressPolicy(NamedTuple):
    """Which addresses the servers of a delegated prefix may have.

    ``networks``: these are allowed. ``public``: so is every address that is globally routable: of IPv6
    those of 2000::/3 (RFC 4291 §2.4), without 2002::/16, whose addresses stand for any of IPv4 (RFC 7526).
    """

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    public: bool = True

    def allows(self, address: Address) -> bool:
        """Whether a server may have this address; a mapped one counts as IPv4."""
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self.networks) or (self.public and _is_public(address))


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and (address not in _UNICAST or address in _SIX_TO_FOUR):
        return False
    return address.is_global


# --- reading -----------------------------------------------------------------


def read_sites(body: bytes) -> tuple[SiteInfo, ...]:
    """Read the sites of a delegated prefix; whether they can be used is for ``site_faults``.

    Bounds: SITE_FILE_BYTES_MAX, DELEGATED_SITES_MAX. Errors: WireError that says where, and what would be right.
    """
    if len(body) > limits.SITE_FILE_BYTES_MAX:
        raise WireError(f"Site information has {limits.SITE_FILE_BYTES_MAX} octets at most, this has {len(body)}")
    given = parse(body)
    given = given if isinstance(given, list) else [given]
    if len(given) > limits.DELEGATED_SITES_MAX:
        raise WireError(f"There may be {limits.DELEGATED_SITES_MAX} sites at most, these are {len(given)}")
    return tuple(load_site(_site_in(each), f"sites[{at}]") for at, each in enumerate(given))


def _site_in(given: object) -> object:
    """Return the site object that one of the forms holds; what is none is left as it is."""
    if not isinstance(given, dict) or "servers" in given:
        return given
    return given.get("value" if given.get("format") == "site" else "site", given)


# --- checking ----------------------------------------------------------------


def site_faults(sites: Sequence[SiteInfo], allows: Callable[[Address], bool]) -> list[Fault]:
    """Return all that keeps clients from using these sites, in their order; nothing where they can.

    ``allows``: of an AddressPolicy, or any other judgement of an address.
    """
    if not sites:
        return [_fault("sites", "site.none")]
    many = len(sites) > limits.DELEGATED_SITES_MAX
    found = [_fault("sites", "site.many", most=limits.DELEGATED_SITES_MAX)] if many else []
    for at, site in enumerate(sites):
        found += _of_site(site, f"sites[{at}]", allows)
    return found


def _of_site(site: SiteInfo, where: str, allows: Callable[[Address], bool]) -> Iterator[Fault]:
    if site.hash_option not in _HASH_OPTIONS:
        yield _fault(f"{where}.hashOption", "site.hash-option")
    if not site.servers:
        yield _fault(f"{where}.servers", "site.no-server")
    for at, server in enumerate(site.servers):
        yield from _of_server(server, f"{where}.servers[{at}]", allows)


def _of_server(server: ServerInfo, where: str, allows: Callable[[Address], bool]) -> Iterator[Fault]:
    address = address_of(server.address)
    if address.is_unspecified or address.is_multicast:
        yield _fault(f"{where}.address", "server.address", address=address)
    elif not allows(address):
        yield _fault(f"{where}.address", "server.address-policy", address=address)
    if not any(map(_asks_handles, server.interfaces)):
        yield _fault(f"{where}.interfaces", "server.no-interface")
    for at, door in enumerate(server.interfaces):
        if door.port not in PORTS:
            yield _fault(f"{where}.interfaces[{at}].port", "interface.port")


def _asks_handles(door: Interface) -> bool:
    return bool(door.kind & InterfaceKind.QUERY) and door.protocol in _HANDLE_PROTOCOLS


def _fault(path: str, rule: str, **details: object) -> Fault:
    zh, en = _RULES[rule]
    return Fault(path, rule, zh.format_map(details), en.format_map(details))


# --- handle values -----------------------------------------------------------


def site_values(sites: Sequence[SiteInfo], now_s: int) -> Values:
    """Return the HS_SITE values of the prefix handle: indexes from 1 on, everyone reads, administrators write."""
    return tuple(
        HandleValue(index, HS_SITE, encode_site(site), timestamp=now_s) for index, site in enumerate(sites, start=1)
    )
