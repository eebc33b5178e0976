"""``saltern party``: file, verify, show and list the enterprises and persons who may hold a prefix."""

from __future__ import annotations

from typing import BinaryIO

import click

from core import clock
from core.errors import Outcome
from core.party.fields import FIELDS
from core.store.engine import Table
from core.store.holding import hold_on_party
from core.store.party_rows import Verified, unpack_party
from node import wiring
from node.cli.acts import Desk, evidence_option, governed, read_evidence, read_form
from node.cli.common import Commands, Refused, dry_run_option, print_json
from node.key_file import PARTY_KEYS, add_key
from registry.commands import AddParty, AmendParty, ConfirmParty, ReadIdentity, RekeyParties, VerifyParty
from registry.documents import SEALED, party_document
from registry.refusals import refusal
from registry.verification import MANUAL

_LABELS = {field.name: field.label for field in FIELDS}
_STATES = {"unverified": "未核验", "format-ok": "形式核验通过", "verified": "已核验", "failed": "核验未通过"}

file_option = click.option(
    "--file", "file", type=click.File("rb"), required=True,
    help="主体资料的 JSON 对象，- 为标准输入 Subject data, a JSON object; - is standard input.",
)  # fmt: skip


@click.group(cls=Commands)
def party() -> None:
    """主体：登记、核验、更正、确认、查看。Parties: add, verify, amend, confirm, show, list, rekey."""


@party.command()
@file_option
@dry_run_option
@governed
def add(desk: Desk, file: BinaryIO, dry_run: bool) -> None:
    """登记一个主体。File a party.

    Every wrong field is told at once, and then nothing is stored. Identity data is encrypted at rest.

    Example: saltern party add --file enterprise.json --config my-node/node.toml
    """
    told = desk.run(AddParty(read_form(file)), dry_run=dry_run)
    desk.say(told, f"{'可登记 Would be filed' if dry_run else '已登记 Filed'}: {told['party']}")


@party.command()
@click.argument("name", metavar="ID")
@file_option
@dry_run_option
@governed
def amend(desk: Desk, name: str, file: BinaryIO, dry_run: bool) -> None:
    """更正主体资料：只需给出要改的字段。Amend a party: only the fields that change are given.

    A change of name, code, region or legal representative is to be verified again.

    Example: saltern party amend P000001 --file corrected.json --config my-node/node.toml
    """
    told = desk.run(AmendParty(name, read_form(file)), dry_run=dry_run)
    changed = ", ".join(told["changed"]) or "无 none"
    desk.say(told, f"{name}: 已更正 Amended: {changed}; {_STATES[told['verification']]} {told['verification']}")


@party.command()
@click.argument("name", metavar="ID")
@click.option(
    "--method", required=True, metavar="offline|manual",
    help="offline 核对形式与一致性；manual 由两名审核人各审核一次 offline checks form and consistency; manual takes "
    "two reviewers, one after the other.",
)  # fmt: skip
@evidence_option()
@click.option("--failed", default="", metavar="REASON", help="审核不通过的理由 Found wrong by hand, and why.")
@dry_run_option
@governed
def verify(desk: Desk, name: str, method: str, evidence: BinaryIO | None, failed: str, dry_run: bool) -> None:
    """核验主体身份。Verify the identity of a party.

    Of the file only the SHA-256 is kept; offline compares name, uscc and region with it if it is a JSON object.
    Exit code 1 where a method finds it wrong; what a reviewer says with --failed is done as he says.

    Example: saltern party verify P000001 --method manual --evidence licence.pdf --actor 李审核
    """
    digest, document = read_evidence(evidence)
    told = desk.run(VerifyParty(name, method, digest, document, failed), dry_run=dry_run)
    if told["verification"] == Verified.FAILED.value and method != MANUAL:
        reason = f"{name}: 核验未通过。The party is not what it should be: {told['note']}"
        raise Refused(Verified.FAILED.value, "", reason, told)
    note = f": {told['note']}" if told["note"] else ""
    desk.say(told, f"{name}: {_STATES[told['verification']]} {told['verification']} ({told['source']}){note}")


@party.command()
@click.argument("name", metavar="ID")
@governed
def confirm(desk: Desk, name: str) -> None:
    """确认联系信息仍然有效。Say that the contact of a party was asked and is still right.

    Example: saltern party confirm P000001 --config my-node/node.toml
    """
    told = desk.run(ConfirmParty(name))
    desk.say(told, f"{name}: 已确认 Confirmed")


@party.command()
@click.argument("name", metavar="ID")
@click.option("--identity", is_flag=True, help="也显示身份信息 Show identity data, too.")
@governed
def show(desk: Desk, name: str, identity: bool) -> None:
    """显示一个主体。Show a party; identity data only with --identity, which the journal tells.

    Example: saltern party show P000001 --config my-node/node.toml
    """
    with desk.reading() as snapshot:
        row = snapshot.get(Table.PARTIES, name.encode())
        hold = hold_on_party(snapshot, name)
    if row is None:
        raise refusal("party-not-found", Outcome.NOT_FOUND, party=repr(name[:40]))
    found = unpack_party(row)
    hidden = desk.run(ReadIdentity(name))["identity"] if identity else dict.fromkeys(found.sealed, SEALED)
    document = party_document(name, found, hidden, hold)
    if desk.as_json:
        print_json(document)
        return
    verification = document.pop("verification")
    if document.pop("awaits_identity"):
        click.echo(
            f"由转移而来，身份信息待补齐 It came by a transfer, complete it: saltern party amend {name} --file FILE"
        )
    orders = document.pop("on_hold")
    if orders:
        click.echo(f"依令停止解析 On hold: {', '.join(orders)}")
    for field, value in document.items():
        shown = "; ".join(value) if isinstance(value, list) else value
        click.echo(f"{field} {_LABELS.get(field, '')}: {shown}")
    click.echo(f"verification 核验: {_STATES[verification['state']]} {verification['state']}")
    for step in verification["steps"]:
        click.echo(f"  {step['at']} {step['method']} → {step['result']}: {step['source']}, {step['who']}")


@party.command("list")
@governed
def list_parties(desk: Desk) -> None:
    """列出主体。List the parties, with those whose contact is to be confirmed again.

    Example: saltern party list --config my-node/node.toml
    """
    policy, now_ms = wiring.policy(desk.config), clock.now_ms()
    with desk.reading() as snapshot:
        rows = [(key.decode(), unpack_party(row)) for key, row in snapshot.scan(Table.PARTIES, b"")]
    listed = [
        {
            "party": name,
            "name": row.plain.get("name", SEALED),
            "verification": row.state.value,
            "overdue": policy.is_overdue(row, now_ms),
            "awaits_identity": not row.sealed,  # it came with a prefix from another node
        }
        for name, row in rows
    ]
    if desk.as_json:
        print_json(listed)
        return
    for each in listed:
        overdue = "  联系信息待确认 contact to be confirmed" if each["overdue"] else ""
        awaited = "  身份信息待补齐 identity awaited" if each["awaits_identity"] else ""
        click.echo(f"{each['party']}  {_STATES[str(each['verification'])]}  {each['name']}{overdue}{awaited}")


@party.command()
@governed
def rekey(desk: Desk) -> None:
    """更换身份信息的密钥并重新加密。Make a new key of identity data, and seal all of it anew.

    The old keys stay in the key file, for backups that were made with them.

    Example: saltern party rekey --config my-node/node.toml
    """
    number = add_key(wiring.key_file(desk.config, PARTY_KEYS), PARTY_KEYS)
    told = desk.run(RekeyParties())
    parties, complaints = told["rekeyed"], told["complaints"]
    desk.say(
        told, f"密钥 Key {number}: {parties} 个主体、{complaints} 件投诉已重新加密 "
        f"{parties} parties and {complaints} complaints were sealed anew",
    )  # fmt: skip
