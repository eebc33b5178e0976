"""One probe, and servers that lie: each of their answers is a fault, told by its name and in time."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest

from core import limits
from core.outcomes import HandleCode
from core.records import HandleValue
from core.wire import body as bodies
from core.wire.codepoints import OpCode, OpFlag
from core.wire.envelope import ENVELOPE_BYTES, Envelope, decode_envelope, encode_envelope, packets
from core.wire.message import SHA1, SHA256, Header, Message, decode_message, digest, encode_message
from node.probes import Found, Server, probe_http, probe_registration, probe_tcp, probe_udp

PREFIX = "88.118"
LIMIT_MS = 20  # late after 100 ms
CJK = re.compile("[\u4e00-\u9fff]")
VALUES = (HandleValue(1, "HS_ADMIN", b"x"),)


def answer_to(
    question: bytes, *, handle: str = "0.na/88.118", values: Any = VALUES, code: int = HandleCode.SUCCESS,
    flags: int = OpFlag.RETURN_DIGEST, op: int = OpCode.RESOLUTION, signed: bytes = b"", id_added: int = 0,
    algorithm: Any = SHA256,
) -> tuple[Envelope, bytes]:  # fmt: skip
    """Return an answer, right but for what is given."""
    asked, message = decode_envelope(question), decode_message(question[ENVELOPE_BYTES:])
    told = bodies.encode_digest(algorithm, digest(algorithm, signed or message.signed_part))
    body = told + bodies.encode_change(bodies.Change(handle, values))
    payload = encode_message(Message(Header(op, code, flags, 1, 0, 0), body))
    envelope = Envelope(asked.version, asked.version, 0, asked.request_id + id_added, len(payload))
    return envelope, payload


def whole(*answer: Any) -> bytes:
    envelope, payload = answer
    return encode_envelope(envelope) + payload


LIES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "digest": (lambda asked: whole(*answer_to(asked, signed=b"another")), "another request's digest"),
    "no digest": (lambda asked: whole(*answer_to(asked, flags=0)), "no digest"),
    "operation": (lambda asked: whole(*answer_to(asked, op=OpCode.GET_SITE_INFO)), "no digest"),
    "handle": (lambda asked: whole(*answer_to(asked, handle="0.NA/88.119")), "another handle"),
    "code": (lambda asked: whole(*answer_to(asked, code=HandleCode.HANDLE_NOT_FOUND)), "response code is 100"),
    "values": (lambda asked: whole(*answer_to(asked, values=())), "no values"),
    "noise": (lambda asked: whole(answer_to(asked)[0]._replace(length=24), bytes(24)), ""),
}
every_lie = pytest.mark.parametrize("lie", LIES)


@asynccontextmanager
async def stream(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[Server]:
    """Serve each connection so, and end it."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield Server("127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, answers: Callable[[bytes], list[bytes]]) -> None:
        self.answers = answers

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        for each in self.answers(data):
            self.transport.sendto(each, addr)


async def by_udp(answers: Callable[[bytes], list[bytes]]) -> Found:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Datagrams(answers), ("127.0.0.1", 0))
    try:
        return await probe_udp(Server(*transport.get_extra_info("sockname")), PREFIX, LIMIT_MS)
    finally:
        transport.close()


async def by_tcp(answer: Callable[[bytes], bytes]) -> Found:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(await reader.read(65_536)))

    async with stream(serve) as server:
        return await probe_tcp(server, PREFIX, LIMIT_MS)


async def by_http(answer: bytes, probe: Any = probe_http, *arguments: Any) -> Found:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith((b"GET /api/handles/0.NA/88.118 HTTP/1.1\r\n", b"GET /v1/monitor HTTP/1.1\r\n"))
        writer.write(answer)

    async with stream(serve) as server:
        return await (probe(server, LIMIT_MS) if probe is probe_registration else probe(server, PREFIX, LIMIT_MS))


def refused(found: Found, word: str) -> None:
    assert found.rtt_us is None
    assert word in found.fault
    assert CJK.search(found.fault)


def right(found: Found) -> None:
    assert found.fault == ""
    assert found.rtt_us is not None
    assert 0 < found.rtt_us < LIMIT_MS * limits.PROBE_LATE * 1_000


def test_a_right_answer_counts() -> None:
    """Also one of an older server, by its digest; of a long one by UDP its first packet is enough."""
    right(asyncio.run(by_udp(lambda asked: [whole(*answer_to(asked))])))
    right(
        asyncio.run(
            by_udp(lambda asked: [b"", b"noise", whole(*answer_to(asked, id_added=1)), whole(*answer_to(asked))])
        )
    )
    long = (*VALUES, HandleValue(2, "DESC", bytes(3_000)))
    right(asyncio.run(by_udp(lambda asked: list(packets(*answer_to(asked, values=long)))[:2])))
    right(asyncio.run(by_tcp(lambda asked: whole(*answer_to(asked, algorithm=SHA1)))))
    right(asyncio.run(by_tcp(lambda asked: whole(*answer_to(asked, values=long)))))


@every_lie
def test_a_lie_is_a_fault(lie: str) -> None:
    """By UDP and TCP."""
    answer, word = LIES[lie]
    refused(asyncio.run(by_udp(lambda asked: [answer(asked)])), word)
    refused(asyncio.run(by_tcp(answer)), word)


@every_lie
def test_a_lie_in_packets_is_a_fault(lie: str) -> None:
    """What the first packet tells."""
    if lie in ("values", "noise"):
        return
    answer, word = LIES[lie]

    def cut(asked: bytes) -> list[bytes]:
        octets = answer(asked)
        envelope = decode_envelope(octets)
        return [encode_envelope(envelope._replace(flags=0x20, length=9_999)) + octets[ENVELOPE_BYTES:]]

    refused(asyncio.run(by_udp(cut)), word)


def test_what_is_no_answer_by_udp() -> None:
    """Cut, of another request, without end, and nothing."""
    refused(asyncio.run(by_udp(lambda asked: [whole(*answer_to(asked))[:-9]])), "cut short")
    refused(asyncio.run(by_udp(lambda asked: [whole(*answer_to(asked, id_added=1))])), "No whole answer within 0.1 s")
    refused(asyncio.run(by_udp(lambda asked: [whole(*answer_to(asked, id_added=1))] * 99)), "something else")
    refused(asyncio.run(by_udp(lambda _: [])), "No whole answer")
    refused(asyncio.run(by_udp(lambda asked: [asked])), "malformed")  # its own question
    with socket.socket(type=socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        place = Server(*closed.getsockname())
    refused(asyncio.run(probe_udp(place, PREFIX, LIMIT_MS)), "refused")


def test_what_is_no_answer_by_tcp() -> None:
    """Cut, of another request, too long, and octets that come for ever."""
    refused(asyncio.run(by_tcp(lambda asked: whole(*answer_to(asked))[:-9])), "cut short")
    refused(asyncio.run(by_tcp(lambda asked: whole(*answer_to(asked, id_added=1)))), "another request")
    too_long = limits.PROBE_ANSWER_BYTES_MAX + 1
    refused(asyncio.run(by_tcp(lambda asked: whole(answer_to(asked)[0]._replace(length=too_long), b""))), "too long")
    refused(asyncio.run(by_tcp(lambda _: b"")), "cut short")


def test_a_trickle_without_end_ends_with_its_time() -> None:
    """An octet at a time is no answer, by any protocol; nor is a connection that nobody speaks on."""

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.read(65_536)
        http = asked.startswith(b"GET")
        start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" if http else whole(*answer_to(asked))[:40]
        writer.write(start)
        for _ in count():
            writer.write(b"1\r\nx\r\n" if http else b"\0")
            await writer.drain()
            await asyncio.sleep(LIMIT_MS / 1_000)

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async def ask(serve: Any, probe: Any) -> Found:
        async with stream(serve) as server:
            found: Found = await probe(server, PREFIX, LIMIT_MS)
            return found

    for serve in (trickle, silent):
        for probe in (probe_tcp, probe_http):
            refused(asyncio.run(ask(serve, probe)), "No whole answer")


def test_a_connection_that_is_reset() -> None:
    """And one that is refused, and a host that there is none of."""

    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        channel = writer.get_extra_info("socket")
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async def ask(probe: Any) -> Found:
        async with stream(reset) as server:
            found: Found = await probe(server, PREFIX, LIMIT_MS)
            return found

    for probe in (probe_tcp, probe_http):
        refused(asyncio.run(ask(probe)), "broke")
        refused(asyncio.run(probe(Server("127.0.0.1", 1), PREFIX, LIMIT_MS)), "refused")
        refused(asyncio.run(probe(Server("255.255.255.255", 9), PREFIX, LIMIT_MS)), "It cannot be reached")


def http(body: bytes | dict[str, Any], status: str = "200 OK", *headers: str) -> bytes:
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = headers or (f"Content-Length: {len(octets)}",)
    return "\r\n".join((f"HTTP/1.1 {status}", *lines, "", "")).encode() + octets


RECORD = {"responseCode": 1, "handle": "0.NA/88.118", "values": [{"index": 1}]}
TEXT = json.dumps(RECORD).encode()
CHUNKS = b"%x;a=b\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (9, TEXT[:9], len(TEXT) - 9, TEXT[9:])
CHUNKED = "Transfer-Encoding: chunked"


def test_a_right_answer_by_http_counts() -> None:
    """With its length, in pieces, or until the end of the connection."""
    for answer in (http(RECORD), http(CHUNKS, "200 OK", CHUNKED), http(TEXT, "200 OK", "Connection: close")):
        right(asyncio.run(by_http(answer)))


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (http(RECORD | {"handle": "0.NA/88.119"}), "another handle"),
        (http(RECORD | {"handle": 7}), "another handle"),
        (http(RECORD | {"responseCode": 100}), "not 1"),
        (http(RECORD | {"values": []}), "no values"),
        (http(RECORD | {"values": "many"}), "no values"),
        (http(b"[]"), "malformed"),
        (http(b"{"), "malformed"),
        (http(b"[" * 100_000), "malformed"),
        (http(RECORD, "404 Not Found"), "status is 404"),
        (http(RECORD, "302 Found", "Location: http://127.0.0.1/"), "status is 302"),
        (b"SSH-2.0-x\r\n\r\n", "malformed"),
        (http(TEXT, "200 OK", "Content-Length: 9999"), "cut short"),
        (http(TEXT, "200 OK", "Content-Length: -1"), "malformed"),
        (http(TEXT, "200 OK", "Content-Length: 99999999999"), "too long"),
        (http(TEXT, "200 OK", "Content-Encoding: gzip"), "not asked for"),
        (http(CHUNKS[:-9], "200 OK", CHUNKED), "cut short"),
        (http(b"ffffffff\r\n", "200 OK", CHUNKED), "too long"),
        (http(b"x\r\n", "200 OK", CHUNKED), "malformed"),
        (http(b"x" * (limits.PROBE_ANSWER_BYTES_MAX + 1), "200 OK", "A: b"), "too long"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 99_999, "too long"),
    ],
)  # fmt: skip
def test_a_wrong_answer_by_http_is_a_fault(answer: bytes, word: str) -> None:
    """Named; and not a word of what the server said."""
    found = asyncio.run(by_http(answer))
    refused(found, word)
    assert "88.119" not in found.fault


def test_the_monitoring_interface_of_a_node() -> None:
    """What it says of its registration, as long as it looks itself."""
    told = {"time": "2026-11-22T08:00:00Z", "resolution": True, "registration": True, "stale": False}
    right(asyncio.run(by_http(http(told), probe_registration)))
    refused(asyncio.run(by_http(http(told | {"registration": False}), probe_registration)), "does not register")
    refused(asyncio.run(by_http(http(told | {"registration": 1}), probe_registration)), "does not register")
    refused(asyncio.run(by_http(http(told | {"stale": True}), probe_registration)), "does not watch itself")
