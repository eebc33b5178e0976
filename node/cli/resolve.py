"""``saltern resolve``: ask a node, as any platform would."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import quote

import click

from core import limits
from core.outcomes import HandleCode
from node.cli.common import Failure, json_option

_TIMEOUT_S = 10


@click.command()
@click.argument("identifier")
@click.option("--server", default="127.0.0.1:8000", show_default=True, metavar="HOST:PORT", help="节点地址 The node.")
@click.option("--over", type=click.Choice(["http"]), default="http", show_default=True, help="协议 Protocol.")
@json_option
def resolve(identifier: str, server: str, over: str, as_json: bool) -> None:
    """解析一个标识。Resolve an identifier.

    Example: saltern resolve 88.118.7/SKU01 --server 127.0.0.1:8000 --json
    """
    host, colon, port = server.rpartition(":")
    if not colon or not port.isdecimal() or not host:
        raise click.UsageError("--server 应为 主机:端口 wants HOST:PORT")
    answer = _get(host.strip("[]"), int(port), identifier)
    code = answer.get("responseCode")
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False, indent=2))
    elif code == HandleCode.SUCCESS:
        click.echo(answer["handle"])
        for value in answer["values"]:
            data = value["data"]["value"]
            text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
            click.echo(f"{value['index']:>6}  {value['type']:<12} {text}")
    if code != HandleCode.SUCCESS:
        reason = HandleCode(code).name.lower().replace("_", " ") if code in set(HandleCode) else str(code)
        raise Failure(f"{identifier}: {reason} ({code}) {answer.get('message', '')}".strip())


def _get(host: str, port: int, identifier: str) -> dict[str, Any]:
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/api/handles/" + quote(identifier, safe="/"))
        body = connection.getresponse().read(2 * limits.RECORD_BYTES_MAX * 6)
        answer = json.loads(body)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Failure(f"节点无法应答 {host}:{port} does not answer as a node: {error}") from None
    finally:
        connection.close()
    if not isinstance(answer, dict):
        raise Failure(f"{host}:{port} does not answer as a node")
    return dict(answer)
