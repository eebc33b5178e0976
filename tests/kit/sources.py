"""What makes sync right: the rows of a source, and that whatever changed is told by a change of the feed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from core.changes import ChangeKind, Serial, unpack_change
from core.store.engine import Engine, Snapshot
from sync.source import Source
from sync.table import Operation

Touch = tuple[ChangeKind, bytes]


def rows_of(source: Source, snapshot: Snapshot) -> dict[bytes, bytes]:
    """Return all rows; they come in the order of their keys, once, and are those that ``row`` returns."""
    found = list(source.rows(snapshot, b"", None))
    keys = [key for key, _ in found]
    assert keys == sorted(set(keys))
    assert [source.row(snapshot, key) for key in keys] == [row for _, row in found]
    return dict(found)


def changes_after(store: Engine, serial: int) -> list[Touch]:
    """Return kind and identifier of the changes above a serial."""
    with store.snapshot() as snapshot:
        changes = [unpack_change(row) for _, row in snapshot.feed(Serial(serial), 1_000_000)]
    return [(change.kind, change.identifier.encode()) for change in changes]


def touched_all(
    source: Source, before: Mapping[bytes, bytes], after: Mapping[bytes, bytes], changes: Iterable[Touch]
) -> dict[bytes, list[Operation]]:
    """Return what the changes did to each key, in order; every row that is another was touched by one of them."""
    told: dict[bytes, list[Operation]] = {}
    for kind, identifier in changes:
        if kind in source.kinds:
            touch = source.touched(kind, identifier)
            if touch is not None:
                told.setdefault(touch[0], []).append(touch[1])
    differing = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert differing <= told.keys(), (source.table.name, differing - told.keys())
    return told


def ranges_agree(source: Source, snapshot: Snapshot, bounds: Iterable[bytes]) -> None:
    """Check that ranges between any two of some keys hold the rows between them."""
    whole = rows_of(source, snapshot)
    bounds = sorted(bounds)
    for start in bounds:
        for stop in (*bounds, None):
            wanted = {key: row for key, row in whole.items() if start <= key and (stop is None or key < stop)}
            assert dict(source.rows(snapshot, start, stop)) == wanted, (start, stop)
