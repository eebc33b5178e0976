"""``/{prefix}/{suffix}``: what a person sees who opens an identifier in a browser.

A redirect to the first public URL value that is http or https, or a page with the
record where there is none or ``?noredirect`` is asked. Below a delegated prefix: a redirect
to the same address at the node that serves it, or a page with its sites. HS_ALIAS is followed inside
this node, at most ALIAS_HOPS_MAX times and never in a circle.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Final, NamedTuple, Protocol
from urllib.parse import quote as percent_encode
from urllib.parse import urlsplit

from core import limits
from core.clock import format_shanghai
from core.errors import NodeError, Outcome, WireError
from core.events import ResolutionLog, Via
from core.ident.alias import Alias
from core.ident.handle import PREFIX_HANDLES, HandleKey, ancestors, prefix_of
from core.lots import UNIT_VALUE_LABELS, WORD_LABELS, UnitState, UnitValue
from core.outcomes import HTTP_FOUND
from core.records import HandleValue, Values
from core.store.alias_rows import aliases_of
from core.store.engine import Snapshot, Table
from core.wire.gs1link import decode_link
from core.wire.http import Request, Response, decode_path, parse_fields
from core.wire.jsondata import dump_data
from core.wire.page import page, paragraph
from core.wire.valuetypes import GS1_LINK, HS_ALIAS, URL
from resolver.referral import page_url
from resolver.service import Answer, Question, Resolver

REASONS: Final = {
    Outcome.HANDLE_NOT_FOUND: "本节点没有这个标识。This node has no such identifier.",
    Outcome.NO_VALUES: "该标识没有公开的值。The identifier has no public values.",
    Outcome.NOT_ISSUED: "没有发过这个编码，请谨防假冒。This code was never issued: beware of counterfeits.",
    Outcome.GONE: "这个编码已作废。This code is out of use.",
    Outcome.HELD: "该标识已停止解析。Resolution of this identifier is stopped.",
    Outcome.NOT_RESPONSIBLE: "本节点不负责该前缀。This node does not serve the prefix.",
    Outcome.SERVICE_REFERRAL: "该前缀由其他节点负责，见下表。Another node serves the prefix, see below.",
    Outcome.PREFIX_REFERRAL: "该前缀由其他节点负责，见下表。Another node serves the prefix, see below.",
}
_INACTIVE: Final = "此件已停用：已召回或过期，请勿食用。This item is inactive, recalled or expired: do not use it."
_UNIT_VALUES: Final = {(int(index), index.name): label for index, label in UNIT_VALUE_LABELS.items()}
_COLUMNS: Final = ("索引 Index", "类型 Type", "数据 Data", "更新 Changed")
_NARROW: Final = ' class="narrow"'  # what is short is never broken
_SHORT_TYPE_CHARS: Final = 24
_ELSEWHERE: Final = (Outcome.NOT_RESPONSIBLE, Outcome.SERVICE_REFERRAL, Outcome.INVALID_HANDLE)
# Characters that a Location may hold as they are (RFC 3986 §2.2, §2.3, and "%" of what is encoded).
LOCATION_SAFE: Final = "!#$%&'()*+,-./:;=?@[]_~"


class Store(Protocol):
    """What this front needs of a store."""

    def snapshot(self) -> Snapshot:
        """Begin to read."""


class Browser:
    """Answers browser addresses."""

    def __init__(self, resolver: Resolver, store: Store, log: ResolutionLog) -> None:
        self._resolver = resolver
        self._store = store
        self._log = log

    async def identifier(self, request: Request) -> Response:
        """Answer GET or HEAD on ``/{prefix}/{suffix}``. Errors: LogFullError."""
        try:
            handle = decode_path(request.path.removeprefix("/"))
            stay = "noredirect" in parse_fields(request.query)
            with self._store.snapshot() as snapshot:
                answer, note = self._follow(snapshot, handle)
                foreign = answer.outcome in (Outcome.INVALID_HANDLE, Outcome.NOT_RESPONSIBLE)
                registered = "" if foreign else _registered(snapshot, self._resolver.rules.key(handle))
                names = aliases_of(snapshot, self._resolver.rules.key(handle)) if answer.outcome is Outcome.OK else ()
        except NodeError as error:
            return page(error.ended, "Saltern", paragraph(error.message))
        self._log.record(Via.PAGE, answer.outcome, request.peer, handle.encode(), None)
        note = note or recall_of(answer)
        target = None if stay or note else _target(handle, answer)
        if target is not None:
            return Response(HTTP_FOUND, (("Location", target),))
        return _record_page(handle, answer, _Told(note, registered, names))

    def _follow(self, snapshot: Snapshot, handle: str) -> tuple[Answer, str]:
        """Resolve, following aliases; the note says why following stopped."""
        key = self._resolver.rules.key
        seen: set[bytes] = set()
        answer = self._ask(snapshot, handle)
        while (alias := _alias_of(answer)) is not None:
            seen.add(key(answer.handle))
            if key(alias) in seen or len(seen) > limits.ALIAS_HOPS_MAX:
                return answer, f"别名成环或过长：{alias}。The aliases run in a circle or on too long: {alias}."
            onward = self._ask(snapshot, alias)
            if onward.outcome in _ELSEWHERE:
                return answer, f"别名指向其他节点：{alias}。The alias points to another node: {alias}."
            answer = onward
        return answer, ""

    def _ask(self, snapshot: Snapshot, handle: str) -> Answer:
        return self._resolver.resolve(snapshot, Question(handle, want="values"))


def recall_of(answer: Answer) -> str:
    """Return what is said of a unit that is not for sale any more: its page is shown, and nobody is led on."""
    for value in answer.values or ():
        if value.value_index == UnitValue.STATE and value.type == UnitValue.STATE.name:
            return _INACTIVE if value.data == UnitState.INACTIVE.value.encode() else ""
    return ""


def _alias_of(answer: Answer) -> str | None:
    for value in answer.values or ():
        if value.type == HS_ALIAS:
            try:
                return value.data.decode() or None
            except UnicodeDecodeError:
                return None
    return None


def _target(handle: str, answer: Answer) -> str | None:
    if answer.outcome is Outcome.SERVICE_REFERRAL:
        return page_url(handle, answer.values or ())
    return first_url(answer.values or ())


def first_url(values: Values) -> str | None:
    """Return the first URL value that is http or https, safe to stand in a Location; else None."""
    for value in values:
        if value.type.upper() == URL:
            try:
                text = value.data.decode().strip()
                parts = urlsplit(text)
            except (UnicodeDecodeError, ValueError):
                continue
            if parts.scheme in ("http", "https") and parts.netloc:
                return percent_encode(text, safe=LOCATION_SAFE)
    return None


def _registered(snapshot: Snapshot, key: HandleKey) -> str:
    """Return the prefix of a handle, or the one above that of a prefix handle, that is homed here; else nothing."""
    prefix = prefix_of(key)
    named = ancestors(key[len(prefix) + 1 :]) if prefix == PREFIX_HANDLES else [prefix]
    return next((each.decode() for each in named if each and snapshot.get(Table.PREFIXES, each) is not None), "")


class _Told(NamedTuple):
    """What a page says beside the answer. ``names``: aliases. ``registered``: the prefix that is homed here."""

    note: str
    registered: str
    names: tuple[Alias, ...]


def _record_page(handle: str, answer: Answer, told: _Told) -> Response:
    parts = [f'<p class="note">{escape(told.note)}</p>'] if told.note else []
    reason = REASONS.get(answer.outcome, answer.message)
    if reason:
        parts.append(paragraph(reason))
    if answer.notice:
        parts.append(f'<p class="note">依令停止解析 By order of the regulator: {escape(answer.notice)}</p>')
    if answer.values:
        rows = "".join(map(_row, answer.values))
        parts.append(
            f'<table class="stack"><thead><tr>{"".join(f"<th>{name}</th>" for name in _COLUMNS)}</tr></thead>'
            f"<tbody>{rows}</tbody></table>"
        )
        parts.append(paragraph("时间为北京时间。Times are those of Beijing."))
    if told.names:
        parts.append(paragraph(f"别名 Also known as: {', '.join(map(str, told.names))}"))
    if told.registered:
        address = escape(f"/prefixes/{percent_encode(told.registered, safe='')}")
        parts.append(f'<p><a href="{address}">前缀的注册信息 Registration data of {escape(told.registered)}</a></p>')
    return page(answer.outcome, handle, "".join(parts))


def _row(value: HandleValue) -> str:
    changed = format_shanghai(value.timestamp * 1_000) if value.timestamp else ""
    address = first_url((value,))
    data = _reading(value)
    if value.type == GS1_LINK:
        address, data = _gs1_link(value.data) or (address, data)
    kind = escape(_visible(value.type))
    label = _UNIT_VALUES.get((value.value_index, value.type))
    if label is not None:
        kind = f"{kind}<br>{label}"
        word = WORD_LABELS.get(data) if value.value_index in (UnitValue.LEVEL, UnitValue.STATE) else None
        data = data if word is None else f"{word} {data}"
    cells = (
        (_NARROW, str(value.value_index)),
        (_NARROW if len(value.type) <= _SHORT_TYPE_CHARS else "", kind),
        ("", f'<a href="{escape(address)}" rel="nofollow noopener">{data}</a>' if address else data),
        (_NARROW, changed),
    )
    row = "".join(
        f'<td data-label="{name}"{kind}>{cell}</td>' for name, (kind, cell) in zip(_COLUMNS, cells, strict=True)
    )
    return f"<tr>{row}</tr>"


def _gs1_link(data: bytes) -> tuple[str, str] | None:
    """Return where a GS1_LINK leads to, and what is shown of it as HTML; None for one that does not read."""
    try:
        link = decode_link(data)
    except WireError:
        return None
    about = ", ".join(filter(None, (link.rel, *link.hreflang, link.type, *link.context)))
    return link.href, escape(f"{link.title} ({about})")


def _reading(value: HandleValue) -> str:
    """Return the data of a value as HTML, read as the JSON interface reads it."""
    form = json.loads(dump_data(value.type, value.data))
    octets = "base64: " if form["format"] == "base64" else ""
    return octets + _told(form["value"])


def _told(told: object) -> str:
    match told:
        case dict():
            return _list(_members(told))
        case list():
            return _list([", ".join(_members(each)) if _is_flat(each) else _told(each) for each in told])
        case bool():
            return str(told).lower()
    return "<br>".join(escape(_visible(line)) for line in str(told).replace("\r\n", "\n").split("\n"))


def _is_flat(told: object) -> bool:
    return isinstance(told, dict) and not any(isinstance(each, dict | list) for each in told.values())


def _members(told: Mapping[str, object]) -> list[str]:
    return [f"{escape(name)}: {_told(each)}" for name, each in told.items()]


def _list(items: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{each}</li>' for each in items)}</ul>"


def _visible(text: str) -> str:
    """Return a line of text in which nothing is unseen: what turns the order of characters must not stand in a page."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\t" else f"\\u{ord(char):04x}" for char in text)
