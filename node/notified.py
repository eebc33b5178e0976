"""Who has heard of which zone, as it lies in ``data/run/notify.json``: between the keeper and who asks.

Replaced as a whole when something changes; a node that does not run has none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from core import limits

_FILE: Final = "notify.json"


class Heard(NamedTuple):
    """What a secondary acknowledged last, None for nothing yet. ``fault``: why it has not heard the newest."""

    secondary: str
    zone: str
    serial: int | None
    fault: str


class Notified(NamedTuple):
    """The serial that is told, and who has heard it. ``changed_ms``: since when it is told."""

    serial: int
    changed_ms: int
    heard: tuple[Heard, ...]


def write_notified(folder: Path, notified: Notified) -> None:
    """Write the file. Errors: OSError."""
    path = folder / _FILE
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(notified))
    fresh.replace(path)


def read_notified(folder: Path) -> Notified | None:
    """Read the file; None where there is none. Bounds: NOTIFY_FILE_BYTES_MAX."""
    try:
        with (folder / _FILE).open("rb") as file:
            return msgspec.json.decode(file.read(limits.NOTIFY_FILE_BYTES_MAX), type=Notified)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
