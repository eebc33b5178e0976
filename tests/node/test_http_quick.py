"""The quick way of HTTP and aiohttp answer the same: random pipelines, cut anywhere, in clear and under TLS."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from core import clock, limits
from core.config import load
from core.records import HandleValue
from node import http_quick, wiring
from node.http_connections import Connections, Peer
from node.http_quick import QuickConnection, QuickFront
from node.initialise import initialise
from node.site import Ports
from node.telemetry import Counters
from registry.commands import OPERATOR, Put, Request
from tests.kit.logs import at_once, everyone

PREFIX = "88.118.7"
LARGE = "x" * 2_000
RECORDS = {
    f"{PREFIX}/SKU01": (HandleValue(1, "URL", b"https://p007.example.cn/sku/01"),),
    f"{PREFIX}/LARGE": (HandleValue(1, "DESC", LARGE.encode()),),
    f"{PREFIX}/HALF": (HandleValue(1, "URL", b"x"), HandleValue(2, "S", b"y", permissions=0b1100)),
    f"{PREFIX}/HIDDEN": (HandleValue(2, "S", b"y", permissions=0b1100),),
    f"{PREFIX}/A'B!(1)": (HandleValue(1, "DESC", '"\\盐'.encode()),),
    f"{PREFIX}/EMPTY": (),
}
VARYING = re.compile(rb'\r\nDate: [^\r]*|sessionId="[^"]*", nonce="[^"]*"')
CLOSE = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
ROUNDS = 150
ANSWER_S = 20


# --- what is sent ---

PATHS = [
    *(f"/api/handles/{handle}" for handle in RECORDS), f"/api/handles/{PREFIX}/sku01", f"/api/handles/{PREFIX}/NONE",
    f"/api/handles/0.NA/{PREFIX}", "/api/handles/0.NA/99.1", "/api/handles/99.1/X", "/api/handles/NOSLASH",
    f"/api/handles/{PREFIX}/SKU01?type=URL", f"/api/handles/{PREFIX}/SKU01#part", f"/api/handles/{PREFIX}/SKU01?",
    f"/api/handles/{PREFIX}%2FSKU01", f"/api/handles/{PREFIX}/%E7%9B%90", "/api/handles/", "/api/handles",
    f"/api/handles/{PREFIX}/", f"/api/handles//{PREFIX}", "/api/handles/..", "/api/site", "/", "/healthz",
    f"/api/handles/{PREFIX}/{'y' * 300}", f"/{PREFIX}/SKU01?noredirect",
]  # fmt: skip
USUAL = [
    [b"Host: x"], [b"Host: 127.0.0.1:8000", b"User-Agent: curl/8", b"Accept: */*"],
    [b"host: x", b"Connection: keep-alive"], [b"HOST:x", b"accept:a", b"Accept-Encoding: identity"],
    [b"Host: x", b"Accept-Encoding: gzip, deflate"], [b"Host:  x ", b"Pragma:", b"Cache-Control: no-cache"],
]  # fmt: skip
GOOD = [
    *USUAL, [b"Host: x", b"Origin: https://a.example"], [b"Host: x", b"Authorization: Basic eA=="],
    [b"Host: x", b"Content-Length: 0"], [b"Host: x", b"Cookie: a=b"], [b"Host: x", b"Range: bytes=0-1"],
    [b"Host: x", b"X-Forwarded-For: 1.2.3.4"],
]  # fmt: skip
ANY = [
    *GOOD, [b"Host: x", b"Connection: close"], [b"Host: x", b"Host: y"], [], [b"Host:"], [b"Host: x y"],
    [b"Host: x", b" folded"], [b"Host: x", b"X: \x00"], [b"Host: x", b"Bad Header: 1"], [b"Host: x", b"NoColon"],
    [b"Host: x", b"Expect: 100-continue"], [b"Host : x"], [b"Host: x", b"Accept: \xff"], [b"Host: x", b"Accept: \t"],
    [b"Host: x", b"A" * 20_000 + b": b"],
]  # fmt: skip
LINES = [
    b"GET %b HTTP/1.1", b"HEAD %b HTTP/1.1", b"GET  %b HTTP/1.1", b"GET %b HTTP/1.0", b"GET %b", b"get %b HTTP/1.1",
    b"POST %b HTTP/1.1", b"GET %b HTTP/2.0", b"GET %b HTTP/1.1 ", b"GET\t%b HTTP/1.1", b"GET %b HTTP/1.1x",
]  # fmt: skip
METHODS = [b"GET"] * 8 + [b"HEAD", b"POST", b"DELETE", b"OPTIONS"]


def good(chance: random.Random) -> tuple[bool, bytes]:
    """A request that leaves the connection open, and whether its answer has a body."""
    usual = chance.random() < 0.7
    method, headers = (b"GET", chance.choice(USUAL)) if usual else (chance.choice(METHODS), chance.choice(GOOD))
    line = b"%b %b HTTP/1.1" % (method, chance.choice(PATHS).encode())
    return method != b"HEAD", b"\r\n".join([line, *headers, b"", b""])


def anything(chance: random.Random) -> bytes:
    """A request good or bad, complete."""
    line = chance.choice(LINES) % chance.choice([*PATHS, "*", f"http://x/api/handles/{PREFIX}/SKU01"]).encode()
    return chance.choice([b"\r\n"] * 8 + [b"\n"]).join([line, *chance.choice(ANY), b"", b""])


# --- both ways ---


@contextlib.asynccontextmanager
async def both(folder: Path, *, tls: bool) -> AsyncIterator[tuple[Any, Any]]:
    """Serve one store by the quick way and by aiohttp alone; give the two addresses."""
    config = initialise(folder / "node", (PREFIX,))
    store, run, spool = wiring.open_store(config), None, wiring.make_spool(config, "w")
    wiring.run_folder(config).mkdir()
    try:
        requests = [Request(Put(handle, values), OPERATOR) for handle, values in RECORDS.items()]
        assert all(result.done for result in wiring.make_registry(config, store).run(requests, clock.now_ms()))
        run = wiring.open_run_store(config)
        fronts = wiring.make_fronts(
            config,
            store,
            run,
            spool,
            Counters(wiring.run_folder(config), "w"),
            ports=Ports(1, 2, 3, 4),
            rates=wiring.make_rates(),
        )
        context = wiring.tls_context(load(config.path)) if tls else None
        listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        for listener, front in zip(listeners, (fronts.quick, fronts.http), strict=True):
            listener.setblocking(False)
            await front.listen(listener, context)
        yield tuple(listener.getsockname() for listener in listeners)
        await asyncio.gather(fronts.quick.drain(), fronts.http.drain())
    finally:
        if run is not None:
            run.close()
        spool.close()
        store.close()


async def answered(address: Any, groups: list[Group], tls: ssl.SSLContext | None) -> bytes:
    """Send groups, each when the one before is answered; return all answers without what varies."""
    reader, writer = await asyncio.open_connection(*address, ssl=tls)
    came = b""
    try:
        for group in groups:
            for piece in group.pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            for with_body in group.answers:
                came += await asyncio.wait_for(one_answer(reader, with_body), ANSWER_S)
        came += await asyncio.wait_for(reader.read(), ANSWER_S)
    except (ConnectionError, asyncio.IncompleteReadError) as error:
        came += getattr(error, "partial", b"")
    finally:
        writer.close()
    return VARYING.sub(b"", came)


async def one_answer(reader: asyncio.StreamReader, with_body: bool) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    if not with_body:
        return head
    length = re.search(rb"Content-Length: (\d+)", head)
    assert length is not None, head
    return head + await reader.readexactly(int(length[1]))


class Group(NamedTuple):
    """Requests sent together, cut into pieces. ``answers``: which have bodies; empty: read to the end."""

    pieces: list[bytes]
    answers: list[bool]


def cut(octets: bytes, chance: random.Random) -> list[bytes]:
    places = sorted(chance.randrange(len(octets)) for _ in range(chance.choice((0, 0, 1, 3, 8))))
    return [octets[a:b] for a, b in zip([0, *places], [*places, len(octets)], strict=True)]


def groups_of(chance: random.Random) -> list[Group]:
    """Pipelines of good requests, then anything, then one that closes.

    aiohttp reads a whole chunk before it answers, and forgets what stands before a bad head in
    it: what is bad comes in a group of its own. It comes in one piece, for a client that still
    sends when the other side has closed may never see the answer.
    """
    groups = []
    for _ in range(chance.randrange(3)):
        requests = [good(chance) for _ in range(chance.randrange(1, 6))]
        groups.append(Group(cut(b"".join(each for _, each in requests), chance), [body for body, _ in requests]))
    return [*groups, Group([anything(chance) + CLOSE], [])]


@pytest.mark.parametrize("tls", [False, True])
def test_both_ways_answer_the_same(tmp_path: Path, tls: bool) -> None:
    """Status, headers but Date, body, order, and when the connection ends; the seed is in the failure."""
    seed = random.SystemRandom().randrange(2**32)
    chance = random.Random(seed)
    context = ssl.create_default_context() if tls else None
    if context is not None:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    async def run() -> None:
        async with both(tmp_path, tls=tls) as (quick, slow):
            for _ in range(ROUNDS):
                groups = groups_of(chance)
                found = [await answered(address, groups, context) for address in (quick, slow)]
                assert found[0] == found[1], (seed, groups)

    asyncio.run(run())


def test_what_is_usual_takes_the_quick_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the test above would compare aiohttp with itself."""
    handed: list[bytes] = []
    hand_over = QuickConnection._hand_over

    def watched(self: QuickConnection, transport: asyncio.Transport, peer: Peer) -> None:
        handed.append(self._buffer)
        hand_over(self, transport, peer)

    monkeypatch.setattr(http_quick.QuickConnection, "_hand_over", watched)
    heads = [
        b"\r\nHost: x\r\n\r\n",
        b"\r\nHost: x\r\nUser-Agent: a\r\nAccept-Encoding: gzip\r\nConnection: keep-alive\r\n\r\n",
    ]
    usual = [
        f"GET /api/handles/{PREFIX}/{name} HTTP/1.1".encode() for name in ("SKU01", "sku01", "NONE", "HALF", "A'B!(1)")
    ]

    async def run() -> None:
        async with both(tmp_path, tls=False) as (quick, _):
            octets = b"".join(line + head for line in usual for head in heads)
            groups = [Group([octets], [True] * (len(usual) * len(heads))), Group([CLOSE], [])]
            found = await answered(quick, groups, None)
            assert found.count(b"HTTP/1.1 ") == len(usual) * len(heads) + 1
            assert handed == [CLOSE]

    asyncio.run(run())


# --- its own time ---


class Wire:
    """A transport that keeps what happens to it."""

    def __init__(self) -> None:
        self.written, self.aborted, self.closed, self.paused = b"", False, False, False

    def write(self, octets: bytes) -> None:
        self.written += octets

    def is_closing(self) -> bool:
        return self.aborted or self.closed

    def abort(self) -> None:
        self.aborted = True

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str) -> None:
        """Nothing is known."""


def quick(now: list[float]) -> tuple[QuickFront, QuickConnection, Wire]:
    connections = Connections(lambda: now[0])
    front = QuickFront(
        lambda handle, gzip, peer: (b"head ", handle.encode()),
        everyone,
        at_once(),
        lambda _: pytest.fail("handed over"),
        connections,
    )
    connection, wire = QuickConnection(front), Wire()
    connection.connection_made(wire)  # type: ignore[arg-type]
    return front, connection, wire


HEAD = b"GET /api/handles/88.1/A HTTP/1.1\r\nHost: x\r\n\r\n"


def test_half_a_head_is_not_waited_for() -> None:
    """HEAD_S since it began, however slowly it goes on; an idle connection has HTTP_IDLE_S."""
    now = [100.0]
    front, connection, wire = quick(now)
    connection.data_received(HEAD[:5])
    for octet in HEAD[5:25]:
        now[0] += limits.HEAD_S / 40
        connection.data_received(bytes((octet,)))
    now[0] = 100.0 + limits.HEAD_S - 0.1
    front.connections.sweep(now[0])
    assert not wire.closed
    connection.data_received(HEAD[25:])
    assert wire.written
    now[0] += limits.HTTP_IDLE_S - 0.1
    front.connections.sweep(now[0])
    assert not wire.closed
    now[0] += 0.1
    front.connections.sweep(now[0])
    assert wire.closed


def test_each_head_has_its_own_time() -> None:
    """One that begins behind another is not late because that one was slow."""
    now = [100.0]
    front, connection, wire = quick(now)
    connection.data_received(HEAD[:9])
    now[0] += limits.HEAD_S - 1
    connection.data_received(HEAD[9:] + HEAD[:9])
    now[0] += limits.HEAD_S - 1
    front.connections.sweep(now[0])
    assert not wire.closed
    now[0] += 1
    front.connections.sweep(now[0])
    assert wire.closed


def test_a_client_that_does_not_read_is_not_read_from() -> None:
    _, connection, wire = quick([0.0])
    connection.data_received(HEAD * 3)
    assert wire.written.count(b"head ") == 3
    connection.pause_writing()
    assert wire.paused
    connection.resume_writing()
    assert not wire.paused


def test_the_memory_of_heads_is_bounded() -> None:
    """Every client may send another one."""
    front, connection, _ = quick([0.0])
    for number in range(limits.QUICK_HEADS_MAX * 2):
        connection.data_received(b"GET /api/handles/88.1/A HTTP/1.1\r\nHost: x%d\r\n\r\n" % number)
    assert len(front._verdicts) <= limits.QUICK_HEADS_MAX
