"""What a running node has in its resolution log, read as it is at this moment.

A resolution is logged once its frame is in a spool. The keeper publishes it then, and takes segments of dead workers
away; so the log is what is published, what is decided in ``log.pending``, and what the spools have behind that.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgpack

from audit.block import open_block
from audit.clients import UNKNOWN
from audit.frame import Entry, decode_frame
from audit.pending import Pending, unpack_pending
from audit.places import PENDING
from audit.spool import MAGIC, read_segment, segments
from core.clock import Millis
from core.errors import Outcome
from core.events import Via
from core.peer import peer_of
from core.streams import Stream
from tests.kit.node import Node
from tests.kit.sequencing import leaves_of

_RESOLUTION = Stream.RESOLUTION.value
_TRIES_S = 20.0
_LOOK_S = 0.01


def data_folder(node: Node) -> Path:
    return node.folder / "data"


def spool_folder(node: Node) -> Path:
    """Return the folder of the workers' segments."""
    return data_folder(node) / "spool"


def entries(node: Node) -> list[Entry]:
    """Return what is logged: published, decided, or in a spool; each once, if the sequencer counts right."""
    path = data_folder(node) / PENDING
    deadline = time.monotonic() + _TRIES_S
    while time.monotonic() < deadline:
        before = path.read_bytes() if path.exists() else b""
        try:
            pending = unpack_pending(before) if before else None
            found = [*_decided(data_folder(node), pending), *_waiting(spool_folder(node), pending)]
        except FileNotFoundError:  # taken away meanwhile
            continue
        if before == (path.read_bytes() if path.exists() else b""):
            return found
    raise AssertionError("the log does not stand still for a moment")


def published(node: Node) -> list[Entry]:
    """Return what the published logs of resolutions have, or will have in a moment: what is decided."""
    return _decided(data_folder(node), unpack_pending((data_folder(node) / PENDING).read_bytes()))


def _waiting(folder: Path, pending: Pending | None) -> list[Entry]:
    """Return what lies in the spools behind what is decided, each worker's in its order."""
    found: list[Entry] = []
    for path in segments(folder):
        data = path.read_bytes()
        at = max(len(MAGIC), 0 if pending is None else pending.segments.get(path.name, 0))
        while (frame := decode_frame(data, at)) is not None:
            rows, at = frame
            found += rows
    return found


def _decided(data: Path, pending: Pending | None) -> list[Entry]:
    """Return what the log of resolutions has, with the round that is decided."""
    if pending is None:
        return []
    found: list[Entry] = []
    for folder in sorted((data / "log" / _RESOLUTION).iterdir()):
        now = folder.name == pending.month
        append = next((each for each in pending.appends if each.stream == _RESOLUTION and now), None)
        side = next((each for each in pending.sides if each.stream == _RESOLUTION and now), None)
        if append is not None:
            leaves = [*leaves_of(folder, append.first), *append.leaves]
        elif now:
            leaves = leaves_of(folder, pending.sizes[_RESOLUTION])
        else:
            leaves = leaves_of(folder, int((folder / "checkpoint").read_text().splitlines()[1]))
        table = data / "clients" / folder.name / _RESOLUTION
        octets = table.read_bytes() if table.exists() else b""
        addresses = _addresses(octets if side is None else octets[: side.offset] + side.data)
        for index, leaf in enumerate(leaves[1:], 1):
            found += _rows(leaf, addresses.get(index, []))
    return found


def _addresses(table: bytes) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = {}
    at = 0
    while at < len(table):
        end = at + 4 + int.from_bytes(table[at : at + 4])
        index, addresses = msgpack.unpackb(table[at + 4 : end])
        assert index not in found, "a leaf has two records in the side table"
        found[index] = addresses
        at = end
    return found


def _rows(leaf: bytes, addresses: list[bytes]) -> list[Entry]:
    """Return the entries of a block; the raw peer is put together from the port and the side table."""
    block = open_block(leaf)
    known = dict.fromkeys(client for client in block.clients if client is not UNKNOWN)
    address_of = dict(zip(known, addresses, strict=True)) | {UNKNOWN: b""}
    return [
        Entry(
            Millis(block.times[row]),
            Via(block.vias[row]),
            Outcome(block.outcomes[row]),
            block.ports[row].to_bytes(2) + address_of[client] if address_of[client] else b"",
            block.identifiers[row],
            block.who.get(row, ""),
        )
        for row, client in enumerate(block.clients)
    ]


@contextlib.contextmanager
def keeping_segments(node: Node) -> Iterator[None]:
    """Keep every segment that any worker writes in the block, also when the keeper has taken it away."""
    kept, ending = _kept_folder(node), threading.Event()
    kept.mkdir(exist_ok=True)

    def keep() -> None:
        while not ending.wait(_LOOK_S):
            _keep(node, kept)

    _keep(node, kept)
    thread = threading.Thread(target=keep, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
        _keep(node, kept)


def _keep(node: Node, kept: Path) -> None:
    for path in segments(spool_folder(node)):
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            os.link(path, kept / path.name)


def _kept_folder(node: Node) -> Path:
    return node.folder / "kept"


def entries_by_worker(node: Node) -> dict[str, list[Entry]]:
    """Return what each worker wrote into its segments, by its name: those that are there, and those that were kept."""
    paths = {path.name: path for folder in (spool_folder(node), _kept_folder(node)) for path in segments(folder)}
    found: dict[str, list[Entry]] = {}
    for name in sorted(paths):
        found.setdefault(name.rpartition("-")[0], []).extend(read_segment(paths[name]))
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
    """Give a list that has, behind the block, the entries that were logged in it."""
    before = Counter(entries(node))
    new: list[Entry] = []
    yield new
    for entry in entries(node):
        if before[entry]:
            before[entry] -= 1
        else:
            new.append(entry)
    assert not before.total(), "what was logged is not any more"
