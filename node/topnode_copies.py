"""The escrowed copies of nodes at the top node, made of accepted deposits: what a takeover answers from.

    copies/<node>/current                JSON {"deposit", "watermark"}: which one is used
    copies/<node>/<deposit>/             an LMDB store as a node has it (``core/store/lmdb_engine.py``)
    copies/<node>/lots.key, party.key    what lots' keys and identity are sealed with in it, made here

1. A FULL is applied into an empty store, a DIFF onto a copy of the one in use. What is ready is taken into use by one
   rename of ``current``; what a crash left goes with the next deposit.
2. While a takeover of the node is on, nothing is applied: what is registered here lies in the copy in use. Nor is it
   before the node has all of that, even where an operator ended the takeover.
3. The store in use before stays open until another one follows: somebody may be reading it.
"""

from __future__ import annotations

import json
import logging
import secrets
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from audit.files import Files
from core import clock, limits
from core.disk import free_bytes
from core.errors import Outcome, StoreError
from core.party.seal import NONCE_BYTES
from core.store.engine import Batch, Table
from core.store.handed_rows import made_state
from core.store.lmdb_engine import LmdbEngine
from node.key_file import LOT_KEYS, PARTY_KEYS, KeyKind, add_key, load_keys
from node.lot_keys import LotKeys
from node.topnode_store import COPIES, CURRENT
from sync.escrow.applying import NewKeys, apply_items
from sync.escrow.deposit import open_items, read_head
from sync.escrow.faults import DepositError
from sync.escrow.head import FULL
from sync.escrow.item import Head
from sync.escrow.sealing import Opener

_LOG: Final = logging.getLogger("saltern.topnode")
_SECRET_BYTES: Final = 32
_MIB: Final = 1 << 20


class Copy(NamedTuple):
    """A copy in use. ``watermark``: serial of the last change of the node that it holds. ``keys``: of its lots."""

    deposit: str
    watermark: int
    engine: LmdbEngine
    keys: LotKeys


class Copies:
    """The copies of all nodes. ``data``: folder of the top node. ``busy``: whether a takeover of a node is on.
    ``free``: octets of the disk that are free.

    ``current`` and ``engine`` may be called by any thread, ``take`` by one.
    """

    def __init__(
        self, data: Path, opener: Opener | None, busy: Callable[[str], bool],
        free: Callable[[Sequence[Path]], int] = free_bytes,
    ) -> None:  # fmt: skip
        self._folder = data / COPIES
        self._opener = opener
        self._busy = busy
        self._free = free
        self._files = Files()
        self._lock = threading.Lock()
        self._open: dict[str, Copy] = {}
        self._former: dict[str, Copy] = {}

    def current(self, node_id: str) -> Copy | None:
        """Return the copy in use, None where no deposit was accepted. Errors: StoreError."""
        with self._lock:
            return self._current(node_id)

    def engine(self, node_id: str) -> LmdbEngine | None:
        """Return the store of the copy in use. Errors: StoreError."""
        copy = self.current(node_id)
        return None if copy is None else copy.engine

    def has(self, node_id: str) -> bool:
        """Whether there is a copy."""
        return (self._folder / node_id / CURRENT).exists()

    def take(self, node_id: str, deposit: Path) -> None:
        """Apply a deposit, and use what comes of it. Errors: DepositError where it cannot be; WaitingError; OSError."""
        if self._opener is None:
            raise ValueError("no key opens deposits")
        with self._lock:
            self._require_free(node_id)
        head = read_head(deposit, node_id)
        folder = self._folder / node_id
        if _current(folder) == head.deposit:  # its verdict was lost in a crash
            return
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sweep(folder)
        store = folder / head.deposit
        try:
            engine = self._base(node_id, head, store)
            try:
                apply_items(engine, open_items(deposit, self._opener, node_id), self._keys(folder))
            except StoreError as error:
                if error.ended is not Outcome.STORE_FULL:
                    raise
                raise DepositError("no-room", f"{head.deposit}: {error.message}") from None
            finally:
                engine.close()
            self._use(node_id, head)
        except BaseException:
            if _current(folder) != head.deposit:
                shutil.rmtree(store, ignore_errors=True)
            raise

    def close(self) -> None:
        """Close all of them."""
        with self._lock:
            for copy in (*self._open.values(), *self._former.values()):
                copy.engine.close()
            self._open.clear()
            self._former.clear()

    # --- pieces ---
    def _current(self, node_id: str) -> Copy | None:
        known = self._open.get(node_id)
        if known is None:
            known = self._opened(node_id)
            if known is not None:
                self._open[node_id] = known
        return known

    def _require_free(self, node_id: str) -> None:
        """Errors: WaitingError while a takeover is on, or the node does not have all that was registered in one."""
        copy = self._current(node_id)
        if copy is not None:
            with copy.engine.snapshot() as snapshot:
                state = made_state(snapshot)
            if state is not None and state.open:
                raise WaitingError(node_id)
        if self._busy(node_id):
            raise WaitingError(node_id)

    def _base(self, node_id: str, head: Head, store: Path) -> LmdbEngine:
        """Return the store that a deposit is applied to. Errors: DepositError."""
        if head.kind == FULL:
            return LmdbEngine(store, create=True, map_size_bytes=self._room())
        copy = self.current(node_id)
        if copy is None or copy.deposit != head.previous:
            raise DepositError("chain", f"{head.deposit} → {head.previous}")
        store.mkdir(mode=0o700)
        copy.engine.copy(store)
        engine = LmdbEngine(store, map_size_bytes=(store / "data.mdb").stat().st_size // _MIB * _MIB + self._room())
        batch = Batch()
        with engine.snapshot() as snapshot:
            for key, _ in snapshot.scan(Table.HANDED_BACK, b""):
                batch.put(Table.HANDED_BACK, key, None)
        engine.commit(batch)
        return engine

    def _room(self) -> int:
        """Return to how many octets a store may grow: what is small in its volumes may be large, and fills no disk."""
        free = self._free((self._folder,))
        return min(max(free // limits.COPY_SHARE, limits.MAP_SIZE_BYTES_MIN), limits.MAP_SIZE_BYTES) // _MIB * _MIB

    def _use(self, node_id: str, head: Head) -> None:
        """Take a store into use. Errors: OSError, WaitingError where a takeover began meanwhile."""
        folder = self._folder / node_id
        with self._lock:
            self._require_free(node_id)
            document = {"deposit": head.deposit, "watermark": head.watermark}
            self._files.replace(folder / CURRENT, json.dumps(document).encode())
            self._files.sync_folder(folder)
            former = self._former.pop(node_id, None)
            if former is not None:
                former.engine.close()
            used = self._open.pop(node_id, None)
            if used is not None:
                self._former[node_id] = used
            opened = self._opened(node_id)
            assert opened is not None  # it was written above
            self._open[node_id] = opened

    def _opened(self, node_id: str) -> Copy | None:
        folder = self._folder / node_id
        try:
            told = json.loads((folder / CURRENT).read_bytes())
            deposit, watermark = str(told["deposit"]), int(told["watermark"])
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError):
            raise StoreError(f"{folder / CURRENT} cannot be read") from None
        engine = LmdbEngine(folder / deposit)
        engine.check_readers()
        return Copy(deposit, watermark, engine, self._lot_keys(folder))

    def _sweep(self, folder: Path) -> None:
        """Remove stores that are in use no more."""
        node_id = folder.name
        kept = {_current(folder), *(copy.deposit for copy in (self._former.get(node_id),) if copy)}
        for path in list(folder.iterdir()):
            if path.is_dir() and path.name not in kept:
                shutil.rmtree(path)

    def _keys(self, folder: Path) -> NewKeys:
        ring = load_keys(_key_file(folder, PARTY_KEYS), PARTY_KEYS)
        return NewKeys(
            ring, self._lot_keys(folder), lambda: secrets.token_bytes(NONCE_BYTES),
            lambda: secrets.token_bytes(_SECRET_BYTES),
        )  # fmt: skip

    @staticmethod
    def _lot_keys(folder: Path) -> LotKeys:
        file = _key_file(folder, LOT_KEYS)
        return LotKeys(lambda: load_keys(file, LOT_KEYS), clock.monotonic_s)


class WaitingError(Exception):
    """A deposit is not judged now: a takeover of its node is on."""


def _key_file(folder: Path, kind: KeyKind) -> Path:
    """Return a file of keys of a node's copies, made where there is none. Errors: ConfigError."""
    path = folder / f"{kind.setting.partition('.')[0]}.key"
    if not path.exists():
        add_key(path, kind)
    return path


def _current(folder: Path) -> str:
    try:
        return str(json.loads((folder / CURRENT).read_bytes())["deposit"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
