"""Prefix rows changed beside the registrar, by a batch of the engine."""

from __future__ import annotations

from core.lifecycle import State
from core.store.application_rows import pack_application, unpack_application
from core.store.engine import Batch, Engine, Table
from core.store.prefix_rows import pack_prefix, unpack_prefix


def suspend(store: Engine, prefix: str, *, suspended: bool = True) -> None:
    """Suspend a homed prefix, or resume it; its application, where there is one, says the same."""
    key = prefix.upper().encode()
    with store.snapshot() as snapshot:
        row = snapshot.get(Table.PREFIXES, key)
    assert row is not None
    batch = Batch()
    batch.expect(Table.PREFIXES, key, row)
    batch.put(Table.PREFIXES, key, pack_prefix(unpack_prefix(row)._replace(suspended=suspended)))
    with store.snapshot() as snapshot:
        application = snapshot.get(Table.APPLICATIONS, key)
    if application is not None:
        state = (State.SUSPENDED if suspended else State.HOMED).value
        batch.put(Table.APPLICATIONS, key, pack_application(unpack_application(application)._replace(state=state)))
    store.commit(batch)
