"""What of the store goes into a deposit, and how: a row of ESCROWED for every table.

1. In goes what answers and registration are made from: records, prefixes, lots with their keys, aliases, parties,
   applications, holds, templates, complaints, incidents, and what is known of transfers.
2. Fields of identity are opened, and sealed again under a key that is made for the one deposit and travels in it
   (item ``identity-key``); nobody but the receiver opens what it lies in.
3. A lot's key travels as an item ``lot-key`` before its row, which names no master key.
4. No private key of an administrator goes in: a secret key (HS_SECKEY) that not everybody may read keeps its place in
   its record, without its octets (item ``withheld``: key of the record, index). No token, and no file of keys.
5. Logs and what is on its way to them, what is owed to top nodes, and what this node measured of itself stay here.

An item ``head`` comes first: msgpack [1, kind, watermark, since].
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, Final, NamedTuple

import msgpack

from core.complaints import parse_ticket
from core.errors import StoreError
from core.ident.alias import make_alias
from core.records import HandleValue, ValuePermission
from core.store.alias_rows import alias_key, alias_of, unpack_alias
from core.store.application_rows import unpack_application
from core.store.bounds_row import BOUNDS_KEY, unpack_bounds
from core.store.case_row import CASE_KEY
from core.store.complaint_rows import unpack_complaint
from core.store.engine import Table
from core.store.hold_rows import hold_key, hold_kind, unpack_hold
from core.store.incident_rows import unpack_incident, unpack_report
from core.store.log_hold_rows import unpack_log_hold
from core.store.lot_rows import (
    contents_key,
    event_key,
    index_in,
    indexed_key,
    lot_in,
    number_in,
    parent_in,
    unpack_block,
    unpack_contents,
    unpack_event,
    unpack_lot,
    unpack_run,
    unpack_tally,
)
from core.store.party_rows import LAST_KEY as LAST_PARTY_KEY
from core.store.party_rows import unpack_party
from core.store.prefix_rows import unpack_prefix
from core.store.record_rows import record_key, unpack_handle, unpack_values
from core.store.template_rows import unpack_template
from core.store.transfer_rows import prefix_of_history, unpack_past, unpack_transfer
from core.wire.metadata import template_key
from core.wire.valuetypes import HS_SECKEY

HEAD: Final = "head"
IDENTITY_KEY: Final = "identity-key"
LOT_KEY: Final = "lot-key"
WITHHELD: Final = "withheld"

CODES_KEY: Final = b"codes"
META_KEYS: Final = (CASE_KEY, BOUNDS_KEY, CODES_KEY, LAST_PARTY_KEY)
"""Rows of META that go in. Counts are made from what they count; serial and format are the receiver's."""

_VERSION: Final = 1


class Way(Enum):
    """How a table is escrowed."""

    WHOLE = "all of it is in each deposit, as it is"
    RESEALED = "all of it is in each deposit, identity sealed under the deposit's own key"
    TOUCHED = "as it is; a DIFF has what was changed"
    META = "some of its rows, as they are"
    REMADE = "made anew from other tables"
    OUT = "is not in it"


class Escrowed(NamedTuple):
    """How a table is escrowed, and why. ``read``: reads key and row. Errors: StoreError for what cannot be."""

    way: Way
    why: str
    read: Callable[[bytes, bytes], Any] | None = None


def _row(unpack: Callable[[bytes], Any]) -> Callable[[bytes, bytes], Any]:
    return lambda _key, row: unpack(row)


def _keyed(key: bytes, wanted: bytes) -> None:
    if key != wanted:
        raise StoreError(f"{key!r} is the key of another row")


def _record(key: bytes, row: bytes) -> None:
    handle = unpack_handle(key, row)
    _keyed(key, record_key(handle))
    if b"/" not in handle or not _is_text(handle):
        raise StoreError(f"{handle!r:.200} is no key of a handle")
    unpack_values(row)


def _is_text(octets: bytes) -> bool:
    return octets.decode(errors="ignore").encode() == octets


def _hold(key: bytes, row: bytes) -> None:
    _keyed(key, hold_key(hold_kind(key), unpack_hold(row).target))


def _template(key: bytes, row: bytes) -> None:
    template = unpack_template(row).template
    _keyed(key, template_key(template.code, template.version))


def _alias(key: bytes, row: bytes) -> None:
    _keyed(key, alias_key(make_alias(*alias_of(key))))
    target = unpack_alias(row).target
    if not target.count(b"/") or not _is_text(target):
        raise StoreError(f"{target!r:.200} is no key of a handle")


def _complaint(key: bytes, row: bytes) -> None:
    ticket = key.decode(errors="replace")
    if parse_ticket(ticket) != ticket:
        raise StoreError(f"{key!r} is no ticket")
    unpack_complaint(row)


def _history(key: bytes, row: bytes) -> None:
    prefix_of_history(key)
    unpack_past(row)


def _block(key: bytes, row: bytes) -> None:
    _keyed(key, indexed_key(lot_in(key), index_in(key)))
    unpack_block(row)


def _run(key: bytes, row: bytes) -> None:
    _keyed(key, indexed_key(lot_in(key), index_in(key)))
    unpack_run(row)


def _event(key: bytes, row: bytes) -> None:
    _keyed(key, event_key(lot_in(key), number_in(key)))
    unpack_event(row)


def _contents(key: bytes, row: bytes) -> None:
    _keyed(key, contents_key(lot_in(key), parent_in(key), index_in(key)))
    unpack_contents(row)


def _meta(key: bytes, row: bytes) -> None:
    if key not in META_KEYS:
        raise StoreError(f"the row {key!r} does not come from elsewhere")
    if key == BOUNDS_KEY:
        unpack_bounds(row)


ESCROWED: Final[dict[Table, Escrowed]] = {
    Table.META: Escrowed(Way.META, "case and bounds of keys, codes, last number of a party: META_KEYS", _meta),
    Table.PREFIXES: Escrowed(Way.WHOLE, "what is answered for", _row(unpack_prefix)),
    Table.RECORDS: Escrowed(Way.TOUCHED, "what is answered", _record),
    Table.ANSWERS: Escrowed(Way.REMADE, "of records"),
    Table.COUNTERS: Escrowed(Way.REMADE, "of records"),
    Table.PARTIES: Escrowed(Way.RESEALED, "who holds prefixes", _row(unpack_party)),
    Table.PARTY_NUMBERS: Escrowed(Way.REMADE, "of parties"),
    Table.APPLICATIONS: Escrowed(Way.WHOLE, "how prefixes came to be held", _row(unpack_application)),
    Table.BEARERS: Escrowed(Way.OUT, "tokens open this node, and no other"),
    Table.COMPLAINTS: Escrowed(Way.RESEALED, "they are owed an answer", _complaint),
    Table.WAITING_COMPLAINTS: Escrowed(Way.REMADE, "of complaints"),
    Table.TRANSFERS: Escrowed(Way.WHOLE, "an import goes on where it was", _row(unpack_transfer)),
    Table.HISTORY: Escrowed(Way.WHOLE, "what happened to prefixes elsewhere", _history),
    Table.JOURNAL: Escrowed(Way.OUT, "the statutory logs tell it, and stay with who signed them"),
    Table.LOG_QUEUE: Escrowed(Way.OUT, "it is on its way to the logs of this node"),
    Table.LOG_HOLDS: Escrowed(Way.WHOLE, "orders to keep logs bind whoever has them", unpack_log_hold),
    Table.LOTS: Escrowed(Way.TOUCHED, "with their keys as items of their own", _row(unpack_lot)),
    Table.LOT_TALLIES: Escrowed(Way.TOUCHED, "goes with its lot", _row(unpack_tally)),
    Table.LOT_BLOCKS: Escrowed(Way.WHOLE, "no unit is given twice; taking a block is no change of the feed", _block),
    Table.LOT_RUNS: Escrowed(Way.TOUCHED, "goes with its lot", _run),
    Table.LOT_EVENTS: Escrowed(Way.TOUCHED, "goes with its lot", _event),
    Table.LOT_CONTENTS: Escrowed(Way.TOUCHED, "goes with its lot", _contents),
    Table.ALIASES: Escrowed(Way.TOUCHED, "identifiers of other kinds", _alias),
    Table.ALIASES_OF: Escrowed(Way.REMADE, "of aliases"),
    Table.HOLDS: Escrowed(Way.WHOLE, "the regulator's orders are in force anywhere", _hold),
    Table.TEMPLATES: Escrowed(Way.WHOLE, "records are bound to them", _template),
    Table.INCIDENTS: Escrowed(Way.WHOLE, "data of the business", _row(unpack_incident)),
    Table.INCIDENT_REPORTS: Escrowed(Way.WHOLE, "as they were signed", _row(unpack_report)),
    Table.UPSTREAMS: Escrowed(Way.OUT, "a top node knows this node by its key"),
    Table.SYNC_TABLES: Escrowed(Way.OUT, "how far this node is with a top node"),
    Table.SYNC_REFUSED: Escrowed(Way.OUT, "the same"),
    Table.SYNC_DAYS: Escrowed(Way.OUT, "addresses of clients; of the logs, and sent to top nodes"),
    Table.MONITOR_HOURS: Escrowed(Way.OUT, "what this node measured of itself"),
    Table.MONITOR_EVENTS: Escrowed(Way.OUT, "the same"),
    Table.DEPOSITS: Escrowed(Way.OUT, "where this node keeps its deposits"),
    Table.HANDED_BACK: Escrowed(Way.OUT, "between this node and a top node"),
    Table.TOKENS: Escrowed(Way.OUT, "first answers of this node; they end by themselves"),
    Table.TOKEN_TIMES: Escrowed(Way.OUT, "the same"),
}

PLAIN_WAYS: Final = (Way.WHOLE, Way.RESEALED)
WHOLE_TABLES: Final = tuple(table for table, escrowed in ESCROWED.items() if escrowed.way in PLAIN_WAYS)
LOT_TABLES: Final = (Table.LOT_RUNS, Table.LOT_EVENTS, Table.LOT_CONTENTS)
"""What goes with a touched lot besides its row and its tally."""


class Start(NamedTuple):
    """The item ``head``. ``since``: 0 of a FULL."""

    kind: str
    watermark: int
    since: int


def pack_start(start: Start) -> bytes:
    """Return the row of the item ``head``."""
    row: bytes = msgpack.packb((_VERSION, *start))
    return row


def unpack_start(row: bytes) -> Start:
    """Read it. Errors: StoreError."""
    try:
        version, kind, watermark, since = msgpack.unpackb(row)
        numbers = type(watermark) is int and type(since) is int and 0 <= since <= watermark < 2**53
        if version != _VERSION or kind not in ("full", "diff") or not numbers or (kind == "full" and since):
            raise ValueError("members")
        return Start(kind, watermark, since)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise StoreError(f"the first item cannot be read: {error}") from None


def is_secret(value: HandleValue) -> bool:
    """Whether a value is a secret key that not everybody may read."""
    return value.type.upper() == HS_SECKEY and not value.permissions & ValuePermission.PUBLIC_READ
