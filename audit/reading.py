"""Reads a published log: the months of a stream, and the leaves of one as its checkpoint counts them.

    log/<stream>/<YYYY-MM>/checkpoint, tile/<L>/<N>[.p/W], tile/entries/<N>[.p/W]

A month is read as it was when it was opened: what is published meanwhile is not looked at, since nothing that is
published ever changes. Only one bundle is in memory at a time. Nothing is verified here: that is ``audit/verify.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from audit.checkpoint import parse_checkpoint
from audit.tile import WIDTH, bundle_path, tile_path, unpack_bundle
from core.clock import parse_month
from core.errors import NodeError
from core.streams import Stream

_HASH_BYTES: Final = 32


class LogReadError(NodeError):
    """A published log cannot be read: a file is missing, or is not what it should be."""


class MonthLog:
    """The log of one month, as of one checkpoint. ``checkpoint``: the signed note, verbatim; ``size``: leaves."""

    def __init__(self, folder: Path, stream: Stream, month: str, checkpoint: bytes) -> None:
        """Errors: LogReadError."""
        self.stream = stream
        self.month = month
        self.checkpoint = checkpoint
        self._folder = folder
        try:
            text, end, _ = checkpoint.decode().rpartition("\n\n")
            found = parse_checkpoint(text + end[:1])
        except ValueError as error:
            raise LogReadError(f"{folder / 'checkpoint'}: 不是检查点。It is no checkpoint: {error}") from None
        self.origin: str = found.origin
        self.size: int = found.size
        self._bundle: tuple[int, list[bytes]] = (-1, [])

    def leaves(self, begin: int = 0, end: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Yield index and octets of leaves; the one at ``end`` is not among them. Errors: LogReadError."""
        return self.pick(range(begin, self.size if end is None else min(end, self.size)))

    def pick(self, indexes: Iterable[int]) -> Iterator[tuple[int, bytes]]:
        """Yield index and octets of these leaves. Cost: a file for each 256, if they rise. Errors: LogReadError."""
        for index in indexes:
            number, place = divmod(index, WIDTH)
            if self._bundle[0] != number:
                self._bundle = (number, self._read_bundle(number))
            yield index, self._bundle[1][place]

    def leaf_hash(self, index: int) -> bytes:
        """Return the hash of a leaf, as the tile has it. Errors: LogReadError."""
        number, place = divmod(index, WIDTH)
        paths = [tile_path(0, number, width) for width in self._widths(number)]
        return self._read(paths)[place * _HASH_BYTES : (place + 1) * _HASH_BYTES]

    def _read_bundle(self, number: int) -> list[bytes]:
        widths = self._widths(number)
        paths = [bundle_path(number, width) for width in widths]
        try:
            entries = unpack_bundle(self._read(paths))
        except ValueError as error:
            raise LogReadError(f"{self._folder / paths[0]}: 条目文件有误。The bundle is damaged: {error}") from None
        if len(entries) < widths[0]:
            raise LogReadError(
                f"{self._folder / paths[0]}: 只有 {len(entries)} 条，应有 {widths[0]} 条。"
                f"It holds {len(entries)} entries, not {widths[0]}"
            )
        return entries[: widths[0]]

    def _widths(self, number: int) -> tuple[int, ...]:
        """Return how wide a tile is at this size, then how wide it may have become since."""
        width = min(self.size - number * WIDTH, WIDTH)
        return (width,) if width == WIDTH else (width, WIDTH)

    def _read(self, paths: list[str]) -> bytes:
        """Return the first of these files that is there: a partial tile goes only once the full one is there."""
        for path in paths:
            try:
                return (self._folder / path).read_bytes()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise LogReadError(f"{self._folder / path}: 无法读取。Cannot read it: {error.strerror}") from None
        raise LogReadError(f"{self._folder / paths[0]}: 缺少文件。The file is missing")


def months(log: Path, stream: Stream) -> list[str]:
    """Return the months of a stream that have a folder, the oldest first."""
    try:
        names = [each.name for each in (log / stream.value).iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name for name in names if parse_month(name))


def open_month(log: Path, stream: Stream, month: str) -> MonthLog | None:
    """Return the log of a month; None where nothing of it is published yet, or any more. Errors: LogReadError."""
    folder = log / stream.value / month
    try:
        checkpoint = (folder / "checkpoint").read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LogReadError(f"{folder / 'checkpoint'}: 无法读取。Cannot read it: {error.strerror}") from None
    return MonthLog(folder, stream, month, checkpoint)


def open_months(log: Path, stream: Stream, since: str = "", until: str = "9999-12") -> Iterator[MonthLog]:
    """Yield the logs of a stream's months from one to another, both among them. Errors: LogReadError."""
    for month in months(log, stream):
        if since <= month <= until and (opened := open_month(log, stream, month)) is not None:
            yield opened
