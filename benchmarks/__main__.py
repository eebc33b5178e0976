"""Run the measurements, print the table, write the result file."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks import (
    crowd,
    flood,
    latency,
    links,
    log_cost,
    log_reading,
    log_verify,
    lots,
    machine,
    records,
    register,
    resolve,
    resolve_dns,
    resolve_tcp,
    resolve_udp,
    store,
    upstream,
)
from benchmarks.bench import Bench, filled, shuffled
from benchmarks.load import NO_COMPILER, compile_programs
from benchmarks.table import Row, render

_OUT = Path("bench-out")
_WITH_NODE = frozenset(("register", "http", "udp", "tcp", "load", "flood", "log"))
_NAMES = (*sorted(_WITH_NODE), "store", "lots", "verify", "logs", "upstream", "links", "dns")
_STORED_A_LEAF = 50  # a log of so many leaves less than records are stored
_BUSY = 0.5


class Plan(NamedTuple):
    """How long a run takes."""

    records: int
    stored: int
    rounds: int
    batches: int
    seconds: float
    logged: int
    owed: int


_PLANS = {
    "quick": Plan(records=10_000, stored=200_000, rounds=3, batches=10, seconds=1.0, logged=1_000_000, owed=100_000),
    "default": Plan(
        records=100_000, stored=200_000, rounds=9, batches=20, seconds=2.0, logged=20_000_000, owed=1_000_000
    ),
    "full": Plan(
        records=1_000_000, stored=1_000_000, rounds=9, batches=20, seconds=4.0, logged=20_000_000, owed=1_000_000
    ),
}


def main() -> int:
    """Measure what was asked for."""
    arguments = _arguments()
    plan = _PLANS["quick" if arguments.quick else "full" if arguments.full else "default"]
    if arguments.records:
        plan = plan._replace(records=arguments.records)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="work-", dir=arguments.folder)).resolve()
    try:
        about = machine.describe(folder)
        _say(f"{_command()}\n{_line(about)}")
        rows = _measure(folder, plan, tuple(arguments.only or _NAMES))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    table = f"{render(rows)}\n{_notes(about)}"
    _say(f"\n{table}\n{time.monotonic() - began:.0f} s")
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    result = {
        "machine": about,
        "command": _command(),
        "plan": plan._asdict(),
        "record": records.SHAPE,
        "rows": [row.as_json() for row in rows],
    }
    arguments.json.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", "utf-8")
    if arguments.page:
        _put_into(arguments.page, _page(about, table))
    return 0


def _measure(folder: Path, plan: Plan, only: tuple[str, ...]) -> list[Row]:
    cores = machine.cores()
    rows: list[Row] = []

    def done(*found: Row) -> None:
        rows.extend(found)
        for row in found:
            _say(f"{row.what}: {row.verdict}")

    if "register" in only:
        for scattered in (False, True):
            place = folder / f"register-{scattered}"
            done(register.measure_batches(place, cores, rounds=plan.rounds, batches=plan.batches, scattered=scattered))
            shutil.rmtree(place)
    if "store" in only:
        done(*store.measure(folder, plan.stored))
    if "lots" in only:
        place = folder / "lots"
        for row in lots.measure(place, cores, stored=plan.records, rounds=plan.rounds, seconds=plan.seconds):
            done(row)
        shutil.rmtree(place)
    if "links" in only:
        place = folder / "links"
        done(links.measure(place, cores, rounds=plan.rounds, seconds=plan.seconds))
        shutil.rmtree(place)
    if "dns" in only:
        place = folder / "dns"
        done(*resolve_dns.measure(place, cores, names=plan.records, rounds=plan.rounds, seconds=plan.seconds))
        shutil.rmtree(place)
    _measure_logs(folder, plan, only, cores, done)
    if _WITH_NODE & set(only):
        _measure_resolution(folder, plan, only, cores, done)
    return rows


def _measure_logs(
    folder: Path, plan: Plan, only: tuple[str, ...], cores: machine.Cores, done: Callable[..., None]
) -> None:
    """Measure logs, and what is owed to a top node, each with a store of its own."""
    if "verify" in only:
        place = folder / "verify"
        done(*log_verify.measure(place, cores, leaves=plan.stored // _STORED_A_LEAF, rounds=plan.rounds))
        shutil.rmtree(place)
    if "logs" in only:
        place = folder / "logs"
        for row in log_reading.measure(place, cores, entries=plan.logged):
            done(row)
        shutil.rmtree(place)
    if "upstream" in only:
        place = folder / "upstream"
        for row in upstream.measure(place, cores, count=plan.owed, seconds=plan.seconds):
            done(row)
        shutil.rmtree(place)


def _measure_resolution(
    folder: Path, plan: Plan, only: tuple[str, ...], cores: machine.Cores, done: Callable[..., None]
) -> None:
    """Measure what needs a node full of records."""
    with filled(folder / "node", cores, plan.records) as node:
        if "http" in only:
            done(resolve.measure_restart(node, plan.records))
        generators = compile_programs(folder, cores.client)
        if generators is None:
            done(*(Row(name, None, note=NO_COMPILER) for name in only if name in _WITH_NODE))
            return
        bench = Bench(node, folder, cores, generators, shuffled(plan.records), plan.rounds, plan.seconds)
        if "http" in only:
            done(*resolve.measure_memory(bench), resolve.measure(bench))
        if "udp" in only:
            done(*resolve_udp.measure(bench))
        if "tcp" in only:
            done(*resolve_tcp.measure(bench))
        if "load" in only:
            done(*latency.measure_half(bench), latency.measure_registering(bench))
        if "register" in only:
            done(register.measure_singles(bench))
        if "flood" in only:
            done(*flood.measure(bench), crowd.measure(bench))
        if "log" in only:
            done(*log_cost.measure(bench), log_cost.measure_sequencing(folder / "sequencing"))


def _notes(about: dict[str, object]) -> str:
    notes = [f"- record: {records.SHAPE}; see benchmarks/records.py"]
    if about["file_system"] in ("tmpfs", "ramfs"):
        notes.append("- the stores lie in memory: fsync costs nothing here, the ratio of registration means little")
    if float(str(about["load_average"])) > _BUSY:
        notes.append(f"- the machine was busy when this began (load average {about['load_average']})")
    return "\n".join(notes)


def _page(about: dict[str, object], table: str) -> str:
    return f"`{_command()}`\n\n{_line(about)}\n\n{table}"


def _line(about: dict[str, object]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in about.items())


def _command() -> str:
    return " ".join(["python -m benchmarks", *sys.argv[1:]])


def _put_into(path: Path, text: str) -> None:
    """Replace what stands between the two marks of a page."""
    before, begin, rest = path.read_text("utf-8").partition("<!-- results -->")
    _, end, after = rest.partition("<!-- end of results -->")
    if not end:
        raise SystemExit(f"{path} has no marks for the results")
    path.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", "utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="10 000 records, short rounds, under a minute")
    size.add_argument("--full", action="store_true", help="1 000 000 records, takes its time")
    parser.add_argument("--records", type=int, metavar="N", help="records of the resolution rows")
    parser.add_argument("--only", action="append", choices=_NAMES, help="measure only this; repeatable")
    parser.add_argument("--json", type=Path, default=_OUT / "result.json", metavar="FILE", help="the result file")
    parser.add_argument("--page", type=Path, metavar="FILE", help="put the table into this page, between its marks")
    parser.add_argument(
        "--folder", type=Path, default=_OUT, metavar="DIR", help="where the stores lie while it runs; a real disk"
    )
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
