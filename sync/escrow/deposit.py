"""A deposit: a folder ``<out>/<prefix>/<YYYY-MM-DD>/<deposit id>/`` with ``deposit.json`` and its volumes.

1. It is written beside its place and synced, then renamed into it: it is there whole, or not at all.
2. It is read once the head's signature and the digest of every volume are right.
3. Content is never held whole: a chunk, and one item.

The format, octet by octet: docs/reference/escrow-format.md.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import msgpack
import zstandard

from audit.files import Files
from core import limits
from core.signature import Signer, key_id
from sync.escrow.faults import DepositError
from sync.escrow.head import FULL, Opening, deposit_day, deposit_id, format_head, is_table, parse_head, require_opening
from sync.escrow.item import Head, Item
from sync.escrow.sealing import ChunkOpener, ChunkSeal, Opener, Recipient
from sync.escrow.volumes import VolumeWriter, disk_fault, open_regular, read_pieces, require_volumes

HEAD: Final = "deposit.json"
PART: Final = ".part"
_LEVEL: Final = 3
_BATCH: Final = 65_536  # octets of items that are compressed at once
_ITEM_MEMBERS: Final = 3
_UNREADABLE: Final = (ValueError, TypeError, RecursionError, msgpack.UnpackException, zstandard.ZstdError)


def write_deposit(
    out: Path, items: Iterable[Item], opening: Opening, recipient: Recipient, signer: Signer,
    *, volume_bytes: int = limits.ESCROW_VOLUME_BYTES,
) -> tuple[Path, Head]:  # fmt: skip
    """Write a deposit below a folder; return where, and its head.

    Errors: DepositError no-room, disk, too-large, twice; ValueError for an opening that is none; those of ``items``.
    Nothing is left behind then.
    """
    require_opening(opening)
    day = out / opening.prefix / deposit_day(opening)
    place = day / deposit_id(opening)
    part = day / f".{place.name}{PART}"
    files = Files()
    try:
        files.make_folder(day)
        _remove_left(out / opening.prefix)
        if place.exists():
            raise DepositError("twice", str(place))
        part.mkdir()
    except OSError as error:
        raise disk_fault(day, error) from None
    try:
        with _held(part):
            head = _write(part, items, opening, recipient, signer, volume_bytes=volume_bytes)
            octets = format_head(head, signer)
            try:
                files.replace(part / HEAD, octets)
                files.sync_folder(part)
                files.rename(part, place)
            except OSError as error:
                raise disk_fault(place, error) from None
            part = place
            try:
                files.sync_folder(day)
            except OSError as error:
                raise disk_fault(place, error) from None
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return place, head


def read_head(folder: Path, node: str = "") -> Head:
    """Read the head of a deposit. ``node``: key id of who must have signed it, empty: whoever it names.

    Errors: DepositError missing, disk, head, signature, signer, too-large.
    """
    return parse_head(read_head_octets(folder), node)


def read_head_octets(folder: Path) -> bytes:
    """Return deposit.json as it is; at most one octet more than it may have. Errors: DepositError missing, disk."""
    path = folder / HEAD
    descriptor = open_regular(path)
    try:
        with os.fdopen(descriptor, "rb") as file:
            return file.read(limits.ESCROW_HEAD_BYTES_MAX + 1)
    except OSError as error:
        raise disk_fault(path, error) from None


def open_items(folder: Path, opener: Opener, node: str = "") -> Iterator[Item]:
    """Yield the items of a deposit. ``node``: as of ``read_head``.

    Head, key and volumes are right before the first item; digest and counts of the content once the last one is
    taken: whoever applies items, keeps none before the end. Errors: DepositError.
    """
    head = read_head(folder, node)
    if (head.algorithm, head.recipient) != (opener.algorithm, opener.key_id):
        ours = f"{opener.algorithm} {opener.key_id}"
        raise DepositError("wrong-key", f"{head.deposit}: {head.algorithm} {head.recipient}, not {ours}")
    require_volumes(folder, head.volumes)
    chunks = opener.begin(head.sealed_key, _bound(head.node, head.deposit))
    counts: Counter[str] = Counter()
    try:
        for packed in _unpacked(_content(folder, head, chunks), head.content_octets):
            item = _item(packed, head)
            counts[item.table] += 1
            yield item
    except _UNREADABLE as error:
        raise DepositError("content", f"{head.deposit}: {type(error).__name__}") from None
    if tuple(sorted(counts.items())) != head.counts:
        raise DepositError("content", f"{head.deposit}: counts")


# --- writing ---
def _write(
    part: Path, items: Iterable[Item], opening: Opening, recipient: Recipient, signer: Signer, *, volume_bytes: int
) -> Head:
    """Write the volumes; return the head. Errors: DepositError; those of ``items``."""
    deposit, node = deposit_id(opening), key_id(signer.public_key)
    sealed_key, seal = recipient.begin(_bound(node, deposit))
    volumes = VolumeWriter(part, volume_bytes)
    try:
        content = _Content(seal, volumes)
        for item in items:
            content.add(item, full=opening.kind == FULL)
        content.end()
        return Head(
            deposit, node, opening.prefix, opening.kind, opening.watermark, opening.since, opening.revision,
            opening.previous, opening.made_ms, tuple(sorted(content.counts.items())), content.octets,
            content.digest.hexdigest(), recipient.algorithm, recipient.key_id, sealed_key, volumes.close(),
        )  # fmt: skip
    finally:
        volumes.abandon()


class _Content:
    """Items on their way into volumes: packed, compressed, encrypted."""

    def __init__(self, seal: ChunkSeal, volumes: VolumeWriter) -> None:
        self.counts: Counter[str] = Counter()
        self.octets = 0
        self.digest = hashlib.sha256()
        self._seal = seal
        self._volumes = volumes
        self._packer = msgpack.Packer()
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL).compressobj()
        self._plain = bytearray()
        self._compressed = bytearray()

    def add(self, item: Item, *, full: bool) -> None:
        """Errors: DepositError."""
        if not is_table(item.table) or (full and item.row is None):
            raise ValueError(item.table)
        octets = len(item.key) + len(item.row or b"")
        if octets > limits.ESCROW_ITEM_BYTES_MAX:
            raise DepositError("too-large", f"{item.table}: a row of {octets} octets")
        self._plain += self._packer.pack((item.table, item.key, item.row))
        self.counts[item.table] += 1
        if len(self._plain) >= _BATCH:
            self._compress()

    def end(self) -> None:
        """Errors: DepositError."""
        self._compress()
        self._compressed += self._compressor.flush()
        self._encrypt()
        self._volumes.write(self._seal.seal(bytes(self._compressed), last=True))

    def _compress(self) -> None:
        self.octets += len(self._plain)
        if self.octets > limits.ESCROW_CONTENT_BYTES_MAX:
            raise DepositError("too-large", f"{self.octets} octets")
        plain = bytes(self._plain)
        self._plain.clear()
        self.digest.update(plain)
        self._compressed += self._compressor.compress(plain)
        self._encrypt()

    def _encrypt(self) -> None:
        """Seal whole chunks, and keep back what may be the last one."""
        size = self._seal.chunk_bytes
        while len(self._compressed) > size:
            self._volumes.write(self._seal.seal(bytes(self._compressed[:size]), last=False))
            del self._compressed[:size]


@contextlib.contextmanager
def _held(part: Path) -> Iterator[None]:
    """Hold a folder that is being written, so that no other process takes it for one that was left."""
    try:
        descriptor = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise disk_fault(part, error) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove_left(prefix: Path) -> None:
    """Remove what a process that was killed has left. Errors: OSError."""
    for part in prefix.glob(f"*/.*{PART}"):
        with contextlib.suppress(FileNotFoundError, BlockingIOError):
            descriptor = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(part)
            finally:
                os.close(descriptor)


# --- reading ---
def _bound(node: str, deposit: str) -> bytes:
    return f"{node}/{deposit}".encode()


class _Plain:
    """What was encrypted, as a file to read from."""

    def __init__(self, folder: Path, head: Head, chunks: ChunkOpener) -> None:
        self._pieces = read_pieces(folder, head.volumes, chunks.sealed_bytes)
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Return at most so many octets, none at the end. Errors: DepositError."""
        if not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._rest = self._chunks.open(piece[0], last=piece[1])
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


def _content(folder: Path, head: Head, chunks: ChunkOpener) -> Iterator[bytes]:
    """Yield the content, no more of it than the head tells. Errors: DepositError; ZstdError."""
    digest, octets = hashlib.sha256(), 0
    decompressor = zstandard.ZstdDecompressor(max_window_size=limits.ESCROW_WINDOW_BYTES_MAX)
    plain: Any = _Plain(folder, head, chunks)
    with decompressor.stream_reader(plain, read_size=limits.ESCROW_CHUNK_BYTES, read_across_frames=True) as reader:
        while data := reader.read(_BATCH):
            octets += len(data)
            if octets > head.content_octets:
                raise DepositError("content", f"{head.deposit}: more than {head.content_octets} octets")
            digest.update(data)
            yield data
    if octets != head.content_octets or digest.hexdigest() != head.content_sha256:
        raise DepositError("content", f"{head.deposit}: {octets} of {head.content_octets} octets, or SHA-256")


def _unpacked(content: Iterator[bytes], octets: int) -> Iterator[Any]:
    """Yield what was packed. Errors: ValueError, UnpackException."""
    most = limits.ESCROW_ITEM_BYTES_MAX
    unpacker = msgpack.Unpacker(
        max_buffer_size=most + 2 * _BATCH, max_bin_len=most, max_str_len=_BATCH, max_array_len=_ITEM_MEMBERS,
        max_map_len=0, max_ext_len=0,
    )  # fmt: skip
    end = 0
    for data in content:
        unpacker.feed(data)
        for packed in unpacker:
            end = unpacker.tell()  # it also counts what it has of an item that is not whole
            yield packed
    if end != octets:
        raise ValueError("the last item is cut short")


def _item(packed: Any, head: Head) -> Item:
    """Errors: ValueError, TypeError."""
    table, key, row = packed
    if type(table) is not str or not is_table(table) or type(key) is not bytes:
        raise TypeError("item")
    if type(row) is not bytes and (row is not None or head.kind == FULL):
        raise TypeError("row")
    return Item(table, key, row)
