"""A sequencer at work on a folder, its workers and its queue, for tests: what went in, and what came out.

Time is given. What went in is counted by names; what came out is read from the published files alone, with each
checkpoint that was ever published.
"""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.block import is_block, open_block
from audit.checkpoint import Checkpoint, parse_checkpoint
from audit.clients import UNKNOWN, client_of
from audit.entry import Software
from audit.files import Files
from audit.frame import encode_frame
from audit.merkle import Frontier, leaf_hash
from audit.note import ed25519_key, open_note
from audit.sequencer import Publisher, Sequencer
from audit.side import KEY_FILE, month_folder, read_key, read_side
from audit.spool import MAGIC
from audit.tile import bundle_path, tile_path, tiles_between, unpack_bundle
from core.clock import Millis
from core.store.engine import Batch, Engine, Table
from core.store.log_queue import LogQueue
from core.store.log_rows import LogEntry, LogRow, log_key, pack_log_row
from core.store.memory_engine import MemoryEngine
from core.streams import Stream
from core.who import Who

HOST: Final = "node.example"
NODE: Final = "88.118"
SOFTWARE: Final = Software(NODE, "0.1")
_PRIVATE: Final = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC: Final = _PRIVATE.public_key().public_bytes_raw()
PUBLISHER: Final = Publisher(HOST, SOFTWARE, PUBLIC, _PRIVATE.sign)
PEER: Final = bytes.fromhex("9c41c0000207")  # 192.0.2.7, port 40001
OPERATOR: Final = Who("operator", "Li", -1, "t-1")


class Rows:
    """The registrar's side of the queue."""

    def __init__(self, store: Engine | None = None) -> None:
        self.store = store or MemoryEngine()
        self.queue = LogQueue(self.store)
        self._numbers = itertools.count(1)

    def add(self, at_ms: int, *entries: LogEntry, peer: bytes = PEER) -> int:
        """Commit one row; return its number."""
        row = LogRow(Millis(at_ms), OPERATOR, "http/v1", peer, entries)
        return self.add_packed(pack_log_row(row))

    def add_packed(self, packed: bytes) -> int:
        number = next(self._numbers)
        batch = Batch()
        batch.put(Table.LOG_QUEUE, log_key(number), packed)
        self.store.commit(batch)
        return number


def entry_of(name: str, stream: Stream = Stream.REGISTRATION) -> LogEntry:
    """Return an act on something of that name."""
    return LogEntry(stream.value, "record.create", name, after=hashlib.sha256(name.encode()).digest())


class Month(NamedTuple):
    """One log as it is published. ``leaves``: all entries."""

    stream: Stream
    month: str
    checkpoint: Checkpoint
    note: bytes
    leaves: list[bytes]


def months_of(data: Path, stream: Stream) -> list[Month]:
    """Read all logs of a stream, and verify each: its signature, and its root from all entries."""
    found = []
    for folder in sorted((data / "log" / stream.value).iterdir()):
        note = (folder / "checkpoint").read_bytes()
        origin = f"{HOST}/log/{stream.value}/{folder.name}"
        opened = open_note(note, [ed25519_key(origin, PUBLIC)])
        assert opened.signed_by, folder
        assert ed25519_key(origin, PUBLIC).vkey in (folder / "vkey").read_text().splitlines()
        checkpoint = parse_checkpoint(opened.text)
        assert checkpoint.origin == origin
        leaves = leaves_of(folder, checkpoint.size)
        assert root_of(leaves) == checkpoint.root, folder
        assert_tiles(folder, checkpoint.size, leaves)
        found.append(Month(stream, folder.name, checkpoint, note, leaves))
    return found


def leaves_of(folder: Path, size: int) -> list[bytes]:
    """Return the entries of a published log."""
    leaves: list[bytes] = []
    for number in range(-(-size // 256)):
        width = min(256, size - 256 * number)
        path = folder / bundle_path(number, width)
        leaves += unpack_bundle((path if path.exists() else folder / bundle_path(number)).read_bytes())[:width]
    assert len(leaves) == size, folder
    return leaves


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Return the root over entries."""
    frontier = Frontier()
    frontier.extend(map(leaf_hash, leaves))
    return frontier.root()


def assert_tiles(folder: Path, size: int, leaves: Sequence[bytes]) -> None:
    """Every tile of a tree of that size is there, and level 0 has the hashes of the entries."""
    for level, number, width in tiles_between(0, size):
        data = (folder / tile_path(level, number, width)).read_bytes()
        assert len(data) == 32 * width
        if not level:
            entries = leaves[256 * number : 256 * number + width]
            assert data == b"".join(map(leaf_hash, entries)), (folder, number)


def assert_chained(months: Sequence[Month]) -> None:
    """The first entry of each month is the last checkpoint of the one before, octet by octet."""
    begin = json.loads(months[0].leaves[0])
    assert (begin["act"], begin["stream"]) == ("log.begin", months[0].stream.value)
    for before, after in itertools.pairwise(months):
        assert after.leaves[0] == before.note, f"{after.month} does not begin with the end of {before.month}"
        assert before.month < after.month


class Logged(NamedTuple):
    """Everything that the logs have, in the order of the index, without the first entries of months."""

    resolutions: list[str]
    acts: dict[Stream, list[tuple[str, str]]]

    @property
    def all_acts(self) -> list[tuple[str, str]]:
        return [act for acts in self.acts.values() for act in acts]


def logged(data: Path) -> Logged:
    """Read and verify all logs, and the side tables beside them."""
    found = Logged([], {})
    for stream in Stream:
        months = months_of(data, stream)
        assert_chained(months)
        acts = found.acts.setdefault(stream, [])
        for month in months:
            assert_side_table(data, month)
            for leaf in month.leaves[1:]:
                if is_block(leaf):
                    assert stream is Stream.RESOLUTION
                    found.resolutions.extend(each.decode() for each in open_block(leaf).identifiers)
                else:
                    document = json.loads(leaf)
                    assert document["stream"] == stream.value
                    acts.append((document["act"], document["obj"]))
    return found


def assert_side_table(data: Path, month: Month) -> None:
    """One record of each leaf with known clients, in order; and the leaf's hashes are those of the addresses."""
    folder = month_folder(data, month.month)
    key = read_key(folder)
    assert (folder.stat().st_mode & 0o777, (folder / KEY_FILE).stat().st_mode & 0o777) == (0o700, 0o600)
    wanted: list[tuple[int, list[str]]] = []
    for index, leaf in enumerate(month.leaves):
        hashes: list[str] = []
        if is_block(leaf):
            clients = dict.fromkeys(client for client in open_block(leaf).clients if client is not UNKNOWN)
            hashes = [client.hashed.hex() for client in clients]
        elif index:
            hashes = list(filter(None, [json.loads(leaf)["from"]["client"]]))
        if hashes:
            wanted.append((index, hashes))
    path = folder / month.stream.value
    have = list(read_side(path)) if path.exists() else []
    assert [(index, [client_of(key, each).hashed.hex() for each in addresses]) for index, addresses in have] == wanted


def assert_nothing_is_left_over(data: Path, *, partial: bool = False) -> None:
    """No temporary name; no partial tile whose full one is there, unless they may be."""
    for path in data.rglob("*"):
        assert not path.name.startswith("."), path
        assert partial or not (path.name.endswith(".p") and path.with_name(path.name[:-2]).exists()), path


# --- checkpoints and octets that were ever there ---


class Watching(Files):
    """Files that remember what was published: digests by path, and every checkpoint."""

    def __init__(self, digests: dict[Path, bytes], checkpoints: list[tuple[Path, Checkpoint]]) -> None:
        super().__init__()
        self.digests = digests
        self.checkpoints = checkpoints

    def rename(self, beside: Path, path: Path) -> None:
        self.watch(path, beside.read_bytes())
        super().rename(beside, path)

    def watch(self, path: Path, data: bytes) -> None:
        """Errors: AssertionError if a published file gets other octets."""
        if "log" not in path.parts:
            return
        if path.name == "checkpoint":
            text = data.decode().rpartition("\n\n")[0] + "\n"
            self.checkpoints.append((path.parent, parse_checkpoint(text)))
        elif path.name != "vkey":
            digest = hashlib.sha256(data).digest()
            assert self.digests.setdefault(path, digest) == digest, f"{path} got other octets"


def assert_consistent(checkpoints: Sequence[tuple[Path, Checkpoint]]) -> None:
    """Every checkpoint that ever was is the beginning of what is there now, and none was smaller than one before."""
    leaves: dict[Path, list[bytes]] = {}
    last: dict[Path, int] = {}
    for folder, checkpoint in checkpoints:
        if folder not in leaves:
            note = (folder / "checkpoint").read_text()
            leaves[folder] = leaves_of(folder, int(note.splitlines()[1]))
        assert root_of(leaves[folder][: checkpoint.size]) == checkpoint.root, (folder, checkpoint.size)
        assert checkpoint.size >= last.get(folder, 0)
        last[folder] = checkpoint.size


def sequencer_of(data: Path, rows: Rows, files: Files | None = None) -> Sequencer:
    return Sequencer(data, rows.queue, PUBLISHER, files)


def run_out(sequencer: Sequencer, now_ms: int) -> int:
    """Run rounds until nothing waits; return how many. Errors: those of the sequencer."""
    count = 1
    while sequencer.round(Millis(now_ms)).more:
        count += 1
        assert count < 1_000, "rounds go on for ever"
    return count


# --- what a worker left ---


class Segment:
    """A segment of the spool that is written frame by frame. ``held``: by a worker that lives."""

    def __init__(self, data: Path, worker: str, at_ms: int, *, held: bool = True) -> None:
        folder = data / "spool"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = folder / f"{worker}-{at_ms:013}.spool"
        self.file = self.path.open("xb", buffering=0)
        if held:
            fcntl.flock(self.file, fcntl.LOCK_EX)
        self.file.write(MAGIC)

    def add(self, at_ms: int, *names: str, peer: bytes = PEER) -> None:
        """Write the frame of one turn."""
        self.file.write(frame_of(at_ms, *names, peer=peer))

    def end(self) -> None:
        """The worker ends, or rotates."""
        self.file.close()


def frame_of(at_ms: int, *names: str, peer: bytes = PEER) -> bytes:
    """Return the frame of one turn that asked for these."""
    return encode_frame(at_ms, [(1, "ok", peer, name.encode(), "") for name in names])
