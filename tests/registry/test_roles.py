"""Every role makes every call: it is done, or refused exactly as registry/roles.py has it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from core.errors import Outcome
from core.ident.unitcode import UnitCodes, derive_lot_key
from core.outcomes import STATUSES
from core.records import HandleValue
from core.who import Role
from registry.alias_commands import AddAlias
from registry.commands import (
    ANONYMOUS,
    AbandonImport,
    Actor,
    AddParty,
    AddTemplate,
    ApplyPrefix,
    Command,
    CreateLot,
    ExportPrefix,
    FileComplaint,
    HoldLog,
    ImportLines,
    ImportPrefix,
    MoveComplaint,
    MovePrefix,
    NationalVerdict,
    NoteAct,
    OpenIncident,
    PlaceHold,
    PublishTemplate,
    Put,
    ReadContact,
    ReadIdentity,
    RekeyParties,
    ReportIncident,
    ReviewPrefix,
    UpdateIncident,
    VerifyParty,
)
from registry.management import OPERATIONS
from registry.probe import Probe
from registry.roles import CALL_NAMED, CALLS, allows
from registry.upstream_commands import ConnectUpstream, DisconnectUpstream, TakeChange
from tests.kit.governance import INCIDENT, LOT_RING
from tests.kit.management import ADMIN, DIGEST, FORMS, Answer, Desk, person
from tests.kit.templates import template_form, template_members

EVIDENCE = bytes.fromhex(DIGEST)
HOSTED, SUSPENDED, WAITING, FREE = "88.118.7", "88.118.6", "88.118.8", "88.118.9"
LOT, TIME = f"{HOSTED}/L1", "2026-09-01T08:00:00Z"
UNIT = f"{LOT}{UnitCodes(derive_lot_key(LOT_RING.keys[1], HOSTED.encode(), b'L1', 1)).serial(3).decode()}"
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
    "hold.place": ("POST", "/v1/holds", {"target": f"{HOSTED}/X", "order": "令1", "reason": "测试"}),
    "hold.lift": ("POST", "/v1/holds/liftings", {"target": f"{SUSPENDED}/HELD", "order": "令1"}),
    "hold.list": ("GET", "/v1/holds", None),
    "log.hold": ("POST", "/v1/log-holds", {"log": "change/2026-03", "order": "令1", "reason": "测试"}),
    "log.release": ("POST", "/v1/log-holds/releases", {"log": "change/2026-04", "order": "令1"}),
    "log.holds": ("GET", "/v1/log-holds", None),
    "token.issue": ("POST", "/v1/tokens", {"role": "enterprise", "holder": "新经办人", "party": "P000001"}),
    "token.list": ("GET", "/v1/tokens", None),
    "token.revoke": ("DELETE", "/v1/tokens/{token}", None),
    "template.add": ("POST", "/v1/templates", template_members(version="3.0", party="P000001")),
    "template.publish": ("POST", "/v1/templates/SALT-PRODUCT/publications", {}),
    "template.withdraw": ("POST", "/v1/templates/SALT-PRODUCT/withdrawals", {"version": "1.0"}),
    "template.show": ("GET", "/v1/templates/SALT-PRODUCT?version=1.0", None),
    "template.list": ("GET", "/v1/templates", None),
    "incident.open": ("POST", "/v1/incidents", json.loads(INCIDENT)),
    "incident.list": ("GET", "/v1/incidents", None),
    "incident.show": ("GET", "/v1/incidents/I000001", None),
    "incident.update": ("PATCH", "/v1/incidents/I000001", {"cause": "供电"}),
    "incident.report": ("POST", "/v1/incidents/I000001/reports", {"to": "省通信管理局"}),
    "incident.form": ("GET", "/v1/incidents/I000001/reports/1", None),
    "incident.close": ("POST", "/v1/incidents/I000001/closure", None),
    "complaint.file": ("POST", "/v1/complaints", {"kind": "other", "text": "不对"}),
    "complaint.status": ("GET", "/v1/complaints/{received}", None),
    "complaint.list": ("GET", "/v1/complaints", None),
    "complaint.show": ("GET", "/v1/complaints/{received}/history", None),
    "complaint.accept": ("POST", "/v1/complaints/{received}/acceptance", None),
    "complaint.answer": ("POST", "/v1/complaints/{accepted}/answer", {"text": "已更正"}),
    "complaint.reject": ("POST", "/v1/complaints/{received}/rejection", {"reason": "不属于本节点"}),
    "complaint.close": ("POST", "/v1/complaints/{answered}/closure", None),
    "lot.create": ("POST", "/v1/lots", {"lot": f"{HOSTED}/L2", "product": f"{HOSTED}/SKU", "count": 10}),
    "lot.list": ("GET", "/v1/lots", None),
    "lot.show": ("GET", f"/v1/lots/{LOT}", None),
    "lot.take": ("POST", f"/v1/lots/{LOT}/blocks", {"line": "L4", "count": 5}),
    "lot.blocks": ("GET", f"/v1/lots/{LOT}/blocks", None),
    "lot.codes": ("GET", f"/v1/lots/{LOT}/codes", None),
    "lot.events": ("POST", f"/v1/lots/{LOT}/events", [{"event": "scrapped", "time": TIME, "from": 0, "count": 1}]),
    "lot.unit": ("GET", f"/v1/units/{UNIT}", None),
    "alias.add": ("POST", "/v1/aliases", {"identifier": LOT, "alias": "gln:6901234567892"}),
    "alias.list": ("GET", f"/v1/aliases?identifier={LOT}", None),
    "alias.remove": ("DELETE", "/v1/aliases/oid:1.2.156.99999.7", None),
    "monitor.show": ("GET", "/v1/monitor", None),
    "change.list": ("GET", "/v1/changes", None),
    "journal.list": ("GET", "/v1/journal", None),
}
"""How each call is made over HTTP: about P000001 and its prefixes."""

NOT_OVER_HTTP = {
    "party.identity", "party.rekey", "record.write", "complaint.contact", "prefix.export", "prefix.import",
    "prefix.abandon", "lot.rekey", "report.inspection", "report.month", "downtime.plan", "downtime.cancel",
    "backup", "escrow.deposit", "log.read",
    "prefix.verdict", "upstream.connect", "upstream.disconnect", "node.probe",
    "takeover.change",
}  # fmt: skip
FOR_ALL_OWN = ("party.list", "prefix.list", "lot.list", "alias.list")
"""Name nobody's party: an enterprise gets its own, whichever that is."""


class Asker(NamedTuple):
    """Somebody: his role, whether P000001 is his, and who that is in a world."""

    name: str
    role: Role | None
    own: bool
    actor: Callable[[World], Actor]


class World(NamedTuple):
    """Two verified parties, prefixes of the first in several states, a token for each role, complaints by state."""

    desk: Desk
    tokens: dict[str, Actor]
    complaints: dict[str, str]


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
    desk.done(PlaceHold(f"{SUSPENDED}/HELD", "令1", "测试"))
    desk.done(HoldLog("change/2026-04", "令1", "测试"))
    desk.done(CreateLot(json.dumps({"lot": LOT, "product": f"{HOSTED}/SKU", "count": 10}).encode()))
    desk.done(AddAlias(LOT, "oid:1.2.156.99999.7"))
    for version in ("1.0", "2.0"):
        desk.done(AddTemplate(template_form(version=version, party="P000001")))
    desk.done(PublishTemplate("SALT-PRODUCT", "1.0"))
    desk.done(OpenIncident(INCIDENT))
    desk.done(UpdateIncident("I000001", b'{"cause": "x", "measures": ["y"]}'))
    desk.done(ReportIncident("I000001", "z"))
    tokens = {role: desk.token(role, f"{role}的持有人") for role in ("operator", "reviewer", "auditor")}
    tokens |= {
        "own": desk.token("enterprise", "企业甲", "P000001"),
        "other": desk.token("enterprise", "企业乙", "P000002"),
    }
    complaints = {}
    for state, events in {"received": (), "accepted": ("accept",), "answered": ("accept", "answer")}.items():
        ticket = desk.done(FileComplaint("other", "不对", phone="13800138000"))["ticket"]
        complaints[state] = ticket
        for event in events:
            desk.done(MoveComplaint(ticket, event, "已更正"))
    return World(desk, tokens, complaints)


WORLD = made()


@pytest.fixture
def world() -> World:
    return WORLD._replace(desk=WORLD.desk.copy())


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
        return "" if CALL_NAMED[call].public else "login"
    if not allows(CALL_NAMED[call], asker.role):
        return "role"
    own = CALL_NAMED[call].own and call not in FOR_ALL_OWN
    if asker.role is Role.ENTERPRISE and own and not asker.own:
        kind = call.partition(".")[0]
        return f"{kind}-own-prefix" if kind in ("lot", "alias") else "own-party"
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
    answer: Answer = world.desk.ask(
        method, path.format(token=world.tokens["auditor"].bearer, **world.complaints), body, by=by
    )
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


NOTED = ("lot.rekey", "report.inspection", "report.month", "backup", "escrow.deposit")


@every_asker
@pytest.mark.parametrize("action", [*NOTED, "party.add", "", "x" * 100])
def test_an_act_that_is_only_noted_is_one_of_this_machine(world: World, asker: Asker, action: str) -> None:
    """New keys of unit codes and packs for inspectors are; nothing else is noted but log-ins, by who logs in."""
    result = world.desk.run(NoteAct(action, "1"), asker.actor(world))
    noted = action in NOTED
    wrong = Outcome.FORBIDDEN if noted else Outcome.INVALID_VALUE
    assert result.outcome in (wrong, Outcome.AUTHENTICATION_NEEDED)
    assert world.desk.run(NoteAct(action, "1"), person("本机")).done is noted


@every_asker
@pytest.mark.parametrize("kind", [RekeyParties, ReadIdentity, ReadContact])
def test_identity_is_opened_at_this_machine_alone(world: World, asker: Asker, kind: type) -> None:
    """Reading it and sealing it anew are no calls of anybody else."""
    about = {RekeyParties: (), ReadIdentity: ("P000001",), ReadContact: (world.complaints["received"],)}
    command: Command = kind(*about[kind])
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


@every_asker
def test_the_node_probes_itself_alone(world: World, asker: Asker) -> None:
    """A commit each: nobody may ask for it from elsewhere."""
    result = world.desk.run(Probe(), asker.actor(world))
    assert result.outcome in (Outcome.FORBIDDEN, Outcome.AUTHENTICATION_NEEDED)
    assert world.desk.run(Probe(), person("node")).done


@every_asker
@pytest.mark.parametrize("kind", [ConnectUpstream, DisconnectUpstream, NationalVerdict, TakeChange])
def test_upstreams_are_this_machines_alone(world: World, asker: Asker, kind: type) -> None:
    """To connect one, to end that, and to say what one has decided."""
    top = world.desk.done(ConnectUpstream("https://top.example.cn", bytes(32)))["id"]
    about = {
        ConnectUpstream: ("https://other.example.cn", bytes(32), ""),
        DisconnectUpstream: (top,),
        NationalVerdict: (WAITING, top, "rejected", "no", (), world.desk.now),
        TakeChange: (top, "T1", 1, f"{WAITING}/X", True, b"", b"", world.desk.now, "eve"),
    }
    command: Command = kind(*about[kind])
    if kind is NationalVerdict:
        world.desk.done(ReviewPrefix(WAITING, approve=True), person("审核甲"))
    result = world.desk.run(command, asker.actor(world))
    assert result.outcome in (Outcome.FORBIDDEN, Outcome.AUTHENTICATION_NEEDED)
    assert result.rule in ("role", "")
    assert world.desk.run(command, person(f"upstream:{top}")).outcome is not Outcome.FORBIDDEN


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


def test_whoever_looks_at_prefix_or_party_sees_the_order_that_stops_it(world: World) -> None:
    """By its number; why is for who may list holds."""
    world.desk.done(PlaceHold("P000001", "令7", "秘密"))
    for path in (f"/v1/prefixes/{HOSTED}", "/v1/parties/P000001"):
        told = world.desk.ask("GET", path, by=world.tokens["own"]).json
        assert told["on_hold"] == ["令7"]
        assert "秘密" not in json.dumps(told, ensure_ascii=False)
    listed = world.desk.ask("GET", "/v1/prefixes", by=world.tokens["auditor"]).json["prefixes"]
    orders = {row["prefix"]: row["on_hold"] for row in listed}
    assert (orders[HOSTED], orders["88.118"]) == (["令7"], [])
    holds = world.desk.ask("GET", "/v1/holds", by=world.tokens["auditor"]).json["holds"]
    assert "秘密" in json.dumps(holds, ensure_ascii=False)


def test_an_enterprise_sees_its_own_lots_alone(world: World) -> None:
    """In the list, page by page, and of another one's product it registers none."""
    world.desk.done(CreateLot(json.dumps({"lot": "88.118/L1", "product": "88.118/SKU", "count": 10}).encode()))
    for name, lots in {"own": [LOT], "other": [], "auditor": [LOT, "88.118/L1"]}.items():
        by, path = world.tokens[name], "/v1/lots?count=1"
        seen = []
        while True:
            page = world.desk.ask("GET", path, by=by).json
            seen += [row["lot"] for row in page["lots"]]
            if page["next"] is None:
                break
            path = f"/v1/lots?count=1&after={page['next']}"
        assert seen == lots
        below = world.desk.ask("GET", f"/v1/lots?prefix={HOSTED}", by=by).json["lots"]
        assert [row["lot"] for row in below] == [lot for lot in lots if lot == LOT]
    form = {"lot": f"{HOSTED}/L3", "product": "88.118/SKU", "count": 10}
    refused = world.desk.ask("POST", "/v1/lots", form, by=world.tokens["own"])
    assert (refused.status, refused.rule) == (STATUSES[Outcome.FORBIDDEN].http, "lot-own-product")
