"""The form of a metadata template, read: every fault at once, each with its path.

1. Total: any octets give a template, or all that is wrong. Only what is no JSON object is refused as a whole.
2. Members are read under several names (docs/reference/templates.md), in any case, with "-" or blanks for
   "_"; what is kept has the names of the canonical form. Texts, numbers and flags are not turned into one
   another, but for a version, which may be written as a number, and the levels of an industry.
3. Industries that our table does not know are warnings: the table is from memory, and classes are not in it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec

from core import limits
from core.errors import Outcome, WireError
from core.party.industries import DIVISION_NAMES, SECTION_NAMES, SECTION_OF_DIVISION
from core.party.readers import is_visible
from core.party.rules import Fault
from core.wire.jsontext import parse
from core.wire.metadata import DATA_TYPES, Item, MetadataTemplate, fold, is_code, is_item_name, is_version
from registry.members import Kind
from registry.refusals import fault, refusal

ACTIVE: Final = "active"
PASSIVE: Final = "passive"
LEVELS: Final = ("section", "division", "group", "class")

_A_TEXT: Final = Kind.TEXT.value
_A_LIST: Final = ("JSON数组", "a JSON array")
_CAPITAL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])", re.ASCII)
_SHOWN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}", re.ASCII)
_BETWEEN_LEVELS: Final = re.compile(r"[\s/\\|,;>_.、，；-]+")
_WHOLE_CLASS: Final = re.compile(r"([A-Za-z]?)([0-9]{2,4})", re.ASCII)
_NAME_CHARS_LOOKED_AT: Final = 64


def _names(spellings: dict[str, str]) -> dict[str, str]:
    """Return each spelling of a member's name, in plain form, and the member."""
    return {spelling: member for member, others in spellings.items() for spelling in (member, *others.split())}


_TEMPLATE: Final = _names(
    {
        "code": "template_code 编码 模板编码",
        "version": "template_version 版本 版本号",
        "name": "title template_name 名称 模板名称",
        "description": "desc 说明 描述",
        "industry": "industries industry_levels 行业",
        "industry_section": "行业门类",
        "industry_division": "行业大类",
        "industry_group": "行业中类",
        "industry_class": "行业小类",
        "object_type": "object active 对象类型",
        "items": "fields attributes 数据项",
        "party": "主体",
    }
)
_INDUSTRY: Final = _names(
    {
        "section": "category level1 level_1 门类",
        "division": "major level2 level_2 大类",
        "group": "medium middle level3 level_3 中类",
        "class": "minor small level4 level_4 小类",
    }
)
_ITEM: Final = _names(
    {
        "name": "english_name en_name name_en english field 英文名 英文名称",
        "alias": "chinese_alias chinese_name cn_name name_cn name_zh chinese label 中文名 中文别名 别名",
        "type": "data_type datatype 类型 数据类型",
        "length": "max_length maxlength size 长度",
        "required": "mandatory 必填",
        "unit": "单位",
    }
)
_TYPES: Final = _names(
    {
        "text": "string str char varchar 文本 字符 字符串 字符型",
        "integer": "int long bigint 整数 整型",
        "decimal": "number numeric float double 小数 数值",
        "date": "日期",
        "datetime": "date_time time timestamp 时间 日期时间",
        "boolean": "bool 布尔 逻辑",
        "url": "uri 网址 链接",
    }
)
_OBJECT_TYPES: Final = _names(
    {
        ACTIVE: "active_carrier active_identifier_carrier 主动 主动标识 主动标识载体",
        PASSIVE: "passive_carrier passive_identifier_carrier non_active non_active_carrier "
        "non_active_identifier_carrier not_active inactive 非主动 非主动标识 非主动标识载体 被动 被动标识 被动标识载体",
    }
)


class Read(NamedTuple):
    """What a form says. ``template``: None where there are faults."""

    template: MetadataTemplate | None
    faults: list[Fault]
    warnings: list[Fault]


def read_template(octets: bytes) -> Read:
    """Read the form of a template. Errors: NodeError(MALFORMED) for what is no JSON object."""
    try:
        parse(octets)  # the whole, so that no part of it fails below
        given = parse(octets, dict[str, msgspec.Raw])
    except WireError as error:
        raise refusal("json", Outcome.MALFORMED, error=error.message) from None
    reader = _Reader()
    raw = reader.named(given, "", _TEMPLATE)
    version = reader.version(bytes(raw.pop("version", b"")))
    members = {name: parse(bytes(value)) for name, value in raw.items()}
    template = MetadataTemplate(
        code=reader.code(members),
        version=version,
        industry=reader.industry(members),
        active=reader.object_type(members) == ACTIVE,
        items=reader.items(members),
        name=reader.text(members, "name", "", limits.METADATA_NAME_CHARS_MAX),
        description=reader.text(members, "description", "", limits.METADATA_DESCRIPTION_CHARS_MAX),
        party=reader.text(members, "party", "", limits.PREFIX_CHARS_MAX),
    )
    return Read(None if reader.faults else template, reader.faults, reader.warnings)


def template_faults(template: MetadataTemplate) -> list[Fault]:
    """Return what the form would refuse of a template that came by another way, or would keep in another form."""
    form = {
        "code": template.code,
        "version": template.version,
        "name": template.name or None,
        "description": template.description or None,
        "industry": {level: code or None for level, code in zip(LEVELS, template.industry, strict=True)},
        "object_type": ACTIVE if template.active else PASSIVE,
        "items": [item._asdict() | {"unit": item.unit or None} for item in template.items],
        "party": template.party or None,
    }
    read = read_template(msgspec.json.encode(form))
    if read.template is not None and read.template != template:
        return [fault("", "template-other")]
    return read.faults


def _plain(name: str) -> str:
    """Return a name as the tables of spellings have it."""
    spaced = _CAPITAL.sub("_", name[:_NAME_CHARS_LOOKED_AT].strip())
    return re.sub(r"[\s_-]+", "_", spaced).lower()


class _Reader:
    """Reads members one by one. What is wrong is noted, and something of the right type is given back."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.warnings: list[Fault] = []

    def note(self, wrong: Fault) -> None:
        """Note a fault. Bounds: METADATA_FAULTS_MAX."""
        if len(self.faults) < limits.METADATA_FAULTS_MAX:
            self.faults.append(wrong)
        elif len(self.faults) == limits.METADATA_FAULTS_MAX:
            self.faults.append(fault("", "template-more"))

    def named(self, given: Mapping[str, Any], path: str, names: Mapping[str, str]) -> dict[str, Any]:
        """Return the members of an object under their own names. Bounds: METADATA_FORM_MEMBERS_MAX."""
        found: dict[str, Any] = {}
        if len(given) > limits.METADATA_FORM_MEMBERS_MAX:
            self.note(fault(path.rstrip("."), "member-items", items=limits.METADATA_FORM_MEMBERS_MAX))
        for place, (name, value) in enumerate(islice(given.items(), limits.METADATA_FORM_MEMBERS_MAX), 1):
            member = names.get(_plain(name))
            shown = f"{path}{name if _SHOWN.fullmatch(name) else f'#{place}'}"
            if member is None:
                near = self.near(name, names)
                near_zh, near_en = (f"；相近的是{near}", f"; near it: {near}") if near else ("", "")
                self.note(fault(shown, "member-unknown", near_zh=near_zh, near_en=near_en))
            elif member in found:
                self.note(fault(f"{path}{member}", "member-once"))
            else:
                found[member] = value
        return found

    def near(self, name: str, names: Mapping[str, str]) -> str:
        """Return the member whose name is nearest, of the first few that are unknown; else nothing."""
        if len(self.faults) >= limits.PARTY_UNKNOWN_NAMED_MAX:
            return ""
        return next((names[each] for each in difflib.get_close_matches(_plain(name), names, 1)), "")

    def typed(self, members: Mapping[str, Any], name: str, path: str, kind: type, told: tuple[str, str]) -> Any:
        """Return a member of this type, None if there is none, or another."""
        value = members.get(name)
        if value is not None and type(value) is not kind:
            self.note(fault(path + name, "member-type", kind_zh=told[0], kind_en=told[1]))
            return None
        return value

    def missing(self, members: Mapping[str, Any], name: str, path: str) -> None:
        """Note that a member is needed, where it was not given at all."""
        if members.get(name) is None:
            self.note(fault(path + name, "member-required"))

    def text(self, members: Mapping[str, Any], name: str, path: str, high: int, *, required: bool = False) -> str:
        """Return a text, empty if there is none, or a wrong one."""
        if required:
            self.missing(members, name, path)
        value = self.typed(members, name, path, str, _A_TEXT)
        if value is None:
            return ""
        text: str = value.strip()
        if not 1 <= len(text) <= high:
            self.note(fault(path + name, "member-length", low=1, high=high))
            return ""
        if not is_visible(text):
            self.note(fault(path + name, "member-characters"))
            return ""
        return text

    def flag(self, members: Mapping[str, Any], name: str, path: str, default: bool) -> bool:
        """Return a flag."""
        value = self.typed(members, name, path, bool, Kind.FLAG.value)
        return default if value is None else bool(value)

    def choice(self, members: Mapping[str, Any], name: str, path: str, names: Mapping[str, str]) -> str:
        """Return what one of several spellings stands for."""
        self.missing(members, name, path)
        value = self.typed(members, name, path, str, _A_TEXT)
        chosen = names.get(_plain(value), "") if value is not None else ""
        if value is not None and not chosen:
            self.note(fault(path + name, "member-choice", choices=", ".join(dict.fromkeys(names.values()))))
        return chosen

    # --- the template
    def code(self, members: Mapping[str, Any]) -> str:
        """Return the code."""
        self.missing(members, "code", "")
        value = self.typed(members, "code", "", str, _A_TEXT)
        text = value.strip() if value is not None else ""
        if value is not None and not is_code(text):
            self.note(fault("code", "template-code", chars=limits.METADATA_CODE_CHARS_MAX))
        return text

    def version(self, raw: bytes) -> str:
        """Return the version as it was written: of a number, its very digits."""
        if raw in (b"", b"null"):
            self.note(fault("version", "member-required"))
            return ""
        text = parse(raw).strip() if raw[:1] == b'"' else raw.decode(errors="replace")
        if not is_version(text):
            numbers, digits = limits.METADATA_VERSION_NUMBERS_MAX, limits.METADATA_VERSION_DIGITS_MAX
            self.note(fault("version", "template-version", numbers=numbers, digits=digits))
        return text

    def object_type(self, members: Mapping[str, Any]) -> str:
        """Return ACTIVE or PASSIVE; true is the first."""
        value = members.get("object_type")
        if type(value) is bool:
            return ACTIVE if value else PASSIVE
        return self.choice(members, "object_type", "", _OBJECT_TYPES)

    def items(self, members: Mapping[str, Any]) -> tuple[Item, ...]:
        """Return the items, each name once. Bounds: METADATA_ITEMS_MAX."""
        self.missing(members, "items", "")
        given = self.typed(members, "items", "", list, _A_LIST)
        if given is None:
            return ()
        if not 1 <= len(given) <= limits.METADATA_ITEMS_MAX:
            self.note(fault("items", "template-items", items=limits.METADATA_ITEMS_MAX))
        read: list[Item] = []
        seen: set[str] = set()
        for place, each in enumerate(given[: limits.METADATA_ITEMS_MAX]):
            if not isinstance(each, dict):
                zh, en = Kind.OBJECT.value
                self.note(fault(f"items[{place}]", "member-type", kind_zh=zh, kind_en=en))
                continue
            item = self.item(each, f"items[{place}].")
            if item.name and fold(item.name) in seen:
                self.note(fault(f"items[{place}].name", "template-item-twice"))
            seen.add(fold(item.name))
            read.append(item)
        return tuple(read)

    def item(self, given: Mapping[str, Any], path: str) -> Item:
        """Return one item."""
        members = self.named(given, path, _ITEM)
        name = self.text(members, "name", path, limits.METADATA_ITEM_CHARS_MAX, required=True)
        if name and not is_item_name(name):
            self.note(fault(f"{path}name", "template-item-name", chars=limits.METADATA_ITEM_CHARS_MAX))
        alias = self.text(members, "alias", path, limits.METADATA_ALIAS_CHARS_MAX, required=True)
        chosen = self.choice(members, "type", path, _TYPES)
        length = self.length(members, path, chosen)
        required = self.flag(members, "required", path, default=True)
        unit = self.text(members, "unit", path, limits.METADATA_UNIT_CHARS_MAX)
        return Item(name, alias, chosen, length, required, unit)

    def length(self, members: Mapping[str, Any], path: str, data_type: str) -> int:
        """Return the length of an item; where the type's own grammar bounds it, that of its longest text."""
        own = DATA_TYPES[data_type].chars_max if data_type else 0
        if not own:
            self.missing(members, "length", path)
        value = self.typed(members, "length", path, int, Kind.INTEGER.value)
        if value is None:
            return own
        if not 1 <= value <= limits.METADATA_LENGTH_MAX:
            self.note(fault(f"{path}length", "member-range", low=1, high=limits.METADATA_LENGTH_MAX))
        elif own and value < own:
            self.warnings.append(fault(f"{path}length", "template-length", type=data_type))
        return int(value)

    # --- the industry
    def industry(self, members: Mapping[str, Any]) -> tuple[str, str, str, str]:
        """Return the four levels, empty where one was not given."""
        flat = {level: members[f"industry_{level}"] for level in LEVELS if f"industry_{level}" in members}
        given = members.get("industry")
        if flat and given is not None:
            self.note(fault("industry", "member-once"))
        match given:
            case None:
                levels: Mapping[str, Any] = flat
            case dict():
                levels = self.named(given, "industry.", _INDUSTRY)
            case list() if len(given) <= len(LEVELS):
                levels = dict(zip(LEVELS, given, strict=False))
            case str() if len(parts := _levels_of(given)) <= len(LEVELS):
                levels = parts
            case _:
                self.note(fault("industry", "template-industry"))
                return "", "", "", ""
        wrong = len(self.faults)
        section, division, group, kind = (self.level(levels, level, place) for place, level in enumerate(LEVELS))
        if levels.get("section") is None:
            self.note(fault("industry.section", "member-required"))
        elif len(self.faults) == wrong:
            self.judge(section, division, group, kind)
        return section, division, group, kind

    def level(self, levels: Mapping[str, Any], level: str, place: int) -> str:
        """Return one level; a number gets the digits that its level has."""
        value = levels.get(level)
        if type(value) is int and place and 0 < value < 10 ** (place + 1):
            return f"{value:0{place + 1}}"
        return self.text(levels, level, "industry.", limits.METADATA_LEVEL_CHARS_MAX)

    def judge(self, section: str, division: str, group: str, kind: str) -> None:
        """Note what our table does not know, or has elsewhere, and what is missing."""
        if section not in SECTION_NAMES:
            self.warnings.append(fault("industry.section", "industry-unknown"))
        digits = [level.removeprefix(section) for level in (division, group, kind)]
        if digits[0] and digits[0] not in DIVISION_NAMES:
            self.warnings.append(fault("industry.division", "industry-unknown"))
        fits = (
            SECTION_OF_DIVISION.get(digits[0], section) == section,
            digits[1].startswith(digits[0]),
            digits[2].startswith(digits[1]),
        )
        for level, given, fit in zip(LEVELS[1:], digits, fits, strict=True):
            if not (given and fit):
                self.warnings.append(fault(f"industry.{level}", "industry-levels"))


def _levels_of(text: str) -> dict[str, Any]:
    """Return the levels of an industry in one text: C/14/149/1494, or C1494 and 1494, which name all of them.

    What is behind the fourth is one level too many, whichever it is.
    """
    parts = [part for part in _BETWEEN_LEVELS.split(text) if part]
    whole = _WHOLE_CLASS.fullmatch(parts[0]) if len(parts) == 1 else None
    if whole is None:
        return dict(zip((*LEVELS, "more"), parts, strict=False))
    section, digits = whole[1].upper() or SECTION_OF_DIVISION.get(whole[2][:2], ""), whole[2]
    found = {"section": section, "division": digits[:2], "group": digits[:3], "class": digits}
    return {level: code for level, code in list(found.items())[: len(digits)] if code}
