"""A running node against datagrams that are broken, foreign, forged or too many."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from core import limits
from core.wire.codepoints import ADMINISTRATIVE
from tests.kit.handle_messages import (
    ENVELOPE_BYTES,
    PLAIN,
    Envelope,
    Message,
    Op,
    bstr,
    join_packets,
    split_packets,
)
from tests.kit.handle_node import (
    assert_unharmed,
    client_of,
    datagrams_before,
    datagrams_to,
    memory_bytes,
    question,
    record,
    secret_key,
)
from tests.kit.node import Node

PREFIX = "88.118.7"
GOOD, BIG = f"{PREFIX}/GOOD", f"{PREFIX}/BIG"
ANSWER_BYTES = limits.UDP_ANSWER_BYTES
LAST = question(GOOD, 0x7ABC_DEF0, session_id=0x7ABC_DEF0)
GROWTH_BYTES_MAX = 48 << 20


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    made = Node(tmp_path_factory.mktemp("datagrams") / "node", PREFIX)
    with made:
        assert made.put(GOOD, record(made, "https://a.example")).status == 201
        assert made.put(BIG, record(made, "x" * 100_000)).status == 201
        yield made


@pytest.fixture
def line(node: Node) -> Iterator[socket.socket]:
    with datagrams_to(node) as opened:
        yield opened


@pytest.fixture(autouse=True)
def unharmed(node: Node) -> Iterator[None]:
    """After each test the same processes answer, and the log shows no failure."""
    before = node.children()
    yield
    assert node.children() == before
    assert_unharmed(node)


def replies(line: socket.socket, *datagrams: bytes) -> list[Message]:
    """Send datagrams; return the messages that come back, whole ones only."""
    for datagram in datagrams:
        line.send(datagram)
    return [Message.decode(came) for came in datagrams_before(line, LAST)]


def in_packets(size: int, request_id: int = 5) -> list[bytes]:
    """A question with many spare octets, which needs several packets."""
    message = question(GOOD, request_id)
    return split_packets(replace(message, body=message.body + bytes(size)).encode())


def changed(packet: bytes, **fields: int) -> bytes:
    return Envelope.decode(packet)._replace(**fields).encode() + packet[ENVELOPE_BYTES:]  # type: ignore[arg-type]


# --- what is no message -------------------------------------------------------


@pytest.mark.parametrize("octets", [b"", b"\2", bytes(19), b"\xff" * 19], ids=len)
def test_less_than_an_envelope_is_dropped(line: socket.socket, octets: bytes) -> None:
    """There is no request id to answer to."""
    assert replies(line, octets) == []


@pytest.mark.parametrize("length", [0, 1, 57, 59, 0xFFFF_FFFF])
def test_a_length_that_is_not_that_of_the_datagram_is_refused(line: socket.socket, length: int) -> None:
    """RC 4 with the request's own id."""
    (answer,) = replies(line, changed(question(GOOD, 5).encode(), length=length))
    assert (answer.code, answer.request_id) == (4, 5)


@pytest.mark.parametrize("size", [limits.UDP_DATAGRAM_BYTES_MAX + 1, 65_507])
def test_a_datagram_that_is_too_long_is_refused(line: socket.socket, size: int) -> None:
    """Though it holds a whole question: a long message comes in packets, or by TCP."""
    message = question(GOOD, 5)
    whole = replace(message, body=message.body + bytes(size - len(message.encode()))).encode()
    assert len(whole) == size
    (answer,) = replies(line, whole)
    assert (answer.code, answer.request_id) == (4, 5)


@pytest.mark.parametrize("code", [1, 2, 4, 100, 402, 0xFFFF_FFFF])
def test_an_answer_is_dropped(line: socket.socket, code: int) -> None:
    """Whole, with a wrong length, or in packets: or two servers would talk in circles."""
    answer = Message(Op.RESOLVE, code, body=bstr(GOOD) + bytes(2_000), request_id=5)
    small = replace(answer, body=b"")
    octets = small.encode(), small.encode() + b"\0", changed(small.encode(), sequence=7)
    assert replies(line, *octets, *split_packets(answer.encode())) == []


def test_an_answer_that_cannot_be_read_ends_in_one_refusal(line: socket.socket) -> None:
    """An encrypted message may be one; the refusal is no question, so it ends there."""
    encrypted = Envelope((2, 11), (2, 11), 77, 5, 0, 48, encrypted=True).encode() + bytes(48)
    (answer,) = replies(line, encrypted)
    assert (answer.code, answer.request_id, answer.session_id) == (500, 5, 77)
    assert replies(line, answer.encode()) == []


@pytest.mark.parametrize("op", sorted(ADMINISTRATIVE))
def test_administration_by_udp_is_refused(line: socket.socket, op: int) -> None:
    """RC 4 under the client's own request id, whatever it names and however it is damaged behind its header."""
    message = Message(op, body=bstr(GOOD) + bytes(8), request_id=5)
    for octets in (message.encode(), replace(message, body=b"").encode()):
        (answer,) = replies(line, octets)
        assert (answer.code, answer.op, answer.request_id) == (4, op, 5)
        assert answer.body[4:] == b"Received admin request on non-admin interface"


def test_a_challenge_to_a_change_is_not_answered_by_udp(node: Node) -> None:
    """It came by TCP; the proof by UDP is refused as the change itself would be, and nothing is done."""
    client = client_of(node, "tcp")
    asked = client.prepare(Op.DELETE, bstr(GOOD))
    challenge = client.send(asked)
    client.transport = client_of(node, "udp").transport
    assert client.answer(asked, challenge, secret_key(node)).code == 4
    assert client.resolve(GOOD).code == 1


# --- packets ------------------------------------------------------------------


def test_packets_in_any_order_and_twice_make_one_message(line: socket.socket) -> None:
    """One answer for each message, however its packets come."""
    chance = random.Random(1)
    for request_id in range(5, 15):
        packets = in_packets(3_000, request_id)
        chance.shuffle(packets)
        (answer,) = replies(line, *packets[:-1], packets[0], packets[-1])
        assert (answer.code, answer.request_id) == (1, request_id)


def test_packets_of_several_messages_may_be_mixed(line: socket.socket) -> None:
    """Each is put together by its own request id."""
    both = zip(in_packets(3_000, 5), in_packets(3_000, 6), strict=True)
    answers = replies(line, *(packet for pair in both for packet in pair))
    assert sorted((answer.code, answer.request_id) for answer in answers) == [(1, 5), (1, 6)]


def test_packets_are_not_put_together_with_those_of_another_sender(node: Node, line: socket.socket) -> None:
    """The same ids from another port are another message."""
    packets = in_packets(800)
    with datagrams_to(node) as other:
        assert replies(other, packets[0]) == []
        assert replies(line, *packets[1:]) == []
        assert [answer.code for answer in replies(line, packets[0])] == [1]


def test_a_missing_packet_is_waited_for(line: socket.socket) -> None:
    """No answer before it is there."""
    packets = in_packets(3_000)
    assert replies(line, *packets[:3], *packets[4:]) == []
    assert [answer.code for answer in replies(line, packets[3])] == [1]


MISFITS = {
    "overlaps the next": lambda packet: packet + b"\0",
    "leaves a gap": lambda packet: packet[:-1],
    "is empty": lambda packet: packet[:ENVELOPE_BYTES],
    "beyond the last": lambda packet: changed(packet, sequence=999),
    "announces another length": lambda packet: changed(packet, length=1_000),
    "encrypted, the first not": lambda packet: changed(packet, encrypted=True),
}


@pytest.mark.parametrize("what", MISFITS)
def test_a_packet_that_does_not_fit_ends_its_message(line: socket.socket, what: str) -> None:
    """RC 4, once; the packets that come behind it do not make the message whole."""
    packets = in_packets(3_000)
    (answer,) = replies(line, *packets[:2], MISFITS[what](packets[2]))
    assert (answer.code, answer.request_id) == (4, 5)
    assert replies(line, *packets[2:]) == []


@pytest.mark.parametrize("length", [0, limits.MESSAGE_BYTES_MAX + 1, 0xFFFF_FFFF])
def test_a_message_in_packets_that_cannot_be_is_refused(node: Node, line: socket.socket, length: int) -> None:
    """By its first packet: of no octets, or of too many. Nothing is set aside for it."""
    before = memory_bytes(node)
    for sequence in (0, 1, 0xFFFF_FFFF):
        (answer,) = replies(line, changed(in_packets(3_000)[0], length=length, sequence=sequence))
        assert (answer.code, answer.request_id) == (4, 5)
    assert memory_bytes(node) - before < 4 << 20


def test_messages_that_never_become_whole_are_bounded(node: Node, line: socket.socket) -> None:
    """5 000 first packets of the longest message: the oldest go, and a new one is still put together."""
    before = memory_bytes(node)
    (packet, *_) = in_packets(3_000)
    for number in range(5_000):
        line.send(changed(packet, request_id=number, length=limits.MESSAGE_BYTES_MAX))
        if number % 100 == 0:
            assert replies(line) == []
    assert [answer.code for answer in replies(line, *in_packets(3_000, 9_999))] == [1]
    assert memory_bytes(node) - before < GROWTH_BYTES_MAX


# --- answers ------------------------------------------------------------------


def test_an_answer_is_never_longer_than_the_bound(line: socket.socket) -> None:
    """Its first packets come, say how long it is, and the client goes to TCP."""
    line.send(question(BIG, 5).encode())
    came = datagrams_before(line, LAST)
    assert 0 < sum(map(len, came)) <= ANSWER_BYTES
    assert sum(map(len, came)) > ANSWER_BYTES - limits.UDP_PACKET_BYTES
    assert {Envelope.decode(datagram).length for datagram in came} > set()
    assert Envelope.decode(came[0]).length > 100_000
    assert join_packets(came) is None


def garbage(chance: random.Random) -> bytes:
    """One datagram: noise, an envelope with noise, one of several packets, or a question with wrong bits."""
    noise = chance.randbytes(chance.randrange(500))
    ids = chance.choice((0, 1, 2**32 - 1)), chance.randrange(1, 2**31)
    match chance.randrange(4):
        case 0:
            return noise
        case 1:
            return Envelope((2, 11), (2, 11), *ids, 0, len(noise), chance.random() < 0.2).encode() + noise
        case 2:
            length = chance.choice((len(noise), 3_000, 200_000))
            return Envelope((2, 11), (2, 11), *ids, chance.randrange(8), length, truncated=True).encode() + noise
    octets = bytearray(question(chance.choice((GOOD, BIG, "0.SITE/status")), ids[1], flags=PLAIN).encode())
    for _ in range(chance.randrange(1, 6)):
        octets[chance.randrange(len(octets))] = chance.randrange(256)
    return bytes(octets)


def test_noise_never_harms_the_node(node: Node, line: socket.socket) -> None:
    """500 datagrams: what comes back is packets, within the bound of each; the seed is in the failure's message."""
    seed = random.SystemRandom().randrange(2**32)
    chance = random.Random(seed)
    before = memory_bytes(node)
    for _ in range(500):
        octets = garbage(chance)
        line.send(octets)
        came = datagrams_before(line, LAST)
        assert sum(map(len, came)) <= ANSWER_BYTES, (seed, octets)
        assert all(ENVELOPE_BYTES < len(each) <= limits.UDP_PACKET_BYTES for each in came), (seed, octets)
    assert memory_bytes(node) - before < GROWTH_BYTES_MAX, seed
