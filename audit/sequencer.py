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
from audit.checkpoint import Checkpoint
from audit.clients import ADDRESS_BYTES, UNKNOWN, Client, Clients
from audit.cutting import cut_blocks
from audit.entry import Software, dump, entry_document
from audit.files import Files
from audit.gathering import Gathered, fault_entry, next_month
from audit.growth import STAGES, File, Growth, superseded_between
from audit.note import ed25519_key, sign_note
from audit.own_log import CHECKPOINT, VKEY, SequencerError, growth_of, lines_of, published_of
from audit.pending import Append, Pending, Side, pack_pending, unpack_pending
from audit.places import FOLDER, LOCK, PENDING, SPOOL_FOLDER
from audit.side import SideError, month_folder, month_key, pack_side
from audit.spool_reading import Taken, remove_read, take
from core import limits
from core.clock import Millis, shanghai_month
from core.peer import address_of
from core.store.log_rows import LogEntry, LogRow
from core.streams import Stream
from core.who import NODE

_LOG: Final = logging.getLogger("saltern.log")
_NOTES: Final = "notes"
_PORT_BYTES: Final = 2


class Queue(Protocol):
    """Where entries of the registrar wait."""

    def read(self, after: int, count: int) -> Sequence[tuple[int, LogRow]]:
        """Return rows with numbers above ``after``, in order, until they have so many entries."""

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


class Sequencer:
    """Writes the logs of one data folder. Used by one thread; ``note`` by any."""

    def __init__(self, data: Path, queue: Queue, publisher: Publisher, files: Files | None = None) -> None:
        self._data = data
        self._folder = data / FOLDER
        self._spool = data / SPOOL_FOLDER
        self._queue = queue
        self._publisher = publisher
        self._files = files or Files()
        self._notes: deque[tuple[int, LogEntry, tuple[str, str] | None]] = deque()
        self._noted = 0  # notes that are decided
        self._name = secrets.token_hex(8)
        self._client_key = b""
        self._clients = Clients(b"", 0)
        self._growths: dict[Stream, Growth] = {}
        self._durable: set[Path] = set()  # folders of the month whose names are
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
    def marks(self) -> dict[str, str]:
        """What was remembered with notes, by this process or one before it; what waits is not told."""
        return {} if self._state is None else self._state.marks

    def note(self, entry: LogEntry, now_ms: Millis, mark: tuple[str, str] | None = None) -> None:
        """Have an entry of the node itself published with the next round.

        ``mark``: a name and what to remember under it, from the moment on at which the entry is decided.
        """
        self._notes.append((now_ms, entry, mark))

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
        gathered = Gathered(state.month, now_ms)
        queue = self._take_queue(gathered, state)
        segments = self._take_spool(gathered, state)
        notes = self._take_notes(gathered)
        over = now_ms >= gathered.month_end_ms + (0 if gathered.later_ms else limits.LOG_MONTH_GRACE_MS)
        if gathered.any or segments != state.segments:
            if state.segments.keys() - segments.keys():
                self._files.sync_folder(self._spool)  # one that came back would be read from its beginning
            gathered.marks[_NOTES] = f"{self._name} {self._noted + notes}"
            done = self._commit(self._pending_of(gathered, state, queue, segments))
            return Round(done, gathered.more or over)
        if over:
            return self._begin(next_month(state.month, gathered.later_ms, now_ms), now_ms, state)
        self._take_away(state)
        return Round((), more=False)

    def _pending_of(self, gathered: Gathered, state: Pending, queue: int, segments: dict[str, int]) -> Pending:
        appends, sides, sizes = [], [], dict(state.sizes)
        for stream, leaves in gathered.leaves.items():
            if not leaves:
                continue
            first = self._growths[stream].size
            appends.append(Append(stream.value, state.month, first, leaves))
            sizes[stream.value] = first + len(leaves)
            records = b"".join(pack_side(first + at, addresses) for at, addresses in gathered.addresses[stream])
            if records:
                sides.append(Side(stream.value, state.month, self._side_size(stream, state.month), records))
        return state._replace(
            newest_ms=max(state.newest_ms, gathered.newest_ms), queue=queue, segments=segments,
            sizes=sizes, marks=state.marks | gathered.marks, appends=appends, sides=sides,
        )  # fmt: skip

    def _begin(self, month: str, now_ms: Millis, before: Pending | None) -> Round:
        """Begin the logs of a month: the first entry of each is the last checkpoint of the month before."""
        host = self._publisher.host
        appends = []
        for stream in Stream:
            if before is None:
                leaf = self._leaf(LogEntry(stream.value, "log.begin", f"{stream.value}/{month}"), now_ms)
            else:
                self._require_published(stream, before)
                leaf = (self._month_folder(stream.value, before.month) / CHECKPOINT).read_bytes()
            appends.append(Append(stream.value, month, 0, [leaf]))
        newest = now_ms if before is None else before.newest_ms
        sizes = {stream.value: 1 for stream in Stream}
        fresh = Pending(month, host, newest, 0, {}, sizes, {}, appends, [])
        if before is not None:
            fresh = fresh._replace(queue=before.queue, segments=before.segments, marks=before.marks)
        self._growths.clear()
        self._durable.clear()
        return Round(self._commit(fresh), more=True)

    # --- gathering ---
    def _take_queue(self, gathered: Gathered, state: Pending) -> int:
        """Add entries of the queue; return the number of the last row that was taken."""
        reached, entries = state.queue, 0
        for number, row in self._queue.read(state.queue, limits.LOG_ROUND_ENTRIES):
            if row.at_ms >= gathered.end_ms:
                gathered.later_ms.append(row.at_ms)
                return reached
            entries += len(row.entries)
            at_ms = row.at_ms or max(gathered.newest_ms, state.newest_ms)  # of one that cannot be read it is not known
            client, address, port = self._client_of_peer(row.peer)
            for entry in row.entries:
                document = entry_document(
                    entry, at_ms, row.who, client, port,
                    protocol=row.protocol, request=str(number), software=self._publisher.software,
                )  # fmt: skip
                gathered.add(Stream(entry.stream), dump(document), address, at_ms)
            reached = number
        gathered.more = entries >= limits.LOG_ROUND_ENTRIES
        return reached

    def _take_spool(self, gathered: Gathered, state: Pending) -> dict[str, int]:
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

    def _add_taken(self, gathered: Gathered, taken: Taken) -> int:
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
            gathered.add(Stream.MAINTENANCE, self._leaf(fault_entry(fault), at_ms), [], at_ms)
        return entries

    def _take_notes(self, gathered: Gathered) -> int:
        """Add notes; return how many."""
        taken = 0
        for at_ms, entry, mark in list(self._notes):
            if at_ms >= gathered.end_ms:
                gathered.later_ms.append(at_ms)
                break
            gathered.add(Stream(entry.stream), self._leaf(entry, at_ms), [], at_ms)
            if mark is not None:
                gathered.marks[mark[0]] = mark[1]
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
        path = self._data / PENDING
        if not path.exists():
            if any(self._folder.glob(f"*/*/{CHECKPOINT}")):
                raise SequencerError(f"缺少 {path}。{path} is not there, but logs are: restore what was there")
            return
        try:
            pending = unpack_pending(path.read_bytes())
        except ValueError as error:
            raise SequencerError(str(error)) from None
        self._files.sync_folder(self._data)  # who decided it may not have come so far
        self._publish(pending)

    def _publish(self, pending: Pending) -> None:
        self._require_month(pending)
        for side in pending.sides:
            path = month_folder(self._data, side.month) / side.stream
            self._files.write_at(path, side.offset, side.data)
            self._sync(path.parent)
        partial: list[Path] = []
        growing: list[tuple[Path, list[list[File]], Checkpoint]] = []
        for append in pending.appends:
            folder = self._month_folder(append.stream, append.month)
            end = append.first + len(append.leaves)
            partial += [folder / path for path in superseded_between(append.first, end)]
            growth = self._growth_at(pending, append)
            if growth is None:  # it is published; who did it may not have come so far as to sync the name
                self._sync(folder)
                continue
            grown = growth.grow(append.leaves)
            growing.append((folder, grown, Checkpoint(_origin(pending, append.stream), growth.size, growth.root())))
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
            self._sync(folder)

    def _sync(self, folder: Path) -> None:
        """Make the names in a folder durable, and its own one: who made it may not have come so far."""
        self._files.sync_folder(folder)
        while folder != self._data and folder not in self._durable:
            self._files.sync_folder(folder.parent)
            self._durable.add(folder)
            folder = folder.parent

    def _publish_checkpoint(self, folder: Path, checkpoint: Checkpoint) -> None:
        key = ed25519_key(checkpoint.origin, self._publisher.public)
        self._files.make_folder(folder)
        known = lines_of(folder / VKEY)
        if key.vkey not in known:  # the node has a key of its own from the first month on, and may get another one
            self._files.replace(folder / VKEY, "".join(f"{line}\n" for line in (*known, key.vkey)).encode())
        self._files.replace(folder / CHECKPOINT, sign_note(checkpoint.text, key, self._publisher.sign))
        self._sync(folder)

    def _growth_at(self, pending: Pending, append: Append) -> Growth | None:
        """Return the log that is to get these leaves; None if it has them. Errors: SequencerError."""
        stream, end = Stream(append.stream), append.first + len(append.leaves)
        known = self._growths.get(stream)
        if known is not None and known.size == append.first:
            return known
        growth = self._read_growth(pending, stream, (append.first, end))
        return None if growth.size == end else growth

    def _read_growth(self, pending: Pending, stream: Stream, sizes: Sequence[int]) -> Growth:
        """Read a log of the month, which must have one of these sizes. Errors: SequencerError."""
        folder = self._month_folder(stream.value, pending.month)
        checkpoint = published_of(folder, _origin(pending, stream.value), self._publisher.public)
        size = 0 if checkpoint is None else checkpoint.size
        if size not in sizes:
            raise SequencerError(
                f"{folder}/{CHECKPOINT} 与 log.pending 不符。{folder} has {size} entries; log.pending knows of "
                f"{' or '.join(map(str, sizes))}: restore what was there"
            )
        self._growths[stream] = growth_of(folder, checkpoint)
        return self._growths[stream]

    def _require_published(self, stream: Stream, state: Pending) -> None:
        """Have a log be published as it was left. Errors: SequencerError."""
        self._read_growth(state, stream, (state.sizes[stream.value],))

    def _require_month(self, pending: Pending) -> None:
        """Have all four logs of the month at hand, and its key. Errors: SequencerError, OSError."""
        try:
            key = month_key(self._files, month_folder(self._data, pending.month))
        except SideError as error:
            raise SequencerError(f"月度密钥已损坏。The month's key is damaged: {error}") from None
        if key != self._client_key:
            self._sync(month_folder(self._data, pending.month))
            self._client_key = key
            self._clients = Clients(key, limits.LOG_CLIENTS_KEPT)
        touched = {append.stream for append in pending.appends}
        for stream in Stream:
            if stream.value not in touched and stream not in self._growths:
                self._require_published(stream, pending)

    def _take_away(self, pending: Pending) -> None:
        self._queue.remove(pending.queue)
        remove_read(self._files, self._spool, pending.segments)

    # --- places ---
    def _month_folder(self, stream: str, month: str) -> Path:
        return self._folder / stream / month

    def _side_size(self, stream: Stream, month: str) -> int:
        path = month_folder(self._data, month) / stream.value
        return path.stat().st_size if path.exists() else 0


def _origin(pending: Pending, stream: str) -> str:
    """Return the name of a log of the round's month."""
    return f"{pending.host}/{FOLDER}/{stream}/{pending.month}"
