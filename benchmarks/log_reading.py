"""Reading the resolution log: finding one identifier among 20 million entries, and what they take on the disk.

A log of one month is made by the node's own formats: blocks of 500 entries, half of them asked for one of 100 000
records, half for a unit code that nobody asked for before, from 50 000 addresses. Then the mirror is made by the
command that the keeper starts, in steps as it would grow, and questions are asked: in this process, and by the command.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import median

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.block import ROWS_MAX, pack_blocks
from audit.checkpoint import Checkpoint
from audit.clients import Clients
from audit.entry import dump
from audit.frame import Row as Entry
from audit.merkle import leaf_hash
from audit.note import ed25519_key, sign_note
from audit.query import LogReader
from audit.question import Question, name_identifiers
from audit.tile import WIDTH, Edge, bundle_path, pack_bundle, tile_path
from benchmarks.machine import Cores, file_bytes, on_core
from benchmarks.table import Floor, Row
from core.clock import DAY_MS, month_start
from core.config import load
from core.streams import Stream
from node.log_reading import comparison
from node.mirror import make_mirror

MONTH = "2026-01"
_SALTERN = (sys.executable, "-m", "node.cli.main")
_ORIGIN = f"node.example/log/resolution/{MONTH}"
_START = month_start(MONTH)
_DAYS = 30
_RECORDS = 100_000
_CLIENTS = 50_000
_KEY = bytes(32)
_SERIAL = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_ASKED = 20
_DAY = 17  # of the month, that is asked for


def measure(folder: Path, cores: Cores, *, entries: int) -> Iterator[Row]:
    """Yield all rows. ``entries``: of the log."""
    subprocess.run([*_SALTERN, "init", str(folder), "--prefix", "88.9999"], check=True, capture_output=True)
    config = load(folder / "node.toml")
    with on_core(cores.server):
        asked = _make_log(config.data / "log" / "resolution" / MONTH, entries)
    stored = _tree_bytes(config.data / "log" / "resolution")
    yield Row(
        "stored resolution entry, tiles and all", stored / entries, " B", Floor("≤", 40, " B"),
        ours=f"{entries:,} entries, blocks of {ROWS_MAX}, {stored / 1e6:,.0f} MB",
    )  # fmt: skip
    reader = LogReader(config.data, comparison(config))
    fold = comparison(config).fold
    day = Question(_START + (_DAY - 1) * DAY_MS, _START + _DAY * DAY_MS)
    questions = [(Question(named=name_identifiers(name, fold)), at_ms) for name, at_ms in asked]
    by_day = [
        (day._replace(named=question.named), at_ms)
        for question, at_ms in questions
        if day.since_ms <= at_ms < day.until_ms
    ]
    with on_core(cores.server):
        yield _asked("find one identifier, no mirror", reader, questions[:3], None)
        began = time.perf_counter()
        make_mirror(config)
        took = time.perf_counter() - began
    mirror = _tree_bytes(config.data / "mirror")
    yield Row(
        "make the mirror", entries / took, "/s",
        ours=f"{took:.0f} s on one core; {mirror / entries:.1f} B an entry more, {mirror / 1e6:,.0f} MB",
    )  # fmt: skip
    yield _asked("find one identifier", reader, questions[:_ASKED], Floor("<", 2.0, " s"))
    yield _asked("find one identifier within a given day", reader, by_day, Floor("<", 0.3, " s"))
    name, _ = asked[0]
    yield _command("saltern log query, all of the command", folder, "query", "--identifier", name, "--json")
    yield _command(
        "saltern log export of a day as CSV", folder, "export", "--stream", "resolution", "--format", "csv",
        "--from", f"{MONTH}-{_DAY:02}", "--to", f"{MONTH}-{_DAY:02}", "--out", str(folder / "out"),
    )  # fmt: skip


def _asked(what: str, reader: LogReader, questions: list[tuple[Question, int]], floor: Floor | None) -> Row:
    """Return the row of questions, each for one entry."""
    took = []
    for question, _ in questions:
        began = time.perf_counter()
        found = list(reader.find(Stream.RESOLUTION, question))
        took.append(time.perf_counter() - began)
        if not found:
            raise RuntimeError("an entry is not found")
    return Row(
        what,
        median(took),
        " s",
        floor,
        ours=f"median of {len(took)}, slowest {max(took):.3f} s",
        details={"seconds": took},
    )


def _command(what: str, folder: Path, *arguments: str) -> Row:
    command = [*_SALTERN, "log", *arguments, "--config", str(folder / "node.toml")]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} failed")
    return Row(what, time.perf_counter() - began, " s", ours=f"{usage.ru_maxrss / 1_024:.0f} MB of memory at most")


# --- the log -----------------------------------------------------------------
def _make_log(folder: Path, entries: int) -> list[tuple[str, int]]:
    """Make a log; return some identifiers that were asked for once, each with its time."""
    chance = random.Random(1)
    addresses = [chance.randbytes(4) for _ in range(_CLIENTS)]
    clients = Clients(_KEY, _CLIENTS)
    resolutions = _entries(chance, addresses)
    edge, kept = Edge(), []
    leaves = [dump({"act": "log.begin"})]
    blocks = -(-entries // ROWS_MAX)
    for block in range(blocks):
        rows = list(islice(resolutions, min(ROWS_MAX, entries - block * ROWS_MAX)))
        at = _START + block * _DAYS * DAY_MS // blocks
        packed = pack_blocks(_times(at, len(rows)), rows, clients, "88.9999", "0.1.0")
        leaves += [leaf for leaf, _ in packed]
        if block % max(blocks // (_DAYS * _ASKED), 1) == 0:
            kept.append((rows[0][3].decode(), at))
        if len(leaves) >= WIDTH:
            edge = _publish(folder, edge, leaves[:WIDTH])
            del leaves[:WIDTH]
    edge = _publish(folder, edge, leaves)
    private = Ed25519PrivateKey.from_private_bytes(bytes(32))
    key = ed25519_key(_ORIGIN, private.public_key().public_bytes_raw())
    note = sign_note(Checkpoint(_ORIGIN, edge.size, edge.root()).text, key, private.sign)
    (folder / "checkpoint").write_bytes(note)
    chance.shuffle(kept)
    return kept


def _entries(chance: random.Random, addresses: list[bytes]) -> Iterator[Entry]:
    """Yield a unit code and a record in turns. (The choices are drawn from two numbers: it is quicker.)"""
    records = [f"88.9999.{number % 50}/SKU{number:06}".encode() for number in range(_RECORDS)]
    bits, pick = chance.getrandbits, chance.random
    while True:
        code, lot, port = bits(50), int(pick() * 10_000), bits(16)
        serial = "".join([_SERIAL[code >> shift & 31] for shift in range(0, 50, 5)])
        address = addresses[int(pick() * _CLIENTS)]
        peer = port.to_bytes(2, "big") + address
        yield (4, "ok", peer, f"88.9999.{lot % 50}/L{lot:07}{serial}".encode(), "")
        yield (1, "ok", port.to_bytes(2, "little") + address, records[int(pick() ** 3 * _RECORDS)], "")


def _times(at: int, rows: int) -> list[tuple[int, int]]:
    """Return times as turns of a worker have them: several entries a millisecond, within a second."""
    step = 5
    return [(at + 9 * turn, min(step, rows - turn * step)) for turn in range(-(-rows // step))]


def _publish(folder: Path, edge: Edge, leaves: list[bytes]) -> Edge:
    """Write a bundle, and the tiles that it makes; the partial ones of the end alone would be read."""
    _write(folder / bundle_path(edge.size // WIDTH, len(leaves)), pack_bundle(leaves))
    grown, tiles = edge.grow(map(leaf_hash, leaves))
    for (level, number, width), octets in tiles:
        if width == WIDTH or len(leaves) < WIDTH:
            _write(folder / tile_path(level, number, width), octets)
    return grown


def _write(path: Path, octets: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(octets)


def _tree_bytes(folder: Path) -> int:
    return sum(file_bytes(path) for path in folder.rglob("*") if path.is_file())
