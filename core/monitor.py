"""What the last self-probe found, as it lies in ``data/run/monitor.json``: between who probes and who is asked.

Replaced as a whole after each round, so that whoever reads it has one round, or the one before. What
``GET /v1/monitor`` tells of it is ``document``; a file that is older than STALE_ROUNDS rounds says that nobody looks
any more, and then nothing counts as available. Nothing in it is personal.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from core import limits
from core.clock import Millis, format_utc

FILE: Final = "monitor.json"
STALE_ROUNDS: Final = 3


class Probed(NamedTuple):
    """One way of one subject (``sync/monitor/observation.py``). ``rtt_us``: None where it did not answer."""

    subject: str
    way: str
    rtt_us: int | None


class Round(NamedTuple):
    """What was found. ``checked_ms``: begin of the last round of self-probes. ``probes``: bounded by who writes."""

    checked_ms: int
    period_s: int
    resolution: bool
    registration: bool
    probes: tuple[Probed, ...] = ()


def dump_round(found: Round) -> bytes:
    """Return the file."""
    return msgspec.json.encode(found)


def load_round(octets: bytes) -> Round | None:
    """Read the file; None where it is none."""
    try:
        return msgspec.json.decode(octets, type=Round)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def read_round(folder: Path) -> Round | None:
    """Read the file that lies in ``data/run``; None where there is none yet. Bounds: MONITOR_FILE_BYTES_MAX."""
    try:
        with (folder / FILE).open("rb") as file:
            return load_round(file.read(limits.MONITOR_FILE_BYTES_MAX))
    except OSError:
        return None


def no_round() -> None:
    """Nobody has looked."""


def is_stale(found: Round | None, now_ms: Millis) -> bool:
    """Whether nobody has looked for too long, or the clock has jumped since."""
    return found is None or abs(now_ms - found.checked_ms) > STALE_ROUNDS * found.period_s * 1_000


def document(found: Round | None, now_ms: Millis) -> dict[str, Any]:
    """Return what everybody may be told."""
    stale = is_stale(found, now_ms)
    return {
        "time": format_utc(now_ms // 1_000),
        "checked": None if found is None else format_utc(found.checked_ms // 1_000),
        "period_s": None if found is None else found.period_s,
        "resolution": found is not None and found.resolution and not stale,
        "registration": found is not None and found.registration and not stale,
        "stale": stale,
    }
