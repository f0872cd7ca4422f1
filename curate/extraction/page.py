"""The working memory of the scanner, one page at a time: text, blocks, containers and the stack of open elements."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from curate.extraction.compiled import kernel

MAX_BLOCKS: Final = 1 << 17
"""Blocks of a page; what follows the last one is joined to it. Bounds the memory of a hostile page."""
MAX_DEPTH: Final = 512
"""Open elements; deeper ones are read as if they were not there. Browsers stop at 512 as well."""
MAX_TITLE_WORDS: Final = 32

# Columns of a block.
(B_START, B_END, B_NODE, B_BREAK, B_LINK_BYTES, B_LINKS, B_BOLD_BYTES, B_DEPTH, B_TAGS, B_PLACE, B_LISTS, B_BULLET,
 B_IMAGES, B_PRE, B_MASK, B_BLANKS) = range(16)
BLOCK_COLUMNS: Final = 16

# Columns of an open element.
S_HASH, S_TAG, S_NODE, S_SKIP, S_PRE, S_LISTS, S_ORDINAL, S_FOREIGN, S_MASK, S_CLASS, S_CLASS_END = range(11)
STACK_COLUMNS: Final = 11

# Columns of a container.
N_PARENT, N_MASK, N_SIGNATURE, N_TAG, N_LANGUAGE, N_LANGUAGE_END = range(6)
NODE_COLUMNS: Final = 6

# The state of the scanner.
(OUT, N_BLOCKS, N_NODES, DEPTH, BEYOND, IN_LINK, BOLD, SPACE, CONTENT, START, BREAK, LINK_BYTES, LINKS, BOLD_BYTES,
 TAGS, IMAGES, BULLET, LAST_BR, N_TITLE, ATTRIBUTES, HAS_HREF, SELF_CLOSING, POSITION, CLASS_HASH, META, VALUE_START,
 VALUE_END, HINT_BITS, URL_BYTES, URL_DEPTH, URL_HYPHENS, URL_DIGITS, STREAMED, BLANKS,
 LANGUAGE, LANGUAGE_END, ALT, ALT_END, DISPLAY, MATH_END, CLASS, CLASS_END, TITLE) = range(43)
STATE_SIZE: Final = TITLE + MAX_TITLE_WORDS


class Page(NamedTuple):
    """A page and what the scanner makes of it. int64 throughout but for the bytes."""

    html: npt.NDArray[np.uint8]
    text: npt.NDArray[np.uint8]
    state: npt.NDArray[np.int64]
    blocks: npt.NDArray[np.int64]  # [blocks, BLOCK_COLUMNS]
    stack: npt.NDArray[np.int64]  # [MAX_DEPTH, STACK_COLUMNS]
    nodes: npt.NDArray[np.int64]  # [nodes, NODE_COLUMNS]: the elements that break text; the root is its own parent


def new_page(html: bytes) -> Page:
    """Room for a page of UTF-8 HTML. The text can outgrow the HTML only by references to two characters (`&nGt;`).

    A block takes three bytes at least, as does a tag; what is not used of the room is never touched."""
    n_blocks = n_nodes = min(MAX_BLOCKS, len(html) // 3 + 2)
    return Page(np.frombuffer(html, np.uint8), np.empty(len(html) + len(html) // 4 + 64, np.uint8),
                np.zeros(STATE_SIZE, np.int64), np.empty((n_blocks, BLOCK_COLUMNS), np.int64),
                np.empty((MAX_DEPTH, STACK_COLUMNS), np.int64), np.empty((n_nodes, NODE_COLUMNS), np.int64))


@kernel
def begin(page):  # type: ignore[no-untyped-def]
    """Open the root, which is never closed."""
    page.stack[0] = 0
    page.nodes[0] = 0
    page.state[DEPTH] = 1
    page.state[N_NODES] = 1


@kernel
def put_break(page, level):  # type: ignore[no-untyped-def]
    """End the block that is being read, if it has any text, and ask for a break before the next one.

    Elements inside one whose text is skipped part nothing."""
    s = page.state
    if page.stack[s[DEPTH] - 1, S_SKIP]:
        return
    s[SPACE] = 0
    if not s[CONTENT]:
        s[OUT] = s[START]
    elif s[N_BLOCKS] + 1 < page.blocks.shape[0]:
        _end_block(page)
    else:
        page.text[s[OUT]] = 10
        s[OUT] += 1
    if level > s[BREAK]:
        s[BREAK] = level


@kernel
def _end_block(page):  # type: ignore[no-untyped-def]
    s = page.state
    top = page.stack[s[DEPTH] - 1]
    end = s[OUT]
    while page.text[end - 1] <= 32:
        end -= 1
    b = page.blocks[s[N_BLOCKS]]
    b[B_START], b[B_END], b[B_NODE], b[B_BREAK] = s[START], end, top[S_NODE], s[BREAK]
    b[B_LINK_BYTES], b[B_LINKS], b[B_BOLD_BYTES] = s[LINK_BYTES], s[LINKS], s[BOLD_BYTES]
    b[B_DEPTH], b[B_TAGS], b[B_PLACE], b[B_LISTS] = s[DEPTH] + s[BEYOND], s[TAGS], s[POSITION], top[S_LISTS]
    b[B_BULLET], b[B_IMAGES], b[B_PRE], b[B_MASK] = s[BULLET], s[IMAGES], top[S_PRE], top[S_MASK]
    b[B_BLANKS] = s[BLANKS]
    s[N_BLOCKS] += 1
    s[START] = s[OUT]
    s[CONTENT] = s[LINK_BYTES] = s[LINKS] = s[BOLD_BYTES] = s[TAGS] = s[IMAGES] = s[BULLET] = s[BREAK] = s[BLANKS] = 0


@kernel
def finish(page):  # type: ignore[no-untyped-def]
    """End the last block; the number of blocks."""
    s = page.state
    if s[CONTENT]:
        _end_block(page)
    return s[N_BLOCKS]
