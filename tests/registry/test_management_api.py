"""The management API without a node: what it answers, and the one shape of all that it refuses."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import limits
from core.clock import Millis
from core.errors import Outcome
from core.outcomes import STATUSES
from core.party.fields import FIELDS, identity_names
from core.store.engine import Batch, Table
from core.wire.http import Request
from registry.commands import Actor, AddParty, ApplyPrefix, ReviewPrefix, VerifyParty
from registry.management import OPERATIONS
from registry.reading import COUNT
from tests.kit.management import ADMIN, DIGEST, FORMS, HEADERS, Answer, Desk, person

OPERATOR = Actor(ADMIN)
MEMBERS = {"type", "title", "status", "detail", "instance", "outcome"}


@pytest.fixture(scope="module")
def full() -> Desk:
    """Three parties, the first of them verified and with a prefix; an auditor's token."""
    desk = Desk()
    for form in FORMS[:3]:
        desk.done(AddParty(json.dumps(form).encode()))
    for name in ("审核甲", "审核乙二"):
        desk.done(VerifyParty("P000001", "manual", bytes.fromhex(DIGEST)), person(name))
    desk.done(ApplyPrefix("88.118.7", "P000001"))
    desk.done(ReviewPrefix("88.118.7", approve=True), person("审核甲"))
    return desk


@pytest.fixture
def desk(full: Desk) -> Desk:
    return full.copy()


def status(outcome: Outcome) -> int:
    return STATUSES[outcome].http


def assert_problem(answer: Answer, outcome: Outcome, rule: str = "") -> None:
    """It has the shape of all problems, and ends so."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert MEMBERS <= set(answer.json) <= MEMBERS | {"rule", "faults", "warnings"}
    assert (answer.json["outcome"], answer.status, answer.rule) == (outcome.value, status(outcome), rule)
    assert answer.json["status"] == answer.status
    for fault in answer.json.get("faults", []):
        assert set(fault) == {"path", "rule", "zh", "en"}


def paths(answer: Answer) -> dict[str, str]:
    return {fault["path"]: fault["rule"] for fault in answer.json["faults"]}


# --- reading -----------------------------------------------------------------


def test_a_party_is_shown_without_its_identity(desk: Desk) -> None:
    """Each identity field is there and hidden; steps, times and who filed it are told."""
    answer = desk.ask("GET", "/v1/parties/P000001", by=OPERATOR)
    shown, given = answer.json, FORMS[0]
    assert {shown[name] for name in identity_names(person=False) if given.get(name)} == {"***"}
    assert not [given[name] for name in identity_names(person=False) if given.get(name) and given[name] in str(shown)]
    assert (shown["name"], shown["kind"], shown["filed_by"]) == (given["name"], "organisation", "经办人 (uid 1)")
    assert shown["verification"]["state"] == "verified"
    assert [step["who"] for step in shown["verification"]["steps"]] == ["审核甲 (uid 3)", "审核乙二 (uid 4)"]
    assert {step["evidence_sha256"] for step in shown["verification"]["steps"]} == {DIGEST}
    assert [name for name in shown if name in {field.name for field in FIELDS}]


def test_a_prefix_is_shown_with_its_steps(desk: Desk) -> None:
    """In any case of letters; one that nobody asked for is not there, and no prefix is a fault of grammar."""
    answer = desk.ask("GET", "/v1/prefixes/88.118.7", by=OPERATOR)
    assert (answer.json["prefix"], answer.json["state"], answer.json["party"]) == ("88.118.7", "homed", "P000001")
    assert [step["event"] for step in answer.json["steps"]][-1] == "home"
    assert_problem(desk.ask("GET", "/v1/prefixes/88.118.8", by=OPERATOR), Outcome.NOT_FOUND, "prefix-not-found")
    assert desk.ask("GET", "/v1/prefixes/a%2Fb", by=OPERATOR).json["outcome"] == "invalid-handle"


def test_lists_go_on_where_they_ended(desk: Desk) -> None:
    """Page by page each row once; the last page says so."""
    for path, member, key in (
        ("parties", "parties", "party"), ("prefixes", "prefixes", "prefix"), ("changes", "changes", "serial"),
        ("journal", "entries", "number"), ("tokens", "tokens", "token"),
    ):  # fmt: skip
        for holder in ("甲", "乙"):
            desk.token("auditor", holder)
        whole = desk.ask("GET", f"/v1/{path}?count=1000", by=OPERATOR).json
        assert whole["next"] is None
        found, after = [], ""
        while after is not None:
            query = f"?count=2&after={after}" if after else "?count=2"
            page = desk.ask("GET", f"/v1/{path}{query}", by=OPERATOR).json
            assert len(page[member]) <= 2
            found, after = found + [row[key] for row in page[member]], page["next"]
        assert found == [row[key] for row in whole[member]]


def test_a_page_is_bounded(desk: Desk) -> None:
    for query in (f"count={limits.LISTED_MAX + 1}", "count=0", "count=x", "count=-1", "after=" + "x" * 200):
        answer = desk.ask("GET", f"/v1/parties?{query}", by=OPERATOR)
        assert_problem(answer, Outcome.INVALID_VALUE, "members")
    assert COUNT <= limits.LISTED_MAX
    last = 2**63 - 1
    assert desk.ask("GET", f"/v1/changes?after={last}", by=OPERATOR).json == {"changes": [], "next": None}
    assert desk.ask("GET", f"/v1/journal?after={last}", by=OPERATOR).json == {"entries": [], "next": None}


def test_an_enterprise_looks_at_more_than_a_chunk(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows are found however far apart they are."""
    monkeypatch.setattr(limits, "PAGE_CHUNK", 1)
    own = desk.token("enterprise", "企业", "P000001")
    answer = desk.ask("GET", "/v1/prefixes", by=own).json
    assert ([row["prefix"] for row in answer["prefixes"]], answer["next"]) == (["88.118.7"], None)
    assert [row["party"] for row in desk.ask("GET", "/v1/parties", by=own).json["parties"]] == ["P000001"]


def test_a_long_list_pauses_so_that_others_have_their_turn(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each PAGE_CHUNK rows, however many of them are somebody else's."""
    with desk.store.snapshot() as snapshot:
        row = snapshot.get(Table.APPLICATIONS, b"88.118.7")
    batch = Batch()
    for number in range(5 * limits.PAGE_CHUNK):
        batch.put(Table.APPLICATIONS, b"88.118.8%04d" % number, row)
    desk.store.commit(batch)
    pause, pauses = asyncio.sleep, []

    async def counted(delay_s: float) -> None:
        pauses.append(delay_s)
        await pause(delay_s)

    own = desk.token("enterprise", "企业", "P000002")
    monkeypatch.setattr(asyncio, "sleep", counted)
    assert desk.ask("GET", "/v1/prefixes", by=own).json == {"prefixes": [], "next": None}
    assert len(pauses) == 5
    assert limits.PAGE_CHUNK <= 200


# --- writing -----------------------------------------------------------------


def test_a_party_is_filed_amended_confirmed_and_verified(desk: Desk) -> None:
    """Each answer is that of the registrar."""
    filed = desk.ask("POST", "/v1/parties", FORMS[3], by=OPERATOR)
    assert (filed.status, filed.json["verification"]) == (status(Outcome.CREATED), "unverified")
    path = f"/v1/parties/{filed.json['party']}"
    amended = desk.ask("PATCH", path, {"profile": "新", "website": None}, by=OPERATOR)
    assert "profile" in amended.json["changed"]
    assert desk.ask("GET", path, by=OPERATOR).json["profile"] == "新"
    desk.now = Millis(desk.now + 5_000)
    assert desk.ask("POST", path + "/confirmations", by=OPERATOR).json["party"] == filed.json["party"]
    reviewer = desk.token("reviewer", "审核丙")
    document = {"name": "另一个名字"}
    digest = hashlib.sha256(json.dumps(document).encode()).hexdigest()
    sent = {"method": "offline", "document": document, "evidence_sha256": DIGEST}
    other = desk.ask("POST", path + "/verifications", sent, by=reviewer)
    assert_problem(other, Outcome.INVALID_VALUE, "evidence-digest")
    sent["evidence_sha256"] = digest.upper()
    failed = desk.ask("POST", path + "/verifications", sent, by=reviewer)
    assert (failed.json["verification"], failed.json["method"]) == ("failed", "offline")
    steps = desk.ask("GET", path, by=OPERATOR).json["verification"]["steps"]
    assert steps[-1]["evidence_sha256"] == digest


def test_a_prefix_goes_its_way(desk: Desk) -> None:
    """Draft, application, correction, application, rejection; suspension, resumption, deletion."""
    own, reviewer = desk.token("enterprise", "企业", "P000001"), desk.token("reviewer", "审核丙")
    path, body = "/v1/prefixes/88.118.9", {"party": "P000001", "hosting": "hosted"}
    drafted = desk.ask("PUT", path + "/application", body | {"draft": True}, by=own)
    assert (drafted.status, drafted.json["state"]) == (status(Outcome.CREATED), "draft")
    assert desk.ask("PUT", path + "/application", body, by=own).json["state"] == "verifying"
    corrected = desk.ask("POST", path + "/reviews", {"correct": {"name": "与证照不符"}}, by=reviewer)
    assert corrected.json["corrections"] == [{"path": "name", "rule": "correction", "reason": "与证照不符"}]
    assert desk.ask("PUT", path + "/application", body, by=own).status == status(Outcome.OK)
    assert desk.ask("POST", path + "/reviews", {"reject": "名称不当"}, by=reviewer).json["state"] == "rejected"
    homed, reason = "/v1/prefixes/88.118.7", {"reason": "检查", "evidence_sha256": DIGEST}
    assert desk.ask("POST", homed + "/suspension", reason, by=OPERATOR).json["state"] == "suspended"
    again = desk.ask("POST", homed + "/suspension", reason, by=OPERATOR)
    assert_problem(again, Outcome.CONFLICT, "transition")
    assert desk.ask("POST", homed + "/resumption", {"reason": "完成"}, by=OPERATOR).json["state"] == "homed"
    assert_problem(
        desk.ask("POST", homed + "/deletion", {"reason": "注销"}, by=OPERATOR), Outcome.INVALID_VALUE, "evidence"
    )
    assert desk.ask("POST", homed + "/deletion", reason, by=OPERATOR).json["state"] == "deleted"


# --- what is refused ---------------------------------------------------------


def test_a_form_is_refused_with_all_that_is_wrong(desk: Desk) -> None:
    """By the registrar: faults of the table T6, none of which repeats what the form says."""
    answer = desk.ask("POST", "/v1/parties", FORMS[3] | {"uscc": "913707028BRK2A207X", "phone": "12"}, by=OPERATOR)
    assert_problem(answer, Outcome.INVALID_VALUE, "form")
    assert set(paths(answer)) == {"uscc", "phone"}
    assert "913707028BRK2A207X" not in str(answer.json)


def test_members_are_refused_all_at_once(desk: Desk) -> None:
    """By the worker: missing, of a wrong type, too long, no choice, unknown and near a known one."""
    answer = desk.ask("POST", "/v1/tokens", {"role": "boss", "holder": "", "days": True, "prty": "x"}, by=OPERATOR)
    assert_problem(answer, Outcome.INVALID_VALUE, "members")
    assert paths(answer) == {
        "role": "member-choice", "holder": "member-length", "days": "member-type", "prty": "member-unknown",
    }  # fmt: skip
    assert answer.json["faults"][-1]["en"].endswith("party")
    empty = desk.ask("POST", "/v1/prefixes/88.118.7/suspension", {}, by=OPERATOR)
    assert paths(empty) == {"reason": "member-required"}
    digest = desk.ask("POST", "/v1/prefixes/88.118.7/suspension", {"reason": "x", "evidence_sha256": "ab"}, by=OPERATOR)
    assert paths(digest) == {"evidence_sha256": "member-digest"}
    many = {f"f{number}": "x" for number in range(limits.CORRECTIONS_MAX + 1)}
    answer = desk.ask("POST", "/v1/prefixes/88.118.7/reviews", {"correct": many}, by=OPERATOR)
    assert paths(answer) == {"correct": "member-items"}
    answer = desk.ask("GET", "/v1/parties?count=1&count=2", by=OPERATOR)
    assert paths(answer) == {"count": "member-once"}
    assert desk.ask("POST", "/v1/tokens", {"x\n9": 1}, by=OPERATOR).json["faults"][-1]["path"] == "#1"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"1", b'"x"', b"{", b'{"role":}', b"\xff", b"[" * 3_000, b'{"a":"\\ud800"}']
)
def test_what_is_no_json_object_is_malformed(desk: Desk, body: bytes) -> None:
    for method, path in (("POST", "/v1/tokens"), ("PUT", "/v1/prefixes/88.118.9/application")):
        assert_problem(desk.ask(method, path, body, by=OPERATOR), Outcome.MALFORMED, "json")
    answer = desk.ask("POST", "/v1/parties", body, by=OPERATOR)
    assert answer.json["outcome"] in ("malformed", "invalid-value")


def test_a_body_is_json(desk: Desk) -> None:
    """415 for any other media type, in every call that takes a body."""
    for operation in OPERATIONS:
        if operation.body:
            path = operation.path.format(party="P000001", prefix="88.118.7", token="x", ticket="x")
            answer = desk.ask(operation.method, path, {}, by=OPERATOR, headers={"content-type": "text/plain"})
            assert_problem(answer, Outcome.MEDIA_TYPE)


def test_paths_and_methods(desk: Desk) -> None:
    """404 for no path of ours, 405 with Allow, HEAD where GET; an enterprise's refusal names its rule."""
    for path in ("/v1", "/v1/", "/v1/x", "/v1/parties/", "/v1/parties/a/b", "/v1/parties/" + "x" * 101):
        assert_problem(desk.ask("GET", path, by=OPERATOR), Outcome.NO_SUCH_ENDPOINT)
    answer = desk.ask("DELETE", "/v1/parties/P000001", by=OPERATOR)
    assert_problem(answer, Outcome.METHOD)
    assert answer.headers["Allow"] == "GET, HEAD, PATCH"
    assert desk.ask("HEAD", "/v1/parties", by=OPERATOR).status == status(Outcome.OK)
    assert desk.ask("HEAD", "/v1/parties/P000001/confirmations", by=OPERATOR).headers["Allow"] == "POST"


def test_nobody_is_told_how_to_log_in_where_that_is_not_safe(desk: Desk) -> None:
    """401 where credentials are taken, else 403."""
    for safe, outcome in ((True, Outcome.AUTHENTICATION_NEEDED), (False, Outcome.FORBIDDEN)):
        request = Request("GET", "/v1/parties", "", {}, b"", credentials_safe=safe)
        response = asyncio.run(desk.api.answer(request))
        assert response.status == status(outcome)
        assert response.challenge is (outcome if safe else None)


def test_a_change_with_an_idempotency_key_is_made_once(desk: Desk) -> None:
    """The first answer again; another request of that key is a conflict."""
    headers = HEADERS | {"idempotency-key": "k"}
    answers = [desk.ask("POST", "/v1/parties", FORMS[3], by=OPERATOR, headers=headers) for _ in range(2)]
    assert answers[0] == answers[1]
    assert_problem(desk.ask("POST", "/v1/parties", FORMS[4], by=OPERATOR, headers=headers), Outcome.CONFLICT)
    bad = HEADERS | {"idempotency-key": "x" * 65}
    assert_problem(desk.ask("POST", "/v1/parties", FORMS[4], by=OPERATOR, headers=bad), Outcome.MALFORMED)


def test_a_refused_read_stands_in_the_journal(desk: Desk) -> None:
    """With who asked, what for, and the rule; one of anybody does not."""
    own = desk.token("enterprise", "企业甲", "P000001")
    desk.ask("GET", "/v1/parties/P000002", by=own)
    desk.ask("GET", "/v1/journal", by=own)
    desk.ask("GET", "/v1/journal")
    entries = desk.ask("GET", "/v1/journal?count=1000", by=OPERATOR).json["entries"][-2:]
    assert [(e["who"]["token"], e["action"], e["object"], e["rule"]) for e in entries] == [
        (own.bearer, "party.show", "P000002", "own-party"), (own.bearer, "journal.list", "", "role"),
    ]  # fmt: skip


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)
NAMES = sorted({m.name for o in OPERATIONS if isinstance(o.body, tuple) for m in o.body})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.data())
def test_whatever_is_sent_gets_an_answer(full: Desk, data: st.DataObject) -> None:
    """Any body and any text in a path: no exception, and nothing that is the node's own fault."""
    desk = full.copy()
    operation = data.draw(st.sampled_from(OPERATIONS))
    members: dict[str, Any] = data.draw(st.dictionaries(st.sampled_from(NAMES), ANY_JSON, max_size=4))
    body = data.draw(st.just(members) | ANY_JSON)
    path = "/".join(
        quote(data.draw(st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)), safe="")
        if part.startswith("{") and data.draw(st.booleans())
        else {"{party}": "P000001", "{prefix}": "88.118.7", "{token}": "0" * 12}.get(part, part)
        for part in operation.path.split("/")
    )
    answer = desk.ask(operation.method, path, body, by=OPERATOR)
    assert answer.status < status(Outcome.INTERNAL), answer
