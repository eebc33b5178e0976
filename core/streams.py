"""The four statutory logs, and the month that an entry of them belongs to (Measures art. 13, design §6).

Registration: parties, prefixes, lots, the first creation of an identifier. Change: every later change of
these, of routes and of configuration. Resolution: every answer. Maintenance: start, stop, log-in, key,
backup, escrow, retention, hold, incident. A refusal goes to the stream of the act that was refused.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from core.clock import parse_month


class Stream(Enum):
    """One of the logs. The value is the name of its folder: never rename one."""

    REGISTRATION = "registration"
    RESOLUTION = "resolution"
    MAINTENANCE = "maintenance"
    CHANGE = "change"

    __hash__ = object.__hash__  # members are singletons


_NAMES: Final = frozenset(stream.value for stream in Stream)


def format_log(stream: Stream, month: str) -> str:
    """Return how the log of a month is named: ``registration/2026-03``."""
    return f"{stream.value}/{month}"


def parse_log(text: str) -> tuple[Stream, str] | None:
    """Return stream and month of such a name; None for anything else."""
    stream, _, month = text.partition("/")
    if stream not in _NAMES or parse_month(month) is None:
        return None
    return Stream(stream), month
