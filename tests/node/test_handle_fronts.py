"""The TCP and UDP fronts alone: a service that echoes, sockets that only note, and time that is passed in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from core import limits
from core.errors import NodeError, Outcome
from core.events import Via
from core.hdl.exchange import Transport
from core.peer import peer_of
from core.wire.codepoints import VERSION
from core.wire.envelope import ENVELOPE_BYTES, PACKET_PAYLOAD, Envelope, decode_envelope, encode_envelope, packets
from node.datagrams import Received
from node.handle_service import NO_QUICK_WAY, Answers, Quick, Sent
from node.handle_tcp import TcpConnection, TcpFront
from node.handle_udp import UdpFront
from node.turn import Turn
from tests.kit.logs import MemorySpool, at_once, everyone

ADDRESS = ("192.0.2.1", 4_000)


class Echo:
    """Answers by what it was asked. Payloads that begin with "w" wait, with "l" are lists; "c" asks for the end."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Event] = []
        self.parts = 0
        self.fails = False

    def at_once(self, _: Envelope, payload: bytes) -> bool:
        return payload[:1] not in (b"w", b"l")

    def answer_at_once(self, envelope: Envelope, payload: bytes, _: Transport, __: bytes) -> Answers:
        return Answers(Sent(envelope, payload), None, payload[:1] != b"c", Outcome.OK)

    async def answer(self, envelope: Envelope, payload: bytes, transport: Transport, peer: bytes) -> Answers:
        if self.fails:
            raise RuntimeError("an answer that cannot be made")
        if payload[:1] == b"w":
            self.waiting.append(asyncio.Event())
            await self.waiting[-1].wait()
            return self.answer_at_once(envelope, payload, transport, peer)
        return Answers(Sent(envelope, payload), self._more(envelope, payload), True, Outcome.OK)

    async def _more(self, envelope: Envelope, payload: bytes) -> AsyncIterator[Sent]:
        for _ in range(3):
            self.parts += 1
            yield Sent(envelope, payload)

    def refuse(self, envelope: Envelope, error: NodeError) -> Answers:
        text = b"refused: " + error.message.encode()
        return Answers(Sent(envelope._replace(length=len(text)), text), None, False, error.ended)


class Wire:
    """A socket that notes what is done to it."""

    def __init__(self) -> None:
        self.written = b""
        self.came: list[bytes] = []
        self.packets: list[bytes] = []
        self.unread = 0
        self.closed = self.aborted = self.reading_paused = self.said_all = False

    def write(self, octets: bytes) -> None:
        assert not self.said_all
        self.written += octets

    def receive(self) -> list[Received]:
        came, self.came = self.came, []
        return [(packet, ADDRESS, peer_of(ADDRESS)) for packet in came]

    def get_extra_info(self, name: str) -> object:
        assert name == "peername"
        return ADDRESS

    def send(self, datagrams: list[tuple[bytes, object]]) -> None:
        assert all(address == ADDRESS for _, address in datagrams)
        self.packets += [packet for packet, _ in datagrams]

    def write_eof(self) -> None:
        self.said_all = True

    def is_closing(self) -> bool:
        return self.closed or self.aborted

    def get_write_buffer_size(self) -> int:
        return self.unread

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.reading_paused = True

    def resume_reading(self) -> None:
        self.reading_paused = False


class Tcp:
    """A front with one connection, and the time it sees."""

    def __init__(self, connections_max: int = 100, turn: Turn | None = None, quick: Quick = NO_QUICK_WAY) -> None:
        self.now_s = 1_000.0
        self.service = Echo()
        self.observed = 0
        self.front = TcpFront(
            self.service,  # type: ignore[arg-type]
            turn or at_once(),
            everyone,
            self._observe,
            now_s=lambda: self.now_s,
            connections_max=connections_max,
            quick=quick,
        )
        self.connection, self.wire = self.connect()

    def _observe(self, count: int) -> None:
        self.observed += count

    def connect(self) -> tuple[TcpConnection, Wire]:
        connection, wire = TcpConnection(self.front), Wire()
        connection.connection_made(wire)  # type: ignore[arg-type]
        return connection, wire

    def pass_s(self, seconds: float) -> None:
        self.now_s += seconds
        self.front.sweep(self.now_s)


def message(payload: bytes, request_id: int = 1) -> bytes:
    return encode_envelope(Envelope(VERSION, VERSION, 0, request_id, len(payload))) + payload


async def turn() -> None:
    """Let everything that is ready go on."""
    for _ in range(20):
        await asyncio.sleep(0)


# --- time ---------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", message(b"x")[:10], message(b"abc")[:-1]], ids=len)
def test_a_connection_that_is_half_open_is_closed(sent: bytes) -> None:
    """Without a word after HANDLE_IDLE_S, with part of a message after HANDLE_MESSAGE_S; not before."""
    tcp = Tcp()
    bound = limits.HANDLE_MESSAGE_S if sent else limits.HANDLE_IDLE_S
    if sent:
        tcp.connection.data_received(sent)
    tcp.pass_s(bound - 0.1)
    assert not tcp.wire.is_closing()
    tcp.pass_s(0.1)
    assert tcp.wire.aborted


def test_a_message_that_trickles_in_has_no_longer() -> None:
    """The time runs from its first octet, however steadily the others come."""
    tcp = Tcp()
    for octet in message(b"x" * 100):
        tcp.connection.data_received(bytes([octet]))
        tcp.pass_s(1)
    assert tcp.wire.aborted
    assert tcp.observed == 0


def test_each_whole_message_begins_the_time_anew() -> None:
    """A kept connection that asks now and then lives on; one that falls silent does not."""
    tcp = Tcp()
    for _ in range(10):
        tcp.connection.data_received(message(b"x"))
        tcp.pass_s(limits.HANDLE_IDLE_S - 1)
    assert not tcp.wire.is_closing()
    tcp.pass_s(1)
    assert tcp.wire.aborted


def test_a_message_that_waits_for_its_answer_is_not_swept() -> None:
    """Nor if the next one begins to come meanwhile: the registrar's own bounds hold."""

    async def run() -> None:
        tcp = Tcp()
        tcp.connection.data_received(message(b"w"))
        await turn()
        tcp.connection.data_received(message(b"next"))
        tcp.pass_s(10_000)
        assert not tcp.wire.is_closing()
        tcp.service.waiting[0].set()
        await turn()
        assert tcp.wire.written == message(b"w") + message(b"next")
        tcp.pass_s(limits.HANDLE_IDLE_S)
        assert tcp.wire.aborted

    asyncio.run(run())


# --- order and end ------------------------------------------------------------


def test_answers_come_in_the_order_of_the_messages() -> None:
    """One that waits holds those behind it back, over many turns of the loop."""

    async def run() -> None:
        tcp = Tcp()
        wanted = [message(b"w" if number % 70 == 7 else b"m%d" % number, number) for number in range(300)]
        tcp.connection.data_received(b"".join(wanted))
        for _ in range(300 // 70 + 1):
            await turn()
            for event in tcp.service.waiting:
                event.set()
        await turn()
        assert tcp.wire.written == b"".join(wanted)
        assert tcp.front.buffered == 0

    asyncio.run(run())


@pytest.mark.parametrize("count", [1, 63, 64, 65, 1_000])
@pytest.mark.parametrize("tail", [b"", b"half"])
def test_what_was_asked_before_the_end_is_answered(count: int, tail: bytes) -> None:
    """Every whole message, and then the connection is closed, whatever stands behind them."""

    async def run() -> None:
        tcp = Tcp()
        tcp.connection.data_received(message(b"m") * count + tail)
        assert tcp.connection.eof_received()
        await turn()
        assert tcp.wire.written == message(b"m") * count
        assert tcp.wire.closed

    asyncio.run(run())


def test_the_end_while_an_answer_waits() -> None:
    """It is still sent."""

    async def run() -> None:
        tcp = Tcp()
        tcp.connection.data_received(message(b"w"))
        await turn()
        assert tcp.connection.eof_received()
        assert not tcp.wire.is_closing()
        tcp.service.waiting[0].set()
        await turn()
        assert (tcp.wire.written, tcp.wire.closed) == (message(b"w"), True)

    asyncio.run(run())


def test_a_message_without_keep_alive_is_the_last() -> None:
    """What stands behind it is not looked at."""
    tcp = Tcp()
    tcp.connection.data_received(message(b"c") + message(b"d"))
    assert (tcp.wire.written, tcp.wire.closed, tcp.observed) == (message(b"c"), True, 1)


def test_a_refusal_is_not_lost_behind_what_still_comes() -> None:
    """It is said, then nothing more; what comes is read away for LINGER_S, or until the client ends."""
    far = encode_envelope(Envelope(VERSION, VERSION, 0, 1, limits.MESSAGE_BYTES_MAX + 1))
    for ends in (True, False):
        tcp = Tcp()
        tcp.connection.data_received(message(b"first") + far + bytes(limits.MESSAGE_BYTES_MAX + 100))
        assert tcp.wire.written.startswith(message(b"first"))
        assert tcp.wire.written.count(b"refused: ") == 1
        assert tcp.wire.said_all
        assert not tcp.wire.is_closing()
        assert not tcp.wire.reading_paused
        for _ in range(10):
            tcp.connection.data_received(bytes(100_000))
        assert tcp.front.buffered == 0
        if ends:
            tcp.connection.eof_received()
            assert tcp.wire.closed
        tcp.pass_s(limits.LINGER_S)
        assert tcp.wire.is_closing()


def test_draining_ends_behind_the_answers_under_way() -> None:
    """An idle connection at once; one that waits, with its answer; one that never ends, after DRAIN_S."""

    async def run() -> None:
        tcp = Tcp()
        busy, wire = tcp.connect()
        busy.data_received(message(b"w"))
        await turn()
        draining = asyncio.ensure_future(tcp.front.drain())
        await turn()
        assert (tcp.wire.closed, wire.closed) == (True, False)
        tcp.service.waiting[0].set()
        await turn()
        assert (wire.written, wire.closed) == (message(b"w"), True)
        tcp.connection.connection_lost(None)
        busy.connection_lost(None)
        await draining

    asyncio.run(run())


@pytest.mark.parametrize("paused", [False, True])
def test_draining_answers_what_came_whole(paused: bool) -> None:
    """More than one turn takes, and what waits because the client does not read."""

    async def run() -> None:
        ends: list[Callable[[], None]] = []
        tcp = Tcp(turn=Turn(MemorySpool(), lambda *_: None, lambda: None, lambda: 0.0, ends.append))
        one, count = message(b"m" + b"\xff" * 44), 100
        if paused:
            tcp.connection.pause_writing()
        tcp.connection.data_received(one * count + one[:9])
        ends[-1]()
        tcp.connection.finish()
        if paused:
            tcp.connection.resume_writing()
        for _ in range(4):
            await turn()
            ends[-1]()
        assert tcp.wire.written == one * count
        assert tcp.wire.closed

    asyncio.run(run())


# --- bounds -------------------------------------------------------------------


def test_a_client_that_does_not_read_is_not_read_from() -> None:
    """Nothing is answered while the socket is full; reading stops at one message ahead; then all goes on."""

    async def run() -> None:
        tcp = Tcp()
        tcp.connection.pause_writing()
        one = message(b"m" * 10_000)
        sent = 0
        while not tcp.wire.reading_paused and sent < 100:
            tcp.connection.data_received(one)
            sent += 1
        assert tcp.wire.reading_paused
        assert tcp.wire.written == b""
        assert limits.MESSAGE_BYTES_MAX < tcp.front.buffered < limits.MESSAGE_BYTES_MAX + ENVELOPE_BYTES + 2 * len(one)
        tcp.connection.resume_writing()
        await turn()
        assert tcp.wire.written == one * sent
        assert not tcp.wire.reading_paused
        tcp.connection.pause_writing()
        tcp.connection.data_received(message(b"m"))
        tcp.pass_s(limits.HANDLE_MESSAGE_S)
        assert tcp.wire.aborted

    asyncio.run(run())


def test_a_list_waits_for_its_reader_and_is_given_up_with_him() -> None:
    """No part is made ahead; HANDLE_IDLE_S later the connection is gone, and nothing waits any more."""

    async def run() -> None:
        tcp = Tcp()
        tcp.connection.pause_writing()
        tcp.connection.resume_writing()
        tcp.connection.data_received(message(b"l"))
        tcp.connection.pause_writing()
        await turn()
        assert tcp.service.parts == 1
        tcp.pass_s(limits.HANDLE_IDLE_S - 1)
        assert not tcp.wire.is_closing()
        tcp.pass_s(1)
        assert tcp.wire.aborted
        tcp.connection.connection_lost(None)
        await turn()
        assert tcp.service.parts == 1
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())


class OneState:
    """A quick way that answers what has come whole by when its state was begun, with the number of the state."""

    def __init__(self) -> None:
        self.state = 0
        self.begun = False
        self.came: set[bytes] = set()
        self.seen: set[bytes] = set()
        self.stale: list[bytes] = []

    def begin(self) -> bool:
        assert not self.begun
        self.begun = True
        self.state += 1
        self.seen = set(self.came)
        return True

    def end(self) -> None:
        self.begun = False

    def answer(self, octets: bytes, bytes_max: int, via: Via, peer: bytes) -> bytes | None:
        assert self.begun
        if octets not in self.seen:
            self.stale.append(octets)
        return b"%d," % self.state


def test_what_comes_to_many_is_answered_from_one_state_behind_it() -> None:
    """Never from a state that was begun before the message came; what is much is answered at once, also from its own.

    All that is gathered is answered with the turn that it came in.
    """

    async def run() -> None:
        ends: list[Callable[[], None]] = []
        quick = OneState()
        tcp = Tcp(turn=Turn(MemorySpool(), lambda *_: None, lambda: None, lambda: 0.0, ends.append), quick=quick)
        lines = [(tcp.connection, tcp.wire), *(tcp.connect() for _ in range(9))]

        def come(line: int, *payloads: bytes) -> None:
            octets = [message(payload.ljust(8) + b"\xff" * 36) for payload in payloads]  # all flags: to be kept open
            quick.came.update(octets)
            lines[line][0].data_received(b"".join(octets))

        for line in range(10):
            come(line, b"%d" % line)
        assert [wire.written for _, wire in lines] == [b""] * 10
        ends[0]()
        assert [wire.written for _, wire in lines] == [b"1,"] * 10
        come(0, b"a")
        come(1, *(b"%d" % number for number in range(300)))  # more than waits
        come(2, b"b")
        ends[1]()
        assert [wire.written for _, wire in lines[:4]] == [b"1,2,", b"1," + b"2," * 64, b"1,3,", b"1,"]
        assert quick.stale == []

    asyncio.run(run())


def test_at_the_cap_those_go_that_have_waited_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """HANDLE_EVICTED at once; one of which something has come stays, and one that has not read its answer."""
    monkeypatch.setattr(limits, "HANDLE_EVICTED", 2)
    tcp = Tcp(6)
    lines = [(tcp.connection, tcp.wire)]
    for _ in range(5):
        tcp.now_s += 1
        lines.append(tcp.connect())
    lines[0][0].data_received(b"half")
    lines[1][1].unread = 1
    assert not tcp.connect()[1].aborted
    assert [wire.aborted for _, wire in lines] == [False, False, True, True, False, False]
    assert len(tcp.front.connections) == 5


def test_where_none_may_go_one_more_is_refused() -> None:
    """And takes nobody's place; one that ends makes room."""
    tcp = Tcp(3)
    lines = [(tcp.connection, tcp.wire), tcp.connect(), tcp.connect()]
    for connection, _ in lines:
        connection.data_received(b"half")
    refused = [tcp.connect() for _ in range(3)]
    assert [wire.aborted for _, wire in (*lines, *refused)] == [False] * 3 + [True] * 3
    for connection, _ in refused:
        connection.connection_lost(None)
    assert len(tcp.front.connections) == 3
    lines[0][0].connection_lost(None)
    assert not tcp.connect()[1].aborted


def test_one_connection_that_fails_does_not_strand_the_others_of_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended; those behind it are answered, in this turn and later."""
    ends: list[Callable[[], None]] = []
    tcp = Tcp(turn=Turn(MemorySpool(), lambda *_: None, lambda: None, lambda: 0.0, ends.append))
    other, wire = tcp.connect()

    def fails(*_: object) -> Answers:
        raise RuntimeError("a refusal that cannot be made")

    monkeypatch.setattr(Echo, "refuse", fails)
    keep = b"m" + b"\xff" * 44
    tcp.connection.data_received(encode_envelope(Envelope(VERSION, VERSION, 0, 1, limits.MESSAGE_BYTES_MAX + 1)))
    other.data_received(message(keep))
    ends[-1]()
    assert tcp.wire.aborted
    assert wire.written == message(keep)
    other.data_received(message(keep))
    ends[-1]()
    assert wire.written == message(keep) * 2


def test_all_messages_that_are_there_in_part_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection that holds the most is ended, not the one that came last; what it held is free again."""
    monkeypatch.setattr(limits, "HANDLE_BUFFERED_BYTES_MAX", 1_000)
    tcp = Tcp()
    whole = message(b"x" * 5_000)
    tcp.connection.data_received(whole[:800])
    second, wire = tcp.connect()
    second.data_received(whole[:300])
    assert (tcp.wire.aborted, wire.aborted) == (True, False)
    tcp.connection.connection_lost(None)
    assert tcp.front.buffered == 300
    second.connection_lost(None)
    assert tcp.front.buffered == 0


def test_an_answer_that_fails_ends_its_connection_alone(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged."""

    async def run() -> None:
        tcp = Tcp()
        tcp.service.fails = True
        _, other = tcp.connect()
        tcp.connection.data_received(message(b"w"))
        await turn()
        assert (tcp.wire.aborted, other.aborted) == (True, False)

    asyncio.run(run())
    assert "failed on its way" in caplog.text


# --- UDP ----------------------------------------------------------------------


class Udp:
    """A front without a socket, and the time it sees."""

    def __init__(self, answer_bytes: int = 65_536) -> None:
        self.now_s = 1_000.0
        self.service = Echo()
        self.wire = Wire()
        self.front = UdpFront(self.service, at_once(), everyone, answer_bytes, lambda _: None, now_s=lambda: self.now_s)  # type: ignore[arg-type]
        self.front.serve(self.wire)  # type: ignore[arg-type]

    def ask(self, *datagrams: bytes) -> list[bytes]:
        self.wire.packets.clear()
        for datagram in datagrams:
            self.wire.came.append(datagram)
            self.front.take()
        return list(self.wire.packets)


def in_packets(size: int, request_id: int = 1) -> list[bytes]:
    payload = bytes(24) + b"m" * (size - 24)
    return list(packets(Envelope(VERSION, VERSION, 0, request_id, size), payload))


@pytest.mark.parametrize("bound", [0, 100, 511, 512, 1_024, 4_096, 65_536])
@pytest.mark.parametrize("size", [24, 80, PACKET_PAYLOAD, PACKET_PAYLOAD + 1, 2_000, 60_000])
def test_an_answer_is_never_longer_than_the_setting(bound: int, size: int) -> None:
    """The first packets of it, as many as fit, each whole."""
    udp = Udp(bound)
    whole = in_packets(size)
    came = udp.ask(*whole)
    assert came == whole[: len(came)]
    assert sum(map(len, came)) <= bound
    assert len(came) == len(whole) or sum(map(len, came)) + len(whole[len(came)]) > bound


def test_packets_that_come_too_late_are_forgotten() -> None:
    """The message is put together within UDP_ASSEMBLY_S of its first packet, or not at all."""
    for waited, answered in ((limits.UDP_ASSEMBLY_S - 0.1, True), (limits.UDP_ASSEMBLY_S, False)):
        udp = Udp()
        first, *rest = in_packets(2_000)
        assert udp.ask(first) == []
        udp.now_s += waited
        assert bool(udp.ask(*rest)) == answered


def test_the_oldest_message_goes_when_there_are_too_many() -> None:
    """UDP_ASSEMBLIES_MAX are under way; those that stay become whole."""
    udp = Udp()
    all_of_them = [in_packets(1_000, number) for number in range(limits.UDP_ASSEMBLIES_MAX + 1)]
    for first, *_ in all_of_them:
        assert udp.ask(first) == []
    ids = [[decode_envelope(packet).request_id for packet in udp.ask(*rest)] for _, *rest in all_of_them[1:]]
    assert all(set(each) == {number} for number, each in enumerate(ids, 1))
    assert udp.ask(*all_of_them[0][1:]) == []


def test_there_are_only_so_many_datagrams_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those beyond are dropped; reads are answered all the while."""
    monkeypatch.setattr(limits, "HANDLE_UNDER_WAY_MAX", 3)

    async def run() -> None:
        udp = Udp()
        slow, quick = message(b"w" + bytes(30)), message(b"m" + bytes(30))
        for octets in (slow, quick):  # shorter ones would be dropped
            assert len(octets) >= 44
        assert udp.ask(*[slow] * 5, quick) == [quick]
        await turn()
        assert len(udp.service.waiting) == 3
        for event in udp.service.waiting:
            event.set()
        await turn()
        assert udp.wire.packets == [quick, slow, slow, slow]
        assert udp.ask(slow) == []
        await turn()
        assert len(udp.service.waiting) == 4

    asyncio.run(run())


def test_nothing_is_sent_once_it_is_closed() -> None:
    """Nor before there is a socket."""
    udp = Udp()
    udp.front.close()
    assert udp.ask(message(b"m" + bytes(30))) == []
    bare = UdpFront(Echo(), at_once(), everyone, 512, lambda _: None)  # type: ignore[arg-type]
    bare.take()
    bare.close()
