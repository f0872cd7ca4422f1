"""What the scanner knows about HTML: elements, character references, and the words of class and id attributes.

Every name is found by its FNV-1a hash in an open-addressing table, so that the kernels never touch a Python string.
Elements and their rules follow the WHATWG HTML standard, section 13.2 (parsing), as far as text needs them: which
elements are void, hold raw text, close an open one, and which a closing tag may not reach across.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html.entities import html5
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from curate.extraction.compiled import kernel
from curate.text.hash_table import hash_table, slot_of
from curate.text.words import FNV_OFFSET, FNV_PRIME
from curate.text.yaml_tables import yaml_table

# Traits of an element. The two low bits are the break that its start and its end put into the text.
CELL, LINE, PARAGRAPH = 1, 2, 3
BREAKS: Final = 3
VOID: Final = 1 << 2
RAW: Final = 1 << 3  # its content is text up to its own end tag
SKIPPED: Final = 1 << 4  # its text is no text of the page
CLOSES_P: Final = 1 << 5
SPECIAL: Final = 1 << 6  # the end tag of an inline element does not reach across it
PREFORMATTED: Final = 1 << 7
FOREIGN: Final = 1 << 8  # SVG and MathML, where a tag may close itself

# Kinds of elements, as bits: what a start tag closes, and what it does not look beyond.
P, LI, TERM, CELLS, ROW, ROW_GROUP, LIST, TABLE, TERMS, HEADING, BUTTON = (1 << i for i in range(11))

# What a block stands in, as bits of its mask; their names are names of features.
GROUPS: Final = ("nav", "header", "footer", "aside", "article", "main", "form", "table", "list", "item", "heading",
                 "paragraph", "preformatted", "quotation", "terms", "figure", "address", "cell", "label", "row",
                 "heading_1", "centre", "inert", "button", "details")

_WORDS: Final = yaml_table("curate.extraction", "vocabulary.yaml")
CLASS_WORDS: Final[Mapping[str, str]] = _WORDS["class_words"]
CLASSES: Final = tuple(CLASS_WORDS)
CLASS_SHIFT: Final = 32
"""The bit of a mask where the classes begin; the groups are below."""
HIDDEN: Final = 1 << (CLASS_SHIFT + CLASSES.index("hidden"))
INERT: Final = 1 << GROUPS.index("inert")
MIN_AFFIX: Final = 4
"""Letters of the shortest class word that counts at the beginning or end of a longer one (`leftnavigation`)."""

WORD_KINDS: Final = ("boilerplate", "function_words", "shopping", "posting", "time", "first_person", "second_person",
                      "consent")
"""Lists of words of a text; a word has a bit for each list that it is in."""
_SOURCES: Final = ("type", "address", "generator", "host")
HINTS: Final = tuple(f"{source}_{kind}" for source in _SOURCES for kind in _WORDS["hints"][source])
"""What a page may say of its own kind, a bit each: `type_product`, `address_thread`, ..."""

# name: (break, kinds it is, kinds it closes, kinds that closing stops at, group)
_BLOCKS: Final[Mapping[str, tuple[int, int, int, int, str | None]]] = {
    **dict.fromkeys(("article", "aside", "footer", "header", "main", "nav", "section", "blockquote", "figure",
                     "hgroup", "search"), (PARAGRAPH, 0, 0, 0, None)),
    **dict.fromkeys(("div", "address", "center", "details", "summary", "dialog", "dir", "fieldset", "figcaption",
                     "form", "noscript", "template", "button", "legend", "menu", "body", "html", "frameset", "marquee",
                     "caption", "optgroup"),
                    (LINE, 0, 0, 0, None)),
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), (PARAGRAPH, HEADING, 0, 0, "heading")),
    "p": (PARAGRAPH, P, 0, 0, "paragraph"),
    **dict.fromkeys(("pre", "listing", "xmp", "plaintext"), (PARAGRAPH, 0, 0, 0, "preformatted")),
    **dict.fromkeys(("ul", "ol"), (LINE, LIST, 0, 0, "list")),
    "li": (LINE, LI, LI, LIST | CELLS | TABLE, "item"),
    "dl": (LINE, TERMS, 0, 0, "terms"),
    **dict.fromkeys(("dt", "dd"), (LINE, TERM, TERM, TERMS | CELLS | TABLE, "item")),
    "table": (PARAGRAPH, TABLE, 0, 0, "table"),
    **dict.fromkeys(("thead", "tbody", "tfoot"), (LINE, ROW_GROUP, CELLS | ROW | ROW_GROUP, TABLE, None)),
    "tr": (LINE, ROW, CELLS | ROW, TABLE, "row"),
    **dict.fromkeys(("td", "th"), (CELL, CELLS, CELLS, TABLE | ROW, "cell")),
    "hr": (PARAGRAPH, 0, 0, 0, None), "br": (LINE, 0, 0, 0, None),
}
_OWN_GROUP: Final = {"nav": "nav", "header": "header", "footer": "footer", "aside": "aside", "article": "article",
                     "main": "main", "form": "form", "blockquote": "quotation", "figure": "figure",
                     "figcaption": "figure", "address": "address", "label": "label", "h1": "heading_1",
                     "center": "centre", "noscript": "inert", "template": "inert", "button": "button",
                     "details": "details"}
_VOID, _RAW, _SKIPPED, _NO_P, _INLINE = (
    _WORDS[name].split() for name in ("void", "raw", "skipped", "not_in_paragraphs", "inline"))
NAMES: Final = ("", *dict.fromkeys((*_BLOCKS, *_VOID, *_RAW, *_SKIPPED, *_INLINE)))
TAG: Final[Mapping[str, int]] = {name: i for i, name in enumerate(NAMES)}
"""The number of a known element; 0 is any other."""


class Vocabulary(NamedTuple):
    """What the kernels are given. One table holds every kind of name: a kind has a salt that its hashes are XORed with.

    Values: of a tag its number; of a reference one or two code points, the second above bit 32; of an attribute its
    use; of a class word and a reversed class word a bit of the mask; of a word of the text a bit for each of
    `WORD_KINDS`; of a hint its bit; of a meta element's name what its content is."""

    keys: npt.NDArray[np.uint64]  # 0 is empty; the size is a power of two
    values: npt.NDArray[np.int64]
    traits: npt.NDArray[np.int64]  # [tags, 5]: traits, kind, closes, stops at, mask bits


A_CLASS, A_HREF, A_HIDDEN, A_STYLE, A_ID, A_NAME, A_CONTENT, A_TYPE, A_ALT, A_DISPLAY, A_LANGUAGE = range(1, 12)
M_KIND, M_ADDRESS, M_GENERATOR, M_CANONICAL, M_DATA, M_TEX, M_TEX_ALONE, M_SITE = range(1, 9)
"""What the content of a meta element, the target of a link or the text of a script is."""
(TAG_NAME, REFERENCE, ATTRIBUTE, CLASS_WORD, CLASS_SUFFIX, TEXT_WORD, META_NAME, TYPE_HINT, ADDRESS_HINT,
 GENERATOR_HINT, HOST_HINT) = (np.uint64((i * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF) for i in range(1, 12))


def name_hash(name: str) -> int:
    """FNV-1a, 64 bits, of an ASCII name: what the kernels compute byte by byte."""
    h = int(FNV_OFFSET)
    for byte in name.encode():
        h = ((h ^ byte) * int(FNV_PRIME)) & 0xFFFFFFFFFFFFFFFF
    return h


@kernel
def find(tables, salt, h):  # type: ignore[no-untyped-def]
    """The value of the name with this hash, or 0 where the table has none."""
    return tables.values[slot_of(tables.keys, h ^ salt)]


Items = Iterable[tuple[str, int]]


def _table(kinds: Mapping[np.uint64, Items]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    found: dict[int, int] = {}
    for salt, items in kinds.items():
        for name, value in items:
            key = name_hash(name) ^ int(salt)
            found[key] = found.get(key, 0) | value
    return hash_table(found, np.int64)


def _traits() -> npt.NDArray[np.int64]:
    table = np.zeros((len(NAMES), 5), np.int64)
    for name, tag in TAG.items():
        level, kind, closes, stops, group = _BLOCKS.get(name, (0, 0, 0, 0, None))
        bits = level | (VOID if name in _VOID else 0) | (RAW if name in _RAW else 0)
        bits |= (SKIPPED if name in _SKIPPED else 0) | (FOREIGN if name in ("svg", "math") else 0)
        bits |= CLOSES_P if level and name not in _NO_P else 0
        bits |= SPECIAL if level or name in _SKIPPED else 0
        bits |= PREFORMATTED if group == "preformatted" else 0
        groups = [g for g in (group, _OWN_GROUP.get(name)) if g]
        table[tag] = (bits, kind | (BUTTON if name in ("button", "object", "applet") else 0), closes, stops,
                      sum(1 << GROUPS.index(g) for g in groups))
    return table


def _class_items() -> Items:
    for i, words in enumerate(CLASS_WORDS.values()):
        for word in words.split():
            yield word, 1 << (CLASS_SHIFT + i)


def _references() -> Items:
    for name, text in html5.items():
        yield name, ord(text[0]) | (ord(text[1]) << 32 if len(text) > 1 else 0)


def _hints(source: str) -> Items:
    for kind, words in _WORDS["hints"][source].items():
        for word in words.split():
            yield word, 1 << HINTS.index(f"{source}_{kind}")


def load_vocabulary() -> Vocabulary:
    """The tables, built anew (5 ms): about 2,900 names."""
    attributes = {"class": A_CLASS, "id": A_ID, "role": A_ID, "itemprop": A_ID, "href": A_HREF, "hidden": A_HIDDEN,
                  "style": A_STYLE, "name": A_NAME, "property": A_NAME, "rel": A_NAME, "content": A_CONTENT,
                  "type": A_TYPE, "itemtype": A_TYPE, "alt": A_ALT, "alttext": A_ALT, "display": A_DISPLAY,
                  "data-lang": A_LANGUAGE, "data-language": A_LANGUAGE}
    metas = {"og:type": M_KIND, "og:url": M_ADDRESS, "generator": M_GENERATOR, "canonical": M_CANONICAL,
             "og:site_name": M_SITE, "application/ld+json": M_DATA, "math/tex": M_TEX,
             "math/tex; mode=display": M_TEX_ALONE, "math/tex;mode=display": M_TEX_ALONE}
    words = [(word, 1 << i) for i, name in enumerate(WORD_KINDS) for word in _WORDS[name].split()]
    keys, values = _table({
        TAG_NAME: ((n, i) for n, i in TAG.items() if n), REFERENCE: _references(), ATTRIBUTE: attributes.items(),
        CLASS_WORD: _class_items(), CLASS_SUFFIX: ((w[::-1], bit) for w, bit in _class_items()),
        TEXT_WORD: words, META_NAME: metas.items(), TYPE_HINT: _hints("type"), ADDRESS_HINT: _hints("address"),
        GENERATOR_HINT: _hints("generator"), HOST_HINT: _hints("host")})
    return Vocabulary(keys, values, _traits())
