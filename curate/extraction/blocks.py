"""The learned extractor, end to end: scan a page, score its blocks, write out those that are main content.

One call a page, all of it compiled: nothing in here loops over blocks in Python. Memory is a small multiple of the
page, and at most some 150 MB for its blocks.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numba as nb
import numpy as np
import numpy.typing as npt

from curate.extraction.choice import HOPELESS, drawn_together, page_bound
from curate.extraction.compiled import kernel
from curate.extraction.context import CONTEXT, put_context
from curate.extraction.extracted import PAGE_TYPES, Content, Extracted, Format
from curate.extraction.facts import PAGE_FACTS
from curate.extraction.features import F_POLICY, F_WORDS, K_BASE, N_FEATURES, fill_features
from curate.extraction.model import load_model
from curate.extraction.page import B_BREAK, B_BULLET, B_END, B_LISTS, B_START, Page, new_page
from curate.extraction.scan import scan, scan_page
from curate.extraction.state import SCANT_BYTES, state_html
from curate.extraction.trees import class_scores, tree_scores
from curate.extraction.vocabulary import CELL, PARAGRAPH, Vocabulary, load_vocabulary

_TAB, _NEWLINE, _SPACE, _DASH, _DOT, _ZERO = 9, 10, 32, 45, 46, 48
_INDENT: Final = 2
_NUMBER: Final = {content: i for i, content in enumerate(Content)}
_AUTO: Final = _NUMBER[Content.AUTO]
_MAX_LISTS: Final = 6  # levels that are indented


@lru_cache(maxsize=1)
def _vocabulary() -> Vocabulary:
    return load_vocabulary()


def extract_blocks(html: bytes, content: Content = Content.AUTO, form: Format = Format.TEXT) -> Extracted:
    """The main content of a page in UTF-8.

    As text: paragraphs are parted by an empty line, lines by a line break, cells of a row by a tab; items begin with
    `- ` or their number, indented by two spaces a level; preformatted text keeps its white space. markdown.py says
    what Markdown has beside. Empty where there is no content.

    Args:
        html: The page.
        content: What counts as text.
        form: How it is written.
    """
    page = new_page(html)
    kinds = np.zeros(len(PAGE_TYPES), np.float64)
    kept = choose_blocks(page, _vocabulary(), load_model(), _NUMBER[content], kinds)
    best = int(kinds.argmax())
    write = _markdown if form == Format.MARKDOWN else _text
    text = write(page, kept)
    if len(text) < SCANT_BYTES and (state := state_html(html)) is not None:
        other, n = scan(state, _vocabulary())
        text = max(text, write(other, np.ones(n, np.bool_)), key=len)
    return Extracted(text, PAGE_TYPES[best], float(kinds[best])) if kinds[best] else Extracted(text)


def _text(page: Page, kept: npt.NDArray[np.bool_]) -> str:
    room = np.empty(page.text.size + 16 * len(kept), np.uint8)
    return room[: write_text(page, kept, room)].tobytes().decode()


def _markdown(page: Page, kept: npt.NDArray[np.bool_]) -> str:
    from curate.extraction.markdown import write_markdown  # compiled where it is asked for

    room = np.empty(2 * page.text.size + 64 * len(kept), np.uint8)
    n = write_markdown(page, kept, room)
    if n > room.size:  # short lines, deep in quotations and lists
        room = np.empty(n, np.uint8)
        write_markdown(page, kept, room)
    return room[:n].tobytes().decode()


@nb.njit(nogil=True, cache=True)
def write_text(page, kept, out):  # type: ignore[no-untyped-def]
    """`write_blocks` for Python."""
    return write_blocks(page, kept, out)


@nb.njit(nogil=True, cache=True)
def choose_blocks(page, tables, model, content, kinds):  # type: ignore[no-untyped-def]
    """Scan a page; bool [blocks], those that are content.

    content: the number of a `Content`. Fills kinds, float64, with the probabilities of kinds of page."""
    n = scan_page(page, tables)
    if n == 0:
        return np.zeros(0, np.bool_)
    probabilities, words, paths = judge_blocks(page, n, tables, model, content, kinds)
    least = share = alike = 0.0
    for k in range(kinds.size):
        least += kinds[k] * model.bounds[content, k, 0]
        share += kinds[k] * model.bounds[content, k, 1]
        alike += kinds[k] * model.bounds[content, k, 2]
    probabilities = drawn_together(probabilities, words, paths, alike)
    kept = probabilities > page_bound(probabilities, words, least, share)
    if words[kept].sum() == 0.0:  # signs without a word are no text
        kept[:] = False
    return kept


@nb.njit(nogil=True, cache=True)
def judge_blocks(page, n, tables, model, content, kinds):  # type: ignore[no-untyped-def]
    """(probability that each of a scanned page's n blocks is content, words of each), float64 [n], and the paths of
    `repeats.put_repeats`; n is not 0.

    content: the number of a `Content`. Fills kinds, float64 [len(PAGE_TYPES)], with probabilities of kinds of page."""
    x = np.zeros((n, N_FEATURES + len(CONTEXT)), np.float32)
    facts = np.zeros((1, len(PAGE_FACTS)), np.float32)
    group, nearest, paths = fill_features(page, n, tables, x[:, :N_FEATURES], facts[0])
    class_scores(model.kinds, facts, kinds)
    for i in range(n):
        x[i, F_POLICY] = content
        for k in range(kinds.size):
            x[i, K_BASE + k] = kinds[k]
    scores, words, judged = np.empty(n, np.float64), np.empty(n, np.float64), np.empty(n, np.float32)
    rows = np.arange(n)
    tree_scores(model.first, x, rows, scores)
    asked = 0
    for i in range(n):
        judged[i] = 1.0 / (1.0 + np.exp(-scores[i]))
        words[i] = np.expm1(np.float64(x[i, F_WORDS]))
        if judged[i] >= HOPELESS:
            rows[asked] = i
            asked += 1
    put_context(page, n, judged, group, nearest, paths, x[:, N_FEATURES:])
    if content == _AUTO:
        tree_scores(model.second, x, rows[:asked], scores)
    else:
        tree_scores(model.other, x, rows[:asked], scores)
    for i in range(n):
        scores[i] = 1.0 / (1.0 + np.exp(-scores[i]))
    return scores, words, paths


@kernel
def write_blocks(page, kept, out):  # type: ignore[no-untyped-def]
    """Write the kept blocks into out; the number of bytes. The widest break between two kept blocks parts them."""
    n, level = 0, 0
    for i in range(kept.size):
        b = page.blocks[i]
        level = max(level, b[B_BREAK])
        if not kept[i]:
            continue
        if n:
            n = _put_break(out, n, level)
        if b[B_BULLET] and not (level == CELL and n):
            n = _put_bullet(out, n, b[B_LISTS], b[B_BULLET])
        for p in range(b[B_START], b[B_END]):
            out[n] = page.text[p]
            n += 1
        level = 0
    return n


@kernel
def _put_break(out, n, level):  # type: ignore[no-untyped-def]
    if level == CELL:
        out[n] = _TAB
        return n + 1
    out[n] = _NEWLINE
    if level == PARAGRAPH:
        out[n + 1] = _NEWLINE
        return n + 2
    return n + 1


@kernel
def _put_bullet(out, n, lists, bullet):  # type: ignore[no-untyped-def]
    for _ in range(_INDENT * (min(lists, _MAX_LISTS) - 1)):
        out[n] = _SPACE
        n += 1
    if bullet < 0:
        out[n] = _DASH
        n += 1
    else:
        n = _put_number(out, n, min(bullet, 999))
        out[n] = _DOT
        n += 1
    out[n] = _SPACE
    return n + 1


@kernel
def _put_number(out, n, value):  # type: ignore[no-untyped-def]
    for power in (100, 10, 1):
        if value >= power:
            out[n] = _ZERO + value // power % 10
            n += 1
    return n
