"""GS1 Digital Links of units, redirected over HTTP, beside nginx.

``GET /01/{gtin}/21/{serial}`` for bags at random of lots of a million bags each, which no row is kept of, over the
connections of the rows about HTTP. nginx answers the same octets at every path, from its configuration.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from benchmarks import nginx, records
from benchmarks.bench import HTTP_CONNECTIONS
from benchmarks.client import Connection, request
from benchmarks.load import Load, Traffic, compile_programs, write_requests
from benchmarks.machine import Cores
from benchmarks.node import UNLIMITED, Node
from benchmarks.rounds import WARM_S, alone_row, ratio_row, take_turns
from benchmarks.table import Floor, Row

_FLOOR = Floor("≥", 0.2)
_GTIN = "06905330100014"
_LOTS = 100
_ASKED = 100_000
_PRODUCT = f"{records.PREFIX}/SKU01"
_SETTINGS = {
    **UNLIMITED,
    "handle.server_admins": "[300, 301]",
    "node.public_url": "https://id.example.cn",
}


def measure(folder: Path, cores: Cores, *, rounds: int, seconds: float) -> Row:
    """Return the row of redirects."""
    what = f"redirect GS1 Digital Links of units, {HTTP_CONNECTIONS} connections"
    folder.mkdir()
    node = Node(folder / "node", cores.server)
    node.load([{"handle": _PRODUCT, "values": records.values(_PRODUCT)}])
    node.start(_SETTINGS)
    try:
        paths = folder / "requests"
        write_requests(paths, (request("GET", path) for path in _register(node)))
        generators = compile_programs(folder, cores.client)
        if generators is None:
            return Row(what, None, note="no compiler")

        def flat_out(port: int, pid: int, also: int) -> Load:
            traffic = Traffic("tcp", "http", port, paths, HTTP_CONNECTIONS)
            return generators.run(traffic, pid=pid, also=also, warm_s=WARM_S, measure_s=seconds)

        sides = {"ours": lambda: flat_out(node.port, node.worker, node.keeper)}
        program = nginx.find()
        if program is None or not cores.apart:
            why = "nginx is not installed" if program is None else "one core only"
            return alone_row(what, _FLOOR, "", take_turns(sides, rounds)["ours"], why)
        with nginx.Nginx(
            program, folder / "nginx", 0, cores.server, redirect=records.values(_PRODUCT)[0]["data"]
        ) as one:
            sides["nginx"] = lambda: flat_out(one.port, one.worker(), 0)
            return ratio_row(what, _FLOOR, "", take_turns(sides, rounds), ("ours", "nginx"), "nginx, static redirect")
    finally:
        node.stop()


def _register(node: Node) -> list[str]:
    """Register the lots and the GTIN; return paths of units."""
    chance, head = random.Random(4), node.admin()
    names = [f"{records.PREFIX}/L{number:07}" for number in range(_LOTS)]
    alias = {"identifier": _PRODUCT, "alias": f"gtin:{_GTIN}"}
    with Connection(node.port) as connection:
        for path, form in [("/v1/aliases", alias), *(("/v1/lots", _lot(name)) for name in names)]:
            answer = connection.ask(request("POST", path, head, records.dump(form)))
            if answer.status != 201:
                raise RuntimeError(f"{answer.status} {answer.body!r}")
        units: list[str] = []
        for name in names:
            start = chance.randrange(900_000)
            codes = f"/v1/lots/{name}/codes?from={start}&count={_ASKED // _LOTS}"
            answer = connection.ask(request("GET", codes, head))
            units += (code["identifier"].partition("/")[2] for code in json.loads(answer.body)["codes"])
    chance.shuffle(units)
    return [f"/01/{_GTIN}/21/{unit}" for unit in units]


def _lot(name: str) -> dict[str, object]:
    return {"lot": name, "product": _PRODUCT, "count": 1_000_000, "units_per_case": 50, "cases_per_pallet": 40}
