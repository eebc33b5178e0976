"""Checks proofs against the keys of the store; slow ones in a thread, so that others go on."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from core import limits
from core.admission import Identity, Records
from core.errors import StoreError
from core.hdl.proof import Proof, check, key_mark, keys_of, mark_of, still_proves
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
    """Decides whether proofs are right.

    Bounds: PROOFS_MAX slow ones wait, of these PROOFS_FOR_OTHERS_MAX for verifications, which
    anyone may ask for.
    """

    def __init__(self, store: Store, records_of: RecordsOf) -> None:
        self._store = store
        self._records_of = records_of
        self._waiting = {False: 0, True: 0}
        # PBKDF2 lets the interpreter's lock go; one thread leaves the other cores to other workers.
        self._threads = ThreadPoolExecutor(_THREADS, "proof")

    async def proves(self, proof: Proof, version: Version, *, for_others: bool = False) -> bytes | None:
        """Return the mark of the key that proves it, None if none does. Errors: StoreError where too many wait."""
        with self._store.snapshot() as snapshot:
            keys = keys_of(proof, self._records_of(snapshot))
        if not proof.slow:
            return _mark(check(proof, keys, version))
        if self._waiting[for_others] >= (limits.PROOFS_FOR_OTHERS_MAX if for_others else limits.PROOFS_MAX):
            raise StoreError("Too many proofs wait; try again")
        self._waiting[for_others] += 1
        try:
            loop = asyncio.get_running_loop()
            return _mark(await loop.run_in_executor(self._threads, check, proof, keys, version))
        finally:
            self._waiting[for_others] -= 1

    def still(self, identity: Identity, mark: bytes) -> bool:
        """Whether the key of that mark is still the identity's: one that was replaced proves nothing more."""
        with self._store.snapshot() as snapshot:
            return still_proves(identity, mark, self._records_of(snapshot))

    def mark(self, identity: Identity) -> bytes:
        """Return the mark of the key by which an identity proves itself now; of none, where it has none."""
        with self._store.snapshot() as snapshot:
            return key_mark(identity, self._records_of(snapshot))


def _mark(key: bytes | None) -> bytes | None:
    return None if key is None else mark_of(key)
