"""File operations of the logs: what each leaves behind when it fails, and when the power does.

1. Content is written beside its place and synced, then renamed into it: a name has the whole content or none.
2. A name is durable once its folder is synced.
3. What is published is never given other octets: ``write_new`` refuses it.

One process writes (``audit/sequencer.py`` holds the lock). The operations are few, so that tests can fail each of
them, before or after it is done.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from core.durable import sync_path
from core.errors import NodeError

_BESIDE: Final = ".new"


class RewriteError(NodeError):
    """A published file would get other octets."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} 已发布，内容不得更改。{path} is published with other octets and must not change")
        self.path = path


class Files:
    """The operations. Errors: OSError of the system, as it is."""

    def write(self, path: Path, data: bytes, mode: int = 0o644) -> Path:
        """Write and sync the content beside its place; return where."""
        beside = path.with_name(f".{path.name}{_BESIDE}")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return beside

    def rename(self, beside: Path, path: Path) -> None:
        """Give what was written its name."""
        beside.rename(path)

    def sync_folder(self, folder: Path) -> None:
        """Make the names in a folder durable."""
        sync_path(folder)

    def make_folder(self, folder: Path, mode: int = 0o755) -> None:
        """Make a folder that may be there already; the name of one that is made is durable."""
        if folder.is_dir():
            return
        self.make_folder(folder.parent)
        folder.mkdir(mode=mode, exist_ok=True)
        self.sync_folder(folder.parent)

    def write_at(self, path: Path, offset: int, data: bytes) -> None:
        """Have a private file end with this content from an offset on, synced."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(descriptor).st_size < offset:  # what is missing would become zeros
                raise OSError(f"{path} has less than {offset} octets: restore what was there")
            os.ftruncate(descriptor, offset)
            written = os.pwrite(descriptor, data, offset)
            if written != len(data):
                raise OSError(f"{written} of {len(data)} octets were taken")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def remove(self, path: Path) -> None:
        """Remove a file, or a folder with files alone, that may be gone already."""
        if path.is_dir():
            for each in path.iterdir():
                each.unlink(missing_ok=True)
            path.rmdir()
        else:
            path.unlink(missing_ok=True)

    def write_new(self, path: Path, data: bytes) -> None:
        """Publish a file, once. Errors: RewriteError if it is there with other octets."""
        if path.exists():
            if path.read_bytes() != data:
                raise RewriteError(path)
            return
        self.make_folder(path.parent)
        self.rename(self.write(path, data), path)

    def replace(self, path: Path, data: bytes, mode: int = 0o644) -> None:
        """Put a file in the place of one that may be there. Its folder is yet to be synced."""
        self.rename(self.write(path, data, mode), path)
