"""Checks proofs against the keys of the store; slow ones in a thread, so that others go on."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from core import limits
from core.admission import Records
from core.errors import StoreError
from core.hdl.proof import Proof, check, keys_of
from core.store.engine import Snapshot
from core.wire.codepoints import Version

_THREADS: Final = 1


class Store(Protocol):
    """What this needs of a store."""

    def snapshot(self) -> Snapshot:
        """Begin to read."""


class RecordsOf(Protocol):
    """Gives the records of a snapshot."""

    def __call__(self, snapshot: Snapshot, /) -> Records: ...


class Prover:
    """Decides whether proofs are right. Bounds: PROOFS_MAX slow ones wait."""

    def __init__(self, store: Store, records_of: RecordsOf) -> None:
        self._store = store
        self._records_of = records_of
        self._waiting = 0
        # PBKDF2 lets the interpreter's lock go; one thread leaves the other cores to other workers.
        self._threads = ThreadPoolExecutor(_THREADS, "proof")

    async def proves(self, proof: Proof, version: Version) -> bool:
        """Whether a proof is right. Errors: StoreError where too many wait."""
        with self._store.snapshot() as snapshot:
            keys = keys_of(proof, self._records_of(snapshot))
        if not proof.slow:
            return check(proof, keys, version)
        if self._waiting >= limits.PROOFS_MAX:
            raise StoreError("Too many proofs wait; try again")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, check, proof, keys, version)
        finally:
            self._waiting -= 1
