"""The monthly report as CSV (RFC 4180, CR LF, UTF-8 with a byte order mark): the figures, then each table."""

from __future__ import annotations

import csv
import io
from typing import Any

from audit.export_files import safe_cell
from core.clock import format_shanghai, parse_instant

Row = tuple[Any, ...]


def report_cells(document: dict[str, Any]) -> bytes:
    """Return the file. Times are those of Asia/Shanghai; a cell that is not known is empty."""
    file = io.StringIO(newline="")
    write = csv.writer(file, lineterminator="\r\n").writerow
    for number, (head, rows) in enumerate(_tables(document)):
        if number:
            write([])
        write(head)
        for row in rows:
            write([safe_cell(cell) if isinstance(cell, str) else cell for cell in row])
    return file.getvalue().encode("utf-8-sig")


def _tables(document: dict[str, Any]) -> list[tuple[Row, list[Row]]]:
    return [
        (("名称 name", "指标 figure", "单位 unit", "数值 value"), [
            ("month", "报告月份 Month", "", document["month"]),
            ("from", "统计起 From", "", shanghai(document["from"])),
            ("until", "统计止 Until", "", shanghai(document["until"])),
            ("complete", "整月 Whole month", "", "是 yes" if document["complete"] else "否，截至统计止 no, so far"),
            *((each["name"], f"{each['zh']} {each['en']}", each["unit"], moment(each)) for each in document["figures"]),
        ]),
        (("月份 month", "可用率 availability %", "运行时间 running hours"), [
            (each["month"], each["availability"] or "–", each["running_hours"] or "–") for each in document["months"]
        ]),
        (("计划停机起 downtime from", "止 until", "秒 seconds", "原因 why", "登记时间 entered"), [
            (shanghai(each["from"]), shanghai(each["until"]), each["seconds"], "；".join(each["reasons"]),
             shanghai(each["entered"]))
            for each in document["downtimes"]
        ]),
        (("突发事件 emergency", "名称 title", "类别 kind", "级别 severity", "发生 occurred", "恢复 recovered",
          "原因 cause", "处置 remedy"), [
            (each["incident"], each["title"], each["kind"]["zh"], each["severity"]["zh"], shanghai(each["occurred"]),
             shanghai(each["recovered"]), each["cause"],
             "；".join(f"{shanghai(one['at'])} {one['text']}" for one in each["measures"]))
            for each in document["emergencies"]
        ]),
        (("异常 anomaly", "对象 subject", "监测项 condition", "类别 kind", "发生 from", "恢复 until", "秒 seconds",
          "原因 cause"), [
            (each["number"], each["subject"], each["condition"], each["kind"]["zh"], shanghai(each["from"]),
             shanghai(each["until"]), each["seconds"], each["cause"])
            for each in document["anomalies"]
        ]),
        (("前缀 prefix", "审核通过 approved", "可解析 resolves", "毫秒 milliseconds"), [
            (each["prefix"], shanghai(each["approved"]), shanghai(each["resolves"]), each["milliseconds"])
            for each in document["effective"]
        ]),
    ]  # fmt: skip


def moment(figure: dict[str, Any]) -> Any:
    """Return the value of a figure; a time as that of Asia/Shanghai."""
    return shanghai(figure["value"]) if figure["name"].endswith("_at") else figure["value"]


def shanghai(utc: str | None) -> str | None:
    """Return a time of the document as ``YYYY-MM-DD hh:mm:ss`` in Asia/Shanghai."""
    at_ms = None if utc is None else parse_instant(utc)
    return None if at_ms is None else format_shanghai(at_ms)[:19].replace("T", " ")
