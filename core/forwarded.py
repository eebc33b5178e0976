"""Who asked, where a proxy passed a request on: X-Forwarded-For and X-Forwarded-Proto, of trusted proxies alone.

Each proxy appends the address that it was asked from, so the list is read from its end: the first address that is no
trusted proxy is the client (design §8). What stands before it is what that client said, and is not looked at.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from core import limits
from core.peer import UNKNOWN, address_of, pack_peer

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NO_PORT: Final = 0


class Forwarded(NamedTuple):
    """The client as ``core/peer.py`` has it (its port is not told), and whether it came to the proxy by HTTPS."""

    peer: bytes
    secure: bool


class TrustedProxies:
    """The proxies whose word is taken. ``networks``: empty for none."""

    def __init__(self, networks: Sequence[Network] = ()) -> None:
        self._networks = tuple(networks)
        self._is_trusted = lru_cache(maxsize=limits.RATE_SOURCES_KEPT)(self._look)

    def _look(self, address: bytes) -> bool:
        found = _read(address)
        return found is not None and any(
            found.version == network.version and found in network for network in self._networks
        )

    def client(self, peer: bytes, forwarded_for: str | None, proto: str | None) -> Forwarded | None:
        """Return who asked, None where ``peer`` is no trusted proxy or says nothing of whom it asks for.

        ``forwarded_for``, ``proto``: the headers, several of one name joined by commas. An entry that is no address
        ends the list: the proxy behind it is told then. Total on any text.
        """
        if forwarded_for is None or not self._networks or not self._is_trusted(address_of(peer)):
            return None
        found = peer
        for entry in reversed(forwarded_for.split(",")):
            address = _packed(entry.strip())
            if address is None:
                break
            found = pack_peer(address, _NO_PORT)
            if not self._is_trusted(address_of(found)):
                break
        return Forwarded(found, (proto or "").rpartition(",")[2].strip().lower() == "https")


def _read(address: bytes) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    return None if address == UNKNOWN else ipaddress.ip_address(address)


@lru_cache(maxsize=limits.RATE_SOURCES_KEPT)
def _packed(entry: str) -> bytes | None:
    """Return the octets of an address as proxies write it: also with a port, also in brackets."""
    host = entry
    if entry.startswith("["):
        host = entry[1:].partition("]")[0]
    elif entry.count(":") == 1:
        host = entry.partition(":")[0]
    try:
        return ipaddress.ip_address(host).packed if len(host) <= 45 else None
    except ValueError:
        return None
