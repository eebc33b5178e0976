"""Do both tables of aliases say the same, and is the zones' serial one that was given? A part of ``fsck.py``.

Checked: every row of ALIASES and ALIASES_OF can be read; an alias is under the key of its canonical form, and what it
names has the form of a handle; each lists exactly what the other does; the row ``zone`` is not above the serial.
"""

from __future__ import annotations

from collections.abc import Iterator

from core import limits
from core.errors import NodeError, StoreError
from core.ident.alias import make_alias
from core.ident.handle import HandleKey
from core.store.alias_rows import alias_key, alias_of, names_of, unpack_alias, unpack_names
from core.store.bounds_row import stored_rules
from core.store.engine import Snapshot, Table
from core.store.record_rows import record_key
from core.store.zone_row import ZONE_KEY, zone_serial

_SERIAL_BYTES = 8


def check_aliases(snapshot: Snapshot) -> Iterator[str]:
    """Yield a sentence for each fault. Cost: reads both tables."""
    for key, row in snapshot.scan(Table.ALIASES, b""):
        try:
            alias, target = alias_of(key), unpack_alias(row).target
            if alias_key(make_alias(*alias)) != key:
                yield f"aliases {key!r}: not in its canonical form"
            if not _is_handle(snapshot, target):
                yield f"aliases {key!r}: {target!r} is no key of a handle"
            elif key not in names_of(snapshot, target):
                yield f"aliases {key!r}: {target!r} does not list it"
        except NodeError as error:
            yield f"aliases {key!r}: {error.message}"
    for place, row in snapshot.scan(Table.ALIASES_OF, b""):
        yield from _names(snapshot, place, row)
    zone = snapshot.get(Table.META, ZONE_KEY)
    if zone is not None and (len(zone) != _SERIAL_BYTES or zone_serial(snapshot) > snapshot.serial()):
        yield f"zone: its serial is {zone_serial(snapshot)}, the last one is {snapshot.serial()}"


def _names(snapshot: Snapshot, place: bytes, packed: bytes) -> Iterator[str]:
    try:
        row = unpack_names(packed)
    except StoreError as error:
        yield f"aliases_of {place!r}: {error.message}"
        return
    assert row is not None  # there is a row
    if record_key(row.target) != place:
        yield f"aliases_of {place!r}: holds those of {row.target!r}"
    if not 0 < len(row.aliases) <= limits.ALIASES_PER_HANDLE_MAX or list(row.aliases) != sorted(set(row.aliases)):
        yield f"aliases_of {place!r}: none, too many, or not in order"
    for key in row.aliases:
        found = snapshot.get(Table.ALIASES, key)
        try:
            named = None if found is None else unpack_alias(found).target
        except StoreError:
            continue  # which is said of the row itself
        if named != row.target:
            yield f"aliases_of {place!r}: {key!r} is no alias of it"


def _is_handle(snapshot: Snapshot, target: HandleKey) -> bool:
    """Whether a key is that of a handle, as this store folds it."""
    try:
        return bool(target.count(b"/")) and stored_rules(snapshot).key(target.decode()) == target
    except UnicodeDecodeError:
        return False
