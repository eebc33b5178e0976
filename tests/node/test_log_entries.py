"""Who wrote by which interface, as the queue of the log has it: a real node, every protocol, and the command line."""

from __future__ import annotations

import fcntl
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from audit.places import LOCK
from core.config import load
from core.store.log_rows import LogRow
from core.who import Role, Who
from node import wiring
from registry.streams import COUNTED
from tests.kit.handle_messages import Value
from tests.kit.handle_node import administrator, client_of, secret_key
from tests.kit.handle_proofs import SecretKey
from tests.kit.logins import THIS, begin, by_secret, header, session_header
from tests.kit.logs import log_rows
from tests.kit.node import Node, admin_value, basic, saltern

PREFIX = "88.1"
ADMIN = "301:0.NA/88.1"
OPERATOR = Who(Role.OPERATOR.value, ADMIN)
LOOPBACK = bytes((127, 0, 0, 1))
VALUES = [{"index": 1, "type": "URL", "data": "https://a.example"}, admin_value("0.NA/88.1")]
URL = Value(1, "URL", b"https://a.example")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Give a node whose keeper takes nothing out of the queue: the lock of the logs is held here."""
    made = Node(tmp_path_factory.mktemp("log") / "node", PREFIX, handle__server_admins=[300, 301])
    with (made.folder / "data" / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with made:
            yield made


class Log:
    """The queue of a node's log, read beside it. What is new since it was asked for last."""

    def __init__(self, node: Node) -> None:
        self._store = wiring.open_store(load(node.config), read_only=True)
        self._known = len(self.rows())

    def rows(self) -> list[LogRow]:
        with self._store.snapshot() as snapshot:
            return log_rows(snapshot)

    def new(self) -> list[LogRow]:
        rows = self.rows()
        new, self._known = rows[self._known :], len(rows)
        return [row for row in new if row.entries[0].action != COUNTED]  # told a second behind what was refused

    def one(self) -> LogRow:
        """Return the one row that is new."""
        (row,) = self.some(1)
        return row

    def some(self, count: int) -> list[LogRow]:
        """Return so many rows that are new, by what was done; what a worker notes comes a moment behind its answer."""
        rows: list[LogRow] = []
        end_s = time.monotonic() + 10
        while len(rows) < count:
            assert time.monotonic() < end_s
            rows += self.new()
        assert len(rows) == count
        return sorted(rows, key=lambda row: row.entries[0].action)

    def close(self) -> None:
        self._store.close()


@pytest.fixture
def log(node: Node) -> Iterator[Log]:
    made = Log(node)
    yield made
    made.close()


def test_the_founding_is_the_first_of_the_log(node: Node, log: Log) -> None:
    """``saltern init``: the prefix, and the record of its administrators, by somebody at this machine."""
    home, record = log.rows()[:2]
    assert [(row.protocol, row.who.role) for row in (home, record)] == [("local", "local")] * 2
    assert [(each.stream, each.action, each.object) for row in (home, record) for each in row.entries] == [
        ("registration", "prefix.home", PREFIX), ("registration", "record.create", "0.NA/88.1"),
    ]  # fmt: skip


def by_json(node: Node, handle: str) -> None:
    assert node.put(handle, VALUES).status == 201


def by_batch(node: Node, handle: str) -> None:
    items = [{"handle": handle, "values": VALUES}]
    assert node.ask("POST", "/v1/records:batch", items, node.admin()).status == 200


def by_handle(transport: str) -> Callable[[Node, str], None]:
    def create(node: Node, handle: str) -> None:
        client = client_of(node, transport, secret_key(node))
        assert client.create(handle, [URL, administrator(node)]).code == 1

    return create


def by_cli(node: Node, handle: str) -> None:
    saltern("record", "put", handle, "--file", "-", "--config", str(node.config), stdin=json.dumps(VALUES).encode())


@pytest.mark.parametrize(
    ("create", "protocol"),
    [
        (by_json, "http/json"), (by_batch, "http/v1"), (by_handle("tcp"), "tcp"), (by_handle("http"), "http/handle"),
        (by_cli, "local"),
    ],
    ids=["json", "batch", "tcp", "http", "cli"],
)  # fmt: skip
def test_a_record_by_each_interface_is_one_row(
    node: Node, log: Log, create: Callable[[Node, str], None], protocol: str
) -> None:
    """It says who was proven, by which protocol, and from which address."""
    handle = f"{PREFIX}/BY-{protocol.upper()}"
    create(node, handle)
    row = log.one()
    assert [(each.stream, each.action, each.object) for each in row.entries] == [
        ("registration", "record.create", handle)
    ]
    assert (row.protocol, row.peer[2:]) == (protocol, b"" if protocol == "local" else LOOPBACK)
    assert row.who._replace(uid=-1) == OPERATOR if protocol != "local" else row.who.role == "local"


def test_calls_and_refusals_over_http(node: Node, log: Log) -> None:
    """An act, a read that is refused, a log-in that failed, a complaint by the form: each from where it was sent."""
    assert (
        node.ask("POST", "/v1/holds", {"target": f"{PREFIX}/H", "order": "令1", "reason": "x"}, node.admin()).status
        < 300
    )
    row = log.one()
    assert (row.who, row.protocol, row.entries[0].action) == (OPERATOR, "http/v1", "hold.place")
    assert node.ask("GET", "/v1/parties", headers=basic("301:0.NA/88.1", "wrong")).status == 401
    row = log.one()
    assert (row.who, row.protocol, row.peer[2:]) == (Who(), "http/v1", LOOPBACK)
    (failed,) = row.entries
    assert (failed.stream, failed.action, failed.object) == ("maintenance", "login", ADMIN)
    assert failed.outcome == "authentication-failed"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert node.ask("POST", "/complaints", b"kind=service&text=slow", form).status == 303
    row = log.one()
    assert (row.who, row.protocol, row.entries[0].action) == (Who(), "http/page", "complaint.file")


def test_log_ins_to_a_session(node: Node, log: Log) -> None:
    """By the session interface, by a header, by beginning one with a secret; a request in it is none."""
    session = begin(node)
    assert not log.new()
    members = by_secret(session, ADMIN, node.secret.encode())
    assert node.ask("PUT", THIS, headers=header(members), tls=True).status == 200
    row = log.one()
    assert [(each.stream, each.action, each.object) for each in row.entries] == [("maintenance", "login", ADMIN)]
    assert (row.who, row.protocol, row.peer[2:]) == (OPERATOR, "http/json", LOOPBACK)
    assert node.ask("GET", "/v1/parties", headers=session_header(session), tls=True).status == 200
    assert not log.new()
    other = begin(node)
    by_header = header(by_secret(other, ADMIN, node.secret.encode()))
    for _ in range(2):
        assert node.ask("GET", "/v1/parties", headers=by_header, tls=True).status == 200
    row = log.one()
    assert (row.protocol, row.entries[0].action, row.who) == ("http/v1", "login", OPERATOR)
    assert node.ask("POST", "/api/sessions", headers=node.admin(), tls=True).status == 201
    assert log.one().entries[0].action == "login"
    wrong = by_secret(begin(node), ADMIN, b"wrong")
    assert node.ask("PUT", THIS, headers=header(wrong), tls=True).status != 200
    row = log.one()
    assert (row.who, row.protocol, row.entries[0].outcome) == (Who(), "http/json", "authentication-failed")


def test_log_ins_by_the_handle_protocol(node: Node, log: Log) -> None:
    """A session whose identity is proven is one entry, and a proof that is wrong is one."""
    client = client_of(node, "kept", secret_key(node))
    client.learn_server_key()
    assert client.open_session(encrypt=False).code == 1
    assert not log.new()
    assert client.create(f"{PREFIX}/IN-SESSION", [URL, administrator(node)]).code == 1
    login, made = log.some(2)
    assert [(each.stream, each.action, each.object) for each in login.entries] == [("maintenance", "login", ADMIN)]
    assert (login.protocol, login.who, login.peer) == ("tcp", OPERATOR, made.peer)
    assert client.delete(f"{PREFIX}/IN-SESSION").code == 1
    assert [each.action for row in log.new() for each in row.entries] == ["record.delete"]
    wrong = client_of(node, "tcp", SecretKey("0.NA/88.1", 301, b"wrong"))
    rows: list[LogRow] = []
    end_s = time.monotonic() + 10
    while not rows:  # a stranger has two a second, and tests before this one took some
        assert time.monotonic() < end_s
        assert wrong.delete(f"{PREFIX}/BY-TCP").code == 403
        rows = log.new()
    row = rows[0]
    assert (row.who, row.protocol, row.entries[0].action, row.entries[0].object) == (Who(), "tcp", "login", ADMIN)


def test_keys_that_the_command_line_makes(node: Node, log: Log) -> None:
    """New keys of units and of identity data are maintenance, by who made them; a dry run is nothing."""
    saltern("lot", "rekey", "--config", str(node.config), "--actor", "王工", apart=True)
    row = log.one()
    assert (row.protocol, row.who.name, row.entries[0].action) == ("local", "王工", "lot.rekey")
    assert (row.entries[0].object, row.entries[0].stream) == ("key 2", "maintenance")
    saltern("party", "rekey", "--config", str(node.config), apart=True)
    assert log.one().entries[0].action == "party.rekey"


def test_the_store_is_as_it_must_be(node: Node) -> None:
    """All of it was read, the queue too."""
    node.fsck()


def test_a_store_that_was_put_back_loses_no_entry(tmp_path: Path) -> None:
    """Its numbers would be given anew, and rows with numbers that the logs have are taken for published."""
    made = Node(tmp_path / "node", PREFIX)
    data = made.folder / "data"
    shutil.copytree(data / "store", tmp_path / "copy")
    with made:
        for number in range(3):
            assert made.put(f"{PREFIX}/BEFORE{number}", VALUES).status == 201
    shutil.rmtree(data / "store")
    shutil.copytree(tmp_path / "copy", data / "store")
    saltern(
        "record",
        "put",
        f"{PREFIX}/STOPPED",
        "--file",
        "-",
        "--config",
        str(made.config),
        stdin=json.dumps(VALUES).encode(),
    )
    with made:
        assert made.put(f"{PREFIX}/AFTER", VALUES).status == 201
    found = saltern("log", "query", "--stream", "registration", "--json", "--config", str(made.config)).stdout
    objects = [json.loads(line)["obj"] for line in found.splitlines()]
    assert objects[-5:] == [f"{PREFIX}/{name}" for name in ("BEFORE0", "BEFORE1", "BEFORE2", "STOPPED", "AFTER")]
