"""Our table of application identifiers beside GS1's own dictionary, row by row.

The dictionary is no part of the product: SALTERN_CONFORMANCE_DIR names the folder with ``gs1/gs1-syntax-dictionary``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from core.ident.gs1 import SAYS
from core.ident.gs1_table import KEYS, RULES, SEQUENCES, Part, Rule

FOLDER = os.environ.get("SALTERN_CONFORMANCE_DIR")
OURS = {
    "csum": "mod10", "csumalpha": "pair", "yymmd0": "date0", "yymmdd": "date", "yyyymmdd": "date", "hhmi": "time",
    "hh": "hour", "mi": "minute", "ss": "minute", "iso3166": "country", "iso3166999": "country999",
    "iso3166alpha2": "nation", "iso4217": "currency", "pieceoftotal": "piece", "iban": "iban", "pcenc": "percent",
    "zero": "zero", "nonzero": "nonzero", "nozeroprefix": "lead", "yesno": "yesno", "winding": "winding",
    "iso5218": "sex", "hyphen": "minus", "mediatype": "media", "importeridx": "importer", "posinseqslash": "order",
    "latitude": "latitude", "longitude": "longitude", "couponcode": "coupon", "couponposoffer": "offer",
    "gcppos1": "prefix", "gcppos2": "prefix",
}  # fmt: skip


class Row(NamedTuple):
    """One row of the dictionary, for one AI."""

    rule: Rule
    sequences: tuple[tuple[str, ...], ...]


def part_of(text: str) -> Part:
    """Read ``[X..17],csum``."""
    form, *linters = text.replace("[", "").replace("]", "").split(",")
    found = re.fullmatch(r"([NXYZ])(\.\.)?([0-9]+)", form)
    assert found is not None, text
    kind, upto, most = found[1].lower(), found[2], int(found[3])
    # A company prefix is four digits at least: digits hold one anyhow.
    checks = tuple(OURS[linter] for linter in linters if not (kind == "n" and linter.startswith("gcp")))
    return Part(kind, 1 if upto else most, most, "[" in text, checks)


def rows() -> dict[str, Row]:
    """Every AI of the dictionary."""
    assert FOLDER is not None
    path = Path(FOLDER) / "gs1" / "gs1-syntax-dictionary" / "gs1-syntax-dictionary.txt"
    found: dict[str, Row] = {}
    for line in path.read_text("utf-8").splitlines():
        words = line.partition("#")[0].split()
        if not words:
            continue
        flags = words[1] if re.fullmatch(r"[*?]+", words[1]) else ""
        specs = [word for word in words[1:] if re.match(r"\[?[NXYZ][.0-9]", word)]
        notes = {name: value for name, _, value in (word.partition("=") for word in words[1:]) if name.isalpha()}
        first, _, last = words[0].partition("-")
        for number in range(int(first), int(last or first) + 1):
            ai = str(number).zfill(len(first))
            needs = tuple(tuple(group.split("+")) for group in notes.get("req", "").split(",") if group)
            never = tuple(each for each in notes.get("ex", "").split(",") if each)
            sequences = (
                tuple((ai, *each.split(",")) if each else (ai,) for each in notes["dlpkey"].split("|"))
                if "dlpkey" in notes
                else ()
            )
            parts = (
                () if {"packagetype", "hasnondigit"} & set(",".join(specs).split(",")) else tuple(map(part_of, specs))
            )
            found[ai] = Row(Rule(ai, "*" in flags, "?" in flags, parts, needs, never), sequences)
    return found


@pytest.mark.skipif(FOLDER is None, reason="SALTERN_CONFORMANCE_DIR is not set")
def test_the_table_is_that_of_the_dictionary() -> None:
    """Lengths, characters, checks, what goes together, marks; and every AI that has a place in a Digital Link."""
    found = rows()
    longest = [sequence for row in found.values() for sequence in row.sequences]
    qualifiers = {ai for sequence in longest for ai in sequence[1:]}
    wanted = {ai: row.rule for ai, row in found.items() if row.rule.attribute or row.sequences or ai in qualifiers}
    assert sorted(wanted) == sorted(RULES)
    for ai, rule in wanted.items():
        assert in_order(RULES[ai]) == in_order(rule), ai
    assert {sequence[0] for sequence in longest} == KEYS
    assert set(longest) <= set(SEQUENCES)
    for sequence in SEQUENCES:
        assert any(is_part(sequence, whole) for whole in longest), sequence


def in_order(rule: Rule) -> Rule:
    """What it needs and what it excludes is in no order."""
    return rule._replace(needs=tuple(sorted(rule.needs)), never=tuple(sorted(rule.never)))


def is_part(shorter: tuple[str, ...], whole: tuple[str, ...]) -> bool:
    """Whether one is the other with qualifiers left out."""
    return shorter[0] == whole[0] and [ai for ai in whole if ai in shorter] == list(shorter)


def test_every_check_is_one_that_is_explained() -> None:
    """And each explanation is of a check of the table."""
    assert {name for rule in RULES.values() for part in rule.parts for name in part.checks} == set(SAYS)
