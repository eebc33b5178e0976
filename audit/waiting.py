"""What waits for the sequencer: resolutions that were answered and are in no published log yet.

Read without a lock, while the sequencer works or where none does: a look at it, for ``saltern doctor`` and for whoever
reads the logs.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from audit.pending import PendingError, unpack_pending
from audit.places import FOLDER, PENDING, SPOOL_FOLDER
from audit.spool import MAGIC, segments
from audit.spool_reading import take
from core.clock import TIME_MS_END


class Waiting(NamedTuple):
    """``octets`` of the spools that were not read yet; ``since_ms``: time of the oldest entry in them, None if none.

    ``fault``: why nothing is published at all, None if nothing stands in the way.
    """

    octets: int
    since_ms: int | None
    fault: str | None


def look(data: Path) -> Waiting:
    """Look at what waits in a data folder. Errors: OSError."""
    offsets: dict[str, int] = {}
    fault = None
    try:
        offsets = unpack_pending((data / PENDING).read_bytes()).segments
    except FileNotFoundError:
        if any((data / FOLDER).glob("*/*/checkpoint")):
            fault = f"缺少 {data / PENDING}。{data / PENDING} is not there, but logs are"
    except PendingError as error:
        fault = str(error)
    try:
        frames = take(data / SPOOL_FOLDER, offsets, TIME_MS_END, 1).frames
        sizes = {path.name: path.stat().st_size for path in segments(data / SPOOL_FOLDER)}
    except FileNotFoundError:
        return Waiting(0, None, fault)  # the sequencer is at it, and took a segment away meanwhile
    octets = sum(max(0, size - max(offsets.get(name, 0), len(MAGIC))) for name, size in sizes.items())
    return Waiting(octets, min((frame.at_ms for frame in frames), default=None), fault)
