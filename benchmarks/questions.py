"""The octets of a resolution in each protocol; the generators put a request id into each."""

from __future__ import annotations

import socket
import struct
from typing import Final

from core.wire.codepoints import VERSION, OpCode, OpFlag
from core.wire.envelope import Envelope, encode_envelope
from core.wire.message import Header, Message, encode_message

ZONE: Final = "bench"
_USUAL: Final = OpFlag.RECURSIVE | OpFlag.CACHE_CERTIFIED | OpFlag.PUBLIC_ONLY
_SERIAL_UNKNOWN: Final = 0xFFFF
_ALL_VALUES: Final = bytes(8)  # no indexes, no types
_TXT: Final = 16
_INTERNET: Final = 1
_DATAGRAM_BYTES: Final = 65_535
_PATIENCE_S: Final = 2.0


def handle_resolution(handle: str, *, keep_alive: bool) -> bytes:
    """Return envelope and message that ask for all public values of a handle, as the stock clients do."""
    name = handle.encode()
    body = len(name).to_bytes(4, "big") + name + _ALL_VALUES
    flags = _USUAL | (OpFlag.KEEP_ALIVE if keep_alive else 0)
    message = encode_message(Message(Header(OpCode.RESOLUTION, 0, flags, _SERIAL_UNKNOWN, 0, 0), body))
    return encode_envelope(Envelope(VERSION, VERSION, 0, 0, len(message))) + message


def dns_name(handle: str) -> str:
    """Return the name that stands for a handle in the zone of the reference."""
    return f"{handle.partition('/')[2].lower()}.{ZONE}."


def dns_question(name: str, *, over_tcp: bool, type_: int = _TXT) -> bytes:
    """Return a DNS message that asks for TXT or another type, over TCP behind its length (RFC 1035 §4)."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    message = struct.pack(">6H", 0, 0, 1, 0, 0, 0) + labels + struct.pack(">2H", type_, _INTERNET)
    return len(message).to_bytes(2, "big") + message if over_tcp else message


def ask_datagram(port: int, request: bytes) -> bytes:
    """Return the datagram that answers one. Errors: OSError if none comes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.settimeout(_PATIENCE_S)
        channel.connect(("127.0.0.1", port))
        channel.send(request)
        return channel.recv(_DATAGRAM_BYTES)
