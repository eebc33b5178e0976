"""Makes a backup of a node that may run, under any load (``node/backup_file.py`` has what it is).

The order is what makes its parts fit: the store first, then the logs. What the store's copy has taken out of the queue
of the logs is in the logs; what the logs have beyond it is told apart by its number when the backup is put back
(``node/restore_backup.py``). The copied store is read to its last row before the backup counts; ``saltern doctor
--deep`` of a node that was put back checks what each row says.

All of it is written beside its place, synced and renamed. What fails leaves nothing; what was killed leaves
``.partial-…``, which the next one takes away.
"""

from __future__ import annotations

import base64
import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from audit.checkpoint import Checkpoint
from audit.copying import copy_logs
from audit.dropping import size_on_disk
from audit.places import BEFORE, FOLDER
from audit.side import FOLDER as CLIENTS
from core import clock, limits
from core.changes import Serial
from core.clock import Millis, format_instant
from core.config import Config
from core.disk import free_bytes
from core.durable import sync_path
from core.errors import Outcome, StoreError
from core.settings import SETTINGS
from core.signature import Signer
from core.store.engine import Table
from core.store.lmdb_engine import LmdbEngine
from node import VERSION, wiring
from node.backup_file import (
    FORMAT,
    FORMAT_VERSION,
    KEYS,
    MANIFEST,
    NODE_TOML,
    PARTIAL,
    PURPOSE,
    SETTINGS_TOML,
    STORE,
    BackupError,
    Entry,
    file_digest,
    whole_backups,
)
from node.restored import dump_settings, sync_tree
from node.signing import load_signer

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LOCK: Final = ".lock"
_LOCK_OF_STORE: Final = "lock.mdb"
_FEED: Final = "changes"
_OWN: Final = (FOLDER, CLIENTS, BEFORE, "store", "run")
"""Folders in ``data`` that are copied, or emptied by a start: what is put there is copied with the next, or lost."""

_NAMED: Final = ("node.data", "backup.folder")
"""Paths of folders, which are not files to be copied."""


class Made(NamedTuple):
    """A backup that was made. ``octets``: of all files; ``digest``: SHA-256 of the manifest, hexadecimal."""

    folder: Path
    serial: int
    files: int
    octets: int
    digest: str
    key_id: str
    keys: bool


def make_backup(
    config: Config, to: Path, *, with_keys: bool, actor: str, now_ms: Millis, note: Callable[[str], None]
) -> Made:  # fmt: skip
    """Make a backup in a folder. ``note``: is told what is about to be there, and has it written down.

    Errors: NodeError, with STORE_FULL where there is no room; whatever fails leaves nothing behind.
    """
    signer = load_signer(config)
    for own in _OWN:
        if to.resolve().is_relative_to((config.data / own).resolve()):
            raise BackupError(f"{to} 是节点自身的目录。{to} is a folder of the node itself; name another one")
    try:
        to.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(to):
            for left in to.glob(f"{PARTIAL}*"):
                shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
            _require_room(config, to)
            return _Making(config, to, with_keys=with_keys).make(signer, actor, now_ms, note)
    except OSError as error:
        outcome = Outcome.STORE_FULL if error.errno in _FULL else Outcome.INTERNAL
        raise BackupError(
            f"备份未能完成，已清除。The backup was not made, and nothing is left of it: {error.filename or to}: "
            f"{error.strerror}", outcome=outcome,
        ) from None  # fmt: skip


def remove_old(to: Path, keep: int, now_ms: Millis) -> list[Path]:
    """Take away the oldest whole backups but ``keep``; return them. Errors: OSError."""
    gone = whole_backups(to, now_ms)[:-keep]
    for each in gone:
        away = to / f"{PARTIAL}{each.name}"
        each.rename(away)  # half of one never counts
        shutil.rmtree(away)
    return gone


@contextmanager
def _alone(to: Path) -> Iterator[None]:
    """Errors: BackupError if another one is being made there; OSError."""
    descriptor = os.open(to / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise BackupError(f"{to} 中正在进行另一备份。Another backup is being made in {to}") from None
    finally:
        os.close(descriptor)


def _require_room(config: Config, to: Path) -> None:
    """Errors: BackupError for a disk that is too full; on the node's own disk registration has to go on, too."""
    data = config.data
    parts = (wiring.store_folder(config) / "data.mdb", *(data / name for name in (FOLDER, CLIENTS, BEFORE)))
    needed = sum(map(size_on_disk, parts)) + limits.BACKUP_ROOM_BYTES
    if to.stat().st_dev in {each.stat().st_dev for each in wiring.disks(config) if each.exists()}:
        needed += config.integer("log.disk_stop")
    free = free_bytes((to,))
    if free < needed:
        raise BackupError(
            f"{to} 空间不足：需要 {needed >> 20} MiB，剩余 {free >> 20} MiB，未作备份。There is no room in {to}: "
            f"{needed >> 20} MiB are needed and {free >> 20} MiB are free; nothing was done",
            outcome=Outcome.STORE_FULL,
        )


class _Making:
    """One backup while it is made."""

    def __init__(self, config: Config, to: Path, *, with_keys: bool) -> None:
        self._config = config
        self._to = to
        self._with_keys = with_keys
        self._entries: list[Entry] = []
        self._places: dict[str, str] = {}

    def make(self, signer: Signer, actor: str, now_ms: Millis, note: Callable[[str], None]) -> Made:
        """Make it; see make_backup."""
        name = _name(self._to, now_ms)
        self._folder = self._to / f"{PARTIAL}{name}"
        self._folder.mkdir(mode=0o700)
        try:
            rows, serial = self._copy_store()
            logs = [month.checkpoint for month in copy_logs(self._config.data, self._put)]
            self._copy_settings()
            document = {
                "format": FORMAT, "version": FORMAT_VERSION, "id": name, "created": format_instant(now_ms),
                "node": self._config.text("node.prefix"), "software": VERSION, "actor": actor,
                "serial": serial, "rows": rows, "keys": self._with_keys, "places": self._places,
                "logs": [_log(each) for each in logs],
                "files": [{"name": each.name, "bytes": each.octets, "sha256": each.sha256} for each in self._entries],
            }  # fmt: skip
            signed = signer.sign_document(PURPOSE, document)
            octets = json.dumps(signed, ensure_ascii=False, indent=1).encode() + b"\n"
            self._put(MANIFEST, (octets,))
            sync_tree(self._folder)
            digest = hashlib.sha256(octets).hexdigest()
            note(f"{name} serial {serial} sha256 {digest}")
            self._folder.rename(self._to / name)
            sync_path(self._to)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
        total = sum(each.octets for each in self._entries)
        key_id = signed["signature"]["key_id"]
        return Made(self._to / name, serial, len(self._entries), total, digest, key_id, self._with_keys)

    def _copy_store(self) -> tuple[dict[str, int], int]:
        """Copy the store, and read the copy to its last row; return the numbers of rows, and the serial."""
        place = self._folder / STORE
        place.parent.mkdir(mode=0o700)
        store = wiring.open_store(self._config, read_only=True)
        try:
            store.copy(place.parent)
        finally:
            store.close()
        place.chmod(0o600)
        copied = LmdbEngine(
            place.parent, map_size_bytes=self._config.integer("store.map_size"), read_only=True
        )  # fmt: skip
        try:
            rows, serial = _read_all(copied)
        finally:
            copied.close()
        (place.parent / _LOCK_OF_STORE).unlink(missing_ok=True)
        self._entries.append(Entry(STORE, place.stat().st_size, file_digest(place)))
        return rows, serial

    def _copy_settings(self) -> None:
        """Copy the configuration, and the files that it names."""
        self._put(NODE_TOML, (self._config.path.read_bytes(),))
        self._put(SETTINGS_TOML, (dump_settings(self._config.values).encode(),))
        for setting in SETTINGS:
            if setting.kind != "path" or setting.name in _NAMED or (setting.name in KEYS and not self._with_keys):
                continue
            path = self._config.file(setting.name)
            if path is not None and path.is_file():
                place = place_of(setting.name, path.name, self._places)
                self._put(place, (path.read_bytes(),))
                self._places[setting.name] = place

    def _put(self, name: str, parts: Iterable[bytes]) -> None:
        """Write a file of mode 0600 below the folder. Errors: OSError, those of the parts."""
        path = self._folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        digest, octets = hashlib.sha256(), 0
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for part in parts:
                file.write(part)
                digest.update(part)
                octets += len(part)
        self._entries.append(Entry(name, octets, digest.hexdigest()))


def place_of(setting: str, name: str, taken: dict[str, str]) -> str:
    """Return where the file of a setting lies in a backup, and in a node that was put back from it."""
    folder = "keys" if setting in KEYS else "files"
    place = f"{folder}/{name}"
    return f"{folder}/{setting}-{name}" if place in taken.values() else place


def _name(to: Path, now_ms: Millis) -> str:
    """Return the name of a new backup: the moment, or a later second where it is taken."""
    second = now_ms // 1_000
    while True:
        name = clock.format_utc(second).replace("-", "").replace(":", "")
        if not (to / name).exists():
            return name
        second += 1


def _read_all(store: LmdbEngine) -> tuple[dict[str, int], int]:
    """Read every row of every table; return how many, and the serial. Errors: StoreError where some are not there."""
    counted = store.statistics().rows
    with store.snapshot() as snapshot:
        serial = snapshot.serial()
        read = {table.value: sum(1 for _ in snapshot.scan(table, b"")) for table in Table}
        read[_FEED] = 0
        newest = Serial(0)
        while changes := snapshot.feed(newest, limits.IMPORT_CHUNK_ITEMS):
            read[_FEED] += len(changes)
            newest = changes[-1][0]
    if read != counted:
        raise StoreError(f"存储的副本不完整。The copy of the store is not whole: {read}, not {counted}")
    return read, serial


def _log(checkpoint: Checkpoint) -> dict[str, Any]:
    root = base64.b64encode(checkpoint.root).decode()
    return {"origin": checkpoint.origin, "size": checkpoint.size, "root": root}
