"""A shift at a packing line, simulated: what the camera says, and two ways through the day.

``in_one_go`` and ``with_cuts`` take a node (of ``line_node``, or a real one) and use the commands, so that whoever
compares what the node knows afterwards has compared all of it. The folder of the site tells which codes there are.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from click.testing import CliRunner

from core.clock import format_instant
from node.cli.line import line as line_commands
from tests.kit.node import SALTERN

LINE, RUN = "L4", "2026-11-21-A"
STEP_MS = 250


class NodeOfALot(Protocol):
    """A node with a lot that nobody has taken anything of."""

    handle: str

    @property
    def options(self) -> tuple[str, ...]:
        """How a command asks it."""


class Shift(NamedTuple):
    """How much. From half of the shift on every ``rejects``-th code is a reject, every ``samples``-th bag a sample."""

    bags: int = 2_000
    units_per_case: int = 50
    cases_per_pallet: int = 40
    rejects: int = 97
    samples: int = 501

    @property
    def units(self) -> int:
        """Return how many codes the lot needs: a case more than the line spoils."""
        return self.bags + self.bags // self.rejects + self.bags // self.samples + self.units_per_case

    @property
    def cases(self) -> int:
        return -(-self.bags // self.units_per_case)


class Told(NamedTuple):
    """What the camera says, and what is true afterwards: state and parent by index; the rest was returned."""

    lines: list[bytes]
    states: dict[int, str]
    parents: dict[int, str]


def tell(site: Path, shift: Shift, begin_ms: int) -> Told:
    """Return a shift's lines, JSON and CSV in turns."""
    codes = [json.loads(line) for path in sorted(site.glob("blocks/*/codes.jsonl")) for line in path.open("rb")]
    units, cases, pallets = ([each for each in codes if each["kind"] == kind] for kind in ("unit", "case", "pallet"))
    told = Told([], {}, {})
    packed: list[int] = []
    on_pallet: list[int] = []
    clock = iter(range(begin_ms, begin_ms + 10**12, STEP_MS))
    good, used, closed, loaded = 0, 0, 0, 0

    def say(code: dict[str, Any], event: str, state: str, grade: str = "", *, reject: bool = False) -> None:
        told.states[code["index"]] = state
        at = format_instant(next(clock))
        form: dict[str, Any] = {"code": code["identifier"], "time": at}
        form |= {"event": event} if event != "bag" else {}
        form |= {"grade": grade} if grade else {}
        form |= {"reject": True} if reject else {}
        csv = f"{code['identifier']},{at},{grade},{'reject' if reject else '' if event == 'bag' else event}"
        told.lines.append((csv if len(told.lines) % 2 else json.dumps(form)).encode() + b"\n")

    while good < shift.bags:
        unit = units[used]
        used += 1
        spoils = used > shift.bags // 2
        if spoils and used % shift.rejects == 0:
            say(unit, "bag", "scrapped", "F" if used % 2 else "C", reject=not used % 2)
            continue
        say(unit, "bag", "commissioned", "ABCD"[used % 4])
        if spoils and used % shift.samples == 0:
            say(unit, "sample", "sampled")
            continue
        good += 1
        packed.append(unit["index"])
        if len(packed) == shift.units_per_case or good == shift.bags:
            case = cases[closed]
            closed += 1
            say(case, "case", "commissioned")
            told.parents.update(dict.fromkeys(packed, case["identifier"]))
            packed.clear()
            on_pallet.append(case["index"])
            if len(on_pallet) == shift.cases_per_pallet or good == shift.bags:
                pallet = pallets[loaded]
                loaded += 1
                say(pallet, "pallet", "commissioned")
                told.parents.update(dict.fromkeys(on_pallet, pallet["identifier"]))
                on_pallet.clear()
    return told


def line(*arguments: object, code: int = 0) -> Any:
    """Run a command of `saltern line` here; return its JSON."""
    return json.loads(invoke(*arguments, code=code))


def invoke(*arguments: object, code: int = 0) -> str:
    # The group itself, not `saltern`: click keeps the help option of whoever asks first; the reference page asks, too.
    done = CliRunner().invoke(line_commands, [*map(str, arguments), "--json"])
    assert done.exit_code == code, (done.output, done.exception)
    return done.stdout


def supply(site: Path, node: NodeOfALot, shift: Shift) -> Told:
    """Have the lot at the site, and the whole of it at the line; return what the day will be."""
    taken = line("buffer", "take", "--site", site, "--lot", node.handle, "--count", shift.units, *node.options)
    assert not taken["short"]
    line("take", "--site", site, "--line", LINE, "--count", shift.units)
    begin_ms = (time.time_ns() // 1_000_000 // 86_400_000 - 2 - shift.bags * STEP_MS // 80_000_000) * 86_400_000
    return tell(site, shift, begin_ms)


def of_run(site: Path) -> tuple[object, ...]:
    return "--site", site, "--line", LINE, "--run", RUN


def feed(site: Path, lines: list[bytes], *options: str) -> list[str]:
    """Give lines to a run, in this process; return its answers, without the summary."""
    path = site / "said"
    path.write_bytes(b"".join(lines))
    answers = invoke("run", *of_run(site), "--input", path, *options).splitlines()
    assert len(answers) == len(lines) + 1
    return answers[:-1]


def feed_and_kill(site: Path, lines: list[bytes], answered: int) -> int:
    """Give lines to a run that is a process of its own, kill it after so many answers; return how many there were."""
    command = [*SALTERN, "line", "run", *map(str, of_run(site))]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None

    def write() -> None:
        try:
            for begin in range(0, len(lines), 100):
                process.stdin.write(b"".join(lines[begin : begin + 100]))  # type: ignore[union-attr]
                process.stdin.flush()  # type: ignore[union-attr]
        except BrokenPipeError:  # it was killed
            pass

    lines = lines[: answered + 500]  # so that it is killed at work
    writer = threading.Thread(target=write)
    writer.start()
    answers = [process.stdout.readline() for _ in range(answered)]
    os.kill(process.pid, signal.SIGKILL)
    answers += process.stdout.read().splitlines(keepends=True)
    writer.join()
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        with contextlib.suppress(BrokenPipeError):
            pipe.close()  # type: ignore[union-attr]
    whole = [answer for answer in answers if answer.endswith(b"\n")]
    assert set(whole) == {b"ok\n"}, whole[:10]
    return len(whole)


def tear(site: Path, chance: random.Random) -> None:
    """Cut the run's file at any octet of its last half, as if that had never been synced."""
    path = site / "runs" / RUN / "events.log"
    size = path.stat().st_size
    os.truncate(path, chance.randrange(size // 2, size))


def finish(site: Path, node: NodeOfALot) -> dict[str, Any]:
    """End the run, upload, balance it with the node."""
    line("end", *of_run(site))
    line("upload", *of_run(site), *node.options)
    return line("reconcile", *of_run(site), *node.options)  # type: ignore[no-any-return]


def in_one_go(site: Path, node: NodeOfALot, shift: Shift) -> tuple[Told, dict[str, Any]]:
    """A day without a fault. Return what was told, and the balance."""
    told = supply(site, node, shift)
    assert set(feed(site, told.lines)) == {'{"ok": true}'}
    return told, finish(site, node)


def with_cuts(site: Path, node: NodeOfALot, shift: Shift, chance: random.Random) -> tuple[Told, dict[str, Any]]:
    """The same day: killed twice, its file torn, uploaded in two halves and then again."""
    told = supply(site, node, shift)
    total = len(told.lines)
    feed_and_kill(site, told.lines, total // 4)
    tear(site, chance)
    feed(site, told.lines[: total // 2])  # from the beginning: what is there already is ok
    line("upload", *of_run(site), *node.options)
    answered = total // 2 + feed_and_kill(site, told.lines[total // 2 :], total // 4)
    feed(site, told.lines[answered:])
    line("upload", *of_run(site), *node.options)
    again = line("upload", *of_run(site), *node.options)
    assert again["batches"] == 0
    return told, finish(site, node)


def truth(told: Told, codes: int) -> Iterator[tuple[str, str | None]]:
    """Yield state and parent of every code of the lot, None where it does not matter."""
    for index in range(codes):
        state = told.states.get(index, "returned")
        yield state, told.parents.get(index) if state == "commissioned" else None
