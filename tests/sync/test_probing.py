"""What the top node makes of probes: the 51 % rule, windows, states; and that states are durable."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from core import limits
from core.clock import Millis
from core.errors import Outcome, StoreError
from sync.monitor.observation import Observation, Way
from sync.topnode.probing import SERVING, Seen, Standing, State, Summary, Tally, Verdict, Window, decide
from sync.topnode.takeover import Judged, Takeovers
from sync.topnode.takeover_rows import (
    Below,
    Event,
    ProbeRow,
    Watched,
    pack_event,
    pack_probe,
    pack_watched,
    unpack_event,
    unpack_probe,
    unpack_watched,
)

LIMIT_MS = 200
NOW = Millis(1_795_000_000_000)
LATE_US = LIMIT_MS * limits.PROBE_LATE * 1_000
RESOLUTION = (Way.UDP, Way.TCP, Way.HTTP)
ways = st.sampled_from(list(Way))
answers = st.lists(st.tuples(ways, st.none() | st.integers(1, 2 * LATE_US)), max_size=12)


def said(found: Iterable[tuple[Way, int | None]]) -> list[Observation]:
    return [Observation("node", way, NOW, rtt_us) for way, rtt_us in found]


def all_ways(rtt_us: int | None) -> list[Observation]:
    return said((way, rtt_us) for way in Way)


def node() -> Below:
    return Below("ab" * 16, "88.118", ("88.118",))


# --- the window ---------------------------------------------------------------
@given(st.integers(1, 500), st.integers(0, 500))
def test_a_share_fails_from_51_per_cent_on(asked: int, failed: int) -> None:
    assert Tally(asked, min(asked, failed)).is_failing == (Fraction(min(asked, failed), asked) >= Fraction(51, 100))


def test_51_per_cent_exactly_decides_and_50_do_not() -> None:
    """100 answers for registration in a window, 51 of which failed; resolution is fine. Then one less."""
    for failing, seen in ((51, Seen.FAILING), (50, Seen.GOOD)):
        window = Window(LIMIT_MS)
        for period in (1, 2):
            for place in range(50):
                number = place * 2 + period - 1
                window.put(period, f"p{place}", said((way, 1) for way in RESOLUTION))
                window.put(period, f"p{place}", said([(Way.REGISTRATION, None if number < failing else 1)]))
            verdict = window.close(period)
        assert verdict is not None
        assert (verdict.summary.registration, verdict.seen) == (Tally(100, failing), seen)


def test_one_of_three_ways_and_half_of_the_periods_decide_nothing() -> None:
    """UDP alone is away: 33 %. A node that was away in one of two periods: 50 %."""
    window = Window(LIMIT_MS)
    for period in (1, 2):
        window.put(period, "own-1", said([(Way.UDP, None), (Way.TCP, 1), (Way.HTTP, 1)]))
        verdict = window.close(period)
    assert verdict is not None and verdict.summary.resolution == Tally(6, 2) and verdict.seen is Seen.GOOD
    window = Window(LIMIT_MS)
    for period in (1, 2):
        window.put(period, "own-1", all_ways(None if period == 1 else 1))
        verdict = window.close(period)
    assert verdict is not None and verdict.seen is Seen.GOOD


@given(st.integers(1, 3 * LATE_US))
def test_an_answer_slower_than_five_times_the_limit_is_none(rtt_us: int) -> None:
    window = Window(LIMIT_MS)
    for period in (1, 2):
        window.put(period, "own-1", all_ways(rtt_us))
        verdict = window.close(period)
    assert verdict is not None and (verdict.seen is Seen.FAILING) == (rtt_us > 1_000_000)


@given(st.lists(st.lists(answers, max_size=3), min_size=2, max_size=6), st.booleans())
def test_one_lying_probe_of_three_never_decides(lies: list[list[list[tuple[Way, int | None]]]], is_there: bool) -> None:
    """Whatever it says, however often: two honest ones are believed, that the node is there and that it is away."""
    window = Window(LIMIT_MS)
    for period, reports in enumerate(lies):
        for report in reports:
            window.put(period, "liar", said(report))
        for honest in ("own-1", "own-2"):
            window.put(period, honest, all_ways(1 if is_there else None))
        verdict = window.close(period)
        assert verdict is None if period == 0 else verdict is not None
        if verdict is not None:
            assert (verdict.seen is Seen.FAILING) != is_there
            assert verdict.differs <= {"liar"}


def test_who_contradicts_all_others_is_named_and_who_was_there_for_half_a_window_is_not() -> None:
    window = Window(LIMIT_MS)
    for period in (1, 2, 3):
        for name in ("own-1", "own-2"):
            window.put(period, name, all_ways(1))
        window.put(period, "liar", said([(Way.UDP, None), (Way.TCP, None)]))
        if period == 2:
            window.put(period, "late", all_ways(None))
        verdict = window.close(period)
    assert verdict is not None and verdict.differs == {"liar"}
    window = Window(LIMIT_MS)
    for period in (1, 2):
        window.put(period, "own-1", all_ways(1))
        window.put(period, "liar", all_ways(None))
        verdict = window.close(period)
    assert verdict is not None and verdict.differs == frozenset()  # of two nobody knows who lies


@given(st.lists(st.sampled_from((1, 1, 1, 2, 0, -1, -7, 360)), max_size=30))
def test_a_window_is_whole_only_of_periods_behind_one_another(steps: list[int]) -> None:
    """The clock jumps forwards and back; back is said only after two good windows in a row since."""
    window, period, row = Window(LIMIT_MS), 1_000, 0
    for step in steps:
        period += step
        row = row + 1 if step == 1 and row else 1
        window.put(period, "own-1", all_ways(1))
        verdict = window.close(period)
        assert (verdict.seen if verdict else None) == (None, Seen.GOOD, Seen.BACK)[min(row, 3) - 1]


def test_a_late_report_counts_in_the_windows_that_its_period_is_in() -> None:
    window = Window(LIMIT_MS)
    found = []
    for period in range(1, 5):
        window.put(period, "own-1", said([(Way.UDP, 1)]))
        verdict = window.close(period)
        found.append(verdict and verdict.summary.resolution)
        window.put(period, "far", said([(Way.UDP, None)]))
        window.put(period - 2, "far", said([(Way.TCP, None)]))
        assert window.has(period, "far", Way.UDP)
    assert found == [None, (3, 1), (3, 1), (3, 1)]


def test_a_node_that_was_not_asked_is_not_judged() -> None:
    window = Window(LIMIT_MS)
    assert [window.close(1), window.close(2)] == [None, None]


# --- states ---------------------------------------------------------------------
def test_the_table_of_states() -> None:
    normal, down, takeover, returning = State.NORMAL, State.DOWN, State.TAKEOVER, State.RETURNING
    expected = {
        (normal, Seen.FAILING, True): takeover, (normal, Seen.FAILING, False): down,
        (down, Seen.FAILING, True): takeover, (down, Seen.BACK, True): normal, (down, Seen.BACK, False): normal,
        (takeover, Seen.BACK, True): returning, (takeover, Seen.BACK, False): returning,
        (returning, Seen.FAILING, True): takeover, (returning, Seen.FAILING, False): takeover,
    }  # fmt: skip
    for state in State:
        for seen in Seen:
            for has_copy in (True, False):
                after = decide(Standing(state), seen, has_copy)
                assert after == Standing(expected.get((state, seen, has_copy), state)), (state, seen, has_copy)


def test_what_a_person_decided_stands() -> None:
    """A takeover until he releases it; a release until the node was good once."""
    for seen in Seen:
        assert decide(Standing(State.TAKEOVER, True), seen, True) == Standing(State.TAKEOVER, True)
    for state in (State.RETURNING, State.NORMAL):
        assert decide(Standing(state, True), Seen.FAILING, True) == Standing(state, True)
        assert decide(Standing(state, True), Seen.GOOD, True) == Standing(state, False)


def verdict(seen: Seen) -> Verdict:
    failed = 6 if seen is Seen.FAILING else 0
    return Verdict(seen, Summary(7, Tally(6, failed), Tally(2, 0)), frozenset())


class States(RuleBasedStateMachine):
    """A top node judges, is told, restarted, in any order; a model says what has to stand."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.store = Takeovers(self.folder / "takeover")
        self.node = node()
        self.state, self.by_hand, self.id = State.NORMAL, False, ""
        self.ids: set[str] = set()
        self.events: list[tuple[State, State]] = []
        self.now = NOW

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.folder)

    def moved(self, after: State, by_hand: bool, always: bool = False) -> None:
        if after is not self.state or always:
            self.events.append((self.state, after))
        if after is State.TAKEOVER and self.state not in SERVING:
            self.id = self.store.state(self.node.node_id).takeover
            assert self.id and self.id not in self.ids
            self.ids.add(self.id)
        self.state, self.by_hand = after, by_hand
        if after not in SERVING:
            self.id = ""

    @rule(seen=st.sampled_from(list(Seen)), has_copy=st.booleans(), step=st.integers(-5_000, 10_000))
    def judge(self, seen: Seen, has_copy: bool, step: int) -> None:
        self.now = Millis(self.now + step)
        told = self.store.judge([Judged(self.node, verdict(seen), has_copy)], {}, self.now)
        after = self.state
        failing = seen is Seen.FAILING
        if self.by_hand and (self.state is State.TAKEOVER or failing):
            assert not told
            return
        if failing and self.state in (State.NORMAL, State.DOWN):
            after = State.TAKEOVER if has_copy else State.DOWN
        elif failing:
            after = State.TAKEOVER
        elif seen is Seen.BACK:
            after = {State.DOWN: State.NORMAL, State.TAKEOVER: State.RETURNING}.get(self.state, self.state)
        assert [(each.before, each.after) for each in told] == (
            [(self.state, after)] if after is not self.state else []
        )
        self.moved(after, False)

    @rule()
    def take_over(self) -> None:
        if (self.state, self.by_hand) == (State.TAKEOVER, True):
            with pytest.raises(StoreError) as refused:
                self.store.begin(self.node, "赵", "停电", self.now)
            assert refused.value.ended is Outcome.CONFLICT
        else:
            self.store.begin(self.node, "赵", "停电", self.now)
            self.moved(State.TAKEOVER, True, always=True)

    @rule()
    def release(self) -> None:
        if self.state not in SERVING:
            with pytest.raises(StoreError):
                self.store.release(self.node.node_id, "赵", "来电", self.now)
        else:
            self.store.release(self.node.node_id, "赵", "来电", self.now)
            self.moved(State.RETURNING if self.state is State.TAKEOVER else State.NORMAL, True, always=True)

    @rule(own=st.booleans())
    def hand_back(self, own: bool) -> None:
        over = self.store.handed_back(self.node.node_id, self.id if own else "another", self.now)
        if own and self.state is State.RETURNING:
            self.moved(State.NORMAL, self.by_hand)
        assert over == (self.state is State.NORMAL)

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = Takeovers(self.folder / "takeover")

    @invariant()
    def stands(self) -> None:
        if not hasattr(self, "store"):
            return
        held = self.store.state(self.node.node_id)
        assert (held.standing, held.takeover) == (Standing(self.state, self.by_hand), self.id)
        serving = self.node.node_id if self.state in SERVING else None
        for prefix in (b"88.118", b"88.118.7", b"88.118.7.A"):
            assert self.store.serving(prefix) == serving
        assert self.store.serving(b"88.11") is None and self.store.serving(b"88") is None
        assert [(each.before, each.after) for each in self.store.events()] == self.events[::-1]


TestStates = States.TestCase
TestStates.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


def test_what_another_process_decides_is_seen_at_once(tmp_path: Path) -> None:
    """The command line decides beside the server."""
    script = (
        "import sys; from pathlib import Path; from sync.topnode.takeover import Takeovers; "
        "from tests.sync.test_probing import NOW, node; Takeovers(Path(sys.argv[1])).begin(node(), 'x', 'y', NOW)"
    )
    server = Takeovers(tmp_path / "takeover")
    assert server.serving(b"88.118") is None
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "takeover")], check=True, timeout=60)
    assert server.serving(b"88.118.7") == node().node_id
    server.close()


def test_what_a_node_says_of_itself_does_not_move_what_is_served_for_it(tmp_path: Path) -> None:
    server = Takeovers(tmp_path / "takeover")
    server.begin(node(), "赵", "停电", NOW)
    moved = node()._replace(prefix="77", codes=("77",))
    server.judge([Judged(moved, verdict(Seen.FAILING), True)], {}, NOW)
    assert (server.serving(b"88.118"), server.serving(b"77")) == (node().node_id, None)
    server.close()


# --- rows -----------------------------------------------------------------------
texts = st.text(max_size=20)
counts = st.integers(0, 2**63 - 1)
millis = st.integers(0, 2**41).map(Millis)
tallies = st.builds(Tally, counts, counts)
rows = (
    (pack_watched, unpack_watched, st.builds(
        Watched, texts, texts, st.lists(texts).map(tuple), st.builds(Standing, st.sampled_from(State), st.booleans()),
        millis, texts, st.builds(Summary, counts, tallies, tallies), millis,
    )),
    (pack_event, unpack_event, st.builds(
        Event, counts, millis, texts, texts, st.sampled_from(State), st.sampled_from(State), texts, texts, texts
    )),
    (pack_probe, unpack_probe, st.builds(
        ProbeRow, counts, counts, counts, millis, st.lists(texts).map(tuple), st.lists(texts).map(tuple)
    )),
)  # fmt: skip


@given(st.data(), st.binary(max_size=60))
def test_rows_are_read_as_they_were_written_and_others_are_named(data: st.DataObject, noise: bytes) -> None:
    for pack, unpack, made in rows:
        row = data.draw(made)
        assert unpack(pack(row)) == row  # type: ignore[operator]
        for octets in (noise, b"\x01" + noise, pack(row)[:-1]):  # type: ignore[operator]
            try:
                unpack(octets)  # type: ignore[operator]
            except StoreError:
                continue
