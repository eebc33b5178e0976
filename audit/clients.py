"""Client addresses in the logs: a keyed hash and a network, never the address (facts: transparency-log §5).

The hash is the first eight octets of HMAC-SHA-256 (RFC 2104) over the address octets, under a key of the month: it
tells clients of a month apart, and nobody who lacks the key finds out who they are. The network is the /24 of an
IPv4 address, the /48 of an IPv6 one. Once key and side table are deleted, nothing leads back to an address.
"""

from __future__ import annotations

import hmac
import ipaddress
from typing import Final, NamedTuple

HASH_BYTES: Final = 8
KEY_BYTES: Final = 32
ADDRESS_BYTES: Final = frozenset((4, 16))
_NETWORK_BYTES: Final = {4: 3, 16: 6}
_NETWORK_BITS: Final = {3: 24, 6: 48}
_PACKED_BYTES: Final = {3: 4, 6: 16}


class Client(NamedTuple):
    """A client as the log has it. ``hashed``: eight octets; ``network``: three octets, six, or none if unknown."""

    hashed: bytes
    network: bytes


UNKNOWN: Final = Client(b"", b"")


def client_of(key: bytes, address: bytes) -> Client:
    """Return the client of an address of four or sixteen octets; UNKNOWN for anything else."""
    octets = _NETWORK_BYTES.get(len(address))
    if octets is None:
        return UNKNOWN
    return Client(hmac.digest(key, address, "sha256")[:HASH_BYTES], address[:octets])


class Clients(dict[bytes, Client]):
    """The clients of a month by their addresses: made when they are asked for, so many kept."""

    def __init__(self, key: bytes, kept: int) -> None:
        super().__init__()
        self._key = key
        self._kept = kept

    def __missing__(self, address: bytes) -> Client:
        """Make and keep one."""
        if len(self) >= self._kept:
            self.clear()
        client = self[address] = client_of(self._key, address)
        return client


def format_network(network: bytes) -> str:
    """Return ``192.0.2.0/24``, ``2001:db8:1::/48``; empty for none."""
    bits = _NETWORK_BITS.get(len(network))
    if bits is None:
        return ""
    return f"{ipaddress.ip_address(network.ljust(_PACKED_BYTES[len(network)], bytes(1)))}/{bits}"
