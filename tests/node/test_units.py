"""Lots on a running node: every protocol answers for a unit, also after a kill, with new keys, without any."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.handle_node import client_of, record
from tests.kit.node import Node, saltern

PREFIX = "88.118.7"
LOT, PRODUCT = f"{PREFIX}/L1", f"{PREFIX}/SKU"
WAYS = ("udp", "tcp", "kept", "http")


def run(node: Node, *words: str) -> Any:
    return json.loads(saltern("lot", *words, "--config", str(node.config), "--json").stdout)


def codes(node: Node, lot: str, *words: str) -> list[dict[str, Any]]:
    done = saltern("lot", "codes", lot, *words, "--config", str(node.config))
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    made = Node(tmp_path_factory.mktemp("units") / "node", PREFIX, resolver__workers=2)
    with made:
        assert made.put(PRODUCT, record(made, "https://sku.example")).status == 201
        run(made, "create", LOT, "--product", PRODUCT, "--count", "1000000", "--units-per-case", "50",
            "--cases-per-pallet", "40")  # fmt: skip
        yield made


def states(node: Node, identifier: str) -> set[str]:
    """What every way says: the state, or why there is none."""
    found = set()
    for way in WAYS:
        answer = client_of(node, way).resolve(identifier)
        values = (
            {value.type: value.data.decode(errors="replace") for value in answer.values} if answer.code == 1 else {}
        )
        found.add(values.get("STATE", f"code {answer.code}"))
    for query in ("", "?pretty"):
        reply = node.get(identifier, query)
        values = {value["type"]: value["data"]["value"] for value in reply.json.get("values", ())}
        found.add(values.get("STATE", f"code {reply.json['responseCode']}"))
    return found


def page_status(node: Node, identifier: str) -> int:
    return node.ask("GET", f"/{identifier}?noredirect").status


@pytest.mark.parametrize("index", [0, 999_999, 1_000_000, 1_020_499])
def test_every_protocol_answers_for_units_cases_and_pallets(node: Node, index: int) -> None:
    """A browser is led to the product, or sees the page of the unit."""
    (code,) = codes(node, LOT, "--from", str(index), "--count", "1")
    assert code["index"] == index
    assert states(node, code["identifier"]) == {"allocated"}
    assert node.ask("GET", f"/{code['identifier']}").headers["location"] == "https://sku.example"
    page = node.ask("GET", f"/{code['identifier']}?noredirect")
    assert page.status == 200
    assert LOT in page.body.decode()


def test_a_code_that_was_not_issued_has_a_word_of_its_own(node: Node) -> None:
    """Not found on the Handle side; the word in JSON; nothing else tells it from one of another kind."""
    wrong = f"{LOT}QQQQQQQQQQ"
    assert states(node, wrong) == {"code 100"}
    assert node.get(wrong).status == 404
    assert node.get(wrong).json["message"] == "not-issued"
    assert "message" not in node.get(f"{PREFIX}/NOTHING").json
    assert page_status(node, wrong) == 404
    assert run(node, "check", wrong) == [{"identifier": wrong, "issued": False, "reason": "not-issued"}]


def test_what_is_scrapped_is_gone(node: Node, tmp_path_factory: pytest.TempPathFactory) -> None:
    """On every protocol with the commit."""
    first, second = (code["identifier"] for code in codes(node, LOT, "--from", "100", "--count", "2"))
    assert states(node, first) == {"allocated"}
    events = tmp_path_factory.mktemp("events") / "events.jsonl"
    event = {"event": "scrapped", "identifier": first, "time": "2026-02-01T08:00:00+08:00"}
    events.write_text(json.dumps(event) + "\n")
    assert run(node, "events", LOT, str(events))["counts"] == {"ok": 1}
    assert states(node, first) == {"code 100"}
    assert node.get(first).json["message"] == "gone"
    assert page_status(node, first) == 410
    assert [each["reason"] for each in run(node, "check", first, second)] == ["gone", None]
    assert run(node, "unit", first)["history"][0]["event"] == "scrapped"


def test_a_code_is_checked_in_the_form_that_people_type(node: Node) -> None:
    """Small letters are the same; each wrong one is told as such, and none is an error."""
    (code,) = codes(node, LOT, "--from", "5", "--count", "1")
    name = code["identifier"]
    asked = [name, name.lower(), name[:-1], name + "2", name.replace("L1", "L2"), "７７", "", LOT, "x/y"]
    assert [each["issued"] for each in run(node, "check", *asked)] == [True, True] + [False] * 7


def test_lots_are_there_after_a_kill_and_older_ones_keep_their_key(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A new master key is for new lots; a worker that has been running learns of it. Without the file nothing lies."""
    node = Node(tmp_path_factory.mktemp("keys") / "node", PREFIX)
    arguments = ("--product", PRODUCT, "--count", "100")
    with node:
        run(node, "create", LOT, *arguments)
        (old,) = codes(node, LOT, "--count", "1")
        assert states(node, old["identifier"]) == {"allocated"}
        assert run(node, "rekey")["key_id"] == 2
        assert run(node, "create", f"{PREFIX}/L2", *arguments)["key_id"] == 2
        (new,) = codes(node, f"{PREFIX}/L2", "--count", "1")
        node.stop(signal.SIGKILL)
    with node:
        assert states(node, old["identifier"]) | states(node, new["identifier"]) == {"allocated"}
        assert codes(node, LOT, "--count", "1") == [old]
    keys = node.folder / "keys" / "lots.keys"
    keys.rename(keys.with_suffix(".away"))
    with node:
        assert node.get(old["identifier"]).status == 500
        assert client_of(node, "udp").resolve(old["identifier"]).code == 2
        keys.with_suffix(".away").rename(keys)
    with node:
        assert states(node, old["identifier"]) == {"allocated"}


def test_a_lost_key_file_is_told_and_not_replaced(tmp_path: Path) -> None:
    """A new key with the number of the lost one would call all genuine bags false."""
    node = Node(tmp_path / "node", PREFIX)
    run(node, "create", LOT, "--product", PRODUCT, "--count", "100")
    (code,) = codes(node, LOT, "--count", "1")
    keys = node.folder / "keys" / "lots.keys"
    keys.rename(keys.with_suffix(".away"))
    refused = saltern("lot", "rekey", "--config", str(node.config), check=False)
    assert refused.returncode == 1
    assert not keys.exists()
    keys.write_text(f"1 {'00' * 32}\n")
    keys.chmod(0o600)
    asked = saltern("lot", "check", code["identifier"], "--config", str(node.config), check=False)
    assert asked.returncode == 1
    assert "lots.keys" in asked.stderr.decode()
    assert saltern("doctor", "--config", str(node.config), check=False).returncode == 1
    keys.with_suffix(".away").rename(keys)
    assert "lots.keys" not in saltern("doctor", "--config", str(node.config), check=False).stderr.decode()
    assert run(node, "check", code["identifier"])[0]["issued"]


def test_a_recalled_unit_says_so(tmp_path: Path) -> None:
    """It is genuine, and nobody is led on to the product's page; in Chinese and English."""
    with Node(tmp_path / "node", PREFIX) as node:
        assert node.put(PRODUCT, record(node, "https://sku.example")).status == 201
        run(node, "create", LOT, "--product", PRODUCT, "--count", "100")
        (code,) = codes(node, LOT, "--count", "1")
        name = code["identifier"]
        for event, hour in (("commissioned", 8), ("inactive", 9)):
            item = {"event": event, "identifier": name, "time": f"2026-02-01T0{hour}:00:00+08:00"}
            (tmp_path / "e.json").write_text(json.dumps([item]))
            run(node, "events", LOT, str(tmp_path / "e.json"))
        page = node.ask("GET", f"/{name}")
        assert page.status == 200
        for word in ("已停用", "inactive, recalled or expired", "状态 state", "层级 level"):
            assert word in page.body.decode()
        assert run(node, "check", name) == [{"identifier": name, "issued": True, "reason": "inactive"}]


def test_what_cannot_be_judged_is_not_called_false(node: Node) -> None:
    """Of another prefix, or no identifier at all; an address that a label holds is the code in it."""
    (code,) = codes(node, LOT, "--from", "7", "--count", "1")
    name = code["identifier"]
    asked = ["88.999/L12222222222", "\u0001", f"HTTPS://ID.EXAMPLE.CN/{name}", f"  {name}\n", f"https://x/{name}?a=b"]
    assert [each["reason"] for each in run(node, "check", *asked)] == [
        "not-responsible", "invalid-handle", None, None, None,
    ]  # fmt: skip
