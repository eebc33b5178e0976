"""A line that the camera, or who stands at the line, says: JSON or CSV, one event a line.

JSON: ``{"code": …, "time": …, "event"?: …, "grade"?: "A" … "F", "reject"?: true, "children"?: [code, …]}``.
CSV: ``code,time[,grade[,event]]``, without quotes; ``reject`` is an event there. ``event`` is ``bag`` where nothing
is said, ``case`` or ``pallet`` (closed), ``scrap`` or ``sample``. A line feed ends each line: what is cut is no line.
``code`` is what was read, see carriers. A blank line, or an empty code, says that a bag passed and nothing was read.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

import msgspec

from core import limits
from core.clock import parse_instant
from core.errors import WireError
from node.line.carriers import FNC1
from node.line.facts import GRADES


class What(Enum):
    """What happened at the line."""

    BAG = "bag"
    CASE = "case"
    PALLET = "pallet"
    SCRAP = "scrap"
    SAMPLE = "sample"


class Reading(NamedTuple):
    """One event. ``code``: in upper case, empty where none was read. ``children``: None where nobody listed them."""

    what: What
    code: str
    at_ms: int
    grade: str = ""
    reject: bool = False
    children: tuple[str, ...] | None = None


class _Form(msgspec.Struct, forbid_unknown_fields=True):
    code: str
    time: str
    event: str = What.BAG.value
    grade: str = ""
    reject: bool = False
    children: list[str] | None = None


_DECODER: Final = msgspec.json.Decoder(_Form)
_REJECT: Final = "reject"
_NOTHING: Final = Reading(What.BAG, "", 0)


def parse_reading(line: bytes) -> Reading | None:
    """Read a line with its line feed; None for the head of a CSV file.

    Errors: WireError that says what is wrong.
    """
    if line[-1:] != b"\n" or len(line) > limits.LINE_INPUT_BYTES_MAX:
        raise WireError("行不完整或过长 The line is cut, or too long")
    text = line.strip()
    if not text:
        return _NOTHING
    if text.lower().startswith(b"code,"):
        return None
    form = _parse_json(text) if text[:1] == b"{" else _parse_csv(text)
    at_ms = parse_instant(form.time)
    if at_ms is None:
        raise WireError("时间须为带时区的 RFC 3339 格式 The time is not of RFC 3339, with its zone")
    if len(form.grade) > 1 or form.grade not in GRADES:
        raise WireError("等级应为 A 至 F The grade is A to F")
    try:
        what = What(form.event)
    except ValueError:
        raise WireError("没有这种事件 No such event: bag, case, pallet, scrap, sample") from None
    if what in (What.SCRAP, What.SAMPLE) and form.reject:
        raise WireError("剔除标志只用于喷码读取 A reject is of a code that was read, not of scrap or a sample")
    return Reading(what, _code(form.code), at_ms, form.grade, form.reject, _children(what, form.children))


def _children(what: What, listed: list[str] | None) -> tuple[str, ...] | None:
    """Errors: WireError."""
    if listed is None:
        return None
    if what not in (What.CASE, What.PALLET) or not 0 < len(listed) <= limits.LINE_CHILDREN_MAX:
        raise WireError("子项只用于箱和托盘 Children are of a case or pallet, and not none, and not too many")
    children = tuple(map(_code, listed))
    if not all(children):
        raise WireError("子项中有空标识 One of the children is an empty code")
    return children


def _code(text: str) -> str:
    """Errors: WireError."""
    code = text.strip()
    if len(code) > limits.LINE_CODE_CHARS_MAX or not code.isascii() or not code.replace(FNC1, "").isprintable():
        raise WireError("不是标识 Not a code")
    return code.upper()


def _parse_json(text: bytes) -> _Form:
    try:
        return _DECODER.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"不是有效的 JSON 事件 Not an event in JSON: {error}") from None


def _parse_csv(text: bytes) -> _Form:
    try:
        fields = [field.strip() for field in text.decode().split(",")]
    except UnicodeDecodeError:
        raise WireError("不是 UTF-8 Not UTF-8") from None
    if not 2 <= len(fields) <= 4:
        raise WireError("应为 code,time[,grade[,event]] It is code,time[,grade[,event]]")
    grade, event = (*fields[2:], "", "")[:2]
    if event == _REJECT:
        return _Form(fields[0], fields[1], grade=grade, reject=True)
    return _Form(fields[0], fields[1], event or What.BAG.value, grade)
