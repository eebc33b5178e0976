"""``saltern report month`` and ``saltern report downtime``: the monthly report, and what it says was planned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from core import clock
from core.clock import Millis, format_shanghai, parse_month
from core.downtime import CANCEL_ACT, PLAN_ACT, Downtime, downtime_fault, format_downtime
from core.errors import NodeError, Outcome
from node.catching_up import publish_waiting
from node.cli.acts import Desk, governed
from node.cli.log_query import Edge, TimeOf
from node.cli.new_file import require_new, write_new_files
from node.monthly import make_report, planned, require_month
from node.signing import load_signer
from registry.commands import NoteAct
from registry.notes import MONTH_REPORT
from registry.refusals import refusal

_KINDS = ("html", "json", "csv")


class Month(click.ParamType[Any]):
    """A month in Shanghai."""

    name = "month"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the month. Errors: BadParameter."""
        if parse_month(str(value)) is None or not "1970-02" <= value < "2106-01":
            raise click.BadParameter(f"应为月份 YYYY-MM。It must be a month, YYYY-MM: {value!r}", param=param, ctx=ctx)
        return str(value)


@click.command()
@click.argument("month", type=Month(), metavar="YYYY-MM")
@click.option(
    "--out", "folder", required=True, metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
    help="目录，没有则新建；文件已存在则拒绝 Folder, made where it is not there; files that exist are refused.",
)  # fmt: skip
@governed
def month(desk: Desk, month: str, folder: Path) -> None:
    """制作月度报告：HTML（可打印）、JSON（签名）、CSV。Make the report of a month: HTML to print, signed JSON, CSV.

    All figures are computed from the published logs, the emergencies from the incidents on record. A month that runs
    is reported so far. That the report was made is an entry of the maintenance log.

    Example: saltern report month 2026-11 --config my-node/node.toml --out reports
    """
    require_new(folder / f"report-{month}.{kind}" for kind in _KINDS)
    signer = load_signer(desk.config)
    publish_waiting(desk.config)
    require_month(desk.config, month, clock.now_ms())
    made = make_report(
        desk.config, desk.reading, month, signer=signer, actor=desk.actor, now_ms=clock.now_ms()
    )  # fmt: skip
    desk.run(NoteAct(MONTH_REPORT, month))
    write_new_files(folder, made.files)
    document = made.document
    values = {each["name"]: each["value"] for each in document["figures"]}
    told = {
        "month": month, "complete": document["complete"], "until": document["until"],
        "files": [str(folder / name) for name in made.files], "key_id": document["signature"]["key_id"],
        "figures": values, "notes": document["notes"],
    }  # fmt: skip
    so_far = "" if document["complete"] else "（截至目前 so far）"
    available, running = _known(values["availability"], "%"), _known(values["running_hours"], "h")
    lines = [
        f"已制作月度报告 The report was made: {month}{so_far}",
        f"可用率 Availability {available}，运行 running {running}",
        *(f"注意 Note: {each['zh']}。{each['en']}" for each in document["notes"]),
        *told["files"],
    ]
    desk.say(told, "\n".join(lines))


@click.command()
@click.option(
    "--from", "from_ms", required=True, metavar="T", type=TimeOf(Edge.FIRST),
    help="起：日期（上海）或时刻 From: a day in Shanghai, or an instant.",
)  # fmt: skip
@click.option(
    "--until", "until_ms", required=True, metavar="T", type=TimeOf(Edge.BEHIND),
    help="止：日期含当日，时刻不含 Until: a day is in it, an instant is not.",
)  # fmt: skip
@click.option("--reason", default="", metavar="TEXT", help="原因；登记时必填 Why; needed to plan one.")
@click.option("--cancel", is_flag=True, help="撤销已登记的计划停机 Take back one that was entered.")
@governed
def downtime(desk: Desk, from_ms: Millis, until_ms: Millis, reason: str, cancel: bool) -> None:
    """登记或撤销计划停机，供月度报告使用。Enter a planned downtime for the monthly report, or take it back.

    At most 31 days long, and entered at most 62 days after it began. It lowers the hours that are owed, not what was
    available; the report tells when it was entered. It stops nothing by itself.

    Example: saltern report downtime --from 2026-11-21T02:00 --until 2026-11-21T04:00 --reason 机房供电检修
    """
    wanted = Downtime(Millis(from_ms // 1_000 * 1_000), Millis(until_ms // 1_000 * 1_000))
    fault = downtime_fault(wanted, clock.now_ms())
    if fault is not None:  # before its times are written as text
        raise refusal("downtime", Outcome.INVALID_VALUE, error_zh=fault[0], error_en=fault[1])
    name = format_downtime(wanted)
    if cancel:
        publish_waiting(desk.config)
        _require_planned(desk, wanted)
    desk.run(NoteAct(CANCEL_ACT if cancel else PLAN_ACT, name, reason))
    told = {"downtime": name, "from": name.partition("/")[0], "until": name.partition("/")[2], "cancelled": cancel}
    word = "已撤销 Taken back" if cancel else "已登记 Entered"
    desk.say(told | {"reason": reason}, f"{word}: {_told(wanted)}")


def _require_planned(desk: Desk, wanted: Downtime) -> None:
    plans = planned(desk.config).plans
    if wanted not in plans:
        there = ", ".join(_told(each) for each in list(plans)[-3:]) or "–"
        raise NodeError(
            f"没有登记这一计划停机，最近登记的：{there}。There is no such planned downtime; entered last: {there}",
            outcome=Outcome.NOT_FOUND,
        )


def _told(downtime: Downtime) -> str:
    return f"{format_shanghai(downtime.from_ms)} – {format_shanghai(downtime.until_ms)}"


def _known(value: object, unit: str) -> str:
    """Return a figure with its unit; nothing was measured yet where there is none."""
    return "–" if value is None else f"{value} {unit}"
