"""A file that a command writes whole or not at all, and never over another one."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

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
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError:
        raise NodeError(f"{path} 已存在，未作改动。{path} exists; nothing was done", outcome=Outcome.CONFLICT) from None
    except OSError as error:
        outcome = Outcome.STORE_FULL if error.errno in _FULL else Outcome.INTERNAL
        if not path.parent.is_dir():
            raise NodeError(
                f"没有目录 {path.parent}，未作改动。There is no folder {path.parent}; nothing was done",
                outcome=Outcome.NOT_FOUND,
            ) from None
        raise NodeError(f"无法写入 {path}。Cannot write {path}: {error.strerror}", outcome=outcome) from None
