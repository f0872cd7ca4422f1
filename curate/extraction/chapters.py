"""Chapters of electronic books (XHTML) as text, with notes where they are referred to and nothing of the edition around
them: numbers of pages and lines, navigation and a publisher's notices go."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from resiliparse.parse.html import HTMLTree

from curate.extraction.fragments import tree_text

_GONE: Final = ("nav, script, style, svg, header.pgheader, .pg-boilerplate, #pg-header, #pg-footer, .pagenum, .pageno, "
                ".x-ebookmaker-pageno, .pagebreak, .lnum, .linenum, .lineno")
_PAGE: Final = frozenset({"pagebreak", "page-list", "toc", "landmarks", "index"})
_NOTE: Final = frozenset({"footnote", "endnote", "rearnote", "note"})
_REFERENCE: Final = re.compile(r"\b(?:fnanchor|noteref|footnoteref|fnref)\b", re.IGNORECASE)
_NOTE_NUMBER: Final = re.compile(r"\s*[\[(]?(?:\d{1,4}|[*\u2020\u2021]{1,3})[\])]?\s*")
_NOTE_TARGET: Final = re.compile(r"#(?!.*(?:ref|back|return|link|anchor)).{0,40}(?:note|fn)", re.IGNORECASE)
_NOTE_ID: Final = re.compile(r"(?!.*(?:ref|back|return|link|anchor)).*(?:foot|end)-?note[-_]?\d", re.IGNORECASE)
_OF_NOTE: Final = re.compile(r"\b(?:footnote|endnote|fn)\b", re.IGNORECASE)
_LABEL: Final = re.compile(r"\s*(?:\[?(?:\d{1,4}|[A-Za-z*†‡])\]?[.:)]?\s+)?")
_BLOCKS: Final = frozenset({"p", "div", "li", "aside", "dd", "section", "td", "article"})
_MAX_CLIMB: Final = 4
_CHAPTER_LINK: Final = re.compile(r"^(?!\w+://)(?:.*\.x?html?)?(?:#.+)?$")
_MIN_LINKS: Final = 3
_LINK_SHARE: Final = 0.6
_CONTENTS: Final = frozenset({"contents", "table of contents", "inhalt", "inhoud", "table des matières", "table",
                              "índice", "indice"})


def chapter_notes(html: str) -> dict[str, str]:
    """The notes of a document, by their ids, each in one line and without its number.

    They are found by what refers to them (`epub:type` noteref, the classes that Project Gutenberg gives, or a number
    that leads to an address with `note` in it), and by what they say they are."""
    tree = HTMLTree.parse(html)
    return {name: text for name, (_, text) in _notes(tree).items()}


def chapter_text(html: str, notes: Mapping[str, str] | None = None) -> str:
    """The text of a document.

    Args:
        html: XHTML, decoded.
        notes: Notes of other documents of the book, by `file#id`; those of this one are found here.
    """
    tree = HTMLTree.parse(html)
    if tree.body is None:
        return ""
    own = _notes(tree)
    links: list[Any] = list(tree.body.get_elements_by_tag_name("a"))
    for link in links:
        if not _refers(link):
            continue
        target = (link.getattr("href") or "").rpartition("/")[2]
        text = own[target[1:]][1] if target[1:] in own and target.startswith("#") else (notes or {}).get(target)
        if text is None and target.partition("#")[2] in own:
            text = own[target.partition("#")[2]][1]
        if text is not None and link.parent is not None:
            words: Any = tree.create_text_node(f" [{text}]")
            link.parent.replace_child(words, link)
    for block, _ in own.values():
        _remove(block)
    for element in tree.body.query_selector_all(_GONE):
        _remove(element)
    for element in list(tree.body.query_selector_all("[epub\\:type]")):
        if set((element.getattr("epub:type") or "").split()) & _PAGE:
            _remove(element)
    _remove_contents(tree.body)
    return tree_text(tree)


def _remove_contents(body: Any) -> None:
    """Take out tables and lists of links to chapters, and the heading before them."""
    gone = False
    for block in list(body.query_selector_all("table, ul, ol, .toc")):
        rows = block.query_selector_all("tr, li, p, a" if block.tag in ("div", "p") else "tr, li")
        links = [a for a in block.get_elements_by_tag_name("a") if _CHAPTER_LINK.search(a.getattr("href") or "")]
        if len(links) >= _MIN_LINKS and len(links) >= _LINK_SHARE * len(rows):
            _remove(block)
            gone = True
    for heading in list(body.query_selector_all("h1, h2, h3, h4, h5, h6, p")) if gone else ():
        if (heading.text or "").strip(" .:\n").lower() in _CONTENTS:
            _remove(heading)


def _notes(tree: Any) -> dict[str, tuple[Any, str]]:
    """(element that holds a note, its text) by id."""
    found: dict[str, tuple[Any, str]] = {}
    if tree.body is None:
        return found
    wanted = {target for link in tree.body.get_elements_by_tag_name("a") if _refers(link)
              and (target := (link.getattr("href") or "").partition("#")[2])}
    for element in tree.body.query_selector_all("[id]"):
        name = element.getattr("id") or ""
        marked = bool(set((element.getattr("epub:type") or "").split()) & _NOTE)
        if name not in wanted and not marked:
            continue
        block = _block_of(element)
        if block is not None and (marked or _is_note(block)):
            text = " ".join(tree_text(str(block.html)).split())
            found[name] = (block, text[_LABEL.match(text).end():])  # type: ignore[union-attr]  # it may match nothing
    return found


def _refers(link: Any) -> bool:
    kind = (link.getattr("epub:type") or "") + " " + (link.getattr("role") or "")
    if "noteref" in kind or _REFERENCE.search(link.getattr("class") or ""):
        return True
    return bool(_NOTE_TARGET.search(link.getattr("href") or "") and _NOTE_NUMBER.fullmatch(link.text or ""))


def _is_note(block: Any) -> bool:
    """Whether a block, or what holds it, says that it is a note."""
    if _NOTE_ID.match(block.getattr("id") or ""):
        return True
    element, climbed = block, 0
    while element is not None and climbed < _MAX_CLIMB:
        words = f"{element.getattr('class') or ''} {element.getattr('epub:type') or ''} {element.getattr('role') or ''}"
        if _OF_NOTE.search(words.replace("-", " ").replace("_", " ").replace("footnotes", "footnote")
                           .replace("endnotes", "endnote")):
            return True
        element, climbed = element.parent, climbed + 1
    return False


def _block_of(element: Any) -> Any:
    climbed = 0
    while element is not None and climbed < _MAX_CLIMB:
        if element.tag in _BLOCKS:
            parent = element.parent
            holds = parent is not None and parent.tag in ("div", "aside", "li") and _OF_NOTE.search(
                parent.getattr("class") or "") and len(parent.get_elements_by_tag_name("p")) == 1
            return parent if holds else element
        element, climbed = element.parent, climbed + 1
    return None


def _remove(element: Any) -> None:
    if element.parent is not None:
        element.parent.remove_child(element)
