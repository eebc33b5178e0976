"""JSON Schemas of what our own API takes and answers, from the tables of the node wherever there is one."""

from __future__ import annotations

from typing import Any, Final

from core import limits
from core.complaints import KINDS as COMPLAINT_KINDS
from core.complaints import State as ComplaintState
from core.errors import Outcome
from core.ident.alias import AliasKind
from core.incidents import KINDS, SEVERITIES, Kind, Severity
from core.incidents import STATE_LABELS as INCIDENT_LABELS
from core.incidents import State as IncidentState
from core.lifecycle import STATE_LABELS, State
from core.lots import GRADES, Level, UnitState
from core.party.fields import FIELDS, HINTS, Field
from core.party.rules import Fault
from core.store.hold_rows import HoldKind
from core.store.lot_rows import PACKED
from core.store.party_rows import Verified
from core.store.prefix_rows import HOSTINGS
from core.store.template_rows import TemplateState
from core.who import Role
from core.wire.metadata import DATA_TYPES
from registry.complaints import CONTACT
from registry.incident_report import report_schema
from registry.reading import COUNT
from registry.template_forms import ACTIVE, LEVELS, PASSIVE

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_FLAG: Final[Schema] = {"type": "boolean"}
_NUMBER: Final[Schema] = {"type": "integer"}
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}
_DIGEST: Final[Schema] = {"type": ["string", "null"], "pattern": "^[0-9a-f]{64}$"}
_OR_NONE: Final[Schema] = {"type": ["string", "null"]}
_VERIFIED: Final[Schema] = {"enum": [state.value for state in Verified]}
_KIND: Final[Schema] = {"enum": ["organisation", "person"]}
_STATE: Final[Schema] = {
    "enum": [state.value for state in State],
    "description": "; ".join(f"{state.value} {label}" for state, label in STATE_LABELS.items()),
}


def ref(name: str) -> Schema:
    """Return a reference to one of SCHEMAS."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: Schema, *optional: str, closed: bool = True) -> Schema:
    required = [name for name in properties if name not in optional]
    made: Schema = {"type": "object", "properties": properties, "required": required}
    return made | ({"additionalProperties": False} if closed else {})


def _array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _page(member: str, of: str, following: Schema) -> Schema:
    after = following | {"description": f"下一页的after，最后一页为null。Give it as after; null at the end. {COUNT}"}
    return _object({member: _array(ref(of)), "next": after})


# --- parties -----------------------------------------------------------------
def _field(field: Field, *, amended: bool) -> Schema:
    texts: Schema = {"type": "string", "maxLength": field.chars_max}
    if field.items_max:
        items = {"type": "array", "items": dict(_TEXT), "maxItems": field.items_max}
        told: Schema = {"anyOf": [texts, items, *([{"type": "null"}] if amended else [])]}
    elif field.choices and not amended:
        told = {"type": "string", "enum": list(field.choices)}
    else:
        told = texts | ({"type": ["string", "null"]} if amended else {})
    return {"description": field.label} | told


def _form(*, amended: bool) -> Schema:
    hints: Schema = {name: dict(_TEXT) for name in sorted(HINTS)}
    hints["kind"] = _TEXT | {"description": "自然人填person person for a natural person"}
    return {
        "type": "object",
        "properties": {field.name: _field(field, amended=amended) for field in FIELDS} | hints,
        "required": [] if amended else [field.name for field in FIELDS if field.required],
        "additionalProperties": False,
    }


def _shown(field: Field) -> Schema:
    hidden = " (***)" if field.identity else ""
    told: Schema = {"anyOf": [dict(_TEXT), _array(dict(_TEXT))]} if field.items_max else dict(_TEXT)
    return {"description": f"{field.label}{hidden}"} | told


_STEP: Final = {"at": _TIME, "who": _TEXT, "evidence_sha256": _DIGEST}
_CHECK: Final = _object(_STEP | {"method": _TEXT, "source": _TEXT, "result": _VERIFIED, "note": _OR_NONE})
_PARTY: Final = {"party": _TEXT, "added": _TIME, "kind": _KIND}
_FIELDS: Final = {field.name: _shown(field) for field in FIELDS}
_SHOWN_PARTY: Final = _PARTY | {
    "on_hold": _array(_TEXT) | {"description": "停止解析的文号 Numbers of the orders that stop it"},
    "filed_by": _TEXT,
    "confirmed": _TIME,
    "awaits_identity": {
        "type": "boolean",
        "description": "由转移而来，身份信息待补齐。It came by a transfer: its identity data is to be filed",
    },
    "verification": _object({"state": _VERIFIED, "steps": _array(_CHECK)}),
}

# --- prefixes, tokens, changes, the journal ----------------------------------
_CORRECTION: Final = _object({"path": _TEXT, "rule": _TEXT, "reason": _TEXT})
_APPLICATION: Final = {
    "prefix": _TEXT,
    "state": _STATE,
    "status": _NUMBER | {"description": "国家平台的状态码 Status code of the national platform"},
    "party": _OR_NONE,
    "hosting": {"enum": list(HOSTINGS)},
    "hosting_status": _NUMBER | {"description": "国家平台的托管码 Hosting code of the national platform"},
    "corrections": _array(_CORRECTION),
    "held": _FLAG,
    "awaits_site": _FLAG,
}
_ON_HOLD: Final = _array(_TEXT) | {"description": "停止解析的文号 Numbers of the orders that stop it"}
_FILED: Final = {"filed": _TIME, "filed_by": _TEXT, "on_hold": _ON_HOLD}
_EVENT: Final = _object(_STEP | {"event": _TEXT, "state": _STATE, "reason": _OR_NONE})
_TOKEN: Final = {
    "token": _TEXT,
    "role": {"enum": [role.value for role in Role if role is not Role.LOCAL]},
    "holder": _TEXT,
    "party": _OR_NONE,
    "issued": _TIME,
    "expires": _TIME,
    "revoked": {"type": ["string", "null"], "format": "date-time"},
}
_ALIAS: Final = {
    "alias": _TEXT | {"description": "类型:值 KIND:VALUE"},
    "kind": {"enum": [kind.value for kind in AliasKind]},
    "identifier": _TEXT, "added": _TIME, "added_by": _TEXT,
}  # fmt: skip
_WHO: Final = _object({"name": _TEXT, "role": _OR_NONE, "token": _OR_NONE, "uid": _NUMBER}, "uid")
_ENTRY: Final = {
    "number": _NUMBER, "at": _TIME, "at_ms": _NUMBER, "who": _WHO, "action": _TEXT, "object": _TEXT,
    "outcome": _TEXT, "rule": _OR_NONE, "reason": _OR_NONE, "evidence_sha256": _DIGEST,
}  # fmt: skip
_KIND_OF_INCIDENT: Final[Schema] = {
    "enum": [kind.value for kind in Kind],
    "description": "; ".join(f"{kind.value} {rule.zh}" for kind, rule in KINDS.items()),
}
_SEVERITY: Final[Schema] = {
    "enum": [severity.value for severity in Severity],
    "description": "; ".join(f"{severity.value} {rule.zh}" for severity, rule in SEVERITIES.items()),
}
_INCIDENT_STATE: Final[Schema] = {
    "enum": [state.value for state in IncidentState],
    "description": "; ".join(f"{state.value} {label}" for state, label in INCIDENT_LABELS.items()),
}
_TIME_OR_NONE: Final[Schema] = {"type": ["string", "null"], "format": "date-time"}
_INCIDENT: Final = {
    "incident": _TEXT, "title": _TEXT, "kind": _KIND_OF_INCIDENT, "severity": _SEVERITY, "state": _INCIDENT_STATE,
    "occurred": _TIME, "discovered": _TIME, "recovered": _TIME_OR_NONE, "opened": _TIME, "closed": _TIME_OR_NONE,
    "due": _TIME_OR_NONE | {"description": "首次报告的时限 When it is to be reported; null if it is, or has ended"},
    "reports": _NUMBER,
}  # fmt: skip
_REPORT_MADE: Final = {"revision": _NUMBER, "at": _TIME, "to": _TEXT, "who": _TEXT, "key_id": _TEXT}
_WHOLE_INCIDENT: Final = _INCIDENT | {
    "description": _TEXT, "affected": _OR_NONE, "cause": _OR_NONE, "opened_by": _TEXT,
    "measures": _array(_object({"at": _TIME, "text": _TEXT, "who": _TEXT})),
    "reports": _array(_object(_REPORT_MADE)),
    "steps": _array(_object({"at": _TIME, "event": _TEXT, "state": _INCIDENT_STATE, "who": _TEXT, "note": _OR_NONE})),
}  # fmt: skip


def _given(high: int) -> Schema:
    return {"type": "string", "minLength": 1, "maxLength": high}


def _incident_form(*, whole: bool) -> Schema:
    at: Schema = {
        "type": "string",
        "description": "2026-11-21T08:00（北京时间 Shanghai）, 2026-11-21T00:00:00Z, +08:00",
    }
    measure = _given(limits.INCIDENT_MEASURE_CHARS_MAX)
    timed = _object({"at": at, "text": measure}, "at")
    properties = {
        "title": _given(limits.INCIDENT_TITLE_CHARS_MAX), "description": _given(limits.INCIDENT_TEXT_CHARS_MAX),
        "kind": _KIND_OF_INCIDENT, "severity": _SEVERITY, "occurred": at,
        "discovered": at | {"description": "默认现在 Now by default. " + at["description"]}, "recovered": at,
        "affected": {"type": "string", "maxLength": limits.INCIDENT_TEXT_CHARS_MAX},
        "cause": {"type": "string", "maxLength": limits.INCIDENT_TEXT_CHARS_MAX},
        "measures": {
            "type": "array", "items": {"anyOf": [measure, timed]}, "maxItems": limits.INCIDENT_MEASURES_MAX,
            "description": "新增的处置措施，默认现在 Measures to add; now by default",
        },
    }  # fmt: skip
    optional = ("discovered", "recovered", "affected", "cause", "measures")
    return _object(properties, *(optional if whole else properties))


_COMPLAINT: Final = {
    "ticket": _TEXT,
    "kind": {"enum": list(COMPLAINT_KINDS)},
    "state": {"enum": [state.value for state in ComplaintState]},
    "filed": _TIME,
    "deadline": {"type": "string", "format": "date", "description": "北京时间 The last day, of Asia/Shanghai"},
    "overdue": _FLAG,
}
_COMPLAINT_STEP: Final = {"state": _COMPLAINT["state"], "at": _TIME}
_CHANGE: Final = {"serial": _NUMBER, "kind": _TEXT, "identifier": _TEXT, "at": _TIME}
_OR_TIME: Final[Schema] = {"type": ["string", "null"], "format": "date-time"}
_TEMPLATE_STATE: Final[Schema] = {"enum": [state.value for state in TemplateState]}
_OBJECT_TYPE: Final[Schema] = {
    "enum": [ACTIVE, PASSIVE],
    "description": "主动标识载体active，否则passive active for active identifier carriers, else passive",
}
_ITEM: Final = {
    "name": _TEXT | {"maxLength": limits.METADATA_ITEM_CHARS_MAX},
    "alias": _TEXT | {"maxLength": limits.METADATA_ALIAS_CHARS_MAX},
    "type": {"enum": list(DATA_TYPES)},
    "length": _NUMBER | {"minimum": 1, "maximum": limits.METADATA_LENGTH_MAX},
    "required": _FLAG | {"description": "默认true true by default"},
    "unit": _OR_NONE,
}
_TEMPLATE_FORM: Final = {
    "code": _TEXT | {"maxLength": limits.METADATA_CODE_CHARS_MAX},
    "version": {"type": ["string", "number"], "description": "如1.0 Such as 1.0"},
    "industry": {
        "description": "四级行业；亦可为数组或文本 Four levels; also an array, or text such as C/14/149/1494",
        "anyOf": [_object(dict.fromkeys(LEVELS, _OR_NONE), *LEVELS[1:]), _array(_TEXT), _TEXT],
    },
    "object_type": _OBJECT_TYPE,
    "items": _array(_object(_ITEM, "length", "required", "unit"))
    | {"minItems": 1, "maxItems": limits.METADATA_ITEMS_MAX},
    "name": _OR_NONE,
    "description": _OR_NONE,
    "party": _OR_NONE | {"description": "企业模板的主体 The party, of an enterprise's"},
}
_TEMPLATE: Final = {
    "code": _TEXT, "version": _TEXT, "state": _TEMPLATE_STATE, "name": _OR_NONE, "object_type": _OBJECT_TYPE,
    "party": _OR_NONE, "filed": _TIME, "published": _OR_TIME, "withdrawn": _OR_TIME,
}  # fmt: skip
_COUNTS: Final[Schema] = {"type": "object", "additionalProperties": _NUMBER}
_LEVELS: Final = tuple(level.word for level in Level)
_OR_NUMBER: Final[Schema] = {"type": ["integer", "null"]}
_LOT: Final = {
    "lot": _TEXT, "product": _TEXT, "count": _NUMBER, "units_per_case": _OR_NUMBER, "cases_per_pallet": _OR_NUMBER,
    "cases": _NUMBER, "pallets": _NUMBER, "line": _OR_NONE, "produced": _OR_NONE, "valid_until": _OR_NONE,
    "scheme": _NUMBER, "key_id": _NUMBER, "created": _TIME,
}  # fmt: skip
_BLOCK: Final = {
    "lot": _TEXT, "line": _TEXT, "from": _NUMBER, "count": _NUMBER, "token": _OR_NONE, "taken": _TIME,
}  # fmt: skip
_CODE: Final = {
    "index": _NUMBER, "identifier": _TEXT, "kind": {"enum": list(_LEVELS)}, "case": _OR_NONE, "pallet": _OR_NONE,
}  # fmt: skip
_EVENT_FORM: Final = {
    "event": {"enum": [state.value for state in UnitState if state is not UnitState.ALLOCATED] + [PACKED]},
    "time": _TIME, "identifier": _TEXT, "from": _NUMBER, "count": _NUMBER, "until": _TIME,
    "place": _TEXT | {"maxLength": limits.LOT_LINE_CHARS_MAX}, "grade": {"enum": ["", *GRADES]},
    "parent": _TEXT | {"description": "空文本表示取出 An empty text takes it out"},
}  # fmt: skip
_UNIT: Final = {
    "identifier": _TEXT, "lot": _TEXT, "product": _TEXT, "index": _NUMBER, "kind": {"enum": list(_LEVELS)},
    "state": {"enum": [state.value for state in UnitState]}, "since": _TIME, "until": _TIME, "place": _OR_NONE,
    "parent": _OR_NONE, "children": _array(_TEXT), "history_complete": _FLAG,
    "history": _array(
        _object({"event": _TEXT, "time": _TIME, "until": _TIME} | dict.fromkeys(("place", "grade", "parent"), _OR_NONE))
    ),
}  # fmt: skip
_RESULT: Final = {"identifier": _OR_NONE, "outcome": _TEXT, "message": _TEXT}
_FAULT: Final = _object(dict.fromkeys(Fault._fields, _TEXT))
_OUTCOMES: Final = {"enum": [outcome.value for outcome in Outcome]}
_ORDER: Final = {"order": _TEXT, "reason": _TEXT, "public": _FLAG, "placed": _TIME, "placed_by": _TEXT}
_LOG_ORDER: Final = {"order": _TEXT, "reason": _TEXT, "placed": _TIME, "placed_by": _TEXT}
_NEXT_ROW: Final[Schema] = {"type": ["string", "null"]}
_NEXT_NUMBER: Final[Schema] = {"type": ["integer", "null"]}

_MONITOR: Final[Schema] = {
    "time": _TIME, "checked": {"type": ["string", "null"], "format": "date-time"},
    "period_s": {"type": ["integer", "null"]}, "resolution": _FLAG, "registration": _FLAG, "stale": _FLAG,
}  # fmt: skip

_LINK: Final = ("anchor", "rel", "href", "title", "type", "hreflang")
_RESOLVED: Final[Schema] = {
    "identifier": _TEXT, "kind": {"enum": ["handle", "oid", "gs1", "ecode", "bid", "vaa"]},
    "authoritative": _FLAG | {"description": "登记于本节点 Registered here"},
    "handle": _TEXT, "level": _TEXT | {"description": "GS1 标识中找到的层级 The level of a GS1 key that was found"},
    "values": _array({"type": "object"}),
    "services": _array(_object({"service": _TEXT, "value": _TEXT})),
    "links": _array(_object(dict.fromkeys(_LINK, _TEXT), *(name for name in _LINK if name not in ("rel", "href")))),
    "secure": {"type": ["boolean", "null"], "description": "DNSSEC，据 DNS 解析器 By DNSSEC, as the DNS resolver says"},
    "ttl": _NUMBER, "asked": _array(_TEXT),
}  # fmt: skip

SCHEMAS: Final[Schema] = {
    "PartyForm": _form(amended=False),
    "PartyAmendment": _form(amended=True),
    "PartyState": _object(
        {
            "party": _TEXT, "verification": _VERIFIED, "warnings": _array(ref("Fault")), "changed": _array(_TEXT),
            "method": _TEXT, "source": _TEXT, "note": _TEXT,
        },
        "warnings", "changed", "method", "source", "note",
    ),
    "Party": _object(_SHOWN_PARTY | _FIELDS, *_FIELDS),
    "PartySummary": _object(_PARTY | {"name": _TEXT, "verification": _VERIFIED}),
    "Parties": _page("parties", "PartySummary", _NEXT_ROW),
    "Site": {"description": "HS_SITE值的JSON形式，或其数组 JSON of an HS_SITE value, or an array of them"},
    "Application": _object(_APPLICATION),
    "ApplicationFiled": _object(_APPLICATION | _FILED),
    "ApplicationWithSteps": _object(_APPLICATION | _FILED | {"steps": _array(_EVENT)}),
    "Prefixes": _page("prefixes", "ApplicationFiled", _NEXT_ROW),
    "Alias": _object(_ALIAS | {"warnings": _array(ref("Fault"))}, "warnings"),
    "IdentifierAliases": _object({"identifier": _TEXT, "aliases": _array(_object(_ALIAS))}),
    "Aliases": _page("identifiers", "IdentifierAliases", _NEXT_ROW),
    "Hold": _object(
        {
            "target": _TEXT,
            "kind": {"enum": [kind.name.lower() for kind in HoldKind]},
            "orders": _array(_object(_ORDER)),
            "warnings": _array(ref("Fault")),
        },
        "warnings",
    ),
    "Monitor": _object(_MONITOR),
    "LogHold": _object({"log": _TEXT, "orders": _array(_object(_LOG_ORDER))}),
    "LogHolds": _page("logs", "LogHold", _NEXT_ROW),
    "Holds": _page("holds", "Hold", _NEXT_ROW),
    "Token": _object(_TOKEN),
    "IssuedToken": _object(_TOKEN | {"secret": _TEXT | {"description": "只出现这一次 Shown this once"}}),
    "Tokens": _page("tokens", "Token", _NEXT_ROW),
    "TemplateForm": _object(_TEMPLATE_FORM, "name", "description", "party"),
    "TemplateMoved": _object(
        {"code": _TEXT, "state": _TEMPLATE_STATE, "versions": _array(_TEXT), "warnings": _array(ref("Fault"))},
        "warnings",
    ),
    "Template": _object(
        _TEMPLATE
        | {
            "description": _OR_NONE,
            "industry": _object(dict.fromkeys(LEVELS, _OR_NONE)),
            "items": _array(_object(_ITEM)),
            "filed_by": _TEXT,
            "versions": _array(_object({"version": _TEXT, "state": _TEMPLATE_STATE})),
        }
    ),
    "TemplateSummary": _object(_TEMPLATE),
    "Templates": _page("templates", "TemplateSummary", _NEXT_ROW),
    "IncidentForm": _incident_form(whole=True),
    "IncidentChanges": _incident_form(whole=False),
    "IncidentSummary": _object(_INCIDENT),
    "Incident": _object(_WHOLE_INCIDENT),
    "Incidents": _page("incidents", "IncidentSummary", _NEXT_ROW),
    "IncidentReport": report_schema(),
    "ComplaintStatus": _object(
        _COMPLAINT | {"subject": _OR_NONE, "steps": _array(_object(_COMPLAINT_STEP)), "reply": _OR_NONE}
    ),
    "ComplaintSummary": _object(_COMPLAINT | {"subject": _OR_NONE}),
    "Complaint": _object(
        _COMPLAINT
        | {
            "subject": _OR_NONE,
            "text": _TEXT,
            "contact": _array({"enum": list(CONTACT)}),
            "steps": _array(_object(_COMPLAINT_STEP | {"event": _TEXT, "who": _TEXT, "note": _OR_NONE})),
        }
    ),
    "Complaints": _page("complaints", "ComplaintSummary", _NEXT_ROW),
    "Lot": _object(_LOT | {"held": _FLAG, "allocated": _NUMBER, "states": _object(dict.fromkeys(_LEVELS, _COUNTS))}),
    "LotCreated": _object(_LOT | {"stored_bytes": _NUMBER, "warnings": _array(ref("Fault"))}, "stored_bytes"),
    "LotSummary": _object(_LOT),
    "Lots": _page("lots", "LotSummary", _NEXT_ROW),
    "Block": _object(_BLOCK),
    "Blocks": _page("blocks", "Block", _NEXT_NUMBER),
    "Codes": _object({"lot": _TEXT, "codes": _array(_object(_CODE)), "next": _NEXT_NUMBER}),
    "Events": _array(_object(_EVENT_FORM, *(name for name in _EVENT_FORM if name not in ("event", "time"))))
    | {"maxItems": limits.BATCH_ITEMS_MAX},
    "EventsEnded": _object(
        {
            "lot": _TEXT,
            "results": _array(_object({"outcome": _TEXT, "rule": _TEXT, "message": _TEXT}, "rule", "message")),
            "counts": _COUNTS,
        }
    ),
    "Unit": _object(_UNIT),
    "Change": _object(_CHANGE),
    "Changes": _page("changes", "Change", _NEXT_NUMBER),
    "Entry": _object(_ENTRY),
    "Entries": _page("entries", "Entry", _NEXT_NUMBER),
    "Record": _object({"handle": _TEXT, "values": _array({"type": "object"})}, closed=False),
    "BatchResults": _object(
        {
            "results": _array(_object(_RESULT, "message")),
            "counts": {"type": "object", "additionalProperties": _NUMBER},
        }
    ),
    "Resolved": _object(_RESOLVED, "handle", "level", "values", "services", "links"),
    "Fault": _FAULT,
    "Problem": _object(
        {
            "type": _TEXT, "title": _TEXT, "status": _NUMBER, "detail": _TEXT, "instance": _TEXT,
            "outcome": _OUTCOMES, "rule": _TEXT, "faults": _array(ref("Fault")), "warnings": _array(ref("Fault")),
        },
        "rule", "faults", "warnings",
    ),
}  # fmt: skip
