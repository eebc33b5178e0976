"""Every role makes every call: it is done, or refused exactly as registry/roles.py has it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from core.errors import Outcome
from core.outcomes import STATUSES
from core.records import HandleValue
from core.who import Role
from registry.commands import (
    ANONYMOUS,
    AbandonImport,
    Actor,
    AddParty,
    ApplyPrefix,
    Command,
    ExportPrefix,
    ImportLines,
    ImportPrefix,
    MovePrefix,
    Put,
    ReadIdentity,
    RekeyParties,
    ReviewPrefix,
    VerifyParty,
)
from registry.management import OPERATIONS
from registry.roles import CALL_NAMED, CALLS, allows
from tests.kit.management import ADMIN, DIGEST, FORMS, Answer, Desk, person

EVIDENCE = bytes.fromhex(DIGEST)
HOSTED, SUSPENDED, WAITING, FREE = "88.118.7", "88.118.6", "88.118.8", "88.118.9"
REASON = {"reason": "测试", "evidence_sha256": DIGEST}
DONE = (STATUSES[Outcome.OK].http, STATUSES[Outcome.CREATED].http)
ASK: dict[str, tuple[str, str, Any]] = {
    "party.add": ("POST", "/v1/parties", FORMS[2]),
    "party.list": ("GET", "/v1/parties", None),
    "party.show": ("GET", "/v1/parties/P000001", None),
    "party.amend": ("PATCH", "/v1/parties/P000001", {"profile": "新的简介"}),
    "party.verify": ("POST", "/v1/parties/P000001/verifications", {"method": "offline"}),
    "party.confirm": ("POST", "/v1/parties/P000001/confirmations", None),
    "prefix.list": ("GET", "/v1/prefixes", None),
    "prefix.show": ("GET", f"/v1/prefixes/{HOSTED}", None),
    "prefix.apply": ("PUT", f"/v1/prefixes/{FREE}/application", {"party": "P000001"}),
    "prefix.review": ("POST", f"/v1/prefixes/{WAITING}/reviews", {"approve": True}),
    "prefix.site": ("PUT", f"/v1/prefixes/{HOSTED}/site", {}),
    "prefix.suspend": ("POST", f"/v1/prefixes/{HOSTED}/suspension", REASON),
    "prefix.resume": ("POST", f"/v1/prefixes/{SUSPENDED}/resumption", REASON),
    "prefix.delete": ("POST", f"/v1/prefixes/{HOSTED}/deletion", REASON),
    "token.issue": ("POST", "/v1/tokens", {"role": "enterprise", "holder": "新经办人", "party": "P000001"}),
    "token.list": ("GET", "/v1/tokens", None),
    "token.revoke": ("DELETE", "/v1/tokens/{token}", None),
    "change.list": ("GET", "/v1/changes", None),
    "journal.list": ("GET", "/v1/journal", None),
}
"""How each call is made over HTTP: about P000001 and its prefixes."""

NOT_OVER_HTTP = {
    "party.identity", "party.rekey", "record.write", "prefix.export", "prefix.import", "prefix.abandon",
}  # fmt: skip
FOR_ALL_OWN = ("party.list", "prefix.list")
"""Name nobody's party: an enterprise gets its own, whichever that is."""


class Asker(NamedTuple):
    """Somebody: his role, whether P000001 is his, and who that is in a world."""

    name: str
    role: Role | None
    own: bool
    actor: Callable[[World], Actor]


class World(NamedTuple):
    """Two verified parties, prefixes of the first in several states, and a token for each role."""

    desk: Desk
    tokens: dict[str, Actor]


def made() -> World:
    desk = Desk()
    for form in FORMS[:2]:
        desk.done(AddParty(json.dumps(form).encode()))
    for party in ("P000001", "P000002"):
        for name in ("审核甲", "审核乙二"):
            desk.done(VerifyParty(party, "manual", EVIDENCE), person(name))
    for prefix in (HOSTED, SUSPENDED, WAITING):
        desk.done(ApplyPrefix(prefix, "P000001"))
    for prefix in (HOSTED, SUSPENDED):
        desk.done(ReviewPrefix(prefix, approve=True), person("审核甲"))
    desk.done(MovePrefix(SUSPENDED, "suspend", "测试", EVIDENCE))
    tokens = {role: desk.token(role, f"{role}的持有人") for role in ("operator", "reviewer", "auditor")}
    tokens |= {
        "own": desk.token("enterprise", "企业甲", "P000001"),
        "other": desk.token("enterprise", "企业乙", "P000002"),
    }
    return World(desk, tokens)


WORLD = made()


@pytest.fixture
def world() -> World:
    return World(WORLD.desk.copy(), WORLD.tokens)


def token(name: str) -> Callable[[World], Actor]:
    return lambda world: world.tokens[name]


ASKERS = (
    Asker("operator", Role.OPERATOR, own=False, actor=token("operator")),
    Asker("server administrator", Role.OPERATOR, own=False, actor=lambda _: Actor(ADMIN)),
    Asker("reviewer", Role.REVIEWER, own=False, actor=token("reviewer")),
    Asker("auditor", Role.AUDITOR, own=False, actor=token("auditor")),
    Asker("own enterprise", Role.ENTERPRISE, own=True, actor=token("own")),
    Asker("other enterprise", Role.ENTERPRISE, own=False, actor=token("other")),
    Asker("anybody", None, own=False, actor=lambda _: ANONYMOUS),
    Asker("a stranger", None, own=False, actor=lambda _: Actor(ADMIN._replace(value_index=9))),
)
every_asker = pytest.mark.parametrize("asker", ASKERS, ids=lambda asker: asker.name)


def expected(asker: Asker, call: str) -> str:
    """Return the rule that refuses it, empty where nothing does, "login" where nobody is known."""
    if asker.name == "anybody":
        return "login"
    if not allows(CALL_NAMED[call], asker.role):
        return "role"
    if asker.role is Role.ENTERPRISE and not asker.own and call not in FOR_ALL_OWN:
        return "own-party"
    return ""


def test_every_call_is_in_both_tables() -> None:
    """What may be done by role is what can be asked for, but for what has no place in this API."""
    assert {operation.call for operation in OPERATIONS} == set(ASK) == {call.name for call in CALLS} - NOT_OVER_HTTP


@every_asker
@pytest.mark.parametrize("call", ASK)
def test_a_call_over_http(world: World, asker: Asker, call: str) -> None:
    """Done, 403 with the rule, or 401; and a refusal stands in the journal."""
    method, path, body = ASK[call]
    by = asker.actor(world)
    answer: Answer = world.desk.ask(method, path.format(token=world.tokens["auditor"].bearer), body, by=by)
    rule = expected(asker, call)
    if rule == "login":
        assert answer.status == STATUSES[Outcome.AUTHENTICATION_NEEDED].http
        return
    if rule:
        assert (answer.status, answer.rule) == (STATUSES[Outcome.FORBIDDEN].http, rule)
        journal = world.desk.ask("GET", "/v1/journal?count=1000", by=world.tokens["operator"]).json["entries"]
        assert (journal[-1]["action"], journal[-1]["rule"]) == (call, rule)
        return
    if call == "prefix.site":  # of a hosted prefix there is none
        assert answer.rule == "site-hosted"
        return
    assert answer.status in DONE, answer


@every_asker
def test_a_record_is_written(world: World, asker: Asker) -> None:
    """By operators, and by the enterprise that has the prefix; nothing else is an HS_ADMIN right of a token."""
    result = world.desk.run(Put(f"{HOSTED}/X", (HandleValue(1, "URL", b"https://x.cn"),)), asker.actor(world))
    if asker.name == "anybody":
        assert result.outcome is Outcome.AUTHENTICATION_NEEDED
    else:
        assert result.done is (asker.role is Role.OPERATOR or asker.own)
        assert result.done or result.outcome is Outcome.FORBIDDEN


@every_asker
@pytest.mark.parametrize("command", [RekeyParties(), ReadIdentity("P000001")], ids=repr)
def test_identity_is_opened_at_this_machine_alone(world: World, asker: Asker, command: Command) -> None:
    """Reading it and sealing it anew are no calls of anybody else."""
    result = world.desk.run(command, asker.actor(world))
    assert result.outcome in (Outcome.FORBIDDEN, Outcome.AUTHENTICATION_NEEDED)
    assert not result.body
    assert world.desk.run(command, person("本机")).done


@every_asker
@pytest.mark.parametrize(
    "command",
    [ExportPrefix(HOSTED), ImportPrefix(FREE, b"", b"", b""), ImportLines(FREE, 0, b""), AbandonImport(FREE)],
    ids=repr,
)
def test_a_prefix_is_transferred_at_this_machine_alone(world: World, asker: Asker, command: Command) -> None:
    """The file holds secret keys; whoever asks from elsewhere is told nothing of prefix or file."""
    result = world.desk.run(command, asker.actor(world))
    assert result.outcome in (Outcome.FORBIDDEN, Outcome.AUTHENTICATION_NEEDED)
    assert result.rule in ("role", "")
    assert not result.body
    assert world.desk.run(command, person("本机")).outcome is not Outcome.FORBIDDEN


def test_somebody_at_this_machine_may_make_every_call() -> None:
    """Two things only he may not: both of one thing, which the rules of duties tell."""
    assert all(Role.LOCAL in call.roles for call in CALLS)


def test_an_enterprise_sees_itself_alone(world: World) -> None:
    """Of lists its own rows; by name its own, and of another one nothing, not even whether it is there."""
    own, other = world.tokens["own"], world.tokens["other"]
    for by, party, prefixes in ((own, "P000001", {HOSTED, SUSPENDED, WAITING}), (other, "P000002", set())):
        listed = world.desk.ask("GET", "/v1/parties", by=by).json
        assert ([row["party"] for row in listed["parties"]], listed["next"]) == ([party], None)
        found = world.desk.ask("GET", "/v1/prefixes?count=1", by=by).json
        seen = set()
        while True:
            seen |= {row["prefix"] for row in found["prefixes"]}
            if found["next"] is None:
                break
            found = world.desk.ask("GET", f"/v1/prefixes?count=1&after={found['next']}", by=by).json
        assert seen == prefixes
    for path in ("/v1/parties/P000001", "/v1/parties/P999999", f"/v1/prefixes/{HOSTED}", f"/v1/prefixes/{FREE}"):
        answer = world.desk.ask("GET", path, by=other)
        assert (answer.status, answer.rule) == (STATUSES[Outcome.FORBIDDEN].http, "own-party")
