"""A real browser for tests: Debian's chromium without a window, driven by the DevTools protocol.

Pages are read, typed into and clicked as a person would, so that it works with scripting switched off.
The browser speaks to loopback alone. Source: https://chromedevtools.github.io/devtools-protocol/.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
import pytest

PROGRAM: Final = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PHONE: Final = (360, 780)
DESKTOP: Final = (1_280, 800)
needs_chromium = pytest.mark.skipif(PROGRAM is None, reason="no chromium is installed: apt-get install chromium")
_WAIT_S: Final = 60.0
_MESSAGE_BYTES_MAX: Final = 67_108_864  # a screenshot is one message
_OPTIONS: Final = (
    "--headless=new", "--remote-debugging-port=0", "--hide-scrollbars", "--disable-gpu", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--disable-default-apps", "--disable-breakpad", "--disable-crash-reporter", "--no-first-run", "--no-pings",
    "--no-default-browser-check", "--metrics-recording-only", "--password-store=basic", "--use-mock-keychain",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1", "--proxy-server=direct://",
)  # fmt: skip


class Chromium:
    """A browser; ``with`` ends it. ``folder`` is a new one, for its profile."""

    def __init__(self, folder: Path) -> None:
        assert PROGRAM is not None
        self._loop = asyncio.new_event_loop()
        self._numbers = itertools.count(1)
        self._messages: list[dict[str, Any]] = []
        options = [*_OPTIONS, f"--user-data-dir={folder}", *(["--no-sandbox"] if os.getuid() == 0 else [])]
        folder.mkdir(parents=True)
        with (folder / "chromium.log").open("wb") as log:
            self._process = subprocess.Popen(
                [PROGRAM, *options, "about:blank"], stdout=log, stderr=log, start_new_session=True,
                env=os.environ | {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_CACHE_HOME": str(folder)},
            )  # fmt: skip
        try:
            self._loop.run_until_complete(self._connect(folder))
        except BaseException:
            self._end()
            raise

    async def _connect(self, folder: Path) -> None:
        """Wait for the port that it tells in its profile, and open the one connection to it."""
        told = folder / "DevToolsActivePort"
        until = time.monotonic() + _WAIT_S
        while not (told.exists() and told.read_text().count("\n") >= 1):
            if self._process.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"chromium did not start:\n{(folder / 'chromium.log').read_text()}")
            await asyncio.sleep(0.02)
        port, path = told.read_text().split()
        self._session = aiohttp.ClientSession()
        self._socket = await self._session.ws_connect(
            f"ws://127.0.0.1:{port}{path}", max_msg_size=_MESSAGE_BYTES_MAX, autoping=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(Exception):
            self.call("Browser.close")
        with contextlib.suppress(Exception):
            self._loop.run_until_complete(self._session.close())
        self._end()

    def _end(self) -> None:
        """End the process and its children: the group has the id of the process that was started."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=5)
        self._loop.close()

    def tab(self, size: tuple[int, int] = DESKTOP, *, scripting: bool = True, dark: bool = False) -> Tab:
        """Open a page of this size in CSS pixels."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return Tab(self, session, size, scripting=scripting, dark=dark)

    # --- the protocol
    def call(self, method: str, session: str = "", **parameters: Any) -> Any:
        """Make a call; return its result. What comes meanwhile is kept. Errors: AssertionError as the browser says."""
        return self._loop.run_until_complete(self._call(method, session, parameters))

    async def _call(self, method: str, session: str, parameters: dict[str, Any]) -> Any:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        await self._socket.send_json(message | ({"sessionId": session} if session else {}))
        while True:
            answer = await self._receive()
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self._messages.append(answer)

    async def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self._socket.receive_str(timeout=_WAIT_S))
        return message

    def wait(self, method: str, session: str) -> dict[str, Any]:
        """Return the next event of a kind; it is taken out of those that are kept."""
        while True:
            for at, message in enumerate(self._messages):
                if (message.get("method"), message.get("sessionId")) == (method, session):
                    del self._messages[at]
                    found: dict[str, Any] = message["params"]
                    return found
            self._messages.append(self._loop.run_until_complete(self._receive()))

    def events(self, session: str) -> list[tuple[str, dict[str, Any]]]:
        """Return what came of a page and was not waited for."""
        return [(each["method"], each["params"]) for each in self._messages if each.get("sessionId") == session]


class Tab:
    """A page."""

    def __init__(
        self, browser: Chromium, session: str, size: tuple[int, int], *, scripting: bool, dark: bool
    ) -> None:  # fmt: skip
        self._browser = browser
        self._session = session
        for domain in ("Page", "Runtime", "Log", "Network", "DOM", "Audits"):
            self._call(f"{domain}.enable")
        width, height = size
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
            mobile=size == PHONE,
        )  # fmt: skip
        self._call("Emulation.setScriptExecutionDisabled", value=not scripting)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])

    def _call(self, method: str, **parameters: Any) -> Any:
        return self._browser.call(method, self._session, **parameters)

    def open(self, url: str) -> None:
        """Go to an address and wait until it is there."""
        answer = self._call("Page.navigate", url=url)
        assert not answer.get("errorText"), answer
        self.loaded()

    def loaded(self) -> None:
        """Wait for the end of a navigation: after ``open`` (which waits by itself), a click that leads elsewhere."""
        self._browser.wait("Page.loadEventFired", self._session)

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression; a page's policy and its lack of scripting do not matter for it."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    @property
    def address(self) -> str:
        """Where it is now."""
        history = self._call("Page.getNavigationHistory")
        return str(history["entries"][history["currentIndex"]]["url"])

    @property
    def text(self) -> str:
        """What a person reads."""
        return str(self.evaluate("document.body.innerText"))

    @property
    def overflow(self) -> int:
        """How many CSS pixels of the page lie beyond the right edge: whoever reads has to scroll sideways."""
        return int(self.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    @property
    def problems(self) -> list[str]:
        """What the browser complained of: errors, and all that a policy refused; a 404 is no complaint."""
        found = []
        for method, parameters in self._browser.events(self._session):
            if method == "Log.entryAdded" and parameters["entry"]["source"] != "network":
                found.append(f"{parameters['entry']['level']}: {parameters['entry']['text']}")
            elif method in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Audits.issueAdded"):
                found.append(f"{method}: {json.dumps(parameters)}")
        return found

    @property
    def requests(self) -> list[str]:
        """Every address that was asked for."""
        events = self._browser.events(self._session)
        return [each["request"]["url"] for method, each in events if method == "Network.requestWillBeSent"]

    # --- what a person does
    def _node(self, selector: str) -> int:
        root = self._call("DOM.getDocument")["root"]["nodeId"]
        found = int(self._call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"])
        assert found, f"no {selector} on {self.address}"
        return found

    def fill(self, selector: str, text: str) -> None:
        """Type into a field."""
        self._call("DOM.focus", nodeId=self._node(selector))
        self._call("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """Press the mouse in the middle of an element."""
        node = self._node(selector)
        self._call("DOM.scrollIntoViewIfNeeded", nodeId=node)
        quad = self._call("DOM.getBoxModel", nodeId=node)["model"]["content"]
        x, y = sum(quad[0::2]) / 4, sum(quad[1::2]) / 4
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def screenshot(self, file: Path) -> None:
        """Write a PNG of the whole page."""
        shot = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(shot["data"]))
