"""Rows of T2 and T7: where each prefix is resolved, and by whom it is held."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from core import limits
from core.changes import ChangeKind
from core.lifecycle import Event
from core.records import HandleValue, HashOption, Interface, InterfaceKind, InterfaceProtocol, ServerInfo, SiteInfo
from core.store.engine import Batch, Table
from core.store.prefix_rows import HomedPrefix, pack_prefix
from core.wire.site import encode_site
from core.wire.sitefile import site_values
from registry.commands import OPERATOR, Home, MovePrefix, PlaceHold, Put
from sync.sources.routes import Address, RouteSource, addresses_of
from sync.table import Operation, unpack_row
from sync.tables import TABLES, check_row
from tests.kit.governance import EVIDENCE, OWN, Office
from tests.kit.sources import ranges_agree, rows_of

QUERY, ADMIN = InterfaceKind.QUERY, InterfaceKind.ADMIN
UDP, TCP, HTTP, HTTPS = InterfaceProtocol
NODE = (
    Address("IPv4", "198.51.100.7", 2641, 2641, 8000), Address("IPv6", "2001:db8::7", 2641, 2641, None),
)  # fmt: skip
T2, T7 = (RouteSource(TABLES[name], NODE, own=name == "T2") for name in ("T2", "T7"))


def server(address: str, *doors: tuple[int, int, int]) -> ServerInfo:
    octets = ipaddress.ip_address(address).packed.rjust(16, b"\0")
    return ServerInfo(1, octets, b"", tuple(Interface(*door) for door in doors))


def site(*servers: ServerInfo) -> SiteInfo:
    return SiteInfo(1, 2, 11, 1, True, False, HashOption.BY_ALL, "", (), servers)


def routes(office: Office, source: RouteSource) -> dict[str, list[Any]]:
    """Return the rows by their prefixes; the top node takes each of them."""
    with office.store.snapshot() as snapshot:
        rows = rows_of(source, snapshot)
    for key, row in rows.items():
        assert check_row(source.table, key, row) == []
        assert key.decode() == f"Handle/{unpack_row(row)[1]}"
    return {unpack_row(row)[1]: unpack_row(row)[2:] for row in rows.values()}


def test_hosted_prefixes_are_resolved_at_this_node() -> None:
    """Its own one is of T2, that of a party of T7."""
    office = Office()
    office.allocated("88.118.7")
    here = [list(address) for address in NODE]
    assert routes(office, T2) == {OWN: [here, "hosted", 1]}
    assert routes(office, T7) == {"88.118.7": [here, "hosted", 1]}


def test_suspended_and_held_prefixes_are_still_routed() -> None:
    """This node tells why it does not answer; one that is deleted has no row."""
    office = Office()
    office.allocated("88.118.7")
    office.do(PlaceHold("88.118.7", "1号", "依令"))
    assert routes(office, T7)["88.118.7"][1:] == ["hosted", 1]
    office = Office()
    office.allocated("88.118.7")
    for event, status in ((Event.SUSPEND, 0), (Event.RESUME, 1)):
        office.do(MovePrefix("88.118.7", event.value, "因故", EVIDENCE))
        assert routes(office, T7)["88.118.7"][1:] == ["hosted", status]
    office.do(MovePrefix("88.118.7", Event.DELETE.value, "因故", EVIDENCE))
    assert routes(office, T7) == {}


def test_a_delegated_prefix_is_resolved_where_its_handle_says() -> None:
    """By all servers of its public sites that can be read; nowhere while none is known."""
    office = Office()
    assert office.ask(Home(OWN, "delegated"), OPERATOR).done
    assert routes(office, T2) == {OWN: [[], "delegated", 1]}
    shown = site(server("192.0.2.1", (QUERY, TCP, 2641), (QUERY | ADMIN, UDP, 2642), (QUERY, HTTP, 80)))
    other = site(server("2001:db8::1", (QUERY, HTTPS, 443), (QUERY, TCP, 1), (QUERY, TCP, 2)))
    secret = encode_site(site(server("192.0.2.9", (QUERY, TCP, 1))))
    values = (
        *site_values((shown, other), 0), HandleValue(7, "HS_SITE", secret, permissions=0b1100),
        HandleValue(8, "HS_SITE", b"broken"), HandleValue(9, "HS_SITE.PREFIX", secret), HandleValue(10, "URL", secret),
        HandleValue(11, "HS_SITE.6", encode_site(site(server("2001:db8::2", (QUERY, UDP, 3))))),
    )  # fmt: skip
    assert office.ask(Put(f"0.NA/{OWN}", values), OPERATOR).done
    assert routes(office, T2)[OWN] == [
        [
            ["IPv4", "192.0.2.1", 2641, 2642, 80],
            ["IPv6", "2001:db8::1", 1, None, None],
            ["IPv6", "2001:db8::2", None, 3, None],
        ],
        "delegated",
        1,
    ]


def test_addresses_that_nobody_can_ask_are_none() -> None:
    """No door for queries, no port, an address of nobody; one that is told twice is told once."""
    wrong = [
        server("192.0.2.1", (ADMIN, TCP, 2641)), server("192.0.2.1", (QUERY, TCP, 0)), server("192.0.2.1"),
        server("0.0.0.0", (QUERY, TCP, 1)), server("ff02::1", (QUERY, TCP, 1)), server("192.0.2.1", (QUERY, HTTPS, 1)),
    ]  # fmt: skip
    assert addresses_of([site(*wrong)]) == ()
    right = server("192.0.2.1", (QUERY, TCP, 1))
    assert addresses_of([site(right), site(right, *wrong)]) == (Address("IPv4", "192.0.2.1", 1, None, None),)
    many = [site(*(server(f"192.0.{at}.{host}", (QUERY, TCP, 1)) for host in range(256))) for at in range(5)]
    assert len(addresses_of(many)) == limits.UPSTREAM_ADDRESSES_MAX


def test_ranges_and_keys_of_nothing() -> None:
    """Any octets may be asked for."""
    office = Office()
    batch = Batch()
    for prefix in ("10", "88.118.7", "88.118.70", "99.1"):  # homed by a version without applications
        batch.put(Table.PREFIXES, prefix.encode(), pack_prefix(HomedPrefix("hosted", office.now)))
    office.store.commit(batch)
    assert set(routes(office, T2)) == {"10", OWN, "88.118.7", "88.118.70", "99.1"}
    with office.store.snapshot() as snapshot:
        bounds = [b"", b"A", b"Handle", b"Handle/", b"Handle/88.118", b"Handle/88.118.7\0", b"Handle/9", b"Handle0"]
        ranges_agree(T2, snapshot, bounds)
        for key in (b"", b"Handle", b"Handle/", b"88.118", b"Handle/88.1180", b"Handle/" + b"x" * 600):
            assert T2.row(snapshot, key) is None


@pytest.mark.parametrize(
    ("kind", "identifier", "key"),
    [
        (ChangeKind.PREFIX_SUSPENDED, b"88.118.7", b"Handle/88.118.7"),
        (ChangeKind.RECORD_CHANGED, b"0.NA/88.118.7", b"Handle/88.118.7"),
        (ChangeKind.RECORD_CHANGED, b"88.118.7/BAG", None),
        (ChangeKind.RECORD_CHANGED, b"0.NA/" + b"x" * 1_000, None),
    ],
)
def test_what_a_change_touches(kind: ChangeKind, identifier: bytes, key: bytes | None) -> None:
    """The record of a prefix handle touches its prefix, any other none."""
    assert kind in T7.kinds
    assert T7.touched(kind, identifier) == (None if key is None else (key, Operation.NONE))


def test_other_addresses_of_the_node_are_another_context() -> None:
    """No change tells of them, so all rows are sent again."""
    with Office().store.snapshot() as snapshot:
        contexts = {RouteSource(TABLES["T2"], node, own=True).context(snapshot) for node in (NODE, NODE[:1], ())}
        assert T2.context(snapshot) == T7.context(snapshot)
        assert T2.latest(snapshot) == snapshot.serial()
    assert len(contexts) == 3
