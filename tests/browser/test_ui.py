"""`curate ui` in headless Chromium: no console errors, places, filters, sliders, SQL, and data that stays text.

The server is the program itself, in a process of its own. Screenshots in both themes and at the width of a phone are
left in build/screenshots, for a person to look at.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest

from manifests.stage_files import StageFiles
from manifests.storage import Storage
from manifests.tables import read_table
from pipelines.asking.lock import locked_recipe
from pipelines.demo.web import render
from pipelines.loading import load_recipe
from pipelines.running import Settings, run
from pipelines.ui.frame import PLACES
from pipelines.ui.recount import recount
from tests.browser.screens import SCREENSHOTS, show_as

EVIL = "http://evil.example/<script>document.title='taken'</script><img src=x onerror=alert(1)>"

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small demo run, one of whose pages has a URL, and a text, that are scripts."""
    place = tmp_path_factory.mktemp("ui")
    render(place / "web", n_pages=400)
    out = place / "run"
    run(load_recipe("demo", [f"web={place / 'web'}"]), str(out), Settings(engine="inline"))
    files = StageFiles(Storage(str(out)))
    path = files.path(next(f for f in files.of("extract", "documents") if f.task.startswith("crawl/") and f.n_rows))
    rows = pq.read_table(path).to_pylist()
    rows[0] |= {"url": EVIL, "text": f"{EVIL} </pre></div><script>document.title='taken'</script>"}
    pq.write_table(type(pq.read_table(path)).from_pylist(rows, pq.read_schema(path)), path)
    return out


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """What `curate ui` prints."""
    server = subprocess.Popen([sys.executable, "-m", "curate", "ui", str(folder)], stdout=subprocess.PIPE, text=True,
                              env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert server.stdout is not None
    yield server.stdout.readline().strip()
    server.terminate()
    assert server.wait(20) == 0


@pytest.fixture
def show(driver: Any, address: str) -> Callable[[str], None]:
    """Opens a path of the server, with the cookie that the printed address gave."""
    driver.get(address)
    base = "{0.scheme}://{0.netloc}".format(urlsplit(address))

    def open_path(path: str) -> None:
        driver.get(base + path)
        until = time.monotonic() + 10  # a page of the cache is given before its style sheet is
        while driver.execute_script("return document.readyState") != "complete" and time.monotonic() < until:
            time.sleep(0.02)

    return open_path


def the_evil_one(folder: Path) -> str:
    files = StageFiles(Storage(str(folder)))
    for file in files.of("extract", "documents"):
        table = read_table(files.path(file), ["doc_id", "url"])
        for row in table.to_pylist():
            if row["url"] == EVIL:
                return str(row["doc_id"].hex())
    raise AssertionError("it was planted")


def await_text(driver: Any, selector: str, differs_from: str) -> str:
    """The text of an element, once it is another one."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        text = str(driver.find_element("css selector", selector).text)
        if text != differs_from:
            return text
        time.sleep(0.1)
    raise AssertionError(f"{selector} still says {differs_from}")


def send(driver: Any, form: str) -> None:
    """Press the button of a form, and wait for the page that it leads to."""
    driver.execute_script("window.before = true")
    driver.find_element("css selector", f"{form} button").click()
    end = time.monotonic() + 30
    while driver.execute_script("return window.before || document.readyState !== 'complete'"):
        assert time.monotonic() < end, "the form leads nowhere"
        time.sleep(0.1)


def test_the_token_leaves_the_address(driver: Any, address: str) -> None:
    driver.get(address)
    assert "token" not in driver.current_url
    assert driver.execute_script("return document.cookie") == ""  # no script reads it
    assert [a.text for a in driver.find_elements("css selector", "nav.places a")] == [name for _, name in PLACES]
    driver.get_log("browser")
    driver.delete_all_cookies()
    driver.refresh()
    assert "it holds a token" in driver.page_source
    driver.get_log("browser")  # the refusal


@pytest.mark.parametrize(("theme", "width"), [("light", 1100), ("dark", 1100), ("light", 390), ("dark", 390)])
def test_every_place_fits_every_screen_without_a_complaint(driver: Any, show: Callable[[str], None], folder: Path,
                                                           theme: str, width: int) -> None:
    show_as(driver, theme, width)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    paths = {**{name.lower().replace(" ", "-"): path for path, name in PLACES},
             "document": f"/document/{the_evil_one(folder)}", "packed-row": "/row?shard=train/000000&row=1&position=9",
             "answer": "/sql?q=SELECT+reason,+count(*)+AS+n+FROM+%22select%22+GROUP+BY+reason"}
    for name, path in paths.items():
        show(path)
        assert driver.execute_script("return document.documentElement.scrollWidth") <= width, path
        assert driver.get_log("browser") == [], path
        driver.save_screenshot(str(SCREENSHOTS / f"ui-{name}-{theme}-{width}.png"))


def test_sections_are_all_there(driver: Any, show: Callable[[str], None], folder: Path) -> None:
    ids = "return [...document.querySelectorAll('section')].map(s => s.id)"
    show("/")
    assert driver.execute_script(ids) == ["alarms", "graph", "funnel", "more"]
    assert driver.find_elements("css selector", "#graph svg a")
    show("/report")
    assert len(driver.execute_script(ids)) == 13
    show(f"/document/{the_evil_one(folder)}")
    assert driver.execute_script(ids) == ["decisions", "rules", "text", "duplicates", "tokens", "archived"]


def test_filters_narrow_the_table(driver: Any, show: Callable[[str], None]) -> None:
    show("/documents")
    driver.find_element("css selector", "select[name=fate] option[value='select: pareto']").click()
    driver.find_element("css selector", "input[name=language]").send_keys("en")
    send(driver, "form.conditions")
    fates = [cell.text for cell in driver.find_elements("css selector", "#documents td:nth-child(2)")]
    assert fates
    assert set(fates) == {"select: pareto"}
    driver.find_element("css selector", "input[name=url]").send_keys("no-url-holds-this")
    send(driver, "form.conditions")
    assert "No document fits" in driver.find_element("tag name", "main").text


def test_what_data_says_stays_text(driver: Any, show: Callable[[str], None], folder: Path) -> None:
    for path in ("/documents?url=evil.example", "/documents?text=taken", f"/document/{the_evil_one(folder)}",
                 f"/document/{the_evil_one(folder)}/archived", "/find?q=%3Cscript%3Ealert(1)%3C/script%3E",
                 "/documents?source=%22%3E%3Cscript%3Ealert(1)%3C/script%3E", "/sql?q=%3C/textarea%3E%3Cscript%3E",
                 "/sql?q=SELECT+%27%3Cscript%3Ealert(1)%3C/script%3E%27+AS+%22%3Cscript%3E%22"):
        show(path)
        assert driver.title != "taken", path
        assert driver.execute_script("return document.scripts.length") == 2, path
        assert driver.execute_script("return document.images.length") == 0, path
    show(f"/document/{the_evil_one(folder)}")
    assert EVIL in driver.find_element("tag name", "h1").text
    assert "<script>document.title='taken'</script>" in driver.find_element("id", "text").text
    show("/sql?q=SELECT+%27%3Cscript%3Ealert(1)%3C/script%3E%27+AS+x")
    assert driver.find_element("css selector", "tbody td").text == "<script>alert(1)</script>"


def test_no_script_but_its_own_runs(driver: Any, show: Callable[[str], None]) -> None:
    """What escaping should miss, the policy stops."""
    show("/")
    driver.execute_script("const s = document.createElement('script'); s.textContent = \"document.title = 'taken'\";"
                          "document.body.append(s);")
    assert driver.title != "taken"
    assert any("Content Security Policy" in entry["message"] for entry in driver.get_log("browser"))


def test_a_slider_recounts(driver: Any, show: Callable[[str], None], folder: Path) -> None:
    files = StageFiles(Storage(str(folder)))
    rules = recount(files, locked_recipe(files.storage), {}).rules
    number = next(i for i, rule in enumerate(rules) if rule.rule.reason == "gopher_too_few_words")
    show("/thresholds")
    before = driver.find_element("css selector", "[data-count=kept]").text
    driver.execute_script(
        "const s = document.querySelector(`input[data-for=rule-${arguments[0]}]`); s.value = 200;"
        "s.dispatchEvent(new Event('input', { bubbles: true }));", number)
    after = await_text(driver, "[data-count=kept]", before)
    value = float(driver.find_element("css selector", f"input[name=rule-{number}]").get_attribute("value"))
    counted = recount(files, locked_recipe(files.storage), {number: value})
    assert int(after.replace(",", "")) == counted.kept[1] < counted.kept[0]
    assert driver.find_element("css selector", "[data-count=lost]").text == f"{counted.lost:,}"
    assert f"rule-{number}=" in driver.current_url
    driver.refresh()  # the address says it all, with or without a script
    assert driver.find_element("css selector", "[data-count=kept]").text == after
    assert driver.get_log("browser") == []


def test_from_a_packed_token_to_its_document_and_back(driver: Any, show: Callable[[str], None]) -> None:
    show("/row?shard=train/000000&row=1&position=9")
    driver.find_element("css selector", "main p a[href^='/document/']").click()
    assert re.search(r"/document/[0-9a-f]{32}$", driver.current_url)
    rows = [a.get_attribute("href") for a in driver.find_elements("css selector", "#tokens a[href^='/row?']")]
    assert any("shard=train%2F000000&row=1" in row for row in rows)


def test_the_sql_box_answers_and_refuses(driver: Any, show: Callable[[str], None]) -> None:
    show("/sql")
    driver.find_element("css selector", "textarea").send_keys("SELECT count(*) AS n FROM clean")
    send(driver, "form.query")
    assert driver.find_element("id", "answered").text.startswith("1 rows")
    box = driver.find_element("css selector", "textarea")
    box.clear()
    box.send_keys("COPY clean TO '/tmp/clean.csv'")
    send(driver, "form.query")
    assert "only one SELECT" in driver.find_element("id", "refused").text
    assert driver.get_log("browser") == []
