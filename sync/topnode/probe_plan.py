"""Whom the probes ask, and where: the nodes that are enrolled, at the servers of the route of their own prefix."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Final, NamedTuple

from core import limits
from core.errors import WireError
from core.wire.site import PORTS
from sync.monitor.observation import Way
from sync.topnode.referral import read_route
from sync.topnode.rows import ENROLLED
from sync.topnode.store import TopStore
from sync.topnode.takeover_rows import Below

_HANDLE: Final = b"Handle/"


class Door(NamedTuple):
    """Where a server is asked on a way. ``host``: an IP address."""

    host: str
    port: int


class Target(NamedTuple):
    """A node that is probed. ``doors``: of each way that it offers one or more, PROBE_SERVERS_MAX at most."""

    node: Below
    doors: Mapping[Way, tuple[Door, ...]]

    def door(self, way: Way, period: int, place: int) -> Door:
        """Return which server a probe asks: the probes share them out, and each asks another one next time."""
        doors = self.doors[way]
        return doors[(period + place) % len(doors)]


def plan(store: TopStore) -> list[Target]:
    """Return whom to probe: at most TOPNODE_PROBED_MAX nodes, those first that came first. Errors: StoreError.

    Not probed is a node that is not enrolled, that sent no route of its own prefix, or whose route is stopped.
    """
    found: list[Target] = []
    with store.read() as view:
        for node in sorted(view.nodes(), key=lambda node: (node.since_ms, node.node_id)):
            if len(found) == limits.TOPNODE_PROBED_MAX:
                break
            key = _HANDLE + node.prefix.encode("utf-8", "replace").upper()
            route = view.route(key) if node.enrolment == ENROLLED else None
            if route is not None and route.node_id == node.node_id:
                doors = _doors(route.row)
                if doors:
                    found.append(Target(Below(node.node_id, node.prefix, node.codes), doors))
    return found


def _doors(row: bytes) -> dict[Way, tuple[Door, ...]]:
    try:
        route = read_route(row)
    except WireError:
        return {}
    if route.stopped:
        return {}
    found: dict[Way, tuple[Door, ...]] = {}
    for place, ways in enumerate(((Way.TCP,), (Way.UDP,), (Way.HTTP, Way.REGISTRATION))):
        doors = [Door(str(each.address), port) for each in route.servers if (port := each.ports[place]) is not None]
        if doors:
            found |= {way: tuple(doors[: limits.PROBE_SERVERS_MAX]) for way in ways}
    return found


def plan_document(targets: list[Target], to: str, period_ms: int, limit_ms: int) -> dict[str, Any]:
    """Return what an outside probe has to know. ``to``: key id of the top node."""
    return {
        "to": to,
        "period_ms": period_ms,
        "limit_ms": limit_ms,
        "nodes": [
            {
                "node": each.node.node_id,
                "prefix": each.node.prefix,
                "ways": {way.value: [list(door) for door in doors] for way, doors in each.doors.items()},
            }
            for each in targets
        ],
    }


def read_plan(document: Any) -> tuple[str, int, int, list[Target]]:
    """Return key id of the top node, period and limit in ms, and whom to ask. Errors: WireError."""
    try:
        to, period_ms, limit_ms, nodes = (document[name] for name in ("to", "period_ms", "limit_ms", "nodes"))
        if type(to) is not str or type(period_ms) is not int or type(limit_ms) is not int or period_ms < 1:
            raise ValueError("terms")
        if len(nodes) > limits.TOPNODE_PROBED_MAX:
            raise ValueError("nodes")
        return to, period_ms, limit_ms, [_target(each) for each in nodes]
    except (ValueError, TypeError, KeyError, AttributeError):
        raise WireError("这不是探测任务。This does not say whom to probe") from None


def _target(told: Any) -> Target:
    doors: dict[Way, tuple[Door, ...]] = {}
    for way, places in told["ways"].items():
        doors[Way(way)] = tuple(
            Door(str(ip_address(host)), _port(port)) for host, port in places[: limits.PROBE_SERVERS_MAX]
        )
    if type(told["node"]) is not str or type(told["prefix"]) is not str or not all(doors.values()):
        raise ValueError("node")
    return Target(Below(told["node"], told["prefix"]), doors)


def _port(port: Any) -> int:
    if type(port) is not int or port not in PORTS:
        raise ValueError("port")
    return port
