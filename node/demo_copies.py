"""The chapters of ``saltern demo`` about copies of a node: a top node answers from one, a backup is put back."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

from core import clock
from node.demo_stage import chapter, command, http_call, output, running, say, wait_for

_NEW: Final = "{prefix}/EMERGENCY"
_WHY: Final = "断电"
_BACK: Final = "已恢复供电"


def deposit(config: Path, top: Path, above: dict[str, Any]) -> None:
    """Make a deposit of a running node and send it up, where it becomes a copy."""
    key = top.parent / "keys" / "escrow.pub"
    chapter(
        "7. 托管与接管 Escrow and takeover",
        "saltern sync escrow --type full --to-key TOP/keys/escrow.pub …; saltern sync run",
    )
    with config.open("a", encoding="utf-8") as file:
        file.write(f"\n[escrow]\nto_key = {json.dumps(str(key))}\n")
    out = config.parent / "data" / "escrow"
    at_node = ("--config", str(config))
    command("sync", "escrow", "--type", "full", "--out", str(out), "--to-key", str(key), *at_node, show="serial")
    output("sync", "run", *at_node)
    copies: list[dict[str, Any]] = []

    def is_there() -> bool:
        copies[:] = json.loads(http_call(above, "GET", "/v1/copies")[2])["copies"]
        return bool(copies)

    wait_for(is_there, "the deposit was not accepted")
    say(f"   上级已接受，据此建立副本 accepted above, and a copy is made of it: {copies[0]['deposit']}")


def stand_in(top: Path, above: dict[str, Any], prefix: str, bag: str) -> str:
    """Take over a node that was killed; return the handle of what is registered in an emergency."""
    at_top = ("--config", str(top))
    chapter(
        "   节点断电，顶级节点代为解析 The node is killed, the top node answers:",
        f"kill -9; saltern topnode takeover {prefix}",
    )
    say("   此处由人决定，探测须两个周期 decided by hand here: probes take two periods of 10 s")
    command("topnode", "takeover", prefix, "--reason", _WHY, *at_top)
    command(
        "resolve", bag, "--server", f"127.0.0.1:{above['handle']}", "--over", "udp", show="referral|DESC|STATE|LEVEL"
    )
    new = _NEW.format(prefix=prefix)
    chapter("   其间应急登记 Registered there meanwhile:", f"PUT /emergency/{prefix}/records/{new}")
    issued = output("topnode", "emergency-token", prefix, "--prefix", prefix, "--for", "张三", "--json", *at_top)
    values = [{"index": 1, "type": "URL", "data": "https://p001.example.cn/emergency"}]
    path = f"/emergency/{prefix}/records/{new}"
    headers = {"Authorization": f"Bearer {json.loads(issued)['secret']}"}
    status, _, body = http_call(above, "PUT", path, headers, json.dumps(values).encode())
    say(f"   {status} {body.decode()}")
    return new


def hand_back(top: Path, above: dict[str, Any], prefix: str, ready: dict[str, Any], new: str) -> None:
    """Give a node back what was registered for it, now that it runs again."""
    chapter("   移交 Hand-back:", f"saltern topnode release {prefix}; GET /api/handles/{new}")
    output("topnode", "release", prefix, "--reason", _BACK, "--config", str(top))
    (node,) = json.loads(http_call(above, "GET", "/v1/nodes")[2])["nodes"]
    probes = f"/v1/nodes/{node['id']}/probes"
    wait_for(
        lambda: bool(json.loads(http_call(above, "GET", probes)[2])["state"] == "normal"),
        "what was registered was not handed back",
    )
    status, _, _ = http_call(ready, "GET", f"/api/handles/{new}")
    say(f"   {new}  {status}，节点已有 the node has it")
    command("topnode", "takeovers", "--config", str(top), show="→")


def back_up(config: Path, folder: Path, ready: dict[str, Any], bag: str) -> bytes:
    """Back up a running node, and write its report; return what it answers for a bag."""
    at_node = ("--config", str(config))
    month = clock.shanghai_month(clock.now_ms())
    chapter("9. 月度报告 The report of the month, so far", f"saltern report month {month} --out REPORTS")
    command("report", "month", month, "--out", str(folder / "reports"), *at_node, show="so far")
    say(f"   {', '.join(sorted(path.name for path in (folder / 'reports').iterdir()))}")
    chapter("10. 备份与恢复 Back up, put back", "saltern backup --to BACKUP; saltern restore --from BACKUP --to NEW")
    output("backup", "--to", str(folder / "backup"), *at_node)
    return http_call(ready, "GET", f"/api/handles/{bag}")[2]


def put_back(folder: Path, ports: tuple[str, ...], bag: str, answered: bytes) -> None:
    """Put the backup back into a folder of its own; compare what that node answers with what was answered."""
    command("restore", "--from", str(folder / "backup"), "--to", str(folder / "new"), show="序号|日志")
    config = folder / "new" / "node.toml"
    restored: AbstractContextManager[dict[str, Any]] = running(
        "serve", "--config", str(config), *ports, log_file=folder / "new.log", kill=True
    )
    with restored as ready:
        same = http_call(ready, "GET", f"/api/handles/{bag}")[2] == answered
    say(f"   {bag}: {'应答与原节点相同 the same answer as before' if same else '应答不同 another answer'}")
