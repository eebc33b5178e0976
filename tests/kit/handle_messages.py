"""Handle messages for tests: envelope, header, bodies, values. Written from handle-protocol.md §2 alone.

Nothing here may use the server's own code: this is what the server is checked against.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import NamedTuple, Protocol

ENVELOPE_BYTES = 20
HEADER_BYTES = 24
UDP_PAYLOAD_BYTES = 492
NO_SERIAL = 0xFFFF
Version = tuple[int, int]
DIGEST_BYTES = {1: 16, 2: 20, 3: 32}


class BadMessage(AssertionError):  # noqa: N818 - an answer that is not what the facts say
    """Octets that no facts page allows."""


class Flag(IntFlag):
    """Bits of opFlag (§2.3)."""

    AUTH = 0x80000000
    CERT = 0x40000000
    ENCR = 0x20000000
    RECU = 0x10000000
    CACR = 0x08000000
    CONT = 0x04000000
    KPAL = 0x02000000
    PUBL = 0x01000000
    RRDG = 0x00800000
    OVRW = 0x00400000
    MINT = 0x00200000
    DNRF = 0x00100000


PLAIN = Flag.RECU | Flag.CACR | Flag.PUBL


class Op(IntEnum):
    """Operation codes (§2.4)."""

    RESOLVE = 1
    GET_SITE = 2
    CREATE = 100
    DELETE = 101
    ADD_VALUES = 102
    REMOVE_VALUES = 103
    MODIFY_VALUES = 104
    LIST_HANDLES = 105
    ANSWER_CHALLENGE = 200
    VERIFY = 201
    HOME = 300
    UNHOME = 301
    LIST_HOMED = 302
    SESSION_SETUP = 400
    SESSION_TERMINATE = 401


# --- octets ---


def bstr(text: bytes | str) -> bytes:
    """A 4-byte length, then the bytes."""
    octets = text.encode() if isinstance(text, str) else text
    return struct.pack(">I", len(octets)) + octets


class Reader:
    """Reads from front to back; BadMessage where the octets end too early or are left over."""

    def __init__(self, octets: bytes) -> None:
        self.octets = octets
        self.at = 0

    def take(self, count: int) -> bytes:
        if count < 0 or self.at + count > len(self.octets):
            raise BadMessage(f"{count} octets wanted at {self.at} of {len(self.octets)}")
        self.at += count
        return self.octets[self.at - count : self.at]

    def number(self, size: int = 4) -> int:
        return int.from_bytes(self.take(size))

    def signed(self) -> int:
        return int.from_bytes(self.take(4), signed=True)

    def bstr(self) -> bytes:
        return self.take(self.number())

    def text(self) -> str:
        return self.bstr().decode()

    def rest(self) -> bytes:
        return self.take(len(self.octets) - self.at)

    def end(self) -> None:
        if self.at != len(self.octets):
            raise BadMessage(f"{len(self.octets) - self.at} octets too many: {self.octets[self.at :].hex()}")


# --- values (§2.8) ---


class Value(NamedTuple):
    """One value; permissions: 8 admin read, 4 admin write, 2 public read, 1 public write."""

    index: int
    type: str
    data: bytes
    ttl: int = 86400
    ttl_type: int = 0
    permissions: int = 0x0E
    timestamp: int = 0
    references: tuple[tuple[str, int], ...] = ()

    def encode(self) -> bytes:
        head = struct.pack(">iiBiB", self.index, self.timestamp, self.ttl_type, self.ttl, self.permissions)
        tail = b"".join(bstr(handle) + struct.pack(">i", index) for handle, index in self.references)
        return head + bstr(self.type) + bstr(self.data) + struct.pack(">i", len(self.references)) + tail

    @classmethod
    def decode(cls, octets: Reader) -> Value:
        index, timestamp, ttl_type, ttl, permissions = struct.unpack(">iiBiB", octets.take(14))
        name, data = octets.text(), octets.bstr()
        references = tuple((octets.text(), octets.signed()) for _ in range(octets.number()))
        return cls(index, name, data, ttl, ttl_type, permissions, timestamp, references)


def encode_values(handle: str | bytes, values: tuple[Value, ...] | list[Value]) -> bytes:
    """Body of 100, 102, 104 and of the answer to 1 (§2.6)."""
    return bstr(handle) + struct.pack(">i", len(values)) + b"".join(value.encode() for value in values)


def decode_values(octets: Reader) -> tuple[Value, ...]:
    return tuple(Value.decode(octets) for _ in range(octets.number()))


def encode_indexes(indexes: tuple[int, ...] | list[int]) -> bytes:
    return struct.pack(f">i{len(indexes)}i", len(indexes), *indexes)


def admin_data(handle: str, index: int, mask: int = 0xFFF) -> bytes:
    """Data of an HS_ADMIN value (§2.9)."""
    return struct.pack(">H", mask) + bstr(handle) + struct.pack(">i", index)


# --- site records (§2.9 HS_SITE) ---


class Interface(NamedTuple):
    """kind: 1 admin, 2 query, 3 both; protocol: 0 UDP, 1 TCP, 2 HTTP, 3 HTTPS."""

    kind: int
    protocol: int
    port: int


class Server(NamedTuple):
    """One server of a site; the address has 16 bytes, the key is encoded as in HS_PUBKEY."""

    id: int
    address: bytes
    public_key: bytes
    interfaces: tuple[Interface, ...]


class Site(NamedTuple):
    """An HS_SITE record, as op 2 answers it bare."""

    version: int
    protocol: Version
    serial: int
    flags: int
    hash_option: int
    hash_filter: str
    attributes: tuple[tuple[str, str], ...]
    servers: tuple[Server, ...]

    @classmethod
    def decode(cls, data: bytes) -> Site:
        octets = Reader(data)
        version, major, minor, serial, flags, option = struct.unpack(">HBBHBB", octets.take(8))
        hash_filter = octets.text()
        attributes = tuple((octets.text(), octets.text()) for _ in range(octets.number()))
        servers = tuple(cls._server(octets) for _ in range(octets.number()))
        octets.end()
        return cls(version, (major, minor), serial, flags, option, hash_filter, attributes, servers)

    @staticmethod
    def _server(octets: Reader) -> Server:
        number, address, key = octets.signed(), octets.take(16), octets.bstr()
        count = octets.number()
        return Server(
            number, address, key, tuple(Interface(*struct.unpack(">BBi", octets.take(6))) for _ in range(count))
        )


# --- envelope and message (§2.1, §2.2) ---


class Cipher(Protocol):
    """What a session does to a whole message: header, body, credential length, credential."""

    def seal(self, clear: bytes) -> bytes: ...

    def unseal(self, sealed: bytes) -> bytes: ...


class Envelope(NamedTuple):
    """The 20 bytes before every message and packet.

    The suggested major version is bits 0-1, but a 5.0 peer fills more of them: all five are kept, to see them.
    """

    version: Version
    suggested: Version
    session_id: int
    request_id: int
    sequence: int
    length: int
    encrypted: bool = False
    truncated: bool = False

    def encode(self) -> bytes:
        flags = self.encrypted << 6 | self.truncated << 5 | self.suggested[0]
        ids = (self.session_id, self.request_id, self.sequence, self.length)
        return struct.pack(">BBBBIIII", *self.version, flags, self.suggested[1], *ids)

    @classmethod
    def decode(cls, raw: bytes) -> Envelope:
        major, minor, flags, suggested, *ids = struct.unpack(">BBBBIIII", Reader(raw).take(ENVELOPE_BYTES))
        if flags & 0x80:
            raise BadMessage(f"envelope byte 2 is {flags:02x}: nothing is ever compressed")
        return cls((major, minor), (flags & 0x1F, suggested), *ids, bool(flags & 0x40), bool(flags & 0x20))


@dataclass(frozen=True, slots=True)
class Message:
    """One whole message: the fields of envelope and header, body, credential."""

    op: int
    code: int = 0
    flags: int = PLAIN
    body: bytes = b""
    credential: bytes = b""
    version: Version = (2, 11)
    suggested: Version = (2, 11)
    encrypted: bool = False
    session_id: int = 0
    request_id: int = 0
    sequence: int = 0
    serial: int = NO_SERIAL
    recursion: int = 0
    expiration: int = 0

    def signed_part(self) -> bytes:
        """Header and body, always clear: what digests, MACs and signatures are over (§2.6, details §1)."""
        counts = (self.serial, self.recursion, 0, self.expiration, len(self.body))
        return struct.pack(">IIIHBBII", self.op, self.code, self.flags, *counts) + self.body

    def encode(self, cipher: Cipher | None = None) -> bytes:
        payload = self.signed_part() + bstr(self.credential)
        if self.encrypted:
            assert cipher is not None, "an encrypted message needs its session"
            payload = cipher.seal(payload)
        ids = (self.session_id, self.request_id, self.sequence, len(payload))
        return Envelope(self.version, self.suggested, *ids, self.encrypted).encode() + payload

    @classmethod
    def decode(cls, raw: bytes, cipher: Cipher | None = None) -> Message:
        """Decode one whole message; every octet must be accounted for."""
        envelope, payload = Envelope.decode(raw), raw[ENVELOPE_BYTES:]
        if envelope.truncated or envelope.length != len(payload):
            raise BadMessage(f"length {envelope.length}, came {len(payload)}, truncated {envelope.truncated}")
        if envelope.encrypted:
            if cipher is None:
                raise BadMessage("encrypted, but there is no session")
            payload = cipher.unseal(payload)
        octets = Reader(payload)
        op, code, flags, serial, recursion, zero, expiration = struct.unpack(">IIIHBBI", octets.take(20))
        body, credential = octets.bstr(), octets.bstr()
        octets.end()
        if zero:
            raise BadMessage(f"reserved octet is {zero:02x}")
        head = (envelope.version, envelope.suggested, envelope.encrypted, envelope.session_id, envelope.request_id)
        return cls(
            op, code, flags, body, credential, *head, envelope.sequence, serial, recursion, expiration
        )  # fmt: skip


def split_packets(raw: bytes) -> list[bytes]:
    """Cut a message into UDP packets: one whole, or slices of 492 octets with copied envelopes (§2.1)."""
    envelope, payload = Envelope.decode(raw), raw[ENVELOPE_BYTES:]
    if len(payload) <= UDP_PAYLOAD_BYTES:
        return [raw]
    slices = [payload[at : at + UDP_PAYLOAD_BYTES] for at in range(0, len(payload), UDP_PAYLOAD_BYTES)]
    return [envelope._replace(truncated=True, sequence=number).encode() + piece for number, piece in enumerate(slices)]


def join_packets(packets: list[bytes]) -> bytes | None:
    """Put packets, in any order, together into one message; None while some are missing."""
    pieces: dict[int, bytes] = {}
    for packet in packets:
        envelope = Envelope.decode(packet)
        if not envelope.truncated:
            return packet
        if pieces.setdefault(envelope.sequence, packet) != packet:
            raise BadMessage(f"two different packets have number {envelope.sequence}")
        if len(packet) > UDP_PAYLOAD_BYTES + ENVELOPE_BYTES:
            raise BadMessage(f"a packet of {len(packet)} octets")
    ordered = [pieces[number] for number in sorted(pieces)]
    if not ordered:
        return None
    first = Envelope.decode(ordered[0])
    for number, packet in zip(sorted(pieces), ordered, strict=True):
        if Envelope.decode(packet) != first._replace(sequence=number):
            raise BadMessage("envelopes of the packets differ")
    payload = b"".join(packet[ENVELOPE_BYTES:] for packet in ordered)
    if len(payload) < first.length:
        return None
    if sorted(pieces) != list(range(len(pieces))):
        raise BadMessage(f"numbers of the packets: {sorted(pieces)}")
    return first._replace(truncated=False, sequence=0).encode() + payload


# --- bodies of answers (§2.6) ---


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer with its body decoded; of a list, all parts joined."""

    code: int
    op: int
    flags: Flag
    message: str = ""
    handle: str | None = None
    values: tuple[Value, ...] = ()
    handles: tuple[str, ...] = ()
    valid: bool | None = None
    site: Site | None = None
    nonce: bytes = b""
    digest_algorithm: int = 0
    digest: bytes = b""
    session_mode: int = 0
    session_data: bytes = b""
    rest: bytes = b""
    proof: str = ""
    """Kind of the credential that the answer carried and that held: "", HS_SIGNED, HS_MAC."""
    answers: tuple[Message, ...] = field(default=(), repr=False)
    raw: tuple[bytes, ...] = field(default=(), repr=False)
    challenge: Reply | None = field(default=None, repr=False)
    """The 402 that stood before this answer."""


def _digest(octets: Reader) -> dict[str, int | bytes]:
    """1 byte algorithm, raw digest; algorithm 0 is the first octet of the old bstr form (§2.6)."""
    algorithm = octets.number(1)
    if algorithm == 0:
        octets.at -= 1
        return {"digest_algorithm": 1, "digest": octets.bstr()}
    if algorithm not in DIGEST_BYTES:
        raise BadMessage(f"digest algorithm {algorithm}")
    return {"digest_algorithm": algorithm, "digest": octets.take(DIGEST_BYTES[algorithm])}


def _success(op: int, octets: Reader) -> dict[str, object]:
    """The body of an answer with code 1."""
    if op == Op.RESOLVE:
        return {"handle": octets.text(), "values": decode_values(octets)}
    if op == Op.CREATE:
        return {"handle": octets.text()} if octets.at < len(octets.octets) else {}
    if op in (Op.LIST_HANDLES, Op.LIST_HOMED):
        return {"handles": tuple(octets.text() for _ in range(octets.number()))}
    if op == Op.VERIFY:
        return {"valid": bool(octets.number(1))}
    if op == Op.GET_SITE:
        return {"site": Site.decode(octets.rest())}
    if op == Op.SESSION_SETUP:
        setup = {"session_mode": octets.number(2), "session_data": octets.bstr()}
        if octets.rest().strip(b"\0"):
            raise BadMessage("the spare octets of an answer to op 400 are not zero")
        return setup
    known = (Op.DELETE, Op.ADD_VALUES, Op.REMOVE_VALUES, Op.MODIFY_VALUES, Op.HOME, Op.UNHOME, Op.SESSION_TERMINATE)
    return {} if op in known else {"rest": octets.rest()}


def decode_reply(answer: Message) -> Reply:
    """Decode the body of one answer; every octet of it must be accounted for."""
    octets = Reader(answer.body)
    found: dict[str, object] = {}
    if answer.flags & Flag.RRDG:
        found |= _digest(octets)
    if answer.code == 1:
        found |= _success(answer.op, octets)
    elif answer.code == 402:
        found["nonce"] = octets.bstr()
        if answer.version < (2, 1):
            found |= {"digest_algorithm": 1, "digest": octets.bstr()}
    elif answer.code == 302 or (answer.code == 303 and answer.version >= (2, 5)):
        found["handle"] = octets.text()
        if octets.at < len(answer.body):
            found["values"] = decode_values(octets)
    else:
        found["message"] = octets.text()
    octets.end()
    return Reply(answer.code, answer.op, Flag(answer.flags), answers=(answer,), **found)  # type: ignore[arg-type]
