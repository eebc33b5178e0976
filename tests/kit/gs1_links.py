"""Digital Links of any kind, made from the table: each value is right for its AI, and the AIs go together."""

from __future__ import annotations

from datetime import date
from functools import cache

from hypothesis import strategies as st

from core.errors import IdentifierError
from core.ident.digital_link import DigitalLink, Element
from core.ident.gs1 import check_characters, check_digit, check_together
from core.ident.gs1_table import RULES, SEQUENCES, Part

ALPHABETS = {
    "n": "0123456789",
    "x": "!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz",
    "y": "#-/0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "z": "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz",
}
SAMPLES = {
    "time": ["0000", "2359"], "hour": ["00", "23"], "minute": ["00", "59"], "country": ["156", "004"],
    "country999": ["999", "156"], "nation": ["CN", "ZW"], "currency": ["156", "999"], "piece": ["0101", "0299", "1010"],
    "iban": ["GB98MIDL07009312345678", "DE91100000000123456789"], "zero": ["0"], "yesno": ["0", "1"],
    "winding": ["0", "1", "9"], "sex": ["0", "9"], "minus": ["-"], "media": ["01", "10", "99"], "importer": ["-", "a"],
    "order": ["1/1", "3/9"], "latitude": ["0000000000", "1800000000"], "longitude": ["3600000000", "0279085848"],
    "coupon": ["0123456123456112211000", "6123456789012123456512345512345911100"],
    "offer": ["001234561234560123456", "101234561234560123456"],
    "percent": ["%E7%9B%90", "salt", "a+b%20c"],
}  # fmt: skip


def plain(part: Part, least: int, most: int) -> st.SearchStrategy[str]:
    return st.text(ALPHABETS[part.kind], min_size=least, max_size=most)


def part_values(part: Part) -> st.SearchStrategy[str]:
    """What a part may be."""
    names = part.checks
    made = plain(part, part.least, part.most)
    if "mod10" in names:
        made = plain(part, part.most - 1, part.most - 1).map(lambda digits: digits + check_digit(digits))
    elif "pair" in names:
        made = plain(part, 0, part.most - 6).map(lambda text: "6901" + text + check_characters("6901" + text))
    elif "prefix" in names:
        made = plain(part, 0, part.most - 4).map(lambda text: "6901" + text)
    elif {"date", "date0"} & set(names):
        dates = st.dates(min_value=date(1972, 1, 1), max_value=date(2071, 12, 31))
        made = dates.map(lambda day: f"{day:%Y%m%d}"[-part.most :])
        if "date0" in names:
            made |= made.map(lambda text: text[:4] + "00")
    elif "nonzero" in names or "lead" in names:
        made = made.map(lambda digits: "1" + digits[1:])
    elif names:
        made = st.sampled_from(SAMPLES[names[0]])
    return made | st.just("") if part.may_lack else made


@cache
def values(ai: str) -> st.SearchStrategy[str]:
    """What may stand behind an AI."""
    return st.tuples(*map(part_values, RULES[ai].parts)).map("".join)


@cache
def companions(path: tuple[str, ...]) -> tuple[str, ...]:
    """The attributes of which each may stand behind a path, without any other one."""
    return tuple(ai for ai, rule in RULES.items() if rule.attribute and ai not in path and goes(path, (ai,)))


@cache
def goes(path: tuple[str, ...], attributes: tuple[str, ...]) -> bool:
    try:
        check_together([*path, *attributes])
    except IdentifierError:
        return False
    if "8030" in attributes and {"253", "255", "8003"} & {path[0], *attributes}:
        return False  # that may be one without a serial, of which there is no signature
    return not ("10" in attributes and path[0] in ("01", "8006") and "235" not in path)


@st.composite
def links(draw: st.DrawFn) -> DigitalLink:
    """A link with any key, qualifiers and attributes."""
    path = draw(st.sampled_from([path for path in SEQUENCES if goes(path, ())]))  # 22 needs 01, so not below 8006
    chosen: tuple[str, ...] = ()
    for ai in draw(st.lists(st.sampled_from(companions(path)), max_size=4, unique=True)):
        if goes(path, (*chosen, ai)):
            chosen += (ai,)
    elements = tuple(Element(ai, draw(values(ai))) for ai in path)
    return DigitalLink(elements, tuple(Element(ai, draw(values(ai))) for ai in chosen))
