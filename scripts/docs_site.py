"""The pages of the docs site: docs/ and the pages of the project's root, with links that hold in both places.

    python -m scripts.docs_site pages       puts them together in build/site-pages, for Zensical
    python -m scripts.docs_site finish      adds llms.txt, and every page as Markdown, to build/site

Links to files that are no pages (a module, a test, a folder) become their names: the site has the pages alone.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parent.parent
PAGES: Final = ROOT / "build" / "site-pages"
SITE: Final = ROOT / "build" / "site"
OF_ROOT: Final = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md",
                  "CODE_OF_CONDUCT.md")
_LINK: Final = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")

_FENCE: Final = re.compile(r"^(```\w+) [^\n`]+$", re.MULTILINE)
"""A block whose first line says more than its language, for the tests that run it: the site's Markdown takes it for
text."""


def sources() -> dict[str, Path]:
    """Every page's path on the site, and the file that it is made of."""
    docs = ROOT / "docs"
    pages = {str(path.relative_to(docs)): path for path in sorted(docs.rglob("*.md"))}
    return {**pages, **{f"project/{name.lower()}": ROOT / name for name in OF_ROOT}}


def page_text(name: str, of_file: dict[Path, str]) -> str:
    """A page of the site, in Markdown. of_file: the site's path of each file that is a page."""
    path = sources()[name]

    def relink(match: re.Match[str]) -> str:
        target, _, anchor = match[3].partition("#")
        if not target or "://" in target or target.startswith("mailto:"):
            return match[0]
        file = Path(os.path.normpath(path.parent / target))
        in_docs = str(file.relative_to(ROOT / "docs")) if file.is_relative_to(ROOT / "docs") else None
        if (own := of_file.get(file, in_docs)) is None:
            return match[2]
        relative = os.path.relpath(own, Path(name).parent)
        return f"{match[1]}[{match[2]}]({relative}{'#' + anchor if anchor else ''})"

    return _FENCE.sub(r"\1", _LINK.sub(relink, path.read_text(encoding="utf-8")))


def write_pages() -> None:
    """Put the pages together, with their images."""
    shutil.rmtree(PAGES, ignore_errors=True)
    of_file = {path: name for name, path in sources().items()}
    for name in sources():
        target = PAGES / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(page_text(name, of_file), encoding="utf-8")
    for file in (ROOT / "docs").rglob("*"):
        if file.suffix in (".png", ".svg", ".json"):
            target = PAGES / file.relative_to(ROOT / "docs")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


def listed(nav: Any) -> Iterator[str]:
    """The pages of a navigation, in its order."""
    for entry in nav:
        if isinstance(entry, str):
            yield entry
        else:
            for below in entry.values():
                yield from [below] if isinstance(below, str) else listed(below)


def navigation() -> list[str]:
    """The pages of mkdocs.yml."""
    return list(listed(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]))


def title_of(text: str) -> str:
    """A page's first heading."""
    found = re.search(r"^# (.+)$", text, re.MULTILINE)
    return found[1] if found else "untitled"


def write_markdown() -> None:
    """llms.txt (llmstxt.org) with a line for each page, and the pages beside their HTML."""
    lines = ["# curate", "", "> From web archives, or texts of one's own, to packed token shards: one pipeline in "
             "Python, on Ray, with the same bytes from any number of workers.", "", "## Pages", ""]
    for name in navigation():
        text = (PAGES / name).read_text(encoding="utf-8")
        target = SITE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        first = next((" ".join(p.split()) for p in text.split("\n\n")[1:] if re.match(r"[A-Z`*]", p)), "")
        lines.append(f"- [{title_of(text)}]({name}): {first[:160]}")
    (SITE / "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    {"pages": write_pages, "finish": write_markdown}[sys.argv[1]]()
