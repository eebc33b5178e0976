"""Symbols as matrices of modules: QR and DataMatrix.

QR is made by zxing-cpp where it is installed (the extra ``labels``), else by segno, forty times slower; both make
level M. DataMatrix needs zxing-cpp.
"""

from __future__ import annotations

import importlib
import re
from enum import Enum
from typing import Any, Final, NamedTuple

import segno

from core.errors import NodeError, Outcome, RecordError
from node.labels import gs1
from node.labels.text import check_text

try:
    _zxing: Any = importlib.import_module("zxingcpp")
except ImportError:
    _zxing = None

_ELEMENTS: Final = re.compile("01([0-9]{14})21(.+)")
_DARK: Final = bytes([1]) + bytes(255)  # zxing-cpp: 0 is dark, 255 light


class Carrier(Enum):
    """A kind of symbol."""

    QR = "qr"
    DATAMATRIX = "datamatrix"
    GS1_DATAMATRIX = "gs1-datamatrix"


class Matrix(NamedTuple):
    """A square of modules. ``rows``: an octet a module, 1 dark and 0 light, without the quiet zone."""

    rows: tuple[bytes, ...]


def symbol(carrier: Carrier, content: str) -> Matrix:
    """Return the symbol of a content: a text, for GS1_DATAMATRIX an element string of ``gs1.element_string``.

    Bounds: LABEL_TEXT_BYTES_MAX octets. Error correction: QR level M, DataMatrix ECC 200.
    Errors: RecordError, LimitError; NodeError UNSUPPORTED for DataMatrix without zxing-cpp.
    """
    check_text(content)
    if carrier is Carrier.QR:
        return _qr(content)
    if _zxing is None:
        raise NodeError(
            "DataMatrix 需要 zxing-cpp：pip install 'saltern[labels]'。DataMatrix needs zxing-cpp",
            outcome=Outcome.UNSUPPORTED,
        )
    gs1_content = carrier is Carrier.GS1_DATAMATRIX
    text = _bracketed(content) if gs1_content else content
    kind = _zxing.BarcodeFormat.DataMatrix
    return _modules(_zxing.create_barcode(text, kind, gs1=gs1_content, force_square=True))


def _bracketed(elements: str) -> str:
    """Return an element string as the library reads it: ``(01)…(21)…``. Errors: RecordError."""
    found = _ELEMENTS.fullmatch(elements)
    if found is None:
        raise RecordError(f"应为 GTIN 与序列号的元素串：{elements!r}。That is no element string of GTIN and serial")
    gtin, serial = gs1.gtin14(found[1]), gs1.serial(found[2])
    if set("()") & set(serial):  # the library takes what is in brackets for another AI
        raise RecordError(f"序列号含括号，无法绘制：{serial!r}。A serial with brackets cannot be drawn")
    return f"(01){gtin}(21){serial}"


def _qr(content: str) -> Matrix:
    if _zxing is not None:
        return _modules(_zxing.create_barcode(content, _zxing.BarcodeFormat.QRCode, ec_level="M"))
    made = segno.make_qr(content, error="m", boost_error=False, encoding="utf-8")
    return Matrix(tuple(bytes(row) for row in made.matrix))


def _modules(barcode: Any) -> Matrix:
    image: Any = memoryview(barcode.to_image(scale=1, add_quiet_zones=False))
    octets, width = image.tobytes().translate(_DARK), image.shape[1]
    return Matrix(tuple(octets[start : start + width] for start in range(0, len(octets), width)))
