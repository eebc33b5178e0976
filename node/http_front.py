"""HTTP and HTTPS by aiohttp: octets to Request, Response to octets, nothing else.

A body is refused by its announced length before it is read, and by its real length
while it is read. No request can cause a 500 by what it says; if a handler fails all
the same, the answer shows a ticket number and the log has the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import secrets
import socket
import ssl
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from core import clock, limits
from core.errors import LimitError, NodeError, Outcome, RateError, WireError
from core.forwarded import TrustedProxies
from core.outcomes import STATUSES
from core.peer import UNKNOWN, address_of, peer_of
from core.wire.http import Request, Response, Stream, problem
from node.arrival import ARRIVED_NS
from node.http_connections import Connections, Peer, serve
from node.routes import body_bytes_max, refused_unread
from resolver.ratelimit import Admits

_LOG: Final = logging.getLogger("saltern.http")
_QUIET: Final = logging.getLogger("saltern.http.aiohttp")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False

_BUSY: Final = STATUSES[Outcome.LOG_FULL].http

_NO_PROXIES: Final = TrustedProxies()

Answer = Callable[[Request], Awaitable[Response]]
CheckHead = Callable[[Request], Awaitable[Response | None]]
Observe = Callable[[str, int], None]


class HttpFront:
    """One worker's HTTP. ``observe``: (method, status) of each answer."""

    def __init__(
        self, answer: Answer, check_head: CheckHead, *, plain_auth: bool, admits: Admits, observe: Observe,
        connections: Connections | None = None, proxies: TrustedProxies = _NO_PROXIES,
    ) -> None:  # fmt: skip
        self._answer = answer
        self._proxies = proxies
        self._admits = admits
        self._check_head = check_head
        self._bodies_bytes = 0
        self._plain_auth = plain_auth
        self._observe = observe
        self._connections = Connections() if connections is None else connections
        self._server = _Server(
            self._handle, observe, self._connections,
            access_log=None, logger=_QUIET, keepalive_timeout=limits.HTTP_IDLE_S, auto_decompress=False,
            max_line_size=limits.HTTP_HEAD_BYTES_MAX, max_field_size=limits.HTTP_HEAD_BYTES_MAX,
            max_headers=limits.HTTP_HEADERS_MAX, lingering_time=limits.LINGER_S,
        )  # fmt: skip
        self._listeners: list[asyncio.Server] = []

    async def listen(self, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Serve on a socket that is bound and listening."""
        self._listeners.append(await serve(listener, tls, self._server))
        self._connections.watch()

    def connection(self, peer: Peer) -> asyncio.Protocol:
        """Return the protocol of a connection that is taken over."""
        connection = self._server()
        connection.peer = peer
        return connection

    async def drain(self) -> None:
        """Accept nothing more, let requests under way end and their answers arrive. Bounds: DRAIN_S."""
        for listener in self._listeners:
            listener.close()
        self._server.pre_shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limits.DRAIN_S):
                await self._server.shutdown(limits.DRAIN_S)
                await self._connections.drain()

    async def _handle(self, raw: web.BaseRequest) -> web.StreamResponse:
        path = raw.raw_path.partition("?")[0]
        request = None
        ARRIVED_NS.set(cast("_Connection", raw.protocol).came_ns)
        try:
            head = self._head(raw, path)
            await self._admit(raw, head.peer)
            response = await self._refusal_by_head(raw, head)
            if response is None:
                request = await self._read(raw, head)
                response = await self._answer(request)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except NodeError as error:
            response = _refusal(raw, path, error)
        except Exception:
            ticket = secrets.token_hex(6)
            _LOG.exception("ticket %s: a request failed", ticket)
            response = problem(Outcome.INTERNAL, f"The node failed; ticket {ticket}", path, close=True)
        finally:
            if request is not None:
                self._bodies_bytes -= len(request.body)
        self._observe(raw.method, response.status)
        if response.stream is not None:
            return await _streamed(raw, response, response.stream)
        answer = PlainResponse(status=response.status, body=response.body, headers=response.headers)
        if response.close or response.status == _BUSY:  # the next connection begins on the quick way again
            answer.force_close()
        return answer

    async def _admit(self, raw: web.BaseRequest, source: bytes) -> None:
        """Errors: RateError for a source that asks too much; it waits for that, and its connection with it."""
        peer = cast("_Connection", raw.protocol).peer
        admitted = peer is not None and peer.admitted
        if peer is not None:
            peer.admitted = False
        if admitted and source == _peer_of(raw):  # counted on the quick way, unless a proxy asks for somebody
            return
        if not self._admits(address_of(source)):
            await asyncio.sleep(limits.RETRY_AFTER_S)
            raise RateError

    def _head(self, raw: web.BaseRequest, path: str) -> Request:
        if path[:1] != "/":  # absolute form (RFC 9112 §3.2.2)
            path = "/" + path.partition("://")[2].partition("/")[2]
        headers = {name.lower(): _as_utf8(value) for name, value in raw.headers.items()}
        peer = _peer_of(raw)
        client = self._proxies.client(peer, _joined(raw, "X-Forwarded-For"), _joined(raw, "X-Forwarded-Proto"))
        secure = raw.secure or (client is not None and client.secure)
        return Request(
            raw.method,
            path,
            _as_utf8(raw.raw_path.partition("?")[2].partition("#")[0]),
            headers,
            b"",
            secure or (self._plain_auth and _from_this_machine(raw)),
            peer=peer if client is None else client.peer,
            secure=secure,
        )

    async def _refusal_by_head(self, raw: web.BaseRequest, head: Request) -> Response | None:
        """Return what to answer instead of reading the body, None to read it. Errors: NodeError."""
        if not raw.body_exists:
            return None
        _check_body(raw, body_bytes_max(head.path))
        refusal = await self._check_head(head)
        return None if refusal is None else refusal._replace(close=True)

    async def _read(self, raw: web.BaseRequest, head: Request) -> Request:
        if not raw.body_exists:
            return head
        if raw.headers.get("Expect", "").lower() == "100-continue":
            await raw.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            raw.writer.output_size = 0  # the answer itself has not begun
        return head._replace(body=await self._read_body(raw, body_bytes_max(head.path)))

    async def _read_body(self, raw: web.BaseRequest, bytes_max: int) -> bytes:
        """Return the body, which counts until its request is answered.

        Bounds: BODY_S; BODIES_BYTES_MAX of all bodies under way. Errors: NodeError.
        """
        chunks: list[bytes] = []
        size = 0
        whole = False
        try:
            async with asyncio.timeout(limits.BODY_S):
                async for chunk in raw.content.iter_any():
                    size += len(chunk)
                    self._bodies_bytes += len(chunk)
                    if size > bytes_max:
                        raise LimitError(f"The body has more than {bytes_max} octets")
                    if self._bodies_bytes > limits.BODIES_BYTES_MAX:
                        raise LimitError("Too many bodies are under way; try again", outcome=Outcome.OVERLOADED)
                    chunks.append(chunk)
            whole = True
        except TimeoutError:
            raise LimitError(f"The body did not come within {limits.BODY_S} seconds") from None
        except (web.RequestPayloadError, ConnectionError):
            raise WireError("The body is cut short or badly framed") from None
        finally:
            if not whole:
                self._bodies_bytes -= size
        return b"".join(chunks)


def _as_utf8(text: str) -> str:
    """Replace octets that are no UTF-8, which aiohttp keeps as halves of surrogate pairs."""
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _check_body(raw: web.BaseRequest, bytes_max: int) -> None:
    """Errors: LimitError for a length that is too much, WireError for a body that is compressed."""
    announced = raw.content_length
    if announced is not None and announced > bytes_max:
        raise LimitError(f"The body has {announced} octets; at most {bytes_max} are allowed")
    if raw.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise WireError("A compressed body is not taken; send it plain", outcome=Outcome.MEDIA_TYPE)


def _peer_of(raw: web.BaseRequest) -> bytes:
    return UNKNOWN if raw.transport is None else peer_of(raw.transport.get_extra_info("peername"))


def _joined(raw: web.BaseRequest, name: str) -> str | None:
    """Return all headers of a name as one (RFC 9110 §5.2), None where there is none."""
    values = raw.headers.getall(name, None)
    return None if values is None else ",".join(map(_as_utf8, values))


def _from_this_machine(raw: web.BaseRequest) -> bool:
    """Whether the peer is loopback; a request that a proxy passed on never counts (design §8)."""
    if "X-Forwarded-For" in raw.headers or "Forwarded" in raw.headers:
        return False
    return _is_loopback(raw.remote or "")


@lru_cache(maxsize=4_096)
def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _refusal(raw: web.BaseRequest, path: str, error: NodeError) -> Response:
    """The answer to a request that was not read to its end; the connection ends with it."""
    accept = {"accept": _as_utf8(raw.headers.get("Accept", ""))}
    request = Request(raw.method, path, "", accept, b"", credentials_safe=raw.secure)
    return refused_unread(request, error)._replace(close=True)


async def _streamed(raw: web.BaseRequest, response: Response, stream: Stream) -> web.StreamResponse:
    """Send a body piece by piece, as fast as the client takes it. Errors: ConnectionError ends the connection."""
    answer = _StreamedResponse(status=response.status, headers=response.headers)
    answer.content_length = stream.size_bytes
    try:
        await answer.prepare(raw)
        if raw.method != "HEAD":
            async for piece in stream.pieces():
                await answer.write(piece)
        await answer.write_eof()
    finally:
        stream.close()
    return answer


class PlainResponse(web.Response):
    """A response that does not say which software it is."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self._headers.popall("Server", None)


class _StreamedResponse(web.StreamResponse):
    """The same, of a body that comes in pieces."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self._headers.popall("Server", None)


class _Connection(RequestHandler):
    """One connection; what is no HTTP gets problem details and is closed.

    aiohttp bounds how long it waits for a request, not how long for half a head or for a client
    that does not read: ``peer`` is told what is waited for. Half a head that came behind a whole
    one is seen with its next octet, or goes when HTTP_IDLE_S is over.
    """

    observe: Observe
    connections: Connections
    peer: Peer | None = None
    came_ns: int = 0  # when the last octets came

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self.peer is None:
            self.peer = self.connections.admit(transport, _nothing)
        if self.peer is not None:
            super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self.peer is not None:
            self.connections.lost(self.peer)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.peer is not None:
            self.peer.paused = True

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.peer is not None:
            self.peer.resumed()

    def data_received(self, data: bytes) -> None:
        self.came_ns = clock.monotonic_ns()
        super().data_received(data)
        if self.peer is None:
            return
        if self._messages:
            self.peer.await_nothing()
        elif self.peer.waiting and data.strip(b"\r\n"):
            self.peer.await_head()

    async def _handle_request(self, *arguments: Any) -> Any:
        """Answer one request, and write the answer."""
        if self.peer is None:
            return await super()._handle_request(*arguments)
        self.peer.await_nothing()
        try:
            return await super()._handle_request(*arguments)
        finally:
            if not self._messages:
                self.peer.await_request()

    def handle_error(
        self,
        request: Any,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        outcome = Outcome.INTERNAL if status == STATUSES[Outcome.INTERNAL].http else Outcome.MALFORMED
        detail = "The node failed" if outcome is Outcome.INTERNAL else "This is not HTTP as RFC 9112 has it"
        if outcome is Outcome.INTERNAL:
            _LOG.error("a connection failed", exc_info=exc)
        response = problem(outcome, detail, "")
        self.observe("-", response.status)
        answer = PlainResponse(status=response.status, body=response.body, headers=response.headers)
        answer.force_close()
        return answer


class _Server(web.Server):
    def __init__(self, handler: Any, observe: Observe, connections: Connections, **options: Any) -> None:
        super().__init__(handler, **options)
        self._options = options
        self._observe = observe
        self._kept = connections

    def __call__(self) -> _Connection:
        connection = _Connection(self, loop=asyncio.get_running_loop(), **self._options)
        connection.observe = self._observe
        connection.connections = self._kept
        return connection


def _nothing() -> None:
    """Leave the end of a connection to aiohttp."""
