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

from core.ident.unitcode import LOT_KEY_BYTES, UnitCodes
from tests.kit import dns_noise, escrow_drill, link_noise, one_answer, takeover_drill
from tests.kit.backup_drill import Drilled, drill
from tests.kit.crowd import Crowded, crowd
from tests.kit.guesses import altered_hits, guessed_hits
from tests.kit.killing import PREFIX, KillRounds
from tests.kit.line_real import RealLot
from tests.kit.line_shift import Shift, in_one_go, truth, with_cuts
from tests.kit.log_kills import Endured as LogsEndured
from tests.kit.log_kills import endure_log_kills
from tests.kit.node import Node
from tests.kit.noise import Endured, endure
from tests.kit.sync_kills import Endured as SyncEndured
from tests.kit.sync_kills import endure_sync_kills
from tests.kit.worker_kills import Endured as KillsEndured
from tests.kit.worker_kills import endure_kills

ROOT = Path(__file__).parent.parent
REPORT = ROOT / "docs" / "reference" / "soak.md"
RESTART_S = 2.0
ROUNDS_A_NODE = 25
WORKERS = 4
WRITERS = 3
KILL_EVERY_S = 1.0
LOT_UNITS = 1_000_000
COMPARED = 37


def main() -> int:
    """Run everything; write the report; return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="kill rounds")
    parser.add_argument("--messages", type=int, default=100_000, help="messages of noise")
    parser.add_argument("--dns", type=int, default=200_000, help="messages of noise for DNS")
    parser.add_argument("--links", type=int, default=100_000, help="GS1 Digital Links that are wrong")
    parser.add_argument("--changes", type=int, default=1_000, help="acts of each writer, each looked at by every way")
    parser.add_argument("--wrong", type=int, default=10_000, help="wrong answers to challenges")
    parser.add_argument("--kills", type=int, default=60, help="workers killed, one a second")
    parser.add_argument("--log-kills", type=int, default=100, help="workers and keepers killed, the logs compared")
    parser.add_argument(
        "--sync-kills", type=int, default=100, help="rounds that kill what sends to a top node, or that"
    )
    parser.add_argument("--connections", type=int, default=5_000, help="connections over HTTP that do nothing")
    parser.add_argument("--answers", type=int, default=10_000, help="of a node that was put back, compared")
    parser.add_argument("--escrow-answers", type=int, default=50_000, help="of a node put back from deposits, by each")
    parser.add_argument("--takeovers", type=int, default=5, help="nodes killed and taken over by a top node")
    parser.add_argument("--guesses", type=int, default=1_000_000, help="guesses at unit codes")
    parser.add_argument("--bags", type=int, default=100_000, help="bags of a shift at a packing line")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    began = time.monotonic()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = _kill_rounds(folder, options.rounds, chance)
        with Node(folder / "noise", PREFIX) as node:
            endured = endure(node, options.messages, options.wrong, chance)
        dns, links = _dns_noise(folder, options.dns, chance), _link_noise(folder, options.links, chance)
        changes = _changes(folder, options.changes, chance)
        with Node(folder / "workers", PREFIX, resolver__workers=WORKERS) as node:
            kills = endure_kills(node, options.kills, chance, KILL_EVERY_S)
        with Node(folder / "logs", PREFIX, resolver__workers=2) as node:
            logs = endure_log_kills(node, options.log_kills, chance)
        sync = _sync_kills(folder, options.sync_kills, chance)
        (folder / "backup").mkdir()
        drilled = drill(folder / "backup", options.answers, chance)
        (folder / "escrow").mkdir()
        rebuilt = escrow_drill.drill(
            folder / "escrow", options.escrow_answers, options.escrow_answers // 10, chance, records=20_000
        )
        takeovers = _takeovers(folder, options.takeovers, chance)
        with Node(folder / "crowd", PREFIX) as node:
            crowded = crowd(node, options.connections)
        shifts = _shifts(folder, options.bags, chance)
    restart_s = max(run.restart_s_max for run in runs)
    lines = [
        "# Soak",
        "",
        "Last output of `make soak`. A round starts a node, lets three clients create, replace, delete and",
        "register in batches, kills the node or one process of it by SIGKILL at a random moment, starts it",
        "again, and compares what was written with what its client was told, and 500 identifiers of earlier",
        "rounds; then `saltern doctor --deep`. At the end every identifier of a node is compared.",
        "Then a node endures noise on the Handle protocol, and a client that never has the right secret.",
        "Then a node endures noise in DNS, and another one Digital Links that are wrong: each answer can be read and",
        "is no failure, and what is right is answered between as before.",
        f"Then {WRITERS} writers change records, lots and bags, their aliases and holds, while workers and the",
        "registrar are killed: after each change that was acknowledged the handle over JSON, UDP and TCP, every alias,",
        "the Digital Link by the quick way and the long one, and the OID in DNS tell the same; a zone that was",
        "transferred meanwhile says what is answered at its serial.",
        f"Then one of {WORKERS} workers is killed every second, while clients ask over UDP, TCP, HTTP and DNS, each",
        "time for a name of its own: every answer must be in the resolution log, and only connections to that worker",
        "may end.",
        "Then workers and the keeper are killed while clients ask on every protocol and register: each answer must be",
        "in the published logs exactly once, and no checkpoint that was ever seen may be contradicted by the last.",
        "Then a node sends to a top node that misbehaves, and the process that sends, the node or the top node is",
        "killed between a commit and its sending, or between that and its acknowledgement: in the end every table is",
        "equal, and the top node has each change of an identifier once.",
        "Then a node is backed up twice under full write load, put back and started; both answer the same.",
        "Then a node with something of every kind is put back from a FULL and two DIFFs alone; both answer the same.",
        "Then nodes are killed, and a top node that probes each second answers for them and registers, is killed, too,",
        "and hands back to a node that is killed twice meanwhile, and to one that hung: in the end both are equal.",
        "Then a crowd of connections that do nothing, and another client that is served.",
        "Then guesses at the codes of a lot of a million units, and genuine codes of which one or two characters are",
        "others or change places. Then a shift at a packing line, once in one go, and once offline, killed and torn",
        "twice, uploaded in two halves and then again: the same states, parents and counts at the node.",
        "",
        "| what | figure |",
        "|---|---|",
        f"| rounds | {options.rounds} (seed {options.seed}), a new node every {ROUNDS_A_NODE} |",
        *_round_rows(runs),
        *_noise_rows(endured),
        *_hostile_rows(dns, links),
        *_change_rows(changes),
        *_kill_rows(kills),
        *_log_rows(logs),
        *_sync_rows(sync),
        *_backup_rows(drilled),
        *_escrow_rows(rebuilt, takeovers),
        *_crowd_rows(crowded),
        *_guess_rows(options.guesses, chance),
        *shifts,
        f"| took | {time.monotonic() - began:.0f} s |",
        f"| machine | {platform.machine()}, {_cores()} cores, Python {platform.python_version()} |",
        f"| commit | {_commit()} |",
        "",
    ]
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text("\n".join(lines), "utf-8")
    print("\n".join(lines))
    return 0 if restart_s < RESTART_S else 1


def _kill_rounds(folder: Path, rounds: int, chance: random.Random) -> list[KillRounds]:
    runs: list[KillRounds] = []
    for number in range(rounds):
        if number % ROUNDS_A_NODE == 0:  # a store that grows for ever would only be read, not killed
            if runs:
                runs[-1].check_all()
            runs.append(KillRounds(folder / f"node-{len(runs)}", chance.randrange(2**32)))
        runs[-1].run()
        print(f"\rround {number + 1}/{rounds}", end="", flush=True)
    runs[-1].check_all()
    print()
    return runs


def _round_rows(runs: list[KillRounds]) -> list[str]:
    totals: Counter[str] = Counter()
    for run in runs:
        totals.update(run.killed)
    killed = ", ".join(f"{name} {count}" for name, count in sorted(totals.items()))
    restart_s = max(run.restart_s_max for run in runs)
    return [
        f"| killed | {killed} |",
        f"| writes acknowledged, all there after the kill | {sum(run.acknowledged for run in runs)} |",
        f"| writes refused, none there | {sum(run.refused for run in runs)} |",
        f"| writes without an answer, each whole or absent | {sum(run.unknown for run in runs)} |",
        "| rows that `doctor --deep` found wrong | 0 |",
        f"| longest restart to the first answer | {restart_s:.2f} s (bound {RESTART_S:.0f} s) |",
    ]


def _noise_rows(endured: Endured) -> list[str]:
    return [
        f"| messages of noise by UDP and TCP, the same processes go on | {endured.messages} |",
        f"| wrong answers to challenges, each 403 | {endured.wrong} |",
        f"| growth of the worker by both | {endured.growth_bytes / (1 << 20):.1f} MiB |",
    ]


def _dns_noise(folder: Path, messages: int, chance: random.Random) -> dns_noise.Endured:
    with Node(folder / "dns", PREFIX) as node:
        dns_noise.furnish(node)
        return dns_noise.endure_dns(node, messages, chance)


def _link_noise(folder: Path, requests: int, chance: random.Random) -> link_noise.Endured:
    with Node(folder / "links", PREFIX, node__public_url=link_noise.BASE) as node:
        return link_noise.endure_links(node, requests, chance)


def _hostile_rows(dns: dns_noise.Endured, links: link_noise.Endured) -> list[str]:
    told = ", ".join(f"{name} {count}" for name, count in sorted(dns.codes.items()))
    statuses = ", ".join(f"{status} {count}" for status, count in sorted(links.codes.items()))
    return [
        f"| messages of noise for DNS by UDP and TCP, the same processes go on | {dns.messages} |",
        f"| what they were told, none a failure, each as short as promised | {told} |",
        f"| right questions between, each answered as before | {dns.right} |",
        f"| Digital Links that are wrong, the same processes go on | {links.requests} |",
        f"| what they were told, none a failure, none led astray | {statuses} |",
        f"| right Digital Links between, each answered as before | {links.right} |",
        f"| growth of the workers by both | {(dns.growth_bytes + links.growth_bytes) / (1 << 20):.1f} MiB |",
    ]


def _changes(folder: Path, acts: int, chance: random.Random) -> one_answer.Endured:
    settings = one_answer.settings(folder)
    with Node(folder / "changes", PREFIX, **settings) as node:
        endured = one_answer.endure_changes(node, WRITERS, acts, chance)
        node.fsck()
    return endured


def _change_rows(changes: one_answer.Endured) -> list[str]:
    acts = ", ".join(f"{name} {count}" for name, count in sorted(changes.acts.items()))
    killed = ", ".join(f"{name} {count}" for name, count in sorted(changes.killed.items()))
    return [
        f"| changes of {changes.objects} objects, each acknowledged and then looked at | {acts} |",
        f"| killed meanwhile | {killed} |",
        f"| answers by handle, alias, Digital Link and DNS, all told the same | {changes.asked} |",
        f"| transfers of the zone, names of it asked for at its serial | {changes.transfers}, {changes.names} |",
    ]


def _kill_rows(kills: KillsEndured) -> list[str]:
    return [
        f"| workers killed under load, one of {WORKERS} every {KILL_EVERY_S:.0f} s | {kills.kills} |",
        f"| answers that clients got, each in the log once | {kills.answers} |",
        f"| connections that ended, all to a worker that was killed | {kills.broken} |",
        f"| datagrams lost, all under way to a worker that was killed | {kills.lost} |",
        f"| longest from a kill to an answer for every client | {kills.back_s_max:.2f} s |",
        f"| longest wait for an answer on a connection that did not end | {kills.answer_s_max:.2f} s |",
    ]


def _log_rows(logs: LogsEndured) -> list[str]:
    killed = ", ".join(f"{name} {count}" for name, count in sorted(logs.killed.items()))
    return [
        f"| killed under load, the logs compared | {killed} |",
        f"| answers by {', '.join(logs.answers)}, each in the logs once | {sum(logs.answers.values())} |",
        f"| checkpoints seen, none contradicted by the last | {logs.checkpoints} |",
    ]


def _sync_kills(folder: Path, rounds: int, chance: random.Random) -> list[SyncEndured]:
    runs: list[SyncEndured] = []
    for start in range(0, rounds, ROUNDS_A_NODE):
        place = folder / f"sync-{start}"
        place.mkdir()
        runs.append(endure_sync_kills(place, min(ROUNDS_A_NODE, rounds - start), chance))
    return runs


def _sync_rows(runs: list[SyncEndured]) -> list[str]:
    totals: Counter[str] = Counter()
    for run in runs:
        totals.update(run.killed)
    killed = ", ".join(f"{name} {count}" for name, count in sorted(totals.items()))
    return [
        f"| killed while it was committed, or sent, and not acknowledged | {killed} |",
        f"| acts acknowledged meanwhile | {sum(run.acts for run in runs)} |",
        f"| changes of identifiers, each at the top node once | {sum(run.changes for run in runs)} |",
        f"| rows compared in the end, none different | {sum(run.rows for run in runs)} |",
    ]


def _backup_rows(drilled: Drilled) -> list[str]:
    protocols = ", ".join(f"{name} {count}" for name, count in sorted(drilled.compared.items()))
    return [
        f"| answers of a node that was put back, none different | {protocols} |",
        f"| changes between two backups, behind the second | {drilled.between}, {drilled.behind} |",
    ]


def _takeovers(folder: Path, count: int, chance: random.Random) -> list[takeover_drill.Drilled]:
    runs = []
    for number in range(count):
        place = folder / f"takeover-{number}"
        place.mkdir()
        runs.append(takeover_drill.Drill(place, chance, 2_000, 80).run(3_000, rough=True))
    return runs


def _escrow_rows(rebuilt: escrow_drill.Drilled, takeovers: list[takeover_drill.Drilled]) -> list[str]:
    protocols = ", ".join(f"{name} {count}" for name, count in sorted(rebuilt.compared.items()))
    rows = [f"| answers of a node put back from deposits, none different | {protocols} |"]
    if takeovers:
        compared = sum(sum(run.compared.values()) for run in takeovers)
        rows += [
            f"| takeovers, and answers of the top node, none different | {len(takeovers)}, {compared} |",
            "| longest from a kill to an answer by way of the top node, in periods of probes | "
            f"{max(run.periods for run in takeovers):.1f} (bound 3) |",
            f"| changes handed back, each once | {sum(run.taken for run in takeovers)} |",
        ]
    return rows


def _crowd_rows(crowded: Crowded) -> list[str]:
    return [
        f"| connections open at once, another client is served | {crowded.connections} |",
        f"| memory of the worker for each | {crowded.bytes_each / 1_024:.1f} KiB |",
    ]


def _guess_rows(guesses: int, chance: random.Random) -> list[str]:
    codes, changes = UnitCodes(chance.randbytes(LOT_KEY_BYTES)), guesses // 10
    guessed, altered = guessed_hits(codes, LOT_UNITS, guesses, chance), altered_hits(codes, LOT_UNITS, changes, chance)
    assert not guessed + altered, (guessed, altered)
    return [
        f"| guesses with the right lot code at {LOT_UNITS} units, hits | {guesses}, {guessed} |",
        f"| genuine codes with one or two characters changed, hits | {changes}, {altered} |",
    ]


def _shifts(folder: Path, bags: int, chance: random.Random) -> list[str]:
    """Run a shift both ways on a real node. Of its codes each COMPARED-th is compared with the day."""
    shift = Shift(bags=bags)
    with Node(folder / "line", PREFIX) as node:
        whole, cut = (RealLot(node, folder / name, f"{PREFIX}/{name}", shift) for name in ("ONE", "TWO"))
        began = time.monotonic()
        told, account = in_one_go(folder / "ONE" / "works", whole, shift)
        took_s = time.monotonic() - began
        again = with_cuts(folder / "TWO" / "works", cut, shift, chance)[1]
        assert account["balanced"], account
        assert again["balanced"], again
        assert account["node"] == again["node"]
        state = whole.state(every=COMPARED)
        assert cut.state(every=COMPARED) == state
        expected = list(truth(told, COMPARED * len(state)))[::COMPARED]
        assert [found for found, _ in state] == [wanted for wanted, _ in expected]
        node.fsck()
    counts = account["node"]
    return [
        f"| bags, cases, pallets of a shift | {bags}, {shift.cases}, {-(-shift.cases // shift.cases_per_pallet)} |",
        f"| units commissioned, scrapped, sampled, returned, both ways | {', '.join(_counted(counts['unit']))} |",
        f"| the shift with its upload, in one go | {took_s:.0f} s |",
    ]


def _counted(states: dict[str, int]) -> list[str]:
    return [str(states.get(name, 0)) for name in ("commissioned", "scrapped", "sampled", "returned")]


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0))


def _commit() -> str:
    done = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
