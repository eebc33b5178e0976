"""A backup as it lies in its folder: names, ``backup.json``, and whether all of it is there as it was made.

    DIR/<YYYYMMDDTHHMMSSZ>/    mode 0700; UTC; a folder with this name is whole, ``.partial-…`` is not
      backup.json              see below; signed by the node
      store/data.mdb           the store, one committed state
      log/, clients/, log-before/   the logs as their checkpoints count them (``audit/copying.py``)
      node.toml, settings.toml the configuration as the operator wrote it, and all settings in force
      files/                   what settings name: certificates, images, the site
      keys/                    secret keys that settings name; not in a backup without keys

| member | what |
|---|---|
| format, version | ``saltern-backup``, 1 |
| id, created | name of the folder; UTC |
| node, software, actor | prefix of the node, its version, on whose behalf |
| serial, rows | of the store: serial of the last change, number of rows of each table |
| keys | whether secret keys are in it |
| places | setting: file in the backup that it names |
| logs | array of ``origin``, ``size``, ``root`` (Base64): last checkpoint of each log |
| files | array of ``name``, ``bytes``, ``sha256``: every file but this one |
| signature | ``core/signature.py``, purpose ``backup`` |
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

from core import limits
from core.clock import Millis, parse_instant
from core.errors import NodeError, Outcome
from core.signature import verify_document

FORMAT: Final = "saltern-backup"
FORMAT_VERSION: Final = 1
PURPOSE: Final = "backup"
MANIFEST: Final = "backup.json"
PARTIAL: Final = ".partial-"
NODE_TOML: Final = "node.toml"
SETTINGS_TOML: Final = "settings.toml"
STORE: Final = "store/data.mdb"

KEYS: Final = (
    "node.signing_key", "party.keys", "lots.keys", "https.key", "handle.server_key", "sync.client_key",
    "dns.tsig_file",
)  # fmt: skip
"""Settings that name a file with a secret."""

_NAME: Final = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z", re.ASCII)
_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


class BackupError(NodeError):
    """A backup cannot be made, or is none, or is damaged."""

    outcome = Outcome.CONFLICT


class Entry(NamedTuple):
    """A file of a backup. ``sha256``: hexadecimal."""

    name: str
    octets: int
    sha256: str


class Log(NamedTuple):
    """The last checkpoint of a log. ``root``: Base64, as checkpoints have it."""

    origin: str
    size: int
    root: str


class Manifest(NamedTuple):
    """What ``backup.json`` says. ``digest``: SHA-256 of the file; ``key_id``: of who signed it."""

    name: str
    node: str
    serial: int
    keys: bool
    places: Mapping[str, str]
    logs: tuple[Log, ...]
    files: tuple[Entry, ...]
    key_id: str
    digest: bytes


def made_ms(name: str) -> Millis | None:
    """Return when a backup with this name was made; None for what is no name of one."""
    match = _NAME.fullmatch(name)
    return None if match is None else parse_instant("{}-{}-{}T{}:{}:{}.000Z".format(*match.groups()))


def whole_backups(folder: Path, now_ms: Millis) -> list[Path]:
    """Return the whole backups in a folder, the oldest first; none where there is no folder. Errors: OSError.

    One whose name lies ahead of now was made while the clock was wrong: nobody knows when, so it counts as the oldest.
    """
    if not folder.is_dir():
        return []
    named = [(made_ms(each.name), each) for each in folder.iterdir()]
    known = [(at <= now_ms + limits.BACKUP_AHEAD_MS, at, each) for at, each in named if at is not None]
    return [each for _, _, each in sorted(known) if (each / MANIFEST).is_file()]


def newest_ms(folder: Path, now_ms: Millis) -> Millis | None:
    """Return when the newest whole backup in a folder was made; None without any, or where it cannot be read.

    One that lies ahead of now tells nothing.
    """
    try:
        found = whole_backups(folder, now_ms)
    except OSError:
        return None
    newest = made_ms(found[-1].name) if found else None
    return None if newest is None or newest > now_ms + limits.BACKUP_AHEAD_MS else newest


def find(folder: Path, now_ms: Millis) -> Path:
    """Return the folder itself if it is a backup, else the newest one in it. Errors: BackupError."""
    try:
        if (folder / MANIFEST).is_file():
            return folder
        found = whole_backups(folder, now_ms)
    except OSError as error:
        raise BackupError(f"无法读取 {folder}。Cannot read {folder}: {error.strerror}") from None
    if not found:
        raise BackupError(f"{folder} 中没有完整的备份。There is no whole backup in {folder}", outcome=Outcome.NOT_FOUND)
    return found[-1]


def read_manifest(backup: Path) -> Manifest:
    """Read ``backup.json``, whose signature is good. Errors: BackupError."""
    path = backup / MANIFEST
    try:
        with path.open("rb") as file:
            octets = file.read(limits.BACKUP_MANIFEST_BYTES_MAX + 1)
        if len(octets) > limits.BACKUP_MANIFEST_BYTES_MAX:
            raise ValueError("it is too long")
        document = json.loads(octets)
        if document["format"] != FORMAT or document["version"] != FORMAT_VERSION:
            raise ValueError(f"it is of another format: {document['format']!r} {document['version']!r}")
        signature = verify_document(PURPOSE, document)
        if signature is None:
            raise BackupError(
                f"{path} 签名不符，内容已被更改。The signature of {path} is wrong: it was altered since it was made"
            )
        return Manifest(
            document["id"], document["node"], document["serial"], document["keys"], document["places"],
            tuple(Log(str(each["origin"]), int(each["size"]), str(each["root"])) for each in document["logs"]),
            tuple(_entry(each) for each in document["files"]),
            signature.key_id, hashlib.sha256(octets).digest(),
        )  # fmt: skip
    except OSError as error:
        raise BackupError(f"无法读取 {path}。Cannot read {path}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise BackupError(f"{path} 不是备份清单。{path} is no manifest of a backup: {error}") from None


def _entry(packed: Any) -> Entry:
    """Errors: ValueError, also for a name that leads out of the folder."""
    entry = Entry(packed["name"], packed["bytes"], packed["sha256"])
    parts = PurePosixPath(entry.name).parts
    if not parts or parts[0] == "/" or ".." in parts or "/".join(parts) != entry.name or "\0" in entry.name:
        raise ValueError(f"the name {entry.name!r}")
    if type(entry.octets) is not int or entry.octets < 0 or not _DIGEST.fullmatch(entry.sha256):
        raise ValueError(f"the entry of {entry.name}")
    return entry


def faults(backup: Path, manifest: Manifest) -> Iterator[str]:
    """Yield a sentence for each file that is missing, too much or another. Cost: reads all of the backup."""
    wanted = {entry.name: entry for entry in manifest.files}
    found = set(_files(backup))
    for name in sorted(wanted.keys() - found):
        yield f"缺少文件。A file is missing: {name}"
    for name in sorted(found - wanted.keys() - {MANIFEST}):
        yield f"多出文件。A file is too much: {name}"
    for name in sorted(wanted.keys() & found):
        entry, path = wanted[name], backup / name
        try:
            if path.is_symlink() or not path.is_file():
                yield f"不是普通文件。It is no file: {name}"
            elif path.stat().st_size != entry.octets:
                yield f"长度不符。Its length is another: {name} ({path.stat().st_size}, {entry.octets})"
            elif file_digest(path) != entry.sha256:
                yield f"内容不符。Its content is another: {name}"
        except OSError as error:
            yield f"无法读取。It cannot be read: {name}: {error.strerror}"


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal. Errors: OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_whole(backup: Path, manifest: Manifest, now_ms: Millis) -> None:
    """Errors: BackupError that names every fault, up to BACKUP_FAULTS_TOLD of them."""
    found = list(faults(backup, manifest))
    if not found:
        return
    told = "\n".join(f"  {each}" for each in found[: limits.BACKUP_FAULTS_TOLD])
    more = len(found) - limits.BACKUP_FAULTS_TOLD
    others = [each for each in whole_backups(backup.parent, now_ms) if each.name < backup.name]
    hint = f"\n较早的备份 An earlier one: --from {others[-1]}" if others else ""
    raise BackupError(
        f"备份 {backup} 已损坏，未作恢复。The backup {backup} is damaged and nothing was put back:\n{told}"
        + (f"\n  … {more}" if more > 0 else "") + hint,
        faults=found,
    )  # fmt: skip


def _files(folder: Path) -> Iterator[str]:
    """Yield the names of all files below a folder, links among them. Errors: OSError."""
    for place, folders, names in os.walk(folder):
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        for name in (*names, *links):
            yield (Path(place) / name).relative_to(folder).as_posix()
