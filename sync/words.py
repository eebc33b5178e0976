"""Words of the other side, as they are kept, logged and shown here: visible, on one line, and cut."""

from __future__ import annotations


def visible(text: str, chars: int) -> str:
    """Return a text with a blank for each character that cannot be seen, cut."""
    return "".join(char if char.isprintable() else " " for char in text[:chars]).strip()
