"""``saltern dns``, and what ``config check``, ``serve`` and ``doctor`` say of zones, keys and secondaries."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import dns.zone
import pytest

from core import clock, limits
from core.clock import Millis
from core.config import load
from node import wiring
from node.cli.doctor_dns import look_at_dns
from node.notified import Heard, Notified, read_notified, write_notified
from tests.kit.node import Node, saltern

SECRET = "YSBzZWNyZXQgb2YgbW9yZSB0aGFuIDE2IG9jdGV0cyE="


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    made = Node(tmp_path_factory.mktemp("dns-cli") / "n", "88.118.7")
    saltern("record", "put", "88.118.7/SKU1", "--url", "https://e.cn/", "--config", str(made.config))
    for alias in ("oid:1.2.156.99999.7", "gtin:6901234567892"):
        saltern("alias", "add", "88.118.7/SKU1", alias, "--config", str(made.config))
    return made


def said(node: Node, *arguments: str, check: bool = True) -> str:
    done = saltern(*arguments, "--config", str(node.config), check=check)
    return (done.stdout + done.stderr).decode()


def test_a_zone_is_printed_as_a_master_file(node: Node) -> None:
    """Of a node that does not run; what reads master files reads it, with each record once."""
    for apex, inside in (("oid-res.org", "7.99999.156.2.1"), ("GS1.id.onsepc.com.", "0.9.8.7.6.5.4.3.2.1.0.9.6.gtin")):
        text = said(node, "dns", "zone", apex)
        zone = dns.zone.from_text(text, origin=apex)
        assert zone.find_rdataset(inside, "NAPTR") and text.count(" SOA ") == 1
        listed: list[dict[str, Any]] = json.loads(said(node, "dns", "zone", apex, "--json"))
        assert [
            f"{each['name']} {each['ttl']} IN {each['type']} {each['data']}" for each in listed
        ] == text.splitlines()
    assert said(node, "dns", "zone") == said(node, "dns", "zone", "oid-res.org")
    for wrong in ("example.cn", "a..b"):
        done = saltern("dns", "zone", wrong, "--config", str(node.config), check=False)
        assert done.returncode == 2
        assert "没有这个区；有：oid-res.org" in done.stderr.decode()


def test_status_tells_zones_serial_and_who_has_heard(node: Node) -> None:
    told = json.loads(said(node, "dns", "status", "--json"))
    serial = told["serial"]
    assert told == {
        "zones": ["oid-res.org", "gs1.id.onsepc.com"], "serial": serial, "transfers": False,
        "secondaries": [], "heard": [],
    }  # fmt: skip
    assert serial > 0 and f"serial {serial}" in said(node, "dns", "status")
    places = ("--set", 'dns.secondaries=["192.0.2.1", "192.0.2.2@5353"]')
    assert "192.0.2.1@53: 节点未运行过" in said(node, "dns", "status", *places)
    run = wiring.run_folder(load(node.config))
    run.mkdir(exist_ok=True)
    heard = (
        Heard("192.0.2.1@53", "oid-res.org", serial, ""), Heard("192.0.2.2@5353", "oid-res.org", None, "no answer"),
    )  # fmt: skip
    write_notified(run, Notified(serial, 1_795_325_400_000, heard))
    assert read_notified(run) == Notified(serial, 1_795_325_400_000, heard)
    text = said(node, "dns", "status", *places)
    assert f"192.0.2.1@53 oid-res.org: 已确认 has heard of {serial}\n" in text
    assert "has heard of 尚无 nothing yet no answer" in text
    shutil.rmtree(run)


def test_doctor_warns_of_a_secondary_that_has_not_heard_for_long(node: Node) -> None:
    config = load(node.config, ['dns.secondaries=["192.0.2.1"]'])
    run = wiring.run_folder(config)
    run.mkdir(exist_ok=True)
    now_ms = clock.now_ms()
    write_notified(run, Notified(9, now_ms, (Heard("192.0.2.1@53", "oid-res.org", 8, "no answer"),)))
    late_ms = Millis(int(limits.NOTIFY_LATE_S * 1_000))
    assert [each[0] for each in look_at_dns(config, Millis(now_ms + late_ms))] == ["ok"]
    ((level, check, message),) = look_at_dns(config, Millis(now_ms + late_ms + 1))
    assert (level, check) == ("warning", "dns") and "192.0.2.1@53" in message and "no answer" in message
    shutil.rmtree(run)
    assert "✓ dns: oid-res.org, gs1.id.onsepc.com" in said(node, "doctor")


def test_a_bad_key_file_or_secondary_is_told_before_a_node_starts(node: Node, tmp_path: Path) -> None:
    path = tmp_path / "tsig.keys"
    path.write_text(f"saltern hmac-sha256 {SECRET}\n")
    path.chmod(0o644)
    for setting, wanted in (
        (f"dns.tsig_file={path}", "make it 0600"), ('dns.secondaries=["ns1"]', "ADDRESS@PORT"),
        (f"dns.tsig_file={tmp_path / 'none'}", "Cannot read"), ("dns.ors_suffix=a..b", "dns.ors_suffix"),
    ):  # fmt: skip
        for command in (("config", "check"), ("doctor",), *((("serve",),) if "secondaries" in setting else ())):
            done = saltern(*command, "--config", str(node.config), "--set", setting, check=False)
            assert done.returncode == 1 and wanted in (done.stdout + done.stderr).decode(), command
            assert SECRET not in (done.stdout + done.stderr).decode()
    path.chmod(0o600)
    assert "有效" in said(node, "config", "check", "--set", f"dns.tsig_file={path}")
