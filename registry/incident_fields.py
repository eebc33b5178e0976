"""What is told of an incident: the members of a form, read and checked with all faults at once.

Reading is total: any octets give a Form, whose faults say what is wrong with each member. Times are as
``core/clock.py`` reads them: with an offset, or in Shanghai; whether they fit together is judged for
the incident as a whole.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from core import limits
from core.clock import Millis, parse_given
from core.incidents import Kind, Severity
from core.party.rules import Fault
from registry.refusals import fault

_NAME_SHOWN: Final = re.compile(r"[a-z]{1,40}", re.ASCII)
_UNKNOWN_MAX: Final = limits.PARTY_UNKNOWN_NAMED_MAX
# Blanks of other widths, which Chinese texts hold.
_BLANKS: Final = {0x3000: " ", 0xA0: " ", 9: " "}
_SEVERAL: Final = {10: " ", **_BLANKS}
_TEXT_KIND: Final = ("文本", "text")
_LIST_KIND: Final = ("数组：文本，或含at与text的对象", "an array of texts, or of objects with at and text")


class Given(NamedTuple):
    """A measure as it was given. ``place``: in the list, from 0. ``at_ms``: None for now."""

    place: int
    at_ms: Millis | None
    text: str


class Form(NamedTuple):
    """What was given. ``values``: members of an incident; what was taken away is empty, a time then 0."""

    values: dict[str, Any]
    measures: tuple[Given, ...]
    faults: tuple[Fault, ...]


class _FieldError(Exception):
    """A member breaks a rule."""

    def __init__(self, wrong: Fault) -> None:
        super().__init__(wrong.rule)
        self.fault = wrong


class _Field(NamedTuple):
    """One member.

    ``stored``: its name in the row. ``needed``: whoever opens an incident says it. ``nothing``: what stands
    there once it was taken away; None where it cannot be.
    """

    name: str
    stored: str
    read: Callable[[str, Any], Any]
    needed: bool
    nothing: Any


def _text(high: int, blanks: dict[int, str]) -> Callable[[str, Any], str]:
    def read(path: str, given: Any) -> str:
        text = _plain(path, given)
        if not 1 <= len(text) <= high:
            raise _FieldError(fault(path, "member-length", low=1, high=high))
        if not text.translate(blanks).isprintable():
            raise _FieldError(fault(path, "incident-text"))
        return text

    return read


def _choice(choices: tuple[str, ...]) -> Callable[[str, Any], str]:
    def read(path: str, given: Any) -> str:
        text = _plain(path, given)
        if text not in choices:
            raise _FieldError(fault(path, "member-choice", choices=", ".join(choices)))
        return text

    return read


def _time(path: str, given: Any) -> Millis:
    at_ms = parse_given(_plain(path, given))
    if not at_ms:
        raise _FieldError(fault(path, "incident-time"))
    return at_ms


def _plain(path: str, given: Any) -> str:
    if not isinstance(given, str):
        raise _FieldError(fault(path, "member-type", kind_zh=_TEXT_KIND[0], kind_en=_TEXT_KIND[1]))
    return given.replace("\r\n", "\n").strip()


read_one_line: Final = _text(limits.INCIDENT_TO_CHARS_MAX, _BLANKS)
_read_measure: Final = _text(limits.INCIDENT_MEASURE_CHARS_MAX, _SEVERAL)
_LONG: Final = _text(limits.INCIDENT_TEXT_CHARS_MAX, _SEVERAL)
_NEEDED: Final = True

FIELDS: Final = (
    _Field("title", "title", _text(limits.INCIDENT_TITLE_CHARS_MAX, _BLANKS), _NEEDED, None),
    _Field("description", "description", _LONG, _NEEDED, None),
    _Field("kind", "kind", _choice(tuple(kind.value for kind in Kind)), _NEEDED, None),
    _Field("severity", "severity", _choice(tuple(severity.value for severity in Severity)), _NEEDED, None),
    _Field("occurred", "occurred_ms", _time, _NEEDED, None),
    _Field("discovered", "discovered_ms", _time, not _NEEDED, None),
    _Field("recovered", "recovered_ms", _time, not _NEEDED, Millis(0)),
    _Field("affected", "affected", _LONG, not _NEEDED, ""),
    _Field("cause", "cause", _LONG, not _NEEDED, ""),
)
_MEASURES: Final = "measures"
_NAMES: Final = (*(field.name for field in FIELDS), _MEASURES)


def read_incident(form: dict[str, Any], *, whole: bool) -> Form:
    """Read a form; ``whole``: of an incident that is opened, else of what changes in one.

    A null is as if not given. An empty text takes away what an incident need not have.
    """
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for field in FIELDS:
        given = form.get(field.name)
        try:
            if given is None:
                if field.needed and whole:
                    raise _FieldError(fault(field.name, "member-required"))
            elif given == "" and field.nothing is not None:
                values[field.stored] = field.nothing
            else:
                values[field.stored] = field.read(field.name, given)
        except _FieldError as wrong:
            faults.append(wrong.fault)
    measures = _measures(form.get(_MEASURES), faults)
    faults += _unknown(form)
    return Form(values, tuple(measures), tuple(faults))


def read_to(given: str) -> tuple[str, tuple[Fault, ...]]:
    """Return whom a report is for, and what is wrong with it."""
    try:
        return read_one_line("to", given), ()
    except _FieldError as wrong:
        return "", (wrong.fault,)


def _measures(given: Any, faults: list[Fault]) -> Iterator[Given]:
    """Yield what is right; put what is wrong to the faults."""
    if given is None:
        return
    if not isinstance(given, list):
        faults.append(fault(_MEASURES, "member-type", kind_zh=_LIST_KIND[0], kind_en=_LIST_KIND[1]))
        return
    if len(given) > limits.INCIDENT_MEASURES_MAX:
        faults.append(fault(_MEASURES, "member-items", items=limits.INCIDENT_MEASURES_MAX))
        return
    for number, each in enumerate(given):
        path = f"{_MEASURES}[{number}]"
        members = {"text": each} if isinstance(each, str) else each
        if not isinstance(members, dict) or not {"text"} <= members.keys() <= {"text", "at"}:
            faults.append(fault(path, "member-type", kind_zh=_LIST_KIND[0], kind_en=_LIST_KIND[1]))
            continue
        at_ms: Millis | None = None
        text = ""
        try:
            text = _read_measure(path, members["text"])
            at_ms = None if members.get("at") is None else _time(f"{path}.at", members["at"])
        except _FieldError as wrong:
            faults.append(wrong.fault)
            continue
        yield Given(number, at_ms, text)


def _unknown(form: dict[str, Any]) -> Iterator[Fault]:
    unknown = [(place, name) for place, name in enumerate(form, 1) if name not in _NAMES]
    for place, name in unknown[:_UNKNOWN_MAX]:
        near = difflib.get_close_matches(name[:40], _NAMES, 1)
        near_zh, near_en = (f"；相近的是{near[0]}", f"; near it: {near[0]}") if near else ("", "")
        shown = name if _NAME_SHOWN.fullmatch(name) else f"#{place}"
        yield fault(shown, "member-unknown", near_zh=near_zh, near_en=near_en)
