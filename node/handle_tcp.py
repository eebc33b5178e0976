"""The Handle protocol over TCP: streams to messages, answers to streams, nothing else.

1. Messages of one connection are answered in their order; the answers of a turn leave in one
   write, behind the log. The connection stays open as long as each message asks for it
   (KEEP_ALIVE), else it is closed behind the answer.
2. A message that announces too much is refused before it is read; what comes of it is
   read away for LINGER_S, so that the refusal is not lost.
3. At ``connections_max``, HANDLE_EVICTED of those go that have waited longest for a message; if none
   waits, the new one is refused.
4. Bounds: HANDLE_CONNECTIONS_MAX, HANDLE_BUFFERED_BYTES_MAX, HANDLE_IDLE_S,
   HANDLE_MESSAGE_S. A client that does not read its answers is not read from; one that asks
   too much is told so, and not read from for RETRY_AFTER_S.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
import socket
from collections.abc import Callable
from typing import Final, cast

from core import clock, limits
from core.errors import RateError, StoreError, WireError
from core.events import Via
from core.hdl.exchange import Transport
from core.peer import UNKNOWN, address_of, peer_of
from core.wire.codepoints import OpFlag
from core.wire.envelope import ENVELOPE_BYTES, Envelope, decode_envelope
from core.wire.stream import MessageStream
from node.arrival import ARRIVED_NS
from node.handle_service import NO_QUICK_WAY, Answers, HandleService, Quick
from node.turn import Turn
from resolver.ratelimit import Admits

_LOG: Final = logging.getLogger("saltern.handle")
_SWEEP_S: Final = 1.0
_READ_AHEAD: Final = limits.MESSAGE_BYTES_MAX + ENVELOPE_BYTES
_FLAGS_AT: Final = ENVELOPE_BYTES + 8  # their first octet
_KEEP_ALIVE: Final = OpFlag.KEEP_ALIVE >> 24


class TcpFront:
    """One worker's connections. ``observe`` counts the messages; ``quick`` answers what is common."""

    def __init__(
        self, service: HandleService, turn: Turn, admits: Admits, observe: Callable[[int], None], *,
        now_s: Callable[[], float] = clock.monotonic_s, connections_max: int = limits.HANDLE_CONNECTIONS_MAX,
        quick: Quick = NO_QUICK_WAY,
    ) -> None:  # fmt: skip
        self.service = service
        self.turn = turn
        self.admits = admits
        self.observe = observe
        self.now_s = now_s
        self.connections_max = connections_max
        self.quick = quick
        self.buffered = 0
        self.taken = 0
        self._full = False  # none may go for a new one, as of the last look
        self.idle_until_s = self.message_until_s = 0.0
        self._due: list[TcpConnection] = []
        self.connections: set[TcpConnection] = set()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._empty: asyncio.Event | None = None

    async def listen(self, listener: socket.socket) -> None:
        """Serve on a socket that is bound and listening."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: TcpConnection(self), sock=listener, backlog=limits.LISTEN_BACKLOG
        )
        self._sweeper = loop.call_later(_SWEEP_S, self._sweep_again)

    async def drain(self) -> None:
        """Accept nothing more, let requests under way end, close. Bounds: DRAIN_S."""
        if self._server is not None:
            self._server.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self.connections):
            connection.finish()
        if self.connections:
            self._empty = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), limits.DRAIN_S)
        for connection in list(self.connections):
            connection.abort()

    def await_turn(self, connection: TcpConnection) -> None:
        """Let a connection take its turn with the others to which something came."""
        self._due.append(connection)
        if len(self._due) == 1:
            self.turn.take(self)

    def work(self) -> None:
        """See Working. One state of the store for all that came."""
        due, self._due = self._due, []
        if not due:
            return
        now_s = self.now_s()
        self.idle_until_s, self.message_until_s = now_s + limits.HANDLE_IDLE_S, now_s + limits.HANDLE_MESSAGE_S
        quick = self.quick if self.quick.begin() else NO_QUICK_WAY
        try:
            for connection in due:
                try:
                    connection.take_turn(quick)
                except Exception:
                    _LOG.exception("a message failed")
                    connection.abort()
        finally:
            quick.end()
            self.observe(self.taken)
            self.taken = 0

    def make_room(self) -> None:
        """Close the connection that holds the most of what has not come whole."""
        max(self.connections, key=lambda each: each.waiting).abort()

    def has_room(self) -> bool:
        """Whether one more connection may be served; if it must be, those go that have waited longest."""
        if len(self.connections) < self.connections_max:
            return True
        if self._full:
            return False
        idle = [each for each in self.connections if each.may_go]
        for connection in heapq.nsmallest(limits.HANDLE_EVICTED, idle, key=lambda each: each.until_s):
            self.connections.discard(connection)
            connection.abort()
        self._full = not idle
        return bool(idle)

    def lost(self, connection: TcpConnection) -> None:
        """Forget a connection."""
        self.connections.discard(connection)
        if not self.connections and self._empty is not None:
            self._empty.set()

    def sweep(self, now_s: float) -> None:
        """Close the connections whose time is over."""
        self._full = False
        for connection in [each for each in self.connections if each.until_s <= now_s]:
            connection.abort()

    def _sweep_again(self) -> None:
        self.sweep(self.now_s())
        self._sweeper = asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep_again)


class TcpConnection(asyncio.Protocol):
    """One connection. ``until_s``: when it is given up if nothing happens."""

    def __init__(self, front: TcpFront) -> None:
        self._front = front
        self._incoming = MessageStream()
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._ending = False
        self._lingering = False
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._last = False  # the connection ends behind what waits in _out
        self._peer = self._source = UNKNOWN
        self._slowed = False  # it asked too much
        self._reading = True
        self._due = False
        self._begins = False  # a message began in this turn
        self._counted = 0  # octets of what waits that the front knows of
        self.until_s = front.now_s() + limits.HANDLE_IDLE_S

    @property
    def waiting(self) -> int:
        """Octets that have come and are not answered."""
        return self._incoming.waiting

    @property
    def may_go(self) -> bool:
        """Whether it may be closed for a new one: nothing has come, and nothing is left to be taken."""
        if self._transport is None or self._transport.is_closing() or self._lingering:
            return False
        under_way = self.waiting or self._due or self._task is not None or self._out
        return not under_way and not self._transport.get_write_buffer_size()

    # --- transport ---
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if not self._front.has_room():
            self._transport.abort()
            return
        self._peer = peer_of(transport.get_extra_info("peername"))
        self._source = address_of(self._peer)
        self._front.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ending = True
        self._front.lost(self)
        self._forget()
        self._writable.set()
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        if self._ending or self._transport is None:
            return
        incoming = self._incoming
        if not incoming.waiting:
            self._begins = self._task is None
        incoming.add(data)
        if incoming.waiting > limits.HANDLE_GATHERED_BYTES:
            self._take_much()
        elif not self._due:
            self._due = True
            self._front.await_turn(self)

    def _take_much(self) -> None:
        """Answer at once, lest much of many waits for the end of the turn."""
        self._count()
        if self._incoming.waiting > _READ_AHEAD:
            self._stop_reading()
        self._pump()
        self._front.work()

    def eof_received(self) -> bool:
        """The client says no more; what it asked is still answered, and then the connection closed."""
        self._ending = True
        self._lingering = False
        self._pump()
        return True

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()
        self._pump()

    # --- messages ---
    def _pump(self) -> None:
        """Take what is there with what comes to others, at the end of this turn."""
        if not self._due:
            self._due = True
            self._front.await_turn(self)

    def take_turn(self, quick: Quick) -> None:
        """Answer the messages that are whole, in their order; after some, let others have their turn."""
        self._due = False
        if not self._may_go_on():
            self._settle(0)
            return
        try:
            if self._take_messages(quick):
                asyncio.get_running_loop().call_soon(self._pump)
        except WireError as error:  # of the stream: a message announces too much
            self._refuse(self._front.service.refuse(self._incoming.envelope(), error))
            self._await_more()

    def _take_messages(self, quick: Quick) -> bool:
        """Whether there may be more to take. Bounds: HANDLE_TURN_MESSAGES; HANDLE_TURN_BYTES and one answer."""
        front, incoming = self._front, self._incoming
        taken = 0
        try:
            while incoming.waiting and (message := incoming.next()) is not None:
                taken += 1
                if not front.admits(self._source):
                    self._refuse_for_now(message)
                    return False
                octets = quick.answer(message, limits.MESSAGE_BYTES_MAX, Via.HANDLE_TCP, self._peer)
                if octets is None:
                    self._take_slowly(message)
                else:
                    self._written(octets, message[_FLAGS_AT] & _KEEP_ALIVE != 0)
                if self._last or self._task is not None:
                    return False
                if taken == limits.HANDLE_TURN_MESSAGES or self._out_bytes > limits.HANDLE_TURN_BYTES:
                    return True
        finally:
            self._settle(taken)
        if self._ending or not self._reading:
            self._await_more()
        return False

    def _settle(self, taken: int) -> None:
        """See what is left behind the messages that were taken, and until when."""
        front, waiting = self._front, self._incoming.waiting
        front.taken += taken
        if taken or self._begins:
            self._begins = False
            self.until_s = front.message_until_s if waiting else front.idle_until_s
        if waiting != self._counted:
            self._count()

    def _may_go_on(self) -> bool:
        if self._task is not None or self._last or self._slowed or not self._writable.is_set():
            return False
        return self._transport is not None and not self._transport.is_closing()

    def _take_slowly(self, message: bytes) -> None:
        front, envelope, payload = self._front, decode_envelope(message), message[ENVELOPE_BYTES:]
        ARRIVED_NS.set(front.turn.came_ns)
        if front.service.at_once(envelope, payload):
            self._answered(front.service.answer_at_once(envelope, payload, Transport.TCP, self._peer))
        else:
            self._task = asyncio.get_running_loop().create_task(self._answer(envelope, payload))

    def _refuse_for_now(self, message: bytes) -> None:
        """Say that it asks too much, and go on in RETRY_AFTER_S."""
        self._slowed = True
        self._stop_reading()
        asyncio.get_running_loop().call_later(limits.RETRY_AFTER_S, self._go_on)
        self._answered(self._front.service.refuse(decode_envelope(message), RateError(), message[ENVELOPE_BYTES:]))

    def _stop_reading(self) -> None:
        if self._transport is not None:
            self._reading = False
            self._transport.pause_reading()

    def _go_on(self) -> None:
        self._slowed = False
        self._pump()

    def _await_more(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._ending and not self._lingering:
            self._close()
        elif not self._reading and self._incoming.waiting <= _READ_AHEAD:
            self._reading = True
            self._transport.resume_reading()

    async def _answer(self, envelope: Envelope, payload: bytes) -> None:
        self.until_s = float("inf")  # the registrar's own bounds hold
        try:
            answers = await self._front.service.answer(envelope, payload, Transport.TCP, self._peer)
            if answers.more is not None and self._transport is not None:
                self._front.turn.end()  # what was answered before leaves before
                self._transport.write(answers.first.octets)
                async for sent in answers.more:
                    await self._room()
                    self._transport.write(sent.octets)
        except StoreError as error:
            _LOG.error("a list is cut: %s", error.message)
            self.abort()
            return
        except Exception:
            _LOG.exception("an answer failed on its way")
            self.abort()
            return
        self._task = None
        self.until_s = self._front.now_s() + limits.HANDLE_IDLE_S
        self._answered(answers, written=answers.more is not None)
        self._pump()

    async def _room(self) -> None:
        """Wait until the client has read enough; one that never does is given up."""
        self.until_s = self._front.now_s() + limits.HANDLE_IDLE_S
        await self._writable.wait()
        self.until_s = float("inf")

    def _answered(self, answers: Answers, *, written: bool = False) -> None:
        self._written(b"" if written else answers.first.octets, answers.keep)

    def _written(self, octets: bytes, keep: bool) -> None:
        """Let an answer wait for the log; close behind it unless the client asked to keep the connection."""
        if self._transport is None or self._transport.is_closing():
            return
        if octets:
            self._out.append(octets)
            self._out_bytes += len(octets)
        if not keep or (self._ending and not self._incoming.waiting):
            self._ending = True
            self._close()
        if octets and len(self._out) == 1:
            self._front.turn.leave(self)

    def _close(self) -> None:
        """Close behind what waits for the log."""
        if self._out:
            self._last = True
        elif self._transport is not None:
            self._transport.close()

    def let_go(self) -> None:
        """See Leaving."""
        out, self._out, self._out_bytes = self._out, [], 0
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(out[0] if len(out) == 1 else b"".join(out))
        if self._last:
            self._transport.close()

    def hold_back(self) -> None:
        """See Leaving."""
        self._out, self._out_bytes = [], 0
        self.abort()

    def _refuse(self, answers: Answers) -> None:
        """Say no more than this, and read away what comes. Bounds: LINGER_S."""
        if self._transport is None:
            return
        self._ending = self._lingering = True
        self._forget()
        self._front.turn.end()
        self._transport.write(answers.first.octets)
        self._transport.write_eof()
        self.until_s = self._front.now_s() + limits.LINGER_S

    def _count(self) -> None:
        """Tell the front how much waits here; if that is too much of all, there will be room."""
        front, waiting = self._front, self._incoming.waiting
        front.buffered += waiting - self._counted
        self._counted = waiting
        if front.buffered > limits.HANDLE_BUFFERED_BYTES_MAX:
            front.make_room()

    def _forget(self) -> None:
        self._incoming = MessageStream()
        self._count()

    def finish(self) -> None:
        """Close behind the answers to what came whole."""
        self._ending = True
        if self._task is None:
            self._pump()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()
