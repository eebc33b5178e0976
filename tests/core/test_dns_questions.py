"""Questions of DNS: what dnspython, dig and kdig make is read as they meant it; anything else has its one ending."""

from __future__ import annotations

from typing import Any

import dns.flags
import dns.message
import dns.rdatatype
import dns.rdtypes.ANY.SOA
import dns.rrset
import dns.tsigkeyring
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.errors import WireError
from core.wire.dns import (
    DnsError,
    Edns,
    NotPlain,
    Query,
    Rcode,
    UnansweredError,
    decode_query,
    encode_error,
    name_to_wire,
)
from core.wire.dns_text import labels_of
from tests.kit.dns_messages import names, questions
from tests.kit.vectors import load

RECORDED = load("dns/questions.json")["questions"]
ONE_MORE = "0001 0000 0000 0001"
OID = "ors-dummy.7.99999.156.2.1.oid-res.org"
HEADER = bytes.fromhex("abcd 0100 0001 0000 0000 0000")
QUESTION = name_to_wire(labels_of(OID)) + bytes.fromhex("0023 0001")
OPT = bytes.fromhex("00 0029 04d0 00008000 0000")
COOKIE = bytes.fromhex("00 0029 04d0 00000000 000c 000a 0008 0123456789abcdef")


def message(*parts: bytes, amounts: str = "0001 0000 0000 0000", flags: str = "0100") -> bytes:
    """Return a message, number abcd. ``amounts``: of the four sections."""
    return bytes.fromhex("abcd" + flags + amounts) + b"".join(parts)


PLAIN = message(QUESTION)
WITH_OPT = message(QUESTION, COOKIE, amounts=ONE_MORE)


def ending(octets: bytes) -> Query | WireError:
    """Read it. What is refused is answered with a message that dnspython reads and that is no longer."""
    try:
        return decode_query(octets)
    except DnsError as error:
        answer = encode_error(error)
        assert len(answer) <= len(octets)
        # Of another opcode dnspython expects other sections: it is compared here, and read as a QUERY.
        assert answer[2] & 0x78 == octets[2] & 0x78
        read = dns.message.from_wire(answer[:2] + bytes((answer[2] & 0x87,)) + answer[3:])
        assert answer[:2] == octets[:2]
        assert read.flags & dns.flags.QR
        assert not read.flags & (dns.flags.AA | dns.flags.TC | dns.flags.RA | dns.flags.AD | dns.flags.CD)
        assert read.flags & dns.flags.RD == octets[2] << 8 & dns.flags.RD
        assert read.rcode() == error.rcode
        assert error.asked.question in octets
        return error
    except WireError as error:
        return error


def refusal(octets: bytes) -> Rcode:
    """Return what is answered to a message that is refused."""
    ended = ending(octets)
    assert isinstance(ended, DnsError), ended
    return ended.rcode


# --- what is plain ----------------------------------------------------------


@given(questions())
def test_what_dnspython_asks_is_read_as_it_meant_it(asked: dns.message.Message) -> None:
    """Any name, type, class, flags, size, options."""
    octets = asked.to_wire()
    query = decode_query(octets)
    question = asked.question[0]
    assert (query.number, query.opcode) == (asked.id, 0)
    assert query.recursion_desired == bool(asked.flags & dns.flags.RD)
    assert ((*query.name, b""), query.type, query.class_) == (question.name.labels, question.rdtype, question.rdclass)
    assert octets[12:].startswith(query.question)
    dnssec_ok = bool(asked.ednsflags & dns.flags.DO)
    assert query.edns == (None if asked.edns < 0 else Edns(0, asked.payload, dnssec_ok))


@given(questions(versions=255))
def test_later_versions_of_edns_are_bad_ones(asked: dns.message.Message) -> None:
    """BADVERS, with an OPT record of version 0 (RFC 6891 §6.1.3)."""
    octets = asked.to_wire()
    if asked.edns > 0:
        assert refusal(octets) == Rcode.BADVERS
        with pytest.raises(DnsError) as error:
            decode_query(octets)
        read = dns.message.from_wire(encode_error(error.value))
        assert (read.edns, read.question) == (0, asked.question)
        assert read.ednsflags & dns.flags.DO == asked.ednsflags & dns.flags.DO
    else:
        assert decode_query(octets).edns == (
            Edns(0, asked.payload, asked.ednsflags >= 0x8000) if not asked.edns else None
        )


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded["command"])
def test_what_dig_and_kdig_sent_is_read(recorded: dict[str, Any]) -> None:
    """See tests/kit/dns_recording.py."""
    ended = ending(bytes.fromhex(recorded["hex"]))
    if "ending" in recorded:
        told = ended.rcode.name if isinstance(ended, DnsError) else "not plain" if isinstance(ended, NotPlain) else ""
        assert told == recorded["ending"]
        return
    assert isinstance(ended, Query), ended
    size = recorded["udp_bytes"]
    assert ended.name == (labels_of(recorded["name"]) if recorded["name"] else ())
    assert (ended.type, ended.class_) == (recorded["type"], recorded["class"])
    assert ended.recursion_desired == recorded["recursion_desired"]
    assert ended.edns == (None if size is None else Edns(0, size, recorded["dnssec_ok"]))


def test_every_type_and_class_is_a_number() -> None:
    """All 65 536 of each; of the types, two are transfers."""
    start = PLAIN[:-4]
    for number in range(0x10000):
        octets = number.to_bytes(2, "big")
        assert decode_query(start + b"\0\x01" + octets)[4:6] == (1, number)
        if number not in (251, 252):
            assert decode_query(start + octets + b"\0\x01")[4:6] == (number, 1)


def test_the_case_of_a_name_stays() -> None:
    """Resolvers look for it in the question that they get back (0x20)."""
    octets = message(b"\x03oRs\0\0\x23\0\x01")
    assert decode_query(octets).name == (b"oRs",)
    assert decode_query(octets).question == octets[12:]


# --- anything else ----------------------------------------------------------


def agreed(octets: bytes) -> None:
    """What we read, dnspython reads too, and the question is the same."""
    ended = ending(octets)
    if isinstance(ended, Query):
        read = dns.message.from_wire(octets, question_only=True)
        question = read.question[0]
        assert (*ended.name, b"") == question.name.labels
        assert (ended.type, ended.class_) == (question.rdtype, question.rdclass)


@given(st.binary(max_size=80) | st.binary(max_size=60).map(lambda tail: HEADER + tail))
def test_questions_are_total_over_any_bytes(octets: bytes) -> None:
    """A Query or a WireError, and what is refused has an answer that can be read."""
    agreed(octets)


@given(questions(versions=1), st.data())
def test_questions_are_total_over_damaged_ones(asked: dns.message.Message, data: st.DataObject) -> None:
    """Some octets altered, cut off or added."""
    octets = bytearray(asked.to_wire())
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    agreed(bytes(octets[: data.draw(st.integers(0, len(octets)))]) + data.draw(st.binary(max_size=4)))


@pytest.mark.parametrize("octets", [PLAIN, WITH_OPT], ids=["plain", "with a cookie"])
def test_a_question_that_is_cut_off_is_refused(octets: bytes) -> None:
    """At each octet: in silence within the header, with FORMERR behind it."""
    for end in range(len(octets)):
        if end < 12:
            assert isinstance(ending(octets[:end]), UnansweredError)
        else:
            assert refusal(octets[:end]) == Rcode.FORMERR, end
    assert isinstance(ending(octets), Query)
    assert refusal(octets + b"\0") == Rcode.FORMERR


@pytest.mark.parametrize("octets", [PLAIN, WITH_OPT], ids=["plain", "with a cookie"])
def test_questions_are_total_over_every_altered_octet(octets: bytes) -> None:
    """Each octet as each of the 255 others."""
    for at in range(len(octets)):
        for octet in range(0x100):
            agreed(octets[:at] + bytes((octet,)) + octets[at + 1 :])


NAMES_REFUSED = {
    "a pointer to itself": b"\xc0\x0c",
    "a pointer to the header": b"\xc0\x00",
    "a pointer ahead": b"\xc0\x12",
    "a pointer far ahead": b"\xff\xff",
    "two pointers in a circle": b"\xc0\x0e\xc0\x0c",
    "a label, then a pointer to it": b"\x01a\xc0\x0c",
    "a label of 64": b"\x40" + b"a" * 64 + b"\0",
    "a label of the extended type": b"\x41\x20" + b"\0" * 8,
    "a label of type 10": b"\x80" + b"a" * 128 + b"\0",
    "a name of 256": (b"\x3f" + b"a" * 63) * 3 + b"\x3e" + b"a" * 62 + b"\0",
    "a name of 128 labels": b"\x01a" * 128 + b"\0",
    "a name without an end": b"\x03abc",
}


@pytest.mark.parametrize("name", NAMES_REFUSED.values(), ids=NAMES_REFUSED)
def test_a_name_that_is_none_is_refused(name: bytes) -> None:
    """FORMERR, and an answer without a question."""
    octets = message(name, b"\0\x01\0\x01")
    assert refusal(octets) == Rcode.FORMERR
    with pytest.raises(DnsError) as error:
        decode_query(octets)
    assert error.value.asked.question == b""
    assert len(encode_error(error.value)) == 12


@pytest.mark.parametrize(
    "name",
    [(), (b"a",) * 127, (b"a" * 63, b"b" * 63, b"c" * 63, b"d" * 61)],
    ids=["the root", "127 labels", "255 octets"],
)
def test_the_longest_names_are_read(name: tuple[bytes, ...]) -> None:
    """And the shortest."""
    assert decode_query(message(name_to_wire(name), b"\0\x01\0\x01")).name == name


REFUSED = {
    "no question": message(amounts="0000 0000 0000 0000"),
    "no question, a cookie": message(COOKIE, amounts="0000 0000 0000 0001"),
    "two questions": message(QUESTION, QUESTION, amounts="0002 0000 0000 0000"),
    "65 535 questions": message(QUESTION, amounts="ffff 0000 0000 0000"),
    "an answer announced": message(QUESTION, amounts="0001 0001 0000 0000"),
    "an authority announced": message(QUESTION, amounts="0001 0000 0001 0000"),
    "an OPT as the answer": message(QUESTION, OPT, amounts="0001 0001 0000 0000"),
    "an OPT as the authority": message(QUESTION, OPT, amounts="0001 0000 0001 0000"),
    "two OPT": message(QUESTION, OPT, OPT, amounts="0001 0000 0000 0002"),
    "an OPT that was not announced": message(QUESTION, OPT),
    "65 535 records announced": message(QUESTION, OPT, amounts="0001 0000 0000 ffff"),
    "an OPT with a name": message(QUESTION, b"\x01a", OPT, amounts=ONE_MORE),
    "an OPT with a pointer": message(QUESTION, b"\xc0\x0c", OPT[1:], amounts=ONE_MORE),
    "a record A": message(QUESTION, bytes.fromhex("00 0001 0001 00000000 0004 7f000001"), amounts=ONE_MORE),
    "an option that is too long": message(QUESTION, COOKIE[:12], b"\0\0\x09", COOKIE[15:], amounts=ONE_MORE),
    "an option without a length": message(QUESTION, OPT[:-1], b"\x02\0\x0a", amounts=ONE_MORE),
    "two OPT, one of a later version": message(
        QUESTION, OPT[:6] + b"\x01" + OPT[7:], OPT, amounts="0001 0000 0000 0002"
    ),
    "an OPT that is cut off": message(QUESTION, COOKIE[:-1], amounts=ONE_MORE),
    "an OPT of a later version that is cut off": message(QUESTION, OPT[:6], b"\x01\0\0\0\x09", amounts=ONE_MORE),
    "longer than any question": message(
        QUESTION, OPT[:-2], b"\x04\0", b"\0\x0c\x03\xfc", bytes(0x3FC), amounts=ONE_MORE
    ),
}


@pytest.mark.parametrize("octets", REFUSED.values(), ids=REFUSED)
def test_what_is_no_plain_question_is_refused(octets: bytes) -> None:
    """FORMERR (RFC 9619, RFC 6891 §6.1.1)."""
    assert refusal(octets) == Rcode.FORMERR


def test_a_question_with_much_padding_is_read_up_to_the_bound() -> None:
    """DNS_QUERY_BYTES_MAX octets, and not one more: the answer to that has no question."""
    for above, expected in ((0, Query), (1, DnsError)):
        padding = limits.DNS_QUERY_BYTES_MAX + above - len(PLAIN) - len(OPT) - 4
        data = b"\0\x0c" + padding.to_bytes(2, "big") + bytes(padding)
        opt = OPT[:-2] + len(data).to_bytes(2, "big") + data
        octets = message(QUESTION, opt, amounts=ONE_MORE)
        assert len(octets) == limits.DNS_QUERY_BYTES_MAX + above
        assert isinstance(ending(octets), expected)


def test_every_version_of_edns() -> None:
    """0 is read, 1 to 255 are BADVERS, also with options that only they understand."""
    for version in range(256):
        for data in (b"", b"\xff"):
            opt = bytes.fromhex("00 0029 04d0 00") + bytes((version,)) + b"\0\0\0" + bytes((len(data),)) + data
            octets = message(QUESTION, opt, amounts=ONE_MORE)
            if version:
                assert refusal(octets) == Rcode.BADVERS
            else:
                assert isinstance(ending(octets), DnsError if data else Query)


def test_every_opcode_but_a_query_is_not_implemented() -> None:
    """NOTIMP with the question echoed, or without where there is none; NOTIFY and UPDATE too."""
    for opcode in range(1, 16):
        flags = f"{opcode << 11:04x}"
        for octets, question in ((message(QUESTION, flags=flags), QUESTION), (message(flags=flags), b"")):
            assert refusal(octets) == Rcode.NOTIMP
            with pytest.raises(DnsError) as error:
                decode_query(octets)
            assert encode_error(error.value)[12:] == question


def test_an_answer_is_never_answered() -> None:
    """Whatever else is in it: two servers would throw it to and fro for ever."""
    for first in range(0x80, 0x100):
        assert isinstance(ending(PLAIN[:2] + bytes((first,)) + PLAIN[3:]), UnansweredError)


# --- what dnspython reads ---------------------------------------------------


def ixfr() -> bytes:
    asked = dns.message.make_query("oid-res.org", "IXFR")
    asked.authority.append(dns.rrset.from_text("oid-res.org.", 0, "IN", "SOA", "a. b. 1 2 3 4 5"))
    return asked.to_wire()


def signed() -> bytes:
    asked = dns.message.make_query(OID, "NAPTR", use_edns=0)
    asked.use_tsig(dns.tsigkeyring.from_text({"key.example": "c2FsdCBpcyBub3QgYSBrZXk="}))
    return asked.to_wire()


SIG = bytes.fromhex("0018 00ff 00000000 0000")
LONG_WAYS = {
    "AXFR": dns.message.make_query("oid-res.org", "AXFR").to_wire(),
    "IXFR with its SOA": ixfr(),
    "TSIG": signed(),
    "SIG(0)": message(QUESTION, b"\0" + SIG, amounts=ONE_MORE),
    "a signature below a pointer": message(QUESTION, b"\xc0\x0c" + SIG, amounts=ONE_MORE),
}


@pytest.mark.parametrize("octets", LONG_WAYS.values(), ids=LONG_WAYS)
def test_transfers_and_signed_questions_are_left_to_dnspython(octets: bytes) -> None:
    """Told apart from what is refused."""
    assert isinstance(ending(octets), NotPlain)


SOA_RECORD = bytes.fromhex("c00c 0006 0001 00000000 0018 c00c c00c") + bytes(20)
NS_RECORD = bytes.fromhex("c00c 0002 0001 00000000 0002 c00c")
LADEN = {
    "AXFR with an SOA": ("AXFR", (0, 1, 0), SOA_RECORD),
    "IXFR with two SOAs": ("IXFR", (0, 2, 0), SOA_RECORD * 2),
    "IXFR with another record": ("IXFR", (0, 1, 0), NS_RECORD),
    "IXFR with an SOA that is cut off": ("IXFR", (0, 1, 0), SOA_RECORD[:-1]),
    "IXFR with half an owner": ("IXFR", (0, 1, 0), b"\xc0"),
    "AXFR with answers": ("AXFR", (50, 0, 0), NS_RECORD * 50),
    "AXFR with glue": ("AXFR", (0, 0, 50), NS_RECORD * 50),
    "AXFR with octets left over": ("AXFR", (0, 0, 0), b"x"),
    "a signature before other records": ("NAPTR", (0, 0, 51), b"\0" + SIG + NS_RECORD * 50),
}


@pytest.mark.parametrize(("type_", "amounts", "behind"), LADEN.values(), ids=LADEN)
def test_what_is_left_to_dnspython_holds_no_other_records(
    type_: str, amounts: tuple[int, int, int], behind: bytes
) -> None:
    """A thousand octets of pointers to a long name cost it 100 ms, from whoever forges a source."""
    octets = dns.message.make_query("oid-res.org", type_).to_wire()
    assert refusal(octets[:6] + b"".join(each.to_bytes(2) for each in amounts) + octets[12:] + behind) == Rcode.FORMERR


@given(names, names)
def test_equal_questions_have_equal_octets_behind_the_number(one: tuple[bytes, ...], other: tuple[bytes, ...]) -> None:
    """So these may be the key of an answer that is ready."""
    first, second = (message(name_to_wire(name), b"\0\x23\0\x01") for name in (one, other))
    assert (first[2:] == second[2:]) == (decode_query(first) == decode_query(second))
