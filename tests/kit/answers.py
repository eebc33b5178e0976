"""What a node answers to many questions: over UDP, TCP and HTTP, many under way at once, and as pages."""

from __future__ import annotations

import http.client
import random
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from tests.kit.handle_messages import Flag, Message
from tests.kit.handle_node import HOST, READ, TIMEOUT_S, question

_KEPT: Final = READ | Flag.KPAL
_UNDER_WAY: Final = 50
_ENVELOPE: Final = 20
_LENGTH_AT: Final = 16
_NUMBER_AT, _NUMBER_END = 8, 12


class Ports(NamedTuple):
    """Where a node, or a top node, answers."""

    http: int
    handle: int


Answer = tuple[Any, ...]


def _parts(names: Sequence[str], count: int) -> Iterator[Sequence[str]]:
    for at in range(0, len(names), count):
        yield names[at : at + count]


def by_udp(ports: Ports, names: Sequence[str]) -> Iterator[Answer]:
    """Yield code and body of each answer; what is too long for one packet is asked for by TCP, as clients do."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.settimeout(TIMEOUT_S)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        line.connect((HOST, ports.handle))
        for first in range(0, len(names), _UNDER_WAY):
            asked = dict(enumerate(names[first : first + _UNDER_WAY], first))
            for number, name in asked.items():
                line.send(question(name, number).encode())
            found = dict[int, Answer]()
            while len(found) < len(asked):
                packet = line.recv(65_535)
                number = int.from_bytes(packet[_NUMBER_AT:_NUMBER_END], "big")
                if number not in asked or number in found:
                    continue  # a later packet of what was asked for by TCP
                if len(packet) - _ENVELOPE < int.from_bytes(packet[_LENGTH_AT:_ENVELOPE], "big"):
                    found[number] = ("tcp", *next(by_tcp(ports, [asked[number]])))
                else:
                    found[number] = _told(Message.decode(packet))
            yield from (found[number] for number in asked)


def by_tcp(ports: Ports, names: Sequence[str]) -> Iterator[Answer]:
    """Yield code and body of each answer, over one connection."""
    with socket.create_connection((HOST, ports.handle), TIMEOUT_S) as line, line.makefile("rb") as stream:
        for some in _parts(names, _UNDER_WAY):
            line.sendall(b"".join(question(name, number, _KEPT).encode() for number, name in enumerate(some)))
            found = dict[int, Answer]()
            while len(found) < len(some):
                envelope = stream.read(_ENVELOPE)
                payload = stream.read(int.from_bytes(envelope[_LENGTH_AT:], "big"))
                message = Message.decode(envelope + payload)
                found[message.request_id] = _told(message)
            yield from (found[number] for number in range(len(some)))


def _told(message: Message) -> Answer:
    return message.code, message.body


def by_http(ports: Ports, names: Sequence[str]) -> Iterator[Answer]:
    """Yield status and body of each answer of the JSON interface, pipelined over one connection."""
    with socket.create_connection((HOST, ports.http), TIMEOUT_S) as line, line.makefile("rb") as stream:
        for some in _parts(names, _UNDER_WAY):
            heads = [f"GET /api/handles/{quote(name, safe='/')} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for name in some]
            line.sendall(b"".join(heads))
            for _ in some:
                status = int(stream.readline().split()[1])
                length = 0
                while (header := stream.readline()) != b"\r\n":
                    name, _, value = header.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                yield status, stream.read(length)


def by_browser(ports: Ports, names: Sequence[str]) -> Iterator[Answer]:
    """Yield status, place and page of each answer to a browser."""
    connection = http.client.HTTPConnection(HOST, ports.http, timeout=TIMEOUT_S)
    for name in names:
        connection.request("GET", f"/{quote(name, safe='/')}", headers={"Accept": "text/html"})
        answer = connection.getresponse()
        yield answer.status, answer.getheader("Location"), answer.read()
    connection.close()


WAYS: Final[dict[str, Callable[[Ports, Sequence[str]], Iterator[Answer]]]] = {
    "udp": by_udp, "tcp": by_tcp, "http": by_http, "browser": by_browser,
}  # fmt: skip
_HELD: Final = 2_000  # answers of one node in memory at once


def assert_same(one: Ports, other: Ports, names: Sequence[str], ways: Sequence[str] = tuple(WAYS)) -> dict[str, int]:
    """Compare the answers of two nodes to the same questions; return how many were compared, by way."""
    compared = dict.fromkeys(ways, 0)
    for way in ways:
        for some in _parts(names, _HELD):
            for name, here, there in zip(some, WAYS[way](one, some), WAYS[way](other, some), strict=True):
                assert here == there, (way, name, here, there)
                compared[way] += 1
    return compared


def pick(chance: random.Random, known: Sequence[str], count: int, *, foreign: int = 0) -> list[str]:
    """Return names to be asked for: known ones, some in small letters, and ``foreign`` that nobody has."""
    names = [name if chance.random() < 0.9 else name.lower() for name in chance.choices(known, k=count - foreign)]
    names += [f"{chance.choice(known).partition('/')[0]}/NONE-{chance.getrandbits(40)}" for _ in range(foreign)]
    chance.shuffle(names)
    return names
