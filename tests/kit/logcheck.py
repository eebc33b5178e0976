"""The verifier that nobody here wrote: logcheck.go, over the Go checksum database's own code."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

MODULES = Path("/usr/share/gocode")
MISSING = "go and golang.org/x/mod are not installed (Debian: golang-go golang-golang-x-mod-dev)"


def build(folder: Path) -> Path | None:
    """Build the program; None where Go or its module is not installed."""
    go = shutil.which("go")
    if go is None or not (MODULES / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        return None
    program = folder / "logcheck"
    subprocess.run(
        [go, "build", "-o", program, Path(__file__).with_suffix(".go")], check=True,
        env={**os.environ, "GO111MODULE": "off", "GOPATH": str(MODULES), "GOCACHE": str(folder / "cache")},
    )  # fmt: skip
    return program


def accepts(program: Path, month: Path, vkey: Path, *checkpoint: Path) -> bool:
    """Whether the program accepts a month by a key, and an earlier checkpoint of it."""
    ended = subprocess.run([program, month, vkey, *checkpoint], capture_output=True, text=True, check=False)
    assert ended.returncode in (0, 1), ended.stderr
    return ended.returncode == 0
