"""Which role may make which management call: the only table of it.

``docs/reference/roles.md`` is made from it, and a test makes every call in every role.

Rules:

1. What is not in the table is refused. A call that ``own`` marks is for an enterprise only where
   its own party, or a prefix of it, is named; one that ``public`` marks is for anybody.
2. Whoever files does not review: an operator files and allocates nothing, a reviewer reviews and
   files nothing. A person at this machine may do both, but not both of one thing.
3. An auditor reads and never writes.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from core.who import Role


class Call(NamedTuple):
    """One management call. ``own``: an enterprise may make it for what is its own. ``public``: anybody may."""

    name: str
    roles: frozenset[Role]
    zh: str
    en: str
    own: bool = False
    public: bool = False


_FILING: Final = frozenset((Role.LOCAL, Role.OPERATOR))
_REVIEWING: Final = frozenset((Role.LOCAL, Role.REVIEWER))
_READING: Final = frozenset((Role.LOCAL, Role.OPERATOR, Role.REVIEWER, Role.AUDITOR))
_INSPECTING: Final = frozenset((Role.LOCAL, Role.OPERATOR, Role.AUDITOR))
_KNOWING: Final = frozenset(Role)
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
    Call(
        "prefix.verdict",
        frozenset((Role.LOCAL,)),
        "转达国家顶级节点的审核结论",
        "Pass on the verdict of the national review",
    ),
    Call("prefix.site", _FILING, "更改解析站点", "Give the site of a delegated prefix", _OWN),
    Call("prefix.suspend", _FILING, "暂停前缀", "Suspend a prefix"),
    Call("prefix.resume", _FILING, "恢复前缀", "Resume a prefix"),
    Call("prefix.delete", _FILING, "删除前缀", "Delete a prefix"),
    Call("prefix.show", _READING, "查看前缀", "Show a prefix", _OWN),
    Call("prefix.list", _READING, "列出前缀", "List prefixes", _OWN),
    Call("prefix.export", frozenset((Role.LOCAL,)), "导出前缀（转移）", "Export a prefix for a transfer"),
    Call("prefix.import", frozenset((Role.LOCAL,)), "导入前缀（转移）", "Import a prefix that is transferred"),
    Call("prefix.abandon", frozenset((Role.LOCAL,)), "放弃未完成的导入", "Give up an import that is not whole"),
    Call("upstream.connect", frozenset((Role.LOCAL,)), "接入上级节点", "Connect a top node"),
    Call("upstream.disconnect", frozenset((Role.LOCAL,)), "断开上级节点", "Disconnect a top node"),
    Call(
        "takeover.change",
        frozenset((Role.LOCAL,)),
        "接收上级节点接管期间的登记",
        "Take over what a top node registered while it answered for this node",
    ),
    Call("record.write", _FILING, "登记、更改标识", "Register and change identifiers", _OWN),
    Call("lot.create", _FILING, "登记批次", "Register a lot", _OWN),
    Call("lot.take", _FILING, "为生产线取码段", "Give units of a lot to a line", _OWN),
    Call("lot.codes", _FILING, "取单元码", "Get unit codes of a lot", _OWN),
    Call("lot.events", _FILING, "上报单元事件", "Record what happened to units", _OWN),
    Call("lot.rekey", frozenset((Role.LOCAL,)), "新增单元码主密钥", "Add a master key of unit codes"),
    Call("lot.show", _READING, "查看批次", "Show a lot", _OWN),
    Call("lot.list", _READING, "列出批次", "List lots", _OWN),
    Call("lot.blocks", _READING, "列出批次的码段", "List the blocks of a lot", _OWN),
    Call("lot.unit", _READING, "查看单元及其经过", "Show a unit and its history", _OWN),
    Call("alias.add", _FILING, "登记别名", "Register an alias", _OWN),
    Call("alias.remove", _FILING, "删除别名", "Remove an alias", _OWN),
    Call("alias.list", _READING, "列出别名", "List aliases", _OWN),
    Call("hold.place", _FILING, "依令停止解析", "Place a hold by order of the regulator"),
    Call("hold.lift", _FILING, "依令恢复解析", "Lift a hold"),
    Call("hold.list", _READING, "列出停止解析的对象", "List what is on hold"),
    Call("log.hold", _FILING, "依令保全日志", "Keep the log of a month beyond its time, by order"),
    Call("log.release", _FILING, "解除日志保全", "Release a log from legal hold"),
    Call("log.holds", _READING, "列出保全的日志", "List logs on legal hold"),
    Call("token.issue", _FILING, "签发令牌", "Issue a token"),
    Call("token.revoke", _FILING, "吊销令牌", "Revoke a token"),
    Call("token.list", _INSPECTING, "列出令牌", "List tokens"),
    Call("template.add", _FILING, "登记元数据模板", "File a metadata template", _OWN),
    Call("template.publish", _FILING, "发布元数据模板", "Publish a metadata template", _OWN),
    Call("template.withdraw", _FILING, "撤回元数据模板", "Withdraw a metadata template", _OWN),
    Call("template.show", _KNOWING, "查看元数据模板", "Show a metadata template"),
    Call("template.list", _KNOWING, "列出元数据模板", "List metadata templates"),
    Call("incident.open", _FILING, "登记突发事件", "Open an incident"),
    Call("incident.update", _FILING, "更新突发事件", "Update an incident"),
    Call("incident.report", _FILING, "生成并签署事件报告", "Make and sign the report of an incident"),
    Call("incident.close", _FILING, "结束突发事件", "Close an incident"),
    Call("incident.show", _READING, "查看突发事件", "Show an incident"),
    Call("incident.list", _READING, "列出突发事件", "List incidents"),
    Call("incident.form", _READING, "取得已签署的事件报告", "Get a signed report of an incident"),
    Call("complaint.file", frozenset(Role), "提交投诉", "File a complaint", public=True),
    Call("complaint.status", frozenset(Role), "查询投诉进度", "See how a complaint stands", public=True),
    Call("complaint.list", _READING, "列出投诉", "List complaints"),
    Call("complaint.show", _READING, "查看投诉及其经过", "Show a complaint and its history"),
    Call("complaint.contact", frozenset((Role.LOCAL,)), "查看投诉人联系方式", "Read who filed a complaint"),
    Call("complaint.accept", _FILING, "受理投诉", "Take a complaint in hand"),
    Call("complaint.answer", _FILING, "答复投诉", "Answer a complaint"),
    Call("complaint.reject", _FILING, "不予受理投诉", "Reject a complaint"),
    Call("complaint.close", _FILING, "办结投诉", "Close a complaint"),
    Call("report.inspection", frozenset((Role.LOCAL,)), "制作检查材料包", "Make the pack for an inspection"),
    Call("monitor.show", frozenset(Role), "查看节点自测结果", "See whether the node found itself working", public=True),
    Call("node.probe", frozenset((Role.LOCAL,)), "自测注册通路", "Probe whether the node registers"),
    Call("report.month", frozenset((Role.LOCAL,)), "制作月度报告", "Make the report of a month"),
    Call("downtime.plan", frozenset((Role.LOCAL,)), "登记计划停机", "Enter a planned downtime"),
    Call("downtime.cancel", frozenset((Role.LOCAL,)), "撤销计划停机", "Take a planned downtime back"),
    Call("backup", frozenset((Role.LOCAL,)), "备份节点", "Back up the node"),
    Call("escrow.deposit", frozenset((Role.LOCAL,)), "制作托管数据", "Make a deposit for the escrow agent"),
    Call("change.list", _INSPECTING, "查看变更流", "Read the change feed"),
    Call("journal.list", _INSPECTING, "查看操作与拒绝记录", "Read the journal of acts and refusals"),
    Call("log.read", _INSPECTING, "读取留存日志", "Read the statutory logs"),
)

CALL_NAMED: Final = {call.name: call for call in CALLS}


def allows(call: Call, role: Role | None) -> bool:
    """Whether the role may make the call; an enterprise for its own alone, which the caller still checks."""
    return call.public or role in call.roles or (call.own and role is Role.ENTERPRISE)
