"""Deposits by command and by the keeper, and a node that is put back from them alone."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from core import limits
from core.changes import Serial
from core.clock import DAY_MS, Millis, shanghai_date, shanghai_midnight
from core.config import Config, load
from core.party.seal import unseal
from core.records import HandleValue
from core.store.deposit_rows import DepositAbove, DepositRow, deposits, keep_above, put_deposit, unpack_deposit
from core.store.engine import Batch, Engine, Table
from core.store.fsck import check_store
from core.store.log_rows import unpack_log_row
from core.store.memory_engine import MemoryEngine
from core.store.party_rows import unpack_party
from core.store.record_rows import unpack_values
from node import wiring
from node.cli.main import cli
from node.escrow import Above, deposit_folder, drop_old
from node.escrowing import Deposits
from node.key_file import PARTY_KEYS, load_keys
from node.writing import writer
from registry.commands import OPERATOR, AddParty, Command, CreateLot, Delete, Put, Request
from sync.escrow.sealing import make_escrow_key
from tests.kit.governance import ANNA, form
from tests.kit.lot_desk import lot_form
from tests.kit.node import Node
from tests.kit.topnodes import TopNode
from tests.node.test_serve import eventually

PREFIX = "88.118"


def saltern(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def done(*arguments: object) -> Any:
    ran = saltern(*arguments, "--json")
    assert ran.exit_code == 0, ran.output
    return json.loads(ran.stdout)


def refused(*arguments: object) -> str:
    ran = saltern(*arguments, "--json")
    assert ran.exit_code == 1, ran.output
    return ran.output


def write(config: Config, *commands: Command) -> None:
    with writer(config) as run:
        for command in commands:
            actor = ANNA if isinstance(command, AddParty | CreateLot) else OPERATOR
            result = run(Request(command, actor))
            assert result.done, result


def rows(config: Config, table: Table) -> dict[bytes, bytes]:
    store = wiring.open_store(config, read_only=True)
    try:
        with store.snapshot() as snapshot:
            return dict(snapshot.scan(table, b""))
    finally:
        store.close()


def url(name: str, data: str) -> Put:
    return Put(f"{PREFIX}/{name}", (HandleValue(1, "URL", data.encode()),), overwrite=True)


@pytest.fixture(name="keys", scope="module")
def _keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("keys")
    private, public = folder / "escrow.pem", folder / "escrow.pub"
    make_escrow_key(private, public)
    return private, public


def test_a_node_is_put_back_from_its_deposits_alone(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    """Of a running node: FULL, changes, DIFF; then it is gone; its copy answers, goes on, and has its own keys."""
    private, public = keys
    out, to = tmp_path / "out", tmp_path / "again"
    node = Node(tmp_path / "node", PREFIX)
    config = load(node.config)
    escrow = ("sync", "escrow", "--config", node.config, "--out", out, "--to-key", public, "--type")
    assert "full deposit" in refused(*escrow, "diff")
    with node:
        write(config, url("kept", "https://a.example"), url("gone", "x"), CreateLot(lot_form()), AddParty(form(0)))
        full = done(*escrow, "full")
        write(config, Delete(f"{PREFIX}/gone"), url("new", "https://b.example"))
        diff = done(*escrow, "diff")
        assert (diff["since"], diff["previous"]) == (full["watermark"], full["deposit"])
        assert done(*escrow, "diff")["revision"] == 1
        assert full["counts"]["withheld"] == 1  # the secret key of the administrator
    before = {table: rows(config, table) for table in (Table.RECORDS, Table.ANSWERS, Table.LOTS, Table.PARTIES)}
    assert rows(config, Table.DEPOSITS) == {}  # it is not the folder that goes up
    shutil.rmtree(node.folder)

    restore = ("restore", "--from-escrow", out, "--to", to, "--key")
    make_escrow_key(tmp_path / "other.pem", tmp_path / "other.pub")
    assert "another key" in refused(*restore, tmp_path / "other.pem")
    assert not to.exists()
    to.mkdir()
    (to / "file").touch()
    assert "not empty" in refused(*restore, private)
    (to / "file").unlink()
    told = done(*restore, private)
    assert told["serial"] >= diff["watermark"] + limits.RESTORED_SERIALS
    assert (len(told["deposits"]), told["withheld"], told["faults"]) == (3, 1, [])
    assert sorted(each.name for each in tmp_path.iterdir() if each.name.startswith(".")) == []
    assert refused(*restore, private)

    restored = load(to / "node.toml")
    assert restored.text("log.origin").startswith(f"{PREFIX}-20")
    assert rows(restored, Table.ANSWERS) == before[Table.ANSWERS]
    for key, row in rows(restored, Table.RECORDS).items():
        secrets = [value.data for value in unpack_values(row) if value.type == "HS_SECKEY"]
        assert (row == before[Table.RECORDS][key]) is not bool(secrets)
    ((name, packed),) = rows(restored, Table.PARTIES).items()
    ring = load_keys(to / "keys" / "identity.keys", PARTY_KEYS)
    for field, sealed in unpack_party(packed).sealed.items():
        assert unseal(ring, sealed, name.decode(), field)
    ((_, queued),) = rows(restored, Table.LOG_QUEUE).items()
    assert unpack_log_row(queued).entries[0].action == "restore.escrow"
    again = Node(to)
    with again:
        reply = again.get(f"{PREFIX}/new")
        assert reply.json["values"][0]["data"]["value"] == "https://b.example"
        assert again.get(f"{PREFIX}/gone").status == 404
        write(restored, url("after", "https://c.example"))
    store = wiring.open_store(restored, read_only=True)
    with store.snapshot() as snapshot:
        assert list(check_store(snapshot)) == []
        assert snapshot.serial() == told["serial"] + 1
        assert len(snapshot.feed(Serial(0), 10)) == 1
    store.close()


def test_restore_asks_for_one_source_and_its_key(tmp_path: Path) -> None:
    given = ("--from", tmp_path), ("--from-escrow", tmp_path), ("--key", tmp_path / "x")
    for options in ((), given[1], given[2], given[0] + given[1], given[0] + given[2]):
        assert saltern("restore", "--to", tmp_path / "to", *options).exit_code == 2


def test_own_deposits_are_kept_told_of_and_dropped(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    """Without a running node, below escrow.folder: rows, entries, what top nodes say, and what goes."""
    node = Node(tmp_path / "node", PREFIX)
    config = load(node.config)
    out = deposit_folder(config)
    escrow = ("sync", "escrow", "--config", node.config, "--out", out, "--to-key", keys[1], "--type")
    first, second = done(*escrow, "full")["deposit"], done(*escrow, "diff")["deposit"]
    assert sorted(rows(config, Table.DEPOSITS)) == sorted(each.encode() for each in (first, second))
    store = wiring.open_store(config)
    above = Above(config, store, "a" * 32)
    assert sorted(above.folders()) == sorted((first, second))
    kept = DepositAbove("rejected", "不", "no", "", Millis(7))
    above.keep(second, kept)  # type: ignore[arg-type]
    above.keep("20200101T000000Z-full", kept)  # type: ignore[arg-type]
    assert {deposit: tuple(sent) for deposit, sent in above.sent().items()} == {second: tuple(kept)}
    store.close()
    assert done(*escrow, "full")["dropped"] == []
    assert sorted(done(*escrow, "full")["dropped"]) == sorted((first, second))
    left = {key.decode() for key in rows(config, Table.DEPOSITS)}
    assert {each.parent.name for each in out.rglob("deposit.json")} == left
    assert len(left) == 2
    acts = [entry for row in rows(config, Table.LOG_QUEUE).values() for entry in unpack_log_row(row).entries]
    noted = [entry.object for entry in acts if entry.action == "escrow.deposit"]
    assert [each.split()[0] for each in noted][:2] == [first, second]
    assert len(noted) == 4
    shutil.rmtree(out)
    store = wiring.open_store(config)
    assert len(drop_old(store, out)) == 2
    store.close()
    broken = saltern(*escrow, "full", "--set", "node.signing_key=keys/none.pem")
    assert (broken.exit_code, list(out.rglob("*"))) == (1, [])


def test_own_deposits_go_up_and_the_top_node_accepts_them(tmp_path: Path) -> None:
    """Of a real top node, whose escrow key they are for; a DIFF is accepted behind its FULL, and doctor tells."""
    node = Node(tmp_path / "node", PREFIX)
    with TopNode(tmp_path / "top") as top:
        public = top.folder / "keys" / "escrow.pub"
        common = ("--config", node.config, "--set", f"escrow.to_key={public}")
        done("sync", "connect", "--url", top.url, "--key", top.folder / "keys" / "top.pub", *common)
        escrow = ("sync", "escrow", *common, "--out", deposit_folder(load(node.config)), "--to-key", public, "--type")
        names = [done(*escrow, kind)["deposit"] for kind in ("full", "diff")]
        config = load(node.config)

        def stages() -> list[str]:
            done("sync", "run", *common)
            found = [unpack_deposit(row).above for row in rows(config, Table.DEPOSITS).values()]
            return [told.stage for above in found for told in above.values()]

        eventually(lambda: stages() == ["accepted", "accepted"])
    told = json.loads(saltern("doctor", *common, "--json").stdout)
    (found,) = [each for each in told if each["check"] == "escrow"]
    assert (found["level"], names[1] in found["message"]) == ("ok", True)
    (off,) = [each for each in json.loads(saltern("doctor", *common[:2], "--json").stdout) if each["check"] == "escrow"]
    assert "escrow.to_key" in off["message"]


def _made(store: Engine, kind: str, watermark: int, at_ms: int) -> None:
    put_deposit(store, f"{at_ms:013}-{kind}", DepositRow(kind, watermark, 0, 0, "", Millis(at_ms), "x"))


def test_what_is_due_is_a_full_each_week_and_a_diff_each_night(tmp_path: Path) -> None:
    store, now = MemoryEngine(), [0]
    config = Config(tmp_path / "node.toml", {"escrow.to_key": "escrow.pub"})
    keeping = Deposits(config, store, lambda: Millis(now[0]))
    night = shanghai_midnight(shanghai_date(Millis(1_795_325_400_000))) + limits.ESCROW_HOUR_MS
    batch = Batch()
    batch.changes = [b"x"] * 3
    store.commit(batch)
    now[0] = night + 1
    assert keeping.due() == "full"
    _made(store, "full", 2, night + 1)
    assert keeping.due() == ""
    now[0] = night + DAY_MS - 1
    assert keeping.due() == ""
    now[0] += 1
    assert keeping.due() == "diff"
    _made(store, "diff", 3, now[0])
    assert keeping.due() == ""
    now[0] = night + limits.ESCROW_FULL_MS + 1
    assert keeping.due() == "full"
    now[0] = night + 3 * DAY_MS
    _made(store, "diff", 9, night + 2 * DAY_MS - 1)  # a store that was put back from an older copy
    assert keeping.due() == "full"
    assert Deposits(Config(tmp_path, {}), store, lambda: Millis(now[0])).due() == ""
    assert next(metric.name for metric in keeping.collect()) == "saltern_escrow_age_seconds"
    assert list(Deposits(Config(tmp_path, {}), store, lambda: Millis(now[0])).collect()) == []


def test_a_clock_that_was_ahead_makes_no_deposits_without_end(tmp_path: Path) -> None:
    """Ids go on from the future; one is made a night all the same."""
    store, now = MemoryEngine(), [1_795_325_400_000]
    config = Config(tmp_path / "node.toml", {"escrow.to_key": "escrow.pub"})
    keeping = Deposits(config, store, lambda: Millis(now[0]))
    keeping.command = lambda kind: ["true"]  # type: ignore[method-assign]
    _made(store, "full", 0, now[0] + 400 * DAY_MS)
    assert keeping.due() == "full"
    asyncio.run(keeping.make("full", asyncio.Event()))
    _made(store, "full", 0, now[0] + 400 * DAY_MS + 1_000)
    assert keeping.due() == ""
    now[0] += DAY_MS
    assert keeping.due() == "full"


def test_what_a_top_node_rejected_is_not_built_upon(tmp_path: Path) -> None:
    """Where it accepted the FULL, another FULL is due; where it takes none at all, that is for a person."""
    store, now = MemoryEngine(), 1_795_325_400_000
    config = Config(tmp_path / "node.toml", {"escrow.to_key": "escrow.pub"})
    keeping = Deposits(config, store, lambda: Millis(now))
    _made(store, "full", 0, now - 3 * DAY_MS)
    _made(store, "diff", 0, now - 2 * DAY_MS)
    full, diff = (f"{now - days * DAY_MS:013}-{kind}" for days, kind in ((3, "full"), (2, "diff")))
    for deposit, upstream, stage, wanted in (
        (full, "a", "rejected", "diff"), (diff, "a", "rejected", "diff"), (full, "b", "accepted", "diff"),
        (diff, "b", "accepted", "diff"), (diff, "b", "rejected", "full"),
    ):  # fmt: skip
        keep_above(store, deposit, upstream, DepositAbove(stage, "", "", "", Millis(0)))
        assert keeping.due() == wanted, (deposit, upstream, stage)


def test_a_deposit_without_its_row_gets_it_and_another_key_begins_anew(
    tmp_path: Path, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process was ended behind the rename: what is built on it goes up behind it. Nobody opens half a chain."""
    node = Node(tmp_path / "node", PREFIX)
    config = load(node.config)
    escrow = ("sync", "escrow", "--config", node.config, "--out", deposit_folder(config), "--to-key")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("node.escrow.put_deposit", killed)
        assert saltern(*escrow, keys[1], "--type", "full").exit_code != 0
    assert rows(config, Table.DEPOSITS) == {}
    diff = done(*escrow, keys[1], "--type", "diff")
    assert sorted(rows(config, Table.DEPOSITS)) == [diff["previous"].encode(), diff["deposit"].encode()]
    make_escrow_key(tmp_path / "other.pem", tmp_path / "other.pub")
    assert "make a FULL" in refused(*escrow, tmp_path / "other.pub", "--type", "diff")
    assert done(*escrow, tmp_path / "other.pub", "--type", "full")["deposit"].endswith("-full")


def test_a_deposit_leaves_registration_its_room(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    """Registration stops at log.disk_stop: a deposit stops before it, and nothing of it is left."""
    node = Node(tmp_path / "node", PREFIX)
    out = deposit_folder(load(node.config))
    escrow = ("sync", "escrow", "--config", node.config, "--out", out, "--to-key", keys[1], "--type", "full")
    assert "log.disk_stop" in refused(*escrow, "--set", f"log.disk_stop={1 << 60}")
    assert list(out.rglob("*.vol")) == []


def test_one_that_fails_is_told_and_the_next_one_is_a_full(tmp_path: Path) -> None:
    """The command is a real one, of a node that is not there."""
    store, now = MemoryEngine(), [1_795_325_400_000]
    config = Config(tmp_path / "node.toml", {"escrow.to_key": "escrow.pub"})
    keeping = Deposits(config, store, lambda: Millis(now[0]))
    _made(store, "full", 0, now[0] - 2 * DAY_MS)
    assert keeping.due() == "diff"
    asyncio.run(keeping.make("diff", asyncio.Event()))
    samples = {sample.name: sample.value for metric in keeping.collect() for sample in metric.samples}
    assert (samples["saltern_escrow_failed"], samples["saltern_escrow_failures_total"]) == (1, 1)
    assert keeping.due() == ""
    now[0] += limits.ESCROW_MAKE_RETRY_MS
    assert keeping.due() == "full"
    _made(store, "full", 0, now[0])  # by hand
    samples = {sample.name: sample.value for metric in keeping.collect() for sample in metric.samples}
    assert samples["saltern_escrow_failed"] == 0


def test_a_rejection_counts_until_a_later_deposit_is_accepted(tmp_path: Path) -> None:
    """Of each top node by itself; one that waits for its verdict changes nothing."""
    store, now = MemoryEngine(), 1_795_325_400_000
    keeping = Deposits(Config(tmp_path / "node.toml", {"escrow.to_key": "escrow.pub"}), store, lambda: Millis(now))

    def rejected() -> dict[str, float]:
        (found,) = [metric for metric in keeping.collect() if metric.name == "saltern_escrow_rejected"]
        return {sample.labels["upstream"]: sample.value for sample in found.samples}

    told = []
    for number, stage in enumerate(("waiting", "rejected", "waiting", "accepted")):
        above = {"a": DepositAbove(stage, "", "", "", Millis(0)), "b": DepositAbove("accepted", "", "", "", Millis(0))}
        put_deposit(store, f"{number}", DepositRow("full", 0, 0, 0, "", Millis(now), "x", above))
        told.append(rejected())
    assert told == [{"b": 0}, {"a": 1, "b": 0}, {"a": 1, "b": 0}, {"a": 0, "b": 0}]


def test_rows_of_deposits() -> None:
    store = MemoryEngine()
    row = DepositRow("diff", 9, 3, 1, "x-full", Millis(5), "88.118/x", {"a": DepositAbove("", "", "", "f", Millis(1))})
    put_deposit(store, "x-diff", row)
    with store.snapshot() as snapshot:
        assert deposits(snapshot) == {"x-diff": row}
        packed = snapshot.get(Table.DEPOSITS, b"x-diff")
    assert packed is not None
    for broken in (b"", packed[:-1], b"\x02" + packed[1:], packed + b"\0", packed.replace(b"diff", b"dif!")):
        with pytest.raises(Exception, match="a row of deposits"):
            unpack_deposit(broken)
    put_deposit(store, "x-diff", None)
    with store.snapshot() as snapshot:
        assert deposits(snapshot) == {}
