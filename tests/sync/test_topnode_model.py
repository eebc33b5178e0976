"""The reference top node against a plain model of it, through changes, snapshots, repairs, replays and restarts."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sync.digests import row_digest
from sync.messages import CompareRanges, Delta, Holding, Item, ListKeys, Refusal, Refused
from sync.table import Basis
from sync.tables import TABLES
from tests.kit.topnode import Peer, Top, range_of

KEYS = [b"88.118.7/A", b"88.118.7/B", b"88.118.7/BB", b"88.118.7/C", b"88.118.7/\xff"]
ROWS = [b"\x91\x01", b"\x91\x02", b"\x91\x03", b"bad"]
CHOSEN = ("T9", "T6", "T3", "T11")  # a history; sealed; days; a plain one
tables = st.sampled_from(CHOSEN)
peers = st.sampled_from(("one", "two"))
wanted = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(ROWS))
changed = st.lists(st.tuples(st.sampled_from(KEYS), st.none() | st.sampled_from(ROWS)), max_size=5)
bounds = st.none() | st.sampled_from(KEYS)


def check(table: str, key: bytes, row: bytes) -> list[tuple[str, str, str]]:
    return [("bad", "坏", "bad")] if row == b"bad" else []


class Model:
    """What is held of one table of one node."""

    def __init__(self) -> None:
        self.serial = self.piece_at = 0
        self.piece_next = b""
        self.rows: dict[bytes, bytes] = {}
        self.told: dict[int, tuple[int, bytes]] = {}
        self.refused: set[tuple[int, bytes]] = set()

    def put(self, items: list[Item]) -> None:
        for serial, operation, key, row in items:
            if row == b"bad":
                self.refused.add((serial, key))
                continue
            self.refused.discard((serial, key))
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = row
            if serial:
                self.told.setdefault(serial, (operation, key))


class TopNode(RuleBasedStateMachine):
    """Two nodes send what nodes send, in and out of order."""

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.top = Top(self.folder / "store", check=check)
        self.peers = {name: Peer(self.top, name) for name in ("one", "two")}
        self.models = {(name, table): Model() for name in self.peers for table in CHOSEN}
        self.last: dict[str, bytes] = {}
        for peer in self.peers.values():
            assert peer.connect().enrolment == "enrolled"

    def receipt(
        self, name: str, table: str, answer: Any, why: str, items: list[Item] | None = None,
        before: Callable[[int, bytes], bool] = lambda *_: False,
    ) -> None:  # fmt: skip
        """The answer is this receipt, and tells what the model holds and which of the items are refused.

        One whose message was taken before tells again what was refused of it (``before``).
        """
        model = self.models[name, table]
        assert answer.why == why
        assert answer.holding == Holding(table, model.serial, model.piece_at, model.piece_next, len(model.rows))
        bad = [Refused(item.serial, item.key, "bad", "坏", "bad") for item in items or () if item.row == b"bad"]
        again = [Refused(*each, "bad", "坏", "bad") for each in sorted(model.refused) if before(*each)]
        assert list(answer.refused) == {"applied": bad, "duplicate": again}.get(why, [])

    @rule(name=peers, table=tables, shift=st.sampled_from((0, 0, 0, -1, 1)), changes=changed, more=st.integers(0, 2))
    def delta(
        self, name: str, table: str, shift: int, changes: list[tuple[bytes, bytes | None]], more: int
    ) -> None:  # fmt: skip
        """Changes that follow what is held, or begin earlier or later."""
        model = self.models[name, table]
        after = max(0, model.serial + shift)
        step = 0 if TABLES[table].basis is Basis.DAYS else 1
        now = dict(changes)  # a row is sent as it is now
        items = [Item(after + 1 + place * step, 1 + place % 3, key, now[key]) for place, (key, _) in enumerate(changes)]
        to = max([after, *(item.serial for item in items)]) + more
        answer = self.peers[name].delta(table, after, to, *items)
        if model.piece_at:
            why = "piece"
        elif to <= model.serial:
            why = "duplicate"
        else:
            why = "applied" if after == model.serial else "gap"
        if why == "applied":
            model.serial = to
            model.put(items)
        self.receipt(name, table, answer, why, items, lambda serial, _: after < serial <= to)

    @rule(name=peers, table=tables, shift=st.sampled_from((0, 0, 1)), changes=changed, serial=st.integers(0, 4))
    def repair(
        self, name: str, table: str, shift: int, changes: list[tuple[bytes, bytes | None]], serial: int
    ) -> None:  # fmt: skip
        """Rows again, with the serial of a change that was refused before or without one."""
        model = self.models[name, table]
        at = model.serial + shift
        items = [Item(min(serial, at), 3, key, row) for key, row in dict(changes).items()]
        answer = self.peers[name].repair(table, at, *items[:1])
        why = "piece" if model.piece_at else "applied" if shift == 0 else "gap"
        if why == "applied":
            model.put(items[:1])
        self.receipt(name, table, answer, why, items[:1])

    @rule(
        name=peers, table=tables, at=st.integers(1, 6), go_on=st.booleans(), start=bounds, stop=bounds, rows=wanted
    )  # fmt: skip
    def piece(
        self, name: str, table: str, at: int, go_on: bool, start: bytes | None, stop: bytes | None,
        rows: dict[bytes, bytes],
    ) -> None:  # fmt: skip
        """A piece that fits, or of another snapshot, or out of place."""
        model = self.models[name, table]
        first = start or b""
        if go_on and model.piece_at:
            at, first = model.piece_at, model.piece_next
        if stop is not None and stop <= first:
            stop = None

        def in_range(key: bytes) -> bool:
            return first <= key and (stop is None or key < stop)

        rows = {key: row for key, row in rows.items() if in_range(key)}
        answer = self.peers[name].piece(table, at, first, stop, rows)
        same = model.piece_at == at
        if same and first < model.piece_next:
            why = "duplicate"
        elif first == (model.piece_next if same else b""):
            why = "applied"
            for key in [key for key in model.rows if in_range(key)]:
                if key not in rows:
                    del model.rows[key]
            model.refused -= {each for each in model.refused if each[0] == 0 and in_range(each[1])}
            model.put([Item(0, 0, key, row) for key, row in rows.items()])
            if stop is None:
                model.serial, model.piece_at, model.piece_next = at, 0, b""
            else:
                model.piece_at, model.piece_next = at, stop
        else:
            why = "duplicate" if stop is None and not model.piece_at and model.serial == at else "piece"
        items = [Item(0, 0, key, row) for key, row in sorted(rows.items())]
        self.receipt(name, table, answer, why, items, lambda serial, key: serial == 0 and in_range(key))

    @rule(name=peers, table=tables, changes=changed)
    def wrong_digest(self, name: str, table: str, changes: list[tuple[bytes, bytes | None]]) -> None:
        """Items that are not those of the digest change nothing."""
        serial = self.models[name, table].serial
        answer = self.peers[name].ask(Delta(table, serial, serial + 1, bytes(32), ()))
        self.receipt(name, table, answer, "digest")

    @rule(name=peers, table=tables)
    def replayed(self, name: str, table: str) -> None:
        """The octets of a message that was taken are worth nothing."""
        peer, model = self.peers[name], self.models[name, table]
        octets = peer.sealed(Delta(table, model.serial, model.serial + 1, bytes(32), ()))
        peer.said(octets)
        answer = peer.said(octets)
        assert isinstance(answer, Refusal)
        assert (answer.rule, answer.number) == ("replayed", peer.number)

    @rule()
    def restart(self) -> None:
        """What was answered is there."""
        self.top.reopen()

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        """Rows, history and counts; of each node its own."""
        for (name, table), model in self.models.items():
            peer = self.peers[name]
            assert peer.held_rows(table) == model.rows
            if table == "T9":
                told = {each.serial: each[1:] for each in self.top.store.history(peer.node_id, 0, 1_000)}
                assert told == model.told

    @rule(name=peers)
    def asks(self, name: str) -> None:
        """State, comparison and lists say what the model holds."""
        peer = self.peers[name]
        holdings = {holding.table: holding for holding in peer.connect().holdings}
        for table in CHOSEN:
            model = self.models[name, table]
            assert holdings[table] == Holding(table, model.serial, model.piece_at, model.piece_next, len(model.rows))
            rows = model.rows.items()
            ranges = (range_of(rows, b"", KEYS[1]), range_of(rows, KEYS[1], None))
            assert peer.ask(CompareRanges(table, ranges)).places == ()
            listed = peer.ask(ListKeys(table, KEYS[1], None))
            assert dict(listed.rows) == {key: row_digest(row) for key, row in rows if key >= KEYS[1]}

    def teardown(self) -> None:
        """Leave no folder."""
        if hasattr(self, "top"):
            self.top.close()
            shutil.rmtree(self.folder)


TopNode.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestTopNode = TopNode.TestCase
