"""``saltern resolve``: ask a node, as any platform would."""

from __future__ import annotations

import http.client
import json
from typing import Any, Final
from urllib.parse import quote

import click

from core import limits
from core.errors import NodeError, Outcome
from core.outcomes import HandleCode
from core.wire.jsonform import dump_values
from node import asking
from node.cli.common import Failure, Refused, json_option

_TIMEOUT_S: Final = 10
_PORTS: Final = {"http": 8000, "udp": 2641, "tcp": 2641}
_HOST: Final = "127.0.0.1"


@click.command()
@click.argument("identifier")
@click.option(
    "--server", metavar="HOST:PORT",
    help="节点地址 The node. 默认 Default: 127.0.0.1:8000 (http), 127.0.0.1:2641 (udp, tcp).",
)  # fmt: skip
@click.option("--over", type=click.Choice(list(_PORTS)), default="http", show_default=True, help="协议 Protocol.")
@json_option
def resolve(identifier: str, server: str | None, over: str, as_json: bool) -> None:
    """解析一个标识。Resolve an identifier.

    Over UDP and TCP a referral is followed, as from a top node to the node that is responsible.

    Example: saltern resolve 88.118.7/SKU01 --server 127.0.0.1:2641 --over udp --json
    """
    host, port = _place(server, over)
    try:
        answer = _over_http(host, port, identifier) if over == "http" else _over_handle(host, port, identifier, over)
    except (OSError, http.client.HTTPException, ValueError, NodeError) as error:
        reason = error.message if isinstance(error, NodeError) else str(error)
        message = f"节点无法应答 {host}:{port} does not answer as a node ({over}): {reason}"
        raise Refused(Outcome.INTERNAL.value, "", message) from None
    code = answer.get("responseCode")
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False, indent=2))
    elif code == HandleCode.SUCCESS:
        if "asked" in answer:
            click.echo(f"经转介 By referral: {' → '.join(answer['asked'])}", err=True)
        click.echo(answer["handle"])
        for value in answer["values"]:
            data = value["data"]["value"]
            text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
            click.echo(f"{value['index']:>6}  {value['type']:<12} {text}")
    if code != HandleCode.SUCCESS:
        reason = HandleCode(code).name.lower().replace("_", " ") if code in set(HandleCode) else str(code)
        raise Failure(f"{identifier}: {reason} ({code}) {answer.get('message', '')}".strip())


def _place(server: str | None, over: str) -> tuple[str, int]:
    if server is None:
        return _HOST, _PORTS[over]
    host, colon, port = server.rpartition(":")
    if not colon or not port.isdecimal() or not host:
        raise click.UsageError("--server 应为 主机:端口 wants HOST:PORT")
    return host.strip("[]"), int(port)


def _over_handle(host: str, port: int, identifier: str, over: str) -> dict[str, Any]:
    """Return the answer in the JSON form of the HTTP interface. Errors: OSError, WireError."""
    reply, asked = asking.resolve(host, port, identifier, over)
    answer: dict[str, Any] = {"responseCode": reply.code}
    if reply.code == HandleCode.SUCCESS:
        answer["handle"] = reply.handle
    if reply.message:
        answer["message"] = reply.message
    if reply.values is not None:
        answer["values"] = json.loads(dump_values(reply.values))
    if len(asked) > 1:
        answer["asked"] = [f"[{at}]:{port}" if ":" in at else f"{at}:{port}" for at, port in asked]
    return answer | {"handle": reply.handle}


def _over_http(host: str, port: int, identifier: str) -> dict[str, Any]:
    """Errors: OSError, HTTPException, ValueError."""
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/api/handles/" + quote(identifier, safe="/"))
        body = connection.getresponse().read(2 * limits.RECORD_BYTES_MAX * 6)
        answer = json.loads(body)
    finally:
        connection.close()
    if not isinstance(answer, dict):
        raise ValueError("no JSON object")
    return dict(answer)
