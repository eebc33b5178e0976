"""``saltern prefix``: apply, review, show, list, suspend, resume, delete."""

from __future__ import annotations

from typing import Any, BinaryIO

import click

from core import clock, limits
from core.errors import Outcome
from core.ident.handle import PrefixKey, check_prefix
from core.lifecycle import STATE_LABELS, State
from core.store.application_rows import unpack_application
from core.store.engine import Table
from core.store.holding import hold_on_prefix
from core.store.prefix_rows import HOSTINGS
from core.store.upstream_rows import upstreams
from node import wiring
from node.cli.acts import Desk, evidence_option, governed, read_evidence, read_form, reason_option
from node.cli.common import Commands, dry_run_option, print_json
from node.writing import is_running
from registry.commands import ApplyPrefix, MovePrefix, ReviewPrefix, SitePrefix
from registry.documents import application_document, application_summary
from registry.prefixes import dump_application
from registry.refusals import refusal
from sync.standing import link_state

_LOOK_S = 0.2  # between two looks for a verdict
_NEXT = {
    State.DRAFT: "再次执行 apply（不带 --draft）即提交 Apply again without --draft to submit it",
    State.SUBMITTED: "待审核人核验主体 Reviewers verify the party: saltern party verify {party} --method manual",
    State.VERIFYING: "待审核 A reviewer decides: saltern prefix review {prefix} --approve",
    State.NEEDS_CORRECTION: "更正后重新申请 Amend it, then apply again",
    State.NATIONAL_REVIEW: (
        "本节点已通过，等待国家顶级节点审核 Approved here; waits for the review of the national node: "
        "saltern prefix show {prefix}"
    ),
    State.ALLOCATED: "待提供解析站点 The site is awaited: saltern prefix site {prefix} --file site.json",
}


@click.group(cls=Commands)
def prefix() -> None:
    """前缀：申请、审核、站点、暂停、恢复、删除、转移。Prefixes: apply, review, site, suspend, resume, end, transfer."""


@prefix.command()
@click.argument("name", metavar="PREFIX")
@click.option("--party", required=True, metavar="ID", help="申请的主体 The party that applies.")
@click.option(
    "--hosting", type=click.Choice(HOSTINGS), default=HOSTINGS[0], show_default=True,
    help="hosted 由本节点托管，delegated 由企业节点解析 hosted: records live here; delegated: at the enterprise's.",
)  # fmt: skip
@click.option(
    "--site", type=click.File("rb"), help="企业节点的站点（JSON）Site of the enterprise's node, as in /api/site."
)
@click.option("--draft", is_flag=True, help="只存为草稿 Keep it as a draft.")
@dry_run_option
@governed
def apply(desk: Desk, name: str, party: str, hosting: str, site: BinaryIO | None, draft: bool, dry_run: bool) -> None:
    """申请前缀，或更正后重新申请。Apply for a prefix, or again after a correction.

    Example: saltern prefix apply 88.118.7 --party P000001 --hosting hosted --actor 张经办
    """
    octets = b"" if site is None else read_form(site) or b" "  # an empty file is a site that cannot be read
    command = ApplyPrefix(name, party, hosting, octets, draft)
    _tell(desk, desk.run(command, dry_run=dry_run))


@prefix.command()
@click.argument("name", metavar="PREFIX")
@click.option("--approve", is_flag=True, help="通过 Approve.")
@click.option("--reject", default="", metavar="REASON", help="拒绝，附理由 Reject, and why.")
@click.option(
    "--correct", multiple=True, metavar="FIELD=REASON", help="要求更正，可重复 Ask for a correction; repeatable."
)
@dry_run_option
@governed
def review(desk: Desk, name: str, approve: bool, reject: str, correct: tuple[str, ...], dry_run: bool) -> None:
    """审核申请：通过、拒绝或要求更正。Review an application. Whoever applied may not.

    Where a top node is connected an approval goes on to its review: the prefix waits in national-review.

    Example: saltern prefix review 88.118.7 --correct address=与营业执照不符 --actor 李审核
    """
    if approve + bool(reject) + bool(correct) != 1:
        raise click.UsageError("须给出其一 Give exactly one of: --approve, --reject REASON, --correct FIELD=REASON")
    corrections = []
    for each in correct:
        field, equals, reason = each.partition("=")
        if not (equals and field and reason.strip()):
            raise click.UsageError(f"--correct 形如 wants FIELD=REASON, got {each!r}")
        corrections.append((field.strip(), reason))
    told = desk.run(ReviewPrefix(name, approve, reject, tuple(corrections)), dry_run=dry_run)
    if approve and not dry_run and told["state"] == State.NATIONAL_REVIEW.value and _may_come_soon(desk):
        told = _await_verdict(desk, told)
    _tell(desk, told)


def _may_come_soon(desk: Desk) -> bool:
    """Whether a node runs that asks for verdicts, and a top node that answers."""
    with desk.reading() as snapshot:
        links = [link_state(snapshot, upstream) for upstream, _ in upstreams(snapshot)]
    return any(link.told_ms and not link.fault for link in links) and is_running(desk.config)


def _await_verdict(desk: Desk, told: dict[str, Any]) -> dict[str, Any]:
    """Return the application once the running node has brought a verdict, or as it is after UPSTREAM_VERDICT_S."""
    deadline_s = clock.monotonic_s() + limits.UPSTREAM_VERDICT_S
    key = told["prefix"].encode()
    while clock.monotonic_s() < deadline_s:
        clock.pause(_LOOK_S)
        with desk.reading() as snapshot:
            row = snapshot.get(Table.APPLICATIONS, key)
        now = None if row is None else dump_application(key, unpack_application(row))
        if now is not None and now["state"] != told["state"]:
            return now
    return told


@prefix.command()
@click.argument("name", metavar="PREFIX")
@click.option("--file", "file", type=click.File("rb"), required=True, help="站点（JSON）Site, as in /api/site.")
@dry_run_option
@governed
def site(desk: Desk, name: str, file: BinaryIO, dry_run: bool) -> None:
    """给出委托前缀的解析站点。Give the service site of a delegated prefix.

    Example: saltern prefix site 88.118.7 --file site.json --config my-node/node.toml
    """
    _tell(desk, desk.run(SitePrefix(name, read_form(file)), dry_run=dry_run))


def _move(event: str, zh: str, en: str, *, evidence_required: bool) -> None:
    """Add a command that moves a prefix."""

    @click.argument("name", metavar="PREFIX")
    @reason_option
    @evidence_option(required=evidence_required)
    @dry_run_option
    @governed
    def run(desk: Desk, name: str, reason: str, evidence: BinaryIO | None, dry_run: bool) -> None:
        command = MovePrefix(name, event, reason, read_evidence(evidence).digest)
        _tell(desk, desk.run(command, dry_run=dry_run))

    run.__doc__ = f"""{zh}{en}

    Example: saltern prefix {event} 88.118.7 --reason 监管要求 --evidence order.pdf --actor 张经办
    """
    prefix.command(event)(run)


_move("suspend", "暂停前缀的解析与注册。", "Stop resolution and registration below a prefix.", evidence_required=True)
_move("resume", "恢复已暂停的前缀。", "Resume a prefix that is suspended.", evidence_required=False)
_move("delete", "删除前缀；记录保留但不再解析。", "End a prefix; its records stay, unserved.", evidence_required=True)


@prefix.command()
@click.argument("name", metavar="PREFIX")
@governed
def show(desk: Desk, name: str) -> None:
    """显示前缀的申请、状态与经过。Show a prefix: its state, and how it came about.

    Example: saltern prefix show 88.118.7 --config my-node/node.toml
    """
    key = check_prefix(name, wiring.handle_rules(desk.config))
    with desk.reading() as snapshot:
        row = snapshot.get(Table.APPLICATIONS, key)
        hold = hold_on_prefix(snapshot, key)
    if row is None:
        raise refusal("prefix-not-found", Outcome.NOT_FOUND, prefix=name)
    document = application_document(key, unpack_application(row), hold)
    if desk.as_json:
        print_json(document)
        return
    click.echo(_line(document))
    for step in document["steps"]:
        reason = f": {step['reason']}" if step["reason"] else ""
        click.echo(f"  {step['at']} {step['event']} → {step['state']}, {step['who']}{reason}")


@prefix.command("list")
@governed
def list_prefixes(desk: Desk) -> None:
    """列出前缀及其状态。List the prefixes and their states.

    Example: saltern prefix list --config my-node/node.toml
    """
    with desk.reading() as snapshot:
        listed = [
            application_summary(key, unpack_application(row), hold_on_prefix(snapshot, PrefixKey(key)))
            for key, row in snapshot.scan(Table.APPLICATIONS, b"")
        ]
    if desk.as_json:
        print_json(listed)
        return
    for each in listed:
        click.echo(_line(each))


def _tell(desk: Desk, told: dict[str, Any]) -> None:
    state = State(told["state"])
    onward = _NEXT.get(state, "").format(prefix=told["prefix"], party=told["party"])
    corrections = "".join(f"\n  {each['path']}: {each['reason']}" for each in told["corrections"])
    desk.say(told, _line(told) + (f"\n  {onward}" if onward else "") + corrections)


def _line(document: dict[str, Any]) -> str:
    label = STATE_LABELS[State(document["state"])]
    holder = document["party"] or "运营者 the operator"
    orders = ", ".join(document.get("on_hold", ()))
    hold = f"  依令停止解析 on hold: {orders}" if orders else ""
    return f"{document['prefix']}  {label} {document['state']}  {document['hosting']}  {holder}{hold}"
