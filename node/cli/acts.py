"""What the commands of governance share: options, how an act is run, and how it is told."""

from __future__ import annotations

import functools
import getpass
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import click

from core import limits
from core.config import Config
from core.errors import LimitError, NodeError, RecordError, WireError
from core.store.engine import Snapshot
from core.wire.jsontext import parse
from node import wiring
from node.cli.common import (
    DRY_RUN_NOTE,
    F,
    Refused,
    config_option,
    json_flag,
    load_config,
    print_json,
    telling,
)
from node.writing import writer
from registry.bearers import require_name
from registry.commands import Actor, Governance, Request, Result

_Prepare = Callable[[Path, tuple[str, ...], str, bool], object]

reason_option = click.option("--reason", required=True, metavar="TEXT", help="理由 Why.")


def evidence_option(*, required: bool = False) -> Callable[[F], F]:
    """Return the option of a file whose digest is kept."""
    return click.option(
        "--evidence", type=click.File("rb"), required=required,
        help="证明文件；只保存其 SHA-256 A file that proves it; its SHA-256 is kept.",
    )  # fmt: skip


class Desk(NamedTuple):
    """What every command of governance is given."""

    config: Config
    actor: str
    as_json: bool

    def run(self, command: Governance, *, dry_run: bool = False) -> Any:
        """Have an act run; return the JSON of its result, marked where nothing was written. Errors: Refused."""
        actor = Actor(local=True, name=self.actor)
        with writer(self.config) as write:
            result = write(Request(command, actor, dry_run=dry_run))
        return self.require(result, dry_run=dry_run)

    def require(self, result: Result, *, dry_run: bool = False) -> Any:
        """Return the JSON of a result. Errors: Refused."""
        told = (json.loads(result.body) if result.body else {}) | ({"dry_run": True} if dry_run else {})
        if not result.done:
            raise _refused(result, told)
        for each in told.get("warnings", ()):
            click.echo(f"注意 Note: {each['path']}: {each['zh']}。{each['en']}", err=True)
        return told

    def say(self, told: Any, text: str) -> None:
        """Print a result, as JSON or for people; one of a dry run says so before all else."""
        if self.as_json:
            print_json(told)
            return
        if isinstance(told, dict) and told.get("dry_run"):
            click.echo(DRY_RUN_NOTE)
        click.echo(text)

    @contextmanager
    def reading(self) -> Iterator[Snapshot]:
        """Give the state of the store."""
        store = wiring.open_store(self.config, read_only=True)
        try:
            with store.snapshot() as snapshot:
                yield snapshot
        finally:
            store.close()


def _refused(result: Result, told: dict[str, Any]) -> Refused:
    return Refused(result.outcome.value, result.rule, result.message, told)


def acting(
    prepare: Callable[[Path, tuple[str, ...], str, bool], object], configured: Callable[[F], F], command: F
) -> F:
    """Add --json, --actor and what ``configured`` adds; the command receives first what ``prepare`` returns.

    ``prepare`` is given file, overrides, actor, and whether JSON is asked for. Whatever refuses the command or fails
    in it ends with exit code 1 and its reasons as JSON on standard output.
    """

    @functools.wraps(command)
    def run(
        *arguments: Any, config_file: Path, overrides: tuple[str, ...], as_json: bool, actor: str, **options: Any
    ) -> Any:
        with telling():
            return command(prepare(config_file, overrides, actor, as_json), *arguments, **options)

    actor_option = click.option(
        "--actor", default=getpass.getuser, show_default="当前用户 the user", metavar="NAME", callback=person,
        help="经办人姓名 On whose behalf.",
    )  # fmt: skip
    flagged: Any = json_flag(run)
    result: F = actor_option(configured(flagged))
    return result


def governed(command: F) -> F:
    """Add --config, --set, --json and --actor; the command receives ``desk`` as its first argument."""
    return acting(_desk, config_option, command)


def _desk(file: Path, overrides: tuple[str, ...], actor: str, as_json: bool) -> Desk:
    return Desk(load_config(file, overrides), actor, as_json)


def person(_context: click.Context, _option: click.Parameter, name: str) -> str:
    """Return the name of the person who acts. Errors: BadParameter for what the registrar would not take."""
    try:
        return require_name(name)
    except NodeError as error:
        raise click.BadParameter(error.message) from None


class Evidence(NamedTuple):
    """A file that was looked at: its SHA-256, and its content where that is a JSON object."""

    digest: bytes = b""
    document: bytes = b""


def read_evidence(file: BinaryIO | None) -> Evidence:
    """Read a file. Bounds: EVIDENCE_BYTES_MAX. Errors: RecordError."""
    if file is None:
        return Evidence()
    content = file.read(limits.EVIDENCE_BYTES_MAX + 1)
    if not 0 < len(content) <= limits.EVIDENCE_BYTES_MAX:
        raise RecordError(
            f"证明文件应为1至{limits.EVIDENCE_BYTES_MAX}字节。"
            f"The evidence takes 1 to {limits.EVIDENCE_BYTES_MAX} octets"
        )
    return Evidence(hashlib.sha256(content).digest(), content if _is_object(content) else b"")


def _is_object(content: bytes) -> bool:
    if len(content) > limits.BODY_BYTES_MAX or not content.lstrip().startswith(b"{"):
        return False
    try:
        return isinstance(parse(content), dict)
    except WireError:
        return False


def read_form(file: BinaryIO) -> bytes:
    """Read a JSON file. Bounds: BODY_BYTES_MAX. Errors: LimitError."""
    content = file.read(limits.BODY_BYTES_MAX + 1)
    if len(content) > limits.BODY_BYTES_MAX:
        raise LimitError(f"文件过大。The file has more than {limits.BODY_BYTES_MAX} octets")
    return content
