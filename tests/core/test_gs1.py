"""Values of application identifiers: check digits, formats, codes, and which go together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import IdentifierError
from core.ident.gs1 import check_characters, check_digit, check_element, check_together
from core.ident.gs1_table import KEYS, RULES
from tests.kit.gs1_links import values

VECTORS: Any = json.loads((Path(__file__).parent.parent / "vectors" / "gs1" / "dl-uri-vectors.json").read_text("utf-8"))
DIGITS = st.text("0123456789", min_size=1, max_size=17)


def refused(ai: str, value: str) -> str:
    """The text with which a value is refused."""
    with pytest.raises(IdentifierError) as error:
        check_element(ai, value)
    return error.value.message


# --- check digits -----------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS["mod10"], ids=lambda vector: vector["full"])
def test_check_digits_are_those_of_the_vectors(vector: dict[str, str]) -> None:
    """GTIN, GLN, SSCC and others."""
    assert vector["body"] + check_digit(vector["body"]) == vector["full"]


@given(DIGITS)
def test_a_check_digit_is_the_sum_of_weighed_digits(digits: str) -> None:
    """Written digit by digit, as the standard has it."""
    total = sum(int(digit) * (1 if place % 2 else 3) for place, digit in enumerate(reversed(digits)))
    assert int(check_digit(digits)) == (10 - total % 10) % 10


@given(st.text("0123456789", min_size=13, max_size=13), st.integers(0, 13), st.integers(1, 9))
def test_a_wrong_digit_is_refused_wherever_it_stands(body: str, place: int, more: int) -> None:
    """All of them, the check digit too."""
    gtin = body + check_digit(body)
    check_element("01", gtin)
    wrong = gtin[:place] + str((int(gtin[place]) + more) % 10) + gtin[place + 1 :]
    assert "14" in refused("01", wrong)


@given(st.text("0123456789", min_size=13, max_size=13), st.integers(0, 12))
def test_two_digits_changed_round_are_refused_unless_they_differ_by_five(body: str, place: int) -> None:
    """What mod 10 finds and what it cannot."""
    gtin = body + check_digit(body)
    first, second = gtin[place], gtin[place + 1]
    swapped = gtin[:place] + second + first + gtin[place + 2 :]
    if abs(int(first) - int(second)) in (0, 5):
        check_element("01", swapped)
    else:
        refused("01", swapped)


@pytest.mark.parametrize(
    ("ai", "right", "wrong"),
    [
        ("253", "6901234567892DOC1", "6901234567893DOC1"),
        ("255", "6901234567892123", "6901234567890123"),
        ("8003", "06901234567892PALLET1", "06901234567897PALLET1"),
        ("8006", "069012345678920102", "069012345678910102"),
        ("402", "69012345678901238", "69012345678901230"),
    ],
)
def test_a_serial_stands_behind_the_check_digit(ai: str, right: str, wrong: str) -> None:
    """The digit at place 13 or 14, and the text says which one would be right."""
    check_element(ai, right)
    said = refused(ai, wrong)
    assert "校验码应为" in said
    assert "check digit of this one would be" in said


def test_check_characters_are_those_of_the_standard() -> None:
    """The example of the General Specifications, and every single character of it counts."""
    model = "1987654Ad4X4bL5ttr2310c2K"
    assert check_characters(model[:-2]) == "2K"
    check_element("8013", model)
    for place, char in enumerate(model):
        refused("8013", model[:place] + ("A" if char != "A" else "B") + model[place + 1 :])
    refused("8013", "2K")


# --- formats ----------------------------------------------------------------

FORMATS = {
    "00": (["069012345000000011"], ["", "06901234500000001", "0690123450000000110", "06901234500000001x"]),
    "10": (["L1", "A" * 20, "!\"%&'()*+,-./:;<=>?_"], ["", "A" * 21, "a b", "盐", "a^b", "a#b", "a~b", "a\nb", "Ａ"]),
    "11": (["270228", "270200", "240229", "000229", "991231"], ["270229", "271301", "270001", "270431", "27022"]),
    "20": (["07"], ["7", "007"]),
    "242": (["1", "123456"], ["", "1234567", "x"]),
    "253": (["6901234567892", "6901234567892" + "x" * 17], ["690123456789", "6901234567892" + "x" * 18]),
    "3103": (["000400"], ["400", "00040x", "0004000"]),
    "3910": (["156100", "1561"], ["156", "000100", "15612345678901234567"]),
    "401": (["6901X"], ["690", "A901X", "690X"]),
    "4300": (["salt%20%E7", "100%25"], ["100%", "%zz", "%2", "a b"]),
    "4307": (["CN"], ["cn", "XX", "C", "156"]),
    "4309": (["02790858480278585848"], ["18000000010000000000", "00000000003600000001", "0279085848"]),
    "421": (["1563000"], ["156", "9993000"]),
    "422": (["156"], ["999", "000", "15"]),
    "423": (["156", "156004", "156" * 5], ["1560", "156999", "156" * 6]),
    "4321": (["0", "1"], ["2", ""]),
    "4324": (["2702282359", "2702000000"], ["2702282400", "2702282360", "270228"]),
    "4330": (["001234", "001234-"], ["001234+", "00123"]),
    "7003": (["2702282359"], ["2702002359"]),
    "7007": (["270228", "270228270301"], ["2702282703", "270228270200"]),
    "7011": (["270228", "2702281200"], ["27022812", "2702282500"]),
    "7030": (["156X", "999X"], ["156", "998X"]),
    "7040": (["1ABC", "1AB-"], ["1AB", "AABC", "1AB.", "1ABCD"]),
    "7241": (["01", "10", "80", "99"], ["00", "11", "79"]),
    "7250": (["20240229", "20000229"], ["20230229", "19000229", "20241301", "20240200"]),
    "7252": (["0", "1", "2", "9"], ["3"]),
    "7258": (["1/3", "3/3"], ["4/3", "0/3", "1/0", "1-3"]),
    "8001": (["00010000100119", "00010000100101"], ["00000000100119", "00010000100121"]),
    "8003": (["06901234567892"], ["16901234567892", "06901234567892" + "x" * 17]),
    "8006": (["069012345678920102", "069012345678920202"], ["069012345678920201", "069012345678920001"]),
    "8007": (
        ["GB98MIDL07009312345678"],
        ["GB97MIDL07009312345678", "gb98MIDL07009312345678", "XX361234567890", "GB98"],
    ),
    "8008": (["26112102", "2611210230", "261121023059"], ["26112124", "261121023", "2611210260"]),
    "8010": (["6901234PART#-/"], ["6901234part", "690"]),
    "8011": (["1", "123456789012"], ["0", "01", "1234567890123"]),
    "8030": (["abc-_", "ab=", "a=="], ["ab c", "abc=", "===", "a=b", "a+b"]),
    "8110": (["0123456123456112211000"], ["7123456123456112211000", "01234561234561"]),
    "8112": (["001234561234560123456"], ["201234561234560123456", "0012345612345601234567", "00123456123456012345"]),
    "91": (["x" * 90], ["x" * 91]),
}


@pytest.mark.parametrize("ai", FORMATS)
def test_an_ai_takes_what_it_is_for_and_nothing_else(ai: str) -> None:
    """Lengths, characters, dates, codes; every refusal is said in both languages."""
    good, bad = FORMATS[ai]
    for value in good:
        check_element(ai, value)
    for value in bad:
        said = refused(ai, value)
        assert f"({ai})" in said
        assert "应为" in said
        assert " is " in said


@pytest.mark.parametrize("ai", ["", "1", "23", "03", "804", "8040", "9", "x", "0１", "01 "])
def test_what_stands_in_no_digital_link_is_unknown(ai: str) -> None:
    """Numbers of no AI, and AIs that are for symbols alone."""
    assert "AI" in refused(ai, "1")


@given(st.sampled_from(sorted(RULES)) | st.text(max_size=4), st.text(max_size=100) | st.text("0123456789", max_size=30))
def test_any_text_is_a_value_or_is_refused(ai: str, value: str) -> None:
    """Nothing but IdentifierError."""
    try:
        check_element(ai, value)
    except IdentifierError as error:
        assert error.message.isprintable()


@given(st.data())
def test_every_ai_takes_values_that_are_made_from_its_rule(data: st.DataObject) -> None:
    """The table's notation and what reads values agree."""
    ai = data.draw(st.sampled_from(sorted(RULES)))
    check_element(ai, data.draw(values(ai)))


# --- which go together ------------------------------------------------------


@pytest.mark.parametrize(
    ("ais", "fine"),
    [
        ("00 02 37", True), ("00 37", False), ("02 37", False), ("00 02", False), ("00 37 8026", True),
        ("01", True), ("01 37", False), ("01 255", False), ("01 21 235", False), ("01 21 250", True), ("01 250", False),
        ("01 3103", True), ("01 3102 3103", False), ("01 3103 3922", True), ("01 3922", False),
        ("01 30 3922 3932", False),
        ("415", False), ("415 8020", True), ("255 3900", True), ("255 3900 3901", False), ("255 3900 3940", False),
        ("01 422", True), ("01 422 426", False), ("00 4303", False), ("00 4302 4303", True), ("8017 8018", False),
    ],
)  # fmt: skip
def test_some_need_one_another_and_some_exclude_one_another(ais: str, fine: bool) -> None:
    """In any order."""
    for order in (ais.split(), ais.split()[::-1]):
        if fine:
            check_together(order)
        else:
            with pytest.raises(IdentifierError, match="The AI"):
                check_together(order)


def test_there_are_sixteen_keys() -> None:
    """Each is an AI that may also be an attribute of another key."""
    assert len(KEYS) == 16
    assert all(RULES[key].attribute for key in KEYS)
