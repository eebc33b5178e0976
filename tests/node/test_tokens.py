"""Bearer tokens on a real node of several workers: what they may write, their end, and guessing at them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from core import limits
from tests.kit.handle_node import client_of
from tests.kit.handle_proofs import SecretKey
from tests.kit.management import DIGEST, FORMS
from tests.kit.node import Node, Reply, basic, saltern

OWN, OTHER = "88.118.7", "88.118.8"
URL = [{"index": 1, "type": "URL", "data": "https://p007.example.cn"}]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Two enterprises with a prefix each, filed by one and reviewed by two."""
    folder = tmp_path_factory.mktemp("tokens") / "node"
    with Node(folder, "88.118", resolver__workers=3) as running:
        operator = issued(running, "operator")
        reviewers = [issued(running, "reviewer", holder=f"审核人{number}") for number in "甲乙"]
        for number, prefix in enumerate((OWN, OTHER)):
            party = running.ask("POST", "/v1/parties", FORMS[number], operator).json["party"]
            sent = {"method": "manual", "evidence_sha256": DIGEST}
            for reviewer in reviewers:
                assert running.ask("POST", f"/v1/parties/{party}/verifications", sent, reviewer).status == 200
            asked = running.ask("PUT", f"/v1/prefixes/{prefix}/application", {"party": party}, operator)
            assert asked.status == 201, asked
            reviewed = running.ask("POST", f"/v1/prefixes/{prefix}/reviews", {"approve": True}, reviewers[0])
            assert reviewed.json["state"] == "homed", reviewed
        yield running
        running.fsck()


def told(node: Node, *arguments: str) -> Any:
    done = saltern("token", *arguments, "--actor", "经办人", "--config", str(node.config), "--json")
    return json.loads(done.stdout)


def issued(node: Node, role: str, *more: str, holder: str = "持有人") -> dict[str, str]:
    """Issue a token; return its header."""
    return {"Authorization": f"Bearer {told(node, 'issue', '--role', role, '--holder', holder, *more)['secret']}"}


def put(node: Node, handle: str, headers: dict[str, str], method: str = "PUT") -> Reply:
    return node.ask(method, f"/api/handles/{handle}", URL if method == "PUT" else None, headers)


def name_of(headers: dict[str, str]) -> str:
    return headers["Authorization"].split("_")[1]


def wrong(headers: dict[str, str]) -> dict[str, str]:
    """Return the header of a token of the same id with another secret."""
    return {"Authorization": f"Bearer saltern_{name_of(headers)}_{'x' * 43}"}


def test_an_enterprise_writes_below_its_own_prefix(node: Node) -> None:
    """By PUT and DELETE of the Handle interface and by batches; below another one, and its prefix handle, not."""
    own = issued(node, "enterprise", "--party", "P000001")
    assert put(node, f"{OWN}/A", own).status == 201
    assert node.get(f"{OWN}/A").json["values"][0]["data"]["value"] == URL[0]["data"]
    assert put(node, f"{OWN}/A", own, "DELETE").status == 200
    for handle in (f"{OTHER}/A", "88.118/A", f"0.NA/{OWN}"):
        assert put(node, handle, own).status == 403, handle
    records = [{"handle": handle, "values": URL} for handle in (f"{OWN}/B", f"{OTHER}/B")]
    reply = node.ask("POST", "/v1/records:batch", records, own)
    assert reply.json["counts"] == {"created": 1, "forbidden": 1}


@pytest.mark.parametrize("role", ["reviewer", "auditor"])
def test_who_reviews_or_audits_writes_no_record(node: Node, role: str) -> None:
    token = issued(node, role)
    assert put(node, f"{OWN}/{role}", token).status == 403
    reply = node.ask("POST", "/v1/records:batch", [{"handle": f"{OWN}/{role}", "values": URL}], token)
    assert (reply.status, reply.json["rule"]) == (403, "role")


def test_a_token_that_is_revoked_is_dead_in_every_worker(node: Node) -> None:
    """From the next request on, whichever worker takes it; the same for the Handle interface."""
    token = issued(node, "auditor")
    assert {node.ask("GET", "/v1/changes", headers=token).status for _ in range(12)} == {200}
    told(node, "revoke", name_of(token))
    for path in ("/v1/changes", f"/api/handles/{OWN}/NONE"):
        replies = [node.ask("GET", path, headers=token) for _ in range(5)]
        assert {reply.status for reply in replies} == {401}
        challenge = 'Bearer realm="saltern", error="invalid_token"'
        assert all(challenge in reply.headers.get_all("WWW-Authenticate", []) for reply in replies)


def test_a_token_is_nowhere_but_with_who_has_it(node: Node) -> None:
    """Not in any file of the node, its log included."""
    secret = issued(node, "operator")["Authorization"].split("_", 2)[2].encode()
    files = [path for path in node.folder.rglob("*") if path.is_file()]
    assert not [path for path in files if secret in path.read_bytes()]


def test_what_our_own_api_refuses_at_the_door_is_told_in_two_languages(node: Node) -> None:
    """Chinese first; the Handle interface says what the reference server says."""
    known = issued(node, "auditor")
    bad = wrong(known)
    for method, path, headers, zh, en in (
        ("GET", "/v1/parties", {}, "请提供凭据", "Send credentials"),
        ("GET", "/v1/parties", bad, "身份未通过验证", "Identity not verified"),
        ("GET", "/v1/nothing", known, "此路径下没有接口", "There is nothing at this path"),
        ("GET", "/about/us", {}, "此路径下没有接口", "There is nothing at this path"),
        ("PUT", "/v1/parties", known, "此路径只接受 POST, GET, HEAD", "This path answers POST, GET, HEAD"),
        ("GET", "/v1/records:batch", known, "此路径只接受 POST", "This path answers POST"),
    ):
        detail = node.ask(method, path, headers=headers).json["detail"]
        assert detail.startswith(zh), path
        assert f"。{en}" in detail, path
    assert node.ask("DELETE", f"/api/handles/{OWN}/X", headers=bad).body == b""


def test_guessing_is_slow_from_this_machine_too(node: Node) -> None:
    """429 with Retry-After for all workers together, on both interfaces, of tokens and of secrets of handles.

    What was guessed over HTTP counts for the Handle protocol, too.
    """
    right, other = issued(node, "auditor"), issued(node, "auditor")
    tries = limits.LOGIN_FAILURES // limits.TOKEN_FAILURE_COST
    replies = [node.ask("GET", "/v1/changes", headers=wrong(right)) for _ in range(tries)]
    assert {reply.status for reply in replies} == {401}
    for path in ("/v1/changes", f"/api/handles/{OWN}/NONE"):
        reply = node.ask("GET", path, headers=right)
        assert (reply.status, 0 < int(reply.headers["Retry-After"]) <= limits.LOGIN_FAILURE_S) == (429, True)
        assert "WWW-Authenticate" not in reply.headers
        told = reply.json.get("detail") or reply.json["message"]
        assert told.startswith("登录失败次数过多")
        assert "秒后重试。Too many failed log-ins; try again in" in told
    assert node.ask("GET", "/v1/changes", headers=other).status == 200
    guess = basic(f"300:0.NA/{OWN}", "guess")
    replies = [put(node, f"{OWN}/G", guess) for _ in range(limits.LOGIN_FAILURES // limits.HTTP_FAILURE_COST + 2)]
    assert [reply.status for reply in replies][-2:] == [429, 429]
    assert replies[-1].json["responseCode"] == 3
    secret = SecretKey(f"0.NA/{OWN}", 300, b"guess", 0x13)
    assert client_of(node, "tcp", secret).delete(f"{OWN}/G").code == 3


def test_resolving_needs_no_token(node: Node) -> None:
    """With one it is answered as without."""
    put(node, f"{OWN}/R", issued(node, "operator"))
    token = issued(node, "auditor")
    bodies = {node.ask("GET", f"/api/handles/{OWN}/R", headers=sent).body for sent in ({}, token)}
    assert len(bodies) == 1


def test_who_fails_to_prove_himself_is_written_down(node: Node) -> None:
    """By the id that he claimed, on each way in; the secret that he tried is nowhere."""
    headers = wrong(issued(node, "auditor"))
    time.sleep(1)  # the failures of the test before fill their second
    for path, method in (("/v1/parties", "GET"), ("/v1/records:batch", "POST"), (f"/api/handles/{OWN}/X", "DELETE")):
        assert node.ask(method, path, [] if method == "POST" else None, headers).status in (401, 403), path
    done = saltern("journal", "--count", "1000", "--config", str(node.config), "--json")
    failed = [each for each in json.loads(done.stdout) if each["action"] == "log-in"]
    mine = [each for each in failed if each["object"] == name_of(headers)]
    assert [(each["outcome"], each["rule"]) for each in mine] == [("authentication-failed",) * 2] * 3
    assert "x" * 43 not in done.stdout.decode()
