"""Parties by the command line of a real node: filed, refused with all reasons, shown, listed, sealed anew."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.party.fields import identity_names
from tests.kit.node import Node, saltern

ROWS = list(csv.DictReader((Path(__file__).parent.parent / "vectors" / "parties.csv").open(encoding="utf-8")))
IDENTITY = sorted(identity_names(person=False) & set(ROWS[0]))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("parties") / "node", "88.118") as running:
        yield running


def party(node: Node, *arguments: str, check: bool = True, form: object = None) -> tuple[int, Any]:
    stdin = b"" if form is None else json.dumps(form).encode()
    given = () if form is None else ("--file", "-")
    done = saltern("party", *arguments, *given, "--config", str(node.config), "--json", check=check, stdin=stdin)
    return done.returncode, json.loads(done.stdout)


def test_all_sample_parties_are_filed_and_none_of_their_identity_lies_in_the_store(node: Node) -> None:
    """Each gets the next id and a change; the data file and everything else in the node's data holds no value."""
    for number, row in enumerate(ROWS, 1):
        assert party(node, "add", "--actor", "经办人", form=row)[1]["party"] == f"P{number:06}"
    names = [each["name"] for each in party(node, "list")[1]]
    assert names == [row["name"] for row in ROWS]
    secrets = [row[field].encode() for row in ROWS for field in IDENTITY]
    files = [path for path in (node.folder / "data").rglob("*") if path.is_file()]
    contents = [path.read_bytes() for path in files]
    assert any(ROWS[0]["name"].encode() in content for content in contents)
    assert not [secret for secret in secrets for content in contents if secret in content]
    assert not [secret for secret in secrets if secret in node.log().encode()]


def test_a_form_with_faults_is_refused_with_all_of_them_and_stores_nothing(node: Node) -> None:
    """As JSON on standard output, exit code 1; no value of identity is repeated."""
    before = party(node, "list")[1]
    wrong = ROWS[0] | {"uscc": "913707028BRK2A207X", "phone": "12", "established": "2999-01-01", "contact": ""}
    status, told = party(node, "add", check=False, form=wrong)
    assert status == 1
    assert {each["path"] for each in told["faults"]} == {"uscc", "phone", "established", "contact"}
    assert all(each["rule"] and each["zh"] and each["en"] for each in told["faults"])
    assert party(node, "list")[1] == before
    for form in ([], "x", None, 7):
        done = saltern("party", "add", "--file", "-", "--config", str(node.config), check=False,
                       stdin=json.dumps(form).encode())  # fmt: skip
        assert (done.returncode, json.loads(done.stdout)["outcome"]) == (1, "invalid-value")


def test_the_same_certificate_is_filed_once(node: Node) -> None:
    """The refusal says whose it is."""
    status, told = party(node, "add", check=False, form=ROWS[0])
    assert (status, told["outcome"]) == (1, "conflict")
    assert "P000001" in told["reason"]


def test_identity_is_shown_only_when_it_is_asked_for(node: Node) -> None:
    """And then as it was filed."""
    masked, whole = party(node, "show", "P000002")[1], party(node, "show", "P000002", "--identity")[1]
    assert {masked[field] for field in IDENTITY} == {"***"}
    assert [whole[field] for field in IDENTITY] == [ROWS[1][field] for field in IDENTITY]
    assert masked["name"] == whole["name"] == ROWS[1]["name"]
    assert masked["filed_by"] == f"经办人 (uid {os.getuid()})"
    assert saltern("party", "show", "P999999", "--config", str(node.config), check=False).returncode == 1


def test_all_is_sealed_anew_under_a_new_key_while_the_node_runs(node: Node) -> None:
    """Without the old key everything opens; the key file stays private."""
    keys = node.folder / "keys" / "identity.keys"
    assert party(node, "rekey")[1] == {"rekeyed": len(ROWS), "complaints": 0, "key": 2}
    assert keys.stat().st_mode & 0o777 == 0o600
    lines = keys.read_text().splitlines()
    keys.write_text("\n".join(line for line in lines if not line.startswith("1 ")) + "\n")
    assert party(node, "show", "P000003", "--identity")[1]["phone"] == ROWS[2]["phone"]
    keys.write_text("\n".join(line for line in lines if not line.startswith("2 ")) + "\n")
    assert saltern("party", "show", "P000003", "--identity", "--config", str(node.config), check=False).returncode == 1
    keys.write_text("\n".join(lines) + "\n")


def test_without_a_key_nothing_is_stored(node: Node) -> None:
    """The reason names the setting and what makes a key; a file that others can read is refused, too."""
    keys = node.folder / "keys" / "identity.keys"
    kept = keys.read_bytes()
    new = ROWS[0] | {"uscc": "", "cert_type": "其他"} | {"uscc": "37-000-1"}
    keys.unlink()
    status, told = party(node, "add", check=False, form=new)
    assert status == 1
    assert "party.keys" in told["reason"]
    keys.write_bytes(kept)
    keys.chmod(0o640)
    status, told = party(node, "add", check=False, form=new)
    assert status == 1
    assert "0600" in told["reason"]
    keys.chmod(0o600)
    assert party(node, "add", "--dry-run", form=new)[0] == 0
    assert len(party(node, "list")[1]) == len(ROWS)
    assert party(node, "add", form=new)[0] == 0
    assert saltern("doctor", "--deep", "--config", str(node.config)).returncode == 0
