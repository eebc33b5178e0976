"""The volumes of a deposit: its encrypted content as one stream of octets, cut where a volume is full."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from core import limits
from sync.escrow.faults import DepositError
from sync.escrow.head import volume_name
from sync.escrow.item import Volume

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_READ: Final = 1_048_576


def disk_fault(path: Path, error: OSError) -> DepositError:
    """Return what is said of a disk that refused."""
    rule = "no-room" if error.errno in _FULL else "disk"
    return DepositError(rule, f"{path}: {error.strerror or error}")


class VolumeWriter:
    """Writes volumes into a folder, each synced. ``volume_bytes``: of each but the last one.

    Errors of all methods: DepositError no-room, disk, too-large.
    """

    def __init__(self, folder: Path, volume_bytes: int) -> None:
        if not 0 < volume_bytes <= limits.ESCROW_VOLUME_BYTES_MAX:
            raise ValueError(volume_bytes)
        self._folder = folder
        self._volume_bytes = volume_bytes
        self._volumes: list[Volume] = []
        self._descriptor: int | None = None
        self._octets = 0
        self._digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Write what comes next of the stream."""
        rest = memoryview(data)
        while rest:
            if self._descriptor is None:
                self._begin()
            part = rest[: self._volume_bytes - self._octets]
            self._put(part)
            rest = rest[len(part) :]
            if self._octets == self._volume_bytes:
                self._end()

    def close(self) -> tuple[Volume, ...]:
        """End the last volume; return all."""
        if self._descriptor is not None:
            self._end()
        return tuple(self._volumes)

    def abandon(self) -> None:
        """Close what is open."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @property
    def _path(self) -> Path:
        return self._folder / volume_name(len(self._volumes) + 1)

    def _begin(self) -> None:
        if len(self._volumes) == limits.ESCROW_VOLUMES_MAX:
            raise DepositError("too-large", f"{limits.ESCROW_VOLUMES_MAX} volumes of {self._volume_bytes} octets")
        try:
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise disk_fault(self._path, error) from None
        self._octets = 0
        self._digest = hashlib.sha256()

    def _put(self, part: memoryview) -> None:
        assert self._descriptor is not None
        rest = part
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            raise disk_fault(self._path, error) from None
        self._digest.update(part)
        self._octets += len(part)

    def _end(self) -> None:
        assert self._descriptor is not None
        path, descriptor = self._path, self._descriptor
        try:
            os.fsync(descriptor)
        except OSError as error:
            raise disk_fault(path, error) from None
        self.abandon()
        self._volumes.append(Volume(path.name, self._octets, self._digest.hexdigest()))


def open_regular(path: Path) -> int:
    """Open a file that is no link, pipe or device. Errors: DepositError missing, disk."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
    except FileNotFoundError:
        raise DepositError("missing", str(path)) from None
    except OSError as error:
        raise disk_fault(path, error) from None
    raise DepositError("disk", f"{path} is no file")


def require_volumes(folder: Path, volumes: Sequence[Volume]) -> None:
    """Errors: DepositError missing, cut, altered, disk, unless each volume is there as it was signed."""
    for volume in volumes:
        require_volume(folder / volume.name, volume)


def require_volume(path: Path, volume: Volume) -> None:
    """The same of one, wherever it lies."""
    digest = hashlib.sha256()
    descriptor = open_regular(path)
    try:
        octets = os.fstat(descriptor).st_size
        if octets != volume.octets:
            rule = "cut" if octets < volume.octets else "altered"
            raise DepositError(rule, f"{path} has {octets} of {volume.octets} octets")
        while data := os.read(descriptor, _READ):
            digest.update(data)
    except OSError as error:
        raise disk_fault(path, error) from None
    finally:
        os.close(descriptor)
    if digest.hexdigest() != volume.sha256:
        raise DepositError("altered", f"{path}: SHA-256")


def read_pieces(folder: Path, volumes: Sequence[Volume], piece_bytes: int) -> Iterator[tuple[bytes, bool]]:
    """Yield the stream in pieces of a length, and whether it is the last one, which may be shorter.

    Errors: DepositError missing, cut, disk.
    """
    rest = sum(volume.octets for volume in volumes)
    piece = bytearray()
    for volume in volumes:
        path, left = folder / volume.name, volume.octets
        descriptor = open_regular(path)
        try:
            while left:
                data = os.read(descriptor, min(piece_bytes - len(piece), left))
                if not data:
                    raise DepositError("cut", str(path))
                left -= len(data)
                rest -= len(data)
                piece += data
                if len(piece) == piece_bytes or not rest:
                    yield bytes(piece), not rest
                    piece.clear()
        except OSError as error:
            raise disk_fault(path, error) from None
        finally:
            os.close(descriptor)
