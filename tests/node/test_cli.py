"""The command line, as an operator types it: help, exit codes, JSON, running and stopped node."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from node.cli.main import cli
from tests.kit.node import Node, saltern
from tests.kit.vectors import import_lines, reference_records

PREFIX = "88.118.7"


@pytest.fixture
def stopped(tmp_path: Path) -> Node:
    return Node(tmp_path / "node", PREFIX)


@pytest.fixture(params=["running", "stopped"])
def node(request: pytest.FixtureRequest, stopped: Node) -> Iterator[Node]:
    """Every command that reads or writes works the same on a running and on a stopped node."""
    if request.param == "stopped":
        yield stopped
        return
    with stopped:
        yield stopped


def run(node: Node, *arguments: str, stdin: bytes = b"", code: int = 0) -> str:
    done = saltern(*arguments, "--config", str(node.config), check=False, stdin=stdin)
    assert done.returncode == code, done.stderr.decode()
    return (done.stdout + done.stderr).decode()


def run_json(node: Node, *arguments: str, stdin: bytes = b"", code: int = 0) -> Any:
    done = saltern(*arguments, "--json", "--config", str(node.config), check=False, stdin=stdin)
    assert done.returncode == code, done.stderr.decode()
    return json.loads(done.stdout)


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


@pytest.mark.parametrize(
    ("path", "command"), list(commands(cli)), ids=lambda each: " ".join(each) if isinstance(each, tuple) else ""
)
def test_every_command_has_help_in_both_languages_and_an_example(path: tuple[str, ...], command: click.Command) -> None:
    """Chinese first, English beside it, one example that begins with the command itself."""
    text = command.help or ""
    assert not text.isascii()
    assert f"Example: saltern {' '.join(path)}" in text
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, option.name


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (("recrod", "put"), "record"),
        (("record", "imprt"), "import"),
        (("serv",), "serve"),
        (("config", "chek"), "check"),
    ],
)
def test_a_misspelt_command_names_the_right_one(typed: tuple[str, ...], meant: str) -> None:
    """Exit code 2, usage."""
    done = saltern(*typed, check=False)
    assert done.returncode == 2
    assert f"{meant}`?" in done.stderr.decode()


def test_a_record_by_hand(node: Node) -> None:
    """put, get, delete a value, delete; each with its answer."""
    handle = f"{PREFIX}/SKU01"
    assert run_json(node, "record", "put", handle, "--url", "https://a.example")["outcome"] == "created"
    shown = run_json(node, "record", "get", handle.lower())
    assert [value["type"] for value in shown["values"]] == ["URL", "HS_ADMIN"]
    run(node, "record", "put", handle, "--value", '{"index": 2, "type": "DESC", "data": "食盐"}')
    assert "食盐" in run(node, "record", "get", handle)
    assert "handle-exists" in run(node, "record", "put", handle, "--url", "x", "--no-overwrite", code=1)
    run(node, "record", "delete", handle, "--index", "2")
    run(node, "record", "delete", handle)
    assert "No such record" in run(node, "record", "get", handle, code=1)


def test_a_prefixs_own_record_is_changed_on_purpose_only(node: Node) -> None:
    """A forgotten suffix would otherwise take the administrators and their keys away."""
    for arguments in (("put", PREFIX, "--url", "https://a.example"), ("delete", f"0.na/{PREFIX}")):
        assert "--force" in run(node, "record", *arguments, code=1)
    assert len(run_json(node, "record", "get", PREFIX)["values"]) == 3
    run(node, "record", "delete", PREFIX, "--index", "300", "--force")


def test_what_is_put_has_an_administrator(node: Node) -> None:
    """A record without HS_ADMIN could not be changed by anyone but the operator."""
    run(node, "record", "put", f"{PREFIX}/A", "--url", "https://a.example")
    admin = run_json(node, "record", "get", f"{PREFIX}/A")["values"][1]
    assert admin["data"]["value"]["handle"] == f"0.NA/{PREFIX}"


def test_a_dry_run_writes_nothing(node: Node) -> None:
    """Of put, delete and import."""
    assert "dry run" in run(node, "record", "put", f"{PREFIX}/D", "--url", "x", "--dry-run")
    run(node, "record", "get", f"{PREFIX}/D", code=1)
    line = json.dumps({"handle": f"{PREFIX}/D", "values": []}).encode()
    assert run_json(node, "record", "import", "-", "--dry-run", stdin=line)["counts"] == {"created": 1}
    run(node, "record", "get", f"{PREFIX}/D", code=1)


def test_import_and_export_are_a_round_trip(node: Node, tmp_path: Path) -> None:
    """Every value type of the reference server's records, times included; secrets are left out."""
    records = {
        handle.replace("88.9999.1", PREFIX): values
        for handle, values in reference_records().items()
        if handle.startswith("88.9999.1/")
    }
    file = tmp_path / "records.jsonl"
    file.write_bytes(import_lines(records))
    assert run_json(node, "record", "import", str(file))["counts"] == {"created": len(records)}
    assert run_json(node, "record", "import", str(file))["counts"] == {"ok": len(records)}
    out = tmp_path / "export.jsonl"
    message = run(node, "record", "export", str(out), "--prefix", PREFIX)
    lines = dict(sorted((handle.encode().upper().decode(), values) for handle, values in records.items()))
    assert out.read_bytes() == import_lines({key: lines[key] for key in sorted(lines, key=lambda each: each.encode())})
    assert f"exported: {len(records)}" in message
    run(node, "record", "export", str(out))
    assert "HS_SECKEY" not in out.read_text()


def test_importing_an_export_leaves_the_administrator_his_key(stopped: Node, tmp_path: Path) -> None:
    """An export holds no secret key; importing it must not lock everybody out."""
    out = tmp_path / "all.jsonl"
    run(stopped, "record", "export", str(out))
    assert run_json(stopped, "record", "import", str(out))["counts"] == {"ok": 1}
    with stopped:
        assert stopped.put(f"{PREFIX}/X", [{"index": 1, "type": "URL", "data": "u"}]).status == 201


def test_a_bad_line_is_named_and_the_others_are_imported(node: Node) -> None:
    """Exit code 1, the line's number, the reason."""
    good = [json.dumps({"handle": f"{PREFIX}/I{n}", "values": []}).encode() for n in range(3)]
    lines = [good[0], b"", b"{broken", good[1], b'{"handle":"99.1/X","values":[]}', good[2]]
    text = run(node, "record", "import", "-", stdin=b"\n".join(lines), code=1)
    assert "line 3: malformed" in text
    assert "line 5: not-responsible That prefix doesn't live here" in text
    assert "3 created" in text
    assert "2 条被拒绝" in text


def test_resolve_asks_as_a_platform_would(stopped: Node) -> None:
    """Over HTTP: text, JSON, exit code 1 with the reason for what is not there or nobody answers."""
    with stopped:
        run(stopped, "record", "put", f"{PREFIX}/R 盐", "--url", "https://a.example")
        server = f"127.0.0.1:{stopped.ready['http']}"
        done = saltern("resolve", f"{PREFIX}/r 盐", "--server", server, "--over", "http", "--json")
        answer = json.loads(done.stdout)
        assert (answer["responseCode"], answer["handle"]) == (1, f"{PREFIX}/r 盐")
        assert "https://a.example" in saltern("resolve", f"{PREFIX}/R 盐", "--server", server).stdout.decode()
        missing = saltern("resolve", f"{PREFIX}/NONE", "--server", server, check=False)
        assert (missing.returncode, b"handle not found (100)" in missing.stderr) == (1, True)
    gone = saltern("resolve", f"{PREFIX}/R", "--server", server, check=False)
    assert gone.returncode == 1
    assert b"does not answer as a node" in gone.stderr
    assert saltern("resolve", "x", "--server", "nonsense", check=False).returncode == 2


def test_init_never_overwrites(stopped: Node) -> None:
    """Exit code 1, and every file is as before."""
    files = [path for path in stopped.folder.rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in files}
    done = saltern("init", str(stopped.folder), "--prefix", "88.1", check=False)
    assert done.returncode == 1
    assert "nothing was changed" in done.stderr.decode()
    assert {path: path.read_bytes() for path in files} == before


def test_init_refuses_a_bad_prefix_before_it_makes_anything(tmp_path: Path) -> None:
    """Or a half-made node would stand in the way of the next try."""
    done = saltern("init", str(tmp_path / "n"), "--prefix", "88.1", "--prefix", "88..2", check=False)
    assert done.returncode == 1
    assert "empty segment" in done.stderr.decode()
    twice = saltern("init", str(tmp_path / "n"), "--prefix", "88.A", "--prefix", "88.a", check=False)
    assert (twice.returncode, b"given twice" in twice.stderr) == (1, True)
    assert not (tmp_path / "n").exists()
    assert saltern("init", str(tmp_path / "n"), check=False).returncode == 2


def test_a_prefix_with_quotes_is_written_as_toml_has_it(tmp_path: Path) -> None:
    """The grammar of handles allows it."""
    node = Node(tmp_path / "node", '88.a"b\\盐')
    assert run_json(node, "config", "show")["node.prefix"] == '88.a"b\\盐'


def test_init_makes_the_administrators_that_the_design_names(tmp_path: Path) -> None:
    """HS_ADMIN 100 (→ 200), HS_VLIST 200 (300, 301), HS_PUBKEY 300, HS_SECKEY 301, for each prefix."""
    node = Node(tmp_path / "node", "88.1", "88.2")
    for prefix in ("88.1", "88.2"):
        values = run_json(node, "record", "get", f"0.NA/{prefix}")["values"]
        assert [(value["index"], value["type"]) for value in values] == [
            (100, "HS_ADMIN"), (200, "HS_VLIST"), (300, "HS_PUBKEY"),
        ]  # fmt: skip
        assert values[0]["data"]["value"] == {"handle": f"0.NA/{prefix}", "index": 200, "permissions": "1" * 12}
        members = [(each["handle"], each["index"]) for each in values[1]["data"]["value"]]
        assert members[:2] == [(f"0.NA/{prefix}", 300), (f"0.NA/{prefix}", 301)]
    with node:
        body = [{"index": 1, "type": "URL", "data": "https://a.example"}]
        assert node.put("88.2/X", body).status == 201, "the first prefix's administrator may write below the second"
        assert node.ask("GET", "/api/prefixes", headers=node.admin()).status == 403, "301 is no server administrator"


def test_config_check_show_explain(stopped: Node) -> None:
    """The settings in force, an explanation of each, and the nearest name for a wrong one."""
    assert run_json(stopped, "config", "check") == {"ok": True, "config": str(stopped.config)}
    assert run_json(stopped, "config", "show", "--set", "http.port=1234")["http.port"] == 1234
    assert "* node.prefix = '88.118.7'" in run(stopped, "config", "show")
    assert "65535" in saltern("config", "explain", "http.port").stdout.decode()
    wrong = saltern("config", "explain", "http.prot", check=False)
    assert (wrong.returncode, b"did you mean http.port" in wrong.stderr) == (1, True)
    stopped.config.write_text(stopped.config.read_text() + "\n[htp]\nport = 1\n")
    assert "did you mean http.port" in run(stopped, "config", "check", code=1)


def test_doctor_finds_what_is_wrong(stopped: Node) -> None:
    """A well node is well; a key that others can read is named with the command that helps."""
    assert "every row is right" in run(stopped, "doctor", "--deep")
    key = stopped.folder / "keys" / "admin.secret"
    os.chmod(key, 0o644)
    assert f"chmod 600 {key}" in run(stopped, "doctor", code=1)
    findings = run_json(stopped, "doctor", code=1)
    assert {finding["level"] for finding in findings} >= {"ok", "error"}


def test_a_command_without_a_node_says_what_to_do(tmp_path: Path) -> None:
    """No configuration: the way to make one."""
    done = saltern("record", "get", "88.1/X", "--config", str(tmp_path / "node.toml"), check=False)
    assert done.returncode == 1
    assert b"saltern init DIR --prefix P" in done.stderr
