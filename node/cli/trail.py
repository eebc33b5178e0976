"""``saltern changes`` and ``saltern journal``: what was changed, and who did or was refused what."""

from __future__ import annotations

import click

from core import limits
from core.changes import Serial, unpack_change
from core.store.engine import Table
from core.store.journal_rows import entry_key, unpack_entry
from node.cli.acts import Desk, governed
from node.cli.common import print_json
from registry.documents import change_document, entry_document

after_option = click.option(
    "--after", default=0, type=click.IntRange(0), help="此序号之后 Those behind this number alone."
)
count_option = click.option(
    "--count", default=100, show_default=True, type=click.IntRange(1, limits.LISTED_MAX), help="最多条数 At most."
)


@click.command()
@after_option
@count_option
@governed
def changes(desk: Desk, after: int, count: int) -> None:
    """查看变更流。Read the change feed: every committed change, numbered without gaps.

    Example: saltern changes --after 100 --config my-node/node.toml
    """
    with desk.reading() as snapshot:
        listed = [change_document(serial, unpack_change(row)) for serial, row in snapshot.feed(Serial(after), count)]
    if desk.as_json:
        print_json(listed)
        return
    for each in listed:
        click.echo(f"{each['serial']}  {each['at']}  {each['kind']}  {each['identifier']}")


@click.command()
@after_option
@count_option
@governed
def journal(desk: Desk, after: int, count: int) -> None:
    """查看操作与拒绝记录。Read the journal: who did what, or was refused it, and by which rule.

    Example: saltern journal --config my-node/node.toml --json
    """
    listed = []
    with desk.reading() as snapshot:
        for key, row in snapshot.scan(Table.JOURNAL, entry_key(after + 1)):
            listed.append(entry_document(int.from_bytes(key, "big"), unpack_entry(row)))
            if len(listed) == count:
                break
    if desk.as_json:
        print_json(listed)
        return
    for each in listed:
        rule = f" ({each['rule']})" if each["rule"] else ""
        who = each["who"]
        assert isinstance(who, dict)
        name = who["name"] or "-"
        click.echo(
            f"{each['number']}  {each['at']}  {name}  {each['action']} {each['object']}: {each['outcome']}{rule}"
        )
