"""The text that a page of a wiki leaves, as sections and paragraphs, without the holes that templates leave in it.

Characters that no XML may hold mark what is to be found again: headings, texts that are held back, holes, terms.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

HOLE: Final = "\x04"
"""Where a template was that stands for no words."""

TERM: Final = "\x05"
"""Before a term of a list of definitions, which often serves as a heading."""

_SWITCH: Final = re.compile(r"__[A-Z]{3,24}__")
_WORD: Final = re.compile(r"\w|\x02")
_LETTER: Final = re.compile(r"[^\W\d_]|\x02")
_EMPTY_BRACKETS: Final = re.compile(r" ?(?:\((?:[\s,;:/\u2013-]|\b(?:or|and)\b)*\)|\[\s*\])")
_HOLE: Final = re.compile(r"\(\s*(?:[),;:/\u2013-]|or\b|and\b)|[,;:]\s*\)|\[\s*\]")
_AFTER_BRACKET: Final = re.compile(r"\(\s*(?:[,;:]\s*)+(?=\S)")
_BEFORE_BRACKET: Final = re.compile(r"(?<=\S)\s*[,;:]\s*\)")
_STRAY: Final = re.compile(r"\{\{|\}\}|\[\[|\]\]")
_SPACES: Final = re.compile(r"[ \t\u00a0]{2,}")
_BLANK_LINES: Final = re.compile(r"\n[\s\x04]*\n")
_HEADING: Final = re.compile(r"\x01([1-6])([^\n]*)")
_HELD: Final = re.compile(r"\x02(\d+)\x03")
_FILLINGS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"\x04(?:[ \t]*[,;/]?[ \t]*(?:\b(?:and|or)\b)?[ \t]*\x04)+"), "\x04"),  # a list of nothing
    (re.compile(r"^([ \t]*- )[ \t]*\x04[ \t]*[-\u2013\u2014,;:]?[ \t]*", re.MULTILINE), r"\1"),
    (re.compile(r"([(\[])[ \t]*\x04[ \t]*(?:[,;:][ \t]*)?"), r"\1"),
    (re.compile(r"(?:[ \t]*[,;:])?[ \t]*\x04[ \t]*([)\]])"), r"\1"),
    (re.compile(r"([,;:])[ \t]*\x04[ \t]*[,;:]"), r"\1"),
    (re.compile(r"[ \t]*\x04[ \t]*(?=[,;:.!?\u00bb\u201d])"), ""))


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with its level (1 to 6; 0 for the lead, which has none) and the paragraphs under it."""

    level: int
    heading: str
    paragraphs: tuple[str, ...]


def sections_of(text: str, held: list[str]) -> list[Section]:
    """The sections of a page, those without any text left out.

    Args:
        text: With marks: of headings (1 and their level), of what is held back (2, its number, 3), of holes and terms.
        held: What is held back, which nothing here touches.
    """
    return _nonempty(list(_sections(text, held)))


def _sections(text: str, held: list[str]) -> Iterator[Section]:
    def give_back(text: str) -> str:
        return _HELD.sub(lambda found: held[int(found[1])], text) if "\x02" in text else text

    def section() -> Section:
        return Section(level, give_back(heading), tuple(give_back(p) for p in _defined(paragraphs)))

    level, heading = 0, ""
    paragraphs: list[str] = []
    for block in _BLANK_LINES.split(_SWITCH.sub("", text) if "__" in text else text):
        if "\x01" in block and (found := _HEADING.search(block)):  # what stands before its line is a paragraph
            if before := _clean(block[:found.start()]):
                paragraphs.append(before)
            yield section()
            level, heading = int(found[1]), _clean(found[2])
            paragraphs, block = [], block[found.end():]
        if block := _clean(block):
            paragraphs.append(block)
    yield section()


def _nonempty(sections: list[Section]) -> list[Section]:
    """Sections with text, and the headings above them."""
    kept: list[Section] = []
    above = 0  # headings of a lower level than this are above what was kept last
    for section in reversed(sections):
        if section.paragraphs or (section.heading and section.level < above):
            kept.append(section)
            above = section.level
        else:
            above = min(above, section.level)
    return kept[::-1]


def _defined(paragraphs: list[str]) -> list[str]:
    """A section's paragraphs without terms that nothing is said of, such as headings of references."""
    if not any(TERM in paragraph for paragraph in paragraphs):
        return paragraphs
    said = False  # whether anything follows that a term may be about
    kept: list[str] = []
    for paragraph in reversed(paragraphs):
        lines: list[str] = []
        for line in reversed(paragraph.split("\n")):
            is_term = line.startswith(TERM)
            said |= not is_term
            if said:
                lines.append(line[1:].lstrip() if is_term else line)
        if lines:
            kept.append("\n".join(reversed(lines)))
        said &= not paragraph.startswith(TERM)  # terms of one paragraph are about the same
    return kept[::-1]


def _clean(block: str) -> str:
    """A paragraph without the holes that templates leave: empty brackets, bullets without an item, double blanks."""
    holes = HOLE in block
    if holes:
        block = _filled(block)
    if _HOLE.search(block):
        block = _EMPTY_BRACKETS.sub("", block)
        block = _BEFORE_BRACKET.sub(")", _AFTER_BRACKET.sub("(", block))
    if "}}" in block or "{{" in block or "]]" in block or "[[" in block:
        block = _STRAY.sub("", block)
    if "\n" not in block and "  " not in block:
        words = block.strip()
        return "" if words.startswith(("|", "{|")) or not _WORD.search(words) else words
    lines = []
    for line in block.split("\n"):
        words = _SPACES.sub(" ", line).strip()
        if _WORD.search(words) and not words.startswith(("|", "{|")):
            indent = len(line) - len(line.lstrip(" ")) if words.startswith("- ") else 0
            lines.append(" " * indent + words)
    return "\n".join(lines)


def _filled(block: str) -> str:
    """A paragraph without its holes, the marks around them that stood for nothing else, and the items of lists of which
    no word is left."""
    for pattern, filling in _FILLINGS:
        block = pattern.sub(filling, block)
    if HOLE not in block:
        return block
    return "\n".join(line.replace(HOLE, "") for line in block.split("\n")
                     if HOLE not in line or not line.lstrip().startswith("- ") or _LETTER.search(line))
