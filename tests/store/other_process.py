"""What another process does to a store: run by test_lmdb_engine.py, never imported.

    python other_process.py ROLE FOLDER [ARGUMENT…]

It says one line for each step on standard output, and waits for a line on standard
input where the test must act first. The last line is what the test looks at.
"""

from __future__ import annotations

import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from core.changes import Serial
from core.errors import StoreError
from core.store.engine import Batch, ExpectationError, Table
from core.store.lmdb_engine import LmdbEngine

LEFT, RIGHT, COUNT = b"left", b"right", b"count"


def say(text: object) -> None:
    print(text, flush=True)


def wait() -> None:
    sys.stdin.readline()


def pair(number: int) -> Batch:
    """Return a batch that writes the same number at two ends of the table, with a change."""
    batch = Batch()
    for key in (LEFT, RIGHT):
        batch.put(Table.RECORDS, key, b"%d" % number)
    batch.changes = [b"%d" % number]
    return batch


def read_pairs(folder: Path, last: str) -> None:
    """Read until the last pair is there; say how many different states were seen."""
    store = LmdbEngine(folder, read_only=True)
    seen = set()
    say("ready")
    while True:
        with store.snapshot() as snapshot:
            left, right = snapshot.get_many(Table.RECORDS, [LEFT, RIGHT])
            serial = snapshot.serial()
            feed = snapshot.feed(Serial(0), 10_000)
        if left != right or len(feed) != serial or (feed and feed[-1] != (serial, left)):
            say(f"torn: {left!r} {right!r} serial {serial} feed {len(feed)}")
            return
        seen.add(left)
        if left == last.encode():
            say(f"consistent {len(seen) > 0}")
            return


def count_up(folder: Path, times: str) -> None:
    """Add one to a counter so many times, reading again whenever somebody else was faster."""
    store = LmdbEngine(folder)
    say("ready")
    wait()
    refused = done = 0
    while done < int(times):
        with store.snapshot() as snapshot:
            row = snapshot.get(Table.RECORDS, COUNT)
        batch = Batch()
        batch.expect(Table.RECORDS, COUNT, row)
        batch.put(Table.RECORDS, COUNT, b"%d" % (int(row or b"0") + 1))
        batch.changes = [b"counted"]
        try:
            store.commit(batch)
            done += 1
        except ExpectationError:
            refused += 1
    say(f"done {done}")


def write_what_was_read(folder: Path) -> None:
    """Read, let the test write, then commit twice: on the old row, and on what is there now."""
    store = LmdbEngine(folder)
    for _ in range(2):
        with store.snapshot() as snapshot:
            row = snapshot.get(Table.RECORDS, COUNT)
        say("read")
        wait()
        batch = Batch()
        batch.expect(Table.RECORDS, COUNT, row)
        batch.put(Table.RECORDS, COUNT, b"other process")
        try:
            store.commit(batch)
            say("applied")
        except ExpectationError:
            say("refused")


def hold_a_snapshot(folder: Path) -> None:
    """Read, and be killed."""
    with LmdbEngine(folder, read_only=True).snapshot() as snapshot:
        say(snapshot.get(Table.RECORDS, LEFT))
        wait()


def write_half(folder: Path) -> None:
    """Be killed with a transaction begun, rows written and nothing committed."""
    store = LmdbEngine(folder)
    with store._environment.begin(write=True) as transaction:
        records = store._tables[Table.RECORDS]
        for number in range(1_000):
            transaction.put(b"half-%d" % number, b"x" * 500, db=records)
        transaction.put(LEFT, b"half", db=records)
        say("half")
        wait()


def write_pairs(folder: Path) -> None:
    """Write pairs without end, saying each one that was committed."""
    store = LmdbEngine(folder)
    number = 0
    while True:
        number += 1
        batch = pair(number)
        for extra in range(50):
            batch.put(Table.ANSWERS, b"%d-%d" % (number, extra), b"x" * 300)
        store.commit(batch)
        say(number)


def little_address_space(folder: Path, limit: str) -> None:
    """Open the store where the system does not give 1 TiB."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    allowed = int(limit) if int(limit) > used else used + int(limit)
    resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))
    try:
        store = LmdbEngine(folder)
    except StoreError as error:
        say(f"{error.ended.value}: {error.message}")
        return
    store.commit(pair(1))
    with store.snapshot() as snapshot:
        say(f"read {snapshot.get(Table.RECORDS, LEFT)!r}")


def full_disk(folder: Path, room: str, rows: str, row_bytes: str) -> None:
    """Commit where the file may grow by ``room`` octets only; then lift the limit and commit again."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = LmdbEngine(folder)
    size = (folder / "data.mdb").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + int(room), resource.RLIM_INFINITY))
    batch = pair(2)
    for number in range(int(rows)):
        batch.put(Table.RECORDS, b"row-%06d" % number, b"x" * int(row_bytes))
    try:
        store.commit(batch)
        say("applied")
    except StoreError as error:
        say(error.ended.value)
    with store.snapshot() as snapshot:
        say([row for _, row in snapshot.scan(Table.RECORDS, b"")] == [b"1", b"1"] and snapshot.serial() == 1)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    say(store.commit(batch))


ROLES: Final[dict[str, Callable[..., None]]] = {
    role.__name__: role
    for role in (
        read_pairs, count_up, write_what_was_read, hold_a_snapshot, write_half, write_pairs,
        little_address_space, full_disk,
    )
}  # fmt: skip

if __name__ == "__main__":
    ROLES[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
