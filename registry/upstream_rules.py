"""Refusals of what has to do with upstreams: see ``registry/refusals.py``."""

from __future__ import annotations

from typing import Final

RULES: Final[dict[str, tuple[str, str]]] = {
    # --- verdicts of the national review
    "verdict": ("结论应为以下之一：{choices}", "A verdict is one of {choices}"),
    "verdict-actor": ("上级节点的结论只由同步进程转达", "The verdict of an upstream is passed on by what asked for it"),
    "verdict-filing": (
        "该结论针对此前的一次申请；前缀{prefix}已重新申请",
        "The verdict is about an earlier filing; the prefix {prefix} was applied for anew",
    ),
    "verdict-field": (
        "须列出1至{fields}个待更正的字段，每个1至{chars}个可见字符",
        "Name 1 to {fields} fields to be corrected, of 1 to {chars} visible characters each",
    ),
    # --- upstreams
    "upstream-actor": ("上级节点的消息只由同步进程转达", "What an upstream says is passed on by what asked for it"),
    "handed-number": ("下一项移交应为第{number}项", "The next change that is handed back has the number {number}"),
    "handed-change": ("移交的登记不可能是登记所得", "Nobody can have registered what is handed back"),
    "upstream-url": ("上级节点的网址不可用：{error}", "The address of the upstream cannot be used: {error_en}"),
    "upstream-key": ("上级节点的公钥应为{octets}字节", "The public key of an upstream has {octets} octets"),
    "upstream-name": (
        "上级节点的名称最多{chars}个可见字符",
        "The name of an upstream has {chars} visible characters at most",
    ),
    "upstream-count": ("最多可接入{upstreams}个上级节点", "A node is connected to {upstreams} upstreams at most"),
    "upstream-not-found": ("没有接入上级节点{upstream}", "No upstream {upstream} is connected"),
}
