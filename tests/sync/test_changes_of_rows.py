"""Whatever is done to a node: a row of the feed's tables that is another now was touched by a change."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from core.lifecycle import Event
from core.records import HandleValue
from core.store.engine import Table
from core.store.record_rows import record_key
from core.wire.sitefile import read_sites, site_values
from registry.commands import (
    OPERATOR,
    AbandonImport,
    AddTemplate,
    ApplyPrefix,
    Command,
    CreateLot,
    Delete,
    Home,
    ImportLines,
    LiftHold,
    MovePrefix,
    PlaceHold,
    PublishTemplate,
    Put,
    RecordEvents,
    ReviewPrefix,
    SitePrefix,
    Unhome,
    WithdrawTemplate,
)
from sync.source import Source
from sync.sources.identifiers import IdentifierSource
from sync.sources.routes import Address, RouteSource
from sync.sources.templates import TemplateSource
from sync.table import Operation
from sync.tables import TABLES, check_row
from tests.kit.governance import ANNA, BEN, EVIDENCE, OWN, Actor, Office
from tests.kit.sources import changes_after, rows_of, touched_all
from tests.kit.templates import CODE, bound, template_form
from tests.kit.transfers import begin, bodies, export

P, Q = f"{OWN}.7", f"{OWN}.8"
NODE = (Address("IPv4", "198.51.100.7", 2641, 2641, 8000),)
SOURCES: Final[tuple[Source, ...]] = (
    RouteSource(TABLES["T2"], NODE, own=True), RouteSource(TABLES["T7"], NODE, own=False),
    TemplateSource(TABLES["T4"], own=True), TemplateSource(TABLES["T11"], own=False), IdentifierSource(TABLES["T9"]),
)  # fmt: skip
T9: Final = len(SOURCES) - 1


def site(address: str, port: int = 2641) -> bytes:
    """Return the site of a delegated prefix as JSON."""
    doors = [{"protocol": "TCP", "port": port, "query": True}, {"protocol": "UDP", "port": port, "query": True}]
    return json.dumps({"servers": [{"address": address, "interfaces": doors}]}).encode()


SITES = (
    (HandleValue(1, "HS_SITE", b"broken"),),
    *(site_values(read_sites(site(address)), 0) for address in ("1.1.1.1", "2606:4700::1")),
)


def lot(name: str) -> CreateLot:
    form = {"lot": name, "product": f"{OWN}/salt", "count": 20, "values": [{"index": 1, "type": "DESC", "data": "盐"}]}
    return CreateLot(json.dumps(form).encode())


def put(handle: str, text: str) -> Put:
    return Put(handle, (HandleValue(1, "DESC", text.encode()),), overwrite=True)


def move(prefix: str, event: Event) -> MovePrefix:
    return MovePrefix(prefix, event.value, "因故", EVIDENCE)


@lru_cache(maxsize=1)
def elsewhere() -> tuple[bytes, ...]:
    """Return the export of a prefix with a record, a lot and a template, of another node."""
    office = Office()
    office.allocated(P)
    office.do(AddTemplate(template_form()))
    office.do(PublishTemplate(CODE))
    for command in (Put(f"{P}/bound", bound()), put(f"0.NA/{P}.1", "x"), put(f"{P}/bag", "x"), lot(f"{P}/L9")):
        assert office.ask(command).done
    return tuple(export(office, P))


@lru_cache(maxsize=1)
def beginning() -> Office:
    """Return a node with two verified parties, another prefix of its own, and a template."""
    office = Office()
    office.verified(0)
    office.verified(1)
    founding = office.registry.founding
    office.registry.founding = True
    assert office.ask(Home("88.119"), OPERATOR).done
    office.registry.founding = founding
    office.do(AddTemplate(template_form()))
    return office


@lru_cache(maxsize=1)
def acts() -> list[Command]:
    """Return what may be done, whether it is the time for it or not."""
    lines = elsewhere()
    body = bodies(lines)
    event = json.dumps([{"event": "scrapped", "from": 1, "count": 3, "time": "2023-11-15T00:00:00Z"}]).encode()
    return [
        *(put(f"{prefix}/bag", text) for prefix in (OWN, P, Q, "88.119") for text in ("x", "y")),
        *(Delete(f"{prefix}/bag") for prefix in (OWN, P)),
        put(f"0.NA/{OWN}", "x"), put(f"0.NA/{P}", "x"), Delete(f"0.NA/{P}"),
        *(lot(f"{prefix}/L1") for prefix in (OWN, P)), RecordEvents(f"{OWN}/L1", event, lines=False),
        ApplyPrefix(P, "P000001"), ApplyPrefix(Q, "P000002", "delegated", site("1.1.1.1")),
        ApplyPrefix(P, "P000001", "delegated"), ApplyPrefix(Q, "P000002"),
        SitePrefix(P, site("2606:4700::1", 2643)), SitePrefix(Q, site("1.1.1.1", 2644)),
        *(move(prefix, event) for prefix in (P, Q) for event in (Event.SUSPEND, Event.RESUME, Event.DELETE)),
        Home("88.119", "delegated"), Home("88.119"), Unhome("88.119"),
        PlaceHold(P, "1号", "令"), LiftHold(P, "1号"),
        AddTemplate(template_form(version="2")), AddTemplate(template_form(code="P-1", party="P000001")),
        PublishTemplate(CODE), PublishTemplate("P-1"), WithdrawTemplate(CODE), WithdrawTemplate("P-1"),
        begin(lines), ImportLines(P, 0, b"".join(body)), ImportLines(P, 0, b"".join(body[:2])),
        ImportLines(P, 2, b"".join(body[2:])), AbandonImport(P),
        *(ReviewPrefix(prefix, approve=True) for prefix in (P, Q)),
        ReviewPrefix(P, reject="不符"), ReviewPrefix(Q, correct=(("prefix", "不符"),)),
        *(Put("0.NA/88.119", values, overwrite=True) for values in SITES),
    ]  # fmt: skip


def by(command: Command) -> Actor:
    """Return who does it: whoever applies does not review."""
    if isinstance(command, Home | Unhome) or getattr(command, "handle", "").startswith("0.NA/"):
        return OPERATOR
    return BEN if isinstance(command, ReviewPrefix) else ANNA


class Follower:
    """What was told of a node so far, and what its rows are."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.serial = 0
        self.rows: list[dict[bytes, bytes]] = [{} for _ in SOURCES]
        self.alive: set[bytes] = set()
        self.look()

    def look(self) -> None:
        """Look at what is new: the rows before, with the changes since, are the rows now."""
        changes = changes_after(self.office.store, self.serial)
        with self.office.store.snapshot() as snapshot:
            self.serial = snapshot.serial()
            for at, source in enumerate(SOURCES):
                rows = rows_of(source, snapshot)
                told = touched_all(source, self.rows[at], rows, changes)
                for key, row in rows.items():
                    if row != self.rows[at].get(key):
                        assert check_row(source.table, key, row) == []
                if at == T9:
                    self._replay(told, rows)
                self.rows[at] = rows

    def _replay(self, told: dict[bytes, list[Operation]], rows: dict[bytes, bytes]) -> None:
        """Check the history of each identifier: added, changed while it is there, deleted; it ends as it is now."""
        for key, operations in told.items():
            there = key in self.alive
            for operation in operations:
                assert there is (operation is not Operation.ADD), (key, operations)
                there = operation is not Operation.DELETE
            assert there is (key in rows)
        self.alive = set(rows)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_every_row_that_is_another_was_touched_by_a_change(data: st.DataObject) -> None:
    """After each act, done or refused; the history of an identifier never adds what is there."""
    follower = Follower(beginning().fork())
    for command in data.draw(st.lists(st.sampled_from(acts()), max_size=25)):
        follower.office.ask(command, by(command))
        follower.look()


def test_a_life_of_two_prefixes() -> None:
    """The same along a way on which every act is done, so that nothing above is only refused."""
    follower = Follower(beginning().fork())
    for command in (
        ApplyPrefix(P, "P000001"), ReviewPrefix(P, approve=True),
        ApplyPrefix(Q, "P000002", "delegated", site("1.1.1.1")), ReviewPrefix(Q, approve=True),
        SitePrefix(Q, site("1.1.1.1", 2644)), put(f"{P}/bag", "x"), put(f"{P}/bag", "y"), put(f"0.NA/{P}", "x"),
        lot(f"{P}/L1"), move(P, Event.SUSPEND), move(P, Event.RESUME), Home("88.119", "delegated"),
        *(Put("0.NA/88.119", values, overwrite=True) for values in SITES),
        AddTemplate(template_form(code="P-1", party="P000001")), PublishTemplate("P-1"),
        PublishTemplate(CODE), WithdrawTemplate(CODE), Delete(f"{P}/bag"), move(Q, Event.DELETE), move(P, Event.DELETE),
    ):  # fmt: skip
        assert command in acts()
        result = follower.office.ask(command, by(command))
        assert result.done, (command, result)
        follower.look()
    assert [set(rows) for rows in follower.rows] == [
        {b"Handle/88.118", b"Handle/88.119"}, set(), {f"{CODE}@1".encode()}, {b"P-1@1"}, {f"{P}/L1".encode()},
    ]  # fmt: skip


def test_an_import_is_told_row_by_row() -> None:
    """Records, lots and templates come with changes of their own; the route with the end of it."""
    for abandoned in (True, False):
        follower = Follower(Office())
        lines = elsewhere()
        follower.office.do(begin(lines))
        for at, line in enumerate(bodies(lines)):
            follower.office.do(ImportLines(P, at, line))
            follower.look()
        assert set(follower.rows[0]) == {b"Handle/88.118"}
        assert {record_key(f"{P}/BAG".encode()), f"{P}/L9".encode()} <= set(follower.rows[T9])
        follower.office.do(AbandonImport(P) if abandoned else begin(lines))
        follower.look()
        assert set(follower.rows[1]) == (set() if abandoned else {b"Handle/88.118.7"})
        assert bool(follower.rows[T9]) is not abandoned
        assert set(follower.rows[2]) == {f"{CODE}@1".encode()}
        assert follower.office.rows(Table.TEMPLATES)
