"""Rows of the table DEPOSITS: the deposits that this node keeps in its own folder, and what top nodes said of them.

key: id of the deposit (``sync/escrow/head.py``); ids sort by time
0  1  version (1)
1     msgpack [kind, watermark, since, revision, previous, made_ms, folder, {key id of a top node:
      [stage, zh, en, fault, next_ms]}]

Written by whoever makes deposits; what became of one above by whoever sends, each expecting the row as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgpack

from core.clock import Millis, read_millis
from core.errors import StoreError
from core.store.engine import Batch, Engine, ExpectationError, Snapshot, Table

_VERSION: Final = b"\x01"
_TRIES: Final = 10
FULL: Final = "full"
_KINDS: Final = (FULL, "diff")
_STAGES: Final = ("", "waiting", "accepted", "rejected")


class DepositAbove(NamedTuple):
    """What became of a deposit at one top node; members as of ``sync/escrow/sending.py``."""

    stage: str
    zh: str
    en: str
    fault: str
    next_ms: Millis


class DepositRow(NamedTuple):
    """A deposit that lies here. Members as of its head; ``folder``: where, counted from the folder of deposits."""

    kind: str
    watermark: int
    since: int
    revision: int
    previous: str
    made_ms: Millis
    folder: str
    above: Mapping[str, DepositAbove] = {}


def pack_deposit(row: DepositRow) -> bytes:
    """Return the row of a deposit."""
    packed: bytes = msgpack.packb((*row[:-1], dict(sorted(row.above.items()))))
    return _VERSION + packed


def unpack_deposit(row: bytes) -> DepositRow:
    """Read the row of a deposit. Errors: StoreError."""
    try:
        if row[:1] != _VERSION:
            raise ValueError(f"version {row[:1]!r}")
        kind, watermark, since, revision, previous, made_ms, folder, above = msgpack.unpackb(row[1:])
        numbers = (watermark, since, revision)
        if kind not in _KINDS or not all(type(each) is int and 0 <= each < 2**63 for each in numbers):
            raise ValueError("kind or number")
        told = {_text(upstream): _above(each) for upstream, each in above.items()}
        made_ms = read_millis(made_ms)
        return DepositRow(kind, watermark, since, revision, _text(previous), made_ms, _text(folder), told)
    except (ValueError, TypeError, AttributeError, msgpack.UnpackException) as error:
        raise StoreError(f"a row of deposits cannot be read: {error}") from None


def deposits(snapshot: Snapshot) -> dict[str, DepositRow]:
    """Return the deposits by their ids, the oldest first. Errors: StoreError."""
    return {key.decode(errors="replace"): unpack_deposit(row) for key, row in snapshot.scan(Table.DEPOSITS, b"")}


def put_deposit(store: Engine, deposit: str, row: DepositRow | None) -> None:
    """Write the row of a deposit, or take it away. Errors: StoreError."""
    batch = Batch()
    batch.put(Table.DEPOSITS, deposit.encode(), None if row is None else pack_deposit(row))
    store.commit(batch)


def keep_above(store: Engine, deposit: str, upstream: str, above: DepositAbove) -> None:
    """Keep what became of a deposit at a top node, where it still lies here. Errors: StoreError."""
    key = deposit.encode()
    for _ in range(_TRIES):
        with store.snapshot() as snapshot:
            packed = snapshot.get(Table.DEPOSITS, key)
        if packed is None:
            return
        row = unpack_deposit(packed)
        batch = Batch()
        batch.expect(Table.DEPOSITS, key, packed)
        batch.put(Table.DEPOSITS, key, pack_deposit(row._replace(above={**row.above, upstream: above})))
        try:
            store.commit(batch)
        except ExpectationError:
            continue
        return
    raise StoreError("the row of a deposit was written by others each time")


def _text(packed: Any) -> str:
    if not isinstance(packed, str):
        raise TypeError("no text")
    return packed


def _above(packed: Any) -> DepositAbove:
    stage, zh, en, fault, next_ms = packed
    if stage not in _STAGES:
        raise ValueError("stage")
    return DepositAbove(stage, _text(zh), _text(en), _text(fault), read_millis(next_ms))
