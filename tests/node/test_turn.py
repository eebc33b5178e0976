"""A turn of the event loop: nothing leaves that is not logged, and one write logs all of it."""

from __future__ import annotations

import asyncio

import pytest

from core import limits
from core.admission import Identity
from core.errors import Outcome
from core.events import LogFullError, Via
from node.arrival import ARRIVED_NS
from node.turn import Turn
from tests.kit.logs import MemorySpool


@pytest.fixture(autouse=True)
def nothing_came() -> None:
    """Nobody said in this context when a request came, whatever another test left in it."""
    ARRIVED_NS.set(0)


PEER = bytes.fromhex("0fa0c0000201")


class Front:
    """Something with answers. ``after``: what to do when they go."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.fails = False

    def let_go(self) -> None:
        self.said.append("gone")
        if self.fails:
            raise ValueError("a transport that is broken")

    def hold_back(self) -> None:
        self.said.append("held")


class Bench:
    """A turn, its log, and the time it sees."""

    def __init__(self) -> None:
        self.spool = MemorySpool()
        self.now_s = 100.0
        self.counted: list[tuple[str, int]] = []
        self.failures = 0
        self.measured: list[tuple[int, int]] = []
        self.turn = Turn(
            self.spool, lambda *each: self.counted.append(each), self._failed, lambda: self.now_s,
            measure=lambda *each: self.measured.append(each),
        )  # fmt: skip

    def _failed(self) -> None:
        self.failures += 1

    def resolve(self, front: Front, name: bytes = b"88.1/X") -> None:
        self.turn.resolved(Via.JSON, Outcome.OK, PEER, name)
        self.turn.leave(front)


def test_all_answers_of_a_turn_are_logged_by_one_write_before_they_leave() -> None:
    """Of however many fronts; none leaves before the end of the turn."""

    async def run() -> None:
        bench, fronts = Bench(), [Front() for _ in range(5)]
        for front in fronts:
            bench.resolve(front)
        assert [front.said for front in fronts] == [[]] * 5
        await asyncio.sleep(0)
        assert [front.said for front in fronts] == [["gone"]] * 5
        assert (bench.spool.writes, len(bench.spool.rows)) == (1, 5)
        await asyncio.sleep(0)
        bench.resolve(fronts[0])
        await asyncio.sleep(0)
        assert (bench.spool.writes, fronts[0].said) == (2, ["gone"] * 2)

    asyncio.run(run())


def test_what_is_not_logged_does_not_leave() -> None:
    """The turn is lost as a whole, and counted; the next one is not."""

    async def run() -> None:
        bench, front, other = Bench(), Front(), Front()
        bench.spool.full = True
        bench.resolve(front)
        bench.turn.leave(other)
        await asyncio.sleep(0)
        assert (front.said, other.said, bench.failures) == (["held"], ["held"], 1)
        bench.spool.full = False
        bench.resolve(front)
        await asyncio.sleep(0)
        assert front.said == ["held", "gone"]

    asyncio.run(run())


def test_a_record_that_fails_takes_the_turn_with_it() -> None:
    """What was noted before it is lost by the same write; what is noted behind it is not."""

    async def run() -> None:
        bench, front, later = Bench(), Front(), Front()
        bench.resolve(front)
        bench.spool.full = True
        with pytest.raises(LogFullError):
            bench.turn.record(Via.PAGE, Outcome.OK, PEER, b"88.1/Y", None)
        bench.spool.full = False
        await asyncio.sleep(0)
        assert front.said == ["held"]
        bench.resolve(later)
        await asyncio.sleep(0)
        assert later.said == ["gone"]
        assert [row[3] for row in bench.spool.rows] == [b"88.1/X"]

    asyncio.run(run())


def test_a_record_is_written_at_once_with_what_was_noted() -> None:
    """Whoever needs no turn is logged before he is answered; the identity is named."""
    bench = Bench()
    bench.turn.resolved(Via.HANDLE_UDP, Outcome.HANDLE_NOT_FOUND, PEER, b"88.1/X")
    bench.turn.record(Via.JSON, Outcome.OK, b"", b"88.1/Y", Identity("88.1/ADM", 300))
    assert bench.spool.rows == [
        (Via.HANDLE_UDP, "handle-not-found", PEER, b"88.1/X", ""),
        (Via.JSON, "ok", b"", b"88.1/Y", "300:88.1/ADM"),
    ]
    assert bench.counted == [("handle-not-found", 1), ("ok", 1)]


def test_a_log_that_failed_is_let_alone_for_a_while() -> None:
    """LOG_RETRY_S, or until somebody's record succeeds."""
    bench = Bench()
    assert bench.turn.writable
    bench.spool.full = True
    bench.turn.resolved(Via.JSON, Outcome.OK, PEER, b"88.1/X")
    bench.turn.end()
    assert not bench.turn.writable
    bench.now_s += limits.LOG_RETRY_S - 0.01
    assert not bench.turn.writable
    bench.now_s += 0.01
    assert bench.turn.writable
    bench.turn.resolved(Via.JSON, Outcome.OK, PEER, b"88.1/X")
    bench.turn.end()
    assert not bench.turn.writable
    bench.spool.full = False
    bench.turn.record(Via.JSON, Outcome.OK, PEER, b"88.1/X", None)
    assert bench.turn.writable


def test_a_turn_without_entries_does_not_open_a_log_that_failed() -> None:
    """What leaves in it are refusals: that nothing was written well says nothing of the disk."""
    bench, front = Bench(), Front()
    bench.spool.full = True
    with pytest.raises(LogFullError):
        bench.turn.record(Via.HANDLE_UDP, Outcome.OK, PEER, b"88.1/X", None)

    async def run() -> None:
        bench.turn.leave(front)
        await asyncio.sleep(0)

    asyncio.run(run())
    assert front.said == ["gone"]
    assert not bench.turn.writable


def test_one_front_that_fails_does_not_keep_the_others() -> None:
    """Its answers are lost with it, theirs are not."""
    bench, broken, other = Bench(), Front(), Front()
    broken.fails = True

    async def run() -> None:
        bench.resolve(broken)
        bench.resolve(other)
        await asyncio.sleep(0)

    asyncio.run(run())
    assert other.said == ["gone"]


def test_an_identifier_that_is_too_long_is_cut() -> None:
    """It is none, and a log of forged ones must not grow without bound."""
    bench = Bench()
    bench.turn.record(Via.JSON, Outcome.INVALID_HANDLE, PEER, b"x" * 100_000, None)
    assert bench.spool.rows[0][3] == b"x" * limits.LOGGED_IDENTIFIER_BYTES


def test_a_log_that_breaks_holds_everything_back(caplog: pytest.LogCaptureFixture) -> None:
    """An error that nobody thought of must not keep answers, nor fronts, waiting for ever."""

    async def run() -> None:
        bench, front = Bench(), Front()

        def breaks(_: object) -> bool:
            raise RuntimeError("a log that is broken")

        bench.spool.write = breaks  # type: ignore[method-assign]
        for _ in range(2):
            bench.resolve(front)
            await asyncio.sleep(0)
        assert front.said == ["held", "held"]

    asyncio.run(run())
    assert "a log that is broken" in caplog.text


class Working(Front):
    """A front to which something came; it resolves that when it is told to, and so does who comes of it."""

    def __init__(self, bench: Bench, name: bytes, follows: Working | None = None) -> None:
        super().__init__()
        self.bench, self.name, self.follows = bench, name, follows

    def work(self) -> None:
        self.said.append("worked")
        if self.fails:
            raise ValueError("a front that is broken")
        self.bench.resolve(self, self.name)
        if self.follows is not None:
            self.bench.turn.take(self.follows)


def test_what_came_in_a_turn_is_answered_at_its_end_and_logged_by_one_write() -> None:
    """Whoever answered meanwhile leaves with it; what comes of it is for the next turn."""

    async def run() -> None:
        bench = Bench()
        later = Working(bench, b"3")
        one, other, front = Working(bench, b"1", follows=later), Working(bench, b"2"), Front()
        bench.turn.take(one)
        bench.resolve(front, b"0")
        bench.turn.take(other)
        assert one.said == other.said == front.said == []
        await asyncio.sleep(0)
        assert (front.said, one.said, other.said, later.said) == (["gone"], ["worked", "gone"], ["worked", "gone"], [])
        assert (bench.spool.writes, [row[3] for row in bench.spool.rows]) == (1, [b"0", b"1", b"2"])
        await asyncio.sleep(0)
        assert later.said == ["worked", "gone"]
        assert bench.spool.writes == 2

    asyncio.run(run())


def test_a_front_that_fails_at_its_work_does_not_stop_the_turns(caplog: pytest.LogCaptureFixture) -> None:
    """The others are answered, in this turn and the next; it is logged."""

    async def run() -> None:
        bench = Bench()
        broken, other = Working(bench, b"1"), Working(bench, b"2")
        broken.fails = True
        for _ in range(2):
            bench.turn.take(broken)
            bench.turn.take(other)
            await asyncio.sleep(0)
        assert other.said == ["worked", "gone"] * 2

    asyncio.run(run())
    assert "a front that is broken" in caplog.text


# --- how long it took ---
def test_a_turn_is_measured_once_from_its_first_octets_to_behind_the_last_answer() -> None:
    """All its resolutions took as long; what is no resolution is not counted."""

    async def run() -> None:
        bench, front, other, silent = Bench(), Front(), Front(), Front()
        for each, came_ns in ((front, 7_000), (other, 9_000)):
            bench.turn.resolved(Via.HANDLE_UDP, Outcome.OK, PEER, b"88.1/X")
            bench.turn.leave(each, came_ns)
        bench.turn.leave(silent)
        front.said.append(str(bench.measured))
        await asyncio.sleep(0)
        assert (front.said, bench.measured) == (["[]", "gone"], [(2, 7_000)])
        assert bench.turn.came_ns == 0
        bench.turn.leave(silent)
        await asyncio.sleep(0)
        assert len(bench.measured) == 1

    asyncio.run(run())


def test_what_is_recorded_at_once_is_measured_by_itself_behind_its_answer() -> None:
    """From when its own request came; nobody guesses where that is not known. What shares its write leaves later."""

    async def run() -> None:
        bench, front = Bench(), Front()
        bench.turn.resolved(Via.JSON, Outcome.OK, PEER, b"88.1/X")
        bench.turn.leave(front, 5_000)
        ARRIVED_NS.set(3_000)
        bench.turn.record(Via.PAGE, Outcome.OK, PEER, b"88.1/Y", None)
        assert bench.measured == []
        await asyncio.sleep(0)
        assert sorted(bench.measured) == [(1, 3_000), (1, 5_000)]
        ARRIVED_NS.set(0)
        bench.turn.record(Via.PAGE, Outcome.OK, PEER, b"88.1/Y", None)
        await asyncio.sleep(0)
        assert len(bench.measured) == 2

    asyncio.run(run())


def test_what_does_not_leave_is_not_measured() -> None:
    """Neither where its log fails, nor in the turn behind it."""

    async def run() -> None:
        bench, front = Bench(), Front()
        bench.spool.full = True
        bench.resolve(front)
        ARRIVED_NS.set(3_000)
        with pytest.raises(LogFullError):
            bench.turn.record(Via.PAGE, Outcome.OK, PEER, b"88.1/Y", None)
        await asyncio.sleep(0)
        bench.spool.full = False
        bench.turn.leave(front)
        await asyncio.sleep(0)
        assert (bench.measured, bench.spool.rows) == ([], [])

    asyncio.run(run())
