"""The description of our own API, OpenAPI 3.1, made from the tables: served at ``/openapi.json``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from core import limits
from core.errors import Outcome
from core.outcomes import STATUSES
from core.wire.http import CHALLENGED
from registry.management import OPERATIONS, PLACEHOLDERS, Operation, outcomes_of
from registry.members import Member, schema_of, schema_of_body
from registry.roles import CALL_NAMED
from registry.schemas import SCHEMAS, ref

_JSON: Final = "application/json"
_PROBLEM: Final = "application/problem+json"
_LINES: Final = "application/x-ndjson"
_WELL: Final = (Outcome.OK, Outcome.CREATED)
_SECURITY: Final[list[dict[str, list[str]]]] = [{"bearer": []}, {"basic": []}]
_Part = dict[str, Any]

_BATCH_ENDS: Final = (
    Outcome.OK, Outcome.INVALID_VALUE, Outcome.MALFORMED, Outcome.AUTHENTICATION_NEEDED, Outcome.AUTHENTICATION_FAILED,
    Outcome.SESSION_UNKNOWN, Outcome.FORBIDDEN, Outcome.CONFLICT, Outcome.TOO_LARGE, Outcome.MEDIA_TYPE,
    Outcome.RATE_LIMITED, Outcome.INTERNAL, Outcome.OVERLOADED, Outcome.STORE_FULL,
)  # fmt: skip
_RESOLVE_ENDS: Final = (
    Outcome.OK, Outcome.NO_VALUES, Outcome.INVALID_HANDLE, Outcome.INVALID_VALUE, Outcome.MALFORMED,
    Outcome.AUTHENTICATION_NEEDED, Outcome.AUTHENTICATION_FAILED, Outcome.SESSION_UNKNOWN, Outcome.FORBIDDEN,
    Outcome.HANDLE_NOT_FOUND, Outcome.NOT_ISSUED, Outcome.GONE, Outcome.HELD, Outcome.NOT_RESPONSIBLE,
    Outcome.UNSUPPORTED, Outcome.TOO_LARGE, Outcome.MEDIA_TYPE, Outcome.RATE_LIMITED, Outcome.INTERNAL,
    Outcome.NO_ANSWER, Outcome.OVERLOADED, Outcome.LOG_FULL,
)  # fmt: skip
_IDEMPOTENCY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "同一请求重发得到同一答复 The same request again gets the first answer again",
    "schema": {
        "type": "string",
        "pattern": "^[!-~]([ -~]*[!-~])?$",
        "maxLength": limits.IDEMPOTENCY_KEY_CHARS_MAX,
    },
}
_LINES_TEXT: Final = {"type": "string", "description": "每行一条 One a line"}
_OVERWRITE: Final = {
    "name": "overwrite",
    "in": "query",
    "description": "false时已有的标识不被覆盖 false refuses records that exist",
    "schema": {"type": "boolean", "default": True},
}


def description(version: str) -> bytes:
    """Return the description as JSON. ``version``: of the node."""
    return json.dumps(document(version), ensure_ascii=False).encode()


def document(version: str) -> _Part:
    """Return the description."""
    paths: dict[str, _Part] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    paths["/v1/records:batch"] = {"post": _batch()}
    paths["/v1/resolve"] = {"get": _resolve()}
    paths["/healthz"] = {"get": _health("应答正常", "Whether the worker answers", "health")}
    paths["/readyz"] = {"get": _health("可以服务", "Whether it can serve", "readiness")}
    for path, operations in paths.items():
        found = [name for name in PLACEHOLDERS if f"{{{name}}}" in path]
        if found:
            operations["parameters"] = [_parameter(PLACEHOLDERS[name], "path") for name in found]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Saltern",
            "summary": "标识解析二级节点管理接口 Management of a secondary node",
            "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "saltern_<id>_<secret>"},
                "basic": {"type": "http", "scheme": "basic", "description": "INDEX:HANDLE, percent-encoded; HS_SECKEY"},
            },
        },
        "security": _SECURITY,
    }


def _operation(operation: Operation) -> _Part:
    call = CALL_NAMED[operation.call]
    parameters = [_parameter(member, "query") for member in operation.query]
    if operation.command is not None:
        parameters.append(_IDEMPOTENCY)
    roles = ", ".join(sorted(role.value for role in call.roles)) + (", enterprise (own)" if call.own else "")
    made: _Part = {
        "operationId": operation.call,
        "tags": [operation.call.partition(".")[0]],
        "summary": f"{call.zh} {call.en}",
        "description": f"角色 Roles: {roles}",
        "responses": _responses(outcomes_of(operation), operation.answer, html=operation.page is not None),
    }
    if call.public:
        made |= {"security": [], "description": "任何人 Anybody"}
    if parameters:
        made["parameters"] = parameters
    if operation.body:
        sent = ref(operation.body) if isinstance(operation.body, str) else schema_of_body(operation.body)
        lines = {media: {"schema": _LINES_TEXT} for media in operation.media if media != _JSON}
        made["requestBody"] = {"required": True, "content": {_JSON: {"schema": sent}} | lines}
    return made


def _parameter(member: Member, place: str) -> _Part:
    schema = schema_of(member)
    text = schema.pop("description")
    return {
        "name": member.name, "in": place, "description": text, "required": place == "path" or member.required,
        "schema": schema,
    }  # fmt: skip


def _responses(outcomes: Iterable[Outcome], answer: str, *, html: bool = False) -> _Part:
    grouped: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        grouped.setdefault(str(STATUSES[outcome].http), []).append(outcome)
    return {status: _response(ended, answer, html) for status, ended in sorted(grouped.items())}


def _response(ended: list[Outcome], answer: str, html: bool) -> _Part:
    made: _Part = {"description": ", ".join(sorted({outcome.value for outcome in ended}))}
    if ended[0] in _WELL:
        page = {"text/html": {"schema": {"type": "string"}}} if html else {}
        return made | {"content": {_JSON: {"schema": ref(answer)}} | page}
    if any(outcome in CHALLENGED for outcome in ended):
        made["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}, "description": "How to log in"}}
    if Outcome.RATE_LIMITED in ended:
        made["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait"}}
    return made | {"content": {_PROBLEM: {"schema": ref("Problem")}}}


def _batch() -> _Part:
    call = CALL_NAMED["record.write"]
    return {
        "operationId": call.name,
        "tags": ["record"],
        "summary": f"{call.zh} {call.en}",
        "parameters": [_OVERWRITE, _IDEMPOTENCY],
        "requestBody": {
            "required": True,
            "content": {
                _JSON: {"schema": {"type": "array", "items": ref("Record"), "maxItems": limits.BATCH_ITEMS_MAX}},
                _LINES: {"schema": _LINES_TEXT},
            },
        },
        "responses": _responses(_BATCH_ENDS, "BatchResults"),
    }


def _resolve() -> _Part:
    text = "Handle、OID、GS1 Digital Link，或 类型:值。A handle, an OID, a GS1 Digital Link, or KIND:VALUE"
    return {
        "operationId": "resolve",
        "tags": ["resolution"],
        "summary": "解析任意标识 Resolve any identifier",
        "description": "任何人 Anybody",
        "security": [],
        "parameters": [
            {"name": "identifier", "in": "query", "description": text, "required": True, "schema": {"type": "string"}}
        ],
        "responses": _responses(_RESOLVE_ENDS, "Resolved"),
    }


def _health(zh: str, en: str, name: str) -> _Part:
    text = {"text/plain": {"schema": {"type": "string"}}}
    ends = {"health": (Outcome.OK,), "readiness": (Outcome.OK, Outcome.OVERLOADED)}[name]
    told: _Part = {str(STATUSES[each].http): {"description": each.value, "content": text} for each in ends}
    told |= _responses((Outcome.RATE_LIMITED, Outcome.TOO_LARGE, Outcome.MEDIA_TYPE), "")
    return {"operationId": name, "tags": ["health"], "summary": f"{zh} {en}", "security": [], "responses": told}
