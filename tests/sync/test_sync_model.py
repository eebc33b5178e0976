"""A node, a misbehaving top node and a model: whatever is written and whatever goes wrong, both sides become equal.

Shown at the end of every run, once nothing misbehaves any more: range digests of all tables are equal; the rows of T9
above are those that a plain dictionary says; and its history is the node's own feed, every change once.
"""

from __future__ import annotations

import datetime
import json
import os
import random
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core.changes import ChangeKind
from core.records import HandleValue
from core.store.engine import Batch, Table
from core.store.upstream_rows import DAY_TABLES, FIGURES_TABLE, DayMark, day_key, pack_day, pack_mark
from registry.commands import (
    AddTemplate,
    AmendParty,
    Delete,
    MovePrefix,
    PublishTemplate,
    Put,
)
from sync.sources.overview import COLUMNS
from sync.sources.routes import Address, RouteSource
from sync.table import pack_row
from sync.tables import TABLES
from tests.kit.governance import EVIDENCE, OPERATOR, Office
from tests.kit.lots import put_lot
from tests.kit.templates import template_form
from tests.kit.upstream import BadLine, Sending, Top, sources

_OPERATIONS = {
    ChangeKind.RECORD_CREATED: 1, ChangeKind.RECORD_CHANGED: 3, ChangeKind.RECORD_DELETED: 2,
    ChangeKind.LOT_CREATED: 1, ChangeKind.LOT_ABANDONED: 2,
}  # fmt: skip
_SPECS = (
    "default",
    "drop=0.5",
    "duplicate=0.7",
    "reorder=0.5",
    "truncate=0.4",
    "error=0.5",
    "refuse=0.3",
    "refuse=1",
    "refuse=0.4,drop=0.4,truncate=0.2",
)
_EXAMPLES = 2_000 if os.environ.get("SALTERN_FUZZ") else 18
_FIRST_DAY = datetime.date(2026, 11, 1)
_NAMES = [f"88.118/S{number}" for number in range(6)]


class Outage(RuleBasedStateMachine):
    """See above. Serials that the top node lost with its store are given again: then its history is whole again."""

    @initialize(seed=st.integers(0, 2**16))
    def begin(self, seed: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.office = Office()
        self.party = self.office.allocated("88.118.7")
        self.top = Top(Path(self.folder.name))
        self.line = BadLine(self.top, random.Random(seed))
        self.file = Path(self.folder.name) / "applications.csv"
        self.write_applications({})
        self.sending = Sending(self.office.store, self.top, self.line, sources(applications=self.file))
        self.days = 0
        self.names: dict[str, str] = {}
        self.lots = 0
        self.routes = 0
        self.versions = 0

    def teardown(self) -> None:
        if not hasattr(self, "line"):
            return
        self.top.away = False
        self.line.spec("")
        self.sending.settle()
        assert self.sending.differences() == {}
        self._check_identifiers()
        self._check_history()
        self.top.store.close()
        self.folder.cleanup()

    # --- the node
    @rule(name=st.sampled_from(_NAMES), text=st.text("盐salt ", min_size=1, max_size=8))
    def put(self, name: str, text: str) -> None:
        self.office.do(Put(name, (HandleValue(1, "NAME", text.encode()),), overwrite=True), OPERATOR)
        self.names[name] = text

    @rule(count=st.integers(1, 40))
    def put_many(self, count: int) -> None:
        for number in range(count):
            name = f"88.118/M{number}"
            self.office.do(Put(name, (HandleValue(1, "NAME", b"%d" % count),), overwrite=True), OPERATOR)
            self.names[name] = str(count)

    @precondition(lambda self: self.names)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.names)))
        self.office.do(Delete(name), OPERATOR)
        del self.names[name]

    @rule()
    def make_lot(self) -> None:
        self.lots += 1
        put_lot(self.office.registry, f"88.118/L{self.lots}", "88.118/S1", self.office.now)

    @rule(address=st.sampled_from(["北京市西城区", "天津市滨海新区汉沽", "四川省自贡市"]))
    def amend(self, address: str) -> None:
        self.office.ask(AmendParty(self.party, json.dumps({"address": address}).encode()))

    @rule(event=st.sampled_from(["suspend", "resume"]))
    def move(self, event: str) -> None:
        self.office.ask(MovePrefix("88.118.7", event, "检查", EVIDENCE))

    @rule()
    def publish(self) -> None:
        self.versions += 1
        self.office.do(AddTemplate(template_form(version=f"{self.versions}.0", party=None)))
        self.office.do(PublishTemplate(json.loads(template_form())["code"], f"{self.versions}.0"))

    @rule(rows=st.integers(0, 3))
    def end_day(self, rows: int) -> None:
        """Statistics of a day are made, of some prefixes or of none."""
        day = (_FIRST_DAY + datetime.timedelta(days=self.days)).isoformat()
        self.days += 1
        batch = Batch()
        for table in DAY_TABLES:
            for number in range(rows):
                prefix = f"88.118.{number}"
                row = pack_row((prefix, day, 1, 2, 5, 4, [("192.0.2.1", 3)], 2))
                if table == FIGURES_TABLE:
                    row = pack_row((prefix, day, 2, 7, 9, 1, 5, 2, 1, 1, 0, *[None] * 7))
                batch.put(Table.SYNC_DAYS, day_key(table, day, prefix.encode()), pack_day(row))
            batch.put(Table.SYNC_DAYS, day_key(table, day), pack_mark(DayMark(day[:7], 0)))
        self.office.store.commit(batch)

    @rule(names=st.dictionaries(st.sampled_from(["盐溯源", "盐商城", "salt"]), st.sampled_from(["", "88.118.7"])))
    def write_applications(self, names: dict[str, str]) -> None:
        """The operator writes the file of applications anew: T5 and T10 are other ones."""
        lines = [f"{prefix},{name},1,介绍,{len(names)},app,某某" for name, prefix in names.items()]
        self.file.write_text("\n".join([",".join(COLUMNS), *lines, ""]), encoding="utf-8")

    @rule()
    def move_house(self) -> None:
        """The node gets another address: its routes rest on that, and no change of the feed tells of it."""
        self.routes += 1
        here = (Address("IPv4", f"192.0.2.{self.routes % 250 + 1}", 2641, 2641, 8000),)
        for name, own in (("T2", True), ("T7", False)):
            self.sending.sources[name] = RouteSource(TABLES[name], here, own=own)
        self.sending.restart()

    # --- what goes wrong
    @rule(spec=st.sampled_from(_SPECS))
    def misbehave(self, spec: str) -> None:
        self.line.spec(spec)

    @rule()
    def behave(self) -> None:
        self.line.spec("")

    @rule(away=st.booleans())
    def leave(self, away: bool) -> None:
        self.top.away = away

    @rule()
    def restart_node(self) -> None:
        self.sending.restart()

    @rule()
    def restart_top(self) -> None:
        self.top.restart()

    @rule()
    def lose_store(self) -> None:
        self.top.lose()

    @rule(force=st.booleans())
    def send(self, force: bool) -> None:
        self.sending.round(force=force)

    # --- what holds always
    @invariant()
    def nothing_is_told_twice(self) -> None:
        """The history above never has two changes of one serial, nor one that the node did not make."""
        if not hasattr(self, "line"):
            return
        told = self.sending.history()
        assert set(told) <= set(self._changes())
        assert len({serial for serial, _, _ in told}) == len(told)

    def _changes(self) -> list[tuple[int, int, bytes]]:
        return [
            (serial, _OPERATIONS[kind], identifier.encode())
            for serial, (kind, identifier) in enumerate(self.office.feed(), 1)
            if kind in _OPERATIONS and not identifier.startswith("0.NA/")
        ]

    def _check_history(self) -> None:
        assert self.sending.history() == self._changes()

    def _check_identifiers(self) -> None:
        names = {key.decode() for key, _ in self.sending.rows_above("T9")}
        lots = {f"88.118/L{number}" for number in range(1, self.lots + 1)}
        assert names == {name.upper() for name in self.names} | lots


TestOutage = Outage.TestCase
TestOutage.settings = settings(
    max_examples=2_000 if os.environ.get("SALTERN_FUZZ") else 60, stateful_step_count=30, deadline=None
)
