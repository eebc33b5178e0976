"""The store of the reference top node: LMDB, durable at every commit, many processes (its lock orders writers).

``node`` is the key id of a node's public key, 16 octets; ``table`` the number of a table, 1 octet; numbers are
big-endian; packed rows begin with a version octet (``sync/topnode/rows.py``).

    nodes      node                     -> Node
    holdings   node, table              -> Held
    rows       node, table, key         -> the row; of a table that holds personal data 12 nonce, ciphertext, 16 tag
    history    node, serial (8)         -> operation (1), key: changes of T9, each once
    refused    node, table, serial (8), key -> 1, then msgpack [rule, Chinese, English]: rows that were not taken
    routes     kind "/" folded prefix   -> node, table (T2 or T7) of the row that says who answers for it
    reviews    folded prefix            -> ReviewRow
    meta       "format"                 -> 1
               "seal"                   -> "saltern topnode", sealed: that the key is the one of this store

Sealed is by AES-256-GCM; associated data: ``"saltern topnode 1"`` and the key in the store, so that a sealed row
opens only where it was put. With random nonces one key seals 2**32 rows (NIST SP 800-38D §8.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import lmdb
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core import limits
from core.clock import Millis
from core.errors import Outcome, StoreError
from sync.messages import Item, Refused
from sync.table import TableKind
from sync.topnode.rows import (
    ENROLLED,
    REJECTED,
    VERDICTS,
    WAITING,
    Held,
    Node,
    ReviewRow,
    Route,
    Told,
    pack,
    pack_refused,
    unpack_held,
    unpack_node,
    unpack_refused,
    unpack_review,
)
from sync.topnode.sealing import seal, unseal

KEY_BYTES: Final = 32
_NODE: Final = 16
_HEAD: Final = _NODE + 1
_NAMES: Final = (b"nodes", b"holdings", b"rows", b"history", b"refused", b"routes", b"reviews", b"meta")
_FORMAT: Final = b"\x01"
_PROOF: Final = b"saltern topnode"
_ROUTES: Final = {2: "T2", 7: "T7"}
_HISTORY: Final = 9


class Effect(NamedTuple):
    """How many rows a write added, changed and removed."""

    added: int = 0
    changed: int = 0
    removed: int = 0


class _Tables(NamedTuple):
    """The open databases, in the order of ``_NAMES``."""

    nodes: Any
    holdings: Any
    rows: Any
    history: Any
    refused: Any
    routes: Any
    reviews: Any
    meta: Any


class View:
    """One state of the store."""

    def __init__(self, transaction: Any, tables: _Tables, cipher: AESGCM) -> None:
        self._transaction = transaction
        self._tables = tables
        self._cipher = cipher

    def node(self, node_id: str) -> Node | None:
        """Return a node, None if it is not known."""
        octets = _node_octets(node_id)
        row = None if octets is None else self._transaction.get(octets, None, self._tables.nodes)
        return None if row is None else unpack_node(row)

    def nodes(self) -> list[Node]:
        """Return all nodes, in the order of their ids. Bounds: TOPNODE_NODES_MAX."""
        return [unpack_node(row) for _, row in self._transaction.cursor(self._tables.nodes)]

    def count_nodes(self) -> int:
        """Return how many nodes are known."""
        return int(self._transaction.stat(self._tables.nodes)["entries"])

    def held(self, node_id: str, table: TableKind) -> Held:
        """Return what is held of a table."""
        return unpack_held(self._transaction.get(_head(node_id, table), None, self._tables.holdings))

    def has(self, node_id: str, table: TableKind, key: bytes) -> bool:
        """Whether there is a row."""
        place = _head(node_id, table) + key
        return (
            len(key) <= limits.UPSTREAM_KEY_BYTES_MAX
            and self._transaction.get(place, None, self._tables.rows) is not None
        )

    def rows(self, node_id: str, table: TableKind, start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys and rows from ``start`` to before ``stop`` (None: the end), in order. Errors: SealError."""
        head, last = _bounds(node_id, table, stop)
        cursor = self._transaction.cursor(self._tables.rows)
        if not cursor.set_range(head + start):
            return
        for place, row in cursor:
            if place >= last:
                return
            yield place[_HEAD:], self._unsealed(table, place, row) if table.personal else row

    def refused(self, node_id: str, table: TableKind, after: int = -1, to: int = 2**63) -> Iterator[Refused]:
        """Yield the rows that were not taken of the serials behind ``after`` up to ``to``, and why."""
        head = _head(node_id, table)
        with self._transaction.cursor(self._tables.refused) as cursor:
            found = cursor.set_range(head + (after + 1).to_bytes(8, "big"))
            while found and cursor.key().startswith(head):
                place, row = cursor.item()
                serial = int.from_bytes(place[_HEAD : _HEAD + 8], "big")
                if serial > to:
                    return
                yield Refused(serial, place[_HEAD + 8 :], *unpack_refused(row))
                found = cursor.next()

    def history(self, node_id: str, after: int, count: int) -> list[Told]:
        """Return changes of T9 with serials above ``after``."""
        node = _known_octets(node_id)
        cursor = self._transaction.cursor(self._tables.history)
        found: list[Told] = []
        if cursor.set_range(node + (after + 1).to_bytes(8, "big")):
            for place, told in islice(cursor, count):
                if place[:_NODE] != node:
                    break
                found.append(Told(int.from_bytes(place[_NODE:], "big"), told[0], told[1:]))
        return found

    def route(self, key: bytes) -> Route | None:
        """Return who answers for a prefix; ``key``: of T2 and T7. None: nobody, or a node that is not enrolled."""
        claim = self._transaction.get(key, None, self._tables.routes)
        if claim is None:
            return None
        node_id = claim[:_NODE].hex()
        node = self.node(node_id)
        row = self._transaction.get(claim + key, None, self._tables.rows)
        if node is None or node.enrolment != ENROLLED or row is None:
            return None
        return Route(node_id, _ROUTES[claim[_NODE]], key, row)

    def review(self, prefix: bytes) -> ReviewRow | None:
        """Return the review of a folded prefix, None if there is none."""
        row = self._transaction.get(prefix, None, self._tables.reviews)
        return None if row is None else unpack_review(row)

    def reviews(self, state: str | None = None) -> list[ReviewRow]:
        """Return reviews in the order of their prefixes: all, or those with a verdict (``waiting`` is one)."""
        found = (unpack_review(row) for _, row in self._transaction.cursor(self._tables.reviews))
        return [review for review in found if state in (None, review.verdict)]

    def _unsealed(self, table: TableKind, place: bytes, row: bytes) -> bytes:
        return unseal(self._cipher, place, row) if table.personal else row


class Change(View):
    """One write transaction: all of it is there, or nothing."""

    def put_node(self, node: Node) -> None:
        """Write a node."""
        self._transaction.put(_known_octets(node.node_id), pack(node), db=self._tables.nodes)

    def put_held(self, node_id: str, table: TableKind, held: Held) -> None:
        """Write what is held of a table."""
        self._transaction.put(_head(node_id, table), pack(held), db=self._tables.holdings)

    def put_review(self, prefix: bytes, review: ReviewRow) -> None:
        """Write the review of a folded prefix."""
        self._transaction.put(prefix, pack(review), db=self._tables.reviews)

    def apply(self, node_id: str, table: TableKind, rows: dict[bytes, bytes | None]) -> Effect:
        """Write rows; None removes one."""
        head = _head(node_id, table)
        removed = 0
        for key in sorted(key for key, row in rows.items() if row is None):
            if self._transaction.delete(head + key, db=self._tables.rows):
                removed += 1
                self._unclaim(table, head, key)
        added, changed = self._put(table, head, ((key, row) for key, row in rows.items() if row is not None))
        return Effect(added, changed, removed)

    def replace(  # noqa: PLR0917
        self, node_id: str, table: TableKind, start: bytes, stop: bytes | None, rows: dict[bytes, bytes],
        keep: frozenset[bytes],
    ) -> Effect:  # fmt: skip
        """Make ``rows`` all rows of a range of keys; what stands at keys of ``keep`` is left as it is."""
        head, last = _bounds(node_id, table, stop)
        wanted = dict(rows)
        gone: list[bytes] = []
        cursor = self._transaction.cursor(self._tables.rows)
        found = cursor.set_range(head + start)
        while found:
            place = cursor.key()
            if not place or place >= last:
                break
            key = place[_HEAD:]
            if key in wanted:
                if self._unsealed(table, place, cursor.value()) == wanted[key]:
                    del wanted[key]
                found = cursor.next()
            elif key in keep:
                found = cursor.next()
            else:
                gone.append(key)
                found = cursor.delete()
        cursor.close()
        for key in gone:
            self._unclaim(table, head, key)
        added, changed = self._put(table, head, wanted.items())
        return Effect(added, changed, len(gone))

    def tell(self, node_id: str, items: Iterable[Item]) -> None:
        """Write changes into the history, those that are in it already left as they are."""
        node = _known_octets(node_id)
        told = sorted((node + item[0].to_bytes(8, "big"), bytes((item[1],)) + item[2]) for item in items if item[0])
        with self._transaction.cursor(self._tables.history) as cursor:
            cursor.putmulti(told, overwrite=False)

    def put_refused(self, node_id: str, table: TableKind, said: Iterable[Refused]) -> None:
        """Keep what was refused: an answer may be lost."""
        head = _head(node_id, table)
        for each in said:
            row = pack_refused((each.rule, each.zh, each.en))
            self._transaction.put(head + each.serial.to_bytes(8, "big") + each.key, row, db=self._tables.refused)

    def take_refused(self, node_id: str, table: TableKind, items: Iterable[Item]) -> None:
        """Forget what was refused and is taken now."""
        head = _head(node_id, table)
        with self._transaction.cursor(self._tables.refused) as cursor:
            if not cursor.set_range(head) or not cursor.key().startswith(head):
                return
        for item in items:
            self._transaction.delete(head + item[0].to_bytes(8, "big") + item[2], db=self._tables.refused)

    def forget_refused(
        self, node_id: str, table: TableKind, serial: int, start: bytes, stop: bytes | None
    ) -> None:  # fmt: skip
        """Forget what was refused in a range of keys of one serial."""
        head = _head(node_id, table) + serial.to_bytes(8, "big")
        with self._transaction.cursor(self._tables.refused) as cursor:
            found = cursor.set_range(head + start)
            while found and cursor.key().startswith(head) and (stop is None or cursor.key() < head + stop):
                found = cursor.delete() and bool(cursor.key())

    def claimed_by_other(self, node_id: str, key: bytes) -> bool:
        """Whether another node answers for a prefix; ``key``: of T2 and T7."""
        route = self.route(key)
        return route is not None and route.node_id != node_id

    # --- pieces ---
    def _put(self, table: TableKind, head: bytes, rows: Iterable[tuple[bytes, bytes]]) -> tuple[int, int]:
        """Return how many rows are new, and how many are others now."""
        if table.personal:
            puts = sorted((head + key, seal(self._cipher, head + key, row)) for key, row in rows)
        else:
            puts = sorted([(head + key, row) for key, row in rows])
        before = self._transaction.stat(self._tables.rows)["entries"]
        with self._transaction.cursor(self._tables.rows) as cursor:
            cursor.putmulti(puts)
        added = self._transaction.stat(self._tables.rows)["entries"] - before
        if table.number in _ROUTES:
            for place, _ in puts:
                self._transaction.put(place[_HEAD:], head, db=self._tables.routes)
        return added, len(puts) - added

    def _unclaim(self, table: TableKind, head: bytes, key: bytes) -> None:
        """Take away the route of a row that is gone, unless the other table of the node has one."""
        routes = self._tables.routes
        if table.number not in _ROUTES or self._transaction.get(key, None, routes) != head:
            return
        for number in _ROUTES:
            other = head[:_NODE] + bytes((number,))
            if self._transaction.get(other + key, None, self._tables.rows) is not None:
                self._transaction.put(key, other, db=routes)
                return
        self._transaction.delete(key, db=routes)


class TopStore:
    """The open store. Open it after any fork. Errors: every method raises StoreError where it cannot be used."""

    def __init__(
        self, folder: Path, key: bytes, *, read_only: bool = False, map_size_bytes: int = limits.TOPNODE_STORE_BYTES
    ) -> None:
        """Open it, and make it in an empty folder. ``key``: 32 octets, seals personal data.

        Errors: StoreError where there is no such folder or another thing is in it; SealError for another key.
        """
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key of {len(key)} octets")
        if not folder.is_dir():
            raise StoreError(f"没有目录{folder}。There is no folder {folder}")
        self._cipher = AESGCM(key)
        try:
            self._environment: Any = lmdb.open(
                str(folder), map_size=map_size_bytes, max_dbs=len(_NAMES), max_readers=limits.TOPNODE_READERS,
                readonly=read_only, create=not read_only, mode=0o600,
            )  # fmt: skip
        except lmdb.Error as error:
            raise StoreError(f"无法打开{folder}。Cannot open {folder}: {error}") from None
        try:
            self._open(folder, read_only)
        except BaseException:
            self._environment.close()
            raise

    def _open(self, folder: Path, read_only: bool) -> None:
        try:
            with self._environment.begin() as transaction:
                names = set(transaction.cursor().iternext(values=False))
            if not names <= set(_NAMES):
                raise StoreError(f"{folder}中是其他数据库。Another store is in {folder}")
            self._tables = _Tables(*(self._environment.open_db(name, create=not read_only) for name in _NAMES))
            if not read_only:
                self._make()
            with self._environment.begin() as transaction:
                version, proof = (transaction.get(name, None, self._tables.meta) for name in (b"format", b"seal"))
        except lmdb.Error as error:
            raise StoreError(f"无法打开{folder}。Cannot open {folder}: {error}") from None
        if version != _FORMAT or proof is None:
            raise StoreError(f"{folder}的版本不同。The store in {folder} is of another version")
        unseal(self._cipher, b"seal", proof)

    def _make(self) -> None:
        with self._environment.begin(write=True) as transaction:
            if transaction.get(b"format", None, self._tables.meta) is None:
                transaction.put(b"format", _FORMAT, db=self._tables.meta)
                transaction.put(b"seal", seal(self._cipher, b"seal", _PROOF), db=self._tables.meta)

    @contextmanager
    def read(self) -> Iterator[View]:
        """Show one state of the store."""
        try:
            with self._environment.begin() as transaction:
                yield View(transaction, self._tables, self._cipher)
        except lmdb.Error as error:
            raise _unusable(error) from None

    @contextmanager
    def write(self) -> Iterator[Change]:
        """Change the store: when this ends without an error all of it is on the disk, else nothing."""
        try:
            with self._environment.begin(write=True) as transaction:
                yield Change(transaction, self._tables, self._cipher)
        except lmdb.Error as error:
            raise _unusable(error) from None

    # --- reading ---
    def nodes(self) -> list[Node]:
        """Return all nodes."""
        with self.read() as view:
            return view.nodes()

    def node(self, node_id: str) -> Node | None:
        """Return a node, None if it is not known."""
        with self.read() as view:
            return view.node(node_id)

    def holdings(self, node_id: str, tables: Iterable[TableKind]) -> dict[str, Held]:
        """Return what is held of the tables of a node, by their names."""
        with self.read() as view:
            return {table.name: view.held(node_id, table) for table in tables}

    def rows(self, node_id: str, table: TableKind, after: bytes, count: int) -> list[tuple[bytes, bytes]]:
        """Return keys and rows behind the key ``after`` (b"": from the first)."""
        with self.read() as view:
            return list(islice(view.rows(node_id, table, after + b"\0" if after else b"", None), count))

    def history(self, node_id: str, after: int, count: int) -> list[Told]:
        """Return changes of T9 with serials above ``after``."""
        with self.read() as view:
            return view.history(node_id, after, count)

    def route(self, prefix: bytes, kind: str = "Handle") -> Route | None:
        """Return who answers for a folded prefix, exactly; None: nobody."""
        key = kind.encode() + b"/" + prefix
        if len(key) > limits.UPSTREAM_KEY_BYTES_MAX:
            return None
        with self.read() as view:
            return view.route(key)

    def reviews(self, state: str | None = None) -> list[ReviewRow]:
        """Return reviews: all, or those with a verdict (``waiting`` is one)."""
        with self.read() as view:
            return view.reviews(state)

    # --- deciding ---
    def enrol(self, node_id: str) -> Node:
        """Enrol a node. Errors: StoreError (NOT_FOUND)."""
        return self._enrolment(node_id, ENROLLED)

    def reject(self, node_id: str) -> Node:
        """Reject a node: nothing more is taken, nobody is referred to it. Errors: StoreError (NOT_FOUND)."""
        return self._enrolment(node_id, REJECTED)

    def _enrolment(self, node_id: str, enrolment: str) -> Node:
        with self.write() as change:
            node = change.node(node_id)
            if node is None:
                raise StoreError(f"没有节点{node_id}。There is no node {node_id}", outcome=Outcome.NOT_FOUND)
            node = node._replace(enrolment=enrolment)
            change.put_node(node)
        return node

    def decide(  # noqa: PLR0917
        self, prefix: str, verdict: str, reason: str, fields: tuple[tuple[str, str], ...], by: str, now_ms: Millis
    ) -> ReviewRow:
        """Decide the review of a prefix, once. ``verdict``: approved, rejected or asked; ``fields``: to be corrected.

        Errors: StoreError (NOT_FOUND; CONFLICT where it is decided), ValueError for another verdict.
        """
        if verdict not in VERDICTS:
            raise ValueError(verdict)
        folded = prefix.encode(errors="replace").upper()
        with self.write() as change:
            review = change.review(folded) if 0 < len(folded) <= limits.UPSTREAM_KEY_BYTES_MAX else None
            if review is None:
                message = f"没有前缀{prefix}的审核。There is no review of {prefix}"
                raise StoreError(message, outcome=Outcome.NOT_FOUND)
            if review.verdict != WAITING:
                message = f"前缀{prefix}的审核已结束。The review of {prefix} is over: {review.verdict}"
                raise StoreError(message, outcome=Outcome.CONFLICT)
            review = review._replace(verdict=verdict, reason=reason, fields=fields, by=by, at_ms=now_ms)
            change.put_review(folded, review)
        return review

    def check_readers(self) -> int:
        """Free the slots of readers that were killed; return how many."""
        freed: int = self._environment.reader_check()
        return freed

    def close(self) -> None:
        """Close it."""
        self._environment.close()


# --- pieces ---
def _node_octets(node_id: str) -> bytes | None:
    """Return 16 octets, None for what is no key id."""
    try:
        octets = bytes.fromhex(node_id)
    except ValueError:
        return None
    return octets if len(octets) == _NODE else None


def _known_octets(node_id: str) -> bytes:
    octets = _node_octets(node_id)
    if octets is None:
        raise StoreError(f"没有节点{node_id}。There is no node {node_id}", outcome=Outcome.NOT_FOUND)
    return octets


def _head(node_id: str, table: TableKind) -> bytes:
    return _known_octets(node_id) + bytes((table.number,))


def _bounds(node_id: str, table: TableKind, stop: bytes | None) -> tuple[bytes, bytes]:
    """Return what all keys of a table begin with, and the first key that is not in the range any more."""
    head = _head(node_id, table)
    return head, head + stop if stop is not None else head[:_NODE] + bytes((table.number + 1,))


def _unusable(error: Exception) -> StoreError:
    full = isinstance(error, lmdb.MapFullError)
    message = f"上级节点的数据库暂不可用。The top node's store cannot be used just now ({error})"
    return StoreError(message, outcome=Outcome.STORE_FULL if full else None)
