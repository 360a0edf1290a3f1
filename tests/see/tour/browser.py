"""A headless Chromium that is spoken to over two pipes, in the DevTools protocol: no port, no library, no network."""

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_LONGEST = 60.0
"""Seconds that an answer may take."""
# The protocol's pipes are the file descriptors 3 (in) and 4 (out), and ours may be these numbers the other way round.
_MOVED = """
import fcntl, os, sys
pipes = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3]]
os.dup2(pipes[0], 3)
os.dup2(pipes[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """One page of a browser.

    Attributes:
        events: what the browser told of its own accord: console messages, requests, thrown errors.
    """

    def __init__(self, into: int, out_of: int) -> None:
        """Speak over the write end `into` and the read end `out_of`."""
        self.events: list[dict[str, Any]] = []
        self._into, self._out_of, self._rest, self._number, self._session = into, out_of, b"", 0, ""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and wait for its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._into, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def open(self, page: Path, *, width: int, height: int = 900, colour_scheme: str = "light") -> None:
        """Open a file in a window of some size, for somebody who prefers light or dark pages."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        preferred = [{"name": "prefers-color-scheme", "value": colour_scheme}]
        self.ask("Emulation.setEmulatedMedia", media="screen", features=preferred)
        self.events.clear()
        self.ask("Page.navigate", url=page.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def value(self, expression: str) -> Any:
        """What an expression of JavaScript gives on the page: a plain JSON value."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"]["value"]

    def complaints(self) -> list[dict[str, Any]]:
        """Console messages of any kind and thrown errors, since the page was opened."""
        kinds = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
        return [event for event in self.events if event.get("method") in kinds]

    def requested(self) -> list[str]:
        """The addresses asked for since the page was opened."""
        asked = [event for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in asked]

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + _LONGEST
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._out_of], [], [], max(0.0, deadline - time.monotonic()))
            part = os.read(self._out_of, 1 << 20) if ready else b""
            if not part:
                raise RuntimeError("the browser does not answer")
            self._rest += part
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)


@contextlib.contextmanager
def headless_browser(profile: Path) -> Iterator[Browser]:
    """Start a browser that reaches no network; its profile goes into an empty folder."""
    assert CHROMIUM is not None
    theirs_in, into = os.pipe()
    out_of, theirs_out = os.pipe()
    words = [
        *(sys.executable, "-c", _MOVED, str(theirs_in), str(theirs_out), CHROMIUM, "--headless"),
        *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"),
        *("--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={profile}", "--remote-debugging-pipe"),
    ]
    process = subprocess.Popen(  # noqa: S603
        words, pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        browser = Browser(into, out_of)
        yield browser
    finally:
        # It ends when its pipes close; a hung one is killed.
        os.close(into)
        os.close(out_of)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        if process.poll() is None:
            process.kill()
            process.wait()
