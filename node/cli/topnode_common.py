"""What the commands of the reference top node share: options, the store, who decides."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from core import limits
from core.config import Config
from core.errors import Outcome
from node.cli.acts import person
from node.cli.common import F, Refused, json_flag, print_json, telling
from node.topnode_settings import load_topnode
from sync.topnode.rows import APPROVED, ASKED, REJECTED, WAITING
from sync.topnode.store import TopStore
from sync.topnode.takeover import Takeovers

_VERDICTS: Final = {
    WAITING: "待审核 waiting",
    APPROVED: "已通过 approved",
    REJECTED: "已驳回 rejected",
    ASKED: "待补正 to be corrected",
}


class Chosen(NamedTuple):
    """What every command that looks or decides is given."""

    config: Config
    actor: str
    as_json: bool

    @contextmanager
    def store(self) -> Iterator[TopStore]:
        """Give the store, whether the top node runs or not."""
        from node.topnode_store import open_top_store

        store = open_top_store(self.config)
        try:
            yield store
        finally:
            store.close()

    @contextmanager
    def takeovers(self) -> Iterator[Takeovers]:
        """Give what says of which nodes the copy is served, whether the top node runs or not."""
        from node.topnode_store import open_takeovers

        takeovers = open_takeovers(self.config)
        try:
            yield takeovers
        finally:
            takeovers.close()

    def say(self, told: Any, text: str) -> None:
        """Print a result, as JSON or for people."""
        if self.as_json:
            print_json(told)
        else:
            click.echo(text)


def config_option(command: F) -> F:
    """Add --config and --set."""
    command = click.option(
        "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="覆盖一项设置 Override a setting."
    )(command)
    return click.option(
        "--config", "config_file", default="topnode.toml", show_default=True, metavar="FILE",
        type=click.Path(dir_okay=False, path_type=Path), help="顶级节点配置文件 The top node's configuration.",
    )(command)  # fmt: skip


def chosen_option(command: F) -> F:
    """Add --config, --set, --json and --actor; what fails ends with its reasons as JSON on standard output."""

    def run(
        *arguments: Any, config_file: Path, overrides: tuple[str, ...], as_json: bool, actor: str, **options: Any
    ) -> Any:
        with telling():
            return command(Chosen(load_topnode(config_file, overrides), actor, as_json), *arguments, **options)

    run.__doc__, run.__name__ = command.__doc__, command.__name__
    run.__dict__.update(command.__dict__)
    actor_option = click.option(
        "--actor", default=getpass.getuser, show_default="当前用户 the user", metavar="NAME", callback=person,
        help="经办人姓名 Who does it.",
    )  # fmt: skip
    wrapped: Any = actor_option(config_option(json_flag(run)))
    result: F = wrapped
    return result


def words(_context: click.Context, _option: click.Parameter, text: str) -> str:
    """Return a text as it is. Errors: click.BadParameter for one that is empty, too long or not to be shown."""
    if not 0 < len(text) <= limits.TOPNODE_TEXT_CHARS_MAX or not text.isprintable():
        raise click.BadParameter(f"应为 1 至 {limits.TOPNODE_TEXT_CHARS_MAX} 个可显示字符 printable characters")
    return text


reason_option = click.option("--reason", required=True, metavar="TEXT", callback=words, help="理由 Why.")


def node_id_of(store: TopStore, named: str) -> str:
    """Return the id of a node that is named by its id or its prefix. Errors: Refused."""
    ids = [node.node_id for node in store.nodes() if named.upper() in (node.node_id.upper(), node.prefix.upper())]
    if len(ids) != 1:
        many = f"有 {len(ids)} 个节点，请用编号。There are several; use the id" if ids else "没有此节点。There is none"
        raise Refused(Outcome.NOT_FOUND.value, "", f"{named}: {many}: saltern topnode nodes")
    return ids[0]
