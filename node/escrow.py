"""Deposits of this node: made from one state of its store, kept by prefix and day, dropped when they are old.

A deposit is written down in the maintenance log with its id, watermark and digest; one that cannot be is taken away
again. Those below ``escrow.folder`` have a row of DEPOSITS, and go up to top nodes (``node/syncing.py``).
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from core import limits
from core.changes import Serial
from core.clock import Millis
from core.config import Config
from core.disk import free_bytes
from core.errors import ConfigError, NodeError
from core.keyring import KEY_BYTES
from core.party.seal import NONCE_BYTES
from core.signature import key_id
from core.store.deposit_rows import FULL, DepositAbove, DepositRow, deposits, keep_above, put_deposit
from core.store.engine import Engine, Snapshot
from core.store.lmdb_engine import LmdbEngine
from node import wiring
from node.key_file import PARTY_KEYS, load_keys
from node.signing import load_signer
from sync.escrow.chain import find_chain
from sync.escrow.deposit import read_head, write_deposit
from sync.escrow.faults import DepositError
from sync.escrow.head import Opening
from sync.escrow.item import Head, Item
from sync.escrow.making import Keys, items, require_feed
from sync.escrow.sealing import Recipient
from sync.escrow.sending import ACCEPTED, REJECTED, DepositSent

_FOLDER: Final = "escrow"
_LOCK: Final = "escrow.lock"
_SECOND_MS: Final = 1_000
_FULLS_KEPT: Final = 2

Note = Callable[[str], object]
"""Has it written down that a deposit was made. Errors: NodeError."""


class Deposited(NamedTuple):
    """A deposit that was made. ``dropped``: ids of older ones that went."""

    folder: Path
    head: Head
    dropped: tuple[str, ...]


def deposit_folder(config: Config) -> Path:
    """Return where the node keeps its own deposits."""
    return config.file("escrow.folder") or config.data / _FOLDER


def make_deposit(
    config: Config, store: LmdbEngine, kind: str, out: Path, *, recipient: Recipient, now_ms: Millis, note: Note
) -> Deposited:
    """Make a deposit below ``out``. A DIFF builds on the newest deposit there that is this node's own.

    One that lies there and has no row, since whoever made it was ended, gets what it lacks first.
    Errors: DepositError, ConfigError, SealError, StoreError, those of ``note``; nothing is left behind then.
    """
    prefix, signer = config.text("node.prefix"), load_signer(config)
    if not prefix:
        raise ConfigError("node.prefix: 未填写。It is empty: deposits are kept by it", setting="node.prefix")
    with _alone(config.data):
        found = _newest(out / prefix, key_id(signer.public_key), needed=kind != FULL)
        before = None if found is None else found[1]
        if found is not None and _is_own(config, out):
            _adopt(store, found, out, note)
        if before is not None and kind != FULL and before.recipient != recipient.key_id:
            raise DepositError("other-key", f"{before.deposit}: {before.recipient}, {recipient.key_id}")
        with store.snapshot() as snapshot:
            opening = _opening(snapshot, prefix, kind, before, now_ms)
            since = None if kind == FULL else Serial(opening.since)
            content = _with_room(items(snapshot, _keys(config), since), out, config)
            folder, head = write_deposit(
                out, content, opening, recipient, signer, volume_bytes=config.integer("escrow.volume_size")
            )
        try:
            note(_noted(head))
        except NodeError:
            shutil.rmtree(folder)
            raise
        if not _is_own(config, out):
            return Deposited(folder, head, ())
        put_deposit(store, head.deposit, _row(head, folder, out))
        return Deposited(folder, head, drop_old(store, out))


def drop_old(store: Engine, out: Path) -> tuple[str, ...]:
    """Drop the deposits before the second newest FULL, and rows of what is not there any more; return their ids."""
    with store.snapshot() as snapshot:
        rows = deposits(snapshot)
    there = {deposit: row for deposit, row in rows.items() if (out / row.folder).is_dir()}
    fulls = [deposit for deposit, row in there.items() if row.kind == FULL]
    oldest = fulls[-_FULLS_KEPT] if len(fulls) >= _FULLS_KEPT else ""
    gone = tuple(deposit for deposit in rows if deposit not in there or deposit < oldest)
    for deposit in gone:
        folder = out / rows[deposit].folder
        shutil.rmtree(folder, ignore_errors=True)
        if not any(folder.parent.glob("*")):
            shutil.rmtree(folder.parent, ignore_errors=True)
        put_deposit(store, deposit, None)
    return gone


class Above:
    """What became of the node's own deposits at one top node: what a DepositCourier is given."""

    def __init__(self, config: Config, store: LmdbEngine, upstream: str) -> None:
        self._store = store
        self._upstream = upstream
        self._out = deposit_folder(config)

    def folders(self) -> Mapping[str, Path]:
        """Return where deposits lie, by id."""
        with self._store.snapshot() as snapshot:
            return {deposit: self._out / row.folder for deposit, row in deposits(snapshot).items()}

    def sent(self) -> Mapping[str, DepositSent]:
        """Return what was kept last."""
        with self._store.snapshot() as snapshot:
            rows = deposits(snapshot)
        found = {deposit: row.above[self._upstream] for deposit, row in rows.items() if self._upstream in row.above}
        return {deposit: DepositSent(*above) for deposit, above in found.items()}

    def keep(self, deposit: str, sent: DepositSent) -> None:
        """Keep what became of one."""
        keep_above(self._store, deposit, self._upstream, DepositAbove(*sent))


def due_kind(snapshot: Snapshot, made: Mapping[str, DepositRow], now_ms: Millis, full_ms: int) -> str:
    """Return what is to be made next: a DIFF where one is possible, the newest FULL is not too old, and no top node
    that accepted it rejected a DIFF on it.
    """
    fulls = [deposit for deposit, row in made.items() if row.kind == FULL]
    if not fulls or not 0 <= now_ms - made[fulls[-1]].made_ms < full_ms:
        return FULL
    accepted = {above for above, told in made[fulls[-1]].above.items() if told.stage == ACCEPTED}
    chain = (row for deposit, row in made.items() if deposit > fulls[-1])
    if any(row.above[above].stage == REJECTED for row in chain for above in accepted & row.above.keys()):
        return FULL
    try:
        require_feed(snapshot, list(made.values())[-1].watermark)
    except DepositError:
        return FULL
    return "diff"


def _with_room(content: Iterator[Item], out: Path, config: Config) -> Iterator[Item]:
    """Yield items as long as the disk has so much room that registration goes on. Errors: DepositError no-room."""
    octets = 0
    stop = config.integer("log.disk_stop") if out.stat().st_dev == config.data.stat().st_dev else 0
    for item in content:
        if stop and octets <= 0:
            octets = limits.ESCROW_LOOK_BYTES
            free = free_bytes((out,))
            if free < stop + octets:
                raise DepositError("no-room", f"{out}: {free} < log.disk_stop + {octets}")
        octets -= len(item.key) + len(item.row or b"")
        yield item


def _noted(head: Head) -> str:
    return f"{head.deposit} {head.watermark} {head.content_sha256}"


def _adopt(store: Engine, found: tuple[Path, Head], out: Path, note: Note) -> None:
    """Note a deposit that has no row: a process was ended between its rename and the row. Errors: those of ``note``."""
    folder, head = found
    with store.snapshot() as snapshot:
        known = head.deposit in deposits(snapshot)
    if not known:
        note(_noted(head))
        put_deposit(store, head.deposit, _row(head, folder, out))


def _row(head: Head, folder: Path, out: Path) -> DepositRow:
    place = str(folder.relative_to(out))
    return DepositRow(head.kind, head.watermark, head.since, head.revision, head.previous, Millis(head.made_ms), place)


def _is_own(config: Config, out: Path) -> bool:
    return out.resolve() == deposit_folder(config).resolve()


def _newest(folder: Path, node: str, *, needed: bool) -> tuple[Path, Head] | None:
    """Return folder and head of the newest deposit of this node. Errors: DepositError where it is needed."""
    try:
        if not folder.exists():
            raise DepositError("none", str(folder))
        newest = find_chain(folder, node)[-1]
        return newest, read_head(newest, node)
    except DepositError:
        if needed:
            raise
        return None


def _opening(snapshot: Snapshot, prefix: str, kind: str, before: Head | None, now_ms: Millis) -> Opening:
    watermark = snapshot.serial()
    made_ms, revision = now_ms, 0
    if before is not None:
        made_ms = Millis(max(now_ms, (before.made_ms // _SECOND_MS + 1) * _SECOND_MS))  # ids of one second are one
        revision = before.revision + 1 if (before.kind, before.watermark) == (kind, watermark) else 0
    if kind == FULL:
        return Opening(prefix, kind, watermark, 0, revision, "", made_ms)
    assert before is not None, "a DIFF needs one"
    require_feed(snapshot, before.watermark)
    return Opening(prefix, kind, watermark, before.watermark, revision, before.deposit, made_ms)


def _keys(config: Config) -> Keys:
    file = wiring.key_file(config, PARTY_KEYS)
    return Keys(
        lambda: load_keys(file, PARTY_KEYS), wiring.lot_keys(config), secrets.token_bytes(KEY_BYTES),
        lambda: secrets.token_bytes(NONCE_BYTES),
    )  # fmt: skip


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    """Let one deposit be made at a time. Errors: ConfigError while another one is."""
    descriptor = os.open(data / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise ConfigError(
            "正在制作另一份托管数据，请稍后重试。Another deposit is being made: try again later"
        ) from None
    finally:
        os.close(descriptor)
