"""``saltern log export``: the entries of some days as a spreadsheet, JSON lines or Parquet, with a signed manifest."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from audit.entry import Software
from audit.export import Days
from audit.export import export as write_export
from audit.export_files import FORMS
from core import clock
from core.errors import Outcome
from core.streams import Stream
from node import VERSION
from node.catching_up import publish_waiting
from node.cli.common import Refused, config_option, json_option, load_config, print_json
from node.cli.log_query import Nearest, StreamName
from node.log_reading import log_reader, tell_waiting
from node.signing import load_signer


class Day(click.ParamType[Any]):
    """A day in Shanghai."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime.date:
        """Return the day. Errors: BadParameter."""
        day = value if isinstance(value, datetime.date) else clock.parse_day(value)
        if day is None or not 0 <= clock.shanghai_midnight(day) < clock.TIME_MS_END - clock.DAY_MS:
            raise click.BadParameter(f"应为存在的日期 YYYY-MM-DD。It must be a day, YYYY-MM-DD: {value!r}", ctx, param)
        return day


@click.command()
@click.option("--stream", required=True, type=StreamName(), help="哪一种日志 Which log.")
@click.option("--from", "first", required=True, metavar="D", type=Day(), help="首日（上海） First day, in Shanghai.")
@click.option("--to", "last", required=True, metavar="D", type=Day(), help="末日，含当日 Last day, inclusive.")
@click.option(
    "--format", "form", required=True, metavar="|".join(FORMS), type=Nearest(FORMS), help="文件格式 Form of the files."
)
@click.option(
    "--out", required=True, metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
    help="目录，须不存在或为空 A folder that is absent or empty.",
)  # fmt: skip
@config_option
@json_option
def export(
    stream: str, first: datetime.date, last: datetime.date, form: str, out: Path,
    config_file: Path, overrides: tuple[str, ...], as_json: bool,
) -> None:  # fmt: skip
    """导出日志，附签名清单。Export the entries of some days, with a signed manifest.

    The folder gets the entries in files of at most 1 000 000 each, the checkpoints of the months, and manifest.json
    with counts, indexes and digests. CSV opens in Excel; JSON lines hold an entry as it is in the log.

    Example: saltern log export --stream change --from 2026-11-01 --to 2026-11-30 --format csv --out november
    """
    import duckdb

    if first > last:
        raise click.UsageError("--from 晚于 --to。--from is later than --to")
    config = load_config(config_file, overrides)
    signer = load_signer(config)
    publish_waiting(config)
    if Stream(stream) is Stream.RESOLUTION:
        tell_waiting(config, lambda text: click.echo(f"注意 Note: {text}", err=True))
    software = Software(config.text("node.prefix"), VERSION)
    try:
        with _progress() as progress:
            told = write_export(
                log_reader(config), Stream(stream), Days(first, last), form, out,
                signer=signer, software=software, now_ms=clock.now_ms(), progress=progress,
            )  # fmt: skip
    except (OSError, duckdb.Error) as error:
        raise Refused(Outcome.INTERNAL.value, "", f"无法导出。Cannot export: {error}") from None
    _tell_gaps(Stream(stream), first, last, {month["month"] for month in told["months"]})
    if as_json:
        print_json(told)
        return
    files = len(told["files"])
    click.echo(
        f"已导出 {told['entries']} 条，{files} 个文件 Exported {told['entries']} entries in {files} files: {out}"
    )


def _tell_gaps(stream: Stream, first: datetime.date, last: datetime.date, there: set[str]) -> None:
    """Say which of the months asked for have no log here: deleted after its time, later, or of a mistyped day."""
    asked = [divmod(number, 12) for number in range(first.year * 12 + first.month - 1, last.year * 12 + last.month)]
    gaps = [name for year, month in asked if (name := f"{year:04d}-{month + 1:02d}") not in there]
    if gaps:
        told = gaps[0] if len(gaps) == 1 else f"{gaps[0]} … {gaps[-1]} ({len(gaps)})"
        click.echo(
            f"注意：此处没有 {stream.value} {told} 的日志。Note: there is no log {stream.value} {told} here", err=True
        )


@contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    """Give what counts entries on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description} {task.completed:,}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("导出 export", total=None)
        yield lambda count: bar.advance(task, count)
