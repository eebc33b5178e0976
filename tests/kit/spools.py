"""What a running node has in the spool of its resolution log, read as it is at this moment."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

from audit.frame import Entry, decode_frame
from audit.spool import MAGIC, read_segment, segments
from core.peer import peer_of
from tests.kit.node import Node


def spool_folder(node: Node) -> Path:
    """Return the folder of the workers' segments."""
    return node.folder / "data" / "spool"


def entries(node: Node) -> list[Entry]:
    """Return what all workers have logged, each worker's in its order."""
    return [entry for path in segments(spool_folder(node)) for entry in read_segment(path)]


def entries_by_worker(node: Node) -> dict[str, list[Entry]]:
    """Return what each worker has logged, by its name."""
    found: dict[str, list[Entry]] = {}
    for path in segments(spool_folder(node)):
        found.setdefault(path.name.rpartition("-")[0], []).extend(read_segment(path))
    return found


def assert_whole(node: Node) -> None:
    """Every segment ends with a whole frame: nothing is torn, and nothing stands behind what is torn."""
    for path in segments(spool_folder(node)):
        data = path.read_bytes()
        assert data[: len(MAGIC)] == MAGIC[: len(data)], path
        at = len(MAGIC)
        while (found := decode_frame(data, at)) is not None:
            at = found[1]
        assert at >= len(data), f"{path.name}: {len(data) - at} octets of a frame that is torn"


def own_name(line: socket.socket) -> bytes:
    """Return the address of this side as the log has it."""
    return peer_of(line.getsockname())


@contextlib.contextmanager
def told(node: Node) -> Iterator[list[Entry]]:
    """Give a list that has, behind the block, the entries that were written in it."""
    before = entries(node)
    new: list[Entry] = []
    yield new
    after = entries(node)
    assert after[: len(before)] == before
    new += after[len(before) :]
