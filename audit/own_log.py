"""What the sequencer finds of its own logs: how far each is published, and its right edge.

Nothing of it is believed as it stands: the checkpoint must be signed by this node under the name of the log, and the
tiles must lead to its root. Whatever is not so needs a person, since a log must never sign two checkpoints of which
one is not the beginning of the other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from audit.checkpoint import Checkpoint, parse_checkpoint
from audit.growth import Growth
from audit.note import ed25519_key, open_note, parse_vkey
from core.errors import NodeError

CHECKPOINT: Final = "checkpoint"
VKEY: Final = "vkey"


class SequencerError(NodeError):
    """The logs are not as the sequencer left them, or another one is at work: a person has to look."""


def published_of(folder: Path, origin: str, public: bytes) -> Checkpoint | None:
    """Return what a log's checkpoint says, None without one. ``public``: our key. Errors: SequencerError, OSError."""
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    try:
        keys = [ed25519_key(origin, public), *(parse_vkey(line) for line in lines_of(folder / VKEY))]
        note = open_note(path.read_bytes(), keys)
        checkpoint = parse_checkpoint(note.text)
    except ValueError as error:
        raise SequencerError(f"{path} 已损坏。{path} is damaged: {error}") from None
    if not note.signed_by or checkpoint.origin != origin:
        raise SequencerError(f"{path} 不是本节点为 {origin} 签署的。{path} is not signed by this node as {origin}")
    return checkpoint


def growth_of(folder: Path, checkpoint: Checkpoint | None) -> Growth:
    """Return a log as it is published. Errors: SequencerError if its files do not lead to the root; OSError."""
    if checkpoint is None:
        return Growth.of(0, _nothing)
    try:
        growth = Growth.of(checkpoint.size, lambda path: (folder / path).read_bytes())
    except (ValueError, FileNotFoundError) as error:
        raise SequencerError(f"{folder} 已损坏。{folder} is damaged: {error}") from None
    if growth.root() != checkpoint.root:
        raise SequencerError(f"{folder} 的文件与检查点不符。The tiles in {folder} do not lead to the checkpoint's root")
    return growth


def lines_of(path: Path) -> list[str]:
    """Return the lines of a text file, none if it is not there. Errors: ValueError, OSError."""
    return path.read_text("utf-8").splitlines() if path.exists() else []


def _nothing(path: str) -> bytes:
    raise FileNotFoundError(path)
