"""The report of real runs in a real browser: whole, readable on a desk, a phone and paper, and alone with its file.

Screenshots are left in $SCREENSHOTS, or in pytest's own folder.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("selenium", reason="selenium, of the extra dev, is not installed")

from selenium import webdriver

from tests.components.report.test_report import FROM_ELSEWHERE, Checker
from tests.end_to_end.browser import requests, start
from tests.end_to_end.command_line import command, output, run_json

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
in_a_browser = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None,
    reason="chromium and chromedriver are not installed (Debian: apt-get install chromium chromium-driver)",
)
pytestmark = pytest.mark.slow

TEXT = "<script>alert(1)</script>"
HELLO = [
    "--config", "hello", "--set", "infra_validator.servers=false",
    "--set", f"example_gen.source=inline:{TEXT}", "--set", "transform.window_length=26",
    "--set", "trainer.epochs=120", "--set", "trainer.evaluate_every=30",
    "--set", "evaluator.thresholds.nats.upper=0.5",
]  # fmt: skip
ENDS = ("succeeded", "cached", "not_blessed", "failed", "refused")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """How a run can end → its summary."""
    root = ["--root", tmp_path_factory.mktemp("root")]
    return {
        "succeeded": run_json(*HELLO, *root),
        "cached": run_json(*HELLO, *root),
        "not_blessed": run_json(*HELLO, *root, "--set", "evaluator.thresholds.nats.upper=1e-9", code=3),
        "failed": run_json(*HELLO, *root, "--set", "trainer.optimizer.learning_rate=1e38", code=1),
        "refused": run_json(
            *HELLO, *root, "--set", "example_gen.source=inline:hello\a", "--set",
            "example_validator.invalid_characters.severity=stop", code=1,
        ),
    }  # fmt: skip


@pytest.fixture(scope="module")
def pages(runs: dict[str, dict[str, Any]]) -> dict[str, Checker]:
    return {end: Checker(Path(summary["report"]).read_text("utf-8")) for end, summary in runs.items()}


def test_report_is_where_the_run_says(runs: dict[str, dict[str, Any]]) -> None:
    paths = [Path(summary["report"]) for summary in runs.values()]
    assert [path.parts[-3:] for path in paths] == [("reports", str(n), "report.html") for n in range(1, len(runs) + 1)]
    listed = json.loads(command("runs", "--root", paths[0].parents[2], "--json").stdout)["runs"]
    assert [run["report"] for run in listed] == [str(path) for path in paths]


def test_report_of_a_run_tells_everything(runs: dict[str, dict[str, Any]], pages: dict[str, Checker]) -> None:
    text = pages["succeeded"].text
    metrics = runs["succeeded"]["metrics"]["eval"]
    for section in ("Stages", "Changes", "Data", "Training", "Model", "Samples", "Lineage", "Configuration"):
        assert section in text
    assert "documents 1 1 1" in text
    assert f"characters {len(TEXT)} {len(TEXT)} {len(TEXT)}" in text
    assert "No anomalies" in text
    assert "What the measures say Layer 1: influence on the loss" in text
    assert f"nats {metrics['nats']:#.4g}" in text
    assert f"{metrics['baselines']['unigram']['bits_per_char']:#.4g}" in text
    measured = json.loads(
        (output(runs["succeeded"], "infra_validator", "infra_blessing") / "measured.json").read_text()
    )
    assert f"took {measured['latency_ms']:.1f} ms, and the process had {measured['memory_mb']:.0f} MB" in text
    for temperature in (0.5, 0.8, 1.0):
        assert f"temperature {temperature}" in text
    assert f"{len(TEXT)} of {len(TEXT)} characters copied at a stretch {TEXT}" in text  # it has learnt it by heart
    assert "trainer ran" in text


@pytest.mark.parametrize("end", ENDS)
def test_report_asks_for_nothing_and_holds_no_script(runs: dict[str, dict[str, Any]], pages: Any, end: str) -> None:
    path = Path(runs[end]["report"])
    assert FROM_ELSEWHERE.search(path.read_text("utf-8")) is None
    assert not pages[end].tags & {"script", "link", "iframe", "object"}
    for link in pages[end].links:
        assert link.startswith("#") or (path.parent / link).exists(), link


def test_report_tells_how_a_run_ended(runs: dict[str, dict[str, Any]], pages: dict[str, Checker]) -> None:
    assert pages["cached"].text.count("unchanged since run 1") == 10
    (reason,) = runs["not_blessed"]["reasons"]
    assert f"Not blessed, nothing pushed {reason}" in pages["not_blessed"].text
    assert "evaluator.thresholds.nats.upper 0.5 → 1e-09" in pages["not_blessed"].text
    assert "trainer failed" in pages["failed"].text
    assert " ".join(runs["failed"]["error"].split()) in pages["failed"].text
    assert "Its log" in pages["failed"].text
    assert "example_validator stopped the run" in pages["refused"].text
    assert "U+0007" in pages["refused"].text


# ---- In a browser ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    driver = start(CHROMIUM, DRIVER, tmp_path_factory.mktemp("profile"))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def look(browser: webdriver.Chrome, address: str, width: int, scheme: str) -> bytes:
    """Opens a page that is so wide, in light or dark colours, and returns a picture of all of it."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", features)
    browser.get(address)
    height = browser.execute_script("return document.documentElement.scrollHeight")
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    return base64.b64decode(shot["data"])


@in_a_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("end", ENDS)
def test_report_fits_in_both_colours(
    runs: Any, browser: webdriver.Chrome, screenshots: Path, end: str, width: int, scheme: str
) -> None:
    address = Path(runs[end]["report"]).as_uri()
    browser.get_log("browser"), browser.get_log("performance")
    picture = look(browser, address, width, scheme)
    (screenshots / f"report-{end}-{width}-{scheme}.png").write_bytes(picture)

    assert browser.execute_script("return document.documentElement.scrollWidth") == width
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    assert browser.get_log("browser") == []
    asked = {request["url"] for request in requests(browser)}
    assert address in asked
    assert not any(url.startswith(("http", "ws")) for url in asked)  # what a new tab shows is in the browser


@in_a_browser
def test_report_prints_light_and_whole(runs: Any, browser: webdriver.Chrome, screenshots: Path) -> None:
    look(browser, Path(runs["succeeded"]["report"]).as_uri(), 794, "dark")
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})["data"])
    (screenshots / "report.pdf").write_bytes(pdf)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        paper = browser.execute_script("return getComputedStyle(document.documentElement).getPropertyValue('--paper')")
        assert paper == "#fff"
        assert browser.execute_script("return document.documentElement.scrollWidth") == 794
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert pdf.startswith(b"%PDF")
