"""What can be wrong with a deposit, in Chinese and English."""

from __future__ import annotations

from typing import Final

from core.errors import NodeError, Outcome

FAULTS: Final[dict[str, tuple[str, str]]] = {
    "wrong-key": ("托管数据是为另一把密钥加密的", "The deposit is encrypted for another key"),
    "altered": ("托管数据已被改动", "The deposit was altered"),
    "cut": ("托管数据不完整，末尾缺失", "The deposit was cut short"),
    "content": ("托管数据的内容有误", "The content of the deposit is wrong"),
    "missing": ("托管数据缺少文件", "A file of the deposit is missing"),
    "head": ("deposit.json 无法读取", "deposit.json cannot be read"),
    "signature": ("deposit.json 签名无效", "deposit.json bears no good signature"),
    "signer": ("deposit.json 由另一节点签署", "deposit.json is signed by another node"),
    "several": (
        "此处有多个节点的托管数据，请指明节点密钥编号",
        "There are deposits of several nodes here; name the key id of one",
    ),
    "twice": ("同一编号有两份不同的托管数据", "Two deposits bear the same id"),
    "none": ("此处没有全量托管数据", "There is no full deposit here"),
    "chain": ("增量托管数据缺少其前一份", "What a DIFF builds on is missing"),
    "too-large": ("托管数据超出上限", "The deposit is larger than it may be"),
    "no-room": ("磁盘空间不足，未留下任何文件", "The disk is full; nothing was left behind"),
    "too-old": (
        "变更记录已不足以制作增量，请制作全量托管数据",
        "The change feed does not reach back far enough for a DIFF: make a FULL",
    ),
    "too-many": ("变更过多，不宜制作增量，请制作全量托管数据", "Too much has changed for a DIFF: make a FULL"),
    "other-key": (
        "前一份是为另一把密钥加密的，请制作全量托管数据",
        "The deposit before is for another key: make a FULL",
    ),
    "not-empty": ("全量托管数据只能写入空存储", "A FULL goes into an empty store"),
    "not-next": ("增量托管数据与存储不相接", "The DIFF does not follow what the store holds"),
    "row": ("托管数据中的一行无法使用", "A row of the deposit cannot be used"),
    "disk": ("磁盘读写失败", "The disk cannot be read or written"),
}

OF_THE_DISK: Final = ("no-room", "disk")
"""Rules that say nothing of the deposit itself."""


class DepositError(NodeError):
    """A deposit cannot be made, or not be read. ``rule``: of FAULTS; ``what``: which file or deposit, how much."""

    outcome = Outcome.INVALID_VALUE

    def __init__(self, rule: str, what: str) -> None:
        zh, en = FAULTS[rule]
        super().__init__(f"{zh}。{en}: {what}")
        self.rule = rule
        self.what = what
