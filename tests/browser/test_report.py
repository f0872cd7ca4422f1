"""The report in headless Chromium: no console errors, tables sort and filter, a hostile title stays text.

Screenshots in both themes and at the width of a phone are left in build/screenshots, for a person to look at.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from manifests.stage_files import StageFiles
from manifests.storage import Storage
from pipelines.demo.web import render
from pipelines.loading import load_recipe
from pipelines.report.gather import gather
from pipelines.report.page import SECTIONS, page
from pipelines.running import Settings, run
from tests.browser.screens import SCREENSHOTS, show_as

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a small demo run, one of whose pages has a title that is a script."""
    folder = tmp_path_factory.mktemp("report")
    render(folder / "web", n_pages=400)
    run(load_recipe("demo", [f"web={folder / 'web'}"]), str(folder / "run"), Settings(engine="inline"))
    facts = gather(StageFiles(Storage(str(folder / "run"))), "demo")
    facts["samples"]["kept"][0]["url"] = "<script>document.title = 'taken'</script>"
    path = folder / "index.html"
    path.write_text(page(facts), encoding="utf-8")
    return path


@pytest.mark.parametrize(("theme", "width"), [("light", 1100), ("dark", 1100), ("light", 390), ("dark", 390)])
def test_it_fits_every_screen_without_a_complaint(driver: Any, report: Path, theme: str, width: int) -> None:
    show_as(driver, theme, width)
    driver.get(report.as_uri())
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    assert driver.get_log("browser") == []
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    driver.save_screenshot(str(SCREENSHOTS / f"report-{theme}-{width}.png"))


def test_sections_sorting_and_filtering(driver: Any, report: Path) -> None:
    driver.get(report.as_uri())
    found = driver.execute_script("return [...document.querySelectorAll('section')].map(s => s.id)")
    assert found == [anchor for anchor, _, _ in SECTIONS]
    table = driver.find_element("css selector", "#funnel table")
    table.find_elements("css selector", "th")[2].click()
    counts = [int(cell.get_attribute("data-value"))
              for cell in table.find_elements("css selector", "tbody td:nth-child(3)")]
    assert counts == sorted(counts, reverse=True)
    driver.find_element("css selector", "#funnel input").send_keys("near_duplicate")
    shown = driver.execute_script(
        "return [...document.querySelectorAll('#funnel tbody tr')].filter(r => !r.hidden).map(r => r.textContent)")
    assert shown
    assert all("near_duplicate" in row for row in shown)


def test_a_hostile_address_stays_text(driver: Any, report: Path) -> None:
    driver.get(report.as_uri())
    assert driver.title == "demo: recipe demo"
    assert "<script>document.title" in driver.find_element("id", "samples").text
    assert driver.execute_script("return document.scripts.length") == 1
