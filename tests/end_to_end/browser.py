"""A server in a process of its own, and a browser without a window that looks at its page."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

from tests.end_to_end.command_line import REPOSITORY

SECONDS = 60
# No window, no sandbox for root in a container, and nothing of what a browser asks its maker for.
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
]


@contextlib.contextmanager
def serving(model: Path, name: str, *options: str) -> Iterator[str]:
    """The address of a server in a process of its own."""
    line = ["serve", "--model", model, "--name", name, "--port", "0", "--grpc-port", "0", *options]
    with model.with_name("log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, REPOSITORY / "run_pipeline.py", *line],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert server.stdout is not None
    try:
        said = ""
        while not said.endswith("\n") or "\nready" not in said:
            said_now = server.stdout.readline()
            assert said_now, said + model.with_name("log").read_text()  # it ended
            said += said_now
        found = re.search(r"http://[\d.]+:\d+", said)
        assert found is not None, said
        yield found[0]
    finally:
        server.terminate()
        server.wait(SECONDS)
        server.stdout.close()


def start(chromium: str | None, driver: str | None, profile: Path) -> webdriver.Chrome:
    """A browser that notes what is on its console and what it asks for."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(chromium)
    for flag in [*FLAGS, "--window-size=1280,900", f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options, Service(driver))


class Page:
    """The page as somebody sees and uses it."""

    def __init__(self, driver: webdriver.Chrome, address: str) -> None:
        self.driver = driver
        driver.get(address)

    def __getitem__(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def all(self, selector: str) -> list[Any]:
        return self.driver.find_elements("css selector", selector)

    def until(self, condition: Any) -> Any:
        return WebDriverWait(self.driver, SECONDS).until(lambda _: condition())

    def see(self, selector: str) -> Any:
        """Waits until it is shown."""
        return self.until(lambda: next((found for found in self.all(selector) if found.is_displayed()), None))

    def set(self, **controls: Any) -> None:
        for name, value in controls.items():
            self[f"#{name}"].clear()
            self[f"#{name}"].send_keys(str(value))

    def write(self, prompt: str, **controls: Any) -> None:
        self.set(prompt=prompt, **controls)
        self["#go"].click()
        self.until(lambda: self["#status"].text.startswith("Done"))

    def choose(self, name: str, value: str) -> None:
        """Clicks one of a group of radio buttons, by its label."""
        self[f"label:has([name={name}][value='{value}'])"].click()

    def look(self, prompt: str) -> None:
        self.set(prompt=prompt)
        self["#look-at-prompt"].click()
        self.until(lambda: len(self.all("#text [data-place]")) == len(prompt) + 1)

    def logs(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]


def requests(browser: webdriver.Chrome) -> Iterator[dict[str, Any]]:
    """What was asked for since the last call: `url`, `method`, and `postData` where there is a body."""
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            yield message["params"]["request"]
