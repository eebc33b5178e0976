"""``saltern line``: the commands of a shift, and everything that goes wrong beside a line."""

from __future__ import annotations

import errno
import json
import os
import random
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from core import limits
from core.clock import format_instant
from node.cli.line import line as line_commands
from node.initialise import make_certificate
from tests.kit.line_node import LineNode, Lot, Problem
from tests.kit.node import SALTERN
from tests.kit.symbols import parse_zpl

DAY = "2026-11-20T08:00:"


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits between tries."""
    monkeypatch.setattr("core.clock.pause", lambda _: None)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[LineNode]:
    with LineNode(tmp_path / "node", Lot("88.118.7/L1", 200, 10, 5)) as running:
        yield running


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "works"


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(line_commands, [*map(str, arguments)])  # as in line_shift.invoke()


def line(*arguments: object) -> Any:
    done = invoke(*arguments, "--json")
    assert done.exit_code == 0, (done.output, done.exception)
    return json.loads(done.stdout)


def refused(*arguments: object) -> Any:
    """Return why a command failed: JSON, and the same words on standard error."""
    done = invoke(*arguments, "--json")
    assert done.exit_code == 1, done.output
    told = json.loads(done.stdout)
    assert done.stderr.startswith("错误 Error: ")
    return told


def fetch(site: Path, node: LineNode, count: int = 100, *options: object) -> tuple[object, ...]:
    return ("buffer", "take", "--site", site, "--lot", node.handle, "--count", count, *node.options, *options)


def given(site: Path, node: LineNode, count: int = 100) -> tuple[object, ...]:
    """Have a block at the site and at line L4; return the options of a run of it."""
    line(*fetch(site, node, count))
    line("take", "--site", site, "--line", "L4", "--count", count)
    return "--site", site, "--line", "L4", "--run", "A"


def bags(node: LineNode, *indexes: int, second: int = 0) -> list[str]:
    return [f"{node.lot.codes[index]},{DAY}{second:02}.{number:03}Z,A" for number, index in enumerate(indexes)]


def run(of_run: tuple[object, ...], said: list[str], *options: str) -> tuple[list[str], str]:
    """Say lines; return the answers, and what stands on standard error."""
    path = Path(str(of_run[1])) / "said"
    path.write_text("".join(f"{each}\n" for each in said), encoding="utf-8")
    done = invoke("run", *of_run, "--input", path, *options)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout.splitlines(), done.stderr


# --- the site's buffer ------------------------------------------------------------


def test_a_block_comes_with_its_cases_and_pallets(site: Path, node: LineNode) -> None:
    """Every code once, those of others not; the files can be read by their owner alone."""
    line(*fetch(site, node, 25))
    told = line(*fetch(site, node, 30))
    assert (told["from"], told["count"], told["short"], told["again"]) == (25, 30, False, False)
    codes = [json.loads(text) for text in (site / "blocks" / "0002" / "codes.jsonl").read_text().splitlines()]
    assert [each["index"] for each in codes] == [*range(25, 55), *range(202, 206), 220, 221]
    assert [each["identifier"] for each in codes] == [node.lot.codes[each["index"]] for each in codes]
    assert all(path.stat().st_mode & 0o077 == 0 for path in site.rglob("*"))
    shown = line("buffer", "show", "--site", site)
    assert [(each["from"], each["left"], each["complete"]) for each in shown["blocks"]] == [
        (0, 25, True),
        (25, 30, True),
    ]
    assert {name for name, *_ in node.lot.blocks} == {"works"}


def test_a_site_shows_who_has_what(site: Path, node: LineNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that the node has not answered, sub-blocks of lines, and the runs that use them."""
    of_run = given(site, node, 50)
    line("run", *of_run, "--input", os.devnull)
    line(*fetch(site, node, 20))
    line("take", "--site", site, "--line", "L5", "--count", 15, "--token", "later")
    monkeypatch.setattr(limits, "LINE_TRIES", 1)
    node.fault = lambda number, method, path: "before"
    refused(*fetch(site, node, 9, "--token", "night"))
    shown = line("buffer", "show", "--site", site)
    token = shown["lines"][0]["token"]
    assert shown["requests"] == [{"block": 3, "lot": node.handle, "count": 9, "token": "night"}]
    assert [(each["line"], each["from"], each["count"], each["run"]) for each in shown["lines"]] == [
        ("L4", 0, 50, "A"),
        ("L5", 50, 15, None),
    ]
    assert shown["runs"] == [
        {"run": "A", "line": "L4", "lot": node.handle, "blocks": [{"from": 0, "count": 50, "token": token}]}
    ]
    text = invoke("buffer", "show", "--site", site).stdout
    assert f"节点未应答，请再次执行 not answered, run it again: buffer take --lot {node.handle} --count 9" in text
    assert "later  尚无班次 no run yet" in text
    assert f"班次 Run A  L4  {node.handle}  0 … 49 (50)" in text
    node.fault = lambda number, method, path: ""
    line(*fetch(site, node, 9, "--token", "night"))
    assert line("buffer", "show", "--site", site)["requests"] == []


@pytest.mark.parametrize("fault", ["before", "after"])
@pytest.mark.parametrize("number", range(1, 6))
def test_a_take_that_was_cut_is_the_same_block(
    site: Path, node: LineNode, fault: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any request, before or after the node did it: run again it goes on, and one block was given."""
    monkeypatch.setattr(limits, "LINE_TRIES", 1)
    node.fault = lambda asked, method, path: fault if asked == number else ""
    told = refused(*fetch(site, node))
    assert (told["outcome"], told["rule"]) == ("overloaded", "line-unreachable")
    assert "nothing is lost" in told["reason"]
    block = line(*fetch(site, node))
    assert (block["from"], block["count"], block["again"]) == (0, 100, False)
    assert node.lot.blocks == [("works", 0, 100)]
    assert len({key for method, _, key in node.asked if method == "POST"}) == 1


def test_what_was_asked_for_is_on_the_disk_before_it_is_sent(
    site: Path, node: LineNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the token that goes out."""
    seen = []
    answer = node.lot.take_block

    def look(name: str, count: int, token: str) -> dict[str, Any]:
        seen.append(json.loads((site / "blocks" / "0001" / "request.json").read_text())["token"] == token)
        return answer(name, count, token)

    monkeypatch.setattr(node.lot, "take_block", look)
    line(*fetch(site, node))
    assert seen == [True]


def test_a_file_of_codes_that_was_torn_is_fetched_on(site: Path, node: LineNode, seed: int) -> None:
    """At any octet, with anything behind; what was whole is not asked for again."""
    line(*fetch(site, node))
    chance = random.Random(seed)
    path = site / "blocks" / "0001" / "codes.jsonl"
    whole = path.read_bytes()
    for cut in (0, 1, len(whole) - 1, *(chance.randrange(len(whole)) for _ in range(5))):
        (site / "blocks" / "0001" / "complete.json").unlink()
        path.write_bytes(whole[:cut] + chance.choice([b"", b"\0\0", b"x\n"]))
        node.asked.clear()
        line(*fetch(site, node))
        assert path.read_bytes() == whole
        missing = whole.splitlines()[min(whole[:cut].count(b"\n"), whole.count(b"\n") - 1)]
        assert f"from={json.loads(missing)['index']}&" in node.asked[0][1]


def test_the_same_token_gets_the_same_block(site: Path, node: LineNode) -> None:
    """Of the site and of the line; for another request it is refused, for no request of its own there is a new one."""
    first = line(*fetch(site, node, 50, "--token", "shift-1"))
    again = line(*fetch(site, node, 50, "--token", "shift-1"))
    assert again == first | {"again": True}
    assert refused(*fetch(site, node, 51, "--token", "shift-1"))["rule"] == "line-token"
    assert line(*fetch(site, node, 50))["from"] == 50
    take = ("take", "--site", site, "--line", "L4", "--count", 20, "--token", "t")
    assert line(*take)["again"] is False
    assert line(*take) == {
        "line": "L4", "lot": node.handle, "from": 0, "count": 20, "token": "t", "asked": 20, "short": False,
        "more": 80, "again": True,
    }  # fmt: skip
    assert refused("take", "--site", site, "--line", "L5", "--count", 20, "--token", "t")["rule"] == "line-token"
    assert refused("take", "--site", site, "--line", "L4", "--count", 21, "--token", "t")["rule"] == "line-token"


def test_short_supply_is_told(site: Path, node: LineNode) -> None:
    """Of the node to the site, of the site to the line, down to none; then another request is another one."""
    told = invoke(*fetch(site, node, 250))
    assert "数量不足 Short supply: 200 / 250" in told.stdout
    assert refused(*fetch(site, node, 10))["rule"] == "block-none"
    assert refused(*fetch(site, node, 10))["rule"] == "block-none"
    keys = [key for method, _, key in node.asked if method == "POST"]
    assert len(set(keys)) == len(keys) == 3
    assert "Short supply: 200 / 300" in invoke("take", "--site", site, "--line", "L4", "--count", 300).stdout
    assert refused("take", "--site", site, "--line", "L5", "--count", 1)["rule"] == "block-none"


Page = Callable[[list[dict[str, Any]]], None]


def _doubled(codes: list[dict[str, Any]]) -> None:
    codes[1]["identifier"] = codes[0]["identifier"]


def _moved(codes: list[dict[str, Any]]) -> None:
    for each in codes:
        each["case"] = each["pallet"]


LIES: dict[str, Page] = {
    "the same code twice": _doubled,
    "a case of 300 000 characters": lambda codes: codes[3].update(case="x" * 300_000),
    "a case of another lot": lambda codes: codes[3].update(case="88.118.7/L22222222222"),
    "the case is the code itself": lambda codes: codes[3].update(case=codes[3]["identifier"]),
    "two cases for the bags of one": lambda codes: codes[3].update(case="88.118.7/L12222222222"),
    "the pallet as its case": _moved,
    "a code of another lot": lambda codes: codes[3].update(identifier="88.118.7/L22222222222"),
    "letters that no code has": lambda codes: codes[3].update(identifier="88.118.7/L1222222222O"),
    "a long code": lambda codes: codes[3].update(identifier=codes[3]["identifier"] * 1_000),
    "another kind": lambda codes: codes[3].update(kind="case"),
    "another index": lambda codes: codes[3].update(index=codes[3]["index"] + 1),
    "one too many": lambda codes: codes.append(codes[-1]),
}  # fmt: skip


@pytest.mark.parametrize("page", [1, 2, 3])
@pytest.mark.parametrize("lie", LIES)
def test_codes_that_cannot_be_are_refused_while_they_are_fetched(
    site: Path, node: LineNode, monkeypatch: pytest.MonkeyPatch, lie: str, page: int
) -> None:
    """With a short word, on any page; nothing of the page is kept, no line gets it; then it goes on."""
    monkeypatch.setattr(limits, "LINE_CODES_PAGE", 20)
    honest = node.lot.tell_codes
    pages = []

    def tell(first: int, count: int) -> dict[str, Any]:
        told = honest(first, count)
        pages.append(told)
        if len(pages) == page:
            LIES[lie](told["codes"])
        return told

    with monkeypatch.context() as patched:
        patched.setattr(node.lot, "tell_codes", tell)
        told = refused(*fetch(site, node))
    assert told["outcome"] == "malformed"
    assert len(told["reason"]) < 500
    kept = (site / "blocks" / "0001" / "codes.jsonl").read_text().splitlines()
    assert len(kept) in (0, 20 * (page - 1))
    assert refused("take", "--site", site, "--line", "L4", "--count", 1)["rule"] == "block-none"
    line(*fetch(site, node))
    told = [json.loads(text)["identifier"] for text in (site / "blocks" / "0001" / "codes.jsonl").open()]
    assert told[:100] == node.lot.codes[:100]
    assert line("take", "--site", site, "--line", "L4", "--count", 100)["count"] == 100


def test_what_contradicts_what_was_told_before_is_refused(
    site: Path, node: LineNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A code of an earlier page, of its case, or of another block; after an earlier page that was wrong, too."""
    monkeypatch.setattr(limits, "LINE_CODES_PAGE", 20)
    line(*fetch(site, node, 35))
    codes = node.lot.codes
    for wrong, right in ((45, 36), (60, 2), (204, 203), (203, 100), (220, 36)):
        honest = codes[wrong]
        codes[wrong] = codes[right]
        told = refused(*fetch(site, node, 65))
        assert (told["outcome"], "code" in told["reason"]) == ("malformed", True), (wrong, right)
        codes[wrong] = honest
        assert not (site / "blocks" / "0002" / "complete.json").exists()
    line(*fetch(site, node, 65))
    line("take", "--site", site, "--line", "L4", "--count", 35)
    line("take", "--site", site, "--line", "L4", "--count", 65)
    of_run = "--site", site, "--line", "L4", "--run", "A"
    assert run(of_run, bags(node, 0, 45, 60))[0] == ["ok"] * 3


def test_a_block_that_the_site_has_already_is_refused(site: Path, node: LineNode) -> None:
    """Two lines would print the same codes; a lot of another size, nor."""
    line(*fetch(site, node, 50))
    node.lot.next = 49
    assert "has already" in refused(*fetch(site, node, 20))["reason"]
    assert not (site / "blocks" / "0002" / "block.json").exists()
    with LineNode(site.parent / "other", Lot("88.118.7/L1", 300, 10, 5)) as other:
        other.lot.next = 100
        assert "not what the node said before" in refused(*fetch(site, other, 30))["reason"]


def test_what_a_node_says_moves_no_terminal(site: Path, node: LineNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a refusal, an item nor a state: on the terminal and in files it is plain text."""
    evil = "\x1b]0;pwned\x07\x1b[2J\x9b2J\u202e\r\n" + "x" * 100_000
    with monkeypatch.context() as patched:
        patched.setattr(node.lot, "take_block", raising(Problem(409, evil, evil, evil)))
        wordy = [invoke(*fetch(site, node)), invoke(*fetch(site, node), "--json")]
    of_run = given(site, node, 200)
    run(of_run, bags(node, 0))
    item = {"outcome": evil, "rule": evil, "message": evil}
    with monkeypatch.context() as patched:
        patched.setattr(node.lot, "take_events", lambda items, now_ms: {"results": [item]})
        wordy.append(invoke("upload", *of_run, *node.options))
        patched.setattr(node.lot, "counts", lambda: {evil: {evil: 1}, "unit": {evil: 1}})
        wordy.append(invoke("reconcile", *of_run, *node.options))
        wordy.append(invoke("reconcile", *of_run, *node.options, "--json"))
    for done in wordy:
        assert done.exit_code == 1
        assert done.output.replace("\n", "").isprintable(), done.output[:300]
        assert len(done.output) < 200_000
    for path in [*site.rglob("refused.txt"), *site.rglob("0*.json")]:
        assert path.read_text().strip().isprintable() or path.name == "request.json", path
        assert path.stat().st_size < 10_000


def raising(error: Exception) -> Any:
    def fail(*_: object) -> None:
        raise error

    return fail


REFUSALS = [
    Problem(451, "held", "on-hold"), Problem(404, "not-found", "lot-not-found"), Problem(403, "forbidden", "lot-own"),
    Problem(421, "not-responsible", "lot-prefix"), Problem(403, "registration-closed", "licence"),
]  # fmt: skip


@pytest.mark.parametrize("problem", REFUSALS, ids=lambda problem: problem.document["outcome"])
def test_what_is_refused_for_now_is_asked_again_under_its_key(
    site: Path, node: LineNode, monkeypatch: pytest.MonkeyPatch, problem: Problem
) -> None:
    """A hold, a lot that is not there yet: block and batch are the same ones when it is over; nothing was given up."""
    with monkeypatch.context() as patched:
        patched.setattr(node.lot, "take_block", raising(problem))
        for _ in range(2):
            assert refused(*fetch(site, node))["rule"] == problem.document["rule"]
    assert not list(site.rglob("refused.txt"))
    of_run = given(site, node)
    assert len({key for method, _, key in node.asked if method == "POST"}) == 1
    run(of_run, bags(node, 0, 1))
    begin = len(node.asked)
    with monkeypatch.context() as patched:
        patched.setattr(node.lot, "take_events", raising(problem))
        for _ in range(2):
            assert refused("upload", *of_run, *node.options)["outcome"] == problem.document["outcome"]
    run(of_run, bags(node, 2, second=1))
    assert line("upload", *of_run, *node.options)["outcomes"] == {"ok": 2}
    assert [key[-6:] for _, _, key in node.asked[begin:]] == ["000001"] * 3 + ["000002"]
    assert node.lot.states[:3] == ["commissioned"] * 3


def test_a_take_that_one_block_cannot_fill_says_what_the_others_have(site: Path, node: LineNode) -> None:
    """It is no short supply before the site has nothing more."""
    line(*fetch(site, node, 30))
    line(*fetch(site, node, 40))
    take = ("take", "--site", site, "--line", "L4", "--count", 60)
    told = invoke(*take).stdout
    assert "The block had no more: 40 / 60" in told
    assert "站点其余号段还有 30，请再次执行。Other blocks of the site have 30: take again" in told
    assert "Short supply" not in told
    told = line(*take)
    assert (told["count"], told["short"], told["more"]) == (30, True, 0)


def test_a_site_of_several_lots_wants_one_named(site: Path, node: LineNode, tmp_path: Path) -> None:
    """For the take, and for the run of a line that has both."""
    line(*fetch(site, node, 50))
    with LineNode(tmp_path / "other", Lot("88.118.7/L2", 40)) as other:
        line(*fetch(site, other, 40))
    take = ("take", "--site", site, "--line", "L4", "--count", 40)
    assert refused(*take)["rule"] == "line-lot"
    assert line(*take, "--lot", "88.118.7/l2")["lot"] == "88.118.7/L2"
    assert line(*take)["lot"] == "88.118.7/L1"
    of_run = ("run", "--site", site, "--line", "L4", "--run", "A", "--input", os.devnull)
    assert refused(*of_run)["rule"] == "line-lot"
    told = line(*of_run, "--lot", "88.118.7/L2")
    assert (told["lot"], told["counts"]["unit"]["issued"]) == ("88.118.7/L2", 40)


@pytest.mark.parametrize("what", ["octet", "tail", "missing", "request"])
def test_codes_that_were_altered_are_not_used(site: Path, node: LineNode, what: str) -> None:
    """By a hand, or by the disk: told, and nothing is done with them."""
    of_run = given(site, node)
    folder = site / "blocks" / "0001"
    octets = bytearray((folder / "codes.jsonl").read_bytes())
    if what == "octet":
        octets[octets.index(b"L1") + 4] ^= 1
    elif what == "tail":
        octets += b"{}\n"
    (folder / "codes.jsonl").write_bytes(octets)
    if what == "missing":
        (folder / "codes.jsonl").unlink()
    elif what == "request":
        (folder / "request.json").write_text("{}")
    assert refused("run", *of_run, "--input", os.devnull)["rule"] == "line-damaged"


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"[]", b"{", b'{"lot": "88.118.7/L2", "line": "works", "from": 0, "count": 100}',
        b'{"lot": "88.118.7/L1", "line": "L9", "from": 0, "count": 100}',
        b'{"lot": "88.118.7/L1", "line": "works", "from": 0, "count": 101}',
        b'{"lot": "88.118.7/L1", "line": "works", "from": 150, "count": 100}',
        b'{"lot": "88.118.7/L1", "line": "works", "from": -1, "count": 100}',
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_not_believed(
    site: Path, node: LineNode, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another lot, another line, more than was asked for, beyond the lot, no JSON."""
    told = node.answer

    def lie(method: str, target: str, headers: Any, body: bytes) -> tuple[int, bytes, str]:
        return (201, answer, "") if method == "POST" else told(method, target, headers, body)

    monkeypatch.setattr(node, "answer", lie)
    assert refused(*fetch(site, node))["outcome"] == "malformed"
    assert not list(site.glob("blocks/*/block.json"))


# --- a line -----------------------------------------------------------------------


def test_two_processes_never_get_the_same_block(site: Path, node: LineNode) -> None:
    """Real ones, at once, until nothing is left."""
    line(*fetch(site, node, 200))
    script = (
        "import sys, json\nfrom pathlib import Path\n"
        "from core.errors import NodeError\nfrom node.line.site import Site\n"
        "site, given = Site(Path(sys.argv[1])), []\nsys.stdin.readline()\n"
        "try:\n    while True:\n        given.append(site.give(sys.argv[2], 3, None, None)[0].units)\n"
        "except NodeError as error:\n    print(json.dumps([given, error.fields['rule']]))\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(site), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for name in ("L4", "L5")
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    told = [json.loads(process.communicate(timeout=60)[0]) for process in processes]
    assert [rule for _, rule in told] == ["block-none", "block-none"]
    units = [index for blocks, _ in told for first, size in blocks for index in range(first, first + size)]
    assert sorted(units) == list(range(200))


def test_an_allocation_that_was_torn_was_never_given(site: Path, node: LineNode) -> None:
    """It was not told: the next one gets these codes."""
    line(*fetch(site, node))
    line("take", "--site", site, "--line", "L4", "--count", 10)
    path = site / "allocations.log"
    kept = path.read_bytes()
    line("take", "--site", site, "--line", "L4", "--count", 10)
    path.write_bytes(path.read_bytes()[:-7])
    assert line("take", "--site", site, "--line", "L5", "--count", 5)["from"] == 10
    assert path.read_bytes().startswith(kept)


def test_a_duplicate_raises_an_alarm(site: Path, node: LineNode) -> None:
    """On the answer, loudly on standard error, in the counts, and in the run's file; the shift goes on."""
    of_run = given(site, node)
    duplicate = f"{node.lot.codes[1]},{DAY}05Z,A"
    answers, loud = run(of_run, [*bags(node, 0, 1, 2), duplicate, *bags(node, 3, second=6)])
    assert answers == ["ok", "ok", "ok", "alarm duplicate", "ok"]
    assert f"警报 ALARM duplicate, 第 4 行 line 4: {duplicate!r}: 重复标识 a code that was there before" in loud
    kept = [json.loads(text[18:]) for text in (site / "runs" / "A" / "events.log").read_text().splitlines()]
    assert [each["line"] for each in kept if each.get("alarm") == "duplicate"] == [duplicate]
    told = line("end", *of_run)
    assert told["alarms"] == {"duplicate": 1}
    assert told["counts"]["unit"] == {
        "issued": 100, "allocated": 0, "commissioned": 4, "scrapped": 0, "sampled": 0, "returned": 96,
    }  # fmt: skip


def test_a_line_takes_what_the_labels_carry(site: Path, node: LineNode) -> None:
    """Addresses and forms of GS1, of bags and of children; each is the code that it names, so a second one is told."""
    of_run = given(site, node)
    prefix, _, suffix = node.lot.codes[0].partition("/")
    gs1 = f"\x1d010690123456789221{node.lot.codes[1].partition('/')[2]}"
    link = f"HTTPS://ID.EXAMPLE.CN/01/06901234567892/21/{node.lot.codes[2].partition('/')[2]}"
    children = [f"https://id.example.cn/{node.lot.codes[index]}" for index in (0, 1, 2)]
    case = {"code": f"https://id.example.cn/{node.lot.codes[200]}", "time": f"{DAY}01Z", "event": "case"}
    answers, _ = run(of_run, [
        f"HTTPS://ID.EXAMPLE.CN/{prefix}/{suffix},{DAY}00Z,A", f"{gs1},{DAY}00Z,A", f"{link},{DAY}00Z,A",
        json.dumps(case | {"children": children}),
        f"{node.lot.codes[0]},{DAY}02Z,A", f"(01)06901234567892(21){suffix},{DAY}02Z,A",
        f"https://id.example.cn/88.118.8/{node.lot.codes[5].partition('/')[2]},{DAY}02Z,A",
    ])  # fmt: skip
    assert answers == ["ok"] * 4 + ["alarm duplicate", "alarm duplicate", "alarm unknown"]


def test_what_was_not_read_is_an_alarm(site: Path, node: LineNode) -> None:
    """A blank line, and an empty code: never an ok that is counted nowhere."""
    of_run = given(site, node)
    answers, loud = run(of_run, [*bags(node, 0), "", f",{DAY}01Z", "", *bags(node, 1, second=2)])
    assert answers == ["ok", "alarm no-read", "alarm no-read", "alarm no-read", "ok"]
    assert "警报 ALARM no-read, 第 2 行 line 2: '': 没有读到标识 no code was read" in loud
    assert line("end", *of_run)["alarms"] == {"no-read": 3}


def test_a_line_that_cannot_be_read_is_shown_with_its_number_and_why(site: Path, node: LineNode) -> None:
    """On standard error, and in the answer in JSON."""
    of_run = given(site, node)
    said = [*bags(node, 0), "nonsense", f"{node.lot.codes[1]},yesterday"]
    answers, loud = run(of_run, said)
    assert answers == ["ok", "alarm malformed", "alarm malformed"]
    assert (
        "警报 ALARM malformed, 第 2 行 line 2: 'nonsense': 无法读取的行 a line that cannot be read: 应为 code,time"
        in loud
    )
    assert f"第 3 行 line 3: {said[2]!r}" in loud
    answers, _ = run(of_run, said, "--json")
    told = json.loads(answers[1])
    assert (told["ok"], told["alarm"], told["line"]) == (False, "malformed", 2)
    assert "code,time[,grade[,event]]" in told["why"]


def test_a_run_that_cannot_begin_takes_no_codes(site: Path, node: LineNode) -> None:
    """A name that was mistyped, with an input that is none; where a run has the codes, it is named."""
    of_run = given(site, node)
    wrong = (*of_run[:4], "--run", "TYPO")
    for source in (site / "none", site):
        assert invoke("run", *wrong, "--input", source).exit_code == 2
    assert line("buffer", "show", "--site", site)["runs"] == []
    assert run(of_run, bags(node, 0))[0] == ["ok"]
    told = refused("run", *wrong, "--input", os.devnull)
    assert told["rule"] == "block-none"
    assert "已由班次 A 使用：用 --run A 继续" in told["reason"]
    assert "are of the run A: go on with --run A" in told["reason"]


def test_a_name_of_a_run_is_given_once(site: Path, node: LineNode) -> None:
    """At a site, whichever line; whoever takes it again is told to choose another one, before the input is opened."""
    of_run = given(site, node, 50)
    run(of_run, bags(node, 0))
    line(*fetch(site, node, 10))
    line("take", "--site", site, "--line", "L5", "--count", 10)
    told = refused("run", "--site", site, "--line", "L5", "--run", "A", "--input", os.devnull)
    assert told["rule"] == "line-run"
    assert "班次名称在站点内唯一，请另取名称" in told["reason"]
    assert "choose another name" in told["reason"]
    assert "它属于生产线 L4" in refused("end", "--site", site, "--line", "L5", "--run", "A")["reason"]


# --- what a line prints -----------------------------------------------------------


def printed(*arguments: object) -> list[dict[str, Any]]:
    done = invoke("codes", *arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    return [json.loads(text) for text in done.stdout.splitlines()]


def test_a_line_writes_its_codes_for_the_printer(site: Path, node: LineNode) -> None:
    """As the node tells them, in the order in which the line got them; of each kind those that are the line's."""
    line(*fetch(site, node, 25))
    line(*fetch(site, node, 60))
    line("take", "--site", site, "--line", "L5", "--count", 5)
    line("take", "--site", site, "--line", "L4", "--count", 40)
    line("take", "--site", site, "--line", "L4", "--count", 20)
    of_line = ("--site", site, "--line", "L4")
    indexes = [*range(25, 65), *range(5, 25)]
    everything = node.lot.tell_codes(0, node.lot.size)["codes"]
    assert printed(*of_line) == [everything[index] for index in indexes]
    assert printed(*of_line, "--json") == printed(*of_line)
    assert [each["index"] for each in printed(*of_line, "--kind", "case")] == [203, 204, 205, 206, 201, 202]
    assert printed(*of_line, "--kind", "case") == [everything[index] for index in (203, 204, 205, 206, 201, 202)]
    assert printed(*of_line, "--kind", "pallet") == [everything[221]]
    csv = invoke("codes", *of_line, "--format", "csv").stdout.splitlines()
    assert csv[0] == "index,identifier,kind,case,pallet"
    code = everything[25]
    assert csv[1] == f"25,{code['identifier']},unit,{code['case']},{code['pallet']}"
    assert len(csv) == 61


def test_a_day_by_the_manual(site: Path, node: LineNode) -> None:
    """What the printer was sent is what the camera reads."""
    of_run = given(site, node)
    url = ("--format", "zpl", "--public-url", "https://id.example.cn")
    labels = parse_zpl(invoke("codes", "--site", site, "--line", "L4", *url).stdout)
    held = [each.rest.decode().removeprefix("MA,") for each in labels if each.rest.startswith(b"MA,")]
    assert held[0] == f"HTTPS://ID.EXAMPLE.CN/{node.lot.codes[0]}"
    assert len(held) == 100
    assert run(of_run, [f"{text},{DAY}01Z,A" for text in held])[0] == ["ok"] * 100
    bare = parse_zpl(invoke("codes", "--site", site, *of_run[2:], "--format", "zpl").stdout)
    assert [each.rest.decode() for each in bare if each.rest.startswith(b"MA,")][99] == f"MA,{node.lot.codes[99]}"


def test_no_code_is_printed_twice_by_itself(site: Path, node: LineNode) -> None:
    """What a run has is written again only by its name, or from a block on that is named."""
    of_run = given(site, node, 20)
    run(of_run, [])
    of_line = of_run[:4]
    told = refused("codes", *of_line)
    assert (told["rule"], "--run A" in told["reason"]) == ("block-none", True)
    line(*fetch(site, node, 30))
    line("take", "--site", site, "--line", "L4", "--count", 10, "--token", "t2")
    line("take", "--site", site, "--line", "L4", "--count", 10, "--token", "t3")
    assert [each["index"] for each in printed(*of_line)] == [*range(20, 40)]
    assert [each["index"] for each in printed(*of_run)] == [*range(20)]
    run(of_run, [])
    assert [each["index"] for each in printed(*of_run)] == [*range(40)]
    assert [each["index"] for each in printed(*of_run, "--from-block", "t3")] == [*range(30, 40)]
    assert [each["index"] for each in printed(*of_line, "--from-block", "t2")] == [*range(20, 40)]
    assert refused("codes", *of_line, "--from-block", "t4")["rule"] == "line-token"
    assert refused("codes", *of_line, "--run", "B")["rule"] == "line-run"
    assert refused("codes", "--site", site, "--line", "L9")["rule"] == "block-none"
    for wrong in (
        ("--public-url", "https://x"), ("--format", "zpl", "--public-url", "x"), ("--format", "csv", "--json"),
        ("--format", "zpl", "--public-url", "https://盐.cn"), ("--format", "zpl", "--public-url", "http://x:y"),
    ):  # fmt: skip
        assert invoke("codes", *of_run, *wrong).exit_code == 2, wrong


def test_codes_that_were_altered_are_not_printed(site: Path, node: LineNode) -> None:
    """Not one of them: the file is looked through before anything is written."""
    of_run = given(site, node)
    path = site / "blocks" / "0001" / "codes.jsonl"
    path.write_bytes(path.read_bytes() + b"{}\n")
    done = invoke("codes", *of_run[:4])
    assert (done.exit_code, done.stdout) == (1, "")
    assert refused("codes", *of_run[:4])["rule"] == "line-damaged"


def test_a_run_that_is_said_again_is_the_same(site: Path, node: LineNode) -> None:
    """All lines twice, with what raised alarms: the file does not change by an octet."""
    of_run = given(site, node)
    said = [
        *bags(node, *range(12)),
        "nonsense",
        f"{node.lot.codes[3]},{DAY}01Z",
        f"{node.lot.codes[200]},{DAY}02Z,,case",
    ]
    first, _ = run(of_run, said)
    kept = (site / "runs" / "A" / "events.log").read_bytes()
    assert first == ["ok"] * 12 + ["alarm malformed", "alarm duplicate", "ok"]
    assert run(of_run, said)[0] == first
    assert (site / "runs" / "A" / "events.log").read_bytes() == kept


def test_a_line_without_its_end_is_not_taken(site: Path, node: LineNode) -> None:
    """The rest of it could have said that it is a reject; lines that are too long, nor."""
    of_run = given(site, node)
    long = b"x" * (2 * limits.LINE_INPUT_BYTES_MAX)
    (site / "said").write_bytes(long + b"\n" + "\n".join(bags(node, 0, 1)).encode())
    done = invoke("run", *of_run, "--input", site / "said")
    assert done.stdout.splitlines() == ["alarm malformed", "ok", "alarm malformed"]
    assert (site / "runs" / "A" / "events.log").stat().st_size < 4_000


def test_a_fifo_is_answered_while_it_is_open(site: Path, node: LineNode) -> None:
    """Each line once it is on the disk, not when the input ends."""
    of_run = given(site, node)
    fifo = site / "camera"
    os.mkfifo(fifo)
    process = subprocess.Popen(
        [*SALTERN, "line", "run", *map(str, of_run), "--input", str(fifo)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    with fifo.open("w") as camera:
        for count, text in enumerate(bags(node, 0, 1, 2), 1):
            camera.write(text + "\n")
            camera.flush()
            assert process.stdout.readline() == b"ok\n"
            assert (site / "runs" / "A" / "events.log").read_bytes().count(b"commissioned") == count
    assert process.communicate(timeout=30)[0] == b""
    assert process.returncode == 0


def test_nothing_is_answered_that_is_not_on_the_disk(
    site: Path, node: LineNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full: the line stops with a word, and goes on where it was."""
    of_run = given(site, node)
    (site / "said").write_text("".join(f"{text}\n" for text in bags(node, 0, 1)))
    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", failing(errno.ENOSPC))
        done = invoke("run", *of_run, "--input", site / "said")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "No space left" in done.stderr
    assert run(of_run, bags(node, 0, 1, 2))[0] == ["ok"] * 3


def failing(number: int) -> Any:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_run_goes_on_with_more_codes_and_belongs_to_its_line(site: Path, node: LineNode) -> None:
    """What the line is given later is the run's; one that ended takes none, and a run is of one line."""
    of_run = given(site, node, 10)
    assert run(of_run, bags(node, 0, 10))[0] == ["ok", "alarm unknown"]
    line(*fetch(site, node, 10))
    line("take", "--site", site, "--line", "L4", "--count", 10)
    assert run(of_run, bags(node, 10, second=1))[0] == ["ok"]
    for name in ("run", "end", "upload", "reconcile"):
        more = node.options if name == "upload" else ("--input", os.devnull) if name == "run" else ()
        wrong = ("--site", site, "--line", "L5", "--run", "A")
        assert refused(name, *wrong, *more)["rule"] == "line-run"
    assert refused("run", *of_run[:4], "--run", "B", "--input", os.devnull)["rule"] == "block-none"
    assert line("end", *of_run)["counts"]["unit"]["issued"] == 20
    ended = (site / "runs" / "A" / "events.log").read_bytes()
    assert line("end", *of_run)["ended"]
    line(*fetch(site, node, 30))
    line("take", "--site", site, "--line", "L4", "--count", 30)
    assert run(of_run, bags(node, 0, 11, 21))[0] == ["ok", "alarm duplicate", "alarm unknown"]
    assert (site / "runs" / "A" / "events.log").read_bytes().startswith(ended)


def test_one_process_takes_the_lines_of_a_run(site: Path, node: LineNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one is told; an upload goes beside it."""
    monkeypatch.setattr(limits, "LOCK_WAIT_S", 0.0)
    of_run = given(site, node)
    fifo = site / "camera"
    os.mkfifo(fifo)
    process = subprocess.Popen(
        [*SALTERN, "line", "run", *map(str, of_run), "--input", str(fifo)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    with fifo.open("w") as camera:
        camera.write("\n".join(bags(node, 0, 1)) + "\n")
        camera.flush()
        assert [process.stdout.readline() for _ in range(2)] == [b"ok\n", b"ok\n"]
        assert refused("run", *of_run, "--input", os.devnull)["rule"] == "line-busy"
        assert line("upload", *of_run, *node.options)["outcomes"] == {"ok": 1}
    process.communicate(timeout=30)
    assert node.lot.counts()["unit"]["commissioned"] == 2


def test_one_wrong_time_of_the_camera_makes_no_sold_bag_gone(site: Path, node: LineNode) -> None:
    """One of a hundred bags is stamped almost five minutes ahead: all of them are sold, none is returned."""
    of_run = given(site, node)
    now_ms = time.time_ns() // 1_000_000
    times = [now_ms - 60_000 + 10 * index + (290_000 if index == 10 else 0) for index in range(100)]
    said = [f"{node.lot.codes[index]},{format_instant(at_ms)},A" for index, at_ms in enumerate(times)]
    assert run(of_run, said, "--end")[0] == ["ok"] * 100
    line("upload", *of_run, *node.options)
    assert node.lot.states[:100] == ["commissioned"] * 100


def test_what_was_seen_and_refused_is_not_returned(site: Path, node: LineNode) -> None:
    """Both ends and the account name it, with exit code 1; a line that is right settles it, after the end, too."""
    of_run = given(site, node, 200)
    said = bags(node, *range(200))
    said[7] = f"{node.lot.codes[7]},2099-01-01T00:00:00Z,A"
    said[8] = f"{node.lot.codes[8]},yesterday,A"
    (site / "said").write_text("".join(f"{each}\n" for each in said))
    done = invoke("run", *of_run, "--input", site / "said", "--end")
    assert done.exit_code == 1
    assert all(code in done.stderr for code in node.lot.codes[7:9])
    assert "say it again" in done.stderr
    done = invoke("run", *of_run, "--input", os.devnull, "--end", "--json")
    assert (done.exit_code, len(json.loads(done.stdout)["unsettled"])) == (1, 2)
    told = refused("end", *of_run)
    assert (told["refused"], told["counts"]["unit"]["returned"]) == (2, 0)
    assert [each["code"] for each in told["unsettled"]] == node.lot.codes[7:9]
    line("upload", *of_run, *node.options)
    told = refused("reconcile", *of_run)
    assert [(each["code"], "refused" in each["why"]) for each in told["differences"]] == [
        (code, True) for code in node.lot.codes[7:9]
    ]
    assert node.lot.states[7:9] == ["allocated"] * 2
    scrap = f"{node.lot.codes[8]},{DAY}00.008Z,,scrap"
    assert run(of_run, [f"{node.lot.codes[7]},{DAY}00.007Z,A", scrap])[0] == ["ok", "ok"]
    told = refused("reconcile", *of_run)
    assert [(each["code"], "end the run again" in each["why"]) for each in told["differences"]] == [
        (node.lot.codes[7], True)
    ]
    assert line("end", *of_run)["unsettled"] == []
    line("upload", *of_run, *node.options)
    assert line("reconcile", *of_run, *node.options)["balanced"]
    assert node.lot.states[7:9] == ["commissioned", "scrapped"]


def test_two_processes_on_one_run(site: Path, node: LineNode) -> None:
    """The second one takes nothing and says why, whatever it wants; when the first one is killed it may."""
    of_run = given(site, node)
    command = [*SALTERN, "line", "run", *map(str, of_run)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    said = "".join(f"{text}\n" for text in bags(node, 0, 1)).encode()
    with subprocess.Popen(command, **pipes) as first:
        assert first.stdin is not None
        assert first.stdout is not None
        first.stdin.write(said)
        first.stdin.flush()
        assert [first.stdout.readline() for _ in range(2)] == [b"ok\n"] * 2
        kept = (site / "runs" / "A" / "events.log").read_bytes()
        second = subprocess.run([*command, "--end"], input=said, capture_output=True, check=False, timeout=60)
        assert (second.returncode, second.stdout) == (1, b"")
        assert "另一个进程正在使用" in second.stderr.decode()
        assert (site / "runs" / "A" / "events.log").read_bytes() == kept
        first.kill()
    again = subprocess.run(command, input=said, capture_output=True, check=False, timeout=60)
    assert (again.returncode, again.stdout) == (0, b"ok\nok\n")
    assert (site / "runs" / "A" / "events.log").read_bytes() == kept


# --- to the node --------------------------------------------------------------------


def test_what_the_node_refuses_is_listed_and_kept(site: Path, node: LineNode) -> None:
    """The rest is taken; the account names the code, until a person has looked."""
    of_run = given(site, node, 200)
    run(of_run, bags(node, 0, 2, 4))
    node.lot.states[2] = "scrapped"
    told = refused("upload", *of_run, *node.options)
    assert told["outcomes"] == {"ok": 2, "invalid-value": 1}
    assert [(each["item"]["from"], each["rule"]) for each in told["refused"]] == [(2, "event-state")]
    line("end", *of_run)
    node.lot.states[5] = "destroyed"
    told = refused("upload", *of_run, *node.options)
    assert [(each["batch"], each["item"]["from"]) for each in told["refused"]] == [(2, 2), (2, 5)]
    assert line("upload", *of_run, *node.options)["batches"] == 0
    told = refused("reconcile", *of_run, *node.options)
    assert (told["balanced"], told["waiting"], told["different"]) == (False, 0, 197)
    assert told["differences"][0]["code"] == node.lot.codes[2]
    assert "event-state" in told["differences"][0]["why"]
    assert "单元 unit 启用 commissioned: 本地 3 here, 节点 2 at the node" in told["counts_differ"]


def test_a_run_is_balanced_when_all_of_it_is_at_the_node(site: Path, node: LineNode) -> None:
    """Before that, what is open or was not uploaded is told, and it is a failure."""
    of_run = given(site, node, 200)
    run(of_run, bags(node, *range(150)))
    told = refused("reconcile", *of_run)
    assert (told["different"], told["waiting"]) == (50 + 20 + 4, 150)
    assert told["differences"][0] == {
        "code": node.lot.codes[150],
        "here": "allocated",
        "why": "没有下落 not accounted for",
    }
    line("end", *of_run)
    told = refused("reconcile", *of_run)
    assert (told["different"], told["balanced"]) == (0, False)
    line("upload", *of_run, *node.options)
    told = line("reconcile", *of_run, *node.options)
    assert (told["balanced"], told["node"]["unit"]["commissioned"], told["node"]["unit"]["returned"]) == (True, 150, 50)
    assert "账目相符 The account agrees" in invoke("reconcile", *of_run).stdout
    node.lot.states[7] = "scrapped"
    assert refused("reconcile", *of_run, *node.options)["counts_differ"] == [
        "单元 unit 启用 commissioned: 本地 150 here, 节点 149 at the node",
        "单元 unit 报废 scrapped: 本地 0 here, 节点 1 at the node",
    ]
    assert line("reconcile", *of_run)["balanced"]


def test_a_run_of_a_part_of_a_lot_is_compared_as_far_as_it_can_be(site: Path, node: LineNode) -> None:
    """The node's counts are of the lot: none is less than here. Without --node it says that nothing was compared."""
    of_run = given(site, node, 100)
    run(of_run, bags(node, *range(30)))
    line("end", *of_run)
    line("upload", *of_run, *node.options)
    told = line("reconcile", *of_run)
    assert (told["balanced"], told["compared"], told["node"]) == (True, "no", None)
    assert "未与节点核对：没有给出 --node。Not compared with the node" in invoke("reconcile", *of_run).stdout
    asked = len(node.asked)
    node.lot.states[150] = "scrapped"
    told = line("reconcile", *of_run, *node.options)
    assert (told["balanced"], told["compared"], len(node.asked)) == (True, "at-least", asked + 1)
    assert told["node"]["unit"]["commissioned"] == 30
    assert "the run has a part of it" in told["compared_why"]
    assert told["compared_why"] in invoke("reconcile", *of_run, *node.options).stdout
    node.lot.states[7] = "allocated"
    told = refused("reconcile", *of_run, *node.options)
    assert told["counts_differ"] == ["单元 unit 启用 commissioned: 本地 30 here, 节点 29 at the node"]


def test_an_upload_that_cannot_reach_the_node_loses_nothing(site: Path, node: LineNode) -> None:
    """A bounded number of tries, a clear word, exit code 1; the next one brings all of it."""
    of_run = given(site, node)
    run(of_run, bags(node, 0, 1))
    begin = len(node.asked)
    node.fault = lambda number, method, path: "busy"
    told = refused("upload", *of_run, *node.options)
    assert (told["rule"], len(node.asked) - begin) == ("line-unreachable", limits.LINE_TRIES)
    assert "没有丢失任何内容" in told["reason"]
    gone = ("--node", "http://127.0.0.1:1", *node.options[2:])
    assert refused("upload", *of_run, *gone)["rule"] == "line-unreachable"
    node.fault = lambda number, method, path: ""
    assert line("upload", *of_run, *node.options)["outcomes"] == {"ok": 1}


def test_a_token_that_is_refused_ends_the_upload(site: Path, node: LineNode) -> None:
    """At once; with the right one it goes on, under the same key."""
    of_run = given(site, node)
    run(of_run, bags(node, 0))
    good = node.token_file.read_text()
    node.token_file.write_text("saltern_wrong")
    begin = len(node.asked)
    assert refused("upload", *of_run, *node.options)["outcome"] == "authentication-failed"
    assert len(node.asked) == begin + 1
    node.token_file.write_text(good)
    line("upload", *of_run, *node.options)
    assert len({key for _, _, key in node.asked[begin:]}) == 1


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://127.0.0.1", "不是节点地址"), ("127.0.0.1:8000", "不是节点地址"), ("http://", "不是节点地址"),
        ("http://127.0.0.1:x", "不是节点地址"), ("https://a:b@node.example.cn", "不是节点地址"),
        ("http://node.example.cn", "令牌不经明文"), ("http://192.0.2.1:8000", "令牌不经明文"),
    ],
)  # fmt: skip
def test_a_token_goes_to_no_wrong_address(site: Path, node: LineNode, url: str, said: str) -> None:
    """Nothing is asked, nothing is written."""
    told = refused(*fetch(site, node)[:-4], "--node", url, "--token-file", node.token_file)
    assert (told["rule"], said in told["reason"]) == ("line-node", True)
    assert not site.exists()


def test_a_token_file_is_its_owners_alone(site: Path, node: LineNode) -> None:
    """One that others may read, that is empty, or that is none."""
    for mode, text in ((0o640, "x"), (0o604, "x"), (0o600, ""), (0o600, "a b"), (0o600, "盐"), (0o600, "x" * 5_000)):
        node.token_file.write_text(text)
        node.token_file.chmod(mode)
        assert refused(*fetch(site, node))["rule"] == "line-node", (mode, text)
    node.token_file.unlink()
    assert refused(*fetch(site, node))["rule"] == "line-node"


def test_https_is_asked_with_the_nodes_certificate(site: Path, node: LineNode, tmp_path: Path) -> None:
    """Named by --ca; without it nobody is believed, and nothing is tried again."""
    make_certificate(tmp_path / "tls.crt", tmp_path / "tls.key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    secure = LineNode(tmp_path / "secure", Lot("88.118.7/L1", 20))
    secure._server.socket = context.wrap_socket(secure._server.socket, server_side=True)
    secure.url = secure.url.replace("http:", "https:")
    with secure:
        told = refused(*fetch(site, secure, 20))
        assert (told["rule"], "--ca" in told["reason"]) == ("line-node", True)
        assert line(*fetch(site, secure, 20), "--ca", tmp_path / "tls.crt")["count"] == 20


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--line", "L4", "--run", "A"), ("take", "--site", "x", "--line", "L4", "--count", "0"),
        ("take", "--site", "x", "--line", "L4", "--count", "1048577"),
        ("upload", "--site", "x", "--line", "L", "--run", "A"),
        ("reconcile", "--site", "x", "--line", "L4", "--run", "A", "--node", "https://x"), ("buffer", "give"),
    ],
)  # fmt: skip
def test_a_wrong_use_is_told(arguments: tuple[str, ...]) -> None:
    """Exit code 2, in both languages."""
    done = invoke(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert not done.stderr.splitlines()[-1].isascii()


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "x" * 33, "a b", "\x1b"])
def test_a_name_is_no_path(site: Path, node: LineNode, name: str) -> None:
    """Of a line, a run and a site: each is the name of a folder, or stands in a message."""
    assert refused(*fetch(site, node, 10, "--site-name", name))["rule"] == "line-name"
    line(*fetch(site, node, 10, "--site-name", "东站"))
    assert refused("take", "--site", site, "--line", name, "--count", 1)["rule"] == "line-name"
    line("take", "--site", site, "--line", "包装线4", "--count", 1)
    assert refused("run", "--site", site, "--line", "包装线4", "--run", name)["rule"] == "line-name"


def test_what_the_system_refuses_is_told_in_json(site: Path, node: LineNode) -> None:
    """An input that fails while it is read, a folder that is none: a reason and exit code 1, no traceback."""
    of_run = given(site, node)
    told = refused("run", *of_run, "--input", "/proc/self/mem")
    assert (told["outcome"], told["rule"]) == ("internal", "line-file")
    (site / "runs" / "A" / "batches").write_text("")
    for command, *more in (("upload", *node.options), ("reconcile",), ("end",)):
        told = refused(command, *of_run, *more)
        assert told["rule"] == "line-damaged", command
        assert not told["reason"].isascii()


def test_a_folder_that_is_no_site_is_told(tmp_path: Path) -> None:
    """Before anything is made in it."""
    for command in (("buffer", "show"), ("take", "--line", "L4", "--count", "1")):
        told = refused(*command, "--site", tmp_path / "none")
        assert (told["rule"], told["outcome"]) == ("line-site", "not-found")
    assert not (tmp_path / "none").exists()
