"""A real top node probes a real node; probes elsewhere report to it; people decide by its commands."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.note import ed25519_key, witness_key
from core import clock, limits
from core.errors import ConfigError
from core.signature import Signer, key_id
from node.outside_probe import probe_from_here
from node.signing import signing_key_pem
from node.topnode_probing import probe_terms, read_probe_keys
from node.topnode_settings import load_topnode
from sync.monitor.observation import Observation, Way
from sync.topnode.reports import sign_report
from tests.kit.node import Node
from tests.kit.topnodes import Below, TopNode, at, route

PREFIX = "88.118"
WAIT_S = 60.0
FAR, NEAR_KEY = Signer(Ed25519PrivateKey.generate()), Ed25519PrivateKey.generate()
NEAR_VKEY = ed25519_key("near", NEAR_KEY.public_key().public_bytes_raw()).vkey


def until(told: Callable[[], Any], holds: Callable[[Any], bool]) -> Any:
    """Ask until it is so; return what was told then."""
    end_s = clock.monotonic_s() + WAIT_S
    while not holds(document := told()):
        assert clock.monotonic_s() < end_s, document
        clock.pause(0.05)
    return document


def test_a_node_that_is_killed_is_found_away_and_found_back(tmp_path: Path) -> None:
    """By SIGKILL, in periods of a second; without a deposit there is nothing to serve. Probes elsewhere are heard."""
    keys = tmp_path / "probes"
    keys.write_text(f"# 探测点\n{ed25519_key('far', FAR.public_key).vkey}\n{NEAR_VKEY}\n")
    options = {"probe__period": 1, "probe__limit": 100, "probe__probes": 2, "probe__keys": keys}
    with Node(tmp_path / "node", PREFIX) as node, TopNode(tmp_path / "top", **options) as top:
        below = Below(top)
        below.connect()
        below.tell("T2", [route(PREFIX, at(node.ready["handle"]))])

        def page() -> Any:
            return top.ask("GET", f"/v1/nodes/{below.node_id}/probes").json

        seen = until(page, lambda told: told["judged"] is not None)
        assert (seen["state"], seen["resolution"], seen["events"]) == ("normal", {"asked": 8, "failed": 0}, [])
        assert {each["way"] for each in seen["probes"]["own-2"]} == {"tcp", "udp"}
        _report(top, below)

        ports = {name: node.ready[name.partition(".")[0]] for name in ("http.port", "handle.port")}
        node.stop(signal.SIGKILL)
        seen = until(page, lambda told: told["state"] != "normal")
        assert (seen["state"], seen["takeover"], seen["events"][0]["by"]) == ("down", None, None)
        assert seen["resolution"]["failed"] * 100 >= 51 * seen["resolution"]["asked"]
        _decide_by_hand(top, below)

        node.settings |= ports
        node.start()
        seen = until(page, lambda told: told["state"] == "normal")
        assert [(each["before"], each["after"]) for each in seen["events"]] == [("down", "normal"), ("normal", "down")]
        assert "normal -> down" in top.log() and "Traceback" not in top.log()
        _take_over_by_hand(top, below, page)


def _report(top: TopNode, below: Below) -> None:
    """A true report is counted, a recorded one and a lie are refused and named."""
    asked = top.ask("GET", "/probes/v1").json
    (told,) = asked["nodes"]
    assert (asked["to"], told["node"], set(told["ways"])) == (key_id(top.public_key), below.node_id, {"tcp", "udp"})
    now_ms = clock.now_ms()
    found = [Observation(below.node_id, Way.TCP, now_ms, 800), Observation(below.node_id, Way.UDP, now_ms, 900)]
    octets = sign_report(FAR, "far", asked["to"], 1, found)
    assert top.ask("POST", "/probes/v1", octets).json == {"taken": 2}
    again = top.ask("POST", "/probes/v1", octets)
    assert (again.status, [each["rule"] for each in again.json["refused"]]) == (409, ["number"])
    lie = sign_report(FAR, "far", asked["to"], 2, [found[0]._replace(rtt_us=-5), found[1]._replace(subject="0" * 32)])
    refused = top.ask("POST", "/probes/v1", lie)
    assert (refused.status, [each["rule"] for each in refused.json["refused"]]) == (400, ["rtt", "node"])
    assert top.ask("POST", "/probes/v1", b"x" * (limits.PROBE_REPORT_BYTES_MAX + 1)).status == 413
    assert top.ask("POST", "/probes/v1", b"").status == 400
    key = top.folder / "near.pem"
    key.touch(0o600)
    key.write_bytes(signing_key_pem(NEAR_KEY))
    told: list[dict[str, Any]] = []
    assert probe_from_here(top.url, key, "near", rounds=1, ca=None, say=told.append), told
    assert told == [{"name": "near", "vkey": NEAR_VKEY}, {"asked": 2, "failed": 0, "taken": 2}]
    listed = {each["name"]: each for each in json.loads(top.run("probes", "--json").stdout)}
    assert set(listed) == {"own-1", "own-2", "far", "near"}
    assert (listed["far"]["reports"], listed["far"]["refused"], listed["far"]["why"]) == (1, 2, ["node", "rtt"])


def _decide_by_hand(top: TopNode, below: Below) -> None:
    """Without a deposit there is no takeover, and nothing to release."""
    for command in ("takeover", "release"):
        refused = top.run(command, PREFIX, "--reason", "停电", check=False)
        assert (refused.returncode, json.loads(refused.stdout)["outcome"]) == (1, "conflict")
    told = json.loads(top.run("takeovers", "--json").stdout)
    assert [(each["node"], each["state"]) for each in told["nodes"]] == [(below.node_id, "down")]
    assert [(each["prefix"], each["after"]) for each in told["events"]] == [(PREFIX, "down")]


def _take_over_by_hand(top: TopNode, below: Below, page: Callable[[], Any]) -> None:
    """There is a copy now. What a person decides stands, though all probes find the node."""
    copy = top.folder / "data" / "copies" / below.node_id
    copy.mkdir(parents=True)
    (copy / "current").write_text("{}")
    judged = page()["judged"]
    done = json.loads(top.run("takeover", PREFIX, "--reason", "停电演练", "--actor", "赵审核", "--json").stdout)
    assert (done["before"], done["after"], done["by"], done["reason"]) == ("normal", "takeover", "赵审核", "停电演练")
    seen = until(page, lambda told: told["judged"] > judged)
    assert (seen["state"], seen["by_hand"], seen["takeover"]) == ("takeover", True, done["takeover"])
    for state in ("returning", "normal"):
        told = json.loads(top.run("release", PREFIX, "--reason", "演练结束", "--json").stdout)
        assert (told["after"], told["takeover"]) == (state, done["takeover"])
    assert page()["takeover"] is None
    top.run("takeover", PREFIX, "--reason", "停电", "--json")
    top.run("refuse", PREFIX)  # another node may have its prefixes now
    (event, *_) = json.loads(top.run("takeovers", "--json").stdout)["events"]
    assert (event["before"], event["after"], event["reason"]) == ("takeover", "normal", "refused")


def test_keys_of_probes_are_read_or_said_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "probes"
    one, two = (ed25519_key(name, Ed25519PrivateKey.generate().public_key().public_bytes_raw()) for name in ("a", "b"))
    file.write_text(f"# 北京\n{one.vkey}\n\n{two.vkey}\n")
    assert read_probe_keys(file) == {"a": one.public, "b": two.public}
    for text, said in {
        f"{one.vkey}\n{one.vkey}\n": "taken", f"{ed25519_key('c', one.public).vkey}\n{one.vkey}\n": "taken",
        f"{ed25519_key('own-1', one.public).vkey}\n": "taken",
        f"{witness_key('a', one.public).vkey}\n": "none of a probe",
        "x\n": "A key is wrong", f"{one.vkey[:-4]}\n": "A key is wrong", "#" * 70_000: "more than",
        f"{ed25519_key('a' * 65, one.public).vkey}\n": "none of a probe",
    }.items():  # fmt: skip
        file.write_text(text)
        with pytest.raises(ConfigError, match=said):
            read_probe_keys(file)
    for octets, path, said in ((b"\xff", file, "no text"), (b"", tmp_path / "none", "Cannot read")):
        file.write_bytes(octets)
        with pytest.raises(ConfigError, match=said):
            read_probe_keys(path)


def test_an_answer_may_take_half_a_period(tmp_path: Path) -> None:
    (tmp_path / "topnode.toml").write_text("")
    config = load_topnode(tmp_path / "topnode.toml", ["probe.period=1", "probe.limit=101"])
    with pytest.raises(ConfigError, match="half of probe"):
        probe_terms(config, "")
    assert probe_terms(load_topnode(tmp_path / "topnode.toml", ["probe.period=0"]), "").period_ms == 0
