"""Compressed GS1 Digital Link URIs: the last step of the path is a string of bits, six to a character (base64url).

    4   each digit of an AI, 2 to 4 of them as its first two say; or two hexadecimal digits for several AIs at once
        then the fields of each value, in the order of the AIs:
    n   number of a fixed count of digits
    l n the same, the count of digits before it
    3 n encoding and characters of a fixed count; 3 l n the count before them
    F   7 bits count of characters, the word, 3 bits encoding, 7 bits count, the characters: of the query, no AI

    encoding  0 digits as a number, 1 hexadecimal in small letters, 2 in capitals, 3 base64url, 4 ASCII in 7 bits

A number of d digits takes ceil(d * log2(10) + 0.01) bits, so 1 for no digit; a count l as many as the highest one.
Zeros fill the last character. The key may stand before, uncompressed: ``/01/06901234567892/…``.
Source: GS1 Digital Link standard, compression 1.1; vectors by the toolkit of GS1 (tests/vectors/gs1). Where that one
loses something (zeros in front, digits beyond 2**53, a serial behind digits), the standard is followed instead.
"""

from __future__ import annotations

import math
import re
from functools import cache
from typing import Final, NamedTuple
from urllib.parse import quote

from core import limits
from core.errors import IdentifierError
from core.ident.digital_link import DigitalLink, parse_path
from core.ident.gs1 import rule_of
from core.ident.gs1_table import KEYS, RULES, SEQUENCES

_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_SIX: Final = {char: f"{value:06b}" for value, char in enumerate(_ALPHABET)}
_HEX: Final = "0123456789ABCDEF"
_WORD: Final = re.compile("[A-Za-z0-9_-]+")
_SHAPES: Final = (
    (0, re.compile("[0-9]+")),
    (2, re.compile("[0-9A-F]+")),
    (1, re.compile("[0-9a-f]+")),
    (3, _WORD),
)
"""The encodings in the order in which they are tried; 4 takes what is left."""

_LENGTHS: Final = {ai[:2]: len(ai) for ai in RULES}
_OTHER: Final = "F"
_FILL_BITS: Final = 8  # and fewer hold no AI: what remains is filling


def _together() -> dict[str, tuple[str, ...]]:
    """Return what two hexadecimal digits stand for. In each row the AIs ascend, as the toolkit has them: 254 first."""
    singles = {
        "0": ("22", "10", "21", "17", "7003", "30"),
        "1": ("10 17 21", "15", "11", "16", "91", "10 15"),
        "2": tuple(f"310{places}" for places in range(6)),
        "3": tuple(f"320{places}" for places in range(6)),
    }
    found = {
        row + letter: ("01", *ais.split())
        for row, each in singles.items()
        for letter, ais in zip("ABCDEF", each, strict=True)
    }
    found |= {"9A": ("8010", "8011"), "9B": ("8017", "8019"), "9C": ("8018", "8019"), "9D": ("254", "414")}
    found |= {f"A{places}": ("01", f"392{places}") for places in range(10)}
    found |= {f"C{places}": ("255", f"390{places}") for places in range(10)}
    return found | {f"C{letter}": ("255", f"394{places}") for places, letter in enumerate("ABCD")}


_TOGETHER: Final = _together()


class _Field(NamedTuple):
    """A field of a value: digits or characters, so many, or up to so many with their count before them."""

    digits: bool
    fixed: bool
    most: int


@cache
def _fields(ai: str) -> tuple[_Field, ...]:
    """Return the fields of an AI's values: neighbouring parts of one kind are one. Errors: IdentifierError."""
    fields: list[_Field] = []
    for part in rule_of(ai).parts:
        digits, fixed = part.kind == "n", part.least == part.most and not part.may_lack
        last = fields[-1] if fields else None
        if last is not None and last.digits == digits and (last.fixed == fixed or not digits):
            fields[-1] = _Field(digits, last.fixed and fixed, last.most + part.most)
        else:
            fields.append(_Field(digits, fixed, part.most))
    return tuple(fields)


def _number_bits(digits: int) -> int:
    return math.ceil(digits * math.log2(10) + 0.01)


# --- writing ----------------------------------------------------------------


def compress(link: DigitalLink) -> str:
    """Return the path of the compressed URI, ``/AQyNo0UVqA``, with attributes and without what is ignored.

    Where an attribute could be taken for the key, the key stands before, readable.
    Errors: IdentifierError for an AI that may not stand in a Digital Link.
    """
    key = link.elements[0]
    values = dict((*link.elements, *link.attributes))
    if sum(ai in KEYS for ai in values) == 1:
        return "/" + _compressed(values)
    del values[key.ai]
    return f"{DigitalLink((key,)).path}/{_compressed(values)}"


def _compressed(values: dict[str, str]) -> str:
    rest = sorted(values)
    codes: list[str] = []
    while fitting := [code for code, ais in _TOGETHER.items() if set(ais) <= set(rest)]:
        code = max(fitting, key=lambda each: sum(map(len, _TOGETHER[each])))  # the first of the longest
        codes.append(code)
        rest = [ai for ai in rest if ai not in _TOGETHER[code]]
    bits = "".join(
        "".join(f"{int(digit, 16):04b}" for digit in code) + "".join(_value_bits(ai, values[ai]) for ai in ais)
        for code, ais in (*((code, _TOGETHER[code]) for code in codes), *((ai, (ai,)) for ai in rest))
    )
    bits += "0" * (-len(bits) % 6)
    return "".join(_ALPHABET[int(bits[at : at + 6], 2)] for at in range(0, len(bits), 6))


def _value_bits(ai: str, value: str) -> str:
    bits = ""
    for field in _fields(ai):
        text = value[: field.most] if field.fixed else value
        value = value[len(text) :]
        count = "" if field.fixed else f"{len(text):0{field.most.bit_length()}b}"
        bits += _characters_bits(text, count) if not field.digits else count + _number(text)
    return bits


def _number(digits: str) -> str:
    return f"{int(digits or '0'):0{_number_bits(len(digits))}b}"


def _characters_bits(text: str, count: str) -> str:
    encoding = next((number for number, shape in _SHAPES if shape.fullmatch(text)), 4)
    head = f"{encoding:03b}{count}"
    if encoding == 0:
        return head + _number(text)
    if encoding == 3:
        return head + "".join(map(_SIX.__getitem__, text))
    if encoding == 4:
        return head + "".join(f"{ord(char):07b}" for char in text)
    return head + "".join(f"{int(char, 16):04b}" for char in text)


# --- reading ----------------------------------------------------------------


def decompress(path: str, query: str = "") -> DigitalLink:
    """Read a compressed path, all of it or all but the key; a stem before is allowed. ``query``: as it came.

    The attributes ascend; what was no AI is among what is ignored. Ask parse_path first: the serial of a path that is
    not compressed could be read as one that is.
    Errors: IdentifierError. Bounds: DIGITAL_LINK_CHARS_MAX, of what came and of what is in it.
    """
    if len(path) + len(query) > limits.DIGITAL_LINK_CHARS_MAX:
        raise _broken(
            f"至多 {limits.DIGITAL_LINK_CHARS_MAX} 个字符", f"at most {limits.DIGITAL_LINK_CHARS_MAX} characters"
        )
    steps = path.removesuffix("/").split("/")
    if path[:1] != "/" or _WORD.fullmatch(steps[-1]) is None:
        raise _broken("路径的末段应为 base64url 字符", "The last step of the path is made of characters of base64url")
    before = steps[-3] if len(steps) > 3 and steps[-3] in KEYS else ""
    values, others = _decompressed(steps[-1])
    keys = [before] if before else [ai for ai in values if ai in KEYS]
    if len(keys) != 1 or before in values:
        raise _broken("其中应恰有一个主键", "There is exactly one primary key in it")
    head = f"/{before}/{steps[-2]}" if before else f"/{keys[0]}/{quote(values.pop(keys[0]), safe='')}"
    names = _qualifiers(keys[0], values)
    tail = "".join(f"/{ai}/{quote(values.pop(ai), safe='')}" for ai in names)
    members = [f"{ai}={quote(value, safe='')}" for ai, value in sorted(values.items())] + others
    return parse_path(head + tail, "&".join([*members, query] if query else members))


def _qualifiers(key: str, values: dict[str, str]) -> tuple[str, ...]:
    """Return those of the AIs that go into the path of a key: of what may stand in no query as many as can be."""
    paths = [path[1:] for path in SEQUENCES if path[0] == key and all(ai in values for ai in path[1:])]
    return max(paths, key=lambda path: (sum(not RULES[ai].attribute for ai in path), len(path)))


def _broken(chinese: str, english: str) -> IdentifierError:
    return IdentifierError(f"不是压缩的 GS1 数字链接：{chinese}。No compressed GS1 Digital Link: {english}")


class _Bits:
    """A cursor on a string of bits."""

    def __init__(self, text: str) -> None:
        self._bits = "".join(map(_SIX.__getitem__, text))
        self._at = 0

    def left(self) -> int:
        return len(self._bits) - self._at

    def take(self, many: int) -> int:
        if many > self.left():
            raise _broken("位数不足", "It ends too early")
        taken = self._bits[self._at : self._at + many]
        self._at += many
        return int(taken, 2) if taken else 0

    def number(self, digits: int) -> str:
        text = str(self.take(_number_bits(digits)))
        if text == "0":
            return "0" * digits
        if len(text) > digits:
            raise _broken("数字过大", "A number in it has too many digits")
        return text.zfill(digits)

    def characters(self, encoding: int, many: int) -> str:
        if encoding == 0:
            return self.number(many)
        if encoding in (1, 2):
            text = "".join(_HEX[self.take(4)] for _ in range(many))
            return text if encoding == 2 else text.lower()
        if encoding == 3:
            return "".join(_ALPHABET[self.take(6)] for _ in range(many))
        if encoding == 4:
            return "".join(chr(self.take(7)) for _ in range(many))
        raise _broken("编码应为0至4", "An encoding is 0 to 4")


def _decompressed(text: str) -> tuple[dict[str, str], list[str]]:
    """Return the values of AIs, and members of a query, percent-encoded, that are none."""
    bits = _Bits(text)
    values: dict[str, str] = {}
    others: list[str] = []
    while bits.left() > _FILL_BITS:
        code = _HEX[bits.take(4)]
        if code == _OTHER:
            others.append(_other(bits))
            continue
        for ai in _ais(code + _HEX[bits.take(4)], bits):
            if ai in values:
                raise _broken(f"应用标识符 ({ai}) 重复", f"The AI ({ai}) is in it twice")
            values[ai] = "".join(_field(field, bits) for field in _fields(ai))
    if bits.take(bits.left()):
        raise _broken("末尾应为零位", "It ends with bits that are zero")
    return values, others


def _ais(code: str, bits: _Bits) -> tuple[str, ...]:
    """Return the AIs that two hexadecimal digits, and the digits of an AI behind them, stand for."""
    if code in _TOGETHER:
        return _TOGETHER[code]
    if code not in _LENGTHS:
        raise _broken(f"无此代码 {code}", f"There is no code {code}")
    return (code + "".join(_HEX[bits.take(4)] for _ in range(_LENGTHS[code] - 2)),)


def _field(field: _Field, bits: _Bits) -> str:
    encoding = 0 if field.digits else bits.take(3)
    return bits.characters(encoding, field.most if field.fixed else bits.take(field.most.bit_length()))


def _other(bits: _Bits) -> str:
    word = bits.characters(3, bits.take(7))
    encoding = bits.take(3)
    return f"{word}={quote(bits.characters(encoding, bits.take(7)), safe='')}"
