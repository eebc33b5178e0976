"""Reference pages made from the tables themselves: settings, commands, roles, refusals, metrics, top node tables.

``python -m node.reference docs/reference`` writes them; a test holds the committed
pages to what the code says.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import click

from core.party.rules import RULES as PARTY_RULES
from core.settings import SETTINGS, Setting
from core.who import Role
from node.cli.main import cli
from node.metrics import METRICS
from node.topnode_settings import SETTINGS as TOPNODE_SETTINGS
from registry.management import OPERATIONS
from registry.refusals import RULES
from registry.roles import CALLS, Call, allows
from sync.fields import APPLICATION_TYPES, EVENT_KINDS, EVENT_STATUSES, STATES
from sync.rules import RULES as ROW_RULES
from sync.sources.overview import COLUMNS
from sync.table import INTEGER_MAX, Basis, Field, TableKind
from sync.tables import TABLES

_NOTE = "<!-- Made by `python -m node.reference docs/reference`; do not edit. -->"


def settings_page() -> str:
    """Return the page of settings."""
    return _settings("# 设置 Settings", "node.toml", SETTINGS)


def topnode_settings_page() -> str:
    """Return the page of settings of the reference top node."""
    return _settings("# 参考顶级节点的设置 Settings of the reference top node", "topnode.toml", TOPNODE_SETTINGS)


def _settings(title: str, file: str, settings: tuple[Setting, ...]) -> str:
    lines = [
        title,
        "",
        _NOTE,
        "",
        f"All settings of `{file}`. `--set key=value` overrides one; relative paths count from the file;",
        "an unknown key is an error that names the nearest one.",
    ]
    for setting in settings:
        default = list(setting.default) if isinstance(setting.default, tuple) else setting.default
        bounds = f", {setting.low} … {setting.high}" if setting.kind == "integer" else ""
        choices = f", {' or '.join(setting.choices)}" if setting.choices else ""
        unit = f" ({setting.unit})" if setting.unit else ""
        lines += [
            "",
            f"## {setting.name}",
            "",
            f"{setting.kind}{unit}{bounds}{choices}; default `{default!r}`",
            "",
            f"{setting.help_zh} {setting.help_en}",
        ]
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """Return the page of commands."""
    lines = ["# 命令 Commands", "", _NOTE, "", "Exit codes: 0 done, 1 refused or failed (with the reason), 2 usage."]
    for path, made in _commands(cli, ("saltern",)):
        command = copy.copy(made)
        command._help_option = None  # the names of the first call are kept, whichever that was
        context = click.Context(
            command, info_name=" ".join(path), terminal_width=100, help_option_names=["-h", "--help"]
        )  # fmt: skip
        lines += ["", f"## {' '.join(path)}", "", "```", command.get_help(context), "```"]
    return "\n".join(lines) + "\n"


def _commands(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in sorted(group.commands.items()):
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))


_ROLES: Final = {
    Role.LOCAL: ("本机", "a person at this machine: the command line"),
    Role.OPERATOR: ("运营人", "an operator: a token, or an identity of handle.server_admins"),
    Role.REVIEWER: ("审核人", "a reviewer: a token"),
    Role.ENTERPRISE: ("企业", "an enterprise: a token of its party, or an administrator of its prefix"),
    Role.AUDITOR: ("审计人", "an auditor: a token"),
}


def roles_page() -> str:
    """Return the page of roles: who may make which management call."""
    asked = {operation.call: f"`{operation.method} {operation.path}`" for operation in OPERATIONS}
    asked["record.write"] = "`PUT`, `DELETE /api/handles/…`, `POST /v1/records:batch`, Handle protocol"
    lines = ["# 角色 Roles", "", _NOTE, ""]
    lines += [f"- **{role.value}** {zh}: {en}." for role, (zh, en) in _ROLES.items()]
    lines += [
        "",
        "可以 yes；只限本企业 own: 只限本企业的主体与前缀 its own party and prefixes alone；– 拒绝 refused.",
        "没有列出的操作一律拒绝 What is not listed is refused. 解析不需要角色 Resolving needs no role.",
        "登记人、申请人不得审核自己的登记或申请 Whoever filed something does not review it.",
        "",
        f"| call | 操作 | what | {' | '.join(role.value for role in _ROLES)} | over HTTP |",
        f"|---|---|---|{'---|' * len(_ROLES)}---|",
    ]
    for call in CALLS:
        cells = " | ".join(_allowed(call, role) for role in _ROLES)
        public = "（任何人 anybody）" if call.public else ""
        lines.append(f"| `{call.name}` | {call.zh} | {call.en}{public} | {cells} | {asked.get(call.name, '–')} |")
    return "\n".join(lines) + "\n"


def _allowed(call: Call, role: Role) -> str:
    if not allows(call, role):
        return "–"
    return "yes" if role in call.roles else "own"


def refusals_page() -> str:
    """Return the page of rules that refuse something, and what each tells."""
    lines = [
        "# 拒绝的规则 Refusals",
        "",
        _NOTE,
        "",
        "规则名不变，文字可能改进；花括号中的词由节点填写。",
        "A rule's name is stable, its words may get better; what stands in braces is filled in.",
    ]
    for title, rules in (
        ("登记、审核、令牌、接口 Governance, tokens and the API", RULES),
        ("主体资料 Subject data of a party", PARTY_RULES),
        ("报送的数据行 Rows for the top node", ROW_RULES),
    ):
        lines += ["", f"## {title}", "", "| rule | 中文 | English |", "|---|---|---|"]
        lines += [f"| `{name}` | {_cell(zh)} | {_cell(en)} |" for name, (zh, en) in rules.items()]
    return "\n".join(lines) + "\n"


_BASES: Final = {
    Basis.FEED: ("随变更报送该行", "a row follows each of its changes"),
    Basis.DAYS: ("按日追加", "rows are added for each day"),
    Basis.WHOLE: ("有变化即整表报送", "all of it is sent when it is another"),
}


def tables_page() -> str:
    """Return the page of the tables that the top node is owed."""
    lines = [
        "# 报送国家顶级节点的数据表 Tables for the national top-level node",
        "",
        _NOTE,
        "",
        "对接协议要求报送的十一张表，以及附件二的两份监测报告（T12、T13 为本项目的编号）。",
        "本节点与参考顶级节点均按此校验。",
        "传输格式是本项目自有的，不声称与国家顶级节点的私有格式一致。",
        "The eleven tables of the docking agreement, and the two reports of its annex 2: T12 and T13 are our numbers",
        "for them. This node and the reference top node check rows by them.",
        "The wire format is our own: no conformance to the private one of the national top-level node is claimed.",
        "",
        "一行是按字段顺序排列的 msgpack 数组；未知的值为 nil，从不编造。“No.”为协议中的字段号，“–”为本节点增加的字段。",
        "A row is a msgpack array in the order of the fields; what is not known is nil: nothing is invented.",
        "No. is the number of a field in the agreement, or – where this node adds it.",
        "随前缀由其他节点迁入的主体，其身份信息在补齐前为 nil。",
        "Of a party that came with its prefix from another node, identity data is nil until it is completed.",
        "",
        f"前缀状态 State of a prefix: {_meanings(STATES)}.",
        f"应用类型 Type of an application: {_meanings(APPLICATION_TYPES)}.",
        f"事件状态 Status of an event (T13): {_meanings(EVENT_STATUSES)}.",
        f"事件类型 Kind of an event (T13): {_meanings(EVENT_KINDS)}.",
        "",
        "T9 的操作（新增 1、删除 2、修改 3）不在行内，而在携带该行的变更中；删除没有行。",
        "The operation of T9 (1 add, 2 delete, 3 modify) stands in the item that carries the row; a deletion has none.",
        "T7 按协议每小时报送，本节点实时报送：路由变更须在数秒内可由上而下解析。",
        "T7 is hourly by the agreement and sent in real time: a changed route is to resolve top-down within seconds.",
        "",
        f"T5、T10 取自 `sync.applications` 所指的 CSV 文件（UTF-8），首行为列名：`{','.join(COLUMNS)}`；",
        "`prefix` 为空者属本节点；`resolvers` 以 `;` 分隔。文件有任何错误时整表不报送，错误逐行指出。",
        "T5 and T10 come from the CSV file of `sync.applications` (UTF-8), its first line the columns as above; a line",
        "without `prefix` is of the node; `resolvers` are divided by `;`. Of a file with any fault nothing is sent.",
    ]
    for table in TABLES.values():
        lines += ["", f"## {table.name} {table.zh} {table.en}", "", _told(table), ""]
        lines += ["| No. | field | 字段 | kind | bounds | from |", "|---|---|---|---|---|---|"]
        for field in table.fields:
            lines.append(_field_line(field))
            lines += (_field_line(member, f"{field.name}.") for member in field.members)
    return "\n".join(lines) + "\n"


def _told(table: TableKind) -> str:
    zh, en = _BASES[table.basis]
    personal = " 含个人信息 Holds personal data." if table.personal else ""
    return (
        f"周期 Cadence: {table.cadence.value}; 本节点 as sent: {table.sent.value}. "
        f"键 Key: `{table.key}`. {zh} {en}.{personal}"
    )


def _meanings(meanings: Mapping[int, str]) -> str:
    return ", ".join(f"{number} {meaning}" for number, meaning in meanings.items())


def _field_line(field: Field, within: str = "") -> str:
    numbers = ", ".join(map(str, field.numbers)) or "–"
    return f"| {numbers} | `{within}{field.name}` | {field.zh} | {field.kind} | {_bounds(field)} | {field.source} |"


def _bounds(field: Field) -> str:
    """Return what bounds a field, in words."""
    told = ["required"] if field.required else []
    if field.choices:
        told.append(" / ".join(field.choices))
    elif field.chars_max:
        told.append(f"≤ {field.chars_max} {'octets' if field.kind == 'octets' else 'characters'}")
    if field.kind == "integer":
        told.append(f"{field.low} … {field.high}" if field.high < INTEGER_MAX else f"≥ {field.low}")
    if field.items_max:
        told.append(f"≤ {field.items_max} items")
    return "; ".join(told)


def metrics_page() -> str:
    """Return the page of metrics."""
    lines = [
        "# 指标 Metrics",
        "",
        _NOTE,
        "",
        "`/metrics` on the management port, loopback only. A counter rises while the node runs and begins at zero with",
        "each start of it; its name ends with `_total`. 计数器（counter）随节点启动归零，名称以 `_total` 结尾。",
        "",
        "| name | kind | labels | 含义 | meaning |",
        "|---|---|---|---|---|",
    ]
    for metric in METRICS:
        name, kind = (f"{metric.name}_total", "counter") if metric.counts else (metric.name, "gauge")
        lines.append(f"| `{name}` | {kind} | {', '.join(metric.labels) or '–'} | {metric.zh} | {metric.en} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


PAGES = {
    "settings.md": settings_page,
    "topnode-settings.md": topnode_settings_page,
    "commands.md": commands_page,
    "roles.md": roles_page,
    "refusals.md": refusals_page,
    "upstream-tables.md": tables_page,
    "metrics.md": metrics_page,
}


def main() -> None:
    """Write the pages into the folder that is named."""
    folder = Path(sys.argv[1])
    for name, page in PAGES.items():
        (folder / name).write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
