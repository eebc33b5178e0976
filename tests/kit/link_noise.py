"""Noise for GS1 Digital Links: paths, queries and headers that are wrong, between some that are right."""

from __future__ import annotations

import contextlib
import random
import re
import socket
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from core.ident.digital_link import parse_uri
from core.ident.dl_compression import compress
from tests.kit.gs1_node import ADDRESS, GTIN, LOT, PREFIX, codes, furnish
from tests.kit.handle_node import HOST, TIMEOUT_S, memory_bytes
from tests.kit.node import Node
from tests.kit.noise import GROWTH_BYTES_MAX

BASE: Final = "https://id.example.cn"
_STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
_CLOSE: Final = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
_COMPARED_EVERY: Final = 100
_UNSENT: Final = re.compile(rb"[\r\n]")
_PIECES: Final = (
    b"%00", b"%2F", b"%0d%0aLocation:%20x", b"%zz", b"%", b"%e7%9b%90", b"%ff", b"%D9%A3", b"//", b"/../", b"/./", b"/",
    b"?", b"&", b"=", b";", b"#", b"+", b"\\", b"'", b'"', b"<script>", b"\x80", b"\xe7\x9b\x90", b"\x01", b"0" * 40,
    b"A" * 3_000, b"/21/", b"/10/", b"/01/", b"/8006/", b"/99/", b"linkType=", b"context=", b"all", b"linkset",
    b"https%3A%2F%2Fevil.example%2F", b"@evil.example", b"://", b"gs1:pip", b"17=270230", b"!^.*$!",
)  # fmt: skip
_KEYS: Final = ("01", "00", "414", "8003", "8006", "8004", "253", "255", "401", "402", "417", "8010", "8017", "8018")
_METHODS: Final = (b"GET", b"GET", b"GET", b"GET", b"HEAD", b"OPTIONS", b"POST")
_VERSIONS: Final = (*(b"HTTP/1.1",) * 9, b"HTTP/1.0", b"")
_NAMES: Final = (
    b"Accept", b"Accept", b"Accept-Language", b"Accept-Language", b"Host", b"Range", b"If-None-Match", b"Cookie",
    b"X-Forwarded-For", b"X-Forwarded-Host", b"X-Forwarded-Proto", b"Forwarded", b"Origin", b"Authorization",
    b"Content-Length", b"Transfer-Encoding", b"Upgrade", b"X", b"", b"A b",
)  # fmt: skip
_VALUES: Final = (
    b"", b"*", b"*/*", b"text/html;q=0.3, application/linkset+json;q=9", b"application/json", b";q=", b"q=1,,,;;",
    b"text/html;q=nan", b"text/" + b"x" * 2_000, b", ".join([b"zh-CN;q=0.1"] * 300), b"zh-" + b"a" * 400, b"en;q=1e400",
    b"evil.example", b"[::1", b"a b", b"\xff\xfe", b"\xe7\x9b\x90", b"0", b"-1", b"chunked", b"gzip, chunked",
    b"Basic !!!", b"Bearer saltern_x", b"bytes=0-,5-1", b'W/"x', b"for=_;by=[", b"1" * 30, b"<>\"'",
)  # fmt: skip


class Endured(NamedTuple):
    """What a node endured. ``codes``: how often it said what; ``right``: answers that were compared between."""

    requests: int
    codes: Counter[int]
    right: int
    growth_bytes: int


def endure_links(node: Node, requests: int, chance: random.Random) -> Endured:
    """Furnish a node whose ``node.public_url`` is BASE, and send noise, each on a connection of its own.

    No answer is a 5xx or leads elsewhere than registered; what is right is answered between as before; the same
    processes go on. Errors: AssertionError.
    """
    furnish(node)
    noise = _Noise(node, chance)
    before, processes = memory_bytes(node), node.children()
    for number in range(requests):
        noise.send()
        if number % _COMPARED_EVERY == 0:
            noise.compare()
    assert node.children() == processes
    for sign in ("Traceback", "ticket", "ERROR", "CRITICAL"):
        assert sign not in node.log(), node.log()[-3_000:]
    growth = memory_bytes(node) - before
    assert growth < GROWTH_BYTES_MAX
    return Endured(requests, noise.codes, noise.right, growth)


class _Noise:
    def __init__(self, node: Node, chance: random.Random) -> None:
        self._node = node
        self._chance = chance
        bag = codes(node, LOT, 3, 1)[0]
        lot = LOT.partition("/")[2]
        paths = [
            f"/01/{GTIN}",
            f"/01/{GTIN}/21/{bag}",
            f"/01/{GTIN}/10/{lot}/21/{bag}",
            f"/01/{GTIN}?linkType=gs1:recallStatus",
            f"/01/{GTIN}?linkType=linkset",
            compress(parse_uri(f"{BASE}/01/{GTIN}/21/{bag}")),
            f"/{PREFIX}/SKU01",
        ]
        self._seeds = [path.encode() for path in paths]
        self._seeds *= 8
        self._seeds += [f"/{key}/{value}".encode() for key in _KEYS for value in (GTIN, "A%2F1", "9" * 20)]
        self._rights = [b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n" for path in self._seeds[: len(paths)]]
        self._rights += [each[:-2] + b"Accept-Language: en\r\nX-Long-Way: 1\r\n\r\n" for each in self._rights]
        self._wanted = self._asked()
        statuses = [int(_STATUS.findall(each)[0]) for each in self._wanted]
        assert statuses == [307, 307, 307, 307, 200, 307, 302] * 2, statuses
        self.codes: Counter[int] = Counter()
        self.right = 0

    def _target(self) -> bytes:
        octets = bytearray(self._chance.choice(self._seeds))
        for _ in range(self._chance.choice((0, 0, 1, 1, 2, 4))):
            at = self._chance.randrange(len(octets) + 1)
            match self._chance.randrange(4):
                case 0:
                    octets[at:at] = self._chance.choice(_PIECES)
                case 1:
                    octets[at : at + 1] = self._chance.randbytes(1)
                case 2:
                    octets[at : at + self._chance.randrange(1, 9)] = b""
                case _:
                    octets += b"?" + self._chance.choice(_PIECES) + b"=" + self._chance.choice(_PIECES)
        return _UNSENT.sub(b"", octets)

    def _request(self) -> bytes:
        chance = self._chance
        lines = [
            chance.choice(_METHODS) + b" " + self._target() + chance.choice((b" HTTP/1.1",) * 8 + (b" HTTP/1.0", b""))
        ]
        lines += [b"Host: x"] * (chance.random() < 0.9)
        lines += [
            chance.choice(_NAMES) + b": " + (chance.choice(_VALUES) if chance.random() < 0.8 else chance.randbytes(20))
            for _ in range(chance.choice((0, 0, 0, 1, 1, 5)))
        ]
        return b"\r\n".join(_UNSENT.sub(b"", line) for line in lines) + b"\r\n\r\n"

    def send(self) -> None:
        """Send one; what comes are answers, and nobody is led elsewhere."""
        request = self._request()
        answers = self._exchanged(request)
        head = answers.partition(b"\r\n\r\n")[0]
        for status in _STATUS.findall(head):
            self.codes[int(status)] += 1
            assert int(status) < 500, (request, head)
        assert _STATUS.match(head) or not head, (request, head)
        for place in re.findall(rb"\r\nLocation: ([^\r]*)", head):
            assert place.startswith((ADDRESS.encode(), BASE.encode() + b"/", b"/")), (request, place)
            assert not place.startswith((b"//", b"/\\")), (request, place)

    def _exchanged(self, octets: bytes) -> bytes:
        came = b""
        ended = contextlib.suppress(ConnectionResetError, BrokenPipeError)
        with socket.create_connection((HOST, self._node.ready["http"]), TIMEOUT_S) as line, ended:
            line.sendall(octets + _CLOSE)
            while chunk := line.recv(65_535):
                came += chunk
        return came

    def compare(self) -> None:
        """Ask what is right; the answers are those of the beginning."""
        assert self._asked() == self._wanted
        self.right += len(self._wanted)

    def _asked(self) -> Sequence[bytes]:
        return [re.sub(rb"\r\nDate: [^\r]*", b"", self._exchanged(each)) for each in self._rights]
