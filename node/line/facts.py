"""What happened to codes, as a line of a run's file: a JSON document of one of three forms.

- a fact ``{"event", "index", "count"?, "time", "grade"?, "children"?}``: codes ``index`` … ``index + count - 1`` of
  the lot became ``commissioned``, ``scrapped``, ``sampled`` or ``returned``, or are ``loose``: in no case or pallet.
  ``children`` of a case or pallet that was closed, as ``[[first, count], …]``; none where its children are those of
  the rule;
- an alarm ``{"alarm", "time", "line", "seen"?}``: a line of the camera that was not taken, by which rule, and the
  serial characters of the codes in it;
- the end ``{"end": true, "time"}``: what follows settles codes that were seen and refused, and ends the run again.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from core import limits
from core.clock import format_instant, parse_instant
from core.errors import WireError
from core.ident.unitcode import INDEXES_MAX
from node.line.shape import Span, parse_serial

COMMISSIONED: Final = "commissioned"
SCRAPPED: Final = "scrapped"
SAMPLED: Final = "sampled"
RETURNED: Final = "returned"
LOOSE: Final = "loose"
EVENTS: Final = (COMMISSIONED, SCRAPPED, SAMPLED, RETURNED, LOOSE)
GRADES: Final = "ABCDEF"
"""The best first (ISO/IEC 15415). F is a failure."""


class Fact(NamedTuple):
    """Something happened to codes. ``grade``: empty for none. ``children``: empty for those of the rule."""

    event: str
    codes: Span
    at_ms: int
    grade: str = ""
    children: tuple[Span, ...] = ()


class Alarm(NamedTuple):
    """A line that was not taken. ``line``: what the camera said, cut to LINE_ALARM_CHARS_MAX.

    ``seen``: serial characters of what may be codes of the lot in the whole of it, at most LINE_SEEN_MAX.
    """

    rule: str
    at_ms: int
    line: str
    seen: tuple[str, ...] = ()


class End(NamedTuple):
    """The run ended."""

    at_ms: int


Entry = Fact | Alarm | End


class _Form(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    time: str
    event: str = ""
    index: int = 0
    count: int = 1
    grade: str = ""
    children: list[tuple[int, int]] = []
    alarm: str = ""
    line: str = ""
    seen: list[str] = []
    end: bool = False


_DECODER: Final = msgspec.json.Decoder(_Form)


def pack_entry(entry: Entry) -> bytes:
    """Return the octets of an entry, without a line feed."""
    time = format_instant(entry.at_ms)
    if isinstance(entry, Fact):
        children = [(span.first, span.size) for span in entry.children]
        form = _Form(time, entry.event, *entry.codes, entry.grade, children)
    elif isinstance(entry, Alarm):
        form = _Form(time, alarm=entry.rule, line=entry.line, seen=list(entry.seen))
    else:
        form = _Form(time, end=True)
    return msgspec.json.encode(form)


def unpack_entry(octets: bytes) -> Entry:
    """Read an entry. Bounds: spans within INDEXES_MAX. Errors: WireError for anything else."""
    try:
        form = _DECODER.decode(octets)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"班次记录中有一行无法读取 A line of a run cannot be read: {error}") from None
    at_ms = parse_instant(form.time)
    entry: Entry | None = None
    if at_ms is None:
        raise WireError("班次记录中有一行没有时间 A line of a run has no time")
    if form.alarm:
        if len(form.seen) <= limits.LINE_SEEN_MAX and all(parse_serial(each, "") is not None for each in form.seen):
            entry = Alarm(form.alarm, at_ms, form.line, tuple(form.seen))
    elif form.end:
        entry = End(at_ms)
    else:
        spans = [Span(*pair) for pair in ((form.index, form.count), *form.children)]
        if form.event in EVENTS and all(map(_fits, spans)) and (form.grade in GRADES and len(form.grade) <= 1):
            entry = Fact(form.event, spans[0], at_ms, form.grade, tuple(spans[1:]))
    if entry is None or pack_entry(entry) != octets:
        raise WireError("班次记录中有一行内容无效 A line of a run says what no line says")
    return entry


def _fits(span: Span) -> bool:
    return span.first >= 0 and span.size > 0 and span.end <= INDEXES_MAX
