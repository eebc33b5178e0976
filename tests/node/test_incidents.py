"""Incidents on a real node, by the command line and over HTTP, while it runs and while it does not."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core import clock
from core.clock import format_shanghai, parse_utc
from core.errors import Outcome
from core.outcomes import STATUSES
from registry.incident_report import check_report, render_report
from tests.kit.node import Node, saltern

PREFIX = "88.118"
TO = "省通信管理局"
OPEN = (
    "open", "--title", "解析中断", "--description", "主机断电 <b>全部</b>", "--kind", "system", "--severity", "major",
    "--occurred", "2023-11-14T08:00", "--discovered", "2023-11-14T00:05Z",
)  # fmt: skip
SOLVED = ("--cause", "供电", "--recovered", "2023-11-14T09:30", "--measure", "2023-11-14T08:10 切换备用电源")


def run(node: Node, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run one command of incidents."""
    return saltern("incident", *arguments, "--config", str(node.config), check=False)


def do(node: Node, *arguments: str) -> Any:
    """Run one that succeeds; return its JSON."""
    done = run(node, *arguments, "--json")
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def refused(node: Node, *arguments: str) -> Any:
    """Run one that is refused; return its reasons."""
    done = run(node, *arguments)
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr.decode()
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Node:
    return Node(tmp_path_factory.mktemp("incidents") / "node", PREFIX)


@pytest.fixture(params=["running", "stopped"])
def node(made: Node, request: pytest.FixtureRequest) -> Iterator[Node]:
    """The node, running or not."""
    if request.param == "stopped":
        yield made
    else:
        with made:
            yield made
            assert "Traceback" not in made.log()


# --- the story ----------------------------------------------------------------


def test_an_incident_from_its_opening_to_its_end(node: Node, tmp_path: Path) -> None:
    """Opened, not yet to be closed, updated, reported, reported again, closed; both files of each report are good."""
    name = do(node, *OPEN)["incident"]
    assert {each["rule"] for each in refused(node, "close", name)["faults"]} == {
        "closing-cause", "closing-measures", "closing-report",
    }  # fmt: skip
    listed = {each["incident"]: each for each in do(node, "list", "--open")}
    assert (listed[name]["due"], listed[name]["overdue"]) == ("2023-11-15T00:05:00Z", True)
    assert f"{name}  重大 major" in (text := run(node, "list").stdout.decode())
    assert "报告逾期" in text
    warned = saltern("doctor", "--config", str(node.config)).stdout.decode()
    assert f"! incidents: {name} 应于 2023-11-15T08:05:00+08:00 前报告" in warned
    do(node, "update", name, *SOLVED)
    first = do(node, "report", name, "--to", TO, "--out", str(tmp_path))
    assert (first["revision"], first["node"]["prefix"], first["cause"]) == (1, PREFIX, "供电")
    second = do(node, "report", name, "--to", "工业和信息化部", "--out", str(tmp_path))
    assert do(node, "close", name)["state"] == "closed"
    assert name not in {each["incident"] for each in do(node, "list", "--open")}
    assert refused(node, "update", name, "--cause", "x")["rule"] == "incident-closed"
    shown = do(node, "show", name)
    assert [step["event"] for step in shown["steps"]] == ["open", "update", "report", "report", "close"]
    for document in (first, second):
        check_files(node, tmp_path, name, document)
    assert sorted(os.listdir(tmp_path)) == [
        f"{name}-r{n}.{kind}" for n in (1, 2) for kind in ("html", "json")
    ]  # nothing half-written  # fmt: skip
    node.fsck()


def check_files(node: Node, folder: Path, name: str, document: dict[str, Any]) -> None:
    """Both files of a report are its own's alone, say the same, and verify by command."""
    for kind in ("json", "html"):
        path = folder / f"{name}-r{document['revision']}.{kind}"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert check_report(path.read_bytes()).document == document
        told = do(node, "verify", str(path))
        assert (told["good"], told["own"], told["incident"]) == (True, True, name)
        assert told["key_id"] == document["signature"]["key_id"]


def test_the_folder_of_a_report_is_made(node: Node, tmp_path: Path) -> None:
    """One that is not there, for its owner alone."""
    name = do(node, *OPEN)["incident"]
    do(node, "report", name, "--to", TO, "--out", str(tmp_path / "reports"))
    assert (tmp_path / "reports").stat().st_mode & 0o777 == 0o700
    assert len(list((tmp_path / "reports").iterdir())) == 2


def test_a_report_can_be_had_again_and_never_overwrites(node: Node, tmp_path: Path) -> None:
    """The same files into another folder or over the same text; another text that stands there stays."""
    name = do(node, *OPEN)["incident"]
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    document = do(node, "report", name, "--to", TO, "--out", str(first))
    page = first / f"{name}-r1.html"
    for folder in (first, second):
        assert do(node, "show", name, "--report", "1", "--out", str(folder)) == document
        assert (folder / page.name).read_bytes() == render_report(document)
    page.write_text("mine")
    done = run(node, "show", name, "--report", "1", "--out", str(first))
    assert (done.returncode, page.read_text()) == (1, "mine")
    assert b"show " + name.encode() + b" --report 1" in done.stderr
    assert refused(node, "show", name, "--report", "2", "--out", str(second))["rule"] == "report-not-found"
    assert refused(node, "show", "I999999")["rule"] == "incident-not-found"
    for nowhere in (tmp_path / "no" / "where", page):
        told = refused(node, "report", name, "--to", TO, "--out", str(nowhere))
        assert (told["outcome"], "目录无法使用" in told["reason"]) == ("not-found", True)
    assert len(do(node, "show", name)["reports"]) == 1


def test_every_fault_of_a_command_is_told_at_once(node: Node) -> None:
    """As JSON with both languages, exit code 1; a word that is no choice is usage, exit code 2."""
    before = do(node, "list")
    ahead = format_shanghai(clock.now_ms() + 3_600_000)
    given = ("--title", "", "--description", "x", "--kind", "other", "--severity", "ordinary", "--occurred", ahead)
    told = refused(node, "open", *given, "--recovered", "soon", "--measure", "2023-99-99T00:00 x")
    assert {each["path"]: each["rule"] for each in told["faults"]} == {
        "title": "member-length", "occurred": "incident-future", "recovered": "incident-time",
        "measures[0].at": "incident-time",
    }  # fmt: skip
    assert run(node, "open", "--kind", "fire").returncode == 2
    assert do(node, *OPEN, "--dry-run")["state"] == "open"
    assert do(node, "list") == before


# --- keys ---------------------------------------------------------------------


@pytest.fixture
def key(made: Node) -> Iterator[Path]:
    """The signing key, put back afterwards."""
    path = made.folder / "keys" / "node.pem"
    content = path.read_bytes()
    yield path
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)


@pytest.mark.parametrize("harm", ["missing", "0644", "no key", "a folder"])
def test_a_key_that_cannot_be_used_reports_nothing(node: Node, key: Path, tmp_path: Path, harm: str) -> None:
    """A refusal with the reason, no file, no row, no step; with the key again it is revision 1."""
    name = do(node, *OPEN)["incident"]
    before, content = do(node, "show", name), key.read_bytes()
    if harm == "0644":
        key.chmod(0o644)
    elif harm == "no key":
        key.write_bytes(b"no key")
    else:
        key.unlink()
        if harm == "a folder":
            key.mkdir(mode=0o700)
    told = refused(node, "report", name, "--to", TO, "--out", str(tmp_path))
    assert (told["outcome"], told["rule"]) == ("conflict", "signing-key")
    assert "未生成报告：node.signing_key: " in told["reason"]
    assert content.decode()[40:80] not in json.dumps(told)
    assert (os.listdir(tmp_path), do(node, "show", name)) == ([], before)
    if harm == "a folder":
        key.rmdir()
    key.touch(mode=0o600)
    key.chmod(0o600)
    key.write_bytes(content)
    assert do(node, "report", name, "--to", TO, "--out", str(tmp_path))["revision"] == 1


# --- offline --------------------------------------------------------------------


def test_a_report_is_checked_where_there_is_no_node(made: Node, tmp_path: Path) -> None:
    """By the key that an auditor was told; altered, of another key, or no report: exit code 1 with the reason."""
    name = do(made, *OPEN)["incident"]
    key_id = do(made, "report", name, "--to", TO, "--out", str(tmp_path))["signature"]["key_id"]

    def verify(path: Path, *options: str) -> tuple[int, Any, str]:
        done = saltern(
            "incident", "verify", str(path), "--json", "--config", str(tmp_path / "none.toml"), *options, check=False
        )
        return done.returncode, json.loads(done.stdout), done.stderr.decode()

    for kind in ("json", "html"):
        path = tmp_path / f"{name}-r1.{kind}"
        code, told, _ = verify(path)
        assert (code, told["good"], told["own"], told["key_id"]) == (0, True, None, key_id)
        assert verify(path, "--key", key_id)[0] == 0
        code, told, error = verify(path, "--key", "0" * 32)
        assert (code, told["good"]) == (1, False)
        assert "不是 00000000000000000000000000000000" in error
        path.write_bytes(path.read_bytes().replace("解析中断".encode(), "解析正常".encode(), 1))
        code, told, error = verify(path)
        assert (code, told["good"]) == (1, False)
        assert told["reason"] in error
    other = Node(tmp_path / "other", PREFIX)
    theirs = do(other, *OPEN)["incident"]
    folder = tmp_path / "theirs"
    folder.mkdir()
    do(other, "report", theirs, "--to", TO, "--out", str(folder))
    done = run(made, "verify", str(folder / f"{theirs}-r1.json"), "--json")
    assert (done.returncode, json.loads(done.stdout)["own"]) == (1, False)
    (tmp_path / "large").write_bytes(b" " * 3_000_000)
    assert verify(tmp_path / "large")[0] == 1


# --- over HTTP, and a kill --------------------------------------------------------


def test_a_report_over_http_is_json_or_a_page(made: Node, tmp_path: Path) -> None:
    """By what is accepted; the JSON verifies as it comes, and the page too, with its policy."""
    with made as node:
        name = do(node, *OPEN)["incident"]
        document = do(node, "report", name, "--to", TO, "--out", str(tmp_path))
        token = json.loads(saltern(
            "token", "issue", "--role", "auditor", "--holder", "王审计", "--config", str(node.config), "--json"
        ).stdout)["secret"]  # fmt: skip
        headers = {"Authorization": f"Bearer {token}"}
        path = f"/v1/incidents/{name}/reports/1"
        answer = node.ask("GET", path, headers=headers)
        assert (answer.json, check_report(answer.body).document) == (document, document)
        page = node.ask("GET", path, headers=headers | {"Accept": "text/html,application/xhtml+xml"})
        assert page.body == (tmp_path / f"{name}-r1.html").read_bytes()
        assert page.headers["Content-Type"].startswith("text/html")
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        for wrong in ("0", "2", "01", "x", "9" * 50, "%2e"):
            answer = node.ask("GET", f"/v1/incidents/{name}/reports/{wrong}", headers=headers)
            assert (answer.status, answer.json["rule"]) == (STATUSES[Outcome.NOT_FOUND].http, "report-not-found")
        sent = node.ask("POST", f"/v1/incidents/{name}/reports", {"to": TO}, headers)
        assert (sent.status, sent.json["rule"]) == (STATUSES[Outcome.FORBIDDEN].http, "role")
        metrics = metrics_of(node)
        assert metrics['saltern_incidents_open{severity="major"}'] >= 1
        assert "saltern_incident_reports_overdue" in metrics


def metrics_of(node: Node) -> dict[str, float]:
    connection = node.connection()
    connection.port = node.ready["management"]
    try:
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
    finally:
        connection.close()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def test_a_kill_behind_the_answer_takes_nothing(made: Node, tmp_path: Path) -> None:
    """Opened, and killed; updated, and killed; reported, and killed: all of it is there."""
    acts: list[tuple[str, ...]] = [OPEN]
    name = ""
    for number in range(3):
        made.start()
        told = do(made, *acts[number])
        made.stop(signal.SIGKILL)
        if not name:
            name = told["incident"]
            acts += [("update", name, *SOLVED), ("report", name, "--to", TO, "--out", str(tmp_path))]
    with made:
        shown = do(made, "show", name)
        assert (shown["state"], shown["cause"], len(shown["measures"])) == ("reported", "供电", 1)
        assert do(made, "show", name, "--report", "1", "--out", str(tmp_path)) == told
    made.fsck()


def test_the_hours_are_a_setting(made: Node) -> None:
    """A shorter time limit counts for what is opened from then on; a longer one than the law's is refused."""
    told = do(made, *OPEN, "--set", "incident.report_hours=2")
    assert parse_utc(told["due"]) == (parse_utc(told["discovered"]) or 0) + 7_200
    assert "out of bounds" in refused(made, *OPEN, "--set", "incident.report_hours=25")["reason"]
