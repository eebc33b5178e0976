"""What a verification finds, in words: problems with their place, and notes."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

PROBLEMS_MAX: Final = 1_000  # kept and shown; memory stays flat, however broken a log is
NOTES_MAX: Final = 200
_ENTRIES_TOLD: Final = 10
_SHOWN: Final = ("index", "size", "entries", "rows", "root", "signed", "trusted")


def plain(text: str) -> str:
    """Return a text that steers no terminal and can be encoded: other characters as ``\\x1b``. Names are not ours."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


class Problem(NamedTuple):
    """Something is wrong. ``where``: file and index of the leaf; ``what``: Chinese, then English."""

    where: str
    what: str


class Findings:
    """Problems and notes as they come; what is beyond the bounds is counted."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self.count = 0

    def problem(self, where: str, zh: str, en: str) -> None:
        """Add a problem."""
        self.count += 1
        found = Problem(plain(where), plain(f"{zh}。{en}."))
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(found)

    def note(self, zh: str, en: str) -> None:
        """Add a note; one that was made already is not made again."""
        told = plain(f"{zh}。{en}.")
        if told not in self.notes and len(self.notes) < NOTES_MAX:
            self.notes.append(told)


class Report(NamedTuple):
    """The result. ``streams``: stream, month, what was found of it; ``trust``: what the result rests on.

    ``found``: how many problems there are, of which the first PROBLEMS_MAX are kept.
    """

    trust: str
    streams: dict[str, dict[str, Any]]
    exports: dict[str, Any]
    proofs: dict[str, Any]
    problems: list[Problem]
    notes: list[str]
    found: int

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def document(self) -> dict[str, Any]:
        """Return the JSON form; exports and proofs where there are any."""
        told: dict[str, Any] = {
            "ok": self.ok,
            "trust": self.trust,
            "streams": self.streams,
            "problems": [problem._asdict() for problem in self.problems],
            "notes": self.notes,
        }
        if self.exports:
            told["exports"] = self.exports
        if self.proofs:
            told["proofs"] = self.proofs
        return told

    def text(self) -> str:
        """Return what a person reads."""
        lines = [f"{'通过 OK' if self.ok else '有问题 NOT OK'}：{self.trust}"]
        for stream, months in self.streams.items():
            lines += [f"  {stream}/{month}  {_line(told)}" for month, told in months.items()]
        lines += [f"  {name}  {_line(told or {})}" for name, told in (self.exports | self.proofs).items()]
        for told in self.proofs.values():
            lines += _proven(told or {})
        lines += [f"问题 Problem: {problem.where}\n    {problem.what}" for problem in self.problems]
        if self.found > len(self.problems):
            lines.append(
                f"另有 {self.found - len(self.problems)} 处问题。{self.found - len(self.problems)} more problems."
            )
        lines += [f"说明 Note: {note}" for note in self.notes]
        return "\n".join(part for line in lines for part in map(plain, line.split("\n")))


def _proven(told: dict[str, Any]) -> list[str]:
    """Return what a proof proves: where the entry stands, and the entry; of a block the first ones."""
    if "entry" not in told:
        return []
    entries = told["entry"] if isinstance(told["entry"], list) else [told["entry"]]
    lines = [f"    {told['origin']} index {told['index']}:"]
    lines += [f"    {json.dumps(each, ensure_ascii=False)}" for each in entries[:_ENTRIES_TOLD]]
    more = len(entries) - _ENTRIES_TOLD
    return [*lines, f"    另有 {more} 条，见 --json。{more} more: --json"] if more > 0 else lines


def _line(told: dict[str, Any]) -> str:
    return ", ".join(f"{name} {told[name]}" for name in _SHOWN if told.get(name) is not None)
