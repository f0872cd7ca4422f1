"""Every link of the project's pages leads somewhere, without building the site; every page is in its navigation; and
what is made from the code is as the code is."""

from __future__ import annotations

import os
import re
import unicodedata
from functools import cache
from pathlib import Path

import pytest

from scripts import docs_site, reference_pages
from tests.paths import ROOT

PAGES = sorted({*docs_site.sources().values(), *(ROOT / "examples").rglob("*.md")})
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
FENCE = re.compile(r"^ *(```|~~~).*?^ *\1 *$", re.MULTILINE | re.DOTALL)


def _prose(path: Path) -> str:
    """A page without its blocks of code."""
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    return re.sub(r"`[^`\n]*`", "", text)


@cache
def _anchors(path: Path) -> frozenset[str]:
    """Anchors of a page's headings, as GitHub and the site's `toc` both make them of plain ones."""
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    found = set()
    for heading in re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE):
        plain = unicodedata.normalize("NFKD", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)).lower()
        found.add(re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip()))
    return frozenset(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(_prose(page)):
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = page if not target else (page.parent / target)
        assert file.exists(), f"{link} leads nowhere"
        if anchor and file.suffix == ".md":
            assert anchor in _anchors(file.resolve()), f"{link}: there is no such heading"


def test_every_page_is_in_the_navigation_once() -> None:
    assert sorted(docs_site.navigation()) == sorted(docs_site.sources())


@pytest.mark.parametrize("name", reference_pages.PAGES)
def test_generated_pages_are_as_the_code_is(name: str) -> None:
    page = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
    assert page == reference_pages.PAGES[name](), "run `make docs`"


def test_links_of_the_site_hold_there_too() -> None:
    of_file = {path: name for name, path in docs_site.sources().items()}
    for name in docs_site.sources():
        text = FENCE.sub("", docs_site.page_text(name, of_file))
        for link in LINK.findall(re.sub(r"`[^`\n]*`", "", text)):
            target = link.partition("#")[0]
            if target and not re.match(r"[a-z]+:", target):
                place = Path(os.path.normpath(Path(name).parent / target))
                assert str(place) in docs_site.sources() or (ROOT / "docs" / place).exists(), (name, link)


def test_blocks_of_the_site_begin_with_their_language_alone() -> None:
    of_file = {path: name for name, path in docs_site.sources().items()}
    for name in docs_site.sources():
        for first in re.findall(r"^```(.*)$", docs_site.page_text(name, of_file), re.MULTILINE):
            assert re.fullmatch(r"[\w+-]*", first), (name, first)


def test_no_page_names_a_machine() -> None:
    for page in docs_site.sources().values():
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"/(root|home/\w+|work)/", text), page
