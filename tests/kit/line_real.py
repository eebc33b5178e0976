"""A lot of a real node, as a packing line asks it: HTTPS, a token, and what the node knows afterwards."""

from __future__ import annotations

import http.client
import json
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.kit.line_shift import Shift
from tests.kit.node import Node, saltern


class RealLot:
    """A lot of a shift's size at a running node."""

    def __init__(self, node: Node, folder: Path, handle: str, shift: Shift) -> None:
        self.handle = handle
        self._node = node
        config = ("--config", str(node.config))
        saltern(
            "lot", "create", handle, "--product", f"{handle.partition('/')[0]}/SKU01", "--count", str(shift.units),
            "--units-per-case", str(shift.units_per_case), "--cases-per-pallet", str(shift.cases_per_pallet), *config,
        )  # fmt: skip
        issued = saltern(
            "token", "issue", "--role", "operator", "--holder", "L4", "--actor", "张经办", "--json", *config
        )
        self._secret = json.loads(issued.stdout)["secret"]
        folder.mkdir(parents=True, exist_ok=True)
        self._token_file = folder / "token"
        self._token_file.write_text(self._secret)
        self._token_file.chmod(0o600)
        self._ca = node.folder / "keys" / "tls.crt"

    @property
    def options(self) -> tuple[str, ...]:
        """The options of a command that asks this node."""
        url = f"https://127.0.0.1:{self._node.ready['https']}"
        return "--node", url, "--token-file", str(self._token_file), "--ca", str(self._ca)

    def state(self, every: int = 1) -> list[tuple[str, int | None]]:
        """Return state and index of the parent of every code, or of every so many. Cost: a request each."""
        context = ssl.create_default_context(cafile=str(self._ca))
        connection = http.client.HTTPSConnection("127.0.0.1", self._node.ready["https"], context=context, timeout=30)

        def ask(path: str) -> Any:
            connection.request("GET", path, headers={"Authorization": f"Bearer {self._secret}"})
            return json.loads(connection.getresponse().read())

        codes: list[str] = []
        while True:
            told = ask(f"/v1/lots/{quote(self.handle)}/codes?from={len(codes)}&count=10000")
            codes += [each["identifier"] for each in told["codes"]]
            if told["next"] is None:
                break
        indexes = {code: index for index, code in enumerate(codes)}
        units = [ask(f"/v1/units/{quote(code)}") for code in codes[::every]]
        connection.close()
        return [(unit["state"], indexes.get(unit["parent"])) for unit in units]
