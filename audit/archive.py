"""A ZIP archive that is written as a stream, and what its files are: length, SHA-256, SM3.

The same files give the same octets: their order is the caller's, their times are that of 1980-01-01, their names have
no folder above. Memory: one part of a file, and about half a KiB for each file of the archive, since ZIP lists them
at its end (APPNOTE 6.3.10 §4.3.12). SHA256SUMS and SM3SUMS list all files as ``sha256sum -c`` reads them.
"""

from __future__ import annotations

import hashlib
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from functools import partial
from typing import IO, Final, NamedTuple

SUMS: Final = ("SHA256SUMS", "SM3SUMS")
_TIME: Final = (1980, 1, 1, 0, 0, 0)
_UNIX: Final = 3
_MODE: Final = 0o100644 << 16
_BUFFERED: Final = 262_144


class Member(NamedTuple):
    """A file of an archive. Digests: hexadecimal."""

    name: str
    octets: int
    sha256: str
    sm3: str


class Archive:
    """Writes files, one behind the other. ``look``: is shown all that comes, and may refuse it by raising."""

    def __init__(self, file: IO[bytes], look: Callable[[str, bytes], None]) -> None:
        self._zip = zipfile.ZipFile(file, "w", allowZip64=True)
        self._look = look
        self._sums = [tempfile.TemporaryFile() for _ in SUMS]  # noqa: SIM115 - closed when they are added
        self.files = 0

    def add(self, name: str, parts: Iterable[bytes], *, packed: bool = True) -> Member:
        """Write a file. ``packed``: it gets smaller by DEFLATE. Errors: OSError, those of ``look``."""
        info = zipfile.ZipInfo(name, _TIME)
        info.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
        info.create_system, info.external_attr = _UNIX, _MODE
        sha256, sm3, octets = hashlib.sha256(), hashlib.new("sm3"), 0
        with self._zip.open(info, "w", force_zip64=True) as file:
            for part in parts:
                self._look(name, part)
                file.write(part)
                sha256.update(part)
                sm3.update(part)
                octets += len(part)
        member = Member(name, octets, sha256.hexdigest(), sm3.hexdigest())
        for sums, digest in zip(self._sums, member[2:]):  # noqa: B905 - none once the lists are written
            sums.write(f"{digest}  {name}\n".encode())
        self.files += 1
        return member

    def add_sums(self) -> list[Member]:
        """Write the lists of all files so far; what is added later stands in none. Errors: OSError."""
        written, self._sums = self._sums, []
        added = []
        for name, sums in zip(SUMS, written, strict=True):
            with sums:
                sums.seek(0)
                added.append(self.add(name, iter(partial(sums.read, _BUFFERED), b"")))
        return added

    def close(self) -> None:
        """Write the end of the archive. Errors: OSError."""
        self._zip.close()
