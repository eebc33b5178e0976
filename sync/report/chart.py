"""Small bar charts of some months as inline SVG: no script, no style, nothing from elsewhere."""

from __future__ import annotations

from html import escape
from typing import Final, NamedTuple

_WIDTH: Final = 320
_HEIGHT: Final = 150
_TOP: Final = 26
_BASE: Final = 126
_BAR: Final = 26


class Bar(NamedTuple):
    """``share``: of the height, 0 to 1; None where nothing is known. ``label``: what stands above it."""

    name: str
    share: float | None
    label: str


def bars(title: str, chart: list[Bar]) -> str:
    """Return a chart."""
    step = _WIDTH / max(1, len(chart))
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">'
        f'<text x="{_WIDTH // 2}" y="11" text-anchor="middle" font-size="11" font-weight="bold">{escape(title)}</text>'
        f'<line x1="0" y1="{_BASE}" x2="{_WIDTH}" y2="{_BASE}" stroke="#333"/>'
    ]
    for place, each in enumerate(chart):
        middle = round((place + 0.5) * step, 1)
        height = round((_BASE - _TOP - 10) * min(1.0, each.share or 0.0), 1)
        if each.share is not None:
            parts.append(
                f'<rect x="{middle - _BAR / 2}" y="{round(_BASE - height, 1)}" width="{_BAR}" height="{height}" '
                'fill="#3b6ea5"/>'
            )
        parts.append(
            f'<text x="{middle}" y="{round(_BASE - height - 4, 1)}" text-anchor="middle" font-size="9">'
            f"{escape(each.label)}</text>"
            f'<text x="{middle}" y="{_BASE + 14}" text-anchor="middle" font-size="9">{escape(each.name)}</text>'
        )
    return "".join((*parts, "</svg>"))
