"""The chapter of ``saltern demo`` about a top node: what is registered appears there, through an outage as well."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

from core import clock
from node.demo_stage import chapter, command, http_call, output, refused, running, say, wait_for

_NEW: Final = "{prefix}/NEW-SALT"


@contextmanager
def top_node(
    folder: Path, config: Path, ready: dict[str, Any], bag: str, *, identifiers: int
) -> Iterator[dict[str, Any]]:
    """Connect a node to a reference top node, take that away, and have it back; give its ready line.

    ``bag``: a unit of a lot; ``identifiers``: how many products and lots are registered.
    """
    top = folder / "top" / "topnode.toml"
    at_node = ("--config", str(config))
    chapter("5. 顶级节点 A top node above", "saltern topnode init TOP; saltern topnode serve --config TOP/topnode.toml")
    output("topnode", "init", str(top.parent))
    with _top_node(top) as above:
        say("   参考顶级节点，并非国家顶级节点 a reference top node, not the national one")
        url = f"http://127.0.0.1:{above['http']}"
        chapter(
            "   连接，报送 Connect it, and it is told everything:", f"saltern sync connect --url {url} --key top.pub"
        )
        command("sync", "connect", "--url", url, "--key", str(top.parent / "keys" / "top.pub"), *at_node)
        began = clock.monotonic_s()
        node = _node_above(above)
        tables = _await_rows(above, node, identifiers)
        say(f"   {clock.monotonic_s() - began:.1f} s 后，上级持有 later it holds:")
        say(f"      T2 解析路由 routes {tables['T2']['rows']}, T9 标识 identifiers {tables['T9']['rows']}")
        chapter("   一批一行 A lot is one row above:", f"saltern topnode rows {node['prefix']} T9")
        _show_lot(top, node["prefix"], bag)
        chapter(
            "   只认识顶级节点的客户端解析一袋 A client that knows only the top node resolves a bag:",
            f"saltern resolve {bag} --server TOP --over udp",
        )
        say(f"   TOP = 127.0.0.1:{above['handle']}")
        command(
            "resolve",
            bag,
            "--server",
            f"127.0.0.1:{above['handle']}",
            "--over",
            "udp",
            show="referral|DESC|STATE|LEVEL",
        )

    new = _NEW.format(prefix=node["prefix"])
    chapter("   顶级节点断电 The top node goes away:", f"kill -9; saltern record put {new} --url …; saltern sync run")
    command("record", "put", new, "--url", "https://p001.example.cn/new", *at_node)
    _show_local(ready, new, bag)
    say(f"   {refused('sync', 'run', *at_node)}")
    chapter("   什么在等待 What waits:", "saltern sync status")
    command("sync", "status", *at_node, show=r"http|since|T9 ")

    ports = ("--set", f"http.port={above['http']}", "--set", f"handle.port={above['handle']}")
    chapter("   恢复供电 It comes back:", "saltern topnode serve …; saltern sync run; saltern sync verify")
    with _top_node(top, *ports) as above:
        command("sync", "run", *at_node)
        command("sync", "verify", *at_node, show=r"T2 |T9 |equal")
        yield above


def _top_node(config: Path, *ports: str) -> AbstractContextManager[dict[str, Any]]:
    """Run it, on free ports where none are given; it ends by SIGKILL."""
    free = ("--set", "http.port=0", "--set", "https.port=0", "--set", "handle.port=0")
    options = ("--config", str(config), "--set", "probe.period=0", *(ports or free))
    return running("topnode", "serve", *options, log_file=config.parent / "topnode.log", kill=True)


def _node_above(above: dict[str, Any]) -> dict[str, Any]:
    node: dict[str, Any] = json.loads(http_call(above, "GET", "/v1/nodes")[2])["nodes"][0]
    return node


def _await_rows(above: dict[str, Any], node: dict[str, Any], identifiers: int) -> dict[str, Any]:
    """Return the tables that the top node holds, once they are all there."""
    tables: dict[str, Any] = {}

    def are_there() -> bool:
        nonlocal tables
        tables = json.loads(http_call(above, "GET", f"/v1/nodes/{node['id']}/tables")[2])["tables"]
        return bool(tables["T9"]["rows"] == identifiers)

    wait_for(are_there, "the top node was not told everything")
    return tables


def _show_lot(top: Path, prefix: str, bag: str) -> None:
    """Show the row of the lot of a bag, without what is not known."""
    lines = output("topnode", "rows", prefix, "T9", "--count", "1000", "--config", str(top)).splitlines()
    for line in lines:
        key, _, row = line.partition("  ")
        values = json.loads(row)
        if values["count"] and bag.startswith(key):
            known = {name: value for name, value in values.items() if value is not None}
            say(f"   {json.dumps(known, ensure_ascii=False)}")
            return


def _show_local(ready: dict[str, Any], *handles: str) -> None:
    for handle in handles:
        status, _, _ = http_call(ready, "GET", f"/api/handles/{handle}")
        say(f"   GET /api/handles/{handle}  {status}")
