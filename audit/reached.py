"""Are all resolutions before a moment published?

Asked beside the sequencer, without a lock. What was answered lies in a spool until a round takes it; the round is
decided in ``log.pending``, and then published.
"""

from __future__ import annotations

from pathlib import Path

from audit.pending import unpack_pending
from audit.places import FOLDER, PENDING, SPOOL_FOLDER
from audit.reading import LogReadError, open_month
from audit.spool_reading import take
from core.streams import Stream


def is_published(data: Path, end_ms: int) -> bool:
    """Whether no resolution before ``end_ms`` waits any more; False where it cannot be told now.

    Errors: LogReadError where the record of the sequencer is damaged or missing; OSError.
    """
    path = data / PENDING
    try:  # spools first: what a later round takes is in a later record
        waits = take(data / SPOOL_FOLDER, unpack_pending(path.read_bytes()).segments, end_ms, 1).frames
        pending = unpack_pending(path.read_bytes())
    except FileNotFoundError:
        return False  # there is no log yet, or the sequencer took a segment away meanwhile
    except ValueError as error:
        raise LogReadError(f"{path}: {error}") from None
    if waits:
        return False
    log = open_month(data / FOLDER, Stream.RESOLUTION, pending.month)
    return log is not None and log.size >= pending.sizes[Stream.RESOLUTION.value]
