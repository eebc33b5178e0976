"""The check of subject data: the sample passes, every wrong field is named at once, nothing personal is repeated."""

from __future__ import annotations

import csv
import datetime
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.limits import PARTY_FORM_FIELDS_MAX, PARTY_UNKNOWN_NAMED_MAX
from core.party.check import Checked, check_subject
from core.party.fields import BY_NAME, FIELDS, HINTS, OTHER, PASSPORT, Kind
from core.party.numbers import USCC_ALPHABET
from core.party.rules import RULES, Fault

TODAY = datetime.date(2026, 11, 21)
with (Path(__file__).parent.parent / "vectors" / "parties.csv").open(encoding="utf-8", newline="") as _rows:
    SAMPLE = list(csv.DictReader(_rows))
FORM = SAMPLE[0]
WHOLE = {
    **FORM,
    "profile": "示例简介",
    "contact_cert_type": PASSPORT,
    "contact_id": "g12345678",
    "registered_by": "示例市场监督管理局",
    "capital": "5000万元人民币",
    "valid_until": "长期",
    "legal_rep_email": "rep@mail.example.cn",
    "legal_rep_phone": "+86 199 0000 0001",
    "legal_rep_fax": "0536-1234567-8",
    "domain_licences": "增值电信业务经营许可证；域名注册服务机构许可证",
    "licence_number": "鲁B2-00000000",
    "service_industries": ["C", "14", "1494"],
    "site_name": "示例网站",
    "site_domain": "WWW.example.cn",
    "site_addresses": "192.0.2.1; 2001:DB8::0:1；192.0.2.1",
}


def check(**fields: Any) -> Checked:
    """Check the first row of the sample with other fields."""
    return check_subject({**FORM, **fields}, TODAY)


def rules(faults: tuple[Fault, ...]) -> dict[str, str]:
    return {each.path: each.rule for each in faults}


def said(checked: Checked) -> str:
    return "\n".join(f"{each.zh}\n{each.en}" for each in (*checked.faults, *checked.warnings))


# --- what is right -------------------------------------------------------------


@pytest.mark.parametrize("row", SAMPLE, ids=lambda row: row["party"])
def test_each_party_of_the_sample_passes(row: dict[str, str]) -> None:
    """No fault, and one warning: county 370802 was dissolved in 2013."""
    checked = check_subject(row, TODAY)
    assert (checked.faults, checked.right) == ((), True)
    assert rules(checked.warnings) == ({"region": "region.former"} if row["region"] == "370802" else {})
    given_names = {name for name, text in row.items() if text} - HINTS
    assert set(checked.values) == given_names
    assert checked.values["established"] == datetime.date.fromisoformat(row["established"])
    texts = given_names - {"established"}
    assert all(checked.values[name] == row[name] for name in texts)


def test_the_sample_is_whole() -> None:
    """11 producers and 20 wholesalers."""
    assert [row["kind"] for row in SAMPLE] == ["producer"] * 11 + ["wholesaler"] * 20


def test_every_field_of_t6_is_taken_and_normalised() -> None:
    """Small letters, full-width separators, spaces, other writings of an address."""
    checked = check_subject({**WHOLE, **{f.name: "示例" for f in FIELDS if f.kind is Kind.TEXT}}, TODAY)
    assert (checked.faults, checked.warnings) == ((), ())
    assert set(checked.values) == set(BY_NAME)
    expected = {
        "contact_id": "G12345678",
        "valid_until": "长期",
        "legal_rep_phone": "+8619900000001",
        "legal_rep_fax": "0536-1234567-8",
        "domain_licences": ("增值电信业务经营许可证", "域名注册服务机构许可证"),
        "service_industries": ("C", "14", "1494"),
        "site_domain": "www.example.cn",
        "site_addresses": ("192.0.2.1", "2001:db8::1"),
    }
    assert {name: checked.values[name] for name in expected} == expected


def test_codes_may_be_typed_in_full_width_and_small_letters() -> None:
    """As Chinese keyboards make them; text stays as it is."""
    wide = {ord(char): ord(char) + 0xFEE0 for char in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-@."}
    names = ["uscc", "region", "legal_rep_id", "phone", "email", "established"]
    names += ["industry_section", "industry_division"]
    typed = {name: f"\u3000{FORM[name].translate(wide)} " for name in names}
    checked = check(**typed, address=" Ａ座 ")
    assert checked.values == {**check().values, "address": "Ａ座"}
    assert check(uscc=FORM["uscc"].lower(), industry_section="c").values == check().values


def test_what_a_form_may_leave_out() -> None:
    """Blank is as good as absent."""
    for blank in ("", "  ", None, "\u3000"):
        assert "website" not in check(website=blank).values
        assert rules(check(name=blank).faults) == {"name": "required"}


# --- what is wrong -------------------------------------------------------------

LONG = "长" * 100_000
DEEP: Any = []
for _ in range(100_000):
    DEEP = [DEEP]

WRONG: dict[Kind, dict[str, list[Any]]] = {
    Kind.TEXT: {
        "length": [LONG],
        "text.character": ["a\x00b", "a\nb", "\ud800", "\u202eabc", "a\u2028b"],
        "type": [1, [["x"]], {}, True, 1.5],
    },
    Kind.CHOICE: {"choice": ["国有", "Ａ"], "type": [["国有控股"]], "length": [LONG]},
    Kind.CHOICES: {
        "choice": ["许可证"],
        "choice.contradiction": ["否;增值电信业务经营许可证"],
        "items": [";；", ["否"] * 65],
        "type.list": [[["否"]], 7],
        "length": [["否" * 4_000, "否" * 100]],
    },
    Kind.ORGANISATION_CERTIFICATE: {
        "uscc.check-digit": ["913707028BRK2A207T"],
        "uscc.organisation-code": ["913707028BRK2A2180"],
        "uscc.length": ["9137070"],
        "uscc.alphabet": ["9137O7028BRK2A207U"],
        "type": [913707028],
    },
    Kind.PERSON_CERTIFICATE: {
        "identity-card.check-digit": [FORM["legal_rep_id"][:-1] + "5"],
        "identity-card.length": ["12", "护照"],
    },
    Kind.PERSON_NAME: {"person-name": ["123"], "length": ["名" * 65]},
    Kind.REGION: {"region": ["990000", "3707", "山东省"], "type": [370702]},
    Kind.SECTION: {"type": [["C"]], "length": ["C" * 33]},
    Kind.DIVISION: {"type": [14], "length": ["1" * 33]},
    Kind.INDUSTRIES: {"items": [" ; "], "type.list": [[14], {"C": 1}]},
    Kind.PHONE: {
        "phone": ["12345", "12900000000", "+0123456789", "1990000000", "1990000000a", "+8612345", "+" + "1" * 16],
        "type": [19900000000],
    },
    Kind.EMAIL: {
        "email": [
            *("a", "a@b", "@example.cn", "a@@example.cn", "a b@example.cn", "a..b@example.cn", ".a@example.cn"),
            *("a" * 65 + "@example.cn", "a@-b.cn", "a@" + "b" * 64 + ".cn", "人@example.cn", "a@192.0.2.1"),
            *("a@example.cn.", '"a"@example.cn'),
        ],
        "length": ["a@" + "b." * 130 + "cn"],
    },
    Kind.URL: {
        "url": [
            *("example.cn", "ftp://example.cn", "https://", "https://a:b@example.cn", "http://user@example.cn"),
            *("http://[::1", "http://example.cn:99999/", "javascript:alert(1)", "http://a b.cn", "http://例子.cn"),
            *("https://x<y>.cn", "http://local"),
        ],
    },
    Kind.DOMAIN: {"domain": ["example", "a_b.cn", "192.0.2.1", "a..cn"]},
    Kind.PAST_DATE: {
        "date.future": ["2026-11-22"],
        "date": ["2026-02-29", "20200101", "2020-W01-1", "2020-1-1", "0000-01-01", "长期"],
        "type": [20200101],
    },
    Kind.VALIDITY: {"date": ["永久", "2020/01/01"]},
    Kind.ADDRESSES: {
        "address": ["192.0.2.256", "fe80::1%eth0", "192.0.2.1,192.0.2.2", "例子", "010.0.0.1"],
        "items": ["192.0.2.1;" * 65],
    },
}
CASES = [
    (field.name, wrong, rule) for field in FIELDS for rule, values in WRONG[field.kind].items() for wrong in values
]
INDEPENDENT = [case for case in CASES if not BY_NAME[case[0]].typed_by and not case[0].endswith("cert_type")]


def wrong_form(at: int) -> dict[str, Any]:
    """A form in which every field is wrong, in one of the ways in which it can be."""
    ways = {field.name: [wrong for name, wrong, _ in CASES if name == field.name] for field in FIELDS}
    return {name: wrong[at % len(wrong)] for name, wrong in ways.items()}


@pytest.mark.parametrize(("name", "wrong", "rule"), CASES, ids=lambda value: ascii(value)[:20])
def test_each_rule_by_its_name(name: str, wrong: Any, rule: str) -> None:
    """One field is wrong and all the rest is right: one fault, with the field and the rule."""
    types = {"contact_cert_type": "中国居民身份证"} if name == "contact_id" else {}
    faults = rules(check(**{**types, name: wrong}).faults)
    if name == "contact_cert_type":
        faults.pop("contact_id", None)
    assert faults == {name: rule}


@pytest.mark.parametrize("at", range(14))
def test_every_wrong_field_is_named_at_once(at: int) -> None:
    """All of them, whatever is wrong with the others; in the order of the table."""
    checked = check_subject(wrong_form(at), TODAY)
    assert [each.path for each in checked.faults] == [field.name for field in FIELDS]
    assert checked.values == {}


def test_an_empty_form_names_what_is_required() -> None:
    """Each by itself."""
    faults = check_subject({}, TODAY).faults
    assert [each.path for each in faults] == [field.name for field in FIELDS if field.required]
    assert {each.rule for each in faults} == {"required"}


@given(st.lists(st.sampled_from(INDEPENDENT), unique_by=lambda case: case[0]))
def test_any_choice_of_wrong_fields_is_named(cases: list[tuple[str, Any, str]]) -> None:
    """Exactly these fields, each with its rule."""
    checked = check(**{name: wrong for name, wrong, _ in cases})
    assert rules(checked.faults) == {name: rule for name, _, rule in cases}


def test_depth_is_not_looked_into() -> None:
    """A hundred thousand lists in one another, in every field."""
    checked = check_subject(dict.fromkeys(BY_NAME, DEEP), TODAY)
    assert [each.path for each in checked.faults] == list(BY_NAME)


# --- between two fields --------------------------------------------------------


def test_another_certificate_is_text() -> None:
    """Of an organisation and of a person."""
    assert check(cert_type=OTHER, uscc="示例证 1 号").faults == ()
    assert check(legal_rep_cert_type=OTHER, legal_rep_id="示例证 2 号").faults == ()
    assert rules(check(legal_rep_cert_type=PASSPORT, legal_rep_id="E-1").faults) == {"legal_rep_id": "passport"}


def test_a_type_needs_its_number() -> None:
    """And a number its type."""
    assert rules(check(uscc="").faults) == {"uscc": "required"}
    assert rules(check(contact_cert_type=PASSPORT).faults) == {"contact_id": "required-with"}
    assert rules(check(contact_id="E1234567").faults) == {"contact_cert_type": "required-with"}
    both = check(contact_cert_type=PASSPORT, contact_id="?").faults
    assert rules(both) == {"contact_id": "passport"}
    assert rules(check(legal_rep_cert_type="passport", legal_rep_id="E1234567").faults) == {
        "legal_rep_cert_type": "choice"
    }


def test_a_division_belongs_to_its_section() -> None:
    """Another section is a fault; a code that the table does not know is not."""
    wrong = check(industry_section="F")
    assert rules(wrong.faults) == {"industry_division": "industry.section"}
    assert "C" in wrong.faults[0].zh
    for section, division, warned in (("Z", "14", 1), ("C", "99", 1), ("?", "?", 2)):
        checked = check(industry_section=section, industry_division=division)
        assert checked.faults == ()
        assert [each.rule for each in checked.warnings] == ["industry.unknown"] * warned
    assert rules(check(service_industries="C;99").warnings) == {"service_industries": "industry.unknown"}


def test_regions_that_differ_are_a_warning() -> None:
    """A larger region that holds the other does not differ."""
    assert rules(check(region="371102").warnings) == {"uscc": "uscc.other-region"}
    for region in ("370700", "370000", "370702"):
        assert check(region=region).warnings == ()
    assert rules(check(region="379999").warnings) == {"region": "region.county", "uscc": "uscc.other-region"}
    assert check(uscc="91100000100003962T").warnings == ()


def test_counties_that_the_table_does_not_know_are_a_warning() -> None:
    """In a USCC and on an identity card; a former county on either is right."""
    card = one_that_fits("legal_rep_id", "37999919800101001", "0123456789X")
    assert rules(check(legal_rep_id=card).warnings) == {"legal_rep_id": "identity-card.county"}
    assert card not in said(check(legal_rep_id=card))
    code = one_that_fits("uscc", "91379999600037341", USCC_ALPHABET)
    assert [each.rule for each in check(uscc=code).warnings] == ["uscc.county", "uscc.other-region"]
    row = next(row for row in SAMPLE if row["region"] == "370802")
    assert rules(check_subject(row, TODAY).warnings) == {"region": "region.former"}


def one_that_fits(name: str, begun: str, alphabet: str) -> str:
    """Complete a number by the only check digit that is taken."""
    (right,) = (begun + char for char in alphabet if not check(**{name: begun + char}).faults)
    return right


def test_dates_between_fields() -> None:
    """Validity ends after the beginning; that it has ended is for the reviewer."""
    assert rules(check(valid_until="1990-01-01").faults) == {"valid_until": "date.order"}
    assert rules(check(valid_until="2026-11-20").warnings) == {"valid_until": "date.expired"}
    assert check(valid_until="2026-11-21").warnings == ()
    assert check(established="2026-11-21").faults == ()


def test_licences_and_their_number() -> None:
    """Asked for, not required."""
    assert rules(check(domain_licences=["增值电信业务经营许可证"]).warnings) == {"licence_number": "licence.number"}
    assert check(domain_licences="否").warnings == ()


@pytest.mark.parametrize(
    "phone", ["19900000000", "+86 13800000000", "0536-1234567", "(010)12345678", "+1 202-555-0100"]
)
def test_telephone_numbers_that_are_taken(phone: str) -> None:
    """Mobile, landline, abroad."""
    assert check(phone=phone).faults == ()


# --- fields that are not ours --------------------------------------------------


def test_an_unknown_field_names_the_nearest() -> None:
    """In both languages, with the label."""
    checked = check(legalrep="测试", Phone="1", zzz="2")
    assert rules(checked.faults) == dict.fromkeys(["legalrep", "Phone", "zzz"], "unknown-field")
    assert "legal_rep" in checked.faults[0].en and "法定代表人姓名" in checked.faults[0].zh
    assert "phone" in checked.faults[1].en
    assert "near" not in checked.faults[2].en


@pytest.mark.parametrize("name", ["19912345678", "测试人员", "", "a" * 41, "E12345678", "x\n", "<script>", "\ud800"])
def test_a_name_that_could_be_a_persons_is_told_by_its_place(name: str) -> None:
    """The third field of the form is "#3"."""
    faults = check_subject({"party": 1, "kind": 2, name: "x"}, TODAY).faults
    assert faults[-1][:2] == ("#3", "unknown-field")
    assert not name or name not in "".join(faults[-1])


def test_unknown_fields_are_counted_before_they_are_named() -> None:
    """However many there are."""
    faults = check(**{f"other{'x' * at}": at for at in range(50)}).faults
    assert [each.rule for each in faults] == ["unknown-field"] * PARTY_UNKNOWN_NAMED_MAX + ["unknown-fields"]
    many = check_subject({f"f{at}": DEEP for at in range(100_000)}, TODAY).faults
    assert len(many) <= len(FIELDS) + PARTY_UNKNOWN_NAMED_MAX + 2
    assert ("", "form.fields") in [each[:2] for each in many]
    assert str(PARTY_FORM_FIELDS_MAX) in said(Checked({}, many, ()))


# --- total, and silent about persons -------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
FORMS = st.dictionaries(st.sampled_from([*BY_NAME, *HINTS]) | st.text(max_size=12), JSON | st.text(), max_size=30)


def assert_well_formed(checked: Checked) -> None:
    """Each fault has a rule of the table and both languages, one a field."""
    for each in (*checked.faults, *checked.warnings):
        assert each.rule in RULES
        assert each.zh and each.en and "{" not in each.zh + each.en
        assert re.search(r"[\u4e00-\u9fff]", each.zh)
    paths = [each.path for each in checked.faults if each.path in BY_NAME]
    assert len(paths) == len(set(paths))
    assert not set(paths) & set(checked.values)


@given(JSON | FORMS)
def test_any_json_gives_a_result(form: Any) -> None:
    """Faults, never an exception."""
    assert_well_formed(check_subject(form, TODAY))


@given(st.fixed_dictionaries({}, optional={name: JSON | st.text() for name in BY_NAME}))
def test_any_json_within_a_right_form_gives_a_result(fields: dict[str, Any]) -> None:
    """What is wrong with some fields leaves the others as they are."""
    assert_well_formed(check(**fields))


@pytest.mark.parametrize("form", [None, [], "form", 7, 1.5, True, [[{}]]])
def test_what_is_no_form(form: Any) -> None:
    """One fault of the whole."""
    checked = check_subject(form, TODAY)
    assert (checked.values, [each[:2] for each in checked.faults]) == ({}, [("", "form")])


PERSONAL = st.text(st.sampled_from("0123456789X@.测试甲乙"), min_size=7, max_size=20)
NUMBERS = st.from_regex(r"37[0-9]{15}[0-9X]|1[0-9]{10}|[EG][0-9]{8}", fullmatch=True)


@given(PERSONAL | NUMBERS)
def test_no_message_repeats_what_the_form_says(personal: str) -> None:
    """Whatever field it stands in, right or wrong, or in the place of a name."""
    checked = check_subject({**dict.fromkeys(BY_NAME, personal), personal: personal}, TODAY)
    assert checked.faults
    assert personal not in said(checked)
    assert all(personal not in each.path for each in checked.faults)


@pytest.mark.parametrize("row", SAMPLE[:3], ids=lambda row: row["party"])
def test_neither_messages_nor_reprs_repeat_the_sample(row: dict[str, str]) -> None:
    """Every value spoilt by one character: neither the right one nor the wrong one is said."""
    personal = [name for name, field in BY_NAME.items() if (field.identity or field.person) and row.get(name)]
    wrong = {name: row[name][:-1] + "\x01" for name in personal} | {
        "email": row["email"] + "@",
        "phone": row["phone"][:-1],
    }
    for form in ({**row, **wrong}, row):
        checked = check_subject(form, TODAY)
        text = said(checked) + repr(checked)
        for name in personal:
            assert row[name] not in text
            assert row[name][:-1] not in text
