"""Prefixes: application, review, allocation, suspension and end, by the table in ``core/lifecycle.py``.

Rules:

1. ``approve`` alone leads to ``allocated``, and asks for a verified party (Measures art. 10), in the
   same transaction as the row that makes the prefix answer.
2. Whoever applied does not review.
3. A prefix that was deleted comes back to its own party alone: what was registered below it is its.
"""

from __future__ import annotations

import difflib
import re
from itertools import count
from typing import Any, Final

from core import limits
from core.changes import ChangeKind
from core.errors import Outcome, WireError
from core.ident.handle import PrefixKey, ancestors, check_prefix, prefix_handle_of
from core.lifecycle import STATE_LABELS, STATUS_CODES, TRANSITIONS, Event, State, hosting_code
from core.party.fields import FIELDS
from core.party.rules import Fault
from core.records import ADMIN_PERMISSIONS_ALL, AdminRecord, HandleValue, ValueReference, Values
from core.store.application_rows import Application, Step, pack_application, unpack_application
from core.store.engine import Table
from core.store.party_rows import PartyRow, Verified, pack_party
from core.store.prefix_rows import DELEGATED, HOSTED, HOSTINGS, HomedPrefix, pack_prefix, unpack_prefix
from core.who import Who, same_person
from core.wire.admin import encode_admin, encode_group
from core.wire.sitefile import read_sites, site_faults, site_values
from core.wire.valuetypes import HS_ADMIN, HS_SITE, HS_VLIST
from registry.codes import codes_of
from registry.commands import ApplyPrefix, MovePrefix, Result, ReviewPrefix, SitePrefix
from registry.desk import Desk, open_values, refused_form, require_digest, require_reason, told, with_filer
from registry.holds import require_free, require_free_party, require_no_hold
from registry.policy import pattern_of
from registry.refusals import fault, refusal
from registry.staging import is_used
from registry.verification import is_begun

NO_UPSTREAM: Final = "no upstream"
"""What the national review says where no national node is connected."""

_ADMIN_INDEX: Final = 100
_GROUP_INDEX: Final = 200
_ENDED: Final = (State.REJECTED, State.DELETED)
_FREE: Final = (State.DRAFT, State.REJECTED)  # nobody waits for it: a draft reserves no name
_PLAIN: Final = re.compile(rb"[0-9A-Z._-]+")
_K = ChangeKind
_KINDS: Final = {
    Event.APPLY: _K.PREFIX_APPLIED,
    Event.VERIFY: _K.PREFIX_VERIFYING,
    Event.CORRECT: _K.PREFIX_CORRECTION,
    Event.REJECT: _K.PREFIX_REJECTED,
    Event.APPROVE: _K.PREFIX_APPROVED,
    Event.REFER: _K.PREFIX_REFERRED,
    Event.ALLOCATE: _K.PREFIX_ALLOCATED,
    Event.SITE: _K.PREFIX_SITE,
    Event.SUSPEND: _K.PREFIX_SUSPENDED,
    Event.RESUME: _K.PREFIX_RESUMED,
    Event.DELETE: _K.PREFIX_DELETED,
    Event.IMPORT: _K.PREFIX_IMPORTING,
    Event.IMPORTED: _K.PREFIX_IMPORTED,
    Event.ABANDON: _K.PREFIX_ABANDONED,
}
"""Changes of the feed. A draft is nobody's business yet; homing has its change with the row of the prefix."""

MOVES: Final = {event.value: event for event in (Event.SUSPEND, Event.RESUME, Event.DELETE)}
"""What is done to a prefix that is allocated."""

_CORRECTABLE: Final = (*(field.name for field in FIELDS), "hosting", "site")


def apply_prefix(desk: Desk, command: ApplyPrefix) -> Result:
    """File an application, or file it again. All that is wrong with it is told at once."""
    prefix = check_prefix(command.prefix, desk.rules)
    party = desk.party(command.party)
    old = application_of(desk, prefix)
    faults = [
        *_name_faults(desk, prefix, command, party),
        *_taken_faults(desk, prefix, command, old),
        *_hosting_faults(desk, command),
        *count_faults(party, prefix),
    ]
    if faults:
        return refused_form(command.prefix, faults)
    event = Event.DRAFT if command.draft else Event.APPLY
    held = pattern_of(desk.policy.hold, *_names(desk, prefix, command.party, party)) is not None
    application = Application(
        "", command.party, command.hosting, command.site, desk.now_ms, desk.who, held=held,
        steps=old.steps if old and old.party == command.party else (), filers=_filers(desk, old, command.party),
    )  # fmt: skip
    note_prefix(desk, command.party, party, prefix)
    moved = move(desk, prefix, application, event, before=None if old is None else State(old.state))
    if moved.state == State.SUBMITTED.value and is_begun(party):
        moved = move(desk, prefix, moved, Event.VERIFY)
    return told(command.prefix, Outcome.CREATED if old is None else Outcome.OK, dump_application(prefix, moved))


def review_prefix(desk: Desk, command: ReviewPrefix) -> Result:
    """Approve, reject, or ask for corrections."""
    prefix, application = find_application(desk, command.prefix)
    if command.approve + bool(command.reject) + bool(command.correct) != 1:
        raise refusal("review", Outcome.INVALID_VALUE)
    event = Event.APPROVE if command.approve else Event.REJECT if command.reject else Event.CORRECT
    if event is Event.APPROVE and application.state == State.NATIONAL_REVIEW.value:
        event = Event.ALLOCATE
    require_move(prefix, application, event)
    if any(same_person(desk.who, each, by_proof=desk.policy.production) for each in application.filers):
        raise refusal("separation-of-duties")
    if event is Event.REJECT:
        moved = move(desk, prefix, application, event, reason=require_reason(command.reject))
    elif event is Event.CORRECT:
        moved = ask_corrections(desk, prefix, application, _corrections(command.correct))
    elif event is Event.ALLOCATE:
        if upstream_ids(desk):
            raise refusal("national-review", Outcome.CONFLICT, prefix=prefix.decode())
        moved = allocate(desk, prefix, application, NO_UPSTREAM)
    else:
        moved = _approve(desk, prefix, application)
    return told(command.prefix, Outcome.OK, dump_application(prefix, moved))


def site_prefix(desk: Desk, command: SitePrefix) -> Result:
    """Give a delegated prefix its service sites; one that waits for them is homed."""
    prefix, application = find_application(desk, command.prefix)
    require_move(prefix, application, Event.SITE)
    if application.hosting != DELEGATED:
        raise refusal("site-hosted", Outcome.INVALID_VALUE)
    require_free(desk.staging, prefix)
    faults = faults_of_site(desk, command.site)
    if faults:
        return refused_form(command.prefix, faults)
    moved = move(desk, prefix, application._replace(site=command.site), Event.SITE)
    moved = _home(desk, prefix, moved)
    return told(command.prefix, Outcome.OK, dump_application(prefix, moved))


def move_prefix(desk: Desk, command: MovePrefix) -> Result:
    """Suspend, resume or delete. Every reason is kept; suspension and deletion need evidence, too."""
    prefix, application = find_application(desk, command.prefix)
    event = MOVES[command.event]
    reason = require_reason(command.reason)
    if not require_digest(command.evidence) and event is not Event.RESUME:
        raise refusal("evidence", Outcome.INVALID_VALUE)
    require_move(prefix, application, event)
    row = desk.staging.get(Table.PREFIXES, prefix)
    if event is Event.DELETE:
        _end(desk, prefix, application)
    elif row is not None:
        homed = unpack_prefix(row)._replace(suspended=event is Event.SUSPEND)
        desk.home(prefix, pack_prefix(homed))
    moved = move(desk, prefix, application, event, reason=reason, evidence=command.evidence)
    return told(command.prefix, Outcome.OK, dump_application(prefix, moved))


# --- the state machine ---
def can_move(application: Application, event: Event) -> bool:
    """Whether the table lets an event happen to a prefix now."""
    return (State(application.state), event) in TRANSITIONS


def require_move(prefix: bytes, application: Application, event: Event) -> None:
    """Errors: NodeError(CONFLICT) if the table does not let the event happen."""
    if not can_move(application, event):
        raise wrong_time(prefix, State(application.state), event)


def move(
    desk: Desk, prefix: bytes, application: Application, event: Event, *,
    before: State | None = None, reason: str = "", evidence: bytes = b"",
) -> Application:  # fmt: skip
    """Stage an application after an event, with its change. ``before``: the state where ``application`` has none yet.

    Errors: NodeError(CONFLICT) if the table does not let it happen.
    """
    before = State(application.state) if application.state else before
    after = TRANSITIONS.get((before, event))
    if after is None:
        raise wrong_time(prefix, before, event)
    step = Step(desk.now_ms, event.value, after.value, desk.who, reason, evidence)
    moved = application._replace(state=after.value, steps=(*application.steps, step))
    desk.staging.put(Table.APPLICATIONS, prefix, pack_application(moved))
    kind = _KINDS.get(event)
    if kind is not None:
        desk.staging.change(kind, prefix, desk.now_ms)
    return moved


def wrong_time(prefix: bytes, state: State | None, event: Event) -> Exception:
    """Return the refusal of an event that the table does not let happen."""
    name, label = (state.value, STATE_LABELS[state]) if state else ("-", "未申请")
    return refusal("transition", Outcome.CONFLICT, prefix=prefix.decode(), state=name, label=label, event=event.value)


def ask_corrections(
    desk: Desk, prefix: PrefixKey, application: Application, corrections: tuple[tuple[str, str], ...], by: str = ""
) -> Application:
    """Ask for corrections: fields and reasons. ``by``: who asks, where that is another node."""
    told = "; ".join(filter(None, (by, *(f"{field}: {reason}" for field, reason in corrections))))
    return move(
        desk, prefix, application._replace(corrections=corrections, approvals=()), Event.CORRECT,
        reason=told[: limits.REASON_CHARS_MAX],
    )  # fmt: skip


def upstream_ids(desk: Desk) -> list[str]:
    """Return the ids of the upstreams that are connected: while there is one, it decides the national review."""
    return [key.decode() for key, _ in desk.staging.scan(Table.UPSTREAMS)]


def allocate(desk: Desk, prefix: PrefixKey, application: Application, reason: str) -> Application:
    """Allocate and home a prefix that is through the national review, if it still may be. Errors: NodeError."""
    _require_allocatable(desk, prefix, application)
    return _home(desk, prefix, move(desk, prefix, application, Event.ALLOCATE, reason=reason))


def _require_allocatable(desk: Desk, prefix: PrefixKey, application: Application) -> tuple[str, ...]:
    """Return what the lists of names look at. Errors: NodeError for what stands in the way now, Measures art. 10."""
    party = desk.party(application.party)
    require_free_party(desk.staging, application.party)
    if party.state is not Verified.VERIFIED:
        raise refusal("verified", party=application.party, state=party.state.value)
    if not party.sealed:  # verified elsewhere, for a prefix that was allocated there
        raise refusal("identity-awaited", party=application.party)
    names = _names(desk, prefix, application.party, party)
    denied = pattern_of(desk.policy.deny, *names)  # the list and the name may be others than when it was filed
    if denied is not None:
        raise refusal("name-denied", pattern=denied)
    faults = faults_of_site(desk, application.site) if application.site else []
    if faults:
        raise refusal("site-file", Outcome.INVALID_VALUE, error=faults[0].zh, error_en=faults[0].en)
    return names


def _approve(desk: Desk, prefix: PrefixKey, application: Application) -> Application:
    """Give one approval; with all that it needs the prefix is allocated, or waits for an upstream."""
    names = _require_allocatable(desk, prefix, application)
    if any(same_person(desk.who, each, by_proof=desk.policy.production) for each in application.approvals):
        raise refusal("two-reviewers")
    approvals = (*application.approvals, desk.who)
    held = application.held or pattern_of(desk.policy.hold, *names) is not None
    application = application._replace(approvals=approvals, corrections=(), held=held)
    if held and len(approvals) < limits.REVIEWERS_NEEDED:
        return move(desk, prefix, application, Event.VERIFY, reason=f"approved by 1 of {limits.REVIEWERS_NEEDED}")
    application = move(desk, prefix, application, Event.APPROVE)
    upstreams = upstream_ids(desk)
    told = ", ".join(f"upstream {each}" for each in upstreams) or NO_UPSTREAM
    application = move(desk, prefix, application, Event.REFER, reason=told)
    return application if upstreams else _home(desk, prefix, move(desk, prefix, application, Event.ALLOCATE))


def _home(desk: Desk, prefix: PrefixKey, application: Application) -> Application:
    """Answer for a prefix that is allocated; a delegated one once its sites are known, and by new ones."""
    if application.hosting == DELEGATED and not application.site:
        return application
    homed = application
    if application.state == State.ALLOCATED.value:
        homed = move(desk, prefix, application, Event.HOME)
        desk.home(prefix, pack_prefix(HomedPrefix(application.hosting, desk.now_ms)))
    key = prefix_handle_of(prefix)
    old = desk.staging.record(key)
    # What lay there before the prefix was allocated is of somebody who does not hold it.
    kept = old or () if homed is application else ()
    values = _prefix_values(desk, prefix, application, kept)
    if values != old:
        desk.staging.put_record(key, old, values, desk.now_ms)
    return homed


def _end(desk: Desk, prefix: PrefixKey, application: Application) -> None:
    """Answer for a prefix no longer, nor for its prefix handle, which may name the enterprise's node."""
    if application.own:
        raise refusal("own-prefix")
    require_no_hold(desk.staging, prefix)
    if desk.staging.get(Table.PREFIXES, prefix) is not None:
        desk.home(prefix, None)
    key = prefix_handle_of(prefix)
    old = desk.staging.record(key)
    if old is not None:
        desk.staging.delete_record(key, old, desk.now_ms)


def _prefix_values(desk: Desk, prefix: PrefixKey, application: Application, old: Values) -> Values:
    """Return the values of the prefix handle: administrators where there are none yet, and the sites."""
    now_s = desk.now_ms // 1_000
    kept = tuple(value for value in old if value.type != HS_SITE or application.hosting == HOSTED)
    own = prefix_handle_of(prefix).decode()
    if not any(value.type == HS_ADMIN for value in kept):
        members = tuple(ValueReference(key.decode(), index) for key, index in desk.operators)
        taken = {value.value_index for value in kept}
        at, group = (next(each for each in count(first) if each not in taken) for first in (_ADMIN_INDEX, _GROUP_INDEX))
        admin = AdminRecord(ADMIN_PERMISSIONS_ALL, own, group)
        kept = (
            *kept,
            HandleValue(at, HS_ADMIN, encode_admin(admin), timestamp=now_s),
            HandleValue(group, HS_VLIST, encode_group(members), timestamp=now_s),
        )
    sites = site_values(read_sites(application.site), now_s) if application.hosting == DELEGATED else ()
    taken = {value.value_index for value in sites}
    return tuple(sorted((*sites, *(value for value in kept if value.value_index not in taken))))


# --- what an application may say ---
def _name_faults(desk: Desk, prefix: PrefixKey, command: ApplyPrefix, party: PartyRow) -> list[Fault]:
    faults = []
    codes = codes_of(desk.staging)
    if not any(prefix.startswith(code + b".") for code in codes):
        shown = ", ".join(code.decode() for code in codes) or "-"
        faults.append(fault("prefix", "prefix-below-node", codes=shown))
    faults += place_faults(desk, prefix, command.party)
    pattern = pattern_of(desk.policy.deny, *_names(desk, prefix, command.party, party))
    if pattern is not None:
        faults.append(fault("prefix", "name-denied", pattern=pattern))
    if desk.policy.is_overdue(party, desk.now_ms):
        faults.append(fault("party", "confirmed", party=command.party))
    return faults


def place_faults(desk: Desk, prefix: PrefixKey, party: str) -> list[Fault]:
    """Return what is wrong with the place of a prefix that a party is to hold, and with its characters."""
    faults = []
    for above in ancestors(prefix)[1:]:
        holder = application_of(desk, PrefixKey(above)) if above else None
        if holder is None or not is_reserved(holder):
            continue
        importing = holder.state == State.IMPORTING.value  # whose it will be is not here yet
        if importing or (not holder.own and holder.party != party):
            faults.append(fault("prefix", "prefix-above", above=above.decode()))
            break
    if not _PLAIN.fullmatch(prefix):
        faults.append(fault("prefix", "prefix-characters"))
    return faults


def is_free(application: Application) -> bool:
    """Whether an application reserves nothing, and nobody ever had the prefix by it."""
    deleted = any(step.event == Event.DELETE.value for step in application.steps)
    return State(application.state) in _FREE and not application.own and not deleted


def is_reserved(application: Application) -> bool:
    """Whether somebody has the prefix of an application, or waits for it."""
    return State(application.state) not in (*_FREE, *_ENDED)


def _taken_faults(desk: Desk, prefix: PrefixKey, command: ApplyPrefix, old: Application | None) -> list[Fault]:
    if old is not None and old.party == command.party:
        return []
    if old is None:
        free = desk.staging.get(Table.PREFIXES, prefix) is None
    else:
        free = is_free(old)
    used = is_used(desk.staging, prefix)  # what was registered below it is another's
    return [] if free and not used else [fault("prefix", "prefix-taken")]


def count_faults(party: PartyRow, prefix: PrefixKey) -> list[Fault]:
    """Return the fault of a party that can have no other prefix."""
    full = len(party.prefixes) >= limits.PARTY_PREFIXES_MAX and prefix.decode() not in party.prefixes
    return [fault("party", "prefix-count", prefixes=limits.PARTY_PREFIXES_MAX)] if full else []


def note_prefix(desk: Desk, name: str, party: PartyRow, prefix: PrefixKey) -> None:
    """Stage that a party has an application for a prefix."""
    if prefix.decode() not in party.prefixes:
        row = party._replace(prefixes=(*party.prefixes, prefix.decode()))
        desk.staging.put(Table.PARTIES, name.encode(), pack_party(row))


def _hosting_faults(desk: Desk, command: ApplyPrefix) -> list[Fault]:
    if command.hosting not in HOSTINGS:
        return [fault("hosting", "hosting", choices=", ".join(HOSTINGS))]
    if not command.site:
        return []
    return [fault("site", "site-hosted")] if command.hosting == HOSTED else faults_of_site(desk, command.site)


def faults_of_site(desk: Desk, site: bytes) -> list[Fault]:
    """Return what is wrong with the sites of a delegated prefix, as JSON."""
    try:
        sites = read_sites(site)
    except WireError as error:
        return [fault("site", "site-file", error=error.message, error_en=error.message)]
    return list(site_faults(sites, desk.policy.addresses.allows))


def _names(desk: Desk, prefix: PrefixKey, name: str, party: PartyRow) -> tuple[str, ...]:
    """Return what the lists of names look at; the name of a person is sealed."""
    if party.person and (desk.policy.deny or desk.policy.hold):
        return prefix.decode(), str(open_values(desk.keys(), name, party).get("name", ""))
    return prefix.decode(), str(party.plain.get("name", ""))


def _filers(desk: Desk, old: Application | None, party: str) -> tuple[Who, ...]:
    """Return who filed an application, or a draft of it, since it last ended: he included who does so now."""
    known = old.filers if old and old.party == party and State(old.state) not in _ENDED else ()
    return with_filer(known, desk.who)


def _corrections(given: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    for field, _ in given[: limits.CORRECTIONS_MAX]:
        if field not in _CORRECTABLE:
            near = difflib.get_close_matches(field, _CORRECTABLE, 1)
            raise refusal(
                "correction-field", Outcome.INVALID_VALUE, field=repr(field[:40]),
                near_zh=f"；相近的是{near[0]}" if near else "", near_en=f"; near it: {near[0]}" if near else "",
            )  # fmt: skip
    return tuple((field, require_reason(reason)) for field, reason in given[: limits.CORRECTIONS_MAX])


# --- reading ---
def application_of(desk: Desk, prefix: PrefixKey) -> Application | None:
    """Return the application for a prefix, None if there is none."""
    row = desk.staging.get(Table.APPLICATIONS, prefix)
    return None if row is None else unpack_application(row)


def find_application(desk: Desk, text: str) -> tuple[PrefixKey, Application]:
    """Return an application. Errors: NodeError; an enterprise is told of its own alone."""
    prefix = check_prefix(text, desk.rules)
    application = application_of(desk, prefix)
    desk.require_own(application.party if application else "")
    if application is None:
        raise refusal("prefix-not-found", Outcome.NOT_FOUND, prefix=prefix.decode())
    return prefix, application


def dump_application(prefix: bytes, application: Application) -> dict[str, Any]:
    """Return an application as JSON has it, without its steps."""
    state = State(application.state)
    corrections = [{"path": field, "rule": "correction", "reason": reason} for field, reason in application.corrections]
    return {
        "prefix": prefix.decode(),
        "state": state.value,
        "status": STATUS_CODES[state],
        "party": application.party or None,
        "hosting": application.hosting,
        "hosting_status": hosting_code(state, application.hosting),
        "corrections": corrections,
        "held": application.held,
        "awaits_site": application.hosting == DELEGATED and not application.site,
    }
