"""Published logs as an inspector gets them: whole months, each exactly as one checkpoint counts it (Measures art. 15).

The logs grow while they are read. So all months are listed before any checkpoint is read: a month whose successor was
listed is over, and its checkpoint the final one. Then exactly the files of these checkpoints are read. Where a partial
file has become a full one meanwhile, what it was is cut out of that.

All of a month is checked on the way: hashes of all entries against the tiles, their root against the checkpoint, that
against the key beside it. One bundle is in memory at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from audit.checkpoint import Checkpoint, parse_checkpoint
from audit.merkle import HASH_BYTES, leaf_hash
from audit.note import open_note, parse_vkey
from audit.reading import LogReadError, months
from audit.tile import WIDTH, Edge, Place, bundle_path, edges, pack_bundle, tile_path, unpack_bundle
from core.streams import Stream

CHECKPOINT: Final = "checkpoint"
COSIGNED: Final = "checkpoint.cosigned"
VKEY: Final = "vkey"
TIMESTAMPS: Final = "timestamps"
_STAMP: Final = re.compile(r"([0-9]{1,19})\.tsr")


class Month(NamedTuple):
    """A month of a stream as it was. ``note``: the signed checkpoint; ``cosigned``: that of a witness, or nothing."""

    stream: Stream
    month: str
    note: bytes
    cosigned: bytes
    checkpoint: Checkpoint

    @property
    def path(self) -> str:
        """Where it lies below ``log/``."""
        return f"{self.stream.value}/{self.month}"


class Part(NamedTuple):
    """A file of a month. ``leaves``: what a bundle holds, with the index of the first; of any other file nothing."""

    path: str
    octets: bytes
    first: int = 0
    leaves: tuple[bytes, ...] = ()


def take_months(log: Path) -> list[Month]:
    """Return all published months by stream, ascending, consistent with each other. Errors: LogReadError."""
    listed = [(stream, month) for stream in Stream for month in months(log, stream)]
    taken = []
    for stream, month in listed:
        folder = log / stream.value / month
        cosigned = _read_or_nothing(folder / COSIGNED)  # before the checkpoint, so that it is not newer
        note = _read_or_nothing(folder / CHECKPOINT)
        if note:
            taken.append(Month(stream, month, note, cosigned, _parsed(folder, note)))
    return taken


def needed(taken: list[Month], first: str, last: str) -> list[Month]:
    """Return the months from one to another, and of maintenance all later ones: they say what was deleted since."""
    return [
        each for each in taken
        if first <= each.month and (each.month <= last or each.stream is Stream.MAINTENANCE)
    ]  # fmt: skip


def read_parts(log: Path, month: Month) -> Iterator[Part]:
    """Yield the files of a month, checked. Memory: one bundle. Errors: LogReadError that names a file."""
    folder = log / month.path
    size = month.checkpoint.size
    vkey = _read(folder, VKEY)
    _check_signature(folder, month.note, vkey)
    yield Part(CHECKPOINT, month.note)
    if month.cosigned:
        yield Part(COSIGNED, month.cosigned)
    yield Part(VKEY, vkey)
    yield from _stamps(folder, size)
    edge = Edge()
    for first in range(0, size, WIDTH):
        path = bundle_path(first // WIDTH, min(size - first, WIDTH))
        leaves = _leaves(folder, first // WIDTH, min(size - first, WIDTH))
        yield Part(path, pack_bundle(leaves), first, tuple(leaves))
        edge, tiles = edge.grow(map(leaf_hash, leaves))
        for place, octets in tiles:
            if place[2] == WIDTH:
                yield _tile(folder, place, octets)
    for level, number, width in edges(size):
        yield _tile(folder, (level, number, width), edge.rows[level])
    if edge.root() != month.checkpoint.root:
        raise _damaged(folder / CHECKPOINT, "与全部条目的根不符", "it is not the root of all entries")


def _tile(folder: Path, place: Place, octets: bytes) -> Part:
    """Return a tile as the entries make it. Errors: LogReadError if what is published is another."""
    level, number, width = place
    path = tile_path(level, number, width)
    if _read(folder, path, tile_path(level, number))[: width * HASH_BYTES] != octets:
        raise _damaged(folder / path, "与条目不符", "it does not fit the entries")
    return Part(path, octets)


def _leaves(folder: Path, number: int, width: int) -> list[bytes]:
    path = bundle_path(number, width)
    try:
        leaves = unpack_bundle(_read(folder, path, bundle_path(number)))
    except ValueError as error:
        raise _damaged(folder / path, f"条目文件有误（{error}）", f"it is no bundle of entries ({error})") from None
    if len(leaves) < width:
        raise _damaged(folder / path, f"只有 {len(leaves)} 条", f"it holds {len(leaves)} entries, not {width}")
    return leaves[:width]


def _stamps(folder: Path, size: int) -> Iterator[Part]:
    """Yield the time stamps of checkpoints up to this size."""
    place = folder / TIMESTAMPS
    names = sorted(each.name for each in place.iterdir()) if place.is_dir() else []
    for name in names:
        match = _STAMP.fullmatch(name)
        if match and int(match[1]) <= size:
            yield Part(f"{TIMESTAMPS}/{name}", _read(folder, f"{TIMESTAMPS}/{name}"))


def _parsed(folder: Path, note: bytes) -> Checkpoint:
    try:
        return parse_checkpoint(open_note(note, ()).text)
    except ValueError as error:
        raise _damaged(folder / CHECKPOINT, f"不是检查点（{error}）", f"it is no checkpoint ({error})") from None


def _check_signature(folder: Path, note: bytes, vkey: bytes) -> None:
    try:  # the node may have got another key in this month: each has its line
        signed = bool(open_note(note, [parse_vkey(line) for line in vkey.decode().splitlines()]).signed_by)
    except ValueError as error:
        raise _damaged(folder / CHECKPOINT, f"签名不对（{error}）", f"its signature is wrong ({error})") from None
    if not signed:
        raise _damaged(folder / CHECKPOINT, "没有 vkey 的签名", "it is not signed by the key in vkey")


def _read(folder: Path, *paths: str) -> bytes:
    """Return the first of these files that is there: a partial one goes once the full one is there."""
    for path in paths:
        try:
            return (folder / path).read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise LogReadError(f"{folder / path}: 无法读取。Cannot read it: {error.strerror}") from None
    raise _damaged(folder / paths[0], "文件缺失", "it is missing")


def _read_or_nothing(path: Path) -> bytes:
    return _read(path.parent, path.name) if path.exists() else b""


def _damaged(path: Path, zh: str, en: str) -> LogReadError:
    return LogReadError(
        f"{path}：{zh}。日志已损坏，未生成文件；请运行 saltern log verify。"
        f"{path}: {en}. The log is damaged and nothing was made; run saltern log verify"
    )
