"""Acts of governance: who may, and what is done.

Each command has one call of ``registry/roles.py``, one function that decides it, and the name of
what it is about. The role is looked at first, so that a refusal tells nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final, NamedTuple

from core.errors import Outcome
from core.who import Who
from registry.alias_commands import AddAlias, RemoveAlias
from registry.aliases import add_alias, remove_alias
from registry.bearers import issue_bearer, require_name, revoke_bearer
from registry.commands import (
    AbandonImport,
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
    Governance,
    HoldLog,
    ImportLines,
    ImportPrefix,
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
    ReadContact,
    ReadIdentity,
    RecordEvents,
    RekeyParties,
    ReleaseLog,
    ReportIncident,
    Result,
    ReviewPrefix,
    RevokeBearer,
    SitePrefix,
    TakeBlock,
    UpdateIncident,
    VerifyParty,
    WithdrawTemplate,
)
from registry.complaints import MOVES as COMPLAINT_MOVES
from registry.complaints import file_complaint, move_complaint, read_contact
from registry.desk import Desk
from registry.handed import take_change
from registry.holds import lift_hold, place_hold
from registry.incidents import close_incident, open_incident, report_incident, update_incident
from registry.log_holds import hold_log, release_log
from registry.lot_events import record_events
from registry.lots import create_lot, take_block
from registry.national_review import national_verdict
from registry.notes import probe, require_noted
from registry.parties import add_party, amend_party, confirm_party, read_identity, rekey_parties, verify_party
from registry.prefixes import MOVES, apply_prefix, move_prefix, review_prefix, site_prefix
from registry.probe import Probe
from registry.refusals import refusal
from registry.roles import CALL_NAMED, allows
from registry.standing import require_role
from registry.templates import add_template, publish_template, withdraw_template
from registry.transfer import abandon_import, export_prefix, import_lines, import_prefix
from registry.upstream_commands import ConnectUpstream, DisconnectUpstream, TakeChange
from registry.upstreams import connect_upstream, disconnect_upstream


class _Act(NamedTuple):
    """``call``: of CALLS. ``names``: the member that says what it is about.

    ``events``: of a command that has an event, which ends its call.
    """

    call: str
    decide: Callable[[Desk, Any], Result]
    names: str = ""
    events: Collection[str] = ()


_ACTS: Final[dict[type, _Act]] = {
    AddParty: _Act("party.add", add_party),
    AmendParty: _Act("party.amend", amend_party, "party"),
    VerifyParty: _Act("party.verify", verify_party, "party"),
    ConfirmParty: _Act("party.confirm", confirm_party, "party"),
    ReadIdentity: _Act("party.identity", read_identity, "party"),
    RekeyParties: _Act("party.rekey", rekey_parties),
    ApplyPrefix: _Act("prefix.apply", apply_prefix, "prefix"),
    ReviewPrefix: _Act("prefix.review", review_prefix, "prefix"),
    NationalVerdict: _Act("prefix.verdict", national_verdict, "prefix"),
    SitePrefix: _Act("prefix.site", site_prefix, "prefix"),
    MovePrefix: _Act("prefix.", move_prefix, "prefix", MOVES),
    ExportPrefix: _Act("prefix.export", export_prefix, "prefix"),
    ImportPrefix: _Act("prefix.import", import_prefix, "prefix"),
    ImportLines: _Act("prefix.import", import_lines, "prefix"),
    AbandonImport: _Act("prefix.abandon", abandon_import, "prefix"),
    ConnectUpstream: _Act("upstream.connect", connect_upstream),
    DisconnectUpstream: _Act("upstream.disconnect", disconnect_upstream, "upstream"),
    TakeChange: _Act("takeover.change", take_change, "handle"),
    CreateLot: _Act("lot.create", create_lot),
    TakeBlock: _Act("lot.take", take_block, "lot"),
    RecordEvents: _Act("lot.events", record_events, "lot"),
    AddAlias: _Act("alias.add", add_alias, "alias"),
    RemoveAlias: _Act("alias.remove", remove_alias, "alias"),
    IssueBearer: _Act("token.issue", issue_bearer),
    RevokeBearer: _Act("token.revoke", revoke_bearer, "bearer"),
    PlaceHold: _Act("hold.place", place_hold, "target"),
    LiftHold: _Act("hold.lift", lift_hold, "target"),
    HoldLog: _Act("log.hold", hold_log, "log"),
    ReleaseLog: _Act("log.release", release_log, "log"),
    AddTemplate: _Act("template.add", add_template),
    PublishTemplate: _Act("template.publish", publish_template, "code"),
    WithdrawTemplate: _Act("template.withdraw", withdraw_template, "code"),
    OpenIncident: _Act("incident.open", open_incident),
    UpdateIncident: _Act("incident.update", update_incident, "incident"),
    ReportIncident: _Act("incident.report", report_incident, "incident"),
    CloseIncident: _Act("incident.close", close_incident, "incident"),
    FileComplaint: _Act("complaint.file", file_complaint),
    MoveComplaint: _Act("complaint.", move_complaint, "ticket", COMPLAINT_MOVES),
    ReadContact: _Act("complaint.contact", read_contact, "ticket"),
    Probe: _Act("node.probe", probe),
}


def decide(desk: Desk, command: Governance) -> Result:
    """Decide one act. Errors: NodeError for a refusal."""
    if isinstance(command, NoteRefusal):
        return Result(Outcome.OK)  # who asks the registrar writes it down, as all refusals
    if isinstance(command, NoteAct):
        require_noted(desk, command)
        return Result(Outcome.OK)
    act = _ACTS[type(command)]
    if act.events and getattr(command, "event", "") not in act.events:
        raise refusal("event", Outcome.INVALID_VALUE, choices=", ".join(act.events))
    call = CALL_NAMED[call_of(command)]
    require_role(desk.standing, allows(call, desk.standing.role))
    if desk.who != Who():
        require_name(desk.who.name)
    result: Result = act.decide(desk, command)
    return result


def call_of(command: Command) -> str:
    """Return the name of the management call that a command is."""
    if isinstance(command, NoteRefusal | NoteAct):
        return command.action
    act = _ACTS.get(type(command))
    if act is None:
        about = "prefix" if hasattr(command, "prefix") else "record"
        return f"{about}.{type(command).__name__.lower()}"
    return act.call + getattr(command, "event", "") if act.events else act.call


def object_of(command: Command) -> str:
    """Return what a command is about: party, prefix, token or handle; empty where it makes one."""
    if isinstance(command, NoteRefusal | NoteAct):
        return command.object
    act = _ACTS.get(type(command))
    name = act.names if act else "prefix" if hasattr(command, "prefix") else "handle"
    return str(getattr(command, name, "")) if name else ""
