"""``saltern log verify`` and ``saltern log prove``, as they are called."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from core.streams import Stream
from node.cli.main import cli
from tests.kit.log_folders import LogFolder, document, row

MONTH = "2026-11"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    assert saltern("init", tmp_path / "node", "--prefix", "88.118.7").exit_code == 0
    return tmp_path / "node" / "node.toml"


@pytest.fixture
def made(config: Path) -> LogFolder:
    folder = LogFolder(config.parent / "data/log", Stream.CHANGE, MONTH)
    folder.entries(*[document(Stream.CHANGE, at, "record.change", f"88.118.7/S{at}") for at in range(300)])
    return folder


def saltern(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def prove(config: Path, index: object, out: Path, *more: str, stream: str = "change", month: str = MONTH) -> Result:
    return saltern(
        "log", "prove", "--config", config, "--stream", stream, "--month", month, "--index", index, "--out", out, *more
    )  # fmt: skip


def test_verify_prints_the_document_and_ends_with_0_or_1(made: LogFolder, tmp_path: Path) -> None:
    """{"ok", "streams", "problems": [{"where", "what"}]}, and what it rests on."""
    log, vkey, kept = made.folder.parent.parent, made.folder / "vkey", tmp_path / "kept"
    kept.write_bytes(made.checkpoint)
    ended = saltern("log", "verify", log, "--vkey", vkey, "--checkpoint", kept, "--json")
    assert ended.exit_code == 0
    told = json.loads(ended.stdout)
    assert (told["ok"], told["problems"], list(told["streams"])) == (True, [], ["change"])
    assert told["streams"]["change"][MONTH]["size"] == 301
    assert "consistent with itself only" not in json.dumps(told)
    alone = saltern("log", "verify", log, "--json")
    assert "consistent with itself only" in json.loads(alone.stdout)["trust"]
    assert "consistent with itself only" in saltern("log", "verify", log).stdout
    (made.folder / "tile/entries/000").write_bytes(b"")
    ended = saltern("log", "verify", log, "--vkey", vkey, "--json")
    assert ended.exit_code == 1
    told = json.loads(ended.stdout)
    assert not told["ok"]
    assert set(told["problems"][0]) == {"where", "what"}
    assert told["problems"][0]["where"] == f"change/{MONTH}/tile/entries/000 index 0"
    ended = saltern("log", "verify", log)
    assert (ended.exit_code, "NOT OK" in ended.stdout) == (1, True)


def test_verify_is_used_wrongly(made: LogFolder, tmp_path: Path) -> None:
    """Exit code 2 for a file of keys that is none; a path that is not there does not verify."""
    (tmp_path / "no-keys").write_text("key\n")
    for options in (["--vkey", tmp_path / "no-keys"], ["--vkey", tmp_path / "none"], ["--checkpoint", tmp_path / "no"]):
        assert saltern("log", "verify", made.folder, *options).exit_code == 2
    assert saltern("log", "verify").exit_code == 2
    assert saltern("log", "verify", tmp_path / "none", "--json").exit_code == 1
    (tmp_path / "no-checkpoint").write_text("x\n")
    ended = saltern("log", "verify", made.folder, "--checkpoint", tmp_path / "no-checkpoint", "--json")
    assert ended.exit_code == 1
    assert "cannot be read" in json.loads(ended.stdout)["problems"][0]["what"]


@pytest.mark.parametrize("index", [0, 1, 255, 256, 300])
def test_a_proof_is_checked_without_the_node(config: Path, made: LogFolder, tmp_path: Path, index: int) -> None:
    """prove, take the file elsewhere, verify; it shows the entry."""
    out = tmp_path / "one.tlog-proof"
    ended = prove(config, index, out)
    assert ended.exit_code == 0, ended.output
    assert f"saltern log verify {out} --vkey FILE" in ended.stdout
    ended = saltern("log", "verify", out, "--vkey", made.folder / "vkey", "--json")
    assert ended.exit_code == 0
    told = json.loads(ended.stdout)["proofs"]["one.tlog-proof"]
    assert (told["index"], told["size"], told["trusted"]) == (index, 301, True)
    assert told["entry"] == json.loads(made.leaves[index])
    out.write_bytes(out.read_bytes().replace(b"index 1", b"index 2").replace(b"index 0", b"index 1"))
    if index in (0, 1):
        assert saltern("log", "verify", out, "--vkey", made.folder / "vkey").exit_code == 1


def test_prove_refuses_what_is_not_there(config: Path, made: LogFolder, tmp_path: Path) -> None:
    """An index beyond the size names the size; a month without a log; a month that is none; a folder that is none."""
    out = tmp_path / "one.tlog-proof"
    ended = prove(config, 301, out, "--json")
    assert ended.exit_code == 1
    assert "has 301, 0 to 300" in ended.output
    assert not out.exists()
    assert prove(config, 0, out, month="2026-10").exit_code == 1
    assert prove(config, 0, out, month="2026-13").exit_code == 2
    assert prove(config, -1, out).exit_code == 2
    assert prove(config, 0, out, stream="other").exit_code == 2
    assert prove(config, 0, tmp_path / "none" / "x").exit_code == 1
    assert made.leaves


def test_prove_makes_no_proof_of_a_damaged_log(config: Path, made: LogFolder, tmp_path: Path) -> None:
    """It would not hold. What to do is said."""
    tile = made.folder / "tile/0/000"
    tile.write_bytes(bytes(8_192))
    ended = prove(config, 3, tmp_path / "x")
    assert ended.exit_code == 1
    assert "run saltern log verify" in ended.output
    assert not (tmp_path / "x").exists()


def test_a_block_of_resolutions_is_proven_as_a_whole(config: Path, tmp_path: Path) -> None:
    """The index is that of the leaf."""
    made = LogFolder(config.parent / "data/log", Stream.RESOLUTION, MONTH)
    made.resolutions([1_000] * 700, [row(f"88.118.7/S{at}") for at in range(700)])
    out = tmp_path / "block.tlog-proof"
    assert prove(config, 2, out, stream="resolution").exit_code == 0
    assert saltern("log", "verify", out, "--vkey", made.folder / "vkey").exit_code == 0


def test_a_proof_is_written_over_proofs_alone(config: Path, made: LogFolder, tmp_path: Path) -> None:
    """A key whose name was given by mistake stays; an empty file and an earlier proof do not."""
    out = tmp_path / "one.tlog-proof"
    out.touch()
    assert (prove(config, 1, out).exit_code, prove(config, 2, out).exit_code) == (0, 0)
    assert b"\nindex 2\n" in out.read_bytes()
    key = made.folder / "vkey"
    kept = key.read_bytes()
    ended = prove(config, 1, key)
    assert (ended.exit_code, key.read_bytes()) == (1, kept)
    assert "exists and is no proof" in ended.output


def test_a_zip_file_and_a_wrong_token_file_are_told(made: LogFolder, tmp_path: Path) -> None:
    """A pack that was not unpacked; what `token issue` printed, instead of the token."""
    (tmp_path / "pack.zip").write_bytes(b"PK\x03\x04rest")
    assert "unpack it" in saltern("log", "verify", tmp_path / "pack.zip").stdout
    (tmp_path / "token").write_text("saltern_x\n0a1b  auditor  王\n")
    ended = saltern("log", "verify", made.folder, "--token-file", tmp_path / "token")
    assert (ended.exit_code, "the token alone" in ended.output) == (2, True)


def test_a_log_that_is_gone_as_a_whole_is_named(config: Path, tmp_path: Path) -> None:
    """One of the four: a problem. Of a copy of one or two: a note."""
    log = tmp_path / "log"
    for stream in Stream:
        LogFolder(log, stream, MONTH).entries(document(stream, 1, "record.change", "88.118.7/S1"))
    assert saltern("log", "verify", log).exit_code == 0
    shutil.rmtree(log / "resolution")
    told = json.loads(saltern("log", "verify", log, "--json").stdout)
    assert [problem["where"] for problem in told["problems"]] == ["resolution"]
    shutil.rmtree(log / "change")
    told = json.loads(saltern("log", "verify", log, "--json").stdout)
    assert told["ok"]
    assert [
        stream for stream in ("resolution", "change") if any(f"{stream}: this" in note for note in told["notes"])
    ] == [
        "resolution",
        "change",
    ]


@pytest.mark.parametrize("arguments", ["log query", "log retention"])
def test_a_folder_that_may_not_be_read_is_told_in_a_line(
    config: Path, monkeypatch: pytest.MonkeyPatch, arguments: str
) -> None:
    """Whoever has no right to the data folder is told of it, by each command that reads."""

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "data")

    monkeypatch.setattr("pathlib.Path.iterdir", refused)
    monkeypatch.setattr("node.wiring.open_store", refused)
    ended = saltern(*arguments.split(), "--config", config)
    assert (ended.exit_code, "No permission for data" in ended.output) == (1, True), ended.output
