"""A page of the manual, followed to the letter: its files are written, its commands are typed.

- A block whose language is followed by a name (```json enterprise.json) is a file; it is written
  where the commands stand at that point.
- In a ```console block a line that begins with "$ " is a command, "> " goes on with it, and all
  else is what it prints. "…" is any text within a line; a line of it alone is any number of lines.
- A command ends with 0, unless the next one is `echo $?`, which shows what it ended with.
- `saltern serve` is the first terminal: it goes on in the background, on free ports. Where the
  page names the usual ports, the commands get those of this node.

Blocks of any other kind are for the reader alone. Where a page has to say something else from now
on, `python -m tests.kit.tutorial PAGE` types its commands and writes down what they print.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

from core.settings import BY_NAME

ROOT = Path(__file__).parent.parent.parent
FRONTS = ("http", "https", "handle", "management")
_FENCE = re.compile(r"^```(\S+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_STATUS = "echo $?"
_SERVE = "saltern serve"


class File(NamedTuple):
    """A file that the page asks for."""

    name: str
    content: str


class Step(NamedTuple):
    """A command, what the page says that it prints, and where the page says so."""

    command: str
    printed: str
    line: int


def steps(page: str) -> Iterator[File | Step]:
    """Yield what a reader does, in its order."""
    for block in _FENCE.finditer(page):
        language, name, content = block.groups()
        if language == "console":
            yield from _commands(content, page.count("\n", 0, block.start(3)) + 1)
        elif name:
            yield File(name, content)


def _commands(block: str, first: int) -> Iterator[Step]:
    command, printed, at = "", "", first
    for number, line in enumerate(block.splitlines(keepends=True), first):
        if line.startswith("$ "):
            if command:
                yield Step(command, printed, at)
            command, printed, at = line[2:-1], "", number
        elif line.startswith("> ") and command and not printed:
            command += "\n" + line[2:-1]
        else:
            printed += line
    if command:
        yield Step(command, printed, at)


def agrees(printed: str, expected: str) -> bool:
    """Whether what was printed is what the page says."""
    pattern = ""
    for line in expected.splitlines(keepends=True):
        if line == "…\n":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += "[^\n]*?".join(map(re.escape, line.split("…")))
    return re.fullmatch(pattern, printed) is not None


class Reader:
    """Somebody who types what a page says, in a folder of his own; `with` ends what he started."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports: dict[str, str] = {}
        tools = folder / ".tools"
        tools.mkdir()
        saltern = tools / "saltern"
        saltern.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m node.cli.main "$@"\n')
        saltern.chmod(0o755)
        self._work = folder / "work"
        self._work.mkdir()
        environment = os.environ | {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
        }
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"], cwd=self._work, env=environment, text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        try:
            self._type("kill $(jobs -p) 2>/dev/null; wait")
        finally:
            self._shell.stdin.close()
            self._shell.stdout.close()
            try:
                self._shell.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(self._shell.pid, signal.SIGKILL)

    def follow(self, page: str) -> None:
        """Do all that the page says. Errors: AssertionError at the first command that ends or prints otherwise."""
        todo = list(steps(page))
        for each, after in zip(todo, [*todo[1:], None], strict=True):
            if isinstance(each, File):
                self.write(each)
                continue
            status, printed = self.type(each.command)
            told = f"line {each.line}: $ {each.command}\nended with {status} and printed:\n{printed}"
            if not (isinstance(after, Step) and after.command == _STATUS):
                assert status == 0, told
            assert agrees(printed, each.printed), f"{told}\nthe page says:\n{each.printed}"

    def type(self, command: str) -> tuple[int, str]:
        """Type one command; return its exit code and what it printed."""
        if command.startswith(_SERVE):
            return 0, self._serve(command)
        for usual, ours in self._ports.items():
            command = command.replace(f"127.0.0.1:{usual}", f"127.0.0.1:{ours}")
        status, printed = self._type(command)
        for usual, ours in self._ports.items():
            printed = printed.replace(f"127.0.0.1:{ours}", f"127.0.0.1:{usual}")
        return status, printed

    def _type(self, command: str) -> tuple[int, str]:
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        mark = f"done:{os.urandom(8).hex()}:"
        self._shell.stdin.write(f"{{ {command}\n}} </dev/null\nstatus=$?; echo {mark}$status; (exit $status)\n")
        self._shell.stdin.flush()
        printed = ""
        for line in self._shell.stdout:
            text, found, status = line.partition(mark)
            printed += text
            if found:
                return int(status), printed
        raise AssertionError(f"the shell ended at {command!r}: {printed}")

    def _serve(self, command: str) -> str:
        """Start the node; return its first line, with the usual ports."""
        options = " ".join(f"--set {front}.port=0" for front in FRONTS)
        ready, log = self._folder / "ready", self._folder / "node.log"
        ready.unlink(missing_ok=True)
        os.mkfifo(ready)
        _, line = self._type(f"{command} {options} >{ready} 2>>{log} & head -n 1 {ready}")
        assert line, f"the node did not start:\n{log.read_text()}"
        ports = json.loads(line)
        for front in FRONTS:
            usual = str(BY_NAME[f"{front}.port"].default)
            self._ports[usual] = str(ports[front])
            line = line.replace(f'"{front}": {ports[front]}', f'"{front}": {usual}')
        return line

    def write(self, file: File) -> None:
        """Write a file of the page."""
        _, here = self._type("pwd")
        (Path(here.strip()) / file.name).write_text(file.content, "utf-8")


def renewed(page: str, folder: Path) -> str:
    """Return the page with what its commands print now, where that is not what it says. "…" is for the author."""
    lines: list[str | None] = [*page.splitlines(keepends=True)]
    with Reader(folder) as reader:
        for each in steps(page):
            if isinstance(each, File):
                reader.write(each)
                continue
            _, printed = reader.type(each.command)
            if not agrees(printed, each.printed):
                start = each.line + each.command.count("\n")
                lines[start : start + each.printed.count("\n")] = [None] * each.printed.count("\n")
                lines[start - 1] = f"{lines[start - 1]}{printed}"
    return "".join(line for line in lines if line is not None)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as made:
        path.write_text(renewed(path.read_text("utf-8"), Path(made)), "utf-8")
