"""A prefix goes from one real node to another, and every answer is the same on every protocol."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
import resource
import signal
import stat
import subprocess
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from core import limits
from core.config import load
from core.ident.handle import check_prefix
from core.lotkeys import NO_MASTER_KEYS
from core.records import ADMIN_PERMISSIONS_ALL, AdminRecord, HandleValue, RsaKey, ValueReference, Values
from core.store.engine import Table
from core.store.record_rows import record_key
from core.store.transfer_rows import unpack_transfer
from core.wire.admin import encode_admin, encode_group
from core.wire.publickey import encode_public_key
from core.wire.transferfile import RecordLine, encode_line
from core.wire.values import encode_values
from node import wiring
from node.signing import load_signer
from node.writing import writer
from registry.client import BlockingClient
from registry.commands import (
    OPERATOR,
    Actor,
    Add,
    AddParty,
    ApplyPrefix,
    Command,
    CreateLot,
    ImportLines,
    Put,
    PutBatch,
    RecordEvents,
    Request,
    ReviewPrefix,
    TakeBlock,
    VerifyParty,
)
from registry.transfer_file import TransferCheck, export_lines, read_lines
from registry.transfer_head import Origin
from tests.kit.duties import write_duties
from tests.kit.governance import EVIDENCE, ROWS
from tests.kit.handle_messages import Message
from tests.kit.handle_node import HOST, question, transport_of
from tests.kit.node import SALTERN, Node, basic, saltern
from tests.kit.transfers import SIGNER, begin, kind_of, signed

CODE, OWN, HOSTED, DELEGATED = "88.118", "88.118.20", "88.118.7", "88.118.8"
LOT, LARGE = f"{HOSTED}/L260406001", f"{HOSTED}/L260406002"
RECORDS = {HOSTED: 1_000, OWN: 60}
"""How many of each prefix; three lots come on top."""

TEMPLATE = (
    '<namespace><template delimiter="@"><foreach><value type="URL" index="${index}" '
    'data="https://made.example/${extension}"/></foreach></template></namespace>'
)
TEXTS = ("https://p.example/袋", "a <b>&\"'\u2028", "", "盐" * 300, "\x00\x7f")
WAIT_S = 60


def some_record(prefix: str, number: int, chance: random.Random) -> Values:
    """Return one to six values of assorted types, permissions, times and references."""
    octets = [
        ("URL", f"https://example.cn/{number}".encode()), ("DESC", chance.choice(TEXTS).encode()),
        ("HS_ADMIN", encode_admin(AdminRecord(ADMIN_PERMISSIONS_ALL, f"0.NA/{prefix}", 200))),
        ("HS_VLIST", encode_group((ValueReference(f"0.NA/{prefix}", 301), ValueReference("88.1/X", 7)))),
        ("HS_PUBKEY", encode_public_key(RsaKey(chance.getrandbits(512) | 1, 65_537))),
        ("HS_SECKEY", b"a secret of this record"), ("HS_ALIAS", f"{prefix}/K00000".encode()),
        ("EMAIL", b"x@example.cn"), ("ECODE.盐", bytes(chance.randrange(256) for _ in range(40))),
        ("HS_SITE", b"no site at all"), ("10320/loc", b'<locations><location href="https://l.example"/></locations>'),
        ("HS_SERV", b"0.SERV/x"),
    ]  # fmt: skip
    values = [HandleValue(1, *octets[number % len(octets)], timestamp=number + 1)]
    for index in chance.sample(range(2, 2**31 - 1), chance.randrange(6)):
        kind, data = chance.choice(octets)
        permissions = chance.choice((0b1110, 0b1110, 0b1100, 0b0010, 0b1111, 0b0000, 0b0110))
        ttl, absolute = chance.choice(((86_400, False), (0, False), (2**31 - 1, False), (1_900_000_000, True)))
        references = tuple(ValueReference(f"{prefix}/K{n}", n) for n in range(chance.randrange(3)))
        values.append(
            HandleValue(index, kind, data, ttl, absolute, permissions & ~2 if kind == "HS_SECKEY" else permissions,
                        chance.randrange(2**32), references)
        )  # fmt: skip
    return tuple(
        value._replace(permissions=value.permissions & ~2) if value.type == "HS_SECKEY" else value for value in values
    )


def names_of(prefix: str) -> list[str]:
    """Return the handles of the records of a prefix: with three lots, one name that is long, and one of Chinese."""
    lots = [f"{prefix}/LOT2026A", f"{prefix}/LOT2026B", f"{prefix}/批次3"]
    special = [*lots, f"{prefix}/{'长' * 180}X", f"{prefix}/"]
    return [f"{prefix}/K{number:05}" for number in range(RECORDS[prefix] - len(special) + 3)] + special


class World(NamedTuple):
    """The node that exports, the one that imports, and the folder of the files between them."""

    there: Node
    here: Node
    folder: Path


def ask(client: BlockingClient, command: Command, actor: Actor = OPERATOR) -> Any:
    result = client.call(Request(command, actor))
    assert result.done, result
    return json.loads(result.body) if result.body else None


def fill(node: Node) -> None:
    """Give a running node a party with a hosted and a delegated prefix, and records below all."""
    client, chance = BlockingClient(node.folder / "data" / "run"), random.Random(7)
    clerk, first, second = (Actor(local=True, name=name) for name in ("张经办", "李审核", "王审核"))
    party = ask(client, AddParty(json.dumps(ROWS[0], ensure_ascii=False).encode()), clerk)["party"]
    for reviewer in (first, second):
        ask(client, VerifyParty(party, "manual", EVIDENCE), reviewer)
    site = node.ask("GET", "/api/site").json
    for server in site["site"]["servers"]:
        server["address"] = HOST
    ask(client, ApplyPrefix(HOSTED, party), clerk)
    ask(client, ApplyPrefix(DELEGATED, party, "delegated", json.dumps(site).encode()), clerk)
    for prefix in (HOSTED, DELEGATED):
        ask(client, ReviewPrefix(prefix, approve=True), first)
    template = (HandleValue(500, "HS_NAMESPACE", TEMPLATE.encode()),)
    imported = {"index": 1, "type": "URL", "data": "x", "timestamp": "2001-02-03T04:05:06Z"}
    for prefix in RECORDS:
        for number, name in enumerate(names_of(prefix)):
            ask(client, Put(name, some_record(prefix, number, chance)))
        line = json.dumps({"handle": f"{prefix}/IMPORTED", "values": [imported]}).encode()
        ask(client, PutBatch(line, lines=True, keep_timestamps=True))
        ask(client, Put(f"0.NA/{prefix}.5", (HandleValue(1, "DESC", b"derived"),)))
        ask(client, Add(f"0.NA/{prefix}", template))
    fill_lots(client, f"{HOSTED}/K00000")
    client.close()


def fill_lots(client: BlockingClient, product: str) -> None:
    """Make a lot to which things happened, and one of a million units."""
    form = {"lot": LOT, "product": product, "count": 24, "units_per_case": 4, "cases_per_pallet": 2, "line": "L4"}
    ask(client, CreateLot(json.dumps(form).encode()))
    ask(client, CreateLot(json.dumps(form | {"lot": LARGE, "count": 900_000, "units_per_case": 20}).encode()))
    ask(client, TakeBlock(LOT, "L4", 10, token="shift-1"))
    at = "2026-01-02T03:04:05.678Z"
    events: list[dict[str, object]] = [
        {"event": "commissioned", "from": 0, "count": 8, "place": "L4", "time": at, "grade": "A"},
        {"event": "scrapped", "from": 10, "count": 2, "time": at},
        {"event": "packed", "from": 3, "count": 1, "parent": "", "time": at},
    ]
    told = ask(client, RecordEvents(LOT, json.dumps(events).encode(), lines=False))
    assert told["counts"] == {"ok": 3}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("transfer")
    admins = {"handle.server_admins": [300, 301]}  # who come by HTTP Basic, too
    with Node(folder / "there", CODE, OWN, **admins) as there, Node(folder / "here", "88.200", **admins) as here:
        fill(there)
        for prefix in (HOSTED, DELEGATED, OWN):
            out = folder / f"{prefix}.transfer"
            told = cli(there, "export", prefix, "--out", str(out))
            assert stat.S_IMODE(out.stat().st_mode) == 0o600
            assert told["bytes"] == out.stat().st_size
            signed_octets = b"".join(out.read_bytes().splitlines(keepends=True)[:-1])
            assert told["sha256"] == hashlib.sha256(signed_octets).hexdigest()
            told = cli(here, "import", str(out))
            assert (told["state"], told["ended"], told["trusted"]) == ("homed", True, False)
        yield World(there, here, folder)


def command(node: Node, name: str, *arguments: str) -> tuple[str, ...]:
    return ("prefix", name, *arguments, "--config", str(node.config), "--json", "--actor", "张经办")


def cli(node: Node, name: str, *arguments: str) -> Any:
    """Run a command of `saltern prefix`; return its JSON."""
    return json.loads(saltern(*command(node, name, *arguments)).stdout)


def refused(node: Node, name: str, *arguments: str) -> Any:
    """Run one that is refused; return its JSON."""
    done = saltern(*command(node, name, *arguments), check=False)
    assert done.returncode == 1, done.stderr.decode()
    return json.loads(done.stdout)


# --- every answer is the same --------------------------------------------------------


def special_names() -> list[str]:
    """Return what is no record, or no usual one."""
    names = []
    for prefix in RECORDS:
        names += names_of(prefix)[-5:]
        names += [f"{prefix}/IMPORTED", f"{prefix}/none", f"{prefix}/k00001", f"{prefix}/K00001@ext", f"{prefix}/N@ext"]
        names += [f"0.NA/{prefix}", f"0.NA/{prefix}.5", f"0.NA/{prefix}.6", f"{prefix}.5/x", prefix, prefix.upper()]
    return [*names, f"{DELEGATED}/ANY", f"{DELEGATED}/", f"0.NA/{DELEGATED}", f"0.NA/{DELEGATED}.1"]


def all_names() -> list[str]:
    return [name for prefix in RECORDS for name in names_of(prefix)] + special_names()


def some_names() -> list[str]:
    """Return a sample of the records, and all that is special."""
    return [*random.Random(1).sample(names_of(HOSTED), 60), *special_names()]


class Asking:
    """One HTTP connection to a node, kept open."""

    def __init__(self, node: Node) -> None:
        self._line = node.connection()

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, str | None, str | None, bytes]:
        self._line.request("GET", path, headers=headers or {})
        reply = self._line.getresponse()
        body = reply.read()
        return reply.status, reply.headers["Location"], reply.headers["Content-Type"], body


def same(world: World, paths: list[str], headers: tuple[dict[str, str], dict[str, str]] = ({}, {})) -> set[int]:
    """Ask both nodes the same; return the statuses that came."""
    there, here = Asking(world.there), Asking(world.here)
    statuses = set()
    for path in paths:
        one, other = there.get(path, headers[0]), here.get(path, headers[1])
        assert one == other, path
        statuses.add(one[0])
    return statuses


def test_the_json_interface_answers_the_same(world: World) -> None:
    """Every identifier as a whole."""
    assert len(names_of(HOSTED)) == RECORDS[HOSTED] + 3
    assert same(world, [f"/api/handles/{quote(name, safe='/')}" for name in all_names()]) >= {200, 300, 404}


@pytest.mark.parametrize(
    "query", ["?index=1&index=100", "?type=URL&type=HS_ADMIN", "?pretty", "?auth=true", "?callback=f"]
)
def test_filters_and_forms_answer_the_same(world: World, query: str) -> None:
    """By index, by type, for who says that he may see all and proves nothing."""
    same(world, [f"/api/handles/{quote(name, safe='/')}{query}" for name in some_names()])


def test_who_may_see_all_sees_the_same(world: World) -> None:
    """A server administrator of each node: what is not public came, too."""
    paths = [f"/api/handles/{quote(name, safe='/')}?auth=true" for name in all_names()]
    statuses = same(world, paths, (world.there.admin(), world.here.admin()))
    assert statuses >= {200, 300, 404}


def test_an_administrator_of_the_prefix_reads_what_he_read_there(world: World) -> None:
    """By the secret key in the prefix handle, which came with it; the key of this node opens nothing of it."""
    record = f"/api/handles/{names_of(OWN)[2]}?auth=true"  # its first value is an HS_ADMIN
    right, wrong = (basic(f"301:0.NA/{OWN}", node.secret) for node in (world.there, world.here))
    assert same(world, [record], (right, right)) == {200}
    assert same(world, [record], (wrong, wrong)) == {401}


def test_a_browser_sees_the_same(world: World) -> None:
    """Redirects, pages, and what is not there."""
    paths = [f"/{quote(name, safe='/')}{query}" for name in all_names() for query in ("", "?noredirect")]
    assert same(world, paths) >= {200, 302, 404}


@pytest.mark.parametrize("way", ["udp", "tcp", "http"])
def test_the_handle_protocol_answers_the_same_octets(world: World, way: str) -> None:
    """But for the serial of the site, and when the answer ends."""
    lines = [transport_of(node, way) for node in (world.there, world.here)]
    whole = transport_of(world.there, "tcp")
    codes = set()
    for name in all_names():
        asked = question(name).encode()
        if way == "udp" and len(whole.exchange(asked)[0]) > limits.UDP_ANSWER_BYTES - 100:
            continue  # cut, and asked for by TCP
        one, other = ([without_clock(raw) for raw in line.exchange(asked, handle=name)] for line in lines)
        assert one == other, name
        codes.add(one[0].code)
    assert len(codes) > 2


def without_clock(raw: bytes) -> Message:
    return dataclasses.replace(Message.decode(raw), serial=0, expiration=0)


def codes_of(node: Node, lot: str, count: int) -> list[str]:
    """Return the codes of a lot as the node makes them with its own keys."""
    told = saltern("lot", "codes", lot, "--from", "0", "--count", str(count), "--config", str(node.config)).stdout
    return [json.loads(line)["identifier"] for line in told.splitlines()]


def test_every_printed_code_answers_the_same(world: World) -> None:
    """The lots came with their own keys: both nodes make the same codes, and have other master keys."""
    there, here = (
        [*codes_of(node, LOT, 33), *codes_of(node, LARGE, 40), f"{LOT}2345678923", LOT, LARGE]
        for node in (world.there, world.here)
    )
    assert there == here
    files = [(node.folder / "keys" / "lots.keys").read_text().splitlines()[-1] for node in (world.there, world.here)]
    assert files[0] != files[1]
    assert same(world, [f"/api/handles/{name}" for name in there]) == {200, 404}
    assert same(world, [f"/{name}" for name in there]) >= {404, 410}
    for way in ("udp", "tcp"):
        lines = [transport_of(node, way) for node in (world.there, world.here)]
        for name in there[:12]:
            one, other = (without_clock(line.exchange(question(name).encode(), handle=name)[0]) for line in lines)
            assert one == other, name
    shown = [
        json.loads(saltern("lot", "show", LOT, "--json", "--config", str(node.config)).stdout)
        for node in (world.there, world.here)
    ]
    assert shown[0]["states"] == shown[1]["states"]
    assert (shown[0]["allocated"], shown[1]["allocated"]) == (10, 10)


def test_the_file_counts_the_lots(world: World) -> None:
    """Whoever imports it is told so before."""
    done = saltern(
        *command(world.here, "import", str(world.folder / f"{HOSTED}.transfer"), "--dry-run")[:-3],
        "--actor", "张经办",
    )  # fmt: skip
    assert "批次 lots 2，码段 blocks 1，单元状态 states of units 4，单元事件 events of units 3" in done.stdout.decode()


def test_the_node_that_exported_goes_on(world: World) -> None:
    """Until its operator deletes the prefix; both stores are right."""
    assert world.there.get(names_of(HOSTED)[0]).status == 200
    for node in (world.there, world.here):
        assert "every row is right" in node.fsck()


def test_history_came_and_is_shown(world: World) -> None:
    """By what key, what happened, and who did it."""
    listed = cli(world.here, "history", HOSTED, "--after", "0", "--count", "1000")
    assert len(listed) == 1_000
    assert {each["origin"] for each in listed} == {key_of(world.there)}
    rest = cli(world.here, "history", HOSTED, "--after", str(listed[-1]["line"]), "--count", "1000")
    assert [each["action"] for each in rest if "action" in each] == [
        "prefix.apply", "prefix.review", "lot.create", "lot.create", "lot.take", "lot.events", "prefix.export",
    ]  # fmt: skip
    assert rest[-1]["who"]["name"] == "张经办"
    text = saltern("prefix", "history", HOSTED, "--count", "2", "--config", str(world.here.config)).stdout.decode()
    assert text.count("\n") == 2
    for each, line in zip(rest[-2:], text.splitlines(), strict=True):
        assert (each["identifier"] if "kind" in each else f"{each['action']} {each['object']}") in line
    first = saltern(
        "prefix", "history", HOSTED, "--after", "0", "--count", "2", "--config", str(world.here.config)
    ).stdout.decode()
    for each, line in zip(listed, first.splitlines(), strict=False):
        assert each["identifier"] in line
    events = [step["event"] for step in cli(world.here, "show", HOSTED)["steps"]]
    assert events == ["apply", "verify", "approve", "refer", "allocate", "home", "import", "imported"]


def test_the_party_came_without_its_identity(world: World) -> None:
    """It is shown, and nothing that is of identity is in any file."""
    party = cli(world.here, "show", HOSTED)["party"]
    told = json.loads(saltern("party", "show", party, "--json", "--config", str(world.here.config)).stdout)
    assert told["name"] == ROWS[0]["name"]
    assert told["verification"]["steps"][-1]["method"] == "transfer"
    assert "phone" not in told
    assert told["awaits_identity"] is True
    text = saltern("party", "show", party, "--config", str(world.here.config)).stdout.decode()
    assert f"saltern party amend {party}" in text
    (line,) = [
        each
        for each in saltern("party", "list", "--config", str(world.here.config)).stdout.decode().splitlines()
        if each.startswith(party)
    ]
    assert "身份信息待补齐 identity awaited" in line
    assert "identity awaited" not in saltern("party", "list", "--config", str(world.there.config)).stdout.decode()
    assert cli(world.here, "show", DELEGATED)["party"] == party
    content = (world.folder / f"{HOSTED}.transfer").read_text("utf-8")
    for field in ("legal_rep", "legal_rep_id", "phone", "contact", "email"):
        assert ROWS[0][field] not in content


def key_of(node: Node) -> str:
    return load_signer(load(node.config)).sign("x", b"").key_id


# --- commands that are refused ------------------------------------------------------------


def test_a_second_import_does_nothing(world: World) -> None:
    """And says so."""
    out = world.folder / f"{HOSTED}.transfer"
    assert cli(world.here, "import", str(out))["already"] is True
    done = saltern("prefix", "import", str(out), "--config", str(world.here.config))
    assert "Imported before" in done.stdout.decode()
    assert "记录与历史共" in done.stdout.decode()
    assert "lines of lots, records and history" in done.stdout.decode()
    assert key_of(world.there) in done.stderr.decode()


def test_nothing_is_ever_overwritten(world: World, tmp_path: Path) -> None:
    """A file, a folder, a link to nothing; what is refused leaves no file behind."""
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_bytes(b"something else")
    link.symlink_to(tmp_path / "nothing")
    for out in (file, link, tmp_path):
        assert refused(world.there, "export", HOSTED, "--out", str(out))["outcome"] == "conflict"
    told = refused(world.there, "export", HOSTED, "--out", str(tmp_path / "no" / "file"))
    assert (told["outcome"], "没有目录" in told["reason"]) == ("not-found", True)
    for prefix in ("88.118.77", f"{HOSTED}.5", "99.1"):
        assert refused(world.there, "export", prefix, "--out", str(tmp_path / "x"))["rule"] == "prefix-not-found"
    assert file.read_bytes() == b"something else"
    assert sorted(tmp_path.iterdir()) == [file, link]


def test_a_full_disk_leaves_no_file(world: World, tmp_path: Path) -> None:
    """Of a file that has no room nothing is there, and the reason is told."""
    out = tmp_path / "x"
    done = subprocess.run(
        [*SALTERN, *command(world.there, "export", HOSTED, "--out", str(out))], capture_output=True, timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )  # fmt: skip
    assert done.returncode == 1
    assert json.loads(done.stdout)["outcome"] == "store-full"
    assert list(tmp_path.iterdir()) == []


def test_an_altered_file_is_refused_before_anything_is_written(world: World, tmp_path: Path) -> None:
    """With the line where that can be said, and the reason."""
    content = bytearray((world.folder / f"{OWN}.transfer").read_bytes())
    content[len(content) // 2] ^= 1
    file = tmp_path / "altered"
    for wrong in (bytes(content), bytes(content[:-1]), bytes(content[:300]), b"", b"\xff\n", b"x" * 3_000_000):
        file.write_bytes(wrong)
        told = refused(world.here, "import", str(file))
        assert told["outcome"] == "malformed"
        assert told["reason"]


def test_in_production_the_key_has_to_be_listed(world: World, tmp_path: Path) -> None:
    """An unlisted one is refused with its id; a listed one is taken without a word."""
    node = Node(tmp_path / "node", "88.200")
    out = str(world.folder / f"{OWN}.transfer")
    write_duties(node.config)
    told = refused(node, "import", out)
    assert told["rule"] == "transfer-key"
    assert key_of(world.there) in told["reason"]
    listed = ("--set", f'prefix.import_keys=["{key_of(world.there)}"]')
    done = saltern(*command(node, "import", out, *listed))
    assert json.loads(done.stdout)["state"] == "homed"
    assert not done.stderr
    done = saltern("config", "check", "--config", str(node.config), "--set", 'prefix.import_keys=["X"]', check=False)
    assert "prefix.import_keys" in done.stderr.decode()


def test_a_node_that_holds_the_prefix_by_itself_keeps_its_administrators(world: World, tmp_path: Path) -> None:
    """Made by `saltern init` for the very same prefix, and empty: all records answer the same."""
    with Node(tmp_path / "node", OWN) as node:
        before = node.get(f"0.NA/{OWN}", "?type=HS_PUBKEY").json
        told = saltern(*command(node, "import", str(world.folder / f"{OWN}.transfer")))
        assert f"0.NA/{OWN}" in told.stderr.decode()
        assert node.get(f"0.NA/{OWN}", "?type=HS_PUBKEY").json == before
        names = [*names_of(OWN), f"{OWN}/K00001@ext", f"{OWN}/none", f"0.NA/{OWN}.5"]
        assert same(world._replace(here=node), [f"/api/handles/{quote(name, safe='/')}" for name in names])
        assert node.put(f"{OWN}/NEW", [{"index": 1, "type": "URL", "data": "x"}]).status == 201
        assert "every row is right" in node.fsck()


def test_a_dry_run_writes_nothing(world: World, tmp_path: Path) -> None:
    """It says what would come."""
    node = Node(tmp_path / "node", "88.200")
    told = cli(node, "import", str(world.folder / f"{HOSTED}.transfer"), "--dry-run")
    assert (told["done"], told["ended"]) == (0, False)
    assert [each["prefix"] for each in cli(node, "list")] == ["88.200"]
    pipe = subprocess.run(
        [*SALTERN, *command(node, "import", "-")], input=b"{}", capture_output=True, timeout=60
    )  # fmt: skip
    assert pipe.returncode == 2


# --- kills ----------------------------------------------------------------------------------


def progress(node: Node) -> tuple[int, int]:
    """Return how many lines of how many an import has written."""
    store = wiring.open_store(load(node.config), read_only=True)
    try:
        with store.snapshot() as snapshot:
            row = snapshot.get(Table.TRANSFERS, HOSTED.encode())
        return (0, 0) if row is None else (unpack_transfer(row).done, unpack_transfer(row).total)
    finally:
        store.close()


def long_file(world: World, path: Path) -> list[str]:
    """Write the file of HOSTED with so many records more that it takes many batches; return their handles."""
    more = [f"{HOSTED}/Z{number:05}" for number in range(12_000)]
    values = encode_values((HandleValue(1, "URL", b"https://more.example"),))
    lines = (world.folder / f"{HOSTED}.transfer").read_bytes().splitlines(keepends=True)
    records = [line for line in lines if kind_of(line) == "record"] + [
        encode_line(RecordLine(name, values)) for name in more
    ]
    records.sort(key=lambda line: record_key(str(json.loads(line)["handle"]).encode()))
    at = next(place for place, line in enumerate(lines) if kind_of(line) == "record")
    rest = [line for line in lines[at:] if kind_of(line) != "record"]
    path.write_bytes(b"".join(signed([*lines[:at], *records, *rest])))
    return more


@pytest.mark.parametrize("victim", ["the command", "the node"])
def test_a_kill_between_two_batches_is_repaired_by_the_same_command(world: World, tmp_path: Path, victim: str) -> None:
    """Nothing of the prefix is answered meanwhile; then all of it is."""
    out = str(tmp_path / "long")
    more = long_file(world, tmp_path / "long")
    with Node(tmp_path / "node", "88.200") as node:
        running = subprocess.Popen(
            [*SALTERN, *command(node, "import", out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )  # fmt: skip
        ends = time.monotonic() + WAIT_S
        while progress(node)[0] == 0 and running.poll() is None and time.monotonic() < ends:
            pass
        if victim == "the node":
            node.stop(signal.SIGKILL)
        else:
            running.kill()
        running.communicate(timeout=WAIT_S)
        done, total = progress(node)
        assert 0 < done < total
        if victim == "the node":
            node.start()
        for path in (f"/api/handles/{names_of(HOSTED)[0]}", f"/api/handles/0.NA/{HOSTED}", f"/{names_of(HOSTED)[0]}"):
            assert node.ask("GET", path).status in (404, 451)
        assert cli(node, "show", HOSTED)["state"] == "importing"
        assert refused(node, "resume", HOSTED, "--reason", "x")["rule"] == "transition"
        assert cli(node, "import", out)["ended"] is True
        names = [f"/api/handles/{quote(name, safe='/')}" for name in names_of(HOSTED)]
        assert same(world._replace(here=node), names) >= {200}
        asking = Asking(node)
        assert {asking.get(f"/api/handles/{name}")[0] for name in more[::100]} == {200}
        assert "every row is right" in node.fsck()


def test_an_import_that_was_begun_can_be_given_up(world: World, tmp_path: Path) -> None:
    """Then the prefix is not here, and may come by another file."""
    node = Node(tmp_path / "node", "88.200")
    out = world.folder / f"{HOSTED}.transfer"
    lines = out.read_bytes().splitlines(keepends=True)
    records = [line for line in lines if b'"kind":"record"' in line[:20]]
    for each in (begin(lines), ImportLines(HOSTED, 0, b"".join(records[:3]))):
        with writer(load(node.config)) as write:
            assert write(Request(each, Actor(local=True, name="张经办"))).done
    assert cli(node, "show", HOSTED)["state"] == "importing"
    assert cli(node, "abandon", HOSTED)["gone"] == 3
    assert [each["prefix"] for each in cli(node, "list")] == ["88.200"]
    assert refused(node, "abandon", HOSTED)["rule"] == "import-none"
    assert "every row is right" in node.fsck()
    assert cli(node, "import", str(out))["ended"] is True


# --- large files ------------------------------------------------------------------------------


def test_a_large_prefix_takes_no_more_memory_than_a_small_one(tmp_path: Path) -> None:
    """Export and check hold a line, not the file."""
    node = Node(tmp_path / "node", "88.200")
    config = load(node.config)
    with writer(config) as write:
        for at in range(0, 20_000, 5_000):
            lines = [
                json.dumps({"handle": f"88.200/K{number}", "values": [{"index": 1, "type": "URL", "data": "x" * 200}]})
                for number in range(at, at + 5_000)
            ]
            assert write(Request(PutBatch("\n".join(lines).encode(), lines=True), OPERATOR)).done
    out, rules = tmp_path / "file", wiring.handle_rules(config)
    store = wiring.open_store(config, read_only=True)
    tracemalloc.start()
    try:
        with store.snapshot() as snapshot, out.open("wb") as file:
            for line in export_lines(
                snapshot, check_prefix("88.200", rules), Origin("88.200", "x", 0), SIGNER, NO_MASTER_KEYS
            ):
                file.write(line)
        exporting = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        check = TransferCheck(rules)
        with out.open("rb") as read:
            for line in read_lines(read.readline):
                check.feed(line)
        assert check.end().total > 40_000
        checking = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        store.close()
    size = out.stat().st_size
    assert size > 8_000_000
    assert max(exporting, checking) < 3_000_000
