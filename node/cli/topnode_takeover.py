"""``saltern topnode``: probes of the nodes below, takeover, tokens for emergency registration."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from core import clock
from core.clock import format_instant
from core.errors import IdentifierError, Outcome
from core.ident.handle import HandleRules, check_prefix
from node.cli.acts import person
from node.cli.common import Refused, print_json, telling
from node.cli.topnode_common import Chosen, chosen_option, node_id_of, reason_option, words
from node.topnode_documents import (
    event_document,
    probe_document,
    watched_document,
)
from sync.topnode.rows import APPROVED, ASKED, REJECTED, WAITING
from sync.topnode.takeover_rows import Below, ProbeRow
from sync.topnode.takings import is_within

_VERDICTS: Final = {
    WAITING: "待审核 waiting",
    APPROVED: "已通过 approved",
    REJECTED: "已驳回 rejected",
    ASKED: "待补正 to be corrected",
}


@click.command()
@chosen_option
def probes(chosen: Chosen) -> None:
    """列出探测点：报告数、拒收数、与其他探测点相反者。List the probes: reports, refused ones, who differs.

    differs: nodes of which a probe alone said the contrary of all others in the last window.

    Example: saltern topnode probes --config my-top/topnode.toml --json
    """
    from node.topnode_probing import probe_terms

    keys = probe_terms(chosen.config, "").keys
    with chosen.takeovers() as takeovers:
        found = dict.fromkeys(keys, ProbeRow()) | takeovers.probes()
    listed = [probe_document(name, row) for name, row in sorted(found.items())]
    lines = [
        f"{each['name']:<16} {each['last'] or '-'}  报告 reports {each['reports']}  拒收 refused {each['refused']}"
        f"{' ' + ' '.join(each['why']) if each['why'] else ''}"
        f"{'  相反 differs: ' + ' '.join(each['differs']) if each['differs'] else ''}"
        for each in listed
    ]
    chosen.say(listed, "\n".join(lines) or "尚无探测 Nothing was probed yet")


@click.command()
@chosen_option
def takeovers(chosen: Chosen) -> None:
    """列出各节点的探测状态与每次状态变化。List how nodes are found by probes, and every change of state.

    Example: saltern topnode takeovers --config my-top/topnode.toml --json
    """
    with chosen.takeovers() as store:
        told = {
            "nodes": [watched_document(each) for each in store.states()],
            "events": [event_document(each) for each in store.events()],
        }
    lines = [f"{each['prefix']}  {each['state']}  {each['since'] or '-'}  {each['node']}" for each in told["nodes"]]
    lines += [f"  {_event_line(each)}" for each in told["events"]]
    chosen.say(told, "\n".join(lines) or "尚无探测 Nothing was probed yet")


@click.command()
@click.option("--top", "url", required=True, metavar="URL", help="顶级节点地址 Address of the top node.")
@click.option(
    "--key", "key_file", required=True, metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
    help="探测点私钥 Private key of the probe (Ed25519, PEM, mode 0600).",
)  # fmt: skip
@click.option("--name", required=True, metavar="NAME", callback=words, help="探测点名称 Name of the probe.")
@click.option("--rounds", type=click.IntRange(min=1), help="周期数，默认不停 Rounds; without it they go on.")
@click.option(
    "--ca", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
    help="签发顶级节点证书的 CA Certificates that the top node's must be signed by.",
)  # fmt: skip
def probe(url: str, key_file: Path, name: str, rounds: int | None, ca: Path | None) -> None:
    """在别处探测并上报顶级节点。Probe from elsewhere, and report to a top node.

    The first line that it prints has the vkey that belongs into probe.keys of the top node.

    Example: saltern topnode probe --top https://top.example.cn --key far.pem --name beijing
    """
    from node.outside_probe import probe_from_here

    with telling():
        if not probe_from_here(url, key_file, name, rounds=rounds, ca=ca, say=print_json):
            raise SystemExit(1)


@click.command()
@click.argument("node")
@reason_option
@chosen_option
def takeover(chosen: Chosen, node: str, reason: str) -> None:
    """人工接管节点：以托管副本应答，直到 release。Take a node over by hand: its copy answers until it is released.

    Example: saltern topnode takeover 88.118 --reason 机房断电 --config my-top/topnode.toml
    """
    from node.topnode_store import has_copy

    with chosen.store() as store:
        row = store.node(node_id_of(store, node))
    assert row is not None
    if not has_copy(chosen.config, row.node_id):
        raise Refused(Outcome.CONFLICT.value, "no-copy", f"{node}: 没有已接受的托管数据。No deposit of it was accepted")
    with chosen.takeovers() as takeovers:
        takeovers.begin(Below(row.node_id, row.prefix, row.codes), chosen.actor, reason, clock.now_ms())
        (event,) = takeovers.events(row.node_id, 1)
    chosen.say(event_document(event), _event_line(event_document(event)))


@click.command()
@click.argument("node")
@reason_option
@chosen_option
def release(chosen: Chosen, node: str, reason: str) -> None:
    """人工结束接管：先移交期间变更；再次执行则不再等待移交。End a takeover by hand.

    What was registered meanwhile is handed back first; whoever releases again waits for that no longer. Probes do not
    take the node over again before they found it good.

    Example: saltern topnode release 88.118 --reason 已恢复供电 --config my-top/topnode.toml
    """
    with chosen.store() as store:
        node_id = node_id_of(store, node)
    with chosen.takeovers() as takeovers:
        takeovers.release(node_id, chosen.actor, reason, clock.now_ms())
        (event,) = takeovers.events(node_id, 1)
    chosen.say(event_document(event), _event_line(event_document(event)))


@click.command(name="emergency-token")
@click.argument("node")
@click.option("--prefix", required=True, metavar="P", help="前缀 The prefix whose records may be changed.")
@click.option("--for", "name", required=True, metavar="NAME", callback=person, help="给谁 For whom.")
@chosen_option
def emergency_token(chosen: Chosen, node: str, prefix: str, name: str) -> None:
    """签发应急登记令牌，仅显示一次。Issue a token for emergency registration; it is shown once.

    It is good while a takeover of the node is on, for the records of one prefix.

    Example: saltern topnode emergency-token 88.118 --prefix 88.118.7 --for 张三 --config my-top/topnode.toml
    """
    from node.emergency_tokens import EmergencyTokens
    from node.topnode_settings import topnode_data

    try:
        folded = check_prefix(prefix, HandleRules()).decode()
    except IdentifierError as error:
        raise click.UsageError(f"--prefix: {error.message}") from None
    with chosen.store() as store:
        found = store.node(node_id_of(store, node))
    assert found is not None  # it was found by its id
    if not is_within(folded.encode(), found.codes):
        raise Refused(Outcome.INVALID_VALUE.value, "", f"{prefix}: 不在该节点之下。It is not below {found.prefix}")
    made, secret = EmergencyTokens(topnode_data(chosen.config)).issue(found.node_id, folded, name, clock.now_ms())
    told = {
        "token": made.token, "secret": secret, "node": made.node, "prefix": made.prefix, "for": made.name,
        "expires": format_instant(made.expires_ms),
    }  # fmt: skip
    chosen.say(told, f"{secret}\n有效至 It ends {told['expires']}; 编号 id {made.token}")


@click.command(name="emergency-tokens")
@click.option("--revoke", metavar="ID", help="吊销 End this one.")
@chosen_option
def emergency_tokens(chosen: Chosen, revoke: str | None) -> None:
    """列出或吊销应急登记令牌。List the tokens for emergency registration, or end one.

    Example: saltern topnode emergency-tokens --revoke 0f3a51c2d9e4 --config my-top/topnode.toml
    """
    from node.emergency_tokens import EmergencyTokens
    from node.topnode_settings import topnode_data

    tokens = EmergencyTokens(topnode_data(chosen.config))
    if revoke is not None and not tokens.revoke(revoke):
        raise Refused(Outcome.NOT_FOUND.value, "", f"{revoke}: 没有此令牌。There is no such token")
    listed = [
        {"token": each.token, "node": each.node, "prefix": each.prefix, "for": each.name,
         "expires": format_instant(each.expires_ms)}
        for each in tokens.listed()
    ]  # fmt: skip
    lines = (f"{each['token']}  {each['prefix']}  {each['for']}  {each['expires']}" for each in listed)
    chosen.say(listed, "\n".join(lines) or "没有令牌 No tokens")


def _event_line(told: dict[str, Any]) -> str:
    return (
        f"{told['at']}  {told['prefix']}  {told['before']} → {told['after']}  {told['takeover'] or '-'}  "
        f"{told['by'] or '探测 probes'}  {told['reason']}"
    )
