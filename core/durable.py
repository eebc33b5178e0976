"""What is on the disk for good: new files (keys, secrets, settings), and the names in a folder."""

from __future__ import annotations

import os
from pathlib import Path


def write_new_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file and sync it; its name is durable once the folder is synced. Errors: OSError, also where one is."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_path(path: Path) -> None:
    """Sync what a file says, or the names in a folder. Errors: OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
