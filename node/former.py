"""What the former node may have given after the copy that a node is put back from, and what is not given again.

1. Ids of parties, incidents and events go on RESTORED_NUMBERS behind the copy's: nobody gets one that another may have.
2. Units of lots: what no line had is marked as given, to RESTORED_LINE, since a line may have printed it. Events of
   these units come in as ever; only new blocks are refused, and new lots have them. Not so where whoever puts the node
   back says that the former one had been stopped before the copy was made.
"""

from __future__ import annotations

from typing import Final

from core import limits
from core.clock import Millis
from core.store.engine import Batch, Snapshot, Table
from core.store.incident_rows import LAST_INCIDENT_KEY, pack_last
from core.store.lmdb_engine import LmdbEngine
from core.store.lot_rows import Block, index_in, indexed_key, lot_range, pack_block, unpack_block, unpack_lot
from core.store.monitor_rows import LAST_EVENT_KEY, last_event, pack_last_event
from core.store.party_rows import LAST_KEY

RESTORED_LINE: Final = "(restored)"
_NUMBER_BYTES: Final = 8


def skip_numbers(snapshot: Snapshot, batch: Batch) -> None:
    """Leave out the ids that the former node may have given. Errors: StoreError."""
    parties, incidents = (
        int.from_bytes(snapshot.get(Table.META, key) or b"", "big") + limits.RESTORED_NUMBERS
        for key in (LAST_KEY, LAST_INCIDENT_KEY)
    )
    batch.put(Table.META, LAST_KEY, parties.to_bytes(_NUMBER_BYTES, "big"))
    batch.put(Table.META, LAST_INCIDENT_KEY, pack_last(incidents))
    batch.put(Table.META, LAST_EVENT_KEY, pack_last_event(last_event(snapshot) + limits.RESTORED_NUMBERS))


def withhold_units(store: LmdbEngine, now_ms: Millis) -> int:
    """Mark what no line had of any lot as given; return of how many lots. Errors: StoreError."""
    lots, batch = 0, Batch()
    with store.snapshot() as snapshot:
        for lot, row in snapshot.scan(Table.LOTS, b""):
            free = _free(snapshot, lot, unpack_lot(row).packaging.units)
            lots += bool(free)
            for start, stop in free:
                block = pack_block(Block(stop - start, RESTORED_LINE, "", now_ms))
                batch.put(Table.LOT_BLOCKS, indexed_key(lot, start), block)
            if len(batch.rows.get(Table.LOT_BLOCKS, {})) >= limits.IMPORT_CHUNK_ITEMS:
                store.commit(batch)
                batch = Batch()
    if batch.rows:
        store.commit(batch)
    return lots


def _free(snapshot: Snapshot, lot: bytes, units: int) -> list[tuple[int, int]]:
    """Return the ranges of units that no line was given, as first index and stop."""
    found, free = [], 0
    for key, row in snapshot.scan(Table.LOT_BLOCKS, *lot_range(lot)):
        start = index_in(key)
        if start > free:
            found.append((free, start))
        free = start + unpack_block(row).size
    return [*found, (free, units)] if free < units else found
