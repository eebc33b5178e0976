"""One object, one Answer: by handle over every protocol, by GS1 Digital Link, by OID in DNS, by each of its aliases."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest

from tests.kit.node import Node, saltern

PREFIX, PRODUCT, LOT = "88.118.7", "88.118.7/SKU01", "88.118.7/L260714004"
GTIN, SSCC, GLN = "06905330100014", "069012345000000011", "6901234567892"
URL = "https://p007.example.cn/sku/01"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node with a product, a lot of it, and every kind of alias."""
    with Node(tmp_path_factory.mktemp("one"), PREFIX, "88.118.8") as running:
        config = ("--config", str(running.config))
        values = json.dumps([
            {"index": 1, "type": "URL", "data": URL},
            {"index": 2, "type": "DESC", "data": "加碘精制食用盐"},
            {"index": 3, "type": "GTIN", "data": GTIN},
        ])  # fmt: skip
        saltern("record", "put", PRODUCT, "--file", "-", *config, stdin=values.encode())
        saltern("lot", "create", LOT, "--product", PRODUCT, "--count", "1000", "--units-per-case", "50", *config)
        yield running


@pytest.fixture(scope="module")
def bag(node: Node) -> str:
    done = saltern("lot", "codes", LOT, "--from", "7", "--count", "1", "--config", str(node.config))
    found: str = json.loads(done.stdout.splitlines()[0])["identifier"]
    return found


@pytest.fixture(scope="module")
def names(node: Node, bag: str) -> dict[str, str]:
    """Every alias, and what it names."""
    found = {
        f"gtin:{GTIN}": PRODUCT, "oid:1.2.156.99999.7": PRODUCT, "oid:1.2.156.99999.7.1": bag, f"gln:{GLN}": PRODUCT,
        f"sscc:{SSCC}": bag, "ecode:100361234567890123": LOT, "bid:did:bid:ef2AuAJid1": bag, "vaa:VAA123": LOT,
        f"gtin+lot:{GTIN}/OTHER": LOT, f"gtin+serial:{GTIN}/7": bag,
    }  # fmt: skip
    for alias, target in found.items():
        saltern("alias", "add", target, alias, "--config", str(node.config))
    return found


def by_handle(node: Node, handle: str, over: str = "http") -> dict[tuple[int, str], str]:
    """Facts as `saltern resolve` tells them: what a value says, by index and type."""
    port = node.ready["http" if over == "http" else "handle"]
    done = saltern("resolve", handle, "--server", f"127.0.0.1:{port}", "--over", over, "--json")
    return facts(json.loads(done.stdout)["values"])


def facts(values: list[dict[str, Any]]) -> dict[tuple[int, str], str]:
    return {(each["index"], each["type"]): json.dumps(each["data"]) for each in values}


def by_name(node: Node, name: str) -> dict[str, Any]:
    """What the node answers to any kind of name."""
    reply = node.ask("GET", f"/v1/resolve?identifier={quote(name, safe='')}")
    assert reply.status == 200, (name, reply.body)
    found: dict[str, Any] = reply.json
    return found


def by_dns(node: Node, name: str) -> dict[str, str]:
    """Services and what they say, of an OID or an ONS name."""
    question = dns.message.make_query(name, dns.rdatatype.NAPTR)
    answer = dns.query.udp(question, "127.0.0.1", port=node.ready["dns"], timeout=5)
    assert answer.rcode() == dns.rcode.NOERROR, answer
    found = {}
    for record in answer.answer[0]:
        rule = re.fullmatch(r"!\^\.\*\$!(.+)!", record.regexp.decode())
        assert rule is not None
        found[record.service.decode()] = rule[1]
    return found


def ors(oid: str) -> str:
    return ".".join(("ors-dummy", *reversed(oid.split(".")), "oid-res.org"))


def test_a_handle_says_the_same_over_every_protocol(node: Node, bag: str) -> None:
    """JSON, UDP, TCP."""
    for handle in (PRODUCT, LOT, bag):
        told = by_handle(node, handle)
        assert told == by_handle(node, handle, "udp") == by_handle(node, handle, "tcp")
        assert (1, "URL") in told


def test_each_alias_is_answered_as_what_it_names(node: Node, names: dict[str, str]) -> None:
    """The same handle, the same values."""
    for alias, target in names.items():
        found = by_name(node, alias)
        assert found["handle"] == target
        assert facts(found["values"]) == by_handle(node, target), alias


def test_an_oid_in_dns_leads_to_the_same_facts(node: Node, names: dict[str, str], bag: str) -> None:
    """COID is the OID itself, UINF the address of the object at this node."""
    for oid, target in (("1.2.156.99999.7", PRODUCT), ("1.2.156.99999.7.1", bag)):
        services = by_dns(node, ors(oid))
        assert oid in services["ORS+COID"]
        path = urlsplit(services["ORS+UINF"]).path
        assert unquote(path).removeprefix("/") == target
        assert node.ask("GET", path).headers["Location"] == URL
        assert by_handle(node, unquote(path).removeprefix("/")) == by_handle(node, target)


def test_a_gtin_in_dns_leads_to_the_digital_link(node: Node, names: dict[str, str], bag: str) -> None:
    """And with the serial behind it to the bag."""
    assert names
    labels = ".".join((GTIN[0], *reversed(GTIN[1:-1]), "gtin.gs1.id.onsepc.com"))
    (address,) = by_dns(node, labels).values()
    path = urlsplit(address).path
    assert path == f"/01/{GTIN}"
    for each in (path, f"{path}/21/{bag.partition('/')[2]}"):
        assert node.ask("GET", each).headers["Location"] == URL


def test_gtin_and_serial_are_the_bag(node: Node, names: dict[str, str], bag: str) -> None:
    """By rule and by an alias; as a path, as a URI, and in the set of links."""
    assert names
    serial = bag.partition("/")[2]
    for path in (f"/01/{GTIN}/21/{serial}", f"/01/{GTIN}/21/7", f"/01/{GTIN}/10/L260714004/21/{serial}", f"/00/{SSCC}"):
        for name in (path, path[1:], f"https://id.gs1.org{path}"):
            found = by_name(node, name)
            assert found["handle"] == bag
            assert facts(found["values"]) == by_handle(node, bag)
        linkset = node.ask("GET", f"{path}?linkType=linkset").json["linkset"]
        assert linkset[0]["anchor"].endswith(path)
        assert linkset[0]["itemDescription"] == "加碘精制食用盐"


def test_a_code_that_was_never_issued_is_none_by_any_name(node: Node, names: dict[str, str], bag: str) -> None:
    """Not by handle, not by GTIN and serial: nobody is led to the product."""
    assert names
    false = bag[:-1] + ("3" if bag[-1] == "2" else "2")
    serial = false.partition("/")[2]
    assert node.ask("GET", f"/api/handles/{false}").status == 404
    assert node.ask("GET", f"/01/{GTIN}/21/{serial}").status == 404
    for name in (false, f"gtin+serial:{GTIN}/{serial}", f"01/{GTIN}/21/{serial}"):
        reply = node.ask("GET", f"/v1/resolve?identifier={quote(name, safe='')}")
        assert (reply.status, reply.json["outcome"]) == (404, "not-issued")
        assert "谨防假冒。This code was never issued" in reply.json["detail"]


def test_labels_say_when_their_units_are_not_found(node: Node, names: dict[str, str], tmp_path: Path) -> None:
    """By the rule a lot below another prefix than its product's is not found; of one that is nothing is said."""
    assert names
    config = ("--config", str(node.config), "--set", "node.public_url=https://id.example.cn")
    other = "88.118.8/L1"
    saltern("lot", "create", other, "--product", PRODUCT, "--count", "10", "--config", str(node.config))
    for lot, said in ((LOT, False), (other, True)):
        out = tmp_path / lot.replace("/", "-")
        options = ("--format", "svg", "--count", "1", "--digital-link", "--out", str(out))
        done = saltern("lot", "labels", lot, *options, *config)
        assert ("找不到批次" in done.stderr.decode()) is said
