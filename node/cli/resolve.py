"""``saltern resolve``: ask a node, as any platform would."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

import click

from core import limits
from core.config import setting_named
from core.errors import NodeError, Outcome
from core.outcomes import STATUSES, HandleCode
from core.wire.jsonform import dump_values
from core.wire.site import PORTS
from node import asking
from node.cli.common import Failure, Refused, json_option
from resolver.recursion.identifiers import Asked, Kind, read_identifier

_TIMEOUT_S: Final = limits.RECURSION_S + 5
_PORTS: Final = {"http": 8000, "udp": 2641, "tcp": 2641, "dns": 5300}
_PORT_DIGITS: Final = 5
_HOST: Final = "127.0.0.1"
_OK: Final = STATUSES[Outcome.OK].http
_KINDS: Final = {"udp": Kind.HANDLE, "tcp": Kind.HANDLE, "dns": Kind.OID}


@click.command()
@click.argument("identifier")
@click.option(
    "--server", metavar="HOST:PORT",
    help="节点地址 The node. 默认 Default: 127.0.0.1:8000 (http), 127.0.0.1:2641 (udp, tcp), 127.0.0.1:5300 (dns).",
)  # fmt: skip
@click.option("--over", type=click.Choice(list(_PORTS)), default="http", show_default=True, help="协议 Protocol.")
@json_option
def resolve(identifier: str, server: str | None, over: str, as_json: bool) -> None:
    """解析一个标识。Resolve an identifier.

    A handle, an OID, a GS1 Digital Link or KIND:VALUE (gtin gtin+lot gtin+serial sscc gln oid ecode bid vaa). Over
    http the node asks others, too, where it resolves for others (resolver.recursive). Over udp and tcp handles alone,
    and a referral is followed, as from a top node to the node that is responsible; over dns OIDs alone.

    Example: saltern resolve 88.118.7/SKU01 --server 127.0.0.1:2641 --over udp --json
    """
    host, port = _place(server, over)
    asked = read_identifier(identifier)
    if asked.kind is not _KINDS.get(over, asked.kind):
        wanted = _KINDS[over].value
        raise click.UsageError(
            f"--over {over} 只解析 {wanted}，{identifier!r} 是 {asked.kind.value}。It resolves identifiers of the kind "
            f"{wanted} alone"
        )
    try:
        answer = _ask(host, port, asked, over)
    except (OSError, http.client.HTTPException, ValueError, NodeError) as error:
        raise _strange(host, port, over, error.message if isinstance(error, NodeError) else str(error)) from None
    if as_json:
        click.echo("\n".join(map(_shown, json.dumps(answer, ensure_ascii=False, indent=2).split("\n"))))
    tell = _tell_handle if "responseCode" in answer else _tell
    try:
        tell(asked.text, answer, quiet=as_json)
    except (LookupError, TypeError, AttributeError, ValueError):
        raise _strange(host, port, over, "应答缺少成员 the answer lacks a member") from None


def _place(server: str | None, over: str) -> tuple[str, int]:
    if server is None:
        return _HOST, _PORTS[over]
    host, colon, port = server.rpartition(":")
    if not colon or not port.isdecimal() or len(port) > _PORT_DIGITS or int(port) not in PORTS or not host:
        raise click.UsageError("--server 应为 主机:端口 wants HOST:PORT")
    return host.strip("[]"), int(port)


def _strange(host: str, port: int, over: str, reason: str) -> Refused:
    message = f"节点无法应答 {host}:{port} does not answer as a node ({over}): {reason}"
    return Refused(Outcome.INTERNAL.value, "", _shown(message))


# --- asking --------------------------------------------------------------------
def _ask(host: str, port: int, asked: Asked, over: str) -> dict[str, Any]:
    """Return an answer of the Handle interface, or of /v1/resolve.

    Errors: OSError, HTTPException, ValueError, NodeError.
    """
    if over == "dns":
        return _over_dns(host, port, asked)
    if over != "http":
        return _over_handle(host, port, asked.text, over)
    if asked.kind is not Kind.HANDLE:
        return _get(host, port, "/v1/resolve?identifier=" + quote(asked.text, safe=""))
    answer = _get(host, port, "/api/handles/" + quote(asked.text, safe="/"))
    if answer.get("responseCode") not in (HandleCode.SERVER_NOT_RESPONSIBLE, *asking.REFERRALS):
        return answer
    onward = _get(host, port, "/v1/resolve?identifier=" + quote(asked.text, safe=""))
    not_offered = onward.get("outcome") in (Outcome.NOT_RESPONSIBLE.value, Outcome.NO_SUCH_ENDPOINT.value)
    return answer if not_offered else onward


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


def _over_dns(host: str, port: int, asked: Asked) -> dict[str, Any]:
    """Return the answer in the form of /v1/resolve, or of its problems. Errors: OSError, ConfigError, NodeError."""
    import asyncio

    from node.recursion.oids import OidAsker
    from node.recursion.places import Place

    assert asked.alias is not None
    address = str(socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0][4][0])
    asker = OidAsker((Place(address, port),), str(setting_named("dns.ors_suffix").default))
    found = asyncio.run(asker.ask(asked.alias.value))
    answer: dict[str, Any] = {"identifier": asked.text, "kind": asked.kind.value, "asked": list(found.asked)}
    if found.services is None:
        return answer | {"outcome": found.outcome.value, "detail": found.asked[0]}
    services = [each._asdict() for each in found.services]
    return answer | {"services": services, "secure": found.secure, "ttl": found.ttl_s}


def _get(host: str, port: int, target: str) -> dict[str, Any]:
    """Return the JSON object at a path, whatever its status. Errors: OSError, HTTPException, ValueError."""
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", target)
        body = connection.getresponse().read(2 * limits.RECORD_BYTES_MAX * 6)
        answer = json.loads(body)
    finally:
        connection.close()
    if not isinstance(answer, dict):
        raise ValueError("no JSON object")
    return dict(answer)


# --- telling -------------------------------------------------------------------
def _shown(text: str) -> str:
    """Return a text in one line, as it may be shown: what others wrote could else command the terminal."""
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def _say(text: str, *, err: bool = False) -> None:
    click.echo(_shown(text), err=err)


def _tell_handle(identifier: str, answer: dict[str, Any], *, quiet: bool) -> None:
    """Tell an answer of the Handle interface. Errors: Failure for one without values."""
    code = answer["responseCode"]
    if code != HandleCode.SUCCESS:
        reason = HandleCode(code).name.lower().replace("_", " ") if code in set(HandleCode) else str(code)
        raise Failure(_shown(f"{identifier}: {reason} ({code}) {answer.get('message', '')}".strip()))
    if not quiet:
        if "asked" in answer:
            _say(f"经转介 By referral: {' → '.join(answer['asked'])}", err=True)
        _say(answer["handle"])
        _tell_values(answer["values"])


def _tell(identifier: str, answer: dict[str, Any], *, quiet: bool) -> None:
    """Tell an answer of /v1/resolve. Errors: Failure for a problem."""
    if "outcome" in answer:
        raise Failure(_shown(f"{identifier}: {answer['outcome']}: {answer.get('detail', '')}"))
    if quiet:
        return
    if answer.get("asked"):
        _say(f"经其他节点 By others: {' → '.join(answer['asked'])}", err=True)
    if "secure" in answer and answer["secure"] is not None:
        told = "DNSSEC 已验证 validated by DNSSEC" if answer["secure"] else "未经 DNSSEC 验证 not validated by DNSSEC"
        _say(told, err=True)
    _say(answer.get("handle") or answer["identifier"])
    for member, tell in _MEMBERS.items():
        tell(answer.get(member) or [])


def _tell_values(values: list[dict[str, Any]]) -> None:
    for value in values:
        data = value["data"]["value"]
        text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
        _say(f"{value['index']:>6}  {value['type']:<12} {text}")


def _tell_services(services: list[dict[str, str]]) -> None:
    for each in services:
        _say(f"  {each['service']:<12} {each['value']}")


def _tell_links(links: list[dict[str, str]]) -> None:
    for each in links:
        told = " ".join(each[name] for name in ("title", "hreflang", "type") if each.get(name))
        _say(f"  {each['rel'].rpartition('/')[2]:<20} {each['href']}  {told}".rstrip())


_MEMBERS: Final[dict[str, Callable[[list[dict[str, Any]]], None]]] = {
    "values": _tell_values, "services": _tell_services, "links": _tell_links,
}  # fmt: skip
