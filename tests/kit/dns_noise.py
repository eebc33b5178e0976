"""Noise for DNS: recorded questions with wrong octets, and octets from nowhere, between questions that are right."""

from __future__ import annotations

import contextlib
import json
import random
import socket
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import dns.message
import dns.rcode

from core import limits
from tests.kit.dns import HOST, TIMEOUT_S, ask, framed, over_tcp, over_udp, unframed
from tests.kit.handle_node import assert_unharmed, memory_bytes
from tests.kit.node import Node, admin_value, saltern
from tests.kit.noise import GROWTH_BYTES_MAX

PREFIX: Final = "88.118.7"
NAME: Final = "ors-dummy.7.99999.156.2.1.oid-res.org"
GTIN_NAME: Final = "0.9.8.7.6.5.4.3.2.1.0.9.6.gtin.gs1.id.onsepc.com"
_RECORDED: Final = Path(__file__).parent.parent / "vectors" / "dns" / "questions.json"
_LAST: Final = 0xFFFE
_UNDER_WAY: Final = 50  # fewer than the socket's queue holds
_FRAMES: Final = 10
_OPCODE: Final = 0x78
_MUTANT_BYTES_MAX: Final = 1_400


def recorded() -> list[bytes]:
    """Return questions that clients sent."""
    return [bytes.fromhex(each["hex"]) for each in json.loads(_RECORDED.read_text("utf-8"))["questions"]]


def mutated(question: bytes, chance: random.Random) -> bytes:
    """Return a message with octets changed, added, cut out or doubled; its number is kept."""
    octets = bytearray(question)
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(2, len(octets)) if len(octets) > 2 else len(octets)
        match chance.randrange(4):
            case 0 if at < len(octets):
                octets[at] = chance.choice((0, 0xC0, 0xFF, chance.randrange(256)))
            case 1:
                octets[at:at] = chance.randbytes(chance.randint(1, 40))
            case 2:
                del octets[at : at + chance.randint(1, 20)]
            case _:
                octets += octets[at:]
    return bytes(octets[:_MUTANT_BYTES_MAX])


def said(line: socket.socket, *datagrams: bytes) -> list[bytes]:
    """Send datagrams; return all that comes before the answer to one more question, which is answered last."""
    found: list[bytes] = []
    for start in range(0, len(datagrams), _UNDER_WAY):
        for datagram in datagrams[start : start + _UNDER_WAY]:
            line.send(datagram)
        line.send(ask("oid-res.org", "SOA", _LAST))
        while int.from_bytes((came := line.recv(65_535))[:2]) != _LAST:
            found.append(came)
    return found


class Endured(NamedTuple):
    """What a node endured. ``codes``: how often it said what; ``right``: answers that were compared between."""

    messages: int
    codes: Counter[str]
    right: int
    growth_bytes: int


def furnish(node: Node) -> None:
    """Register what the names above lead to."""
    salt = f"{PREFIX}/SKU01"
    assert node.put(salt, [{"index": 1, "type": "URL", "data": "x"}, admin_value(f"0.NA/{PREFIX}")]).status == 201
    for alias in ("oid:1.2.156.99999.7", "gtin:06901234567892"):
        saltern("alias", "add", salt, alias, "--config", str(node.config))


def endure_dns(node: Node, messages: int, chance: random.Random) -> Endured:
    """Send noise over UDP and TCP, half each, to a furnished node.

    Each answer can be read, is none to a message that was not sent, and is as short as promised; what is right is
    answered between as before; the same processes go on. Errors: AssertionError.
    """
    noise = _Noise(node, chance)
    before, processes = memory_bytes(node), node.children()
    for start in range(0, messages, 2 * _UNDER_WAY):
        part = min(2 * _UNDER_WAY, messages - start)
        noise.by_udp(part - part // 2)
        noise.by_tcp(part // 2)
        noise.compare()
    assert node.children() == processes
    assert_unharmed(node)
    growth = memory_bytes(node) - before
    assert growth < GROWTH_BYTES_MAX
    return Endured(messages, noise.codes, noise.right, growth)


class _Noise:
    def __init__(self, node: Node, chance: random.Random) -> None:
        self._port: int = node.ready["dns"]
        self._chance = chance
        self._seeds = [*recorded(), ask(NAME, edns=0), ask(GTIN_NAME), ask("oid-res.org", "ANY", edns=0)]
        self._rights = [
            ask(name, type_, 7, edns=edns)
            for name, type_ in ((NAME, "NAPTR"), (GTIN_NAME, "NAPTR"), (f"x{NAME}", "NAPTR"), ("oid-res.org", "NS"))
            for edns in (-1, 0)
        ]
        self._wanted = self._asked()
        codes = [dns.rcode.to_text(dns.message.from_wire(each).rcode()) for each in self._wanted[0]]
        assert sorted(set(codes)) == ["NOERROR", "NXDOMAIN"] and codes.count("NXDOMAIN") == 2, codes
        self.codes: Counter[str] = Counter()
        self.right = 0

    def _message(self, number: int) -> bytes:
        if self._chance.random() < 0.25:
            octets = self._chance.randbytes(self._chance.randrange(600))
        else:
            octets = mutated(self._chance.choice(self._seeds), self._chance)
        return number.to_bytes(2) + octets[2:]

    def by_udp(self, count: int) -> None:
        """Send so many, each of another number; at most 16 times as much comes back, and once."""
        sent = dict(enumerate(self._message(number) for number in range(count)))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            line.settimeout(TIMEOUT_S)
            line.connect((HOST, self._port))
            for answer in said(line, *sent.values()):
                question = sent.pop(int.from_bytes(answer[:2]))
                assert len(answer) <= min(limits.DNS_UDP_BYTES, limits.DNS_AMPLIFICATION_MAX * len(question))
                self._read(answer)

    def by_tcp(self, count: int) -> None:
        """Send so many, _FRAMES on a connection, the last of some with a length that is not so."""
        for start in range(0, count, _FRAMES):
            frames = [self._message(number) for number in range(start, min(start + _FRAMES, count))]
            octets = framed(*frames)
            if self._chance.random() < 0.3:
                octets = octets[: self._chance.randrange(len(octets))] + self._chance.randbytes(9)
            numbers = [int.from_bytes(each[:2]) for each in unframed(self._exchanged(octets))[: len(frames)]]
            assert len(set(numbers)) == len(numbers)

    def _exchanged(self, octets: bytes) -> bytes:
        came = b""
        ended = contextlib.suppress(ConnectionResetError, BrokenPipeError)  # a length that is too large ends it
        with socket.create_connection((HOST, self._port), TIMEOUT_S) as line, ended:
            line.sendall(octets)
            line.shutdown(socket.SHUT_WR)
            while chunk := line.recv(65_535):
                came += chunk
        for answer in unframed(came):
            self._read(answer)
        return came

    def _read(self, answer: bytes) -> None:
        assert answer[2] & 0x80
        plain = answer[:2] + bytes((answer[2] & ~_OPCODE,)) + answer[3:]  # dnspython has rules for questions of UPDATE
        found = dns.message.from_wire(plain, keyring=False)
        code = dns.rcode.to_text(found.rcode())
        assert code != "SERVFAIL", answer.hex()
        self.codes[code] += 1

    def compare(self) -> None:
        """Ask what is right; the answers are those of the beginning."""
        assert self._asked() == self._wanted
        self.right += sum(map(len, self._wanted))

    def _asked(self) -> tuple[Sequence[bytes], Sequence[bytes]]:
        return over_udp(self._port, *self._rights), over_tcp(self._port, *self._rights)
