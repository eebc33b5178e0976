"""Sheets for an office printer: A4 with 3 × 8 labels of 70 × 37 mm, one SVG a page, to be printed at 100 %.

What stands in a label: the symbol, below it the identifier and what it names. Not the index: it would show order and
volume, which the code hides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from itertools import islice
from math import floor
from typing import Final, NamedTuple

from core import limits
from core.errors import LimitError
from node.labels import drawing, text
from node.labels.symbols import Matrix

COLUMNS: Final = 3
ROWS: Final = 8
LABELS: Final = COLUMNS * ROWS
KINDS: Final = {"unit": "单元 unit", "case": "箱 case", "pallet": "托盘 pallet"}

_PAGE_MM: Final = (210, 297)
_LABEL_MM: Final = (70, 37)
_TOP_MM: Final = 0.5
_EDGE_MM: Final = 4  # no office printer prints nearer to the paper's edge
_LINE_MM: Final = 2.6
_FONT_MM: Final = 2.2
_LINE_COLUMNS: Final = 46  # of 0.6 × 2.2 mm in 62 mm
_MODULE_MM_MAX: Final = 0.6


class Label(NamedTuple):
    """One label. ``kind``: unit, case or pallet."""

    matrix: Matrix
    identifier: str
    kind: str


def pages(labels: Iterable[Label]) -> Iterator[str]:
    """Yield a page of SVG for every 24 labels.

    Bounds: a symbol is as large as the text leaves room for, a module LABEL_MODULE_MM_MIN to 0.6 mm.
    Errors: LimitError for a label that has no room, RecordError for an identifier that cannot be printed.
    """
    waiting = iter(labels)
    while page := list(islice(waiting, LABELS)):
        width, height = _PAGE_MM
        drawn = "".join(_label(place, label) for place, label in enumerate(page))
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}mm" height="{height}mm" '
            f'viewBox="0 0 {width} {height}"><rect width="{width}" height="{height}" fill="#fff"/>\n'
            f'<g font-family="monospace" font-size="{_FONT_MM}" text-anchor="middle" xml:space="preserve">\n'
            f"{drawn}</g></svg>\n"
        )


def _label(place: int, label: Label) -> str:
    text.check_text(label.identifier)
    told = [*text.lines(label.identifier, _LINE_COLUMNS), KINDS[label.kind]]
    side = drawing.modules(label.matrix)
    room = _LABEL_MM[1] - 2 * _EDGE_MM - len(told) * _LINE_MM
    module = min(_MODULE_MM_MAX, floor(room / side * 100) / 100)
    if module < limits.LABEL_MODULE_MM_MIN:
        raise LimitError(
            f"标签放不下该标识与符号：{label.identifier}。The label has no room for this identifier and its symbol at "
            f"{limits.LABEL_MODULE_MM_MIN} mm a module"
        )
    middle = (place % COLUMNS + 0.5) * _LABEL_MM[0]
    top = _TOP_MM + place // COLUMNS * _LABEL_MM[1] + _EDGE_MM
    below = top + side * module
    lines = "".join(
        f'<text x="{middle:g}" y="{below + number * _LINE_MM:.2f}">{escape(line)}</text>'
        for number, line in enumerate(told, 1)
    )
    left = middle - side * module / 2
    return f'<g transform="translate({left:.2f} {top:g}) scale({module:g})">{drawing.path(label.matrix)}</g>{lines}\n'
