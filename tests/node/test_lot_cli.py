"""`saltern lot` without a running node: what it prints, what it refuses, and that a retry prints the same."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from node.cli.lot import lot as group
from node.cli.record import record as records
from node.initialise import initialise
from tests.kit.symbols import parse_zpl

PREFIX, GTIN = "88.118.7", "6901234567892"
LOT, PRODUCT = f"{PREFIX}/L1", f"{PREFIX}/SKU"


class Cli:
    """The commands of one node."""

    def __init__(self, folder: Path) -> None:
        self.config = initialise(folder / "node", (PREFIX,)).path
        values = [{"index": 1, "type": "GTIN13", "data": GTIN}, {"index": 2, "type": "DESC", "data": "盐"}]
        (folder / "product.jsonl").write_text(json.dumps({"handle": PRODUCT, "values": values}))
        self.run("import", str(folder / "product.jsonl"), of=records)

    def run(self, *words: str, code: int = 0, of: Any = group) -> Result:
        done = CliRunner().invoke(of, [*words, "--config", str(self.config)])
        assert done.exit_code == code, (done.output, done.stderr)
        return done

    def json(self, *words: str, code: int = 0) -> Any:
        return json.loads(self.run(*words, "--json", code=code).stdout)

    def create(self, **options: object) -> Any:
        given = {"product": PRODUCT, "count": 1_000, "units-per-case": 50, "cases-per-pallet": 4} | options
        return self.json("create", LOT, *(word for name, value in given.items() for word in (f"--{name}", str(value))))


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def test_a_lot_is_told_with_what_it_wrote(cli: Cli) -> None:
    told = cli.create(line="L4", produced="2026-01-30", value="IODINE=25.8")
    assert (told["lot"], told["cases"], told["pallets"]) == (LOT, 20, 5)
    assert 0 < told["stored_bytes"] < 1_024
    assert cli.json("show", LOT)["states"]["unit"] == {"allocated": 1_000}
    assert [each["lot"] for each in cli.json("list", "--prefix", PREFIX)] == [LOT]


def test_a_shared_value_takes_no_value_of_the_product_away(cli: Cli) -> None:
    """Those of the command line are numbered behind all that the node says itself."""
    cli.create(value="IODINE=25.8")
    (code,) = (json.loads(line) for line in cli.run("codes", LOT, "--count", "1").stdout.splitlines())
    assert cli.json("unit", code["identifier"])["product"] == PRODUCT
    assert json.loads(cli.run("codes", LOT, "--count", "1").stdout) == code


def test_all_faults_are_told_at_once_and_nothing_is_stored(cli: Cli) -> None:
    told = cli.json("create", f"{PREFIX}/toolongacode", "--product", PRODUCT, "--count", "2000000", code=1)
    assert told["rule"] == "form"
    assert cli.json("list") == []
    assert "faults" in told


def test_every_format_has_the_same_codes_in_the_same_order(cli: Cli) -> None:
    """JSON lines, CSV, ZPL and GS1 element strings."""
    cli.create()
    words = ("codes", LOT, "--from", "10", "--count", "60")
    told = [json.loads(line) for line in cli.run(*words).stdout.splitlines()]
    assert [each["index"] for each in told] == list(range(10, 70))
    assert all(set(each) == {"index", "identifier", "kind", "case", "pallet"} for each in told)
    names = [each["identifier"] for each in told]
    rows = list(csv.DictReader(io.StringIO(cli.run(*words, "--format", "csv").stdout)))
    assert [row["identifier"] for row in rows] == names
    assert [row["case"] for row in rows] == [each["case"] for each in told]
    labels = cli.run(*words, "--format", "zpl").stdout
    assert labels.count("^XA") == labels.count("^XZ") == len(names)
    assert all(name in labels for name in names)
    assert parse_zpl(labels)
    strings = cli.run(*words, "--format", "gs1").stdout.splitlines()
    assert strings == [f"010{GTIN}21{name.partition('/')[2]}" for name in names]


def test_cases_and_pallets_have_codes_behind_the_units(cli: Cli) -> None:
    cli.create()
    told = [json.loads(line) for line in cli.run("codes", LOT, "--from", "999").stdout.splitlines()]
    assert [each["kind"] for each in told] == ["unit", *["case"] * 20, *["pallet"] * 5]
    assert told[0]["case"] == told[20]["identifier"]
    assert told[20]["pallet"] == told[0]["pallet"] == told[-1]["identifier"]


def test_a_product_without_gtin_has_no_gs1_form(cli: Cli) -> None:
    cli.create(product=f"{PREFIX}/OTHER")
    assert "GTIN" in cli.run("codes", LOT, "--count", "1", "--format", "gs1", code=1).stdout


def test_a_retry_prints_the_same_block_and_another_line_gets_another(cli: Cli) -> None:
    cli.create()
    words = ("codes", LOT, "--count", "100", "--line")
    first = cli.run(*words, "L1", "--token", "t1").stdout
    assert cli.run(*words, "L1", "--token", "t1").stdout == first
    other = cli.run(*words, "L2", "--token", "t2").stdout
    assert not set(first.splitlines()) & set(other.splitlines())
    assert [(each["line"], each["from"], each["count"]) for each in cli.json("blocks", LOT)] == [
        ("L1", 0, 100), ("L2", 100, 100),
    ]  # fmt: skip
    taken = cli.json("take", LOT, "--line", "L3", "--count", "10", "--from", "95", code=1)
    assert taken["rule"] == "block-taken"
    assert "L1" in taken["reason"]


@pytest.mark.parametrize(
    "words",
    [
        ("--from", "1025"),
        ("--from", "-1"),
        ("--count", "0"),
        ("--from", "1000", "--count", "26"),
        ("--count", "9" * 30),
    ],
)
def test_codes_that_the_lot_does_not_have(cli: Cli, words: tuple[str, ...]) -> None:
    cli.create()
    assert cli.run("codes", LOT, *words, code=1).stdout.count("codes-range") == 1


def test_a_token_without_a_line_is_a_mistake(cli: Cli) -> None:
    cli.create()
    cli.run("codes", LOT, "--token", "t", code=2)


def test_a_lot_that_is_not_there(cli: Cli) -> None:
    for words in (("show", LOT), ("codes", LOT), ("blocks", LOT), ("take", LOT, "--line", "L", "--count", "1")):
        assert "lot-not-found" in cli.run(*words, code=1).stdout
    assert cli.json("check", f"{LOT}2222222222") == [
        {"identifier": f"{LOT}2222222222", "issued": False, "reason": "not-issued"}
    ]


def test_a_misspelt_command_names_the_nearest(cli: Cli) -> None:
    assert "codes" in cli.run("codez", code=2).stderr


def test_events_from_a_file(cli: Cli, tmp_path: Path) -> None:
    """A file of lines or an array; what was refused ends the command with 1 and is told, the rest is done."""
    cli.create()
    good = {"event": "commissioned", "from": 0, "count": 10, "time": "2026-02-01T08:00:00+08:00"}
    lines, array = tmp_path / "events.jsonl", tmp_path / "events.json"
    lines.write_text(json.dumps(good) + "\n")
    assert cli.json("events", LOT, str(lines))["counts"] == {"ok": 1}
    array.write_text(json.dumps([good, {**good, "from": 5, "time": "2026-02-01T09:00:00+08:00"}]))
    told = cli.run("events", LOT, str(array), "--json", code=1)
    assert json.loads(told.stdout[: told.stdout.rindex("}") + 1])["counts"] == {"unchanged": 1, "conflict": 1}
    assert cli.json("show", LOT)["states"]["unit"] == {"allocated": 990, "commissioned": 10}


def test_no_key_is_added_to_a_wrong_file(cli: Cli) -> None:
    """Whoever then puts the former file back would lose the new one, and its lots."""
    cli.create()
    file = cli.config.parent / "keys" / "lots.keys"
    before = file.read_text()
    file.write_text(f"1 {'00' * 32}\n")
    refused = cli.run("rekey", "--json", code=1)
    assert "88.118.7/L1" in json.loads(refused.stdout)["reason"]
    assert file.read_text() == f"1 {'00' * 32}\n"
    file.unlink()
    assert json.loads(cli.run("rekey", code=1).stdout)["rule"] == "lot-keys"
    file.write_text(before)
    file.chmod(0o600)
    assert cli.json("rekey")["key_id"] == 2
