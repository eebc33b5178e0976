"""One question over the Handle protocol, as any client asks it, and where it leads: for the command line.

Over UDP a question is repeated after a growing wait; an answer that the node cut short
(its bound for sources that may be forged) is asked for again over TCP. A referral (302, 303) that
carries sites is followed to the server that the handle belongs to. Bounds: REFERRALS_MAX.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from typing import Final, NamedTuple

from core import clock, limits
from core.errors import WireError
from core.outcomes import HandleCode
from core.records import InterfaceProtocol, Values
from core.wire import body as bodies
from core.wire.codepoints import SITE_SERIAL_UNKNOWN, VERSION, OpCode, OpFlag
from core.wire.cursor import Cursor
from core.wire.envelope import ENVELOPE_BYTES, Assembly, Envelope, decode_envelope, encode_envelope
from core.wire.message import Header, Message, decode_message, encode_message
from resolver.referral import door_of

_WAITS_S: Final = (0.5, 1.0, 2.0)
_TCP_S: Final = 10.0
_FLAGS: Final = OpFlag.RECURSIVE | OpFlag.CACHE_CERTIFIED | OpFlag.PUBLIC_ONLY
REFERRALS: Final = (HandleCode.SERVICE_REFERRAL, HandleCode.PREFIX_REFERRAL)
"""Codes of an answer that says where to ask."""
_WITH_VALUES: Final = (HandleCode.SUCCESS, *REFERRALS)
_PROTOCOLS: Final = {"udp": InterfaceProtocol.UDP, "tcp": InterfaceProtocol.TCP}


class Reply(NamedTuple):
    """What a node said. ``values``: of the record, or where to ask; None where none belong here."""

    code: int
    handle: str
    message: str
    values: Values | None


class Found(NamedTuple):
    """What was said last, and who was asked, one after the other: address and port each."""

    reply: Reply
    asked: tuple[tuple[str, int], ...]


def resolve(host: str, port: int, handle: str, over: str) -> Found:
    """Resolve a handle over udp or tcp, and follow referrals. Errors: OSError, WireError."""
    asked: tuple[tuple[str, int], ...] = ((host, port),)
    while True:
        reply = ask(*asked[-1], handle, over)
        onward = _onward(handle, reply, over) if len(asked) <= limits.REFERRALS_MAX else None
        if onward is None or onward in asked:
            return Found(reply, asked)
        asked = (*asked, onward)


def _onward(handle: str, reply: Reply, over: str) -> tuple[str, int] | None:
    """Return where a referral leads; None where it is none, or names no server that can be asked so."""
    door = door_of(handle, reply.values or (), _PROTOCOLS[over]) if reply.code in REFERRALS else None
    return None if door is None else (str(door[0]), door[1])


def ask(host: str, port: int, handle: str, over: str) -> Reply:
    """Resolve a handle over udp or tcp. Errors: OSError, WireError."""
    envelope, payload = question(handle)
    if over == "udp":
        answer = _over_udp(host, port, envelope, payload)
        if answer is not None:
            return read_reply(handle, answer)
    return read_reply(handle, _over_tcp(host, port, envelope, payload))


def question(handle: str) -> tuple[Envelope, bytes]:
    """Return envelope and message of a question for the public values of a handle."""
    expiration = clock.now_s() + limits.HANDLE_ANSWER_S
    header = Header(OpCode.RESOLUTION, 0, _FLAGS, SITE_SERIAL_UNKNOWN, 0, expiration)
    payload = encode_message(Message(header, bodies.encode_question(bodies.Question(handle, (), ()))))
    return Envelope(VERSION, VERSION, 0, secrets.randbits(31), len(payload)), payload


def _over_udp(host: str, port: int, envelope: Envelope, payload: bytes) -> bytes | None:
    """Return the answer, None if it came in part only. Errors: OSError, WireError."""
    family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as channel:
        channel.connect(place)
        partial = False
        for wait_s in _WAITS_S:
            channel.send(encode_envelope(envelope) + payload)
            answer, partial = _collect(channel, envelope.request_id, clock.monotonic_s() + wait_s)
            if answer is not None or partial:
                return answer
    raise TimeoutError("no answer")


def _collect(channel: socket.socket, request_id: int, until_s: float) -> tuple[bytes | None, bool]:
    """Return the answer, and whether any of it came. Errors: OSError, WireError."""
    assembly: Assembly | None = None
    while (left_s := until_s - clock.monotonic_s()) > 0:
        channel.settimeout(left_s)
        try:
            packet = channel.recv(limits.UDP_DATAGRAM_BYTES_MAX)
        except TimeoutError:
            break
        if len(packet) < ENVELOPE_BYTES:
            continue
        envelope = decode_envelope(packet)
        if envelope.request_id != request_id:
            continue
        if not envelope.in_packets:
            return packet[ENVELOPE_BYTES:], True
        assembly = assembly or Assembly(envelope)
        whole = assembly.add(envelope, packet[ENVELOPE_BYTES:])
        if whole is not None:
            return whole[1], True
    return None, assembly is not None


def _over_tcp(host: str, port: int, envelope: Envelope, payload: bytes) -> bytes:
    """Errors: OSError, WireError."""
    with socket.create_connection((host, port), _TCP_S) as channel:
        channel.sendall(encode_envelope(envelope) + payload)
        head = decode_envelope(_exactly(channel.recv, ENVELOPE_BYTES))
        if head.length > 2 * limits.MESSAGE_BYTES_MAX:
            raise WireError(f"an answer of {head.length} octets")
        return _exactly(channel.recv, head.length)


def _exactly(receive: Callable[[int], bytes], count: int) -> bytes:
    octets = b""
    while len(octets) < count:
        more = receive(count - len(octets))
        if not more:
            raise WireError("the answer is cut short")
        octets += more
    return octets


def read_reply(handle: str, payload: bytes) -> Reply:
    """Read the message that answers a question for a handle. Errors: WireError."""
    message = decode_message(payload)
    cursor = Cursor(message.body)
    if message.header.has(OpFlag.RETURN_DIGEST):
        bodies.decode_digest(cursor)
    code = message.header.code
    if code not in _WITH_VALUES:
        return Reply(code, handle, cursor.text() if cursor.left else "", None)
    answered = bodies.decode_answer_values(cursor)
    return Reply(code, answered.handle or handle, "", answered.values)
