"""``saltern alias``: other names of what is registered: GTIN, SSCC, OID and their like."""

from __future__ import annotations

import itertools
from typing import Any

import click

from core.ident.alias import parse_alias
from core.ident.handle import check_handle, check_prefix
from core.store.record_rows import prefix_range, record_key
from node import wiring
from node.cli.acts import Desk, governed
from node.cli.common import Commands, dry_run_option
from registry.alias_commands import AddAlias, RemoveAlias
from registry.aliases import aliases_from, show_alias


@click.group(cls=Commands)
def alias() -> None:
    """别名：登记、删除、列出、查看。Aliases: other names of what is registered."""


@alias.command()
@click.argument("identifier")
@click.argument("name", metavar="KIND:VALUE")
@dry_run_option
@governed
def add(desk: Desk, identifier: str, name: str, dry_run: bool) -> None:
    """登记别名。Give a record, a lot, or a unit, case or pallet another name.

    \b
    KIND: gtin gtin+lot gtin+serial sscc gln oid ecode bid vaa
    A GTIN and what stands behind it are joined by /: gtin+lot:06901234567892/L1

    Example: saltern alias add 88.118.7/SKU01 gtin:6901234567892
    """
    told = desk.run(AddAlias(identifier, name), dry_run=dry_run)
    desk.say(told, f"已登记别名 Alias: {told['alias']} → {told['identifier']}")


@alias.command()
@click.argument("name", metavar="KIND:VALUE")
@dry_run_option
@governed
def remove(desk: Desk, name: str, dry_run: bool) -> None:
    """删除别名。Take a name away.

    Example: saltern alias remove gtin:6901234567892
    """
    told = desk.run(RemoveAlias(name), dry_run=dry_run)
    desk.say(told, f"已删除别名 Removed: {told['alias']} → {told['identifier']}")


@alias.command("list")
@click.argument("below", metavar="[IDENTIFIER|PREFIX]", required=False)
@governed
def list_aliases(desk: Desk, below: str | None) -> None:
    """列出别名：一个标识的、一个前缀下的，或全部。List aliases: of an identifier, below a prefix, or all.

    Example: saltern alias list 88.118.7
    """
    rules = wiring.handle_rules(desk.config)
    start, stop = b"", None
    if below is not None and "/" in below:
        start = record_key(check_handle(below, rules))
        stop = start + b"\0"
    elif below is not None:
        start, stop = prefix_range(check_prefix(below, rules))
    with desk.reading() as snapshot:
        listed = list(itertools.chain.from_iterable(aliases for _, _, aliases in aliases_from(snapshot, start, stop)))
    desk.say(listed, "\n".join(f"{each['alias']} → {each['identifier']}" for each in listed) or "没有别名 No aliases")


@alias.command()
@click.argument("name", metavar="KIND:VALUE")
@governed
def show(desk: Desk, name: str) -> None:
    """查看别名是谁的。Show what an alias is another name of.

    Example: saltern alias show sscc:069012345000000014
    """
    with desk.reading() as snapshot:
        told: Any = show_alias(snapshot, parse_alias(name))
    desk.say(told, f"{told['alias']} → {told['identifier']}  {told['added']}  {told['added_by']}")
