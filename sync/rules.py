"""What may be wrong with a row, and what each rule says, in Chinese and English. No value of a row is ever told."""

from __future__ import annotations

from typing import Final

from core.party.rules import Fault
from sync.table import Field

RULES: Final[dict[str, tuple[str, str]]] = {
    "row-size": ("一行最长{most}字节", "A row has {most} octets at most"),
    "row-form": ("这一行不是数据表的行", "This is no row of a table"),
    "row-fields": ("该表的一行应有{fields}个字段", "A row of this table has {fields} fields"),
    "row-key": ("键与这一行的内容不符", "The key is not that of this row"),
    "row-faults": ("还有更多错误，未逐一列出", "There are more faults, which are not listed one by one"),
    "row-text": ("含有不可见字符（控制符、换行等），请删除", "It has invisible characters (controls, line breaks)"),
    "row-required": ("{label}为必填项", "{name} is required"),
    "row-kind": ("{label}的类型不符，应为{kind}", "{name} must be of the kind {kind}"),
    "row-length": ("{label}过长：最多{most}", "{name} is too long: at most {most}"),
    "row-choice": ("{label}应为其中之一：{choices}", "{name} must be one of: {choices}"),
    "row-range": ("{label}应在{low}到{high}之间", "{name} must lie from {low} to {high}"),
    "row-items": ("{label}最多{items}项", "{name} has {items} items at most"),
    "row-normal": ("{label}不是规范形式", "{name} is not in its normal form"),
    "row-ip-type": ("{label}与IP类型不符", "{name} is not of its IP type"),
    "row-port": ("{label}：TCP、UDP、HTTP端口至少填写一个", "{name}: at least one port of TCP, UDP and HTTP"),
    "row-lot": (
        "{label}：批次须同时有产品标识、位数和数量，普通标识均不填写",
        "{name}: a lot has product, serial_length and count together, another identifier none of them",
    ),
    "row-figures": ("{label}：各项数据互相矛盾", "{name}: the figures contradict one another"),
    "row-ends": (
        "{label}：恢复须指明所恢复的异常，异常则不填",
        "{name}: a recovery names the anomaly that it ends, an anomaly none",
    ),
}


def row_fault(rule: str, **words: object) -> Fault:
    """Return what is wrong with a row as a whole."""
    zh, en = RULES[rule]
    return Fault("", rule, zh.format_map(words), en.format_map(words))


def field_fault(rule: str, field: Field, path: str = "", **words: object) -> Fault:
    """Return what is wrong with a field. ``path``: where it stands if it is a member of a list."""
    zh, en = RULES[rule]
    named = {"label": field.zh, "name": field.name, "kind": field.kind, **words}
    return Fault(path or field.name, rule, zh.format_map(named), en.format_map(named))
