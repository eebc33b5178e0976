"""What refuses an act about an alias: rows of ``RULES`` in ``registry/refusals.py``."""

from __future__ import annotations

from typing import Final

RULES: Final[dict[str, tuple[str, str]]] = {
    "alias-prefix-handle": (
        "前缀标识没有别名；请为其下的标识登记",
        "A prefix handle has no alias: register it for an identifier below the prefix",
    ),
    "alias-own-prefix": (
        "企业只能登记、删除本企业前缀下标识的别名",
        "An enterprise registers and removes aliases of what lies below its own prefixes",
    ),
    "alias-foreign": (
        "本节点不负责{prefix}：别名只能指本节点的标识，或已托管前缀下的标识",
        "{prefix} is not served here: an alias names what is registered here, or lies below a delegated prefix",
    ),
    "alias-unregistered": (
        "{identifier}尚未登记：应为标识、批次，或已发的单元、箱、托盘码",
        "{identifier} is not registered: name a record, a lot, or a unit, case or pallet that was issued",
    ),
    "alias-gone": ("{identifier}已作废", "{identifier} is out of use"),
    "alias-taken": ("{alias}已是{other}的别名", "{alias} is an alias of {other} already"),
    "alias-taken-elsewhere": (
        "{alias}已是其他标识的别名",
        "{alias} is an alias of another identifier already",
    ),
    "alias-count": ("一个标识最多{aliases}个别名", "An identifier has {aliases} aliases at most"),
    "alias-none": ("没有别名{alias}", "There is no alias {alias}"),
    "alias-gtin-other": (
        "记录中的GTIN是{stated}；请核对",
        "The record says that its GTIN is {stated}: look at both",
    ),
    "alias-gtin-lot": (
        "GTIN {gtin}不是产品{product}的别名；请核对",
        "The GTIN {gtin} is no alias of the product {product}: look at both",
    ),
    "import-alias": (
        "{alias}在本节点已是其他标识的别名；请先删除其中之一",
        "{alias} is an alias of another identifier here: first remove one of them",
    ),
}
