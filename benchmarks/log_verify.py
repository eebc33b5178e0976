"""Verifying a resolution log: how many entries a second, beside the raw rate of hashlib over the same octets.

The log: blocks of 500 entries, as the keeper packs them, of unit codes and clients at random; its files are read once
first. Rounds take turns. What is measured is all of ``audit.verify``: bundles, leaves, tiles, signature, every file.
"""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.block import pack_blocks
from audit.checkpoint import Checkpoint
from audit.clients import Clients
from audit.frame import Row as LoggedRow
from audit.merkle import leaf_hash
from audit.note import ed25519_key, sign_note
from audit.tile import WIDTH, Edge, bundle_path, pack_bundle, tile_path
from audit.verify import read_keys, verify
from benchmarks.machine import Cores, memory_bytes, on_core
from benchmarks.table import Floor, Row
from core.errors import Outcome
from core.events import Via
from core.peer import peer_of

ROWS = 500
_BLOCKS = 64  # different ones; the log repeats them
_ORIGIN = "node.example/log/resolution/2026-11"
_CLIENTS = 65_536
_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_FLOOR = Floor("≥", 3_000_000, "/s")


def measure(folder: Path, cores: Cores, *, leaves: int, rounds: int) -> Iterator[Row]:
    """Yield the rows."""
    folder.mkdir()
    vkey, blocks = _make(folder / "resolution/2026-11", leaves)
    keys, entries = read_keys(vkey), leaves * ROWS
    rates: dict[str, list[float]] = {"ours": [], "hashlib": []}
    octets = sum(len(blocks[number % _BLOCKS]) for number in range(leaves))
    with on_core(cores.server):
        report = verify(folder / "resolution/2026-11", keys)
        if report.problems or report.streams["resolution"]["2026-11"]["entries"] != entries - ROWS:
            raise RuntimeError(report.text())
        for _ in range(rounds):
            began = time.perf_counter()
            verify(folder / "resolution/2026-11", keys)
            rates["ours"].append(entries / (time.perf_counter() - began))
            began = time.perf_counter()
            for number in range(leaves):
                hashlib.sha256(blocks[number % _BLOCKS]).digest()
            rates["hashlib"].append(entries / (time.perf_counter() - began))
    ours, raw = (median(each) for each in rates.values())
    yield Row(
        "verify a resolution log, every file of it", ours, "/s", _FLOOR, prototype="12.9 M/s without files",
        ours=f"{entries:,} entries of {octets / entries:.1f} octets; {ours * octets / entries / 1e6:,.0f} MB/s; "
        f"peak memory {memory_bytes(os.getpid(), 'VmHWM') / 1e6:.0f} MB",
        details=rates,
    )  # fmt: skip
    yield Row(
        "the same, as a share of what hashlib alone takes", ours / raw, "", reference="SHA-256 of the leaves in memory",
        ours=f"hashlib {raw:,.0f}/s",
    )  # fmt: skip


def _make(month: Path, leaves: int) -> tuple[str, list[bytes]]:
    """Make the log; return its vkey and the blocks."""
    chance = random.Random(8)
    blocks = [_block(chance, number) for number in range(_BLOCKS)]
    hashes = [leaf_hash(block) for block in blocks]
    begin = b'{"act":"log.begin","stream":"resolution"}'
    first = [begin, *blocks[1:]]
    edge, tiles = Edge().grow([leaf_hash(begin), *(hashes[number % _BLOCKS] for number in range(1, leaves))])
    for start in range(0, leaves, WIDTH):
        width = min(WIDTH, leaves - start)
        held = [(blocks if start + at else first)[(start + at) % _BLOCKS] for at in range(width)]
        _write(month / bundle_path(start // WIDTH, width), pack_bundle(held))
    for place, octets in tiles:
        _write(month / tile_path(*place), octets)
    private = Ed25519PrivateKey.from_private_bytes(bytes(32))
    key = ed25519_key(_ORIGIN, private.public_key().public_bytes_raw())
    _write(month / "checkpoint", sign_note(Checkpoint(_ORIGIN, leaves, edge.root()).text, key, private.sign))
    _write(month / "vkey", f"{key.vkey}\n".encode())
    return key.vkey, blocks


def _block(chance: random.Random, number: int) -> bytes:
    rows: list[LoggedRow] = []
    for _ in range(ROWS):
        address = f"203.0.{chance.randrange(64)}.{chance.randrange(256)}"
        code = "".join(chance.choices(_LETTERS, k=10))
        identifier = f"88.118.7/L26112100{chance.randrange(10)}{code}".encode()
        peer = peer_of((address, chance.randrange(1_024, 65_536)))
        rows.append((Via.JSON.value, Outcome.OK.value, peer, identifier, ""))
    at = 1_795_000_000_000 + number * 1_000
    times = [(at + step, ROWS // 20) for step in range(0, 1_000, 50)]
    ((leaf, _),) = pack_blocks(times, rows, Clients(bytes(32), _CLIENTS), "88.118", "0.1.0")
    return leaf


def _write(path: Path, octets: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(octets)
