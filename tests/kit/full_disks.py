"""Disks that are full for the resolution log of a running node, and have room again.

``SmallDisk`` is a file system of its own under the spool; only root may make one. ``FileLimit`` is the
system's limit on the size of a worker's files: exact to the octet, and for everybody.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from collections.abc import Iterator
from typing import Protocol

import pytest

from audit.spool import segments
from tests.kit.node import Node
from tests.kit.spools import spool_folder

_SMALL_BYTES = 1 << 18


class Disk(Protocol):
    """What the spool lies on."""

    def fill(self, room: int = 0) -> None:
        """Leave so many octets to the segment, or as few as can be."""

    def free(self) -> None:
        """Make room again."""


class FileLimit:
    """The worker may write no octet behind some place in any file."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def fill(self, room: int = 0) -> None:
        size = max(path.stat().st_size for path in segments(spool_folder(self._node)))
        self._limit(size + room)

    def free(self) -> None:
        self._limit(resource.RLIM_INFINITY)

    def _limit(self, size: int) -> None:
        pid = self._node.children()["worker-0"]
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]))


class SmallDisk:
    """A file system with a file that takes all of its room; the last page of a segment keeps some."""

    def __init__(self, node: Node) -> None:
        self._filler = spool_folder(node) / "filler"

    def fill(self, room: int = 0) -> None:
        descriptor = os.open(self._filler, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with contextlib.suppress(OSError):
                while os.write(descriptor, bytes(4_096)):
                    pass
        finally:
            os.close(descriptor)

    def free(self) -> None:
        self._filler.unlink()


@contextlib.contextmanager
def small_disk(node: Node) -> Iterator[None]:
    """Mount a small file system for the spool of a node that does not run; skip the test where nobody may."""
    folder = spool_folder(node)
    folder.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_SMALL_BYTES},mode=700", "saltern-test", str(folder)],
        capture_output=True, text=True,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
