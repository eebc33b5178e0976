"""Metadata templates on a real node: the very commands of the manual, and every protocol that writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.handle_messages import Value
from tests.kit.handle_node import client_of, secret_key
from tests.kit.management import FORMS
from tests.kit.node import Node, admin_value, saltern
from tests.kit.templates import CODE, GOOD, SAMPLE, as_json, bound, template_form, template_members

OWN = "88.118.7"
ADMIN = admin_value(f"0.NA/{OWN}")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """The sample is published, and one record bound to it."""
    with Node(tmp_path_factory.mktemp("templates") / "node", OWN, resolver__workers=2) as running:
        assert told(running, "add", "--file", str(SAMPLE)) == {
            "code": CODE, "state": "draft", "versions": ["1.0"], "warnings": [],
        }  # fmt: skip
        assert told(running, "publish", CODE)["state"] == "published"
        assert running.put(f"{OWN}/BOUND", [*as_json(bound()), ADMIN]).status == 201
        yield running
        running.fsck()
        assert "Traceback" not in running.log()


def told(node: Node, *arguments: str, status: int = 0, stdin: bytes = b"") -> Any:
    """Run a command of templates; return the JSON that it prints, be it of a refusal."""
    done = saltern("template", *arguments, "--config", str(node.config), "--json", check=False, stdin=stdin)
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


def test_a_record_that_does_not_fit_is_refused_on_every_way(node: Node, tmp_path: Path) -> None:
    """PUT, batch, import and the Handle protocol tell the same faults; nothing of it is registered."""
    wrong = bound(PRODUCT_NAME=None, NET_CONTENT="x")
    handle = f"{OWN}/WRONG"
    line = json.dumps({"handle": handle, "values": as_json(wrong)})
    file = tmp_path / "records.jsonl"
    file.write_text(line + "\n", "utf-8")
    by_http = node.put(handle, as_json(wrong))
    by_batch = node.ask(
        "POST", "/v1/records:batch", f"[{line}]".encode(), node.admin() | {"Content-Type": "application/json"}
    )
    by_import = saltern("record", "import", str(file), "--config", str(node.config), check=False)
    client = client_of(node, "tcp", secret_key(node))
    by_handle = client.create(handle, [Value(value.value_index, value.type, value.data) for value in wrong])
    assert (by_http.status, by_http.json["responseCode"], by_handle.code) == (400, 202, 202)
    assert by_import.returncode == 1
    item = by_batch.json["results"][0]
    assert item["outcome"] == "invalid-value"
    for text in (
        by_http.json["message"],
        item["message"],
        str(by_handle),
        (by_import.stdout + by_import.stderr).decode(),
    ):
        assert "PRODUCT_NAME" in text
        assert "NET_CONTENT[11]" in text
    assert node.get(handle).status == 404


def test_what_fits_is_answered_as_it_was_registered(node: Node) -> None:
    """On every protocol that registers, and every one that resolves."""
    client = client_of(node, "tcp", secret_key(node))
    values = [Value(value.value_index, value.type, value.data) for value in bound()]
    assert client.create(f"{OWN}/BY-HANDLE", values).code == 1
    line = json.dumps({"handle": f"{OWN}/BY-BATCH", "values": as_json(bound())})
    headers = node.admin() | {"Content-Type": "application/json"}
    assert node.ask("POST", "/v1/records:batch", f"[{line}]".encode(), headers).json["counts"] == {"created": 1}
    for name in ("BOUND", "BY-HANDLE", "BY-BATCH"):
        answered = {value["type"]: value["data"]["value"] for value in node.get(f"{OWN}/{name}").json["values"]}
        answered.pop("HS_ADMIN", None)
        assert answered == GOOD | {"METADATA_TEMPLATE": f"{CODE}@1.0", "URL": "https://salt.example.cn"}
        resolved = client_of(node, "udp").resolve(f"{OWN}/{name}")
        assert resolved.code == 1


def test_a_change_by_the_handle_protocol_keeps_to_the_template(node: Node) -> None:
    """Add, modify and remove: refused where the record would no longer fit."""
    client = client_of(node, "tcp", secret_key(node))
    handle = f"{OWN}/BOUND"
    assert client.modify_values(handle, [Value(11, "NET_CONTENT", b"x")]).code == 202
    assert client.add_values(handle, [Value(70, "NET_CONTENT", b"x")]).code == 202
    assert client.remove_values(handle, [10]).code == 202
    assert client.modify_values(handle, [Value(11, "NET_CONTENT", b"450")]).code == 1


def test_a_withdrawn_template_takes_nothing_new_and_keeps_what_is_there(node: Node) -> None:
    """From the answer of the command on, in every worker; what is bound is resolved and changed as before."""
    told(node, "add", "--file", "-", stdin=template_form(code="SEASON", version=2))
    assert told(node, "publish", "SEASON")["versions"] == ["2"]
    values = [*as_json(bound("SEASON@2")), ADMIN]
    assert node.put(f"{OWN}/OLD", values).status == 201
    before = node.get(f"{OWN}/OLD").body
    assert told(node, "withdraw", "SEASON") == {"code": "SEASON", "state": "withdrawn", "versions": ["2"]}
    for number in range(6):
        reply = node.put(f"{OWN}/NEW{number}", values)
        assert (reply.status, "withdrawn" in reply.json["message"]) == (400, True)
    assert node.get(f"{OWN}/OLD").body == before
    assert node.put(f"{OWN}/OLD", [*as_json(bound("SEASON@2", NET_CONTENT="1")), ADMIN]).status == 200
    assert node.delete(f"{OWN}/OLD").status == 200
    assert node.put(f"{OWN}/OLD", values).status == 400


def test_refusals_tell_why(node: Node, tmp_path: Path) -> None:
    """Exit code 1 with rule and faults; usage is 2; what was published stays."""
    assert told(node, "add", "--file", str(SAMPLE), status=1)["rule"] == "template-fixed"
    assert told(node, "publish", CODE, status=1)["rule"] == "template-state"
    for command in ("publish", "withdraw", "show"):
        assert told(node, command, "NOTHING", status=1)["rule"] == "template-not-found"
    wrong = tmp_path / "wrong.json"
    wrong.write_bytes(template_form(version="9", items=[{"name": "A", "alias": "甲", "type": "colour", "length": 1}]))
    refused = told(node, "add", "--file", str(wrong), status=1)
    assert (refused["rule"], [each["path"] for each in refused["faults"]]) == ("form", ["items[0].type"])
    wrong.write_bytes(b"{")
    assert told(node, "add", "--file", str(wrong), status=1)["rule"] == "json"
    assert saltern("template", "publish", "--config", str(node.config), check=False).returncode == 2


def test_show_and_list_tell_all(node: Node) -> None:
    """As JSON and for people; a dry run files nothing; warnings are told."""
    shown = told(node, "show", CODE.lower())
    assert shown["items"] == [{"required": True, "unit": None} | item for item in template_members()["items"]]
    assert {name: shown[name] for name in ("code", "version", "state", "object_type", "industry")} == {
        "code": CODE, "version": "1.0", "state": "published", "object_type": "passive",
        "industry": template_members()["industry"],
    }  # fmt: skip
    config = ("--config", str(node.config))
    form = template_form(code="DRY", industry="C")
    done = saltern("template", "add", "--file", "-", "--dry-run", *config, stdin=form)
    assert "DRY@1.0" in done.stdout.decode()
    assert done.stderr.decode().count("industry.") == 3
    listed = told(node, "list")
    assert (CODE, "1.0", "published") in {(each["code"], each["version"], each["state"]) for each in listed}
    assert "DRY" not in {each["code"] for each in listed}
    assert f"{CODE}@1.0  已发布 published" in saltern("template", "list", *config).stdout.decode()
    text = saltern("template", "show", CODE, *config).stdout.decode()
    assert "NET_CONTENT 净含量: integer(8) g, 必填 required" in text
    assert "versions 版本: 1.0 已发布" in text


def test_an_enterprise_has_its_own_over_http(node: Node) -> None:
    """Changes stand in the feed, acts and refusals in the journal."""

    config = ("--config", str(node.config), "--json")
    filed = saltern("party", "add", "--file", "-", *config, stdin=json.dumps(FORMS[0]).encode())
    party = json.loads(filed.stdout)["party"]
    issued = saltern("token", "issue", "--role", "enterprise", "--party", party, "--holder", "企业员工", *config)
    token = {"Authorization": f"Bearer {json.loads(issued.stdout)['secret']}"}
    assert node.ask("POST", "/v1/templates", template_members(code="OWN"), token).status == 201
    assert node.ask("POST", "/v1/templates/OWN/publications", {}, token).status == 200
    reply = node.ask("POST", f"/v1/templates/{CODE}/withdrawals", {}, token)
    assert (reply.status, reply.json["rule"]) == (403, "own-party")
    assert told(node, "show", "OWN")["party"] == party
    changes = json.loads(saltern("changes", *config).stdout)
    assert {"template-published", "template-withdrawn"} >= {
        each["kind"] for each in changes if "template" in each["kind"]
    }
    assert next(each["identifier"] for each in changes if each["kind"] == "template-published") == f"{CODE}@1"
    actions = [(each["action"], each["rule"]) for each in json.loads(saltern("journal", *config).stdout)]
    assert ("template.withdraw", "own-party") in actions
    assert ("template.publish", None) in actions


def test_a_node_that_does_not_run_is_asked_the_same(tmp_path: Path) -> None:
    """The command line writes into the store itself."""
    node = Node(tmp_path / "node", OWN)
    told(node, "add", "--file", str(SAMPLE))
    told(node, "publish", CODE, "--version", "V1")
    line = json.dumps({"handle": f"{OWN}/A", "values": as_json(bound())}).encode()
    assert saltern("record", "import", "-", "--config", str(node.config), stdin=line).returncode == 0
    wrong = line.replace(b"400", b"4oo").replace(f"{OWN}/A".encode(), f"{OWN}/B".encode())
    assert saltern("record", "import", "-", "--config", str(node.config), stdin=wrong, check=False).returncode == 1
    node.fsck()
