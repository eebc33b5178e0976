"""The connections of one worker over HTTP, quick or handed over, or those of DNS: how many, for how long, their end.

1. A connection waits ``idle_s`` for a request, then ``begun_s`` for the rest of its head (DNS: of the question).
   While a request is answered, what answers it has bounds of its own.
2. One whose client must take octets first, because writing is paused or it is being closed,
   lasts as long as the client takes some; ``stall_s`` without one end it.
3. At ``connections_max``, HTTP_EVICTED of those go that have waited longest for a request;
   if none waits, the new one is refused. nginx frees reusable connections in the same way.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Final, NamedTuple, cast

from core import clock, limits

_SWEEP_S: Final = 1.0
_DRAIN_LOOK_S: Final = 0.02
_NEVER: Final = float("inf")
_TCP_INFO: Final[int | None] = getattr(socket, "TCP_INFO", None)
_TCP_INFO_BYTES: Final = 148
_UNACKNOWLEDGED_AT, _TAKEN_AT, _UNSENT_AT = 24, 120, 144  # struct tcp_info of linux/tcp.h


async def serve(
    listener: socket.socket, tls: ssl.SSLContext | None, protocol: Callable[[], asyncio.BaseProtocol]
) -> asyncio.Server:
    """Serve on a socket that is bound and listening. Bounds: HEAD_S for a TLS handshake, TLS_CLOSE_S for its end."""
    loop = asyncio.get_running_loop()
    if tls is None:
        return await loop.create_server(protocol, sock=listener, backlog=limits.LISTEN_BACKLOG)
    return await loop.create_server(
        protocol, sock=listener, ssl=tls, backlog=limits.LISTEN_BACKLOG,
        ssl_handshake_timeout=limits.HEAD_S, ssl_shutdown_timeout=limits.TLS_CLOSE_S,
    )  # fmt: skip


class Connections:
    """All connections of one worker and protocol. ``now_s``: a clock that never jumps."""

    def __init__(
        self, now_s: Callable[[], float] = clock.monotonic_s, connections_max: int = limits.HTTP_CONNECTIONS_MAX, *,
        idle_s: float = limits.HTTP_IDLE_S, begun_s: float = limits.HEAD_S, stall_s: float = limits.WRITE_STALL_S,
    ) -> None:  # fmt: skip
        self.now_s = now_s
        self.connections_max = connections_max
        self.idle_s = idle_s
        self.begun_s = begun_s
        self.stall_s = stall_s
        self.peers: set[Peer] = set()
        self._full = False  # and none of them waits; looked at anew by each sweep
        self._sweeper: asyncio.TimerHandle | None = None
        self._empty: asyncio.Event | None = None

    def admit(self, transport: asyncio.BaseTransport, finish: Callable[[], None]) -> Peer | None:
        """Return the new connection's place; None if it is refused and already aborted.

        ``finish`` is called when the worker ends: the connection is to close behind its answers.
        """
        stream = cast("asyncio.Transport", transport)
        ending = self._empty is not None
        if ending or (len(self.peers) >= self.connections_max and not self._made_room()):
            stream.abort()
            return None
        peer = Peer(self, stream, finish)
        self.peers.add(peer)
        return peer

    def lost(self, peer: Peer) -> None:
        """Forget a connection that is closed."""
        self.peers.discard(peer)
        if not self.peers and self._empty is not None:
            self._empty.set()

    def watch(self) -> None:
        """Look after the connections every _SWEEP_S."""
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep_again)

    def sweep(self, now_s: float) -> None:
        """End the connections whose time is over."""
        self._full = False
        for peer in list(self.peers):
            peer.look(now_s)

    async def drain(self) -> None:
        """Let every connection close behind its answers and give these the time to arrive. Bounds: DRAIN_S."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._empty is None:
            self._empty = asyncio.Event()
            for peer in list(self.peers):
                peer.finish()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limits.DRAIN_S):
                while self.peers:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._empty.wait(), _DRAIN_LOOK_S)
                    self.sweep(self.now_s())
        for peer in list(self.peers):
            peer.transport.abort()

    def _made_room(self) -> bool:
        if self._full:
            return False
        waiting = [peer for peer in self.peers if peer.may_go]
        for peer in heapq.nsmallest(limits.HTTP_EVICTED, waiting, key=lambda each: each.until_s):
            self.peers.discard(peer)
            peer.transport.abort()
        self._full = not waiting
        return bool(waiting)

    def _sweep_again(self) -> None:
        self.sweep(self.now_s())
        self._sweeper = asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep_again)


class Peer:
    """One connection's place among them: what is waited for, and until when.

    ``waiting``: for a request of which nothing has come. ``paused``: its client must read first.
    ``admitted``: the next request was counted by its source's limit when the quick way looked at it.
    """

    __slots__ = (
        "_output", "_stalled_s", "admitted", "connections", "finish", "paused", "transport", "until_s", "waiting",
    )  # fmt: skip

    def __init__(self, connections: Connections, transport: asyncio.Transport, finish: Callable[[], None]) -> None:
        self.connections = connections
        self.transport = transport
        self.finish = finish
        self.paused = False
        self.admitted = False
        self._output: Output | None = None
        self._stalled_s = _NEVER
        self.await_request()

    def await_request(self) -> None:
        """Nothing of the next request has come."""
        self.waiting = True
        self.until_s = self.connections.now_s() + self.connections.idle_s

    def await_head(self) -> None:
        """A head has begun."""
        self.waiting = False
        self.until_s = self.connections.now_s() + self.connections.begun_s

    def await_nothing(self) -> None:
        """Whole requests are there; who answers them has bounds of its own."""
        self.waiting = False
        self.until_s = _NEVER

    def resumed(self) -> None:
        """The client has read enough."""
        self.paused = False
        self._output = None

    @property
    def may_go(self) -> bool:
        """Whether it may be closed for a new one: nothing has come, and nothing is left to be taken."""
        return self.waiting and not self.transport.is_closing() and not self.transport.get_write_buffer_size()

    def look(self, now_s: float) -> None:
        """End it if its time is over."""
        if self.paused or self.transport.is_closing():
            self._look_at_output(now_s)
        elif self.until_s <= now_s:
            if self.waiting or self.transport.get_write_buffer_size():
                self.transport.close()
            else:  # half a head: the other side is broken or hostile, and under TLS need not say goodbye
                self.transport.abort()

    def _look_at_output(self, now_s: float) -> None:
        """Abort one that takes nothing for ``stall_s``, or has taken everything and is not gone, as under TLS.

        Everything at two looks: the loop fills the kernel from buffers that are not seen under TLS.
        """
        before, self._output = self._output, output_of(self.transport)
        if before is None or before.progress != self._output.progress:
            self._stalled_s = now_s + self.connections.stall_s
        elif self._stalled_s <= now_s or (self.transport.is_closing() and self._output.all_taken):
            self.transport.abort()


class Output(NamedTuple):
    """Where the octets are that were written to a connection: here, with the client, or between (also in packets)."""

    buffered: int
    taken: int
    under_way: int

    @property
    def progress(self) -> tuple[int, int]:
        """What changes if the client takes some: nothing more is written while it is waited for."""
        return self.buffered, self.taken

    @property
    def all_taken(self) -> bool:
        """Whether the client's side has every octet."""
        return not self.buffered and not self.under_way


def output_of(transport: asyncio.Transport) -> Output:
    """Look at what a client has taken.

    Under TLS the transport does not see what lies in the one below it. Linux counts what
    was acknowledged (TCP_INFO); elsewhere only ``buffered`` is known.
    """
    buffered = transport.get_write_buffer_size()
    line = transport.get_extra_info("socket")
    if line is None or _TCP_INFO is None:
        return Output(buffered, 0, 1)
    try:
        info = line.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _TCP_INFO_BYTES)
        (taken,) = struct.unpack_from("=Q", info, _TAKEN_AT)
        (unacknowledged,) = struct.unpack_from("=I", info, _UNACKNOWLEDGED_AT)
        (unsent,) = struct.unpack_from("=I", info, _UNSENT_AT)
    except (OSError, ValueError, struct.error):  # closed meanwhile, or an old kernel
        return Output(buffered, 0, 1)
    return Output(buffered, taken, unacknowledged + unsent)
