"""The rows of an export beside the entries of the log: none altered, none added, none left out.

CSV: the first line has the columns, each as ``中文 name``; a cell that a spreadsheet could run has an apostrophe before
it. JSON lines: the entry, with ``month``, ``index`` and, of a resolution, ``row``. Both are read as they were written,
line by line; the entries are read from the log once more, as far as the manifest's checkpoint goes.

Rows of resolutions lie in blocks: to open them ``audit/block.py`` is loaded here, and only then.
"""

from __future__ import annotations

import csv
import datetime
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple

from audit.tile import WIDTH, TileError, bundle_path, unpack_bundle
from audit.verify.check import Checked
from audit.verify.findings import Findings
from audit.verify.month import BUNDLE_BYTES_MAX
from audit.verify.place import Place, UnreadError

if TYPE_CHECKING:
    from audit.verify.export import Manifest

FORMS: Final = ("csv", "jsonl")
LINE_CHARS_MAX: Final = 1_048_576  # of a line that is read; an entry has 65 535 octets, six characters each at most
_SHANGHAI_S: Final = 28_800
_RESOLUTION: Final = "resolution"
_INSTANT: Final = "%Y-%m-%dT%H:%M:%S"
_UNSAFE: Final = tuple("=+-@\t\r\n'＝＋－＠")  # what a spreadsheet may run
_CAUSES: Final = (UnreadError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
_PATHS: Final[dict[str, tuple[str, ...]]] = {
    "code": ("res", "code"), "reason": ("res", "reason"), "who_type": ("who", "type"), "who_id": ("who", "id"),
    "who_name": ("who", "name"), "who_auth": ("who", "auth"), "client": ("from", "client"), "net": ("from", "net"),
    "port": ("from", "port"), "protocol": ("from", "protocol"),
}  # fmt: skip


class Entry(NamedTuple):
    """An entry of the log, and where it stands. ``row``: of a resolution."""

    index: int  # type: ignore[assignment] # hides the method of tuples, which nobody calls
    row: int | None
    document: dict[str, Any]


class Row(NamedTuple):
    """A row of a file. ``same``: whether it is this entry of its month."""

    where: str
    month: str
    index: str  # type: ignore[assignment] # hides the method of tuples, which nobody calls
    row: str
    same: Callable[[str, Entry], bool]

    @property
    def place(self) -> tuple[str, str]:
        """Where it says that its entry stands."""
        return self.index, self.row


class RowsError(ValueError):
    """A file of an export cannot be read. The reason in both languages."""


class Rows:
    """Compares the rows of one export with the logs at hand."""

    def __init__(self, manifest: Manifest, months: dict[str, Checked], findings: Findings) -> None:
        self._manifest, self._findings = manifest, findings
        self._logs = {
            each.month: _entries(months[each.checkpoint.origin].place, each.checkpoint.size, manifest)
            for each in manifest.months if each.checkpoint.origin in months
        }  # fmt: skip
        self._months = {each.month for each in manifest.months}
        self._left = dict.fromkeys(self._logs, True)
        self._counts: dict[str, int] = {}
        self._ends: dict[str, tuple[str, ...]] = {}

    def check(self) -> int:
        """Compare all rows; return how many were the same as their entries."""
        same = 0
        if self._logs and self._manifest.stream == _RESOLUTION:
            try:
                block_opener()
            except ImportError as error:
                self._logs.clear()
                self._findings.note(
                    f"未安装 {error.name}，无法打开解析块", f"{error.name} is not installed: blocks cannot be opened"
                )  # fmt: skip
        for file in self._manifest.files:
            path, rows = self._manifest.folder / file.name, 0
            where = f"{self._manifest.label}/{file.name}"
            try:
                for row in _READERS[self._manifest.form](path, where):
                    rows += 1
                    if row.month not in self._months:
                        raise RowsError(f"{row.where}: {row.month}")
                    self._counts[row.month] = self._counts.get(row.month, 0) + 1
                    self._ends[row.month] = (*self._ends.get(row.month, row.place)[:2], *row.place)
                    same += self._compare(row)
            except (RowsError, OSError, csv.Error, UnicodeDecodeError) as error:
                self._findings.problem(where, f"文件无法读取（{error}）", f"the file cannot be read ({error})")
                return same
            if rows != file.entries:
                self._findings.problem(
                    where, f"清单说有 {file.entries} 条，实有 {rows} 条",
                    f"the manifest says {file.entries} entries, the file has {rows}",
                )  # fmt: skip
        self._end()
        return same

    def _compare(self, row: Row) -> bool:
        """Compare a row with the next entry of its month. After the first difference a month is not compared."""
        entries = self._logs.get(row.month)
        if entries is None or not self._left[row.month]:
            return False
        try:
            entry = next(entries, None)
            if entry is not None and row.same(row.month, entry):
                return True
        except _CAUSES as error:
            self._left[row.month] = False
            self._unreadable(row.month, error)
            return False
        self._left[row.month] = False
        if entry is None:
            zh, en = (
                "日志在这些日期没有这一条：导出多出此行",
                "the log has no such entry in these days: this row was added",
            )
        elif row.place != _place(entry):
            at = ".".join(filter(None, _place(entry)))
            zh = f"此处应为日志的第 {at} 条：导出缺少条目、多出条目或换了顺序"
            en = f"entry {at} of the log should stand here: one was left out, added, or put in another place"
        else:
            zh, en = "与日志的条目不同：此行被改动", "this is not what the entry of the log says: the row was altered"
        self._findings.problem(f"{row.where}, {row.month} index {row.index}", zh, en)
        return False

    def _unreadable(self, month: str, error: Exception) -> None:
        self._findings.problem(
            f"{self._manifest.label} {month}", f"日志的条目无法读取，其后各行未比较（{error!r}）",
            f"an entry of the log cannot be read, rows behind it were not compared ({error!r})",
        )  # fmt: skip

    def _end(self) -> None:
        """Tell of entries that are in no row, and of months that could not be compared."""
        for month in self._manifest.months:
            where = f"{self._manifest.label} {month.month}"
            if self._counts.get(month.month, 0) != month.entries:
                self._findings.problem(
                    where, f"清单说有 {month.entries} 条，实有 {self._counts.get(month.month, 0)} 条",
                    f"the manifest says {month.entries} entries, there are {self._counts.get(month.month, 0)}",
                )  # fmt: skip
            if self._ends.get(month.month, ("", "", "", "")) != month.ends:
                self._findings.problem(
                    where, "清单所说的首条与末条不是文件中的首条与末条",
                    "the first and the last entry are not those that the manifest says",
                )  # fmt: skip
            if month.month not in self._logs:
                self._findings.note(
                    f"{where}：日志不在此处，各行未与条目比较",
                    f"{where}: the log is not here, rows were not compared with entries",
                )
            elif self._left[month.month]:
                try:
                    missed = next(self._logs[month.month], None)
                except _CAUSES as error:
                    self._unreadable(month.month, error)
                    continue
                if missed is not None:
                    at = ".".join(filter(None, _place(missed)))
                    self._findings.problem(
                        where, f"导出缺少日志的第 {at} 条及其后的条目",
                        f"entry {at} of the log and what follows are missing in the export",
                    )  # fmt: skip


def _place(entry: Entry) -> tuple[str, str]:
    return str(entry.index), "" if entry.row is None else str(entry.row)


# --- the log ---
def _entries(place: Place, size: int, manifest: Manifest) -> Iterator[Entry]:
    """Yield the entries of a month that lie in the days of an export. Errors: UnreadError, ValueError."""
    since, until = _midnight(manifest.first, 0), _midnight(manifest.last, 1)
    opened = block_opener() if manifest.stream == _RESOLUTION else None
    for index, leaf in _leaves(place, size):
        if index == 0:
            continue
        if opened is not None and leaf[:1] == b"\x01":
            found = opened(index, leaf)
        else:
            found = iter([Entry(index, None, json.loads(leaf))])
        for entry in found:
            if since <= entry.document["t"] < until:
                yield entry


def _leaves(place: Place, size: int) -> Iterator[tuple[int, bytes]]:
    for number in range(-(-size // WIDTH)):
        width = min(size - number * WIDTH, WIDTH)
        try:
            data = place.read(bundle_path(number, width), BUNDLE_BYTES_MAX)
        except UnreadError:
            data = place.read(bundle_path(number), BUNDLE_BYTES_MAX)
        leaves = unpack_bundle(data)[:width]
        if len(leaves) < width:
            raise TileError(f"{len(leaves)} entries")
        yield from enumerate(leaves, number * WIDTH)


def block_opener() -> Callable[[int, bytes], Iterator[Entry]]:
    """Return what opens a block: the one place where more than the formats is loaded."""
    from audit.block import open_block
    from audit.rows import row_document

    def opened(index: int, leaf: bytes) -> Iterator[Entry]:
        block = open_block(leaf)
        for row in range(len(block.times)):
            yield Entry(index, row, row_document(block, index, row))

    return opened


def _midnight(day: str, days: int) -> str:
    """Return when a day begins in Shanghai, in UTC, as entries have it. Errors: ValueError."""
    found = datetime.datetime.fromisoformat(day) + datetime.timedelta(days, -_SHANGHAI_S)
    return f"{found.strftime(_INSTANT)}.000Z"


# --- the files ---
def _json_lines(path: Path, where: str) -> Iterator[Row]:
    """Yield the rows of JSON lines. Errors: RowsError, OSError."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LINE_CHARS_MAX):
            number += 1
            try:
                told = json.loads(line)
                month, index, row = str(told.pop("month")), told.pop("index"), told.pop("row", None)
            except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
                raise RowsError(f"第 {number} 行 line {number}") from None

            def same(
                _: str, entry: Entry, told: dict[str, Any] = told, place: tuple[Any, Any] = (index, row)
            ) -> bool:  # fmt: skip
                return place == (entry.index, entry.row) and told == entry.document

            yield Row(f"{where} line {number}", month, str(index), "" if row is None else str(row), same)


def _csv(path: Path, where: str) -> Iterator[Row]:
    """Yield the rows of CSV. Errors: RowsError, OSError, csv.Error, UnicodeDecodeError."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reading = csv.reader(_bounded(file), strict=True)
        names = [heading.rpartition(" ")[2] for heading in next(reading, [])]
        if not {"month", "index", "row", "t", "obj"} <= set(names):
            raise RowsError("标题 headings")
        for cells in reading:
            line = reading.line_num
            if len(cells) != len(names):
                raise RowsError(f"第 {line} 行 line {line}")
            told = dict(zip(names, cells, strict=True))

            def same(month: str, entry: Entry, told: dict[str, str] = told) -> bool:
                return all(cell == _cell(name, month, entry) for name, cell in told.items())

            yield Row(f"{where} line {line}", told["month"], told["index"], told["row"], same)


def _bounded(file: IO[str]) -> Iterator[str]:
    while line := file.readline(LINE_CHARS_MAX):
        yield line


def _cell(name: str, month: str, entry: Entry) -> str:
    """Return what stands in a column of an entry."""
    match name:
        case "month":
            return month
        case "index":
            return str(entry.index)
        case "row":
            return _place(entry)[1]
        case "shanghai":
            at = str(entry.document["t"])
            found = datetime.datetime.fromisoformat(at[:19]) + datetime.timedelta(seconds=_SHANGHAI_S)
            return f"{found.strftime('%Y-%m-%d %H:%M:%S')}{at[19:23]}"
    value: Any = entry.document
    for part in _PATHS.get(name, (name,)):
        value = value.get(part)
    text = "" if value is None else str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_UNSAFE) else text


_READERS: Final[dict[str, Callable[[Path, str], Iterator[Row]]]] = {"csv": _csv, "jsonl": _json_lines}
