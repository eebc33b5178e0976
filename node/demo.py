"""``saltern demo``: the main job on sample data, told as a story.

Everything runs for real: ``saltern init`` and ``serve`` as processes, registration
and resolution over HTTP and the Handle protocol, a node that is killed and started again.
"""

from __future__ import annotations

import base64
import csv
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from core import clock
from node.demo_copies import back_up, deposit, hand_back, put_back, stand_in
from node.demo_names import show_other_names
from node.demo_stage import Api, chapter, command, http_call, output, running, say
from node.demo_upstream import top_node

_ANY_PORT: Final = (
    "--set", "http.port=0", "--set", "https.port=0", "--set", "handle.port=0", "--set", "management.port=0",
    "--set", "dns.port=0",
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


def run(*, keep: bool) -> int:
    """Tell the story; return the exit code."""
    folder = Path(tempfile.mkdtemp(prefix="saltern-demo-"))
    try:
        _story(folder)
    finally:
        if keep:
            say(f"\n演示目录 The demo's folder: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


def _story(folder: Path) -> None:
    products = list(_products())
    prefixes = list(dict.fromkeys(product.prefix for product in products))
    chapter("1. 建立节点 Make a node", f"saltern init NODE --prefix {' --prefix '.join(prefixes[:2])} …")
    options = [option for prefix in prefixes for option in ("--prefix", prefix)]
    command("init", str(folder / "node"), *options)
    config = folder / "node" / "node.toml"
    say(f"   {len(prefixes)} 个企业前缀 enterprise prefixes: {prefixes[0]} … {prefixes[-1]}")

    with ExitStack() as stack:
        with _node(config) as ready:
            bag = _tell_of_products(ready, folder, config, products)
            above = stack.enter_context(
                top_node(folder, config, ready, bag, identifiers=len(products) + len(list(_lots())))
            )
            _tell_of_refusals(ready, prefixes[0])
            top = folder / "top" / "topnode.toml"
            deposit(config, top, above)
        new = stand_in(top, above, prefixes[0], bag)

        chapter("8. 再启动 Start it again", "kill -9, saltern serve")
        began = clock.monotonic_s()
        with _node(config, kill=False) as ready:
            product = products[len(products) // 2]
            _show(ready, product.handle)
            say(f"   {clock.monotonic_s() - began:.2f} s 后应答 until the first answer; 数据都在 everything is there")
            _show_unit(ready, bag)
            command("resolve", product.handle, "--server", f"127.0.0.1:{ready['http']}")
            hand_back(top, above, prefixes[0], ready, new)
            answered = back_up(config, folder, ready, bag)
    put_back(folder, _ANY_PORT, bag, answered)
    say("\n完成 Done. 接下来 Next: README.md")


def _tell_of_products(ready: dict[str, Any], folder: Path, config: Path, products: list[Product]) -> str:
    """Register products and lots, and resolve; return the handle of a bag."""
    chapter("2. 注册产品 Register products", f"POST /v1/records:batch  ({len(products)} records, HTTP Basic)")
    began = clock.monotonic_s()
    answer = _register(ready, folder, products[0].prefix, products)
    took_ms = (clock.monotonic_s() - began) * 1_000
    say(f"   结果 outcome: {answer['counts']}  {took_ms:.0f} ms, 已落盘 on the disk before the answer")

    chapter("3. 解析 Resolve", "GET /api/handles/{identifier}")
    for product in products[:_SHOWN]:
        _show(ready, product.handle)
    say("   大小写无关 ASCII case does not matter:")
    _show(ready, products[-1].handle.lower())
    product = products[1]
    for over in ("udp", "tcp"):
        chapter(f"   Handle 协议 Handle protocol ({over.upper()}):", f"saltern resolve {product.handle} --over {over}")
        command("resolve", product.handle, "--server", f"127.0.0.1:{ready['handle']}", "--over", over)
    chapter("   浏览器 A browser is redirected:", f"GET /{products[0].handle}")
    status, headers, _ = http_call(ready, "GET", f"/{products[0].handle}")
    say(f"   {status} → {headers['Location']}")
    return _tell_of_lots(ready, config, products)


def _tell_of_refusals(ready: dict[str, Any], prefix: str) -> None:
    chapter("6. 被拒绝的请求 What a refusal looks like", "PUT without credentials; an unknown identifier; a bad index")
    body = [{"index": 0, "type": "URL", "data": "https://example.cn"}]
    _refused(ready, "PUT", f"/api/handles/{prefix}/NEW", [{**body[0], "index": 1}])
    _refused(ready, "GET", f"/api/handles/{prefix}/NO-SUCH-SALT")
    _refused(ready, "PUT", f"/api/handles/{prefix}/NEW", body)


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
    issued = output("token", "issue", "--role", "operator", "--holder", "demo", "--json", "--config", str(config))
    api = Api(ready, json.loads(issued)["secret"])
    packed = {product.handle: product for product in products}
    first, *others = sorted(_lots(), key=lambda lot: -lot.bags)
    chapter("4. 一百万袋 A million bags", f"POST /v1/lots  ({first.name}, {first.bags} bags of {first.product})")
    began = clock.monotonic_s()
    made = _make_lot(api, first, packed[first.product])
    took_ms = (clock.monotonic_s() - began) * 1_000
    say(f"   {made['count']} 袋 bags, {made['cases']} 箱 cases, {made['pallets']} 托盘 pallets; {took_ms:.0f} ms")
    say(f"   {made['stored_bytes']} 字节 octets written; 每一袋都可解析 every bag resolves from now on")
    began = clock.monotonic_s()
    bags = sum(_make_lot(api, lot, packed[lot.product])["count"] for lot in others)
    say(f"   另 {len(others)} 批 lots more, {bags} 袋 bags: {clock.monotonic_s() - began:.1f} s")

    lot = f"/v1/lots/{first.name}"
    listed = api.call("GET", f"{lot}/codes?from=0&count=2")["codes"]
    bag, other = (str(code["identifier"]) for code in listed)
    chapter("   一袋，所在的箱，所在的托盘 A bag, its case, its pallet:", "GET /api/handles/{identifier}")
    for identifier in (bag, listed[0]["case"], listed[0]["pallet"]):
        _show_unit(ready, identifier)

    at = clock.format_instant(clock.now_ms())
    case = packed[first.product].units_per_case
    events = [
        {"event": "commissioned", "from": 0, "count": case, "time": at, "place": first.line},
        {"event": "scrapped", "identifier": other, "time": at, "place": first.line},
    ]
    chapter(f"   产线确认一箱，报废其中一袋 {case} bags are confirmed, one is scrapped:", f"POST {lot}/events")
    say(f"   结果 outcome: {api.call('POST', f'{lot}/events', events)['counts']}")
    false = bag[:-1] + ("3" if bag[-1] == "2" else "2")
    chapter("   真码、报废、伪造 A genuine code, the scrapped one, a false one:", "saltern lot check …")
    command("lot", "check", bag, other, false, "--config", str(config))
    for identifier in (other, false):
        _refused(ready, "GET", f"/api/handles/{identifier}")
    show_other_names(ready, config, bag, first.product, packed[first.product].gtin)
    return bag


def _make_lot(api: Api, lot: Lot, product: Product) -> Any:
    return api.call("POST", "/v1/lots", {
        "lot": lot.name, "product": lot.product, "count": lot.bags, "line": lot.line,
        "produced": lot.produced, "valid_until": lot.valid_until,
        "units_per_case": product.units_per_case, "cases_per_pallet": product.cases_per_pallet,
        "values": [{"index": 10, "type": "IODINE", "data": f"{lot.iodine} mg/kg"}],
    })  # fmt: skip


def _show_unit(ready: dict[str, Any], handle: str) -> None:
    _, _, body = http_call(ready, "GET", f"/api/handles/{handle}")
    values = {value["type"]: value["data"]["value"] for value in json.loads(body)["values"] if value["index"] != 100}
    children = values.get("CHILDREN", "").splitlines()
    inside = f"  内有 holds {len(children)}" if children else ""
    above = f"  在 in {values['PARENT'].partition('/')[2]}" if "PARENT" in values else ""
    say(f"   {handle}  {values['DESC']}  {values['LEVEL']}, {values['STATE']}{above}{inside}")


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
    _, _, body = http_call(ready, "POST", "/v1/records:batch", headers, json.dumps(records).encode())
    answer: dict[str, Any] = json.loads(body)
    return answer


def _show(ready: dict[str, Any], handle: str) -> None:
    _, _, body = http_call(ready, "GET", f"/api/handles/{quote(handle, safe='/')}?type=URL&type=DESC")
    answer = json.loads(body)
    values = {value["type"]: value["data"]["value"] for value in answer["values"]}
    say(f"   {answer['handle']:<18} {values['DESC']}  {values['URL']}")


def _refused(ready: dict[str, Any], method: str, path: str, document: object = None) -> None:
    headers = {} if document is None else {"Content-Type": "application/json"}
    body = b"" if document is None else json.dumps(document).encode()
    status, _, answer = http_call(ready, method, path, headers, body)
    say(f"   {method} {path}\n      {status} {answer.decode()}")


def _node(config: Path, *, kill: bool = True) -> AbstractContextManager[dict[str, Any]]:
    """Run a node on free ports."""
    return running(
        "serve", "--config", str(config), *_ANY_PORT, log_file=config.parent / "node.log", kill=kill
    )  # fmt: skip
