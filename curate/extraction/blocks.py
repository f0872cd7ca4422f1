"""The learned extractor, end to end: scan a page, score its blocks, write out those that are main content.

One call a page, all of it compiled: nothing in here loops over blocks in Python. Memory is a small multiple of the
page, and at most some 100 MB for its blocks.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numba as nb
import numpy as np

from curate.extraction.choice import page_bound
from curate.extraction.compiled import kernel
from curate.extraction.features import F_WORDS, N_FEATURES, fill_features
from curate.extraction.page import B_BREAK, B_BULLET, B_END, B_LISTS, B_START, new_page
from curate.extraction.scan import scan_page
from curate.extraction.trees import load_trees, tree_scores
from curate.extraction.vocabulary import CELL, PARAGRAPH, Vocabulary, load_vocabulary

_TAB, _NEWLINE, _SPACE, _DASH, _DOT, _ZERO = 9, 10, 32, 45, 46, 48
_INDENT: Final = 2
_MAX_LISTS: Final = 6  # levels that are indented


@lru_cache(maxsize=1)
def _vocabulary() -> Vocabulary:
    return load_vocabulary()


def extract_blocks(html: bytes) -> str:
    """The main content of a page in UTF-8 as text.

    Paragraphs are parted by an empty line, lines by a line break, cells of a row by a tab; items begin with `- ` or
    their number, indented by two spaces a level; preformatted text keeps its white space. Empty where there is none."""
    page = new_page(html)
    room = np.empty(page.text.size + 16 * page.blocks.shape[0], np.uint8)
    n = _extract(page, _vocabulary(), load_trees(), room)
    return room[:n].tobytes().decode()


@nb.njit(nogil=True, cache=True)
def _extract(page, tables, trees, out):  # type: ignore[no-untyped-def]
    n = scan_page(page, tables)
    x = np.zeros((n, N_FEATURES), np.float32)
    fill_features(page, n, tables, x)
    scores = np.empty(n, np.float64)
    tree_scores(trees, x, scores)
    words = np.empty(n, np.float64)
    for i in range(n):
        scores[i] = 1.0 / (1.0 + np.exp(-scores[i]))
        words[i] = np.expm1(np.float64(x[i, F_WORDS]))
    kept = scores > page_bound(scores, words, trees.bound[0], trees.bound[1])
    return write_blocks(page, kept, out) if words[kept].sum() > 0.0 else 0  # signs without a word are no text


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
