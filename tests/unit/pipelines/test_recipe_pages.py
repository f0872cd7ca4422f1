"""Every packaged recipe of one's own data or of a paper has a page, and says where its lines come from."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from pipelines.loading import packaged_recipes
from tests.paths import ROOT

NAMES = sorted({*packaged_recipes()} - {"demo", "commoncrawl"})
CITED = re.compile(r"(?:section|table|appendix) [A-Z0-9]", re.IGNORECASE)


def test_the_papers_recipes_are_packaged() -> None:
    assert {"own", "gpt1", "gpt2", "gpt3", "llama1", "c4", "refinedweb", "fineweb", "dclm"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_has_its_page_with_a_funnel(name: str) -> None:
    page = (ROOT / "docs" / "recipes" / f"{name}.md").read_text(encoding="utf-8")
    assert f"curate run {name} " in page
    assert "| records that may be documents |" in page
    assert f"({name}.md)" in (ROOT / "docs" / "recipes" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "own"])
def test_a_papers_recipe_cites_it(name: str) -> None:
    text = files("pipelines.recipes").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    assert len(CITED.findall(text)) >= 4
    assert re.search(r"et al\. 20\d\d", text)
