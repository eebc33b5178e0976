"""What every command shares: options, messages, exit codes, and how changes are written.

Exit codes: 0 done, 1 refused or failed (with the reason), 2 usage.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from core.config import Config, load
from core.errors import NodeError, Outcome
from core.store.engine import StorePanicError
from registry.commands import Result

F = TypeVar("F", bound=Callable[..., Any])

EXIT_FAILED: Final = 1
DRY_RUN_NOTE: Final = "（演练，未写入 dry run, nothing written）"


_MISUSES: Final = (
    (click.NoSuchOption, "没有这个选项"),
    (click.MissingParameter, "缺少必需的选项或参数"),
    (click.BadOptionUsage, "选项的用法有误"),
    (click.BadArgumentUsage, "参数的用法有误"),
    (click.BadParameter, "选项或参数的值无效"),
)
_BAD_VALUES: Final = (
    ("does not exist", "文件或目录不存在"),
    ("No such file", "文件或目录不存在"),
    ("is a directory", "这是目录，应为文件"),
    ("is a file", "这是文件，应为目录"),
    ("is not one of", "须为所列之一"),
    ("is not in the range", "超出范围"),
    ("is not a valid integer", "应为整数"),
)
_OTHERS: Final = (("Got unexpected extra argument", "参数过多"), ("Missing command", "缺少命令"))


class _Misuse(click.UsageError):
    """What is told in both languages already."""


@contextmanager
def _translating() -> Iterator[None]:
    """Put a Chinese sentence before what the library says of a command that is used wrongly."""
    try:
        yield
    except click.UsageError as error:
        told = error.format_message()
        zh = next((zh for kind, zh in _MISUSES if isinstance(error, kind)), "")
        narrower = _BAD_VALUES if isinstance(error, click.BadParameter) else _OTHERS
        zh = next((closer for words, closer in narrower if words in told), zh)
        if not zh or isinstance(error, _Misuse):
            raise
        raise _Misuse(f"{zh}。{told}", error.ctx) from None


class Commands(click.Group):
    """A group that names the nearest command when one is misspelt, and shows errors as one line."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], known, n=1, cutoff=0.4)
            hint = f"您是想用 Did you mean `{ctx.command_path} {near[0]}`?" if near else f"--help: {', '.join(known)}"
            ctx.fail(f"没有这个命令 No such command: {args[0]}. {hint}")
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with _translating():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _translating():
                return super().invoke(ctx)
        except NodeError as error:
            raise Failure(error.message or error.ended.value) from None
        except PermissionError as error:
            raise Failure(no_permission(error)) from None
        except UnicodeEncodeError:
            raise click.UsageError("参数不是 UTF-8 文本。An argument is no UTF-8 text") from None
        except StorePanicError as error:
            raise Failure(f"存储不可用。The store cannot be used: {error}") from None


def no_permission(error: PermissionError) -> str:
    """Return what helps whoever may not read or write a file of the node."""
    return (
        f"无权访问 {error.filename}：请以运行节点的用户执行。"
        f"No permission for {error.filename}: run this as the user that runs the node"
    )


class Failure(click.ClickException):
    """A refusal or failure, with its reason; exit code 1."""

    exit_code = EXIT_FAILED

    def show(self, file: Any = None) -> None:
        click.echo(f"错误 Error: {self.format_message()}", err=True)


class Refused(Failure):
    """A failure whose reasons ``telling`` prints as JSON. ``more``: what is told beside them."""

    def __init__(self, outcome: str, rule: str, reason: str, more: dict[str, Any] | None = None) -> None:
        super().__init__(reason or outcome)
        self.told = {"outcome": outcome, "rule": rule or None, "reason": reason or None} | (more or {})


@contextmanager
def telling() -> Iterator[None]:
    """Print the reasons of every refusal and failure on standard output, and end with exit code 1.

    A Failure that is not Refused comes from a command that has printed its JSON already.
    """
    try:
        yield
    except Refused as refused:
        failure = refused
    except NodeError as error:
        failure = Refused(error.ended.value, str(error.fields.get("rule", "")), error.message)
    except PermissionError as error:
        failure = Refused(Outcome.INTERNAL.value, "", no_permission(error))
    except StorePanicError as error:
        failure = Refused(Outcome.INTERNAL.value, "", f"存储不可用。The store cannot be used: {error}")
    else:
        return
    print_json(failure.told)
    raise failure from None


def configuration_options(default: str, what: str) -> Callable[[F], F]:
    """Return --config and --set: the command receives ``config_file`` and ``overrides``."""

    def add(command: F) -> F:
        command = click.option(
            "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="覆盖一项设置 Override a setting."
        )(command)
        return click.option(
            "--config", "config_file", default=default, show_default=True, metavar="FILE",
            type=click.Path(dir_okay=False, path_type=Path), help=what,
        )(command)  # fmt: skip

    return add


config_option = configuration_options("node.toml", "节点配置文件 The node's configuration.")


json_flag = click.option("--json", "as_json", is_flag=True, help="以 JSON 输出 Print JSON.")


def json_option(command: F) -> F:
    """Add --json; the command receives ``as_json``, and with it what fails ends in JSON, too."""

    @functools.wraps(command)
    def run(*arguments: Any, as_json: bool, **options: Any) -> Any:
        with telling() if as_json else contextlib.nullcontext():
            return command(*arguments, as_json=as_json, **options)

    flagged: Any = json_flag(run)
    result: F = flagged
    return result


dry_run_option = click.option("--dry-run", is_flag=True, help="只检查，不写入 Check only, write nothing.")


def load_config(config_file: Path, overrides: tuple[str, ...]) -> Config:
    """Load the configuration that a command names."""
    return load(config_file, overrides)


def start_logging() -> None:
    """Send the log to standard error, one line an event."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


def print_json(document: object) -> None:
    """Print one JSON document on standard output."""
    click.echo(json.dumps(document, ensure_ascii=False, indent=2))


def require_done(result: Result) -> Result:
    """Errors: Refused with the reason of a refusal."""
    if not result.done:
        reason = f"{result.handle} {result.outcome.value} {result.message}".strip()
        raise Refused(result.outcome.value, result.rule, reason)
    return result
