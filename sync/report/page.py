"""The monthly report as a form to print (A4): made from the signed document alone, and saying nothing else.

No script, nothing from elsewhere; the policy allows the one style sheet by its digest. Chinese first, English below.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import Any, Final

from core.clock import month_after, month_start
from sync.report.cells import moment, shanghai
from sync.report.chart import Bar, bars

_STYLE: Final = (
    "@page{size:A4;margin:16mm 15mm}*{box-sizing:border-box}"
    "body{font:14px/1.5 'Noto Serif CJK SC','Songti SC',SimSun,serif;color:#000;background:#fff;max-width:52rem;"
    "margin:0 auto;padding:1.5rem 1rem}"
    "h1{font-size:1.55rem;line-height:1.35;text-align:center;margin:.2rem 0 .2rem;letter-spacing:.05em}"
    ".en{display:block;font-size:.78em;font-weight:400;color:#444;letter-spacing:0}"
    "h1 .en{font-size:.6em}"
    "h2{font-size:1.08rem;margin:1.3rem 0 .4rem;break-after:avoid}h2 .en{display:inline;margin-left:.5em}"
    ".month{text-align:center;font-size:1.15rem;margin:.2rem 0 .9rem}"
    "table{border-collapse:collapse;width:100%;margin:.3rem 0}"
    "th,td{border:1px solid #333;padding:.28rem .5rem;text-align:left;vertical-align:middle;overflow-wrap:anywhere}"
    "th{background:#eef1f4;font-weight:600}thead{display:table-header-group}tr{break-inside:avoid}"
    ".head th{width:17%}.head td{width:33%}.figures{table-layout:fixed}.figures .n{width:6%}.figures .u{width:9%}"
    ".figures .v{width:20%}.n,.u,.c{text-align:center}.v,.r{text-align:right;font-variant-numeric:tabular-nums}"
    ".at{display:block;font-size:.78em;color:#222;white-space:nowrap}"
    ".none{text-align:center;color:#333}.soft{border:2px solid #333;padding:.4rem .7rem;margin:.6rem 0}"
    ".charts{display:flex;gap:1rem;margin:.6rem 0;break-inside:avoid}.charts svg{flex:1 1 0;min-width:0;"
    "border:1px solid #999;padding:.3rem;font-family:sans-serif}"
    ".sign{margin-top:1rem;break-inside:avoid}.sign td{height:3.4rem;width:25%;vertical-align:top}"
    ".small{font-size:.78rem;line-height:1.45}.small td,.small th{padding:.15rem .4rem}"
    "@media print{body{padding:0;max-width:none;font-size:10.5pt}th{print-color-adjust:exact;"
    "-webkit-print-color-adjust:exact}svg{print-color-adjust:exact;-webkit-print-color-adjust:exact}}"
)
_POLICY: Final = (
    "default-src 'none'; style-src 'sha256-"
    f"{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; base-uri 'none'; form-action 'none'"
)
_NONE: Final = "–"
_NODE: Final = {"node": "本节点 this node"}


def render_page(document: dict[str, Any]) -> bytes:
    """Return the page of a signed report, UTF-8."""
    year, month = document["month"].split("-")
    title = f"{document['month']} 月度运行报告 {document['node']}"
    body = "".join((
        '<h1>工业互联网标识解析二级节点月度运行报告<span class="en">Monthly report of a secondary node of the '
        "industrial-internet identifier system</span></h1>",
        f'<p class="month">{int(year)} 年 {int(month)} 月</p>',
        _head(document),
        *_warning(document),
        _title("一、运行指标", "Figures"),
        _figures(document["figures"]),
        _title("二、近六个月可用率与运行时间", "Availability and running hours of six months"),
        _months(document["months"]),
        _title("三、计划停机", "Planned downtime"),
        _downtimes(document["downtimes"]),
        _title("四、突发事件及处置", "Emergencies, their causes and remedies"),
        _emergencies(document["emergencies"]),
        _title("五、异常与恢复记录", "Anomalies and recoveries"),
        _anomalies(document["anomalies"]),
        _title("六、注册生效", "From approval to resolution"),
        _effective(document["effective"]),
        *_notes(document["notes"]),
        _SIGN,
        _title("附：口径", "Definitions"),
        _definitions(document["figures"]),
        _title("附：数据来源与校验", "Sources and proof"),
        _sources(document),
    ))  # fmt: skip
    return (
        '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{body}</body></html>\n"
    ).encode()


_SIGN: Final = (
    '<table class="sign"><tr><td>制表人<span class="en">Prepared by</span></td>'
    '<td>审核人<span class="en">Checked by</span></td><td>单位负责人<span class="en">Responsible person</span></td>'
    '<td>单位（盖章）<span class="en">Seal, date</span></td></tr></table>'
)


def _title(zh: str, en: str) -> str:
    return f'<h2>{zh}<span class="en">{en}</span></h2>'


def _two(zh: str, en: str) -> str:
    return f'{escape(zh)}<span class="en">{escape(en)}</span>'


def _value(value: Any) -> str:
    return _NONE if value is None or value == "" else escape(str(value))


def _head(document: dict[str, Any]) -> str:
    def pair(zh: str, en: str, value: str) -> str:
        return f"<th>{_two(zh, en)}</th><td>{value}</td>"

    rows = (
        f'<th>{_two("运营单位全称", "Operator")}</th><td colspan="3">{_value(document["operator"])}</td>',
        pair("节点前缀", "Node", _value(document["node"])) + pair("报告月份", "Month", _value(document["month"])),
        pair("统计起", "From", _value(shanghai(document["from"])))
        + pair("统计止", "Until", _value(shanghai(document["until"]))),
        pair("生成时间", "Made", _value(shanghai(document["created"])))
        + pair("经办人", "On behalf of", _value(document["actor"])),
    )
    return f'<table class="head">{"".join(f"<tr>{row}</tr>" for row in rows)}</table>'


def _warning(document: dict[str, Any]) -> list[str]:
    if document["complete"]:
        return []
    return [
        '<p class="soft">本月尚未结束：各项指标截至“统计止”，不是整月报告。<span class="en">So far: the month is not '
        "over; all figures are those until the time above.</span></p>"
    ]


def _figures(figures: list[dict[str, Any]]) -> str:
    """Return the figures in two tables: one in rows, the latencies with what belongs to each in columns."""
    by_name = {each["name"]: each for each in figures}
    shown = [each for each in figures if not each["name"].startswith(_LATENCIES) and each["name"] != "operator"]
    rows = "".join(
        f'<tr><td class="n">{number}</td><td>{_two(each["zh"], each["en"])}</td>'
        f'<td class="v">{_value(each["value"])}</td><td class="u">{escape(each["unit"])}</td></tr>'
        for number, each in enumerate(shown, 1)
    )
    head = (
        f'<th class="n">{_two("序号", "No.")}</th><th>{_two("指标", "Figure")}</th>'
        f'<th class="v">{_two("数值", "Value")}</th><th class="u">{_two("单位", "Unit")}</th>'
    )
    latencies = "".join(
        f"<tr><th>{_two(zh, en)}</th>" + "".join(
            f'<td class="r">{_value(by_name[name + part]["value"])}{_second(by_name.get(name + part + "_at"))}</td>'
            for part in ("_rtt_mean", "_rtt_max", "_rtt_min", "_peak", "_answers")
        ) + "</tr>"
        for name, zh, en in (("registration", "注册", "Registration"), ("resolution", "解析", "Resolution"))
    )  # fmt: skip
    columns = "".join(f'<th class="r">{_two(zh, en)}</th>' for zh, en in _COLUMNS)
    return (
        f'<table class="figures"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
        f"<table><thead><tr><th>{_two('时延（RTT）与负荷', 'Latency and load')}</th>{columns}</tr></thead>"
        f"<tbody>{latencies}</tbody></table>"
    )


_LATENCIES: Final = ("registration_", "resolution_")
_COLUMNS: Final = (
    ("平均 ms", "Mean"), ("最大 ms", "Largest, and its second"), ("最小 ms", "Smallest, and its second"),
    ("峰值 次/秒", "Busiest second"), ("应答数", "Answers"),
)  # fmt: skip


def _second(figure: dict[str, Any] | None) -> str:
    return "" if figure is None or figure["value"] is None else f'<span class="at">{_value(moment(figure))}</span>'


def _months(months: list[dict[str, Any]]) -> str:
    table = _table(
        (("月份", "Month"), ("可用率 %", "Availability"), ("运行时间 h", "Running hours")),
        [(each["month"], each["availability"], each["running_hours"]) for each in months],
        ("c", "r", "r"),
    )
    shares = [
        Bar(each["month"], None if each["availability"] is None else float(each["availability"]) / 100,
            each["availability"] or _NONE)
        for each in months
    ]  # fmt: skip
    hours = [
        Bar(each["month"], None if each["running_hours"] is None else each["running_s"] / _seconds(each["month"]),
            each["running_hours"] or _NONE)
        for each in months
    ]  # fmt: skip
    charts = bars("可用率 Availability, %", shares) + bars("运行时间 Running hours, h", hours)
    return f'{table}<div class="charts">{charts}</div>'


def _seconds(month: str) -> int:
    return (month_start(month_after(month)) - month_start(month)) // 1_000


def _downtimes(downtimes: list[dict[str, Any]]) -> str:
    return _table(
        (("起", "From"), ("止", "Until"), ("时长", "Length"), ("原因", "Why"), ("登记", "Entered")),
        [
            (shanghai(each["from"]), shanghai(each["until"]), _length(each["seconds"]), "；".join(each["reasons"]),
             f"{shanghai(each['entered'])}{'' if each['ahead'] else '（事后 afterwards）'}")
            for each in downtimes
        ],
    )  # fmt: skip


def _emergencies(emergencies: list[dict[str, Any]]) -> str:
    rows = [
        (f"{each['incident']} {each['title']}（{each['kind']['zh']}、{each['severity']['zh']}、{each['state']['zh']}）",
         f"{shanghai(each['occurred'])} –\n{shanghai(each['recovered']) or '未恢复 not yet'}",
         "\n".join(filter(None, (each["description"], each["affected"]))), each["cause"],
         "\n".join(f"{shanghai(one['at'])} {one['text']}" for one in each["measures"]))
        for each in emergencies
    ]  # fmt: skip
    heads = (
        ("事件", "Incident"),
        ("发生与恢复", "From, until"),
        ("经过与影响", "What"),
        ("原因", "Cause"),
        ("处置", "Remedy"),
    )
    return _table(heads, rows)


def _anomalies(anomalies: list[dict[str, Any]]) -> str:
    heads = (("编号", "Number"), ("对象与监测项", "Subject, condition"), ("类别", "Kind"), ("发生", "From"),
             ("恢复", "Until"), ("时长", "Length"), ("原因", "Cause"))  # fmt: skip
    return _table(heads, [
        (each["number"], f"{_NODE.get(each['subject'], each['subject'])}：{each['condition']}", each["kind"]["zh"],
         shanghai(each["from"]), shanghai(each["until"]) or "未恢复 not yet",
         None if each["seconds"] is None else _length(each["seconds"]), each["cause"])
        for each in anomalies
    ])  # fmt: skip


def _effective(found: list[dict[str, Any]]) -> str:
    return _table(
        (("前缀", "Prefix"), ("最后审核通过", "Approved"), ("可解析", "Resolves"), ("时长", "Length")),
        [
            (each["prefix"], shanghai(each["approved"]), shanghai(each["resolves"]),
             None if each["milliseconds"] is None else _length(each["milliseconds"] // 1_000))
            for each in found
        ],
    )  # fmt: skip


def _notes(notes: list[dict[str, Any]]) -> list[str]:
    if not notes:
        return []
    lines = "".join(f"<li>{_two(each['zh'], each['en'])}</li>" for each in notes)
    return [_title("说明", "Notes"), f"<ul>{lines}</ul>"]


def _definitions(figures: list[dict[str, Any]]) -> str:
    said: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for each in figures:
        said.setdefault((each["definition"]["zh"], each["definition"]["en"]), []).append(each)
    rows = "".join(
        f"<tr><td>{_two('、'.join(each['zh'] for each in alike), '; '.join(each['en'] for each in alike))}</td>"
        f"<td>{_two(zh, en)}</td></tr>"
        for (zh, en), alike in said.items()
    )
    return f'<table class="small"><tbody>{rows}</tbody></table>'


def _sources(document: dict[str, Any]) -> str:
    rows = "".join(
        f'<tr><td>{escape(each["origin"])}</td><td class="r">{each["size"]}</td>'
        f"<td>{escape(each['checkpoint'].splitlines()[2])}</td></tr>"
        for each in document["logs"]
    )
    signature = document["signature"]
    proof = (
        f"同名 JSON 文件由节点密钥 {escape(signature['key_id'])} 签名（{escape(signature['algorithm'])}）；"
        "数据取自下列日志，任何人可据以重算，日志用 saltern log verify 校验。"
        '<span class="en">The JSON file of the same name is signed by the key of the node; all figures can be computed '
        f"again from these logs. Signature: {escape(signature['value'])}. "
        f"Software: {escape(document['software'])}</span>"
    )
    return (
        f'<p class="small">{proof}</p><table class="small"><thead><tr><th>{_two("日志", "Log")}</th>'
        f"<th>{_two('条目', 'Entries')}</th><th>{_two('根', 'Root of the checkpoint')}</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def _table(heads: tuple[tuple[str, str], ...], rows: list[tuple[Any, ...]], classes: tuple[str, ...] = ()) -> str:
    head = "".join(f"<th>{_two(zh, en)}</th>" for zh, en in heads)
    kinds = classes or ("",) * len(heads)
    lines = "".join(
        "<tr>" + "".join(
            f'<td{f" class={kind}" if kind else ""}>{_value(cell).replace(chr(10), "<br>")}</td>'
            for kind, cell in zip(kinds, row, strict=True)
        ) + "</tr>"
        for row in rows
    ) or f'<tr><td class="none" colspan="{len(heads)}">无 None</td></tr>'  # fmt: skip
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def _length(seconds: int) -> str:
    hours, rest = divmod(seconds, 3_600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"
