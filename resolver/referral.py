"""Where one goes with a handle whose prefix another node serves: a browser to its page there, a client to the server.

Both come from the sites in the prefix handle, as any Handle client would pick the server.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Final
from urllib.parse import quote as percent_encode

from core.errors import WireError
from core.ident.sitehash import site_hash
from core.records import InterfaceKind, InterfaceProtocol, ServerInfo, Values
from core.wire.site import PORTS, address_of, decode_site
from core.wire.valuetypes import HS_SITE, HS_SITE_6, HS_SITE_PREFIX

_SITES: Final = (HS_SITE, HS_SITE_6)
_REFERRED: Final = (*_SITES, HS_SITE_PREFIX)
_SCHEMES: Final = ((InterfaceProtocol.HTTPS, "https"), (InterfaceProtocol.HTTP, "http"))
# What a path may hold as it is, besides letters, digits and "-._~" (RFC 3986 §3.3).
_PATH_SAFE: Final = "/!$&'()*+,;=:@"


def page_url(handle: str, values: Values) -> str | None:
    """Return the address of a handle's page, of the first site that has one; None where none has.

    Shape: ASCII without blanks and controls, whatever the handle holds.
    """
    origin = origin_of(handle, values)
    return None if origin is None else f"{origin}/{percent_encode(handle, safe=_PATH_SAFE)}"


def origin_of(handle: str, values: Values) -> str | None:
    """Return scheme, address and port of the first site that browsers can open, None where there is none."""
    for value in values:
        if value.type in _SITES:
            server = server_of(handle, value.data)
            origin = None if server is None else _origin(server)
            if origin is not None:
                return origin
    return None


def door_of(handle: str, values: Values, protocol: InterfaceProtocol) -> tuple[IPv4Address | IPv6Address, int] | None:
    """Return address and port where the values of a referral lead with a question for a handle; None for nowhere."""
    for value in values:
        server = server_of(handle, value.data) if value.type in _REFERRED else None
        address = None if server is None else address_of(server.address)
        if server is None or address is None or address.is_unspecified or address.is_multicast:
            continue
        for door in server.interfaces:
            if door.protocol == protocol and door.kind & InterfaceKind.QUERY and door.port in PORTS:
                return address, door.port
    return None


def server_of(handle: str, data: bytes) -> ServerInfo | None:
    """Return the server of a site that the handle hashes to, None where the site is of no use."""
    try:
        site = decode_site(data)
        hashed = site_hash(handle, site.hash_option)
    except (WireError, ValueError):
        return None
    return site.servers[hashed % len(site.servers)] if site.servers else None


def _origin(server: ServerInfo) -> str | None:
    """Return scheme, address and port of the server's door for browsers; HTTPS is taken first."""
    address = address_of(server.address)
    if address.is_unspecified or address.is_multicast:
        return None
    host = f"{address}" if address.version == 4 else f"[{address}]"
    for protocol, scheme in _SCHEMES:
        for door in server.interfaces:
            if door.protocol == protocol and door.kind & InterfaceKind.QUERY and door.port in PORTS:
                return f"{scheme}://{host}:{door.port}"
    return None
