"""Nodes for tests of backups, in process: made, filled, copied and put back without a running one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from audit.verify import verify
from core import clock
from core.clock import Millis
from core.config import Config, load
from core.store.engine import Table
from core.store.lmdb_engine import LmdbEngine
from core.streams import Stream
from core.who import Role, Who
from node import wiring
from node.backup import Made, make_backup
from node.catching_up import publish_waiting
from node.initialise import initialise
from node.log_reading import log_reader
from node.restore_backup import Restored, restore_backup
from registry.commands import OPERATOR, CreateLot, PutBatch, RecordEvents, Request
from registry.service import Registry

PREFIX = "88.118"
LOT = f"{PREFIX}/L1"
UNITS = 100
WHO = Who(Role.LOCAL.value, "anna", 0)


def make_node(folder: Path, prefix: str = PREFIX) -> Config:
    """Make a node as `saltern init` does."""
    return initialise(folder, (prefix,))


@contextmanager
def opened(config: Config) -> Iterator[tuple[LmdbEngine, Registry]]:
    """Give store and registry of a node that does not run."""
    store = wiring.open_store(config)
    try:
        yield store, wiring.make_registry(config, store)
    finally:
        store.close()


def put_records(registry: Registry, names: list[str], text: str = "x") -> None:
    """Write records of two values."""
    for at in range(0, len(names), 1_000):
        items = [
            {
                "handle": name,
                "values": [
                    {"index": 1, "type": "URL", "data": f"https://e.example/{name}"},
                    {"index": 2, "type": "DESC", "data": text},
                ],
            }
            for name in names[at : at + 1_000]
        ]
        (done,) = registry.run([Request(PutBatch(json.dumps(items).encode(), lines=False), OPERATOR)], clock.now_ms())
        assert done.done, done
        assert {each["outcome"] for each in json.loads(done.body)["results"]} <= {"ok", "created"}, done.body[:400]


def put_lot(registry: Registry, lot: str = LOT) -> None:
    """Register a lot of UNITS units, ten in a case, whose seventh unit is scrapped."""
    form = {"lot": lot, "product": f"{PREFIX}/SKU", "count": UNITS, "units_per_case": 10}
    event = {"event": "scrapped", "from": 6, "count": 1, "time": "2020-01-01T00:00:00Z"}
    requests = [CreateLot(json.dumps(form).encode()), RecordEvents(lot, json.dumps([event]).encode(), lines=False)]
    for done in registry.run([Request(each, OPERATOR) for each in requests], clock.now_ms()):
        assert done.done, done


def back_up(config: Config, to: Path, *, publish: bool = True, keys: bool = True, at_ms: int | None = None) -> Made:
    """Make a backup; that it is written down is another test's."""
    if publish:
        publish_waiting(config)
    now_ms = clock.now_ms() if at_ms is None else Millis(at_ms)
    return make_backup(config, to, with_keys=keys, actor="anna", now_ms=now_ms, note=lambda _: None)


def put_back(source: Path, to: Path, at_ms: int | None = None) -> tuple[Restored, Config]:
    """Put a node back; return what is told, and its configuration."""
    done = restore_backup(source, to, WHO, clock.now_ms() if at_ms is None else Millis(at_ms))
    return done, load(done.config)


def rows_of(store: LmdbEngine, *without: Table) -> dict[str, dict[bytes, bytes]]:
    """Return all rows of all tables."""
    with store.snapshot() as snapshot:
        return {each.value: dict(snapshot.scan(each, b"")) for each in Table if each not in without}


def entries(config: Config, stream: Stream, root: Path | None = None) -> list[dict[str, Any]]:
    """Return the entries of a stream that are published, be it of former logs."""
    from audit.question import Question
    from core.clock import TIME_MS_END

    values = config.values | {"node.data": str(root or config.data.resolve())}
    reader = log_reader(Config(config.path, values))
    asked = Question(0, TIME_MS_END, None, None, None, None)
    return [dict(each.document) for each in reader.find(stream, asked)]


def assert_verifies(log: Path) -> None:
    """Have an auditor's verifier find nothing wrong."""
    report = verify(str(log), None, [], "")
    assert report.ok, report.text()
