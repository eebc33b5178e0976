"""What the reference top node refuses, whole messages and single rows, and what it says, in Chinese and English."""

from __future__ import annotations

from typing import Final

from sync.messages import Refusal, Refused

RULES: Final[dict[str, tuple[str, str]]] = {
    # --- messages
    "not-connected": ("本节点不认识该密钥，请先连接", "This top node does not know the key; connect first"),
    "not-enrolled": ("上级节点尚未准许该密钥接入，或已拒绝", "The top node has not enrolled this key, or rejected it"),
    "nodes": ("上级节点登记的密钥过多", "Too many keys connected to the top node"),
    "replayed": ("消息编号已用过", "The number of the message was used before"),
    "connect": (
        "接入信息过长，含不可见字符，或前缀有误",
        "What it says of itself is too long, invisible, or no prefix",
    ),
    "table": ("没有这张数据表，或不能这样发送", "There is no such table, or it is not sent this way"),
    "items": ("各项的编号、键、操作或顺序有误", "Serials, keys, operations or the order of the items are wrong"),
    "ranges": ("键的范围应按顺序且互不重叠", "Ranges of keys come in order, and none overlaps another"),
    "review": ("审核申请的前缀、主体或托管方式有误", "Prefix, party or hosting of the application is wrong"),
    "not-taken": ("上级节点不接收此类消息", "This top node takes no such messages"),
    "no-escrow-key": (
        "上级节点没有托管密钥，不接收托管数据",
        "This top node has no escrow key (escrow.key) and takes no deposits",
    ),
    # --- rows
    "key": ("键为空或过长", "The key is empty or too long"),
    "prefix-foreign": ("前缀不在该节点的前缀之下", "The prefix is not that of the node, and not below it"),
    "prefix-taken": ("前缀已属于其他节点", "The prefix is another node's"),
    "misbehaviour": ("上级节点按要求随机拒收", "The top node was told to refuse some rows"),
}


class RefusalError(Exception):
    """A message is not taken. ``rule``: of RULES."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


def refusal(rule: str, number: int) -> Refusal:
    """Return the answer to a message that is not taken."""
    return Refusal(rule, *RULES[rule], number)


def refused(serial: int, key: bytes, rule: str) -> Refused:
    """Return what is said of a row that is not taken."""
    return Refused(serial, key, rule, *RULES[rule])
