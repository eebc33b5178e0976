"""Data of HS_SITE, HS_SITE.6 and HS_SITE.PREFIX values (RFC 3651 §3.2.2).

width  field
2      format version (1)
1, 1   protocol version, major and minor
2      serial
1      flags: 80 primary, 40 multi-primary
1      hash option
bstr   hash filter
array  attributes: bstr name, bstr value
array  servers: int32 id, 16 address, bstr public key, array of interfaces:
       1 kind, 1 protocol, int32 port
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Final

from core import limits
from core.errors import WireError
from core.records import Interface, ServerInfo, SiteInfo
from core.wire.cursor import Cursor, bstr, text

_PRIMARY: Final = 0x80
_MULTI_PRIMARY: Final = 0x40
_ADDRESS_BYTES: Final = 16
_MAPPED: Final = bytes(10) + b"\xff\xff"

PORTS: Final = range(1, 65_536)
"""Ports that a door can be knocked at."""


def address_of(octets: bytes) -> IPv4Address | IPv6Address:
    """Return the address of a server.

    Shape: 16 octets; IPv4 in the last four, behind zeros, or behind those of RFC 4291 §2.5.5.2.
    """
    if octets[:12] in (bytes(12), _MAPPED):
        return IPv4Address(octets[12:])
    return IPv6Address(octets)


def encode_site(site: SiteInfo) -> bytes:
    """Return the octets of site information."""
    flags = (_PRIMARY if site.primary else 0) | (_MULTI_PRIMARY if site.multi_primary else 0)
    return b"".join(
        [
            site.format_version.to_bytes(2, "big"),
            bytes((site.protocol_major, site.protocol_minor)),
            site.serial.to_bytes(2, "big"),
            bytes((flags, site.hash_option)),
            text(site.hash_filter),
            len(site.attributes).to_bytes(4, "big"),
            *(text(name) + text(value) for name, value in site.attributes),
            len(site.servers).to_bytes(4, "big"),
            *map(_encode_server, site.servers),
        ]
    )


def _encode_server(server: ServerInfo) -> bytes:
    return b"".join(
        [
            server.server_id.to_bytes(4, "big", signed=True),
            server.address,
            bstr(server.public_key),
            len(server.interfaces).to_bytes(4, "big"),
            *(
                bytes((door.kind, door.protocol)) + door.port.to_bytes(4, "big", signed=True)
                for door in server.interfaces
            ),
        ]
    )


def decode_site(data: bytes) -> SiteInfo:
    """Read site information, to the end. Errors: WireError."""
    cursor = Cursor(data)
    format_version = cursor.uint16()
    major, minor, serial = cursor.uint8(), cursor.uint8(), cursor.uint16()
    flags, hash_option = cursor.uint8(), cursor.uint8()
    if flags & ~(_PRIMARY | _MULTI_PRIMARY):
        raise WireError(f"site flags {flags:#04x} hold a bit that nobody knows")
    hash_filter = cursor.text()
    attributes = cursor.array(lambda: (cursor.text(), cursor.text()), limits.SITE_ATTRIBUTES_MAX, 8)
    servers = cursor.array(lambda: _decode_server(cursor), limits.SITE_SERVERS_MAX, 28)
    cursor.end()
    return SiteInfo(
        format_version, major, minor, serial,
        bool(flags & _PRIMARY), bool(flags & _MULTI_PRIMARY),
        hash_option, hash_filter, attributes, servers,
    )  # fmt: skip


def _decode_server(cursor: Cursor) -> ServerInfo:
    server_id, address, key = cursor.int32(), cursor.octets(_ADDRESS_BYTES), cursor.bstr()
    doors = cursor.array(
        lambda: Interface(cursor.uint8(), cursor.uint8(), cursor.int32()), limits.SITE_INTERFACES_MAX, 6
    )
    return ServerInfo(server_id, address, key, doors)
