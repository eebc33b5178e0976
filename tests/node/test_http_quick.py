"""The quick way of HTTP and aiohttp answer the same: random pipelines, cut anywhere, in clear and under TLS."""

from __future__ import annotations

import asyncio
import random
import re
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import uvloop

from core import limits
from core.clock import Millis
from core.errors import StoreError
from core.records import HandleValue
from core.store.engine import Batch, Table
from core.store.lmdb_engine import LmdbEngine, LmdbSnapshot
from core.store.prefix_rows import HOSTED, HomedPrefix, pack_prefix
from node import http_quick
from node.http_connections import Connections, Peer
from node.http_quick import QuickConnection, QuickFront
from node.turn import Turn
from resolver.ratelimit import Admits
from tests.kit.http_fronts import LOT, PREFIX, serving, trusting
from tests.kit.logs import MemorySpool, at_once, everyone
from tests.kit.lots import unit_of

LARGE = "x" * 2_000
RECORDS = {
    f"{PREFIX}/SKU01": (HandleValue(1, "URL", b"https://p007.example.cn/sku/01"),),
    f"{PREFIX}/LARGE": (HandleValue(1, "DESC", LARGE.encode()),),
    f"{PREFIX}/HALF": (HandleValue(1, "URL", b"x"), HandleValue(2, "S", b"y", permissions=0b1100)),
    f"{PREFIX}/HIDDEN": (HandleValue(2, "S", b"y", permissions=0b1100),),
    f"{PREFIX}/A'B!(1)": (HandleValue(1, "DESC", '"\\盐'.encode()),),
    f"{PREFIX}/EMPTY": (),
    f"{PREFIX}/盐/1 %": (HandleValue(1, "URL", b"https://a.example"),),
}
VARYING = re.compile(rb'\r\nDate: [^\r]*|sessionId="[^"]*", nonce="[^"]*"')
ENCODED = [
    "%E7%9B%90/1%20%25", "%e7%9b%90%2f1%20%25", "%53KU01", "SKU%30%31", "%41%27B!(1)", "%E7%9B%90%22", "%C3%A4",
]  # fmt: skip
HELD = f"{PREFIX}.9"
UNITS = [LOT, LOT + "2222222222", *(unit_of(LOT, index) for index in (0, 6, 99, 100, 110))]
"""The lot, no unit, a unit, one that is gone, another one, a case, and an index that was not issued."""
BADLY_ENCODED = ["%", "SKU01%", "%zz", "%4", "%ff", "%E7%9B", "%ED%A0%80", "%00", "%0d%0aX:y", "%7f", "A%2F", "A%20B%"]
CLOSE = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
ROUNDS = 90
ANSWER_S = 20


# --- what is sent ---

PATHS = [
    *(f"/api/handles/{handle}" for handle in RECORDS if handle.isascii()),
    *(f"/api/handles/{PREFIX}/{suffix}" for suffix in (*ENCODED, *BADLY_ENCODED)),
    f"/api/handles/{PREFIX}/sku01", f"/api/handles/{PREFIX}/NONE",
    f"/api/handles/0.NA/{PREFIX}", "/api/handles/0.NA/99.1", "/api/handles/99.1/X", "/api/handles/NOSLASH",
    f"/api/handles/{PREFIX}/SKU01?type=URL", f"/api/handles/{PREFIX}/SKU01#part", f"/api/handles/{PREFIX}/SKU01?",
    f"/api/handles/{PREFIX}%2FSKU01", f"/api/handles/{PREFIX}/%E7%9B%90", "/api/handles/", "/api/handles",
    f"/api/handles/{PREFIX}/", f"/api/handles//{PREFIX}", "/api/handles/..", "/api/site", "/", "/healthz",
    f"/api/handles/{PREFIX}/{'y' * 300}", f"/{PREFIX}/SKU01?noredirect",
    *(f"/api/handles/{name}" for name in UNITS), f"/api/handles/{UNITS[0].lower()}",
    f"/api/handles/{HELD}/SKU01", f"/api/handles/{HELD}/%E7%9B%90", f"/{HELD}/SKU01",
]  # fmt: skip
USUAL = [
    [b"Host: x"], [b"Host: 127.0.0.1:8000", b"User-Agent: curl/8", b"Accept: */*"],
    [b"host: x", b"Connection: keep-alive"], [b"HOST:x", b"accept:a", b"Accept-Encoding: identity"],
    [b"Host: x", b"Accept-Encoding: gzip, deflate"], [b"Host:  x ", b"Pragma:", b"Cache-Control: no-cache"],
]  # fmt: skip
GOOD = [
    *USUAL, [b"Host: x", b"Origin: https://a.example"], [b"Host: x", b"Authorization: Basic eA=="],
    [b"Host: x", b"Content-Length: 0"], [b"Host: x", b"Cookie: a=b"], [b"Host: x", b"Range: bytes=0-1"],
    [b"Host: x", b"X-Forwarded-For: 1.2.3.4"], [b"Host: x", b"User-Agent: " + b"a" * limits.QUICK_HEAD_BYTES_MAX],
    [b"Host: x", *[b"Accept: a"] * (limits.HTTP_HEADERS_MAX - 1)], [b"Host: x", b"User-Agent: " + b"a" * 16_000],
]  # fmt: skip
ANY = [
    *GOOD, [b"Host: x", b"Connection: close"], [b"Host: x", b"Host: y"], [], [b"Host:"], [b"Host: x y"],
    [b"Host: x", b" folded"], [b"Host: x", b"X: \x00"], [b"Host: x", b"Bad Header: 1"], [b"Host: x", b"NoColon"],
    [b"Host: x", b"Expect: 100-continue"], [b"Host : x"], [b"Host: x", b"Accept: \xff"], [b"Host: x", b"Accept: \t"],
    [b"Host: x", b"A" * 20_000 + b": b"], [b"Host: x", b"User-Agent: " + b"a" * 20_000],
    [b"Host: x", *[b"Accept:"] * limits.HTTP_HEADERS_MAX], [b"Host: x", b"Host: x"],
    [b"Host: x", *[b"Accept: " + b"a" * 2_000] * 20],
]  # fmt: skip
LINES = [
    b"GET %b HTTP/1.1", b"HEAD %b HTTP/1.1", b"GET  %b HTTP/1.1", b"GET %b HTTP/1.0", b"GET %b", b"get %b HTTP/1.1",
    b"POST %b HTTP/1.1", b"GET %b HTTP/2.0", b"GET %b HTTP/1.1 ", b"GET\t%b HTTP/1.1", b"GET %b HTTP/1.1x",
]  # fmt: skip
BODIES = [
    (b"Content-Length: 2", b"[]"), (b"Content-Length: 7", b"index=1"), (b"Content-Length: 0", b""),
    (b"Transfer-Encoding: chunked", b"2\r\n[]\r\n0\r\n\r\n"), (b"Transfer-Encoding: chunked", b"0\r\n\r\n"),
    (b"Transfer-Encoding: chunked", b"1;a=b\r\n[\r\n1\r\n]\r\n0\r\nX: y\r\n\r\n"),
]  # fmt: skip
KINDS = [b"Content-Type: application/json", b"Content-Type: application/x-www-form-urlencoded"]
BAD_BODIES = [
    (b"Content-Length: -1", b""), (b"Content-Length: 2", b"[]x"), (b"Transfer-Encoding: chunked", b"zz\r\n"),
    (b"Transfer-Encoding: gzip", b""), (b"Content-Length: 99999999", b""), (b"Content-Length: x", b""),
]  # fmt: skip
METHODS = [b"GET"] * 8 + [b"HEAD", b"POST", b"DELETE", b"OPTIONS"]


def good(chance: random.Random) -> tuple[bool, bytes]:
    """A request that leaves the connection open, and whether its answer has a body."""
    usual = chance.random() < 0.7
    method, headers = (b"GET", chance.choice(USUAL)) if usual else (chance.choice(METHODS), chance.choice(GOOD))
    line = b"%b %b HTTP/1.1" % (method, chance.choice(PATHS).encode())
    return method != b"HEAD", b"\r\n".join([line, *headers, b"", b""])


def with_body(chance: random.Random) -> tuple[bool, bytes]:
    """A request of nobody that has a body, good as HTTP; its connection stays open."""
    method, (framing, body) = chance.choice([b"POST", b"PUT", b"OPTIONS", b"HEAD", b"GET"]), chance.choice(BODIES)
    line = b"%b /api/handles/%b/SKU01 HTTP/1.1" % (method, PREFIX.encode())
    head = [line, *chance.choice(USUAL), chance.choice(KINDS), framing, b"", body]
    return method != b"HEAD", b"\r\n".join(head)


def anything(chance: random.Random) -> bytes:
    """A request good or bad, its head complete."""
    line = chance.choice(LINES) % chance.choice([*PATHS, "*", f"http://x/api/handles/{PREFIX}/SKU01"]).encode()
    framing, body = chance.choice([*BODIES, *BAD_BODIES]) if chance.random() < 0.2 else (b"Pragma: x", b"")
    head = [line, *chance.choice(ANY), framing, b""]
    return chance.choice([b"\r\n"] * 8 + [b"\n"]).join([*head, body])


# --- both ways ---


def home_suspended(store: LmdbEngine) -> None:
    """Home HELD, and suspend it."""
    batch = Batch()
    batch.put(Table.PREFIXES, HELD.encode(), pack_prefix(HomedPrefix(HOSTED, Millis(0), suspended=True)))
    store.commit(batch)


async def answered(address: Any, groups: list[Group], tls: ssl.SSLContext | None, *, to_the_end: bool = True) -> bytes:
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
        if to_the_end:
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
        requests = [chance.choice([good] * 9 + [with_body])(chance) for _ in range(chance.randrange(1, 6))]
        groups.append(Group(cut(b"".join(each for _, each in requests), chance), [body for body, _ in requests]))
    return [*groups, Group([anything(chance) + CLOSE], [])]


@pytest.mark.parametrize("tls", [False, True])
def test_both_ways_answer_the_same(tmp_path: Path, tls: bool) -> None:
    """Status, headers but Date, body, order, and when the connection ends; the seed is in the failure."""
    seed = random.SystemRandom().randrange(2**32)
    chance = random.Random(seed)
    context = trusting() if tls else None

    async def run() -> None:
        async with serving(tmp_path, RECORDS, tls=tls) as served:
            home_suspended(served.store)
            for _ in range(ROUNDS):
                groups = groups_of(chance)
                found = [await answered(address, groups, context) for address in (served.quick, served.slow)]
                assert found[0] == found[1], (seed, groups)

    uvloop.run(run())


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
        f"GET /api/handles/{PREFIX}/{name} HTTP/1.1".encode()
        for name in ("SKU01", "sku01", "NONE", "HALF", "A'B!(1)", *ENCODED)
    ]
    usual += [f"GET /api/handles/{name} HTTP/1.1".encode() for name in UNITS]
    usual.append(f"GET /api/handles/{HELD}/SKU01 HTTP/1.1".encode())

    async def run() -> None:
        async with serving(tmp_path, RECORDS) as served:
            home_suspended(served.store)
            octets = b"".join(line + head for line in usual for head in heads)
            groups = [Group([octets], [True] * (len(usual) * len(heads))), Group([CLOSE], [])]
            found = await answered(served.quick, groups, None)
            assert found.count(b"HTTP/1.1 ") == len(usual) * len(heads) + 1
            assert handed == [CLOSE]

    uvloop.run(run())


# --- turns and time, on a transport that is none ---

HEAD = b"GET /api/handles/88.1/A HTTP/1.1\r\nHost: x\r\n\r\n"
HIGH_WATER = 65_536


class Wire:
    """A transport whose client reads when the test says so."""

    def __init__(self) -> None:
        self.protocol: QuickConnection | None = None
        self.held = self.held_most = self.taken = 0
        self.aborted, self.closed, self.reading, self.paused = False, False, True, False

    def write(self, octets: bytes) -> None:
        self.held += len(octets)
        self.held_most = max(self.held, self.held_most)
        if self.held > HIGH_WATER and not self.paused and self.protocol is not None:
            self.paused = True
            self.protocol.pause_writing()

    def take(self, count: int) -> None:
        """Let the client read some octets."""
        count = min(count, self.held)
        self.held -= count
        self.taken += count
        if self.paused and self.held <= HIGH_WATER // 4 and self.protocol is not None:
            self.paused = False
            self.protocol.resume_writing()

    def is_closing(self) -> bool:
        return self.aborted or self.closed

    def abort(self) -> None:
        self.aborted = True

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_write_buffer_size(self) -> int:
        return self.held

    def get_extra_info(self, name: str) -> None:
        """Nothing is known."""


class Alone:
    """One connection, its wire, and the time."""

    def __init__(self, body: bytes = b"body", turn: Turn | None = None, admits: Admits = everyone) -> None:
        self.now_s = 100.0
        self.answered = self.refused = 0
        self.connections = Connections(lambda: self.now_s)
        self.front = QuickFront(
            self, self, admits, turn or at_once(), self.no_second_look, connections=self.connections,
            count_refusal=self.count_refusal,
        )  # fmt: skip
        self.connection = QuickConnection(self.front)
        self.body = body
        self.wire = Wire()
        self.wire.protocol = self.connection
        self.connection.connection_made(self.wire)  # type: ignore[arg-type]

    def begin(self) -> bool:
        return True

    def end(self) -> None:
        """Nothing was begun."""

    def plain(self, handle: bytes, gzip: bool, peer: bytes) -> tuple[bytes, ...]:
        self.answered += 1
        return b"head ", self.body

    any = plain

    def redirect(self, path: bytes, peer: bytes) -> tuple[bytes, ...]:
        return self.plain(path, False, peer)

    def count_refusal(self) -> None:
        self.refused += 1

    def no_second_look(self, peer: Peer) -> asyncio.Protocol:
        raise AssertionError("handed over")

    def receives(self, octets: bytes) -> None:
        self.connection.data_received(octets)

    def after(self, seconds: float) -> None:
        """Let time go on, and have it looked at."""
        self.now_s += seconds
        self.connections.sweep(self.now_s)


def test_half_a_head_is_not_waited_for() -> None:
    """HEAD_S since it began, however slowly it goes on and whatever method it has; an idle connection has HTTP_IDLE_S.

    Half a head is aborted, an idle connection is closed.
    """
    alone = Alone()
    alone.receives(HEAD[:5])
    for octet in HEAD[5:25]:
        alone.now_s += limits.HEAD_S / 40
        alone.receives(bytes((octet,)))
    alone.after(limits.HEAD_S / 2 - 0.1)
    assert not alone.wire.is_closing()
    alone.receives(HEAD[25:])
    assert alone.answered == 1
    alone.wire.take(1_000)
    alone.after(limits.HTTP_IDLE_S - 0.1)
    assert not alone.wire.is_closing()
    alone.after(0.1)
    assert (alone.wire.closed, alone.wire.aborted) == (True, False)
    for half in (b"P", b"G", b"PUT /api/handles/x HTTP/1.1\r\nHost:", b"\r\n", HEAD[:-1]):
        alone = Alone()
        alone.receives(half)
        alone.after(limits.HEAD_S - 0.1)
        assert not alone.wire.is_closing()
        alone.after(0.1)
        assert alone.wire.aborted


def test_each_head_has_its_own_time() -> None:
    """One that begins behind another is not late because that one was slow."""
    alone = Alone()
    alone.receives(HEAD[:9])
    alone.after(limits.HEAD_S - 1)
    alone.receives(HEAD[9:] + HEAD[:9])
    alone.wire.take(1_000)
    alone.after(limits.HEAD_S - 1)
    assert not alone.wire.is_closing()
    alone.after(1)
    assert alone.wire.aborted


@pytest.mark.parametrize("octets", [b"GET /\n", b"\x16\x03\x01", b"GET / HTTP/3\r\nHost:", b"G" * 16_385, b"hello\r\n"])
def test_what_can_be_no_good_head_is_left_to_aiohttp_at_once(octets: bytes) -> None:
    """It answers what is wrong; what may yet be good stays."""
    with pytest.raises(AssertionError, match="handed over"):
        Alone().receives(octets)
    Alone().receives(octets[:1].replace(b"\x16", b"P"))


def test_a_turn_is_bounded_by_what_it_answers() -> None:
    """A client that never reads makes the node hold one turn's answers, however many requests it sends at once.

    That is HTTP_TURN_BYTES and one answer, above what makes the transport say stop. With each octet that it
    takes the rest goes on, and in the end all is answered; meanwhile nothing more is read.
    """

    async def run() -> None:
        alone = Alone(bytes(200_000))
        alone.receives(HEAD * 5_000 + HEAD[:9])
        assert 0 < alone.answered < 3
        assert not alone.wire.reading
        while alone.answered < 5_000:
            before = alone.answered
            alone.wire.take(100_000)
            alone.after(0.1)
            assert alone.answered - before < 3
        assert alone.wire.held_most < HIGH_WATER + limits.HTTP_TURN_BYTES + 2 * 200_100
        alone.wire.take(1_000_000)
        assert alone.wire.reading
        assert not alone.wire.is_closing()
        alone.receives(HEAD[9:])
        assert alone.answered == 5_001

    asyncio.run(run())


def test_many_requests_take_turns() -> None:
    """HTTP_TURN_REQUESTS of one connection, then the others; what is left is neither half a head nor lost."""

    async def run() -> None:
        alone = Alone()
        alone.receives(HEAD * 1_000)
        assert alone.answered == limits.HTTP_TURN_REQUESTS
        assert not alone.wire.reading
        while alone.answered < 1_000:
            before = alone.answered
            alone.after(limits.HTTP_IDLE_S)
            assert not alone.wire.is_closing()
            alone.wire.take(1_000_000)
            await asyncio.sleep(0)
            assert alone.answered - before <= limits.HTTP_TURN_REQUESTS
        assert alone.wire.reading

    asyncio.run(run())


def test_a_client_that_reads_slowly_gets_all() -> None:
    """No deadline of requests runs while it takes what is written, and it begins anew behind that."""
    alone = Alone(bytes(1_000_000))
    alone.receives(HEAD + HEAD[:9])
    assert not alone.wire.reading
    for _ in range(13):
        alone.after(limits.WRITE_STALL_S - 1)
        alone.wire.take(80_000)
        assert not alone.wire.is_closing()
    assert alone.wire.reading
    alone.after(limits.HEAD_S - 1)
    assert not alone.wire.is_closing()
    alone.after(1)
    assert alone.wire.is_closing()


@pytest.mark.parametrize("closing", [False, True])
def test_a_client_that_takes_nothing_is_given_up(closing: bool) -> None:
    """WRITE_STALL_S without an octet, also behind close(), which would wait for ever."""
    alone = Alone(bytes(1_000_000))
    alone.receives(HEAD)
    if closing:
        alone.wire.close()
    alone.after(1)
    alone.after(limits.WRITE_STALL_S - 1)
    alone.wire.take(1)
    alone.after(1)
    alone.after(limits.WRITE_STALL_S - 1)
    assert not alone.wire.aborted
    alone.after(1)
    assert alone.wire.aborted


def test_a_worker_that_ends_answers_what_came_whole() -> None:
    """finish() closes at once where nothing is left, else behind the last whole request; the half one is dropped."""

    async def run() -> None:
        idle, pipelining = Alone(), Alone(bytes(100_000))
        idle.connection.finish()
        assert idle.wire.closed
        pipelining.receives(HEAD * 3 + HEAD[:9])
        pipelining.connection.finish()
        while not pipelining.wire.closed:
            pipelining.wire.take(1_000_000)
            await asyncio.sleep(0)
        assert pipelining.answered == 3

    asyncio.run(run())


def test_the_memory_of_heads_is_bounded() -> None:
    """Every client may send another one."""
    alone = Alone()
    for number in range(limits.QUICK_HEADS_MAX * 2):
        alone.receives(b"GET /api/handles/88.1/A HTTP/1.1\r\nHost: x%d\r\n\r\n" % number)
        alone.wire.take(1_000)
    assert len(alone.connection._front.verdicts) <= limits.QUICK_HEADS_MAX


def test_what_needs_a_second_look_is_not_remembered() -> None:
    """Its head may hold a password; and it would push out those that come again and again."""
    alone = Alone()
    alone.receives(HEAD)
    kept = set(alone.front.verdicts)
    with pytest.raises(AssertionError, match="handed over"):
        alone.receives(HEAD.replace(b"\r\n\r\n", b"\r\nAuthorization: Basic c2VjcmV0\r\n\r\n"))
    assert set(alone.front.verdicts) == kept != set()


def test_a_connection_whose_answer_has_not_left_is_not_evicted() -> None:
    """It waits for nothing: there is an entry of the answer already."""
    ends: list[Callable[[], None]] = []
    alone = Alone(turn=Turn(MemorySpool(), lambda *_: None, lambda: None, lambda: 0.0, ends.append))
    alone.connections.connections_max = 1
    alone.receives(HEAD)
    other, wire = QuickConnection(alone.front), Wire()
    other.connection_made(wire)  # type: ignore[arg-type]
    assert (alone.wire.aborted, wire.aborted) == (False, True)
    ends[0]()
    assert alone.wire.held
    alone.wire.take(1_000)
    alone.after(1)
    QuickConnection(alone.front).connection_made(Wire())  # type: ignore[arg-type]
    assert alone.wire.aborted


def test_who_asks_too_much_is_counted() -> None:
    """Once for each answer that says so."""

    async def run() -> None:
        alone = Alone(admits=lambda _: False)
        alone.receives(HEAD * 3)
        assert (alone.answered, alone.refused) == (0, 1)

    asyncio.run(run())


# --- a store that fails ---


@pytest.mark.parametrize("error", [StoreError("no reader slot"), RuntimeError("broken")])
def test_good_answers_go_out_before_one_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The one that fails gets its error from the long way, and what stands behind it is answered too."""
    get, calls = LmdbSnapshot.get, iter(range(1_000))

    def failing(self: LmdbSnapshot, table: Table, key: bytes) -> bytes | None:
        if table is Table.ANSWERS and next(calls) in (2, 3):  # the third request, both ways
            raise error
        return get(self, table, key)

    async def run() -> None:
        async with serving(tmp_path, RECORDS) as served:
            monkeypatch.setattr(LmdbSnapshot, "get", failing)
            head = f"GET /api/handles/{PREFIX}/SKU01 HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            found = await answered(served.quick, [Group([head * 3], [True] * 3)], None, to_the_end=False)
            statuses = re.findall(rb"HTTP/1.1 (\d+)", found)
            assert statuses[:2] == [b"200", b"200"]
            assert statuses[2].startswith(b"5")
            monkeypatch.undo()

    uvloop.run(run())
