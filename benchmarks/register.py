"""Registration over HTTP beside raw LMDB, and single registrations.

Batches: one client on one keep-alive connection sends ``POST /v1/records:batch`` with
1 000 records as a JSON array and HTTP Basic, and waits for each answer; the node
validates, admits, writes rows, counters and changes, and syncs. The reference is what
the disk asks anyway: the rows of the same records, read back from the node's store,
put by ``txn.put`` into an LMDB environment of its own on the same file system, one
transaction a batch, sync on, two tables. Rounds of both take turns; the ratio is that
of the medians. Node and raw puts have one core, the client another. JSON is made before.

Single: 16 clients, each one ``PUT /api/handles/…`` in flight; the registrar commits what
waits as one group.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote

import lmdb

from benchmarks import records
from benchmarks.bench import Bench
from benchmarks.client import Connection, request
from benchmarks.load import Traffic, write_requests
from benchmarks.machine import Cores, on_core, processor_s
from benchmarks.node import Node
from benchmarks.table import Floor, Row
from core.ident.handle import HandleRules
from core.store.engine import Table
from core.store.lmdb_engine import LmdbEngine
from core.store.record_rows import record_key

BATCH = 1_000
_FLOOR = Floor("≥", 0.40)
_PROTOTYPE = "0.58"
_MAP_SIZE_BYTES = 1 << 36
_CLIENTS = 16
_SINGLES_PER_S = 12_000

_Rows = list[tuple[bytes, bytes, bytes]]


class Raw:
    """The reference: an LMDB environment with two tables, as lmdb opens it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._environment = lmdb.open(str(folder), map_size=_MAP_SIZE_BYTES, max_dbs=2)
        self._records = self._environment.open_db(b"records")
        self._answers = self._environment.open_db(b"answers")

    def put(self, batch: _Rows) -> None:
        """Put the rows of one batch in one transaction."""
        with self._environment.begin(write=True) as transaction:
            for key, record, _ in batch:
                transaction.put(key, record, db=self._records)
            for key, _, answer in batch:
                transaction.put(key, answer, db=self._answers)

    def close(self) -> None:
        """Close it."""
        self._environment.close()


def measure_batches(folder: Path, cores: Cores, *, rounds: int, batches: int, scattered: bool) -> Row:
    """Return the row of batches. ``batches`` of 1 000 a round, of either side."""
    folder.mkdir()
    node, raw = Node(folder / "node", cores.server), Raw(folder / "raw")
    ours: list[float] = []
    theirs: list[float] = []
    try:
        with node:
            spent_s = _processor_s(node)
            for number in range(-1, rounds):  # the first one warms up
                first = (number + 1) * batches * BATCH
                places = [range(start, start + BATCH) for start in range(first, first + batches * BATCH, BATCH)]
                took_node = _register(node, cores, places, scattered=scattered)
                took_raw = _put(raw, cores, _read_back(node.store, places, scattered=scattered))
                if number >= 0:
                    ours.append(batches * BATCH / took_node)
                    theirs.append(batches * BATCH / took_raw)
            count = (rounds + 1) * batches * BATCH
            spent_us = {name: (s - spent_s[name]) / count * 1e6 for name, s in _processor_s(node).items()}
    finally:
        raw.close()
    order = "random suffixes" if scattered else "ascending suffixes"
    return Row(
        f"register over HTTP, batches of {BATCH}, {order}",
        median(ours) / median(theirs),
        floor=None if scattered else _FLOOR,
        prototype="" if scattered else _PROTOTYPE,
        ours=f"{median(ours):,.0f} records/s",
        reference=f"raw LMDB put: {median(theirs):,.0f} records/s",
        note=(
            f"raw puts ran between {min(theirs):,.0f} and {max(theirs):,.0f} records/s; processor time a record: "
            f"registrar {spent_us['registrar']:.1f} µs, worker {spent_us['worker']:.1f} µs"
        ),
        details={"ours_per_s": ours, "raw_per_s": theirs, "batches_a_round": batches, "processor_us": spent_us},
    )


def _processor_s(node: Node) -> dict[str, float]:
    return {name: processor_s(pid) for name, pid in node.pids().items()}


def _register(node: Node, cores: Cores, places: Sequence[range], *, scattered: bool) -> float:
    """Send batches; return the seconds from the first octet sent to the last one received."""
    head = node.admin()
    sent = []
    for place in places:
        body = records.dump([records.record(number, scattered=scattered) for number in place])
        sent.append(request("POST", "/v1/records:batch", head, body))
    with on_core(cores.client), Connection(node.port) as connection:
        connection.ask(request("GET", "/healthz"))
        began = time.perf_counter()
        answers = [connection.ask(each) for each in sent]
        took = time.perf_counter() - began
    for answer in answers:
        if answer.status != 200 or f'"created":{BATCH}}}'.encode() not in answer.body:
            raise RuntimeError(f"a batch was not registered: {answer.status} {answer.body[-200:]!r}")
    return took


def _read_back(store: Path, places: Sequence[range], *, scattered: bool) -> list[_Rows]:
    """Return key and both rows of each record, as the node stored them."""
    engine = LmdbEngine(store, read_only=True)
    key = HandleRules().key
    found: list[_Rows] = []
    with engine.snapshot() as snapshot:
        for place in places:
            keys = [record_key(key(records.handle(number, scattered=scattered))) for number in place]
            stored = (snapshot.get_many(Table.RECORDS, keys), snapshot.get_many(Table.ANSWERS, keys))
            found.append([(k, r, a) for k, r, a in zip(keys, *stored, strict=True) if r is not None and a is not None])
    engine.close()
    if any(len(batch) != BATCH for batch in found):
        raise RuntimeError("a record that was registered is not in the store")
    return found


def _put(raw: Raw, cores: Cores, batches: list[_Rows]) -> float:
    with on_core(cores.server):
        began = time.perf_counter()
        for batch in batches:
            raw.put(batch)
        return time.perf_counter() - began


def measure_singles(bench: Bench) -> Row:
    """Return the row of single registrations on a node that runs."""
    node, seconds = bench.node, bench.seconds * 2
    path = bench.folder / "singles"
    count = write_requests(path, _singles(node.admin(), int(seconds * _SINGLES_PER_S)))
    before = node.metrics()
    traffic = Traffic("tcp", "http", node.port, path, _CLIENTS)
    load = bench.generators.run(traffic, pid=node.pids()["registrar"], measure_s=seconds, count=count)
    after = node.metrics()
    path.unlink()
    requests, groups = (
        after[name] - before[name] for name in ("saltern_registrar_requests_total", "saltern_registrar_groups_total")
    )
    return Row(
        f"register over HTTP, single PUT, {_CLIENTS} clients",
        load.per_s,
        "/s",
        ours=f"{requests / groups:.1f} a commit, p50 {load.p50_us / 1_000:.1f} ms, p99 {load.p99_us / 1_000:.1f} ms",
        details=load._asdict() | {"requests_a_commit": requests / groups},
    )


def _singles(head: dict[str, str], count: int) -> Iterator[bytes]:
    for number in range(count):
        name = records.handle(number, series="EP")
        body: dict[str, Any] = {"values": records.values(name)}
        yield request("PUT", f"/api/handles/{quote(name, safe='/')}", head, records.dump(body))
