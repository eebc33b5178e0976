"""``saltern demo``: the main job on sample data, told as a story.

Everything runs for real: ``saltern init`` and ``serve`` as processes, registration
and resolution over HTTP and the Handle protocol, a node that is killed and started again.
"""

from __future__ import annotations

import base64
import csv
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from core import clock

_ANY_PORT: Final = (
    "--set", "http.port=0", "--set", "https.port=0", "--set", "handle.port=0", "--set", "management.port=0",
)  # fmt: skip
_SHOWN: Final = 3


class Product(NamedTuple):
    """One line of the sample data: handle, what is registered for it, and how it is packed."""

    handle: str
    prefix: str
    name: str
    gtin: str
    standard: str
    url: str
    units_per_case: int
    cases_per_pallet: int


class Lot(NamedTuple):
    """One line of the sample data: a lot, and what its units share."""

    name: str
    product: str
    bags: int
    line: str
    produced: str
    valid_until: str
    iodine: str


class Api(NamedTuple):
    """Our own API of a running node, with an operator's token."""

    ready: dict[str, Any]
    token: str

    def call(self, method: str, path: str, document: object = None) -> Any:
        """Make one call; return the JSON of its answer."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        body = b"" if document is None else json.dumps(document).encode()
        return json.loads(_http(self.ready, method, path, headers, body)[2])


def run(*, keep: bool) -> int:
    """Tell the story; return the exit code."""
    folder = Path(tempfile.mkdtemp(prefix="saltern-demo-"))
    try:
        _story(folder)
    finally:
        if keep:
            _say(f"\n演示目录 The demo's folder: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


def _story(folder: Path) -> None:
    products = list(_products())
    prefixes = list(dict.fromkeys(product.prefix for product in products))
    _chapter("1. 建立节点 Make a node", f"saltern init NODE --prefix {' --prefix '.join(prefixes[:2])} …")
    options = [option for prefix in prefixes for option in ("--prefix", prefix)]
    _command("init", str(folder / "node"), *options)
    config = folder / "node" / "node.toml"
    _say(f"   {len(prefixes)} 个企业前缀 enterprise prefixes: {prefixes[0]} … {prefixes[-1]}")

    with _node(config) as ready:
        _chapter("2. 注册产品 Register products", f"POST /v1/records:batch  ({len(products)} records, HTTP Basic)")
        began = clock.monotonic_s()
        answer = _register(ready, folder, prefixes[0], products)
        took_ms = (clock.monotonic_s() - began) * 1_000
        _say(f"   结果 outcome: {answer['counts']}  {took_ms:.0f} ms, 已落盘 on the disk before the answer")

        _chapter("3. 解析 Resolve", "GET /api/handles/{identifier}")
        for product in products[:_SHOWN]:
            _show(ready, product.handle)
        _say("   大小写无关 ASCII case does not matter:")
        _show(ready, products[-1].handle.lower())
        product = products[1]
        for over in ("udp", "tcp"):
            _chapter(
                f"   Handle 协议 Handle protocol ({over.upper()}):", f"saltern resolve {product.handle} --over {over}"
            )
            _command("resolve", product.handle, "--server", f"127.0.0.1:{ready['handle']}", "--over", over)
        _chapter("   浏览器 A browser is redirected:", f"GET /{products[0].handle}")
        status, headers, _ = _http(ready, "GET", f"/{products[0].handle}")
        _say(f"   {status} → {headers['Location']}")

        bag = _tell_of_lots(ready, config, products)

        _chapter(
            "5. 被拒绝的请求 What a refusal looks like", "PUT without credentials; an unknown identifier; a bad index"
        )
        body = [{"index": 0, "type": "URL", "data": "https://example.cn"}]
        _refused(ready, "PUT", f"/api/handles/{prefixes[0]}/NEW", [{**body[0], "index": 1}])
        _refused(ready, "GET", f"/api/handles/{prefixes[0]}/NO-SUCH-SALT")
        _refused(ready, "PUT", f"/api/handles/{prefixes[0]}/NEW", body)

    _chapter("6. 断电再启动 Kill the node, start it again", "kill -9, saltern serve")
    began = clock.monotonic_s()
    with _node(config, kill=False) as ready:
        product = products[len(products) // 2]
        _show(ready, product.handle)
        _say(f"   {clock.monotonic_s() - began:.2f} s 后应答 until the first answer; 数据都在 everything is there")
        _show_unit(ready, bag)
        _command("resolve", product.handle, "--server", f"127.0.0.1:{ready['http']}")
    _say("\n完成 Done. 接下来 Next: README.md")


def _products() -> Iterator[Product]:
    text = files("node").joinpath("sample", "products.csv").read_text("utf-8")
    for row in csv.DictReader(text.splitlines()):
        yield Product(
            row["product"], row["prefix"], row["name"], row["gtin13"], row["standard"], row["url"],
            int(row["units_per_case"]), int(row["cases_per_pallet"]),
        )  # fmt: skip


def _lots() -> Iterator[Lot]:
    text = files("node").joinpath("sample", "lots.csv").read_text("utf-8")
    for row in csv.DictReader(text.splitlines()):
        yield Lot(
            row["lot"], row["product"], int(row["count"]), row["line"], row["produced"], row["valid_until"],
            row["iodine_measured_mg_per_kg"],
        )  # fmt: skip


def _tell_of_lots(ready: dict[str, Any], config: Path, products: list[Product]) -> str:
    """Register the lots, look at bags of one; return the handle of a bag."""
    issued = _output("token", "issue", "--role", "operator", "--holder", "demo", "--json", "--config", str(config))
    api = Api(ready, json.loads(issued)["secret"])
    packed = {product.handle: product for product in products}
    first, *others = sorted(_lots(), key=lambda lot: -lot.bags)
    _chapter("4. 一百万袋 A million bags", f"POST /v1/lots  ({first.name}, {first.bags} bags of {first.product})")
    began = clock.monotonic_s()
    made = _make_lot(api, first, packed[first.product])
    took_ms = (clock.monotonic_s() - began) * 1_000
    _say(f"   {made['count']} 袋 bags, {made['cases']} 箱 cases, {made['pallets']} 托盘 pallets; {took_ms:.0f} ms")
    _say(f"   {made['stored_bytes']} 字节 octets written; 每一袋都可解析 every bag resolves from now on")
    began = clock.monotonic_s()
    bags = sum(_make_lot(api, lot, packed[lot.product])["count"] for lot in others)
    _say(f"   另 {len(others)} 批 lots more, {bags} 袋 bags: {clock.monotonic_s() - began:.1f} s")

    lot = f"/v1/lots/{first.name}"
    listed = api.call("GET", f"{lot}/codes?from=0&count=2")["codes"]
    bag, other = (str(code["identifier"]) for code in listed)
    _chapter("   一袋，所在的箱，所在的托盘 A bag, its case, its pallet:", "GET /api/handles/{identifier}")
    for identifier in (bag, listed[0]["case"], listed[0]["pallet"]):
        _show_unit(ready, identifier)

    at = clock.format_instant(clock.now_ms())
    case = packed[first.product].units_per_case
    events = [
        {"event": "commissioned", "from": 0, "count": case, "time": at, "place": first.line},
        {"event": "scrapped", "identifier": other, "time": at, "place": first.line},
    ]
    _chapter(f"   产线确认一箱，报废其中一袋 {case} bags are confirmed, one is scrapped:", f"POST {lot}/events")
    _say(f"   结果 outcome: {api.call('POST', f'{lot}/events', events)['counts']}")
    false = bag[:-1] + ("3" if bag[-1] == "2" else "2")
    _chapter("   真码、报废、伪造 A genuine code, the scrapped one, a false one:", "saltern lot check …")
    _command("lot", "check", bag, other, false, "--config", str(config))
    for identifier in (other, false):
        _refused(ready, "GET", f"/api/handles/{identifier}")
    return bag


def _make_lot(api: Api, lot: Lot, product: Product) -> Any:
    return api.call("POST", "/v1/lots", {
        "lot": lot.name, "product": lot.product, "count": lot.bags, "line": lot.line,
        "produced": lot.produced, "valid_until": lot.valid_until,
        "units_per_case": product.units_per_case, "cases_per_pallet": product.cases_per_pallet,
        "values": [{"index": 10, "type": "IODINE", "data": f"{lot.iodine} mg/kg"}],
    })  # fmt: skip


def _show_unit(ready: dict[str, Any], handle: str) -> None:
    _, _, body = _http(ready, "GET", f"/api/handles/{handle}")
    values = {value["type"]: value["data"]["value"] for value in json.loads(body)["values"] if value["index"] != 100}
    children = values.get("CHILDREN", "").splitlines()
    inside = f"  内有 holds {len(children)}" if children else ""
    above = f"  在 in {values['PARENT'].partition('/')[2]}" if "PARENT" in values else ""
    _say(f"   {handle}  {values['DESC']}  {values['LEVEL']}, {values['STATE']}{above}{inside}")


def _register(ready: dict[str, Any], folder: Path, prefix: str, products: list[Product]) -> dict[str, Any]:
    secret = (folder / "node" / "keys" / "admin.secret").read_text("utf-8").strip()
    user = f"{quote(f'301:0.NA/{prefix}', safe='')}:{secret}"
    headers = {
        "Authorization": "Basic " + base64.b64encode(user.encode()).decode(),
        "Content-Type": "application/json",
        "Idempotency-Key": "demo-1",
    }
    records = [
        {
            "handle": product.handle,
            "values": [
                {"index": 1, "type": "URL", "data": product.url},
                {"index": 2, "type": "DESC", "data": product.name},
                {"index": 3, "type": "GTIN", "data": product.gtin},
                {"index": 4, "type": "STANDARD", "data": product.standard},
                {"index": 100, "type": "HS_ADMIN", "data": {"format": "admin", "value": {
                    "handle": f"0.NA/{product.prefix}", "index": 200, "permissions": "111111111111"}}},
            ],
        }
        for product in products
    ]  # fmt: skip
    _, _, body = _http(ready, "POST", "/v1/records:batch", headers, json.dumps(records).encode())
    answer: dict[str, Any] = json.loads(body)
    return answer


def _show(ready: dict[str, Any], handle: str) -> None:
    _, _, body = _http(ready, "GET", f"/api/handles/{quote(handle, safe='/')}?type=URL&type=DESC")
    answer = json.loads(body)
    values = {value["type"]: value["data"]["value"] for value in answer["values"]}
    _say(f"   {answer['handle']:<18} {values['DESC']}  {values['URL']}")


def _refused(ready: dict[str, Any], method: str, path: str, document: object = None) -> None:
    headers = {} if document is None else {"Content-Type": "application/json"}
    body = b"" if document is None else json.dumps(document).encode()
    status, _, answer = _http(ready, method, path, headers, body)
    _say(f"   {method} {path}\n      {status} {answer.decode()}")


def _http(
    ready: dict[str, Any], method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b""
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", ready["http"], timeout=10)
    try:
        connection.request(method, path, body or None, headers or {})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


@contextmanager
def _node(config: Path, *, kill: bool = True) -> Iterator[dict[str, Any]]:
    """Run a node on free ports; give its ready line; end it by SIGKILL, or by SIGTERM."""
    arguments = [sys.executable, "-m", "node.cli.main", "serve", "--config", str(config), *_ANY_PORT]
    with (config.parent / "node.log").open("ab") as log:
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=log, env=_environment())
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
            process.wait(timeout=30)
            process.stdout.close()


def _command(*arguments: str) -> None:
    """Run one command of ours and show what it prints."""
    for line in _output(*arguments).splitlines():
        _say(f"   {line}")


def _output(*arguments: str) -> str:
    """Run one command of ours; return what it prints."""
    return subprocess.run(
        [sys.executable, "-m", "node.cli.main", *arguments],
        check=True,
        capture_output=True,
        text=True,
        env=_environment(),
    ).stdout


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONIOENCODING": "utf-8", "PYTHONUTF8": "1"}


def _chapter(title: str, command: str) -> None:
    _say(f"\n{title}\n   $ {command}")


def _say(text: str) -> None:
    print(text, flush=True)
