"""``saltern complaint``: what people complain of, and what is answered (Measures art. 12)."""

from __future__ import annotations

import click

from core import clock
from core.complaints import KINDS, LABELS, State
from core.store.complaint_rows import unpack_complaint
from core.store.engine import Table
from node.cli.acts import Desk, governed
from node.cli.common import Commands, print_json
from registry.commands import MoveComplaint, ReadContact
from registry.complaints import complaint_document, summary_document
from registry.reading import find_complaint


@click.group(cls=Commands)
def complaint() -> None:
    """投诉：列出、查看、受理、答复、不予受理、办结。Complaints: list, show, accept, answer, reject, close."""


@complaint.command("list")
@click.option("--state", type=click.Choice([state.value for state in State]), help="只列出此状态 Of this state alone.")
@click.option("--overdue", is_flag=True, help="只列出逾期未答复的 Only those that should have been answered.")
@governed
def list_complaints(desk: Desk, state: str | None, overdue: bool) -> None:
    """列出投诉。List the complaints, the oldest first.

    Example: saltern complaint list --overdue --config my-node/node.toml
    """
    now_ms = clock.now_ms()
    with desk.reading() as snapshot:
        rows = (
            summary_document(key.decode(), unpack_complaint(row), now_ms)
            for key, row in snapshot.scan(Table.COMPLAINTS, b"")
        )
        listed = [row for row in rows if (row["overdue"] or not overdue) and state in (None, row["state"])]
    if desk.as_json:
        print_json(listed)
        return
    for row in listed:
        late = "  逾期 overdue" if row["overdue"] else ""
        about = f"  {row['subject']}" if row["subject"] else ""
        click.echo(f"{row['ticket']}  {_state(row['state'])}  {row['deadline']}  {_kind(row['kind'])}{about}{late}")


@complaint.command()
@click.argument("ticket")
@click.option("--contact", is_flag=True, help="也显示投诉人联系方式 Show who filed it, too.")
@governed
def show(desk: Desk, ticket: str, contact: bool) -> None:
    """显示一件投诉及其经过。Show a complaint and its history.

    Who filed it is shown only with --contact, which the journal tells.

    Example: saltern complaint show C20261121-7KQ2M9XWTR --config my-node/node.toml
    """
    with desk.reading() as snapshot:
        name, found = find_complaint(snapshot, ticket)
    document = complaint_document(name, found, clock.now_ms())
    if contact:
        document["contact"] = desk.run(ReadContact(name))["contact"]
    if desk.as_json:
        print_json(document)
        return
    given = document["contact"]
    shown = "; ".join(f"{field} {text}" for field, text in given.items()) if contact else ", ".join(given)
    late = "  逾期 overdue" if document["overdue"] else ""
    click.echo(f"{name}  {_state(document['state'])}{late}")
    click.echo(f"类别 about: {_kind(document['kind'])}")
    click.echo(f"所涉标识 subject: {document['subject'] or '-'}")
    click.echo(f"答复期限 deadline: {document['deadline']}")
    click.echo(f"联系方式 contact: {shown or '-'}")
    click.echo(f"内容 text:\n{document['text']}")
    for step in document["steps"]:
        click.echo(f"  {step['at']} {step['event']} → {step['state']}: {step['who']}")
        if step["note"]:
            click.echo(f"    {step['note']}")


@complaint.command()
@click.argument("ticket")
@governed
def accept(desk: Desk, ticket: str) -> None:
    """受理投诉。Take a complaint in hand.

    Example: saltern complaint accept C20261121-7KQ2M9XWTR --actor 张客服
    """
    _move(desk, ticket, "accept")


@complaint.command()
@click.argument("ticket")
@click.option("--text", required=True, metavar="TEXT", help="答复，将公开 The reply, which is public.")
@governed
def answer(desk: Desk, ticket: str, text: str) -> None:
    """答复投诉。Answer a complaint. Whoever has the ticket reads it: leave personal data out.

    Example: saltern complaint answer C20261121-7KQ2M9XWTR --text "已更正 Corrected" --actor 张客服
    """
    _move(desk, ticket, "answer", text)


@complaint.command()
@click.argument("ticket")
@click.option("--reason", required=True, metavar="TEXT", help="理由，将公开 Why, which is public.")
@governed
def reject(desk: Desk, ticket: str, reason: str) -> None:
    """不予受理，并说明理由。Reject a complaint, and say why.

    Example: saltern complaint reject C20261121-7KQ2M9XWTR --reason "不属于本节点 Not of this node"
    """
    _move(desk, ticket, "reject", reason)


@complaint.command()
@click.argument("ticket")
@governed
def close(desk: Desk, ticket: str) -> None:
    """办结已答复的投诉。Close a complaint that was answered.

    Example: saltern complaint close C20261121-7KQ2M9XWTR --actor 张客服
    """
    _move(desk, ticket, "close")


def _move(desk: Desk, ticket: str, event: str, text: str = "") -> None:
    told = desk.run(MoveComplaint(ticket, event, text))
    desk.say(told, f"{told['ticket']}: {_state(told['state'])}")


def _state(name: str) -> str:
    return " ".join(LABELS[State(name)])


def _kind(name: str) -> str:
    return " ".join(KINDS[name])
