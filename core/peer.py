"""Where a request came from, as octets: what the log keeps and what a limit counts.

Shape: port, two octets, big-endian; address, four octets or sixteen. An IPv4 address that
came over an IPv6 socket (RFC 4291 §2.5.5.2) is four octets. Empty: unknown, as on a Unix
socket.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Final

UNKNOWN: Final = b""
_PORT: Final = 2
_MAPPED: Final = bytes(10) + b"\xff\xff"


def pack_peer(address: bytes, port: int) -> bytes:
    """Return the octets of an address of four or sixteen octets, and a port."""
    if address.startswith(_MAPPED) and len(address) == 16:
        address = address[len(_MAPPED) :]
    return port.to_bytes(_PORT, "big") + address


def peer_of(name: object) -> bytes:
    """Return the octets of a socket's address as ``getpeername()`` gives it."""
    match name:
        case (str(host), int(port), *_):
            address = _packed(host)
            return UNKNOWN if address is None else pack_peer(address, port)
    return UNKNOWN


@lru_cache(maxsize=4_096)
def _packed(host: str) -> bytes | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).packed
    except ValueError:
        return None


def address_of(peer: bytes) -> bytes:
    """Return the address octets of a peer."""
    return peer[_PORT:]


def format_peer(peer: bytes) -> str:
    """Return address and port for people; IPv6 in brackets; "-" where unknown."""
    if len(peer) not in (6, 18):
        return "-"
    address = ipaddress.ip_address(address_of(peer))
    port = int.from_bytes(peer[:_PORT], "big")
    return f"{address}:{port}" if address.version == 4 else f"[{address}]:{port}"
