"""The national review: what waits where a top node is connected, what its verdict does, and what it cannot do."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from typing import Any

import pytest

from core import limits
from core.changes import ChangeKind as K
from core.clock import Millis
from core.errors import Outcome
from core.licence import Licence
from core.signature import key_id
from core.store.engine import Table
from core.store.fsck import check_store
from core.streams import Stream
from registry.commands import (
    Actor,
    AmendParty,
    ApplyPrefix,
    Home,
    MovePrefix,
    NationalVerdict,
    PlaceHold,
    Request,
    ReviewPrefix,
    SitePrefix,
    VerifyParty,
)
from registry.opening import WITHOUT_LICENCE
from registry.policy import Policy
from registry.service import Registry
from registry.streams import stream_of
from registry.upstream_commands import ConnectUpstream, DisconnectUpstream
from tests.kit.governance import ANNA, BEN, CARLA, DORA, EVIDENCE, NOW, OWN, RULES, SITE, Office, person, plain_sites
from tests.kit.transfers import export, take_over

PREFIX = "88.118.7"
KEY, OTHER_KEY = bytes(32), b"x" * 32
TOP, OTHER = key_id(KEY), key_id(OTHER_KEY)
BY = person(f"upstream:{TOP}", 2_000)
FIELDS = (("address", "与证照不符"), ("legal_rep", "who?"))


def connected(**options: Any) -> Office:
    """Return a node that a top node is connected to."""
    office = Office(**options)
    office.do(ConnectUpstream("https://top.example.cn", KEY, "top"))
    return office


def waiting(**options: Any) -> Office:
    """Return one where a prefix waits for its verdict."""
    office = connected(**options)
    office.allocated(PREFIX)
    return office


def verdict(
    office: Office, said: str = "approved", reason: str = "", fields: Any = (), top: str = TOP
) -> NationalVerdict:
    """Return a verdict about the prefix as it is filed now."""
    return NationalVerdict(PREFIX, top, said, reason, fields, office.application(PREFIX).filed_ms)


def state(office: Office) -> str:
    return office.application(PREFIX).state


@pytest.fixture(autouse=True)
def sites() -> Iterator[None]:
    """What a site file says is no part of this."""
    with plain_sites():
        yield


# --- what waits ---------------------------------------------------------------


def test_an_approval_waits_where_a_top_node_is_connected() -> None:
    """The prefix is neither allocated nor answered; whom it waits for stands with it."""
    office = waiting()
    assert state(office) == "national-review"
    assert PREFIX not in office.rows(Table.PREFIXES)
    steps = office.application(PREFIX).steps
    assert [step.event for step in steps] == ["apply", "verify", "approve", "refer"]
    assert (steps[-1].reason, steps[-1].who.name) == (f"upstream {TOP}", "ben")
    assert office.feed()[-1] == (K.PREFIX_REFERRED, PREFIX)


def test_nothing_waits_without_one() -> None:
    """As before there was any: it says that no upstream is connected."""
    for office in (Office(), connected()):
        if office.rows(Table.UPSTREAMS):
            office.do(DisconnectUpstream(TOP))
        office.allocated(PREFIX)
        assert state(office) == "homed"
        assert [step.reason for step in office.application(PREFIX).steps if step.event == "refer"] == ["no upstream"]


def test_nothing_else_waits() -> None:
    """Own prefixes, what is imported, a first approval of two, and what was allocated before it was connected."""
    office = connected()
    founding = Registry(office.store, RULES, founding=True)
    assert founding.run([Request(Home("88.119"), ANNA)], NOW)[0].done
    there = Office()
    there.allocated("88.118.5")
    assert take_over(office, export(there, "88.118.5")).done
    assert {"88.119", "88.118.5"} <= office.rows(Table.PREFIXES).keys()
    held = connected(policy=Policy(hold=("*.7",)))
    held.allocated(PREFIX)
    assert state(held) == "verifying"
    held.do(ReviewPrefix(PREFIX, approve=True), CARLA)
    assert state(held) == "national-review"
    before = Office()
    before.allocated(PREFIX)
    before.do(ConnectUpstream("https://top.example.cn", KEY))
    for event in ("suspend", "resume"):
        before.do(MovePrefix(PREFIX, event, "because", EVIDENCE))
    assert state(before) == "homed"


# --- the verdict ---------------------------------------------------------------


def test_approved_allocates_and_homes() -> None:
    """By the upstream, which the steps, the journal and the log of registrations name."""
    office = waiting()
    told = office.do(verdict(office, reason="同意"), BY)
    assert told["state"] == "homed"
    assert PREFIX in office.rows(Table.PREFIXES)
    allocate, home = office.application(PREFIX).steps[-2:]
    assert (allocate.event, home.event) == ("allocate", "home")
    assert allocate.reason == f"upstream {TOP}: 同意"
    assert allocate.who.name == home.who.name == f"upstream:{TOP}"
    entry = office.journal()[-1]
    assert (entry.action, entry.object, entry.reason) == ("prefix.verdict", PREFIX, "approved; 同意")
    assert (entry.who.name, entry.who.uid) == (f"upstream:{TOP}", 2_000)
    assert stream_of(entry.action) is Stream.REGISTRATION
    kinds = [kind for kind, name in office.feed() if name == PREFIX]
    assert kinds[-2:] == [K.PREFIX_ALLOCATED, K.PREFIX_HOMED]


def test_a_delegated_prefix_waits_for_its_site_then() -> None:
    """As it does without a top node; before the verdict none is taken."""
    office = connected()
    office.do(ApplyPrefix(PREFIX, office.verified(), "delegated"))
    office.do(ReviewPrefix(PREFIX, approve=True), BEN)
    assert office.ask(SitePrefix(PREFIX, SITE)).rule == "transition"
    assert office.do(verdict(office), BY)["state"] == "allocated"
    assert office.do(SitePrefix(PREFIX, SITE))["state"] == "homed"


def test_rejected_ends_it() -> None:
    """With the reason of the national node; the party may apply again, and it is another review."""
    office = waiting()
    old = verdict(office, "rejected", "名称不合规")
    told = office.do(old, BY)
    assert (told["state"], told["status"]) == ("rejected", 3)
    step = office.application(PREFIX).steps[-1]
    assert (step.event, step.reason) == ("reject", f"upstream {TOP}: 名称不合规")
    assert office.journal()[-1].reason == "rejected; 名称不合规"
    office.do(ApplyPrefix(PREFIX, "P000001"))
    assert office.ask(old, BY).rule == "verdict-filing"
    office.do(ReviewPrefix(PREFIX, approve=True), CARLA)
    assert office.ask(old, BY).rule == "verdict-filing"
    assert office.do(verdict(office), BY)["state"] == "homed"


def test_asked_is_corrected_filed_and_reviewed_again() -> None:
    """Both reviews: whoever approved has seen other data. The fields are told, also one that only they know."""
    office = waiting()
    old = verdict(office, "asked", "请更正", (*FIELDS, ("顶级节点的字段", "x")))
    told = office.do(old, BY)
    assert told["state"] == "needs-correction"
    assert [(each["path"], each["reason"]) for each in told["corrections"]] == [*FIELDS, ("顶级节点的字段", "x")]
    step = office.application(PREFIX).steps[-1]
    assert step.reason == f"upstream {TOP}: 请更正; address: 与证照不符; legal_rep: who?; 顶级节点的字段: x"
    assert office.application(PREFIX).approvals == ()
    office.do(AmendParty("P000001", b'{"legal_rep": "\xe5\x88\xab\xe4\xba\xba"}'))
    for reviewer in (BEN, CARLA):
        office.do(VerifyParty("P000001", "manual", EVIDENCE), reviewer)
    office.do(ApplyPrefix(PREFIX, "P000001"))
    assert state(office) == "verifying"
    again = old._replace(verdict="approved", fields=())
    for _ in range(2):
        late = office.ask(again, BY)
        assert (late.outcome, late.rule) == (Outcome.CONFLICT, "verdict-filing")
        if state(office) == "verifying":
            office.do(ReviewPrefix(PREFIX, approve=True), BEN)
    assert state(office) == "national-review"
    assert office.do(verdict(office), BY)["state"] == "homed"


@pytest.mark.parametrize("first", ["approved", "rejected", "asked"])
@pytest.mark.parametrize("second", ["approved", "rejected", "asked"])
def test_a_verdict_is_given_once(first: str, second: str) -> None:
    """Whatever comes behind it about this filing, of the same or of another top node, and in one group."""
    office = waiting()
    office.do(ConnectUpstream("https://other.example.cn", OTHER_KEY))
    given = verdict(office, first, "because", FIELDS)
    again = verdict(office, second, "because", FIELDS)
    other = again._replace(upstream=OTHER)
    by = person(f"upstream:{OTHER}")
    group = office.fork().registry.run([Request(given, BY), Request(again, BY), Request(other, by)], office.now)
    office.do(given, BY)
    before = office.dump(Table.JOURNAL, Table.META)
    after = [office.ask(again, BY), office.ask(other, by)]
    for late in (*group[1:], *after):
        assert (late.outcome, late.rule) == (Outcome.CONFLICT, "transition")
    assert office.dump(Table.JOURNAL, Table.META) == before


def test_one_of_several_decides() -> None:
    """Whichever says it first; all of them were named."""
    office = connected()
    office.do(ConnectUpstream("https://other.example.cn", OTHER_KEY))
    office.allocated(PREFIX)
    assert office.application(PREFIX).steps[-1].reason == ", ".join(f"upstream {each}" for each in sorted((TOP, OTHER)))
    assert office.do(verdict(office, top=OTHER), person(f"upstream:{OTHER}"))["state"] == "homed"


# --- what it cannot do -----------------------------------------------------------


@pytest.mark.parametrize(
    "actor", [ANNA, BEN, Actor(local=True), person(f"upstream:{OTHER}"), person("upstream:"), person(TOP)], ids=str
)
def test_a_person_gives_no_verdict(actor: Actor) -> None:
    """Nor one top node that of another: an entry never names who did not say it."""
    office = waiting()
    result = office.ask(verdict(office), actor)
    assert (result.outcome, result.rule) == (Outcome.FORBIDDEN, "verdict-actor")
    assert state(office) == "national-review"


def test_an_upstream_that_is_not_connected_decides_nothing() -> None:
    """Be it that it was."""
    office = waiting()
    result = office.ask(verdict(office, top=OTHER), person(f"upstream:{OTHER}"))
    assert (result.outcome, result.rule) == (Outcome.NOT_FOUND, "upstream-not-found")
    office.do(ConnectUpstream("https://other.example.cn", OTHER_KEY))
    office.do(DisconnectUpstream(TOP))
    assert office.ask(verdict(office), BY).rule == "upstream-not-found"
    assert state(office) == "national-review"


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"verdict": "waiting"}, "verdict"),
        ({"verdict": ""}, "verdict"),
        ({"verdict": "rejected"}, "reason"),
        ({"verdict": "rejected", "reason": "x" * (limits.REASON_CHARS_MAX + 1)}, "reason"),
        ({"reason": "a\x07"}, "reason"),
        ({"verdict": "asked"}, "verdict-field"),
        ({"verdict": "asked", "fields": (("", "x"),)}, "verdict-field"),
        ({"verdict": "asked", "fields": (("x" * 65, "x"),)}, "verdict-field"),
        ({"verdict": "asked", "fields": (("a\n", "x"),)}, "verdict-field"),
        ({"verdict": "asked", "fields": (("x", "x"),) * (limits.CORRECTIONS_MAX + 1)}, "verdict-field"),
        ({"verdict": "asked", "fields": (("x", " "),)}, "reason"),
    ],
    ids=str,
)
def test_what_is_no_verdict_is_a_wrong_value(changes: dict[str, Any], rule: str) -> None:
    office = waiting()
    result = office.ask(verdict(office)._replace(**changes), BY)
    assert (result.outcome, result.rule) == (Outcome.INVALID_VALUE, rule)
    assert state(office) == "national-review"


def test_a_prefix_that_nobody_applied_for_or_that_is_our_own() -> None:
    office = waiting()
    result = office.ask(verdict(office)._replace(prefix="88.118.9"), BY)
    assert (result.outcome, result.rule) == (Outcome.NOT_FOUND, "prefix-not-found")
    for filed_ms in (office.application(OWN).filed_ms, 0):
        own = office.ask(verdict(office)._replace(prefix=OWN, filed_ms=filed_ms), BY)
        assert own.outcome is Outcome.CONFLICT


@pytest.mark.parametrize("why", ["failed", "amended", "on hold"])
def test_a_party_that_failed_meanwhile_gets_nothing(why: str) -> None:
    """It is said why, and the prefix waits on; once the party is right again the same verdict allocates."""
    office = waiting()
    if why == "failed":
        office.do(VerifyParty("P000001", "manual", failed="not the company on the paper"), DORA)
    elif why == "amended":
        office.do(AmendParty("P000001", b'{"legal_rep": "\xe5\x88\xab\xe4\xba\xba"}'))
    else:
        office.do(PlaceHold("P000001", "1", "because"))
    before = office.dump(Table.JOURNAL, Table.META)
    result = office.ask(verdict(office), BY)
    assert (result.outcome, result.rule) == (
        (Outcome.CONFLICT, "on-hold") if why == "on hold" else (Outcome.FORBIDDEN, "verified")
    )
    assert office.dump(Table.JOURNAL, Table.META) == before
    assert state(office) == "national-review"
    if why == "on hold":
        return
    for reviewer in (BEN, CARLA):
        office.do(VerifyParty("P000001", "manual", EVIDENCE), reviewer)
    assert office.do(verdict(office), BY)["state"] == "homed"


def test_what_the_lists_deny_by_now_is_not_allocated() -> None:
    """The list of names is that of today."""
    office = waiting()
    denying = Office(policy=Policy(deny=("*.7",)))
    denying.store._state, denying.now = office.store._state, office.now  # type: ignore[attr-defined] # engines in memory
    assert denying.ask(verdict(denying), BY).rule == "name-denied"
    assert denying.do(verdict(denying, "rejected", "no"), BY)["state"] == "rejected"


def test_after_the_licence_has_ended_it_waits_on() -> None:
    """A verdict ends in a registration; in production alone, as everything of the licence."""
    licence = Licence(datetime.date(2023, 11, 1), datetime.date(2023, 11, 30))
    office = waiting(policy=Policy(production=True, registration=licence.window))
    assert WITHOUT_LICENCE[NationalVerdict][0] is False
    (late,) = office.registry.run([Request(verdict(office), BY)], Millis(licence.window.ends_ms))
    assert late.outcome is Outcome.REGISTRATION_CLOSED
    assert state(office) == "national-review"


# --- people here -----------------------------------------------------------------


def test_a_reviewer_rejects_or_asks_while_it_waits() -> None:
    """Whoever filed it does not; the verdict then comes too late."""
    for command, ended in ((ReviewPrefix(PREFIX, reject="withdrawn"), "rejected"),
                           (ReviewPrefix(PREFIX, correct=(("name", "x"),)), "needs-correction")):  # fmt: skip
        office = waiting()
        assert office.ask(command, ANNA).rule == "separation-of-duties"
        late = verdict(office)
        assert office.do(command, BEN)["state"] == ended
        assert office.ask(late, BY).rule == "transition"
        assert office.homed() == {OWN}


def test_no_approval_here_takes_the_place_of_the_verdict() -> None:
    """While one is connected nobody passes it on; with none, a reviewer does, and says so."""
    office = waiting()
    for reviewer in (BEN, CARLA):
        result = office.ask(ReviewPrefix(PREFIX, approve=True), reviewer)
        assert (result.outcome, result.rule) == (Outcome.CONFLICT, "national-review")
    office.do(DisconnectUpstream(TOP))
    assert state(office) == "national-review"
    assert office.ask(ReviewPrefix(PREFIX, approve=True), ANNA).rule == "separation-of-duties"
    dry = office.run(ReviewPrefix(PREFIX, approve=True), actor=BEN, dry_run=True)[0]
    assert json.loads(dry.body)["state"] == "homed"
    assert state(office) == "national-review"
    office.do(ReviewPrefix(PREFIX, approve=True), BEN)
    assert state(office) == "homed"
    step = office.application(PREFIX).steps[-2]
    assert (step.event, step.reason, step.who.name) == ("allocate", "no upstream", "ben")


def test_what_waits_is_nobodys_else() -> None:
    """It is reserved for who applied, answered for nobody, and its party applies for it only once it has ended."""
    office = waiting()
    other = office.verified(1)
    refused = office.ask(ApplyPrefix(PREFIX, other))
    assert [each["rule"] for each in json.loads(refused.body)["faults"]] == ["prefix-taken"]
    assert office.ask(ApplyPrefix(PREFIX, "P000001")).rule == "transition"
    for event in ("suspend", "resume", "delete"):
        assert office.ask(MovePrefix(PREFIX, event, "because", EVIDENCE)).rule == "transition"
    with office.store.snapshot() as snapshot:
        assert list(check_store(snapshot)) == []
