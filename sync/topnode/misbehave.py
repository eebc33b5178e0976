"""How the reference top node misbehaves when it is told to: sans-IO, what to do with one request.

SPEC: ``default``, or names with a probability each, ``duplicate=0.1,delay=0.2``:

duplicate  the request is processed twice; either answer is given
delay      it waits before it is processed, or its answer does
reorder    it is processed after the next one
drop       the connection ends without an answer, before or after it was processed
truncate   the answer is cut
error      the answer is an error of the server, before or after it was processed
refuse     a row is refused
"""

from __future__ import annotations

import difflib
from random import Random
from typing import Final, NamedTuple

from core.errors import ConfigError

DELAY_MS_MAX: Final = 200
DEFAULT: Final = {
    "duplicate": 0.05, "delay": 0.1, "reorder": 0.05, "drop": 0.05, "truncate": 0.05, "error": 0.1, "refuse": 0.01,
}  # fmt: skip


class Plan(NamedTuple):
    """What to do with one request, in this order.

    ``hold``: until the next one was processed. ``error_before``, ``drop_before``: without processing it. ``twice``:
    process it twice; ``second``: the second answer is the one. ``cut``: how much of the answer goes, 1.0 for all.
    """

    delay_before_ms: int = 0
    hold: bool = False
    drop_before: bool = False
    error_before: bool = False
    twice: bool = False
    second: bool = False
    drop_after: bool = False
    error_after: bool = False
    delay_after_ms: int = 0
    cut: float = 1.0

    def truncated(self, octets: bytes) -> bytes:
        """Return as much of an answer as goes."""
        return octets if self.cut >= 1.0 else octets[: int(len(octets) * self.cut)]


def parse_spec(text: str) -> dict[str, float]:
    """Return the probability of each way to misbehave. Errors: ConfigError."""
    if text.strip() == "default":
        return dict(DEFAULT)
    found = dict.fromkeys(DEFAULT, 0.0)
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if name not in found:
            near = difflib.get_close_matches(name, found, n=1, cutoff=0.0)[0]
            raise ConfigError(
                f"没有{name!r}，是否为{near!r}？There is no {name!r}; is it {near!r}? All: {', '.join(found)}"
            )
        found[name] = _probability(name, value if equals else "")
    return found


def _probability(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:  # NaN is not, either
        raise ConfigError(f"{name}应为0到1之间的数。{name} takes a number from 0 to 1: {text!r}")
    return value


class Misbehaviour:
    """Plans requests. ``chance``: seeded in tests."""

    def __init__(self, spec: str, chance: Random) -> None:
        """Read SPEC. Errors: ConfigError."""
        self._of = parse_spec(spec)
        self._chance = chance

    def plan(self) -> Plan:
        """Return what to do with the next request."""
        chance = self._chance
        before, after = self._split("delay")
        drop_before, drop_after = self._split("drop")
        error_before, error_after = self._split("error")
        twice = self._happens("duplicate")
        return Plan(
            delay_before_ms=chance.randint(1, DELAY_MS_MAX) if before else 0,
            hold=self._happens("reorder"),
            drop_before=drop_before,
            error_before=error_before,
            twice=twice,
            second=twice and chance.random() < 0.5,
            drop_after=drop_after,
            error_after=error_after,
            delay_after_ms=chance.randint(1, DELAY_MS_MAX) if after else 0,
            cut=chance.random() if self._happens("truncate") else 1.0,
        )

    def refuses(self) -> bool:
        """Whether the next row is refused."""
        return self._happens("refuse")

    def _happens(self, name: str) -> bool:
        return self._chance.random() < self._of[name]

    def _split(self, name: str) -> tuple[bool, bool]:
        """Return whether it happens before processing, and whether after; never both."""
        happens, before = self._happens(name), self._chance.random() < 0.5
        return happens and before, happens and not before
