"""The calls of the management API, one row each: path, what is sent, what is answered, how it may end.

``registry/http_api.py`` answers by this table and ``registry/openapi.py`` describes it. Who may make a
call stands in ``registry/roles.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from core import limits
from core.complaints import Event, State
from core.errors import Outcome
from core.ident.alias import AliasKind
from core.ident.unitcode import INDEXES_MAX, SERIAL_CHARS
from core.store.prefix_rows import HOSTED, HOSTINGS
from core.who import Role
from core.wire.http import Response, content_digest, media_type
from registry.alias_commands import AddAlias, RemoveAlias
from registry.aliases import list_aliases
from registry.commands import (
    AddParty,
    AddTemplate,
    AmendParty,
    ApplyPrefix,
    CloseIncident,
    Command,
    ConfirmParty,
    CreateLot,
    HoldLog,
    IssueBearer,
    LiftHold,
    MoveComplaint,
    MovePrefix,
    OpenIncident,
    PlaceHold,
    PublishTemplate,
    RecordEvents,
    ReleaseLog,
    ReportIncident,
    ReviewPrefix,
    RevokeBearer,
    SitePrefix,
    TakeBlock,
    UpdateIncident,
    VerifyParty,
    WithdrawTemplate,
)
from registry.complaints import FORM, REASON, REPLY, complaint_of
from registry.incident_report import report_page
from registry.lot_forms import LOT, LOT_FORM
from registry.lot_reading import list_blocks, list_codes, list_lots, show_lot, show_unit
from registry.members import Kind, Member, Members
from registry.reading import (
    COUNT,
    Document,
    Page,
    View,
    list_bearers,
    list_changes,
    list_complaints,
    list_entries,
    list_held_logs,
    list_holds,
    list_incidents,
    list_parties,
    list_prefixes,
    list_templates,
    show_complaint,
    show_incident,
    show_monitor,
    show_party,
    show_prefix,
    show_report,
    show_status,
    show_template,
)

JSON: Final = "application/json"
HANDLES: Final = ("lot", "unit", "alias")
"""What stands in a path with a slash in it: as it is, or as %2F."""

_YES: Final = True
_KEY_CHARS: Final = 2 * limits.STORE_KEY_BYTES_MAX
_ID_CHARS: Final = limits.PREFIX_CHARS_MAX
_NUMBER_MAX: Final = 2**63 - 1
_UNIT_CHARS: Final = limits.LOT_CHARS_MAX + SERIAL_CHARS


class Asked(NamedTuple):
    """What a call was sent. ``members``: of its path and, where the row declares any, of its body.

    ``token``: its Idempotency-Key, empty without.
    """

    members: Members
    body: bytes
    headers: Mapping[str, str] = MappingProxyType({})
    token: str = ""


class Operation(NamedTuple):
    """One call.

    ``call``: of CALLS. ``path``: ``{party}`` stands for one segment. ``answer``: a schema of
    ``registry/schemas.py``; ``listed``: the member that holds the rows of a page. ``body``: its members,
    or the name of the schema of one that the registrar reads. ``command`` of a write, ``read`` of a read.
    ``page``: the answer for who accepts HTML. ``media``: types of the body. ``ends``: how it ends well;
    ``refusals``: how else, beside what every call may end with.
    """

    call: str
    method: str
    path: str
    answer: str
    ends: tuple[Outcome, ...] = (Outcome.OK,)
    refusals: tuple[Outcome, ...] = ()
    command: Callable[[Asked], Command] | None = None
    read: Callable[[View], Document | Page] | None = None
    body: tuple[Member, ...] | str = ()
    query: tuple[Member, ...] = ()
    listed: str = ""
    page: Callable[[Document], Response] | None = None
    media: tuple[str, ...] = (JSON,)

    @property
    def placeholders(self) -> list[str]:
        """Return the names of what stands in the path."""
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]


_ALIAS: Final = Member(
    "alias", Kind.LINE, "别名：类型:值", "An alias, KIND:VALUE: gtin:06901234567892", _YES,
    high=limits.ALIAS_CHARS_MAX + max(len(kind.value) for kind in AliasKind) + 1,
)  # fmt: skip
PLACEHOLDERS: Final = {
    "party": Member("party", Kind.TEXT, "主体编号", "Id of a party: P000001", _YES, high=_ID_CHARS),
    "prefix": Member("prefix", Kind.TEXT, "前缀", "A prefix: 88.118.7", _YES, high=_ID_CHARS),
    "ticket": Member("ticket", Kind.TEXT, "投诉编号", "Ticket of a complaint", _YES, high=_ID_CHARS),
    "token": Member("token", Kind.TEXT, "令牌编号", "Id of a token: 12 hexadecimal digits", _YES, high=_ID_CHARS),
    "lot": LOT,
    "unit": Member("unit", Kind.TEXT, "单元、箱或托盘的标识", "A unit, case or pallet", _YES, high=_UNIT_CHARS),
    "alias": _ALIAS,
    "code": Member("code", Kind.TEXT, "模板编码", "Code of a metadata template", _YES, high=_ID_CHARS),
    "incident": Member("incident", Kind.TEXT, "事件编号", "Id of an incident: I000001", _YES, high=_ID_CHARS),
    "revision": Member("revision", Kind.TEXT, "报告的版本", "Revision of a report: 1", _YES, high=_ID_CHARS),
}

_COUNT: Final = Member(
    "count", Kind.INTEGER, f"最多行数，默认{COUNT}", f"Rows at most, {COUNT} by default", high=limits.LISTED_MAX
)
_AFTER_ROW: Final = Member("after", Kind.TEXT, "从此行之后开始", "Begin behind this row", high=_ID_CHARS)
_AFTER_NUMBER: Final = Member(
    "after", Kind.INTEGER, "从此序号之后开始", "Begin behind this one", low=0, high=_NUMBER_MAX
)
_PAGE: Final = (_AFTER_ROW, _COUNT)
_NUMBERED: Final = (_AFTER_NUMBER, _COUNT)
_EVIDENCE: Final = Member("evidence_sha256", Kind.DIGEST, "证明文件的SHA-256", "SHA-256 of the file that proves it")
_REASON: Final = Member("reason", Kind.TEXT, "理由", "Why", _YES, high=limits.REASON_CHARS_MAX)
_MOVE: Final = (_REASON, _EVIDENCE)
_PARTY: Final = PLACEHOLDERS["party"]
_NAME: Final = limits.PERSON_NAME_CHARS_MAX

_VERIFICATION: Final = (
    Member("method", Kind.TEXT, "核验方法", "Method: offline, manual, or that of a package", _YES),
    _EVIDENCE,
    Member(
        "document",
        Kind.OBJECT,
        "证件内容：name、uscc、region；其JSON文本即证明文件",
        "What the certificate says: name, uscc, region; its JSON text as sent is the evidence",
    ),
    Member(
        "failed", Kind.TEXT, "不通过的理由", "Why it failed, where a reviewer finds so", high=limits.REASON_CHARS_MAX
    ),
)
_APPLICATION: Final = (
    _PARTY,
    Member("hosting", Kind.TEXT, "托管方式，默认hosted", "Where its records live; hosted by default", choices=HOSTINGS),
    Member("site", Kind.DOCUMENT, "企业节点的站点", "Sites of a delegated prefix"),
    Member("draft", Kind.FLAG, "只保存草稿", "Keep it, and send it to nobody yet"),
)
_REVIEW: Final = (
    Member("approve", Kind.FLAG, "通过", "Approve"),
    Member("reject", Kind.TEXT, "拒绝的理由", "Reject, and why", high=limits.REASON_CHARS_MAX),
    Member(
        "correct", Kind.REASONS, "须更正的字段和理由", "What is to be corrected, and why", high=limits.REASON_CHARS_MAX
    ),
)
_TARGET: Final = Member(
    "target", Kind.TEXT, "标识、前缀或主体编号", "Identifier (with /), prefix (with .) or id of a party", _YES,
    high=limits.HANDLE_CHARS_MAX,
)  # fmt: skip
_ORDER: Final = Member("order", Kind.TEXT, "文号", "Number of the order", _YES, high=limits.ORDER_CHARS_MAX)
_HOLD: Final = (
    _TARGET,
    _ORDER,
    _REASON,
    Member("public", Kind.FLAG, "理由可公开", "The order says that its reason may be told to everybody"),
)
_LOG: Final = Member("log", Kind.TEXT, "日志：类别/年-月", "A log: STREAM/YYYY-MM", _YES, high=limits.LOG_CHARS_MAX)
_AFTER_KEY: Final = Member(
    "after", Kind.TEXT, "从此行之后开始", "Begin behind this row: next of a page", high=_KEY_CHARS
)
_TOKEN: Final = (
    Member(
        "role", Kind.TEXT, "角色", "Role", _YES,
        choices=tuple(role.value for role in Role if role is not Role.LOCAL),
    ),
    Member("holder", Kind.TEXT, "持有人", "Who has it", _YES, high=_NAME),
    Member("party", Kind.TEXT, "企业令牌的主体", "The party, of an enterprise's", high=_ID_CHARS),
    Member(
        "days", Kind.INTEGER, f"有效天数，默认{limits.BEARER_DAYS}", f"Days to live, {limits.BEARER_DAYS} by default",
        high=limits.BEARER_DAYS_MAX,
    ),
)  # fmt: skip
_TEMPLATE_VERSION: Final = Member(
    "version", Kind.TEXT, "模板版本，如1.0", "Version of the template: 1.0", high=limits.METADATA_VERSION_CHARS_MAX
)
_REPORT: Final = (Member("to", Kind.TEXT, "报送给谁", "Whom it is for", _YES, high=limits.INCIDENT_TO_CHARS_MAX),)


def _move(event: str, path: str) -> Operation:
    return Operation(
        f"prefix.{event}", "POST", f"/v1/prefixes/{{prefix}}/{path}", "Application",
        refusals=(_MISSING, _CONFLICT), body=_MOVE,
        command=lambda asked: MovePrefix(
            asked.members["prefix"], event, asked.members["reason"], asked.members.get("evidence_sha256", b"")
        ),
    )  # fmt: skip


def _verify(asked: Asked) -> Command:
    given = asked.members
    return VerifyParty(
        given["party"], given["method"], given.get("evidence_sha256", b""), given.get("document", b""),
        given.get("failed", ""),
    )  # fmt: skip


def _apply(asked: Asked) -> Command:
    given = asked.members
    return ApplyPrefix(
        given["prefix"], given["party"], given.get("hosting", HOSTED), given.get("site", b""), given.get("draft", False)
    )


def _review(asked: Asked) -> Command:
    given = asked.members
    return ReviewPrefix(given["prefix"], given.get("approve", False), given.get("reject", ""), given.get("correct", ()))


def _place(asked: Asked) -> Command:
    given = asked.members
    return PlaceHold(given["target"], given["order"], given["reason"], given.get("public", False))


def _issue(asked: Asked) -> Command:
    given = asked.members
    return IssueBearer(given["role"], given["holder"], given.get("party", ""), given.get("days", limits.BEARER_DAYS))


def _answer_complaint(event: Event, member: Member | None = None) -> Operation:
    path = {Event.ACCEPT: "acceptance", Event.ANSWER: "answer", Event.REJECT: "rejection", Event.CLOSE: "closure"}
    return Operation(
        f"complaint.{event.value}", "POST", f"/v1/complaints/{{ticket}}/{path[event]}", "ComplaintSummary",
        refusals=(_MISSING, _CONFLICT), body=() if member is None else (member,),
        command=lambda asked: MoveComplaint(
            asked.members["ticket"], event.value, "" if member is None else asked.members[member.name]
        ),
    )  # fmt: skip


def _take(asked: Asked) -> Command:
    given = asked.members
    return TakeBlock(given["lot"], given["line"], given["count"], given.get("from", -1), asked.token)


def _events(asked: Asked) -> Command:
    lines = media_type(asked.headers) != JSON
    digest = content_digest(asked.headers)
    return RecordEvents(asked.members["lot"], asked.body, lines, digest)


_IDENTIFIER: Final = Member(
    "identifier", Kind.TEXT, "标识、批次或单元", "A record, a lot or a unit", _YES, high=limits.HANDLE_CHARS_MAX
)
_ALIASES: Final = (
    _IDENTIFIER._replace(required=False),
    Member("prefix", Kind.TEXT, "此前缀下的别名", "Aliases below this prefix", high=_ID_CHARS),
)
_LOTS_BELOW: Final = Member("prefix", Kind.TEXT, "此前缀的批次", "Lots of this prefix", high=_ID_CHARS)
_BLOCK: Final = (
    Member("line", Kind.LINE, "生产线", "The line", _YES, high=limits.LOT_LINE_CHARS_MAX),
    Member("count", Kind.INTEGER, "单元数", "Number of units", _YES, high=INDEXES_MAX),
    Member("from", Kind.INTEGER, "起点，默认为下一个空闲单元", "The first one; the next free one by default", low=0,
           high=INDEXES_MAX),
)  # fmt: skip
_CODES: Final = (
    Member("from", Kind.INTEGER, "起点，默认0", "The first index, 0 by default", low=0, high=INDEXES_MAX),
    Member("count", Kind.INTEGER, f"数量，默认{COUNT}", f"How many, {COUNT} by default", high=limits.LOT_CODES_MAX),
)
EVENT_MEDIA: Final = (JSON, "application/x-ndjson", "application/jsonl")
_COMPLAINTS: Final = (
    Member(
        "state", Kind.TEXT, "状态", "In this state", choices=tuple(state.value for state in State)
    ),
    Member("overdue", Kind.TEXT, "是否逾期", "Whether overdue", choices=("true", "false")),
    *_PAGE,
)  # fmt: skip
_MISSING: Final = Outcome.NOT_FOUND
_CONFLICT: Final = Outcome.CONFLICT
_CREATED: Final = (Outcome.CREATED,)
_GRAMMAR: Final = Outcome.INVALID_HANDLE
_HELD: Final = Outcome.HELD
_FOREIGN: Final = Outcome.NOT_RESPONSIBLE
_CLOSED: Final = (Outcome.REGISTRATION_CLOSED,)
_LOT: Final = "/v1/lots/{lot}"
_PARTIES: Final = "/v1/parties"
_ONE_PARTY: Final = "/v1/parties/{party}"
_PREFIXES: Final = "/v1/prefixes"
_ONE_PREFIX: Final = "/v1/prefixes/{prefix}"
_TEMPLATES: Final = "/v1/templates"
_ONE_TEMPLATE: Final = "/v1/templates/{code}"
_INCIDENTS: Final = "/v1/incidents"
_ONE_INCIDENT: Final = "/v1/incidents/{incident}"
_O = Operation

OPERATIONS: Final = (
    _O("party.add", "POST", _PARTIES, "PartyState", _CREATED, (_CONFLICT,), body="PartyForm",
       command=lambda asked: AddParty(asked.body)),
    _O("party.list", "GET", _PARTIES, "Parties", read=list_parties, query=_PAGE, listed="parties"),
    _O("party.show", "GET", _ONE_PARTY, "Party", refusals=(_MISSING,), read=show_party),
    _O("party.amend", "PATCH", _ONE_PARTY, "PartyState", refusals=(_MISSING, _CONFLICT), body="PartyAmendment",
       command=lambda asked: AmendParty(asked.members["party"], asked.body)),
    _O("party.verify", "POST", _ONE_PARTY + "/verifications", "PartyState", refusals=(_MISSING, _CONFLICT),
       body=_VERIFICATION, command=_verify),
    _O("party.confirm", "POST", _ONE_PARTY + "/confirmations", "PartyState", refusals=(_MISSING, _CONFLICT),
       command=lambda asked: ConfirmParty(asked.members["party"])),
    _O("prefix.list", "GET", _PREFIXES, "Prefixes", read=list_prefixes, query=_PAGE, listed="prefixes"),
    _O("prefix.show", "GET", _ONE_PREFIX, "ApplicationWithSteps", refusals=(_GRAMMAR, _MISSING), read=show_prefix),
    _O("prefix.apply", "PUT", _ONE_PREFIX + "/application", "Application", (Outcome.OK, Outcome.CREATED),
       (_GRAMMAR, _MISSING, _CONFLICT), body=_APPLICATION, command=_apply),
    _O("prefix.review", "POST", _ONE_PREFIX + "/reviews", "Application",
       refusals=(_GRAMMAR, _MISSING, _CONFLICT), body=_REVIEW, command=_review),
    _O("prefix.site", "PUT", _ONE_PREFIX + "/site", "Application",
       refusals=(_GRAMMAR, _MISSING, _CONFLICT), body="Site",
       command=lambda asked: SitePrefix(asked.members["prefix"], asked.body)),
    _move("suspend", "suspension"),
    _move("resume", "resumption"),
    _move("delete", "deletion"),
    _O("lot.create", "POST", "/v1/lots", "LotCreated", _CREATED, (_GRAMMAR, _HELD, _FOREIGN, _CONFLICT, *_CLOSED),
       body=LOT_FORM, command=lambda asked: CreateLot(asked.body)),
    _O("lot.list", "GET", "/v1/lots", "Lots", read=list_lots, query=(_LOTS_BELOW, _AFTER_KEY, _COUNT), listed="lots"),
    _O("lot.show", "GET", _LOT, "Lot", refusals=(_GRAMMAR, _MISSING), read=show_lot),
    _O("lot.take", "POST", _LOT + "/blocks", "Block", (Outcome.OK, Outcome.CREATED),
       (_GRAMMAR, _MISSING, _HELD, _FOREIGN, _CONFLICT, *_CLOSED), body=_BLOCK, command=_take),
    _O("lot.blocks", "GET", _LOT + "/blocks", "Blocks", refusals=(_GRAMMAR, _MISSING), read=list_blocks,
       query=_NUMBERED, listed="blocks"),
    _O("lot.codes", "GET", _LOT + "/codes", "Codes", refusals=(_GRAMMAR, _MISSING, _HELD, _FOREIGN), read=list_codes,
       query=_CODES),
    _O("lot.events", "POST", _LOT + "/events", "EventsEnded",
       refusals=(_GRAMMAR, _MISSING, _HELD, _FOREIGN, _CONFLICT), body="Events", command=_events, media=EVENT_MEDIA),
    _O("lot.unit", "GET", "/v1/units/{unit}", "Unit",
       refusals=(_GRAMMAR, _MISSING, Outcome.NOT_ISSUED), read=show_unit),
    _O("alias.add", "POST", "/v1/aliases", "Alias", (Outcome.OK, Outcome.CREATED),
       (_GRAMMAR, _MISSING, _HELD, _FOREIGN, Outcome.NOT_ISSUED, Outcome.GONE, _CONFLICT, *_CLOSED),
       body=(_IDENTIFIER, _ALIAS),
       command=lambda asked: AddAlias(asked.members["identifier"], asked.members["alias"])),
    _O("alias.list", "GET", "/v1/aliases", "Aliases", refusals=(_GRAMMAR,), read=list_aliases,
       query=(*_ALIASES, _AFTER_KEY, _COUNT), listed="identifiers"),
    _O("alias.remove", "DELETE", "/v1/aliases/{alias}", "Alias", refusals=(_GRAMMAR, _MISSING, _HELD, _CONFLICT),
       command=lambda asked: RemoveAlias(asked.members["alias"])),
    _O("hold.place", "POST", "/v1/holds", "Hold", (Outcome.OK, Outcome.CREATED), (_GRAMMAR, _MISSING, _CONFLICT),
       body=_HOLD, command=_place),
    _O("hold.lift", "POST", "/v1/holds/liftings", "Hold", refusals=(_GRAMMAR, _MISSING, _CONFLICT),
       body=(_TARGET, _ORDER), command=lambda asked: LiftHold(asked.members["target"], asked.members["order"])),
    _O("hold.list", "GET", "/v1/holds", "Holds", read=list_holds, query=(_AFTER_KEY, _COUNT), listed="holds"),
    _O("log.hold", "POST", "/v1/log-holds", "LogHold", (Outcome.OK, Outcome.CREATED), (_CONFLICT,),
       body=(_LOG, _ORDER, _REASON),
       command=lambda asked: HoldLog(asked.members["log"], asked.members["order"], asked.members["reason"])),
    _O("log.release", "POST", "/v1/log-holds/releases", "LogHold", refusals=(_MISSING, _CONFLICT), body=(_LOG, _ORDER),
       command=lambda asked: ReleaseLog(asked.members["log"], asked.members["order"])),
    _O("log.holds", "GET", "/v1/log-holds", "LogHolds", read=list_held_logs, query=_PAGE, listed="logs"),
    _O("token.issue", "POST", "/v1/tokens", "IssuedToken", _CREATED, (_MISSING, _CONFLICT), body=_TOKEN,
       command=_issue),
    _O("token.list", "GET", "/v1/tokens", "Tokens", read=list_bearers, query=_PAGE, listed="tokens"),
    _O("token.revoke", "DELETE", "/v1/tokens/{token}", "Token", refusals=(_MISSING, _CONFLICT),
       command=lambda asked: RevokeBearer(asked.members["token"])),
    _O("template.add", "POST", _TEMPLATES, "TemplateMoved", (Outcome.OK, Outcome.CREATED), (_MISSING, _CONFLICT),
       body="TemplateForm", command=lambda asked: AddTemplate(asked.body)),
    _O("template.list", "GET", _TEMPLATES, "Templates", read=list_templates, query=_PAGE, listed="templates"),
    _O("template.show", "GET", _ONE_TEMPLATE, "Template", refusals=(_MISSING,), read=show_template,
       query=(_TEMPLATE_VERSION,)),
    _O("template.publish", "POST", _ONE_TEMPLATE + "/publications", "TemplateMoved", refusals=(_MISSING, _CONFLICT),
       body=(_TEMPLATE_VERSION,),
       command=lambda asked: PublishTemplate(asked.members["code"], asked.members.get("version", ""))),
    _O("template.withdraw", "POST", _ONE_TEMPLATE + "/withdrawals", "TemplateMoved", refusals=(_MISSING, _CONFLICT),
       body=(_TEMPLATE_VERSION,),
       command=lambda asked: WithdrawTemplate(asked.members["code"], asked.members.get("version", ""))),
    _O("incident.open", "POST", _INCIDENTS, "Incident", _CREATED, (_CONFLICT,), body="IncidentForm",
       command=lambda asked: OpenIncident(asked.body)),
    _O("incident.list", "GET", _INCIDENTS, "Incidents", read=list_incidents, query=_PAGE, listed="incidents"),
    _O("incident.show", "GET", _ONE_INCIDENT, "Incident", refusals=(_MISSING,), read=show_incident),
    _O("incident.update", "PATCH", _ONE_INCIDENT, "Incident", refusals=(_MISSING, _CONFLICT), body="IncidentChanges",
       command=lambda asked: UpdateIncident(asked.members["incident"], asked.body)),
    _O("incident.report", "POST", _ONE_INCIDENT + "/reports", "IncidentReport", _CREATED, (_MISSING, _CONFLICT),
       body=_REPORT, command=lambda asked: ReportIncident(asked.members["incident"], asked.members["to"])),
    _O("incident.form", "GET", _ONE_INCIDENT + "/reports/{revision}", "IncidentReport", refusals=(_MISSING,),
       read=show_report, page=report_page),
    _O("incident.close", "POST", _ONE_INCIDENT + "/closure", "Incident", refusals=(_MISSING, _CONFLICT),
       command=lambda asked: CloseIncident(asked.members["incident"])),
    _O("complaint.file", "POST", "/v1/complaints", "ComplaintStatus", _CREATED, (_CONFLICT,), body=FORM,
       command=lambda asked: complaint_of(asked.members)),
    _O("complaint.list", "GET", "/v1/complaints", "Complaints", read=list_complaints, query=_COMPLAINTS,
       listed="complaints"),
    _O("complaint.status", "GET", "/v1/complaints/{ticket}", "ComplaintStatus", refusals=(_MISSING,), read=show_status),
    _O("complaint.show", "GET", "/v1/complaints/{ticket}/history", "Complaint", refusals=(_MISSING,),
       read=show_complaint),
    _answer_complaint(Event.ACCEPT),
    _answer_complaint(Event.ANSWER, REPLY),
    _answer_complaint(Event.REJECT, REASON),
    _answer_complaint(Event.CLOSE),
    _O("monitor.show", "GET", "/v1/monitor", "Monitor", read=show_monitor),
    _O("change.list", "GET", "/v1/changes", "Changes", read=list_changes, query=_NUMBERED, listed="changes"),
    _O("journal.list", "GET", "/v1/journal", "Entries", read=list_entries, query=_NUMBERED, listed="entries"),
)  # fmt: skip


_ALWAYS: Final = (
    Outcome.INVALID_VALUE, Outcome.MALFORMED, Outcome.AUTHENTICATION_NEEDED, Outcome.AUTHENTICATION_FAILED,
    Outcome.SESSION_UNKNOWN, Outcome.FORBIDDEN, Outcome.TOO_LARGE, Outcome.MEDIA_TYPE, Outcome.RATE_LIMITED,
    Outcome.INTERNAL, Outcome.OVERLOADED, Outcome.STORE_FULL,
)  # fmt: skip


def outcomes_of(operation: Operation) -> tuple[Outcome, ...]:
    """Return every outcome that a call may end with."""
    return (*operation.ends, *operation.refusals, *_ALWAYS)
