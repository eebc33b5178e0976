"""Questions and records of DNS for properties: names, and messages made by dnspython."""

from __future__ import annotations

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rdatatype
from hypothesis import strategies as st

from core.wire.dns import Labels, Rr, Type, name_to_wire
from core.wire.dns_rdata import naptr, soa

NAME_BYTES = 255
TRANSFERS = (Type.AXFR, Type.IXFR)

numbers = st.integers(0, 0xFFFF)
types = numbers.filter(lambda number: number not in TRANSFERS)


def fits(name: list[bytes]) -> bool:
    return sum(map(len, name)) + len(name) < NAME_BYTES


labels = st.binary(min_size=1, max_size=63) | st.sampled_from([b"ors-dummy", b"7", b"2", b"1", b"oid-res", b"ORG"])
names: st.SearchStrategy[Labels] = st.lists(labels, max_size=20).filter(fits).map(tuple)
below: st.SearchStrategy[Labels] = st.lists(
    st.sampled_from([b"a", b"A", b"bb", b"1", b"oid-res", b"org"]), max_size=6
).map(tuple)
"""Few names, many of them below one another."""
options = st.lists(
    st.builds(dns.edns.GenericOption, st.integers(20, 0xFFFF), st.binary(max_size=40)), max_size=4
)  # of those below, dnspython reads some, and refuses what is in them


@st.composite
def questions(draw: st.DrawFn, name: st.SearchStrategy[Labels] = names, versions: int = 0) -> dns.message.Message:
    """A question, with or without EDNS, of a version up to that."""
    asked = dns.message.make_query(
        dns.name.Name((*draw(name), b"")), draw(types), draw(numbers), flags=0, id=draw(numbers)
    )
    for flag in (dns.flags.RD, dns.flags.AD, dns.flags.CD):
        asked.flags |= flag if draw(st.booleans()) else 0
    if draw(st.booleans()):
        flags = draw(st.sampled_from([0, dns.flags.DO, 0x7FFF, 0xFFFF]))
        asked.use_edns(draw(st.integers(0, versions)), flags, draw(numbers), options=draw(options))
    return asked


def datas(type_: int) -> st.SearchStrategy[bytes]:
    """Data of a type."""
    texts = st.text(max_size=60)
    serials = st.integers(0, 2**32 - 1)
    kinds = {
        Type.A: st.binary(min_size=4, max_size=4),
        Type.AAAA: st.binary(min_size=16, max_size=16),
        Type.NS: below.map(name_to_wire),
        Type.CNAME: (below | names).map(name_to_wire),
        Type.DNAME: below.map(name_to_wire),
        Type.SOA: st.builds(
            soa, below, below, serials, refresh=serials, retry=serials, expire=serials, minimum=serials
        ),
        Type.NAPTR: st.builds(
            naptr, numbers, numbers, flags=texts, services=texts, regexp=texts, replacement=below | names
        ),
    }
    return kinds.get(Type(type_), st.nothing()) if type_ in kinds else st.binary(max_size=300)


@st.composite
def records(draw: st.DrawFn) -> Rr:
    """A record of a type that zones have, or of a private one."""
    type_ = draw(st.sampled_from([Type.A, Type.AAAA, Type.NS, Type.CNAME, Type.DNAME, Type.SOA, Type.NAPTR, 65_300]))
    return Rr(draw(below | names), int(type_), draw(st.integers(0, 2**31 - 1)), draw(datas(type_)))
