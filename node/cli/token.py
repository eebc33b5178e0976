"""``saltern token``: bearer tokens of those who use the management API from elsewhere."""

from __future__ import annotations

from typing import Any

import click

from core import limits
from core.store.bearer_rows import unpack_bearer
from core.store.engine import Table
from node.cli.acts import Desk, governed
from node.cli.common import Commands, print_json
from registry.bearers import ROLES, dump_bearer
from registry.commands import IssueBearer, RevokeBearer


@click.group(cls=Commands)
def token() -> None:
    """令牌：签发、列出、吊销。Tokens: issue, list, revoke."""


@token.command()
@click.option("--role", required=True, type=click.Choice([role.value for role in ROLES]), help="角色 The role.")
@click.option("--holder", required=True, metavar="NAME", help="持有人姓名 Who holds it.")
@click.option("--party", default="", metavar="ID", help="企业令牌的主体 The party of an enterprise's token.")
@click.option(
    "--days", default=limits.BEARER_DAYS, show_default=True, type=click.IntRange(1, limits.BEARER_DAYS_MAX),
    help="有效天数 Days that it lives.",
)  # fmt: skip
@governed
def issue(desk: Desk, role: str, holder: str, party: str, days: int) -> None:
    """签发令牌；令牌只显示这一次。Issue a token, which is shown this once.

    Example: saltern token issue --role auditor --holder 王审计 --days 30 --config my-node/node.toml
    """
    told = desk.run(IssueBearer(role, holder, party, days))
    desk.say(told, f"{told['secret']}\n{_line(told)}\n只显示一次，请妥善保存 Shown once: keep it safe")


@token.command()
@click.argument("name", metavar="ID")
@governed
def revoke(desk: Desk, name: str) -> None:
    """吊销令牌，立即生效。End a token at once.

    Example: saltern token revoke 0a1b2c3d4e5f --config my-node/node.toml
    """
    desk.say(told := desk.run(RevokeBearer(name)), f"已吊销 Revoked: {_line(told)}")


@token.command("list")
@governed
def list_tokens(desk: Desk) -> None:
    """列出令牌。List the tokens.

    Example: saltern token list --config my-node/node.toml
    """
    with desk.reading() as snapshot:
        listed = [dump_bearer(key.decode(), unpack_bearer(row)) for key, row in snapshot.scan(Table.BEARERS, b"")]
    if desk.as_json:
        print_json(listed)
        return
    for each in listed:
        click.echo(_line(each))


def _line(each: dict[str, Any]) -> str:
    ended = f"已吊销 revoked {each['revoked']}" if each["revoked"] else f"至 until {each['expires']}"
    party = f" {each['party']}" if each["party"] else ""
    return f"{each['token']}  {each['role']}{party}  {each['holder']}  {ended}"
