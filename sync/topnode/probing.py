"""Whether a node below is there: what probes found over a window, and what the top node makes of it. Pure.

Docking agreement, takeover: where 51 % or more of the answers of the probes say that resolution, or registration, is
not available, the top node may answer from the escrowed copy.

1. Each probe asks once a period on every way that the node offers. An answer that takes longer than
   PROBE_LATE times the limit counts as none.
2. A window is the last WINDOW periods, one behind the other. One that lacks a period decides nothing: after a start,
   a jump of the clock, a machine that slept.
3. Each probe has the answers of one probe in it, whatever it reports.
4. Resolution (UDP, TCP, HTTP) and registration are judged apart, by the share of answers that failed.
5. A node is back when its window was good at the end of BACK periods in a row.

| state | failing, with a copy | failing, without one | back |
|---|---|---|---|
| normal | takeover | down | – |
| down | takeover | – | normal |
| takeover | – | – | returning |
| returning | takeover | takeover | – |

``returning``: the copy is still served until the node was handed what was registered meanwhile; then it is normal. An
operator decides by hand, too: a takeover stands until he releases it, and what he released is not taken over again
before its window was good.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final, NamedTuple

from core import limits
from sync.monitor.observation import Observation, Way

WINDOW: Final = 2  # periods
BACK: Final = 2  # periods at whose end the window is good, in a row
SHARE: Final = 51  # per cent of answers that failed
DIFFERS_FROM: Final = 2  # probes at least, all of one mind, that one differs from


class State(Enum):
    """How the top node stands to a node. The value is stored: never rename one."""

    NORMAL = "normal"
    DOWN = "down"
    TAKEOVER = "takeover"
    RETURNING = "returning"

    __hash__ = object.__hash__  # members are singletons


SERVING: Final = frozenset((State.TAKEOVER, State.RETURNING))
"""States in which the escrowed copy answers."""


class Seen(Enum):
    """What a window says. GOOD: not at the end of enough periods yet."""

    FAILING = "failing"
    GOOD = "good"
    BACK = "back"

    __hash__ = object.__hash__


_NEXT: Final[dict[tuple[State, Seen, bool], State]] = {
    (State.NORMAL, Seen.FAILING, True): State.TAKEOVER,
    (State.NORMAL, Seen.FAILING, False): State.DOWN,
    (State.DOWN, Seen.FAILING, True): State.TAKEOVER,
    (State.DOWN, Seen.BACK, True): State.NORMAL,
    (State.DOWN, Seen.BACK, False): State.NORMAL,
    (State.TAKEOVER, Seen.BACK, True): State.RETURNING,
    (State.TAKEOVER, Seen.BACK, False): State.RETURNING,
    (State.RETURNING, Seen.FAILING, True): State.TAKEOVER,
    (State.RETURNING, Seen.FAILING, False): State.TAKEOVER,
}


class Standing(NamedTuple):
    """State and whether it was decided by hand."""

    state: State = State.NORMAL
    by_hand: bool = False


def decide(standing: Standing, seen: Seen, has_copy: bool) -> Standing:
    """Return how the top node stands to a node behind a window. ``has_copy``: a deposit of it was accepted."""
    if standing.by_hand:
        if standing.state is State.TAKEOVER or seen is Seen.FAILING:
            return standing
        standing = standing._replace(by_hand=False)
    return standing._replace(state=_NEXT.get((standing.state, seen, has_copy), standing.state))


class Tally(NamedTuple):
    """Answers that were asked for, and how many of them failed."""

    asked: int = 0
    failed: int = 0

    @property
    def is_failing(self) -> bool:
        """Whether SHARE per cent or more failed. Nothing asked: no."""
        return self.asked > 0 and self.failed * 100 >= SHARE * self.asked


class Summary(NamedTuple):
    """A window in numbers. ``period``: number of its last period."""

    period: int
    resolution: Tally
    registration: Tally

    @property
    def is_failing(self) -> bool:
        """Whether either is not available."""
        return self.resolution.is_failing or self.registration.is_failing


class Verdict(NamedTuple):
    """A whole window, judged. ``differs``: probes that contradict all others."""

    seen: Seen
    summary: Summary
    differs: frozenset[str]


_Round = dict[tuple[str, Way], bool]
"""Whether the answer failed that a probe got on a way."""


class Window:
    """What the probes found of one node. ``limit_ms``: in which an answer is to be there."""

    def __init__(self, limit_ms: int) -> None:
        self._slow_us = limit_ms * limits.PROBE_LATE * 1_000
        self._rounds: dict[int, _Round] = {}
        self._closed: list[int] = []
        self._good = 0

    def has(self, period: int, probe: str, way: Way) -> bool:
        """Whether a probe said already what it found in a period."""
        return (probe, way) in self._rounds.get(period, ())

    def put(self, period: int, probe: str, found: Iterable[Observation]) -> None:
        """Enter what a probe found in a period; what it said of it before stands."""
        if self._closed and period <= self._closed[-1] - WINDOW:
            return
        answers = self._rounds.setdefault(period, {})
        for each in found:
            answers.setdefault((probe, each.way), each.rtt_us is None or each.rtt_us > self._slow_us)

    def close(self, period: int) -> Verdict | None:
        """End a period, which all own probes are through with; return the verdict, None where the window is not whole.

        A period that is not the next one begins another window, so that a clock may jump.
        """
        if not self._closed or period != self._closed[-1] + 1:
            self._closed, self._good = [], 0
        self._closed = [*self._closed, period][-WINDOW:]
        first = period - WINDOW
        self._rounds = {at: answers for at, answers in self._rounds.items() if first < at <= period + 1}
        if len(self._closed) < WINDOW:
            return None
        rounds = [self._rounds.get(each, {}) for each in self._closed]
        summary = _sum(period, rounds, None)
        if not summary.resolution.asked:
            return None
        self._good = 0 if summary.is_failing else self._good + 1
        seen = Seen.FAILING if summary.is_failing else Seen.BACK if self._good >= BACK else Seen.GOOD
        return Verdict(seen, summary, _differing(period, rounds))


def _sum(period: int, rounds: list[_Round], probe: str | None) -> Summary:
    """Return the numbers of a window, of all probes or of one."""
    found: dict[bool, list[bool]] = {True: [], False: []}
    for answers in rounds:
        for (name, way), failed in answers.items():
            if probe in (None, name):
                found[way is Way.REGISTRATION].append(failed)
    resolution, registration = (Tally(len(found[each]), sum(found[each])) for each in (False, True))
    return Summary(period, resolution, registration)


def _differing(period: int, rounds: list[_Round]) -> frozenset[str]:
    """Return the probes that were there in each period and say the contrary of all others that were."""
    named = [{probe for probe, _ in answers} for answers in rounds]
    minds = {probe: _sum(period, rounds, probe).is_failing for probe in set.intersection(*named)}
    found = set()
    for probe, failing in minds.items():
        others = [each for name, each in minds.items() if name != probe]
        if len(others) >= DIFFERS_FROM and failing not in others:
            found.add(probe)
    return frozenset(found)
