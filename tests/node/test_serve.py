"""A running node: ready line, signals, restarts, the lock, metrics, health, group commit."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.dns import ask, over_tcp, over_udp, rcode
from tests.kit.node import SALTERN, Node, Reply, admin_value, saltern

PREFIX = "88.118.7"
RECORD = [{"index": 1, "type": "URL", "data": "https://a.example/1"}, admin_value(f"0.NA/{PREFIX}")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Node:
    return Node(tmp_path_factory.mktemp("serve") / "node", PREFIX, resolver__workers=2)


@pytest.fixture
def node(made: Node) -> Iterator[Node]:
    with made:
        yield made


def eventually(check: Any, tries: int = 400) -> Any:
    """Ask again and again until it is so; bounded."""
    waiting = threading.Event()
    for _ in range(tries):
        with contextlib.suppress(OSError, http.client.HTTPException, AssertionError):
            found = check()
            if found:
                return found
        waiting.wait(0.02)
    raise AssertionError("it never came true")


def test_the_ready_line_names_every_port(node: Node) -> None:
    """Every port answers when the line is there."""
    assert node.process is not None
    assert list(node.ready) == ["ready", "http", "https", "handle", "dns", "management", "pid"]
    assert node.ready["ready"] is True
    for asked in (over_udp, over_tcp):
        (answer,) = asked(node.ready["dns"], ask("oid-res.org", "SOA"))
        assert rcode(answer) == "NOERROR"
    for over in ("udp", "tcp"):
        answer = saltern("resolve", f"0.NA/{PREFIX}", "--server", f"127.0.0.1:{node.ready['handle']}", "--over", over)
        assert answer.stdout.startswith(b"0.NA/")
    assert node.ready["pid"] == node.process.pid
    assert node.ask("GET", "/healthz").body == b"ok\n"
    assert node.ask("GET", "/readyz", tls=True).status == 200
    management = http.client.HTTPConnection("127.0.0.1", node.ready["management"])
    management.request("GET", "/healthz")
    assert management.getresponse().status == 200
    management.close()


def test_without_a_zone_dns_is_off(tmp_path: Path) -> None:
    """Null in the ready line, and no port is taken."""
    with Node(tmp_path / "node", PREFIX, dns__ors_suffix="", dns__ons_suffix="") as node:
        assert node.ready["dns"] is None
        assert node.ask("GET", "/healthz").status == 200


def test_sigterm_drains_and_exits_0(made: Node) -> None:
    """And SIGINT the same; no process stays behind."""
    for number in (signal.SIGTERM, signal.SIGINT):
        made.start()
        children = made.children()
        assert made.stop(number) == 0
        for pid in children.values():
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)


def test_a_second_node_on_the_same_data_is_refused(node: Node) -> None:
    """With a message that says so; the first goes on."""
    second = saltern("serve", "--config", str(node.config), "--set", "http.port=0", check=False)
    assert second.returncode == 1
    assert "Another node is running" in second.stderr.decode()
    assert second.stdout == b""
    assert node.ask("GET", "/healthz").status == 200


def test_a_port_in_use_is_named(made: Node) -> None:
    """Error, exit 1, and nothing is left running."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = saltern("serve", "--config", str(made.config), "--set", f"http.port={port}", check=False)
    assert done.returncode == 1
    assert f"http.port: 无法监听。Cannot listen on 127.0.0.1 port {port}" in done.stderr.decode()


def test_the_node_dies_with_its_supervisor(made: Node) -> None:
    """SIGKILL on it ends every process; the next node starts."""
    made.start()
    children = made.children()
    made.stop(signal.SIGKILL)
    for pid in children.values():
        eventually(lambda pid=pid: not Path(f"/proc/{pid}/cmdline").exists() or _is_zombie(pid))
    with made:
        assert made.ask("GET", "/healthz").status == 200


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize("name", ["worker-0", "worker-1", "registrar", "keeper", "sync", "monitor"])
def test_a_process_that_is_killed_is_started_again(node: Node, name: str) -> None:
    """Reads and writes go on; the restart is counted."""
    assert node.put("88.118.7/K", RECORD).status in (200, 201)
    os.kill(node.children()[name], signal.SIGKILL)
    eventually(lambda: _metric(node, "saltern_process_restarts_total") >= 1)
    eventually(lambda: node.get("88.118.7/K").status == 200)
    eventually(lambda: node.put("88.118.7/K2", RECORD).status in (200, 201))


def test_reads_go_on_while_the_registrar_is_away(node: Node) -> None:
    """A write waits for it; a read does not."""
    node.put("88.118.7/R", RECORD)
    registrar = node.children()["registrar"]
    os.kill(registrar, signal.SIGSTOP)
    try:
        replies: list[Reply] = []
        writer = threading.Thread(target=lambda: replies.append(node.put("88.118.7/W", RECORD)))
        writer.start()
        for _ in range(20):
            assert node.get("88.118.7/R").status == 200
        assert replies == []
    finally:
        os.kill(registrar, signal.SIGCONT)
    writer.join(30)
    assert replies[0].status == 201


def test_a_registrar_that_hangs_at_its_start_does_not_hold_the_node(made: Node) -> None:
    """SIGTERM ends the node although a child never says that it is ready."""
    made.start()
    assert made.process is not None
    supervisor = made.process.pid
    os.kill(made.children()["registrar"], signal.SIGKILL)
    stopped = eventually(lambda: _stop_newest(supervisor))
    try:
        assert made.stop() == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(stopped, signal.SIGKILL)


def _stop_newest(supervisor: int) -> int:
    """Stop the child that was forked last, wherever it is; return its pid."""
    pids = [int(pid) for pid in Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()]
    assert len(pids) == 5
    os.kill(max(pids), signal.SIGSTOP)
    return max(pids)


def test_writes_that_wait_together_are_one_group(node: Node) -> None:
    """Sixteen clients while the registrar is stopped: far fewer groups than requests."""
    before = _metric(node, "saltern_registrar_groups_total")
    registrar = node.children()["registrar"]
    os.kill(registrar, signal.SIGSTOP)
    statuses: list[int] = []
    writers = [
        threading.Thread(target=lambda n=n: statuses.append(node.put(f"88.118.7/G{n}", RECORD).status))
        for n in range(16)
    ]
    for writer in writers:
        writer.start()
    eventually(lambda: _established(node) >= 16)
    os.kill(registrar, signal.SIGCONT)
    for writer in writers:
        writer.join(30)
    assert sorted(statuses) == [201] * 16
    assert _metric(node, "saltern_registrar_groups_total") - before <= 8


def _established(node: Node) -> int:
    """Count connections to the HTTP port whose request was taken (nothing waits in the socket)."""
    port = f":{node.ready['http']:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(port) and row[3] == "01" and row[4].endswith(":00000000") for row in rows)


def _metric(node: Node, name: str) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", node.ready["management"], timeout=10)
    try:
        connection.request("GET", "/metrics")
        for line in connection.getresponse().read().decode().splitlines():
            if line.startswith((name + " ", name + "{")):
                return float(line.rpartition(" ")[2])
    finally:
        connection.close()
    raise AssertionError(f"no metric {name}")


def test_metrics_count_what_happens_in_every_worker(node: Node) -> None:
    """Requests by method and class, resolutions by outcome, rows of the store."""
    series = 'saltern_resolutions_total{outcome="handle-not-found"}'
    before = _metric(node, series)
    for _ in range(10):
        node.get("88.118.7/NOT-THERE")
    assert _metric(node, series) - before == 10
    assert _metric(node, 'saltern_http_requests_total{method="GET",status="4xx"}') >= 10
    assert _metric(node, 'saltern_store_rows{table="records"}') >= 1
    assert _metric(node, "saltern_change_serial") >= 1


def test_files_are_private(made: Node) -> None:
    """Keys and data can be read by their owner only; the published logs, which hold nothing secret, lie behind that."""
    private = [*(made.folder / "keys").iterdir(), *(made.folder / "data").rglob("*")]
    for path in private:
        if path.suffix != ".crt" and made.folder / "data" / "log" not in path.parents:
            mode = stat.S_IMODE(path.stat().st_mode)
            assert mode & 0o077 == 0 or path.parent.name in ("data", "run", "store"), path
    assert stat.S_IMODE((made.folder / "data").stat().st_mode) == 0o700


def test_the_registrars_socket_is_private(node: Node) -> None:
    """Mode 0600: who can open it is the operator."""
    path = node.folder / "data" / "run" / "registrar.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_node_in_a_folder_with_a_long_path(tmp_path: Path) -> None:
    """A Unix socket's path is cut at 108 octets; ours is not."""
    folder = tmp_path / ("long-" * 20) / ("folder-" * 20)
    folder.parent.mkdir(parents=True)
    with Node(folder, PREFIX) as node:
        assert node.put("88.118.7/A", RECORD).status == 201


def test_a_start_that_fails_says_why(tmp_path: Path) -> None:
    """A store that is damaged: one clear line, exit 1, no process left."""
    node = Node(tmp_path / "node", PREFIX)
    (node.folder / "data" / "store" / "data.mdb").write_bytes(b"no store" * 1_000)
    done = subprocess.run(
        [*SALTERN, "serve", "--config", str(node.config), "--set", "http.port=0", "--set", "https.port=0"],
        capture_output=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "cannot open the store" in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


def test_ipv6_and_all_addresses(tmp_path: Path) -> None:
    """`::` listens on both families."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6 on this machine")
    with Node(tmp_path / "node", PREFIX, http__address="::") as node:
        assert node.ask("GET", "/healthz").status == 200
        with contextlib.closing(http.client.HTTPConnection("::1", node.ready["http"], timeout=10)) as connection:
            connection.request("GET", "/healthz")
            assert connection.getresponse().status == 200


def test_the_slots_of_living_readers_are_left_alone(node: Node) -> None:
    """The keeper's check frees those of killed ones only: the store tells them apart by a lock on a file."""
    for _ in range(3):
        assert node.get(f"0.NA/{PREFIX}").status == 200
    assert "freed the slots" not in node.log().rpartition("ready: ")[2]


def test_the_log_holds_no_secret(node: Node) -> None:
    """Wrong and right credentials were sent: neither stands in the log."""
    node.put("88.118.7/S", RECORD)
    node.ask("PUT", "/api/handles/88.118.7/S", RECORD, {"Authorization": "Basic " + "c2VjcmV0LXRoaW5n"})
    assert node.secret not in node.log()
    assert "c2VjcmV0" not in node.log()
    assert json.loads(json.dumps(node.ready))["pid"]
