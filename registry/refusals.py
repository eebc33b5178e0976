"""What refuses an act of governance, and what is told: the rule's stable name, Chinese and English.

Words in braces are filled in from our own tables and from what was asked; identity data never is.
"""

from __future__ import annotations

from typing import Final

from core.errors import AdmissionError, NodeError, Outcome, RecordError
from core.party.rules import Fault
from registry.alias_rules import RULES as ALIAS_RULES
from registry.upstream_rules import RULES as UPSTREAM_RULES

RULES: Final[dict[str, tuple[str, str]]] = {
    # --- who asks
    "role": ("您的角色（{role}）不能进行此操作", "Your role ({role}) may not do this"),
    "own-party": ("企业只能处理本企业的主体与前缀", "An enterprise deals with its own party and prefixes alone"),
    "separation-of-duties": (
        "登记或申请人不得审核自己的登记或申请，须由他人审核：开发配置看姓名（--actor），生产配置看 uid 或令牌",
        "Whoever filed it may not review it; somebody else has to: "
        "another name (--actor) in development, another uid or token in production",
    ),
    "two-reviewers": (
        "同一人不能审核两次，须由另一名审核人审核：开发配置看姓名（--actor），生产配置看 uid 或令牌",
        "The same person may not review twice; another reviewer has to: "
        "another name (--actor) in development, another uid or token in production",
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
    "licence": (
        "许可证{why_zh}，不受理注册与变更；解析、删除、停用照常",
        "The licence of this node {why_en}: nothing is registered or changed; resolving, deleting, suspending go on",
    ),
    "disk": (
        "磁盘剩余空间不足，暂停注册与变更，解析照常；腾出空间后即恢复",
        "The disk is nearly full: nothing is registered or changed until there is room; resolving goes on",
    ),
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
    "downtime": ("计划停机有误：{error_zh}", "The planned downtime {error_en}"),
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
    "event": ("操作应为以下之一：{choices}", "What is done is one of {choices}"),
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
    "national-review": (
        "前缀{prefix}正在等待国家顶级节点的结论；可拒绝或要求更正，断开全部上级节点后方可由本节点放行",
        "The prefix {prefix} waits for the verdict of the national node; reject it or ask for a correction, "
        "or go on without a verdict once no upstream is connected",
    ),
    **UPSTREAM_RULES,
    **ALIAS_RULES,
    # --- holds
    "held": ("已依令停止解析", "It is on hold by order of the regulator"),
    "suspended": ("该前缀已暂停", "That prefix is suspended"),
    "order": ("须写明文号，1至{chars}个可见字符", "The number of the order is needed: 1 to {chars} visible characters"),
    "lot-form": (
        "批次应为{chars}个字符以内的“前缀/批号”，批号为1至10个A-Z、0-9或-",
        "A lot is PREFIX/CODE of at most {chars} characters, its code 1 to 10 of A-Z, 0-9 and -",
    ),
    "lot-known": ("批次{lot}已登记", "Lot {lot} is registered already"),
    "lot-record": ("已有标识{lot}，不能再用作批次", "There is a record {lot}; no lot can have its name"),
    "lot-not-found": ("没有批次{lot}", "There is no lot {lot}"),
    "lot-own-prefix": ("企业只能在本企业的前缀下登记批次", "An enterprise registers lots below its own prefixes"),
    "lot-own-product": ("企业只能登记本企业产品的批次", "An enterprise registers lots of its own products"),
    "lot-product": ("产品应为标识：前缀/后缀（{error}）", "The product must be a handle: PREFIX/SUFFIX ({error})"),
    "lot-product-absent": (
        "产品{product}尚未登记，或不在本节点；批次已登记，解析时暂无产品信息",
        "Product {product} is not registered, or not here: units are answered without what it says",
    ),
    "lot-space": (
        "单元、箱、托盘共{total}个，超出一个批次的{space}个；请分成几个批次",
        "Units, cases and pallets are {total}, a lot has room for {space}; register several lots",
    ),
    "lot-packaging": ("有每托箱数时须给出每箱单元数", "cases_per_pallet needs units_per_case"),
    "lot-date": ("应为日期，如2026-11-21", "A day is needed, as 2026-11-21"),
    "lot-product-kind": (
        "{product}是批次或单元码，不是产品",
        "{product} is a lot, or has the form of a unit code of one, and no product",
    ),
    "lot-dates": ("有效期早于生产日期", "valid_until is before produced"),
    "lot-values": ("共用的值有误：{error}", "The shared values are wrong: {error}"),
    "lot-value-type": ("批次的值不能是{type}类型", "A lot has no value of type {type}"),
    "lot-value-index": ("索引{low}至{high}由节点使用", "Indexes {low} to {high} are the node's own"),
    "lot-value-size": ("共用的值最多{octets}字节", "The shared values take {octets} octets at most"),
    "lot-key": (
        "无法使用单元码主密钥；详见 saltern doctor",
        "The master keys of unit codes cannot be used; saltern doctor says why",
    ),
    "block-line": (
        "生产线名应为1至{chars}个可见字符，令牌最多{token}个字符",
        "The name of a line takes 1 to {chars} visible characters, a token {token} at most",
    ),
    "block-size": ("码段应为1至{units}个单元", "A block has 1 to {units} units"),
    "block-range": (
        "起点{start}、数量{size}超出批次的{units}个单元",
        "{size} units from {start} on: the lot has {units}",
    ),
    "block-none": ("批次的单元已全部分给生产线", "All units of the lot are given to lines"),
    "block-taken": (
        "其中的单元已分给生产线{line}（起点{start}，数量{size}）",
        "Units of these are given to line {line} already ({size} from {start} on)",
    ),
    "block-count": ("一个批次最多{blocks}个码段", "A lot has {blocks} blocks at most"),
    "block-token": ("此令牌已用于另一码段的申请", "This token was used to ask for another block"),
    "event-digest": (
        "正文与其摘要不符，可能在途中被截断或更改；未作任何保存，请重发",
        "The body is not what its digest says: cut or changed on its way; nothing was stored, send it again",
    ),
    "event-name": ("event应为{choices}之一", "event must be one of {choices}"),
    "event-grade": ("grade应为{choices}之一", "grade must be one of {choices}"),
    "event-place": ("place最多{chars}个可见字符", "place takes {chars} visible characters at most"),
    "event-which": ("须给出identifier，或from与count", "An event names identifier, or from and count"),
    "event-form": ("事件有误：{error}", "The event is wrong: {error}"),
    "event-unit": ("不是本批次的单元、箱或托盘", "No unit, case or pallet of this lot"),
    "event-range": ("起点{start}、数量{size}超出批次的{total}个", "{size} from {start} on: the lot has {total}"),
    "event-levels": (
        "起点{start}、数量{size}跨越单元、箱、托盘的界限（本层止于{last}）；请分开上报",
        "{size} from {start} on are not all units, all cases or all pallets: these end at {last}; send them apart",
    ),
    "event-time": (
        "应为带时区的时间，如2026-11-21T08:00:00.123+08:00",
        "A time with its zone is needed, as 2026-11-21T08:00:00.123+08:00",
    ),
    "event-times": ("until早于time", "until is before time"),
    "event-future": ("时间在将来；请检查生产线的时钟", "The time is in the future; look at the clock of the line"),
    "event-order": (
        "早于该单元现在的状态（{state}，{since}）",
        "Earlier than the unit's present state ({state}, {since})",
    ),
    "event-state": ("{state}之后不能是{event}", "What is {state} cannot become {event}"),
    "event-duplicate": (
        "该单元已于{since}为{state}；同一码出现两次",
        "The unit has been {state} since {since}; one code came twice",
    ),
    "event-parent": (
        "parent须是本批次的箱（单元）或托盘（箱），pallet无上级",
        "parent must be a case of this lot for units, a pallet for cases; a pallet has none",
    ),
    "event-parent-gone": (
        "parent所指的箱或托盘已{state}，不能再装入",
        "The case or pallet that parent names is {state}: nothing is put into it",
    ),
    "batch-work": (
        "此批涉及的分段过多；此项及其后各项未处理，请分成较小的批次（单项请分成较小的范围）重发",
        "The batch touches too many separate stretches; this event and those after it were not looked at: send them in"
        " smaller batches, a single one as smaller ranges",
    ),
    "event-full": ("一箱或一托最多{packed}件", "A case or pallet holds {packed} at most"),
    "unit-unknown": ("没有这样的单元、箱或托盘", "There is no such unit, case or pallet here"),
    "unit-held": ("已依令停止解析，不得变更", "On hold by order of the regulator: it is not changed"),
    "event-packed": ("packed须有parent，空文本表示取出", "packed needs parent; an empty text takes it out"),
    "hold-target": (
        "对象应为标识（含“/”）、前缀（含“.”）或主体编号",
        "The target is an identifier (with /), a prefix (with .) or the id of a party",
    ),
    "hold-foreign": ("本节点没有{target}，也没有其下的前缀", "This node has neither {target} nor a prefix below it"),
    "hold-absent": (
        "{target}目前没有记录；已停止解析，今后登记也不解析",
        "There is no record {target} yet; it is on hold all the same, and stays so when it is registered",
    ),
    "hold-known": (
        "文号{order}已对{target}生效，理由或公开范围不同；请先恢复",
        "Order {order} stops {target} already, with another reason or publicity: lift it first",
    ),
    "hold-none": ("{target}未被停止解析", "{target} is not on hold"),
    "hold-order": (
        "{target}上没有文号{order}；现有：{orders}",
        "There is no order {order} on {target}; there are {orders}",
    ),
    "page": ("after应为上一页的next", "after is what the page before gave as next"),
    "log-name": (
        "日志名应为 类别/年-月，如 registration/2026-03；类别：{streams}",
        "A log is named STREAM/YYYY-MM, as registration/2026-03; the streams are {streams}",
    ),
    "log-free": ("日志{log}未被保全", "The log {log} is not on legal hold"),
    "hold-orders": ("一个对象最多{orders}个文号", "A target may have {orders} orders at most"),
    "hold-count": ("停止解析的对象最多{targets}个", "{targets} targets may be on hold at most"),
    "on-hold": (
        "{target}依令（{order}）停止解析，记录须保留：先执行 saltern hold lift {target}",
        "{target} is on hold by order {order}, and its records stay: first run saltern hold lift {target}",
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
    # --- metadata templates, and records that are bound to one
    "template-code": (
        "应为1至{chars}个ASCII字母、数字、“-”、“_”、“.”，以字母或数字开头",
        "It takes 1 to {chars} ASCII letters, digits, - _ and ., a letter or digit first",
    ),
    "template-version": (
        "应为1至{numbers}个以“.”分隔的数字，如1.0，每个最多{digits}位",
        "It takes 1 to {numbers} numbers divided by ., such as 1.0, of {digits} digits at most",
    ),
    "template-industry": (
        "应为四级行业：对象（section、division、group、class）、数组，或如C/14/149/1494的文本",
        "It is four levels: an object (section, division, group, class), an array, or text such as C/14/149/1494",
    ),
    "template-items": ("应有1至{items}个数据项", "There must be 1 to {items} items"),
    "template-item-name": (
        "应为1至{chars}个ASCII字母、数字、“_”、“.”、“-”，以字母或数字开头；不得以HS_开头，也不得为METADATA_TEMPLATE",
        "It takes 1 to {chars} ASCII letters, digits, _ . and -, a letter or digit first; "
        "names that begin with HS_ and METADATA_TEMPLATE are taken",
    ),
    "template-item-twice": ("已有同名数据项（不分大小写）", "Another item has this name (case does not matter)"),
    "template-length": (
        "{type}的长度由其格式决定，此长度不作校验",
        "The form of {type} says how long it is; this length is not checked",
    ),
    "template-other": ("不是规范形式", "It is not in its canonical form"),
    "template-more": ("还有更多错误，未逐一列出", "There are more faults, which are not listed one by one"),
    "industry-unknown": ("行业代码表中没有（GB/T 4754—2017），请核对", "Not in our table of GB/T 4754-2017; check it"),
    "industry-levels": (
        "应写明门类、大类、中类、小类四级，每级属于上一级，请核对",
        "All four levels are to be told, each within the one above it; check them",
    ),
    "template-not-found": ("没有元数据模板{template}", "There is no metadata template {template}"),
    "template-owner": (
        "模板编码{code}属于另一主体或本节点",
        "The code {code} is that of another party's template, or of the node's own",
    ),
    "template-fixed": (
        "{template}已发布，不能再更改；请登记新版本",
        "{template} was published and never changes; file another version",
    ),
    "template-state": (
        "模板{code}没有处于{wanted}状态的版本；现有：{states}",
        "No version of {code} is {wanted}; there are: {states}",
    ),
    "template-count": ("最多可有{versions}个模板版本", "There may be {versions} versions of templates at most"),
    "binding-once": ("一个标识只能有一个{type}值", "A record has one {type} value at most"),
    "binding-form": ("{type}值应为 模板编码@版本", "The data of a {type} value is CODE@VERSION"),
    "binding-version": (
        "须写明模板版本：{template}@版本；已发布：{published}",
        "Name the version, {template}@VERSION; published: {published}",
    ),
    "binding-unknown": (
        "没有元数据模板{template}；已发布：{published}",
        "There is no metadata template {template}; published: {published}",
    ),
    "binding-draft": ("元数据模板{template}尚未发布", "The metadata template {template} is not published"),
    "binding-withdrawn": (
        "元数据模板{template}已撤回，不接受新的登记；已发布：{published}",
        "The metadata template {template} was withdrawn and takes no new registration; published: {published}",
    ),
    "binding-items": (
        "与元数据模板{template}不符：{faults_zh}",
        "Not what the metadata template {template} says: {faults_en}",
    ),
    "item-required": ("（{alias}）缺少", "({alias}) is missing"),
    "item-octets": ("（{alias}）应为UTF-8文本", "({alias}) must be UTF-8 text"),
    "item-empty": ("（{alias}）为空", "({alias}) is empty"),
    "item-length": ("（{alias}）最多{chars}个字符", "({alias}) takes {chars} characters at most"),
    "item-type": ("（{alias}）应为{kind_zh}", "({alias}) must be {kind_en}"),
    # --- incidents
    "incident-not-found": ("没有突发事件{incident}", "There is no incident {incident}"),
    "incident-closed": (
        "突发事件{incident}已结束，只能再次报告",
        "The incident {incident} is closed: it can be reported again, and nothing else",
    ),
    "incidents-open": (
        "未结束的突发事件已达{incidents}个，请先结束已处置的",
        "There are {incidents} incidents that are not closed: close those that are over",
    ),
    "incident-reports": ("一个事件最多报告{reports}次", "An incident is reported {reports} times at most"),
    "incident-time": (
        "应为时间：2026-11-21T08:00（北京时间），或带时差：2026-11-21T00:00Z",
        "It must be a time: 2026-11-21T08:00 in Shanghai, or with an offset: 2026-11-21T00:00Z",
    ),
    "incident-future": ("时间尚未到来", "It lies in the future"),
    "incident-order": ("早于发生时间", "It is before the incident occurred"),
    "incident-text": ("含有不可显示的字符", "It holds characters that cannot be shown"),
    "closing-cause": ("结束前须填写原因", "The cause is needed before it is closed"),
    "closing-measures": ("结束前须填写处置措施", "Measures are needed before it is closed"),
    "closing-report": (
        "现为或曾为重大及以上的事件须先报告：saltern incident report",
        "One that is or ever was major or worse is reported before: saltern incident report",
    ),
    "report-not-found": ("没有这一版报告", "There is no such revision of the report"),
    "signing-key": ("未生成报告：{zh}", "No report was made: {en}"),
    # --- complaints
    "complaint-not-found": ("没有投诉{ticket}", "There is no complaint {ticket}"),
    "complaint-state": (
        "投诉{ticket}处于“{label}”（{state}），此时不能{event}",
        "The complaint {ticket} is {state}, from which it cannot {event}",
    ),
    "complaint-text": (
        "答复或不予受理的理由应为1至{chars}个可见字符，将向投诉人公开",
        "A reply, or a reason to reject, takes 1 to {chars} visible characters; whoever complained reads it",
    ),
    "complaints-full": (
        "待处理的投诉过多，暂不接收，请稍后再试或电话联系",
        "Too many complaints wait for an answer; try again later, or call us",
    ),
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
    "import-foreign": (
        "{handle}由本节点的另一前缀应答，不由导入的前缀写入",
        "{handle} is answered for another prefix of this node, which no import writes to",
    ),
    "import-binding": (
        "{handle}绑定的模板版本{template}不在本节点，或仍为草稿",
        "{handle} is bound to {template}, which is not here, or a draft",
    ),
    "transfer-normal": (
        "不是规范形式，本节点登记时不会如此保存",
        "It is not in its canonical form: this node would not store it so",
    ),
    "prefix-reserved": (
        "以 0 开头的前缀为协议保留，不能导入",
        "Prefixes that begin with the segment 0 are those of the protocol, and are not taken over",
    ),
    "prefix-below": (
        "其下级前缀{below}在本节点已启用或已被申请",
        "The prefix {below} below it is homed here, or applied for",
    ),
    # --- what is sent to the management API
    "members": ("请求中有{count}处错误", "Wrong members of the request: {count}"),
    "member-unknown": ("没有这个成员{near_zh}", "There is no such member{near_en}"),
    "member-required": ("缺少此项", "It is required"),
    "member-once": ("只能给出一次", "It is given once"),
    "member-type": ("应为{kind_zh}", "It must be {kind_en}"),
    "member-length": ("应为{low}至{high}个字符", "It takes {low} to {high} characters"),
    "member-characters": ("含有不可见字符（控制符、换行等）", "It has invisible characters (controls, line breaks)"),
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
