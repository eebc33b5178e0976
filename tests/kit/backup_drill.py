"""A node under full write load is backed up, put back and started; what both answer is compared on every protocol.

Compared are identifiers that were not written again behind the backup; of a lot, units of which nothing was told since.
"""

from __future__ import annotations

import http.client
import json
import random
import threading
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from core import clock
from core.changes import Serial, unpack_change
from core.config import Config, load
from core.lotkeys import codes_of_lot
from core.store.engine import Table
from core.store.lmdb_engine import LmdbEngine
from core.store.lot_rows import unpack_lot
from core.streams import Stream
from node import wiring
from node.backup_file import read_manifest, whole_backups
from registry.client import BlockingClient
from registry.commands import Actor, Command, CreateLot, PutBatch, RecordEvents, Request
from tests.kit.answers import Ports, assert_same, pick
from tests.kit.backups import PREFIX, assert_verifies, entries, opened, put_records
from tests.kit.handle_node import client_of
from tests.kit.node import Node, saltern

LOT = f"{PREFIX}/L1"
_UNITS = 4_000
_FIRST = 10
"""Index of the first unit that is scrapped under load."""

_LOADER = Actor(local=True, name="loader")


class Drilled(NamedTuple):
    """What was seen. ``compared``: answers of both, by protocol; ``same``: those to many questions under way at once.

    ``behind``: changes that the backup lacks.
    """

    compared: Counter[str]
    same: dict[str, int]
    outcomes: Counter[str]
    behind: int
    between: int


class Load:
    """Writes as fast as the node takes it, until it is told to stop: new records, old ones again, events of a lot."""

    def __init__(self, node: Node, old: int) -> None:
        self._config = load(node.config)
        self._old = old
        self._stopping = threading.Event()
        self.events = 0
        self.calls = 0
        self.fault = ""
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        assert not self.fault, self.fault

    def _run(self) -> None:
        client = BlockingClient(wiring.run_folder(self._config))
        try:
            while not self._stopping.is_set():
                self._write(client)
        except Exception as error:
            self.fault = repr(error)
        finally:
            client.close()

    def _write(self, client: BlockingClient) -> None:
        number = self.calls
        names = [f"{PREFIX}/W{number}-{at}" for at in range(20)] + [f"{PREFIX}/R{number % self._old}"]
        items = [
            {"handle": each, "values": [{"index": 1, "type": "URL", "data": f"{each}?{number}"}]} for each in names
        ]
        batch = PutBatch(json.dumps(items).encode(), lines=False)
        event = {"event": "scrapped", "from": _FIRST + self.events, "count": 1, "time": "2020-01-01T00:00:00Z"}
        self._done(client, batch)
        if _FIRST + self.events < _UNITS:
            self._done(client, RecordEvents(LOT, json.dumps([event]).encode(), lines=False))
            self.events += 1
        self.calls += 1

    def _done(self, client: BlockingClient, command: Command) -> None:
        result = client.call(Request(command, _LOADER))
        if not result.done:
            raise AssertionError(result)


def drill(folder: Path, answers: int, chance: random.Random, many: int = 10_000) -> Drilled:
    """Run it all; ``answers``: how many are compared one by one, over all protocols; ``many``: at once, by each.

    Errors: AssertionError.
    """
    node = Node(folder / "node", PREFIX)
    config, old = load(node.config), 500
    with opened(config) as (_, registry):
        put_records(registry, [f"{PREFIX}/R{number}" for number in range(old)])
    backups = folder / "backups"
    with node:
        lot = {"lot": LOT, "product": f"{PREFIX}/R0", "count": _UNITS, "units_per_case": 10}
        client = BlockingClient(wiring.run_folder(config))
        assert client.call(Request(CreateLot(json.dumps(lot).encode()), _LOADER)).done
        client.close()
        with Load(node, old) as load_:
            for _ in range(2):
                _wait_for(load_, load_.calls + 20)
                saltern("backup", "--config", str(node.config), "--to", str(backups))
            _wait_for(load_, load_.calls + 20)
        first, second = (read_manifest(each) for each in whole_backups(backups, clock.now_ms()))
        saltern("restore", "--from", str(backups), "--to", str(folder / "again"))
        restored = Node(folder / "again", PREFIX)
        with restored:
            names, behind = _comparable(config, load(restored.config), second.serial, load_.events, chance)
            compared, outcomes = _compare(node, restored, chance.choices(names, k=answers // 4))
            here, there = (Ports(each.ready["http"], each.ready["handle"]) for each in (node, restored))
            same = assert_same(here, there, pick(chance, names, many, foreign=many // 20), ["udp", "tcp", "http"])
        assert restored.fsck()
    _check_logs(load(restored.config))
    return Drilled(compared, same, outcomes, behind, second.serial - first.serial)


def _wait_for(writing: Load, calls: int) -> None:
    while writing.calls < calls and not writing.fault:
        threading.Event().wait(0.005)


def _comparable(
    config: Config, other: Config, serial: int, events: int, chance: random.Random
) -> tuple[list[str], int]:
    """Return identifiers of which nothing was written behind the backup, and how much was."""
    with (
        Reading(config) as store, Reading(other) as again, store.snapshot() as snapshot, again.snapshot() as copied,
    ):  # fmt: skip
        touched = set[bytes]()
        behind = 0
        after = Serial(serial)
        while rows := snapshot.feed(after, 10_000):
            touched |= {unpack_change(row).identifier.encode() for _, row in rows}
            behind += len(rows)
            after = rows[-1][0]
        records = [key for key, _ in copied.scan(Table.RECORDS, b"") if key not in touched]
        absent = [key for key, _ in snapshot.scan(Table.RECORDS, b"") if key not in touched]
        assert records == absent, "a record that nobody wrote is here or there alone"
        known = sum(1 for _ in copied.scan(Table.LOT_EVENTS, b""))
        row = unpack_lot(copied.get(Table.LOTS, LOT.encode()) or b"")
        codes = codes_of_lot(wiring.lot_keys(other), LOT.encode(), row)
    units = [*range(_FIRST + known), *range(_FIRST + events, _UNITS)]
    assert known <= events
    assert known > 0
    named = [LOT + codes.serial(index).decode() for index in chance.sample(units, 400)]
    scrapped = [LOT + codes.serial(_FIRST + index).decode() for index in range(known)]
    missing = [f"{PREFIX}/NONE{number}" for number in range(50)]
    return [*(key.decode() for key in records), *named, *scrapped, *missing, LOT], behind


class Reading:
    """A store that is read beside the node."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def __enter__(self) -> LmdbEngine:
        self._store = wiring.open_store(self._config, read_only=True)
        return self._store

    def __exit__(self, *_: object) -> None:
        self._store.close()


def _compare(node: Node, restored: Node, names: list[str]) -> tuple[Counter[str], Counter[str]]:
    compared, outcomes = Counter[str](), Counter[str]()
    asking = [_Asking(each) for each in (node, restored)]
    for name in names:
        here, there = (each.ask(name) for each in asking)
        for protocol, answer in here.items():
            assert there[protocol] == answer, (name, protocol, answer, there[protocol])
            compared[protocol] += 1
        outcomes[str(here["http"][0])] += 1
    return compared, outcomes


class _Asking:
    """Asks one node over every protocol."""

    def __init__(self, node: Node) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", node.ready["http"], timeout=30)
        self._clients = {name: client_of(node, name) for name in ("udp", "kept")}

    def ask(self, name: str) -> dict[str, tuple[Any, ...]]:
        path = quote(name, safe="/")
        told: dict[str, tuple[Any, ...]] = {
            "http": self._get(f"/api/handles/{path}", "application/json"),
            "page": self._get(f"/{path}", "text/html"),
        }
        for protocol, client in self._clients.items():
            reply = client.resolve(name, request_id=1)
            told[protocol] = (reply.code, reply.message, reply.handle, reply.values, reply.rest)
        return told

    def _get(self, path: str, accept: str) -> tuple[int, str | None, bytes]:
        self._http.request("GET", path, headers={"Accept": accept})
        response = self._http.getresponse()
        return response.status, response.getheader("Location"), response.read()


def _check_logs(config: Config) -> None:
    """Every record of the node that was put back came about once, told by the former logs or by the new ones."""
    (former,) = (config.data / "log-before").iterdir()
    for log in (former / "log", config.data / "log"):
        assert_verifies(log)
    created = Counter(
        each["obj"]
        for root in (former, None) for each in entries(config, Stream.REGISTRATION, root)
        if each["act"] == "record.create"
    )  # fmt: skip
    with Reading(config) as store, store.snapshot() as snapshot:
        records = [key.decode() for key, _ in snapshot.scan(Table.RECORDS, b"")]
    assert not [name for name in records if created[name] != 1]
    assert max(created.values()) == 1
    acts = [each["act"] for each in entries(config, Stream.MAINTENANCE)]
    assert acts[0] == "restore"
