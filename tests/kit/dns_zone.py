"""A zone that is a list of records, keys, and who asks for a transfer of it: for tests of what sends zones."""

from __future__ import annotations

import dns.message
import dns.name
import dns.rdata
import dns.rdatatype
import dns.rrset
import dns.tsig

from core.store.engine import Snapshot
from core.wire.dns import Labels, Rr

KEY = dns.tsig.Key("knot.", bytes(range(32)), dns.tsig.HMAC_SHA256)
OTHER = dns.tsig.Key("knot.", bytes(32), dns.tsig.HMAC_SHA256)
UNKNOWN = dns.tsig.Key("nobody.", bytes(32), dns.tsig.HMAC_SHA256)
KEYS = {KEY.name: KEY}
APEX = (b"oid-res", b"org")
PEER = b"\x14\xe9\x7f\0\0\1"


def labels(name: str) -> Labels:
    return dns.name.from_text(name).labels[:-1]


def rr(name: str, type_: str, text: str, ttl: int = 300) -> Rr:
    number = dns.rdatatype.from_text(type_)
    return Rr(labels(name), number, ttl, dns.rdata.from_text("IN", number, text).to_wire() or b"")


class ListedZones:
    """Stands in for Zones: one zone of so many names, each with two NAPTR records."""

    def __init__(self, names: int, serial: int = 7, origin: str = "oid-res.org") -> None:
        self.serial_now = serial
        self.apexes = (labels(origin),)
        self.origin = origin
        self.names = names
        self.yielded = 0

    def serial(self, snapshot: Snapshot) -> int:
        snapshot.serial()  # errors if it is closed
        return self.serial_now

    def records_with_rests(self, snapshot: Snapshot, apex: Labels):  # type: ignore[no-untyped-def]
        return self.records(snapshot, apex)

    def records(self, snapshot: Snapshot, apex: Labels):  # type: ignore[no-untyped-def]
        assert apex == self.apexes[0]
        origin = self.origin
        soa = rr(origin, "SOA", f"ns.{origin}. hostmaster.{origin}. {self.serial_now} 60 60 86400 300")
        yield soa
        yield rr(origin, "NS", f"ns.{origin}.")
        yield rr(f"ns.{origin}", "A", "127.0.0.1")
        naptr = rr(origin, "NAPTR", '100 10 "u" "ORS+UINF" "!^.*$!https://id.example.cn/88.118.7/SKU!" .')
        for number in range(self.names):
            snapshot.serial()
            name = labels(f"{number}.99999.156.2.1.{origin}")
            for owner in (name, (b"ors-dummy", *name)):
                self.yielded += 1
                yield naptr._replace(name=owner)
        yield soa


def records_of(messages: list[dns.message.Message]) -> list[tuple[str, int, int, str]]:
    """Return the records of a transfer in their order."""
    return [
        (rrset.name.to_text(), int(rrset.rdtype), rrset.ttl, rdata.to_text())
        for message in messages
        for rrset in message.answer
        for rdata in rrset
    ]


def as_text(record: Rr) -> tuple[str, int, int, str]:
    data = dns.rdata.from_wire("IN", record.type, record.data, 0, len(record.data))
    return dns.name.Name((*record.name, b"")).to_text(), record.type, record.ttl, data.to_text()
