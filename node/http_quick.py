"""The quick way of HTTP: resolutions that need no second look, in front of aiohttp on the same port.

1. It answers a request only if that is a GET of ``/api/handles/…`` without a query, in
   HTTP/1.1, complete, with exactly one Host and no header but those of _HARMLESS, for a
   record that is public or missing. Its answers are those of aiohttp, octet by octet.
2. With anything else it hands the connection over for good, from that head on: aiohttp
   gets the transport and the octets that were not answered, at a message boundary and
   behind the answers before.
3. Heads repeat: what stands behind the request line is judged once and remembered.

Answers of one read go out in one write. A client that does not read its answers is not
read from; one that sends nothing for HTTP_IDLE_S, or half a head for HEAD_S, is closed.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Callable
from typing import Final, cast

from core import clock, limits

_START: Final = b"GET /api/handles/"
_END: Final = b" HTTP/1.1"
_HEAD_END: Final = b"\r\n\r\n"
_SWEEP_S: Final = 1.0
_HEADER: Final = re.compile(rb"([A-Za-z-]+):[ \t]*([ -~]*)")
_HOST: Final = re.compile(rb"[A-Za-z0-9.:\[\]-]+")
_PATH: Final = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=:@/-]*[A-Za-z0-9._~!$&'()*+,;=:@-]")
_HARMLESS: Final = frozenset((b"user-agent", b"accept", b"accept-language", b"cache-control", b"pragma"))


Resolve = Callable[[str, bool], tuple[bytes, bytes] | None]
"""Gives head (to the value of Date) and body for a path behind /api/handles/, and whether the
client takes gzip; None where the request needs a second look."""

_SLOW, _PLAIN, _GZIP = 0, 1, 2


class QuickFront:
    """One worker's listeners. ``slow`` makes the protocol that takes over."""

    def __init__(
        self, resolve: Resolve, slow: Callable[[], asyncio.Protocol], now_s: Callable[[], float] = clock.monotonic_s
    ) -> None:
        self.resolve = resolve
        self.slow = slow
        self.now_s = now_s
        self.connections: set[QuickConnection] = set()
        self._verdicts: dict[bytes, int] = {}
        self._listeners: list[asyncio.Server] = []
        self._sweeper: asyncio.TimerHandle | None = None

    async def listen(self, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Serve on a socket that is bound and listening."""
        loop = asyncio.get_running_loop()
        self._listeners.append(
            await loop.create_server(
                lambda: QuickConnection(self), sock=listener, ssl=tls, backlog=limits.LISTEN_BACKLOG
            )
        )
        if self._sweeper is None:
            self._sweeper = loop.call_later(_SWEEP_S, self._sweep_again)

    def drain(self) -> None:
        """Accept nothing more and close what waits for a request."""
        for listener in self._listeners:
            listener.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self.connections):
            connection.close()

    def sweep(self, now_s: float) -> None:
        """Close the connections whose time is over."""
        for connection in [each for each in self.connections if each.until_s <= now_s]:
            connection.abort()

    def verdict(self, headers: bytes) -> int:
        """Return _PLAIN or _GZIP where the headers behind a request line change nothing else, _SLOW where they may.

        Shape: from the CRLF of the request line to the last one before the empty line.
        """
        known = self._verdicts.get(headers)
        if known is None:
            known = _judge(headers)
            if len(headers) <= limits.QUICK_HEAD_BYTES_MAX:
                if len(self._verdicts) >= limits.QUICK_HEADS_MAX:
                    self._verdicts.clear()
                self._verdicts[headers] = known
        return known

    def _sweep_again(self) -> None:
        self.sweep(self.now_s())
        self._sweeper = asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep_again)


class QuickConnection(asyncio.Protocol):
    """One connection, until something comes that needs a second look."""

    def __init__(self, front: QuickFront) -> None:
        self._front = front
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._reading = True
        self.until_s = front.now_s() + limits.HTTP_IDLE_S

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._front.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._front.connections.discard(self)

    def close(self) -> None:
        """Close it; every request that came whole is answered."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close it at once."""
        if self._transport is not None:
            self._transport.abort()

    def pause_writing(self) -> None:
        if self._transport is not None:
            self._reading = False
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is not None:
            self._reading = True
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        transport, front = self._transport, self._front
        if transport is None or transport.is_closing():
            return
        if self._buffer:
            data = self._buffer + data
        answers: list[bytes] = []
        start = 0
        while True:
            end = data.find(_HEAD_END, start)
            if end < 0:
                break
            answer = self._answer(data, start, end)
            if answer is None:
                break
            answers += answer
            start = end + len(_HEAD_END)
        if answers:
            transport.write(b"".join(answers))
        rest = data[start:] if start else data
        if end >= 0 or (rest and not _may_be_quick(rest)):
            self._hand_over(transport, rest)
            return
        if rest and (start or not self._buffer):  # a head has begun
            self.until_s = front.now_s() + limits.HEAD_S
        elif not rest:
            self.until_s = front.now_s() + limits.HTTP_IDLE_S
        self._buffer = rest

    def _answer(self, data: bytes, start: int, end: int) -> tuple[bytes, bytes, bytes] | None:
        """Answer the request whose head stands there; None if it needs a second look."""
        line_end = data.find(b"\r\n", start, end + 2)
        path_start, path_end = start + len(_START), line_end - len(_END)
        if path_end <= path_start or data[start:path_start] != _START or data[path_end:line_end] != _END:
            return None
        verdict = self._front.verdict(data[line_end : end + 2])
        path = data[path_start:path_end]
        if verdict == _SLOW or _PATH.fullmatch(path) is None:
            return None
        answer = self._front.resolve(path.decode("ascii"), verdict == _GZIP)
        return None if answer is None else (answer[0], clock.http_date(), answer[1])

    def _hand_over(self, transport: asyncio.Transport, rest: bytes) -> None:
        """Let aiohttp go on, for good."""
        self._front.connections.discard(self)
        self._transport = None
        slow = self._front.slow()
        transport.set_protocol(slow)
        slow.connection_made(transport)
        if not self._reading:
            slow.pause_writing()
            transport.resume_reading()
        if rest:
            slow.data_received(rest)


def _may_be_quick(rest: bytes) -> bool:
    """Whether a head that is not whole may yet turn out to be one for the quick way."""
    if len(rest) > limits.HTTP_HEAD_BYTES_MAX or rest[: len(_START)] != _START[: len(rest)]:
        return False
    return rest.count(b"\n") == rest.count(b"\r\n")


def _judge(headers: bytes) -> int:
    verdict, hosts = _PLAIN, 0
    for line in headers[2:-2].split(b"\r\n"):
        match = _HEADER.fullmatch(line)
        if match is None:
            return _SLOW
        name, value = match[1].lower(), match[2].strip()
        if name == b"host":
            hosts += 1
            if _HOST.fullmatch(value) is None:
                return _SLOW
        elif name == b"accept-encoding":
            verdict = _GZIP
        elif name == b"connection":
            if value.lower() != b"keep-alive":
                return _SLOW
        elif name not in _HARMLESS:
            return _SLOW
    return verdict if hosts == 1 else _SLOW
