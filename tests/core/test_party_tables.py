"""The tables of parties: fields of T6, regions of GB/T 2260, industries of GB/T 4754—2017."""

from __future__ import annotations

import csv
import re
import string
from pathlib import Path

import pytest

from core.party.fields import BY_NAME, FIELDS, HINTS, Kind, identity_names
from core.party.industries import DIVISION_NAMES, SECTION_NAMES, SECTION_OF_DIVISION, is_industry
from core.party.readers import READERS
from core.party.regions import REGIONS, Known, full_name, look_up, names_of, overlap, prefecture_of, province_of
from core.party.rules import RULES

VECTORS = Path(__file__).parent.parent / "vectors"
SOURCE = Path(__file__).parent.parent.parent / "core" / "party"
IMAGES = {6, 10, 18}


def test_the_table_has_the_42_fields_of_t6() -> None:
    """T1 without its three images."""
    numbers = {number for field in FIELDS for number in field.numbers}
    assert numbers == set(range(1, 46)) - IMAGES
    assert len(numbers) == 42
    assert len(BY_NAME) == len(FIELDS)


def test_the_columns_of_the_sample_are_fields_or_hints() -> None:
    """And all from name to established are required, but website."""
    with (VECTORS / "parties.csv").open(encoding="utf-8", newline="") as rows:
        columns = next(csv.reader(rows))
    subject = [column for column in columns if column not in HINTS]
    assert set(subject) <= set(BY_NAME)
    assert {field.name for field in FIELDS if field.required} == set(subject) - {"website"}


def test_what_is_personal() -> None:
    """Names, certificate numbers, telephones and mail of persons; of a person, the whole identity."""
    organisation = {"legal_rep", "legal_rep_id", "contact", "phone", "contact_id", "email"}
    organisation |= {"legal_rep_email", "legal_rep_phone", "legal_rep_fax"}
    assert identity_names(person=False) == organisation
    assert identity_names(person=True) == organisation | {"name", "uscc", "address"}
    personal = {Kind.PERSON_NAME, Kind.PERSON_CERTIFICATE, Kind.PHONE, Kind.EMAIL}
    assert all(field.identity for field in FIELDS if field.kind in personal)


def test_each_field_is_whole() -> None:
    """A reader for each kind, choices for choices, a bound on all, a type for each certificate number."""
    assert set(READERS) == set(Kind) == {field.kind for field in FIELDS}
    order = [field.name for field in FIELDS]
    for field in FIELDS:
        assert bool(field.choices) == (field.kind in (Kind.CHOICE, Kind.CHOICES)), field.name
        assert 0 < field.chars_max <= 4_096
        if field.typed_by:
            assert order.index(field.typed_by) < order.index(field.name), "a type is read before its number"


def test_every_rule_is_raised_and_every_raised_rule_has_its_words() -> None:
    """The codes in the source are the codes of the table."""
    text = "".join(path.read_text("utf-8") for path in SOURCE.glob("*.py") if path.name != "rules.py")
    raised = set(re.findall(r'(?:RuleError\(\s*|fault\([^"]*?|form_fault\("[^"]*", )"([a-z.-]+)"', text))
    written = set(re.findall(r'"([a-z]+(?:[.-][a-z-]+)*)"', text))
    assert set(RULES) <= written
    assert raised <= set(RULES) | set(BY_NAME), raised - set(RULES)


# --- regions -----------------------------------------------------------------


def test_the_regions_are_sorted_codes_within_known_provinces() -> None:
    """34 provinces, all counties within one of them."""
    lines = [line for line in (SOURCE / "regions.txt").read_text("utf-8").splitlines() if not line.startswith("#")]
    assert lines == sorted(lines)
    assert len(lines) == len(REGIONS) > 7_000
    assert all(re.fullmatch(r"[0-9]{6} [^ 0-9a-zA-Z]+( [0-9]{6})?", line) for line in lines)
    provinces = [region for region in REGIONS.values() if region.code.endswith("0000")]
    assert len(provinces) == 34
    assert not any(region.until for region in provinces)
    assert {province_of(code) for code in REGIONS} == {region.code for region in provinces}
    current = [code for code, region in REGIONS.items() if not region.until]
    assert all(prefecture_of(code) in REGIONS for code in current if code[2:4] != "90")


@pytest.mark.parametrize(
    ("code", "known", "name"),
    [
        ("370000", Known.CURRENT, "山东省"),
        ("370700", Known.CURRENT, "山东省潍坊市"),
        ("370702", Known.CURRENT, "山东省潍坊市潍城区"),
        ("110101", Known.CURRENT, "北京市东城区"),
        ("659012", Known.CURRENT, "新疆维吾尔自治区白杨市"),
        ("370802", Known.FORMER, "山东省济宁市市中区"),  # joined to 370811 in 2013
        ("379999", Known.UNKNOWN_COUNTY, "山东省"),
        ("990000", Known.UNKNOWN, ""),
        ("37070", Known.UNKNOWN, ""),
        ("37070²", Known.UNKNOWN, ""),
        ("37070x", Known.UNKNOWN, ""),
        ("", Known.UNKNOWN, ""),
    ],
)
def test_what_is_known_of_a_code(code: str, known: Known, name: str) -> None:
    """Current, former, in a known province, or nothing."""
    assert look_up(code) is known
    assert full_name(code) == name


def test_the_three_names_of_a_region() -> None:
    """Fields 25, 26 and 27; nothing twice."""
    assert names_of("370702") == ("山东省", "潍坊市", "潍城区")
    assert names_of("370700") == ("山东省", "潍坊市", "")
    assert names_of("370000") == ("山东省", "", "")


def test_one_region_in_another() -> None:
    """A province holds its prefectures, these their counties; neighbours are apart."""
    assert overlap("370000", "370702")
    assert overlap("370702", "370700")
    assert overlap("370702", "370702")
    assert not overlap("370702", "370703")
    assert not overlap("370800", "370702")


# --- industries ----------------------------------------------------------------


def test_the_industries_are_without_gaps() -> None:
    """Sections A to T, divisions 01 to 97 in order."""
    assert "".join(SECTION_NAMES) == string.ascii_uppercase[:20]
    assert list(DIVISION_NAMES) == [f"{number:02}" for number in range(1, 98)] == list(SECTION_OF_DIVISION)
    assert len(set(DIVISION_NAMES.values())) == 97


@pytest.mark.parametrize(
    ("division", "section", "name"),
    [
        ("01", "A", "农业"),
        ("10", "B", "非金属矿采选业"),
        ("14", "C", "食品制造业"),
        ("43", "C", "金属制品、机械和设备修理业"),
        ("46", "D", "水的生产和供应业"),
        ("51", "F", "批发业"),
        ("60", "G", "邮政业"),
        ("90", "R", "娱乐业"),
        ("96", "S", "基层群众自治组织及其他组织"),
        ("97", "T", "国际组织"),
    ],
)
def test_divisions_of_the_standard(division: str, section: str, name: str) -> None:
    """Both ends of long sections hold, so nothing between is missing."""
    assert (SECTION_OF_DIVISION[division], DIVISION_NAMES[division]) == (section, name)


def test_which_codes_are_industries() -> None:
    """Sections, divisions, and what lies below a division."""
    assert all(map(is_industry, ["A", "T", "14", "149", "1494"]))
    assert not any(map(is_industry, ["", "U", "a", "00", "98", "1", "14949", "1x", "１４"]))
