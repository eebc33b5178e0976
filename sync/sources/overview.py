"""T5 and T10: the applications that use identifiers, from a file that the operator keeps (sync.applications).

CSV in UTF-8, with or without a BOM, first line the names of the columns in any order:
prefix, name, type, introduction, users, resolvers, developer. ``resolvers`` are divided by ";". A line without a prefix
is of the node (T5), the others are of enterprises (T10). Of a file with any fault nothing is sent: the error tells all
of them by line, and what the top node holds stays.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from core import limits
from core.changes import ChangeKind
from core.errors import ConfigError
from core.party.readers import is_visible
from core.party.rules import Fault
from core.store.engine import Snapshot
from sync.digests import RowsDigest
from sync.row_checks import application_key
from sync.rules import row_fault
from sync.table import Operation, TableKind, pack_row
from sync.tables import TABLES, check_row, values

COLUMNS: Final = ("prefix", "name", "type", "introduction", "users", "resolvers", "developer")

_SETTING: Final = "sync.applications"
_INTEGERS: Final = ("type", "users")
_DIGITS: Final = re.compile(r"\d{1,18}", re.ASCII)
_BETWEEN: Final = re.compile("[;；]")

Rows = dict[bytes, bytes]


class Applications(NamedTuple):
    """What a file says: key and row of T5 and of T10, in the order of keys."""

    node: Rows
    enterprises: Rows


class ApplicationsFile:
    """The file, read at each look and taken apart when it is another. ``path``: None for no applications."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._octets: bytes | None = None
        self._applications = Applications({}, {})

    def applications(self) -> Applications:
        """Return what the file says now. Errors: ConfigError for a file that cannot be read, or with a fault."""
        if self._path is None:
            return self._applications
        octets = _read(self._path)
        if octets != self._octets:
            self._applications, self._octets = _applications(self._path, octets), octets
        return self._applications


class Overview:
    """Table T5 or T10. Its verbs have the errors of ``ApplicationsFile.applications``."""

    kinds: Final[frozenset[ChangeKind]] = frozenset()

    def __init__(self, table: TableKind, file: ApplicationsFile) -> None:
        self.table = table
        self._file = file

    def touched(self, kind: ChangeKind, identifier: bytes) -> tuple[bytes, Operation] | None:
        """Return None: the table is sent whole."""
        return None

    def row(self, snapshot: Snapshot, key: bytes) -> bytes | None:
        """Return the row of an application."""
        return self._rows().get(key)

    def rows(self, snapshot: Snapshot, start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys and rows of applications."""
        for key, row in self._rows().items():
            if start <= key and (stop is None or key < stop):
                yield key, row

    def context(self, snapshot: Snapshot) -> bytes:
        """Return the digest of all rows."""
        digest = RowsDigest()
        for key, row in self._rows().items():
            digest.add(key, row)
        return digest.digest()

    def latest(self, snapshot: Snapshot) -> int:
        """Return 1: the table has no serials."""
        return 1

    def _rows(self) -> Rows:
        applications = self._file.applications()
        return applications.node if self.table is TABLES["T5"] else applications.enterprises


def overviews(path: Path | None) -> tuple[Overview, Overview]:
    """Return the sources of T5 and T10."""
    file = ApplicationsFile(path)
    return Overview(TABLES["T5"], file), Overview(TABLES["T10"], file)


# --- reading ---
def _read(path: Path) -> bytes:
    try:
        if not path.is_file():  # whoever opens a pipe waits
            raise OSError("no file")
        with path.open("rb") as file:
            octets = file.read(limits.APPLICATIONS_BYTES_MAX + 1)
    except OSError as error:
        raise _error(path, f"无法读取。It cannot be read: {error.strerror or error}") from None
    if len(octets) > limits.APPLICATIONS_BYTES_MAX:
        most = limits.APPLICATIONS_BYTES_MAX
        raise _error(path, f"最大 {most} 字节。It may have {most} octets")
    return octets


def _applications(path: Path, octets: bytes) -> Applications:
    node: Rows = {}
    enterprises: Rows = {}
    faults: list[str] = []
    first: dict[tuple[str, bytes], int] = {}
    for count, (number, line) in enumerate(_lines(path, octets), 1):
        if count > limits.APPLICATIONS_MAX:
            most = limits.APPLICATIONS_MAX
            raise _error(path, f"最多 {most} 个应用。It may have {most} applications")
        table, key, row, wrong = _application(line)
        known = first.setdefault((table.name, key), number)
        if known != number:
            faults.append(f"第 {number} 行：与第 {known} 行是同一应用。Line {number}: the same as line {known}")
        faults += (f"第 {number} 行：{each.path} {each.zh}。Line {number}: {each.en}" for each in wrong)
        if len(faults) > limits.UPSTREAM_FAULTS_TOLD:
            break
        (node if table is TABLES["T5"] else enterprises)[key] = row
    if faults:
        raise _error(path, "\n".join(faults[: limits.UPSTREAM_FAULTS_TOLD]))
    return Applications(dict(sorted(node.items())), dict(sorted(enterprises.items())))


def _lines(path: Path, octets: bytes) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Yield number of the line and texts by column. Errors: ConfigError."""
    try:
        reader = csv.reader(io.StringIO(octets.decode("utf-8-sig"), newline=""), strict=True)
        columns = [name.strip() for name in next(reader, [])]
        if sorted(columns) != sorted(COLUMNS):
            named = ", ".join(COLUMNS)
            raise _error(path, f"第一行应为列名：{named}。The first line names the columns: {named}")
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            number = reader.line_num
            if len(cells) != len(columns):
                most = len(columns)
                raise _error(path, f"第 {number} 行应有 {most} 列。Line {number}: wants {most} columns")
            yield number, {name: cell.strip() for name, cell in zip(columns, cells, strict=True)}
    except UnicodeDecodeError:
        raise _error(path, "应为 UTF-8 编码。It is not in UTF-8") from None
    except csv.Error as error:
        raise _error(path, f"第 {reader.line_num} 行不是 CSV。Line {reader.line_num}: no CSV: {error}") from None


def _application(line: Mapping[str, str]) -> tuple[TableKind, bytes, bytes, list[Fault]]:
    """Return table, key and row of a line, and what is wrong with it."""
    table = TABLES["T10" if line["prefix"] else "T5"]
    named: dict[str, Any] = {name: text or None for name, text in line.items() if name != "prefix" or text}
    named["name"] = line["name"]
    for name in _INTEGERS:
        if _DIGITS.fullmatch(line[name]):
            named[name] = int(line[name])
    named["resolvers"] = [text.strip() for text in _BETWEEN.split(line["resolvers"]) if text.strip()]
    key, row = application_key(named), pack_row(values(table, **named))
    if not all(is_visible(text) for text in line.values()):
        return table, key, row, [row_fault("row-text")]
    return table, key, row, check_row(table, key, row)


def _error(path: Path, told: str) -> ConfigError:
    return ConfigError(f"{_SETTING}: {path}：{told}", setting=_SETTING)
