"""The signed report of an incident: a JSON document, the page for people made from it, and the check of both.

The page shows every member of the document and nothing else, and holds its JSON, so that whoever has
one has the other. It is checked by making it again: a page that says something else than what is signed
is not good. What VERSION 1 looks like is therefore never changed; another look is another version.

A report says what was known when it was made. Each is a revision of its own, and none is ever altered.
"""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape, unescape
from typing import Any, Final, NamedTuple, TypedDict

import msgspec

from core.clock import Millis, format_shanghai, format_utc
from core.errors import Outcome, WireError
from core.incidents import KINDS, PURPOSE, SEVERITIES, STATE_LABELS, Kind, Severity, State
from core.outcomes import STATUSES
from core.signature import verify_document
from core.store.incident_rows import Incident
from core.who import Who
from core.wire.http import Headers, Response

VERSION: Final = 1


class Reporting(NamedTuple):
    """What reports are made with. ``within_ms``: from discovery to the first one; ``software``: name and version."""

    prefix: str = ""
    operator: str = ""
    software: str = ""
    within_ms: int = 24 * 3_600_000


DEFAULT_REPORTING: Final = Reporting()


# --- the document ------------------------------------------------------------
class _Time(TypedDict):
    utc: str
    shanghai: str


class _Node(TypedDict):
    prefix: str
    operator: str | None
    software: str


class _Kind(TypedDict):
    code: int
    name: str
    zh: str


class _Label(TypedDict):
    name: str
    zh: str


class _Measure(TypedDict):
    at: _Time
    text: str
    by: str


class _Earlier(TypedDict):
    revision: int
    at: _Time
    to: str


class _Signature(TypedDict):
    algorithm: str
    key_id: str
    public_key: str
    value: str


class _Report(TypedDict):
    version: int
    incident: str
    revision: int
    to: str
    made: _Time
    by: str
    node: _Node
    title: str
    description: str
    kind: _Kind
    severity: _Label
    state: _Label
    occurred: _Time
    discovered: _Time
    due: _Time
    recovered: _Time | None
    closed: _Time | None
    affected: str | None
    cause: str | None
    measures: list[_Measure]
    earlier: list[_Earlier]
    signature: _Signature


def report_schema() -> dict[str, Any]:
    """Return the JSON Schema of a signed report."""
    made = msgspec.json.schema(_Report)

    def inlined(part: Any) -> Any:
        if isinstance(part, list):
            return [inlined(each) for each in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            return inlined(made["$defs"][part["$ref"].rpartition("/")[2]])
        closed = {"additionalProperties": False} if part.get("type") == "object" else {}
        return {name: inlined(each) for name, each in part.items() if name not in ("title", "$defs")} | closed

    schema: dict[str, Any] = inlined(made)
    return schema


def report_document(
    name: str, incident: Incident, reporting: Reporting, *, to: str, who: Who, now_ms: Millis
) -> dict[str, Any]:
    """Return the next report of an incident, not yet signed."""
    kind, severity, state = Kind(incident.kind), Severity(incident.severity), State(incident.state)
    return {
        "version": VERSION,
        "incident": name,
        "revision": len(incident.reports) + 1,
        "to": to,
        "made": _time(now_ms),
        "by": who.name,
        "node": {
            "prefix": reporting.prefix, "operator": reporting.operator or None, "software": reporting.software,
        },
        "title": incident.title,
        "description": incident.description,
        "kind": {"code": KINDS[kind].code, "name": kind.value, "zh": KINDS[kind].zh},
        "severity": {"name": severity.value, "zh": SEVERITIES[severity].zh},
        "state": {"name": state.value, "zh": STATE_LABELS[state]},
        "occurred": _time(incident.occurred_ms),
        "discovered": _time(incident.discovered_ms),
        "due": _time(incident.due_ms),
        "recovered": _time_or_none(incident.recovered_ms),
        "closed": _time_or_none(incident.closed_ms),
        "affected": incident.affected or None,
        "cause": incident.cause or None,
        "measures": [{"at": _time(each.at_ms), "text": each.text, "by": each.who.name} for each in incident.measures],
        "earlier": [
            {"revision": revision, "at": _time(each.at_ms), "to": each.to}
            for revision, each in enumerate(incident.reports, 1)
        ],
    }  # fmt: skip


def _time(at_ms: Millis) -> dict[str, str]:
    return {"utc": format_utc(at_ms // 1_000), "shanghai": format_shanghai(at_ms)}


def _time_or_none(at_ms: Millis) -> dict[str, str] | None:
    return _time(at_ms) if at_ms else None


# --- the page ----------------------------------------------------------------
_STYLE: Final = (
    "@page{size:A4;margin:18mm}body{font:15px/1.6 serif;color:#000;background:#fff;max-width:48rem;margin:0 auto;"
    "padding:1rem}h1{font-size:1.4rem;text-align:center}h2{font-size:1.1rem;margin:1.2rem 0 .4rem}"
    "table{border-collapse:collapse;width:100%}th,td{border:1px solid #555;padding:.3rem .5rem;text-align:left;"
    "vertical-align:top;overflow-wrap:anywhere}.facts th{width:13rem}th{background:#eee;font-weight:600}"
    "tr{break-inside:avoid}@media print{.whole{break-before:page}}table+table{margin-top:.8rem}"
    "span{white-space:pre-wrap}pre{font-size:.7rem;white-space:pre-wrap;"
    "overflow-wrap:anywhere;border:1px solid #555;padding:.5rem}"
)
_POLICY: Final = (
    "default-src 'none'; style-src 'sha256-"
    f"{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; base-uri 'none'; form-action 'none'"
)
_PAGE_HEADERS: Final[Headers] = (
    ("Content-Type", "text/html;charset=utf-8"),
    ("Content-Security-Policy", f"{_POLICY}; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
)
_BEGIN: Final = '<pre id="signed">'
_END: Final = "</pre>"
_NONE: Final = "–"


def render_report(document: dict[str, Any]) -> bytes:
    """Return the page of a signed report. Errors: WireError for what is none of VERSION."""
    report = _conforming(document)
    title = escape(f"{report['incident']} r{report['revision']}")
    body = "".join((
        "<h1>工业互联网标识解析二级节点 突发事件报告<br>Incident report of a secondary node</h1>",
        _facts(_head(report)),
        _facts(_what(report)),
        "<h2>处置措施 Measures taken</h2>",
        _table(
            ("时间 Time", "措施 Measure", "经办人 By"),
            [(_moment(each["at"]), _value(each["text"]), _value(each["by"])) for each in report["measures"]],
        ),
        "<h2>此前的报告 Earlier reports</h2>",
        _table(
            ("版本 Revision", "时间 Time", "报送 To"),
            [(_value(each["revision"]), _moment(each["at"]), _value(each["to"])) for each in report["earlier"]],
        ),
        "<h2>签名 Signature</h2>",
        _facts(_signed(report["signature"])),
        "<h2 class=\"whole\">所签文件 The signed document</h2>",
        "<p>本页由下列 JSON 生成，二者一并核对：saltern incident verify 文件名。"
        "This page was made from the JSON below; check both: saltern incident verify FILE.</p>",
        _BEGIN + escape(json.dumps(document, ensure_ascii=False, indent=1)) + _END,
    ))  # fmt: skip
    page = (
        '<!doctype html><html lang="zh"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body>{body}</body></html>\n"
    )
    return page.encode()


def report_page(document: dict[str, Any]) -> Response:
    """Return the page of a stored report."""
    return Response(STATUSES[Outcome.OK].http, _PAGE_HEADERS, render_report(document))


def _head(report: _Report) -> list[tuple[str, str]]:
    node = report["node"]
    return [
        ("事件编号 Incident", _value(report["incident"])),
        ("报告版本 Revision", _value(report["revision"])),
        ("报送 To", _value(report["to"])),
        ("报告时间 Made", _moment(report["made"])),
        ("报告人 By", _value(report["by"])),
        ("节点前缀 Node", _value(node["prefix"])),
        ("运营者 Operator", _value(node["operator"])),
        ("软件 Software", _value(node["software"])),
        ("表格版本 Form", _value(report["version"])),
    ]


def _what(report: _Report) -> list[tuple[str, str]]:
    kind, severity, state = report["kind"], report["severity"], report["state"]
    return [
        ("事件名称 Title", _value(report["title"])),
        ("类别 Kind", f"{_value(kind['zh'])} {_value(kind['name'])} ({_value(kind['code'])})"),
        ("级别 Severity", f"{_value(severity['zh'])} {_value(severity['name'])}"),
        ("状态 State", f"{_value(state['zh'])} {_value(state['name'])}"),
        ("发生时间 Occurred", _moment(report["occurred"])),
        ("发现时间 Discovered", _moment(report["discovered"])),
        ("报告时限 To be reported by", _moment(report["due"])),
        ("恢复时间 Recovered", _moment(report["recovered"])),
        ("结束时间 Closed", _moment(report["closed"])),
        ("经过 What happened", _value(report["description"])),
        ("影响范围 Affected", _value(report["affected"])),
        ("原因 Cause", _value(report["cause"])),
    ]


def _signed(signature: _Signature) -> list[tuple[str, str]]:
    return [
        ("密钥编号 Key id", _value(signature["key_id"])),
        ("算法 Algorithm", _value(signature["algorithm"])),
        ("公钥 Public key", _value(signature["public_key"])),
        ("签名 Signature", _value(signature["value"])),
    ]


def _value(text: str | int | None) -> str:
    return _NONE if text is None else f"<span>{escape(str(text))}</span>"


def _moment(moment: _Time | None) -> str:
    if moment is None:
        return _NONE
    return f"{_value(moment['shanghai'])} 北京 Shanghai<br>{_value(moment['utc'])} UTC"


def _facts(rows: list[tuple[str, str]]) -> str:
    lines = "".join(f"<tr><th>{name}</th><td>{told}</td></tr>" for name, told in rows)
    return f'<table class="facts">{lines}</table>'


def _table(names: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    if not rows:
        return f"<p>{_NONE}</p>"
    head = "".join(f"<th>{name}</th>" for name in names)
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{lines}</table>"


# --- the check ---------------------------------------------------------------
class Checked(NamedTuple):
    """A report that is good: signed by the key that it names, and shown as it is signed."""

    document: dict[str, Any]
    key_id: str


def check_report(octets: bytes) -> Checked:
    """Check a report, JSON or page. Errors: WireError that says why it is not good.

    Whether the key is that of the node which it claims is the caller's to know.
    """
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        raise _not_good("文件不是 UTF-8 文本", "the file is no UTF-8 text") from None
    is_page = text.lstrip().startswith("<")
    document = _read(_embedded(text) if is_page else text)
    signature = verify_document(PURPOSE, document)
    if signature is None:
        raise _not_good("签名与内容不符", "the signature is not one of this content")
    try:
        page = render_report(document)
    except WireError as error:
        raise _not_good("所签内容不是事件报告", f"what is signed is no such report ({error.message})") from None
    if is_page and page != octets:
        raise _not_good("页面与所签内容不符", "the page says something else than what is signed")
    return Checked(document, signature.key_id)


def _embedded(text: str) -> str:
    _, found, rest = text.partition(_BEGIN)
    inner, ended, _ = rest.partition(_END)
    if not (found and ended):
        raise _not_good("页面中没有所签文件", "the page holds no signed document")
    return unescape(inner)


def _read(text: str) -> dict[str, Any]:
    """Read JSON in which no name stands twice: others might read the other one."""
    try:
        document = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise _not_good("不是 JSON，或有重名", "it is no JSON, or a name stands in it twice") from None
    if not isinstance(document, dict):
        raise _not_good("不是 JSON 对象", "it is no JSON object")
    return document


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name stands twice")
    return made


def _not_good(zh: str, en: str) -> WireError:
    return WireError(f"报告无效：{zh}。The report is not good: {en}")


def _conforming(document: dict[str, Any]) -> _Report:
    """Return a document as what it is. Errors: WireError for another version, or a member too many or too few."""
    try:
        report = msgspec.convert(document, _Report)
    except msgspec.ValidationError as error:
        raise WireError(str(error)) from None
    if report != document or report["version"] != VERSION:
        raise WireError("another version")
    return report
