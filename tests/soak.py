"""`make soak`: what `make test` does in small, in full counts; the report is docs/reference/soak.md."""

from __future__ import annotations

import argparse
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.kit.killing import KillRounds
from tests.kit.node import Node
from tests.kit.noise import endure

ROOT = Path(__file__).parent.parent
REPORT = ROOT / "docs" / "reference" / "soak.md"
RESTART_S = 2.0
ROUNDS_A_NODE = 25


def main() -> int:
    """Run everything; write the report; return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="kill rounds")
    parser.add_argument("--messages", type=int, default=100_000, help="messages of noise")
    parser.add_argument("--wrong", type=int, default=10_000, help="wrong answers to challenges")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    began = time.monotonic()
    chance = random.Random(options.seed)
    runs: list[KillRounds] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds):
            if number % ROUNDS_A_NODE == 0:  # a store that grows for ever would only be read, not killed
                if runs:
                    runs[-1].check_all()
                runs.append(KillRounds(Path(folder) / f"node-{len(runs)}", chance.randrange(2**32)))
            runs[-1].run()
            print(f"\rround {number + 1}/{options.rounds}", end="", flush=True)
        runs[-1].check_all()
        print()
        with Node(Path(folder) / "noise", "88.118.7") as node:
            endured = endure(node, options.messages, options.wrong, chance)
    totals: Counter[str] = Counter()
    for run in runs:
        totals.update(run.killed)
    killed = ", ".join(f"{name} {count}" for name, count in sorted(totals.items()))
    restart_s = max(run.restart_s_max for run in runs)
    lines = [
        "# Soak",
        "",
        "Last output of `make soak`. A round starts a node, lets three clients create, replace, delete and",
        "register in batches, kills the node or one process of it by SIGKILL at a random moment, starts it",
        "again, and compares what was written with what its client was told, and 500 identifiers of earlier",
        "rounds; then `saltern doctor --deep`. At the end every identifier of a node is compared.",
        "Then a node endures noise on the Handle protocol, and a client that never has the right secret.",
        "",
        "| what | figure |",
        "|---|---|",
        f"| rounds | {options.rounds} (seed {options.seed}), a new node every {ROUNDS_A_NODE} |",
        f"| killed | {killed} |",
        f"| writes acknowledged, all there after the kill | {sum(run.acknowledged for run in runs)} |",
        f"| writes refused, none there | {sum(run.refused for run in runs)} |",
        f"| writes without an answer, each whole or absent | {sum(run.unknown for run in runs)} |",
        "| rows that `doctor --deep` found wrong | 0 |",
        f"| longest restart to the first answer | {restart_s:.2f} s (bound {RESTART_S:.0f} s) |",
        f"| messages of noise by UDP and TCP, the same processes go on | {endured.messages} |",
        f"| wrong answers to challenges, each 403 | {endured.wrong} |",
        f"| growth of the worker by both | {endured.growth_bytes / (1 << 20):.1f} MiB |",
        f"| took | {time.monotonic() - began:.0f} s |",
        f"| machine | {platform.machine()}, {_cores()} cores, Python {platform.python_version()} |",
        f"| commit | {_commit()} |",
        "",
    ]
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text("\n".join(lines), "utf-8")
    print("\n".join(lines))
    return 0 if restart_s < RESTART_S else 1


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0))


def _commit() -> str:
    done = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
