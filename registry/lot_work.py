"""How much work the events of one batch may make: the registrar is one for all, and nobody else writes meanwhile.

Counted in steps, about 2 µs each: of rows that are read, and of runs that are looked at and changed.
"""

from __future__ import annotations

from typing import Final

from core import limits
from core.errors import NodeError, Outcome
from registry.refusals import refusal

SEEK_STEPS: Final = 5
READ_STEPS: Final = 2
LOOK_STEPS: Final = 2
CHANGE_STEPS: Final = 8
_MOVED: Final = 4_096  # entries of a list that one step moves


class Work:
    """What was spent of a batch's LOT_BATCH_STEPS; of its first event's LOT_EVENT_STEPS, where that alone is more."""

    def __init__(self) -> None:
        self.spent = 0
        self.most = limits.LOT_BATCH_STEPS

    def allow(self, *, first: bool) -> None:
        """Say whether what follows is for the first event."""
        self.most = limits.LOT_EVENT_STEPS if first else limits.LOT_BATCH_STEPS

    def spend(self, steps: int) -> None:
        """Count some steps. Errors: NodeError(TOO_LARGE) as soon as they are too many."""
        self.spent += steps
        self.foresee(0)

    def move(self, entries: int) -> None:
        """Count that a list of so many entries is cut or joined."""
        self.spent += entries // _MOVED

    def foresee(self, steps: int) -> None:
        """Errors: NodeError(TOO_LARGE) where so many steps would be too many."""
        if self.spent + steps > self.most:
            raise too_much()


def too_much() -> NodeError:
    """Return what an event ends with that a batch has no work left for."""
    return refusal("batch-work", Outcome.TOO_LARGE)
