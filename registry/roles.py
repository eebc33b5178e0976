"""Which role may make which management call: the only table of it.

``docs/reference/roles.md`` is made from it, and a test makes every call in every role.

Rules:

1. What is not in the table is refused. A call that ``own`` marks is for an enterprise only where
   its own party, or a prefix of it, is named.
2. Whoever files does not review: an operator files and allocates nothing, a reviewer reviews and
   files nothing. A person at this machine may do both, but not both of one thing.
3. An auditor reads and never writes.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from core.who import Role


class Call(NamedTuple):
    """One management call. ``own``: an enterprise may make it for what is its own."""

    name: str
    roles: frozenset[Role]
    zh: str
    en: str
    own: bool = False


_FILING: Final = frozenset((Role.LOCAL, Role.OPERATOR))
_REVIEWING: Final = frozenset((Role.LOCAL, Role.REVIEWER))
_READING: Final = frozenset((Role.LOCAL, Role.OPERATOR, Role.REVIEWER, Role.AUDITOR))
_INSPECTING: Final = frozenset((Role.LOCAL, Role.OPERATOR, Role.AUDITOR))
_OWN: Final = True

CALLS: Final = (
    Call("party.add", _FILING, "登记主体", "File a party"),
    Call("party.amend", _FILING, "更正主体资料", "Amend the data of a party", _OWN),
    Call("party.verify", _REVIEWING, "核验主体", "Verify a party"),
    Call("party.confirm", _FILING, "确认联系信息", "Confirm the contact of a party", _OWN),
    Call("party.identity", frozenset((Role.LOCAL,)), "查看身份信息", "Read the identity data of a party"),
    Call("party.rekey", frozenset((Role.LOCAL,)), "更换身份信息密钥", "Seal identity data anew"),
    Call("party.show", _READING, "查看主体", "Show a party", _OWN),
    Call("party.list", _READING, "列出主体", "List parties", _OWN),
    Call("prefix.apply", _FILING, "申请前缀", "Apply for a prefix", _OWN),
    Call("prefix.review", _REVIEWING, "审核前缀", "Review an application"),
    Call("prefix.site", _FILING, "更改解析站点", "Give the site of a delegated prefix", _OWN),
    Call("prefix.suspend", _FILING, "暂停前缀", "Suspend a prefix"),
    Call("prefix.resume", _FILING, "恢复前缀", "Resume a prefix"),
    Call("prefix.delete", _FILING, "删除前缀", "Delete a prefix"),
    Call("prefix.show", _READING, "查看前缀", "Show a prefix", _OWN),
    Call("prefix.list", _READING, "列出前缀", "List prefixes", _OWN),
    Call("prefix.export", frozenset((Role.LOCAL,)), "导出前缀（转移）", "Export a prefix for a transfer"),
    Call("prefix.import", frozenset((Role.LOCAL,)), "导入前缀（转移）", "Import a prefix that is transferred"),
    Call("prefix.abandon", frozenset((Role.LOCAL,)), "放弃未完成的导入", "Give up an import that is not whole"),
    Call("record.write", _FILING, "登记、更改标识", "Register and change identifiers", _OWN),
    Call("token.issue", _FILING, "签发令牌", "Issue a token"),
    Call("token.revoke", _FILING, "吊销令牌", "Revoke a token"),
    Call("token.list", _INSPECTING, "列出令牌", "List tokens"),
    Call("change.list", _INSPECTING, "查看变更流", "Read the change feed"),
    Call("journal.list", _INSPECTING, "查看操作与拒绝记录", "Read the journal of acts and refusals"),
)

CALL_NAMED: Final = {call.name: call for call in CALLS}


def allows(call: Call, role: Role | None) -> bool:
    """Whether the role may make the call; an enterprise for its own alone, which the caller still checks."""
    return role in call.roles or (call.own and role is Role.ENTERPRISE)
