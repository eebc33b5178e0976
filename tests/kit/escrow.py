"""Deposits in memory, and a store that is made of them."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

from core.changes import Serial
from core.keyring import KeyRing
from core.lotkeys import MasterKeys
from core.store.engine import Engine, Table
from core.store.lmdb_engine import LmdbEngine
from node.lot_keys import LotKeys
from sync.escrow.applying import NewKeys
from sync.escrow.item import Item
from sync.escrow.making import Keys, items
from tests.kit.governance import LOT_KEYS, SEALS

RING = KeyRing(7, {7: bytes(range(64, 96))})
LOT_RING = KeyRing(9, {9: bytes(range(96, 128))})
_SECRETS = itertools.count()
NEW = NewKeys(
    RING, LotKeys(lambda: LOT_RING, time.monotonic), lambda: os.urandom(12), lambda: b"made %d" % next(_SECRETS)
)


def deposit(store: Engine, since: Serial | None = None, lots: MasterKeys = LOT_KEYS) -> list[Item]:
    """Return the items of a deposit."""
    with store.snapshot() as snapshot:
        return list(items(snapshot, Keys(SEALS.load_keys, lots, os.urandom(32), SEALS.make_nonce), since))


def serial_of(store: Engine) -> Serial:
    """Return the serial of a store."""
    with store.snapshot() as snapshot:
        return snapshot.serial()


def rows_of(store: Engine, table: Table) -> dict[bytes, bytes]:
    """Return the rows of a table."""
    with store.snapshot() as snapshot:
        return dict(snapshot.scan(table, b""))


def empty(folder: Path) -> LmdbEngine:
    """Return an empty store."""
    return LmdbEngine(folder, create=True, map_size_bytes=1 << 28)
