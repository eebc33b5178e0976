"""Checkpoints: the text that is signed over a tree, and what a witness adds (C2SP tlog-checkpoint, tlog-cosignature).

    node.example/log/change/2026-11
    3
    pkvybgkSj2/i/m+LLYyAHhZrV8BHp82bK4Ceepai8cs=

Lines: the origin, which is the name of the signing key; the number of leaves; Base64 of the root. Lines of extensions
may follow in those of others: they are signed with the rest, and not read.
"""

from __future__ import annotations

import base64
import re
from typing import Final, NamedTuple

from audit.merkle import EMPTY_ROOT, HASH_BYTES, SIZE_MAX
from audit.note import (
    COSIGNATURE,
    NAME_CHARS_MAX,
    TEXT_BYTES_MAX,
    TIME_BYTES,
    Note,
    NoteError,
    NoteKey,
    Sign,
    cosigned_octets,
    decode_base64,
    signature_line,
)

TIME_S_MAX: Final = 2**63 - 1
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\ud800-\udfff]")


class CheckpointError(ValueError):
    """A text is no checkpoint, or a note has no such cosignature."""


class Checkpoint(NamedTuple):
    """What a log says of itself. ``size``: leaves; ``root``: 32 octets."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """Return the text to sign. Errors: CheckpointError for what no checkpoint can say."""
        _check(self)
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """Read the text of a checkpoint. Errors: CheckpointError."""
    if len(text) > TEXT_BYTES_MAX or not text.endswith("\n"):
        raise CheckpointError("the checkpoint is too long, or has no line feed at its end")
    lines = text[:-1].split("\n")
    if len(lines) < 3 or not all(lines):
        raise CheckpointError("the checkpoint has less than three lines, or an empty one")
    origin, size, encoded = lines[:3]
    if not _SIZE.fullmatch(size):
        raise CheckpointError("the size of the checkpoint is no number")
    try:
        root = decode_base64(encoded)
    except NoteError:
        raise CheckpointError("the root of the checkpoint is not Base64") from None
    checkpoint = Checkpoint(origin, int(size), root)
    _check(checkpoint)
    return checkpoint


def _check(checkpoint: Checkpoint) -> None:
    if not 0 < len(checkpoint.origin) <= NAME_CHARS_MAX or _CONTROL.search(checkpoint.origin):
        raise CheckpointError("the origin of the checkpoint is empty, too long, or has control characters")
    if not 0 <= checkpoint.size <= SIZE_MAX or len(checkpoint.root) != HASH_BYTES:
        raise CheckpointError("the size or the root of the checkpoint is none of a tree")
    if not checkpoint.size and checkpoint.root != EMPTY_ROOT:
        raise CheckpointError("the root of the checkpoint is not that of the empty tree")


def cosign(text: str, key: NoteKey, time_s: int, sign: Sign) -> str:
    """Return the line of a witness for a checkpoint's text, at a time (Unix seconds).

    ``sign``: with the private half of the key. Errors: CheckpointError, NoteError.
    """
    parse_checkpoint(text)
    if key.kind != COSIGNATURE or not 0 <= time_s <= TIME_S_MAX:
        raise CheckpointError("only the key of a witness cosigns, at a time since 1970")
    return signature_line(key, time_s.to_bytes(TIME_BYTES) + sign(cosigned_octets(text, time_s)))


def cosignature_time(note: Note, key: NoteKey) -> int:
    """Return when a witness last cosigned (Unix seconds). Errors: CheckpointError if the note is not signed by it."""
    if key.kind != COSIGNATURE or key not in note.signed_by:
        raise CheckpointError(f"the note has no cosignature of {key.name}")
    return max(int.from_bytes(line.blob[:TIME_BYTES]) for line in note.lines if line[:2] == (key.name, key.key_id))
