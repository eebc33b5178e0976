"""Holds: what an order stops, who may place and lift it, and that nothing is lost by it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from core import limits
from core.changes import ChangeKind
from core.errors import Outcome
from core.records import HandleValue
from core.store.engine import Table
from core.store.fsck import check_store
from core.who import Role
from registry.commands import (
    Add,
    ApplyPrefix,
    Delete,
    Home,
    LiftHold,
    Modify,
    MovePrefix,
    PlaceHold,
    Put,
    PutBatch,
    Remove,
    ReviewPrefix,
    SitePrefix,
    Unhome,
)
from registry.holds import list_held
from resolver.service import Question, Resolver
from tests.kit.governance import ANNA, BEN, EVIDENCE, OWN, RULES, SITE, Office, plain_sites

URL = (HandleValue(1, "URL", b"https://a.example"),)
HELD = "88.118.7/SKU01"
OTHER = "88.118.7/SKU02"


@pytest.fixture
def office() -> Iterator[Office]:
    """88.118.7 is a party's, with two records; 88.118 is the operator's own, with one."""
    made = Office()
    made.allocated("88.118.7")
    for handle in (HELD, OTHER, f"{OWN}/SKU01"):
        made.ask(Put(handle, URL))
    yield made
    with made.store.snapshot() as snapshot:
        assert list(check_store(snapshot)) == []


def outcome(office: Office, handle: str) -> Outcome:
    with office.store.snapshot() as snapshot:
        return Resolver(RULES).resolve(snapshot, Question(handle)).outcome


# --- what is held --------------------------------------------------------------

REACH = {
    HELD: {HELD, HELD.lower()},
    "88.118.7": {HELD, HELD.lower(), OTHER, "88.118.7/NONE", "0.NA/88.118.7", "0.NA/88.118.7.1"},
    "P000001": {HELD, HELD.lower(), OTHER, "88.118.7/NONE", "0.NA/88.118.7", "0.NA/88.118.7.1"},
    OWN: {HELD, HELD.lower(), OTHER, f"{OWN}/SKU01", "0.NA/88.118.7", f"0.NA/{OWN}", "0.NA/88.118.9", "0.NA/88.118.7.1",
          "88.118.7/NONE"},
    "0.NA/88.118.7": {"0.NA/88.118.7"},
}  # fmt: skip
ALL = sorted({handle for handles in REACH.values() for handle in handles})


@pytest.mark.parametrize("target", REACH)
def test_a_target_holds_what_is_its_own_and_no_more(office: Office, target: str) -> None:
    """Whether there is such a record or not; lifted, all is answered as before, and no record was touched."""
    before, rows = {handle: outcome(office, handle) for handle in ALL}, office.dump(Table.JOURNAL, Table.META)
    office.do(PlaceHold(target, "令1", "抽检不合格"))
    for handle in ALL:
        assert outcome(office, handle) is (Outcome.HELD if handle in REACH[target] else before[handle]), handle
    office.do(LiftHold(target, "令1"))
    assert {handle: outcome(office, handle) for handle in ALL} == before
    after = office.dump(Table.JOURNAL, Table.META)
    assert {name: table for name, table in after.items() if name != "changes"} == {
        name: table for name, table in rows.items() if name != "changes"
    }


def test_what_is_foreign_stays_foreign(office: Office) -> None:
    """A hold on a prefix above says nothing of what this node does not serve."""
    office.do(PlaceHold(OWN, "1", "x"))
    assert outcome(office, "88.118.99/x") is Outcome.NOT_RESPONSIBLE
    assert outcome(office, "10.1/x") is Outcome.NOT_RESPONSIBLE


def test_a_delegated_prefix_is_not_referred(office: Office) -> None:
    """The enterprise's node may go on; this one does not lead to it."""
    office.ask(Home(OWN, "delegated"))
    assert outcome(office, f"{OWN}/SKU01") is Outcome.SERVICE_REFERRAL
    office.do(PlaceHold(OWN, "1", "x"))
    assert outcome(office, f"{OWN}/SKU01") is Outcome.HELD


def test_a_hold_beats_a_suspension_and_outlasts_it(office: Office) -> None:
    """Whoever resumes the prefix does not lift the order."""
    office.do(PlaceHold("88.118.7", "1", "x"))
    office.do(MovePrefix("88.118.7", "suspend", "y", EVIDENCE))
    office.do(MovePrefix("88.118.7", "resume", "y"))
    assert outcome(office, HELD) is Outcome.HELD
    office.do(LiftHold("88.118.7", "1"))
    assert outcome(office, HELD) is Outcome.OK


def test_a_prefix_can_be_held_before_it_is_allocated(office: Office) -> None:
    """What an order names is stopped from its first answer on."""
    office.do(PlaceHold("88.118.7/LATER", "1", "x"))
    assert office.ask(Put("88.118.7/LATER", URL)).outcome is Outcome.HELD
    office.do(LiftHold("88.118.7/LATER", "1"))
    assert office.ask(Put("88.118.7/LATER", URL)).outcome is Outcome.CREATED


# --- records stay ---------------------------------------------------------------

CHANGES = (
    Put(HELD, URL, overwrite=True), Add(HELD, (HandleValue(9, "X", b""),)), Modify(HELD, URL), Remove(HELD, (1,)),
    Delete(HELD),
)  # fmt: skip


OTHER_PUT = Put(OTHER, URL, overwrite=True)


@pytest.mark.parametrize("target", [HELD, "88.118.7", "P000001", OWN])
@pytest.mark.parametrize("command", CHANGES, ids=lambda command: type(command).__name__)
def test_nobody_changes_a_held_record(office: Office, target: str, command: Put) -> None:
    """Not even the operator; in a group with the order itself as well."""
    values = office.values(HELD)
    assert office.ask(OTHER_PUT).done  # what the group remembers of the prefix must not outlive the order
    placed, changed = office.run(PlaceHold(target, "1", "x"), command)
    assert placed.done
    assert changed.outcome is Outcome.HELD
    assert office.values(HELD) == values
    lifted, changed = office.run(LiftHold(target, "1"), command)
    assert lifted.done
    assert changed.outcome is not Outcome.HELD


def test_a_batch_leaves_the_held_ones_alone(office: Office) -> None:
    """Each item ends on its own, new ones of the quick way too."""
    office.do(PlaceHold(HELD, "1", "x"))
    office.do(PlaceHold("88.118.7/NEW1", "1", "x"))
    items = [
        {"handle": handle, "values": [{"index": 1, "type": "URL", "data": "x"}]}
        for handle in (HELD, OTHER, "88.118.7/NEW1", "88.118.7/NEW2")
    ]
    told = json.loads(office.ask(PutBatch(json.dumps(items).encode(), lines=False)).body)
    assert [item["outcome"] for item in told["results"]] == ["held", "ok", "held", "created"]


@pytest.mark.parametrize("target", ["0.NA/88.118.7", "88.118.7", OWN, "P000001"])
def test_a_prefix_handle_on_hold_is_not_changed(office: Office, target: str) -> None:
    """By any command, nor by new sites. It still proves who its administrators are, or nobody could log in."""
    named, values = "0.NA/88.118.7", office.values("0.NA/88.118.7")
    office.do(PlaceHold(target, "1", "x"))
    for command in (Put(named, URL, overwrite=True), Add(named, URL), Remove(named, (100,)), Delete(named)):
        assert office.ask(command).outcome is Outcome.HELD
    with plain_sites():
        assert office.ask(SitePrefix("88.118.7", SITE)).rule in ("on-hold", "site-hosted")
    assert office.values(named) == values
    assert office.ask(Put(OTHER, URL, overwrite=True)).done is target.startswith("0.NA")
    office.do(LiftHold(target, "1"))
    assert office.ask(Put(named, (*values, HandleValue(7, "URL", b"x")), overwrite=True)).done


@pytest.mark.parametrize("target", ["0.NA/88.118.8", "88.118.8", OWN, "P000001"])
def test_a_delegated_prefix_on_hold_gets_no_other_sites(office: Office, target: str) -> None:
    with plain_sites():
        office.do(ApplyPrefix("88.118.8", "P000001", "delegated", SITE))
        office.do(ReviewPrefix("88.118.8", approve=True), BEN)
        office.do(PlaceHold(target, "1", "x"))
        assert office.ask(SitePrefix("88.118.8", SITE + b" ")).rule == "on-hold"
        office.do(LiftHold(target, "1"))
        office.do(SitePrefix("88.118.8", SITE + b" "))


def test_a_party_on_hold_gets_no_other_prefix(office: Office) -> None:
    office.do(ApplyPrefix("88.118.8", "P000001"))
    office.do(PlaceHold("P000001", "令1", "x"))
    result = office.ask(ReviewPrefix("88.118.8", approve=True), BEN)
    assert (result.rule, "P000001" in result.message) == ("on-hold", True)
    office.do(LiftHold("P000001", "令1"))
    office.do(ReviewPrefix("88.118.8", approve=True), BEN)


def test_a_refused_change_of_what_is_held_is_written_down(office: Office) -> None:
    """Also of one record of a batch; what is suspended alike."""
    office.do(PlaceHold(HELD, "1", "x"))
    entries = len(office.journal())
    office.ask(Delete(HELD))
    office.ask(PutBatch(json.dumps([{"handle": HELD, "values": []}]).encode(), lines=False))
    deleted, batch = office.journal()[entries:]
    assert (deleted.action, deleted.object, deleted.rule, deleted.who.name) == (
        "record.delete",
        HELD,
        "held",
        ANNA.name,
    )
    assert (batch.action, batch.rule) == ("record.putbatch", "held")
    office.do(MovePrefix("88.118.7", "suspend", "x", EVIDENCE))
    office.ask(Put(OTHER, URL, overwrite=True))
    assert office.journal()[-1].rule == "suspended"


WITHIN = (HELD, "88.118.7", "P000001", OWN, "0.NA/88.118.7", "0.NA/88.118.7.1", "88.118.7.1")


@pytest.mark.parametrize("target", WITHIN)
def test_a_held_prefix_does_not_end(office: Office, target: str) -> None:
    """What is on hold stays where it is: also what is answered for it, prefix handles of prefixes below."""
    office.do(ApplyPrefix("88.118.7.1", "P000001"))
    office.do(PlaceHold(target, "令1", "x"))
    delete = MovePrefix("88.118.7", "delete", "because", EVIDENCE)
    result = office.ask(delete)
    assert (result.outcome, result.rule) == (Outcome.CONFLICT, "on-hold")
    assert f"saltern hold lift {target}" in result.message
    office.do(LiftHold(target, "令1"))
    assert office.ask(delete).done


def test_the_operators_own_prefix_is_not_unhomed_while_it_is_held(office: Office) -> None:
    office.do(PlaceHold(f"{OWN}/SKU01", "1", "x"))
    assert office.ask(Unhome(OWN)).rule == "on-hold"
    assert outcome(office, f"{OWN}/SKU01") is Outcome.HELD


def test_a_prefix_below_that_is_homed_by_itself_is_no_matter_of_it(office: Office) -> None:
    office.do(ApplyPrefix("88.118.7.1", "P000001"))
    office.do(ReviewPrefix("88.118.7.1", approve=True), BEN)
    for target in ("88.118.7.1", "0.NA/88.118.7.1", "88.118.7.1/X"):
        office.do(PlaceHold(target, "1", "x"))
    assert office.ask(MovePrefix("88.118.7", "delete", "because", EVIDENCE)).done


def test_no_handle_names_a_prefix_that_cannot_be(office: Office) -> None:
    """One of so many segments that the order on a prefix above it would not be found."""
    deep = "0.NA/88.118.7" + ".1" * 15
    assert office.ask(Put(deep, URL)).outcome is Outcome.NOT_RESPONSIBLE
    assert outcome(office, deep) is Outcome.NOT_RESPONSIBLE
    fits = "0.NA/88.118.7" + ".1" * 13
    assert office.ask(Put(fits, URL)).done
    office.do(PlaceHold(OWN, "1", "x"))
    assert outcome(office, fits) is Outcome.HELD


def test_a_very_long_handle_is_held_listed_and_lifted(office: Office) -> None:
    """By its whole name, though its key in the store is a shortened one."""
    name = "88.118.7/" + "盐" * 200
    office.do(PlaceHold(name, "1", "x"))
    assert office.ask(Put(name, URL)).outcome is Outcome.HELD
    with office.store.snapshot() as snapshot:
        (held,) = list_held(snapshot)
    assert held["target"] == name
    office.do(LiftHold(held["target"], "1"))
    assert office.ask(Put(name, URL)).done


# --- orders ---------------------------------------------------------------------


def test_each_order_holds_by_itself(office: Office) -> None:
    """Lifting one lifts no other; the number of a third does nothing while there are two."""
    for order in ("令1", "令2"):
        office.do(PlaceHold(HELD, order, f"理由{order}"))
    assert office.ask(LiftHold(HELD, "令3")).rule == "hold-order"
    assert [each["order"] for each in office.do(LiftHold(HELD, "令1"))["orders"]] == ["令2"]
    assert outcome(office, HELD) is Outcome.HELD
    assert office.do(LiftHold(HELD, "令9"))["orders"] == []  # the order that lifts has a number of its own
    assert outcome(office, HELD) is Outcome.OK
    assert office.ask(LiftHold(HELD, "令2")).rule == "hold-none"


def test_the_same_order_again_changes_nothing(office: Office) -> None:
    first = office.ask(PlaceHold(HELD, "令 1", "x"))
    rows = office.dump(Table.JOURNAL, Table.META)
    again = office.ask(PlaceHold(HELD.lower(), " 令  1 ", "x"), BEN)
    assert (first.outcome, again.outcome) == (Outcome.CREATED, Outcome.OK)
    assert json.loads(again.body) == json.loads(first.body)
    assert office.dump(Table.JOURNAL, Table.META) == rows
    assert office.ask(PlaceHold(HELD, "令 1", "another")).rule == "hold-known"
    assert office.ask(PlaceHold(HELD, "令 1", "x", public=True)).rule == "hold-known"


def test_orders_and_targets_are_bounded(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(limits.HOLD_ORDERS_MAX):
        office.do(PlaceHold(HELD, str(number), "x"))
    assert office.ask(PlaceHold(HELD, "one more", "x")).rule == "hold-orders"
    monkeypatch.setattr(limits, "HOLDS_MAX", 2)
    office.do(PlaceHold(OTHER, "1", "x"))
    assert office.ask(PlaceHold("88.118.7", "1", "x")).rule == "hold-count"
    office.do(LiftHold(OTHER, "1"))
    office.do(PlaceHold("88.118.7", "1", "x"))


@pytest.mark.parametrize(
    ("target", "rule"),
    [
        ("P000009", "party-not-found"), ("88.119", "hold-foreign"), ("88.118.7.1", "hold-foreign"),
        ("88.119/x", "hold-foreign"), ("0.NA/88.119", "hold-foreign"), ("", "hold-target"), ("P 1", "hold-target"),
        ("企业", "hold-target"), ("88..1", "invalid-handle"), ("/x", "invalid-handle"),
        ("88.118.7/\n", "invalid-handle"),
    ],
)  # fmt: skip
def test_a_wrong_target_is_refused(office: Office, target: str, rule: str) -> None:
    """By name, and nothing is stored."""
    result = office.ask(PlaceHold(target, "1", "x"))
    assert rule in (result.rule, result.outcome.value)
    assert office.rows(Table.HOLDS) == {}


@pytest.mark.parametrize(("order", "reason"), [("", "x"), ("  ", "x"), ("a\x07b", "x"), ("x" * 101, "x"), ("1", " ")])
def test_number_and_reason_are_needed(office: Office, order: str, reason: str) -> None:
    assert office.ask(PlaceHold(HELD, order, reason)).outcome is Outcome.INVALID_VALUE


def test_whoever_places_one_on_nothing_is_told(office: Office) -> None:
    """A slip of the pen must not look as if the order were carried out."""
    assert office.do(PlaceHold(HELD, "1", "x"))["warnings"] == []
    (warning,) = office.do(PlaceHold("88.118.7/SKU0l", "1", "x"))["warnings"]
    assert (warning["path"], warning["rule"]) == ("target", "hold-absent")


def test_each_order_is_a_change_and_an_entry(office: Office) -> None:
    """With its number, reason, and who placed it; what was lifted stands there, too."""
    changes, entries = len(office.feed()), len(office.journal())
    office.do(PlaceHold(HELD, "令1", "抽检不合格"))
    office.do(LiftHold(HELD, "令2"), BEN)
    assert office.feed()[changes:] == [(ChangeKind.HOLD_PLACED, HELD), (ChangeKind.HOLD_LIFTED, HELD)]
    placed, lifted = office.journal()[entries:]
    assert (placed.action, placed.object, placed.reason, placed.who.name) == (
        "hold.place",
        HELD,
        "令1: 抽检不合格",
        ANNA.name,
    )
    assert (lifted.action, lifted.object, lifted.reason, lifted.who.name) == ("hold.lift", HELD, "令2", BEN.name)


def test_reviewers_auditors_and_enterprises_place_none(office: Office) -> None:
    for role in (Role.REVIEWER, Role.AUDITOR):
        assert office.ask(PlaceHold(HELD, "1", "x"), office.bearer(role.value)[0]).rule == "role"
    own = office.bearer("enterprise", party="P000001")[0]
    office.do(PlaceHold(HELD, "1", "x"), office.bearer("operator", "olga")[0])
    assert office.ask(LiftHold(HELD, "1"), own).rule == "role"
    assert outcome(office, HELD) is Outcome.HELD


def test_a_dry_run_holds_nothing(office: Office) -> None:
    (result,) = office.run(PlaceHold(HELD, "1", "x"), dry_run=True)
    assert result.done
    assert outcome(office, HELD) is Outcome.OK
