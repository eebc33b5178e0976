"""Puts a node back from deposits alone: the newest FULL and the DIFFs on it, opened with the receiver's key.

1. Every deposit of the chain is checked before its first row is taken; every row is read before it is written.
2. Keys are new: of the node, of identity data, of unit codes (those of lots that came are sealed under it), of the
   Handle server, of HTTPS. Nothing that opened the former node opens this one.
3. Serials go on RESTORED_SERIALS behind the watermark, with an empty feed; no top node is connected. Ids and units of
   lots that the former node may have given are not given again (``node/former.py``).
4. The logs begin anew under another origin, and say first from what the node was put back.

Built beside its place and renamed: a folder that is there is whole.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core import clock
from core.clock import Millis
from core.config import load
from core.durable import write_new_file
from core.ident.handle import HandleRules
from core.keyring import KeyRing
from core.party.seal import NONCE_BYTES
from core.settings import Value
from core.store.bounds_row import stored_rules
from core.store.case_row import stored_case
from core.store.engine import Batch, Snapshot, Table
from core.store.fsck import check_store
from core.store.lmdb_engine import LmdbEngine
from core.store.log_rows import LAST_LOG_KEY, LogEntry, LogRow, log_key, pack_log_row
from core.store.restart import serial_after
from core.streams import Stream
from core.who import Who
from node import wiring
from node.former import skip_numbers, withhold_units
from node.initialise import make_certificate, make_rsa_key
from node.key_file import LOT_KEYS, PARTY_KEYS, add_key, load_keys
from node.lot_keys import LotKeys
from node.restored import building, new_origin, require_empty, write_settings
from node.signing import signing_key_pem
from sync.escrow.applying import NewKeys, apply_items
from sync.escrow.chain import find_chain
from sync.escrow.deposit import open_items, read_head
from sync.escrow.item import Head
from sync.escrow.sealing import load_opener

_SECRET_OCTETS: Final = 24
_ADMIN_INDEX: Final = 300
_FAULTS_TOLD: Final = 20


class Rebuilt(NamedTuple):
    """A node that was put back. ``withheld``: secret keys of records that are not in the deposits, by deposit.

    ``faults``: what the check of the whole store says, at most _FAULTS_TOLD sentences.
    """

    config: Path
    chain: tuple[Head, ...]
    serial: int
    origin: str
    withheld: int
    faults: tuple[str, ...]


def restore_escrow(source: Path, key: Path, to: Path, who: Who, *, now_ms: Millis, node: str = "") -> Rebuilt:
    """Put a node back into a folder that is empty. ``source``: a folder of deposits. ``key``: private, of the receiver.

    ``node``: key id of the node whose deposits are meant, empty: there is one.
    Errors: DepositError, ConfigError, SealError, StoreError; nothing is there then.
    """
    require_empty(to)
    opener = load_opener(key, any_mode=True)
    chain = find_chain(source, node)
    heads = tuple(read_head(path, node) for path in chain)
    last = heads[-1]
    origin = new_origin(last.prefix, now_ms)
    withheld = 0
    with building(to) as folder:
        ring = _make_keys(folder)
        (folder / "data").mkdir(mode=0o700)
        store = LmdbEngine(folder / "data" / "store", create=True)
        try:
            new = _new_keys(folder, ring)
            for path in chain:
                withheld += apply_items(store, open_items(path, opener, last.node), new).withheld
            serial = serial_after(last.watermark, now_ms)
            store.restart(serial)
            _note(store, last, serial, who, now_ms)
            withhold_units(store, now_ms)
            with store.snapshot() as snapshot:
                faults = tuple(fault for fault, _ in zip(check_store(snapshot), range(_FAULTS_TOLD), strict=False))
                settings = _settings(last.prefix, origin, case=stored_case(snapshot)) | _bounds(snapshot)
            write_settings(folder / "node.toml", settings)
        finally:
            store.close()
        wiring.open_store(load(folder / "node.toml")).close()  # as ``serve`` would, so that it will
    return Rebuilt(to / "node.toml", heads, serial, origin, withheld, faults)


def _make_keys(folder: Path) -> KeyRing:
    """Make all keys of a node; return those of identity data. Errors: ConfigError, OSError."""
    keys = folder / "keys"
    keys.mkdir(mode=0o700)
    make_rsa_key(keys / "server.pem")
    make_certificate(keys / "tls.crt", keys / "tls.key")
    add_key(keys / "identity.keys", PARTY_KEYS)
    add_key(keys / "lots.keys", LOT_KEYS)
    write_new_file(keys / "node.pem", signing_key_pem(Ed25519PrivateKey.generate()))
    return load_keys(keys / "identity.keys", PARTY_KEYS)


def _new_keys(folder: Path, ring: KeyRing) -> NewKeys:
    lots = LotKeys(lambda: load_keys(folder / "keys" / "lots.keys", LOT_KEYS), clock.monotonic_s)
    return NewKeys(
        ring, lots, lambda: secrets.token_bytes(NONCE_BYTES), lambda: secrets.token_urlsafe(_SECRET_OCTETS).encode()
    )


def _settings(prefix: str, origin: str, *, case: bool) -> dict[str, Value]:
    return {
        "node.prefix": prefix,
        "https.certificate": "keys/tls.crt",
        "https.key": "keys/tls.key",
        "handle.case_sensitive": case,
        "handle.server_admins": (_ADMIN_INDEX,),
        "handle.server_key": "keys/server.pem",
        "log.origin": origin,
    }


def _bounds(snapshot: Snapshot) -> dict[str, Value]:
    """Return the settings of how long handles may be, where they are other than usual."""
    rules, usual = stored_rules(snapshot), HandleRules()
    found: dict[str, Value] = {}
    if rules.length_max != usual.length_max:
        found["handle.length_max"] = rules.length_max
    if rules.prefix_length_max != usual.prefix_length_max:
        found["handle.prefix_length_max"] = rules.prefix_length_max
    return found


def _note(store: LmdbEngine, last: Head, serial: int, who: Who, now_ms: Millis) -> None:
    """Have the first entry of the logs say from what the node was put back."""
    reason = f"node {last.node}, serial {last.watermark}, goes on behind {serial}"
    digest = bytes.fromhex(last.content_sha256)
    entry = LogEntry(Stream.MAINTENANCE.value, "restore.escrow", last.deposit, reason=reason, evidence=digest)
    batch = Batch()
    with store.snapshot() as snapshot:
        skip_numbers(snapshot, batch)
    batch.put(Table.LOG_QUEUE, log_key(1), pack_log_row(LogRow(now_ms, who, "", b"", (entry,))))
    batch.put(Table.META, LAST_LOG_KEY, log_key(1))
    store.commit(batch)
