r"""Labels as ZPL II text: the printer draws the symbol itself.

A field holds hexadecimal for everything that is no plain ASCII character (``^FH``), and for ``^ ~ _ \``, so that no
content ends its field or begins a command. The text of people stands above the symbol, whose size only the printer
knows.

Source: Zebra, ZPL II Programming Guide: ^BQ, ^BX, ^CI, ^FD, ^FH.
"""

from __future__ import annotations

from math import ceil
from typing import Final

from core import limits
from core.errors import RecordError
from node.labels.symbols import Carrier
from node.labels.text import check_text, lines

DOTS_MM: Final = {203: 8, 300: 12, 600: 24}
"""Dots per millimetre of a printer of so many dpi."""

_PLAIN: Final = frozenset(range(0x20, 0x7F)) - frozenset(b"^~_\\")
_MARGIN_MM: Final = 2
_LINE_MM: Final = 3
_FONT_MM: Final = 2.5
_COLUMNS: Final = 32  # of a label of 50 mm


def label(identifier: str, content: str, *, kind: str = "", carrier: Carrier = Carrier.QR, dots_mm: int = 8) -> str:
    """Return one label, ``^XA`` to ``^XZ``: lines of ASCII, a newline at the end.

    ``identifier`` and ``kind`` are printed for people, ``content`` is in the symbol: ASCII; for GS1_DATAMATRIX an
    element string of ``gs1.element_string``. ``dots_mm``: resolution of the printer, see DOTS_MM; a module has the
    fewest dots that are LABEL_MODULE_MM_MIN.
    Bounds: LABEL_TEXT_BYTES_MAX octets each; with the escapes that is half of what ``^FD`` takes (3072).
    Errors: RecordError, LimitError.
    """
    check_text(identifier)
    dots = ceil(limits.LABEL_MODULE_MM_MIN * dots_mm)
    shown = [*lines(identifier, _COLUMNS), *([kind] if kind else [])]
    height, left = round(_FONT_MM * dots_mm), _MARGIN_MM * dots_mm
    fields = [
        f"^FO{left},{(_MARGIN_MM + number * _LINE_MM) * dots_mm}^A0N,{height},{height}{_field(line)}"
        for number, line in enumerate(shown)
    ]
    below = (_MARGIN_MM + len(shown) * _LINE_MM + 1) * dots_mm
    return "\n".join(("^XA", "^CI28", *fields, f"^FO{left},{below}{_symbol(carrier, content, dots)}", "^XZ", ""))


def _symbol(carrier: Carrier, content: str, dots: int) -> str:
    """Return command and field of a symbol. In ``^BX`` the character _ leads special ones: _1 is FNC1, __ is _."""
    check_text(content)
    if not content.isascii():  # in a QR field that the printer divides itself, octets 80-9F and E0-FF cannot be set
        raise RecordError(
            f"打印机绘制的符号只含 ASCII，请设置 node.public_url：{content!r}。A symbol that a printer draws "
            "holds ASCII; set node.public_url, and it will hold an address"
        )
    if carrier is Carrier.QR:  # M: error correction; A: the printer chooses the modes
        return f"^BQN,2,{dots},M{_field(f'MA,{content}')}"
    start = "_1" if carrier is Carrier.GS1_DATAMATRIX else ""
    return f"^BXN,{dots},200,,,,_{_field(start + content.replace('_', '__'))}"


def _field(text: str) -> str:
    """Return a field: ``^FH^FD…^FS``, every octet plain or as _ and two hexadecimal digits."""
    octets = "".join(chr(octet) if octet in _PLAIN else f"_{octet:02X}" for octet in text.encode())
    return f"^FH^FD{octets}^FS"
