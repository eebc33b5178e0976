"""JSON Schemas of what our own API takes and answers, from the tables of the node wherever there is one."""

from __future__ import annotations

from typing import Any, Final

from core.errors import Outcome
from core.lifecycle import STATE_LABELS, State
from core.party.fields import FIELDS, HINTS, Field
from core.party.rules import Fault
from core.store.party_rows import Verified
from core.store.prefix_rows import HOSTINGS
from core.who import Role
from registry.reading import COUNT

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
_FILED: Final = {"filed": _TIME, "filed_by": _TEXT}
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
_WHO: Final = _object({"name": _TEXT, "role": _OR_NONE, "token": _OR_NONE, "uid": _NUMBER}, "uid")
_ENTRY: Final = {
    "number": _NUMBER, "at": _TIME, "at_ms": _NUMBER, "who": _WHO, "action": _TEXT, "object": _TEXT,
    "outcome": _TEXT, "rule": _OR_NONE, "reason": _OR_NONE, "evidence_sha256": _DIGEST,
}  # fmt: skip
_CHANGE: Final = {"serial": _NUMBER, "kind": _TEXT, "identifier": _TEXT, "at": _TIME}
_RESULT: Final = {"identifier": _OR_NONE, "outcome": _TEXT, "message": _TEXT}
_FAULT: Final = _object(dict.fromkeys(Fault._fields, _TEXT))
_OUTCOMES: Final = {"enum": [outcome.value for outcome in Outcome]}
_NEXT_ROW: Final[Schema] = {"type": ["string", "null"]}
_NEXT_NUMBER: Final[Schema] = {"type": ["integer", "null"]}

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
    "Token": _object(_TOKEN),
    "IssuedToken": _object(_TOKEN | {"secret": _TEXT | {"description": "只出现这一次 Shown this once"}}),
    "Tokens": _page("tokens", "Token", _NEXT_ROW),
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
    "Fault": _FAULT,
    "Problem": _object(
        {
            "type": _TEXT, "title": _TEXT, "status": _NUMBER, "detail": _TEXT, "instance": _TEXT,
            "outcome": _OUTCOMES, "rule": _TEXT, "faults": _array(ref("Fault")), "warnings": _array(ref("Fault")),
        },
        "rule", "faults", "warnings",
    ),
}  # fmt: skip
