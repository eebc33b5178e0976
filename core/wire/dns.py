"""DNS messages: plain questions in, answers out. What is not plain is left to dnspython.

offset  width  field
0       2      number (ID), echoed
2       1      QR, 4 bits of opcode, AA, TC, RD
3       1      RA, Z, AD, CD, 4 bits of rcode
4       2      questions
6       2      records of the answer
8       2      of the authority
10      2      of the additional section
12             question: name, type (2), class (2)
               records: name, type (2), class (2), ttl (4), length (2), data

A name is labels, each behind its length, and a zero; in answers a pointer may stand for its end (RFC 1035 §4.1.4).

Source: RFC 1035 §4; RFC 6891 (EDNS); RFC 2181 §9 (TC); RFC 3597 §4 (which data may be compressed).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from core import limits
from core.errors import WireError

Labels = tuple[bytes, ...]
"""A name: its labels from the left, without the root; compared in lower case, answered as asked."""

CLASS_IN: Final = 1

_HEADER: Final = struct.Struct(">HHHHHH")
_LENGTH: Final = struct.Struct(">H")
_TYPE_CLASS: Final = struct.Struct(">HH")
_FIXED: Final = struct.Struct(">HHIH")
_OPTION_BYTES: Final = 4
_NAME_AT: Final = _HEADER.size
_QR: Final = 0x8000
_AA: Final = 0x0400
_TC: Final = 0x0200
_RD: Final = 0x0100
_OPCODE_SHIFT: Final = 11
_OPCODE: Final = 0x0F
_RCODE: Final = 0x0F  # of the header; what is above stands in the OPT record
_RCODE_BITS: Final = 4
_POINTER: Final = 0xC000
_POINTED_MAX: Final = 0x3FFF  # a pointer has 14 bits
_NOWHERE: Final = -65_536  # before the octets, whatever is added
_DO: Final = 0x8000  # in the TTL of an OPT record, as the next three
_VERSION_SHIFT: Final = 16
_VERSION: Final = 0xFF
_RCODE_ABOVE_SHIFT: Final = 24


class Type(IntEnum):
    """Types that this node has records of, or treats specially."""

    A = 1
    NS = 2
    CNAME = 5
    SOA = 6
    SIG = 24
    AAAA = 28
    NAPTR = 35
    DNAME = 39
    OPT = 41
    TSIG = 250
    IXFR = 251
    AXFR = 252
    ANY = 255

    __hash__ = int.__hash__


_TRANSFERS: Final = frozenset((Type.AXFR, Type.IXFR))
_SIGNATURES: Final = frozenset((Type.TSIG, Type.SIG))
_NAMES_IN_DATA: Final[dict[int, int]] = {Type.NS: 1, Type.CNAME: 1, Type.SOA: 2}  # at its start; RFC 1035 alone


class Rcode(IntEnum):
    """Response codes of messages that no Outcome ends with; the others stand in ``core/outcomes.py``."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    YXDOMAIN = 6
    NOTAUTH = 9
    BADVERS = 16


class Edns(NamedTuple):
    """What the OPT record of a question says. ``udp_bytes``: the longest answer by UDP that the client takes."""

    version: int
    udp_bytes: int
    dnssec_ok: bool


class Query(NamedTuple):
    """A question that was read. ``name``: as asked. ``question``: its octets, uncompressed, as they are echoed."""

    number: int
    opcode: int
    recursion_desired: bool
    name: Labels
    type: int
    class_: int
    question: bytes
    edns: Edns | None


class Rr(NamedTuple):
    """A record, class IN. ``ttl``: seconds, 31 bits. ``data``: without compression."""

    name: Labels
    type: int
    ttl: int
    data: bytes


class Sections(NamedTuple):
    """What is answered. ``authoritative``: the AA bit. ``rcode``: above 15 only to a question with EDNS."""

    rcode: int
    authoritative: bool = True
    answer: Sequence[Rr] = ()
    authority: Sequence[Rr] = ()
    additional: Sequence[Rr] = ()


class Asked(NamedTuple):
    """What could be read of a message that is refused. ``question``: empty, ``edns``: None where it could not."""

    number: int
    opcode: int
    recursion_desired: bool
    question: bytes = b""
    edns: Edns | None = None


class DnsError(WireError):
    """A message that is refused, and answered with ``rcode``: see ``encode_error``."""

    def __init__(self, message: str, rcode: Rcode, asked: Asked) -> None:
        super().__init__(message)
        self.rcode = rcode
        self.asked = asked


class UnansweredError(WireError):
    """Octets that are never answered: no whole header, or an answer, which two servers would throw for ever."""


class NotPlain(WireError):  # noqa: N818 - no error: a message that another codec reads
    """A message for dnspython: a transfer of a zone, or signed (TSIG, SIG(0)).

    It holds no record but the SOA of an IXFR, an OPT, and the signature: names of others would cost it 100 ms.
    """


# --- questions --------------------------------------------------------------


def decode_query(octets: bytes) -> Query:
    """Read a plain question.

    Shape: opcode QUERY, one question, no record but at most one OPT, nothing behind it; at most DNS_QUERY_BYTES_MAX
    octets. Options of EDNS are skipped, cookies and padding too; so are the bits AA, TC, RA, Z, AD, CD of a question.
    A pointer in the name is refused: no name stands before it that it could point to.
    Equal octets behind the number are equal questions: ``octets[2:]`` is a key for ready answers, the number goes
    in front of them.
    Errors: UnansweredError; NotPlain; DnsError: FORMERR, NOTIMP (another opcode), BADVERS (a later EDNS).
    Source: RFC 1035 §4.1; RFC 6891 §6.1; RFC 9619 (exactly one question).
    """
    if len(octets) < _NAME_AT:
        raise UnansweredError("no whole header")
    number, flags, questions, answers, authorities, additionals = _HEADER.unpack_from(octets)
    if flags & _QR:
        raise UnansweredError("an answer, no question")
    opcode = flags >> _OPCODE_SHIFT & _OPCODE
    recursion_desired = flags & _RD != 0
    whole = questions == 1 and len(octets) <= limits.DNS_QUERY_BYTES_MAX
    name, question = _read_question(octets) if whole else ((), b"")
    asked = Asked(number, opcode, recursion_desired, question)
    if opcode:
        raise DnsError("an operation other than QUERY", Rcode.NOTIMP, asked)
    if not question:
        raise DnsError("not one whole question", Rcode.FORMERR, asked)
    type_, class_ = _TYPE_CLASS.unpack_from(question, len(question) - _TYPE_CLASS.size)
    at = _NAME_AT + len(question)
    if authorities == 1 and type_ == Type.IXFR:
        at, authorities = _skip_soa(octets, at), 0
    if answers or authorities:
        raise DnsError("a question with records of an answer", Rcode.FORMERR, asked)
    edns, fault = _read_additional(octets, at, additionals)
    if fault:
        raise DnsError(fault, Rcode.FORMERR, asked._replace(edns=edns))
    if type_ in _TRANSFERS:
        raise NotPlain("a transfer")
    if edns is not None and edns.version:
        raise DnsError("a later version of EDNS", Rcode.BADVERS, asked._replace(edns=edns))
    return Query(number, opcode, recursion_desired, name, type_, class_, question, edns)


def _read_question(octets: bytes) -> tuple[Labels, bytes]:
    """Return the name and the octets of the question, no octets if it cannot be read."""
    name, end = _read_name(octets, _NAME_AT)
    end += _TYPE_CLASS.size
    return (name, octets[_NAME_AT:end]) if _NAME_AT < end <= len(octets) else ((), b"")


def _read_name(octets: bytes, at: int) -> tuple[Labels, int]:
    """Return the labels of a name without pointers, and where it ends: before the octets if there is none."""
    start = at
    labels: list[bytes] = []
    while at < len(octets) and (length := octets[at]):
        if length > limits.DNS_LABEL_BYTES_MAX:  # a pointer, or a type of label that was given up (RFC 6891 §5)
            return (), _NOWHERE
        at += 1
        labels.append(octets[at : at + length])
        at += length
    at += 1
    return (tuple(labels), at) if at <= min(len(octets), start + limits.DNS_NAME_BYTES_MAX) else ((), _NOWHERE)


def _skip_name(octets: bytes, at: int) -> int:
    """Return where a name ends, compressed or not. A pointer is not followed, so nothing goes in circles."""
    while at < len(octets) and (length := octets[at]):
        if length >= _POINTER >> 8:
            return at + 2
        at += 1 + length
    return at + 1


def _skip_soa(octets: bytes, at: int) -> int:
    """Return where a record ends, behind the octets if it is no whole SOA."""
    name_end = _skip_name(octets, at)
    if name_end + _FIXED.size > len(octets):
        return len(octets) + 1
    type_, _, _, length = _FIXED.unpack_from(octets, name_end)
    return name_end + _FIXED.size + length if type_ == Type.SOA else len(octets) + 1


def _read_additional(octets: bytes, at: int, amount: int) -> tuple[Edns | None, str]:
    """Read the records behind the question. Returns the first OPT, and what is wrong, if anything."""
    edns = None
    for left in reversed(range(amount)):
        name_end = _skip_name(octets, at)
        data_at = name_end + _FIXED.size
        if data_at > len(octets):
            return edns, "a record that is cut off"
        type_, class_, ttl, length = _FIXED.unpack_from(octets, name_end)
        if type_ in _SIGNATURES:
            if left:
                return edns, "a record behind the signature"
            raise NotPlain("signed")
        if type_ != Type.OPT or octets[at] or edns is not None:
            return edns, "a record that is not one OPT at the root"
        edns = Edns(ttl >> _VERSION_SHIFT & _VERSION, class_, ttl & _DO != 0)
        at = data_at + length
        # The options of another version may look otherwise, and the answer to them is BADVERS.
        if not (edns.version or _are_options(octets[data_at:at])):
            return edns, "an option that is cut off"
    return edns, "" if at == len(octets) else "octets are missing or left over"


def _are_options(octets: bytes) -> bool:
    """Whether these are options of EDNS: code (2), length (2), data, and so on."""
    at = 0
    while at < len(octets):
        at += _OPTION_BYTES + int.from_bytes(octets[at + 2 : at + _OPTION_BYTES], "big")
    return at == len(octets)


# --- answers ----------------------------------------------------------------


def encode_answer(query: Query, sections: Sections, udp_bytes: int | None) -> bytes:
    """Write an answer.

    ``udp_bytes``: the most that this node sends by UDP, None for TCP. Without EDNS that is at most
    DNS_PLAIN_UDP_BYTES, with EDNS what the client takes, DNS_PLAIN_UDP_BYTES at least. Bounds: the answer is no longer,
    as long as question and OPT alone are not. What is longer loses its additional section; if that is not
    enough, all records, and has TC. No referrals are made here, so no glue is ever needed (RFC 9471).
    The number, RD and the octets of the question are echoed. CD is not: an authority clears it. The OPT record stands
    exactly where the question had one, with the DO bit echoed.
    Errors: WireError: a name that is none.
    Source: RFC 2181 §9; RFC 3225 §3; RFC 4035 §3.1.6; RFC 6891 §6.1.1, §6.2.3.
    """
    opt = _opt(query.edns, sections.rcode)
    room = _bytes_max(query.edns, udp_bytes) - len(opt)
    flags = _flags(query, sections.rcode) | (_AA if sections.authoritative else 0)
    answers, authorities, additionals = len(sections.answer), len(sections.authority), len(sections.additional)
    written = bytearray(_NAME_AT) + query.question
    names = _suffixes(query.name)
    add_records(written, names, (*sections.answer, *sections.authority))
    if len(written) > room:
        answers = authorities = additionals = 0
        flags |= _TC
        del written[_NAME_AT + len(query.question) :]
    elif additionals:
        needed = len(written)
        add_records(written, names, sections.additional)
        if len(written) > room:
            additionals = 0
            del written[needed:]
    written += opt
    _HEADER.pack_into(written, 0, query.number, flags, 1, answers, authorities, additionals + bool(opt))
    return bytes(written)


def encode_error(error: DnsError) -> bytes:
    """Write the answer to a message that was refused: its question and an OPT record where they could be read.

    Never longer than that message.
    """
    asked = error.asked
    opt = _opt(asked.edns, error.rcode)
    return (
        _HEADER.pack(asked.number, _flags(asked, error.rcode), bool(asked.question), 0, 0, bool(opt))
        + asked.question
        + opt
    )


def name_to_wire(name: Labels) -> bytes:
    """Return the octets of a name, uncompressed; the data of NS, CNAME and DNAME is that.

    Errors: WireError: a label that is empty or longer than DNS_LABEL_BYTES_MAX, a name than DNS_NAME_BYTES_MAX.
    """
    written = bytearray()
    _add_name(written, {}, name)
    if len(written) > limits.DNS_NAME_BYTES_MAX:
        raise WireError(
            f"域名最长{limits.DNS_NAME_BYTES_MAX}个字节。A name in DNS has at most {limits.DNS_NAME_BYTES_MAX} octets"
        )
    return bytes(written)


def _flags(asked: Query | Asked, rcode: int) -> int:
    """Return the second two octets of an answer that is neither authoritative nor cut."""
    return _QR | asked.opcode << _OPCODE_SHIFT | (_RD if asked.recursion_desired else 0) | rcode & _RCODE


def _opt(edns: Edns | None, rcode: int) -> bytes:
    """Return the OPT record of an answer, nothing without EDNS. The size in it is that of questions that we take."""
    if edns is None:
        return b""
    ttl = rcode >> _RCODE_BITS << _RCODE_ABOVE_SHIFT | (_DO if edns.dnssec_ok else 0)
    return b"\0" + _FIXED.pack(Type.OPT, limits.DNS_UDP_BYTES, ttl, 0)


def _bytes_max(edns: Edns | None, udp_bytes: int | None) -> int:
    """Return how long an answer may be."""
    if udp_bytes is None:
        return limits.DNS_MESSAGE_BYTES_MAX
    taken = limits.DNS_PLAIN_UDP_BYTES
    return min(udp_bytes, taken if edns is None else max(taken, edns.udp_bytes))


def _suffixes(name: Labels) -> dict[Labels, int]:
    """Return where each end of the question's name stands, but not the root."""
    places = {}
    at = _NAME_AT
    for i in range(len(name)):
        places[name[i:]] = at
        at += 1 + len(name[i])
    return places


def add_records(written: bytearray, places: dict[Labels, int], records: Sequence[Rr]) -> None:
    """Write records, class IN. ``places``: where names stand that may be pointed to; grows."""
    for name, type_, ttl, data in records:
        _add_name(written, places, name)
        written += _FIXED.pack(type_, CLASS_IN, ttl, len(data))
        names = _NAMES_IN_DATA.get(type_)
        if names is None:
            written += data
            continue
        start = len(written)
        at = 0
        for _ in range(names):
            labels, at = _read_name(data, at)
            if at < 0:
                raise WireError(f"data of type {type_} that does not begin with a name")
            _add_name(written, places, labels)
        written += data[at:]
        _LENGTH.pack_into(written, start - _LENGTH.size, len(written) - start)


def _add_name(written: bytearray, places: dict[Labels, int], name: Labels) -> None:
    """Write a name, its end as a pointer where it stands already, in the same case."""
    for i, label in enumerate(name):
        rest = name[i:]
        place = places.get(rest)
        if place is not None:
            written += (_POINTER | place).to_bytes(2, "big")
            return
        if not 0 < len(label) <= limits.DNS_LABEL_BYTES_MAX:
            raise WireError(
                f"域名的标签应为1至{limits.DNS_LABEL_BYTES_MAX}个字节。"
                f"A label of a name in DNS has 1 to {limits.DNS_LABEL_BYTES_MAX} octets"
            )
        if len(written) <= _POINTED_MAX:
            places[rest] = len(written)
        written.append(len(label))
        written += label
    written.append(0)
