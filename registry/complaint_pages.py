"""``/complaints``: the form by which anybody complains, and the page that shows how a complaint stands.

    GET  /complaints                     the form; ``?subject=`` fills one field in
    GET  /complaints?ticket=C…           how that complaint stands
    POST /complaints                     files one, and leads to its page

No script and no cookie: a form that was wrong comes back with all faults beside their fields and with
what was typed. Whoever reloads the last page files nothing twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from html import escape
from typing import Any, Final, Protocol
from urllib.parse import quote

from core import limits
from core.clock import Millis, format_shanghai
from core.complaints import KINDS, LABELS, State, parse_ticket
from core.errors import NodeError, Outcome, RecordError, WireError
from core.outcomes import HTTP_SEE_OTHER
from core.source_limit import NO_LIMIT, SourceLimit
from core.store.complaint_rows import Complaint
from core.store.engine import Snapshot
from core.wire.form import FORM_TYPE, decode_form
from core.wire.http import Headers, Response, media_type, not_allowed, parse_fields, retry_after, retry_as
from core.wire.http import Request as HttpRequest
from core.wire.page import KEPT_BY_NOBODY, page, paragraph
from registry.commands import ANONYMOUS, Request, Result
from registry.complaints import FORM, complaint_of, status_document
from registry.json_api import Registrar, origin_of
from registry.members import Kind, Member, read_texts
from registry.reading import find_complaint

PATH: Final = "/complaints"
_TITLE: Final = "投诉 Complaints"
_HINTS: Final = {
    "subject": "例如 88.118.7/SKU01；没有可不填。For example 88.118.7/SKU01; it may be left empty.",
    "text": f"最多 {limits.COMPLAINT_CHARS_MAX} 字。请勿填写他人的个人信息。"
    f"At most {limits.COMPLAINT_CHARS_MAX} characters. Please leave out personal data of others.",
    "name": "可不填。加密保存，不公开。May be left empty. Kept encrypted, never public.",
    "phone": "可不填。加密保存，不公开。May be left empty. Kept encrypted, never public.",
    "email": "可不填。加密保存，不公开。May be left empty. Kept encrypted, never public.",
}
_AUTOCOMPLETE: Final = {"name": "name", "phone": "tel", "email": "email"}
_Faults = Mapping[str, str]


def ticket_address(path: str) -> str | None:
    """Return where the complaint of ``/complaints/{ticket}`` is shown; None if that is no ticket."""
    ticket = parse_ticket(path.removeprefix(f"{PATH}/").removesuffix("/")) if path.startswith(f"{PATH}/") else None
    return None if ticket is None else f"{PATH}?ticket={quote(ticket)}"


class Store(Protocol):
    """What this front needs of a store."""

    def snapshot(self) -> Snapshot:
        """Begin to read."""


class ComplaintPages:
    """Answers the pages. ``filing`` and ``lookups``: what one source may do. ``days``: until the answer."""

    def __init__(
        self, store: Store, registrar: Registrar, *, days: int, now_ms: Callable[[], Millis],
        filing: SourceLimit = NO_LIMIT, lookups: SourceLimit = NO_LIMIT,
    ) -> None:  # fmt: skip
        self._store = store
        self._registrar = registrar
        self._days = days
        self._now_ms = now_ms
        self._filing = filing
        self._lookups = lookups

    async def answer(self, request: HttpRequest) -> Response:
        """Answer one request, whatever it is."""
        if request.method == "POST":
            return await self._file(request)
        if request.method not in ("GET", "HEAD"):
            return not_allowed(request.path, "GET, HEAD, POST")
        try:
            asked = {name: values[0] for name, values in parse_fields(request.query).items()}
        except NodeError as error:
            return self._form(error.ended, {}, notice=error.message)
        if "ticket" in asked:
            return self._status(request, asked["ticket"])
        return self._form(Outcome.OK, {"subject": asked.get("subject", "")[: limits.COMPLAINT_SUBJECT_CHARS_MAX]})

    async def _file(self, request: HttpRequest) -> Response:
        typed: dict[str, str] = {}
        try:
            if media_type(request.headers) != FORM_TYPE:
                raise WireError(f"Content-Type 应为 {FORM_TYPE}。It must be {FORM_TYPE}", outcome=Outcome.MEDIA_TYPE)
            given = decode_form(request.body, limits.COMPLAINT_FIELDS_MAX)
            typed = {name: values[0] for name, values in given.items()}
            command = complaint_of(read_texts(given, FORM))
            self._filing.take(request.peer)
            result = await self._registrar.call(Request(command, ANONYMOUS, sent=origin_of(request)))
        except RecordError as error:
            return self._form(error.ended, typed, _told(error))
        except NodeError as error:
            return retry_as(error, self._form(error.ended, typed, notice=error.message))
        return self._filed(result, typed)

    def _filed(self, result: Result, typed: Mapping[str, str]) -> Response:
        if not result.done:
            return self._form(result.outcome, typed, notice=result.message or result.outcome.value)
        ticket = json.loads(result.body)["ticket"]
        return Response(
            HTTP_SEE_OTHER, (("Location", f"{PATH}?ticket={quote(ticket)}"), ("Cache-Control", KEPT_BY_NOBODY))
        )

    def _status(self, request: HttpRequest, asked: str) -> Response:
        try:
            self._lookups.take(request.peer)
            with self._store.snapshot() as snapshot:
                ticket, complaint = find_complaint(snapshot, asked)
        except NodeError as error:
            notice = f'<p class="note" role="alert">{escape(error.message)}</p>'
            return retry_as(error, _page(error.ended, _TITLE, notice + _look_up(asked), retry_after(error.ended)))
        document = status_document(ticket, complaint, self._now_ms())
        return _page(Outcome.OK, f"投诉 Complaint {ticket}", _standing(document, complaint))

    def _form(
        self, outcome: Outcome, typed: Mapping[str, str], faults: _Faults | None = None, notice: str = ""
    ) -> Response:
        """Return the form with what was typed. ``faults``: what is wrong with a field, by its name."""
        known = {member.name for member in FORM}
        wrong = faults or {}
        others = [f"{name}: {text}" for name, text in wrong.items() if name not in known]
        alert = [notice] if notice else []
        if wrong:
            alert.append(f"有 {len(wrong)} 处需要更正，见各栏。Please correct {len(wrong)} field(s), named below.")
        told = "".join(f'<p class="note" role="alert">{escape(text)}</p>' for text in (*alert, *others))
        fields = "".join(_field(member, typed.get(member.name, ""), wrong.get(member.name, "")) for member in FORM)
        body = (
            paragraph(
                f"对本节点的注册信息、解析、服务或他人的侵权有意见，可在此投诉；{self._days} 天内答复。"
                f"Complain here of registration data, resolution, our service, or an infringement; "
                f"we answer within {self._days} days."
            )
            + told
            + f'<form method="post" action="{PATH}" novalidate>{fields}'
            + '<p><button type="submit">提交 Send</button></p></form>'
            + "<h2>查询进度 How does it stand?</h2>"
            + _look_up("")
        )
        return _page(outcome, _TITLE, body, retry_after(outcome))


def _page(outcome: Outcome, title: str, body: str, extra: Headers = ()) -> Response:
    return page(outcome, title, body, cache=KEPT_BY_NOBODY, extra=extra)


def _told(error: NodeError) -> dict[str, str]:
    """Return the words of all faults by the names of their fields; the first of each."""
    found: dict[str, str] = {}
    faults: Any = error.fields.get("faults", ())
    for fault in faults:
        found.setdefault(fault["path"], f"{fault['zh']}。{fault['en']}")
    return found


def _field(member: Member, value: str, fault: str) -> str:
    name = member.name
    described = [f"{name}-fault"] if fault else []
    hint = _HINTS.get(name, "")
    described += [f"{name}-hint"] if hint else []
    attributes = f'id="{name}" name="{name}"'
    if described:
        attributes += f' aria-describedby="{" ".join(described)}"'
    if member.required:
        attributes += " required"
    if fault:
        attributes += ' aria-invalid="true"'
    shown = f'<p class="note" id="{name}-fault">{escape(fault)}</p>' if fault else ""
    told = f'<br><small id="{name}-hint">{escape(hint)}</small>' if hint else ""
    required = "（必填 required）" if member.required else ""
    label = f'<label for="{name}">{escape(member.zh)} {escape(member.en)}{required}</label>'
    return f"{label}{shown}<p>{_input(member, attributes, value)}{told}</p>"


def _input(member: Member, attributes: str, value: str) -> str:
    if member.choices:
        options = "".join(
            f'<option value="{kind}"{" selected" if kind == value else ""}>{zh} {en}</option>'
            for kind, (zh, en) in KINDS.items()
        )
        return f'<select {attributes}><option value="">请选择 Please choose</option>{options}</select>'
    if member.kind is Kind.PROSE:
        return f'<textarea {attributes} rows="6" maxlength="{member.high}">\n{escape(value)}</textarea>'
    completed = f' autocomplete="{_AUTOCOMPLETE[member.name]}"' if member.name in _AUTOCOMPLETE else ""
    kind = "email" if member.kind is Kind.EMAIL else "text"
    keys = ' inputmode="tel"' if member.kind is Kind.PHONE else ""
    return f'<input type="{kind}" {attributes} maxlength="{member.high}" value="{escape(value)}"{keys}{completed}>'


def _look_up(ticket: str) -> str:
    return (
        f'<form method="get" action="{PATH}"><p><label for="ticket">投诉编号 Ticket</label>'
        f'<input type="text" id="ticket" name="ticket" maxlength="40" required value="{escape(ticket[:40])}"></p>'
        '<p><button type="submit">查询 Look up</button></p></form>'
    )


def _standing(document: Mapping[str, Any], complaint: Complaint) -> str:
    zh, en = LABELS[State(document["state"])]
    kind = " ".join(KINDS[document["kind"]])
    rows = [
        ("编号 Ticket", document["ticket"]),
        ("类别 About", kind),
        ("所涉标识或前缀 Identifier or prefix", document["subject"] or "–"),
        ("状态 State", f"{zh} {en}"),
        ("答复期限 To be answered by", document["deadline"]),
    ]
    rows += [
        (" ".join(LABELS[State(told["state"])]), format_shanghai(step.at_ms))
        for told, step in zip(document["steps"], complaint.steps, strict=True)
    ]
    table = "".join(f'<tr><th scope="row">{label}</th><td>{escape(text)}</td></tr>' for label, text in rows)
    late = (
        paragraph("已超过答复期限，请联系我们。The deadline is over; please contact us.") if document["overdue"] else ""
    )
    reply = document["reply"]
    told = f"<h2>答复 Reply</h2><p>{escape(reply).replace(chr(10), '<br>')}</p>" if reply else ""
    return (
        paragraph("请记下编号：凭编号查询进度。Keep the ticket: it shows you how the complaint stands.")
        + f'{late}<table class="stack">{table}</table>'
        + paragraph("时间为北京时间。Times are those of Beijing.")
        + f'{told}<p><a href="{PATH}">再次投诉或查询 Complain again, or look up another one</a></p>'
    )
