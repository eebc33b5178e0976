"""HTTP against peers that are slow, silent, greedy, deaf or many: each ends at its deadline, and the others are served.

Time is passed in: the tests say how late it is and have the connections looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import uvloop

from core import limits
from core.records import HandleValue
from node.http_connections import Connections
from tests.kit.crowd import connected, crowd
from tests.kit.http_fronts import PREFIX, Served, serving, trusting, until
from tests.kit.node import Node

BIG = 200_000
RECORDS = {
    f"{PREFIX}/GOOD": (HandleValue(1, "URL", b"https://a.example"),),
    f"{PREFIX}/BIG": (HandleValue(1, "DESC", b"x" * BIG),),
}
GOOD = f"GET /api/handles/{PREFIX}/GOOD HTTP/1.1\r\nHost: x\r\n\r\n".encode()
SLOW_GOOD = GOOD.replace(b"GOOD ", b"GOOD?type=URL ")
LARGE = GOOD.replace(b"GOOD ", b"BIG ")
SLOW_LARGE = GOOD.replace(b"GOOD ", b"BIG?type=DESC ")
LAST = GOOD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
HALVES = [b"P", b"GET /api/hand", GOOD[:-1], SLOW_GOOD[:-1], b"PUT /x HTTP/1.1\r\nHost: x\r\nA:", b"\r\n\r\nGET /"]
ANSWER = re.compile(rb"HTTP/1\.1 (\d+) ")
NO_TIME = 30
both_wires = pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])


class Site(NamedTuple):
    """One worker's HTTP, its connections, and the time they are told."""

    served: Served
    connections: Connections
    now: list[float]
    tls: ssl.SSLContext | None

    async def open(
        self, octets: bytes = b"", limit: int = 1 << 20
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect and send."""
        reader, writer = await asyncio.open_connection(*self.served.quick, ssl=self.tls, limit=limit)
        writer.write(octets)
        return reader, writer

    async def ask(self, octets: bytes = LAST) -> bytes:
        """Send on a new connection; return all that comes until it is closed."""
        reader, writer = await self.open(octets)
        try:
            return await reader.read()
        finally:
            writer.close()

    def after(self, seconds: float) -> None:
        """Let time go on, and have the connections looked at as often as the sweeper would."""
        for _ in range(int(seconds)):
            self.now[0] += 1
            self.connections.sweep(self.now[0])

    def held(self) -> int:
        """Octets of answers in all write buffers."""
        return sum(peer.transport.get_write_buffer_size() for peer in self.connections.peers)


@contextlib.asynccontextmanager
async def site(folder: Path, *, tls: bool = False) -> AsyncIterator[Site]:
    now = [1_000.0]
    async with serving(folder, RECORDS, tls=tls) as served:
        connections = served.fronts.quick.connections
        connections.now_s = lambda: now[0]
        yield Site(served, connections, now, trusting() if tls else None)


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run a test on the loop that the node runs on, with a bound for what hangs."""

    async def bounded() -> None:
        async with asyncio.timeout(NO_TIME):
            await test()

    uvloop.run(bounded())


async def ended(reader: asyncio.StreamReader) -> bytes:
    """Return what comes until the end, however the end comes."""
    came = b""
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(65_536):
            came += chunk
    return came


# --- slow ---


@both_wires
def test_slowloris_over_many_connections(tmp_path: Path, tls: bool) -> None:
    """Half heads of any kind, first on the quick way and as second ones behind aiohttp's answers: gone after HEAD_S.

    Others are served before and after, nothing is answered to the half heads, and the table is empty.
    """

    async def test() -> None:
        async with site(tmp_path, tls=tls) as here:
            slow = [await here.open(HALVES[number % len(HALVES)]) for number in range(120)]
            second = [await here.open(SLOW_GOOD) for _ in range(30)]
            for number, (reader, writer) in enumerate(second):
                assert (await reader.readuntil(b"}]}")).startswith(b"HTTP/1.1 200 ")
                writer.write(HALVES[number % len(HALVES)])
            await until(lambda: not any(peer.waiting for peer in here.connections.peers))
            here.after(limits.HEAD_S - 1)
            assert len(here.connections.peers) == 150
            assert ANSWER.findall(await here.ask()) == [b"200"]
            here.after(1)
            for reader, writer in (*slow, *second):
                assert await ended(reader) == b""
                writer.close()
            assert ANSWER.findall(await here.ask()) == [b"200"]
            await until(lambda: not here.connections.peers)

    run(test)


def test_octets_that_trickle_renew_nothing(tmp_path: Path) -> None:
    """A head that comes octet by octet has HEAD_S in all, on the quick way and behind an answer of aiohttp."""

    async def test() -> None:
        async with site(tmp_path) as here:
            for first in (b"", SLOW_GOOD):
                reader, writer = await here.open(first)
                if first:
                    await reader.readuntil(b"}]}")
                for octet in GOOD[: limits.HEAD_S]:
                    writer.write(bytes((octet,)))
                    await until(lambda: not next(iter(here.connections.peers)).waiting)
                    here.after(1)
                assert await ended(reader) == b""
                writer.close()
                await until(lambda: not here.connections.peers)

    run(test)


def test_half_a_head_behind_a_whole_one_for_aiohttp(tmp_path: Path) -> None:
    """It cannot be seen in one piece with the whole one; it goes with the idle ones."""

    async def test() -> None:
        async with site(tmp_path) as here:
            reader, writer = await here.open(SLOW_GOOD + GOOD[:20])
            assert (await reader.readuntil(b"}]}")).startswith(b"HTTP/1.1 200 ")
            here.after(limits.HTTP_IDLE_S)
            assert await ended(reader) == b""
            writer.close()

    run(test)


@both_wires
def test_idle_connections_are_closed(tmp_path: Path, tls: bool) -> None:
    """After HTTP_IDLE_S since they were opened or since their last answer, not before: new, quick, handed over."""

    async def test() -> None:
        async with site(tmp_path, tls=tls) as here:
            lines = [await here.open(octets) for octets in (b"", GOOD, SLOW_GOOD)]
            for reader, _ in lines[1:]:
                await reader.readuntil(b"}]}")
            await until(lambda: [peer.waiting for peer in here.connections.peers] == [True] * 3)
            here.after(limits.HTTP_IDLE_S - 1)
            assert not any(peer.transport.is_closing() for peer in here.connections.peers)
            here.after(1)
            for reader, writer in lines:
                assert await ended(reader) == b""
                writer.close()
            await until(lambda: not here.connections.peers)

    run(test)


def test_a_tls_handshake_that_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After HEAD_S, whether nothing of it came or half; the table has never seen it."""
    monkeypatch.setattr(limits, "HEAD_S", 0.05)

    async def test() -> None:
        async with site(tmp_path, tls=True) as here:
            for octets in (b"", b"\x16\x03\x01\x02"):
                reader, writer = await asyncio.open_connection(*here.served.quick)
                writer.write(octets)
                await ended(reader)
                writer.close()
            assert not here.connections.peers

    run(test)


# --- greedy ---


@both_wires
@pytest.mark.parametrize("between", [GOOD, SLOW_GOOD, LARGE], ids=["quick", "slow", "large"])
def test_five_thousand_requests_at_once_are_all_answered(tmp_path: Path, tls: bool, between: bytes) -> None:
    """In their order, one answer each, whichever way the one in the middle takes; then the end."""

    async def test() -> None:
        async with site(tmp_path, tls=tls) as here:
            found = await here.ask(GOOD * 2_500 + between + GOOD * 2_498 + LAST)
            assert ANSWER.findall(found) == [b"200"] * 5_000

    run(test)


def test_a_client_that_says_no_more_still_gets_its_answers(tmp_path: Path) -> None:
    """Half-open: it closes its side behind 5 000 requests, or behind half a head."""

    async def test() -> None:
        async with site(tmp_path) as here:
            for rest in (b"", GOOD[:9]):
                reader, writer = await here.open(GOOD * 5_000 + rest)
                writer.write_eof()
                assert len(ANSWER.findall(await ended(reader))) == 5_000
                writer.close()
            await until(lambda: not here.connections.peers)

    run(test)


@both_wires
@pytest.mark.parametrize("request_", [LARGE, SLOW_LARGE], ids=["quick", "slow"])
def test_peers_that_never_read(tmp_path: Path, tls: bool, request_: bytes) -> None:
    """Each makes the node hold some answers, not thousands; others are served; after WRITE_STALL_S they are gone.

    While one of them takes something it stays.
    """

    async def test() -> None:
        async with site(tmp_path, tls=tls) as here:
            deaf = []
            for _ in range(8):
                reader, writer = await here.open(limit=1)
                writer.transport.pause_reading()  # type: ignore[attr-defined]
                writer.write(request_ * 3_000)
                deaf.append((reader, writer))
            await until(lambda: len(here.connections.peers) == len(deaf))
            peers = set(here.connections.peers)
            await until(lambda: all(peer.paused for peer in peers))
            for _ in range(20):
                assert ANSWER.findall(await here.ask()) == [b"200"]
            assert here.held() < len(deaf) * 4 * BIG
            here.after(limits.WRITE_STALL_S)
            assert peers <= here.connections.peers
            for _ in range(2):  # the kernel may have taken the last of what it holds only now
                here.after(limits.WRITE_STALL_S + 1)
                await asyncio.sleep(0)
            await until(lambda: not here.connections.peers)
            for _, writer in deaf:
                writer.transport.abort()

    run(test)


def test_a_slow_reader_is_no_deaf_one(tmp_path: Path) -> None:
    """Under TLS too, where the transport does not see what lies below it: with each megabyte it has time again."""

    async def test() -> None:
        async with site(tmp_path, tls=True) as here:
            reader, writer = await here.open(LARGE * 99 + LAST.replace(b"GOOD ", b"BIG "), limit=1 << 16)
            came = b""
            while chunk := await reader.read(1 << 20):
                if len(came) >> 20 != (len(came) + len(chunk)) >> 20:
                    here.after(limits.WRITE_STALL_S - 2)
                came += chunk
            assert len(ANSWER.findall(came)) == 100
            writer.close()

    run(test)


# --- many ---


def test_at_the_cap_those_go_that_have_waited_longest(tmp_path: Path) -> None:
    """HTTP_EVICTED at once; whose head has begun stays, and if all have, a new one is refused until one goes."""

    async def test() -> None:
        async with site(tmp_path) as here:
            here.connections.connections_max = 100
            busy = [await here.open(GOOD[:9]) for _ in range(20)]
            idle = []
            for number in range(80):
                here.now[0] += 0.01
                idle.append(await here.open(SLOW_GOOD if number % 2 else GOOD))
                await idle[-1][0].readuntil(b"}]}")
            await until(lambda: sum(peer.waiting for peer in here.connections.peers) == 80)
            assert ANSWER.findall(await here.ask()) == [b"200"]
            for reader, _ in idle[: limits.HTTP_EVICTED]:
                assert await ended(reader) == b""
            await until(lambda: len(here.connections.peers) == 36)
            busy += [await here.open(GOOD[:9]) for _ in range(80)]
            await until(lambda: not any(peer.waiting for peer in here.connections.peers))
            assert len(here.connections.peers) == 100
            assert await ended((await here.open(LAST))[0]) == b""
            busy[0][1].close()
            await until(lambda: len(here.connections.peers) == 99)
            assert ANSWER.findall(await here.ask()) == [b"200"]
            for _, writer in (*busy, *idle):
                writer.close()
            await until(lambda: not here.connections.peers)

    run(test)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("crowded") / "node", PREFIX) as running:
        yield running
        for sign in ("Traceback", "ticket", "ERROR"):
            assert sign not in running.log()


def test_a_thousand_connections_and_another_client(node: Node) -> None:
    """Idle, slow, half a body, answered: they cost little, the other client is served, and all are gone at the end."""
    crowd(node, 1_050)


# --- the end of a worker ---


@both_wires
def test_a_worker_that_ends_lets_answers_arrive(tmp_path: Path, tls: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came whole is answered while it drains, by both ways; idle clients do not hold it up, under TLS either.

    DRAIN_S is longer than this test may take: it must end by itself.
    """
    monkeypatch.setattr(limits, "DRAIN_S", 10 * NO_TIME)

    async def test() -> None:
        async with site(tmp_path, tls=tls) as here:
            idle = [await here.open(octets) for octets in (b"", GOOD, SLOW_GOOD)]
            quick, slow = await here.open(LARGE * 40, limit=1), await here.open(SLOW_LARGE, limit=1)
            for reader, _ in (*idle[1:], quick, slow):
                await reader.readexactly(1)
            fronts = here.served.fronts
            drained = asyncio.gather(fronts.quick.drain(), fronts.http.drain())
            assert ANSWER.findall(b"H" + await ended(quick[0])) == [b"200"] * 40
            assert (await ended(slow[0])).endswith(b"}]}")
            await drained
            assert not here.connections.peers

    run(test)


def test_a_worker_that_ends_waits_for_nobody_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DRAIN_S, then those that do not read are aborted; who connects meanwhile is refused."""
    monkeypatch.setattr(limits, "DRAIN_S", 0.1)

    async def test() -> None:
        async with site(tmp_path) as here:
            _, writer = await here.open(limit=1)
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(LARGE * 100)
            await until(lambda: any(peer.paused for peer in here.connections.peers))
            fronts = here.served.fronts
            await asyncio.gather(fronts.quick.drain(), fronts.http.drain())
            await until(lambda: not here.connections.peers)
            late = Refused()
            assert here.connections.admit(late, lambda: None) is None
            assert late.aborted
            writer.transport.abort()

    run(test)


class Refused(asyncio.Transport):
    """A transport that is to be aborted at once."""

    aborted = False

    def abort(self) -> None:
        self.aborted = True


def test_sigterm_loses_no_answer(tmp_path: Path) -> None:
    """A running node: a client whose answers are under way reads them to the end after the signal."""
    values = [{"index": 1, "type": "DESC", "data": "x" * BIG}]
    with Node(tmp_path / "node", PREFIX) as node:
        assert node.put(f"{PREFIX}/BIG", values).status == 201
        with connected(node, receive_bytes=4_096) as line:
            line.sendall(LARGE * 30)
            came = line.recv(1)
            assert node.process is not None
            node.process.send_signal(signal.SIGTERM)
            while chunk := line.recv(1 << 20):
                came += chunk
        assert ANSWER.findall(came) == [b"200"] * 30
        assert len(came) > 30 * BIG
        assert node.stop() == 0
