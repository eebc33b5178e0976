"""Reference pages made from the tables themselves: settings and commands.

``python -m node.reference docs/reference`` writes them; a test holds the committed
pages to what the code says.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from core.config import SETTINGS
from node.cli.main import cli

_NOTE = "<!-- Made by `python -m node.reference docs/reference`; do not edit. -->"


def settings_page() -> str:
    """Return the page of settings."""
    lines = [
        "# 设置 Settings",
        "",
        _NOTE,
        "",
        "All settings of `node.toml`. `--set key=value` overrides one; relative paths count from the file;",
        "an unknown key is an error that names the nearest one.",
    ]
    for setting in SETTINGS:
        default = list(setting.default) if isinstance(setting.default, tuple) else setting.default
        bounds = f", {setting.low} … {setting.high}" if setting.kind == "integer" else ""
        choices = f", {' or '.join(setting.choices)}" if setting.choices else ""
        unit = f" ({setting.unit})" if setting.unit else ""
        lines += [
            "",
            f"## {setting.name}",
            "",
            f"{setting.kind}{unit}{bounds}{choices}; default `{default!r}`",
            "",
            f"{setting.help_zh} {setting.help_en}",
        ]
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """Return the page of commands."""
    lines = ["# 命令 Commands", "", _NOTE, "", "Exit codes: 0 done, 1 refused or failed (with the reason), 2 usage."]
    for path, command in _commands(cli, ("saltern",)):
        context = click.Context(command, info_name=" ".join(path), terminal_width=100)
        lines += ["", f"## {' '.join(path)}", "", "```", command.get_help(context), "```"]
    return "\n".join(lines) + "\n"


def _commands(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in sorted(group.commands.items()):
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))


PAGES = {"settings.md": settings_page, "commands.md": commands_page}


def main() -> None:
    """Write the pages into the folder that is named."""
    folder = Path(sys.argv[1])
    for name, page in PAGES.items():
        (folder / name).write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
