"""The envelope, 20 octets before every message or packet, and packets (RFC 3652 §2.1).

    offset  width  field
    0       1      major version of this message
    1       1      minor version
    2       1      bit 7 compressed, bit 6 encrypted, bit 5 one of several packets,
                   bits 0-1 suggested major version
    3       1      suggested minor version
    4       4      session id, 0 for none
    8       4      request id, echoed
    12      4      sequence number of the packet
    16      4      length of the whole message without any envelope

A message over UDP that does not fit in one packet is cut, in order, into slices of
PACKET_PAYLOAD octets, each behind a copy of the envelope. Flag bits that nobody
knows are kept.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from core import limits
from core.errors import WireError
from core.wire.codepoints import Version

ENVELOPE_BYTES: Final = 20
PACKET_PAYLOAD: Final = limits.UDP_PACKET_BYTES - ENVELOPE_BYTES
_LAYOUT: Final = struct.Struct(">BBBBIIII")
_COMPRESSED: Final = 0x80
_ENCRYPTED: Final = 0x40
_PACKETS: Final = 0x20
_SUGGESTED: Final = 0x03


class Envelope(NamedTuple):
    """One envelope. ``flags``: octet 2 without the suggested version."""

    version: Version
    suggested: Version
    session_id: int
    request_id: int
    length: int
    sequence: int = 0
    flags: int = 0

    @property
    def encrypted(self) -> bool:
        """Whether the message is encrypted with the session's key."""
        return bool(self.flags & _ENCRYPTED)

    @property
    def compressed(self) -> bool:
        """Whether the message says that it is compressed; nobody ever defined how."""
        return bool(self.flags & _COMPRESSED)

    @property
    def in_packets(self) -> bool:
        """Whether this is one of several packets."""
        return bool(self.flags & _PACKETS)

    def with_encryption(self, length: int) -> Envelope:
        """Return the envelope of the encrypted message."""
        return self._replace(flags=self.flags | _ENCRYPTED, length=length)


def encode_envelope(envelope: Envelope) -> bytes:
    """Return the 20 octets."""
    return _LAYOUT.pack(
        envelope.version.major,
        envelope.version.minor,
        envelope.flags | (envelope.suggested.major & _SUGGESTED),
        envelope.suggested.minor,
        envelope.session_id,
        envelope.request_id,
        envelope.sequence,
        envelope.length,
    )


def decode_envelope(data: bytes) -> Envelope:
    """Read the first 20 octets. Errors: WireError if there are fewer."""
    if len(data) < ENVELOPE_BYTES:
        raise WireError(f"an envelope has {ENVELOPE_BYTES} octets, {len(data)} are there")
    major, minor, flags, suggested_minor, session_id, request_id, sequence, length = _LAYOUT.unpack_from(data)
    return Envelope(
        Version(major, minor),
        Version(flags & _SUGGESTED, suggested_minor),
        session_id,
        request_id,
        length,
        sequence,
        flags & ~_SUGGESTED,
    )


def packets(envelope: Envelope, message: bytes) -> Iterator[bytes]:
    """Yield the packets that carry a message over UDP, each at most UDP_PACKET_BYTES long."""
    if len(message) <= PACKET_PAYLOAD:
        yield encode_envelope(envelope) + message
        return
    for sequence, start in enumerate(range(0, len(message), PACKET_PAYLOAD)):
        head = envelope._replace(sequence=sequence, flags=envelope.flags | _PACKETS)
        yield encode_envelope(head) + message[start : start + PACKET_PAYLOAD]


class Assembly:
    """Puts the packets of one message together, whatever their order.

    Bounds: MESSAGE_BYTES_MAX; a slice has its one place and its one length, so that
    none overlaps another.
    """

    __slots__ = ("_first", "_missing", "_slices")

    def __init__(self, first: Envelope) -> None:
        """Begin with the envelope of any packet. Errors: WireError if the message is too long."""
        if first.length > limits.MESSAGE_BYTES_MAX:
            raise WireError(f"a message of {first.length} octets; at most {limits.MESSAGE_BYTES_MAX} are taken")
        self._first = first._replace(sequence=0, flags=first.flags & ~_PACKETS)
        self._slices: list[bytes | None] = [None] * -(-first.length // PACKET_PAYLOAD)
        self._missing = len(self._slices)

    def add(self, envelope: Envelope, payload: bytes) -> tuple[Envelope, bytes] | None:
        """Take one packet; return envelope and message when the last one is there.

        A packet that came before is passed over. Errors: WireError for one that does not fit.
        """
        place = envelope.sequence
        if envelope._replace(sequence=0, flags=envelope.flags & ~_PACKETS) != self._first:
            raise WireError("a packet whose envelope differs from the first one's")
        if place >= len(self._slices):
            raise WireError(f"packet {place} of a message that has {len(self._slices)}")
        wanted = min(PACKET_PAYLOAD, self._first.length - place * PACKET_PAYLOAD)
        if len(payload) != wanted:
            raise WireError(f"packet {place} holds {len(payload)} octets, {wanted} are its share")
        if self._slices[place] is None:
            self._slices[place] = payload
            self._missing -= 1
        if self._missing:
            return None
        return self._first, b"".join(piece for piece in self._slices if piece is not None)
