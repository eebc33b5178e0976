"""The mirror of the resolution log: Parquet files that tell which leaves to open. Derived, and never the truth.

One file an hour (Asia/Shanghai), more where an hour has more than MIRROR_FILE_ROWS entries; of the hour that is not
over, one for each time that the mirror was brought up to date. ``audit/mirror_files.py`` says how they are named.
Zstandard, sorted by the identifier's key, so that the statistics of a row group tell whether it may hold one.

| column | what |
|---|---|
| leaf, row | index of the leaf, place in its block |
| t | Unix milliseconds |
| via, outcome | as in an entry |
| client, network | of ``audit/clients.py``, hexadecimal; null for an unknown one |
| port | of the client |
| identifier | as asked, null where it is the key itself; what is no visible character of UTF-8 is escaped |
| key | as the node compares identifiers, written the same way |
| who | INDEX:HANDLE of a proven identity, or null |
| node, ver | which wrote the entry |

The answer to a question is always made from the leaves; leaves that no file stands for are all opened. So a mirror
that lacks files, or has broken ones, costs time and nothing else. DuckDB is imported only here and in
``audit/export_files.py``, by functions that no serving process calls.
"""

from __future__ import annotations

import glob
import heapq
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from audit.block import Block, BlockError, is_block, open_block
from audit.mirror_files import HOUR_MS, TEMPORARY, Part, gaps, good_parts, tag_of
from audit.question import Clients, Question
from audit.reading import LogReadError, MonthLog, months, open_month
from audit.rows import protocol_name
from core import limits
from core.ident.handle import PREFIX_HANDLES
from core.streams import Stream

_LOG: Final = logging.getLogger("saltern.mirror")
_COLUMNS: Final = {
    "leaf": "BIGINT", "row": "SMALLINT", "t": "BIGINT", "via": "VARCHAR", "outcome": "VARCHAR", "client": "VARCHAR",
    "network": "VARCHAR", "port": "INTEGER", "identifier": "VARCHAR", "key": "VARCHAR", "who": "VARCHAR",
    "node": "VARCHAR", "ver": "VARCHAR",
}  # fmt: skip
_LINE_BYTES_MAX: Final = 65_536  # three texts of LOGGED_IDENTIFIER_BYTES, six characters for each octet
_FETCHED: Final = 10_000
_HANDLES: Final = PREFIX_HANDLES + b"/"


class Comparison(NamedTuple):
    """How identifiers are compared. ``fold``: of octets with "/", to their key (HandleRules)."""

    fold: Callable[[bytes], bytes]
    case_sensitive: bool


def connect(memory: str, temporary: Path | None = None, *, threads: int = 1, in_order: bool = False) -> Any:
    """Return a connection to DuckDB that loads nothing. ``in_order``: rows leave as they came."""
    import duckdb

    spill = "" if temporary is None else str(temporary)
    return duckdb.connect(
        ":memory:",
        config={
            "memory_limit": memory, "threads": threads, "temp_directory": spill, "autoinstall_known_extensions": False,
            "autoload_known_extensions": False, "preserve_insertion_order": in_order,
        },
    )  # fmt: skip


def sql_text(text: str) -> str:
    """Return a text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"


def visible(octets: bytes) -> str:
    """Return octets as the mirror has them: UTF-8, and ``\\xNN``, ``\\uNNNN`` for all that is not visible.

    What begins with some text begins, written so, with that text written so.
    """
    text = octets.decode(errors="backslashreplace")
    if text.isprintable():
        return text
    return "".join([each if each.isprintable() else each.encode("unicode_escape").decode() for each in text])


# --- making ------------------------------------------------------------------
def bring_up_to_date(log: Path, mirror: Path, comparison: Comparison, now_ms: int) -> int:
    """Make what the mirror lacks, remove what is none of it, join the files of each hour that is over.

    ``log``: folder of all streams; ``mirror``: of the mirror. One process at a time. Returns how many files were made.
    Errors: LogReadError of the first month that cannot be read, behind all others; OSError; duckdb.Error.
    """
    folder = mirror / Stream.RESOLUTION.value
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = mirror / TEMPORARY
    shutil.rmtree(temporary, ignore_errors=True)
    made = 0
    faults: list[LogReadError] = []
    kept = set(months(log, Stream.RESOLUTION))
    for gone in [each for each in folder.iterdir() if each.name not in kept]:
        _remove(gone)
    temporary.mkdir(mode=0o700)
    connection = connect(limits.MIRROR_MEMORY, temporary)
    try:
        for month in sorted(kept):
            try:
                opened = open_month(log, Stream.RESOLUTION, month)
                if opened is not None:
                    made += _mirror_month(opened, folder / month, _Maker(connection, temporary, comparison), now_ms)
            except LogReadError as error:
                faults.append(error)
    finally:
        connection.close()
        shutil.rmtree(temporary, ignore_errors=True)
    if faults:
        raise faults[0]
    return made


def _mirror_month(log: MonthLog, folder: Path, maker: _Maker, now_ms: int) -> int:
    folder.mkdir(mode=0o700, exist_ok=True)
    parts = good_parts(log, folder, case_sensitive=maker.comparison.case_sensitive)
    joined = _to_join(parts, now_ms // HOUR_MS)
    left = [part for part in parts if not any(part.first in leaves for leaves in joined)]
    writer = _Writer(log, folder, maker)
    for leaves in (*gaps(parts, log.size), *joined):
        writer.write(leaves)
    wanted = {part.path(folder) for part in (*left, *writer.made)}
    for path in folder.rglob("*"):
        if not path.is_dir() and path not in wanted:
            path.unlink()
    for each in folder.iterdir():
        if each.is_dir() and not any(each.iterdir()):
            each.rmdir()
    return len(writer.made)


def _to_join(parts: Sequence[Part], hour_now: int) -> list[range]:
    """Return the leaves of neighbouring files that become one: of an hour that is over, and small enough together."""
    found: list[range] = []
    group: list[Part] = []
    for part in (*parts, None):
        if group and (
            part is None
            or (part.first, part.hour) != (group[-1].end, group[0].hour)
            or sum(each.rows for each in group) + part.rows > limits.MIRROR_FILE_ROWS
        ):
            if len(group) > 1 and group[0].hour < hour_now:
                found.append(range(group[0].first, group[-1].end))
            group = []
        if part is not None:
            group.append(part)
    return found


class _Maker(NamedTuple):
    """What a run makes files with. ``temporary``: a folder that goes with the run."""

    connection: Any
    temporary: Path
    comparison: Comparison


class _Writer:
    """Writes leaves that follow each other to files, each of one hour and of at most MIRROR_FILE_ROWS entries."""

    def __init__(self, log: MonthLog, folder: Path, maker: _Maker) -> None:
        self._log = log
        self._folder = folder
        self._maker = maker
        self._lines = maker.temporary / "lines"
        self._file: IO[str] | None = None
        self._first = self._rows = self._earliest = self._latest = 0
        self.made: list[Part] = []

    def write(self, leaves: range) -> None:
        """Mirror leaves. Errors: LogReadError, OSError, duckdb.Error."""
        self._begin(leaves.start)
        try:
            for index, leaf in self._log.pick(leaves):
                if is_block(leaf):
                    self._add(index, _opened(self._log, index, leaf))
            self._end(leaves.stop)
        finally:
            if self._file is not None:
                self._file.close()

    def _begin(self, first: int) -> None:
        self._file = self._lines.open("w", encoding="utf-8", newline="")
        self._first, self._rows = first, 0

    def _add(self, index: int, block: Block) -> None:
        earliest, latest, rows = min(block.times), max(block.times), len(block.times)
        full = self._rows + rows > limits.MIRROR_FILE_ROWS
        if self._rows and (full or earliest // HOUR_MS != self._earliest // HOUR_MS):
            self._end(index)
            self._begin(index)
        if self._rows:
            earliest, latest = min(earliest, self._earliest), max(latest, self._latest)
        self._earliest, self._latest, self._rows = earliest, latest, self._rows + rows
        assert self._file is not None
        self._file.write(_lines(index, block, self._maker.comparison.fold))

    def _end(self, end: int) -> None:
        """Make a file of the leaves before this one; none where they hold no entry."""
        assert self._file is not None
        self._file.close()
        if not self._rows:
            return
        tag = tag_of(self._log, self._log.leaf_hash(end - 1), case_sensitive=self._maker.comparison.case_sensitive)
        part = Part(self._first, end, self._rows, self._earliest, self._latest, tag)
        written = self._maker.temporary / "part"
        _write_parquet(self._maker.connection, self._lines, written)
        place = part.path(self._folder)
        place.parent.mkdir(mode=0o700, exist_ok=True)
        written.replace(place)  # the folder is not synced: a file that a crash takes away is made again
        self.made.append(part)


def _opened(log: MonthLog, index: int, leaf: bytes) -> Block:
    try:
        return open_block(leaf)
    except BlockError as error:
        raise LogReadError(
            f"{log.month} 第 {index} 叶无法读取。Leaf {index} of {log.month} cannot be read: {error}"
        ) from None


def _lines(index: int, block: Block, fold: Callable[[bytes], bytes]) -> str:
    """Return the rows of a block, divided by tabs, which stand in no cell."""
    node, version, who = visible(block.node.encode()), visible(block.version.encode()), block.who
    lines: list[str] = []
    for row, (at, via, outcome, client, port, identifier) in enumerate(zip(*block[2:8], strict=True)):
        key = visible(fold(identifier if b"/" in identifier else _HANDLES + identifier))
        asked = visible(identifier)
        name = visible(who[row].encode()) if row in who else ""
        lines.append(
            f"{index}\t{row}\t{at}\t{protocol_name(via)}\t{outcome}\t{client.hashed.hex()}\t{client.network.hex()}\t"
            f"{port}\t{'' if asked == key else asked}\t{key}\t{name}\t{node}\t{version}\n"
        )
    return "".join(lines)


def _write_parquet(connection: Any, lines: Path, target: Path) -> None:
    """Sort rows into a Parquet file, and sync it. Errors: duckdb.Error, OSError."""
    columns = ", ".join(f"{sql_text(name)}: {sql_text(kind)}" for name, kind in _COLUMNS.items())
    source = (
        f"read_csv({sql_text(glob.escape(str(lines)))}, delim='\t', quote='', escape='', nullstr='', header=false, "
        f"auto_detect=false, max_line_size={_LINE_BYTES_MAX}, columns={{{columns}}})"
    )
    form = f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {limits.MIRROR_GROUP_ROWS})"
    ordered = f"SELECT * FROM {source} ORDER BY key, leaf, row"  # noqa: S608 - paths and names of ours, quoted
    connection.execute(f"COPY ({ordered}) TO {sql_text(str(target))} {form}")
    with target.open("rb") as file:
        os.fsync(file.fileno())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


# --- asking ------------------------------------------------------------------
def leaves_to_open(
    log: MonthLog, folder: Path, comparison: Comparison, question: Question, clients: Clients | None
) -> Iterator[int]:
    """Yield the leaves that may hold what is asked for, rising: those that the mirror names, and those that it lacks.

    ``folder``: of the month's mirror, which need not be there; ``clients``: of ``question.network``.
    """
    parts = good_parts(log, folder, case_sensitive=comparison.case_sensitive)
    unknown = gaps(parts, log.size)
    asked = [part for part in parts if part.within(question.since_ms, question.until_ms)]
    if not asked or not question.narrows:
        yield from chain.from_iterable(_rising(unknown, asked))
        return
    where, values = _condition(question, clients)
    connection = connect(limits.QUERY_MEMORY, threads=os.cpu_count() or 1)
    try:
        named, broken = _select(connection, folder, asked, where, values)
        yield from heapq.merge(named, chain.from_iterable(_rising(unknown, broken)))
    finally:
        connection.close()


def _rising(leaves: Iterable[range], parts: Iterable[Part]) -> list[range]:
    """Return ranges of leaves and those of parts in their order."""
    return sorted((*leaves, *(range(part.first, part.end) for part in parts)), key=lambda each: each.start)


def _select(
    connection: Any, folder: Path, parts: Sequence[Part], where: str, values: list[Any]
) -> tuple[Iterable[int], list[Part]]:
    """Return the leaves that files name, rising, and the files that cannot be read."""
    import duckdb

    try:
        return _fetch(connection, [part.path(folder) for part in parts], where, values), []
    except duckdb.Error:  # broken, or replaced meanwhile: which one?
        found: list[int] = []
        broken: list[Part] = []
        for part in parts:
            try:
                found += _fetch(connection, [part.path(folder)], where, values)
            except duckdb.Error as error:
                _LOG.warning("%s cannot be read, its leaves are: %s", part.path(folder), error)
                broken.append(part)
        return found, broken


def _fetch(connection: Any, paths: list[Path], where: str, values: list[Any]) -> Iterator[int]:
    """Return leaves, rising. Errors: duckdb.Error, before anything is returned."""
    files = ", ".join(sql_text(glob.escape(str(path))) for path in paths)
    result = connection.execute(
        f"SELECT DISTINCT leaf FROM read_parquet([{files}], hive_partitioning=false) WHERE {where} ORDER BY leaf",  # noqa: S608
        values,
    )
    first = result.fetchmany(_FETCHED)
    return _rest(result, first)


def _rest(result: Any, rows: list[tuple[int]]) -> Iterator[int]:
    while rows:
        yield from (leaf for (leaf,) in rows)
        rows = result.fetchmany(_FETCHED)


def _condition(question: Question, clients: Clients | None) -> tuple[str, list[Any]]:
    """Return what a row must fulfil: never less than what is asked for, since the leaves are looked at as well."""
    said: list[tuple[str, list[Any]]] = [("t >= ? AND t < ?", [question.since_ms, question.until_ms])]
    if question.named is not None:
        key = visible(question.named.key)
        if question.named.whole_prefix:  # "0" follows "/"
            said.append(("((key >= ? AND key < ?) OR key = ?)", [f"{key}/", f"{key}0", f"{_HANDLES.decode()}{key}"]))
        else:
            said.append(("key = ?", [key]))
    if question.protocol is not None:
        said.append(("(via = ? OR starts_with(via, ?))", [question.protocol, f"{question.protocol}/"]))
    if question.outcome is not None:
        said.append(("outcome = ?", [question.outcome]))
    if clients is not None and clients.hashes is not None:
        said.append((f"client IN ({', '.join('?' * len(clients.hashes))})", [each.hex() for each in clients.hashes]))
    elif clients is not None:
        said.append(
            (
                "(length(network) = ? AND network BETWEEN ? AND ?)",
                [2 * len(clients.lowest), clients.lowest.hex(), clients.highest.hex()],
            )
        )
    return " AND ".join(term for term, _ in said), [value for _, values in said for value in values]
