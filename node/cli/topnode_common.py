"""What the commands of the reference top node share: options, the store, who decides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from core import limits
from core.config import Config
from core.errors import Outcome
from node.cli.acts import acting
from node.cli.common import F, Refused, configuration_options, print_json
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


config_option = configuration_options("topnode.toml", "顶级节点配置文件 The top node's configuration.")


def chosen_option(command: F) -> F:
    """Add --config, --set, --json and --actor; the command receives ``chosen`` as its first argument."""
    return acting(_chosen, config_option, command)


def _chosen(file: Path, overrides: tuple[str, ...], actor: str, as_json: bool) -> Chosen:
    return Chosen(load_topnode(file, overrides), actor, as_json)


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
