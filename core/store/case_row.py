"""The row ``case`` of the table META: how the keys of the store were made.

    0  1  0 keys are folded whole, 1 suffixes are kept (handle.case_sensitive)

No row is 0: a store of before there was a choice. A store is never used under
another mode than its keys were made in: half of its records could not be found. It may
be switched while all of its records are prefix handles (``0.NA/…``), which fold in both, and it has no lot.
"""

from __future__ import annotations

from typing import Final

from core.errors import ConfigError, StoreError
from core.ident.handle import PREFIX_HANDLES
from core.store.engine import Batch, Engine, Snapshot, Table
from core.store.record_rows import prefix_range

CASE_KEY: Final = b"case"
_ROWS: Final = {False: b"\x00", True: b"\x01"}


def stored_case(snapshot: Snapshot) -> bool:
    """Return whether case matters in the keys of the store. Errors: StoreError for a row that is neither."""
    row = snapshot.get(Table.META, CASE_KEY)
    if row not in (None, *_ROWS.values()):
        raise StoreError(f"meta {CASE_KEY!r}: {row!r} is neither 00 nor 01")
    return row == _ROWS[True]


def require_case(snapshot: Snapshot, *, case_sensitive: bool) -> None:
    """Errors: ConfigError if the store's keys were made in the other mode and cannot be read in this one."""
    stored = stored_case(snapshot)
    if stored == case_sensitive or not _has_other_records(snapshot):
        return
    was, wanted = _toml(stored), _toml(case_sensitive)
    raise ConfigError(
        f"handle.case_sensitive = {wanted}，但存储中的标识是按 {was} 写入的；"
        "只有当存储中除 0.NA/… 外没有记录、也没有批次时才能切换。"
        f"handle.case_sensitive = {wanted}, but the keys of this store were made with {was}; it can be switched only "
        "while the store has no record outside 0.NA/… and no lot: set it back, or register the records in a new node",
        setting="handle.case_sensitive",
    )


def adopt_case(store: Engine, *, case_sensitive: bool) -> None:
    """Keep the mode in the store, for the one process that writes. Errors: ConfigError as above, StoreError."""
    with store.snapshot() as snapshot:
        require_case(snapshot, case_sensitive=case_sensitive)
        row = snapshot.get(Table.META, CASE_KEY)
    if row != _ROWS[case_sensitive]:
        batch = Batch()
        batch.expect(Table.META, CASE_KEY, row)
        batch.put(Table.META, CASE_KEY, _ROWS[case_sensitive])
        store.commit(batch)


def _has_other_records(snapshot: Snapshot) -> bool:
    """Whether there is a record outside 0.NA/…, or a lot, also one that is not served now."""
    start, stop = prefix_range(PREFIX_HANDLES)
    before = next(snapshot.scan(Table.RECORDS, b"", start), None)
    behind = next(snapshot.scan(Table.RECORDS, stop), None)
    return before is not None or behind is not None or next(snapshot.scan(Table.LOTS, b""), None) is not None


def _toml(flag: bool) -> str:
    return "true" if flag else "false"
