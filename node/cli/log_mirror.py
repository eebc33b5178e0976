"""``saltern log mirror``: the derived Parquet files that make queries quick."""

from __future__ import annotations

from pathlib import Path

import click

from core.errors import Outcome
from node.cli.common import Refused, config_option, json_option, load_config, print_json


@click.command()
@click.option("--rebuild", is_flag=True, help="全部重做 Make all of it anew.")
@config_option
@json_option
def mirror(rebuild: bool, config_file: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """更新解析日志的 Parquet 镜像，以加快查询。Bring the Parquet mirror of the resolution log up to date.

    The running node does so every few minutes. The mirror is derived from the log and never the truth: a query without
    it gives the same answers, later.

    Example: saltern log mirror --rebuild --config my-node/node.toml
    """
    import duckdb

    from node.mirror import make_mirror

    try:
        made = make_mirror(load_config(config_file, overrides), rebuild=rebuild)
    except (OSError, duckdb.Error) as error:
        raise Refused(Outcome.INTERNAL.value, "", f"镜像无法写入。The mirror cannot be written: {error}") from None
    if made is None:
        raise Refused(
            Outcome.OVERLOADED.value, "", "镜像正在由另一进程更新。Another process is bringing the mirror up to date"
        )
    if as_json:
        print_json({"files": made})
        return
    click.echo(f"已写入 {made} 个文件 Made {made} files")
