"""The life of a prefix: the table, every event in every state, and a model of several people, parties and prefixes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from core.changes import ChangeKind as K
from core.errors import NodeError, Outcome
from core.ident.handle import PrefixKey
from core.lifecycle import STATE_LABELS, STATUS_CODES, TRANSITIONS, Event, State, hosting_code
from core.signature import key_id
from core.store.application_rows import Application, pack_application, unpack_application
from core.store.engine import Batch, Table
from core.store.fsck import check_store
from core.store.party_rows import Verified, pack_party
from core.store.prefix_rows import HOSTINGS, HomedPrefix, pack_prefix, unpack_prefix
from core.store.record_rows import record_key
from core.store.transfer_rows import Transfer, pack_transfer
from core.who import Who
from registry.commands import (
    Actor,
    AmendParty,
    ApplyPrefix,
    Command,
    MovePrefix,
    NationalVerdict,
    ReviewPrefix,
    SitePrefix,
    VerifyParty,
)
from registry.policy import Policy
from registry.prefixes import move
from registry.staging import Staging
from registry.upstream_commands import ConnectUpstream, DisconnectUpstream
from tests.kit.governance import ANNA, BEN, CARLA, DORA, EVIDENCE, NOW, OWN, RULES, SITE, Office, person, plain_sites

PREFIX = "88.118.7"
FILER = Who("local", "anna", 1_000)
STATES = [None, *State]


@pytest.fixture(autouse=True)
def sites() -> Iterator[None]:
    """What a site file says is no part of this."""
    with plain_sites():
        yield


# --- the table ----------------------------------------------------------------


def test_the_codes_are_total() -> None:
    """Every state has its status code, label and hosting code, of those that the ecosystem has."""
    assert STATUS_CODES.keys() == STATE_LABELS.keys() == set(State)
    assert set(STATUS_CODES.values()) <= set(range(6))
    codes = {(state, hosting): hosting_code(state, hosting) for state in State for hosting in HOSTINGS}
    assert set(codes.values()) <= {1, 2, 3, 4}
    assert {state for state in State if codes[state, "hosted"] == 4} == {State.HOMED, State.SUSPENDED}
    assert {state for state in State if STATUS_CODES[state] == 1} == {State.HOMED}


def test_allocated_is_reached_through_approve_alone() -> None:
    """Rule 2 of the table: whatever way leads there has approve on it; no way but an import leads round it."""
    without = {pair: after for pair, after in TRANSITIONS.items() if pair[1] not in (Event.APPROVE, Event.IMPORT)}
    reached: set[State | None] = {None}
    for _ in STATES:
        reached |= {after for (before, _), after in without.items() if before in reached}
    assert reached == {None, State.DRAFT, State.SUBMITTED, State.VERIFYING, State.NEEDS_CORRECTION, State.REJECTED}
    everything: set[State | None] = {None}
    for _ in STATES:
        everything |= {after for (before, _), after in TRANSITIONS.items() if before in everything}
    assert everything == set(STATES)


def test_what_is_imported_is_answered_when_it_is_whole() -> None:
    """Rule 3: nothing but the end of the import, or giving it up, leads out of it."""
    assert {after for (_, event), after in TRANSITIONS.items() if event is Event.IMPORT} == {State.IMPORTING}
    assert {event for before, event in TRANSITIONS if before is State.IMPORTING} == {Event.IMPORTED, Event.ABANDON}


@pytest.mark.parametrize(("state", "event"), list(product(STATES, Event)))
def test_every_event_in_every_state(state: State | None, event: Event) -> None:
    """As the table says, with one step and at most one change; else CONFLICT, and nothing is staged."""
    office = Office()
    application = Application(state.value if state else "", "P000001", "hosted", b"", NOW, FILER)
    with office.store.snapshot() as snapshot:
        staging = Staging(snapshot)
        desk = office.registry.desk(staging, ANNA, NOW, lambda *_: None)
        after = TRANSITIONS.get((state, event))
        if after is None:
            with pytest.raises(NodeError) as caught:
                move(desk, PrefixKey(b"88.118.7"), application, event)
            assert (caught.value.ended, caught.value.fields["rule"]) == (Outcome.CONFLICT, "transition")
            assert not any(staging.batch().rows.values())
            assert staging.batch().changes == []
            return
        moved = move(desk, PrefixKey(b"88.118.7"), application, event, reason="because", evidence=EVIDENCE)
        (row,) = staging.batch().rows[Table.APPLICATIONS].values()
        assert row is not None
        assert unpack_application(row) == moved
        assert moved.state == after.value
        (step,) = moved.steps
        assert step == (NOW, event.value, after.value, FILER._replace(uid=ANNA.uid), "because", EVIDENCE)
        assert len(staging.batch().changes) == (event not in (Event.DRAFT, Event.HOME))


# --- commands in every state -----------------------------------------------------

COMMANDS: dict[Event, tuple[Command, Actor]] = {
    Event.DRAFT: (ApplyPrefix(PREFIX, "P000001", "delegated", draft=True), ANNA),
    Event.APPLY: (ApplyPrefix(PREFIX, "P000001", "delegated"), ANNA),
    Event.CORRECT: (ReviewPrefix(PREFIX, correct=(("site", "which?"), ("name", "wrong"))), BEN),
    Event.REJECT: (ReviewPrefix(PREFIX, reject="no"), BEN),
    Event.APPROVE: (ReviewPrefix(PREFIX, approve=True), BEN),
    Event.SITE: (SitePrefix(PREFIX, SITE), ANNA),
    **{
        event: (MovePrefix(PREFIX, event.value, "because", EVIDENCE), ANNA)
        for event in (Event.SUSPEND, Event.RESUME, Event.DELETE)
    },
}
ENDS: dict[Event, tuple[State | None, ...]] = {
    Event.APPLY: (State.VERIFYING,),  # its party is verified already
    Event.APPROVE: (State.ALLOCATED,),  # its site is not known yet
    Event.SITE: (State.HOMED,),
}


@pytest.mark.parametrize(("state", "event"), list(product(STATES, COMMANDS)))
def test_every_command_in_every_state(state: State | None, event: Event) -> None:
    """What the table has is done; anything else is a CONFLICT, which leaves its entry and nothing else."""
    office = Office()
    office.verified()
    if state is not None:
        batch = Batch()
        application = Application(state.value, "P000001", "delegated", b"", NOW, FILER)
        batch.put(Table.APPLICATIONS, PREFIX.encode(), pack_application(application))
        party = office.party_row("P000001")._replace(prefixes=(PREFIX,))
        batch.put(Table.PARTIES, b"P000001", pack_party(party))
        if state in (State.HOMED, State.SUSPENDED, State.IMPORTING):
            row = HomedPrefix("delegated", NOW, suspended=state is not State.HOMED)
            batch.put(Table.PREFIXES, PREFIX.encode(), pack_prefix(row))
        if state is State.IMPORTING:
            transfer = Transfer("0" * 16, bytes(32), bytes(32), 1, 0, bytes(32), NOW)
            batch.put(Table.TRANSFERS, PREFIX.encode(), pack_transfer(transfer))
        office.store.commit(batch)
    before, entries = office.dump(Table.JOURNAL, Table.META), len(office.journal())
    command, actor = COMMANDS[event]
    result = office.ask(command, actor)
    passed = (state, event) == (State.NATIONAL_REVIEW, Event.APPROVE)  # no upstream is connected, nor decides it
    after = TRANSITIONS.get((state, Event.ALLOCATE if passed else event))
    assert len(office.journal()) == entries + 1
    if after is None:
        none = state is None and event not in (Event.DRAFT, Event.APPLY)
        assert result.outcome is (Outcome.NOT_FOUND if none else Outcome.CONFLICT)
        assert office.dump(Table.JOURNAL, Table.META) == before
    else:
        (ended,) = ENDS.get(event, (after,))
        assert result.done
        told = json.loads(result.body)
        assert ended is not None
        assert (told["state"], told["status"]) == (ended.value, STATUS_CODES[ended])
        assert office.application(PREFIX).state == ended.value
    with office.store.snapshot() as snapshot:
        assert list(check_store(snapshot)) == []


@pytest.mark.parametrize(
    "command",
    [
        ReviewPrefix(PREFIX), ReviewPrefix(PREFIX, approve=True, reject="no"),
        ReviewPrefix(PREFIX, approve=True, correct=(("name", "x"),)), ReviewPrefix(PREFIX, reject=" "),
        ReviewPrefix(PREFIX, reject="x" * 501), ReviewPrefix(PREFIX, reject="a\x07"),
        ReviewPrefix(PREFIX, correct=(("nam", "x"),)), ReviewPrefix(PREFIX, correct=(("name", ""),)),
        MovePrefix(PREFIX, "suspend", "", EVIDENCE), MovePrefix(PREFIX, "suspend", "because"),
        *(MovePrefix(PREFIX, event, "because", EVIDENCE) for event in ("apply", "approve", "home", "show", "list", "")),
    ],
)  # fmt: skip
def test_what_is_no_verdict_and_no_move_is_refused(command: Command) -> None:
    """As a wrong value, whatever the state; the others of its group are not harmed."""
    office = Office()
    party = office.verified()
    office.do(ApplyPrefix(PREFIX, party))
    before = office.dump(Table.JOURNAL, Table.META)
    results = office.run(command, command, actor=BEN)
    assert {result.outcome for result in results} == {Outcome.INVALID_VALUE}
    assert office.dump(Table.JOURNAL, Table.META) == before


# --- a model -------------------------------------------------------------------------

PEOPLE = {"anna": ANNA, "ben": BEN, "carla": CARLA, "dora": DORA}
NAMES = sorted(PEOPLE)
PREFIXES = ["88.118.1", "88.118.1.5", "88.118.2", "88.118.9"]  # below one another; the last one's name is held
PARTIES = ["P000001", "P000002", "P000003"]
OPEN = (State.SUBMITTED, State.VERIFYING)
TOP = key_id(bytes(32))
PEOPLE[f"upstream:{TOP}"] = person(f"upstream:{TOP}")
who = st.sampled_from(NAMES)
prefixes = st.sampled_from(PREFIXES)
parties = st.sampled_from(PARTIES)


class Party:
    """A party of the model."""

    def __init__(self) -> None:
        self.state = Verified.UNVERIFIED
        self.filers = {"anna"}
        self.reviewers: list[str] = []
        self.begun = False
        self.legal_rep = 0


class Prefix:
    """A prefix of the model. ``filers``: since it last ended."""

    def __init__(self) -> None:
        self.state: State | None = None
        self.party = ""
        self.hosting = "hosted"
        self.sited = False
        self.held = False
        self.deleted = False
        self.handle = False
        self.filers: set[str] = set()
        self.approvals: list[str] = []
        self.filed_ms = 0


class Machine(RuleBasedStateMachine):
    """Commands of governance, one a group or several, against plain objects."""

    @initialize(far=st.integers(0, 3), connected=st.booleans())
    def begin(self, far: int, connected: bool) -> None:
        self.patches = contextlib.ExitStack()
        self.patches.enter_context(plain_sites())
        self.office = Office(policy=Policy(hold=("*.9",)))
        self.parties = {self.office.party(number): Party() for number in range(len(PARTIES))}
        assert list(self.parties) == PARTIES
        self.prefixes = {name: Prefix() for name in PREFIXES}
        self.connected = False
        self.kinds = self.office.feed()
        self.entries = len(self.office.journal())
        self.connect(connected)  # type: ignore[call-arg] # a rule is called as a method
        for party in PARTIES[:far]:
            for reviewer in ("ben", "carla"):
                self.verify(party, reviewer, "manual")  # type: ignore[call-arg] # a rule is called as a method
            for prefix in PREFIXES[:far] if party == PARTIES[0] else PREFIXES[far:]:
                self.apply(prefix, party, "anna", draft=False, hosting=HOSTINGS[far % 2])  # type: ignore[call-arg] # the same

    def teardown(self) -> None:
        if hasattr(self, "patches"):
            self.patches.close()

    # --- what is expected
    def said(self, kind: K, *names: str) -> None:
        self.kinds += [(kind, name) for name in names]

    def ask(self, command: Command, name: str, expected: Outcome, rules: str = "") -> None:
        """Have it run; a refusal stages nothing but its entry."""
        before = self.office.dump(Table.JOURNAL, Table.META)
        result = self.office.ask(command, PEOPLE[name])
        assert (result.outcome, result.rule) == (expected, rules), command
        if not result.done:
            assert self.office.dump(Table.JOURNAL, Table.META) == before
        self.entries += 1
        entry = self.office.journal()[-1]
        assert (entry.who.name, entry.outcome, entry.rule) == (name, expected.value, rules)

    # --- parties
    @rule(party=parties, name=who, other=st.integers(0, 2), plain=st.booleans())
    def amend(self, party: str, name: str, other: int, plain: bool) -> None:
        model, form = self.parties[party], {"legal_rep": f"代表{'甲乙丙'[other]}"}
        self.ask(
            AmendParty(party, json.dumps({"profile": str(self.entries)} if plain else form).encode()), name, Outcome.OK
        )
        if plain or model.legal_rep != other + 1:
            self.said(K.PARTY_CHANGED, party)
        if not plain and model.legal_rep != other + 1:
            model.legal_rep = other + 1
            model.state, model.begun, model.reviewers = Verified.UNVERIFIED, False, []
            model.filers.add(name)
            for prefix in self.prefixes.values():
                if prefix.party == party and prefix.state in OPEN:
                    prefix.approvals = []

    @rule(party=parties, name=who, method=st.sampled_from(["offline", "manual", "manual", "manual", "failed"]))
    def verify(self, party: str, name: str, method: str) -> None:
        model = self.parties[party]
        if method == "offline":
            self.ask(VerifyParty(party, "offline"), name, Outcome.OK)
            model.state = Verified.VERIFIED if model.state is Verified.VERIFIED else Verified.FORMAT_OK
        elif method == "failed":
            command = VerifyParty(party, "manual", failed="not the paper's")
            if name in model.filers:
                return self.ask(command, name, Outcome.FORBIDDEN, "separation-of-duties")
            self.ask(command, name, Outcome.OK)
            model.state, model.begun, model.reviewers = Verified.FAILED, False, []
            return self.said(K.PARTY_VERIFIED, party)
        else:
            command = VerifyParty(party, "manual", EVIDENCE)
            if name in model.filers:
                return self.ask(command, name, Outcome.FORBIDDEN, "separation-of-duties")
            if name in model.reviewers:
                return self.ask(command, name, Outcome.FORBIDDEN, "two-reviewers")
            self.ask(command, name, Outcome.OK)
            model.reviewers.append(name)
            if len(model.reviewers) >= 2:
                model.state = Verified.VERIFIED
        model.begun = True
        self.said(K.PARTY_VERIFIED, party)
        for key, prefix in sorted(self.prefixes.items()):
            if prefix.party == party and prefix.state in OPEN:
                prefix.state = State.VERIFYING
                self.said(K.PREFIX_VERIFYING, key)
        return None

    # --- prefixes
    def faults(self, name: str, party: str) -> bool:
        above = [other for other in PREFIXES if name.startswith(other + ".")]
        ended = (None, State.DRAFT, State.REJECTED, State.DELETED)
        if any(self.prefixes[each].state not in ended and self.prefixes[each].party != party for each in above):
            return True
        model = self.prefixes[name]
        if model.state is None or model.party == party:
            return False
        return model.state not in (State.DRAFT, State.REJECTED) or model.deleted

    @rule(prefix=prefixes, party=parties, name=who, draft=st.booleans(), hosting=st.sampled_from(HOSTINGS))
    def apply(self, prefix: str, party: str, name: str, draft: bool, hosting: str) -> None:
        model = self.prefixes[prefix]
        event = Event.DRAFT if draft else Event.APPLY
        command = ApplyPrefix(prefix, party, hosting, draft=draft)
        if self.faults(prefix, party):
            return self.ask(command, name, Outcome.INVALID_VALUE, "form")
        after = TRANSITIONS.get((model.state, event))
        if after is None:
            return self.ask(command, name, Outcome.CONFLICT, "transition")
        self.ask(command, name, Outcome.CREATED if model.state is None else Outcome.OK)
        if model.state in (State.REJECTED, State.DELETED) or model.party != party:
            model.filers = set()
        model.filers.add(name)
        model.party, model.hosting, model.sited, model.approvals = party, hosting, False, []
        model.held, model.filed_ms = prefix.endswith(".9"), self.office.now
        model.state = after
        if not draft:
            self.said(K.PREFIX_APPLIED, prefix)
            if self.parties[party].begun:
                model.state = State.VERIFYING
                self.said(K.PREFIX_VERIFYING, prefix)
        return None

    @rule(prefix=prefixes, name=who, verdict=st.sampled_from(["approve", "approve", "approve", "reject", "correct"]))
    def review(self, prefix: str, name: str, verdict: str) -> None:
        model = self.prefixes[prefix]
        given: dict[str, Any] = {"approve": True, "reject": "no", "correct": (("site", "which?"),)}
        command = ReviewPrefix(prefix, **{verdict: given[verdict]})
        if model.state is None:
            return self.ask(command, name, Outcome.NOT_FOUND, "prefix-not-found")
        passed = (model.state, verdict) == (State.NATIONAL_REVIEW, "approve")
        after = TRANSITIONS.get((model.state, Event.ALLOCATE if passed else Event(verdict)))
        if after is None:
            return self.ask(command, name, Outcome.CONFLICT, "transition")
        if name in model.filers:
            return self.ask(command, name, Outcome.FORBIDDEN, "separation-of-duties")
        if passed and self.connected:
            return self.ask(command, name, Outcome.CONFLICT, "national-review")
        if verdict != "approve":
            self.ask(command, name, Outcome.OK)
            model.state, model.approvals = after, []
            return self.said(K.PREFIX_REJECTED if verdict == "reject" else K.PREFIX_CORRECTION, prefix)
        if self.parties[model.party].state is not Verified.VERIFIED:
            return self.ask(command, name, Outcome.FORBIDDEN, "verified")
        if passed:
            self.ask(command, name, Outcome.OK)
            return self.allocate(prefix)
        if name in model.approvals:
            return self.ask(command, name, Outcome.FORBIDDEN, "two-reviewers")
        self.ask(command, name, Outcome.OK)
        model.approvals.append(name)
        if model.held and len(model.approvals) < 2:
            model.state = State.VERIFYING
            return self.said(K.PREFIX_VERIFYING, prefix)
        for kind in (K.PREFIX_APPROVED, K.PREFIX_REFERRED):
            self.said(kind, prefix)
        model.state = State.NATIONAL_REVIEW
        return None if self.connected else self.allocate(prefix)

    def allocate(self, prefix: str) -> None:
        self.said(K.PREFIX_ALLOCATED, prefix)
        model = self.prefixes[prefix]
        model.state = State.ALLOCATED
        if model.hosting == "hosted":
            self.home(prefix)

    @rule(on=st.booleans())
    def connect(self, on: bool) -> None:
        """A top node, or none: what waits for it waits on."""
        if on:
            known = Outcome.OK if self.connected else Outcome.CREATED
            self.ask(ConnectUpstream("https://top.example.cn", bytes(32)), "anna", known)
        elif self.connected:
            self.ask(DisconnectUpstream(TOP), "anna", Outcome.OK)
        self.connected = on

    @rule(
        prefix=prefixes, verdict=st.sampled_from(["approved", "approved", "rejected", "asked"]),
        earlier=st.sampled_from([0, 0, 0, 1]),
    )  # fmt: skip
    def decide_above(self, prefix: str, verdict: str, earlier: int) -> None:
        """What the top node says of a filing, or of the one before."""
        model, by = self.prefixes[prefix], f"upstream:{TOP}"
        fields = (("site", "which?"),) if verdict == "asked" else ()
        command = NationalVerdict(prefix, TOP, verdict, "because", fields, model.filed_ms - earlier)
        if not self.connected:
            return self.ask(command, by, Outcome.NOT_FOUND, "upstream-not-found")
        if model.state is None:
            return self.ask(command, by, Outcome.NOT_FOUND, "prefix-not-found")
        if earlier:
            return self.ask(command, by, Outcome.CONFLICT, "verdict-filing")
        if model.state is not State.NATIONAL_REVIEW:
            return self.ask(command, by, Outcome.CONFLICT, "transition")
        if verdict == "approved":
            if self.parties[model.party].state is not Verified.VERIFIED:
                return self.ask(command, by, Outcome.FORBIDDEN, "verified")
            self.ask(command, by, Outcome.OK)
            return self.allocate(prefix)
        self.ask(command, by, Outcome.OK)
        model.approvals = []
        model.state = State.REJECTED if verdict == "rejected" else State.NEEDS_CORRECTION
        return self.said(K.PREFIX_REJECTED if verdict == "rejected" else K.PREFIX_CORRECTION, prefix)

    @rule(pick=st.integers(0, 99), verdicts=st.permutations(["approved", "rejected", "asked"]))
    def decide_what_waits_above(self, pick: int, verdicts: list[str]) -> None:
        """One that waits for the top node, and again what was decided; what waits here is not its business yet."""
        states = [State.NATIONAL_REVIEW, State.VERIFYING]
        waiting = [prefix for state in states for prefix, model in self.prefixes.items() if model.state is state]
        for verdict in verdicts[:2] if waiting else ():
            self.decide_above(waiting[pick % len(waiting)], verdict, 0)  # type: ignore[call-arg] # the same

    def home(self, prefix: str) -> None:
        model = self.prefixes[prefix]
        if model.state is State.ALLOCATED:
            model.state = State.HOMED
            self.said(K.PREFIX_HOMED, prefix)
        if not model.handle:
            self.said(K.RECORD_CREATED, f"0.NA/{prefix}")
        model.handle = True

    @rule(prefix=prefixes, name=who)
    def site(self, prefix: str, name: str) -> None:
        model, command = self.prefixes[prefix], SitePrefix(prefix, SITE)
        if model.state is None:
            return self.ask(command, name, Outcome.NOT_FOUND, "prefix-not-found")
        if (model.state, Event.SITE) not in TRANSITIONS:
            return self.ask(command, name, Outcome.CONFLICT, "transition")
        if model.hosting == "hosted":
            return self.ask(command, name, Outcome.INVALID_VALUE, "site-hosted")
        self.ask(command, name, Outcome.OK)
        self.said(K.PREFIX_SITE, prefix)
        return self.home(prefix)

    @rule(prefix=prefixes, name=who, event=st.sampled_from([Event.SUSPEND, Event.RESUME, Event.DELETE]))
    def change(self, prefix: str, name: str, event: Event) -> None:
        model, command = self.prefixes[prefix], MovePrefix(prefix, event.value, "because", EVIDENCE)
        if model.state is None:
            return self.ask(command, name, Outcome.NOT_FOUND, "prefix-not-found")
        after = TRANSITIONS.get((model.state, event))
        if after is None:
            return self.ask(command, name, Outcome.CONFLICT, "transition")
        self.ask(command, name, Outcome.OK)
        if event is Event.DELETE:
            if model.state in (State.HOMED, State.SUSPENDED):
                self.said(K.PREFIX_UNHOMED, prefix)
            if model.handle:
                self.said(K.RECORD_DELETED, f"0.NA/{prefix}")
            model.handle, model.deleted = False, True
            self.said(K.PREFIX_DELETED, prefix)
        else:
            self.said(K.PREFIX_SUSPENDED if event is Event.SUSPEND else K.PREFIX_RESUMED, prefix)
        model.state = after
        return None

    @rule(prefix=prefixes, party=parties, names=st.permutations(NAMES), hosting=st.sampled_from(HOSTINGS))
    def go_the_whole_way(self, prefix: str, party: str, names: list[str], hosting: str) -> None:
        """Whatever refuses a part of it; often nothing does."""
        for name in names:
            self.verify(party, name, "manual")  # type: ignore[call-arg] # a rule is called as a method
        self.apply(prefix, party, names[0], draft=False, hosting=hosting)  # type: ignore[call-arg] # the same
        for name in names:
            self.review(prefix, name, "approve")  # type: ignore[call-arg] # the same
        self.site(prefix, names[0])  # type: ignore[call-arg] # the same

    @rule(
        pick=st.integers(0, 99),
        names=st.permutations(NAMES),
        verdict=st.sampled_from(["reject", "correct"]),
    )
    def turn_down_what_is_open(self, pick: int, names: list[str], verdict: str) -> None:
        """One that waits, by whoever may."""
        open_ones = (*OPEN, State.NATIONAL_REVIEW)
        waiting = [prefix for prefix, model in self.prefixes.items() if model.state in open_ones]
        for name in names if waiting else ():
            self.review(waiting[pick % len(waiting)], name, verdict)  # type: ignore[call-arg] # the same

    @rule(pick=st.integers(0, 99), name=who, end=st.booleans())
    def move_what_is_there(self, pick: int, name: str, end: bool) -> None:
        """One that is allocated: to and fro, or to its end."""
        there = (State.ALLOCATED, State.HOMED, State.SUSPENDED)
        held = [prefix for prefix, model in self.prefixes.items() if model.state in there]
        if held:
            prefix = held[pick % len(held)]
            event = Event.RESUME if self.prefixes[prefix].state is State.SUSPENDED else Event.SUSPEND
            self.change(prefix, name, Event.DELETE if end else event)  # type: ignore[call-arg] # the same

    # --- what holds at any time
    @invariant()
    def the_store_is_the_model(self) -> None:
        if not hasattr(self, "office"):
            return
        office = self.office
        assert office.feed() == self.kinds
        assert len(office.journal()) == self.entries
        for name, model in self.parties.items():
            assert office.party_row(name).state is model.state
        stored = {key: unpack_application(row) for key, row in office.rows(Table.APPLICATIONS).items() if key != OWN}
        wanted = {key: model.state.value for key, model in self.prefixes.items() if model.state}
        assert {key: application.state for key, application in stored.items()} == wanted
        homed = {key: unpack_prefix(row) for key, row in office.rows(Table.PREFIXES).items() if key != OWN}
        answered = {key: model for key, model in self.prefixes.items() if model.state in (State.HOMED, State.SUSPENDED)}
        assert {key: (row.hosting, row.suspended) for key, row in homed.items()} == {
            key: (model.hosting, model.state is State.SUSPENDED) for key, model in answered.items()
        }
        with office.store.snapshot() as snapshot:
            for key, model in self.prefixes.items():
                handle = snapshot.get(Table.RECORDS, record_key(RULES.key(f"0.NA/{key}")))
                assert (handle is not None) is model.handle
            assert list(check_store(snapshot)) == []


Machine.TestCase.settings = settings(
    max_examples=max(30, (settings.default.max_examples or 0) // 50), stateful_step_count=40
)
TestLifecycleModel = Machine.TestCase


def test_the_prefixes_of_a_party_are_verified_in_their_order() -> None:
    """Whichever was applied for first: the feed says it in one way."""
    office = Office()
    party = office.party()
    for prefix in ("88.118.1.5", "88.118.1"):
        office.do(ApplyPrefix(prefix, party))
    office.do(VerifyParty(party, "manual", EVIDENCE), BEN)
    verifying = [name for kind, name in office.feed() if kind is K.PREFIX_VERIFYING]
    assert verifying == ["88.118.1", "88.118.1.5"]
