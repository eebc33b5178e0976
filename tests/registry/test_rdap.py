"""Public registration data: the shape of RFC 9083, every state of a prefix, and nothing personal for any party."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Outcome
from core.ident.handle import check_prefix
from core.party.fields import identity_names
from core.party.industries import DIVISION_NAMES
from core.source_limit import SourceLimit
from core.store.engine import Batch, Table
from core.store.party_rows import unpack_party
from core.wire.http import Request, Response, prefers_html
from registry.commands import (
    AddParty,
    ApplyPrefix,
    LiftHold,
    MovePrefix,
    PlaceHold,
    ReviewPrefix,
    SitePrefix,
    VerifyParty,
)
from registry.rdap import Registrar
from registry.rdap_api import RDAP, RegistrationData
from tests.kit.governance import ANNA, BEN, CARLA, EVIDENCE, OWN, ROWS, RULES, SITE, Office, form, plain_sites

REGISTRAR = Registrar(OWN, "https://id.example.cn")
PREFIX = "88.118.7"
HTML = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
STATUS_VALUES = {  # RFC 9083 §10.2.2 and RFC 8056, as far as a registry may show them of a name
    "validated", "renew prohibited", "update prohibited", "transfer prohibited", "delete prohibited", "proxy",
    "private", "removed", "obscured", "associated", "active", "inactive", "locked", "pending create",
    "server hold", "client hold",
}  # fmt: skip
EVENT_ACTIONS = {  # RFC 9083 §10.2.3
    "registration", "reregistration", "last changed", "expiration", "deletion", "reinstantiation", "transfer",
    "locked", "unlocked",
}  # fmt: skip
ROLES = {"registrant", "registrar"}  # RFC 9083 §10.2.4
METHODS = {"removal", "emptyValue", "partialValue", "replacementValue"}  # RFC 9537 §4.2


def ask(
    office: Office, prefix: str = PREFIX, method: str = "GET", limit: SourceLimit | None = None, **headers: str
) -> Response:  # fmt: skip
    """Ask for a prefix as a client would."""
    data = RegistrationData(office.store, RULES, REGISTRAR, **({} if limit is None else {"limit": limit}))
    return data.answer(Request(method, f"/prefixes/{prefix}", "", headers, b"", credentials_safe=False))


def told(office: Office, prefix: str = PREFIX) -> dict[str, Any]:
    """Return the document of a prefix, held to the rules."""
    response = ask(office, prefix)
    assert response.status == 200
    document: dict[str, Any] = json.loads(response.body)
    check(document)
    return document


def check(document: dict[str, Any]) -> None:
    """Hold a document to the rules of RFC 9083, RFC 9537 and RFC 7095."""
    assert document["rdapConformance"][0] == "rdap_level_0"
    assert document["objectClassName"]
    assert "port43" not in document
    assert set(document["status"]) <= STATUS_VALUES
    assert document["lang"]
    for event in document["events"]:
        assert set(event) == {"eventAction", "eventActor", "eventDate"}
        assert event["eventAction"] in EVENT_ACTIONS
        assert TIME.fullmatch(event["eventDate"])
    assert sorted(event["eventDate"] for event in document["events"]) == [e["eventDate"] for e in document["events"]]
    for entity in document["entities"]:
        assert entity["objectClassName"] == "entity"
        assert set(entity["roles"]) <= ROLES
        check_card(entity["vcardArray"])
    for link in [*document["links"], *(each for notice in document["notices"] for each in notice.get("links", ()))]:
        assert set(link) == {"value", "rel", "href", "type"}
        assert link["href"].startswith("https://id.example.cn/")
    for text in [*document["notices"], *document.get("remarks", ())]:
        assert text["title"]
        assert all(isinstance(line, str) for line in text["description"])
    if "redacted" in document:
        assert "redacted" in document["rdapConformance"]
    for each in document.get("redacted", ()):
        assert each["method"] in METHODS
        assert each["name"].keys() == {"description"}  # or "type", of names that are registered
        assert ("postPath" in each) is (each["method"] != "removal")
    ours = {name for name in document if name.startswith("saltern_")}
    assert ours <= {"saltern_industry"}
    assert "saltern" in document["rdapConformance"]


def check_card(card: list[Any]) -> None:
    """RFC 7095: [name, parameters, type, value …], the version first, one full name."""
    kind, properties = card
    assert kind == "vcard"
    assert properties[0] == ["version", {}, "text", "4.0"]
    assert [each[0] for each in properties].count("fn") == 1
    for name, parameters, of_type, value in properties:
        assert name == name.lower()
        assert isinstance(parameters, dict)
        assert of_type in ("text", "uri")
        assert isinstance(value, list if name == "adr" else str)
        assert name != "adr" or len(value) == 7


def entity(document: dict[str, Any], role: str) -> dict[str, Any]:
    (found,) = (each for each in document["entities"] if each["roles"] == [role])
    return {each[0]: each[3] for each in found["vcardArray"][1]}


# --- what is shown ---------------------------------------------------------------


def test_an_organisation_is_shown_as_it_registered() -> None:
    """Name, website, industry, address; who registered it; when."""
    office = Office()
    office.allocated(PREFIX, 6)
    document, row = told(office), ROWS[6]
    assert (document["handle"], document["status"]) == (PREFIX, ["active"])
    card = entity(document, "registrant")
    assert (card["fn"], card["org"], card["kind"], card["url"]) == (row["name"], row["name"], "org", row["website"])
    assert card["adr"][2] == row["address"]
    assert "山东" in card["adr"][4]
    assert DIVISION_NAMES[row["industry_division"]] in document["saltern_industry"]
    assert entity(document, "registrar")["fn"].endswith(OWN)
    assert [each["eventAction"] for each in document["events"]] == ["registration", "last changed"]
    assert {each["eventActor"] for each in document["events"]} == {OWN}
    assert {each["name"]["description"].split()[1] for each in document["redacted"]} >= {"contact", "phone", "email"}
    assert document["links"][0]["href"] == f"https://id.example.cn/prefixes/{PREFIX}"


def test_a_person_is_a_person_and_nothing_else() -> None:
    """Neither name nor address, website or description; of the region the province. That it is so is told."""
    office = Office()
    secret = {"website": "https://zhangsanfeng.example.cn", "profile": "张三丰的盐铺"}
    name = office.party(6, kind="person", **secret)
    for reviewer in (BEN, CARLA):
        office.do(VerifyParty(name, "manual", EVIDENCE), reviewer)
    office.do(ApplyPrefix(PREFIX, name))
    office.do(ReviewPrefix(PREFIX, approve=True), BEN)
    document = told(office)
    card = entity(document, "registrant")
    assert card == {"version": "4.0", "kind": "individual", "fn": "", "adr": ["", "", "", "", "山东省", "", ""]}
    hidden = {each["name"]["description"].split()[1]: each["method"] for each in document["redacted"]}
    assert hidden["name"] == "emptyValue"
    assert hidden.keys() >= {"address", "uscc", "contact", "phone", "email", "website", "profile"}
    shown = ask(office, **HTML).body.decode() + json.dumps(document, ensure_ascii=False)
    for text in (*secret.values(), ROWS[6]["name"], ROWS[6]["address"], ROWS[6]["uscc"]):
        assert text not in shown


@pytest.mark.parametrize("kind", ["organisation", "person"])
@pytest.mark.parametrize("number", range(len(ROWS)))
def test_nothing_personal_is_ever_shown(number: int, kind: str) -> None:
    """Of each sample party, as an organisation and as a person: no sealed field, in no form of the answer."""
    office = Office()
    as_person = {"kind": "person"} if kind == "person" else {}
    name = str(office.do(AddParty(form(number, **as_person)))["party"])
    for reviewer in (BEN, CARLA):
        office.do(VerifyParty(name, "manual", EVIDENCE), reviewer)
    office.do(ApplyPrefix(PREFIX, name))
    office.do(ReviewPrefix(PREFIX, approve=True), BEN)
    told(office)
    shown = ask(office).body.decode() + ask(office, **HTML).body.decode()
    fields = identity_names(person=kind == "person") & set(ROWS[number])
    assert len(fields) > 4
    assert [field for field in fields if ROWS[number][field] in shown] == []
    assert "anna" not in shown  # who filed it is a person, too
    assert "ben" not in shown
    sealed = unpack_party(office.rows(Table.PARTIES)[name]).sealed
    assert fields <= sealed.keys()


def test_the_operators_own_prefix_is_held_by_the_operator() -> None:
    document = told(Office(), OWN)
    assert document["status"] == ["active"]
    assert entity(document, "registrant") == entity(document, "registrar")
    assert "redacted" not in document


def test_a_prefix_of_a_version_without_applications_is_the_operators_own() -> None:
    """Its row alone says since when."""
    office = Office()
    batch = Batch()
    batch.put(Table.APPLICATIONS, OWN.encode(), None)
    office.store.commit(batch)
    document = told(office, OWN)
    assert (document["status"], document["events"][0]["eventAction"]) == (["active"], "registration")


# --- the life of a prefix -----------------------------------------------------------


def test_each_state_shows_what_the_public_may_know() -> None:
    """Nothing before it is allocated and after it is deleted, as of a domain; a suspended one is on hold."""
    office = Office()
    party = office.verified()
    seen = []

    def look() -> None:
        response = ask(office)
        if response.status == 404:
            seen.append("unknown")
            assert json.loads(response.body)["errorCode"] == 404
            assert party not in response.body.decode()
        else:
            seen.append(" ".join(told(office)["status"]))

    look()
    for command, actor in (
        (ApplyPrefix(PREFIX, party, draft=True), ANNA),
        (ApplyPrefix(PREFIX, party), ANNA),
        (ReviewPrefix(PREFIX, correct=(("name", "which"),)), BEN),
        (ApplyPrefix(PREFIX, party), ANNA),
        (ReviewPrefix(PREFIX, reject="no"), BEN),
        (ApplyPrefix(PREFIX, party), ANNA),
        (ReviewPrefix(PREFIX, approve=True), BEN),
        (MovePrefix(PREFIX, "suspend", "why", EVIDENCE), ANNA),
        (MovePrefix(PREFIX, "resume", "why"), ANNA),
        (MovePrefix(PREFIX, "delete", "why", EVIDENCE), ANNA),
        (ApplyPrefix(PREFIX, party), ANNA),
        (ReviewPrefix(PREFIX, approve=True), BEN),
    ):
        office.do(command, actor)
        look()
    assert seen == [*["unknown"] * 7, "active", "server hold", "active", "unknown", "unknown", "active"]
    events = [each["eventAction"] for each in told(office)["events"]]
    assert events == ["registration", "reregistration", "last changed"]


def test_what_waits_for_its_sites_is_allocated_and_not_in_use() -> None:
    office = Office()
    with plain_sites():
        party = office.verified()
        office.do(ApplyPrefix(PREFIX, party, "delegated"))
        office.do(ReviewPrefix(PREFIX, approve=True), BEN)
        assert told(office)["status"] == ["inactive"]
        office.do(SitePrefix(PREFIX, SITE))
        assert told(office)["status"] == ["active"]


def test_suspensions_are_events() -> None:
    office = Office()
    office.allocated(PREFIX)
    office.do(MovePrefix(PREFIX, "suspend", "a reason of the operator", EVIDENCE))
    office.do(MovePrefix(PREFIX, "resume", "another one"))
    document = told(office)
    assert [each["eventAction"] for each in document["events"]] == [
        "registration", "locked", "unlocked", "last changed",
    ]  # fmt: skip
    assert "a reason of" not in json.dumps(document)


def test_a_registration_is_dated_when_its_first_steps_are_kept_no_longer() -> None:
    """The row of the prefix knows since when it is homed."""
    office = Office()
    office.allocated(PREFIX)
    first = told(office)["events"][0]
    for _ in range(40):
        office.do(MovePrefix(PREFIX, "suspend", "why", EVIDENCE))
        office.do(MovePrefix(PREFIX, "resume", "why"))
    assert told(office)["events"][0] == first


# --- the front ------------------------------------------------------------------


@pytest.mark.parametrize("asked", ["Ab.C", "aB.c", "AB.C", "%61b.c"])
def test_case_and_percent_encoding_do_not_matter(asked: str) -> None:
    office = Office()
    rows = Office().rows(Table.APPLICATIONS)
    batch = Batch()
    batch.put(Table.APPLICATIONS, check_prefix("ab.c", RULES), rows[OWN])
    office.store.commit(batch)
    assert told(office, asked)["handle"] == "AB.C"


@pytest.mark.parametrize(
    ("prefix", "status"),
    [("99.1", 404), ("", 404), ("88.118/", 404), ("88.118/X", 404), ("88..118", 400), ("88.118%2FX", 400),
     ("%ff", 400), ("%20", 400), ("8" * 300, 400), ("88.118%00", 400)],
)  # fmt: skip
def test_an_error_has_the_shape_of_an_error(prefix: str, status: int) -> None:
    """RFC 9083 §6; and a page for browsers, with the same status."""
    office = Office()
    response = ask(office, prefix)
    document = json.loads(response.body)
    assert (response.status, document["errorCode"]) == (status, status)
    assert document["title"]
    assert all(isinstance(line, str) for line in document["description"])
    assert dict(response.headers)["Content-Type"] == RDAP
    page = ask(office, prefix, **HTML)
    assert page.status == status
    assert page.body.startswith(b"<!doctype html>")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"])
def test_other_methods_are_told_which(method: str) -> None:
    response = ask(Office(), OWN, method)
    assert (response.status, dict(response.headers)["Allow"]) == (405, "GET, HEAD")
    assert json.loads(response.body)["errorCode"] == 405


def test_any_page_may_read_it() -> None:
    """RFC 7480 §5.6, of errors too; and caches keep both forms apart."""
    for response in (ask(Office(), OWN), ask(Office(), "99.1"), ask(Office(), OWN, **HTML), ask(Office(), OWN, "PUT")):
        headers = dict(response.headers)
        assert (headers["Access-Control-Allow-Origin"], headers["Vary"]) == ("*", "Accept")


def test_a_page_for_people_tells_the_same() -> None:
    """In both languages, with a way to complain; what a party wrote is text and no markup."""
    office = Office()
    office.allocated(PREFIX, 6)
    text = ask(office, **HTML).body.decode()
    for part in (PREFIX, ROWS[6]["name"], ROWS[6]["website"], ROWS[6]["address"], "已启用 active", "Registrar"):
        assert part in text
    assert f'href="/complaints?subject={PREFIX}"' in text
    marked = Office()
    party = marked.party(6, profile="<script>alert(1)</script>\"'&")
    for reviewer in (BEN, CARLA):
        marked.do(VerifyParty(party, "manual", EVIDENCE), reviewer)
    marked.do(ApplyPrefix(PREFIX, party))
    marked.do(ReviewPrefix(PREFIX, approve=True), BEN)
    text = ask(marked, **HTML).body.decode()
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert told(marked)["remarks"][0]["description"] == ["<script>alert(1)</script>\"'&"]


def test_whoever_asks_too_much_is_told_when_to_come_back() -> None:
    """429, in the shape of an error; what cannot be a prefix costs nothing."""
    left = [2]

    def admits(_: bytes) -> bool:
        left[0] -= 1
        return left[0] >= 0

    limit = SourceLimit(admits, 7)
    assert ask(Office(), "88..1", limit=limit).status == 400
    assert [ask(Office(), OWN, limit=limit).status for _ in range(3)] == [200, 200, 429]
    response = ask(Office(), OWN, limit=limit)
    assert dict(response.headers)["Retry-After"] == "7"
    assert [name for name, _ in response.headers].count("Retry-After") == 1
    assert json.loads(response.body)["errorCode"] == 429


@pytest.mark.parametrize(
    ("header", "html"),
    [
        (HTML["accept"], True), ("text/html", True), ("TEXT/HTML;Q=0.1", True), ("", False), ("*/*", False),
        ("text/*", False), (RDAP, False), (f"text/html;q=0.5, {RDAP}", False), (f"text/html, {RDAP};q=0.9", True),
        ("text/html, application/json", False), ("text/html;q=0", False), ("text/html;q=2", False),
        ("text/html;q=x", False), ("text/html;q=0.5;level=1", True), (";;,,", False),
    ],
)  # fmt: skip
def test_who_gets_a_page(header: str, html: bool) -> None:
    assert prefers_html(header, RDAP) is html


@given(st.text(max_size=60))
def test_any_header_is_a_wish_or_none(header: str) -> None:
    assert prefers_html(header, RDAP) in (True, False)


def test_the_outcomes_of_errors_are_words() -> None:
    """The title names the outcome."""
    assert json.loads(ask(Office(), "99.1").body)["title"] == Outcome.NOT_FOUND.value.replace("-", " ").capitalize()


# --- on hold -------------------------------------------------------------------


@pytest.mark.parametrize("target", [PREFIX, OWN, "P000001"])
def test_a_prefix_on_hold_is_shown_so(target: str) -> None:
    """However the order names it; its number and reason only where it says that they may be told; lifted, as before."""
    office = Office()
    office.allocated(PREFIX)
    before = told(office)
    office.do(PlaceHold(target, "令1", "秘密理由"))
    document = told(office)
    assert document["status"] == ["server hold"]
    assert "秘密理由" not in json.dumps(document, ensure_ascii=False)
    assert "令1" not in ask(office, accept="text/html").body.decode()
    office.do(PlaceHold(target, "令2", "<b>停产整顿</b>", public=True))
    assert "令2：<b>停产整顿</b>" in told(office)["notices"][0]["description"]
    page = ask(office, accept="text/html").body.decode()
    assert "令2：&lt;b&gt;停产整顿&lt;/b&gt;" in page
    assert "秘密理由" not in page
    for order in ("令1", "令2"):
        office.do(LiftHold(target, order))
    assert told(office) == before


def test_an_identifier_on_hold_says_nothing_of_its_prefix() -> None:
    office = Office()
    office.allocated(PREFIX)
    office.do(PlaceHold(f"{PREFIX}/X", "1", "x", public=True))
    assert told(office)["status"] == ["active"]
