"""Addresses as octets: the same whichever way a socket gives them."""

from __future__ import annotations

import ipaddress
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.peer import UNKNOWN, address_of, format_peer, pack_peer, peer_of
from node.datagrams import peer_in

PORTS = st.integers(0, 65_535)


@given(st.ip_addresses(), PORTS)
def test_an_address_makes_the_round_trip(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> None:
    """Text, octets, text; an IPv4 address that is mapped into IPv6 is itself."""
    peer = peer_of((str(address), port))
    plain = getattr(address, "ipv4_mapped", None) or address
    assert peer == struct.pack(">H", port) + plain.packed
    assert address_of(peer) == plain.packed
    shown = format_peer(peer)
    assert shown == (f"{plain}:{port}" if plain.version == 4 else f"[{plain}]:{port}")


@given(st.ip_addresses(v=6), PORTS, st.integers(0, 2**32 - 1))
def test_an_ipv6_address_is_read_out_of_the_kernels_structure(
    address: ipaddress.IPv6Address, port: int, flow: int
) -> None:
    """sockaddr_in6 (RFC 3493 §3.3): family, port, flow, address, scope."""
    name = struct.pack("=H", socket.AF_INET6) + struct.pack(">HI", port, flow) + address.packed + bytes(4)
    assert peer_in(name) == peer_of((str(address), port))


@given(st.ip_addresses(v=4), PORTS)
def test_an_ipv4_address_is_read_out_of_the_kernels_structure(address: ipaddress.IPv4Address, port: int) -> None:
    """sockaddr_in: family, port, address, zeros."""
    name = struct.pack("=H", socket.AF_INET) + struct.pack(">H", port) + address.packed + bytes(8)
    assert peer_in(name) == pack_peer(address.packed, port)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [None, "", b"", "/run/socket", ("no address", 5), (1, 2), ("::1",), ("", 0)])
def test_what_is_no_address_is_unknown(name: object) -> None:
    """Sockets of other kinds, and connections that are gone."""
    assert peer_of(name) == UNKNOWN
    assert format_peer(UNKNOWN) == "-"


def test_the_scope_of_an_address_is_left_out() -> None:
    """It names an interface of this machine, not the peer."""
    assert peer_of(("fe80::1%eth0", 7, 0, 2)) == peer_of(("fe80::1", 7))
