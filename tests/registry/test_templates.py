"""Metadata templates: draft, published, withdrawn; what each step asks for, leaves behind, and refuses."""

from __future__ import annotations

import json
from typing import Any
from unittest import mock

import pytest

from core import limits
from core.changes import ChangeKind
from core.errors import Outcome
from core.store.engine import Batch, Table
from core.store.fsck import check_store
from core.store.template_rows import (
    TEMPLATES_KEY,
    TemplateRow,
    TemplateState,
    pack_template,
    pack_template_counts,
    unpack_template,
)
from registry.commands import ANONYMOUS, Actor, AddParty, AddTemplate, Command, PublishTemplate, Put, WithdrawTemplate
from tests.kit.governance import ANNA, BEN, OWN, Office
from tests.kit.management import FORMS, Desk
from tests.kit.templates import CODE, bound, template_form, template_members

STATES = ("nothing", "draft", "published", "withdrawn")
AFTER = {
    ("nothing", "add"): "draft",
    ("draft", "add"): "draft",
    ("draft", "publish"): "published",
    ("published", "withdraw"): "withdrawn",
}
"""What each act makes of a version; everything else is refused and changes nothing."""
REFUSED = {
    ("published", "add"): "template-fixed",
    ("withdrawn", "add"): "template-fixed",
    ("nothing", "publish"): "template-not-found",
    ("nothing", "withdraw"): "template-not-found",
    ("published", "publish"): "template-state",
    ("withdrawn", "publish"): "template-state",
    ("draft", "withdraw"): "template-state",
    ("withdrawn", "withdraw"): "template-state",
}


def acts(version: str = "1.0") -> dict[str, Command]:
    return {
        "add": AddTemplate(template_form(version=version)),
        "publish": PublishTemplate(CODE, version),
        "withdraw": WithdrawTemplate(CODE, version),
    }


def brought_to(office: Office, state: str, version: str = "1.0") -> None:
    """Bring a version of the sample into a state."""
    for name, _ in zip(("add", "publish", "withdraw"), STATES[1 : STATES.index(state) + 1], strict=False):
        office.do(acts(version)[name])


def rows(office: Office) -> dict[str, TemplateRow]:
    return {key: unpack_template(row) for key, row in office.rows(Table.TEMPLATES).items()}


def states(office: Office) -> dict[str, str]:
    return {key: row.state.value for key, row in rows(office).items()}


def test_both_tables_are_whole() -> None:
    """Each state with each act."""
    assert AFTER.keys() | REFUSED.keys() == {(state, act) for state in STATES for act in acts()}


@pytest.mark.parametrize("named", [True, False], ids=["version named", "no version"])
@pytest.mark.parametrize(("state", "act"), [*AFTER, *REFUSED])
def test_the_states_of_a_version(state: str, act: str, named: bool) -> None:
    """As the tables have it, with the version or without; what is refused changes no row but the journal."""
    office = Office()
    brought_to(office, state)
    command = acts()[act]
    if not named and act != "add":
        command = command._replace(version="")  # type: ignore[call-arg] # of the two that have one
    before = office.dump(Table.JOURNAL, Table.META)
    result = office.ask(command)
    entry = office.journal()[-1]
    assert entry.action == f"template.{act}"
    if (state, act) in REFUSED:
        assert result.rule == entry.rule == REFUSED[state, act]
        assert office.dump(Table.JOURNAL, Table.META) == before
        return
    told = json.loads(result.body)
    assert (told["code"], told["state"], told["versions"]) == (CODE, AFTER[state, act], ["1.0"])
    assert states(office) == {f"{CODE}@1": AFTER[state, act]}
    assert (entry.object, entry.who.name) == (f"{CODE}@1.0", "anna")
    assert result.outcome is (Outcome.CREATED if state == "nothing" else Outcome.OK)


def test_a_draft_is_replaced_and_what_is_published_never_changes() -> None:
    """The row of a published version holds what the last draft said, whatever comes behind it."""
    office = Office()
    office.do(AddTemplate(template_form(name="甲")))
    office.do(AddTemplate(template_form(name="乙", version="V01.0")))
    assert [row.template.name for row in rows(office).values()] == ["乙"]
    office.do(PublishTemplate(CODE.lower()))
    published = rows(office)[f"{CODE}@1"]
    for version in ("1", "1.0.0", "v1.0"):
        assert office.ask(AddTemplate(template_form(version=version, name="丙"))).rule == "template-fixed"
    office.do(WithdrawTemplate(CODE))
    withdrawn = rows(office)[f"{CODE}@1"]
    assert withdrawn.template == published.template
    assert (published.state, withdrawn.state) == (TemplateState.PUBLISHED, TemplateState.WITHDRAWN)
    assert published.added_ms < published.published_ms < withdrawn.withdrawn_ms == office.now


def test_without_a_version_the_newest_draft_and_all_that_is_published() -> None:
    """By their numbers, not by their text; drafts stay drafts when others are withdrawn."""
    office = Office()
    for version in ("1.9", "1.10", "1.2"):
        office.do(AddTemplate(template_form(version=version)))
    assert office.do(PublishTemplate(CODE))["versions"] == ["1.10"]
    assert office.do(PublishTemplate(CODE))["versions"] == ["1.9"]
    assert office.do(WithdrawTemplate(CODE)) == {"code": CODE, "state": "withdrawn", "versions": ["1.9", "1.10"]}
    assert states(office) == {f"{CODE}@1.10": "withdrawn", f"{CODE}@1.2": "draft", f"{CODE}@1.9": "withdrawn"}


def test_other_codes_are_left_alone() -> None:
    """Codes that begin like this one have versions of their own."""
    office = Office()
    others = (CODE, f"{CODE}-1", f"{CODE}.", f"{CODE}A", "SALT", "Z")
    for code in others:
        office.do(AddTemplate(template_form(code=code)))
        office.do(PublishTemplate(code))
    office.do(WithdrawTemplate(CODE))
    assert [key for key, state in states(office).items() if state == "withdrawn"] == [f"{CODE}@1"]


def test_one_group_sees_its_own_templates_and_no_others() -> None:
    """Filed, published and withdrawn in one commit, beside another code that was filed in it."""
    office = Office()
    results = office.run(
        AddTemplate(template_form(code="ZZ", version="9")),
        AddTemplate(template_form()),
        AddTemplate(template_form(code="AA", version="9")),
        PublishTemplate(CODE),
        WithdrawTemplate(CODE),
        PublishTemplate("ZZ"),
    )
    assert all(result.done for result in results)
    assert states(office) == {"AA@9": "draft", f"{CODE}@1": "withdrawn", "ZZ@9": "published"}


def test_publishing_and_withdrawing_are_changes_of_the_feed() -> None:
    """Drafts are none: nobody is told of them. The identifier is the key of the version."""
    office = Office()
    before = len(office.feed())
    for version in ("1.0", "2.0"):
        brought_to(office, "published", version)
    office.do(WithdrawTemplate(CODE))
    assert office.feed()[before:] == [
        (ChangeKind.TEMPLATE_PUBLISHED, f"{CODE}@1"),
        (ChangeKind.TEMPLATE_PUBLISHED, f"{CODE}@2"),
        (ChangeKind.TEMPLATE_WITHDRAWN, f"{CODE}@1"),
        (ChangeKind.TEMPLATE_WITHDRAWN, f"{CODE}@2"),
    ]


def test_a_wrong_form_stores_nothing_and_tells_all() -> None:
    office = Office()
    before = office.dump(Table.JOURNAL, Table.META)
    result = office.ask(AddTemplate(template_form(code="a b", version="x", industry="X")))
    told = json.loads(result.body)
    assert (result.outcome, result.rule) == (Outcome.INVALID_VALUE, "form")
    assert [(each["path"], each["rule"]) for each in told["faults"]] == [
        ("version", "template-version"),
        ("code", "template-code"),
    ]
    assert told["warnings"]
    assert office.dump(Table.JOURNAL, Table.META) == before


def test_a_dry_run_writes_nothing() -> None:
    office = Office()
    before = office.dump()
    (result,) = office.run(AddTemplate(template_form(industry="C")), dry_run=True)
    assert result.outcome is Outcome.CREATED
    assert len(json.loads(result.body)["warnings"]) == 3
    assert office.dump() == before


# --- whose it is ---------------------------------------------------------------
def enterprises(office: Office) -> tuple[Actor, Actor]:
    one, other = office.party(0), office.party(1)
    return office.bearer("enterprise", "甲", one)[0], office.bearer("enterprise", "乙", other)[0]


def test_an_enterprise_has_templates_of_its_own() -> None:
    """T11: filed without a party they are its own; nobody else's code, party or template is touched."""
    office = Office()
    first, second = enterprises(office)
    office.do(AddTemplate(template_form()), first)
    assert rows(office)[f"{CODE}@1"].template.party == "P000001"
    for actor, rule in ((second, "template-owner"), (ANNA, "template-owner")):
        assert office.ask(AddTemplate(template_form(version="2.0")), actor).rule == rule
    assert office.ask(AddTemplate(template_form(code="OTHER", party="P000001")), second).rule == "own-party"
    assert office.ask(AddTemplate(template_form(code="OTHER", party="P000009"))).rule == "party-not-found"
    assert office.ask(PublishTemplate(CODE), second).rule == "own-party"
    office.do(PublishTemplate(CODE), first)
    assert office.ask(WithdrawTemplate(CODE), second).rule == "own-party"
    office.do(WithdrawTemplate(CODE), first)
    office.do(AddTemplate(template_form(version="2.0", party="P000001")))
    office.do(AddTemplate(template_form(code="NODE")))
    assert office.ask(PublishTemplate("NODE"), first).rule == "own-party"
    assert office.ask(AddTemplate(template_form(code="NODE", version="2")), first).rule == "template-owner"


@pytest.mark.parametrize("role", ["reviewer", "auditor"])
def test_reviewers_and_auditors_file_nothing(role: str) -> None:
    office = Office()
    brought_to(office, "draft")
    actor = office.bearer(role)[0]
    assert {office.ask(command, actor).rule for command in acts().values()} == {"role"}
    assert {office.ask(command, ANONYMOUS).outcome for command in acts().values()} == {Outcome.AUTHENTICATION_NEEDED}


def test_what_is_told_over_http() -> None:
    """Everybody with a role sees what was published; a draft of another enterprise nobody but the readers."""
    desk = Desk()
    parties = [desk.done(command)["party"] for command in _two_parties()]
    own, other = (desk.token("enterprise", f"企业{party}", party) for party in parties)
    auditor = desk.token("auditor", "审计")
    for version in ("1.9", "1.10", "2.0"):
        answer = desk.ask("POST", "/v1/templates", template_members(version=version), by=own)
        assert (answer.status, answer.json["state"], answer.json["warnings"]) == (201, "draft", [])
    assert desk.ask("POST", "/v1/templates", template_members(version="2.0"), by=own).status == 200
    assert desk.ask("GET", f"/v1/templates/{CODE}", by=other).rule == "template-not-found"
    assert desk.ask("GET", "/v1/templates", by=other).json["templates"] == []
    for version in ("1.9", "1.10"):
        answer = desk.ask("POST", f"/v1/templates/{CODE}/publications", {"version": version}, by=own)
        assert answer.json == {"code": CODE, "state": "published", "versions": [version]}
    for by, seen in ((own, 3), (other, 2), (auditor, 3)):
        shown = desk.ask("GET", f"/v1/templates/{CODE.lower()}", by=by).json
        assert (shown["version"], shown["party"], len(shown["versions"])) == ("1.10", parties[0], seen)
        listed: list[Any] = []
        page = desk.ask("GET", "/v1/templates?count=1", by=by).json
        while True:
            listed += page["templates"]
            if page["next"] is None:
                break
            page = desk.ask("GET", f"/v1/templates?count=1&after={page['next']}", by=by).json
        assert len(listed) == seen
    shown = desk.ask("GET", f"/v1/templates/{CODE}?version=1.9", by=other).json
    assert shown["items"] == [{"unit": None, "required": True} | item for item in template_members()["items"]]
    assert desk.ask("GET", f"/v1/templates/{CODE}?version=2.0", by=other).status == 404
    assert desk.ask("GET", f"/v1/templates/{CODE}?version=x", by=other).status == 404
    assert desk.ask("GET", "/v1/templates/%E7%9B%90", by=other).status == 404
    wrong = desk.ask("POST", "/v1/templates", template_members(version="3.0", industry=7), by=own)
    assert (wrong.status, wrong.rule, wrong.json["faults"][0]["path"]) == (400, "form", "industry")
    assert desk.ask("POST", f"/v1/templates/{CODE}/withdrawals", {}, by=own).json["versions"] == ["1.9", "1.10"]


def _two_parties() -> list[Command]:
    return [AddParty(json.dumps(form).encode()) for form in FORMS[:2]]


# --- bounds --------------------------------------------------------------------
def test_there_is_room_for_so_many_versions() -> None:
    """Of one party, and of all; another draft of one that is there needs none."""
    office = Office()
    first, _ = enterprises(office)
    with (
        mock.patch.object(limits, "METADATA_PARTY_VERSIONS_MAX", 2),
        mock.patch.object(limits, "METADATA_VERSIONS_MAX", 4),
    ):
        for version in ("1", "2"):
            office.do(AddTemplate(template_form(version=version)), first)
        assert office.ask(AddTemplate(template_form(version="3")), first).rule == "template-count"
        office.do(AddTemplate(template_form(version="2", name="又")), first)
        for version in ("1", "2"):
            office.do(AddTemplate(template_form(code="NODE", version=version)))
        assert office.ask(AddTemplate(template_form(code="NODE", version="3"))).rule == "template-count"
        office.do(AddTemplate(template_form(code="NODE", version="2", name="又")))


def test_room_is_counted_without_reading_other_templates() -> None:
    """However many there are, it costs the only writer nothing: what other rows hold is not looked at."""
    office = Office()
    first, second = enterprises(office)
    office.do(AddTemplate(template_form(code="OTHER")), second)
    put(office, b"OTHER@1", b"garbage")
    with mock.patch.object(limits, "METADATA_PARTY_VERSIONS_MAX", 1):
        office.do(AddTemplate(template_form()), first)
        assert office.ask(AddTemplate(template_form(version="2")), first).rule == "template-count"
    with mock.patch.object(limits, "METADATA_VERSIONS_MAX", 2):
        assert office.ask(AddTemplate(template_form(version="2")), first).rule == "template-count"


# --- the store -----------------------------------------------------------------
COUNTED = "templates: their numbers are not how many there are of each party"


def faults(office: Office) -> list[str]:
    with office.store.snapshot() as snapshot:
        return list(check_store(snapshot))


def put(office: Office, key: bytes, row: bytes | None) -> None:
    batch = Batch()
    batch.put(Table.TEMPLATES, key, row)
    office.store.commit(batch)


def test_fsck_finds_what_is_wrong_with_a_template() -> None:
    """Nothing in a store as the node writes it; the key, the party, the times, and garbage."""
    office = Office()
    for state, version in (("draft", "1"), ("published", "2"), ("withdrawn", "3")):
        brought_to(office, state, version)
    assert faults(office) == []
    draft = rows(office)[f"{CODE}@1"]
    damage = {
        b"OTHER@1": (pack_template(draft), "templates b'OTHER@1': holds SALT-PRODUCT@1"),
        b"GARBAGE@1": (b"\x01\xc1", "a row of templates cannot be read"),
        f"{CODE}@1".encode(): (pack_template(draft._replace(state=TemplateState.PUBLISHED)), "its times do not say"),
        f"{CODE}@9".encode(): (
            pack_template(draft._replace(template=draft.template._replace(version="9", party="P9"))),
            "its party is not there",
        ),
    }  # fmt: skip
    for key, (row, fault) in damage.items():
        fork = office.fork()
        put(fork, key, row)
        found = [each for each in faults(fork) if each != COUNTED]
        assert len(found) == 1
        assert fault in found[0]


@pytest.mark.parametrize("counts", [None, {"": 1}, {"": 3}, {"P000001": 2}, {"": 2, "P000001": 1}, b"\x01\x05"])
def test_fsck_counts_the_versions_of_each_party(counts: dict[str, int] | bytes | None) -> None:
    """Missing, too few, too many, another's, and garbage."""
    office = Office()
    for version in ("1", "2"):
        brought_to(office, "draft", version)
    batch = Batch()
    batch.put(Table.META, TEMPLATES_KEY, pack_template_counts(counts) if isinstance(counts, dict) else counts)
    office.store.commit(batch)
    (found,) = faults(office)
    assert found == COUNTED or "the numbers of templates cannot be read" in found


def test_fsck_finds_a_record_without_its_template() -> None:
    """Withdrawn is right; a draft, none, or a row that says so itself."""
    office = Office()
    brought_to(office, "published")
    office.do(Put(f"{OWN}/X", bound()), BEN)
    office.do(WithdrawTemplate(CODE))
    assert faults(office) == []
    key = f"{CODE}@1".encode()
    row = rows(office)[key.decode()]
    fork = office.fork()
    put(fork, key, None)
    unbound = f"records {OWN + '/X'!r}: bound to no template that was published".replace("'", "b'", 1)
    assert faults(fork) == [unbound, COUNTED]
    draft = row._replace(
        state=TemplateState.DRAFT, published_ms=row.withdrawn_ms * 0, withdrawn_ms=row.withdrawn_ms * 0
    )
    put(fork, key, pack_template(draft))
    assert len(faults(fork)) == 1
    put(fork, key, b"\x01\xc1")
    assert [each for each in faults(fork) if each.startswith("records")] == []
