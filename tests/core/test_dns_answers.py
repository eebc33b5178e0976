"""Answers of DNS: dnspython reads in them what was meant; they are never longer than the client and we allow."""

from __future__ import annotations

from collections.abc import Sequence

import dns.flags
import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.errors import WireError
from core.wire.dns import (
    CLASS_IN,
    Edns,
    Labels,
    Query,
    Rcode,
    Rr,
    Sections,
    Type,
    decode_query,
    encode_answer,
    name_to_wire,
)
from core.wire.dns_rdata import naptr, soa
from core.wire.dns_text import labels_of
from tests.kit.dns_messages import below, datas, names, questions, records

APEX = labels_of("oid-res.org")
NAME = labels_of("ors-dummy.7.99999.156.2.1.oid-res.org")
SOA = Rr(APEX, Type.SOA, 300, soa((b"ns", *APEX), (b"mail", *APEX), 1, refresh=2, retry=3, expire=4, minimum=5))
NAPTR = Rr(NAME, Type.NAPTR, 3_600, naptr(100, 10, flags="u", services="ORS+UINF", regexp="!^.*$!https://a.example/!"))
EDNS = Edns(0, 1_232, True)

lists = st.lists(records(), max_size=6)
sections = st.builds(Sections, st.integers(0, 15), st.booleans(), lists, lists, lists)
queries = questions(below | names).map(lambda asked: decode_query(asked.to_wire()))


def asked_for(name: Labels = NAME, edns: Edns | None = None) -> Query:
    """A question for NAPTR."""
    question = name_to_wire(name) + b"\0\x23\0\x01"
    return Query(0xABCD, 0, True, name, Type.NAPTR, CLASS_IN, question, edns)


def read(octets: bytes) -> dns.message.Message:
    return dns.message.from_wire(octets, one_rr_per_rrset=True)


def found(section: Sequence[dns.rrset.RRset]) -> list[Rr]:
    """The records of a section, as ours."""
    return [
        Rr(rrset.name.labels[:-1], int(rrset.rdtype), rrset.ttl, rdata.to_wire())
        for rrset in section
        for rdata in rrset
    ]


def taken(query: Query, udp_bytes: int) -> int:
    """How long an answer by UDP may be."""
    return min(udp_bytes, 512 if query.edns is None else max(512, query.edns.udp_bytes))


# --- dnspython as the oracle ------------------------------------------------


@given(queries, sections, st.none() | st.integers(512, 4_096))
def test_an_answer_round_trip_by_dnspython(query: Query, sections: Sections, udp_bytes: int | None) -> None:
    """Records octet by octet, flags, question, OPT; what is dropped, and when TC says so."""
    octets = encode_answer(query, sections, udp_bytes)
    answer = read(octets)
    assert len(octets) <= (65_535 if udp_bytes is None else taken(query, udp_bytes))

    assert (answer.id, answer.rcode(), answer.opcode()) == (query.number, sections.rcode, 0)
    assert octets[12:].startswith(query.question)
    for flag, expected in (
        (dns.flags.QR, True),
        (dns.flags.AA, sections.authoritative),
        (dns.flags.RD, query.recursion_desired),
        (dns.flags.RA | dns.flags.AD | dns.flags.CD, False),
    ):
        assert bool(answer.flags & flag) == expected

    assert (answer.edns == 0) == (query.edns is not None)
    if query.edns is not None:
        assert bool(answer.ednsflags & dns.flags.DO) == query.edns.dnssec_ok
        assert answer.payload == limits.DNS_UDP_BYTES

    there = found(answer.answer), found(answer.authority)
    meant = list(sections.answer), list(sections.authority)
    assert bool(answer.flags & dns.flags.TC) == (there != meant)
    if there != meant:
        assert there == ([], [])
    assert found(answer.additional) in ([], list(sections.additional))


@given(queries, sections)
def test_by_tcp_nothing_is_missing(query: Query, sections: Sections) -> None:
    """Sections of an ordinary size."""
    answer = read(encode_answer(query, sections, None))
    assert [found(part) for part in answer.sections[1:]] == list(map(list, sections[2:]))


@given(queries, sections, st.integers(512, 4_096))
def test_nothing_is_dropped_that_fits(query: Query, sections: Sections, udp_bytes: int) -> None:
    """One octet less than an answer needs, and its additional section goes; one less than the rest needs, all."""
    bounded = query._replace(edns=Edns(0, 0xFFFF, False))
    without = len(encode_answer(bounded, sections._replace(additional=()), None))
    whole = len(encode_answer(bounded, sections, None))
    nothing = len(encode_answer(bounded, Sections(0), None))
    for allowed in (without, whole):
        assert len(encode_answer(bounded, sections, allowed)) == allowed
    if whole > without:
        assert len(encode_answer(bounded, sections, whole - 1)) == without
    if without > nothing:
        cut = encode_answer(bounded, sections, without - 1)
        assert (len(cut), read(cut).flags & dns.flags.TC) == (nothing, dns.flags.TC)


def test_a_client_takes_512_octets_whatever_it_says() -> None:
    """A smaller size counts as that one (RFC 6891 §6.2.3); without EDNS it is the most, whatever we allow."""
    others = len(encode_answer(asked_for(), Sections(0, True, [Rr(NAME, 65_300, 1, b"")]), None))
    for edns in (None, *(Edns(0, size, False) for size in (0, 100, 511, 512))):
        room = 512 - others - (0 if edns is None else 11)
        for size in (room, room + 1):
            octets = encode_answer(asked_for(edns=edns), Sections(0, True, [Rr(NAME, 65_300, 1, bytes(size))]), 4_096)
            assert (len(octets) == 512) == (size == room)
            assert bool(read(octets).flags & dns.flags.TC) == (size > room)


@given(st.integers(0, 4_095))
def test_codes_above_15_stand_in_the_opt_record(rcode: int) -> None:
    """All of them (RFC 6891 §6.1.3)."""
    assert read(encode_answer(asked_for(edns=EDNS), Sections(rcode), 1_232)).rcode() == rcode


# --- compression ------------------------------------------------------------


def test_a_record_of_the_name_asked_for_points_to_the_question() -> None:
    """Two octets each, not the whole name."""
    octets = encode_answer(asked_for(), Sections(0, True, [NAPTR] * 2), None)
    assert octets.count(b"\xc0\x0c\0\x23\0\x01") == 2
    assert len(octets) == 12 + len(asked_for().question) + 2 * (12 + len(NAPTR.data))


def test_only_names_in_data_of_old_types_are_compressed() -> None:
    """NS, CNAME and SOA; others stand octet by octet (RFC 3597 §4)."""
    host = name_to_wire((b"ns", *APEX))
    for type_, data, shorter in (
        (Type.NS, host, True),
        (Type.CNAME, host, True),
        (Type.SOA, SOA.data, True),
        (Type.DNAME, host, False),
        (Type.NAPTR, naptr(1, 1, flags="", services="", replacement=(b"ns", *APEX)), False),
    ):
        octets = encode_answer(asked_for(), Sections(0, True, [Rr(APEX, type_, 1, data)]), None)
        assert (data not in octets) == shorter
        assert found(read(octets).answer) == [Rr(APEX, type_, 1, data)]


def test_a_name_in_another_case_keeps_it() -> None:
    """It is pointed to in its own case only."""
    upper = Rr(labels_of("OID-RES.ORG"), Type.A, 1, b"\x7f\0\0\x01")
    assert found(read(encode_answer(asked_for(), Sections(0, True, [upper]), None)).answer) == [upper]


def test_no_pointer_is_longer_than_14_bits() -> None:
    """Names behind octet 16 383 are written out."""
    filler = [Rr((b"f", *APEX), 65_300, 1, bytes(4_000))] * 4
    late = [Rr((b"x%d" % (number // 2), b"late"), Type.A, 1, b"\x7f\0\0\x01") for number in range(600)]
    octets = encode_answer(asked_for(), Sections(0, True, [*filler, *late]), None)
    assert len(octets) > 0x4000
    assert found(read(octets).answer) == [*filler, *late]


def test_an_answer_by_tcp_has_at_most_65535_octets() -> None:
    """Beyond, it is cut too."""
    many = Sections(0, True, [Rr(NAME, 65_300, 1, bytes(60_000))] * 2)
    cut = encode_answer(asked_for(), many, None)
    assert read(cut).flags & dns.flags.TC
    assert len(cut) == 12 + len(asked_for().question)


@pytest.mark.parametrize(
    "record",
    [Rr((b"", b"a"), Type.A, 1, b""), Rr((b"a" * 64,), Type.A, 1, b""), Rr(APEX, Type.NS, 1, b"\x05abc")],
    ids=["an empty label", "a label of 64", "data that is cut off"],
)
def test_what_is_no_record_is_not_written(record: Rr) -> None:
    """WireError, and no octets that nobody could read."""
    with pytest.raises(WireError):
        encode_answer(asked_for(), Sections(0, True, [record]), None)


def test_a_negative_answer() -> None:
    """NXDOMAIN with its SOA, to a question with EDNS: octet by octet."""
    octets = encode_answer(asked_for(edns=EDNS), Sections(Rcode.NXDOMAIN, True, (), (SOA,)), 1_232)
    apex_at = 12 + asked_for().question.index(b"\x07oid-res")
    apex = (0xC000 | apex_at).to_bytes(2, "big").hex()
    assert octets == bytes.fromhex("abcd 8503 0001 0000 0001 0001") + asked_for().question + bytes.fromhex(
        f"{apex} 0006 0001 0000012c 0020 026e73{apex} 046d61696c{apex}"
        "00000001 00000002 00000003 00000004 00000005"
        "00 0029 04d0 00008000 0000"
    )


# --- data -------------------------------------------------------------------


def as_dnspython(type_: int, text: str) -> bytes:
    return dns.rdata.from_text(dns.rdataclass.IN, type_, text).to_wire()


def test_data_is_what_dnspython_makes_of_its_text() -> None:
    """Each builder."""
    assert SOA.data == as_dnspython(Type.SOA, "ns.oid-res.org. mail.oid-res.org. 1 2 3 4 5")
    assert NAPTR.data == as_dnspython(Type.NAPTR, '100 10 "u" "ORS+UINF" "!^.*$!https://a.example/!" .')
    assert name_to_wire(APEX) == as_dnspython(Type.NS, "oid-res.org.")


@given(st.sampled_from([Type.SOA, Type.NAPTR, Type.DNAME]), st.data())
def test_data_round_trip_by_dnspython(type_: Type, data: st.DataObject) -> None:
    """It reads them and writes them again."""
    octets = data.draw(datas(type_))
    assert dns.rdata.from_wire(dns.rdataclass.IN, type_, octets, 0, len(octets)).to_wire() == octets


def test_a_text_of_naptr_has_at_most_255_octets() -> None:
    """Octets, not characters; the error says how many."""
    assert naptr(0, 0, flags="", services="", regexp="盐" * 85)
    with pytest.raises(WireError, match="258"):
        naptr(0, 0, flags="", services="", regexp="盐" * 86)


def test_names_that_do_not_fit_are_refused() -> None:
    """As data: 256 octets (what a DNAME makes may be so long), 64 in a label, none in one."""
    for name in ((b"a",) * 128, (b"a" * 63,) * 4, (b"a" * 64,), (b"",)):
        with pytest.raises(WireError):
            name_to_wire(name)
    assert len(name_to_wire((b"a",) * 127)) == 255
