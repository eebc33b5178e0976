"""What refuses an act of governance, and what is told: the rule's stable name, Chinese and English.

Words in braces are filled in from our own tables and from what was asked; identity data never is.
"""

from __future__ import annotations

from typing import Final

from core.errors import AdmissionError, NodeError, Outcome, RecordError
from core.party.rules import Fault

RULES: Final[dict[str, tuple[str, str]]] = {
    # --- who asks
    "role": ("您的角色（{role}）不能进行此操作", "Your role ({role}) may not do this"),
    "own-party": ("企业只能处理本企业的主体与前缀", "An enterprise deals with its own party and prefixes alone"),
    "separation-of-duties": (
        "登记或申请人不得审核自己的登记或申请，须由他人审核（--actor）",
        "Whoever filed it may not review it; somebody else has to (--actor)",
    ),
    "two-reviewers": (
        "同一人不能审核两次，须由另一名审核人审核（--actor）",
        "The same person may not review twice; another reviewer has to (--actor)",
    ),
    "actor": (
        "经办人姓名应为1至{chars}个可见字符",
        "The name of the person who acts takes 1 to {chars} visible characters",
    ),
    "record-right": (
        "没有HS_ADMIN值授予此权限",
        "No HS_ADMIN value gives the right to do this",
    ),
    "token-not-known": ("令牌无效、已过期或已吊销", "The token is not known, has expired or was revoked"),
    # --- parties and their verification
    "json": ("资料应为 JSON 对象（{error}）", "The data must be a JSON object ({error})"),
    "party-not-found": ("没有主体{party}", "There is no party {party}"),
    "certificate-known": ("该证件已登记（主体{party}）", "This certificate is filed already (party {party})"),
    "form": ("{count}个字段有误，未作任何保存", "Wrong fields: {count}; nothing was stored"),
    "method": ("没有核验方法{method}；现有：{methods}", "There is no method {method}; there are {methods}"),
    "evidence": ("须附证明文件（--evidence）", "A file that proves it is needed (--evidence)"),
    "evidence-digest": (
        "证明文件的 SHA-256 摘要有误，或与文件不符",
        "The SHA-256 of the evidence is none, or not that of the file",
    ),
    "reason": ("须写明理由，1至{chars}个字符", "A reason of 1 to {chars} characters is needed"),
    "failed-by-hand": (
        "只有人工审核可以判定不通过，其他方法自行判定",
        "Only a review by hand is told that it failed; other methods find out by themselves",
    ),
    "verified": (
        "主体{party}尚未通过核验（当前：{state}）；先由两名审核人执行 saltern party verify {party} --method manual",
        "Party {party} is not verified (it is {state}); two reviewers first run "
        "saltern party verify {party} --method manual",
    ),
    "confirmed": (
        "主体{party}的联系信息逾期未确认；先执行 saltern party confirm {party}",
        "The contact of {party} was not confirmed in time; first run saltern party confirm {party}",
    ),
    # --- prefixes
    "prefix-not-found": ("没有前缀{prefix}的申请", "There is no application for the prefix {prefix}"),
    "prefix-below-node": (
        "前缀须在本节点的编码之下：{codes}",
        "The prefix must be below this node's code: {codes}",
    ),
    "prefix-above": (
        "上级前缀{above}由另一主体持有",
        "The prefix above it, {above}, is held by another party",
    ),
    "prefix-taken": ("该前缀已被申请或持有", "The prefix is applied for or held already"),
    "name-denied": ("名称在禁用名单上：{pattern}", "The name is on the deny-list: {pattern}"),
    "hosting": ("托管方式应为以下之一：{choices}", "hosting must be one of {choices}"),
    "site-hosted": ("托管在本节点的前缀没有站点文件", "A prefix that is hosted here has no site of its own"),
    "site-file": ("站点文件不可用：{error}", "The site file cannot be used: {error_en}"),
    "prefix-characters": (
        "分配的前缀只能含ASCII字母、数字、“-”、“_”",
        "A prefix that is allocated takes ASCII letters, digits, - and _ alone",
    ),
    "prefix-count": ("一个主体最多可有{prefixes}个前缀", "A party may have {prefixes} prefixes at most"),
    "filers": (
        "经手填报的人过多（{people}人），请由原经办人办理",
        "Too many people have filed it ({people}): let one of them go on",
    ),
    "method-failed": (
        "核验方法{method}出错，见运行日志；未作任何保存",
        "The method {method} failed, see the node's log; nothing was stored",
    ),
    "transition": (
        "前缀{prefix}处于“{label}”（{state}），此时不能{event}",
        "The prefix {prefix} is {state}, from which it cannot {event}",
    ),
    "event": ("操作应为以下之一：{choices}", "What is done to a prefix is one of {choices}"),
    "review": (
        "须且只须给出其一：通过、拒绝（附理由）、更正（字段与理由）",
        "Give exactly one of: approve, reject (with a reason), correct (fields with reasons)",
    ),
    "correction-field": (
        "没有可更正的字段{field}{near_zh}",
        "There is no field {field} to be corrected{near_en}",
    ),
    "own-prefix": (
        "运营者自有前缀不能这样删除",
        "A prefix that the operator holds by itself is not deleted in this way",
    ),
    "locked-out": (
        "handle.server_admins 所列的{admin}由该前缀提供服务，管理员将无法登录；请先改列其他管理员",
        "handle.server_admins names {admin}, which this prefix serves: "
        "the administrators would be locked out; name another one there first",
    ),
    "application-needed": (
        "前缀须经申请和审核分配：saltern prefix apply {prefix} --party ID",
        "A prefix is allocated by application and review: saltern prefix apply {prefix} --party ID",
    ),
    "allocated": (
        "前缀{prefix}已分配给主体，须用 saltern prefix suspend、delete 并附理由和证明文件",
        "The prefix {prefix} is allocated to a party: use saltern prefix suspend or delete, with reason and evidence",
    ),
    # --- tokens
    "token-role": ("令牌的角色应为以下之一：{roles}", "The role of a token is one of {roles}"),
    "token-party": (
        "企业令牌须指明主体（--party），其他令牌不得指明",
        "A token of an enterprise names its party (--party), any other does not",
    ),
    "token-above": (
        "运营者令牌只能签发企业令牌；其他令牌须在本机签发：saltern token issue",
        "An operator's token issues tokens of enterprises alone; others are issued here: saltern token issue",
    ),
    "token-days": ("有效期应为1至{days}天", "A token lives for 1 to {days} days"),
    "token-not-found": ("没有令牌{token}", "There is no token {token}"),
    # --- transfer of prefixes
    "not-homed": (
        "前缀{prefix}处于{state}状态，只有启用或暂停的前缀可以导出",
        "The prefix {prefix} is {state}: only one that is homed or suspended is exported",
    ),
    "transfer-key": (
        "文件由密钥{key}签署，不在 prefix.import_keys 之列；请经另一途径核对后列入",
        "The file is signed by the key {key}, which prefix.import_keys does not name: "
        "ask the other node for it by another way, then list it",
    ),
    "transfer-file": (
        "文件的签名、摘要或行数与所给的文件头不符",
        "Signature, digests or counts of the file are not those of its head",
    ),
    "transfer-prefix": ("文件中的前缀是{prefix}", "The file is of the prefix {prefix}"),
    "transfer-unverified": (
        "文件中的主体未经核验（{state}），其前缀不能导入",
        "The party in the file is not verified (it is {state}): its prefix is not taken over",
    ),
    "transfer-case": (
        "导出节点的 handle.case_sensitive 与本节点不同",
        "handle.case_sensitive of the node that exported it is another one than here",
    ),
    "transfer-identity": (
        "转移文件不得含身份信息",
        "A transfer file holds no field of identity",
    ),
    "import-other": (
        "前缀{prefix}正由另一份文件导入；请完成该导入，或先执行 saltern prefix abandon {prefix}",
        "The prefix {prefix} is being imported from another file: go on with that one, "
        "or first run saltern prefix abandon {prefix}",
    ),
    "import-none": ("没有进行中的前缀{prefix}导入", "No import of the prefix {prefix} is under way"),
    "import-order": (
        "该导入已写到第{done}行，请重新执行命令",
        "That import has come to line {done} of the body: run the command again",
    ),
    "import-exists": (
        "{handle}在本节点已存在；须先删除，或执行 saltern prefix abandon",
        "There is a record of {handle} here: delete it first, or run saltern prefix abandon",
    ),
    "import-altered": (
        "写入的内容与签名不符；请执行 saltern prefix abandon {prefix} 后重新导入",
        "What was written is not what was signed: run saltern prefix abandon {prefix}, then import again",
    ),
    "identity-awaited": (
        "主体{party}由转移而来，尚无身份信息；先执行 saltern party amend {party} 补齐并核验",
        "The party {party} came by a transfer without its identity data: "
        "first complete it with saltern party amend {party}, and verify it",
    ),
    # --- what is sent to the management API
    "members": ("请求中有{count}处错误", "Wrong members of the request: {count}"),
    "member-unknown": ("没有这个成员{near_zh}", "There is no such member{near_en}"),
    "member-required": ("缺少此项", "It is required"),
    "member-once": ("只能给出一次", "It is given once"),
    "member-type": ("应为{kind_zh}", "It must be {kind_en}"),
    "member-length": ("应为{low}至{high}个字符", "It takes {low} to {high} characters"),
    "member-range": ("应为{low}至{high}的整数", "It must be a number from {low} to {high}"),
    "member-choice": ("应为以下之一：{choices}", "It must be one of {choices}"),
    "member-digest": ("应为SHA-256，64位十六进制数字", "It must be a SHA-256 of 64 hexadecimal digits"),
    "member-items": ("最多{items}项", "It takes {items} items at most"),
}


def refusal(rule: str, outcome: Outcome = Outcome.FORBIDDEN, **details: object) -> NodeError:
    """Return the error of a rule, to be raised."""
    zh, en = RULES[rule]
    message = f"{zh.format_map(details)}。{en.format_map(details)}"
    kind = AdmissionError if outcome is Outcome.FORBIDDEN else RecordError
    return kind(message, outcome=outcome, rule=rule)


def fault(path: str, rule: str, **details: object) -> Fault:
    """Return what is wrong with one member of what was asked, to be told with all others."""
    zh, en = RULES[rule]
    return Fault(path, rule, zh.format_map(details), en.format_map(details))
