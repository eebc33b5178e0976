"""The licence to serve, over time (Measures art. 6). Days are those of Asia/Shanghai, first and last included.

| state | days left, the last day being 0 | |
|---|---|---|
| NOT_BEGUN | any | before the first day |
| IN_FORCE | more than LICENCE_WARN_DAYS | |
| ENDING | 0 … LICENCE_WARN_DAYS | it is in force, and to be renewed |
| ENDED | below 0 | |
"""

from __future__ import annotations

import datetime
from enum import Enum
from typing import Final, NamedTuple

from core import limits
from core.clock import shanghai_midnight

_DAY_MS: Final = 86_400_000


class LicenceState(Enum):
    """Where a node stands with its licence. ``zh`` and ``en`` are told to people."""

    NONE = "none"
    NOT_BEGUN = "not-begun"
    IN_FORCE = "in-force"
    ENDING = "ending"
    ENDED = "ended"

    @property
    def zh(self) -> str:
        """The state in Chinese."""
        return _TOLD[self][0]

    @property
    def en(self) -> str:
        """The state in English."""
        return _TOLD[self][1]


_TOLD: Final = {
    LicenceState.NONE: ("未配置", "not configured"),
    LicenceState.NOT_BEGUN: ("尚未生效", "not yet in force"),
    LicenceState.IN_FORCE: ("有效", "in force"),
    LicenceState.ENDING: ("有效，即将到期", "in force, ends soon"),
    LicenceState.ENDED: ("已到期", "ended"),
}


class Window(NamedTuple):
    """When registration is open: Unix milliseconds, the second one no longer."""

    begins_ms: int
    ends_ms: int

    def is_open(self, now_ms: int) -> bool:
        """Whether it is open now."""
        return self.begins_ms <= now_ms < self.ends_ms


ALWAYS: Final = Window(0, 2**63 - 1)


class Licence(NamedTuple):
    """When a licence is in force: its first and its last day."""

    first_day: datetime.date
    last_day: datetime.date

    @property
    def window(self) -> Window:
        """From midnight before the first day to midnight after the last."""
        return Window(shanghai_midnight(self.first_day), shanghai_midnight(self.last_day) + _DAY_MS)

    def days_left(self, now_ms: int) -> int:
        """Return how many days come after today until it ends: 0 on the last one, -1 on the day after."""
        return (self.window.ends_ms - 1 - now_ms) // _DAY_MS

    def state(self, now_ms: int) -> LicenceState:
        """Return where it stands, see above."""
        window = self.window
        if now_ms < window.begins_ms:
            return LicenceState.NOT_BEGUN
        if now_ms >= window.ends_ms:
            return LicenceState.ENDED
        return LicenceState.ENDING if self.days_left(now_ms) <= limits.LICENCE_WARN_DAYS else LicenceState.IN_FORCE


def state_of(licence: Licence | None, now_ms: int) -> LicenceState:
    """Return the state of a licence, NONE without one."""
    return LicenceState.NONE if licence is None else licence.state(now_ms)
