"""Rows of the tables UPSTREAMS, SYNC_TABLES, SYNC_REFUSED and SYNC_DAYS: what is owed to top nodes, and how far it is.

UPSTREAMS     key: key id of the top node (32 hexadecimal digits)
              row: 1, then msgpack [url, public key, name, connected_ms]
SYNC_TABLES   key: key id, "/", name of the table (``T6``)
              row: 1, then msgpack, the members of TableState
              and "/link": 1, then msgpack, the members of LinkState
              key id, "/logs": 1, then msgpack of the name of each log (``change/2026-11``) and the members of LogSent
SYNC_REFUSED  key: the same, 00, serial of the change (8), key of the row
              row: 1, then msgpack, the members of RefusedRow
SYNC_DAYS     key: name of the table, "/", day (2026-11-22), "/", folded prefix; of T12 the subject
              row: 1, then the row of T3, T8 or T12 (``sync/table.py``)
              without a prefix: 1, then msgpack [month, leaf]: the day is whole, and where the next one begins (T3, T8)

UPSTREAMS is written by the registrar, the others by whoever holds ``data/sync.lock``. Numbers are big-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeVar

import msgpack

from core.clock import Millis, parse_day, parse_month, read_millis
from core.errors import StoreError
from core.signature import PUBLIC_KEY_BYTES
from core.store.engine import Snapshot, Table
from core.store.versioned import pack_versioned, read_versioned
from core.streams import parse_log

T = TypeVar("T")

TABLES: Final = frozenset(f"T{number}" for number in range(1, 14))
STATISTICS_TABLES: Final = ("T3", "T8")
FIGURES_TABLE: Final = "T12"
DAY_TABLES: Final = (*STATISTICS_TABLES, FIGURES_TABLE)

_VERSION: Final = b"\x01"
_SERIAL: Final = struct.Struct(">Q")


class Upstream(NamedTuple):
    """A top node that this node is connected to. ``public_key``: 32 octets."""

    url: str
    public_key: bytes
    name: str
    connected_ms: Millis


class TableState(NamedTuple):
    """How far a table is with one top node.

    ``serial``: what was acknowledged; ``looked``: up to where nothing more is to be sent, at least ``serial``.
    ``pending``: last serial of a message that was sent, 0 once its answer is there.
    ``piece_at``: serial of a snapshot that is under way, 0 without; ``piece_next``: key of its next piece.
    ``context``: what rows rested on besides the store, 32 octets, or empty. ``sent``, ``accepted``, ``refused``: rows
    so far. ``told_ms``: when the top node acknowledged last. ``fault``: what keeps it from being sent, in words for the
    operator, empty when all is well. ``next_ms``: when its cadence is due next. ``ahead``: serial that the
    top node claims to hold although it was never sent, 0 without: nothing is sent until that is settled.
    """

    serial: int = 0
    looked: int = 0
    pending: int = 0
    piece_at: int = 0
    piece_next: bytes = b""
    context: bytes = b""
    sent: int = 0
    accepted: int = 0
    refused: int = 0
    told_ms: Millis = Millis(0)
    fault: str = ""
    next_ms: Millis = Millis(0)
    ahead: int = 0


class LinkState(NamedTuple):
    """How it stands with a top node. ``enrolment``: as it says, empty before it said anything.

    ``told_ms``: when it answered last; ``skew_ms``: by how much its clock was ahead of ours then. ``since_ms``: when it
    was first found away, 0 while it answers; ``fault``: why, in words for the operator. ``verified_ms``,
    ``differences``: when both sides were compared last, and how many rows differed.
    """

    enrolment: str = ""
    told_ms: Millis = Millis(0)
    skew_ms: int = 0
    since_ms: Millis = Millis(0)
    fault: str = ""
    verified_ms: Millis = Millis(0)
    differences: int = 0


class LogSent(NamedTuple):
    """How far the log of a stream and month is with one top node.

    ``size``: of the checkpoint that was acknowledged last, 0 without; ``sent_ms``: when. ``complete``: all files of
    the month are above, each one as it was signed. ``fault``: why it does not go on, in words for the operator, empty
    when all is well; it is tried again at ``next_ms``.
    """

    size: int = 0
    sent_ms: Millis = Millis(0)
    complete: bool = False
    fault: str = ""
    next_ms: Millis = Millis(0)


class DayMark(NamedTuple):
    """A day whose rows are all there. No leaf of the resolution log before this one (of this month or an earlier one)
    has an entry of a later day.
    """

    month: str
    leaf: int


class RefusedRow(NamedTuple):
    """A row that the top node did not take. ``rule``, ``zh``, ``en``: why, as it said."""

    operation: int
    rule: str
    zh: str
    en: str
    at_ms: Millis


def pack_upstream(row: Upstream) -> bytes:
    """Return the row of an upstream."""
    return pack_versioned(row)


def unpack_upstream(row: bytes) -> Upstream:
    """Read the row of an upstream. Errors: StoreError."""
    return _read(row, _upstream)


def _upstream(packed: Any) -> Upstream:
    url, public, name, connected_ms = packed
    if not (isinstance(url, str) and isinstance(name, str) and isinstance(public, bytes)):
        raise TypeError("members")
    if len(public) != PUBLIC_KEY_BYTES:
        raise ValueError("key")
    return Upstream(url, public, name, read_millis(connected_ms))


def upstreams(snapshot: Snapshot) -> Iterator[tuple[str, Upstream]]:
    """Yield the key id and the row of each upstream, in the order of the ids. Errors: StoreError."""
    for key, row in snapshot.scan(Table.UPSTREAMS, b""):
        yield key.decode(), unpack_upstream(row)


def table_key(upstream: str, table: str) -> bytes:
    """Return the key of a table's state."""
    return f"{upstream}/{table}".encode()


def pack_table_state(row: TableState) -> bytes:
    """Return the row of a table's state."""
    return pack_versioned(row)


def unpack_table_state(row: bytes | None) -> TableState:
    """Read the row of a table's state; no row is one of which nothing was sent. Errors: StoreError."""
    return TableState() if row is None else _read(row, _table_state)


def _table_state(packed: Any) -> TableState:
    state = TableState(*packed)
    for name, value in zip(state._fields, packed, strict=True):
        _require(name, value, {"piece_next": bytes, "context": bytes, "fault": str}.get(name, int))
    return state


def link_key(upstream: str) -> bytes:
    """Return the key of how it stands with a top node."""
    return f"{upstream}/link".encode()


def pack_link_state(row: LinkState) -> bytes:
    """Return the row of how it stands with a top node."""
    return pack_versioned(row)


def unpack_link_state(row: bytes | None) -> LinkState:
    """Read the row of how it stands; no row is one of which nothing is known. Errors: StoreError."""
    return LinkState() if row is None else _read(row, _link_state)


def _link_state(packed: Any) -> LinkState:
    state = LinkState(*packed)
    for name, value in zip(state._fields, packed, strict=True):
        _require(name, value, str if name in ("enrolment", "fault") else int)
    return state


def _require(name: str, value: Any, wanted: type) -> None:
    least = -(2**63) if name == "skew_ms" else 0
    if type(value) is not wanted or (isinstance(value, int) and not least <= value < 2**63):
        raise ValueError(name)


def logs_key(upstream: str) -> bytes:
    """Return the key of how far the logs are; it is in SYNC_TABLES."""
    return table_key(upstream, "logs")


def pack_logs(logs: Mapping[str, LogSent]) -> bytes:
    """Return the row of how far the logs are, by their names (``change/2026-11``)."""
    packed: bytes = msgpack.packb(dict(sorted(logs.items())))
    return _VERSION + packed


def unpack_logs(row: bytes | None) -> dict[str, LogSent]:
    """Read the row of how far the logs are; no row is one of which nothing was sent. Errors: StoreError."""
    return {} if row is None else _read(row, _logs)


def _logs(packed: Any) -> dict[str, LogSent]:
    return {_log_name(name): _log_sent(members) for name, members in packed.items()}


def _log_name(name: Any) -> str:
    if type(name) is not str or parse_log(name) is None:
        raise ValueError("name of a log")
    return name


def _log_sent(packed: Any) -> LogSent:
    size, sent_ms, complete, fault, next_ms = packed
    if type(size) is not int or not 0 <= size < 2**63 or type(complete) is not bool or type(fault) is not str:
        raise ValueError("members of a log")
    return LogSent(size, read_millis(sent_ms), complete, fault, read_millis(next_ms))


def refused_key(upstream: str, table: str, serial: int, key: bytes) -> bytes:
    """Return the key of a refused row."""
    return table_key(upstream, table) + b"\0" + _SERIAL.pack(serial) + key


def refused_range(upstream: str, table: str) -> tuple[bytes, bytes]:
    """Return start and stop of the keys of a table's refused rows."""
    key = table_key(upstream, table)
    return key + b"\0", key + b"\1"


def refused_of(key: bytes) -> tuple[int, bytes]:
    """Return serial and key of a refused row. Errors: StoreError."""
    _, zero, rest = key.partition(b"\0")
    if not zero or len(rest) < _SERIAL.size:
        raise StoreError(f"a key of sync_refused cannot be read: {key!r}")
    return _SERIAL.unpack_from(rest)[0], rest[_SERIAL.size :]


def pack_refused(row: RefusedRow) -> bytes:
    """Return the row of a refused row."""
    return pack_versioned(row)


def unpack_refused(row: bytes) -> RefusedRow:
    """Read the row of a refused row. Errors: StoreError."""
    return _read(row, _refused)


def _refused(packed: Any) -> RefusedRow:
    operation, rule, zh, en, at_ms = packed
    if type(operation) is not int or not all(isinstance(each, str) for each in (rule, zh, en)):
        raise TypeError("members")
    return RefusedRow(operation, rule, zh, en, read_millis(at_ms))


def day_key(table: str, day: str, prefix: bytes = b"") -> bytes:
    """Return the key of the statistics of a prefix and day (``2026-11-22``)."""
    return f"{table}/{day}/".encode() + prefix


def pack_day(row: bytes) -> bytes:
    """Return the row of a day's statistics."""
    return _VERSION + row


def unpack_day(row: bytes) -> bytes:
    """Read the row of a day's statistics: a row of T3 or T8. Errors: StoreError."""
    if row[:1] != _VERSION:
        raise StoreError("a row of sync_days cannot be read")
    return row[1:]


def days_range(table: str) -> tuple[bytes, bytes]:
    """Return start and stop of the keys of a table's statistics ("0" follows "/")."""
    return f"{table}/".encode(), f"{table}0".encode()


def day_of(key: bytes) -> tuple[str, str, bytes]:
    """Return table, day and prefix of a key of statistics, empty for the mark of a day. Errors: StoreError."""
    table, _, rest = key.partition(b"/")
    day, slash, prefix = rest.partition(b"/")
    try:
        if slash and table.decode() in DAY_TABLES and parse_day(day.decode()):
            return table.decode(), day.decode(), prefix
    except UnicodeDecodeError:
        pass
    raise StoreError(f"a key of sync_days cannot be read: {key!r}")


def pack_mark(mark: DayMark) -> bytes:
    """Return the mark of a day that is whole."""
    return pack_versioned(mark)


def unpack_mark(row: bytes) -> DayMark:
    """Read the mark of a day. Errors: StoreError."""
    return _read(row, _mark)


def _mark(packed: Any) -> DayMark:
    month, leaf = packed
    if parse_month(month) is None or type(leaf) is not int or leaf < 0:
        raise ValueError("members")
    return DayMark(month, leaf)


# --- pieces ---
def _read(row: bytes, read: Callable[[Any], T]) -> T:
    return read_versioned(row, "a row of what is owed upstream", read)
