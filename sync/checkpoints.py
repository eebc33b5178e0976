"""Checkpoints of the logs, as they go up: what is said of one, and what its answer means.

The question is that of a witness (``audit/witness.py``): the checkpoint, and the proof that what the top node holds of
this log is its beginning. Of two histories of one log only one ever gets an answer 200.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from audit.checkpoint import Checkpoint, parse_checkpoint
from audit.merkle import consistency_proof
from audit.note import open_note
from audit.published import CHECKPOINT
from audit.tile import subtree_of
from audit.witness import CONFLICT, OK, AddCheckpoint, dump_request, parse_size
from core import limits
from core.errors import NodeError, WireError
from core.outcomes import HTTP_SERVER_ERRORS, HTTP_UNPROCESSABLE
from sync import messages
from sync.words import visible


class LogFaultError(NodeError):
    """One log does not go up as it is; the others do."""


class Current(NamedTuple):
    """A log as it is published. ``note``: the checkpoint as it was signed."""

    note: bytes
    checkpoint: Checkpoint


def read_current(folder: Path) -> Current | None:
    """Return what is published of a month; None where it was dropped. Errors: LogFaultError."""
    path = folder / CHECKPOINT
    try:
        note = path.read_bytes()
        return Current(note, parse_checkpoint(open_note(note, ()).text))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise LogFaultError(f"{path} 无法读取。{path} cannot be read: {error}") from None


def question_of(folder: Path, current: Current, held: int) -> messages.Checkpoint:
    """Return the question about a log of which the top node holds so many leaves. Errors: LogFaultError."""
    size = current.checkpoint.size
    if held > size:
        raise LogFaultError(
            f"上级节点持有 {held} 条，本节点只有 {size} 条（日志被回退），请立即查明。"
            f"The top node holds {held} entries, this node {size} (the log was rolled back): find out why at once"
        )
    try:
        subtree = subtree_of(lambda path: (folder / path).read_bytes(), size)
        proof = consistency_proof(held, size, subtree) if held else []
    except (OSError, ValueError, KeyError) as error:
        raise LogFaultError(f"{folder} 无法读取。{folder} cannot be read: {error}") from None
    return messages.Checkpoint(dump_request(AddCheckpoint(held, tuple(proof), current.note)))


def held_after(answer: messages.Cosigned, held: int, size: int) -> tuple[int, bool]:
    """Return what the top node holds now, and whether it took the checkpoint; if not, it is asked again from there.

    ``held``: what it was asked with. Errors: LogFaultError; WireError for an answer that is none.
    """
    if answer.status == OK:
        return size, True
    if answer.status == CONFLICT:
        told = parse_size(answer.body)
        if told is None or told == held:
            raise WireError("上级节点对检查点的答复不成立。The answer of the top node to a checkpoint is none")
        return told, False
    if answer.status == HTTP_UNPROCESSABLE:
        raise LogFaultError(
            f"上级节点持有的 {held} 条不是此日志的开头（分叉），请立即查明。"
            f"The {held} entries that the top node holds are not the beginning of this log (fork): find out why at once"
        )
    if answer.status >= HTTP_SERVER_ERRORS:
        raise WireError(f"上级节点未能处理检查点。The top node failed with a checkpoint: {answer.status}")
    why = visible(answer.body[:200].decode("utf-8", "replace"), limits.UPSTREAM_REASON_CHARS_MAX)
    raise LogFaultError(f"上级节点不接受此日志的检查点。The top node does not take checkpoints of this log: {why}")
