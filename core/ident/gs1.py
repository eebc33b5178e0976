"""Values of application identifiers (AI): character sets, lengths, check digits, dates, codes; and which go together.

A value is checked in two steps: one regular expression for all of its parts, then what no regular expression says.
What is refused by either is explained from the table, part by part. An AI that may not stand in a Digital Link is
unknown here. Source: GS1 General Specifications §3, §7.9 (check characters); core.ident.gs1_table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Final, NamedTuple

from core.errors import IdentifierError
from core.ident.gs1_table import RULES, Part, Rule
from core.ident.iso_codes import COUNTRIES, CURRENCIES, NATIONS

_CSET_82: Final = "!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
_CSET_32: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_KINDS: Final = {"n": "[0-9]", "x": f"[{re.escape(_CSET_82)}]", "y": r"[#\-/0-9A-Z]", "z": r"[\-0-9=A-Z_a-z]"}
_NAMES: Final = {
    "n": ("位数字", "digits"),
    "x": ("个 GS1 字符（字母、数字、符号）", "characters of GS1 (letters, digits, marks)"),
    "y": ("个大写字母、数字或 #-/", "capitals, digits or #-/"),
    "z": ("个 base64url 字符", "characters of base64url"),
}
SAYS: Final = {
    "mod10": ("末位为校验码", "the last of them the check digit"),
    "pair": ("末两位为校验字符", "the last two of them the check characters"),
    "prefix": ("以厂商识别代码（至少4位数字）开头", "a company prefix, 4 digits at least, in front"),
    "date": ("日期 YYMMDD 或 YYYYMMDD", "a date, YYMMDD or YYYYMMDD"),
    "date0": ("日期 YYMMDD，日不详时为00", "a date YYMMDD, the day 00 where it is not known"),
    "time": ("时刻 hhmm", "a time hhmm"),
    "hour": ("小时 00–23", "an hour 00-23"),
    "minute": ("00–59", "00-59"),
    "country": ("ISO 3166 数字国别代码，如156", "a country of ISO 3166, 156 or another"),
    "country999": ("ISO 3166 数字国别代码或999", "a country of ISO 3166, or 999"),
    "nation": ("ISO 3166 两字母国别代码，如 CN", "a country of ISO 3166, CN or another"),
    "currency": ("ISO 4217 数字货币代码，如156", "a currency of ISO 4217, 156 or another"),
    "piece": ("件号和总件数各两位，件号不大于总件数", "the piece and how many there are, two digits each"),
    "iban": ("国际银行账号 IBAN", "an IBAN"),
    "percent": ("% 后为两位十六进制数字", "two hexadecimal digits behind each %"),
    "zero": ("0", "0"),
    "nonzero": ("不全为0", "not all of them 0"),
    "lead": ("首位不为0", "no 0 in front"),
    "yesno": ("0或1", "0 or 1"),
    "winding": ("0、1或9", "0, 1 or 9"),
    "sex": ("0、1、2或9", "0, 1, 2 or 9"),
    "minus": ("负号 -", "a minus sign"),
    "media": ("介质类型 01–10 或 80–99", "a medium, 01-10 or 80-99"),
    "importer": ("字母、数字、- 或 _", "a letter, a digit, - or _"),
    "order": ("如 2/3：第几个/共几个", "2/3: which one of how many"),
    "latitude": ("纬度，至多1800000000", "a latitude, 1800000000 at most"),
    "longitude": ("经度，至多3600000000", "a longitude, 3600000000 at most"),
    "coupon": ("北美优惠券代码", "a coupon code of North America"),
    "offer": ("北美优惠券代码（正向文件）", "a coupon code of North America, positive offer file"),
}
"""What is checked beyond characters and lengths: the value is …"""


def _counted(low: int, high: int, more: int) -> str:
    """Return what reads a digit, ``low`` to ``high``, and so many digits and ``more``."""
    return "(?:" + "|".join(f"{many}[0-9]{{{many + more}}}" for many in range(low, high + 1)) + ")"


_SHAPES: Final = {
    "time": "(?:[01][0-9]|2[0-3])[0-5][0-9]",
    "hour": "(?:[01][0-9]|2[0-3])",
    "minute": "[0-5][0-9]",
    "zero": "0",
    "yesno": "[01]",
    "winding": "[019]",
    "sex": "[0129]",
    "minus": "-",
    "media": "(?:0[1-9]|10|[89][0-9])",
    "importer": r"[\-0-9A-Z_a-z]",
    "order": "(?:" + "|".join(f"{first}/[{first}-9]" for first in range(1, 10)) + ")",
    "latitude": "(?:0[0-9]{9}|1[0-7][0-9]{8}|180{8})",
    "longitude": "(?:[0-2][0-9]{9}|3[0-5][0-9]{8}|360{8})",
    "coupon": f"{_counted(0, 6, 6)}[0-9]{{6}}{_counted(1, 5, 0)}{_counted(1, 5, 0)}[0-49][0-9]{{3}}[0-9]*",
    "offer": f"[01]{_counted(0, 6, 6)}[0-9]{{6}}{_counted(0, 9, 6)}",
}
_DAYS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_PERCENT: Final = re.compile("(?:[^%]|%[0-9A-Fa-f]{2})*")
_PRIMES: Final = (
    2,
    3,
    5,
    7,
    11,
    13,
    17,
    19,
    23,
    29,
    31,
    37,
    41,
    43,
    47,
    53,
    59,
    61,
    67,
    71,
    73,
    79,
    83,
)  # X..25 less 2
_ASCII_ZERO: Final = ord("0")


def check_digit(digits: str) -> str:
    """Return the check digit of the digits before it: weighed 3 and 1 from the right, modulo 10. Total on digits."""
    octets = digits.encode()
    total = 3 * sum(octets[::-2]) + sum(octets[-2::-2])
    zeros = 3 * ((len(octets) + 1) // 2) + len(octets) // 2
    return str((_ASCII_ZERO * zeros - total) % 10)


def check_characters(text: str) -> str:
    """Return the two check characters of the characters before them.

    Bounds: at most 23 of the 82 characters of GS1. Errors: ValueError for any other character.
    Source: GS1 General Specifications §7.9.5.
    """
    total = sum(_CSET_82.index(char) * prime for char, prime in zip(reversed(text), _PRIMES, strict=False)) % 1021
    return _CSET_32[total >> 5] + _CSET_32[total & 31]


def check_element(ai: str, value: str) -> None:
    """Errors: IdentifierError where a value, without percent-encoding, is none of this AI, or the AI is unknown."""
    matches, checks = _reader(ai)
    found = matches(value)
    if found is None:
        raise _refused(ai, value)
    for place, holds in checks:
        part = found[place]
        if part is not None and not holds(part):
            raise _refused(ai, value)


def check_together(ais: Sequence[str]) -> None:
    """Errors: IdentifierError where one of these AIs needs another one beside it, or never stands beside one of them.

    Bounds: each is an AI of the table. Source: GS1 General Specifications §4.14.
    """
    for ai in ais:
        rule = RULES[ai]
        if rule.needs and not any(all(_beside(pattern, ai, ais) for pattern in group) for group in rule.needs):
            wanted = " ".join("+".join(group) for group in rule.needs)
            raise IdentifierError(
                f"应用标识符 ({ai}) 须与其中之一同用：{wanted}。The AI ({ai}) needs one of these beside it"
            )
        for pattern in rule.never:
            if _beside(pattern, ai, ais):
                raise IdentifierError(
                    f"应用标识符 ({ai}) 不得与 ({pattern}) 同用。The AIs ({ai}) and ({pattern}) exclude one another"
                )


def _beside(pattern: str, ai: str, ais: Iterable[str]) -> bool:
    """Whether an AI other than this one fits a pattern such as 01 or 31nn."""
    if "n" not in pattern:
        return pattern in ais and pattern != ai
    begins = pattern.rstrip("n")
    return any(len(each) == len(pattern) and each.startswith(begins) and each != ai for each in ais)


# --- what no regular expression says ----------------------------------------


def _is_mod10(digits: str) -> bool:
    octets = digits.encode()
    return (3 * sum(octets[-2::-2]) + sum(octets[::-2]) - _ASCII_ZERO * (2 * len(octets) - len(octets) % 2)) % 10 == 0


def _is_pair(text: str) -> bool:
    return len(text) > 1 and check_characters(text[:-2]) == text[-2:]


def _is_date(text: str) -> bool:
    """YYMMDD or YYYYMMDD; a year of two digits is in 1972-2071, of which each fourth is a leap year."""
    year, month, day = int(text[:-4]), int(text[-4:-2]), int(text[-2:])
    if not 1 <= month <= 12:
        return False
    leap = year % 4 == 0 and (len(text) == 6 or year % 100 != 0 or year % 400 == 0)
    return 1 <= day <= _DAYS[month - 1] + (leap and month == 2)


def _is_date0(text: str) -> bool:
    return _is_date(text) or (text[-2:] == "00" and 1 <= int(text[2:4]) <= 12)


def _is_piece(text: str) -> bool:
    return "00" < text[:2] <= text[2:]


def _is_iban(text: str) -> bool:
    if not (10 < len(text) <= 34 and text[:2] in NATIONS and text.isalnum() and text == text.upper()):
        return False
    return int("".join(str(int(char, 36)) for char in text[4:] + text[:4])) % 97 == 1


def _is_base64(text: str) -> bool:
    """With signs of equality at the end, if any: 2 at most, and a length divisible by 3, as GS1's own engine has it."""
    bare = text.rstrip("=")
    pads = len(text) - len(bare)
    return "=" not in bare and (not pads or (pads <= 2 and len(text) % 3 == 0))


_CHECKS: Final[dict[str, Callable[[str], bool]]] = {
    "mod10": _is_mod10,
    "pair": _is_pair,
    "date": _is_date,
    "date0": _is_date0,
    "country": COUNTRIES.__contains__,
    "country999": lambda text: text == "999" or text in COUNTRIES,
    "nation": NATIONS.__contains__,
    "currency": CURRENCIES.__contains__,
    "piece": _is_piece,
    "iban": _is_iban,
    "percent": lambda text: _PERCENT.fullmatch(text) is not None,
}


# --- readers ----------------------------------------------------------------


class _Reader(NamedTuple):
    """What reads the values of an AI: the parts as groups, and what holds for a group."""

    matches: Callable[[str], re.Match[str] | None]
    checks: tuple[tuple[int, Callable[[str], bool]], ...]


@cache
def _reader(ai: str) -> _Reader:
    """Return the reader of an AI. Bounds: kept for AIs of the table alone. Errors: IdentifierError."""
    return _reader_of(rule_of(ai).parts)


@cache
def _reader_of(parts: tuple[Part, ...]) -> _Reader:
    checks: list[tuple[int, Callable[[str], bool]]] = []
    for place, part in enumerate(parts, 1):
        checks += [(place, _CHECKS[name]) for name in part.checks if name in _CHECKS]
        if part.kind == "z":
            checks.append((place, _is_base64))
    return _Reader(re.compile("".join(map(_pattern, parts))).fullmatch, tuple(checks))


def _pattern(part: Part) -> str:
    shapes = [_SHAPES[name] for name in part.checks if name in _SHAPES]
    plain = shapes[0] if shapes else f"{_KINDS[part.kind]}{{{part.least},{part.most}}}"
    ahead = {"prefix": "(?=[0-9]{4})", "lead": "(?!0)", "nonzero": f"(?!0{{{part.most}}})"}
    return f"({''.join(ahead.get(name, '') for name in part.checks)}{plain})" + "?" * part.may_lack


def rule_of(ai: str) -> Rule:
    """Return what is fixed for an AI. Errors: IdentifierError for one that may not stand in a Digital Link."""
    rule = RULES.get(ai)
    if rule is None:
        raise IdentifierError(
            f"{ai[:8]!r} 不是可用于数字链接的应用标识符。It is no application identifier (AI) that may stand in a GS1 "
            "Digital Link"
        )
    return rule


def _refused(ai: str, value: str) -> IdentifierError:
    """Say what would be right, the check digit of these digits with it."""
    parts = RULES[ai].parts
    chinese = "，后接".join(_described(part, 0) for part in parts)
    english = ", then ".join(_described(part, 1) for part in parts)
    digit = _right_digit(parts, value)
    return IdentifierError(
        f"({ai}) 的值 {value[:90]!r} 应为{chinese}{digit and f'；校验码应为 {digit}'}。"
        f"The value of AI ({ai}) is {english}" + (f"; the check digit of this one would be {digit}" if digit else "")
    )


def _right_digit(parts: tuple[Part, ...], value: str) -> str:
    """Return the check digit of a value that has all the digits for one, and another one; else nothing."""
    at = 0
    for part in parts:
        digits = value[at : at + part.most]
        if "mod10" in part.checks and len(digits) == part.most and digits.isascii() and digits.isdigit():
            right = check_digit(digits[:-1])
            return right if right != digits[-1] else ""
        at += part.most
    return ""


def _described(part: Part, language: int) -> str:
    chinese = language == 0
    many = str(part.most) if part.least == part.most else f"1{'至' if chinese else ' to '}{part.most}"
    text = f"{many}{'' if chinese else ' '}{_NAMES[part.kind][language]}"
    if part.checks:
        says = ("，" if chinese else ", ").join(SAYS[name][language] for name in part.checks)
        text += f"（{says}）" if chinese else f" ({says})"
    if part.may_lack:
        text += "（可无）" if chinese else " or nothing"
    return text
