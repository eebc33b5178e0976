"""DNS for tests: questions by dnspython, zones of their own making, a bare line to a node, ``dig`` and ``kdig``."""

from __future__ import annotations

import socket
import subprocess
from typing import Any, Final

import dns.flags
import dns.message
import dns.rcode

from core.errors import Outcome
from core.store.engine import Snapshot, Table
from core.wire.dns import Labels, Rcode, Rr, Sections, Type
from core.wire.dns_rdata import naptr, soa
from node.dns_service import DnsService
from resolver.zone import ZoneAnswer

HOST: Final = "127.0.0.1"
TIMEOUT_S: Final = 20
APEX: Final = (b"test",)
_SOA: Final = Rr(
    APEX, Type.SOA, 300, soa((b"ns", *APEX), (b"admin", *APEX), 1, refresh=1, retry=1, expire=1, minimum=300)
)


class StandInZones:
    """A zone ``test``: ``nK`` has K services, ``fail`` fails; what the META row ``extra`` names is there, too."""

    def answer(self, snapshot: Snapshot, name: Labels, type_: int) -> ZoneAnswer:
        folded = tuple(label.lower() for label in name)
        identifier = b".".join(folded)
        if folded[-1:] != APEX:
            return ZoneAnswer(Sections(Rcode.REFUSED, authoritative=False), Outcome.NOT_RESPONSIBLE, identifier)
        first = folded[0]
        if first == b"fail":
            raise RuntimeError("a question that cannot be answered")
        extra = snapshot.get(Table.META, b"extra")
        count = int(first[1:]) if first[:1] == b"n" and first[1:].isdigit() else int(first == extra)
        if not count:
            return ZoneAnswer(Sections(Rcode.NXDOMAIN, authority=(_SOA,)), Outcome.HANDLE_NOT_FOUND, identifier)
        if type_ != Type.NAPTR:
            return ZoneAnswer(Sections(Rcode.NOERROR, authority=(_SOA,)), Outcome.NO_VALUES, identifier)
        return ZoneAnswer(Sections(Rcode.NOERROR, answer=_services(name, count)), Outcome.OK, identifier)


def _services(name: Labels, count: int) -> tuple[Rr, ...]:
    return tuple(
        Rr(name, Type.NAPTR, 3_600, naptr(100, number, flags="u", services="ORS+UINF", regexp=f"!^.*$!x{number}!"))
        for number in range(count)
    )


def ask(
    name: str, type_: str | int = "NAPTR", number: int = 1, *, edns: int = -1, bufsize: int = 1_232, **options: Any
) -> bytes:
    """Return the octets of a question. ``edns``: version, -1 for none. ``options``: of dnspython."""
    found = dns.message.make_query(
        name, type_, options.pop("rdclass", "IN"), use_edns=edns, payload=bufsize, id=number, **options
    )
    return found.to_wire(max_size=65_535)


def read(octets: bytes) -> dns.message.Message:
    """Read an answer as dnspython does."""
    return dns.message.from_wire(octets)


def rcode(octets: bytes) -> str:
    """Return the rcode of an answer by its name."""
    return dns.rcode.to_text(read(octets).rcode())


def is_cut(octets: bytes) -> bool:
    """Whether an answer says TC."""
    return bool(read(octets).flags & dns.flags.TC)


def framed(*messages: bytes) -> bytes:
    """Return messages as they are sent over TCP."""
    return b"".join(len(message).to_bytes(2) + message for message in messages)


def unframed(octets: bytes) -> list[bytes]:
    """Return the messages of a stream, which is whole."""
    found = []
    while octets:
        size = 2 + int.from_bytes(octets[:2])
        assert size <= len(octets), "half a message"
        found.append(octets[2:size])
        octets = octets[size:]
    return found


def answers(service: DnsService, *messages: bytes, peer: bytes = b"") -> list[bytes | None]:
    """Have messages answered in one turn."""
    service.begin()
    try:
        return [service.answer(message, peer) for message in messages]
    finally:
        service.end()


# --- a running node -----------------------------------------------------------


def over_udp(port: int, *messages: bytes, timeout_s: float = TIMEOUT_S) -> list[bytes]:
    """Send questions one by one; return the answers. Errors: TimeoutError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.settimeout(timeout_s)
        line.connect((HOST, port))
        found = []
        for message in messages:
            line.send(message)
            found.append(line.recv(65_535))
        return found


def over_tcp(port: int, *messages: bytes, timeout_s: float = TIMEOUT_S) -> list[bytes]:
    """Send questions in one go, end, and return the answers."""
    with socket.create_connection((HOST, port), timeout_s) as line:
        line.sendall(framed(*messages))
        line.shutdown(socket.SHUT_WR)
        return unframed(b"".join(iter(lambda: line.recv(65_535), b"")))


def dig(port: int, *words: str, program: str = "dig") -> str:
    """Run dig or kdig against a port; return what it says."""
    at = [f"@{HOST}", "-p", str(port)]
    done = subprocess.run([program, *at, *words], capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr
