"""What a node says, for a terminal and for files: nothing in it moves a cursor, renames a window, or turns a line."""

from __future__ import annotations

from core import limits


def printable(text: str) -> str:
    """Return a text with escapes for what is not printed, on one line. Bounds: LINE_TOLD_CHARS_MAX of it."""
    text = " ".join(text[: limits.LINE_TOLD_CHARS_MAX].split())
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
