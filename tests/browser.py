"""A page in a real browser: Chromium without a window, over its own debugging protocol."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--remote-debugging-pipe", "about:blank",
)  # fmt: skip
LIMIT = 60.0
"""Seconds for anything to happen."""


class Page:
    """One tab. complaints: everything that went to its console, and every exception."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers, self._rest, self._number, self._session = commands, answers, b"", 0, ""
        self.complaints: list[str] = []

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol, and its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self._note(answer)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            content = os.read(self._answers, 1 << 16)
            assert content, "the browser ended"
            self._rest += content
        text, _, self._rest = self._rest.partition(b"\0")
        return json.loads(text)

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.complaints.append(json.dumps(event["params"])[:500])

    def attach(self) -> None:
        """To the tab that is open."""
        tab = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=tab["targetId"], flatten=True)["sessionId"]
        for domain in ("Runtime", "Log", "Page"):
            self.call(f"{domain}.enable")

    def open(self, address: str, width: int = 1280, height: int = 900) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.call("Page.navigate", url=address)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def value(self, expression: str) -> Any:
        """Of a JavaScript expression."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def wait(self, expression: str) -> None:
        """Until it is true. Raises AssertionError that names it after LIMIT seconds."""
        end = time.monotonic() + LIMIT
        while not self.value(expression):
            assert time.monotonic() < end, f"never true: {expression}; console: {self.complaints}"
            time.sleep(0.05)


@contextmanager
def page() -> Iterator[Page]:
    """A browser of its own with an empty tab."""
    assert PROGRAM
    to_read, to_write = os.pipe()
    back_read, back_write = os.pipe()
    # The protocol wants descriptors 3 and 4; a shell can place them wherever the pipes are
    line = f'exec "$0" "$@" 3<&{to_read} 4>&{back_write}'
    with tempfile.TemporaryDirectory() as profile:
        command = ["bash", "-c", line, PROGRAM, f"--user-data-dir={Path(profile) / 'profile'}", *_OPTIONS]
        with subprocess.Popen(
            command, pass_fds=(to_read, back_write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            os.close(to_read)
            os.close(back_write)
            try:
                tab = Page(to_write, back_read)
                tab.attach()
                yield tab
                tab._session = ""
                tab.call("Browser.close")
                process.wait(LIMIT)
            finally:
                process.kill()
                os.close(to_write)
                os.close(back_read)
