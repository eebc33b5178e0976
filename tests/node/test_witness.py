"""A node's witness: what it cosigned lies beside the log, whatever it answers; a fork is told once and by name."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.checkpoint import cosignature_time, parse_checkpoint
from audit.note import ed25519_key, open_note, parse_vkey
from core.config import Config
from core.errors import ConfigError
from core.streams import Stream
from node.telemetry import render
from node.witness import FORK, LogWitness, load_witness
from node.witness_times import LogName, Pace, Timetable
from tests.kit.log_folders import LogFolder
from tests.kit.node import Node
from tests.kit.witnesses import KEY, NOW_S, PRIVATE, Server, witness

MONTH = "2026-11"
QUICK = Pace(0.0, 0.002, 0.01)
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))


class World:
    """A log, a witness that knows it, the client of the node between them, what it noted."""

    def __init__(self, folder: Path) -> None:
        self.logs = folder / "log"
        self.log = LogFolder(self.logs, Stream.CHANGE, MONTH)
        self.held = folder / "witness"
        self.server = Server(witness(self.held, self.log.key))
        self.notes: list[tuple[str, str, str]] = []

    @contextlib.asynccontextmanager
    async def client(self, url: str = "") -> AsyncIterator[LogWitness]:
        """Run the client; it is stopped at the end, and ends."""
        client = LogWitness(
            self.logs, url or self.server.url, KEY, lambda *note: self.notes.append(note),
            pace=QUICK, now_s=lambda: NOW_S + 60,
        )  # fmt: skip
        stopping = asyncio.Event()
        task = asyncio.create_task(client.run(stopping))
        try:
            yield client
        finally:
            stopping.set()
            await asyncio.wait_for(task, 10)

    def grow(self, client: LogWitness, *leaves: bytes) -> None:
        self.log.publish(*leaves)
        client.published(Stream.CHANGE, MONTH)

    def cosigned(self, log: LogFolder | None = None) -> int:
        """Return the size that is cosigned beside the log, 0 without; a note that is not right is an error."""
        log = self.log if log is None else log
        try:
            note = open_note((log.folder / "checkpoint.cosigned").read_bytes(), [log.key, KEY])
        except FileNotFoundError:
            return 0
        assert set(note.signed_by) == {log.key, KEY}
        assert cosignature_time(note, KEY) == NOW_S
        return parse_checkpoint(note.text).size

    async def until(self, size: int) -> None:
        await until(lambda: self.cosigned() == size)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def metric(client: LogWitness, name: str) -> float:
    lines = render(client).decode().splitlines()
    return float(next(line for line in lines if line.startswith(name)).rpartition(" ")[2])


def run(scenario: Callable[[World], Awaitable[None]], folder: Path) -> World:
    world = World(folder)

    async def served() -> None:
        async with world.server.running():
            await scenario(world)

    asyncio.run(served())
    return world


def test_a_log_that_grows_is_cosigned(tmp_path: Path) -> None:
    """What was there at the start, then each size that is published, with proofs; the newest is beside the log."""

    async def scenario(world: World) -> None:
        async with world.client() as client:
            await world.until(1)
            for count in (1, 5, 250, 600):
                world.grow(client, *[b"x%d" % n for n in range(count)])
                world.log.remove_partials()
                await world.until(len(world.log.leaves))
            await until(lambda: metric(client, 'saltern_log_witnessed_size{stream="change"}') == 857)
            assert metric(client, 'saltern_log_witnessed_age_seconds{stream="change"}') == 60

    world = run(scenario, tmp_path)
    assert world.server.statuses == [200] * 5
    assert world.notes == []


def test_all_streams_and_months(tmp_path: Path) -> None:
    """One key is trusted for all of them; each has its own checkpoint and its own cosignature."""

    async def scenario(world: World) -> None:
        logs = [world.log, *(LogFolder(world.logs, stream, "2026-10") for stream in Stream)]
        async with world.client() as client:
            await until(lambda: all(world.cosigned(log) == 1 for log in logs))
            logs[1].publish(b"a", b"b")
            client.published(logs[1].stream, "2026-10")
            await until(lambda: world.cosigned(logs[1]) == 3)
            client.published(Stream.MAINTENANCE, "2026-09")  # dropped meanwhile
            world.grow(client, b"c")
            await world.until(2)

    assert run(scenario, tmp_path).notes == []


def test_a_client_that_lost_its_note_goes_on_from_what_the_witness_holds(tmp_path: Path) -> None:
    """409: the proof begins at the size that it tells."""

    async def scenario(world: World) -> None:
        world.log.publish(*[b"x"] * 6)
        async with world.client():
            await world.until(7)
        (world.log.folder / "checkpoint.cosigned").unlink()
        world.log.publish(*[b"y"] * 400)
        async with world.client():
            await world.until(407)

    world = run(scenario, tmp_path)
    assert world.server.statuses == [200, 409, 200]
    assert world.notes == []


@pytest.mark.parametrize("lost", [False, True])
def test_a_log_that_went_back(tmp_path: Path, lost: bool) -> None:
    """Restored from an old copy: the witness holds more leaves, or cosigned more. Told once, and never asked again."""

    async def scenario(world: World) -> None:
        shutil.copytree(world.log.folder, tmp_path / "copy")
        async with world.client() as client:
            world.grow(client, *[b"x"] * 6)
            await world.until(7)
        cosigned = (world.log.folder / "checkpoint.cosigned").read_bytes()
        shutil.rmtree(world.log.folder)
        shutil.copytree(tmp_path / "copy", world.log.folder)
        if not lost:
            (world.log.folder / "checkpoint.cosigned").write_bytes(cosigned)
        world.server.bodies.clear()
        async with world.client() as client:
            await until(lambda: bool(world.notes))
            for _ in range(20):
                client.published(Stream.CHANGE, MONTH)
                await asyncio.sleep(0)
            assert metric(client, 'saltern_log_witness_failures_total{kind="fork"}') == 1
        assert len(world.server.bodies) == (1 if lost else 0)

    ((act, target, reason),) = run(scenario, tmp_path).notes
    assert (act, target) == (FORK, f"change/{MONTH}")
    assert "7 leaves" in reason


def test_two_checkpoints_that_fork(tmp_path: Path) -> None:
    """Another history of the same log is found by the witness; nothing of it is cosigned, other logs go on."""

    async def scenario(world: World) -> None:
        async with world.client() as client:
            world.grow(client, *[b"x"] * 6)
            await world.until(7)
        shutil.rmtree(world.log.folder)
        world.log = LogFolder(world.logs, Stream.CHANGE, MONTH)
        world.log.publish(*[b"y"] * 10)
        async with world.client() as client:
            await until(lambda: bool(world.notes))
            other = LogFolder(world.logs, Stream.MAINTENANCE, MONTH)
            client.published(Stream.MAINTENANCE, MONTH)
            world.grow(client, b"z")
            await until(lambda: world.cosigned(other) == 1)
        assert world.cosigned() == 0

    world = run(scenario, tmp_path)
    assert [note[:2] for note in world.notes] == [(FORK, f"change/{MONTH}")]
    assert world.server.statuses == [200, 409, 422, 200]


def test_a_witness_that_is_away_for_long(tmp_path: Path) -> None:
    """It is asked again, later each time, one log a time; when it is back it has all of them."""

    async def scenario(world: World) -> None:
        other = LogFolder(world.logs, Stream.REGISTRATION, MONTH)
        async with Server(witness(tmp_path / "short", world.log.key)).running() as away:
            port = int(away.url.rpartition(":")[2])
        async with world.client(f"http://127.0.0.1:{port}") as client:
            await until(lambda: metric(client, 'saltern_log_witness_failures_total{kind="unreachable"}') > 5)
            for _ in range(50):
                world.grow(client, b"x")
            assert world.cosigned() == 0
            back = Server(witness(world.held, world.log.key))
            async with back.running(port):
                await world.until(51)
                await until(lambda: world.cosigned(other) == 1)
            assert len(back.bodies) < 10

    assert run(scenario, tmp_path).notes == []


def line(private: Ed25519PrivateKey, folder: Path) -> Callable[[bytes], web.Response]:
    """Answer as a witness of the same name with another key would."""

    def answer(body: bytes) -> web.Response:
        world_key = ed25519_key("node.example/log/change/2026-11", PUBLIC)
        told = witness(folder / "other", world_key, private=private).add_checkpoint(body, NOW_S)
        return web.Response(status=told.status, body=told.body)

    return answer


PUBLIC = Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key().public_bytes_raw()
BLOB = base64.b64encode(KEY.key_id + bytes(72)).decode()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (lambda body: web.Response(status=200, body=b""), "garbage"),
        (lambda body: web.Response(status=200, body=bytes(range(256))), "garbage"),
        (lambda body: web.Response(status=200, body=f"\u2014 {KEY.name} {BLOB}\n".encode()), "garbage"),
        (lambda body: web.Response(status=200, body=f"\u2014 {KEY.name} {BLOB}\n\u2014 x y".encode()), "garbage"),
        (lambda body: web.Response(status=200, body=b"x" * 1_000_000), "garbage"),
        (lambda body: web.Response(status=409, body=b"1\n" * 5), "garbage"),
        (lambda body: web.Response(status=409, body=b"0\n"), "garbage"),
        (lambda body: web.Response(status=409, body=b""), "garbage"),
        (lambda body: web.Response(status=422, body=b"no"), "refused"),  # from size 0 nothing can be wrong
        (lambda body: web.Response(status=403, body=b"\x1b[31mno\n" * 99), "refused"),
        (lambda body: web.Response(status=404), "refused"),
        (lambda body: web.Response(status=400), "refused"),
        (lambda body: web.Response(status=302, headers={"Location": "http://192.0.2.1/"}), "refused"),
        (lambda body: web.Response(status=204), "refused"),
        (lambda body: web.Response(status=500, body=b"x"), "unreachable"),
        (lambda body: web.Response(status=503), "unreachable"),
        (lambda body: web.Response(status=200, headers={"Content-Encoding": "gzip"}, body=b"\x1f\x8b"), "garbage"),
    ],
)  # fmt: skip
def test_answers_that_are_worth_nothing(
    tmp_path: Path, answer: Callable[[bytes], web.Response], kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is kept, it is asked again, and told once; when it answers as it should all is well."""

    async def scenario(world: World) -> None:
        world.server.answers = answer
        async with world.client() as client:
            await until(lambda: metric(client, f'saltern_log_witness_failures_total{{kind="{kind}"}}') >= 3)
            assert world.cosigned() == 0
            world.server.answers = lambda body: None
            await world.until(1)
            await until(lambda: "cosigns again" in caplog.text)

    assert run(scenario, tmp_path).notes == []
    assert [record.levelname for record in caplog.records if record.name == "saltern.witness"] == ["ERROR", "WARNING"]
    assert "\x1b" not in caplog.text


def test_a_witness_with_another_key(tmp_path: Path) -> None:
    """Of the same name: its signature is none, and what was cosigned before stays."""

    async def scenario(world: World) -> None:
        async with world.client() as client:
            await world.until(1)
            world.server.answers = line(OTHER, tmp_path)
            world.grow(client, b"x")
            await until(
                lambda: (
                    metric(client, 'saltern_log_witness_failures_total{kind="refused"}') > 0
                    or metric(client, 'saltern_log_witness_failures_total{kind="garbage"}') > 0
                )
            )
            assert world.cosigned() == 1

    assert run(scenario, tmp_path).notes == []


def test_a_note_of_another_witness_is_replaced(tmp_path: Path) -> None:
    """The witness was changed in the configuration: the new one begins anew."""

    async def scenario(world: World) -> None:
        async with world.client():
            await world.until(1)
        cosigned = world.log.folder / "checkpoint.cosigned"
        cosigned.write_bytes(cosigned.read_bytes().replace(b"witness.example/w1", b"witness.example/w2"))
        world.log.publish(b"x")
        async with world.client():
            await until(lambda: b"witness.example/w1" in cosigned.read_bytes())
            assert world.cosigned() == 2

    assert run(scenario, tmp_path).notes == []


def test_only_a_larger_checkpoint_replaces_what_is_kept(tmp_path: Path) -> None:
    """An answer that was long under way does not put an older one in its place."""

    async def scenario(world: World) -> None:
        async with world.client() as client:
            log = LogName(Stream.CHANGE, MONTH)
            await world.until(1)
            early = client._read(log)
            assert early is not None
            answer = (world.log.folder / "checkpoint.cosigned").read_bytes().removeprefix(early.note)
            world.grow(client, b"x")
            await world.until(2)
            client._keep(log, early, answer)
            assert world.cosigned() == 2

    run(scenario, tmp_path)


def test_it_ends_at_once_while_the_witness_keeps_silent(tmp_path: Path) -> None:
    """A question under way is given up."""

    async def scenario(world: World) -> None:
        asked, never = asyncio.Event(), asyncio.Event()

        async def silent(*_: object) -> web.StreamResponse:
            asked.set()
            await never.wait()
            return web.Response()

        application = web.Application()
        application.router.add_post("/add-checkpoint", silent)
        runner = web.AppRunner(application, shutdown_timeout=0.01)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with world.client(f"http://127.0.0.1:{runner.addresses[0][1]}"):
            await asyncio.wait_for(asked.wait(), 10)
        never.set()
        await runner.cleanup()

    run(scenario, tmp_path)


# --- the endpoint ------------------------------------------------------------
def test_the_endpoint_says_what_the_witness_says(tmp_path: Path) -> None:
    """Statuses and types; too long a body; other paths and methods; what is cosigned is there for monitors."""
    import aiohttp

    async def scenario(world: World) -> None:
        async with world.client():
            await world.until(1)
        digest = "0" * 64
        async with aiohttp.ClientSession() as session:
            url = world.server.url
            for method, path, body, status in (
                ("POST", "/add-checkpoint", b"nonsense", 400), ("POST", "/add-checkpoint", b"x" * 70_000, 413),
                ("GET", "/add-checkpoint", b"", 405), ("GET", f"/{digest}/checkpoint", b"", 404),
                ("GET", "/../checkpoint", b"", 404),
            ):  # fmt: skip
                async with session.request(method, url + path, data=body) as response:
                    assert response.status == status, path
            async with session.post(f"{url}/add-checkpoint", data=world.server.bodies[0]) as response:
                assert (response.status, response.content_type) == (409, "text/x.tlog.size")
                assert await response.read() == b"1\n"
            (folder,) = [each for each in world.held.iterdir() if each.is_dir()]
            async with session.get(f"{url}/{folder.name}/checkpoint") as response:
                assert (response.status, response.content_type) == (200, "text/plain")
                assert await response.read() == (world.log.folder / "checkpoint.cosigned").read_bytes()
            (folder / "checkpoint").write_bytes(b"spoilt")
            async with session.post(f"{url}/add-checkpoint", data=world.server.bodies[0]) as response:
                assert response.status == 503

    run(scenario, tmp_path)


def test_a_real_node_has_its_logs_cosigned(tmp_path: Path) -> None:
    """The keeper publishes, sends, and keeps; all with the key of the node, which the witness was told once."""
    node = Node(tmp_path / "node", "88.118", log__witness_key="witness.vkey")
    (node.folder / "witness.vkey").write_text(f"{KEY.vkey}\n")
    key = serialization.load_pem_private_key((node.folder / "keys" / "node.pem").read_bytes(), None)
    log = ed25519_key("88.118/log/change/2026-01", key.public_key().public_bytes_raw())
    logs = node.folder / "data" / "log"

    async def served() -> None:
        async with Server(witness(tmp_path / "held", log)).running() as server:
            node.settings["log.witness"] = server.url
            await asyncio.to_thread(node.start)
            try:
                async with asyncio.timeout(30):
                    while len(list(logs.glob("*/*/checkpoint.cosigned"))) < len(Stream):  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
            finally:
                await asyncio.to_thread(node.stop)

    asyncio.run(served())
    for path in logs.glob("*/*/checkpoint.cosigned"):
        vkey = parse_vkey((path.parent / "vkey").read_text().strip())
        assert set(open_note(path.read_bytes(), [vkey, KEY]).signed_by) == {vkey, KEY}


# --- when --------------------------------------------------------------------
LOGS = [LogName(stream, month) for stream in Stream for month in ("2026-10", "2026-11")]


def test_how_often_a_log_is_sent() -> None:
    """At once, then once an interval at most; the newest months first."""
    table = Timetable(Pace(5, 5, 300), lambda: 1.0)
    assert table.next_s() is None
    for log in LOGS:
        table.want(log)
    assert [log.month for log in table.due(100)] == ["2026-11"] * 4 + ["2026-10"] * 4
    log = LOGS[0]
    table.begin(log)
    assert log not in table.due(100)
    table.want(log)  # published while it is sent
    table.sent(log, 101)
    assert log not in table.due(105.9)
    assert log in table.due(106)


def test_how_often_it_is_tried_again() -> None:
    """Twice as late each time, up to a bound, and never at the same moment as others."""
    log = LOGS[0]
    for jitter, share in ((0.0, 0.5), (1.0, 1.0)):
        table = Timetable(Pace(5, 5, 300), lambda jitter=jitter: jitter)  # type: ignore[misc]
        waits = []
        now = 0.0
        for _ in range(9):
            table.begin(log)
            table.failed(log, now)
            next_s = table.next_s()
            assert next_s is not None
            waits.append(next_s - now)
            now = next_s
            assert table.due(now) == [log]
        assert waits == [each * share for each in (5, 10, 20, 40, 80, 160, 300, 300, 300)]
        table.begin(log)
        table.sent(log, now)
        table.want(log)
        table.failed(log, now)
        assert table.next_s() == now + 5 * share  # it begins anew
        table.drop(log)
        assert table.next_s() is None


# --- the settings ------------------------------------------------------------
def test_the_settings(tmp_path: Path) -> None:
    """None without an address; else an address and the key of a witness."""

    def load(url: str, key: str) -> LogWitness | None:
        values = {"log.witness": url, "log.witness_key": key}
        return load_witness(Config(tmp_path / "node.toml", values), lambda *_: None)

    (tmp_path / "w").write_text(f"{KEY.vkey}\n")
    (tmp_path / "log").write_text(ed25519_key("node.example", PRIVATE.public_key().public_bytes_raw()).vkey)
    (tmp_path / "no").write_bytes(b"\xff")
    assert load("", "") is None
    for url in ("http://127.0.0.1:8100", "https://witness.example.cn/w/"):
        assert load(url, "w") is not None
    for url, key in itertools.chain(
        (
            (url, "w")
            for url in ("witness", "ftp://x", "https://", "http://x:0", "http://a@b", "http://x?y", "http://[")
        ),
        (("http://x", key) for key in ("", "none", "log", "no", ".")),
    ):
        with pytest.raises(ConfigError, match=r"log\.witness") as caught:
            load(url, key)
        assert "。" in caught.value.message
