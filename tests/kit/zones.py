"""Zones for tests: a store with aliases, the zone as text, an independent reader of it, and Knot that serves it."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.zone

from benchmarks.knot import find
from benchmarks.machine import free_port
from core.clock import Millis
from core.ident.alias import parse_alias
from core.ident.handle import HandleKey, HandleRules
from core.store.alias_rows import AliasRow, alias_key, pack_alias
from core.store.engine import Batch, Engine, Table
from core.store.memory_engine import MemoryEngine
from core.store.zone_row import ZONE_KEY
from core.who import NODE
from core.wire.dns import Labels, Rr, Sections
from registry.commands import OPERATOR, Command, Home, PlaceHold, Request
from registry.service import Registry
from resolver.zone import ZoneAnswer, Zones, ZoneSettings
from tests.kit.prefixes import suspend

ORS: Labels = (b"oid-res", b"org")
ONS: Labels = (b"gs1", b"id", b"onsepc", b"com")
SETTINGS = ZoneSettings(
    ors_suffix="oid-res.org", ons_suffix="gs1.id.onsepc.com", ors_services=("COID", "CINF", "RINF", "UINF"),
    ons_service="https://www.gs1.org/voc/pip",
    oid_labels=("1=iso", "1.2=member-body", "1.2.156=cn", "1.2.156=中国", "1.2.156.7=salt", "2.25=uuid"),
    nameservers=(), addresses=("192.0.2.1", "2001:db8::1"), public_url="https://id.example.cn",
    ttl=3_600, negative_ttl=300,
)  # fmt: skip
NOW = Millis(1_700_000_000_000)
RULES = HandleRules()
HOSTED, SUSPENDED, DELEGATED, FOREIGN, HELD = "88.1", "88.2", "88.3", "88.4", "88.1/HELD"
TARGETS = (f"{HOSTED}/A", f"{SUSPENDED}/A", f"{DELEGATED}/A", f"{FOREIGN}/A", HELD)
READY_S = 30.0
END_S = 10.0

Section = frozenset[tuple[str, int, int, bytes]]
"""Records: name in lower case, type, TTL, data in canonical form."""


class Seen(NamedTuple):
    """An answer as it is compared."""

    rcode: int
    authoritative: bool
    answer: Section
    authority: Section
    additional: Section


class ZoneStore:
    """A store whose aliases are written beside the registrar, as it would write them."""

    def __init__(self, aliases: Mapping[str, str] | None = None, engine: Engine | None = None) -> None:
        """Home a prefix of each kind in a new store, then write aliases, KIND:VALUE, each with what it names."""
        self.engine: Engine = MemoryEngine() if engine is None else engine
        if engine is None:
            self.run(Home(HOSTED), Home(SUSPENDED), Home(DELEGATED, "delegated"), PlaceHold(HELD, "1", "because"))
            suspend(self.engine, SUSPENDED)
        self.name(aliases or {})

    def run(self, *commands: Command) -> None:
        """Have the registrar do something."""
        made = Registry(self.engine, RULES, founding=True).run([Request(each, OPERATOR) for each in commands], NOW)
        assert all(result.done for result in made), made

    def name(self, aliases: Mapping[str, str | None]) -> None:
        """Write aliases and what they name, None takes one away; a zone was touched."""
        batch = Batch()
        for text, handle in aliases.items():
            row = None if handle is None else pack_alias(AliasRow(HandleKey(handle.encode()), NOW, NODE))
            batch.put(Table.ALIASES, alias_key(parse_alias(text)), row)
        self.engine.commit(batch)
        self.touch()

    def touch(self) -> None:
        """Write the zone row, as every act does that touches a zone."""
        with self.engine.snapshot() as snapshot:
            before = int.from_bytes(snapshot.get(Table.META, ZONE_KEY) or b"", "big")
        batch = Batch()
        batch.put(Table.META, ZONE_KEY, (before + 1).to_bytes(8, "big"))
        self.engine.commit(batch)

    def answer(self, zones: Zones, name: Labels, type_: int) -> ZoneAnswer:
        with self.engine.snapshot() as snapshot:
            return zones.answer(snapshot, name, type_)

    def records(self, zones: Zones, apex: Labels) -> list[Rr]:
        with self.engine.snapshot() as snapshot:
            return list(zones.records(snapshot, apex))


def labels(text: str) -> Labels:
    """Return the labels of a name without escapes."""
    return tuple(text.encode().split(b"."))


def dns_name(name: Labels) -> dns.name.Name:
    return dns.name.Name((*name, b""))


def rdata(rr: Rr) -> dns.rdata.Rdata:
    """Read the data by dnspython: what is not of its type is an error."""
    return dns.rdata.from_wire("IN", rr.type, rr.data, 0, len(rr.data))


def zone_text(records: Iterable[Rr]) -> str:
    """Return a master file; the SOA at the end is the one at the beginning."""
    first, *rest = records
    assert rest.pop() == first
    return "".join(
        f"{dns_name(rr.name)} {rr.ttl} IN {dns.rdatatype.to_text(rr.type)} {rdata(rr)}\n" for rr in (first, *rest)
    )


def seen(sections: Sections) -> Seen:
    """Return an answer of ours as it is compared."""
    return Seen(
        sections.rcode, sections.authoritative,
        *(
            frozenset((_text(dns_name(rr.name)), rr.type, rr.ttl, rdata(rr).to_digestable()) for rr in section)
            for section in (sections.answer, sections.authority, sections.additional)
        ),
    )  # fmt: skip


def seen_message(message: dns.message.Message) -> Seen:
    """Return an answer that came from a server as it is compared."""
    return Seen(
        message.rcode(), bool(message.flags & dns.flags.AA),
        *(_rrsets(section) for section in (message.answer, message.authority, message.additional)),
    )  # fmt: skip


def _rrsets(section: Iterable[dns.rrset.RRset]) -> Section:
    return frozenset(
        (_text(each.name), int(each.rdtype), each.ttl, rr.to_digestable()) for each in section for rr in each
    )


def _text(name: dns.name.Name) -> str:
    return name.canonicalize().to_text()


# --- an independent reader -------------------------------------------------------
class Reader:
    """Answers from zones as dnspython loads them from text, by the algorithm of RFC 1034 §4.3.2 and RFC 6672 §3.2."""

    CHAIN_MAX = 5

    def __init__(self, texts: Mapping[Labels, str]) -> None:
        self._zones = {
            dns_name(apex): dns.zone.from_text(text, dns_name(apex), relativize=False, check_origin=True)
            for apex, text in texts.items()
        }
        self._names = {
            apex: {above for name in zone.nodes for above in _up_to(name, apex)} for apex, zone in self._zones.items()
        }

    def ask(self, name: Labels, type_: int) -> Seen:
        asked = dns_name(name).canonicalize()
        apex = next((each for each in self._zones if asked.is_subdomain(each)), None)
        if apex is None:
            return Seen(dns.rcode.REFUSED, False, frozenset(), frozenset(), frozenset())
        zone = self._zones[apex]
        chain: set[tuple[str, int, int, bytes]] = set()
        for hops in range(self.CHAIN_MAX + 1):
            found = next(
                (each for each in _up_to(asked, apex)[1:] if zone.get_rdataset(each, dns.rdatatype.DNAME)), None
            )
            if found is None:
                return self._at(apex, asked, type_, chain)
            if hops == self.CHAIN_MAX:
                break
            dname = zone.find_rdataset(found, dns.rdatatype.DNAME)
            chain |= self._set(apex, found, dns.rdatatype.DNAME)
            try:
                target = dns.name.Name(asked.relativize(found).labels + dname[0].target.labels)
            except dns.name.NameTooLong:
                return Seen(dns.rcode.YXDOMAIN, True, frozenset(chain), frozenset(), frozenset())
            chain.add((_text(asked), dns.rdatatype.CNAME, dname.ttl, target.to_digestable()))
            if type_ == dns.rdatatype.CNAME:
                break
            asked = target
        return Seen(dns.rcode.NOERROR, True, frozenset(chain), frozenset(), frozenset())

    def _at(self, apex: dns.name.Name, asked: dns.name.Name, type_: int, chain: set) -> Seen:
        zone = self._zones[apex]
        soa = zone.find_rdataset(apex, dns.rdatatype.SOA)
        negative = {(*each[:2], min(soa.ttl, soa[0].minimum), each[3]) for each in self._set(apex, apex, soa.rdtype)}
        if asked not in self._names[apex]:
            return Seen(dns.rcode.NXDOMAIN, True, frozenset(chain), frozenset(negative), frozenset())
        node = zone.get_node(asked)
        types = sorted(int(each.rdtype) for each in node) if node else []
        type_ = types[0] if type_ == dns.rdatatype.ANY and types else type_
        if type_ not in types:
            return Seen(dns.rcode.NOERROR, True, frozenset(chain), frozenset(negative), frozenset())
        additional: set[tuple[str, int, int, bytes]] = set()
        if type_ == dns.rdatatype.NS:
            for server in zone.find_rdataset(asked, type_):
                for address in (dns.rdatatype.A, dns.rdatatype.AAAA):
                    additional |= self._set(apex, server.target, address)
        return Seen(
            dns.rcode.NOERROR,
            True,
            frozenset(chain | self._set(apex, asked, type_)),
            frozenset(),
            frozenset(additional),
        )

    def _set(self, apex: dns.name.Name, owner: dns.name.Name, type_: int) -> set[tuple[str, int, int, bytes]]:
        found = self._zones[apex].get_rdataset(owner, dns.rdatatype.RdataType.make(type_))
        return {(_text(owner), int(type_), found.ttl, rr.to_digestable()) for rr in found} if found else set()


def _up_to(name: dns.name.Name, apex: dns.name.Name) -> list[dns.name.Name]:
    """Return a name and all above it, the apex last."""
    found = [name]
    while found[-1] != apex:
        found.append(found[-1].parent())
    return found


# --- Knot ------------------------------------------------------------------------
class KnotZones:
    """A running Knot. ``ask``: over UDP, by TCP where the answer is cut."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, name: Labels, type_: int) -> Seen:
        query = dns.message.make_query(dns_name(name), type_, use_edns=0, payload=4_096)
        answer, _ = dns.query.udp_with_fallback(query, "127.0.0.1", 5, self.port)
        return seen_message(answer)


def knot_program() -> str | None:
    return find() if shutil.which("knotd", path="/usr/sbin:/usr/local/sbin:/usr/bin") else None


@contextmanager
def serve_by_knot(program: str, folder: Path, texts: Mapping[Labels, str]) -> Iterator[KnotZones]:
    """Run Knot with zone files until the end of the block."""
    port = free_port()
    blocks = []
    for number, (apex, text) in enumerate(texts.items()):
        (folder / f"zone{number}").write_text(text)
        blocks.append(
            f'  - domain: {dns_name(apex)}\n    storage: "{folder}"\n    file: "zone{number}"\n'
            "    journal-content: none\n"
        )
    (folder / "knot.conf").write_text(
        f'server:\n    rundir: "{folder}"\n    listen: 127.0.0.1@{port}\n    udp-workers: 1\n    tcp-workers: 1\n'
        f'    background-workers: 1\ncontrol:\n    listen: "{folder}/control"\n'
        f'log:\n  - target: stderr\n    any: error\ndatabase:\n    storage: "{folder}"\nzone:\n' + "".join(blocks)
    )
    process = subprocess.Popen([program, "-c", str(folder / "knot.conf")], stdout=subprocess.DEVNULL)
    try:
        knot = KnotZones(port)
        _await_zones(knot, process, list(texts))
        yield knot
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(END_S)


def _await_zones(knot: KnotZones, process: subprocess.Popen[bytes], apexes: list[Labels]) -> None:
    """Ask for every SOA until it is there."""
    deadline = time.monotonic() + READY_S
    while apexes:
        try:
            if knot.ask(apexes[0], dns.rdatatype.SOA).answer:
                apexes.pop(0)
                continue
        except (OSError, dns.exception.Timeout):
            pass
        assert process.poll() is None, "Knot ended"
        assert time.monotonic() < deadline, "Knot does not answer"
        time.sleep(0.05)
