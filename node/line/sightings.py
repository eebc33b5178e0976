"""Which codes of a lot stand in a line that was refused, whatever else is wrong with it. Pure.

A code is told from any text by its lot code and ten characters: so all carriers are found, cut lines, other forms.
"""

from __future__ import annotations

import re
from typing import Final

from core import limits
from core.ident.unitcode import SERIAL_CHARS
from node.line.shape import ALPHABET

_ESCAPED: Final = re.compile(r"\\U([0-9A-F]{4})|%([0-9A-F]{2})")


def serials_in(line: bytes, lot: str) -> tuple[str, ...]:
    """Return the serial characters of what may be codes of a lot, each once; total. Bounds: LINE_SEEN_MAX."""
    text = line.decode("utf-8", "replace").upper()
    text += "\n" + _ESCAPED.sub(lambda match: chr(int(match[1] or match[2], 16)), text)
    code = re.escape(lot.partition("/")[2])
    found = re.finditer(rf"(?={code}([{ALPHABET}]{{{SERIAL_CHARS}}}))", text)
    return tuple(dict.fromkeys(match[1] for match in found))[: limits.LINE_SEEN_MAX]
