"""Exit codes of the commands of governance: 1 with the reasons as JSON, once; 2 for what is no command."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core import limits
from tests.kit.node import Node, saltern

ROWS = list(csv.DictReader((Path(__file__).parent.parent / "vectors" / "parties.csv").open(encoding="utf-8")))
PREFIX = "88.118.7"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("exit-codes") / "node", "88.118") as running:
        done = run(running, "party", "add", "--file", "-", "--actor", "张经办", stdin=json.dumps(ROWS[0]).encode())
        assert done.returncode == 0, done.stderr.decode()
        yield running


def run(node: Node, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return saltern(*arguments, "--config", str(node.config), check=False, stdin=stdin, apart=True)


def reasons(done: subprocess.CompletedProcess[bytes]) -> Any:
    """Return the only JSON document of a failure; its reason stands once on each output."""
    assert done.returncode == 1, done
    told = json.loads(done.stdout)
    assert list(told)[:3] == ["outcome", "rule", "reason"]
    assert done.stderr.decode() == f"错误 Error: {told['reason']}\n"
    assert "Traceback" not in done.stderr.decode()
    return told


REFUSED = [
    (("prefix", "show", "88.118.999"), "not-found", "prefix-not-found"),
    (("prefix", "show", "88..1"), "invalid-handle", None),
    (("party", "show", "P999"), "not-found", "party-not-found"),
    (("party", "confirm", "P999"), "not-found", "party-not-found"),
    (("party", "verify", "P000001", "--method", "manual", "--evidence", "/dev/null"), "invalid-value", None),
    (("prefix", "suspend", PREFIX, "--reason", "x", "--evidence", "/dev/null"), "invalid-value", None),
    (("party", "add", "--file", "/dev/zero"), "too-large", None),
    (("token", "revoke", "0" * 12), "not-found", "token-not-found"),
    (("token", "list", "--set", "http.port=x"), "internal", None),
    (("changes", "--set", "store.nothing=1"), "internal", None),
    (("journal", "--config", "/nowhere/node.toml"), "internal", None),
]


@pytest.mark.parametrize(("command", "outcome", "rule"), REFUSED, ids=lambda each: " ".join(each) if each else "-")
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_a_failure_tells_its_reasons_as_json(
    node: Node, command: tuple[str, ...], outcome: str, rule: str | None, as_json: bool
) -> None:
    """On standard output, whether the registrar refused it, the command itself, or the configuration is wrong."""
    arguments = (*command, "--json") if as_json else command
    config = () if "--config" in command else ("--config", str(node.config))
    told = reasons(saltern(*arguments, *config, check=False))
    assert (told["outcome"], told["rule"]) == (outcome, rule)


@pytest.mark.parametrize("hosting", ["hosted", "delegated"])
def test_an_empty_site_file_is_a_site_that_cannot_be_read(node: Node, hosting: str) -> None:
    """Not an application without a site."""
    command = ("prefix", "apply", PREFIX, "--party", "P000001", "--hosting", hosting, "--site", "/dev/null")
    told = reasons(run(node, *command, "--dry-run"))
    rule = "site-hosted" if hosting == "hosted" else "site-file"
    assert [(each["path"], each["rule"]) for each in told["faults"]] == [("site", rule)]


def test_an_offline_check_that_finds_a_fault_is_a_failure(node: Node, tmp_path: Path) -> None:
    """What it found is told, and written down; what a reviewer says himself is done as he says."""
    document = tmp_path / "licence.json"
    document.write_text(json.dumps({"name": "另一家企业"}))
    checked = ("party", "verify", "P000001", "--actor", "李审核", "--json", "--method")
    told = reasons(run(node, *checked, "offline", "--evidence", str(document)))
    assert (told["outcome"], told["party"], told["verification"]) == ("failed", "P000001", "failed")
    assert told["note"] == "name: not as in the document"
    assert told["note"] in told["reason"]
    by_hand = run(node, *checked, "manual", "--failed", "印章不清")
    assert (by_hand.returncode, json.loads(by_hand.stdout)["verification"]) == (0, "failed")
    first = run(node, *checked, "manual", "--evidence", str(document))
    assert (first.returncode, json.loads(first.stdout)["verification"]) == (0, "failed")
    document.write_text(json.dumps({"name": ROWS[0]["name"]}))
    assert run(node, *checked, "offline", "--evidence", str(document)).returncode == 0


@pytest.mark.parametrize(
    "name", ["", " ", "\u3000", "x" * (limits.PERSON_NAME_CHARS_MAX + 1), "张\u200b三", "张\t三", "a\x1bb", "\udcff"],
    ids=ascii,
)  # fmt: skip
@pytest.mark.parametrize("command", [("party", "list"), ("token", "revoke", "0" * 12)], ids=" ".join)
def test_who_acts_has_a_name_that_can_be_read(node: Node, command: tuple[str, ...], name: str) -> None:
    """Anything else is a usage error, in both languages, also of a command that only reads."""
    done = run(node, *command, "--actor", name)
    assert (done.returncode, done.stdout) == (2, b"")
    assert "经办人姓名应为1至100个可见字符" in done.stderr.decode()
    assert "takes 1 to 100 visible characters" in done.stderr.decode()


PLAIN = [
    (("record", "get", "88.118/NONE"), "handle-not-found"),
    (("record", "get", "88..1/X"), "invalid-handle"),
    (("record", "put", "99.1/X", "--url", "x"), "not-responsible"),
    (("record", "put", "88.118", "--url", "x"), "forbidden"),
    (("record", "put", "88.118/X", "--value", "{"), "malformed"),
    (("record", "delete", "88.118/NONE"), "handle-not-found"),
    (("record", "import", "/dev/null", "--set", "http.port=x"), "internal"),
    (("record", "export", "/dev/null", "--prefix", "88..1"), "invalid-handle"),
    (("config", "check", "--set", "store.nothing=1"), "internal"),
    (("config", "explain", "http.prot"), "internal"),
    (("init", "/dev/null/node", "--prefix", "88.1"), "internal"),
    (("resolve", "88.118/X", "--server", "127.0.0.1:1"), "internal"),
]


@pytest.mark.parametrize(("command", "outcome"), PLAIN, ids=[" ".join(row[0]) for row in PLAIN])
def test_with_json_every_other_command_tells_its_reasons_too(
    node: Node, command: tuple[str, ...], outcome: str
) -> None:
    """One JSON document on standard output; without --json the message on standard error alone."""
    config = () if command[0] in ("init", "resolve") or "explain" in command else ("--config", str(node.config))
    assert reasons(saltern(*command, "--json", *config, check=False))["outcome"] == outcome
    plain = saltern(*command, *config, check=False)
    assert (plain.returncode, plain.stdout) == (1, b"")


def test_what_printed_its_own_json_prints_no_second_document(node: Node, tmp_path: Path) -> None:
    """An answer of a node, the findings of the doctor, the counts of an import and an export."""
    server = ("--server", f"127.0.0.1:{node.ready['http']}")
    missing = saltern("resolve", "88.118/NONE", *server, "--json", check=False)
    assert (missing.returncode, json.loads(missing.stdout)["responseCode"]) == (1, 100)
    doctor = saltern("doctor", "--json", "--config", str(tmp_path / "none.toml"), check=False)
    assert (doctor.returncode, json.loads(doctor.stdout)[-1]["check"]) == (1, "config")
    imported = run(node, "record", "import", "-", "--json", stdin=b"{broken\n")
    assert (imported.returncode, [each["line"] for each in json.loads(imported.stdout)["refused"]]) == (1, [1])
    exported = run(node, "record", "export", str(tmp_path / "out.jsonl"), "--json")
    assert json.loads(exported.stdout) == {"exported": 1, "secrets_left_out": 1}
    assert run(node, "record", "export", "-", "--json", "--prefix", "88.118").stdout == b""


MISUSES = [
    (("journal", "--nope"), "没有这个选项。No such option"),
    (("--nope",), "没有这个选项。No such option"),
    (("journal", "--count"), "选项的用法有误。Option '--count' requires"),
    (("journal", "--count", "0"), "超出范围。Invalid value"),
    (("journal", "--count", "x"), "应为整数。Invalid value"),
    (("prefix", "show"), "缺少必需的选项或参数。Missing argument"),
    (("prefix", "suspend", "88.1"), "缺少必需的选项或参数。Missing option"),
    (("prefix", "show", "a", "b"), "参数过多。Got unexpected"),
    (("party", "add", "--file", "/nowhere/file"), "文件或目录不存在。Invalid value"),
    (("resolve", "x", "--over", "y"), "须为所列之一。Invalid value"),
    (("resolve", "x", "--server", "y"), "--server 应为 主机:端口"),
]


@pytest.mark.parametrize(("command", "said"), MISUSES, ids=[" ".join(row[0]) for row in MISUSES])
def test_a_wrong_use_is_told_in_both_languages(command: tuple[str, ...], said: str) -> None:
    """Exit code 2, once, whichever command or group it is of."""
    done = saltern(*command, check=False)
    told = done.stderr.decode().splitlines()[-1]
    assert (done.returncode, done.stdout) == (2, b"")
    assert told.startswith(f"Error: {said}")
    assert told.count(said) == 1


def test_a_wrong_configuration_is_told_in_both_languages(node: Node) -> None:
    """Chinese first; what was wrong stands in both."""
    for override in ("x", "no.thing=1", "http.port=70000", "http.port=x", "node.data=", "http.plain_auth=x"):
        told = run(node, "config", "check", "--set", override).stderr.decode()
        zh, _, en = told.removeprefix("错误 Error: ").partition("。" if "no.thing" not in override else "unknown")
        assert not zh.isascii(), told
        assert en.strip(), told
