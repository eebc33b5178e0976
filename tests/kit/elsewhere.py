"""Others, on loopback: a Handle server, a name server and a GS1 resolver that do what a test wants of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import IPv4Address, ip_network
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.zone
from aiohttp import web

from core.outcomes import HandleCode
from core.records import HandleValue, Values
from core.wire import body as bodies
from core.wire.envelope import ENVELOPE_BYTES, Envelope, decode_envelope, encode_envelope
from core.wire.message import Header, Message, decode_message, encode_message
from core.wire.sitefile import AddressPolicy
from node.recursion.places import Place
from sync.topnode.referral import Server, site_values

HOST = "127.0.0.1"
LOOPBACK = AddressPolicy((ip_network("127.0.0.0/8"),))
PUBLIC = AddressPolicy()

Told = tuple[HandleCode, Values]
Serve = Callable[["HandleServer", str], Awaitable[Told | bytes]]


def referral(place: Place) -> Told:
    """Return a service referral to a server."""
    return HandleCode.SERVICE_REFERRAL, site_values((Server(IPv4Address(place.host), (place.port, None, None)),))


def url(text: str, ttl: int = 300) -> Told:
    """Return an answer with one value."""
    return HandleCode.SUCCESS, (HandleValue(1, "URL", text.encode(), ttl=ttl),)


class HandleServer:
    """Answers each question over TCP by a function; octets go as they are, in the place of an answer."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self.asked: list[str] = []
        self.arrived: asyncio.Queue[str] = asyncio.Queue()
        self.place = Place(HOST, 0)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            envelope = decode_envelope(await reader.readexactly(ENVELOPE_BYTES))
            question = decode_message(await reader.readexactly(envelope.length))
            handle = bodies.decode_question(question.body).handle
            self.asked.append(handle)
            self.arrived.put_nowait(handle)
            told = await self._serve(self, handle)
            writer.write(told if isinstance(told, bytes) else _answer(envelope, question.header, handle, told))
            await writer.drain()
        writer.close()


def _answer(envelope: Envelope, header: Header, handle: str, told: Told) -> bytes:
    code, values = told
    with_values = code in (HandleCode.SUCCESS, HandleCode.SERVICE_REFERRAL, HandleCode.PREFIX_REFERRAL)
    body = bodies.encode_change(bodies.Change(handle, values)) if with_values else b""
    payload = encode_message(Message(header._replace(code=code, flags=0), body))
    return encode_envelope(envelope._replace(length=len(payload))) + payload


@contextlib.asynccontextmanager
async def handle_server(serve: Serve, host: str = HOST) -> AsyncIterator[HandleServer]:
    """Run a Handle server."""
    made = HandleServer(serve)
    server = await asyncio.start_server(made._connected, host, 0)
    made.place = Place(HOST, server.sockets[0].getsockname()[1])
    try:
        yield made
    finally:
        server.close()


# --- DNS -------------------------------------------------------------------------
class NameServer(asyncio.DatagramProtocol):
    """Answers from a zone, over UDP and TCP. ``silent``: not at all; ``secure``: with the AD flag."""

    def __init__(self, zone: str, origin: str) -> None:
        self._zone = dns.zone.from_text(zone, origin, relativize=False)
        self.place = Place(HOST, 0)
        self.asked: list[str] = []
        self.silent = self.secure = self.truncating = False
        self.rcode = dns.rcode.NOERROR

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if not self.silent:
            self._transport.sendto(self.answer(data, truncating=self.truncating), addr)

    async def stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            data = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
            told = self.answer(data)
            writer.write(len(told).to_bytes(2) + told)
        writer.close()

    def answer(self, data: bytes, *, truncating: bool = False) -> bytes:
        query = dns.message.from_wire(data)
        (asked,) = query.question
        self.asked.append(f"{asked.name} {dns.rdatatype.to_text(asked.rdtype)}")
        response = dns.message.make_response(query, recursion_available=True)
        response.set_rcode(self.rcode)
        if truncating:
            response.flags |= dns.flags.TC
        elif self.rcode == dns.rcode.NOERROR:
            self._fill(response, asked.name, asked.rdtype)
        if self.secure:
            response.flags |= dns.flags.AD
        return response.to_wire()

    def _fill(self, response: dns.message.Message, name: dns.name.Name, kind: Any) -> None:
        alias = self._zone.get_rrset(name, "CNAME")
        if alias is not None:
            response.answer.append(alias)
            name = alias[0].target
        found = self._zone.get_rrset(name, kind)
        if found is not None:
            response.answer.append(found)
            return
        response.authority.append(self._zone.get_rrset(self._zone.origin, "SOA"))
        if self._zone.get_node(name) is None:
            response.set_rcode(dns.rcode.NXDOMAIN)


@contextlib.asynccontextmanager
async def name_server(zone: str, origin: str) -> AsyncIterator[NameServer]:
    """Run a name server."""
    made = NameServer(zone, origin)
    server = await asyncio.start_server(made.stream, HOST, 0)
    made.place = Place(HOST, server.sockets[0].getsockname()[1])
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: made, tuple(made.place))
    try:
        yield made
    finally:
        transport.close()
        server.close()


# --- HTTP ------------------------------------------------------------------------
@contextlib.asynccontextmanager
async def web_server(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """Run a web server that answers each request by a function; yield its URL."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, HOST, 0)
    await site.start()
    try:
        yield f"http://{HOST}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
