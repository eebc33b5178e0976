"""Puts a node back from a backup: the same rows and keys, other serials and logs.

1. The backup is checked whole: signature, every digest, no file missing or too much.
2. Serials go on RESTORED_SERIALS behind the copy's, with an empty feed (``core/store/restart.py``): what the former
   node gave after the backup is never given again. Tokens of idempotency stay.
   Ids and units of lots that it may have given are not given again either (``node/former.py``).
3. Top nodes are sent everything whole (``sync/outbox.py``, ``anew``); deposits begin with a full one.
4. The logs begin anew under another origin. The former ones lie in ``data/log-before/<host>/``, laid out as a data
   folder, with their addresses and the keys of their months.
5. Rows that waited for the former logs go into the new ones, but for entries that the copied logs have: those of a
   stream come in the order of their rows, so the number of the last one in the log tells.
6. The maintenance log says first that the node was put back, from which backup, and how far the former logs were.

Built beside its place and renamed: a folder that is there is whole.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from audit.places import BEFORE, FOLDER
from audit.reading import months, open_month
from audit.side import FOLDER as CLIENTS
from core.changes import Serial
from core.clock import Millis
from core.config import Config, load
from core.durable import write_new_file
from core.errors import ConfigError, NodeError
from core.settings import BY_NAME, SETTINGS, Value
from core.store.engine import Batch, Snapshot, Table
from core.store.lmdb_engine import LmdbEngine
from core.store.log_rows import LAST_LOG_KEY, LogEntry, LogRow, log_key, pack_log_row, unpack_log_row
from core.store.restart import serial_after
from core.store.upstream_rows import (
    DAY_TABLES,
    DayMark,
    TableState,
    day_of,
    days_range,
    pack_mark,
    pack_table_state,
    table_key,
    unpack_mark,
    unpack_table_state,
    upstreams,
)
from core.streams import Stream
from core.who import Who
from node.backup import place_of
from node.backup_file import (
    KEYS,
    NODE_TOML,
    SETTINGS_TOML,
    STORE,
    BackupError,
    Manifest,
    file_digest,
    find,
    read_manifest,
    require_whole,
)
from node.former import skip_numbers, withhold_units
from node.restored import building, require_empty, restored_values, write_settings
from sync.outbox import anew
from sync.tables import TABLES

_CONFIG: Final = "node.toml"
_FORMER_CONFIG: Final = "node.toml.former"
_DATA: Final = "data"


class Restored(NamedTuple):
    """A node that was put back. ``missing``: setting and where its key is to go.

    ``withheld``: number of lots of which units are not given any more.
    """

    config: Path
    backup: Path
    manifest: Manifest
    serial: int
    origin: str
    missing: tuple[tuple[str, Path], ...]
    withheld: int


def restore_backup(
    source: Path, to: Path, who: Who, now_ms: Millis, *, stopped: bool = False, node: str = ""
) -> Restored:  # fmt: skip
    """Put a node back into a folder that is empty. ``source``: a backup, or a folder of them.

    ``node``: id of the key that must have signed it, empty for any.
    ``stopped``: the former node had been stopped before the backup was made, and gave no units after it.

    Errors: BackupError, ConfigError, StoreError, LogReadError; nothing is there then.
    """
    require_empty(to)
    backup = find(source, now_ms)
    manifest = read_manifest(backup)
    if node not in ("", manifest.key_id):
        raise BackupError(
            f"备份由密钥 {manifest.key_id} 签名，不是 {node}。"
            f"The backup is signed by the key {manifest.key_id}, not {node}"
        )
    require_whole(backup, manifest, now_ms)
    try:
        config = load(backup / SETTINGS_TOML)
    except ConfigError as error:
        raise BackupError(f"备份中的配置无法使用。The settings of the backup cannot be used: {error.message}") from None
    values = restored_values(config, now_ms) | {"node.data": _DATA} | _places(config, manifest)
    with building(to) as folder:
        _copy(backup, manifest, folder)
        write_settings(folder / _CONFIG, values)
        serial, withheld = _begin_anew(folder / _DATA, values, manifest, who, now_ms, stopped=stopped)
    missing = tuple(
        (name, to / str(values[name])) for name in KEYS if values[name] and name not in manifest.places
    )  # fmt: skip
    return Restored(to / _CONFIG, backup, manifest, serial, str(values["log.origin"]), missing, withheld)


def _places(config: Config, manifest: Manifest) -> dict[str, Value]:
    """Return the settings of files, which lie in the node's folder now; also of keys that are yet to be put there."""
    places: dict[str, str] = {}
    for setting in SETTINGS:
        if setting.name in manifest.places:
            if BY_NAME[setting.name].kind != "path":
                raise BackupError(f"备份清单有误。The manifest is wrong: {setting.name} names no file")
            places[setting.name] = manifest.places[setting.name]
        elif setting.name in KEYS and config.text(setting.name):
            places[setting.name] = place_of(setting.name, Path(config.text(setting.name)).name, places)
    return dict(places)


def _copy(backup: Path, manifest: Manifest, folder: Path) -> None:
    """Put every file of the backup where the node has it, mode 0600, in folders of 0700. Errors: OSError."""
    root = f"{_DATA}/{BEFORE}/{_host_of(manifest)}"
    (folder / _DATA).mkdir(mode=0o700)
    for entry in manifest.files:
        if entry.name == SETTINGS_TOML:
            continue
        first = entry.name.split("/")[0]
        if entry.name == NODE_TOML:
            place = _FORMER_CONFIG
        elif entry.name == STORE or first == BEFORE:
            place = f"{_DATA}/{entry.name}"
        elif first in (FOLDER, CLIENTS):
            place = f"{root}/{entry.name}"
        else:
            place = entry.name
        path = folder / place
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_new_file(path, b"")
        shutil.copyfile(backup / entry.name, path)
        if file_digest(path) != entry.sha256:
            raise BackupError(f"备份在读取时被更改。The backup was altered while it was read: {entry.name}")


def _host_of(manifest: Manifest) -> str:
    """Return what names the folder of the former logs: the host of the newest one."""
    origins = [each.origin.partition(f"/{FOLDER}/")[0] for each in manifest.logs] or [manifest.node]
    host = origins[-1]
    return host if host not in ("", ".", "..") and "/" not in host else manifest.node


def _begin_anew(
    data: Path, values: Mapping[str, Value], manifest: Manifest, who: Who, now_ms: Millis, *, stopped: bool
) -> tuple[int, int]:  # fmt: skip
    """Make the store one of a node that begins anew; return the serial that it goes on behind, and how many lots
    had units withheld.
    """
    size = int(str(values["store.map_size"]))
    store = LmdbEngine(data / "store", map_size_bytes=size)
    try:
        with store.snapshot() as snapshot:
            copied = snapshot.serial()
        if copied != manifest.serial:
            raise BackupError(f"序号不符。The serial is another: {copied}, not {manifest.serial}")
        serial = serial_after(copied, now_ms)
        store.restart(serial, (Table.SYNC_REFUSED, Table.DEPOSITS))
        batch = Batch()
        with store.snapshot() as snapshot:
            skip_numbers(snapshot, batch)
            _forget_sent(snapshot, batch, serial)
            _begin_days(snapshot, batch)
            entries = _entries(manifest, copied, serial)
            log = data / BEFORE / _host_of(manifest) / FOLDER
            _queue(snapshot, batch, log, LogRow(now_ms, who, "", b"", entries))
        store.commit(batch)
        withheld = 0 if stopped else withhold_units(store, now_ms)
    finally:
        store.close()
    return serial, withheld


def _forget_sent(snapshot: Snapshot, batch: Batch, serial: Serial) -> None:
    """Have every top node be sent everything, of tables that it never got any row of, too; and of logs."""
    known = [upstream for upstream, _ in upstreams(snapshot)]
    for key, _ in snapshot.scan(Table.SYNC_TABLES, b""):
        upstream, _, name = key.decode().partition("/")
        known.append(upstream)
        if name == "logs":
            batch.put(Table.SYNC_TABLES, key, None)
    for upstream in set(known):
        for name, table in TABLES.items():
            key = table_key(upstream, name)
            row = snapshot.get(Table.SYNC_TABLES, key)
            state = TableState() if row is None else unpack_table_state(row)
            batch.put(Table.SYNC_TABLES, key, pack_table_state(anew(table, state, serial)))


def _begin_days(snapshot: Snapshot, batch: Batch) -> None:
    """Have the next day be counted from the first leaf of the log, which is another one."""
    for table in DAY_TABLES:
        marks = [key for key, _ in snapshot.scan(Table.SYNC_DAYS, *days_range(table)) if not day_of(key)[2]]
        if marks:
            row = snapshot.get(Table.SYNC_DAYS, marks[-1])
            mark = unpack_mark(row or b"")
            batch.put(Table.SYNC_DAYS, marks[-1], pack_mark(DayMark(mark.month, 0)))


def _entries(manifest: Manifest, before: int, serial: int) -> tuple[LogEntry, ...]:
    """Return what the maintenance log says: the backup, and the newest of the former logs of each stream."""
    stream = Stream.MAINTENANCE.value
    reason = f"serial {before}, goes on behind {serial}; logs before: {BEFORE}/{_host_of(manifest)}"
    last = {each.origin.split("/")[-2]: each for each in manifest.logs if each.origin.count("/") >= 2}
    told = [
        LogEntry(stream, "restore.log", log.origin, after=base64.b64decode(log.root), reason=f"size {log.size}")
        for log in last.values()
    ]  # fmt: skip
    return LogEntry(stream, "restore", manifest.name, reason=reason, evidence=manifest.digest), *told


def _queue(snapshot: Snapshot, batch: Batch, log: Path, restored: LogRow) -> None:
    """Put what still waits for a log behind the entry that says what was done, under numbers that no log has."""
    reached = {stream.value: last_request(log, stream) for stream in Stream}
    number = max(int.from_bytes(snapshot.get(Table.META, LAST_LOG_KEY) or b"", "big"), *reached.values()) + 1
    for key, packed in snapshot.scan(Table.LOG_QUEUE, b""):
        batch.put(Table.LOG_QUEUE, key, None)
        try:
            row = unpack_log_row(packed)
        except NodeError:
            waiting = packed  # the sequencer tells of it
        else:
            entries = tuple(each for each in row.entries if int.from_bytes(key, "big") > reached[each.stream])
            if not entries:
                continue
            waiting = pack_log_row(row._replace(entries=entries))
        number += 1
        batch.put(Table.LOG_QUEUE, log_key(number), waiting)
    first = number - sum(row is not None for row in batch.rows.get(Table.LOG_QUEUE, {}).values())
    batch.put(Table.LOG_QUEUE, log_key(first), pack_log_row(restored))
    batch.put(Table.META, LAST_LOG_KEY, log_key(number))


def last_request(log: Path, stream: Stream) -> int:
    """Return the number of the last row of the queue that a log has an entry of, 0 without. Errors: LogReadError."""
    for month in reversed(months(log, stream)):
        opened = open_month(log, stream, month)
        for index in range(opened.size - 1, -1, -1) if opened is not None and stream is not Stream.RESOLUTION else ():
            assert opened is not None
            ((_, leaf),) = opened.pick([index])
            number = _request_of(leaf)
            if number:
                return number
    return 0


def _request_of(leaf: bytes) -> int:
    """Return the number of the request of an entry, 0 of what has none."""
    try:
        return int(json.loads(leaf)["req"] or 0)
    except (ValueError, TypeError, KeyError):
        return 0
