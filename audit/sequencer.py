"""The sequencer: from the queue and the spools to published logs, exactly once (design §6).

One round:

1. **Gather** what came since the last one, of one month: rows of the queue, frames of the spools, the keeper's notes.
2. **Commit**: ``log.pending`` has the leaves, and how far queue and spools are read. From here on the round is decided:
   it will be published as it stands there, however often it takes.
3. **Publish**: side tables, then of each log its entries, level-0 tiles, higher tiles, checkpoint; each file by writing
   beside, sync, rename, sync of the folder. A path that is there keeps its octets (``audit/files.py``).
4. **Take away** what is published: rows of the queue, segments, partial files whose full ones are there.

Recovery is steps 3 and 4 of the round that ``log.pending`` has. A failure of any step loses what is in memory, and
nothing else: the next round begins with recovery.

A month is one log a stream. It is over once Asia/Shanghai is in the next one and nothing of it waits; then all four
logs of the next one begin, each with the last checkpoint of its predecessor as its first entry. What comes later with
an earlier time goes into the month that is open: the order is that of the index, and nothing published changes.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from audit.block import pack_blocks
from audit.checkpoint import Checkpoint, parse_checkpoint
from audit.clients import ADDRESS_BYTES, UNKNOWN, Client, Clients
from audit.cutting import cut_blocks
from audit.entry import Software, dump, entry_document
from audit.files import Files
from audit.growth import STAGES, File, Growth, superseded_between
from audit.note import NoteKey, ed25519_key, open_note, parse_vkey, sign_note
from audit.pending import Append, Pending, Side, pack_pending, unpack_pending
from audit.side import month_folder, month_key, pack_side
from audit.spool_reading import Fault, Taken, remove_read, take
from core import limits
from core.clock import Millis, month_after, month_start, shanghai_month
from core.errors import NodeError
from core.peer import address_of
from core.store.log_rows import LogEntry, LogRow
from core.streams import Stream
from core.who import NODE

_LOG: Final = logging.getLogger("saltern.log")
FOLDER: Final = "log"
SPOOL_FOLDER: Final = "spool"
CHECKPOINT: Final = "checkpoint"
VKEY: Final = "vkey"
PENDING: Final = "log.pending"
LOCK: Final = "log.lock"
_NOTES: Final = "notes"
_PORT_BYTES: Final = 2


class SequencerError(NodeError):
    """The logs are not as the sequencer left them, or another one is at work: a person has to look."""


class Queue(Protocol):
    """Where entries of the registrar wait."""

    def read(self, after: int, count: int) -> Sequence[tuple[int, LogRow]]:
        """Return at most so many rows with numbers above ``after``, in order."""

    def remove(self, number: int) -> None:
        """Take away all rows up to this one."""


class Publisher(NamedTuple):
    """Who publishes. ``host``: begins the logs' names. ``sign``: with the private half of ``public``, 32 octets."""

    host: str
    software: Software
    public: bytes
    sign: Callable[[bytes], bytes]


class Round(NamedTuple):
    """What a round did. ``published``: logs that grew, stream and month. ``more``: whether another one has work."""

    published: tuple[tuple[Stream, str], ...]
    more: bool


class _Gathered:
    """What a round will publish, so far."""

    def __init__(self, month: str) -> None:
        self.end_ms = month_start(month_after(month))
        self.leaves: dict[Stream, list[bytes]] = {stream: [] for stream in Stream}
        self.addresses: dict[Stream, list[tuple[int, list[bytes]]]] = {stream: [] for stream in Stream}
        self.newest_ms = 0
        self.later_ms: list[int] = []
        self.more = False

    def add(self, stream: Stream, leaf: bytes, addresses: list[bytes], at_ms: int) -> None:
        """Add a leaf, and the addresses that its side table keeps."""
        if addresses:
            self.addresses[stream].append((len(self.leaves[stream]), addresses))
        self.leaves[stream].append(leaf)
        self.newest_ms = max(self.newest_ms, at_ms)

    @property
    def any(self) -> bool:
        """Whether there is anything."""
        return any(self.leaves.values())


class Sequencer:
    """Writes the logs of one data folder. Used by one thread; ``note`` and ``mark`` by any."""

    def __init__(self, data: Path, queue: Queue, publisher: Publisher, files: Files | None = None) -> None:
        self._data = data
        self._folder = data / FOLDER
        self._spool = data / SPOOL_FOLDER
        self._queue = queue
        self._publisher = publisher
        self._files = files or Files()
        self._notes: deque[tuple[int, LogEntry]] = deque()
        self._noted = 0  # notes that are decided
        self._name = secrets.token_hex(8)
        self._marks: dict[str, str] = {}
        self._client_key = b""
        self._clients = Clients(b"", 0)
        self._growths: dict[Stream, Growth] = {}
        self._state: Pending | None = None
        self._lock = -1

    def _take_lock(self) -> None:
        """Errors: SequencerError if another process has it; OSError."""
        self._files.make_folder(self._folder)
        self._lock = os.open(self._data / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            self._lock = -1
            raise SequencerError(
                f"另一进程正在写 {self._folder}。Another process writes the logs in {self._folder}"
            ) from None

    def close(self) -> None:
        """Give up the lock."""
        if self._lock >= 0:
            os.close(self._lock)
        self._lock = -1

    @property
    def newest_ms(self) -> int:
        """Time of the newest entry that is published, 0 if there is none."""
        return 0 if self._state is None else self._state.newest_ms

    @property
    def month(self) -> str:
        """The month that is open, empty before the first round."""
        return "" if self._state is None else self._state.month

    @property
    def marks(self) -> dict[str, str]:
        """What was remembered with ``mark``, by this process or one before it."""
        known = {} if self._state is None else self._state.marks
        return known | self._marks

    def note(self, entry: LogEntry, now_ms: Millis) -> None:
        """Have an entry of the node itself published with the next round."""
        self._notes.append((now_ms, entry))

    def mark(self, name: str, value: str) -> None:
        """Remember something, durably with the next round that publishes."""
        self._marks[name] = value

    # --- a round ---
    def round(self, now_ms: Millis) -> Round:
        """Publish what waits. Errors: OSError (try again), SequencerError, RewriteError (a person has to look)."""
        try:
            if self._lock < 0:
                self._take_lock()
            if self._state is None:
                self._recover()
            return self._round(now_ms)
        except BaseException:
            self._forget()
            raise

    def _forget(self) -> None:
        """Forget what is in memory: the next round begins with recovery."""
        self._state = None
        self._growths.clear()

    def _round(self, now_ms: Millis) -> Round:
        state = self._state
        if state is None:
            return self._begin(shanghai_month(now_ms), now_ms, None)
        gathered = _Gathered(state.month)
        queue = self._take_queue(gathered, state)
        segments = self._take_spool(gathered, state)
        notes = self._take_notes(gathered)
        over = now_ms >= gathered.end_ms + limits.LOG_MONTH_GRACE_MS
        if gathered.any or segments != state.segments:
            self._marks[_NOTES] = f"{self._name} {self._noted + notes}"
            done = self._commit(self._pending_of(gathered, state, queue, segments))
            return Round(done, gathered.more or over or bool(gathered.later_ms))
        if over or gathered.later_ms:
            return self._begin(_next_month(state.month, gathered.later_ms, now_ms, over=over), now_ms, state)
        self._take_away(state)
        return Round((), more=False)

    def _pending_of(self, gathered: _Gathered, state: Pending, queue: int, segments: dict[str, int]) -> Pending:
        appends, sides = [], []
        for stream, leaves in gathered.leaves.items():
            if not leaves:
                continue
            first = self._growths[stream].size
            appends.append(Append(stream.value, state.month, first, leaves))
            records = b"".join(pack_side(first + at, addresses) for at, addresses in gathered.addresses[stream])
            if records:
                sides.append(Side(stream.value, state.month, self._side_size(stream, state.month), records))
        return state._replace(
            newest_ms=max(state.newest_ms, gathered.newest_ms), queue=queue, segments=segments,
            marks=state.marks | self._marks, appends=appends, sides=sides,
        )  # fmt: skip

    def _begin(self, month: str, now_ms: Millis, before: Pending | None) -> Round:
        """Begin the logs of a month: the first entry of each is the last checkpoint of the month before."""
        host = self._publisher.host
        month_key(self._files, month_folder(self._data, month))
        appends = []
        for stream in Stream:
            if before is None:
                leaf = self._leaf(LogEntry(stream.value, "log.begin", f"{stream.value}/{month}"), now_ms)
            else:
                leaf = (self._month_folder(stream.value, before.month) / CHECKPOINT).read_bytes()
            appends.append(Append(stream.value, month, 0, [leaf]))
        newest = now_ms if before is None else before.newest_ms
        fresh = Pending(month, host, newest, 0, {}, {}, appends, [])
        if before is not None:
            fresh = fresh._replace(queue=before.queue, segments=before.segments, marks=before.marks)
        self._growths.clear()
        return Round(self._commit(fresh), more=True)

    # --- gathering ---
    def _take_queue(self, gathered: _Gathered, state: Pending) -> int:
        """Add entries of the queue; return the number of the last row that was taken."""
        reached, entries = state.queue, 0
        for number, row in self._queue.read(state.queue, limits.LOG_ROUND_ENTRIES):
            if row.at_ms >= gathered.end_ms:
                gathered.later_ms.append(row.at_ms)
                break
            if entries >= limits.LOG_ROUND_ENTRIES:
                gathered.more = True
                break
            entries += len(row.entries)
            client, address, port = self._client_of_peer(row.peer)
            for entry in row.entries:
                document = entry_document(
                    entry, row.at_ms, row.who, client, port,
                    protocol=row.protocol, request=str(number), software=self._publisher.software,
                )  # fmt: skip
                gathered.add(Stream(entry.stream), dump(document), address, row.at_ms)
            reached = number
        return reached

    def _take_spool(self, gathered: _Gathered, state: Pending) -> dict[str, int]:
        """Add what the workers logged; return how far each segment is read. In pieces, whose rows go at once."""
        self._spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        offsets, rows = state.segments, 0
        while True:
            taken = take(self._spool, offsets, gathered.end_ms, limits.LOG_TAKEN_ROWS)
            offsets = taken.offsets
            rows += self._add_taken(gathered, taken)
            if not taken.more or rows >= limits.LOG_ROUND_ROWS:
                break
        if taken.later_ms is not None:
            gathered.later_ms.append(taken.later_ms)
        gathered.more = gathered.more or taken.more
        return offsets

    def _add_taken(self, gathered: _Gathered, taken: Taken) -> int:
        """Add blocks, and an entry for what could not be read; return how many entries the blocks have."""
        software, entries = self._publisher.software, 0
        for times, rows in cut_blocks(taken.frames):
            entries += len(rows)
            latest = times[-1][0]
            for leaf, addresses in pack_blocks(times, rows, self._clients, software.node, software.version):
                gathered.add(Stream.RESOLUTION, leaf, addresses, latest)
        for fault in taken.faults:
            _LOG.error("%s: %d octets from %d on: %s", fault.segment, fault.octets, fault.offset, fault.what)
            at_ms = max(gathered.newest_ms, self.newest_ms)
            gathered.add(Stream.MAINTENANCE, self._leaf(_fault_entry(fault), at_ms), [], at_ms)
        return entries

    def _take_notes(self, gathered: _Gathered) -> int:
        """Add notes; return how many."""
        taken = 0
        for at_ms, entry in list(self._notes):
            if at_ms >= gathered.end_ms:
                gathered.later_ms.append(at_ms)
                break
            gathered.add(Stream(entry.stream), self._leaf(entry, at_ms), [], at_ms)
            taken += 1
        return taken

    def _forget_notes(self, pending: Pending) -> None:
        """Forget the notes that a decided round has."""
        name, _, number = pending.marks.get(_NOTES, "").partition(" ")
        while name == self._name and self._noted < int(number):
            self._notes.popleft()
            self._noted += 1

    def _leaf(self, entry: LogEntry, at_ms: int) -> bytes:
        """Return an entry of the node itself."""
        document = entry_document(
            entry, at_ms, NODE, UNKNOWN, 0, protocol="", request="", software=self._publisher.software
        )
        return dump(document)

    def _client_of_peer(self, peer: bytes) -> tuple[Client, list[bytes], int]:
        """Return the client, its address where it is known, and the port."""
        address = address_of(peer)
        client = self._clients[address] if len(address) in ADDRESS_BYTES else UNKNOWN
        return client, [] if client is UNKNOWN else [address], int.from_bytes(peer[:_PORT_BYTES], "big")

    # --- publication ---
    def _commit(self, pending: Pending) -> tuple[tuple[Stream, str], ...]:
        """Decide a round, and publish it; return the logs that grew."""
        self._files.replace(self._data / PENDING, pack_pending(pending), 0o600)
        self._files.sync_folder(self._data)
        self._publish(pending)
        return tuple((Stream(append.stream), append.month) for append in pending.appends)

    def _recover(self) -> None:
        """Publish the last round that was decided, once more. Errors: SequencerError."""
        self._files.make_folder(self._folder)
        path = self._data / PENDING
        if path.exists():
            try:
                pending = unpack_pending(path.read_bytes())
            except ValueError as error:
                raise SequencerError(str(error)) from None
            self._publish(pending)

    def _publish(self, pending: Pending) -> None:
        self._require_month(pending)
        for side in pending.sides:
            path = month_folder(self._data, side.month) / side.stream
            self._files.write_at(path, side.offset, side.data)
        partial: list[Path] = []
        growing: list[tuple[Path, list[list[File]], Checkpoint]] = []
        for append in pending.appends:
            folder = self._month_folder(append.stream, append.month)
            end = append.first + len(append.leaves)
            partial += [folder / path for path in superseded_between(append.first, end)]
            growth = self._growth_at(append)
            if growth is None:
                continue  # it is published
            grown = growth.grow(append.leaves)
            origin = f"{pending.host}/{FOLDER}/{append.stream}/{append.month}"
            growing.append((folder, grown, Checkpoint(origin, growth.size, growth.root())))
        for stage in range(STAGES):
            self._publish_stage([(folder, grown[stage]) for folder, grown, _ in growing])
        for folder, _, checkpoint in growing:
            self._publish_checkpoint(folder, checkpoint)
        for each in partial:
            self._files.remove(each)
        self._state = pending
        self._forget_notes(pending)
        self._take_away(pending)

    def _publish_stage(self, stage: list[tuple[Path, list[File]]]) -> None:
        folders = set()
        for folder, files in stage:
            for path, data in files:
                self._files.write_new(folder / path, data)
                folders.add((folder / path).parent)
        for folder in sorted(folders):
            self._files.sync_folder(folder)

    def _publish_checkpoint(self, folder: Path, checkpoint: Checkpoint) -> None:
        key = ed25519_key(checkpoint.origin, self._publisher.public)
        self._files.make_folder(folder)
        known = _lines(folder / VKEY)
        if key.vkey not in known:  # the node has a key of its own from the first month on, and may get another one
            self._files.replace(folder / VKEY, "".join(f"{line}\n" for line in (*known, key.vkey)).encode())
        self._files.replace(folder / CHECKPOINT, sign_note(checkpoint.text, key, self._publisher.sign))
        self._files.sync_folder(folder)

    def _growth_at(self, append: Append) -> Growth | None:
        """Return the log that is to get these leaves; None if it has them. Errors: SequencerError."""
        stream = Stream(append.stream)
        known = self._growths.get(stream)
        if known is not None and known.size == append.first:
            return known
        folder = self._month_folder(append.stream, append.month)
        size = self._published_size(folder)
        if size not in (append.first, append.first + len(append.leaves)):
            raise SequencerError(
                f"{folder}/{CHECKPOINT} 与 log.pending 不符。{folder} has {size} entries; log.pending knows of "
                f"{append.first} and {append.first + len(append.leaves)}: restore what was there"
            )
        self._growths[stream] = self._read_growth(folder, size)
        return None if size != append.first else self._growths[stream]

    def _read_growth(self, folder: Path, size: int) -> Growth:
        """Errors: SequencerError."""
        try:
            return Growth.of(size, lambda path: (folder / path).read_bytes())
        except (ValueError, FileNotFoundError) as error:
            raise SequencerError(f"{folder} 已损坏。{folder} is damaged: {error}") from None

    def _published_size(self, folder: Path) -> int:
        """Return how many entries are published. Errors: SequencerError for a checkpoint that is not ours."""
        try:
            data = (folder / CHECKPOINT).read_bytes()
        except FileNotFoundError:
            return 0
        try:
            note = open_note(data, self._keys_of(folder, data))
            size = parse_checkpoint(note.text).size
        except ValueError as error:
            raise SequencerError(f"{folder}/{CHECKPOINT}: {error}") from None
        if not note.signed_by:
            raise SequencerError(
                f"{folder}/{CHECKPOINT} 不是本节点签署的。{folder}/{CHECKPOINT} is not signed by this node"
            )
        return size

    def _keys_of(self, folder: Path, checkpoint: bytes) -> list[NoteKey]:
        """Return our key under the name of a checkpoint, and those that it had before. Errors: ValueError."""
        own = ed25519_key(checkpoint.partition(b"\n")[0].decode(), self._publisher.public)
        return [own, *(parse_vkey(line) for line in _lines(folder / VKEY))]

    def _require_month(self, pending: Pending) -> None:
        """Have all four logs of the month at hand, and its key. Errors: SequencerError, OSError."""
        key = month_key(self._files, month_folder(self._data, pending.month))
        if key != self._client_key:
            self._client_key = key
            self._clients = Clients(key, limits.LOG_CLIENTS_KEPT)
        touched = {append.stream for append in pending.appends}
        for stream in Stream:
            if stream.value not in touched and stream not in self._growths:
                folder = self._month_folder(stream.value, pending.month)
                size = self._published_size(folder)
                if not size:
                    raise SequencerError(f"缺少 {folder}。{folder} is not there any more: restore what was there")
                self._growths[stream] = self._read_growth(folder, size)

    def _take_away(self, pending: Pending) -> None:
        self._queue.remove(pending.queue)
        remove_read(self._spool, pending.segments)

    # --- places ---
    def _month_folder(self, stream: str, month: str) -> Path:
        return self._folder / stream / month

    def _side_size(self, stream: Stream, month: str) -> int:
        path = month_folder(self._data, month) / stream.value
        return path.stat().st_size if path.exists() else 0


def _next_month(month: str, later_ms: Sequence[int], now_ms: Millis, *, over: bool) -> str:
    """Return the month to begin: of the earliest entry that waits, or that of now."""
    waiting = [shanghai_month(at_ms) for at_ms in later_ms]
    if over:
        waiting.append(shanghai_month(now_ms))
    return min(each for each in waiting if each > month)


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines() if path.exists() else []


def _fault_entry(fault: Fault) -> LogEntry:
    reason = f"{fault.octets} octets from {fault.offset} on: {fault.what}"
    return LogEntry(Stream.MAINTENANCE.value, "spool.damaged", fault.segment, outcome="internal", reason=reason)
