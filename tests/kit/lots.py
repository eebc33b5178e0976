"""A lot whose codes are always the same, for tests that put it into a store of their own."""

from __future__ import annotations

import json
from typing import Final

from core.clock import Millis
from core.ident.unitcode import UnitCodes, derive_lot_key
from core.keyring import KeyRing
from node.lot_keys import LotKeys
from registry.commands import OPERATOR, CreateLot, RecordEvents, Request
from registry.service import Registry

MASTER: Final = bytes(32)
KEY_FILE: Final = f"1 {MASTER.hex()}\n"
UNITS: Final = 100


def lot_keys() -> LotKeys:
    """Return master keys, of which there is one."""
    return LotKeys(lambda: KeyRing(1, {1: MASTER}), lambda: 0.0)


def unit_of(lot: str, index: int) -> str:
    """Return the handle of a unit, case (from UNITS on) or pallet."""
    prefix, _, code = lot.encode().partition(b"/")
    return lot + UnitCodes(derive_lot_key(MASTER, prefix, code, 1)).serial(index).decode()


def put_lot(registry: Registry, lot: str, product: str, now_ms: Millis) -> None:
    """Register a lot of UNITS units, ten in a case, whose seventh unit is scrapped."""
    form = {"lot": lot, "product": product, "count": UNITS, "units_per_case": 10}
    event = {"event": "scrapped", "from": 6, "count": 1, "time": "2020-01-01T00:00:00Z"}
    results = registry.run([
        Request(CreateLot(json.dumps(form).encode()), OPERATOR),
        Request(RecordEvents(lot, json.dumps([event]).encode(), False), OPERATOR),
    ], now_ms)  # fmt: skip
    assert all(result.done for result in results), results
