"""A reference top node in the process of the test, and nodes that talk to it octet by octet."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.clock import Millis
from core.signature import Signer, key_id
from sync import messages
from sync.digests import RowsDigest, items_digest
from sync.envelope import ANSWER, QUESTION, open_envelope, seal
from sync.form import decode, encode
from sync.tables import TABLES
from sync.topnode.desk import Taker, TopDesk, never
from sync.topnode.store import TopStore
from sync.topnode.takings import Check

NOW: Millis = Millis(1_795_000_000_000)
STORE_KEY = bytes(range(32))
MAP_BYTES = 1 << 28


def signer(name: str) -> Signer:
    """Return the same signer for the same name."""
    return Signer(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest()))


def permit(table: str, key: bytes, row: bytes) -> list[tuple[str, str, str]]:
    """Find nothing wrong with any row."""
    return []


class Top:
    """A store in a folder and its desk; ``reopen`` is a restart."""

    def __init__(
        self, folder: Path, *, enrol_open: bool = True, review: str = "automatic", check: Check = permit,
        takers: Mapping[type, Taker] | None = None, refuse: Callable[[], bool] = never,
    ) -> None:  # fmt: skip
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.signer = signer("top")
        self._chosen: dict[str, Any] = {
            "enrol_open": enrol_open, "review": review, "check": check, "takers": takers, "refuse": refuse
        }  # fmt: skip
        self._open()

    def _open(self) -> None:
        self.store = TopStore(self.folder, STORE_KEY, map_size_bytes=MAP_BYTES)
        self.desk = TopDesk(self.store, self.signer, "Top", tables=TABLES, **self._chosen)

    def reopen(self) -> None:
        """Close the store and open it again."""
        self.store.close()
        self._open()

    def close(self) -> None:
        """Close the store."""
        self.store.close()


class Peer:
    """A node as the top node sees it: a key, and numbers that rise."""

    def __init__(self, top: Top, name: str = "node", prefix: str = "88.118") -> None:
        self.top = top
        self.signer = signer(name)
        self.node_id = key_id(self.signer.public_key)
        self.prefix = prefix
        self.number = 0

    def sealed(self, message: messages.Message, *, number: int | None = None, to: str | None = None) -> bytes:
        """Return a question as it travels; with the next number if none is given."""
        if number is None:
            self.number += 1
            number = self.number
        return seal(QUESTION, self.signer, number, self.top.desk.key_id if to is None else to, encode(message))

    def said(self, octets: bytes, number: int | None = None) -> Any:
        """Return what the top node answers to these octets; its signature, number and addressee are right."""
        envelope = open_envelope(ANSWER, self.top.desk.answer(octets, NOW))
        assert envelope.sender == self.top.signer.public_key
        assert (envelope.number, envelope.to) == (self.number if number is None else number, self.node_id)
        return decode(envelope.payload)

    def ask(self, message: messages.Message) -> Any:
        """Return what the top node answers."""
        return self.said(self.sealed(message))

    def connect(self) -> Any:
        """Connect, or connect again."""
        return self.ask(messages.Connect(self.prefix, "盐业节点", "saltern 0", "log.example", "vkey"))

    def delta(self, table: str, after: int, to: int, *items: messages.Item) -> Any:
        """Send changes."""
        return self.ask(messages.Delta(table, after, to, items_digest(items), items))

    def piece(self, table: str, at: int, start: bytes, stop: bytes | None, rows: Mapping[bytes, bytes]) -> Any:
        """Send a piece of a snapshot."""
        items = tuple(messages.Item(0, 0, key, row) for key, row in sorted(rows.items()))
        return self.ask(messages.Piece(table, at, start, stop, items_digest(items), items))

    def repair(self, table: str, at: int, *items: messages.Item) -> Any:
        """Send rows again."""
        return self.ask(messages.Repair(table, at, items_digest(items), items))

    def held_rows(self, table: str) -> dict[bytes, bytes]:
        """Return the rows that the top node holds, read past its desk."""
        return dict(self.top.store.rows(self.node_id, TABLES[table], b"", 1_000_000))


def range_of(rows: Iterable[tuple[bytes, bytes]], start: bytes = b"", stop: bytes | None = None) -> messages.Range:
    """Return what a node says of a range of its rows."""
    digest = RowsDigest()
    for key, row in sorted(rows):
        if start <= key and (stop is None or key < stop):
            digest.add(key, row)
    return messages.Range(start, stop, digest.rows, digest.digest())
