"""The files of an export: CSV, JSON lines, Parquet; each of at most EXPORT_FILE_ROWS entries, at least one of them.

| form | what |
|---|---|
| csv | UTF-8 with a byte order mark, RFC 4180, CR LF; a line of headings; cells that Excel would run are made safe |
| jsonl | a line an entry: canonical JSON of the entry with ``month``, ``index`` and, of a resolution, ``row`` |
| parquet | a column each of COLUMNS, Zstandard; written by DuckDB from rows on the disk, with bounded memory |

The same entries give the same octets of csv and jsonl. A cell is safe if it begins with none of ``= + - @``, tab, CR,
LF, their full-width forms, or an apostrophe: an apostrophe is put before it, and taking one away gives the cell back.
"""

from __future__ import annotations

import csv
import glob
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, Protocol

from audit.mirror import connect, sql_text
from audit.question import Found, found_line
from core import limits
from core.clock import format_shanghai, parse_instant

FORMS: Final = ("csv", "jsonl", "parquet")
_UNSAFE: Final = tuple("=+-@\t\r\n'＝＋－＠")
_BUFFERED: Final = 262_144
_LINE_BYTES_MAX: Final = 1_048_576  # of the rows that DuckDB reads; a leaf has 65 535 octets


class Column(NamedTuple):
    """A column. ``kind``: of SQL; ``read``: from an entry."""

    name: str
    zh: str
    kind: str
    read: Callable[[Found], Any]


def _at(*path: str) -> Callable[[Found], Any]:
    """Return what reads a member of an entry, null where there is none."""

    def read(found: Found) -> Any:
        value: Any = found.document
        for name in path:
            value = value.get(name)
        return value

    return read


def _shanghai(found: Found) -> str:
    text = found.document["t"]
    at = format_shanghai(parse_instant(text) or 0)
    return f"{at[:10]} {at[11:19]}{text[19:23]}"


COLUMNS: Final = (
    Column("month", "月份", "VARCHAR", lambda found: found.month),
    Column("index", "叶序号", "BIGINT", lambda found: found.leaf),
    Column("row", "行号", "INTEGER", lambda found: found.row),
    Column("t", "时间（UTC）", "VARCHAR", _at("t")),
    Column("shanghai", "时间（北京）", "VARCHAR", _shanghai),
    Column("act", "操作", "VARCHAR", _at("act")),
    Column("obj", "对象", "VARCHAR", _at("obj")),
    Column("code", "结果", "VARCHAR", _at("res", "code")),
    Column("reason", "原因", "VARCHAR", _at("res", "reason")),
    Column("who_type", "角色", "VARCHAR", _at("who", "type")),
    Column("who_id", "身份", "VARCHAR", _at("who", "id")),
    Column("who_name", "姓名", "VARCHAR", _at("who", "name")),
    Column("who_auth", "鉴别方式", "VARCHAR", _at("who", "auth")),
    Column("client", "客户端摘要", "VARCHAR", _at("from", "client")),
    Column("net", "客户端网段", "VARCHAR", _at("from", "net")),
    Column("port", "端口", "INTEGER", _at("from", "port")),
    Column("protocol", "协议", "VARCHAR", _at("from", "protocol")),
    Column("before", "变更前摘要", "VARCHAR", _at("before")),
    Column("after", "变更后摘要", "VARCHAR", _at("after")),
    Column("evidence", "证明摘要", "VARCHAR", _at("evidence")),
    Column("req", "请求号", "VARCHAR", _at("req")),
    Column("up", "上级回执", "VARCHAR", _at("up")),
    Column("node", "节点", "VARCHAR", _at("node")),
    Column("ver", "软件版本", "VARCHAR", _at("ver")),
)


class Written(NamedTuple):
    """A file of an export. Digests: hexadecimal."""

    name: str
    entries: int
    octets: int
    sha256: str
    sm3: str


class Rows(Protocol):
    """Takes the entries of one file."""

    def add(self, found: Found) -> None:
        """Write an entry. Errors: OSError."""

    def close(self) -> None:
        """End the file, and sync it; nothing more where it is closed already. Errors: OSError, duckdb.Error."""


class Files:
    """Writes entries to as many files as they need. ``stem``: what their names begin with."""

    def __init__(self, folder: Path, stem: str, form: str) -> None:
        self._folder = folder
        self._stem = stem
        self._form = form
        self._written: list[tuple[str, int]] = []
        self._rows: Rows | None = None
        self._open()

    def add(self, found: Found) -> None:
        """Write an entry. Errors: OSError, duckdb.Error."""
        name, entries = self._written[-1]
        if entries == limits.EXPORT_FILE_ROWS:
            self.close()
            self._open()
            name, entries = self._written[-1]
        assert self._rows is not None
        self._rows.add(found)
        self._written[-1] = (name, entries + 1)

    def close(self) -> None:
        """End the last file. Errors: OSError, duckdb.Error."""
        if self._rows is not None:
            self._rows.close()
        self._rows = None

    def digests(self) -> list[Written]:
        """Return what was written; each file is read once. Errors: OSError."""
        return [digest(self._folder / name, entries) for name, entries in self._written]

    def _open(self) -> None:
        name = f"{self._stem}-{len(self._written) + 1:04}.{self._form}"
        self._rows = _FORMS[self._form](self._folder / name)
        self._written.append((name, 0))


def digest(path: Path, entries: int) -> Written:
    """Return what is told of a file. Errors: OSError."""
    sha256, sm3, octets = hashlib.sha256(), hashlib.new("sm3"), 0
    with path.open("rb") as file:
        while chunk := file.read(_BUFFERED):
            sha256.update(chunk)
            sm3.update(chunk)
            octets += len(chunk)
    return Written(path.name, entries, octets, sha256.hexdigest(), sm3.hexdigest())


def safe_cell(text: str) -> str:
    """Return a cell that no spreadsheet runs as a formula."""
    return f"'{text}" if text.startswith(_UNSAFE) else text


class _Csv:
    """See Rows."""

    def __init__(self, path: Path) -> None:
        self._file: IO[str] = path.open("w", encoding="utf-8-sig", errors="replace", newline="", buffering=_BUFFERED)
        self._write = csv.writer(self._file, lineterminator="\r\n").writerow
        self._write([f"{column.zh} {column.name}" for column in COLUMNS])

    def add(self, found: Found) -> None:
        values = [column.read(found) for column in COLUMNS]
        self._write([safe_cell(value) if isinstance(value, str) else value for value in values])

    def close(self) -> None:
        _end(self._file)


class _JsonLines:
    """See Rows."""

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("wb", buffering=_BUFFERED)

    def add(self, found: Found) -> None:
        self._file.write(found_line(found) + b"\n")

    def close(self) -> None:
        _end(self._file)


class _Parquet:
    """See Rows. The rows are gathered in a file of their own first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = path.with_suffix(".rows")
        self._file: IO[str] = self._lines.open("w", encoding="utf-8", errors="replace", newline="", buffering=_BUFFERED)

    def add(self, found: Found) -> None:
        self._file.write(",".join([_quoted(column.read(found)) for column in COLUMNS]) + "\n")

    def close(self) -> None:
        self._file.close()
        kinds = ", ".join(f"{sql_text(column.name)}: {sql_text(column.kind)}" for column in COLUMNS)
        source = (
            f"read_csv({sql_text(glob.escape(str(self._lines)))}, delim=',', quote='\"', escape='\"', nullstr='', "
            f"allow_quoted_nulls=false, new_line='\\n', header=false, auto_detect=false, "
            f"max_line_size={_LINE_BYTES_MAX}, columns={{{kinds}}})"
        )
        connection = connect(limits.QUERY_MEMORY, in_order=True)
        try:
            selected = f"SELECT * FROM {source}"  # noqa: S608 - paths and names of ours, quoted
            connection.execute(f"COPY ({selected}) TO {sql_text(str(self._path))} (FORMAT parquet, COMPRESSION zstd)")
        finally:
            connection.close()
        self._lines.unlink()
        with self._path.open("rb") as file:
            os.fsync(file.fileno())


def _quoted(value: object) -> str:
    """Return a cell for DuckDB: null is nothing, an empty text is a quoted one."""
    if isinstance(value, str):
        return '"' + value.replace('"', '""') + '"'
    return "" if value is None else str(value)


def _end(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()


_FORMS: Final[dict[str, Callable[[Path], Rows]]] = {"csv": _Csv, "jsonl": _JsonLines, "parquet": _Parquet}
