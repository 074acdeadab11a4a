"""The page in a real browser without a window: what is typed is written, and what the network does is shown.

Screenshots are left in $SCREENSHOTS, or in pytest's own folder.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")
pytest.importorskip("selenium", reason="selenium, of the extra dev, is not installed")

from selenium import webdriver
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from components.tasks import files
from components.tasks.catalogue import EXAMPLE_TASKS
from components.tasks.example_task import Spec
from pipeline.config import ModelConfig
from tests.components.exporter import exported
from tests.components.tasks import example_data
from tests.end_to_end.browser import Page, requests, serving, start

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None or DRIVER is None,
        reason="chromium and chromedriver are not installed (Debian: apt-get install chromium chromium-driver)",
    ),
]

KEY = "open sesame"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of two versions of a language model, served to who has the key."""
    base = tmp_path_factory.mktemp("playground")
    for number, model in enumerate((exported.full(base), exported.all_options(base)), 1):
        shutil.copytree(model.saved_model, base / "serving" / str(number))
    with serving(base / "serving", "tiny", "--api-key", KEY) as address:
        yield address


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    driver = start(CHROMIUM, DRIVER, tmp_path_factory.mktemp("profile"))
    try:
        yield driver
    finally:
        driver.quit()


def page_with_key(browser: webdriver.Chrome, address: str) -> Page:
    # A picture, which asks for nothing: the key is there before the page's first request.
    page = Page(browser, f"{address}/icon.svg")
    browser.execute_script(f"sessionStorage.setItem('api-key', '{KEY}')")
    page.logs()
    browser.get_log("performance")
    browser.get(address)
    page.see("#write")
    return page


@pytest.fixture
def page(browser: webdriver.Chrome, address: str) -> Iterator[Page]:
    """The page with its key; whatever a test does, no error is on the console and nobody else was asked."""
    page = page_with_key(browser, address)
    yield page
    assert page.logs() == []
    asked = {each["url"] for each in requests(browser) if not each["url"].startswith("data:")}
    assert len(asked) > 5
    assert [url for url in asked if not url.startswith(address + "/")] == []


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_page_without_the_key_asks_for_it(browser, address):
    page = Page(browser, address)
    browser.execute_script("sessionStorage.clear()")
    browser.refresh()
    for key, title in (("wrong", "This server asks for a key"), (KEY, "That key was not right")):
        page.until(lambda title=title: page["#key-title"].text == title and page["#key"].is_displayed())
        page["#key"].send_keys(key, Keys.ENTER)
    page.see("#write")
    assert page["#model-name"].text == "tiny"
    assert all("401" in message for message in page.logs())


def test_page_writes_and_shows_what_the_network_does(page, screenshots):
    page.write("ab", min_length=30, max_length=30, seed=5)
    text = page[".written"].get_attribute("textContent")
    assert text.startswith("ab")
    assert len(text) == 32
    assert page[".account"].text.startswith("seed 5 · 30 tokens · ")

    page.see("#inside")
    places = page.all("#text [data-place]")
    assert len(places) == 33
    assert len(page.all("#bars li")) >= 8
    shares = [float("0" + bar.text) if bar.text.startswith(".") else float(bar.text) for bar in page.all("#bars .p")]
    assert 0 < sum(shares) < 1.05
    size = page.driver.execute_script("const c = document.getElementById('heat'); return [c.width, c.height]")
    assert min(size) > 50
    assert len(page.all(".eigenvalue")) == 2 * exported.UNITS
    assert len(page.all("#flow polyline")) == 2
    assert "NaN" not in page["body"].text
    page.driver.save_screenshot(str(screenshots / "written.png"))


def test_page_same_seed_writes_the_same_text(page):
    texts = []
    for seed in (5, 6, 5):
        page.write("ab", min_length=30, max_length=30, seed=seed)
        texts.append(page[".written"].get_attribute("textContent"))
    assert texts[0] == texts[2] != texts[1]


def generate_bodies(browser: webdriver.Chrome) -> list[dict[str, Any]]:
    """Bodies of the texts that were asked for since the last call."""
    return [json.loads(each["postData"]) for each in requests(browser) if each["url"].endswith(":generate")]


def go_on(page: Page) -> str:
    """The whole text, once it is longer."""
    before = len(page[".written"].get_attribute("textContent"))
    page.until(lambda: page["#go-on"].is_enabled())
    page["#go-on"].click()
    page.until(lambda: page["#status"].text.startswith("Done"))
    text = page[".written"].get_attribute("textContent")
    assert len(text) > before
    return text


def test_page_goes_on_in_a_session_and_sends_nothing_again(browser, address):
    page = page_with_key(browser, address)
    page.write("ab", min_length=30, max_length=30, seed=5)
    first = page[".written"].get_attribute("textContent")
    texts = [go_on(page), go_on(page)]

    begun, *went_on = generate_bodies(browser)
    assert (begun["prompt"], [body["prompt"] for body in went_on]) == ("ab", ["", ""])
    assert {body["session"] for body in went_on} == {begun["session"]}
    assert texts[0].startswith(first)
    assert texts[1].startswith(texts[0])
    assert page["#prompt"].get_attribute("value") == texts[0]

    # Another text has a session of its own, and the same seed writes at once what was written in three pieces.
    page.write("ab", min_length=90, max_length=90, seed=5)
    assert page[".written"].get_attribute("textContent") == texts[1]
    (other,) = generate_bodies(browser)
    assert (other["prompt"], other["session"] != begun["session"]) == ("ab", True)
    assert closed(address, begun["session"]) == 404  # it was closed
    assert page.logs() == []


def closed(address: str, session: str) -> int:
    """Closes a session; the status of the answer."""
    request = urllib.request.Request(
        f"{address}/v1/models/tiny/sessions/{session}", method="DELETE", headers={"Authorization": f"Bearer {KEY}"}
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_page_goes_on_when_its_session_is_gone(browser, address):
    page = page_with_key(browser, address)
    page.write("ab", min_length=30, max_length=30, seed=5)
    first = page[".written"].get_attribute("textContent")
    (begun,) = generate_bodies(browser)
    assert closed(address, begun["session"]) == 204  # as after ten minutes

    text = go_on(page)

    refused, again = generate_bodies(browser)
    assert (refused["prompt"], again["prompt"]) == ("", first)
    assert text.startswith(first)
    assert not page["#notice"].is_displayed()
    assert all("404" in message for message in page.logs())
    go_on(page)
    assert [(body["prompt"], body["session"]) for body in generate_bodies(browser)] == [("", again["session"])]


def test_page_control_enter_writes(page):
    page.set(prompt="a", max_length=5)
    page["#prompt"].send_keys(Keys.CONTROL, Keys.ENTER)
    page.until(lambda: page["#status"].text.startswith("Done"))
    assert re.match(r"seed \d+ · ", page[".account"].text)


def test_page_stop_keeps_what_was_written(page):
    # A slow line, so that there is time to stop, however fast the machine is.
    line = {"offline": False, "latency": 0, "downloadThroughput": 10_000, "uploadThroughput": -1}
    page.set(prompt="ab", min_length=90_000, max_length=90_000)
    page.driver.execute_cdp_cmd("Network.enable", {})
    page.driver.execute_cdp_cmd("Network.emulateNetworkConditions", line)
    page["#go"].click()
    page.until(lambda: len(page[".fresh"].get_attribute("textContent")) > 100)
    page["#stop"].click()
    page.driver.execute_cdp_cmd("Network.emulateNetworkConditions", {**line, "downloadThroughput": -1})
    page.until(lambda: page["#status"].text.startswith("Stopped"))
    assert 100 < len(page[".fresh"].get_attribute("textContent")) < 90_000
    assert page[".account"].text.endswith("stopped")


def test_page_arrow_keys_move_through_the_text(page):
    page.look("ab\ncab")
    page["#text"].send_keys(Keys.HOME)
    assert page["#after"].text == "At the start comes"
    at_start = page["#bars"].text
    page["#text"].send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert page["#after"].text == "After ab comes"
    assert page["#bars"].text != at_start
    assert page["#bars .came .token"].text == "↵"
    page["#text"].send_keys(Keys.END)
    assert page["#text"].get_attribute("aria-activedescendant") == "place-6"
    assert page.all("#bars .came") == []


def test_page_picked_unit_colours_the_text(page, screenshots):
    page.look("abcabc\nabc")
    page["#heat"].click()
    assert page["[name=colouring][value=unit]"].is_selected()
    unit = page["#unit"].get_attribute("value")
    coloured = [span.value_of_css_property("background-color") for span in page.all("#text [data-place]")]
    assert len(set(coloured)) > 3
    page["#heat"].send_keys(Keys.ARROW_DOWN)
    assert page["#unit"].get_attribute("value") == str(int(unit) + 1)
    assert coloured != [span.value_of_css_property("background-color") for span in page.all("#text [data-place]")]
    Select(page["#follow"]).select_by_value("line breaks")
    assert "follows “line breaks” most closely here" in page["#unit-here"].text
    page.driver.save_screenshot(str(screenshots / "unit.png"))


def test_page_other_version_sees_the_text_otherwise(page):
    page.look("abc")
    assert "version 2" in page["#seen-by"].text
    before = page["#bars"].text
    page.choose("version", "1")
    page.until(lambda: "version 1" in page["#seen-by"].text)
    assert page["#bars"].text != before


def test_page_two_versions_write_side_by_side(page, screenshots):
    Select(page["#compare"]).select_by_value("1")
    page.write("ab", min_length=30, max_length=30)
    texts = [written.get_attribute("textContent") for written in page.all(".written")]
    seeds = [account.text.split(" · ")[0] for account in page.all(".account")]
    assert [heading.text for heading in page.all(".column h3")] == ["Version 2", "Version 1"]
    assert texts[0] != texts[1]
    assert seeds[0] == seeds[1]
    left, right = (column.rect for column in page.all(".column"))
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]
    page.driver.save_screenshot(str(screenshots / "compared.png"))


def test_page_request_as_python_writes_the_same_text(page, address):
    page.write('a"b', min_length=20, max_length=20)
    page["#copy-curl"].click()
    assert f"curl --no-buffer '{address}/v1/models/tiny/versions/2:generate'" in page["#snippet"].text
    page["#copy-python"].click()
    code = page["#snippet"].text
    assert KEY not in code
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "API_KEY": KEY, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    assert done.stdout.removesuffix("\n") == page[".written"].get_attribute("textContent")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 360)])
def test_page_fits_its_window(page, screenshots, scheme, width):
    command = page.driver.execute_cdp_cmd
    command("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    command("Emulation.setDeviceMetricsOverride", size)
    try:
        page.write("ab", min_length=200, max_length=200, seed=5)
        page.see("#inside")
        assert page.driver.execute_script("return document.documentElement.scrollWidth") <= width
        paper = page["body"].value_of_css_property("background-color")
        lightness = sum(map(int, re.findall(r"\d+", paper)[:3])) / 3
        assert (lightness > 200) == (scheme == "light")
        page.driver.get_screenshot_as_file(str(screenshots / f"{scheme}-{width}.png"))
    finally:
        command("Emulation.clearDeviceMetricsOverride", {})
        command("Emulation.setEmulatedMedia", {"features": []})


def test_page_tells_what_was_refused(browser, address):
    page = page_with_key(browser, address)
    page.set(max_length=1_000_000)
    page["#go"].click()
    assert "max_length must be at most" in page.see("#notice").text
    assert all("400" in message for message in page.logs())
    page.set(max_length=5)
    page["#go"].click()
    page.until(lambda: page["#status"].text.startswith("Done"))
    assert not page["#notice"].is_displayed()


def test_page_of_a_classifier_asks_its_signature(browser, tmp_path, screenshots):
    graph, _ = example_data.write(tmp_path, "classification")
    task = EXAMPLE_TASKS["classification"]
    model = task.build_for(ModelConfig(task=task.task, units=5, layers=1), Spec.read(graph), seed=1)
    files.save(model, tmp_path)
    exported.export(tmp_path, graph, tmp_path / "serving")
    with serving(tmp_path / "serving", "verdicts") as address:
        page = Page(browser, address)
        page.see("#ask")
        assert page["#signature"].text.strip() == "classify"
        assert not page["#write"].is_displayed()
        page["#inputs textarea"].send_keys("very up")
        page["#ask button"].click()
        answer = page.see("#answer dl").text
        page.driver.save_screenshot(str(screenshots / "classifier.png"))
        assert any(label in answer for label in example_data.LABELS)
        assert page.logs() == []
