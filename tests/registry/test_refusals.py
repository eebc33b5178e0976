"""Refusals: each is written down with who, action, object and rule, is told in two languages, and tells no identity."""

from __future__ import annotations

import ast
import json
import logging
import re
import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import limits
from core.clock import Millis, format_instant
from core.downtime import PLAN_ACT
from core.errors import AdmissionError, NodeError, Outcome, RecordError
from core.ident.unitcode import SERIAL_CHARS, UnitCodes, derive_lot_key
from core.party.fields import BY_NAME, identity_names
from core.records import HandleValue
from core.store.engine import Table
from registry.alias_commands import AddAlias, RemoveAlias
from registry.commands import (
    ANONYMOUS,
    LOG_IN,
    AbandonImport,
    Actor,
    AddParty,
    AddTemplate,
    AmendParty,
    ApplyPrefix,
    CloseIncident,
    Command,
    ConfirmParty,
    CreateLot,
    ExportPrefix,
    FileComplaint,
    HoldLog,
    Home,
    ImportLines,
    IssueBearer,
    LiftHold,
    MoveComplaint,
    MovePrefix,
    NationalVerdict,
    NoteAct,
    NoteRefusal,
    OpenIncident,
    PlaceHold,
    PublishTemplate,
    Put,
    PutBatch,
    RecordEvents,
    RekeyParties,
    ReleaseLog,
    Request,
    ReviewPrefix,
    RevokeBearer,
    SitePrefix,
    TakeBlock,
    Unhome,
    UpdateIncident,
    VerifyParty,
    WithdrawTemplate,
)
from registry.refusals import RULES, fault, refusal
from registry.roles import CALL_NAMED
from registry.upstream_commands import ConnectUpstream, DisconnectUpstream, TakeChange
from tests.kit.governance import ANNA, BEN, EVIDENCE, INCIDENT, LOT_RING, OWN, ROWS, SITE, Office, form, person
from tests.kit.templates import CODE, template_form
from tests.kit.transfers import altered, begin, export, signed

REGISTRY = Path(__file__).parent.parent.parent / "registry"
HOMING = REGISTRY.parent / "core" / "store" / "homing.py"
TREES = [ast.parse(path.read_text("utf-8")) for path in (*sorted(REGISTRY.glob("*.py")), HOMING)]
CJK = re.compile("[\u4e00-\u9fff]")
LATIN = re.compile("[A-Za-z]")
IDENTITY = sorted(identity_names(person=True) & set(ROWS[0]))
BACKWARDS = "2023-11-15T02:00:00Z/2023-11-15T01:00:00Z"
URL = (HandleValue(1, "URL", b"https://a.example"),)


# --- the table of rules -------------------------------------------------------


def uses() -> list[tuple[str, frozenset[str] | None]]:
    """Return each use of a rule in the code, with the names of its words; None where it is only named."""
    found: list[tuple[str, frozenset[str] | None]] = []
    for tree in TREES:
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", "")
            place = {"refusal": 0, "fault": 1, "_MemberError": 0}.get(name)
            if place is not None and len(node.args) > place and isinstance(node.args[place], ast.Constant):
                words = frozenset(keyword.arg or "" for keyword in node.keywords)
                found.append((str(node.args[place].value), words))
            found += [
                (str(keyword.value.value), None)
                for keyword in node.keywords
                if keyword.arg == "rule" and isinstance(keyword.value, ast.Constant)
            ]
    return found


def test_every_rule_is_used_with_its_words() -> None:
    """None stands in the table for nothing, and each use fills in exactly what the words ask for."""
    used = uses()
    assert {rule for rule, _ in used} == set(RULES)
    for rule, words in used:
        if words is not None:
            asked = {name for text in RULES[rule] for _, name, _, _ in string.Formatter().parse(text) if name}
            assert asked == words, rule


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_rule_is_said_in_two_languages(rule: str) -> None:
    """Chinese first, then English; short enough to be read."""
    zh, en = RULES[rule]
    assert CJK.search(zh)
    assert LATIN.search(en)
    assert not CJK.search(en)
    names = {name for text in (zh, en) for _, name, _, _ in string.Formatter().parse(text) if name}
    words = dict.fromkeys(names, "x")
    error = refusal(rule, **words)
    assert (type(error), error.fields["rule"]) == (AdmissionError, rule)
    assert type(refusal(rule, Outcome.CONFLICT, **words)) is RecordError
    told = fault("name", rule, **words)
    assert error.message == f"{told.zh}。{told.en}"
    assert "{" not in error.message
    assert len(error.message) < limits.REASON_CHARS_MAX


def test_a_count_is_told_in_words_that_fit_any_number() -> None:
    for rule, rest in (("form", "1; nothing was stored"), ("members", "1")):
        assert refusal(rule, count=1).message.endswith(f": {rest}")


# --- every refusal is written down ---------------------------------------------


def refused(office: Office) -> dict[str, tuple[Command, Actor, str]]:
    """Return one act for each rule that refuses acts, who tries it, and what it is about."""
    first = office.allocated("88.118.7", 0)
    second = office.party(1)
    office.do(ApplyPrefix("88.118.8", second))
    for order in ("1", "2"):
        office.do(PlaceHold("88.118.7/HELD", order, "because"))
    auditor = office.bearer("auditor")[0]
    enterprise = office.bearer("enterprise", party=second)[0]
    closed = office.do(OpenIncident(INCIDENT.replace(b"major", b"ordinary")))["incident"]
    office.do(UpdateIncident(closed, b'{"cause": "x", "measures": ["y"]}'))
    office.do(CloseIncident(closed))
    approve = ReviewPrefix("88.118.8", approve=True)
    office.do(AddTemplate(template_form()))
    office.do(PublishTemplate(CODE))
    ticket = str(office.do(FileComplaint("other", "x"))["ticket"])
    return {
        "role": (ConfirmParty(first), auditor, first),
        "own-party": (ConfirmParty(first), enterprise, first),
        "separation-of-duties": (approve, ANNA, "88.118.8"),
        "actor": (ConfirmParty(first), person("x" * 101), first),
        "downtime": (NoteAct(PLAN_ACT, BACKWARDS, "x"), ANNA, BACKWARDS),
        "token-not-known": (ConfirmParty(first), Actor(bearer="f" * 12), first),
        "authentication-needed": (ConfirmParty(first), ANONYMOUS, first),
        "party-not-found": (ConfirmParty("P999999"), ANNA, "P999999"),
        "certificate-known": (AddParty(form(0)), ANNA, ""),
        "form": (AddParty(form(0, region="x")), ANNA, ""),
        "json": (AmendParty(first, b"{"), ANNA, first),
        "method": (VerifyParty(first, "x"), BEN, first),
        "evidence": (MovePrefix("88.118.7", "delete", "because"), ANNA, "88.118.7"),
        "evidence-digest": (MovePrefix("88.118.7", "delete", "because", b"x"), ANNA, "88.118.7"),
        "reason": (MovePrefix("88.118.7", "suspend", " ", EVIDENCE), ANNA, "88.118.7"),
        "failed-by-hand": (VerifyParty(first, "offline", failed="x"), BEN, first),
        "verified": (approve, BEN, "88.118.8"),
        "prefix-not-found": (SitePrefix("88.118.99", SITE), ANNA, "88.118.99"),
        "transition": (MovePrefix("88.118.7", "resume", "because"), ANNA, "88.118.7"),
        "event": (MovePrefix("88.118.7", "show", "because"), ANNA, "88.118.7"),
        "review": (ReviewPrefix("88.118.8"), BEN, "88.118.8"),
        "correction-field": (ReviewPrefix("88.118.8", correct=(("nam", "x"),)), BEN, "88.118.8"),
        "site-hosted": (SitePrefix("88.118.7", SITE), ANNA, "88.118.7"),
        "own-prefix": (MovePrefix(OWN, "delete", "because", EVIDENCE), ANNA, OWN),
        "application-needed": (Home("88.118.8"), ANNA, "88.118.8"),
        "allocated": (Unhome("88.118.7"), ANNA, "88.118.7"),
        "order": (PlaceHold(first, " ", "because"), ANNA, first),
        "log-name": (HoldLog("change/2026-13", "1", "because"), ANNA, "change/2026-13"),
        "log-free": (ReleaseLog("change/2026-03", "1"), ANNA, "change/2026-03"),
        "hold-target": (PlaceHold("P 1", "1", "because"), ANNA, "P 1"),
        "hold-foreign": (PlaceHold("10.1/x", "1", "because"), ANNA, "10.1/x"),
        "hold-known": (PlaceHold("88.118.7/HELD", "1", "another"), ANNA, "88.118.7/HELD"),
        "hold-none": (LiftHold("88.118.7/x", "1"), ANNA, "88.118.7/x"),
        "hold-order": (LiftHold("88.118.7/HELD", "3"), ANNA, "88.118.7/HELD"),
        "on-hold": (MovePrefix("88.118.7", "delete", "because", EVIDENCE), ANNA, "88.118.7"),
        "token-role": (IssueBearer("x", "x"), ANNA, ""),
        "token-party": (IssueBearer("auditor", "x", first), ANNA, ""),
        "token-above": (IssueBearer("reviewer", "x"), office.bearer("operator", "Olga")[0], ""),
        "token-days": (IssueBearer("auditor", "x", days=0), ANNA, ""),
        "token-not-found": (RevokeBearer("0" * 12), ANNA, "0" * 12),
        "template-not-found": (WithdrawTemplate("SALT"), ANNA, "SALT"),
        "template-owner": (AddTemplate(template_form(version="2.0", party=first)), ANNA, ""),
        "template-fixed": (AddTemplate(template_form()), ANNA, ""),
        "template-state": (PublishTemplate(CODE), ANNA, CODE),
        "incident-not-found": (CloseIncident("I000009"), ANNA, "I000009"),
        "incident-closed": (CloseIncident(closed), ANNA, closed),
        "members": (FileComplaint("other", " "), ANNA, ""),
        "complaint-not-found": (MoveComplaint("C1", "accept"), ANNA, "C1"),
        "complaint-state": (MoveComplaint(ticket, "close"), ANNA, ticket),
        "complaint-text": (MoveComplaint(ticket, "reject", " "), ANNA, ticket),
        "invalid-handle": (ApplyPrefix("a..b", first), ANNA, "a..b"),
        "not-homed": (ExportPrefix("88.118.8"), ANNA, "88.118.8"),
        **refused_imports(office),
        **refused_lots(office, first),
        **refused_reviews(office, first),
        **refused_aliases(office, first),
    }


def refused_aliases(office: Office, party: str) -> dict[str, tuple[Command, Actor, str]]:
    """Return the same of aliases; the lot of the party has one, a record of the operator's all that it may."""
    unit = f"88.118.7/L1{'2' * SERIAL_CHARS}"
    mine, others, nobodys = "oid:1.2.156.1", "oid:1.2.156.2", "oid:1.2.156.3"
    office.do(Put(f"{OWN}/SKU", URL))
    office.do(AddAlias("88.118.7/L1", mine))
    for number in range(limits.ALIASES_PER_HANDLE_MAX):
        office.do(AddAlias(f"{OWN}/SKU", f"{others}.{number}"))
    enterprise = office.bearer("enterprise", party=party)[0]
    return {
        "alias-prefix-handle": (AddAlias("0.NA/88.118.7", nobodys), ANNA, nobodys),
        "alias-own-prefix": (AddAlias(f"{OWN}/SKU", nobodys), enterprise, nobodys),
        "alias-foreign": (AddAlias("99.1/x", nobodys), ANNA, nobodys),
        "alias-unregistered": (AddAlias("88.118.7/none", nobodys), ANNA, nobodys),
        "alias-gone": (AddAlias(_gone(office), nobodys), ANNA, nobodys),
        "alias-taken": (AddAlias(f"{OWN}/SKU", mine), ANNA, mine),
        "alias-taken-elsewhere": (AddAlias("88.118.7/L1", f"{others}.1"), enterprise, f"{others}.1"),
        "alias-count": (AddAlias(f"{OWN}/SKU", nobodys), ANNA, nobodys),
        "alias-none": (RemoveAlias(nobodys), ANNA, nobodys),
        "unit-unknown": (AddAlias(unit, nobodys), ANNA, nobodys),
    }


def _gone(office: Office) -> str:
    """Return a unit of the lot that is scrapped."""
    event = {"event": "scrapped", "from": 3, "count": 1, "time": format_instant(office.now)}
    office.do(RecordEvents("88.118.7/L1", json.dumps([event]).encode(), lines=False))
    serial = UnitCodes(derive_lot_key(LOT_RING.keys[1], b"88.118.7", b"L1", 1)).serial(3)
    return "88.118.7/L1" + serial.decode()


def refused_reviews(office: Office, party: str) -> dict[str, tuple[Command, Actor, str]]:
    """Return the same of upstreams and the national review; a prefix of the party waits for it."""
    ids = [office.do(ConnectUpstream("https://top.example.cn", bytes([number] * 32)))["id"] for number in range(8)]
    office.do(ApplyPrefix("88.118.71", party))
    office.do(ReviewPrefix("88.118.71", approve=True), BEN)
    by = person(f"upstream:{ids[0]}")
    verdict = NationalVerdict("88.118.71", ids[0], "approved", "", (), office.application("88.118.71").filed_ms)
    change = TakeChange(ids[0], "T1", 1, "88.118/X", True, b"", b"", office.now, "eve")
    return {
        "national-review": (ReviewPrefix("88.118.71", approve=True), BEN, "88.118.71"),
        "verdict": (verdict._replace(verdict="waiting"), by, "88.118.71"),
        "verdict-actor": (verdict, BEN, "88.118.71"),
        "verdict-filing": (verdict._replace(filed_ms=1), by, "88.118.71"),
        "verdict-field": (verdict._replace(verdict="asked"), by, "88.118.71"),
        "upstream-actor": (change, BEN, change.handle),
        "handed-number": (change._replace(number=2), by, change.handle),
        "handed-change": (change._replace(at_ms=2**62), by, change.handle),
        "upstream-url": (ConnectUpstream("http://top.example.cn", bytes(32)), ANNA, ""),
        "upstream-key": (ConnectUpstream("https://top.example.cn", b"x"), ANNA, ""),
        "upstream-name": (ConnectUpstream("https://top.example.cn", bytes(32), "x" * 101), ANNA, ""),
        "upstream-count": (ConnectUpstream("https://top.example.cn", b"x" * 32), ANNA, ""),
        "upstream-not-found": (DisconnectUpstream("0" * 32), ANNA, "0" * 32),
    }


def refused_lots(office: Office, party: str) -> dict[str, tuple[Command, Actor, str]]:
    """Return the same of lots; one of the party has 10 units, all of them given to a line."""

    def made(lot: str = "L1", product: str = "88.118.7/SKU") -> CreateLot:
        return CreateLot(json.dumps({"lot": f"88.118.7/{lot}", "product": product, "count": 10}).encode())

    name = "88.118.7/L1"
    office.do(made())
    office.do(TakeBlock(name, "L4", 10, token="one"))
    office.do(Put("88.118.7/L2", URL))
    enterprise = office.bearer("enterprise", party=party)[0]
    other = office.bearer("enterprise", party="P000002")[0]
    return {
        "lot-form": (TakeBlock("88.118.7/l 1", "L4", 1), ANNA, "88.118.7/l 1"),
        "lot-known": (made(), ANNA, ""),
        "lot-record": (made("L2"), ANNA, ""),
        "lot-not-found": (TakeBlock("88.118.7/L9", "L4", 1), ANNA, "88.118.7/L9"),
        "lot-own-prefix": (made("L3"), other, ""),
        "lot-own-product": (made("L3", f"{OWN}/SKU"), enterprise, ""),
        "block-line": (TakeBlock(name, " ", 1), ANNA, name),
        "block-size": (TakeBlock(name, "L4", 11), ANNA, name),
        "block-range": (TakeBlock(name, "L4", 5, 6), ANNA, name),
        "block-none": (TakeBlock(name, "L4", 1), ANNA, name),
        "block-taken": (TakeBlock(name, "L5", 1, 3), ANNA, name),
        "block-token": (TakeBlock(name, "L5", 10, token="one"), ANNA, name),
        "event-digest": (RecordEvents(name, b"[]", lines=False, digest=bytes(32)), ANNA, name),
    }


def refused_imports(office: Office) -> dict[str, tuple[Command, Actor, str]]:
    """Return the same of imports; one of 88.118.5 is under way."""
    other = Office()
    other.allocated("88.118.5", 2)
    lines = export(other, "88.118.5")
    office.do(begin(lines))
    whole = begin(lines)
    unverified = signed(altered(lines, "party", lambda party: party.update(state="failed")))
    return {
        "transfer-file": (whole._replace(evidence=EVIDENCE), ANNA, "88.118.5"),
        "transfer-prefix": (whole._replace(prefix="88.118.6"), ANNA, "88.118.6"),
        "transfer-unverified": (begin(unverified), ANNA, "88.118.5"),
        "import-other": (begin(signed(altered(lines, "header", lambda h: h.update(node="x")))), ANNA, "88.118.5"),
        "import-order": (ImportLines("88.118.5", 1, b"{}"), ANNA, "88.118.5"),
        "import-none": (AbandonImport("88.118.7"), ANNA, "88.118.7"),
        "malformed": (whole._replace(trailer=b"{}"), ANNA, "88.118.5"),
    }


def test_every_refusal_is_an_entry_and_nothing_else() -> None:
    """With who, what, what about, which rule, and what he was told; no other row of any table changes."""
    office = Office()
    cases = refused(office)
    elsewhere = {
        "two-reviewers", "confirmed", "prefix-below-node", "prefix-above", "prefix-taken", "name-denied", "hosting",
        "site-file", "record-right", "locked-out", "prefix-characters", "prefix-count", "filers", "method-failed",
        "held", "suspended", "hold-absent", "hold-orders", "hold-count", "page",
        *(rule for rule in RULES if rule.startswith(("member-", "industry-", "binding-", "item-"))),
        "template-code", "template-version", "template-industry", "template-items", "template-item-name",
        "template-item-twice", "template-length", "template-more", "template-other", "template-count",
        "licence", "disk", "complaints-full", "incidents-open",
        "incident-reports", "incident-time", "incident-future", "incident-order", "incident-text", "closing-cause",
        "closing-measures", "closing-report", "report-not-found", "signing-key",
        "import-altered", "import-exists", "transfer-identity", "transfer-case", "transfer-key", "identity-awaited",
        "import-foreign", "import-binding", "transfer-normal", "prefix-reserved", "prefix-below",
        "lot-product", "lot-product-absent", "lot-space", "lot-packaging", "lot-date", "lot-dates", "lot-values",
        "lot-value-type", "lot-value-index", "lot-value-size", "lot-key", "lot-product-kind",
        "block-count", "unit-held", "batch-work", "alias-gtin-other", "alias-gtin-lot", "import-alias",
        *(rule for rule in RULES if rule.startswith("event-") and rule != "event-digest"),
    }  # fmt: skip
    assert cases.keys() - {"authentication-needed", "invalid-handle", "malformed"} == RULES.keys() - elsewhere
    for rule, (command, actor, about) in cases.items():
        before, entries = office.dump(Table.JOURNAL, Table.META), len(office.journal())
        result = office.ask(command, actor)
        assert result.outcome not in (Outcome.OK, Outcome.CREATED, Outcome.INTERNAL), rule
        assert rule in (result.rule, result.outcome.value)
        assert office.dump(Table.JOURNAL, Table.META) == before
        journal = office.journal()
        assert len(journal) == entries + 1, rule
        entry = journal[-1]
        assert (entry.rule, entry.object, entry.outcome) == (rule, about, result.outcome.value)
        assert (entry.at_ms, entry.evidence) == (office.now, getattr(command, "evidence", b""))
        assert entry.reason == result.message
        if actor.local:
            assert (entry.who.name, entry.who.uid) == (actor.name, actor.uid)
        assert entry.who.token == actor.bearer
        named = entry.action in CALL_NAMED or entry.action in ("prefix.home", "prefix.unhome", "prefix.show")
        assert named, entry.action
        if result.rule:
            assert CJK.search(result.message)
            assert LATIN.search(result.message)


def test_a_refused_record_is_written_down_with_a_rule() -> None:
    """The reference server says no more than that it is refused; the journal does. A batch is one entry."""
    office = Office()
    office.allocated("88.118.7")
    enterprise = office.bearer("enterprise", party="P000001")[0]
    result = office.ask(Put(f"{OWN}/x", URL), enterprise)
    assert (result.outcome, result.message, result.rule) == (Outcome.FORBIDDEN, "", "record-right")
    entry = office.journal()[-1]
    assert (entry.action, entry.object, entry.rule) == ("record.put", f"{OWN}/x", "record-right")
    assert CJK.search(entry.reason)
    items = [{"handle": f"{prefix}/y", "values": []} for prefix in (OWN, "88.118.7", OWN)]
    office.ask(PutBatch(json.dumps(items).encode(), lines=False), enterprise)
    entry = office.journal()[-1]
    assert (entry.action, entry.outcome, entry.rule) == ("record.putbatch", "forbidden", "record-right")
    entries = len(office.journal())
    assert office.ask(Put("88.118.7/y", URL, overwrite=True), enterprise).done
    assert not office.ask(Put("88.118.7/y", URL), enterprise).done
    assert len(office.journal()) == entries


def test_what_a_worker_refused_is_written_down_as_it_says() -> None:
    """Whoever it was, and be it one whose token has ended; what it sends is cut to what a row may hold."""
    office = Office()
    note = NoteRefusal("prefix.apply", "88.118.7", "forbidden", "role", "no")
    for actor in (ANONYMOUS, Actor(bearer="f" * 12), ANNA):
        office.ask(note, actor)
        entry = office.journal()[-1]
        assert (entry.action, entry.object, entry.outcome, entry.rule, entry.reason) == tuple(note)
        assert (entry.who.token, entry.who.uid) == (actor.bearer, actor.uid)
    office.ask(NoteRefusal(*("x" * 100_000 for _ in note)), ANNA)
    office.ask(ConfirmParty("x" * 100_000))
    office.ask(MovePrefix("x" * 100_000, "y" * 100_000))
    with office.store.snapshot() as snapshot:
        assert max(len(row) for _, row in snapshot.scan(Table.JOURNAL, b"")) < 10_000


def test_a_flood_of_refusals_is_bounded_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """So many a second, over any number of groups; acts are always written down; the log tells what is missing."""
    caplog.set_level(logging.INFO, "saltern.refusals")
    office = Office()
    party = office.party()
    entries = len(office.journal())
    requests = [Request(ConfirmParty("P999999"), ANNA)] * 70
    for _ in range(3):
        office.registry.run(requests, office.now)
    office.registry.run([Request(ConfirmParty(party), ANNA)] * 3, office.now)
    assert len(office.journal()) == entries + limits.REFUSALS_KEPT_PER_S + 3
    assert len(caplog.records) == limits.REFUSALS_KEPT_PER_S
    office.registry.run(requests[:2], Millis(office.now + 1_000))
    assert len(office.journal()) == entries + limits.REFUSALS_KEPT_PER_S + 5
    assert "160 more refusals" in caplog.text


def test_a_flood_of_failed_log_ins_hides_no_other_refusal(caplog: pytest.LogCaptureFixture) -> None:
    """Any stranger can cause them: they have a small number a second of their own, and the log tells how many more."""
    office = Office()
    failed = Request(NoteRefusal(LOG_IN, "300:0.NA/88.118", "authentication-failed", "", "no"), ANONYMOUS)
    other = Request(ConfirmParty("P999999"), ANNA)
    for _ in range(3):
        office.registry.run([failed] * 100, office.now)
    office.registry.run([other] * limits.REFUSALS_KEPT_PER_S, office.now)
    office.registry.run([failed], Millis(office.now + 1_000))
    actions = [entry.action for entry in office.journal()]
    assert actions.count(LOG_IN) == limits.LOGIN_REFUSALS_KEPT_PER_S + 1
    assert actions.count("party.confirm") == limits.REFUSALS_KEPT_PER_S
    assert "295 more refusals of strangers" in caplog.text


def test_a_dry_run_of_what_is_refused_is_no_try() -> None:
    """It writes nothing at all."""
    office = Office()
    before = office.dump()
    assert office.run(Home("88.118.8"), dry_run=True)[0].rule == "application-needed"
    assert office.dump() == before


# --- nothing of an identity is told ------------------------------------------------


def secrets_of(row: dict[str, object]) -> list[str]:
    """Return what of a form is personal, long enough not to stand anywhere by chance."""
    texts = [str(row.get(name, "")) for name in IDENTITY]
    return [text for text in texts if len(text) > 3 and text != "hosted"]


WRONG = st.fixed_dictionaries(
    {},
    optional={
        name: st.one_of(
            st.just("13800138000x"), st.just("370102199001011230"), st.just("wrong@@example"), st.none(), st.just(7),
            st.just(["张三丰丰", "李四四四"]), st.just("\x07张三丰丰"), st.sampled_from([row[name] for row in ROWS]),
        )
        for name in ROWS[0]
        if name in BY_NAME
    },
)  # fmt: skip
EXTRA = st.dictionaries(st.sampled_from(["phon", "370102199001011230", "张三丰丰", "mobile"]), st.just("x"), max_size=2)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=120)
@given(
    number=st.integers(0, len(ROWS) - 1), changes=WRONG, extra=EXTRA, kind=st.sampled_from(["person", "producer"]),
    torn=st.booleans(), seed=st.integers(0, 3),
)  # fmt: skip
def test_no_identity_value_is_told(
    caplog: pytest.LogCaptureFixture, number: int, changes: dict[str, object], extra: dict[str, object],
    kind: str, torn: bool, seed: int,
) -> None:  # fmt: skip
    """Of a right form, a wrong one or half of one: not in a journal row, a change, a message, a body or the log."""
    caplog.clear()
    caplog.set_level(logging.DEBUG)
    office = Office()
    known = office.party(seed, kind="person")
    octets = form(number, **changes, **extra, kind=kind)
    given_forms = {**ROWS[number], **changes}
    if torn:
        octets = octets[:-7]
    results = [office.ask(AddParty(octets)), office.ask(AmendParty(known, octets))]
    results.append(office.ask(VerifyParty(known, "offline", document=octets), BEN))
    results.append(office.ask(ApplyPrefix("88.118.7", known)))
    results.append(office.ask(RekeyParties()))
    rows = office.dump()
    told = "".join(result.message + result.body.decode() + result.handle for result in results) + caplog.text
    people = [text for row in (given_forms, ROWS[seed]) for text in secrets_of(row)]
    shown = [name for name in given_forms if name not in IDENTITY]  # a random text may stand there, too
    shown += [] if kind == "person" else ["name", "address", "uscc"]
    public = " ".join(str(given_forms.get(name)) for name in shown)
    for text in [*people, *(name for name in extra if name not in ("phon", "mobile"))]:
        if text in public:
            continue
        assert text not in told
        for table in ("journal", "changes", "parties", "applications", "meta", "tokens"):
            for row in rows[table].values():
                assert text.encode() not in row, (table, text)


def test_a_refusal_of_any_kind_leaves_the_others_of_its_group_alone() -> None:
    """Refused acts before, between and behind: each ends on its own."""
    office = Office()
    cases = refused(office)
    commands = [command for command, actor, _ in cases.values() if actor == ANNA]
    good = Put(f"{OWN}/x", URL, overwrite=True)
    before = office.dump(Table.JOURNAL, Table.META)
    results = office.run(*commands, good, *commands)
    assert [result.done for result in results] == [*[False] * len(commands), True, *[False] * len(commands)]
    after = office.dump(Table.JOURNAL, Table.META)
    changed = {name for name, rows in after.items() if rows != before[name]}
    assert changed == {"records", "answers", "counters", "changes"}
    assert isinstance(refusal("role", role="x"), NodeError)
