"""A hold on a running node: no protocol answers once it is placed, under load; lifted, all come back."""

from __future__ import annotations

import http.client
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from tests.kit.handle_client import MEDIA_TYPE, Lost
from tests.kit.handle_messages import Message
from tests.kit.handle_node import assert_unharmed, client_of, question, record, secret_key
from tests.kit.node import Node, saltern

PREFIX = "88.118.7"
HANDLE, OTHER = f"{PREFIX}/A", "88.118.9/A"
ANSWERS = 20  # of each way, in each phase
PHASE_S = 60.0


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    made = Node(tmp_path_factory.mktemp("holds") / "node", PREFIX, "88.118.9", resolver__workers=2)
    with made:
        for handle in (HANDLE, OTHER):
            assert made.put(handle, record(made, "https://here.example")).status == 201
        yield made


class Heard(NamedTuple):
    """One answer: when its question was sent and it had come, and whether it was positive."""

    sent: float
    came: float
    positive: bool


class Load:
    """One client that asks by one way, again and again."""

    def __init__(self, ask: Callable[[], bool]) -> None:
        self._ask = ask
        self._stop = threading.Event()
        self.heard: list[Heard] = []
        self.fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                sent = time.monotonic()
                try:
                    positive = self._ask()
                    self.heard.append(Heard(sent, time.monotonic(), positive))
                except Lost:
                    continue
        except BaseException as error:
            self.fault = error

    def end(self) -> None:
        self._stop.set()
        self._thread.join(30)
        assert self.fault is None, self.fault

    def since(self, moment: float) -> list[Heard]:
        return [each for each in list(self.heard) if each.sent > moment]


def by_handle(node: Node, way: str) -> Callable[[], bool]:
    client = client_of(node, way)
    return lambda: client.resolve(HANDLE).code == 1


def by_http(node: Node, path: str) -> Callable[[], bool]:
    connection = node.connection()

    def ask() -> bool:
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
        except (http.client.HTTPException, ConnectionError):
            connection.close()
            return ask()
        return response.status in (200, 302)

    return ask


def by_message(node: Node) -> Callable[[], bool]:
    media = {"Accept": MEDIA_TYPE, "Content-Type": MEDIA_TYPE}
    return lambda: Message.decode(node.ask("POST", "/", question(HANDLE).encode(), media).body).code == 1


def loads(node: Node) -> dict[str, Load]:
    """Two clients a way: over new connections, and over one that is kept."""
    asks = {way: by_handle(node, way) for way in ("udp", "tcp", "kept", "http")}
    api, page = f"/api/handles/{HANDLE}", f"/{HANDLE}"
    paths = (api, f"{api}?pretty", f"/api/handles/{HANDLE.lower()}?type=URL", page, f"{page}?noredirect")
    asks |= {path: by_http(node, path) for path in paths}
    asks["message"] = by_message(node)
    return {name: Load(ask) for name, ask in asks.items()}


def await_answers(clients: dict[str, Load], since: float) -> None:
    """Wait until each way has heard enough. Bounds: PHASE_S."""
    ends = time.monotonic() + PHASE_S
    event = threading.Event()
    while any(len(client.since(since)) < ANSWERS for client in clients.values()):
        faults = [client.fault for client in clients.values() if client.fault]
        assert not faults, faults
        slow = {name: len(client.since(since)) for name, client in clients.items()}
        assert time.monotonic() < ends, slow
        event.wait(0.02)


def hold(node: Node, *words: str) -> tuple[float, float]:
    """Run `saltern hold`; return when it began and when it had been done."""
    began = time.monotonic()
    saltern("hold", *words, "--config", str(node.config))
    return began, time.monotonic()


@pytest.mark.parametrize("target", [PREFIX, HANDLE])
def test_under_load_no_answer_is_positive_after_a_hold(node: Node, target: str) -> None:
    """Asked after `saltern hold place` ended, which is sooner than the second that the rule allows; of any worker."""
    clients = loads(node)
    try:
        start = time.monotonic()
        await_answers(clients, start)
        place, placed = hold(node, "place", target, "--order", "浙盐令1", "--reason", "抽检不合格")
        await_answers(clients, placed)
        lift, lifted = hold(node, "lift", target, "--order", "浙盐令1")
        await_answers(clients, lifted)
    finally:
        for client in clients.values():
            client.end()
    phases = {"before": (start, place), "held": (placed, lift), "after": (lifted, time.monotonic())}
    for name, client in clients.items():
        for phase, (begin, end) in phases.items():
            said = {each.positive for each in client.heard if begin < each.sent and each.came < end}
            assert said == {phase != "held"}, (name, phase)
    assert_unharmed(node)
    assert "every row is right" in node.fsck()


def test_a_hold_outlives_a_kill(node: Node) -> None:
    """Killed right after the command was told that it is done."""
    hold(node, "place", HANDLE, "--order", "1", "--reason", "x", "--public")
    node.stop(signal.SIGKILL)
    node.start()
    page = node.ask("GET", f"/{HANDLE}")
    assert (page.status, node.get(HANDLE).status, node.get(OTHER).status) == (451, 404, 200)
    assert "1：x" in page.body.decode()
    hold(node, "lift", HANDLE, "--order", "1")
    assert node.get(HANDLE).status == 200


def test_what_is_held_is_listed_and_counted(node: Node) -> None:
    hold(node, "place", HANDLE, "--order", "令 1", "--reason", "抽检不合格")
    hold(node, "place", PREFIX, "--order", "令 2", "--reason", "停产", "--public")
    listed = json.loads(saltern("hold", "list", "--config", str(node.config), "--json").stdout)
    assert [(each["kind"], each["target"], [order["order"] for order in each["orders"]]) for each in listed] == [
        ("identifier", HANDLE, ["令 1"]), ("prefix", PREFIX, ["令 2"]),
    ]  # fmt: skip
    shown = saltern("record", "get", HANDLE, "--config", str(node.config))
    assert b"https://here.example" in shown.stdout
    assert "停止解析".encode() in shown.stderr
    connection = node.connection()
    connection.port = node.ready["management"]
    connection.request("GET", "/metrics")
    metrics = connection.getresponse().read().decode()
    connection.close()
    for line in (
        'saltern_holds{kind="identifier"} 1.0',
        'saltern_holds{kind="prefix"} 1.0',
        'saltern_holds{kind="party"} 0.0',
    ):
        assert line in metrics
    for target in (HANDLE, PREFIX):
        order = "令 1" if target == HANDLE else "令 2"
        hold(node, "lift", target, "--order", order)
    assert json.loads(saltern("hold", "list", "--config", str(node.config), "--json").stdout) == []


def test_a_refusal_says_what_would_be_right(node: Node) -> None:
    done = saltern(
        "hold", "place", "88.118.70", "--order", "1", "--reason", "x", "--config", str(node.config), check=False
    )
    assert done.returncode == 1
    assert json.loads(done.stdout)["rule"] == "hold-foreign"
    usage = saltern("hold", "palce", PREFIX, check=False)
    assert (usage.returncode, b"place" in usage.stderr) == (2, True)


def test_the_handles_of_a_prefix_on_hold_are_not_listed(node: Node) -> None:
    """Neither by the Handle protocol nor by the JSON interface, whoever asks."""
    client = client_of(node, "tcp", secret_key(node))

    def listed() -> list[object]:
        reply = client.list_handles(f"0.NA/{PREFIX}")
        by_json = node.ask("GET", f"/api/handles?prefix={PREFIX}", headers=node.admin())
        return [reply.code, by_json.status]

    assert listed() == [1, 200]
    hold(node, "place", PREFIX, "--order", "1", "--reason", "x")
    assert listed() == [100, 404]
    assert json.loads(saltern("prefix", "show", PREFIX, "--config", str(node.config), "--json").stdout)["on_hold"] == [
        "1"
    ]
    hold(node, "lift", PREFIX, "--order", "1")
    assert listed() == [1, 200]
