"""How an enterprise gets its prefix, told step by step on a real node, and then for every sample party."""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from core.config import load
from core.errors import SealError
from core.party.fields import identity_names
from core.party.seal import unseal
from core.records import HandleValue
from core.store.engine import Batch, Table
from core.store.party_rows import pack_party, unpack_party
from core.wire import valuetypes as types
from node import wiring
from node.key_file import PARTY_KEYS, load_keys
from registry.client import BlockingClient
from registry.commands import Actor, AddParty, ApplyPrefix, Command, Put, Request, ReviewPrefix, VerifyParty
from registry.refusals import RULES
from tests.kit.node import Node, admin_value, saltern

ROWS = list(csv.DictReader((Path(__file__).parent.parent / "vectors" / "parties.csv").open(encoding="utf-8")))
IDENTITY = sorted(identity_names(person=False) & set(ROWS[0]))
NODE_CODE, PREFIX = "88.118", "88.118.7"
HERO = next(row for row in ROWS if row["prefix"] == PREFIX)
CLERK, FIRST, SECOND = "张经办", "李审核", "王审核"
HANDLE, URL = f"{PREFIX}/SKU01", "https://p007.example.cn/sku/01"
WRONG = {"uscc": HERO["uscc"][:-1] + "8", "phone": "1990000"}
AMENDED = {"address": "烟台市芝罘区示例路294号", "contact": "测试人员206"}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("story") / "node", NODE_CODE) as running:
        yield running


class Told(NamedTuple):
    """How a command ended. ``json``: what stood on standard output."""

    status: int
    json: Any
    error: str

    @property
    def rule(self) -> str:
        """The rule that refused it; the reason is for people, in both languages."""
        assert self.status == 1
        for words in RULES[self.json["rule"]]:
            assert words.partition("{")[0] in self.json["reason"]
        assert self.json["reason"] in self.error
        return str(self.json["rule"])


def run(node: Node, *arguments: str, by: str = CLERK, form: object = None) -> Told:
    """Run one command of governance with --json."""
    given = () if form is None else ("--file", "-")
    stdin = b"" if form is None else json.dumps(form).encode()
    done = saltern(
        *arguments, *given, "--actor", by, "--json", "--config", str(node.config), check=False, stdin=stdin
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr.decode()
    return Told(done.returncode, json.loads(done.stdout), done.stderr.decode())


def do(node: Node, *arguments: str, by: str = CLERK, form: object = None) -> Any:
    """Run one that succeeds; return its JSON."""
    told = run(node, *arguments, by=by, form=form)
    assert told.status == 0, told.error
    return told.json


def changes_of(node: Node, *names: str) -> list[tuple[str, str]]:
    listed = do(node, "changes", "--count", "1000")
    serials = [each["serial"] for each in listed]
    assert serials == list(range(1, len(listed) + 1))
    return [(each["kind"], each["identifier"]) for each in listed if each["identifier"] in names]


def journal_of(node: Node, *names: str) -> list[tuple[str, str, str, str, str | None]]:
    listed = do(node, "journal", "--count", "1000")
    assert [each["number"] for each in listed] == list(range(1, len(listed) + 1))
    return [
        (each["who"]["name"], each["action"], each["object"], each["outcome"], each["rule"])
        for each in listed
        if each["object"] in names
    ]


# --- the story ---------------------------------------------------------------


class Story(NamedTuple):
    """What was made in the story. ``papers``: the file that the reviewers looked at."""

    party: str
    papers: Path


@pytest.fixture(scope="module")
def story(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """An enterprise files itself with two wrong fields, is asked for corrections, verified, and given its prefix."""
    party = file_with_faults_then_right(node)
    apply_and_correct(node, party)
    papers = tmp_path_factory.mktemp("papers") / "licence.json"
    papers.write_text(json.dumps({name: HERO[name] for name in ("name", "uscc", "region")}))
    verify(node, party, papers)
    approve(node)
    return Story(party, papers)


def file_with_faults_then_right(node: Node) -> str:
    before = do(node, "changes")
    told = run(node, "party", "add", form=HERO | WRONG)
    assert told.rule == "form"
    assert told.json["outcome"] == "invalid-value"
    assert [each["path"] for each in told.json["faults"]] == list(WRONG)
    assert all(each["rule"] and each["zh"] and each["en"] for each in told.json["faults"])
    assert not [wrong for wrong in WRONG.values() if wrong in json.dumps(told.json) + told.error]
    assert do(node, "changes") == before
    filed = do(node, "party", "add", form=HERO)
    assert filed["verification"] == "unverified"
    return str(filed["party"])


def apply_and_correct(node: Node, party: str) -> None:
    applied = do(node, "prefix", "apply", PREFIX, "--party", party)
    assert (applied["state"], applied["status"], applied["hosting_status"]) == ("submitted", 4, 2)
    assert run(node, "prefix", "review", PREFIX, "--correct", "address=?").rule == "separation-of-duties"
    wanted = {"address": "与营业执照不符", "contact": "请填写全名"}
    options = [option for field, reason in wanted.items() for option in ("--correct", f"{field}={reason}")]
    corrected = do(node, "prefix", "review", PREFIX, *options, by=FIRST)
    assert corrected["state"] == "needs-correction"
    assert {each["path"]: each["reason"] for each in corrected["corrections"]} == wanted
    assert run(node, "prefix", "review", PREFIX, "--approve", by=FIRST).rule == "transition"
    amended = do(node, "party", "amend", party, form=AMENDED)
    assert amended["changed"] == sorted(AMENDED)
    again = do(node, "prefix", "apply", PREFIX, "--party", party)
    assert (again["state"], again["corrections"]) == ("submitted", [])


def verify(node: Node, party: str, papers: Path) -> None:
    def judge(method: str, by: str, *more: str) -> Told:
        return run(node, "party", "verify", party, "--method", method, *more, by=by)

    evidence = ("--evidence", str(papers))
    assert judge("offline", CLERK, *evidence).json["verification"] == "format-ok"
    assert do(node, "prefix", "show", PREFIX)["state"] == "verifying"
    assert run(node, "prefix", "review", PREFIX, "--approve", by=FIRST).rule == "verified"
    assert judge("manual", CLERK, *evidence).rule == "separation-of-duties"
    assert judge("manual", FIRST).rule == "evidence"
    assert judge("manual", FIRST, *evidence).json["verification"] == "format-ok"
    assert judge("manual", FIRST, *evidence).rule == "two-reviewers"
    assert run(node, "prefix", "review", PREFIX, "--approve", by=FIRST).rule == "verified"
    assert judge("manual", SECOND, *evidence).json["verification"] == "verified"


def approve(node: Node) -> None:
    put = ("record", "put", HANDLE, "--url", URL, "--config", str(node.config))
    assert saltern(*put, check=False).returncode == 1
    assert node.get(HANDLE).status == 400
    approved = do(node, "prefix", "review", PREFIX, "--approve", by=FIRST)
    assert (approved["state"], approved["status"], approved["hosting_status"]) == ("homed", 1, 4)
    assert saltern(*put).returncode == 0


def test_the_prefix_resolves_once_it_is_allocated(node: Node, story: Story) -> None:
    """As JSON and for a browser; its prefix handle names its administrators, and no person."""
    answer = node.get(HANDLE)
    assert answer.status == 200
    assert answer.json["values"][0]["data"]["value"] == URL
    assert node.ask("GET", f"/{HANDLE}").headers["Location"] == URL
    kinds = [value["type"] for value in node.get(f"0.NA/{PREFIX}").json["values"]]
    assert kinds == ["HS_ADMIN", "HS_VLIST"]


def test_each_step_is_a_change_in_its_order(node: Node, story: Story) -> None:
    """Nothing that was refused is one."""
    assert changes_of(node, story.party, PREFIX, f"0.NA/{PREFIX}", HANDLE) == [
        ("party-added", story.party),
        ("prefix-applied", PREFIX),
        ("prefix-correction", PREFIX),
        ("party-changed", story.party),
        ("prefix-applied", PREFIX),
        ("party-verified", story.party),  # offline
        ("prefix-verifying", PREFIX),
        ("party-verified", story.party),  # the first reviewer
        ("prefix-verifying", PREFIX),
        ("party-verified", story.party),  # the second one
        ("prefix-verifying", PREFIX),
        ("prefix-approved", PREFIX),
        ("prefix-referred", PREFIX),
        ("prefix-allocated", PREFIX),
        ("prefix-homed", PREFIX),
        ("record-created", f"0.NA/{PREFIX}"),
        ("record-created", HANDLE),
    ]


def test_each_act_and_each_refusal_is_in_the_journal(node: Node, story: Story) -> None:
    """Who, what, how it ended, and the rule that refused it."""
    party = story.party
    assert journal_of(node, "", party, PREFIX) == [
        (CLERK, "party.add", "", "invalid-value", "form"),
        (CLERK, "party.add", party, "created", None),
        (CLERK, "prefix.apply", PREFIX, "created", None),
        (CLERK, "prefix.review", PREFIX, "forbidden", "separation-of-duties"),
        (FIRST, "prefix.review", PREFIX, "ok", None),
        (FIRST, "prefix.review", PREFIX, "conflict", "transition"),
        (CLERK, "party.amend", party, "ok", None),
        (CLERK, "prefix.apply", PREFIX, "ok", None),
        (CLERK, "party.verify", party, "ok", None),
        (FIRST, "prefix.review", PREFIX, "forbidden", "verified"),
        (CLERK, "party.verify", party, "forbidden", "separation-of-duties"),
        (FIRST, "party.verify", party, "invalid-value", "evidence"),
        (FIRST, "party.verify", party, "ok", None),
        (FIRST, "party.verify", party, "forbidden", "two-reviewers"),
        (FIRST, "prefix.review", PREFIX, "forbidden", "verified"),
        (SECOND, "party.verify", party, "ok", None),
        (FIRST, "prefix.review", PREFIX, "ok", None),
    ]


def test_the_party_and_the_prefix_tell_how_they_came_about(node: Node, story: Story) -> None:
    """Each step with who and when; of the papers their SHA-256."""
    steps = do(node, "party", "show", story.party)["verification"]["steps"]
    assert [(step["method"], step["result"]) for step in steps] == [
        ("offline", "format-ok"),
        ("manual", "format-ok"),
        ("manual", "verified"),
    ]
    assert [step["who"].partition(" ")[0] for step in steps] == [CLERK, FIRST, SECOND]
    assert {step["evidence_sha256"] for step in steps} == {hashlib.sha256(story.papers.read_bytes()).hexdigest()}
    events = [step["event"] for step in do(node, "prefix", "show", PREFIX)["steps"]]
    assert events == [
        "apply", "correct", "apply", "verify", "verify", "verify", "approve", "refer", "allocate", "home",
    ]  # fmt: skip


def test_an_enterprise_registers_by_its_token(node: Node, story: Story) -> None:
    """Over HTTP, below its own prefix and nowhere else; a token that was revoked proves nothing."""
    issued = do(node, "token", "issue", "--role", "enterprise", "--holder", "企业员工", "--party", story.party)
    bearer = {"Authorization": f"Bearer {issued['secret']}"}
    values = [{"index": 1, "type": "URL", "data": URL}, admin_value(f"0.NA/{PREFIX}")]
    handle = f"{PREFIX}/BY-TOKEN"
    assert node.ask("PUT", f"/api/handles/{handle}", values, bearer).status == 201
    assert node.get(handle).json["values"][0]["data"]["value"] == URL
    assert node.ask("PUT", f"/api/handles/{NODE_CODE}/NOT-MINE", values, bearer).status == 403
    assert node.ask("GET", f"/v1/prefixes/{PREFIX}", headers=bearer).json["state"] == "homed"
    assert node.ask("GET", "/v1/journal", headers=bearer).status == 403
    refused = [each for each in do(node, "journal", "--count", "1000") if each["who"]["token"] == issued["token"]]
    assert {(each["action"], each["outcome"]) for each in refused} >= {("journal.list", "forbidden")}
    do(node, "token", "revoke", issued["token"])
    assert node.ask("PUT", f"/api/handles/{handle}-2", values, bearer).status == 401


def test_an_auditor_reads_by_a_token_and_writes_nothing(node: Node, story: Story) -> None:
    """The changes and the journal are what the command line shows."""
    issued = do(node, "token", "issue", "--role", "auditor", "--holder", "王审计", "--days", "30")
    bearer = {"Authorization": f"Bearer {issued['secret']}"}
    page = node.ask("GET", "/v1/changes?count=10", headers=bearer).json
    assert page["changes"] == do(node, "changes", "--after", "0", "--count", "10")
    page = node.ask("GET", "/v1/journal?count=10", headers=bearer).json
    assert page["entries"] == do(node, "journal", "--after", "0", "--count", "10")
    assert node.ask("POST", f"/v1/prefixes/{PREFIX}/suspension", {"reason": "x"}, bearer).status == 403


# --- all of them -------------------------------------------------------------


class Desks:
    """People at the registrar's own socket."""

    def __init__(self, node: Node) -> None:
        self.client = BlockingClient(wiring.run_folder(load(node.config)))

    def do(self, command: Command, by: str) -> Any:
        result = self.client.call(Request(command, Actor(local=True, name=by)))
        assert result.done, f"{command}: {result}"
        return json.loads(result.body) if result.body else {}


@pytest.fixture(scope="module")
def parties(node: Node, story: Story) -> dict[str, str]:
    """Every sample party has its prefix; return the party of each prefix."""
    held = {PREFIX: story.party}
    desks = Desks(node)
    for number, row in enumerate(ROWS):
        if row["prefix"] not in held:
            held[row["prefix"]] = govern(desks, row, site_at(node, address_of(number)))
    desks.client.close()
    return held


def govern(desks: Desks, row: dict[str, str], site: bytes) -> str:
    party = str(desks.do(AddParty(json.dumps(row).encode()), CLERK)["party"])
    delegated = row["hosting"] == "delegated"
    desks.do(ApplyPrefix(row["prefix"], party, row["hosting"], site if delegated else b""), CLERK)
    for reviewer in (FIRST, SECOND):
        desks.do(VerifyParty(party, "manual", bytes(32)), reviewer)
    assert desks.do(ReviewPrefix(row["prefix"], approve=True), SECOND)["state"] == "homed"
    return party


def address_of(number: int) -> str:
    return f"10.1.0.{number + 1}"


def site_at(node: Node, address: str) -> bytes:
    """What an enterprise's node would say of itself: what ours says, at another address and port."""
    site = node.ask("GET", "/api/site").json["site"]
    for server in site["servers"]:
        server["address"] = address
        for door in server["interfaces"]:
            door["port"] = 2641
    return json.dumps(site).encode()


def test_every_sample_party_gets_its_prefix(node: Node, parties: dict[str, str]) -> None:
    """Hosted ones register and resolve here, delegated ones are referred to."""
    listed = {each["prefix"]: each for each in do(node, "prefix", "list")}
    assert {prefix: each["party"] for prefix, each in listed.items() if each["party"]} == parties
    assert len(parties) == len(ROWS) == 31
    desks = Desks(node)
    for number, row in enumerate(ROWS):
        prefix = row["prefix"]
        assert (listed[prefix]["state"], listed[prefix]["hosting"]) == ("homed", row["hosting"])
        handle = f"{prefix}/FIRST"
        if row["hosting"] == "hosted":
            desks.do(Put(handle, (HandleValue(1, types.URL, row["website"].encode()),)), CLERK)
            assert node.get(handle).json["values"][0]["data"]["value"] == row["website"]
        else:
            answer = node.get(handle)
            assert (answer.status, answer.json["responseCode"]) == (300, 302)
            assert [server_of(value) for value in answer.json["values"]] == [address_of(number)]
    desks.client.close()


def server_of(value: dict[str, Any]) -> str:
    assert value["type"] == "HS_SITE"
    return str(value["data"]["value"]["servers"][0]["address"])


@pytest.mark.parametrize(
    ("prefix", "rule"),
    [
        ("99.1.7", "prefix-below-node"),
        (NODE_CODE, "prefix-below-node"),
        (f"{PREFIX}.1", "prefix-above"),
        (PREFIX, "prefix-taken"),
    ],
)
def test_only_what_this_node_may_give_is_applied_for(
    node: Node, parties: dict[str, str], prefix: str, rule: str
) -> None:
    """Below its own code, and neither another party's nor below another party's."""
    told = run(node, "prefix", "apply", prefix, "--party", parties["88.118.2"])
    assert told.rule == "form"
    assert rule in [each["rule"] for each in told.json["faults"]]


def test_no_identity_lies_in_the_clear(node: Node, parties: dict[str, str]) -> None:
    """Neither in the store, nor in the journal, the logs, or anything else that the node keeps."""
    secrets = [row[field].encode() for row in ROWS for field in IDENTITY] + [AMENDED["contact"].encode()]
    files = [path for path in node.folder.rglob("*") if path.is_file() and path.name != "registrar.sock"]
    contents = [path.read_bytes() for path in files]
    assert any(HERO["name"].encode() in content for content in contents)
    assert not [secret for secret in secrets for content in contents if secret in content]


def test_a_clean_store_after_all_of_it(node: Node, parties: dict[str, str]) -> None:
    """As `saltern doctor --deep` sees it."""
    node.fsck()


def test_a_kill_takes_nothing(node: Node, parties: dict[str, str]) -> None:
    """SIGKILL of the supervisor, and so of all: everything is there when it starts again."""
    queries = (
        ("party", "list"),
        ("party", "show", parties[PREFIX], "--identity"),
        ("prefix", "list"),
        ("prefix", "show", PREFIX),
        ("token", "list"),
        ("changes", "--count", "1000"),
    )
    before = [do(node, *query) for query in queries]
    journal = do(node, "journal", "--count", "1000")
    assert (journal[-1]["action"], journal[-1]["object"]) == ("party.identity", parties[PREFIX])
    answer = node.get(HANDLE).body
    node.stop(signal.SIGKILL)
    node.start()
    assert do(node, "journal", "--count", "1000") == journal
    assert [do(node, *query) for query in queries] == before
    assert node.get(HANDLE).body == answer
    node.fsck()


# --- what was sealed stays what it was ---------------------------------------


@pytest.fixture
def stopped(node: Node, parties: dict[str, str]) -> Iterator[Node]:
    """The node while it does not run."""
    node.stop()
    yield node
    node.start()


def test_an_altered_identity_field_is_told(stopped: Node, parties: dict[str, str], seed: int) -> None:
    """Whichever octet of whichever field: the field is named, nothing is shown. SALTERN_SEED repeats it."""
    chance = random.Random(seed)
    config, key = load(stopped.config), parties[PREFIX].encode()
    store = wiring.open_store(config)
    with store.snapshot() as snapshot:
        row = snapshot.get(Table.PARTIES, key)
    assert row is not None
    party, ring = unpack_party(row), load_keys(wiring.key_file(config, PARTY_KEYS), PARTY_KEYS)
    assert sorted(party.sealed) == IDENTITY
    for field, sealed in party.sealed.items():
        altered = [flipped(sealed, at, 1 << chance.randrange(8)) for at in range(len(sealed))]
        for each in altered:
            with pytest.raises(SealError):
                unseal(ring, each, parties[PREFIX], field)
        write_party(store, key, pack_party(party._replace(sealed={**party.sealed, field: chance.choice(altered)})))
        show = ("party", "show", parties[PREFIX], "--identity", "--config", str(stopped.config))
        done = saltern(*show, check=False, apart=True)
        assert done.returncode == 1
        assert list(told := json.loads(done.stdout)) == ["outcome", "rule", "reason"]
        assert f"({field})" in told["reason"]
    write_party(store, key, row)
    store.close()
    assert do(stopped, "party", "show", parties[PREFIX], "--identity")["contact"] == AMENDED["contact"]


def test_a_sealed_field_of_another_party_is_told(stopped: Node, parties: dict[str, str]) -> None:
    """Moved from party to party, or from field to field, it does not open."""
    config = load(stopped.config)
    ring = load_keys(wiring.key_file(config, PARTY_KEYS), PARTY_KEYS)
    store = wiring.open_store(config, read_only=True)
    with store.snapshot() as snapshot:
        sealed = {key.decode(): unpack_party(row).sealed for key, row in snapshot.scan(Table.PARTIES, b"")}
    store.close()
    one, other = parties[PREFIX], parties["88.118.1"]
    assert unseal(ring, sealed[other]["phone"], other, "phone") == ROWS[0]["phone"]
    for (party, field), (place, name) in itertools.permutations(itertools.product((one, other), IDENTITY), 2):
        with pytest.raises(SealError):
            unseal(ring, sealed[party][field], place, name)


def flipped(octets: bytes, at: int, bits: int) -> bytes:
    return octets[:at] + bytes((octets[at] ^ bits,)) + octets[at + 1 :]


def write_party(store: Any, key: bytes, row: bytes) -> None:
    batch = Batch()
    batch.put(Table.PARTIES, key, row)
    store.commit(batch)
