"""``saltern log query``: entries of the statutory logs, by time, identifier, client, protocol, outcome."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Any, Final

import click

from audit.mirror import visible
from audit.question import Found, IPNetwork, Named, Question, QuestionError, found_line, name_identifiers, read_network
from core.clock import DAY_MS, TIME_MS_END, format_shanghai, parse_day, parse_given, parse_instant, shanghai_midnight
from core.config import Config
from core.errors import Outcome
from core.events import PROTOCOL_API, PROTOCOL_LOCAL, PROTOCOLS
from core.streams import Stream
from node.catching_up import publish_waiting
from node.cli.common import config_option, json_option, load_config
from node.log_reading import comparison, log_reader, tell_waiting

_PROTOCOLS: Final = (*PROTOCOLS.values(), PROTOCOL_API, PROTOCOL_LOCAL, "http")
_TIME = (
    "时间应为上海日期 YYYY-MM-DD，或时刻 YYYY-MM-DDThh:mm[:ss]（上海时间，末尾加 Z 为 UTC）。A time is a day that "
    "there is, YYYY-MM-DD in Shanghai, or an instant, YYYY-MM-DDThh:mm[:ss], of Shanghai, or with Z of UTC"
)


class Nearest(click.ParamType[Any]):
    """One of some names; one that is misspelt is refused with the nearest."""

    name = "name"

    def __init__(self, names: Iterable[str]) -> None:
        self._names = tuple(names)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name. Errors: BadParameter."""
        if (name := str(value).lower()) in self._names:
            return name
        near = difflib.get_close_matches(name, self._names, n=1, cutoff=0.4)
        hint = f"您是想用 Did you mean {near[0]}?" if near else f"可用 Known: {', '.join(self._names)}"
        raise click.BadParameter(f"没有 {value!r}。There is no {value!r}. {hint}", ctx, param)


class StreamName(Nearest):
    """The name of a log."""

    name = "stream"

    def __init__(self) -> None:
        super().__init__(stream.value for stream in Stream)


class NetworkOf(click.ParamType[Any]):
    """An address, or a network, of clients."""

    name = "network"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> IPNetwork:
        """Return the network. Errors: BadParameter."""
        try:
            return read_network(str(value))
        except QuestionError as error:
            raise click.BadParameter(error.message, ctx, param) from None


class Edge(Enum):
    """Which end of a range: its first millisecond; the last one, where an instant is in it; or what is behind it."""

    FIRST = 0
    LAST = 1
    BEHIND = 2


class TimeOf(click.ParamType[Any]):
    """The first millisecond of a range, or the one behind its last."""

    name = "time"

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return Unix milliseconds. Errors: BadParameter."""
        if isinstance(value, int):
            return value
        day = parse_day(value)
        if day is not None:
            at_ms = shanghai_midnight(day) + (0 if self._edge is Edge.FIRST else DAY_MS)
            if 0 <= at_ms <= TIME_MS_END:
                return at_ms
        at = parse_given(value)
        at = parse_instant(value) if at is None else at
        if day is not None or at is None:
            raise click.BadParameter(f"{_TIME}: {value!r}", ctx, param)
        return at + (1 if self._edge is Edge.LAST else 0)


@click.command()
@click.option(
    "--stream", default=Stream.RESOLUTION.value, show_default=True, type=StreamName(), help="哪一种日志 Which log."
)
@click.option(
    "--from", "since_ms", metavar="T", type=TimeOf(Edge.FIRST), default=0, show_default="最早 the first",
    help="起始日（上海）或时刻 First day in Shanghai, or instant.",
)  # fmt: skip
@click.option(
    "--to", "until_ms", metavar="T", type=TimeOf(Edge.LAST), default=TIME_MS_END, show_default="最新 the newest",
    help="截止日（含当日）或时刻 Last day, inclusive, or instant.",
)  # fmt: skip
@click.option(
    "--identifier", metavar="ID", help="标识；不含 / 时为前缀及其下全部标识 An identifier; without / a prefix."
)
@click.option(
    "--client", "network", metavar="NET", type=NetworkOf(), help="客户端地址或网段 Address or network of the client."
)
@click.option("--protocol", metavar="P", type=Nearest(_PROTOCOLS), help="协议 udp, tcp, http, http/json, local ….")
@click.option(
    "--outcome", metavar="O", type=Nearest(outcome.value for outcome in Outcome), help="结果 ok, handle-not-found …."
)
@config_option
@json_option
def query(
    stream: str, since_ms: int, until_ms: int, identifier: str | None, network: IPNetwork | None,
    protocol: str | None, outcome: str | None, config_file: Path, overrides: tuple[str, ...], as_json: bool,
) -> None:  # fmt: skip
    """查询日志：按时间、标识、客户端、协议、结果。Find entries of the logs; a line each, in the order of the log.

    Reads the published logs: with the node running or stopped. Lines of --json have the members of an entry, the month
    and index of its leaf and, for a resolution, its row in it.

    Example: saltern log query --from 2026-11-01 --to 2026-11-21 --identifier 88.118.7/SKU01 --json
    """
    if identifier == "":
        raise click.BadParameter("标识为空。The identifier is empty", param_hint="--identifier")
    if since_ms >= until_ms:
        raise click.UsageError("--from 晚于 --to。--from is later than --to")
    config = load_config(config_file, overrides)
    question = Question(since_ms, until_ms, _named(config, identifier), network, protocol, outcome)
    publish_waiting(config)
    reader = log_reader(config, _note)
    if Stream(stream) is Stream.RESOLUTION:
        tell_waiting(config, _note)
    line = found_line if as_json else _text
    for found in reader.find(Stream(stream), question):
        sys.stdout.buffer.write(line(found) + b"\n")


def _note(text: str) -> None:
    click.echo(f"注意 Note: {text}", err=True)


def _named(config: Config, identifier: str | None) -> Named | None:
    return None if identifier is None else name_identifiers(identifier, comparison(config).fold)


def _text(found: Found) -> bytes:
    entry = found.document
    origin, who, ended = entry["from"], entry["who"], entry["res"]
    place = f"{found.month}/{found.leaf}" + ("" if found.row is None else f".{found.row}")
    by = who["name"] or who["id"] or "-"
    reason = f" ({ended['reason']})" if ended["reason"] else ""
    told = format_shanghai(parse_instant(entry["t"]) or 0)
    line = (
        f"{told[:19]}.{entry['t'][20:23]}{told[19:]}  {place}  {origin['protocol'] or '-'}  {origin['net'] or '-'}  "
        f"{by}  {entry['act']} {entry['obj']}: {ended['code']}{reason}"
    )
    return visible(line.encode(errors="replace")).encode()
