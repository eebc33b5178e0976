"""What a name may be, and who may have a prefix: lists of names, the node's code, what others hold, the contact."""

from __future__ import annotations

import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import Millis
from core.errors import Outcome
from core.records import HandleValue
from core.store.engine import Table
from registry.commands import AmendParty, ApplyPrefix, ConfirmParty, Put, Result, ReviewPrefix, SitePrefix, VerifyParty
from registry.policy import Policy, pattern_of
from tests.kit.governance import BEN, CARLA, DAY_MS, DORA, EVIDENCE, OWN, ROWS, SITE, Office, plain_sites


def rules(result: Result) -> list[str]:
    assert result.outcome is Outcome.INVALID_VALUE
    return [each["rule"] for each in json.loads(result.body)["faults"]]


def folded(name: str) -> str:
    return re.sub(r"\s", "", unicodedata.normalize("NFKC", name).casefold())


# --- patterns ----------------------------------------------------------------


@given(st.text(max_size=8), st.text(max_size=8))
def test_a_pattern_without_signs_is_the_name(name: str, pattern: str) -> None:
    """Brackets are no signs, nor is anything else but * and ?."""
    plain = pattern.replace("*", "").replace("?", "")
    assert (pattern_of((plain,), name) is not None) == (folded(plain) == folded(name))


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("*盐务局*", "山东省盐务局", True), ("88.118.1?", "88.118.12", True), ("88.118.1?", "88.118.1", False),
        ("SALT*", "saltern", True), ("[ab]", "a", False), ("[ab]", "[AB]", True), ("*", "", True), ("", "", True),
        ("*盐业总公司*", "中国盐业 总公司", True), ("88.118.salt*", "88.118.ＳＡＬＴ", True),
    ],
)  # fmt: skip
def test_patterns(pattern: str, name: str, fits: bool) -> None:
    """``*`` any characters, ``?`` one; letters without regard to case."""
    assert (pattern_of(("nothing", pattern), name) == pattern) is fits


@pytest.mark.parametrize("pattern", ["88.118.66*", f"*{ROWS[0]['name'][:3]}*"])
def test_a_denied_name_is_refused(pattern: str) -> None:
    """That of the prefix or of its party; the pattern is told, and nothing is stored."""
    office = Office(policy=Policy(deny=("other", pattern)))
    result = office.ask(ApplyPrefix("88.118.66", office.party()))
    assert rules(result) == ["name-denied"]
    assert pattern in result.body.decode()
    assert list(office.rows(Table.APPLICATIONS)) == [OWN]


def test_a_persons_name_is_looked_at_though_it_is_sealed() -> None:
    """And told nowhere."""
    name = ROWS[0]["name"]
    office = Office(policy=Policy(deny=(f"*{name[2:5]}*",)))
    party = office.party(kind="person")
    assert "name" not in office.party_row(party).plain
    result = office.ask(ApplyPrefix("88.118.7", party))
    assert rules(result) == ["name-denied"]
    assert name not in result.body.decode()


def test_a_name_that_was_denied_meanwhile_is_not_approved() -> None:
    """The list, or the party's name, has changed since it was filed."""
    office = Office(policy=Policy(deny=("*盐务局*",)))
    party = office.verified()
    office.do(ApplyPrefix("88.118.7", party))
    office.do(AmendParty(party, '{"name": "示例盐务局"}'.encode()))
    for reviewer in (BEN, CARLA):
        office.do(VerifyParty(party, "manual", EVIDENCE), reviewer)
    assert office.ask(ReviewPrefix("88.118.7", approve=True), DORA).rule == "name-denied"
    office.registry.policy = Policy(deny=("88.118.7",))
    assert office.ask(ReviewPrefix("88.118.7", approve=True), DORA).rule == "name-denied"
    office.registry.policy = Policy(hold=("88.118.7",))
    assert office.do(ReviewPrefix("88.118.7", approve=True), DORA)["state"] == "verifying"
    office.registry.policy = Policy()  # once held, it needs both
    assert office.do(ReviewPrefix("88.118.7", approve=True), BEN)["state"] == "homed"


def test_a_name_that_was_held_when_it_was_filed_needs_two() -> None:
    """Whatever the list says by the day of the review."""
    office = Office(policy=Policy(hold=("88.118.7",)))
    office.do(ApplyPrefix("88.118.7", office.verified()))
    office.registry.policy = Policy()
    assert office.do(ReviewPrefix("88.118.7", approve=True), BEN)["state"] == "verifying"
    assert office.do(ReviewPrefix("88.118.7", approve=True), CARLA)["state"] == "homed"


@pytest.mark.parametrize("production", [False, True])
def test_a_held_name_needs_two_reviewers(production: bool) -> None:
    """Two people, neither of whom applied; a correction between them begins anew."""
    office = Office(policy=Policy(production=production, hold=("*.9",)))
    party = office.verified()
    approve = ReviewPrefix("88.118.9", approve=True)
    assert office.do(ApplyPrefix("88.118.9", party))["held"] is True
    assert office.ask(approve).rule == "separation-of-duties"
    assert office.do(approve, BEN)["state"] == "verifying"
    assert office.ask(approve, BEN).rule == "two-reviewers"
    same_user = BEN._replace(name="somebody")
    office.do(ReviewPrefix("88.118.9", correct=(("hosting", "which?"),)), CARLA)
    assert office.ask(approve, CARLA).rule == "transition"
    office.do(ApplyPrefix("88.118.9", party))
    assert office.do(approve, BEN)["state"] == "verifying"
    if production:
        assert office.ask(approve, same_user).rule == "two-reviewers"
    assert office.do(approve, CARLA if production else same_user)["state"] == "homed"
    assert office.do(ApplyPrefix("88.118.10", party))["held"] is False


def test_whoever_filed_a_part_of_it_does_not_review_it() -> None:
    """One filed, another filed again after a correction: both have applied."""
    office = Office()
    party = office.verified()
    office.do(ApplyPrefix("88.118.7", party, draft=True), DORA)
    office.do(ApplyPrefix("88.118.7", party), CARLA)
    office.do(ReviewPrefix("88.118.7", correct=(("hosting", "which?"),)), BEN)
    office.do(ApplyPrefix("88.118.7", party))
    for filer in (DORA, CARLA):
        assert office.ask(ReviewPrefix("88.118.7", approve=True), filer).rule == "separation-of-duties"
    office.do(ReviewPrefix("88.118.7", approve=True), BEN)


# --- the contact ---------------------------------------------------------------


def test_an_overdue_contact_is_confirmed_before_anything_is_applied_for() -> None:
    """To the millisecond; amending is no confirming."""
    office = Office(policy=Policy(confirm_ms=30 * DAY_MS))
    party = office.party()
    filed = office.now
    apply = ApplyPrefix("88.118.7", party, draft=True)
    office.now = Millis(filed + 30 * DAY_MS - 1_000)
    assert office.ask(apply).done
    office.do(AmendParty(party, b'{"profile": "salt"}'))
    assert rules(office.ask(apply)) == ["confirmed"]
    office.do(ConfirmParty(party))
    assert office.ask(apply).done


# --- the prefix ------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["88", "88.118", "88.1180", "88.119.1", "99.118.7", "118.7", "0.NA", "88.11"])
def test_a_prefix_is_below_the_nodes_code(prefix: str) -> None:
    """Which is told, where the prefix itself is not taken."""
    office = Office()
    result = office.ask(ApplyPrefix(prefix, office.party()))
    assert "prefix-below-node" in rules(result)
    assert ": 88.118" in result.body.decode()


def test_the_code_is_that_of_every_prefix_of_the_operators() -> None:
    """Its first two labels; what parties hold adds none."""
    office = Office()
    office.allocated("88.118.7")
    other = Office()
    assert other.ask(ApplyPrefix("88.118.5.6", other.party())).done
    assert rules(office.ask(ApplyPrefix("88.119.7", "P000001"))) == ["prefix-below-node"]


def test_a_prefix_below_that_of_another_is_refused() -> None:
    """At any depth and in any state but the ended ones; below its own a party has what it likes."""
    office = Office()
    first, second = office.party(0), office.party(1)
    office.do(ApplyPrefix("88.118.7", first))
    for prefix in ("88.118.7.1", "88.118.7.1.2", "88.118.7.A"):
        assert rules(office.ask(ApplyPrefix(prefix, second))) == ["prefix-above"]
    assert office.ask(ApplyPrefix("88.118.7.1", first)).done
    assert office.ask(ApplyPrefix("88.118.70", second)).done
    office.do(ReviewPrefix("88.118.7", reject="no"), BEN)
    assert office.ask(ApplyPrefix("88.118.7.2", second)).done
    assert rules(office.ask(ApplyPrefix("88.118.7.1.1", second))) == ["prefix-above"]


def test_what_is_taken_is_refused() -> None:
    """By another party, in the same group too; spelt otherwise; a rejected one is free, and says nothing of it."""
    office = Office()
    first, second = office.party(0), office.party(1)
    results = office.run(ApplyPrefix("88.118.A", first), ApplyPrefix("88.118.a", second))
    assert results[0].done
    assert rules(results[1]) == ["prefix-taken"]
    assert rules(office.ask(ApplyPrefix(OWN, first))) == ["prefix-below-node", "prefix-taken"]
    assert office.ask(ApplyPrefix("88.118.a", first)).rule == "transition"
    office.do(ReviewPrefix("88.118.A", reject="a secret of the first"), BEN)
    office.do(ApplyPrefix("88.118.a", second))
    assert office.application("88.118.A").party == second
    assert [step.event for step in office.application("88.118.A").steps] == ["apply"]


def test_all_faults_are_told_at_once() -> None:
    """As of any form."""
    office = Office(policy=Policy(deny=("*",), confirm_ms=0))
    party = office.party()
    result = office.ask(ApplyPrefix("99.1", party, "elsewhere"))
    assert rules(result) == ["prefix-below-node", "name-denied", "confirmed", "hosting"]
    assert rules(office.ask(ApplyPrefix("99.1", party, "hosted", SITE)))[-1] == "site-hosted"


# --- the prefix handle --------------------------------------------------------------


def test_what_lay_in_a_prefix_handle_before_it_was_allocated_is_gone() -> None:
    """It is of somebody who does not hold the prefix: an administrator of the prefix above it, long ago."""
    office = Office()
    party = office.verified()
    old = (HandleValue(1, "URL", b"https://a.example"), HandleValue(100, "DESC", b"x"))
    office.do(Put("0.NA/88.118.7", old))
    office.do(ApplyPrefix("88.118.7", party))
    office.do(ReviewPrefix("88.118.7", approve=True), BEN)
    values = office.values("0.NA/88.118.7")
    assert [(value.value_index, value.type) for value in values] == [(100, "HS_ADMIN"), (200, "HS_VLIST")]


def test_the_sites_of_a_delegated_prefix_stand_in_its_handle() -> None:
    """From the day it has any; until then it is allocated and nothing is homed."""
    office = Office()
    party = office.verified()
    with plain_sites():
        office.do(ApplyPrefix("88.118.7", party, "delegated"))
        assert office.do(ReviewPrefix("88.118.7", approve=True), BEN)["state"] == "allocated"
        assert office.homed() == {OWN, "88.118.7"}
        assert office.do(SitePrefix("88.118.7", SITE))["state"] == "homed"
        assert [value.type for value in office.values("0.NA/88.118.7")] == ["HS_SITE", "HS_ADMIN", "HS_VLIST"]
        office.do(ApplyPrefix("88.118.8", party))
        office.do(ReviewPrefix("88.118.8", approve=True), BEN)
        assert office.ask(SitePrefix("88.118.8", SITE)).rule == "site-hosted"
