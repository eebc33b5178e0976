"""Texts of labels: which are carried, and how the one for people is broken into lines."""

from __future__ import annotations

from collections.abc import Iterator
from unicodedata import east_asian_width

from core import limits
from core.errors import LimitError, RecordError


def check_text(text: str) -> bytes:
    """Return the UTF-8 octets of a text that a label can carry.

    Bounds: 1 to LABEL_TEXT_BYTES_MAX octets, visible characters and blanks on one line.
    Errors: RecordError, LimitError.
    """
    if not text or not text.isprintable():
        raise RecordError(f"标签只印可见字符：{text!r}。A label carries visible characters")
    octets = text.encode()
    if len(octets) > limits.LABEL_TEXT_BYTES_MAX:
        raise LimitError(
            f"标签的文字至多 {limits.LABEL_TEXT_BYTES_MAX} 字节。A label carries {limits.LABEL_TEXT_BYTES_MAX} "
            f"octets at most, this has {len(octets)}"
        )
    return octets


def lines(identifier: str, columns: int) -> Iterator[str]:
    """Break an identifier into lines of at most ``columns``; a Chinese character takes two columns.

    Shape: one line where it fits; else a line ends behind the prefix, and wherever it is full. The lines put together
    are the identifier: no hyphen, nothing left out.
    """
    prefix, slash, suffix = identifier.partition("/")
    whole = _width(identifier) <= columns
    for part in (identifier,) if whole else (prefix + slash, suffix):
        line, width = "", 0
        for character in part:
            if width + _width(character) > columns:
                yield line
                line, width = "", 0
            line += character
            width += _width(character)
        if line:
            yield line


def _width(text: str) -> int:
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)
