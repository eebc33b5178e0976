"""Parties: enterprises and persons who may hold a prefix, with the subject data of table T6.

What is filed is checked as a whole; a form with any fault is refused with all of them and
stores nothing. Fields of identity are sealed before they are staged, each under the current
key with a nonce of its own, so that no row, no change and no message ever holds one.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterator, Mapping
from typing import Any, Final

from core.changes import ChangeKind
from core.clock import shanghai_date
from core.errors import NodeError, Outcome, SealError
from core.ident.handle import PrefixKey
from core.lifecycle import Event
from core.party.check import Checked, check_subject
from core.party.fields import BY_NAME, identity_names
from core.party.seal import key_id_of, reseal, seal
from core.store.application_rows import Application, pack_application
from core.store.engine import Table
from core.store.party_rows import (
    LAST_KEY,
    Check,
    PartyRow,
    Plain,
    Verified,
    number_key,
    pack_number,
    pack_party,
    party_id,
    unpack_number,
    unpack_party,
)
from core.who import Role
from registry.commands import AddParty, AmendParty, ConfirmParty, ReadIdentity, RekeyParties, Result, VerifyParty
from registry.complaints import reseal_contacts
from registry.desk import (
    Desk,
    Seals,
    cannot_open,
    dump_faults,
    open_values,
    read_form,
    refused_form,
    require_digest,
    require_reason,
    told,
    with_filer,
)
from registry.prefixes import application_of, can_move, move
from registry.refusals import refusal
from registry.verification import AMENDED, VERIFIED_FIELDS, Case, Finding, Method, is_begun

_LOG: Final = logging.getLogger("saltern.verification")
_NUMBER: Final = 8
_PERSON: Final = "person"
_K = ChangeKind


def add_party(desk: Desk, command: AddParty) -> Result:
    """Add a party; the body of the result is JSON: its id, state and warnings, or the faults."""
    form = read_form(command.form)
    checked = check_subject(form, shanghai_date(desk.now_ms))
    if not checked.right:
        return refused_form("", checked.faults, checked.warnings)
    person = isinstance(form, Mapping) and form.get("kind") == _PERSON
    number = number_key(str(checked.values["cert_type"]), str(checked.values["uscc"]))
    if not person:
        _require_new(desk, number, "")
    last = int.from_bytes(desk.staging.get(Table.META, LAST_KEY) or b"", "big") + 1
    name = party_id(last)
    plain, sealed = _fields(name, checked, desk.keys(), person=person)
    row = PartyRow(
        desk.now_ms, desk.who, person, plain, sealed, confirmed_ms=desk.now_ms, filers=with_filer((), desk.who)
    )
    desk.staging.put(Table.META, LAST_KEY, last.to_bytes(_NUMBER, "big"))
    if not person:
        desk.staging.put(Table.PARTY_NUMBERS, number, pack_number(name))
    _put(desk, name, row, _K.PARTY_ADDED)
    return told(name, Outcome.CREATED, _summary(name, row, checked))


def amend_party(desk: Desk, command: AmendParty) -> Result:
    """Change fields of a party; null or an empty text takes one away. What was verified is to be verified again."""
    old = desk.party(command.party)
    form = read_form(command.form)
    if not isinstance(form, Mapping):
        raise refusal("json", Outcome.INVALID_VALUE, error="no object")
    before = open_values(desk.keys(), command.party, old)
    merged = {**before, **{name: value for name, value in form.items() if name != "kind"}}
    checked = check_subject(merged, shanghai_date(desk.now_ms))
    if not checked.right:
        return refused_form(command.party, checked.faults, checked.warnings)
    if not old.person:
        _renumber(desk, command.party, old, checked)
    plain, sealed = _fields(command.party, checked, desk.keys(), person=old.person)
    changed = {name for name in BY_NAME if before.get(name) != texts_of(checked).get(name)}
    row = old._replace(plain=plain, sealed=sealed)
    if changed & VERIFIED_FIELDS:
        step = Check(desk.now_ms, AMENDED, ", ".join(sorted(changed)), b"", desk.who, Verified.UNVERIFIED.value)
        filers = with_filer(old.filers, desk.who)
        row = row._replace(state=Verified.UNVERIFIED, steps=(*old.steps, step), filers=filers)
        _forget_approvals(desk, command.party, row)
    if changed:
        _put(desk, command.party, row, _K.PARTY_CHANGED)
    return told(command.party, Outcome.OK, _summary(command.party, row, checked) | {"changed": sorted(changed)})


def verify_party(desk: Desk, command: VerifyParty) -> Result:
    """Have one method judge a party. Its applications that wait move on to "verifying"."""
    party = desk.party(command.party)
    method = desk.methods.get(command.method)
    if method is None:
        raise refusal(
            "method", Outcome.INVALID_VALUE, method=repr(command.method[:40]), methods=", ".join(desk.methods)
        )
    if command.failed and not method.people:
        raise refusal("failed-by-hand", Outcome.INVALID_VALUE)
    failed = require_reason(command.failed) if command.failed else ""
    evidence = require_digest(command.evidence, command.document)
    case = Case(
        party, open_values(desk.keys(), command.party, party), desk.who, evidence, command.document, failed,
        shanghai_date(desk.now_ms), desk.policy.production,
    )  # fmt: skip
    finding = _judged(method, command.method, case)
    step = Check(desk.now_ms, command.method, finding.source, evidence, desk.who, finding.result.value, finding.note)
    row = party._replace(state=finding.result, steps=(*party.steps, step))
    _put(desk, command.party, row, _K.PARTY_VERIFIED)
    if is_begun(row):
        _begin_verifying(desk, command.party, row)
    document = _summary(command.party, row) | {"method": command.method, "source": finding.source, "note": finding.note}
    return told(command.party, Outcome.OK, document)


def confirm_party(desk: Desk, command: ConfirmParty) -> Result:
    """Note that the contact of a party is still right."""
    row = desk.party(command.party)._replace(confirmed_ms=desk.now_ms)
    _put(desk, command.party, row, _K.PARTY_CONFIRMED)
    return told(command.party, Outcome.OK, _summary(command.party, row))


def read_identity(desk: Desk, command: ReadIdentity) -> Result:
    """Open the identity fields of a party: who looked at them is an entry of the journal (Measures art. 11)."""
    party = desk.party(command.party)
    values = open_values(desk.keys(), command.party, party)
    identity = {field: values[field] for field in party.sealed}
    return told(command.party, Outcome.OK, {"party": command.party, "identity": identity})


def rekey_parties(desk: Desk, _: RekeyParties) -> Result:
    """Seal all identity fields under the current key. The body is JSON: how many parties and complaints were changed.

    Errors: RecordError for a field that cannot be opened, and then nothing is changed; ConfigError, StoreError.
    """
    seals, changed = desk.keys(), {}
    ring = seals.load_keys()
    for key, packed in desk.staging.scan(Table.PARTIES):
        row = unpack_party(packed)
        if any(key_id_of(sealed) != ring.current for sealed in row.sealed.values()):
            name = key.decode()
            try:
                sealed = {
                    field: reseal(ring, seals.make_nonce(), name, field, each) for field, each in row.sealed.items()
                }
            except SealError as error:
                raise cannot_open(name, error) from None
            changed[key] = pack_party(row._replace(sealed=sealed))
    for key, packed in changed.items():
        desk.staging.put(Table.PARTIES, key, packed)
    complaints = reseal_contacts(desk, seals, ring)
    return told("", Outcome.OK, {"rekeyed": len(changed), "complaints": complaints, "key": ring.current})


# --- pieces ---
def _put(desk: Desk, name: str, row: PartyRow, kind: ChangeKind) -> None:
    desk.staging.put(Table.PARTIES, name.encode(), pack_party(row))
    desk.staging.change(kind, name.encode(), desk.now_ms)


def _require_new(desk: Desk, number: bytes, own: str) -> None:
    known = desk.staging.get(Table.PARTY_NUMBERS, number)
    if known is not None and unpack_number(known) != own:
        shown = "-" if desk.standing.role is Role.ENTERPRISE else unpack_number(known)
        raise refusal("certificate-known", Outcome.CONFLICT, party=shown)


def _renumber(desk: Desk, name: str, old: PartyRow, checked: Checked) -> None:
    """Stage the number of another certificate. Errors: NodeError if it is that of another party."""
    before = number_key(str(old.plain["cert_type"]), str(old.plain["uscc"]))
    after = number_key(str(checked.values["cert_type"]), str(checked.values["uscc"]))
    if before != after:
        _require_new(desk, after, name)
        desk.staging.put(Table.PARTY_NUMBERS, before, None)
        desk.staging.put(Table.PARTY_NUMBERS, after, pack_number(name))


def _judged(method: Method, name: str, case: Case) -> Finding:
    """Return what a method finds. Errors: NodeError; one that breaks fails this act and no other."""
    try:
        return method.judge(case)
    except NodeError:
        raise
    except Exception:
        _LOG.exception("the method of verification %s failed", name)
        raise refusal("method-failed", Outcome.INTERNAL, method=name) from None


def _begin_verifying(desk: Desk, name: str, party: PartyRow) -> None:
    """Move the applications of a party that wait to "verifying"."""
    for key, application in _applications(desk, name, party):
        if can_move(application, Event.VERIFY):
            move(desk, key, application, Event.VERIFY)


def _forget_approvals(desk: Desk, name: str, party: PartyRow) -> None:
    """Let the applications of a party be approved anew: whoever approved has seen other data."""
    for key, application in _applications(desk, name, party):
        if application.approvals and can_move(application, Event.APPROVE):
            desk.staging.put(Table.APPLICATIONS, key, pack_application(application._replace(approvals=())))


def _applications(desk: Desk, name: str, party: PartyRow) -> Iterator[tuple[PrefixKey, Application]]:
    """Yield what a party has applied for, in order; a prefix that was rejected may be another's by now."""
    for prefix in sorted(party.prefixes):
        key = PrefixKey(prefix.encode())
        application = application_of(desk, key)
        if application is not None and application.party == name:
            yield key, application


def _fields(name: str, checked: Checked, seals: Seals, *, person: bool) -> tuple[dict[str, Plain], dict[str, bytes]]:
    """Return what is public as it is, and what is of identity sealed."""
    hidden, ring = identity_names(person=person), seals.load_keys()
    plain: dict[str, Plain] = {}
    sealed: dict[str, bytes] = {}
    for field, text in texts_of(checked).items():
        if field not in hidden:
            plain[field] = text
        else:
            joined = text if isinstance(text, str) else ";".join(text)
            sealed[field] = seal(ring, seals.make_nonce(), name, field, joined)
    return plain, sealed


def texts_of(checked: Checked) -> dict[str, Plain]:
    """Return the fields of a form as they are kept."""
    return {field: _as_text(value) for field, value in checked.values.items()}


def _as_text(value: object) -> Plain:
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, tuple):
        return [str(item) for item in value]
    return str(value)


def _summary(name: str, row: PartyRow, checked: Checked | None = None) -> dict[str, Any]:
    document: dict[str, Any] = {"party": name, "verification": row.state.value}
    return document | {"warnings": dump_faults(checked.warnings)} if checked else document
