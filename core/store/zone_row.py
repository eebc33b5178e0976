"""The row ``zone`` of META: the serial of the last change that may have touched a zone of DNS, 8 octets, big-endian.

Written with the change, in its transaction (``registry/staging.py``). No row: none ever did. A store that was put back
counts as touched by that: who has its zone may have it from after the copy (``core/store/restart.py``).

The row ``zone-settings`` of META: SHA-256 of the settings that the zones were made with. No row: they never were.
"""

from __future__ import annotations

from typing import Final

from core.changes import ChangeKind, Serial, pack_change
from core.clock import Millis
from core.store.engine import Batch, Engine, Table
from core.store.prefix_rows import Rows
from core.store.restart import restarted_at

ZONE_KEY: Final = b"zone"
SETTINGS_KEY: Final = b"zone-settings"
_IDENTIFIER: Final = b"dns"

TOUCHING: Final = frozenset((
    ChangeKind.ALIAS_ADDED, ChangeKind.ALIAS_REMOVED,
    ChangeKind.HOLD_PLACED, ChangeKind.HOLD_LIFTED,
    ChangeKind.PREFIX_HOMED, ChangeKind.PREFIX_UNHOMED, ChangeKind.PREFIX_ALLOCATED,
    ChangeKind.PREFIX_SUSPENDED, ChangeKind.PREFIX_RESUMED, ChangeKind.PREFIX_DELETED,
    ChangeKind.PREFIX_IMPORTED, ChangeKind.PREFIX_ABANDONED,
))  # fmt: skip
"""What changes which aliases there are, or whether what they name is answered."""


def zone_serial(rows: Rows) -> Serial:
    """Return the serial of the last change that may have touched a zone, 0 before the first."""
    return max(Serial(int.from_bytes(rows.get(Table.META, ZONE_KEY) or b"", "big")), restarted_at(rows))


def adopt_zone_settings(store: Engine, digest: bytes, now_ms: Millis) -> None:
    """Keep the settings of the zones in the store, for the one process that writes: others are a change of the zones.

    Errors: StoreError.
    """
    with store.snapshot() as snapshot:
        row = snapshot.get(Table.META, SETTINGS_KEY)
    if row == digest:
        return
    batch = Batch()
    batch.expect(Table.META, SETTINGS_KEY, row)
    batch.put(Table.META, SETTINGS_KEY, digest)
    if row is not None:
        batch.serials[ZONE_KEY] = len(batch.changes)
        batch.changes.append(pack_change(ChangeKind.ZONE_SETTINGS, _IDENTIFIER, now_ms))
    store.commit(batch)
