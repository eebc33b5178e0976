"""How many of each kind a node has: parties, prefixes, records, lots, units. Counted row by row, in flat memory."""

from __future__ import annotations

from collections import Counter
from typing import Any

from core.store.application_rows import unpack_application
from core.store.complaint_rows import unpack_complaint
from core.store.engine import Snapshot, Table
from core.store.incident_rows import unpack_incident
from core.store.lot_rows import unpack_lot, unpack_tally
from core.store.party_rows import unpack_party
from core.store.prefix_rows import unpack_count
from registry.lots import states_document


def count_store(snapshot: Snapshot) -> dict[str, Any]:
    """Return the numbers of a state of the store. ``units``: of each level, by state. Errors: StoreError.

    Cost: reads every party, application, lot, complaint and incident; records have counters.
    """
    lots, units = 0, Counter[tuple[str, str]]()
    for key, row in snapshot.scan(Table.LOTS, b""):
        lots += 1
        tally = unpack_tally(snapshot.get(Table.LOT_TALLIES, key))
        for level, states in states_document(unpack_lot(row), tally).items():
            units.update({(level, state): count for state, count in states.items()})
    return {
        "parties": _by_state(unpack_party(row).state.value for _, row in snapshot.scan(Table.PARTIES, b"")),
        "prefixes": _by_state(unpack_application(row).state for _, row in snapshot.scan(Table.APPLICATIONS, b"")),
        "records": sum(unpack_count(row) for _, row in snapshot.scan(Table.COUNTERS, b"")),
        "lots": lots,
        "units": {
            level: {state: count for (of, state), count in sorted(units.items()) if of == level}
            for level in dict.fromkeys(level for level, _ in units)
        },
        "holds": sum(1 for _ in snapshot.scan(Table.HOLDS, b"")),
        "complaints": _by_state(unpack_complaint(row).state.value for _, row in snapshot.scan(Table.COMPLAINTS, b"")),
        "incidents": _by_state(unpack_incident(row).state for _, row in snapshot.scan(Table.INCIDENTS, b"")),
    }


def _by_state(states: Any) -> dict[str, int]:
    return dict(sorted(Counter(states).items()))
