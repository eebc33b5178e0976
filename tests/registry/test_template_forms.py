"""The form of a metadata template: spellings that are read, faults that are told, and nothing that breaks it."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.clock import Millis
from core.errors import NodeError, Outcome
from core.store.template_rows import TemplateRow, TemplateState
from core.who import Who
from core.wire.metadata import Item, MetadataTemplate
from registry.documents import template_document
from registry.template_forms import (
    _INDUSTRY,
    _ITEM,
    _OBJECT_TYPES,
    _TEMPLATE,
    _TYPES,
    LEVELS,
    Read,
    read_template,
)
from tests.kit.templates import SAMPLE, template_form, template_members


def read(**changes: object) -> Read:
    return read_template(template_form(**changes))


def right(octets: bytes) -> MetadataTemplate:
    found = read_template(octets)
    assert found.faults == []
    assert found.template is not None
    return found.template


def faults(found: Read) -> list[tuple[str, str]]:
    assert (found.template is None) is bool(found.faults)
    return [(each.path, each.rule) for each in found.faults]


def warnings(found: Read) -> list[tuple[str, str]]:
    return [(each.path, each.rule) for each in found.warnings]


def test_the_canonical_form() -> None:
    """As the manual shows it: no fault, no warning, every member kept."""
    found = read_template(SAMPLE.read_bytes())
    template = right(SAMPLE.read_bytes())
    assert found.warnings == []
    assert (template.code, template.version, template.active) == ("SALT-PRODUCT", "1.0", False)
    assert template.industry == ("C", "14", "149", "1494")
    assert (template.name, template.description) == ("食盐产品", "小包装食盐产品的元数据")
    assert template.items[0] == Item("PRODUCT_NAME", "产品名称", "text", 64, required=True)
    assert template.items[2] == Item("IODINE", "碘含量", "decimal", 10, required=False, unit="mg/kg")
    assert len(template.items) == 7


ITEM = {"name": "A", "alias": "甲", "type": "text", "length": 5}
OTHER_SPELLINGS: list[dict[str, Any]] = [
    {
        "Template-Code": "SALT-PRODUCT", "templateVersion": "1.0", "title": "食盐产品",
        "desc": "小包装食盐产品的元数据", "Industry": ["C", "14", "149", "1494"], "objectType": "Passive",
        "Fields": "items",
    },
    {
        "编码": "SALT-PRODUCT", "版本": "1.0", "名称": "食盐产品", "说明": "小包装食盐产品的元数据",
        "行业": {"门类": "C", "大类": "14", "中类": "149", "小类": "1494"},
        "对象类型": "非主动标识载体", "数据项": "items",
    },
    {
        "code": "SALT-PRODUCT", "version": "1.0", "name": " 食盐产品 ", "description": "小包装食盐产品的元数据",
        "industry_section": "C", "industry_division": 14, "industryGroup": 149, "industry-class": 1494, "active": False,
        "items": "items", "party": None,
    },
]  # fmt: skip
ITEM_SPELLINGS = [
    ("name", "alias", "type", "length", "required", "unit"),
    ("english_name", "chinese_name", "data_type", "maxLength", "mandatory", "Unit"),
    ("English Name", "Chinese Alias", "Data Type", "LENGTH", "Required", "unit"),
    ("英文名", "中文别名", "数据类型", "长度", "必填", "单位"),
]


@pytest.mark.parametrize("members", OTHER_SPELLINGS, ids=["english", "chinese", "flat"])
@pytest.mark.parametrize("names", ITEM_SPELLINGS, ids=lambda names: names[1])
def test_other_spellings_say_the_same(members: dict[str, Any], names: tuple[str, ...]) -> None:
    """Whatever the members are called, the template is that of the canonical form."""
    canonical = template_members()["items"]
    own = ("name", "alias", "type", "length", "required", "unit")
    items = [{dict(zip(own, names, strict=True))[name]: value for name, value in item.items()} for item in canonical]
    sent = {name: items if value == "items" else value for name, value in members.items()}
    assert right(json.dumps(sent).encode()) == right(SAMPLE.read_bytes())


@pytest.mark.parametrize(
    ("given", "levels"),
    [
        ("C/14/149/1494", ("C", "14", "149", "1494")),
        ("C-14-149-1494", ("C", "14", "149", "1494")),
        ("C > 14 > 149 > 1494", ("C", "14", "149", "1494")),
        ("C、14、149、1494", ("C", "14", "149", "1494")),
        ("C1494", ("C", "14", "149", "1494")),
        ("1494", ("C", "14", "149", "1494")),
        ({"section": "B", "division": 10, "group": "103", "class": "1030"}, ("B", "10", "103", "1030")),
        ({"section": "A", "division": 3, "group": 31, "class": 311}, ("A", "03", "031", "0311")),
        ({"level1": "C", "level2": "C14", "level3": "C149", "level4": "C1494"}, ("C", "C14", "C149", "C1494")),
        ({"1": "C", "2": "14", "3": "149", "4": "1494"}, ("C", "14", "149", "1494")),
        ({"level_1": "c", "Level 2": 14, "industryLevel3": 149, "小类": "1494"}, ("C", "14", "149", "1494")),
        ("c 14 149 1494", ("C", "14", "149", "1494")),
        ("C,14,149,1494", ("C", "14", "149", "1494")),
        ("制造业/食品制造业/149/1494", ("C", "14", "149", "1494")),
        ("制造业 食品制造业 149 1494", ("C", "14", "149", "1494")),
        ("C 制造业 > 14 食品制造业 > 149 其他食品制造 > 1494 盐加工", ("C", "14", "149", "1494")),
        ("C-制造业,14-食品制造业,149,1494", ("C", "14", "149", "1494")),
        ("农、林、牧、渔业/农业/011/0111", ("A", "01", "011", "0111")),
        (["制造业", "食品制造业", "149", "1494盐加工"], ("C", "14", "149", "1494")),
    ],
    ids=repr,
)
def test_industries_at_four_levels(given: object, levels: tuple[str, ...]) -> None:
    """In any of the ways in which people write them; what is whole and known is no warning."""
    found = read(industry=given)
    assert found.template is not None
    assert (found.template.industry, found.warnings) == (levels, [])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("C14", ["industry.group", "industry.class"]),
        ("C", ["industry.division", "industry.group", "industry.class"]),
        (["C", "10", "101", "1011"], ["industry.division"]),
        (["C", "14", "131", "1494"], ["industry.group", "industry.class"]),
        (["X", "98", "981", "9811"], ["industry.section", "industry.division"]),
        (["生产业", "14", "149", "1494"], ["industry.section", "industry.division"]),
        ("制造业/食品制造业/其他食品制造/盐加工", ["industry.group", "industry.class"]),
        (
            {"section": "A 制造业", "division": "01"},
            ["industry.section", "industry.division", "industry.group", "industry.class"],
        ),
    ],
)
def test_what_the_table_does_not_know_is_a_warning(given: object, expected: list[str]) -> None:
    """Never a fault: the table is from memory, and has no classes."""
    found = read(industry=given)
    assert found.template is not None
    assert [each.path for each in found.warnings] == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, [("industry.section", "member-required")]),
        ({}, [("industry.section", "member-required")]),
        ([], [("industry.section", "member-required")]),
        ("", [("industry.section", "member-required")]),
        (7, [("industry", "template-industry")]),
        (True, [("industry", "template-industry")]),
        ("C/14/149/1494/9", [("industry", "template-industry")]),
        (["C", "14", "149", "1494", "9"], [("industry", "template-industry")]),
        (["C", "14", "149", [1494]], [("industry.class", "member-type")]),
        (["C", True], [("industry.division", "member-type")]),
        (["C", 1494], [("industry.division", "member-type")]),
        ({"section": 1}, [("industry.section", "member-type")]),
        ({"section": "C" * 40}, [("industry.section", "member-length")]),
        ({"section": "C", "sektion": "C"}, [("industry.sektion", "member-unknown")]),
        ({"section": "C", "门类": "C"}, [("industry.section", "member-once")]),
    ],
    ids=repr,
)
def test_industries_that_are_none(given: object, expected: list[tuple[str, str]]) -> None:
    assert faults(read(industry=given)) == expected


@pytest.mark.parametrize(
    "names",
    [
        ("level1", "level2", "level3", "level4"),
        ("level_1", "Level 2", "LEVEL-3", "level_4"),
        ("industryLevel1", "industryLevel2", "industryLevel3", "industryLevel4"),
        ("industry_level_1", "industry_level_2", "industry_level_3", "industry_level_4"),
        ("行业门类", "行业大类", "行业中类", "行业小类"),
    ],
    ids=lambda names: names[0],
)
def test_the_levels_of_an_industry_may_stand_beside_all_else(names: tuple[str, ...]) -> None:
    found = read(industry=None, **dict(zip(names, ("C", "14", "149", "1494"), strict=True)))
    assert found.template is not None
    assert (found.template.industry, found.warnings) == (("C", "14", "149", "1494"), [])


@pytest.mark.parametrize(
    ("raw", "version"),
    [("1", "1"), ("1.0", "1.0"), ("1.10", "1.10"), ('"V2.1"', "V2.1"), ('" 3 "', "3"), ("20260101", "20260101")],
)
def test_a_version_is_kept_as_it_was_written(raw: str, version: str) -> None:
    """Of a number its very digits: 1.10 is not 1.1."""
    form = template_form(version="@").replace(b'"@"', raw.encode())
    assert right(form).version == version


@pytest.mark.parametrize("raw", ['""', '"1.x"', "1e3", "-1", "true", "[1]", '{"a":1}', '"1.2.3.4.5"', "123456789.5"])
def test_versions_that_are_none(raw: str) -> None:
    form = template_form(version="@").replace(b'"@"', raw.encode())
    assert faults(read_template(form)) == [("version", "template-version")]


@pytest.mark.parametrize(
    "spelt",
    ["active", "ACTIVE", "active-carrier", "Active Identifier Carrier", True, 1, "1", "true", "Yes", "主动",
     "主动标识载体"],
)  # fmt: skip
def test_active_carriers(spelt: object) -> None:
    found = read(object_type=spelt)
    assert found.template is not None
    assert found.template.active


@pytest.mark.parametrize(
    "spelt", ["passive", False, 0, "0", "false", "NO", "否", "非主动", "被动", "product", "Product", "产品", "普通"]
)
def test_what_is_no_active_carrier(spelt: object) -> None:
    found = read(object_type=spelt)
    assert found.template is not None
    assert not found.template.active


@pytest.mark.parametrize("given", ["salt", 2, ""])
def test_a_wrong_object_type_is_told_what_both_mean(given: object) -> None:
    """In both languages: the words alone say nothing to whoever reads them for the first time."""
    (wrong,) = read(object_type=given).faults
    for words in (wrong.zh, wrong.en):
        assert "active（主动标识载体 an active identifier carrier" in words
        assert "passive（不是主动标识载体" in words


@pytest.mark.parametrize(
    ("spelt", "length", "expected"),
    [
        ("VARCHAR(50)", None, ("text", 50)),
        ("varchar ( 50 )", 50, ("text", 50)),
        ("NVarChar（50）", "50", ("text", 50)),
        ("string(50)", None, ("text", 50)),
        ("char", " 7 ", ("text", 7)),
        ("字符串", 7, ("text", 7)),
        ("bigint", 20, ("integer", 20)),
        ("BigInt", 20, ("integer", 20)),
        ("int(11)", None, ("integer", 11)),
        ("decimal(10,2)", None, ("decimal", 12)),
        ("decimal(10, 2)", 10, ("decimal", 10)),
        ("number(10)", None, ("decimal", 11)),
        ("float", 10, ("decimal", 10)),
        ("timestamp(6)", None, ("datetime", 35)),
        ("datetime", None, ("datetime", 35)),
        ("DateTime", None, ("datetime", 35)),
        ("bool", None, ("boolean", 5)),
        ("URI", 200, ("url", 200)),
    ],
)
def test_types_as_databases_have_them(spelt: str, length: object, expected: tuple[str, int]) -> None:
    """With the length behind them, where a length says something."""
    item = ITEM | {"type": spelt, "length": length}
    found = read(items=[{name: value for name, value in item.items() if value is not None}])
    assert (found.faults, found.warnings) == ([], [])
    assert found.template is not None
    assert (found.template.items[0].type, found.template.items[0].length) == expected


@pytest.mark.parametrize("name", ["template", "metadata_template", "metadataTemplate", "元数据模板"])
def test_an_object_around_the_form_is_taken_off(name: str) -> None:
    """If it is the one member; the version within keeps its digits."""
    form = b'{"%s": %s}' % (name.encode(), template_form(version="@").replace(b'"@"', b"1.10"))
    assert right(form).version == "1.10"
    wrong = form[:-1] + b', "code": "A"}'
    assert "member-unknown" in {rule for _, rule in faults(read_template(wrong))}
    with_text = faults(read_template(b'{"%s": "x"}' % name.encode()))
    assert ("code", "member-required") in with_text


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        (b'"code"', b'"code": "OTHER", "code"', "code"),
        (b'"version"', b'"version": "7", "version"', "version"),
        (b'"section"', b'"section": "A", "section"', "industry.section"),
        (b'"alias"', b'"alias": "x", "alias"', "items[0].alias"),
    ],
)
def test_a_member_that_stands_twice_is_a_fault(old: bytes, new: bytes, path: str) -> None:
    """Neither of the two is taken for what was meant."""
    form = template_form().replace(old, new, 1)
    assert faults(read_template(form)) == [(path, "member-once")]
    assert faults(read_template(b'{"template": ' + form + b"}")) == [(path, "member-once")]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"code": None}, [("code", "member-required")]),
        ({"code": "盐"}, [("code", "template-code")]),
        ({"code": 7}, [("code", "member-type")]),
        ({"version": None}, [("version", "member-required")]),
        ({"object_type": None}, [("object_type", "member-required")]),
        ({"object_type": "salt"}, [("object_type", "member-choice")]),
        ({"object_type": 2}, [("object_type", "member-choice")]),
        ({"object_type": 1.0}, [("object_type", "member-type")]),
        ({"name": ""}, [("name", "member-length")]),
        ({"name": "a\x07"}, [("name", "member-characters")]),
        ({"description": "x" * 501}, [("description", "member-length")]),
        ({"party": 7}, [("party", "member-type")]),
        ({"verson": "1"}, [("verson", "member-unknown")]),
        ({"Version": "1"}, [("version", "member-once")]),
        ({"items": None}, [("items", "member-required")]),
        ({"items": {}}, [("items", "member-type")]),
        ({"items": []}, [("items", "template-items")]),
        ({"items": [7]}, [("items[0]", "member-type")]),
        ({"items": [ITEM, ITEM | {"name": "a"}]}, [("items[1].name", "template-item-twice")]),
        ({"items": [ITEM | {"name": "HS_ADMIN"}]}, [("items[0].name", "template-item-name")]),
        ({"items": [ITEM | {"name": "metadata_template"}]}, [("items[0].name", "template-item-name")]),
        ({"items": [ITEM | {"name": "净含量"}]}, [("items[0].name", "template-item-name")]),
        ({"items": [ITEM | {"type": "colour"}]}, [("items[0].type", "member-choice")]),
        ({"items": [ITEM | {"length": 0}]}, [("items[0].length", "member-range")]),
        ({"items": [ITEM | {"length": 10**30}]}, [("items[0].length", "member-range")]),
        ({"items": [ITEM | {"length": "5 m"}]}, [("items[0].length", "member-type")]),
        ({"items": [ITEM | {"length": "0"}]}, [("items[0].length", "member-range")]),
        ({"items": [ITEM | {"length": "9" * 50}]}, [("items[0].length", "member-type")]),
        ({"items": [ITEM | {"length": 5.0}]}, [("items[0].length", "member-type")]),
        ({"items": [ITEM | {"type": "VARCHAR(50)"}]}, [("items[0].length", "member-range")]),
        ({"items": [ITEM | {"type": "decimal(10,2)", "length": 13}]}, [("items[0].length", "member-range")]),
        ({"items": [ITEM | {"type": "VARCHAR(0)", "length": None}]}, [("items[0].length", "member-required")]),
        ({"items": [ITEM | {"type": "VARCHAR(99999)", "length": None}]}, [("items[0].length", "member-range")]),
        ({"items": [ITEM | {"type": "VARCHAR(MAX)"}]}, [("items[0].type", "member-choice")]),
        ({"items": [ITEM | {"type": "colour(5)"}]}, [("items[0].type", "member-choice")]),
        ({"items": [ITEM | {"length": True}]}, [("items[0].length", "member-type")]),
        ({"items": [ITEM | {"required": "yes"}]}, [("items[0].required", "member-type")]),
        ({"items": [ITEM | {"unit": "x" * 33}]}, [("items[0].unit", "member-length")]),
        ({"items": [ITEM | {"lenght": 5}]}, [("items[0].lenght", "member-unknown")]),
        ({"items": [{}]}, [(f"items[0].{each}", "member-required") for each in ("name", "alias", "type", "length")]),
        ({"items": [ITEM | {"name": f"A{n}"} for n in range(201)]}, [("items", "template-items")]),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_each_fault_has_its_path_and_its_rule(changes: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert faults(read(**changes)) == expected


def test_all_faults_are_told_at_once_and_name_what_is_near() -> None:
    found = read(code="a b", version="x", verson="1", items=[ITEM, ITEM | {"name": "B", "tpye": "x", "length": None}])
    assert {each.path for each in found.faults} == {"code", "version", "verson", "items[1].tpye", "items[1].length"}
    near = {each.path: each.en for each in found.faults if each.rule == "member-unknown"}
    assert "version" in near["verson"]
    assert "type" in near["items[1].tpye"]


def test_a_length_that_is_not_checked_is_a_warning() -> None:
    """A date has ten characters, whatever its length says; without one it has these."""
    items = [ITEM | {"type": "date", "length": 8}, {"name": "B", "alias": "乙", "type": "boolean"}]
    found = read(items=items)
    assert warnings(found) == [("items[0].length", "template-length")]
    assert found.template is not None
    assert [item.length for item in found.template.items] == [8, 5]


@pytest.mark.parametrize(
    "octets", [b"", b"{", b"[]", b"7", b'"x"', b"null", b"\xff", b'{"code": "\xff"}', b"[" * 100_000]
)
def test_what_is_no_json_object_is_malformed(octets: bytes) -> None:
    with pytest.raises(NodeError) as caught:
        read_template(octets)
    assert (caught.value.ended, caught.value.fields["rule"]) == (Outcome.MALFORMED, "json")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
MEMBERS = st.sampled_from([*template_members(), "party", "Industry", "industry_class", "条", "title", "x" * 200])
ITEM_MEMBERS = st.sampled_from([*ITEM, "required", "unit", "Alias", "英文名", "?"])
FORMS = st.dictionaries(MEMBERS, JSON, max_size=6)
ITEMS = st.lists(st.dictionaries(ITEM_MEMBERS, JSON, max_size=6).map(lambda given: ITEM | given) | JSON, max_size=4)


@given(FORMS, ITEMS)
def test_reading_is_total(members: dict[str, Any], items: list[Any]) -> None:
    """Any JSON: a template that can be shown, or faults; each in both languages, and a path that can be shown."""
    for form in (members, template_members(items=items), template_members() | members):
        found = read_template(json.dumps(form).encode())
        assert (found.template is None) is bool(found.faults)
        for each in (*found.faults, *found.warnings):
            assert each.zh
            assert each.en
            assert len(each.path) < 80
            assert each.path.isprintable()


@given(st.binary(max_size=40))
def test_reading_is_total_on_any_octets(octets: bytes) -> None:
    for form in (octets, b'{"version":' + octets + b"}", SAMPLE.read_bytes()[:-4] + octets):
        try:
            read_template(form)
        except NodeError as error:
            assert error.ended is Outcome.MALFORMED


def test_a_form_of_nothing_but_faults_is_bounded() -> None:
    """Unknown members of many items: so many are told, and looking for near names ends soon."""
    item = {f"nmae{number}": number for number in range(60)}
    octets = template_form(items=[item] * 200)
    begun = time.perf_counter()
    found = read_template(octets)
    assert len(found.faults) == limits.METADATA_FAULTS_MAX + 1
    assert found.faults[-1].rule == "template-more"
    assert time.perf_counter() - begun < 2


def test_the_manual_has_the_sample_and_every_spelling() -> None:
    """Whoever reads the page can write all that is read, and nothing on it is an invention."""
    page = (Path(__file__).parent.parent.parent / "docs" / "reference" / "templates.md").read_text("utf-8")
    (sample,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert sample == SAMPLE.read_text("utf-8")
    page = page.replace(f"```json\n{sample}```", "")
    told = set(re.findall("`([^`\\n]+)`", page))
    for table in (_TEMPLATE, _INDUSTRY, _ITEM, _TYPES, _OBJECT_TYPES):
        assert table.keys() - told == set()
    rows = re.findall(r"^\| `([a-z_]+)`.*\|([^|]*)\|$", page, re.MULTILINE)
    tables = (_TEMPLATE, _INDUSTRY, _ITEM, _TYPES)
    for member, spellings in rows:
        allowed = {member, "description", *(f"industry_{level}" for level in LEVELS)}
        for spelling in re.findall("`([^`]+)`", spellings):
            assert {table.get(spelling) for table in tables} & allowed, spelling


def test_a_document_can_be_filed_again() -> None:
    """What is shown of a template is its canonical form; what was added to it is known by name."""
    row = TemplateRow(right(SAMPLE.read_bytes()), TemplateState.DRAFT, Who(), Millis(0))
    shown = template_document(row, [row])
    kept = {name: shown[name] for name in template_members()}
    assert right(json.dumps(kept).encode()) == row.template
