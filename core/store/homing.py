"""Which handles this node is responsible for.

Homed is an exact row in PREFIXES; a prefix below a homed one is not covered by it.
Hosted: the records are served here. Delegated: another node serves them, and this one
refers to it. Stopped: nothing of it is answered or changed, because the operator suspended the
prefix or an order of the regulator is in force (``core/store/holding.py``); a hold beats all else. For
a homed P, stopped or not, and for any prefix below it, the node also serves ``0.NA/P`` (``is_held`` says
where it is not told); every ``0.NA/…`` only with ``handle.root`` (design §2, §4).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from core import limits
from core.errors import Outcome, ResponsibilityError
from core.ident.handle import PREFIX_HANDLES, HandleKey, HandleRules, named_by, prefix_handle_of, prefix_of
from core.records import Values
from core.store.engine import Table
from core.store.holding import orders_on
from core.store.prefix_rows import DELEGATED, HOSTED, Rows, nearest_homed, unpack_prefix
from core.store.record_rows import record_key, unpack_values

FOREIGN: Final = "That prefix doesn't live here"
"""Said of a prefix that is not homed; the reference server's words."""

STOPPED: Final = "stopped"
"""What ``hosting_of`` says of a handle that is on hold or below a suspended prefix; no row has it as its hosting."""


def hosting_of(rows: Rows, handle: bytes, *, root: bool) -> str | None:
    """Return HOSTED, DELEGATED or STOPPED for a handle's key, None if it is foreign.

    A prefix handle is never delegated or stopped.
    """
    prefix = prefix_of(handle)
    if prefix != PREFIX_HANDLES:
        row = rows.get(Table.PREFIXES, prefix)
        if row is None:
            return None
        homed = unpack_prefix(row)
        return STOPPED if homed.suspended or orders_on(rows, handle) else homed.hosting
    named = named_by(handle)
    if named.count(b".") >= limits.PREFIX_SEGMENTS_MAX:
        return None  # no prefix has so many segments
    if root:
        return HOSTED
    return None if nearest_homed(rows, named) is None else HOSTED


def is_held(rows: Rows, handle: bytes) -> bool:
    """Whether a prefix handle is on hold, or that of a suspended prefix, or of one below it that is not homed itself.

    It is not told, for it may name a node that answers on; it still counts for proofs and rights.
    """
    prefix = prefix_of(handle)
    if prefix != PREFIX_HANDLES:
        return False
    if orders_on(rows, handle):
        return True
    homed = nearest_homed(rows, named_by(handle))
    row = None if homed is None else rows.get(Table.PREFIXES, homed)
    return row is not None and unpack_prefix(row).suspended


def serves(rows: Rows, handle: bytes, *, root: bool) -> bool:
    """Whether the record of this handle's key is served here."""
    return hosting_of(rows, handle, root=root) == HOSTED


def require_served(rows: Rows, handle: bytes, *, root: bool) -> None:
    """Errors: ResponsibilityError if the record is not served here; it ends HELD where it is stopped.

    A prefix handle is not changed while an order stops it or its prefix; where the operator suspended the prefix it is.
    """
    hosting = hosting_of(rows, handle, root=root)
    if hosting == STOPPED:
        if orders_on(rows, handle):
            raise _on_hold()
        raise ResponsibilityError("该前缀已暂停。That prefix is suspended", outcome=Outcome.HELD, rule="suspended")
    if hosting == HOSTED and prefix_of(handle) == PREFIX_HANDLES and orders_on(rows, handle):
        raise _on_hold()
    if hosting == DELEGATED:
        named = prefix_handle_of(prefix_of(handle)).decode()
        raise ResponsibilityError(f"That prefix is served elsewhere; ask the site in {named}")
    if hosting is None:
        raise ResponsibilityError(FOREIGN)


def _on_hold() -> ResponsibilityError:
    words = "已依令停止解析。It is on hold by order of the regulator"
    return ResponsibilityError(words, outcome=Outcome.HELD, rule="held")


def load_values(rows: Rows, handle: HandleKey, *, root: bool) -> Values | None:
    """Return all values of a record that is served here, None for any other."""
    if not serves(rows, handle, root=root):
        return None
    row = rows.get(Table.RECORDS, record_key(handle))
    return None if row is None else unpack_values(row)


class ServedRecords(NamedTuple):
    """See Records. The records that are served here, in one state of the store."""

    rows: Rows
    rules: HandleRules
    root: bool

    def key(self, handle: str) -> HandleKey:
        return self.rules.key(handle)

    def load(self, key: HandleKey) -> Values | None:
        return load_values(self.rows, key, root=self.root)
