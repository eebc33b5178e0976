"""Where a browser is sent with a handle below a delegated prefix, and what can never be in that address."""

from __future__ import annotations

import asyncio
import ipaddress
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import Millis
from core.ident.handle import HandleRules
from core.ident.sitehash import site_hash
from core.records import HandleValue, Interface, InterfaceKind, InterfaceProtocol, ServerInfo, SiteInfo
from core.store.memory_engine import MemoryEngine
from core.wire.http import Request as HttpRequest
from core.wire.http import Response
from core.wire.site import address_of, encode_site
from registry.commands import OPERATOR, Home, Put, Request
from registry.service import Registry
from resolver.browser import Browser
from resolver.referral import page_url
from resolver.service import Resolver
from tests.kit.logs import NoLog

QUERY, ADMIN = InterfaceKind.QUERY, InterfaceKind.ADMIN
UDP, TCP, HTTP, HTTPS = InterfaceProtocol
DOORS = (Interface(3, TCP, 2641), Interface(QUERY, HTTP, 8000))


def octets(address: str) -> bytes:
    return ipaddress.ip_address(address).packed.rjust(16, b"\0")


def site(*servers: tuple[str, tuple[Interface, ...]], option: int = 2) -> bytes:
    infos = tuple(ServerInfo(at, octets(address), b"", doors) for at, (address, doors) in enumerate(servers))
    return encode_site(SiteInfo(1, 2, 11, 1, True, False, option, "", (), infos))


def values(*sites: bytes, kind: str = "HS_SITE") -> tuple[HandleValue, ...]:
    return tuple(HandleValue(at + 1, kind, data) for at, data in enumerate(sites))


GOOD = site(("192.0.2.1", DOORS))
HANDLE = "88.2/A"


@pytest.mark.parametrize(
    ("doors", "origin"),
    [
        (DOORS, "http://192.0.2.1:8000"),
        ((*DOORS, Interface(3, HTTPS, 8443)), "https://192.0.2.1:8443"),
        ((Interface(3, HTTPS, 443), Interface(3, HTTPS, 444)), "https://192.0.2.1:443"),
        ((Interface(ADMIN, HTTPS, 8443), Interface(3, HTTP, 80)), "http://192.0.2.1:80"),
        ((Interface(QUERY, HTTPS, 0), Interface(3, HTTP, 65_535)), "http://192.0.2.1:65535"),
        ((Interface(QUERY, HTTPS, -1), Interface(QUERY, HTTP, 65_536)), None),
        ((Interface(ADMIN, HTTP, 80), Interface(0, HTTPS, 443)), None),
        ((Interface(3, TCP, 2641), Interface(QUERY, UDP, 2641), Interface(3, 9, 80)), None),
        ((), None),
    ],
)
def test_a_door_for_browsers_is_chosen(doors: tuple[Interface, ...], origin: str | None) -> None:
    """HTTPS before HTTP, with the right to query, at a port that there is."""
    found = page_url(HANDLE, values(site(("192.0.2.1", doors))))
    assert found == (None if origin is None else f"{origin}/88.2/A")


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8::1", "[2001:db8::1]"),
        ("0.0.0.0", None), ("::", None), ("::ffff:0.0.0.0", None), ("224.0.0.1", None), ("ff02::1", None),
    ],
)  # fmt: skip
def test_an_address_is_one_that_can_be_gone_to(address: str, host: str | None) -> None:
    """IPv6 in brackets; the unspecified address and groups are nowhere."""
    found = page_url(HANDLE, values(site((address, DOORS))))
    assert found == (None if host is None else f"http://{host}:8000/88.2/A")


@pytest.mark.parametrize("option", [0, 1, 2])
def test_of_several_servers_the_one_that_the_handle_hashes_to(option: int) -> None:
    """As Handle clients choose; one without a door for browsers leads nowhere, whatever the others have."""
    servers = tuple((f"192.0.2.{number}", DOORS) for number in range(3))
    for suffix in "ABCDEF":
        handle = f"88.2/{suffix}"
        number = site_hash(handle, option) % 3
        assert page_url(handle, values(site(*servers, option=option))) == f"http://192.0.2.{number}:8000/{handle}"
        closed = tuple((address, () if at == number else DOORS) for at, (address, _) in enumerate(servers))
        assert page_url(handle, values(site(*closed, option=option))) is None


def test_the_first_site_that_will_do() -> None:
    """What cannot be read, has no server or an unknown hash option is passed over; other values are no sites."""
    useless = (b"", b"not read", site(), site(("192.0.2.9", DOORS), option=3), site(("0.0.0.0", DOORS)))
    assert page_url(HANDLE, values(*useless)) is None
    assert page_url(HANDLE, values(*useless, GOOD)) == "http://192.0.2.1:8000/88.2/A"
    assert page_url(HANDLE, values(GOOD, kind="HS_SITE.6")) == "http://192.0.2.1:8000/88.2/A"
    for kind in ("HS_SERV", "HS_SITE.PREFIX", "URL"):
        assert page_url(HANDLE, values(GOOD, kind=kind)) is None


DOOR = st.builds(
    Interface, st.integers(0, 4), st.integers(0, 4), st.one_of(st.integers(-2, 2), st.integers(65_530, 70_000))
)
SERVER = st.builds(
    ServerInfo, st.just(1), st.binary(min_size=16, max_size=16), st.just(b""), st.lists(DOOR, max_size=3).map(tuple)
)
SITES = st.builds(
    lambda option, servers: encode_site(SiteInfo(1, 2, 11, 1, True, False, option, "", (), tuple(servers))),
    st.integers(0, 3),
    st.lists(SERVER, max_size=3),
)


@given(
    suffix=st.text(st.characters(exclude_categories=["Cs"])),
    data=st.lists(st.one_of(st.binary(max_size=40), SITES, st.just(GOOD)), max_size=3),
)
def test_page_url_total_and_harmless(suffix: str, data: list[bytes]) -> None:
    """An address of one line, of that handle, at an address of a site; or none. No header can be made of it."""
    handle = f"88.2/{suffix}"
    found = page_url(handle, values(*data))
    if GOOD in data:
        assert found is not None
    if found is not None:
        assert found.isascii()
        assert found.isprintable()
        assert not set(found) & set(' "<>\\^`{|}?#')
        parts = urlsplit(found)
        assert parts.scheme in ("http", "https")
        assert parts.port in range(1, 65_536)
        assert unquote(parts.path.removeprefix("/"), errors="strict") == handle


@given(st.binary(min_size=16, max_size=16))
def test_addresses_of_sixteen_octets(data: bytes) -> None:
    """Any of them is one; IPv4 where it stands behind zeros, or is mapped."""
    address = address_of(data)
    assert address.packed == (data if address.version == 6 else data[12:])
    assert (address.version == 4) == (data[:12] in (bytes(12), bytes(10) + b"\xff\xff"))


# --- in the browser front ----------------------------------------------------


def opened(path: str, query: str = "", sites: bytes = GOOD) -> Response:
    store = MemoryEngine()
    commands = (Home("88.1"), Home("88.2", "delegated"), Put("0.NA/88.2", values(sites)))
    done = Registry(store, HandleRules(), founding=True).run(
        [Request(command, OPERATOR) for command in commands], Millis(1)
    )
    assert all(result.done for result in done)
    browser = Browser(Resolver(HandleRules()), store, NoLog())
    return asyncio.run(browser.identifier(HttpRequest("GET", path, query, {}, b"", credentials_safe=False)))


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/88.2/A", "88.2/A"),
        ("/88.2/a%20%E7%9B%90%25", "88.2/a%20%E7%9B%90%25"),
        ("/88.2/a%3Fb%23c%2Fd", "88.2/a%3Fb%23c/d"),
        ("/88.2/A'B!(1)", "88.2/A'B!(1)"),
        ("/88.2/", "88.2/"),
        ("/88.2//evil.example", "88.2//evil.example"),
        ("/88.2/@evil.example:80", "88.2/@evil.example:80"),
    ],
)
def test_a_browser_is_sent_to_the_same_path(path: str, location: str) -> None:
    """302, and nothing else in the answer."""
    reply = opened(path)
    assert (reply.status, reply.headers, reply.body) == (302, (("Location", f"http://192.0.2.1:8000/{location}"),), b"")


@pytest.mark.parametrize("path", ["/88.2/%0d%0aSet-Cookie:%20a=b", "/88.2/%00", "/88.2/%7f"])
def test_controls_never_come_so_far(path: str) -> None:
    """They are in no handle."""
    reply = opened(path)
    assert (reply.status, [name for name, _ in reply.headers if name == "Location"]) == (400, [])


def test_the_sites_are_shown_where_nobody_is_sent_away() -> None:
    """With ?noredirect, or where no site has a door for browsers."""
    for reply in (opened("/88.2/A", "noredirect"), opened("/88.2/A", sites=site(("192.0.2.1", DOORS[:1])))):
        assert reply.status == 300
        assert "HS_SITE" in reply.body.decode()
        assert not [name for name, _ in reply.headers if name == "Location"]


def test_the_prefix_handle_is_shown_here() -> None:
    """It is served here: nobody is sent away with it."""
    assert opened("/0.NA/88.2").status == 200
