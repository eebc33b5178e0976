"""What another process does to a run store: run by test_run_store.py, never imported.

    python other_run_process.py ROLE FOLDER [ARGUMENT…]

It says one line for each step on standard output, and waits for a line on standard
input where the test must act first.
"""

from __future__ import annotations

import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from core.errors import StoreError
from core.store.run_store import CHALLENGE, SESSION, Row, RunStore

NOW = 1_000


def say(text: object) -> None:
    print(text, flush=True)


def wait() -> None:
    sys.stdin.readline()


def number(of: int) -> bytes:
    return of.to_bytes(4, "big")


def take_all(folder: Path, rows: str) -> None:
    """Take every row that can be had; say which were."""
    store = RunStore(folder)
    say("ready")
    wait()
    taken = [each for each in range(int(rows)) if store.take(CHALLENGE, number(each), NOW) is not None]
    say(taken)


def count_up(folder: Path, times: str) -> None:
    """Add one to a number in a row so many times."""
    store = RunStore(folder)
    say("ready")
    wait()
    for _ in range(int(times)):
        store.update(SESSION, b"sum", NOW, lambda row: (row and row._replace(payload=number(1 + value(row))), None))
    say("done")


def value(row: Row) -> int:
    return int.from_bytes(row.payload, "big")


def write_without_end(folder: Path) -> None:
    """Write and take rows without end, saying each number when both its rows are there."""
    store = RunStore(folder)
    each = 0
    while True:
        each += 1
        store.add(CHALLENGE, number(each), Row(number(each) * 500, NOW + each), NOW)
        store.add(SESSION, number(each), Row(number(each) * 5, NOW + each), NOW)
        store.take(CHALLENGE, number(max(each - 2, 0)), NOW)
        say(each)


def stop_half_way(folder: Path) -> None:
    """Be killed with a transaction begun, rows written and nothing committed."""
    store = RunStore(folder)

    def change(row: Row | None) -> tuple[Row | None, None]:
        say("half")
        wait()
        return row, None

    with store._environment.begin(write=True) as transaction:
        for each in range(1_000):
            store._put(transaction, b"c" + number(each), Row(b"x" * 500, NOW + 1))
        say("half")
        wait()
    store.update(CHALLENGE, b"x", NOW, change)


def full_disk(folder: Path, room: str) -> None:
    """Add rows where the file may grow by ``room`` octets only; take them; lift the limit and add again."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = RunStore(folder)
    size = (folder / "data.mdb").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + int(room), resource.RLIM_INFINITY))
    kept, refused = [], 0
    for each in range(400):
        try:
            store.add(CHALLENGE, number(each), Row(number(each) * 1_000, NOW + 1), NOW)
            kept.append(each)
        except StoreError:
            refused += 1
    say(refused > 0)
    found = [each for each in range(400) if store.get(CHALLENGE, number(each), NOW) is not None]
    say(found == kept and store.count(CHALLENGE) == len(kept))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    say(all(store.take(CHALLENGE, number(each), NOW) is not None for each in kept))
    say(store.add(CHALLENGE, b"last", Row(b"x" * 100_000, NOW + 1), NOW))


ROLES: Final[dict[str, Callable[..., None]]] = {
    role.__name__: role for role in (take_all, count_up, write_without_end, stop_half_way, full_disk)
}

if __name__ == "__main__":
    ROLES[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
