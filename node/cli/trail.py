"""``saltern changes`` and ``saltern journal``: what was changed, and who did or was refused what."""

from __future__ import annotations

import itertools

import click

from core import limits
from core.changes import Serial, unpack_change
from core.store.engine import Table
from core.store.journal_rows import LAST_ENTRY_KEY, entry_key, unpack_entry
from node.cli.acts import Desk, governed
from node.cli.common import print_json
from registry.documents import change_document, entry_document

after_option = click.option(
    "--after", type=click.IntRange(0), help="此序号之后；默认最新的 Those behind this number; the newest by default."
)
count_option = click.option(
    "--count", default=100, show_default=True, type=click.IntRange(1, limits.LISTED_MAX), help="最多条数 At most."
)


def begin_after(after: int | None, count: int, last: int) -> int:
    """Return the number behind which a list begins: the one that was asked for, or that leaves the newest."""
    return max(last - count, 0) if after is None else after


def tell_rest(after: int | None, shown: list[int], last: int) -> None:
    """Say on standard error what was not shown. ``shown``: the numbers that were; ``last``: of all that there are."""
    if shown and shown[-1] < last:
        click.echo(
            f"还有 {last - shown[-1]} 条，请加 --after {shown[-1]}。"
            f"{last - shown[-1]} more follow: go on with --after {shown[-1]}",
            err=True,
        )
    elif after is None and shown and shown[0] > 1:
        click.echo(
            f"仅列出最新的 {len(shown)} 条；从头查看请加 --after 0。"
            f"These are the newest {len(shown)}; --after 0 begins at the first",
            err=True,
        )


@click.command()
@after_option
@count_option
@governed
def changes(desk: Desk, after: int | None, count: int) -> None:
    """查看变更流，最新的在最后。Read the change feed: every committed change, numbered without gaps.

    Example: saltern changes --after 100 --config my-node/node.toml
    """
    with desk.reading() as snapshot:
        last = int(snapshot.serial())
        rows = snapshot.feed(Serial(begin_after(after, count, last)), count)
        listed = [change_document(serial, unpack_change(row)) for serial, row in rows]
    tell_rest(after, [each["serial"] for each in listed], last)
    if desk.as_json:
        print_json(listed)
        return
    for each in listed:
        click.echo(f"{each['serial']}  {each['at']}  {each['kind']}  {each['identifier']}")


@click.command()
@after_option
@count_option
@governed
def journal(desk: Desk, after: int | None, count: int) -> None:
    """查看操作与拒绝记录，最新的在最后。Read the journal, the newest last: who did what, or which rule refused it.

    Example: saltern journal --config my-node/node.toml --json
    """
    with desk.reading() as snapshot:
        last = int.from_bytes(snapshot.get(Table.META, LAST_ENTRY_KEY) or b"", "big")
        rows = snapshot.scan(Table.JOURNAL, entry_key(begin_after(after, count, last) + 1))
        listed = [
            entry_document(int.from_bytes(key, "big"), unpack_entry(row)) for key, row in itertools.islice(rows, count)
        ]
    tell_rest(after, [each["number"] for each in listed], last)
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
