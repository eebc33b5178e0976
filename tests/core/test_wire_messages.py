"""Messages of the Handle protocol: envelope, packets, header, bodies, credential; octets to value and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from core import limits
from core.errors import WireError
from core.records import HandleValue, ValueReference
from core.wire import body as bodies
from core.wire.codepoints import VERSION, OpCode, OpFlag, Version
from core.wire.credential import Credential, decode_credential, encode_credential
from core.wire.cursor import Cursor, bstr
from core.wire.envelope import (
    ENVELOPE_BYTES,
    PACKET_PAYLOAD,
    Assembly,
    Envelope,
    decode_envelope,
    encode_envelope,
    packets,
)
from core.wire.message import (
    DIGESTS,
    HEADER_BYTES,
    Header,
    Message,
    answer_flags,
    decode_message,
    digest_algorithm,
    encode_message,
    negotiate,
    peek_header,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
OCTETS = st.binary(max_size=60)
UINT8, UINT16, UINT32 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32))
INT32 = st.integers(-(2**31), 2**31 - 1)
INDEXES = st.lists(INT32, max_size=6).map(tuple)
REFERENCES = st.builds(ValueReference, TEXT, INT32)
VALUES = st.lists(
    st.builds(
        HandleValue, INT32, TEXT, st.binary(max_size=80), UINT32, st.booleans(), UINT8, UINT32,
        st.lists(REFERENCES, max_size=2).map(tuple),
    ),
    max_size=4,
).map(tuple)  # fmt: skip
VERSIONS = st.builds(Version, UINT8, UINT8)
ENVELOPES = st.builds(
    Envelope, VERSIONS, st.builds(Version, st.integers(0, 3), UINT8), UINT32, UINT32, UINT32, UINT32,
    st.integers(0, 63).map(lambda bits: bits << 2),
)  # fmt: skip
HEADERS = st.builds(
    Header, st.one_of(st.sampled_from(OpCode).map(int), UINT32), UINT32, UINT32, UINT16, UINT8, UINT32, UINT8
)
MESSAGES = st.builds(Message, HEADERS, st.binary(max_size=120), OCTETS)
CREDENTIALS = st.builds(Credential, TEXT, st.text(st.characters(max_codepoint=255), max_size=12), OCTETS, INT32)
SETUPS = st.one_of(
    st.builds(
        lambda m, t, r, key: bodies.SessionSetup(m, t, r, key), st.sampled_from([1, 4]), INT32, REFERENCES, OCTETS
    ),
    st.builds(lambda t, r, at: bodies.SessionSetup(3, t, r, key_at=at), INT32, REFERENCES, REFERENCES),
    st.builds(
        lambda m, t, r: bodies.SessionSetup(m, t, r), UINT16.filter(lambda m: m not in (1, 3, 4)), INT32, REFERENCES
    ),
)
DIGESTED = st.sampled_from(sorted(DIGESTS)).flatmap(
    lambda code: st.tuples(st.just(DIGESTS[code]), st.binary(min_size=DIGESTS[code].size, max_size=DIGESTS[code].size))
)


class Codec(NamedTuple):
    """One pair of functions, and what it is made for. ``whole``: no prefix of an encoding is one."""

    values: st.SearchStrategy[Any]
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]
    whole: bool = True


def of_cursor(read: Callable[[Cursor], Any]) -> Callable[[bytes], Any]:
    return lambda data: read(Cursor(data))


CODECS = {
    "envelope": Codec(ENVELOPES, encode_envelope, decode_envelope),
    "message": Codec(MESSAGES, encode_message, decode_message, whole=False),
    "credential": Codec(CREDENTIALS, encode_credential, decode_credential),
    "handle": Codec(TEXT, bodies.encode_handle, bodies.decode_handle),
    "1": Codec(
        st.builds(bodies.Question, TEXT, INDEXES, st.lists(TEXT, max_size=4).map(tuple)),
        bodies.encode_question, bodies.decode_question,
    ),
    "100 102 104": Codec(st.builds(bodies.Change, TEXT, VALUES), bodies.encode_change, bodies.decode_change),
    "103": Codec(st.builds(bodies.Removal, TEXT, INDEXES), bodies.encode_removal, bodies.decode_removal),
    "200": Codec(
        st.builds(bodies.ChallengeResponse, TEXT, REFERENCES, OCTETS),
        bodies.encode_challenge_response, bodies.decode_challenge_response,
    ),
    "201": Codec(
        st.builds(bodies.Verification, REFERENCES, OCTETS, OCTETS, OCTETS),
        bodies.encode_verification, bodies.decode_verification,
    ),
    "400": Codec(SETUPS, bodies.encode_session_setup, bodies.decode_session_setup, whole=False),
    "2001": Codec(REFERENCES, bodies.encode_reference, of_cursor(bodies.decode_reference)),
    "answer to 1": Codec(
        st.builds(bodies.Change, TEXT, VALUES), bodies.encode_change, of_cursor(bodies.decode_answer_values),
        whole=False,
    ),
    "answer to 105": Codec(
        st.lists(TEXT, max_size=6).map(tuple), bodies.encode_texts, of_cursor(bodies.decode_texts)
    ),
    "answer to 400": Codec(
        st.tuples(UINT16, OCTETS), lambda pair: bodies.encode_session_answer(*pair),
        of_cursor(bodies.decode_session_answer), whole=False,
    ),
    "digest": Codec(
        DIGESTED, lambda pair: bodies.encode_digest(*pair) if isinstance(pair, tuple) else b"\0" + bstr(pair),
        of_cursor(bodies.decode_digest),
    ),
}  # fmt: skip
every_codec = pytest.mark.parametrize("name", CODECS)
KNOWN_LENGTHS = [b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0\0\xff\xff", bytes(4)]


@st.composite
def damaged(draw: st.DrawFn, codec: Codec) -> bytes:
    """Valid octets with a few bits, octets or lengths wrong, or cut off."""
    data = bytearray(codec.encode(draw(codec.values)))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["cut", "flip", "insert", "delete", "length", "append"])):
            case "cut":
                del data[place:]
            case "flip" if place < len(data):
                data[place] ^= 1 << draw(st.integers(0, 7))
            case "insert":
                data[place:place] = draw(st.binary(min_size=1, max_size=4))
            case "delete":
                del data[place : place + draw(st.integers(1, 4))]
            case "length":
                data[place : place + 4] = draw(st.sampled_from(KNOWN_LENGTHS))
            case _:
                data += draw(st.binary(min_size=1, max_size=4))
    return bytes(data)


def value_or_wire_error(codec: Codec, data: bytes) -> None:
    """Anything but a WireError fails the test; what is read can be written and read again."""
    try:
        value = codec.decode(data)
    except WireError as error:
        assert error.message
        return
    assert codec.decode(codec.encode(value)) == value


# --- every codec ----------------------------------------------------------------


@every_codec
@given(draw=st.data())
def test_message_round_trip(name: str, draw: st.DataObject) -> None:
    """decode(encode(v)) == v, with unknown operations, codes, flags, modes and value types among them."""
    codec = CODECS[name]
    value = draw.draw(codec.values)
    assert codec.decode(codec.encode(value)) == (value[1] if name == "digest" else value)


@every_codec
@given(data=st.binary(max_size=200))
@example(data=b"")
@example(data=b"\xff" * 64)
@example(data=bytes(64))
def test_message_any_bytes_give_a_value_or_wire_error(name: str, data: bytes) -> None:
    """Octets from nowhere never raise anything but WireError."""
    value_or_wire_error(CODECS[name], data)


@every_codec
@given(draw=st.data())
def test_message_total_on_damaged_encodings(name: str, draw: st.DataObject) -> None:
    """Nearly valid octets reach deeper than random ones: still a value or WireError."""
    codec = CODECS[name]
    value_or_wire_error(codec, draw.draw(damaged(codec)))


@every_codec
@given(draw=st.data())
def test_message_total_on_every_truncation(name: str, draw: st.DataObject) -> None:
    """A prefix is refused, or where fields may be missing, read as what it is."""
    codec = CODECS[name]
    data = codec.encode(draw.draw(codec.values))
    cut = data[: draw.draw(st.integers(0, max(len(data) - 1, 0)))]
    value_or_wire_error(codec, cut)
    if codec.whole:
        with pytest.raises(WireError):
            codec.decode(cut)


@pytest.mark.parametrize("name", [name for name in CODECS if name not in ("message", "answer to 1")])
@given(draw=st.data())
def test_message_round_trip_passes_over_what_stands_behind(name: str, draw: st.DataObject) -> None:
    """Spare octets behind the fields change nothing: the reference client's op 400 has two."""
    codec = CODECS[name]
    data = codec.encode(draw.draw(codec.values))
    assert codec.decode(data + draw.draw(OCTETS)) == codec.decode(data)


# --- envelope -------------------------------------------------------------------


@given(ENVELOPES)
def test_an_envelope_round_trip_is_octet_for_octet(envelope: Envelope) -> None:
    """20 octets; the flags say what they say, and unknown ones are kept."""
    octets = encode_envelope(envelope)
    assert len(octets) == ENVELOPE_BYTES
    assert encode_envelope(decode_envelope(octets + b"more")) == octets
    found = (envelope.compressed, envelope.encrypted, envelope.in_packets)
    assert found == tuple(bool(octets[2] & bit) for bit in (0x80, 0x40, 0x20))
    assert decode_envelope(encode_envelope(envelope.with_encryption(9))).encrypted


@given(st.binary(min_size=ENVELOPE_BYTES, max_size=ENVELOPE_BYTES))
def test_any_bytes_of_an_envelope_are_one(octets: bytes) -> None:
    """No bit of it is refused, and none is lost."""
    assert encode_envelope(decode_envelope(octets)) == octets


@given(ENVELOPES)
@example(Envelope(Version(2, 99), Version(0, 0), 0, 0, 0))
@example(Envelope(Version(2, 3), Version(0, 0), 0, 0, 0))
@example(Envelope(Version(5, 0), Version(0, 0), 0, 0, 0))
def test_the_negotiated_version_is_total_and_never_above_ours(envelope: Envelope) -> None:
    """What the peer suggests, or for 0.0 its own, at most 2.11."""
    version = negotiate(envelope)
    assert (0, 0) <= version <= VERSION
    if envelope.suggested != (0, 0):
        assert version == min(envelope.suggested, VERSION)
    elif envelope.version <= VERSION:
        assert version == envelope.version
    else:
        assert version == ((2, 0) if envelope.version.major > 2 else VERSION)


@given(UINT32)
def test_the_flags_of_an_answer_are_total(flags: int) -> None:
    """AUTHORITATIVE and RECURSIVE always; what is copied was asked; nothing that nobody knows comes back."""
    answered = answer_flags(flags)
    assert answered & (OpFlag.AUTHORITATIVE | OpFlag.RECURSIVE) == OpFlag.AUTHORITATIVE | OpFlag.RECURSIVE
    copied = answered & ~(OpFlag.AUTHORITATIVE | OpFlag.RECURSIVE)
    assert copied & ~flags == 0
    assert not answered & (OpFlag.KEEP_ALIVE | OpFlag.CONTINUOUS | OpFlag.OVERWRITE | 0x000F_FFFF)


# --- packets --------------------------------------------------------------------

LENGTHS = st.one_of(
    st.integers(0, 4_000),
    st.sampled_from([0, 1, PACKET_PAYLOAD - 1, PACKET_PAYLOAD, PACKET_PAYLOAD + 1, 2 * PACKET_PAYLOAD]),
)
ROOTS = ENVELOPES.map(lambda envelope: envelope._replace(sequence=0, flags=envelope.flags & ~0x20))


def message_of(length: int) -> bytes:
    return b"".join(number.to_bytes(4, "big") for number in range(length // 4 + 1))[:length]


def split(packet: bytes) -> tuple[Envelope, bytes]:
    return decode_envelope(packet), packet[ENVELOPE_BYTES:]


@given(envelope=ROOTS, length=LENGTHS, draw=st.data())
def test_packets_round_trip_in_any_order(envelope: Envelope, length: int, draw: st.DataObject) -> None:
    """Each at most 512 octets; whole when the last of them is there, not before; doubles are passed over."""
    message, envelope = message_of(length), envelope._replace(length=length)
    whole = list(packets(envelope, message))
    assert all(len(packet) <= limits.UDP_PACKET_BYTES for packet in whole)
    if length <= PACKET_PAYLOAD:
        assert [split(packet) for packet in whole] == [(envelope, message)]
        return
    assert all(split(packet)[0].in_packets for packet in whole)
    order = draw.draw(st.permutations(whole))
    doubles = draw.draw(st.lists(st.sampled_from(order[:-1]), max_size=3))
    assembly = Assembly(split(order[0])[0])
    assert [assembly.add(*split(packet)) for packet in [*order[:-1], *doubles]] == [None] * (
        len(order) - 1 + len(doubles)
    )
    assert assembly.add(*split(order[-1])) == (envelope, message)


FOREIGN: dict[str, Callable[[Envelope], Envelope]] = {
    "version": lambda e: e._replace(version=Version(e.version.major ^ 1, e.version.minor)),
    "suggested": lambda e: e._replace(suggested=Version(e.suggested.major ^ 1, e.suggested.minor)),
    "session": lambda e: e._replace(session_id=e.session_id ^ 1),
    "request": lambda e: e._replace(request_id=e.request_id ^ 1),
    "longer": lambda e: e._replace(length=e.length + 1),
    "shorter": lambda e: e._replace(length=e.length - 1),
    "encrypted": lambda e: e._replace(flags=e.flags ^ 0x40),
    "unknown flag": lambda e: e._replace(flags=e.flags ^ 0x10),
    "too many": lambda e: e._replace(sequence=e.length // PACKET_PAYLOAD + 1),
    "far too many": lambda e: e._replace(sequence=0xFFFF_FFFF),
}


@pytest.mark.parametrize("what", FOREIGN)
@given(envelope=ROOTS, length=st.integers(PACKET_PAYLOAD + 1, 4_000), draw=st.data())
def test_packets_total_on_foreign_ones(what: str, envelope: Envelope, length: int, draw: st.DataObject) -> None:
    """One whose envelope differs in anything but its place is refused."""
    whole = list(packets(envelope._replace(length=length), message_of(length)))
    first, payload = split(draw.draw(st.sampled_from(whole)))
    other = FOREIGN[what](first)
    with pytest.raises(WireError):
        Assembly(first).add(other, payload)


@given(envelope=ROOTS, length=LENGTHS, draw=st.data())
def test_packets_total_on_slices_of_another_length(envelope: Envelope, length: int, draw: st.DataObject) -> None:
    """A slice has its one place and its one length: what overlaps the next, or leaves a gap, is refused."""
    first = envelope._replace(length=length, sequence=draw.draw(st.integers(0, length // PACKET_PAYLOAD)))
    share = min(PACKET_PAYLOAD, length - first.sequence * PACKET_PAYLOAD)
    wrong = draw.draw(st.integers(0, 600).filter(lambda size: size != share or not length))
    with pytest.raises(WireError):
        Assembly(first).add(first, bytes(wrong))


@given(st.lists(st.tuples(ROOTS, st.integers(0, 4), st.integers(0, 600)), min_size=1, max_size=12), LENGTHS)
def test_packets_total_on_any(pieces: list[tuple[Envelope, int, int]], length: int) -> None:
    """Whatever comes, the answer is None, WireError, or a message of the length that was announced."""
    first = pieces[0][0]._replace(length=length)
    assembly = Assembly(first)
    for other, sequence, size in pieces:
        for envelope in (other, first):
            try:
                made = assembly.add(envelope._replace(sequence=sequence), bytes(size))
            except WireError:
                continue
            assert made is None or (made[0].length == len(made[1]) == length)


@given(ENVELOPES)
def test_packets_total_on_any_announced_length(envelope: Envelope) -> None:
    """Beyond MESSAGE_BYTES_MAX nothing is set aside."""
    if envelope.length > limits.MESSAGE_BYTES_MAX:
        with pytest.raises(WireError, match="are taken"):
            Assembly(envelope)
    else:
        Assembly(envelope)


# --- header and message ---------------------------------------------------------


@given(HEADERS, OCTETS)
def test_a_header_round_trip_before_anything_else(header: Header, behind: bytes) -> None:
    """It is read by itself, however what stands behind it is damaged."""
    octets = Message(header, b"").signed_part
    assert len(octets) == HEADER_BYTES
    assert peek_header(octets + behind) == header
    assert peek_header(octets[:-1]) is None


@given(HEADERS, OCTETS)
def test_message_round_trip_without_the_length_of_a_credential(header: Header, body: bytes) -> None:
    """It may be missing in a request that carries none."""
    message = Message(header, body)
    assert decode_message(message.signed_part) == decode_message(encode_message(message)) == message


@given(MESSAGES, st.integers(0, 2**32 - 1), st.sampled_from(["body", "credential"]))
def test_message_total_on_lengths_that_are_not_there(message: Message, length: int, which: str) -> None:
    """A body that is longer than the message, a credential of any other length: WireError, and nothing is set aside."""
    data = bytearray(encode_message(message))
    place = 20 if which == "body" else HEADER_BYTES + len(message.body)
    assume(length != int.from_bytes(data[place : place + 4], "big"))
    data[place : place + 4] = length.to_bytes(4, "big")
    if which == "credential" or length > len(data) - HEADER_BYTES:
        with pytest.raises(WireError):
            decode_message(bytes(data))
    else:
        value_or_wire_error(CODECS["message"], bytes(data))


@pytest.mark.parametrize("extra", [1, 2, 3])
def test_part_of_the_length_of_a_credential_is_refused(extra: int) -> None:
    """All four octets of it, or none."""
    with pytest.raises(WireError, match="credential"):
        decode_message(Message(Header(1, 0, 0, 0, 0, 0), b"x").signed_part + bytes(extra))


@given(VERSIONS)
def test_each_version_round_trip_has_its_digest(version: Version) -> None:
    """SHA-256 from 2.7, SHA-1 from 2.1, MD5 before."""
    assert digest_algorithm(version).code == (3 if version >= (2, 7) else 2 if version >= (2, 1) else 1)


# --- bounds ---------------------------------------------------------------------


def test_arrays_of_requests_have_bounds() -> None:
    """QUERY_FIELDS_MAX indexes and types, VALUES_PER_RECORD_MAX values; one more is refused."""
    most, values = limits.QUERY_FIELDS_MAX, limits.VALUES_PER_RECORD_MAX
    question = bodies.Question("a", (1,) * most, ("t",) * most)
    assert bodies.decode_question(bodies.encode_question(question)) == question
    change = bodies.Change("a", (HandleValue(1, "T", b""),) * values)
    assert bodies.decode_change(bodies.encode_change(change)) == change
    for data, decode in (
        (bodies.encode_question(question._replace(indexes=(1,) * (most + 1))), bodies.decode_question),
        (bodies.encode_question(question._replace(types=("t",) * (most + 1))), bodies.decode_question),
        (bodies.encode_removal(bodies.Removal("a", (1,) * (most + 1))), bodies.decode_removal),
        (bodies.encode_change(change._replace(values=(*change.values, change.values[0]))), bodies.decode_change),
    ):
        with pytest.raises(WireError, match="does not fit"):
            decode(data)


@given(st.binary(max_size=12))
def test_any_bytes_of_a_digest_with_an_unknown_algorithm_are_refused(octets: bytes) -> None:
    """0 is the old form, 1 to 3 are known."""
    for code in (4, 127, 255):
        with pytest.raises(WireError, match="none of"):
            bodies.decode_digest(Cursor(bytes([code]) + octets))
