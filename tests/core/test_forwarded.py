"""Who asked behind proxies: the word of trusted ones alone, read from its end."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.forwarded import TrustedProxies
from core.peer import address_of, pack_peer

PROXIES = TrustedProxies([ip_network("127.0.0.0/8"), ip_network("10.0.0.0/24"), ip_network("2001:db8::/64")])


def peer(text: str, port: int = 4711) -> bytes:
    return pack_peer(ip_address(text).packed, port)


@pytest.mark.parametrize(
    ("source", "header", "client"),
    [
        ("127.0.0.1", "192.0.2.7", "192.0.2.7"),
        ("127.0.0.1", "198.51.100.1, 192.0.2.7", "192.0.2.7"),  # what stands before it is the client's own word
        ("127.0.0.1", "192.0.2.7, 10.0.0.9", "192.0.2.7"),
        ("127.0.0.1", "10.0.0.8,10.0.0.9", "10.0.0.8"),  # a proxy that asks for itself
        ("10.0.0.9", "192.0.2.7:4000", "192.0.2.7"),
        ("2001:db8::1", "[2001:db8:1::5]:80", "2001:db8:1::5"),
        ("2001:db8::1", "2001:db8:1::5", "2001:db8:1::5"),
        ("127.0.0.1", "::ffff:192.0.2.7", "192.0.2.7"),
        ("127.0.0.1", "192.0.2.7, unknown", "127.0.0.1"),
        ("127.0.0.1", "unknown, 10.0.0.9", "10.0.0.9"),
        ("127.0.0.1", "", "127.0.0.1"),
    ],
)
def test_the_client_is_the_last_one_that_is_no_trusted_proxy(source: str, header: str, client: str) -> None:
    found = PROXIES.client(peer(source), header, "http")
    assert found is not None
    assert address_of(found.peer) == ip_address(client).packed
    assert not found.secure


@pytest.mark.parametrize("source", ["192.0.2.1", "10.0.1.1", "2001:db8:1::1"])
def test_nobody_else_is_believed(source: str) -> None:
    assert PROXIES.client(peer(source), "127.0.0.1", "https") is None
    assert TrustedProxies().client(peer("127.0.0.1"), "192.0.2.7", "https") is None
    assert PROXIES.client(b"", "192.0.2.7", "https") is None
    assert PROXIES.client(peer("127.0.0.1"), None, "https") is None


@pytest.mark.parametrize(
    ("proto", "secure"), [("https", True), ("http, https", True), ("https, http", False), (None, False), ("", False)]
)
def test_https_is_what_the_nearest_proxy_says(proto: str | None, *, secure: bool) -> None:
    found = PROXIES.client(peer("127.0.0.1"), "192.0.2.7", proto)
    assert found is not None and found.secure is secure


@given(header=st.text(max_size=80) | st.lists(st.ip_addresses().map(str)).map(", ".join), proto=st.text(max_size=9))
def test_total(header: str, proto: str) -> None:
    """Whatever a header says, an address is found: of the proxy itself at worst."""
    found = PROXIES.client(peer("127.0.0.1"), header, proto)
    assert found is not None and len(address_of(found.peer)) in (4, 16)
