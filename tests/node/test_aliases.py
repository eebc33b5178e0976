"""Aliases on a running node: by the command line and over HTTP, on the record's page, behind a kill, in the log."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.node import Node, admin_value, saltern

PREFIX = "88.118.7"
HANDLE = f"{PREFIX}/SKU01"
GTIN, OID, SERIAL = "gtin:06901234567892", "oid:1.2.156.99999.7", "gtin+serial:06901234567892/A/B"


@pytest.fixture
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("aliases") / "node", PREFIX) as running:
        values = [{"index": 1, "type": "DESC", "data": "低钠盐"}, {"index": 2, "type": "GTIN", "data": "6901234567885"}]
        values.append(admin_value(f"0.NA/{PREFIX}"))
        assert running.put(HANDLE, values).status == 201
        yield running


def operator(node: Node) -> dict[str, str]:
    """Return the header of an operator's token."""
    issued = saltern(
        "token", "issue", "--role", "operator", "--holder", "Olga", "--json", "--config", str(node.config)
    )  # fmt: skip
    return {"Authorization": f"Bearer {json.loads(issued.stdout)['secret']}"}


def run(node: Node, *arguments: str, ends: int = 0) -> Any:
    """Run ``saltern alias``; return its JSON."""
    done = saltern("alias", *arguments, "--json", "--config", str(node.config), check=False)
    assert done.returncode == ends, (done.stdout, done.stderr)
    return json.loads(done.stdout)


def test_by_the_command_line(node: Node) -> None:
    """Added, shown, listed by identifier, by prefix and all, removed; a dry run writes nothing, a slip is told."""
    assert run(node, "add", HANDLE, "gtin:6901234567892", "--dry-run")["dry_run"] is True
    assert run(node, "list") == []
    told = run(node, "add", HANDLE, "gtin:6901234567892")
    assert (told["alias"], [each["rule"] for each in told["warnings"]]) == (GTIN, ["alias-gtin-other"])
    run(node, "add", HANDLE, OID)
    assert run(node, "show", GTIN)["identifier"] == HANDLE
    for below in ((), (HANDLE,), (PREFIX,), (HANDLE.lower(),)):
        assert [each["alias"] for each in run(node, "list", *below)] == [GTIN, OID]
    assert run(node, "list", "88.118.70") == run(node, "list", f"{PREFIX}/SKU0") == []
    assert run(node, "add", f"{PREFIX}/none", "gln:6901234567892", ends=1)["rule"] == "alias-unregistered"
    assert "Did you mean sscc?" in run(node, "add", HANDLE, "scc:1", ends=1)["reason"]
    assert run(node, "remove", GTIN, "--dry-run")["dry_run"] is True
    run(node, "remove", GTIN)
    assert run(node, "show", GTIN, ends=1)["rule"] == "alias-none"
    text = saltern("alias", "list", "--config", str(node.config)).stdout.decode()
    assert text == f"{OID} → {HANDLE}\n"


def test_over_http(node: Node) -> None:
    """The same; a slash of an alias stands in a path as it is, or as %2F."""
    admin = operator(node)
    sent = {"identifier": HANDLE, "alias": "gtin:6901234567892"}
    assert node.ask("POST", "/v1/aliases", sent).status == 401
    assert [node.ask("POST", "/v1/aliases", sent, admin).status for _ in range(2)] == [201, 200]
    for alias in (SERIAL, "gtin+lot:06901234567892/L1", OID):
        assert node.ask("POST", "/v1/aliases", {"identifier": HANDLE, "alias": alias}, admin).status == 201
    listed = node.ask("GET", f"/v1/aliases?identifier={HANDLE}", headers=admin).json
    assert [(each["identifier"], len(each["aliases"])) for each in listed["identifiers"]] == [(HANDLE, 4)]
    assert listed == node.ask("GET", f"/v1/aliases?prefix={PREFIX}", headers=admin).json
    assert node.ask("GET", "/v1/aliases?after=x", headers=admin).status == 400
    assert node.ask("DELETE", "/v1/aliases/gtin+serial:06901234567892%2FA%2FB", headers=admin).status == 200
    assert node.ask("DELETE", "/v1/aliases/gtin+lot:06901234567892/L1", headers=admin).status == 200
    assert node.ask("DELETE", "/v1/aliases/gtin+lot:06901234567892/L1", headers=admin).status == 404
    assert node.ask("DELETE", "/v1/aliases/nonsense", headers=admin).status == 400


def test_the_pages_of_a_list_are_all_of_it(node: Node) -> None:
    admin = operator(node)
    names = [f"{PREFIX}/P{number}" for number in range(5)]
    for number, name in enumerate(names):
        assert node.put(name, []).status == 201
        sent = {"identifier": name, "alias": f"{OID}.{number}"}
        assert node.ask("POST", "/v1/aliases", sent, admin).status == 201
    found, after = [], ""
    while after is not None:
        listed = node.ask("GET", f"/v1/aliases?count=2{after and f'&after={after}'}", headers=admin).json
        found += [each["identifier"] for each in listed["identifiers"]]
        after = listed["next"]
    assert found == names


def test_the_page_of_a_record_names_its_aliases(node: Node) -> None:
    run(node, "add", HANDLE, GTIN)
    page = node.ask("GET", f"/{HANDLE}?noredirect").body.decode()
    assert f"别名 Also known as: {GTIN}" in page
    run(node, "remove", GTIN)
    assert "Also known as" not in node.ask("GET", f"/{HANDLE}?noredirect").body.decode()


def test_what_was_answered_is_there_behind_a_kill(node: Node) -> None:
    """Both tables agree, and the log has an entry for each alias, also for those that went with their record."""
    for number in range(5):
        run(node, "add", HANDLE, f"{OID}.{number}")
    assert node.delete(HANDLE).status == 200
    assert node.put(HANDLE, []).status == 201
    run(node, "add", HANDLE, GTIN)
    node.stop(signal.SIGKILL)
    node.start()
    assert [each["alias"] for each in run(node, "list")] == [GTIN]
    node.fsck()
    config = str(node.config)
    for alias, acts in ((GTIN, ["alias.add"]), (f"{OID}.3", ["alias.add", "alias.remove"])):
        said = saltern("changes", "--json", "--config", config).stdout.decode()
        assert said.count(alias) == len(acts)


def test_an_import_is_refused_before_anything_is_begun(tmp_path: Path) -> None:
    """Where an alias of the file names something else at the node; a dry run says so, too."""
    here, there = Node(tmp_path / "here", "88.118.9"), Node(tmp_path / "there", PREFIX)
    for each, handle in ((here, "88.118.9/A"), (there, HANDLE)):
        saltern("record", "put", handle, "--url", "https://a.example", "--config", str(each.config))
        run(each, "add", handle, GTIN)
    file = tmp_path / "prefix.transfer"
    saltern("prefix", "export", PREFIX, "--out", str(file), "--config", str(there.config))
    for options in (("--dry-run",), ()):
        arguments = ("prefix", "import", str(file), *options, "--json", "--config", str(here.config))
        refused = saltern(*arguments, check=False)
        assert (refused.returncode, json.loads(refused.stdout)["rule"]) == (1, "import-alias")
    assert saltern("prefix", "show", PREFIX, "--json", "--config", str(here.config), check=False).returncode == 1
    run(here, "remove", GTIN)
    saltern("prefix", "import", str(file), "--config", str(here.config))
    assert run(here, "show", GTIN)["identifier"] == HANDLE
    here.fsck()
