"""Readers of what labels are made of: symbols in SVG and PNG, by zxing-cpp and by zbar, and ZPL II text."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import zlib
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest
import zxingcpp

ZBAR = shutil.which("zbarimg")
RSVG = shutil.which("rsvg-convert")
needs_zbar = pytest.mark.skipif(ZBAR is None, reason="no zbarimg is installed: apt-get install zbar-tools")
needs_rsvg = pytest.mark.skipif(RSVG is None, reason="no rsvg-convert is installed: apt-get install librsvg2-bin")
SVG = "{http://www.w3.org/2000/svg}"
_RUN = re.compile(r"M(\d+) (\d+)h(\d+)v1h-(\d+)z")
_PIXELS = 3


class Symbol(NamedTuple):
    """What a reader saw. ``identifier``: of the symbology, ]Q1, ]d1, ]d2. ``level``: error correction of a QR."""

    content: bytes
    identifier: str
    level: str


def read_pixels(rows: list[bytes]) -> Symbol:
    """Read the only symbol of a picture of 0 (dark) and 255 (light)."""
    picture = memoryview(b"".join(rows)).cast("B", shape=[len(rows), len(rows[0])])
    (found,) = zxingcpp.read_barcodes(picture, try_rotate=False, try_invert=False)
    return Symbol(found.bytes, found.symbology_identifier, found.ec_level)


def read_path(drawn: str, side: int) -> Symbol:
    """Read a symbol that an SVG path draws, of so many units with its quiet zone."""
    assert _RUN.sub("", drawn) == ""
    rows = [bytearray(b"\xff" * side * _PIXELS) for _ in range(side)]
    for x, y, width, back in (map(int, run) for run in _RUN.findall(drawn)):
        assert width == back
        rows[y][x * _PIXELS : (x + width) * _PIXELS] = bytes(width * _PIXELS)
    return read_pixels([bytes(row) for row in rows for _ in range(_PIXELS)])


def read_svg(svg: str) -> tuple[str, Symbol]:
    """Return title and symbol of a picture of one symbol."""
    root = ElementTree.fromstring(svg)
    title, path = root.find(f"{SVG}title"), root.find(f"{SVG}path")
    assert title is not None
    assert path is not None
    return title.text or "", read_path(path.attrib["d"], int(root.attrib["viewBox"].split()[2]))


class Png(NamedTuple):
    """``per_metre``: pixels, as pHYs says."""

    rows: list[bytes]
    per_metre: int


def decode_png(data: bytes) -> Png:
    """Decode a picture of 1 bit a pixel without filters; every chunk's CRC is checked."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, rest = {}, data[8:]
    while rest:
        (size,) = struct.unpack(">I", rest[:4])
        kind, body, crc = rest[4:8], rest[8 : 8 + size], rest[8 + size : 12 + size]
        assert crc == struct.pack(">I", zlib.crc32(kind + body))
        chunks[kind], rest = body, rest[12 + size :]
    assert list(chunks) == [b"IHDR", b"pHYs", b"IDAT", b"IEND"]
    width, height, *form = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert form == [1, 0, 0, 0, 0]
    raw, stride = zlib.decompress(chunks[b"IDAT"]), 1 + -(-width // 8)
    assert len(raw) == stride * height
    lines = [raw[start : start + stride] for start in range(0, len(raw), stride)]
    assert all(line[0] == 0 for line in lines)
    rows = [bytes(255 * (line[1 + x // 8] >> (7 - x % 8) & 1) for x in range(width)) for line in lines]
    across, down, unit = struct.unpack(">IIB", chunks[b"pHYs"])
    assert (across, unit) == (down, 1)
    return Png(rows, across)


def zbar(picture: Path) -> list[str]:
    """Return what zbar reads in a picture, a text a symbol."""
    assert ZBAR is not None
    done = subprocess.run(
        [ZBAR, "--quiet", "--nodbus", "--raw", "-Sdisable", "-Sqrcode.enable", str(picture)],
        capture_output=True, check=True,
    )  # fmt: skip
    return done.stdout.decode().splitlines()


class Command(NamedTuple):
    """A command of ZPL: its two letters, and what stands behind them; data of a field as octets."""

    name: str
    rest: bytes


def parse_zpl(text: str) -> list[Command]:
    """Cut ZPL into commands as a printer does: ^ begins one wherever it stands, ~ one that is done at once."""
    assert "~" not in text
    before, *parts = text.replace("\n", "").split("^")
    assert before == ""
    commands: list[Command] = []
    for part in parts:
        name, rest = part[:2], part[2:].encode()
        if name == "FD" and commands[-1].name == "FH":
            rest = re.sub(rb"_([0-9A-Fa-f]{2})", lambda found: bytes([int(found[1], 16)]), rest)
        commands.append(Command(name, rest))
    return commands
