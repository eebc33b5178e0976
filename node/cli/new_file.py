"""Files that a command writes whole or not at all, and never over others."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from core.durable import sync_path
from core.errors import NodeError, Outcome

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Give a file beside the one that is wanted; it takes that one's place once all of it is on the disk.

    Errors: NodeError; whatever fails leaves nothing behind.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        if os.path.lexists(path):
            raise FileExistsError
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))  # so that no other file goes lost
            beside.replace(path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                beside.unlink()
        sync_path(path.parent)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        if not path.parent.is_dir():
            raise NodeError(
                f"没有目录 {path.parent}，未作改动。There is no folder {path.parent}; nothing was done",
                outcome=Outcome.NOT_FOUND,
            ) from None
        raise _unwritable(path, error) from None


def require_new(paths: Iterable[Path]) -> None:
    """Errors: NodeError for a file that is there."""
    for path in paths:
        if os.path.lexists(path):
            raise _exists(path)


def write_new_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files, mode 0600, all of them or none; the folder is made, mode 0700, where it is not there.

    Errors: NodeError; whatever fails leaves nothing behind but the folder.
    """
    named: list[Path] = []
    beside: list[Path] = []
    path = folder
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        for name, octets in files.items():
            path = folder / name
            part = path.parent / f".{path.name}.{os.getpid()}.partial"
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            beside.append(part)
            with os.fdopen(descriptor, "wb") as file:
                file.write(octets)
                file.flush()
                os.fsync(file.fileno())
        for name, part in zip(files, beside, strict=True):
            path = folder / name
            path.hardlink_to(part)  # a rename would overwrite
            named.append(path)
        sync_path(folder)
    except OSError as error:
        for each in named:
            each.unlink(missing_ok=True)
        raise (_exists(path) if isinstance(error, FileExistsError) else _unwritable(path, error)) from None
    finally:
        for each in beside:
            each.unlink(missing_ok=True)


def _exists(path: Path) -> NodeError:
    return NodeError(f"{path} 已存在，未作改动。{path} exists; nothing was done", outcome=Outcome.CONFLICT)


def _unwritable(path: Path, error: OSError) -> NodeError:
    outcome = Outcome.STORE_FULL if error.errno in _FULL else Outcome.INTERNAL
    return NodeError(f"无法写入 {path}。Cannot write {path}: {error.strerror}", outcome=outcome)
