"""An export of one log for an inspection: its entries of some days, and a signed manifest that says what they are.

    DIR/<stream>-0001.csv …             the entries, in the order of the log (audit/export_files.py)
    DIR/checkpoint-<YYYY-MM>            of each month: the signed note, verbatim
    DIR/manifest.json                   written last: an export without it is none

Exactly the entries whose time lies in the days are exported (Asia/Shanghai, both days inclusive). The first leaf of a
month links it to the one before and is no entry.

``manifest.json``, a JSON object:

| member | what |
|---|---|
| format, version | ``saltern-log-export``, 1 |
| stream, from, to, form | which log; first and last day; csv, jsonl or parquet |
| entries | how many |
| months | array, rising: ``month``, ``origin``, ``size`` (leaves of the checkpoint), ``first_leaf``, ``first_row``, |
|  | ``last_leaf``, ``last_row`` (null where there is none), ``entries``, ``checkpoint`` (the note), |
|  | ``checkpoint_file`` |
| files | array: ``name``, ``entries``, ``bytes``, ``sha256``, ``sm3`` (hexadecimal) |
| node, software, created | prefix of the node, its version, UTC |
| signature | ``algorithm`` (``Ed25519``), ``key_id``, ``public_key``, ``value`` (base64) |

Signed are the octets ``"saltern log-export\\n"`` and the canonical form of all other members: JSON with names in order
(of Unicode code points; all are ASCII), no blanks, UTF-8, no escapes but those that JSON needs (``\\"``, ``\\\\``,
``\\b \\t \\n \\f \\r``, ``\\u00NN`` in lower case for other control characters), integers alone: RFC 8785. In Python:
``json.dumps(members, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()``. ``key_id``: the first 32
hexadecimal digits of the SHA-256 of the 32 octets of the public key, which is the one that signs the checkpoints.
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from audit.entry import Software
from audit.export_files import Files
from audit.query import LogReader
from audit.question import Found, Question
from audit.reading import MonthLog
from core.clock import DAY_MS, format_instant, shanghai_midnight
from core.durable import sync_path
from core.errors import NodeError, Outcome
from core.signature import Signer
from core.streams import Stream

FORMAT: Final = "saltern-log-export"
VERSION: Final = 1
PURPOSE: Final = "log-export"
MANIFEST: Final = "manifest.json"
_TOLD: Final = 1_000  # entries between two calls of progress


class ExportError(NodeError):
    """There is no room for an export: the folder holds something."""

    outcome = Outcome.CONFLICT


class Days(NamedTuple):
    """Days in Asia/Shanghai, both inclusive."""

    first: datetime.date
    last: datetime.date

    @property
    def question(self) -> Question:
        """Return what asks for all of them."""
        return Question(shanghai_midnight(self.first), shanghai_midnight(self.last) + DAY_MS)


class _Month:
    """What is told of a month."""

    def __init__(self, log: MonthLog) -> None:
        self.log = log
        self.first: Found | None = None
        self.last: Found | None = None
        self.entries = 0

    def count(self, found: Found) -> None:
        self.first = self.first or found
        self.last = found
        self.entries += 1

    @property
    def file(self) -> str:
        return f"checkpoint-{self.log.month}"

    def document(self) -> dict[str, Any]:
        first, last = self.first, self.last
        return {
            "month": self.log.month,
            "origin": self.log.origin,
            "size": self.log.size,
            "first_leaf": None if first is None else first.leaf,
            "first_row": None if first is None else first.row,
            "last_leaf": None if last is None else last.leaf,
            "last_row": None if last is None else last.row,
            "entries": self.entries,
            "checkpoint": self.log.checkpoint.decode(),
            "checkpoint_file": self.file,
        }


def export(
    reader: LogReader, stream: Stream, days: Days, form: str, folder: Path, *,
    signer: Signer, software: Software, now_ms: int, progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Write an export into a folder that is absent or empty; return its manifest.

    ``form``: one of FORMS; ``progress``: is told now and then how many entries there are. Cost: flat memory. What was
    written goes if it fails. Errors: ExportError, LogReadError, OSError, duckdb.Error.
    """
    existed = _require_empty(folder)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        files = Files(folder, stream.value, form)
        try:
            months = list(_write_months(reader, stream, days, files, progress))
        finally:
            files.close()
        for month in months:
            _write(folder / month.file, month.log.checkpoint)
        document = {
            "format": FORMAT,
            "version": VERSION,
            "stream": stream.value,
            "from": days.first.isoformat(),
            "to": days.last.isoformat(),
            "form": form,
            "entries": sum(month.entries for month in months),
            "months": [month.document() for month in months],
            "files": [
                {
                    "name": each.name,
                    "entries": each.entries,
                    "bytes": each.octets,
                    "sha256": each.sha256,
                    "sm3": each.sm3,
                }
                for each in files.digests()
            ],
            "node": software.node,
            "software": software.version,
            "created": format_instant(now_ms),
        }
        signed = signer.sign_document(PURPOSE, document)
        _write(folder / MANIFEST, json.dumps(signed, ensure_ascii=False, indent=2).encode() + b"\n")
        sync_path(folder)
    except BaseException:
        for path in list(folder.iterdir()):
            path.unlink()
        if not existed:
            folder.rmdir()
        raise
    return signed


def _require_empty(folder: Path) -> bool:
    """Return whether the folder is there already. Errors: ExportError, OSError."""
    try:
        if any(folder.iterdir()):
            raise ExportError(f"{folder} 不是空目录。It is not empty: name a folder that is absent or empty")
    except FileNotFoundError:
        return False
    except NotADirectoryError:
        raise ExportError(f"{folder} 不是目录。It is no folder") from None
    return True


def _write_months(
    reader: LogReader, stream: Stream, days: Days, files: Files, progress: Callable[[int], None]
) -> Iterator[_Month]:
    """Yield the months of the days, and later ones that hold an entry of them."""
    for log, found in reader.read(stream, days.question):
        month = _Month(log)
        for each in found:
            files.add(each)
            month.count(each)
            if not month.entries % _TOLD:
                progress(_TOLD)
        if month.entries or log.month <= days.last.isoformat()[:7]:
            yield month


def _write(path: Path, octets: bytes) -> None:
    with path.open("wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())
