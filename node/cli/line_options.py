"""Options and ways of telling that the commands of ``saltern line`` share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from core.errors import NodeError, Outcome
from node.cli import common
from node.cli.common import F, print_json

site_option = click.option(
    "--site", "folder", required=True, metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
    help="站点目录 The folder of the site.",
)  # fmt: skip
line_option = click.option("--line", required=True, metavar="NAME", help="生产线 The packing line.")
run_option = click.option(
    "--run", "name", required=True, metavar="NAME", help="班次，名称在站点内唯一 The run; a site has each name once."
)


def node_options(*, required: bool = True) -> Callable[[F], F]:
    """Add --node, --token-file and --ca."""

    def add(command: F) -> F:
        command = click.option(
            "--ca", "ca_file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
            help="节点证书或其签发者（PEM）The node's certificate, or whose it is signed by (PEM).",
        )(command)  # fmt: skip
        command = click.option(
            "--token-file", required=required, metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
            help="令牌文件，权限 0600 A file with the bearer token, mode 0600.",
        )(command)  # fmt: skip
        return click.option(
            "--node", "url", required=required, metavar="URL", help="节点地址 The node: https://HOST[:PORT]."
        )(command)

    return add


def json_option(command: F) -> F:
    """Add --json; what the system refuses ends as every other failure does, in JSON where that was asked for."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> Any:
        try:
            return command(*arguments, **options)
        except BrokenPipeError:  # whoever reads the output is gone
            raise
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise NodeError(
                f"无法读写。Cannot read or write: {where}{error.strerror}", outcome=Outcome.INTERNAL, rule="line-file"
            ) from None

    flagged: Any = common.json_option(run)
    result: F = flagged
    return result


def say(as_json: bool, told: Any, *lines: str) -> None:
    """Print a result, as JSON or for people."""
    if as_json:
        print_json(told)
        return
    for text in lines:
        if text:
            click.echo(text)
