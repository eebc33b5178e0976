"""Commands that are imported when they are asked for: none waits for the modules of the others."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, MutableMapping
from typing import NamedTuple

import click


class Place(NamedTuple):
    """Where a command is. ``inner``: further commands that a group gets, module and name each."""

    module: str
    name: str
    inner: tuple[tuple[str, str], ...] = ()

    def load(self) -> click.Command:
        """Import it."""
        command = _found(self.module, self.name)
        if isinstance(command, click.Group):
            for module, name in self.inner:
                command.add_command(_found(module, name))
        return command


def _found(module: str, name: str) -> click.Command:
    command: click.Command = getattr(importlib.import_module(f"node.cli.{module}"), name)
    return command


class Later(MutableMapping[str, click.Command]):
    """The commands of a group by name: those that are there, and those of ``places``, imported when they are got."""

    def __init__(self, commands: Mapping[str, click.Command], places: Mapping[str, Place]) -> None:
        self._commands: dict[str, click.Command | Place] = {**commands, **places}

    def __getitem__(self, name: str) -> click.Command:
        found = self._commands[name]
        if isinstance(found, Place):
            found = self._commands[name] = found.load()
        return found

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._commands[name] = command

    def __delitem__(self, name: str) -> None:
        del self._commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._commands)

    def __len__(self) -> int:
        return len(self._commands)
