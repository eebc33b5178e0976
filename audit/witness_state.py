"""What a witness remembers, in files: ``<folder>/<SHA-256 of the origin>/checkpoint``, the last note that it cosigned.

A static web server can publish the folder as it is: it is the monitoring interface of C2SP tlog-witness.

1. A note is compared and stored under the lock of the folder, by whichever process and thread: no two of them both
   find the same one to follow.
2. It is written beside, synced, renamed, and the folder synced, before it counts as stored. What a kill leaves is the
   note before or the note after.
3. A note that cannot be read is never taken for none: a witness that forgot would cosign a fork.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from audit.checkpoint import CheckpointError, parse_checkpoint
from audit.files import Files
from audit.note import NoteError, open_note
from audit.witness import Held

_CHECKPOINT: Final = "checkpoint"
_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


class StateError(Exception):
    """What is held of an origin cannot be read: look at the file, and restore it."""


class FileState:
    """See WitnessState. ``folder`` is made if it is not there. Errors: OSError."""

    def __init__(self, folder: Path, files: Files | None = None) -> None:
        self._folder = folder
        self._files = Files() if files is None else files
        self._files.make_folder(folder)

    def held(self, origin: str) -> Held | None:
        path = self._path(_digest(origin))
        try:
            checkpoint = parse_checkpoint(open_note(path.read_bytes(), ()).text)
        except FileNotFoundError:
            return None
        except (NoteError, CheckpointError) as error:
            raise StateError(f"{path}: {error}") from None
        if checkpoint.origin != origin:
            raise StateError(f"{path}: it is of {checkpoint.origin}")
        return Held(checkpoint.size, checkpoint.root)

    def replace(self, origin: str, held: Held | None, note: bytes) -> bool:
        path = self._path(_digest(origin))
        with self._locked():
            if self.held(origin) != held:
                return False
            self._files.make_folder(path.parent)
            self._files.replace(path, note)
            self._files.sync_folder(path.parent)
        return True

    def note(self, origin_sha256: str) -> bytes | None:
        if not _DIGEST.fullmatch(origin_sha256):
            return None
        try:
            return self._path(origin_sha256).read_bytes()
        except FileNotFoundError:
            return None

    def _path(self, digest: str) -> Path:
        return self._folder / digest / _CHECKPOINT

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _digest(origin: str) -> str:
    return hashlib.sha256(origin.encode()).hexdigest()
