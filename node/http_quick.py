"""The quick way of HTTP: resolutions that need no second look, in front of aiohttp on the same port.

1. It answers a request only if that is a GET of ``/api/handles/…`` without a query, in
   HTTP/1.1, complete, with exactly one Host and no header but those of _HARMLESS, for a
   record that is public or missing; or of ``/01/…``, a GS1 Digital Link that is redirected whatever
   the client accepts. Its answers are those of aiohttp, octet by octet.
2. With anything else it hands the connection over for good, from that head on: aiohttp
   gets the transport and the octets that were not answered, at a message boundary and
   behind the answers before.
3. Heads repeat: what stands behind the request line is judged once and remembered.

A turn ends at HTTP_TURN_REQUESTS or HTTP_TURN_BYTES of answers, which leave in one write behind
the log. What is left waits, and nothing more is read, until the others had their turn and the client has read.
Half a head is kept here, for HEAD_S, as long as it can become a good one. Whoever asks too much
is told so, and not read from for RETRY_AFTER_S.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Callable
from typing import Final, Protocol

from core import clock, limits
from core.errors import NodeError, RateError
from core.peer import UNKNOWN, address_of, peer_of
from core.wire.http import decode_path
from node.http_connections import Connections, Peer, serve
from node.turn import Turn
from resolver.quick import refusal
from resolver.ratelimit import Admits

_START: Final = b"GET /api/handles/"
_LINK_START: Final = b"GET /01/"
_METHOD: Final = b"GET "
_END: Final = b" HTTP/1.1"
_HEAD_END: Final = b"\r\n\r\n"
_HEADER: Final = re.compile(rb"([A-Za-z-]+):[ \t]*([ -~]*)")
_HOST: Final = re.compile(rb"[A-Za-z0-9.:\[\]-]+")
_UNRESERVED: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~!$&'()*+,;=:@/-"
"""What a path may hold that is no percent-encoding (RFC 3986 §3.3); in JSON it stands for itself."""

_ENCODED_PATH: Final = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*(?<!/)")
_LINE: Final = re.compile(rb"[A-Z-]+ [^ ]+ HTTP/1\.[01]")
_IN_HEADS: Final = bytes((*b"\t\r\n", *range(0x20, 0x7F), *range(0x80, 0x100)))
_HARMLESS: Final = frozenset((b"user-agent", b"accept", b"accept-language", b"cache-control", b"pragma"))


class Quick(Protocol):
    """Answers what needs no second look. See ``resolver.quick.QuickResolver``."""

    def begin(self) -> bool:
        """Begin to answer requests that have come; False where nothing can be answered just now."""

    def end(self) -> None:
        """End what ``begin`` began."""

    def plain(self, handle: bytes, gzip: bool, peer: bytes) -> tuple[bytes, ...] | None:
        """Answer for a handle of _UNRESERVED, in pieces, most of it in the last; None for a second look."""

    def any(self, handle: str, gzip: bool, peer: bytes) -> tuple[bytes, ...] | None:
        """Answer for any handle, in the same way."""


class QuickLinks(Protocol):
    """Redirects GS1 Digital Links that need no second look. See ``resolver.gs1.quick.QuickRedirects``."""

    def redirect(self, path: bytes, peer: bytes) -> tuple[bytes, ...] | None:
        """Answer for a path of _UNRESERVED without a query, between ``begin`` and ``end`` of Quick, in the same way."""


# What headers say, bits: they change nothing else; gzip is taken; whatever there is of an object is taken.
_SLOW, _PLAIN, _GZIP, _ANY_FORM = 0, 1, 2, 4
# What a turn left: nothing or a head that is not whole; a head that needs a second look; what it did not look at;
# what it did not look at because its sender asks too much.
_PART, _SECOND_LOOK, _UNSEEN, _OVER = 0, 1, 2, 3
_REFUSAL: Final = refusal(RateError())


class QuickFront:
    """One worker's listeners. ``slow`` makes the protocol that takes over."""

    def __init__(
        self, quick: Quick, links: QuickLinks, admits: Admits, turn: Turn,
        slow: Callable[[Peer], asyncio.Protocol], *, connections: Connections, count_refusal: Callable[[], None],
    ) -> None:  # fmt: skip
        self.quick = quick
        self.links = links
        self.admits = admits
        self.count_refusal = count_refusal
        self.turn = turn
        self.slow = slow
        self.connections = connections
        self.verdicts: dict[bytes, int] = {}
        self._listeners: list[asyncio.Server] = []

    async def listen(self, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Serve on a socket that is bound and listening."""
        self._listeners.append(await serve(listener, tls, lambda: QuickConnection(self)))
        self.connections.watch()

    async def drain(self) -> None:
        """Accept nothing more, answer what came whole, let the answers arrive. Bounds: DRAIN_S."""
        for listener in self._listeners:
            listener.close()
        await self.connections.drain()

    def verdict(self, headers: bytes) -> int:
        """Return bits where the headers behind a request line change nothing else, _SLOW where they may.

        Shape: from the CRLF of the request line to the last one before the empty line.
        """
        known = self.verdicts.get(headers)
        if known is None:
            if len(headers) > limits.QUICK_HEAD_BYTES_MAX:
                return _SLOW
            known = _judge(headers)
            if known == _SLOW:  # it may hold a secret, and the connection is handed over
                return _SLOW
            if len(self.verdicts) >= limits.QUICK_HEADS_MAX:
                self.verdicts.clear()
            self.verdicts[headers] = known
        return known


class QuickConnection(asyncio.Protocol):
    """One connection, until something comes that needs a second look."""

    def __init__(self, front: QuickFront) -> None:
        self._front = front
        self._transport: asyncio.Transport | None = None
        self._peer: Peer | None = None
        self._address = self._source = UNKNOWN
        self._buffer = b""
        self._out: list[bytes] = []
        self._reading = True
        self._writable = True
        self._turn_due = False
        self._ending = False
        self._admitted = False  # the head that is handed over was counted by the limit

    # --- transport ---
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._peer = self._front.connections.admit(transport, self.finish)
        if self._peer is not None:
            self._transport = self._peer.transport
            self._address = peer_of(transport.get_extra_info("peername"))
            self._source = address_of(self._address)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._peer is not None:
            self._front.connections.lost(self._peer)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if self._writable and not self._turn_due:
            self._turn()

    def pause_writing(self) -> None:
        self._writable = False
        if self._peer is not None:
            self._peer.paused = True
        self._stop_reading()

    def resume_writing(self) -> None:
        self._writable = True
        if self._peer is not None:
            self._peer.resumed()
        if not self._turn_due:
            self._go_on()

    def finish(self) -> None:
        """Close it behind the answers to what came whole."""
        self._ending = True
        if self._transport is not None and self._writable and not self._turn_due and not self._out:
            self._transport.close()

    def let_go(self) -> None:
        """See Leaving."""
        out, self._out = self._out, []
        if self._transport is not None and not self._transport.is_closing():
            if self._peer is not None and not self._buffer and not self._turn_due:
                self._peer.await_request()
            self._transport.write(b"".join(out))
            if self._ending and not self._turn_due and self._writable:
                self._transport.close()

    def hold_back(self) -> None:
        """See Leaving."""
        self._out = []
        if self._transport is not None:
            self._transport.abort()

    def _end(self, transport: asyncio.Transport) -> None:
        if not self._out:  # else behind them
            transport.close()

    # --- turns ---
    def _turn(self) -> None:
        """Answer whole heads in their order, as many as one turn may, and see what the rest is."""
        transport, peer = self._transport, self._peer
        if transport is None or peer is None or transport.is_closing():
            return
        data = self._buffer
        waiting = bool(self._out)
        came_ns = self._front.turn.came_ns or clock.monotonic_ns()
        start, left = self._answers(data)
        if self._out and not waiting:
            self._front.turn.leave(self, came_ns)
        if start == len(data) and left == _UNSEEN:
            left = _PART
        rest = self._buffer = data[start:] if start else data
        if left == _SECOND_LOOK or (left == _PART and rest and not _may_be_good(rest)):
            self._hand_over(transport, peer)
        elif left == _UNSEEN:
            self._await_turn(peer)
        elif left == _OVER:
            self._await_turn(peer, limits.RETRY_AFTER_S)
        else:
            if self._out and not rest:
                peer.await_nothing()  # until they leave
            elif not rest:
                peer.await_request()
            elif start or peer.waiting:
                peer.await_head()  # from where it began
            if self._ending or not self._reading:
                self._await_more(transport)

    def _answers(self, data: bytes) -> tuple[int, int]:
        """Answer what one turn may, into _out; return where what is left begins, and what that is."""
        quick = self._front.quick
        if not quick.begin():
            return 0, _PART if data.find(_HEAD_END) < 0 else _SECOND_LOOK
        try:
            return self._answer_heads(data, quick)
        finally:
            quick.end()

    def _answer_heads(self, data: bytes, quick: Quick) -> tuple[int, int]:
        front, out, peer, source = self._front, self._out, self._address, self._source
        verdicts, admits, plain, links = front.verdicts, front.admits, quick.plain, front.links
        start = size = 0
        for _ in range(limits.HTTP_TURN_REQUESTS):
            end = data.find(_HEAD_END, start)
            if end < 0:
                return start, _PART
            line_end = data.find(b"\r\n", start)
            path_start, path_end = start + len(_START), line_end - len(_END)
            is_link = data.startswith(_LINK_START, start)
            if is_link:
                path_start = start + len(_METHOD)
            elif path_end <= path_start or not data.startswith(_START, start):
                return start, _SECOND_LOOK
            if data[path_end:line_end] != _END:
                return start, _SECOND_LOOK
            headers = data[line_end : end + 2]
            verdict = verdicts[headers] if headers in verdicts else front.verdict(headers)
            if verdict == _SLOW or path_end - path_start > limits.HTTP_HEAD_BYTES_MAX:
                return start, _SECOND_LOOK
            if not admits(source):
                out += (_REFUSAL[0], clock.http_date(), _REFUSAL[1])
                front.count_refusal()
                return end + len(_HEAD_END), _OVER
            path = data[path_start:path_end]
            if is_link:
                plain_link = verdict & _ANY_FORM and not path.translate(None, _UNRESERVED)
                answer = links.redirect(path, peer) if plain_link else None
            elif path.translate(None, _UNRESERVED) or path.endswith(b"/"):
                handle = _decoded(path)
                answer = None if handle is None else quick.any(handle, verdict & _GZIP != 0, peer)
            else:
                answer = plain(path, verdict & _GZIP != 0, peer)
            if answer is None:
                self._admitted = True  # the second look is at the same request
                return start, _SECOND_LOOK
            out += answer
            start = end + len(_HEAD_END)
            size += len(answer[-1])
            if size >= limits.HTTP_TURN_BYTES:
                break
        return start, _UNSEEN

    def _await_turn(self, peer: Peer, delay_s: float = 0) -> None:
        """Let the others have their turn, and the client read; what is left may hold whole heads."""
        peer.await_nothing()
        self._stop_reading()
        if self._writable:
            self._turn_due = True
            asyncio.get_running_loop().call_later(delay_s, self._take_turn)

    def _take_turn(self) -> None:
        self._turn_due = False
        if self._writable:
            self._go_on()

    def _go_on(self) -> None:
        """Take up what is left; time begins anew."""
        if self._peer is not None:
            self._peer.await_request()
            self._turn()

    def _await_more(self, transport: asyncio.Transport) -> None:
        """Read on, or close if that was all."""
        if self._ending:
            self._end(transport)
        elif self._writable:
            self._reading = True
            transport.resume_reading()

    def _stop_reading(self) -> None:
        if self._reading and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()

    def _hand_over(self, transport: asyncio.Transport, peer: Peer) -> None:
        """Let aiohttp go on, for good, with what is left, behind the answers that wait for the log."""
        if self._ending:
            self._end(transport)
            return
        if self._out:
            self._front.turn.end()
            if transport.is_closing():
                return
        peer.admitted = self._admitted
        self._transport = self._peer = None
        slow = self._front.slow(peer)
        transport.set_protocol(slow)
        slow.connection_made(transport)
        if not self._writable:
            slow.pause_writing()
        if not self._reading:
            transport.resume_reading()
        slow.data_received(self._buffer)
        self._buffer = b""


def _may_be_good(rest: bytes) -> bool:
    """Whether a head that is not whole may yet become a good one; aiohttp says what is wrong with any other."""
    if len(rest) > limits.HTTP_HEAD_BYTES_MAX or rest.count(b"\n") != rest.count(b"\r\n"):
        return False
    line, ended, _ = rest.lstrip(b"\r\n").partition(b"\r\n")
    return not rest.translate(None, _IN_HEADS) and (not ended or _LINE.fullmatch(line) is not None)


def _decoded(path: bytes) -> str | None:
    """Return a path without its percent-encoding, None if that is not as it should be."""
    if _ENCODED_PATH.fullmatch(path) is None:
        return None
    try:
        return decode_path(path.decode("ascii"))
    except NodeError:
        return None


def _judge(headers: bytes) -> int:
    verdict, hosts = _PLAIN | _ANY_FORM, 0
    lines = headers[2:-2].split(b"\r\n")
    if len(lines) > limits.HTTP_HEADERS_MAX:
        return _SLOW
    for line in lines:
        match = _HEADER.fullmatch(line)
        if match is None:
            return _SLOW
        name, value = match[1].lower(), match[2].strip()
        if name == b"host":
            hosts += 1
            if _HOST.fullmatch(value) is None:
                return _SLOW
        elif name == b"accept-encoding":
            verdict |= _GZIP
        elif name == b"accept" and b"json" in value.lower():  # the set of links, maybe
            verdict &= ~_ANY_FORM
        elif name == b"connection":
            if value.lower() != b"keep-alive":
                return _SLOW
        elif name not in _HARMLESS:
            return _SLOW
    return verdict if hosts == 1 else _SLOW
