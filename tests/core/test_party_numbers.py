"""Certificate numbers: what a check digit must catch, it catches, at every place."""

from __future__ import annotations

import datetime
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.party.numbers import (
    USCC_ALPHABET,
    organisation_check,
    parse_identity_card,
    parse_passport,
    parse_uscc,
    uscc_region,
)
from core.party.rules import RuleError

TODAY = datetime.date(2026, 11, 21)
USCC_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
CARD_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
BANK = "91100000100003962T"  # published: Industrial and Commercial Bank of China, registered nationally
CODES = (BANK, "91110000600037341L", "913707028BRK2A207U")


def with_uscc_check(body: str) -> str:
    """The check character by the standard's formula, apart from any package."""
    total = sum(USCC_ALPHABET.index(char) * weight for char, weight in zip(body, USCC_WEIGHTS, strict=True))
    return body + USCC_ALPHABET[(31 - total % 31) % 31]


def with_card_check(body: str) -> str:
    total = sum(int(char) * weight for char, weight in zip(body, CARD_WEIGHTS, strict=True))
    return body + "10X98765432"[total % 11]


def uscc_rule(text: str) -> str:
    try:
        parse_uscc(text)
    except RuleError as error:
        return error.rule
    return ""


def card_rule(text: str) -> str:
    try:
        parse_identity_card(text, TODAY)
    except RuleError as error:
        return error.rule
    return ""


ORGANISATIONS = st.text(st.sampled_from(USCC_ALPHABET), min_size=8, max_size=8)
USCCS = st.builds(
    lambda head, region, code: with_uscc_check(head + region + code + organisation_check(code)),
    st.sampled_from(["91", "92", "11", "N2", "Y1"]),
    st.sampled_from(["370702", "370802", "110000", "100000"]),
    ORGANISATIONS,
)
BORN = st.dates(datetime.date(1900, 1, 1), TODAY)
CARDS = st.builds(
    lambda region, born, order: with_card_check(f"{region}{born:%Y%m%d}{order:03}"),
    st.sampled_from(["370702", "110101", "820000", "222222"]),
    BORN,
    st.integers(0, 999),
)


def swaps(number: str) -> list[str]:
    """Every swap of two neighbours that changes something."""
    swapped = [number[:at] + number[at + 1] + number[at] + number[at + 2 :] for at in range(len(number) - 1)]
    return [each for each in swapped if each != number]


@pytest.mark.parametrize("code", CODES)
def test_codes_are_taken(code: str) -> None:
    """Published ones, and one of the sample; the check agrees with the standard's formula."""
    assert parse_uscc(code) == code == with_uscc_check(code[:17])


@pytest.mark.parametrize("code", CODES)
def test_every_letter_at_every_place_is_detected(code: str) -> None:
    """All letters and digits there are, those outside the alphabet too."""
    for at, right in enumerate(code):
        for wrong in string.ascii_uppercase + string.digits:
            if wrong != right:
                assert uscc_rule(code[:at] + wrong + code[at + 1 :]), (at, wrong)


@given(USCCS)
def test_a_code_made_by_the_standard_is_taken_and_its_mistakes_are_not(code: str) -> None:
    """Letters for the authority too; every swap of neighbours, every substitution."""
    assert uscc_rule(code) == ""
    assert all(map(uscc_rule, swaps(code)))
    for at, right in enumerate(code):
        assert all(uscc_rule(code[:at] + wrong + code[at + 1 :]) for wrong in USCC_ALPHABET if wrong != right)


@given(ORGANISATIONS, st.sampled_from("0123456789X"))
def test_the_organisation_code_has_a_check_of_its_own(code: str, check: str) -> None:
    """A code whose 18th character fits, but not its 17th."""
    whole = with_uscc_check("91370702" + code + check)
    assert uscc_rule(whole) == ("" if check == organisation_check(code) else "uscc.organisation-code")


def test_organisation_codes_of_the_standard() -> None:
    """60003734-1 is in a published code; D2143569-X is the example of GB 11714."""
    assert organisation_check("60003734") == "1"
    assert organisation_check("D2143569") == "X"
    assert {organisation_check(f"{number:08}") for number in range(200)} == set("0123456789X")


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ("", "uscc.length"),
        (CODES[1][:17], "uscc.length"),
        (CODES[1] + "0", "uscc.length"),
        ("9137O7028BRK2A207U", "uscc.alphabet"),
        ("91370702８BRK2A207U"[:18], "uscc.alphabet"),
        ("913707028BRK2A207T", "uscc.check-digit"),
        (with_uscc_check("91990702" + "60003734" + "1"), "uscc.region"),
        (with_uscc_check("91A70702" + "60003734" + "1"), "uscc.region"),
        (with_uscc_check("91379999" + "60003734" + "1"), ""),  # a county too new for the table: a warning
    ],
)
def test_the_rule_of_a_code(code: str, rule: str) -> None:
    """Each rule by its name."""
    assert uscc_rule(code) == rule


def test_the_region_of_a_code() -> None:
    """Characters 3 to 8."""
    assert uscc_region(CODES[2]) == "370702"


@given(CARDS)
def test_every_mistake_in_an_identity_number_is_detected(card: str) -> None:
    """Every digit and X at every place, every swap of neighbours."""
    if card_rule(card) == "identity-card.region":
        assert card.startswith("222222")
    for at, right in enumerate(card):
        for wrong in "0123456789X":
            assert wrong == right or card_rule(card[:at] + wrong + card[at + 1 :]), (at, wrong)
    assert all(map(card_rule, swaps(card)))


@pytest.mark.parametrize(
    ("card", "rule"),
    [
        (with_card_check("37070219800229001"), ""),
        (with_card_check("11010519491231002"), ""),  # the example of GB 11643
        (with_card_check("37070219790229001"), "identity-card.date"),  # no leap year
        (with_card_check("37070220261122001"), "identity-card.date"),  # tomorrow
        (with_card_check("37070218791231001"), "identity-card.date"),
        (with_card_check("37070200000101001"), "identity-card.date"),
        (with_card_check("99070219800101001"), "identity-card.region"),
        (with_card_check("37999919800101001"), ""),  # a warning
        ("370702800229001", "identity-card.length"),  # the old form of 15 digits
        ("37070219800229001x", "identity-card.digits"),  # small letters are raised before
        ("X70702198002290015", "identity-card.digits"),
        ("３70702198002290010", "identity-card.digits"),
    ],
)
def test_the_rule_of_an_identity_number(card: str, rule: str) -> None:
    """Each rule by its name."""
    assert card_rule(card) == rule


def test_the_example_of_the_standard() -> None:
    """GB 11643 annex: 11010519491231002X."""
    assert with_card_check("11010519491231002") == "11010519491231002X"


@pytest.mark.parametrize("text", ["E1234", "G12345678", "ABCDEFGHIJ1234567"])
def test_passports_that_are_taken(text: str) -> None:
    """5 to 17 letters and digits."""
    assert parse_passport(text) == text


@pytest.mark.parametrize("text", ["", "E123", "A" * 18, "E123 456", "e12345", "护照12345"])
def test_passports_that_are_not(text: str) -> None:
    """Too short, too long, other characters."""
    with pytest.raises(RuleError, match="passport"):
        parse_passport(text)
