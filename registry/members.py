"""The members of bodies and queries of the management API: declared, read, and described from one table.

Reading is total: any octets give the members, or all that is wrong with them at once. What a member
means is not looked at here; the registrar decides that.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, Final, NamedTuple

import msgspec

from core import limits
from core.errors import Outcome, RecordError, WireError
from core.party.contacts import parse_email, parse_phone
from core.party.readers import is_visible, narrow
from core.party.rules import Fault, RuleError
from core.wire.http import parse_fields
from core.wire.jsontext import parse
from registry.refusals import RULES, fault, refusal

Members = Mapping[str, Any]
Given = Mapping[str, bytes]
"""Members as they came: each the JSON text of its value."""

_DIGEST: Final = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
_DIGITS: Final = re.compile(r"\d{1,19}", re.ASCII)
_JOINERS: Final = "\u200c\u200d"  # within words of some scripts, and pictures made of several
_PLAIN_LINES: Final = str.maketrans(dict.fromkeys("\n\t" + _JOINERS, " "))
_NAME_SHOWN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}", re.ASCII)
_NAMED_MAX: Final = limits.PARTY_UNKNOWN_NAMED_MAX


class Kind(Enum):
    """What a member holds, in Chinese and English."""

    TEXT = ("文本", "text")
    FLAG = ("true或false", "true or false")
    INTEGER = ("整数", "a number")
    DIGEST = ("文本", "text of 64 hexadecimal digits")
    OBJECT = ("JSON对象", "a JSON object")
    DOCUMENT = ("JSON", "JSON")
    REASONS = ("JSON对象：字段和理由", "a JSON object of fields and reasons")
    LINE = ("一行可见文字", "one line of visible text")
    PROSE = ("可见文字，不含控制字符", "visible text without control characters")
    PHONE = (
        "手机号（11位）、带区号的固定电话，或以+国家码开头的号码",
        "a mobile number (11 digits), a landline with its area code, or + and a country code",
    )
    EMAIL = ("邮箱地址：名称@域名", "an e-mail address: name@domain, in ASCII")

    __hash__ = object.__hash__  # members are singletons


class Member(NamedTuple):
    """One member. ``low`` and ``high``: characters of a text, values of a number."""

    name: str
    kind: Kind
    zh: str
    en: str
    required: bool = False
    low: int = 1
    high: int = 100
    choices: tuple[str, ...] = ()


class _MemberError(Exception):
    """A member breaks a rule."""

    def __init__(self, rule: str, **details: object) -> None:
        super().__init__(rule)
        self.rule = rule
        self.details = details


# --- reading -----------------------------------------------------------------
def read_body(body: bytes, members: tuple[Member, ...]) -> Members:
    """Read the members of a JSON object. Errors: RecordError with all faults, MALFORMED for what is no object."""
    try:
        given = {name: bytes(raw) for name, raw in parse(body, dict[str, msgspec.Raw]).items()}
    except WireError as error:
        raise refusal("json", Outcome.MALFORMED, error=error.message) from None
    return _read(given, members)


def read_query(query: str, members: tuple[Member, ...]) -> Members:
    """Read the parameters of a query. Errors: RecordError with all faults, WireError."""
    fields = parse_fields(query)
    numbers = {member.name for member in members if member.kind is Kind.INTEGER}
    repeated = [fault(_shown(name, 0), "member-once") for name, values in fields.items() if len(values) > 1]
    if repeated:
        raise _refused(repeated)
    return _read({name: _as_json(values[0], name in numbers) for name, values in fields.items()}, members)


def read_texts(given: Mapping[str, Sequence[str]], members: tuple[Member, ...]) -> Members:
    """Read the fields of a form; one that is left empty is as if not given. Errors: RecordError with all faults."""
    repeated = [fault(_shown(name, 0), "member-once") for name, values in given.items() if len(values) > 1]
    filled = {name: msgspec.json.encode(values[0]) for name, values in given.items() if values[0].strip()}
    return _read(filled, members, repeated)


def _as_json(text: str, number: bool) -> bytes:
    """Return the JSON text of a parameter, a number where it is to be one and can be."""
    return msgspec.json.encode(int(text) if number and _DIGITS.fullmatch(text) else text)


def _read(given: Given, members: tuple[Member, ...], known_faults: Sequence[Fault] = ()) -> Members:
    """Return the members that were given. A null is as if not given."""
    found, faults = {}, list(known_faults)
    for member in members:
        raw = given.get(member.name)
        try:
            if raw is not None and raw != b"null":
                found[member.name] = _READERS[member.kind](raw, member)
            elif member.required:
                raise _MemberError("member-required")
        except _MemberError as wrong:
            faults.append(fault(member.name, wrong.rule, **wrong.details))
    faults += _unknown(given, members)
    if faults:
        raise _refused(faults)
    return found


def _refused(faults: list[Fault]) -> RecordError:
    zh, en = (text.format(count=len(faults)) for text in RULES["members"])
    return RecordError(f"{zh}。{en}", rule="members", faults=[each._asdict() for each in faults])


def _unknown(given: Given, members: tuple[Member, ...]) -> Iterator[Fault]:
    known = [member.name for member in members]
    unknown = [(place, name) for place, name in enumerate(given, 1) if name not in known]
    for place, name in unknown[:_NAMED_MAX]:
        near = difflib.get_close_matches(name[:40], known, 1)
        near_zh, near_en = (f"；相近的是{near[0]}", f"; near it: {near[0]}") if near else ("", "")
        yield fault(_shown(name, place), "member-unknown", near_zh=near_zh, near_en=near_en)


def _shown(name: str, place: int) -> str:
    """Return a name that may be shown, else its place."""
    return name if _NAME_SHOWN.fullmatch(name) else f"#{place}"


def _parsed(raw: bytes, member: Member, kind: type) -> Any:
    value = parse(raw)  # it was parsed before, as a part of the whole
    if type(value) is not kind:
        zh, en = member.kind.value
        raise _MemberError("member-type", kind_zh=zh, kind_en=en)
    return value


def _text(raw: bytes, member: Member) -> str:
    text: str = _parsed(raw, member, str)
    if member.choices:
        if text not in member.choices:
            raise _MemberError("member-choice", choices=", ".join(member.choices))
    elif not member.low <= len(text) <= member.high:
        raise _MemberError("member-length", low=member.low, high=member.high)
    return text


def _line(raw: bytes, member: Member) -> str:
    text: str = _parsed(raw, member, str)
    return _visible(text.strip(), member)


def _prose(raw: bytes, member: Member) -> str:
    """Return text of several lines. Signs that only say how it is set, as editors leave them, are left out."""
    text: str = _parsed(raw, member, str)
    lines = text.replace("\r\n", "\n").strip()
    kept = "".join(char for char in lines if char in _JOINERS or unicodedata.category(char) != "Cf")
    _visible(kept.translate(_PLAIN_LINES), member)
    return kept


def _visible(text: str, member: Member) -> str:
    if not member.low <= len(text) <= member.high:
        raise _MemberError("member-length", low=member.low, high=member.high)
    if not is_visible(text):
        zh, en = member.kind.value
        raise _MemberError("member-type", kind_zh=zh, kind_en=en)
    return text


def _contact(parse_contact: Callable[[str], str]) -> Callable[[bytes, Member], str]:
    def read(raw: bytes, member: Member) -> str:
        text = _line(raw, member)
        try:
            return parse_contact(narrow(text))
        except RuleError:
            zh, en = member.kind.value
            raise _MemberError("member-type", kind_zh=zh, kind_en=en) from None

    return read


def _flag(raw: bytes, member: Member) -> bool:
    flag: bool = _parsed(raw, member, bool)
    return flag


def _integer(raw: bytes, member: Member) -> int:
    number: int = _parsed(raw, member, int)
    if not member.low <= number <= member.high:
        raise _MemberError("member-range", low=member.low, high=member.high)
    return number


def _digest(raw: bytes, member: Member) -> bytes:
    text = _parsed(raw, member, str)
    if not _DIGEST.fullmatch(text):
        raise _MemberError("member-digest")
    return bytes.fromhex(text)


def _object(raw: bytes, member: Member) -> bytes:
    _parsed(raw, member, dict)
    return raw


def _document(raw: bytes, _: Member) -> bytes:
    return raw


def _reasons(raw: bytes, member: Member) -> tuple[tuple[str, str], ...]:
    reasons = _parsed(raw, member, dict)
    if len(reasons) > limits.CORRECTIONS_MAX:
        raise _MemberError("member-items", items=limits.CORRECTIONS_MAX)
    if not all(isinstance(reason, str) and len(reason) <= member.high for reason in reasons.values()):
        zh, en = member.kind.value
        raise _MemberError("member-type", kind_zh=zh, kind_en=en)
    return tuple(reasons.items())


_READERS: Final[Mapping[Kind, Callable[[bytes, Member], Any]]] = {
    Kind.TEXT: _text,
    Kind.FLAG: _flag,
    Kind.INTEGER: _integer,
    Kind.DIGEST: _digest,
    Kind.OBJECT: _object,
    Kind.DOCUMENT: _document,
    Kind.REASONS: _reasons,
    Kind.LINE: _line,
    Kind.PROSE: _prose,
    Kind.PHONE: _contact(parse_phone),
    Kind.EMAIL: _contact(parse_email),
}


# --- describing --------------------------------------------------------------
def schema_of(member: Member) -> dict[str, Any]:
    """Return the JSON Schema of a member."""
    return {"description": f"{member.zh} {member.en}"} | _SCHEMAS[member.kind](member)


def schema_of_body(members: tuple[Member, ...]) -> dict[str, Any]:
    """Return the JSON Schema of a body."""
    return {
        "type": "object",
        "properties": {member.name: schema_of(member) for member in members},
        "required": [member.name for member in members if member.required],
        "additionalProperties": False,
    }


def _text_schema(member: Member) -> dict[str, Any]:
    if member.choices:
        return {"type": "string", "enum": list(member.choices)}
    return {"type": "string", "minLength": member.low, "maxLength": member.high}


_SCHEMAS: Final[Mapping[Kind, Callable[[Member], dict[str, Any]]]] = {
    **dict.fromkeys((Kind.TEXT, Kind.LINE, Kind.PROSE, Kind.PHONE, Kind.EMAIL), _text_schema),
    Kind.FLAG: lambda _: {"type": "boolean"},
    Kind.INTEGER: lambda member: {"type": "integer", "minimum": member.low, "maximum": member.high},
    Kind.DIGEST: lambda _: {"type": "string", "pattern": "^[0-9a-fA-F]{64}$"},
    Kind.OBJECT: lambda _: {"type": "object"},
    Kind.DOCUMENT: lambda _: {},
    Kind.REASONS: lambda member: {
        "type": "object",
        "maxProperties": limits.CORRECTIONS_MAX,
        "additionalProperties": {"type": "string", "minLength": 1, "maxLength": member.high},
    },
}
