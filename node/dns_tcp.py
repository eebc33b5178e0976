"""DNS over TCP: streams to questions, answers to streams, nothing else.

1. Each message stands behind its length, two octets, big-endian (RFC 1035 §4.2.2). A connection stays open for many,
   which may be sent before the first is answered; answers come in their order (RFC 7766 §6.2).
2. All that came in a turn is answered from one state of the store; the answers leave in one write, behind the log.
3. A connection waits DNS_TCP_IDLE_S for a question, and as long for the rest of one; one whose client takes nothing
   for so long is given up. At ``connections_max`` those go that have waited longest (``node/http_connections.py``).
4. _READ_BYTES of a connection wait at most, and it is not read from while its client takes no answers.
5. A length above DNS_QUERY_BYTES_MAX, or below a header, closes the connection behind what was asked before.
6. Whoever asks too much is not read from for RETRY_AFTER_S, and answered then.
7. While a zone is transferred, nothing else of its connection is answered.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Final, cast

from core import clock, limits
from core.peer import UNKNOWN, address_of, peer_of
from core.wire.dns import NotPlain
from node.dns_service import DnsService, Transfers
from node.http_connections import Connections, Peer, serve
from node.turn import Turn
from resolver.ratelimit import Admits

_LOG: Final = logging.getLogger("saltern.dns")
_READ_BYTES: Final = 4_096  # the longest question fits
_LENGTH_BYTES: Final = 2
_HEADER_BYTES: Final = 12


class DnsTcpFront:
    """One worker's connections. ``transfers`` answers what is not plain."""

    def __init__(
        self, service: DnsService, turn: Turn, admits: Admits, *, transfers: Transfers | None = None,
        now_s: Callable[[], float] = clock.monotonic_s, connections_max: int = limits.DNS_CONNECTIONS_MAX,
    ) -> None:  # fmt: skip
        self.service = service
        self.turn = turn
        self.admits = admits
        self.transfers = transfers
        self.connections = Connections(
            now_s, connections_max,
            idle_s=limits.DNS_TCP_IDLE_S, begun_s=limits.DNS_TCP_IDLE_S, stall_s=limits.DNS_TCP_IDLE_S,
        )  # fmt: skip
        self._due: list[DnsConnection] = []
        self._server: asyncio.Server | None = None

    async def listen(self, listener: socket.socket) -> None:
        """Serve on a socket that is bound and listening."""
        self._server = await serve(listener, None, lambda: DnsConnection(self))
        self.connections.watch()

    async def drain(self) -> None:
        """Accept nothing more, answer what came whole, close. Bounds: DRAIN_S."""
        if self._server is not None:
            self._server.close()
        await self.connections.drain()

    def await_turn(self, connection: DnsConnection) -> None:
        """Let a connection take its turn with the others to which something came."""
        self._due.append(connection)
        if len(self._due) == 1:
            self.turn.take(self)

    def work(self) -> None:
        """See Working. One state of the store for all that came."""
        due, self._due = self._due, []
        self.service.begin()
        try:
            for connection in due:
                try:
                    connection.take_turn()
                except Exception:
                    _LOG.exception("a question failed")
                    connection.abort()
        finally:
            self.service.end()


class DnsConnection(asyncio.BufferedProtocol):
    """One connection."""

    def __init__(self, front: DnsTcpFront) -> None:
        self._front = front
        self._place: Peer | None = None
        self._peer = self._source = UNKNOWN
        self._incoming = bytearray(_READ_BYTES)
        self._filled = 0  # octets of it that have come and are not taken
        self._reading = True
        self._slowed = False  # it asked too much
        self._due = False
        self._ending = False  # what is not whole will never be
        self._closes = False  # behind what waits in _out
        self._out: list[bytes] = []
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    # --- transport ---
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        place = self._front.connections.admit(transport, self.finish)
        if place is not None:
            self._place = place
            self._peer = peer_of(transport.get_extra_info("peername"))
            self._source = address_of(self._peer)

    def connection_lost(self, exc: Exception | None) -> None:
        place, self._place = self._place, None
        if place is not None:
            self._front.connections.lost(place)
        self._writable.set()
        if self._task is not None:
            self._task.cancel()

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self._incoming)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        if self._place is None:
            return
        if not self._filled and self._task is None:
            self._place.await_head()
        self._filled += nbytes
        if self._filled == _READ_BYTES:
            self._stop_reading()
        self._await_turn()

    def eof_received(self) -> bool:
        """The client says no more; what it asked is still answered, and then the connection closed."""
        self.finish()
        return True

    def pause_writing(self) -> None:
        self._writable.clear()
        if self._place is not None:
            self._place.paused = True

    def resume_writing(self) -> None:
        self._writable.set()
        if self._place is not None:
            self._place.resumed()
        self._await_turn()

    # --- messages ---
    def _await_turn(self) -> None:
        """Take what is there with what comes to others, at the end of this turn."""
        if not self._due:
            self._due = True
            self._front.await_turn(self)

    def take_turn(self) -> None:
        """Answer the messages that are whole, in their order."""
        self._due = False
        at, end = 0, self._end_of_message(0)
        while end is not None and self._may_go_on() and self._is_admitted():
            message = bytes(self._incoming[at + _LENGTH_BYTES : end])
            self._take(message)
            at, end = end, self._end_of_message(end)
        self._forget(at)
        if self._place is None or self._task is not None:
            return
        if end is None and self._ending:
            self._close_behind()
        elif not self._slowed and not self._reading and self._filled < _READ_BYTES:
            self._reading = True
            self._place.transport.resume_reading()

    def _end_of_message(self, at: int) -> int | None:
        """Return where the message that begins at ``at`` ends; None if it has not come, or never will."""
        if self._filled - at < _LENGTH_BYTES:
            return None
        size = int.from_bytes(self._incoming[at : at + _LENGTH_BYTES])
        if not _HEADER_BYTES <= size <= limits.DNS_QUERY_BYTES_MAX:
            self._ending = True
            return None
        end = at + _LENGTH_BYTES + size
        return end if end <= self._filled else None

    def _may_go_on(self) -> bool:
        place = self._place
        return place is not None and self._task is None and not (self._slowed or place.paused or self._is_closing())

    def _is_closing(self) -> bool:
        return self._place is None or self._place.transport.is_closing()

    def _is_admitted(self) -> bool:
        """Whether its source may ask one more; else it goes on in RETRY_AFTER_S."""
        if self._front.admits(self._source):
            return True
        self._slowed = True
        self._stop_reading()
        asyncio.get_running_loop().call_later(limits.RETRY_AFTER_S, self._go_on)
        return False

    def _go_on(self) -> None:
        self._slowed = False
        self._await_turn()

    def _stop_reading(self) -> None:
        if self._place is not None and self._reading:
            self._reading = False
            self._place.transport.pause_reading()

    def _forget(self, taken: int) -> None:
        """Drop the octets that were taken; of the rest the time begins anew."""
        left = self._filled - taken
        if taken:
            self._incoming[:left] = self._incoming[taken : self._filled]
            self._filled = left
            if self._place is not None and left and self._task is None:
                self._place.await_head()

    def _take(self, message: bytes) -> None:
        front = self._front
        try:
            answer = front.service.answer(message, self._peer)
        except NotPlain:
            if front.transfers is not None and self._place is not None:
                self._place.await_nothing()
                self._task = asyncio.get_running_loop().create_task(self._transfer(front.transfers, message))
                return
            answer = front.service.refuse(message)
        if answer is not None:
            self._answered(answer)

    def _answered(self, answer: bytes) -> None:
        """Let an answer wait for the log."""
        self._out.append(_framed(answer))
        if len(self._out) == 1:
            self._front.turn.leave(self)

    # --- transfers ---
    async def _transfer(self, transfers: Transfers, message: bytes) -> None:
        """Answer by a task of its own, which begins behind the turn: what was answered before has left."""
        try:
            done = await transfers.answer(message, self._peer, self._send)
        except OSError:
            self.abort()
            return
        except Exception:
            _LOG.exception("a transfer failed on its way")
            self.abort()
            return
        self._task = None
        if self._place is None:
            return
        if not done:
            self._answered(self._front.service.refuse(message))
        if self._filled:
            self._place.await_head()
        elif not self._out:
            self._place.await_request()
        self._await_turn()

    async def _send(self, message: bytes) -> None:
        """See Transfers."""
        if self._is_closing():
            raise ConnectionResetError
        cast("Peer", self._place).transport.write(_framed(message))
        await self._writable.wait()
        if self._is_closing():
            raise ConnectionResetError

    # --- the end ---
    def let_go(self) -> None:
        """See Leaving."""
        out, self._out = self._out, []
        if self._place is None or self._is_closing():
            return
        self._place.transport.write(out[0] if len(out) == 1 else b"".join(out))
        if not self._filled and self._task is None:
            self._place.await_request()
        if self._closes:
            self._place.transport.close()

    def hold_back(self) -> None:
        """See Leaving."""
        self._out = []
        self.abort()

    def _close_behind(self) -> None:
        """Close behind what waits for the log."""
        self._closes = True
        if not self._out and self._place is not None:
            self._place.transport.close()

    def finish(self) -> None:
        """Close behind the answers to what came whole."""
        self._ending = True
        self._await_turn()

    def abort(self) -> None:
        """Close at once."""
        if self._place is not None:
            self._place.transport.abort()


def _framed(message: bytes) -> bytes:
    return len(message).to_bytes(_LENGTH_BYTES) + message
