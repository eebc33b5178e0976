"""Lots: what registering, printing, checking, recording and resolving a million bags costs.

Register: ``POST /v1/lots`` of 1 000 000 units, one at a time by one client, fsync on; and how far the data file grows
over 1 000 of them, which hold 10⁹ identifiers. After a SIGKILL units of all of them are resolved at random.

Codes: in this process, on one core. Events: 10 000 units of a lot come into another state by one request.

Resolve: units of 10 000 lots at random, beside stored records that hold the same values, on the same node and by the
same traffic. Rounds take turns.
"""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import records
from benchmarks.bench import HTTP_CONNECTIONS, Bench
from benchmarks.client import Connection, request
from benchmarks.load import Generators, compile_programs
from benchmarks.machine import Cores, file_bytes, memory_bytes, on_core, read_once
from benchmarks.node import UNLIMITED, Node
from benchmarks.rounds import alone_row, ratio_row, take_turns
from benchmarks.table import Floor, Row
from core.ident.unitcode import UnitCodes, derive_lot_key
from core.lotcodes import LotCodes
from core.lots import Packaging
from node.key_file import LOT_KEYS, load_keys

UNITS = 1_000_000
LOTS = 1_000
RESOLVED_LOTS = 10_000
_PACKAGING = Packaging(UNITS, 50, 40)
_PRODUCT = f"{records.PREFIX}/SKU01"
_PROTOTYPE = "1.0"
_RATIO = Floor("≥", 0.8)
_KEY_ID = 1
_SETTINGS = {**UNLIMITED, "handle.server_admins": "[300, 301]"}  # who registers lots here is an operator
_ASKED = 100_000
_OPENED = 300_000
_EVENTS = 10_000
_COVER_S = 60


def measure(folder: Path, cores: Cores, *, stored: int, rounds: int, seconds: float) -> Iterator[Row]:
    """Yield all rows. ``stored``: records beside the lots."""
    folder.mkdir()
    yield from _measure_codes(folder, cores)
    node = Node(folder / "node", cores.server)
    node.load([_product()])
    with _running(node):
        yield from _measure_registration(node, cores)
        yield from _measure_events(node, cores)
        yield _measure_restart(node, cores)
        _register(node, cores, range(LOTS, RESOLVED_LOTS))
        template = json.loads(node.resolve(_unit(node, 0, 0)))["values"]
    node.load(_alike(number, template) for number in range(stored))
    read_once(node.data_file)
    generators = compile_programs(folder, cores.client)
    if generators is None:
        return
    with _running(node):
        yield from _measure_resolution(node, folder, cores, generators, stored, rounds, seconds)


@contextmanager
def _running(node: Node) -> Iterator[None]:
    node.start(_SETTINGS)
    try:
        yield
    finally:
        node.stop()


# --- codes ---
def _measure_codes(folder: Path, cores: Cores) -> Iterator[Row]:
    codes = UnitCodes(derive_lot_key(bytes(32), b"88.9999.1", b"L1", _KEY_ID))
    lot = LotCodes("88.9999.1/L1", _PACKAGING, codes)
    with on_core(cores.client):
        path = folder / "codes.csv"
        began = time.perf_counter()
        with path.open("w") as file:
            file.writelines(
                f"{code.at},{code.identifier},{code.case},{code.pallet}\n" for code in lot.over(range(UNITS))
            )
        per_s = UNITS / (time.perf_counter() - began)
        size = file_bytes(path)
        path.unlink()
        serials = codes.serials(0, _OPENED)
        random.Random(1).shuffle(serials)
        began = time.perf_counter()
        found = sum(codes.index(serial) is not None for serial in serials)
        opened_per_s = found / (time.perf_counter() - began)
    yield Row(
        "generate unit codes to a file, with case and pallet", per_s, "/s", Floor("≥", 300_000, "/s"),
        ours=f"{UNITS:,} codes, {size / 1e6:.0f} MB", prototype="1.3 M/s",
    )  # fmt: skip
    yield Row(
        "open and verify a unit code", opened_per_s, "/s", Floor("≥", 500_000, "/s"), ours=f"{found:,} codes at random"
    )


# --- registration ---
def _measure_registration(node: Node, cores: Cores) -> Iterator[Row]:
    before = file_bytes(node.data_file)
    took, stored = _register(node, cores, range(LOTS))
    grown = file_bytes(node.data_file) - before
    yield Row(
        f"register a lot of {UNITS:,} units", median(took) * 1e3, " ms", Floor("<", 50.0, " ms"),
        ours=f"slowest of {LOTS:,}: {max(took) * 1e3:.1f} ms; {max(stored)} octets of keys and rows written at most",
        details={"seconds": took, "stored_bytes": stored},
    )  # fmt: skip
    yield Row(
        "keys and rows that a lot writes", max(stored), " B", Floor("<", 1_024, " B"), ours=f"least {min(stored)} B"
    )
    yield Row(
        f"growth of the data file a lot, over {LOTS:,} lots", grown / LOTS, " B", Floor("≤", 2_048, " B"),
        ours=f"{grown / 1e6:.2f} MB for {LOTS * UNITS:,} identifiers", details={"grown_bytes": grown},
    )  # fmt: skip


def _register(node: Node, cores: Cores, numbers: range) -> tuple[list[float], list[int]]:
    """Register lots one at a time; return the seconds of each and the octets that it wrote."""
    head = node.admin()
    took, stored = [], []
    with on_core(cores.client), Connection(node.port) as connection:
        for number in numbers:
            sent = request("POST", "/v1/lots", head, records.dump(_lot(number)))
            began = time.perf_counter()
            answer = connection.ask(sent)
            took.append(time.perf_counter() - began)
            if answer.status != 201:
                raise RuntimeError(f"{answer.status} {answer.body!r}")
            stored.append(json.loads(answer.body)["stored_bytes"])
    return took, stored


def _measure_restart(node: Node, cores: Cores) -> Row:
    """Return the row of a restart with 10⁹ identifiers, and of resolving them at random."""
    node.stop(signal.SIGKILL)
    began = time.perf_counter()
    node.start(_SETTINGS)
    node.resolve(_unit(node, LOTS - 1, UNITS - 1))
    took = time.perf_counter() - began
    chance = random.Random(2)
    worker = node.worker
    with on_core(cores.client), Connection(node.port) as connection:
        for _ in range(LOTS):
            unit = _unit(node, chance.randrange(LOTS), chance.randrange(_PACKAGING.total))
            if connection.ask(request("GET", f"/api/handles/{unit}")).status != 200:
                raise RuntimeError(f"{unit} is not found")
    return Row(
        f"restart with {LOTS * UNITS:,} identifiers to the first answer", took, " s",
        ours=f"{LOTS:,} of them resolved at random; data file {file_bytes(node.data_file) / 1e6:.1f} MB, "
        f"private memory of the worker {memory_bytes(worker, 'RssAnon') / 1e6:.1f} MB",
    )  # fmt: skip


# --- events ---
def _measure_events(node: Node, cores: Cores) -> Iterator[Row]:
    lot, head = _name(0), node.admin()
    as_range = [{"event": "commissioned", "from": 0, "count": _EVENTS, "time": "2026-01-01T08:00:00+08:00"}]
    one_by_one = [
        {"event": "encoded", "identifier": _unit(node, 0, index), "time": f"2026-01-01T08:{index // 1_000:02}:00+08:00"}
        for index in range(_EVENTS, 2 * _EVENTS)
    ]
    with on_core(cores.client), Connection(node.port) as connection:
        for what, events, floor in (
            ("in range form", as_range, Floor("<", 100.0, " ms")), ("one code an item", one_by_one, None),
        ):  # fmt: skip
            sent = request("POST", f"/v1/lots/{lot}/events", head, records.dump(events))
            began = time.perf_counter()
            answer = connection.ask(sent)
            took = time.perf_counter() - began
            counts = json.loads(answer.body)["counts"]
            if counts != {"ok": len(events)}:
                raise RuntimeError(f"{counts}")
            yield Row(f"commit {_EVENTS:,} unit events, {what}", took * 1e3, " ms", floor, ours=f"{len(sent):,} octets")


# --- resolution ---
def _measure_resolution(
    node: Node, folder: Path, cores: Cores, generators: Generators, stored: int, rounds: int, seconds: float
) -> Iterator[Row]:
    chance = random.Random(3)
    units = [_unit(node, chance.randrange(RESOLVED_LOTS), chance.randrange(UNITS)) for _ in range(_ASKED)]
    handles = [records.handle(number) for number in range(stored)]
    chance.shuffle(handles)
    bench = Bench(node, folder / "records", cores, generators, handles, rounds, seconds)
    of_units = replace(bench, folder=folder / "units", handles=units)
    for each in (bench, of_units):
        each.folder.mkdir()
    for each in (bench, of_units):  # every lot is known, and every record in the page cache
        generators.run(each.http(), measure_s=_COVER_S, count=len(each.handles))
    for over, traffic in _TRAFFICS.items():
        what = f"resolve a unit of {RESOLVED_LOTS:,} lots over {over}"
        sides = {
            "units": of_units.flat_out(traffic(of_units), node.worker),
            "records": bench.flat_out(traffic(bench), node.worker),
        }
        if not cores.apart:
            yield alone_row(what, _RATIO, _PROTOTYPE, take_turns(sides, rounds)["units"], "one core only")
            continue
        found = take_turns(sides, rounds)
        reference = f"stored records with the same values, {stored:,}"
        yield ratio_row(what, _RATIO, _PROTOTYPE, found, ("units", "records"), reference)
    yield Row(
        f"private memory of a worker, units of {RESOLVED_LOTS:,} lots resolved",
        memory_bytes(node.worker, "RssAnon") / 1e6, " MB", Floor("<", 120.0, " MB"),
    )  # fmt: skip


_TRAFFICS: dict[str, Callable[[Bench], Any]] = {
    f"HTTP, {HTTP_CONNECTIONS} connections": lambda bench: bench.http(),
    "UDP": lambda bench: bench.udp(),
    "TCP": lambda bench: bench.tcp(),
}


# --- what is registered ---
def _name(number: int) -> str:
    return f"{records.PREFIX}/L{number:07}"


def _lot(number: int) -> dict[str, Any]:
    return {
        "lot": _name(number), "product": _PRODUCT, "count": UNITS, "units_per_case": _PACKAGING.units_per_case,
        "cases_per_pallet": _PACKAGING.cases_per_pallet, "line": "L4", "produced": "2026-01-01",
        "valid_until": "2029-01-01",
    }  # fmt: skip


def _product() -> dict[str, Any]:
    return {"handle": _PRODUCT, "values": records.values(_PRODUCT)}


def _alike(number: int, values: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a record that says what a unit says."""
    kept = [{name: value[name] for name in ("index", "type", "data")} for value in values]
    return {"handle": records.handle(number), "values": kept}


def _unit(node: Node, lot: int, index: int) -> str:
    name = _name(lot)
    codes = _CODES.get(name)
    if codes is None:
        prefix, _, code = name.encode().partition(b"/")
        master = load_keys(node.config.parent / "keys" / "lots.keys", LOT_KEYS).keys[_KEY_ID]
        codes = _CODES[name] = UnitCodes(derive_lot_key(master, prefix, code, _KEY_ID))
    return name + codes.serial(index).decode()


_CODES: dict[str, UnitCodes] = {}
