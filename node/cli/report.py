"""``saltern report``: what is made for the authorities."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from audit.export import Days
from core import clock
from node.catching_up import publish_waiting
from node.cli.acts import Desk, governed
from node.cli.common import Commands
from node.cli.log_export import Day
from node.cli.new_file import new_file
from node.cli.report_month import downtime, month
from node.inspection import make_pack
from node.signing import load_signer
from registry.commands import NoteAct
from registry.notes import INSPECTION


@click.group(cls=Commands)
def report() -> None:
    """报告：检查材料包、月度报告。Reports for the authorities: the pack for an inspection, the month."""


report.add_command(month)
report.add_command(downtime)


@report.command()
@click.option(
    "--from", "first", required=True, type=Day(), metavar="D", help="首日（北京时间） First day, in Shanghai."
)
@click.option("--to", "last", required=True, type=Day(), metavar="D", help="末日，含当日 Last day, inclusive.")
@click.option(
    "--out", metavar="FILE", type=click.Path(path_type=Path), show_default="inspection-FROM-TO.zip",
    help="新文件，权限 0600；已存在则拒绝 A new file, mode 0600; one that exists is refused.",
)  # fmt: skip
@governed
def inspection(desk: Desk, first: datetime.date, last: datetime.date, out: Path | None) -> None:
    """制作检查材料包：日志、检查点、配置、统计等，签名的 ZIP 文件。Make the pack for an inspection: a signed ZIP file.

    It holds the published logs of all months that touch the days, all checkpoints, settings, statistics, licence,
    holds, complaints, incidents, and a README. No secret is in it, nor the addresses of clients, nor identity data:
    what is written is searched for the keys of this node. The node may run or not. That the pack was made, and for
    whom, is an entry of the maintenance log.

    Example: saltern report inspection --from 2026-11-01 --to 2026-11-30 --out november.zip --actor 张经办
    """
    if first > last:
        raise click.BadParameter(f"--from {first} 晚于 --to {last}。--from is later than --to", param_hint="--from")
    days = Days(first, last)
    path = out or Path(f"inspection-{first}-{last}.zip")
    signer = load_signer(desk.config)
    with new_file(path) as file, _progress() as begin:
        desk.run(NoteAct(INSPECTION, f"{first}/{last}"))
        publish_waiting(desk.config)
        made = make_pack(
            file, desk.config, desk.reading, days,
            signer=signer, actor=desk.actor, now_ms=clock.now_ms(), begin=begin,
        )  # fmt: skip
    months = sum(each["included"] for each in made.manifest["months"])
    key_id = made.manifest["signature"]["key_id"]
    told = {
        "file": str(path), "bytes": path.stat().st_size, "files": made.files, "from": str(first), "to": str(last),
        "logs": months, "key_id": key_id,
    }  # fmt: skip
    desk.say(
        told,
        f"已制作检查材料包 The pack was made: {path}（{made.files} 个文件 files，{months} 个月份日志 logs）\n"
        f"签名密钥 Signed by the key {key_id}（请经另一途径告知 tell it by another way）\n"
        "校验：解压后 saltern log verify 目录 --vkey 公钥。To check it, unpack it and run saltern log verify FOLDER "
        "--vkey KEY",
    )


@contextmanager
def _progress() -> Iterator[Callable[[int], Callable[[int], None]]]:
    """Give what shows on a terminal how many leaves were read; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("日志 logs", total=None)

        def begin(total: int) -> Callable[[int], None]:
            bar.update(task, total=total)
            return lambda done: bar.advance(task, done)

        yield begin
