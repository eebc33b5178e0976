"""One probe of one server, by UDP, TCP (Handle protocol) or HTTP: whether it answers, rightly and in time.

``0.NA/<prefix>`` is asked for, as any client asks. An answer counts if it is there within PROBE_LATE times the limit
(docking agreement, annex 2) and is the answer to this very question: request id, digest of the request, handle, outcome
OK, at least one value. Whatever else comes is a fault, named for people; nothing that the server says is repeated.
Each probe has a connection of its own, reads no more than an answer can be long, and ends when its time is over.
Imports nothing of a running node: the node probes itself and those below it, a top node probes nodes.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from core import clock, limits
from core.errors import Outcome, WireError
from core.outcomes import STATUSES, HandleCode
from core.wire import body as bodies
from core.wire.codepoints import SITE_SERIAL_UNKNOWN, VERSION, OpCode, OpFlag
from core.wire.cursor import Cursor
from core.wire.envelope import ENVELOPE_BYTES, Envelope, decode_envelope, encode_envelope
from core.wire.jsontext import parse
from core.wire.message import (
    DIGESTS,
    HEADER_BYTES,
    Header,
    Message,
    decode_message,
    digest,
    encode_message,
    peek_header,
)

MONITOR_PATH: Final = "/v1/monitor"
_FLAGS: Final = OpFlag.RECURSIVE | OpFlag.CACHE_CERTIFIED | OpFlag.PUBLIC_ONLY | OpFlag.RETURN_DIGEST
_OK: Final = STATUSES[Outcome.OK].http_handles
_HEAD_END: Final = b"\r\n\r\n"


class Server(NamedTuple):
    """Where one way of a server is asked. ``host``: an IP address."""

    host: str
    port: int


class Found(NamedTuple):
    """What one probe found. ``rtt_us``: until the answer was there, None where none counts; ``fault``: why not."""

    rtt_us: int | None
    fault: str = ""


class FaultError(Exception):
    """An answer that does not count, and why: Chinese and English."""


Probe = Callable[[Server, str, int], Awaitable[Found]]


async def probe_udp(server: Server, prefix: str, limit_ms: int) -> Found:
    """Ask by UDP. An answer in packets is judged by its first one: a node may cut it, and clients then come by TCP."""
    return await _timed(_by_udp(server, f"0.NA/{prefix}"), limit_ms)


async def probe_tcp(server: Server, prefix: str, limit_ms: int) -> Found:
    """Ask by TCP."""
    return await _timed(_by_tcp(server, f"0.NA/{prefix}"), limit_ms)


async def probe_http(server: Server, prefix: str, limit_ms: int) -> Found:
    """Ask the Handle JSON interface."""
    return await _timed(_by_http(server, f"0.NA/{prefix}"), limit_ms)


async def probe_registration(server: Server, limit_ms: int) -> Found:
    """Ask a node's monitoring interface whether it registers, by what it found itself."""
    return await _timed(_by_monitor(server), limit_ms)


async def _timed(asked: Awaitable[None], limit_ms: int) -> Found:
    """Await an answer for as long as one counts."""
    begun = clock.monotonic_s()
    late_s = limit_ms * limits.PROBE_LATE / 1_000
    try:
        async with asyncio.timeout(late_s):
            await asked
    except TimeoutError:
        return Found(None, f"{late_s:g} 秒内没有完整应答。No whole answer within {late_s:g} s")
    except FaultError as fault:
        return Found(None, str(fault))
    except WireError:
        return Found(None, "应答的格式有误。The answer is malformed")
    except asyncio.IncompleteReadError:
        return Found(None, "应答不完整。The answer is cut short")
    except asyncio.LimitOverrunError:
        return Found(None, _TOO_LONG)
    except ConnectionRefusedError:
        return Found(None, "连接被拒绝。The connection is refused")
    except ConnectionError:
        return Found(None, "连接中断。The connection broke")
    except OSError as error:
        return Found(None, f"无法到达。It cannot be reached: {error.strerror or type(error).__name__}")
    return Found(max(0, round((clock.monotonic_s() - begun) * 1_000_000)))


_TOO_LONG: Final = "应答过长。The answer is too long"


# --- Handle protocol -----------------------------------------------------------
class _Asked(NamedTuple):
    """A question: as it is sent, and what its answer has to repeat."""

    octets: bytes
    request_id: int
    signed: bytes
    handle: str


def _question(handle: str) -> _Asked:
    header = Header(OpCode.RESOLUTION, 0, _FLAGS, SITE_SERIAL_UNKNOWN, 0, clock.now_s() + limits.HANDLE_ANSWER_S)
    message = Message(header, bodies.encode_question(bodies.Question(handle, (), ())))
    payload, request_id = encode_message(message), secrets.randbits(31)
    envelope = Envelope(VERSION, VERSION, 0, request_id, len(payload))
    return _Asked(encode_envelope(envelope) + payload, request_id, message.signed_part, handle)


def _judge(asked: _Asked, envelope: Envelope, payload: bytes) -> None:
    """Look at an answer. Errors: FaultError, WireError."""
    if envelope.request_id != asked.request_id:
        raise FaultError("应答的请求编号不符。The answer is to another request")
    message = decode_message(payload)
    _judge_body(asked, message.header, Cursor(message.body), whole=True)


def _judge_body(asked: _Asked, header: Header, cursor: Cursor, *, whole: bool) -> None:
    if header.op != OpCode.RESOLUTION or not header.has(OpFlag.RETURN_DIGEST):
        raise FaultError("应答不含请求摘要。The answer has no digest of the request")
    told = bodies.decode_digest(cursor)
    if not any(each.size == len(told) and digest(each, asked.signed) == told for each in DIGESTS.values()):
        raise FaultError("应答的请求摘要不符。The answer has another request's digest")
    if header.code != HandleCode.SUCCESS:
        raise FaultError(f"应答码为 {header.code}。The response code is {header.code}")
    if not whole:
        _same(asked.handle, cursor.text())
        return
    answered = bodies.decode_answer_values(cursor)
    _same(asked.handle, answered.handle)
    if not answered.values:
        raise FaultError(_NO_VALUES)


_NO_VALUES: Final = "应答中没有标识值。The answer has no values"


def _same(asked: str, answered: str) -> None:
    """Errors: FaultError unless it is the same handle; a prefix handle folds in any case."""
    if asked.encode().upper() != answered.encode().upper():
        raise FaultError("应答的标识不是所问的。The answer is about another handle")


class _Datagrams(asyncio.DatagramProtocol):
    """The first datagrams that come; more than PROBE_DATAGRAMS are not taken."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[bytes | Exception] = asyncio.Queue(limits.PROBE_DATAGRAMS)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._keep(data)

    def error_received(self, exc: Exception) -> None:
        self._keep(exc)

    def _keep(self, what: bytes | Exception) -> None:
        if not self.arrived.full():
            self.arrived.put_nowait(what)


async def _by_udp(server: Server, handle: str) -> None:
    asked = _question(handle)
    transport, datagrams = await asyncio.get_running_loop().create_datagram_endpoint(
        _Datagrams, remote_addr=(server.host, server.port)
    )
    try:
        transport.sendto(asked.octets)
        for _ in range(limits.PROBE_DATAGRAMS):
            data = await datagrams.arrived.get()
            if isinstance(data, Exception):
                raise data
            if _is_answer(asked, data):
                return
        raise FaultError("只收到与所问无关的数据报。Only datagrams that answer something else came")
    finally:
        transport.close()


def _is_answer(asked: _Asked, data: bytes) -> bool:
    """Whether it is the right answer; one to another request, or a later packet, is none. Errors: as ``_judge``."""
    if len(data) < ENVELOPE_BYTES:
        return False
    envelope, payload = decode_envelope(data), data[ENVELOPE_BYTES:]
    if envelope.request_id != asked.request_id or (envelope.in_packets and envelope.sequence):
        return False
    if not envelope.in_packets:
        if len(payload) != envelope.length:
            raise FaultError("应答不完整。The answer is cut short")
        _judge(asked, envelope, payload)
        return True
    header = peek_header(payload)
    if header is None or envelope.length <= len(payload):
        raise FaultError("应答的格式有误。The answer is malformed")
    _judge_body(asked, header, Cursor(payload[HEADER_BYTES:]), whole=False)
    return True


async def _by_tcp(server: Server, handle: str) -> None:
    asked = _question(handle)
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        writer.write(asked.octets)
        envelope = decode_envelope(await reader.readexactly(ENVELOPE_BYTES))
        if envelope.length > limits.PROBE_ANSWER_BYTES_MAX:
            raise FaultError(_TOO_LONG)
        _judge(asked, envelope, await reader.readexactly(envelope.length))
    finally:
        writer.transport.abort()


# --- HTTP ----------------------------------------------------------------------
async def _by_http(server: Server, handle: str) -> None:
    members = await _fetch(server, f"/api/handles/{quote(handle, safe='/')}")
    code, answered, values = (members.get(name) for name in ("responseCode", "handle", "values"))
    if code != HandleCode.SUCCESS:
        raise FaultError("应答的 responseCode 不是 1。The responseCode is not 1")
    _same(handle, answered if isinstance(answered, str) else "")
    if not isinstance(values, list) or not values:
        raise FaultError(_NO_VALUES)


async def _by_monitor(server: Server) -> None:
    members = await _fetch(server, MONITOR_PATH)
    if members.get("stale") is True:
        raise FaultError("节点自身的监测已停止。The node does not watch itself any more")
    if members.get("registration") is not True:
        raise FaultError("节点自报注册不可用。The node says that it does not register")


async def _fetch(server: Server, target: str) -> dict[str, Any]:
    """Return the JSON object at a path. Errors: FaultError, WireError and those of streams."""
    reader, writer = await asyncio.open_connection(server.host, server.port, limit=limits.HTTP_HEAD_BYTES_MAX)
    try:
        host = f"[{server.host}]" if ":" in server.host else server.host
        head = f"GET {target} HTTP/1.1\r\nHost: {host}:{server.port}\r\nAccept: application/json\r\n"
        writer.write(f"{head}Connection: close{_HEAD_END.decode()}".encode())
        status, headers = _read_head(await reader.readuntil(_HEAD_END))
        if status != _OK:
            raise FaultError(f"HTTP 状态码为 {status}。The HTTP status is {status}")
        members = parse(await _read_body(reader, headers))
    finally:
        writer.transport.abort()
    if not isinstance(members, dict):
        raise WireError("no JSON object")
    return members


def _read_head(head: bytes) -> tuple[int, dict[str, str]]:
    lines = head.decode("latin-1").split("\r\n")
    version, _, rest = lines[0].partition(" ")
    status = rest[:3]
    if not version.startswith("HTTP/1.") or not (status.isascii() and status.isdigit() and len(status) == 3):
        raise WireError("no HTTP")
    named = (line.partition(":") for line in lines[1:] if line)
    return int(status), {name.strip().lower(): value.strip() for name, _, value in named}


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    """Return the octets of a body. Bounds: PROBE_ANSWER_BYTES_MAX."""
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise FaultError("应答经过未请求的编码。The answer is encoded in a way that was not asked for")
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return await _read_chunks(reader)
    if (length := headers.get("content-length")) is not None:
        return await reader.readexactly(_bounded(length, 10, limits.PROBE_ANSWER_BYTES_MAX))
    octets = b""
    while piece := await reader.read(limits.HTTP_HEAD_BYTES_MAX):
        octets += piece
        if len(octets) > limits.PROBE_ANSWER_BYTES_MAX:
            raise FaultError(_TOO_LONG)
    return octets


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    pieces: list[bytes] = []
    left = limits.PROBE_ANSWER_BYTES_MAX
    while size := _bounded((await reader.readuntil(b"\r\n")).decode("latin-1").partition(";")[0].strip(), 16, left):
        pieces.append(await reader.readexactly(size))
        left -= size
        if await reader.readexactly(2) != b"\r\n":
            raise WireError("a chunk without an end")
    return b"".join(pieces)


def _bounded(text: str, base: int, most: int) -> int:
    """Return a length. Errors: WireError, FaultError for one that is too great."""
    try:
        length = int(text, base) if text.isalnum() else -1
    except ValueError:
        length = -1
    if length < 0:
        raise WireError("no length")
    if length > most:
        raise FaultError(_TOO_LONG)
    return length
