"""`saltern log query`, `export`, `mirror`: what auditors type, with the node stopped; nothing opens its store."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from core.clock import month_start
from core.config import load
from core.events import Via
from core.streams import Stream
from node.mirror import mirror_command
from tests.kit.log_folders import LogFolder, document, row, write_months_key
from tests.kit.node import Node, saltern

START = month_start("2026-11")
KEY = bytes(range(32))
ASKED = ("88.118.7/SKU01", "88.118.7/sku01", "88.118.8/X", "88.118.7/\x1b[31m")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    made = Node(tmp_path_factory.mktemp("logs") / "node", "88.118")
    data = made.folder / "data"
    resolutions = LogFolder(data / "log", Stream.RESOLUTION, "2026-11", clients_key=KEY)
    write_months_key(data, "2026-11", KEY)
    resolutions.resolutions(
        [START + number for number in range(4)],
        [row(each, via=Via.HANDLE_UDP if each.isupper() else Via.JSON) for each in ASKED],
    )
    changes = LogFolder(data / "log", Stream.CHANGE, "2026-11")
    changes.entries(document(Stream.CHANGE, START + 5, "record.change", "=88.118.7/SKU01"))
    shutil.rmtree(data / "store")  # nothing here needs it
    return made


def log(node: Node, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return saltern("log", *arguments, "--config", str(node.config), check=False)


def listed(node: Node, *arguments: str) -> list[int]:
    """Return the rows of the lines that a query prints."""
    done = log(node, "query", "--json", *arguments)
    assert (done.returncode, done.stderr) == (0, b"")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert all((line["month"], line["index"], line["stream"]) == ("2026-11", 1, "resolution") for line in lines)
    return [line["row"] for line in lines]


def test_a_query_tells_a_line_an_entry(node: Node) -> None:
    """By each option; a day is a Shanghai day, and the last one is in it."""
    assert listed(node) == [0, 1, 2, 3]
    assert listed(node, "--identifier", "88.118.7/SKU01") == [0, 1]
    assert listed(node, "--identifier", "88.118.7") == [0, 1, 3]
    assert listed(node, "--protocol", "udp") == [0, 2]
    assert listed(node, "--protocol", "http") == [1, 3]
    assert listed(node, "--client", "192.0.2.1") == [0, 1, 2, 3]
    assert listed(node, "--client", "192.0.2.2") == []
    assert listed(node, "--outcome", "gone") == []
    assert listed(node, "--from", "2026-11-01", "--to", "2026-11-01") == [0, 1, 2, 3]
    assert listed(node, "--to", "2026-10-31") == []
    assert listed(node, "--from", "2026-10-31T16:00:00.001Z", "--to", "2026-10-31T16:00:00.002Z") == [1, 2]
    assert listed(node, "--from", "2026-11-01T00:00", "--to", "2026-11-01T00:00") == [0]


def test_a_line_for_people_moves_no_terminal(node: Node) -> None:
    """Shanghai time, and what is no visible character is escaped."""
    *_, last = log(node, "query").stdout.decode().splitlines()
    assert last.startswith("2026-11-01T00:00:00.003+08:00  2026-11/1.3  http/json  192.0.2.0/24  -  resolve 88.118.7/")
    assert "\\x1b[31m: ok" in last
    change = log(node, "query", "--stream", "change").stdout.decode()
    assert change.endswith("http/v1  -  Li  record.change =88.118.7/SKU01: ok\n")


MISUSES = [
    (("query", "--stream", "resolutions"), "resolution?"),
    (("query", "--protocol", "htp"), "http?"),
    (("query", "--outcome", "not_found"), "not-found?"),
    (("query", "--outcom", "ok"), "--outcome"),
    (("query", "--from", "2026-02-30"), "2026-02-30"),
    (("query", "--from", "2026-11-02", "--to", "2026-11-01"), "--from"),
    (("query", "--client", "2001:db8::/64"), "/48"),
    (("query", "--identifier", ""), "--identifier"),
    (("qery",), "query"),
    (("export", "--stream", "chnge", "--from", "2026-11-01", "--to", "2026-11-01"), "change?"),
    (("export", "--stream", "change", "--from", "2026-11-01T00:00", "--to", "2026-11-01"), "YYYY-MM-DD"),
]


@pytest.mark.parametrize(("arguments", "hint"), MISUSES, ids=lambda each: " ".join(each))
def test_what_is_typed_wrongly_is_told_with_what_is_near(node: Node, arguments: tuple[str, ...], hint: str) -> None:
    """Exit code 2."""
    done = log(node, *arguments, "--json") if len(arguments) > 1 else log(node, *arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert hint in done.stderr.decode()


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_an_export_is_made_and_refused(node: Node, tmp_path: Path, form: str) -> None:
    """Into a folder that is absent; a second one into the same is refused with the reason."""
    days = ("--from", "2026-11-01", "--to", "2026-11-01", "--format", form)
    command = ("export", "--stream", "change", *days, "--out", str(tmp_path / "out"), "--json")
    done = log(node, *command)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_bytes())
    assert json.loads(done.stdout) == manifest
    assert (manifest["entries"], manifest["files"][0]["name"]) == (1, f"change-0001.{form}")
    if form == "csv":
        octets = (tmp_path / "out" / "change-0001.csv").read_bytes()
        assert octets.startswith("\ufeff月份 month,叶序号 index,".encode())
        assert ",'=88.118.7/SKU01," in octets.decode()
    again = log(node, *command)
    assert again.returncode == 1
    assert json.loads(again.stdout)["outcome"] == "conflict"


def test_the_mirror_is_made_by_one_process_at_a_time(node: Node) -> None:
    """The command that the keeper starts ends quietly where another one is at work; an operator is told."""
    data = node.folder / "data"
    command = mirror_command(load(node.config))
    subprocess.run(command, check=True)
    (first,) = (data / "mirror").rglob("*.parquet")
    first.write_bytes(b"broken")
    assert json.loads(log(node, "mirror", "--json").stdout) == {"files": 1}
    assert json.loads(log(node, "mirror", "--json").stdout) == {"files": 0}
    with (data / "mirror" / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        first.unlink()
        subprocess.run(command, check=True)
        assert not first.exists()
        assert log(node, "mirror").returncode == 1
    assert json.loads(log(node, "mirror", "--rebuild", "--json").stdout) == {"files": 1}
    assert listed(node, "--identifier", "88.118.7/SKU01") == [0, 1]


def test_no_serving_process_loads_duckdb() -> None:
    """It is imported by what queries, mirrors and exports, and only when they do."""
    modules = "node.cli.main, node.serving, node.mirror, audit.export, audit.query"
    code = f"import sys, {modules}; print('duckdb' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert done.stdout == b"False\n"


def test_months_without_a_log_are_told_by_an_export(node: Node, tmp_path: Path) -> None:
    """A year that was mistyped makes no export that looks complete."""
    out = ("--format", "csv", "--out", str(tmp_path / "out"))
    done = log(node, "export", "--stream", "resolution", "--from", "2026-09-30", "--to", "2026-11-01", *out)
    assert done.returncode == 0
    assert "no log resolution 2026-09 … 2026-10 (2) here" in done.stderr.decode()


def test_names_are_taken_in_any_case(node: Node) -> None:
    """UDP is how people write it."""
    assert listed(node, "--protocol", "UDP", "--stream", "Resolution") == [0, 2]
