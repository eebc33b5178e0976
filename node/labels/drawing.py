"""Symbols as pictures: SVG and PNG, print-true, with their quiet zone, whatever library made the matrix."""

from __future__ import annotations

import re
import struct
import zlib
from html import escape
from typing import Final

from node.labels.symbols import Matrix

QUIET: Final = 4
"""Modules of white around a symbol: QR wants 4, DataMatrix 1 (ISO/IEC 18004, ISO/IEC 16022)."""

MODULE_MM: Final = 0.5
"""Side of a module on a picture that stands alone, above the LABEL_MODULE_MM_MIN of a flexible bag."""

_PIXELS: Final = 8  # of a module's side: at 1 bit a pixel an octet
_DARK_RUN: Final = re.compile(b"\1+")
_OCTETS: Final = bytes.maketrans(b"\0\1", b"\xff\0")  # PNG: a bit set is white


def modules(matrix: Matrix) -> int:
    """Return the side of a symbol with its quiet zone, in modules."""
    return len(matrix.rows) + 2 * QUIET


def path(matrix: Matrix) -> str:
    """Return an SVG path of the dark modules, one unit a module, the quiet zone left and above it."""
    runs = (
        f"M{run.start() + QUIET} {y + QUIET}h{len(run[0])}v1h-{len(run[0])}z"
        for y, row in enumerate(matrix.rows)
        for run in _DARK_RUN.finditer(row)
    )
    return f'<path shape-rendering="crispEdges" d="{"".join(runs)}"/>'


def svg(matrix: Matrix, title: str) -> str:
    """Return a picture of a symbol, MODULE_MM a module, with a title that is shown but not printed."""
    side = modules(matrix)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{side * MODULE_MM:g}mm" height="{side * MODULE_MM:g}mm" '
        f'viewBox="0 0 {side} {side}"><title>{escape(title)}</title>'
        f'<rect width="{side}" height="{side}" fill="#fff"/>{path(matrix)}</svg>\n'
    )


def png(matrix: Matrix) -> bytes:
    """Return a picture of a symbol: 1 bit a pixel, 8 × 8 pixels a module, MODULE_MM a module.

    Source: W3C Portable Network Graphics.
    """
    side = modules(matrix)
    margin, beside = (bytes(side),) * QUIET, bytes(QUIET)
    rows = (*margin, *(beside + row + beside for row in matrix.rows), *margin)
    lines = b"".join((b"\0" + row.translate(_OCTETS)) * _PIXELS for row in rows)
    per_metre = round(_PIXELS * 1000 / MODULE_MM)
    return b"".join((
        b"\x89PNG\r\n\x1a\n",
        _chunk(b"IHDR", struct.pack(">IIBBBBB", side * _PIXELS, side * _PIXELS, 1, 0, 0, 0, 0)),
        _chunk(b"pHYs", struct.pack(">IIB", per_metre, per_metre, 1)),
        _chunk(b"IDAT", zlib.compress(lines)),
        _chunk(b"IEND", b""),
    ))  # fmt: skip


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
