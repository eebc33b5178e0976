"""What the leaves of a month say, as far as a verifier must know: the first one, rows of blocks, what was deleted.

Of a block (``audit/block.py``) the head alone is read: octet 01, number of rows (2 octets), earliest and latest time
(8 octets each), big-endian. Any other leaf is a text of JSON; the first one of a month is the final checkpoint of the
month before, or the entry ``log.begin``.
"""

from __future__ import annotations

import json
import struct
from typing import Any, Final, NamedTuple

from audit.checkpoint import Checkpoint, CheckpointError, parse_checkpoint
from audit.verify.findings import Findings
from audit.verify.trust import stream_and_month

BLOCK: Final = b"\x01"
"""Octet that a block begins with, and no other leaf."""

ROWS_MAX: Final = 500
BEGIN: Final = "log.begin"
DROP: Final = "log.drop"
DROPS_MAX: Final = 10_000  # remembered: four streams for two hundred years
_HEAD: Final = struct.Struct(">BHQQ")
_RESOLUTION: Final = "resolution"
_MAINTENANCE: Final = "maintenance"
_DONE: Final = "ok"  # outcome of what was not refused


class Drop(NamedTuple):
    """A month that was deleted, as the maintenance log says: its final checkpoint, when, and where that is written.

    ``written``: month of that log, which holds no entry of a later one.
    """

    checkpoint: Checkpoint
    at: str
    where: str
    written: str = ""


class Leaves:
    """Reads the leaves of one month in order. ``stream``: empty for a log that is not ours, whose leaves are opaque.

    ``entries``: acts and resolutions; what links the month to the one before is none.
    """

    def __init__(self, stream: str, findings: Findings) -> None:
        self._stream = stream
        self._findings = findings
        self.entries = 0
        self.begins = False
        self.previous: bytes | None = None
        self.drops: list[Drop] = []

    def take(self, index: int, leaf: bytes, where: str) -> None:
        """Read the next leaf. ``where``: the file that it is in."""
        if not self._stream:
            self.entries += 1
        elif leaf[:1] == BLOCK and self._stream == _RESOLUTION:
            self._block(index, leaf, where)
        elif index == 0 and leaf[:1] != b"{":
            self.previous = leaf
        else:
            self._text(index, leaf, where)

    def _block(self, index: int, leaf: bytes, where: str) -> None:
        if len(leaf) > _HEAD.size:
            _, rows, earliest, latest = _HEAD.unpack_from(leaf)
            if 0 < rows <= ROWS_MAX and earliest <= latest:
                self.entries += rows
                return
        self._unreadable(index, where, "块头不对", "the head of the block is not possible")

    def _text(self, index: int, leaf: bytes, where: str) -> None:
        try:
            told = json.loads(leaf)
        except (ValueError, RecursionError):
            told = None
        if not isinstance(told, dict):
            self._unreadable(index, where, "不是 JSON 记录", "it is no entry in JSON")
            return
        act = told.get("act")
        begins = act == BEGIN and index == 0
        self.entries += not begins
        if told.get("stream", self._stream) != self._stream:
            self._findings.problem(
                f"{where} index {index}", "此条属于另一种日志", "this entry belongs to another of the logs"
            )
        if begins:
            self.begins = True
        elif act == DROP and self._stream == _MAINTENANCE and len(self.drops) < DROPS_MAX:
            self._drop(told, f"{where} index {index}")

    def _drop(self, told: dict[str, Any], where: str) -> None:
        """Remember a deletion. A refusal deleted nothing, whatever its reason says."""
        try:
            if told["res"]["code"] != _DONE:
                return
            origin, size, root = str(told["res"]["reason"]).rsplit(" ", 2)
            checkpoint = parse_checkpoint(f"{origin}\n{size}\n{root}\n")
        except (CheckpointError, ValueError, TypeError, KeyError):
            return
        named = stream_and_month(origin)
        if named is None or "/".join(named) != told.get("obj"):
            self._findings.problem(
                where, f"删除记录的对象与检查点不符：{origin}",
                f"the entry of a deletion names one month and has the checkpoint of another: {origin}",
            )  # fmt: skip
            return
        self.drops.append(Drop(checkpoint, str(told.get("t")), where))

    def _unreadable(self, index: int, where: str, zh: str, en: str) -> None:
        self._findings.problem(f"{where} index {index}", f"条目无法读取：{zh}", f"the leaf cannot be read: {en}")
