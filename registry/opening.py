"""What may be asked of the registrar while the licence is not in force, or the disk nearly full: the only tables of it.

Without a licence what brings in anything new is closed. What only takes away, stops, answers for itself or looks goes
on. Source: Measures art. 6; in production alone (``node/duties.py``).

Without room all is closed but what cannot wait: each act is an entry of a log, and the room that is left is theirs.
Source: Measures art. 13-15; design §6.
"""

from __future__ import annotations

from typing import Final

from core.clock import Millis, shanghai_date
from core.errors import Outcome
from core.licence import Window
from registry.alias_commands import AddAlias, RemoveAlias
from registry.commands import (
    AbandonImport,
    Add,
    AddParty,
    AddTemplate,
    AmendParty,
    ApplyPrefix,
    CloseIncident,
    Command,
    ConfirmParty,
    CreateLot,
    Delete,
    ExportPrefix,
    FileComplaint,
    HoldLog,
    Home,
    ImportLines,
    ImportPrefix,
    IssueBearer,
    LiftHold,
    Modify,
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
    ReadContact,
    ReadIdentity,
    RecordEvents,
    RekeyParties,
    ReleaseLog,
    Remove,
    ReportIncident,
    ReviewPrefix,
    RevokeBearer,
    SitePrefix,
    TakeBlock,
    Unhome,
    UpdateIncident,
    VerifyParty,
    WithdrawTemplate,
)
from registry.policy import Policy
from registry.probe import Probe
from registry.refusals import refusal
from registry.upstream_commands import ConnectUpstream, DisconnectUpstream, TakeChange

CLOSED: Final = False
OPEN: Final = True

WITHOUT_LICENCE: Final[dict[type, tuple[bool, str]]] = {
    # --- records
    Put: (CLOSED, "registers or changes a record"),
    PutBatch: (CLOSED, "registers or changes records"),
    Add: (CLOSED, "changes a record"),
    Modify: (CLOSED, "changes a record"),
    Remove: (OPEN, "takes values away, and brings nothing in"),
    Delete: (OPEN, "takes a record away"),
    # --- prefixes
    Home: (CLOSED, "puts a prefix into service"),
    Unhome: (OPEN, "takes a prefix out of service"),
    ApplyPrefix: (CLOSED, "is the beginning of a registration"),
    ReviewPrefix: (CLOSED, "ends in a registration"),
    NationalVerdict: (CLOSED, "ends in a registration; the upstream is asked again"),
    SitePrefix: (CLOSED, "changes a route, and may put a prefix into service"),
    MovePrefix: (OPEN, "suspends, resumes or ends what was registered: resolution goes on"),
    ExportPrefix: (OPEN, "looks; who leaves may leave"),
    ImportPrefix: (CLOSED, "ends in a registration"),
    ImportLines: (CLOSED, "registers records"),
    AbandonImport: (OPEN, "takes away what was never answered"),
    # --- upstreams
    ConnectUpstream: (OPEN, "lets what was registered be sent where it is owed (Measures art. 7)"),
    DisconnectUpstream: (OPEN, "stops that, and registers nothing"),
    TakeChange: (OPEN, "brings home what was registered while a top node answered for this node"),
    # --- parties
    AddParty: (CLOSED, "registers a party"),
    AmendParty: (CLOSED, "changes what is registered of a party"),
    VerifyParty: (CLOSED, "is part of a registration"),
    ConfirmParty: (OPEN, "keeps what is registered true, and changes nothing of it"),
    ReadIdentity: (OPEN, "looks"),
    RekeyParties: (OPEN, "protects what is stored"),
    # --- lots
    CreateLot: (CLOSED, "registers identifiers"),
    TakeBlock: (CLOSED, "puts identifiers into use"),
    RecordEvents: (OPEN, "says what became of what was registered"),
    # --- aliases
    AddAlias: (CLOSED, "registers an identifier"),
    RemoveAlias: (OPEN, "takes an identifier away"),
    # --- orders of the regulator
    PlaceHold: (OPEN, "stops answers"),
    LiftHold: (OPEN, "lets what was registered be answered again, by order"),
    HoldLog: (OPEN, "keeps evidence, by order"),
    ReleaseLog: (OPEN, "is done by order"),
    # --- incidents
    OpenIncident: (OPEN, "is owed to the authorities in any case (Measures art. 14)"),
    UpdateIncident: (OPEN, "is part of the same duty"),
    ReportIncident: (OPEN, "is part of the same duty"),
    CloseIncident: (OPEN, "is part of the same duty"),
    # --- complaints
    FileComplaint: (OPEN, "is anybody's right (Measures art. 12)"),
    MoveComplaint: (OPEN, "is owed to whoever complained"),
    ReadContact: (OPEN, "looks"),
    # --- metadata templates
    AddTemplate: (CLOSED, "files what registrations are to follow"),
    PublishTemplate: (CLOSED, "lets records be registered by it"),
    WithdrawTemplate: (OPEN, "takes away"),
    # --- tokens and the journal
    IssueBearer: (OPEN, "lets an auditor look; what is closed stays closed for a token"),
    RevokeBearer: (OPEN, "takes a right away"),
    NoteRefusal: (OPEN, "is written down in any case"),
    NoteAct: (OPEN, "is written down in any case"),
    Probe: (OPEN, "registers nothing: shows whether what may be registered can be"),
}
"""For each command whether it goes on, and why."""

_GOES_ON: Final = frozenset(kind for kind, (goes_on, _) in WITHOUT_LICENCE.items() if goes_on)


WITHOUT_ROOM: Final[dict[type, str]] = {
    Unhome: "takes a prefix out of service",
    MovePrefix: "stops a prefix, or lets it be answered again",
    PlaceHold: "stops answers, by order",
    LiftHold: "is done by order",
    HoldLog: "keeps evidence, by order",
    ReleaseLog: "is done by order, and lets a log go",
    OpenIncident: "is owed to the authorities at once (Measures art. 14), and a full disk is an incident",
    UpdateIncident: "is part of the same duty",
    ReportIncident: "is part of the same duty",
    CloseIncident: "is part of the same duty",
    FileComplaint: "is anybody's right (Measures art. 12); few are taken of one source, and few may wait",
    MoveComplaint: "is owed to whoever complained",
    ReadIdentity: "looks",
    ReadContact: "looks",
    IssueBearer: "lets an inspector look",
    RevokeBearer: "takes a right away",
    ExportPrefix: "looks; who leaves may leave",
    AbandonImport: "gives room back to the store",
    NoteRefusal: "is written down in any case; so many of a second",
}
"""What goes on while the disk is nearly full, and why; nothing else does."""


def require_open(policy: Policy, command: Command, now_ms: Millis) -> None:
    """Errors: NodeError for what is closed: REGISTRATION_CLOSED, rule ``licence``; STORE_FULL, rule ``disk``."""
    _require_licence(policy.registration, command, now_ms)
    if type(command) not in WITHOUT_ROOM and not policy.has_room():
        raise refusal("disk", Outcome.STORE_FULL)


def _require_licence(registration: Window, command: Command, now_ms: Millis) -> None:
    if registration.begins_ms <= now_ms < registration.ends_ms or type(command) in _GOES_ON:
        return
    if now_ms < registration.begins_ms:
        day = shanghai_date(registration.begins_ms)
        why = (f"自{day}起生效", f"is in force from {day} on")
    else:
        day = shanghai_date(registration.ends_ms - 1)
        why = (f"已于{day}到期", f"ended with {day}")
    raise refusal("licence", Outcome.REGISTRATION_CLOSED, why_zh=why[0], why_en=why[1])
