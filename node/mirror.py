"""The process that keeps the mirror of the resolution log up to date; and how the keeper starts it.

``python -m node.mirror --config node.toml``: one run, at the lowest priority. It takes what the log holds beyond the
mirror, and joins the files of hours that are over. Run it every few minutes: MIRROR_EVERY_S. Two never run at once: the
second one ends at once, with exit code 0. Nothing is lost when it is killed at any time, or never runs. It opens no
store and needs no key.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from audit.mirror import bring_up_to_date
from core import clock
from core.config import Config, load
from core.errors import NodeError
from node.log_reading import comparison

_LOG: Final = logging.getLogger("saltern.mirror")
_NICE: Final = 19
_LOCK: Final = ".lock"


def mirror_command(config: Config) -> list[str]:
    """Return the command of one run, for the keeper to start every MIRROR_EVERY_S. It inherits no ``--set``."""
    overrides = [f"node.data={config.data.resolve()}", f"handle.case_sensitive={_flag(config)}"]
    options = [part for each in overrides for part in ("--set", each)]
    return [sys.executable, "-m", "node.mirror", "--config", str(config.path), *options]


def make_mirror(config: Config, *, rebuild: bool = False) -> int | None:
    """Bring the mirror up to date, from nothing where it is to be rebuilt; return how many files were made.

    None: another process is at it. Errors: LogReadError, OSError, duckdb.Error.
    """
    mirror = config.data / "mirror"
    mirror.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(mirror) as alone:
        if not alone:
            return None
        if rebuild:
            for each in mirror.iterdir():
                if each.is_dir():
                    shutil.rmtree(each)
        return bring_up_to_date(config.data / "log", mirror, comparison(config), clock.now_ms())


@contextmanager
def _locked(mirror: Path) -> Iterator[bool]:
    descriptor = os.open(mirror / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield _lock(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _flag(config: Config) -> str:
    return "true" if config.flag("handle.case_sensitive") else "false"


@click.command()
@click.option("--config", "config_file", required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--set", "overrides", multiple=True)
def main(config_file: Path, overrides: tuple[str, ...]) -> None:
    """Make one run."""
    import duckdb

    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    os.nice(_NICE)
    try:
        make_mirror(load(config_file, overrides))
    except NodeError as error:
        _LOG.error("%s", error.message)
        raise SystemExit(1) from None
    except (OSError, duckdb.Error) as error:
        _LOG.error("the mirror cannot be written: %s", error)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
