"""The form of a metadata template, read: every fault at once, each with its path.

1. Total: any octets give a template, or all that is wrong. Only what is no JSON object is refused as a whole.
2. Members are read under several names (docs/reference/templates.md), in any case, with "-" or blanks for
   "_"; what is kept has the names of the canonical form. Texts, numbers and flags are not turned into one
   another, but for a version, a length, the object type and the levels of an industry. A member that
   stands twice in the JSON is a fault.
3. Industries that our table does not know are warnings: the table is from memory, and classes are not in it.
"""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter
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
_BETWEEN_CODES: Final = re.compile(r"[\s/\\|,;>_.、，；-]+")
_BETWEEN_NAMES: Final = re.compile(r"[/\\|,;>，；]+")  # names hold "、", and may stand behind their codes
_BETWEEN_WORDS: Final = re.compile(r"[\s_.-]+")
_LEVEL_CODE: Final = re.compile(r"[A-Za-z]|[A-Za-z]?[0-9]{1,4}", re.ASCII)
_CODE_AND_NAME: Final = re.compile(r"([A-Za-z](?:[0-9]{2,4})?|[0-9]{2,4})[\s.:：_-]*([^\x00-\x7f].*)")
_WHOLE_CLASS: Final = re.compile(r"([A-Za-z]?)([0-9]{2,4})", re.ASCII)
_NAMES: Final[Mapping[str, Mapping[str, str]]] = {"section": SECTION_NAMES, "division": DIVISION_NAMES}
_CODES: Final = {level: {name: code for code, name in names.items()} for level, names in _NAMES.items()}
_SIZED: Final = re.compile(r"([^()（）]+)[(（]\s*([0-9]{1,10})\s*(?:[,，]\s*([0-9]{1,10})\s*)?[)）]", re.ASCII)
_UNSIZED: Final = ("date", "datetime", "boolean")  # of datetime(6) the number is none of characters
_LENGTH: Final = re.compile("[0-9]{1,40}", re.ASCII)
_INTEGER_CHARS: Final = 40  # of an integer so many digits are read: more is beyond every bound
_NAME_CHARS_LOOKED_AT: Final = 64


def _names(spellings: dict[str, str]) -> dict[str, str]:
    """Return each spelling of a member's name, in plain form, and the member."""
    return {spelling: member for member, others in spellings.items() for spelling in (member, *others.split())}


_TEMPLATE: Final = _names(
    {
        "code": "template_code 编码 模板编码 代码 模板代码",
        "version": "template_version 版本 版本号",
        "name": "title template_name 名称 模板名称",
        "description": "desc 说明 描述",
        "industry": "industries industry_levels four_level_industry industry_code industry_codes "
        "行业 四级行业 所属行业 行业代码",
        "industry_section": "level1 level_1 industry1 industry_1 industry_level1 industry_level_1 行业门类",
        "industry_division": "level2 level_2 industry2 industry_2 industry_level2 industry_level_2 行业大类",
        "industry_group": "level3 level_3 industry3 industry_3 industry_level3 industry_level_3 行业中类",
        "industry_class": "level4 level_4 industry4 industry_4 industry_level4 industry_level_4 行业小类",
        "object_type": "object active carrier_type 对象类型 载体类型",
        "items": "fields attributes elements metadata data_items 数据项 元数据 元数据项",
        "party": "主体",
    }
)
_INDUSTRY: Final = _names(
    {
        "section": "category 1 level1 level_1 industry_level1 industry_level_1 门类 一级",
        "division": "major 2 level2 level_2 industry_level2 industry_level_2 大类 二级",
        "group": "medium middle 3 level3 level_3 industry_level3 industry_level_3 中类 三级",
        "class": "minor small 4 level4 level_4 industry_level4 industry_level_4 小类 四级",
    }
)
_ITEM: Final = _names(
    {
        "name": "english_name en_name name_en english field field_name en 英文名 英文名称 英文",
        "alias": "chinese_alias chinese_name cn_name name_cn name_zh zh_name alias_cn alias_zh chinese label zh cn "
        "中文名 中文名称 中文别名 中文 别名",
        "type": "data_type datatype 类型 数据类型",
        "length": "max_length maxlength size len data_length 长度 数据长度 最大长度",
        "required": "mandatory 必填",
        "unit": "单位",
    }
)
_TYPES: Final = _names(
    {
        "text": "string str char varchar nvarchar varchar2 nvarchar2 nchar character clob longtext "
        "文本 文本型 字符 字符串 字符型 字符串型",
        "integer": "int long bigint smallint tinyint int32 int64 整数 整数型 整型",
        "decimal": "number numeric float double real 小数 小数型 浮点 浮点数 浮点型 数值 数值型",
        "date": "日期 日期型",
        "datetime": "date_time time timestamp timestamptz 时间 时间戳 日期时间 日期时间型",
        "boolean": "bool 布尔 布尔型 逻辑",
        "url": "uri anyuri link 网址 链接",
    }
)
_OBJECT_TYPES: Final = _names(
    {
        ACTIVE: "active_carrier active_identifier active_identifier_carrier true yes 1 是 主动 主动标识 主动标识载体",
        PASSIVE: "passive_carrier passive_identifier passive_identifier_carrier non_active non_active_carrier "
        "non_active_identifier_carrier not_active inactive false no 0 否 product 产品 普通 普通标识 "
        "非主动 非主动标识 非主动标识载体 被动 被动标识 被动标识载体",
    }
)
_OBJECT_TYPES_TOLD: Final = (
    f"{ACTIVE}（主动标识载体 an active identifier carrier, true）, "
    f"{PASSIVE}（不是主动标识载体，如产品 not one, such as a product, false）"
)
_WRAPPERS: Final = ("template", "metadata_template", "元数据模板")


class _Object(dict[str, Any]):
    """A JSON object. ``twice``: names of members that stand in it more than once; the last is kept."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.twice = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]


class Read(NamedTuple):
    """What a form says. ``template``: None where there are faults."""

    template: MetadataTemplate | None
    faults: list[Fault]
    warnings: list[Fault]


def read_template(octets: bytes) -> Read:
    """Read the form of a template. Errors: NodeError(MALFORMED) for what is no JSON object."""
    form, raw_version = _members_of(octets)
    reader = _Reader()
    members = reader.named(form, "", _TEMPLATE)
    version = reader.version(raw_version if "version" in members else b"")
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


def _members_of(octets: bytes) -> tuple[_Object, bytes]:
    """Return the members of a form, without the object around it, and its version as it was written.

    Errors: NodeError(MALFORMED).
    """
    try:
        parse(octets)  # the whole, so that no part of it fails below
        raw = parse(octets, dict[str, msgspec.Raw])
        members = json.loads(octets.decode(), object_pairs_hook=_Object, parse_int=_integer)
        if len(members) == 1 and not members.twice and _plain(next(iter(members))) in _WRAPPERS:
            (inner,), (raw_inner,) = members.values(), raw.values()
            if isinstance(inner, _Object):
                members, raw = inner, parse(bytes(raw_inner), dict[str, msgspec.Raw])
    except WireError as error:
        raise refusal("json", Outcome.MALFORMED, error=error.message) from None
    except RecursionError:
        raise refusal("json", Outcome.MALFORMED, error="nested too deeply") from None
    versions = (bytes(value) for name, value in raw.items() if _TEMPLATE.get(_plain(name)) == "version")
    return members, next(versions, b"")


def _integer(digits: str) -> int:
    return int(digits[:_INTEGER_CHARS])


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
        for name in given.twice if isinstance(given, _Object) else ():
            if _plain(name) in names:
                self.note(fault(f"{path}{names[_plain(name)]}", "member-once"))
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

    def choice(self, given: object, path: str, names: Mapping[str, str], told: str = "") -> str:
        """Return what one of several spellings stands for. ``told``: the choices, as a fault has them."""
        if given is None:
            self.note(fault(path, "member-required"))
        elif not isinstance(given, str):
            self.note(fault(path, "member-type", kind_zh=_A_TEXT[0], kind_en=_A_TEXT[1]))
        else:
            plain = _plain(given)
            chosen = names.get(plain) or names.get(plain.replace("_", ""), "")
            if not chosen:
                self.note(fault(path, "member-choice", choices=told or ", ".join(dict.fromkeys(names.values()))))
            return chosen
        return ""

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
        """Return ACTIVE or PASSIVE; true and 1 are the first."""
        value = members.get("object_type")
        given = str(value) if isinstance(value, bool | int) else value
        return self.choice(given, "object_type", _OBJECT_TYPES, _OBJECT_TYPES_TOLD)

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
        chosen, low, high = self.data_type(members.get("type"), path)
        length = self.length(members, path, chosen, low, high)
        required = self.flag(members, "required", path, default=True)
        unit = self.text(members, "unit", path, limits.METADATA_UNIT_CHARS_MAX)
        return Item(name, alias, chosen, length, required, unit)

    def data_type(self, given: object, path: str) -> tuple[str, int, int]:
        """Return a data type, and the least and the greatest length that VARCHAR(50) or decimal(10,2) leave it; else 0.

        The digits of a decimal are told there without its sign and point.
        """
        sized = _SIZED.fullmatch(given.strip()) if isinstance(given, str) else None
        chosen = self.choice(given if sized is None else sized[1], f"{path}type", _TYPES)
        low = 0 if sized is None else int(sized[2])
        if sized is None or not low or chosen in ("", *_UNSIZED):
            return chosen, 0, 0
        return chosen, low, low + (1 + (int(sized[3] or 0) > 0) if chosen == "decimal" else 0)

    def length(self, members: Mapping[str, Any], path: str, data_type: str, low: int, high: int) -> int:
        """Return the length of an item; where the type's own grammar bounds it, that of its longest text.

        ``low``, ``high``: what was said with the type; 0 for nothing.
        """
        own = DATA_TYPES[data_type].chars_max if data_type else 0
        value = members.get("length")
        if isinstance(value, str) and _LENGTH.fullmatch(value.strip()):
            value = int(value)
        if value is None and high:
            value = high
        if value is None and not own:
            self.note(fault(f"{path}length", "member-required"))
        value = self.typed({"length": value}, "length", path, int, Kind.INTEGER.value)
        if value is None:
            return own
        if not 1 <= value <= limits.METADATA_LENGTH_MAX:
            self.note(fault(f"{path}length", "member-range", low=1, high=limits.METADATA_LENGTH_MAX))
        elif high and not low <= value <= high:
            self.note(fault(f"{path}length", "member-range", low=low, high=high))
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
        return _code_of(level, self.text(levels, level, "industry.", limits.METADATA_LEVEL_CHARS_MAX))

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


def _code_of(level: str, text: str) -> str:
    """Return the code of a level that was told by its name, or by both; what we do not know stays as it is."""
    if len(text) == 1:
        return text.upper()
    codes = _CODES.get(level, {})
    if text in codes:
        return codes[text]
    both = _CODE_AND_NAME.fullmatch(text)
    if both is not None and codes.get(both[2], both[1].upper()) == both[1].upper():
        return both[1].upper()
    return text


def _levels_of(text: str) -> dict[str, Any]:
    """Return the levels of an industry in one text: C/14/149/1494, or C1494 and 1494, which name all of them.

    What is behind the fourth is one level too many, whichever it is.
    """
    parts = _parts(text, _BETWEEN_CODES)
    if not all(map(_LEVEL_CODE.fullmatch, parts)):
        parts = _parts(text, _BETWEEN_NAMES)
        if len(parts) == 1 and _CODE_AND_NAME.fullmatch(text.strip()) is None:
            parts = _parts(text, _BETWEEN_WORDS)
    whole = _WHOLE_CLASS.fullmatch(parts[0]) if len(parts) == 1 else None
    if whole is None:
        return dict(zip((*LEVELS, "more"), parts, strict=False))
    section, digits = whole[1].upper() or SECTION_OF_DIVISION.get(whole[2][:2], ""), whole[2]
    found = {"section": section, "division": digits[:2], "group": digits[:3], "class": digits}
    return {level: code for level, code in list(found.items())[: len(digits)] if code}


def _parts(text: str, between: re.Pattern[str]) -> list[str]:
    return [part.strip() for part in between.split(text) if part.strip()]
