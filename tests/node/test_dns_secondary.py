"""The zones reach the world by real programs: kdig, Knot with deploy/knot-signer.conf, a validating unbound."""

from __future__ import annotations

import itertools
import re
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import pytest

from core.clock import Millis
from core.config import load
from core.ident.alias import parse_alias
from core.ident.handle import HandleKey
from core.store.alias_rows import AliasRow, alias_key, pack_alias
from core.store.engine import Batch, Table
from core.who import Who
from core.wire.dns_text import text_of
from node import wiring
from node.dns_settings import make_zones
from node.notified import read_notified
from node.site import known_ports
from tests.kit.dns import dig
from tests.kit.dns_zone import as_text
from tests.kit.name_servers import (
    Knot,
    Relay,
    Unbound,
    answered,
    ask,
    free_port,
    make_key,
    needs,
    run,
    wait_for,
    write_key,
)
from tests.kit.node import Node, saltern

APEX = "oid-res.org"
OID = "1.2.156.99999.7"
NAME = f"7.99999.156.2.1.{APEX}"
DNSSEC = {dns.rdatatype.RRSIG, dns.rdatatype.NSEC, dns.rdatatype.DNSKEY, dns.rdatatype.CDS, dns.rdatatype.CDNSKEY}
Text = tuple[str, int, int, str]


def add(node: Node, record: str, alias: str) -> None:
    made = node.put(record, [{"index": 1, "type": "URL", "data": {"format": "string", "value": "https://e.cn/"}}])
    assert made.status in (200, 201), made.body
    saltern("alias", "add", record, alias, "--config", str(node.config))


class Zone(NamedTuple):
    """A node whose zones are transferred. ``line``: its key; ``printed``: the same as keymgr prints it."""

    node: Node
    printed: str
    line: str
    secondary: int

    @property
    def port(self) -> int:
        port: int = self.node.ready["dns"]
        return port


@pytest.fixture(scope="module")
def zone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zone]:
    if shutil.which("keymgr") is None:
        pytest.skip("keymgr is not installed")
    folder, secondary = tmp_path_factory.mktemp("dns"), free_port()
    printed, line = make_key()
    settings = {
        "dns__tsig_file": write_key(folder / "tsig.keys", line),
        "dns__secondaries": f'["127.0.0.1@{secondary}"]',
    }
    with Node(folder / "node", "88.118.7", dns__rate_limit=0, http__rate_limit=0, **settings) as node:
        add(node, "88.118.7/SKU1", f"oid:{OID}")
        add(node, "88.118.7/SKU2", "oid:1.2.156.99999.8.1")
        saltern("alias", "add", "88.118.7/SKU1", "gtin:6901234567892", "--config", str(node.config))
        yield Zone(node, printed, line, secondary)


def transferred(port: int, apex: str, line: str, *, program: str = "kdig") -> list[Text]:
    """Return what a program was sent, in its order."""
    name, algorithm, secret = line.split()
    key = ("-y", f"{algorithm}:{name}:{secret}")
    said = dig(port, *key, "+tcp", apex, "AXFR", program=program)
    found = []
    for each in said.splitlines():
        if not each or each.startswith(";"):
            continue
        owner, ttl, _, type_, data = each.split(None, 4)
        if type_ != "TSIG":
            rdata = dns.rdata.from_text("IN", type_, data)
            found.append((dns.name.from_text(owner).to_text(), int(rdata.rdtype), int(ttl), rdata.to_text()))
    assert found, said
    return found


def stored(node: Node, apex: str) -> list[Text]:
    """Return what ``records()`` gives out of the node's store."""
    config = load(node.config)
    zones = make_zones(config, known_ports(config))
    store = wiring.open_store(config, read_only=True)
    try:
        with store.snapshot() as snapshot:
            return [as_text(each) for each in zones.records(snapshot, tuple(apex.encode().split(b".")))]
    finally:
        store.close()


@needs("kdig", "dig")
@pytest.mark.parametrize("apex", [APEX, "gs1.id.onsepc.com"])
@pytest.mark.parametrize("program", ["kdig", "dig"])
def test_who_has_the_key_gets_the_zone_as_it_is_made(zone: Zone, apex: str, program: str) -> None:
    found = transferred(zone.port, apex, zone.line, program=program)
    assert found == stored(zone.node, apex)
    assert found[0] == found[-1] and found[0][1] == dns.rdatatype.SOA
    assert sum(type_ == dns.rdatatype.NAPTR for _, type_, _, _ in found) >= (4 if apex == APEX else 1)


@needs("kdig")
def test_another_key_or_none_gets_nothing(zone: Zone) -> None:
    name, algorithm, secret = zone.line.split()
    other = make_key()[1].split()[2]
    for key, wanted in (
        (("-y", f"{algorithm}:{name}:{other}"), "BADSIG"),
        (("-y", f"{algorithm}:nobody:{secret}"), "BADKEY"),
        (("-y", f"hmac-sha512:{name}:{secret}"), "BADKEY"),
        ((), "REFUSED"),
    ):
        said = dig(zone.port, *key, "+tcp", APEX, "AXFR", program="kdig")
        assert wanted in said and "NAPTR" not in said and "SOA\t" not in said, said
    assert "status: BADSIG" in dig(zone.port, "-y", f"{algorithm}:{name}:{other}", "+tcp", APEX, "SOA", program="kdig")
    said = dig(zone.port, "-y", f"{algorithm}:{name}:{secret}", "+tcp", APEX, "SOA", program="kdig")
    assert "NOERROR" in said and "hostmaster" in said and "TSIG" in said
    assert "WARNING" not in said, "kdig verifies the signature of the answer"


@needs("kdig")
def test_a_zone_of_thousands_of_oids_comes_in_many_messages(tmp_path: Path) -> None:
    """As many records as ``records()`` gives, each the same; who resolves is answered meanwhile."""
    _, line = make_key()
    node = Node(tmp_path / "n", "88.118.7", dns__tsig_file=write_key(tmp_path / "k", line), dns__rate_limit=0)
    store = wiring.open_store(load(node.config))
    batch = Batch()
    for number in range(4_000):
        row = AliasRow(HandleKey(b"88.118.7/SKU"), Millis(0), Who("operator", "test"))
        batch.put(Table.ALIASES, alias_key(parse_alias(f"oid:1.2.156.99999.{number}")), pack_alias(row))
    store.commit(batch)
    store.close()
    with node:
        port = node.ready["dns"]
        name, algorithm, secret = line.split()
        said = dig(port, "-y", f"{algorithm}:{name}:{secret}", "+tcp", APEX, "AXFR", program="kdig")
        assert ask(port, f"77.99999.156.2.1.{APEX}", "NAPTR").answer
        config = load(node.config)
        zones = make_zones(config, known_ports(config))
    store = wiring.open_store(config, read_only=True)
    with store.snapshot() as snapshot:
        made = [(text_of(each.name), each) for each in zones.records(snapshot, zones.apexes[0])]
    store.close()
    found = [each.split(None, 4) for each in said.splitlines() if each and each[0] != ";"]
    found = [each for each in found if each[3] != "TSIG"]
    assert [each[0] for each in found] == [f"{name}." for name, _ in made]
    assert len(made) > 30_000 and re.search(rf"\(\d{{3}} messages, {len(made)} records\)", said)
    for (*_, type_, data), (_, record) in itertools.islice(zip(found, made, strict=True), 0, None, 997):
        assert dns.rdata.from_text("IN", type_, data).to_wire() == record.data


@needs("knotd", "knotc")
def test_the_configuration_is_what_knot_takes(zone: Zone) -> None:
    knot = Knot(zone.port, zone.printed)
    try:
        assert "Configuration is valid" in knot.control("conf-check")
    finally:
        shutil.rmtree(knot.folder)


@pytest.fixture(scope="module")
def knot(zone: Zone) -> Iterator[Knot]:
    if shutil.which("knotd") is None:
        pytest.skip("knotd is not installed")
    with Knot(zone.port, zone.printed, zone.secondary) as server:
        wait_for(lambda: is_signed(server.port, APEX) and is_signed(server.port, "gs1.id.onsepc.com"), server.log)
        yield server


def is_signed(port: int, apex: str) -> bool:
    found = answered(port, apex, "SOA", dnssec=True)
    return found is not None and any(each.rdtype == dns.rdatatype.RRSIG for each in found.answer)


def plain(message: dns.message.Message) -> tuple[int, bool, list[Text], list[str]]:
    """Return rcode, AA, the answer, and the names of SOA in the authority section: what signing leaves as it is."""
    records = sorted(
        (rrset.name.to_text(), int(rrset.rdtype), rrset.ttl, rdata.to_text())
        for rrset in message.answer for rdata in rrset
        if rrset.rdtype not in DNSSEC | {dns.rdatatype.SOA}
    )  # fmt: skip
    negative = [f"{each.name} {each.ttl}" for each in message.authority if each.rdtype == dns.rdatatype.SOA]
    return message.rcode(), bool(message.flags & dns.flags.AA), records, negative


QUESTIONS = [
    (NAME, "NAPTR"), (f"ors-dummy.{NAME}", "NAPTR"), (NAME.upper(), "NAPTR"),
    (f"7.99999.cn.member-body.iso.{APEX}", "NAPTR"), (f"ors-dummy.7.99999.156.member-body.iso.{APEX}", "NAPTR"),
    (NAME, "A"), (f"8.99999.156.2.1.{APEX}", "NAPTR"), (f"156.2.1.{APEX}", "NAPTR"),
    (f"9.99999.156.2.1.{APEX}", "NAPTR"), (f"ors-dummy.9.99999.156.2.1.{APEX}", "NAPTR"), (f"nothing.{APEX}", "A"),
    (f"1.8.99999.156.2.1.{APEX}", "NAPTR"), (f"ns.{APEX}", "A"), (f"ns.{APEX}", "AAAA"), (f"iso.{APEX}", "DNAME"),
    ("0.9.8.7.6.5.4.3.2.1.0.9.6.gtin.gs1.id.onsepc.com", "NAPTR"), ("gtin.gs1.id.onsepc.com", "NAPTR"),
    ("9.8.7.6.5.4.3.2.1.0.9.6.0.gtin.gs1.id.onsepc.com", "NAPTR"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "type_"), QUESTIONS)
def test_knot_gives_the_same_answers(zone: Zone, knot: Knot, name: str, type_: str) -> None:
    """Records, NXDOMAIN and NODATA: what the front makes up is what a name server makes of the zone."""
    assert plain(ask(knot.port, name, type_)) == plain(ask(zone.port, name, type_)), knot.log()


def test_a_change_in_the_node_is_at_knot_soon(zone: Zone, knot: Knot) -> None:
    """By NOTIFY: the SOA alone would bring it after a quarter of an hour. It is taken away again the same way."""
    added = f"5.99999.156.2.1.{APEX}"
    assert ask(knot.port, added, "NAPTR").rcode() == dns.rcode.NXDOMAIN
    add(zone.node, "88.118.7/SKU5", "oid:1.2.156.99999.5")
    found = wait_for(lambda: ask(knot.port, added, "NAPTR", dnssec=True).answer, knot.log)
    assert {each.rdtype for each in found} == {dns.rdatatype.NAPTR, dns.rdatatype.RRSIG}
    saltern("alias", "remove", "oid:1.2.156.99999.5", "--config", str(zone.node.config))
    wait_for(lambda: ask(knot.port, added, "NAPTR").rcode() == dns.rcode.NXDOMAIN, knot.log)

    def acknowledged() -> bool:
        found = read_notified(wiring.run_folder(load(zone.node.config)))
        return found is not None and all(each.serial == found.serial and not each.fault for each in found.heard)

    wait_for(acknowledged, zone.node.log)
    with urllib.request.urlopen(f"http://127.0.0.1:{zone.node.ready['management']}/metrics", timeout=20) as told:
        metrics = told.read().decode()
    assert 'saltern_dns_transfers_total{ending="whole"}' in metrics and "saltern_dns_notified_serial{" in metrics
    assert zone.line.split()[2] not in zone.node.log() + metrics


def test_knot_goes_on_with_the_zone_after_a_restart(zone: Zone, knot: Knot) -> None:
    """Signed as it was, and its serial does not go back, whether or not the node is there."""
    before = ask(knot.port, APEX, "SOA").answer[0][0].serial
    knot.stop()
    knot.start()
    wait_for(lambda: is_signed(knot.port, APEX), knot.log)
    assert 0 <= ask(knot.port, APEX, "SOA").answer[0][0].serial - before < 1 << 31
    assert ask(knot.port, NAME, "NAPTR").answer


# --- what a validating resolver says of it ---
@needs("unbound")
def test_unbound_validates_what_there_is_and_that_there_is_none(zone: Zone, knot: Knot) -> None:
    with Unbound(APEX, knot.port, knot.anchor(APEX)) as resolver:
        for name, type_, rcode, records in (
            (NAME, "NAPTR", dns.rcode.NOERROR, True),
            (f"ors-dummy.{NAME}", "NAPTR", dns.rcode.NOERROR, True),
            (f"ors-dummy.7.99999.cn.member-body.iso.{APEX}", "NAPTR", dns.rcode.NOERROR, True),
            (NAME, "A", dns.rcode.NOERROR, False),
            (f"8.99999.156.2.1.{APEX}", "NAPTR", dns.rcode.NOERROR, False),
            (f"9.99999.156.2.1.{APEX}", "NAPTR", dns.rcode.NXDOMAIN, False),
        ):
            found = ask(resolver.port, name, type_, dnssec=True)
            assert found.rcode() == rcode and bool(found.answer) is records, resolver.log()
            assert found.flags & dns.flags.AD, f"{name} {type_} {resolver.log()}"


def altered(answer: bytes) -> bytes:
    """Alter one octet of the data of each NAPTR that says where to go."""
    return answer.replace(b"!http", b"!hxtp")


@needs("unbound")
def test_unbound_refuses_an_answer_that_was_altered_on_its_way(zone: Zone, knot: Knot) -> None:
    """One octet of a NAPTR; through the same relay, left as it is, it is a good answer."""
    anchor = knot.anchor(APEX)
    for alter, good in ((bytes, True), (altered, False)):
        with Relay(knot.port, alter) as relay, Unbound(APEX, relay.port, anchor) as resolver:
            found = ask(resolver.port, NAME, "NAPTR", dnssec=True)
            assert bool(found.flags & dns.flags.AD) is good is bool(found.answer), resolver.log()
            assert found.rcode() == (dns.rcode.NOERROR if good else dns.rcode.SERVFAIL)


@needs("unbound")
def test_unbound_refuses_a_zone_that_another_key_signed(zone: Zone, knot: Knot) -> None:
    with Unbound(APEX, knot.port, knot.anchor("gs1.id.onsepc.com").replace("gs1.id.onsepc.com", APEX)) as resolver:
        assert ask(resolver.port, NAME, "NAPTR", dnssec=True).rcode() == dns.rcode.SERVFAIL, resolver.log()


def test_kdig_shows_the_signatures(knot: Knot) -> None:
    said = dig(knot.port, "+dnssec", f"ors-dummy.{NAME}", "NAPTR", program="kdig")
    assert "ORS+" in said and "RRSIG" in said and "status: NOERROR" in said
    assert run("keymgr", "-c", str(knot.config), APEX, "list")
