"""DNS over TCP alone: streams in pieces, order, deadlines, slow readers, transfers; sockets that only note."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.events import Via
from core.store.memory_engine import MemoryEngine
from node.dns_service import DnsService, Transfers
from node.dns_tcp import DnsConnection, DnsTcpFront
from node.turn import Turn
from resolver.ratelimit import Admits
from tests.kit.dns import StandInZones, ask, framed, rcode, read, unframed
from tests.kit.logs import MemorySpool, at_once, everyone

ADDRESS = ("192.0.2.1", 4_000)
IDLE_S = limits.DNS_TCP_IDLE_S


class Wire:
    """A socket that notes what is done to it. ``unread``: octets that its client has not taken."""

    def __init__(self) -> None:
        self.written = b""
        self.kernel = b""
        self.unread = 0
        self.closed = self.aborted = self.reading_paused = False

    def write(self, octets: bytes) -> None:
        assert not self.is_closing()
        self.written += octets

    def get_extra_info(self, name: str) -> object:
        return ADDRESS if name == "peername" else None

    def is_closing(self) -> bool:
        return self.closed or self.aborted

    def get_write_buffer_size(self) -> int:
        return self.unread

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        assert not self.reading_paused
        self.reading_paused = True

    def resume_reading(self) -> None:
        assert self.reading_paused
        self.reading_paused = False


class Tcp:
    """A front with one connection, and the time it sees."""

    def __init__(
        self, turn: Turn | None = None, *, admits: Admits = everyone, transfers: Transfers | None = None,
        connections_max: int = 10,
    ) -> None:  # fmt: skip
        self.now_s = 1_000.0
        self.spool = MemorySpool()
        self.turn = turn or at_once(self.spool)
        service = DnsService(
            MemoryEngine(), StandInZones(), self.turn, Via.DNS_TCP,  # type: ignore[arg-type] # what is asked of zones
            udp_bytes=None, observe=lambda _: None,
        )  # fmt: skip
        self.front = DnsTcpFront(
            service, self.turn, admits,
            transfers=transfers, now_s=lambda: self.now_s, connections_max=connections_max,
        )  # fmt: skip
        self.connection, self.wire = self.connect()

    def connect(self) -> tuple[DnsConnection, Wire]:
        connection, wire = DnsConnection(self.front), Wire()
        connection.connection_made(wire)  # type: ignore[arg-type]
        return connection, wire

    def feed(self, octets: bytes) -> None:
        """Have octets come, as far as they are read."""
        self.wire.kernel += octets
        while self.wire.kernel and not self.wire.reading_paused and not self.wire.is_closing():
            room = self.connection.get_buffer(-1)
            assert len(room), "there is always room while it is read"
            taken = self.wire.kernel[: len(room)]
            room[: len(taken)] = taken
            self.wire.kernel = self.wire.kernel[len(taken) :]
            self.connection.buffer_updated(len(taken))

    def pass_s(self, seconds: float) -> None:
        self.now_s += seconds
        self.front.connections.sweep(self.now_s)

    @property
    def numbers(self) -> list[int]:
        return [read(each).id for each in unframed(self.wire.written)]


async def turns() -> None:
    """Let everything that is ready go on."""
    for _ in range(20):
        await asyncio.sleep(0)


def questions(count: int) -> list[bytes]:
    return [ask(f"n{number % 5 + 1}.test", number=number) for number in range(count)]


# --- messages -------------------------------------------------------------------


@given(cuts=st.lists(st.integers(1, 200), max_size=60), count=st.integers(1, 40))
def test_a_stream_may_come_in_any_pieces(cuts: list[int], count: int) -> None:
    """Each question is answered once, in its order, and logged."""
    tcp, octets = Tcp(), framed(*questions(count))
    for cut in cuts:
        tcp.feed(octets[:cut])
        octets = octets[cut:]
    tcp.feed(octets)
    assert tcp.numbers == list(range(count))
    assert len(tcp.spool.rows) == count
    assert not tcp.wire.is_closing()


def test_more_than_is_read_ahead_is_taken_by_and_by() -> None:
    """A flood of questions in one go: all are answered, and never more of them wait than there is room for."""
    tcp = Tcp()
    tcp.feed(framed(*questions(2_000)))
    assert tcp.numbers == list(range(2_000))


def test_what_is_no_question_is_passed_over() -> None:
    """An answer, between two questions; what is malformed is answered."""
    tcp = Tcp()
    answer = bytearray(ask("n1.test"))
    answer[2] |= 0x80
    tcp.feed(framed(ask("n1.test", number=1), bytes(answer), bytes(12), ask("n1.test", number=2)))
    assert tcp.numbers == [1, 0, 2]
    assert rcode(unframed(tcp.wire.written)[1]) == "FORMERR"


@pytest.mark.parametrize("length", [0, 11, limits.DNS_QUERY_BYTES_MAX + 1, 0xFFFF])
def test_a_length_of_no_question_ends_the_connection(length: int) -> None:
    """Behind the answers to what came before."""
    tcp = Tcp()
    tcp.feed(framed(*questions(3)) + length.to_bytes(2) + bytes(100))
    assert tcp.numbers == [0, 1, 2]
    assert tcp.wire.closed and not tcp.wire.aborted


@pytest.mark.parametrize("tail", [b"", b"\0", framed(ask("n1.test"))[:-1]])
def test_what_was_asked_before_the_end_is_answered(tail: bytes) -> None:
    """And then the connection is closed, whatever stands behind it."""
    tcp = Tcp()
    tcp.feed(framed(*questions(3)) + tail)
    assert tcp.connection.eof_received()
    assert tcp.numbers == [0, 1, 2]
    assert tcp.wire.closed


# --- the log --------------------------------------------------------------------


def test_nothing_leaves_that_is_not_logged() -> None:
    """The connection is aborted with the answers that were held back."""
    ends: list[Callable[[], None]] = []
    spool = MemorySpool()
    tcp = Tcp(Turn(spool, lambda *_: None, lambda: None, lambda: 0.0, ends.append))
    tcp.feed(framed(*questions(2)))
    spool.full = True
    ends.pop()()
    assert tcp.wire.written == b""
    assert tcp.wire.aborted


def test_the_answers_of_a_turn_leave_together_behind_one_write() -> None:
    """Of all connections."""
    ends: list[Callable[[], None]] = []
    spool = MemorySpool()
    tcp = Tcp(Turn(spool, lambda *_: None, lambda: None, lambda: 0.0, ends.append))
    tcp.feed(framed(*questions(5)))
    first = tcp.wire
    tcp.connection, tcp.wire = tcp.connect()
    tcp.feed(framed(*questions(5)))
    assert (first.written, tcp.wire.written, spool.writes, len(ends)) == (b"", b"", 0, 1)
    ends.pop()()
    assert len(unframed(first.written)) == len(unframed(tcp.wire.written)) == 5
    assert (spool.writes, len(spool.rows)) == (1, 10)


# --- time -----------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", b"\0", framed(ask("n1.test"))[:-1]], ids=len)
def test_a_connection_that_waits_is_closed(sent: bytes) -> None:
    """DNS_TCP_IDLE_S without a question, and as long with half of one; not before."""
    tcp = Tcp()
    tcp.feed(sent)
    tcp.pass_s(IDLE_S - 0.1)
    assert not tcp.wire.is_closing()
    tcp.pass_s(0.1)
    assert tcp.wire.is_closing()


def test_a_question_that_trickles_in_has_no_longer() -> None:
    """The time runs from its first octet, however steadily the others come."""
    tcp = Tcp()
    for octet in framed(ask("n1.test")):
        tcp.feed(bytes([octet]))
        tcp.pass_s(1)
    assert tcp.wire.aborted
    assert tcp.wire.written == b""


def test_each_question_begins_the_time_anew() -> None:
    tcp = Tcp()
    for number in range(10):
        tcp.feed(framed(ask("n1.test", number=number)))
        tcp.pass_s(IDLE_S - 1)
    assert len(tcp.numbers) == 10
    assert not tcp.wire.is_closing()
    tcp.pass_s(1)
    assert tcp.wire.closed


def test_a_client_that_reads_nothing_is_not_read_from_and_then_cut() -> None:
    """What it asks meanwhile waits; when it reads again, it is answered."""
    for reads in (True, False):
        tcp = Tcp()
        tcp.connection.pause_writing()
        tcp.wire.unread = 100_000
        tcp.feed(framed(*questions(2_000)))
        assert tcp.wire.written == b""
        assert tcp.wire.reading_paused and tcp.wire.kernel
        tcp.pass_s(1)
        tcp.pass_s(IDLE_S - 1)
        assert not tcp.wire.is_closing()
        if reads:
            tcp.wire.unread = 0
            tcp.connection.resume_writing()
            tcp.feed(b"")
            assert tcp.numbers == list(range(2_000))
        else:
            tcp.pass_s(1)
            assert tcp.wire.aborted


def test_at_the_cap_those_go_that_have_waited_longest() -> None:
    """One with half a question stays; where none waits, the new one is refused."""
    tcp = Tcp(connections_max=2)
    tcp.feed(framed(ask("n1.test"))[:5])
    idle, idle_wire = tcp.connect()
    assert not idle_wire.is_closing()
    busy, busy_wire = tcp.connect()
    assert (tcp.wire.is_closing(), idle_wire.aborted, busy_wire.is_closing()) == (False, True, False)
    idle.connection_lost(None)
    tcp.connection, kept = busy, tcp.wire
    tcp.wire = busy_wire
    tcp.feed(b"\0")
    tcp.front.connections.sweep(tcp.now_s)
    _, refused = tcp.connect()
    assert (refused.aborted, kept.is_closing(), busy_wire.is_closing()) == (True, False, False)


def test_whoever_asks_too_much_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """For RETRY_AFTER_S; nothing of what it asked is lost."""
    monkeypatch.setattr(limits, "RETRY_AFTER_S", 0)

    async def run() -> None:
        left = [3]

        def admits(_: bytes) -> bool:
            left[0] -= 1
            return left[0] >= 0

        tcp = Tcp(admits=admits)
        tcp.feed(framed(*questions(5)))
        assert tcp.numbers == [0, 1, 2]
        assert tcp.wire.reading_paused
        left[0] = 10
        await turns()
        assert tcp.numbers == [0, 1, 2, 3, 4]
        assert not tcp.wire.reading_paused

    asyncio.run(run())


# --- transfers ------------------------------------------------------------------


class Zone:
    """Sends as many messages as it is told; ``takes``: whether the message is for it."""

    def __init__(self, messages: int = 3, *, takes: bool = True) -> None:
        self.messages = messages
        self.takes = takes
        self.sent = 0
        self.ended: str = ""

    def answer_datagram(self, message: bytes) -> bytes | None:
        return message[:2] + b"\x80" if self.takes else None

    async def answer(self, message: bytes, peer: bytes, send: Callable[[bytes], Awaitable[None]]) -> bool:
        await asyncio.sleep(0)
        try:
            for _ in range(self.messages if self.takes else 0):
                await send(message[:2] + b"\x80" + bytes(9))
                self.sent += 1
        except BaseException as error:
            self.ended = type(error).__name__
            raise
        return self.takes


AXFR = ask("test", "AXFR", 100)


def test_a_transfer_stands_in_its_place() -> None:
    """Behind what was asked before, in front of what was asked after; one that is for nobody is refused."""

    async def run() -> None:
        for transfers, between in ((Zone(), [100] * 3), (Zone(takes=False), [100]), (None, [100])):
            tcp = Tcp(transfers=transfers)
            tcp.feed(framed(*questions(2), AXFR, ask("n1.test", number=7)))
            await turns()
            assert tcp.numbers == [0, 1, *between, 7]
            if len(between) == 1:
                assert rcode(unframed(tcp.wire.written)[2]) == "REFUSED"
            tcp.pass_s(IDLE_S)
            assert tcp.wire.closed

    asyncio.run(run())


def test_a_transfer_waits_for_its_reader_and_ends_with_it() -> None:
    """One that reads nothing for DNS_TCP_IDLE_S is cut; the transfer hears of it."""

    async def run() -> None:
        zone = Zone(messages=1_000)
        tcp = Tcp(transfers=zone)
        tcp.feed(framed(AXFR))
        tcp.connection.pause_writing()
        tcp.wire.unread = 50_000
        await turns()
        assert zone.sent == 0
        tcp.pass_s(1)
        tcp.pass_s(IDLE_S)
        assert tcp.wire.aborted
        tcp.connection.connection_lost(None)
        await turns()
        assert zone.ended in ("CancelledError", "ConnectionResetError")

    asyncio.run(run())


def test_a_transfer_that_is_prepared_is_not_swept() -> None:
    """It has bounds of its own; also if the next question begins to come meanwhile."""

    async def run() -> None:
        ready = asyncio.Event()

        class Slow(Zone):
            async def answer(self, message: bytes, peer: bytes, send: Callable[[bytes], Awaitable[None]]) -> bool:
                await ready.wait()
                return await super().answer(message, peer, send)

        tcp = Tcp(transfers=Slow())
        tcp.feed(framed(AXFR))
        await turns()
        tcp.feed(framed(ask("n1.test", number=7)))
        tcp.pass_s(10_000)
        assert not tcp.wire.is_closing()
        ready.set()
        await turns()
        assert tcp.numbers == [100] * 3 + [7]

    asyncio.run(run())


def test_a_transfer_that_fails_ends_its_connection() -> None:
    class Broken(Zone):
        async def answer(self, message: bytes, peer: bytes, send: Callable[[bytes], Awaitable[None]]) -> bool:
            raise RuntimeError("a fault of ours")

    async def run() -> None:
        tcp = Tcp(transfers=Broken())
        tcp.feed(framed(AXFR))
        await turns()
        assert tcp.wire.aborted

    asyncio.run(run())


def test_what_was_answered_before_a_transfer_leaves_behind_the_log() -> None:
    """The turn ends before the first message of the transfer is sent; if the log is full, neither leaves."""

    async def run() -> None:
        for full in (False, True):
            spool = MemorySpool()
            spool.full = full
            tcp = Tcp(Turn(spool, lambda *_: None, lambda: None, lambda: 0.0), transfers=Zone())
            tcp.feed(framed(*questions(2), AXFR))
            await turns()
            assert tcp.wire.aborted is full
            assert (tcp.wire.written == b"") is full
            assert full or tcp.numbers == [0, 1, 100, 100, 100]

    asyncio.run(run())


def test_draining_answers_what_came_whole() -> None:
    """An idle connection ends at once, one with questions behind its answers."""

    async def run() -> None:
        ends: list[Callable[[], None]] = []
        tcp = Tcp(Turn(MemorySpool(), lambda *_: None, lambda: None, lambda: 0.0, ends.append))
        tcp.feed(framed(*questions(3)) + b"\0")
        draining = asyncio.ensure_future(tcp.front.drain())
        await turns()
        while ends:
            ends.pop()()
        assert tcp.numbers == [0, 1, 2]
        assert tcp.wire.closed
        tcp.connection.connection_lost(None)
        await draining

    asyncio.run(run())
