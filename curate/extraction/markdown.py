"""Writing the chosen blocks of a page as Markdown, with the structure that the scanner saw.

Headings, lists, tables of data row by row, code between fences with its language and its blank lines, quotations. Links
and emphasis are left out, and no character is escaped but the bar in cells: what is read is the text. A table is one of
data where at least two of its rows have two cells or more, none holds another table, code or a list, and cells are
short; tables that lay out a page are written as text is.
"""

from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np

from curate.extraction.compiled import kernel
from curate.extraction.page import (
    B_BLANKS,
    B_BREAK,
    B_BULLET,
    B_END,
    B_LISTS,
    B_NODE,
    B_PRE,
    B_START,
    N_LANGUAGE,
    N_LANGUAGE_END,
    N_NODES,
    N_PARENT,
    N_TAG,
)
from curate.extraction.vocabulary import CELL, PARAGRAPH, TAG

_TAB, _NEWLINE, _SPACE, _HASH, _DASH, _DOT, _ZERO, _QUOTE, _TICK, _BAR, _BACKSLASH = (
    9, 10, 32, 35, 45, 46, 48, 62, 96, 124, 92)
_HEADINGS: Final = tuple(TAG[f"h{level}"] for level in range(1, 7))
_CODE: Final = tuple(TAG[name] for name in ("pre", "listing", "xmp", "plaintext"))
_CELLS: Final = (TAG["td"], TAG["th"])
_ROW, _TABLE, _BLOCKQUOTE, _LIST_ITEM = TAG["tr"], TAG["table"], TAG["blockquote"], TAG["li"]
_MAX_QUOTES, _MAX_LISTS, _MAX_CELL_BYTES, _MAX_COLUMNS, _INDENT = 4, 6, 400, 100, 2
# What surrounds a block: numbers of containers, 0 for none.
_IN_CODE, _IN_HEADING, _IN_CELL, _IN_ROW, _IN_TABLE, _QUOTES = range(6)


@nb.njit(nogil=True, cache=True)
def write_markdown(page, kept, out):  # type: ignore[no-untyped-def]
    """Write the kept blocks into out; the number of bytes, of which only those are written that out has room for.

    kept: bool [blocks]."""
    n_nodes = page.state[N_NODES]
    around = np.zeros((kept.size, 6), np.int64)
    columns = np.zeros(n_nodes, np.int64)  # of a cell: its number in the row; of a row: its cells; of code: backticks
    for k in range(1, n_nodes):
        if page.nodes[k, N_TAG] in _CELLS:
            row = page.nodes[k, N_PARENT]
            columns[k] = min(columns[row], _MAX_COLUMNS)
            columns[row] += 1
    for i in range(kept.size):
        if kept[i]:
            _surroundings(page, i, around[i])
            code = around[i, _IN_CODE]
            if code:
                columns[code] = max(columns[code], _longest_run(page, i))
    widths = _data_tables(page, kept, around, columns, n_nodes)
    n, level, last, heads = np.int64(0), np.int64(0), -1, np.int64(0)
    for i in range(kept.size):
        level = max(level, page.blocks[i, B_BREAK])
        if not kept[i]:
            continue
        if last >= 0:
            n, heads = _part(page, last, i, level, around, columns, widths, heads, out, n)
        if widths[around[i, _IN_TABLE]]:
            n = _begin_cell(page, last, i, around, columns, out, n)
        elif not (last >= 0 and _goes_on(page, last, i, level, around)):
            n = _begin(page, i, around, columns, out, n)
        n = _copy(page, i, around, widths, out, n)
        last, level = i, np.int64(0)
    if last >= 0:
        n, _ = _finish(page, last, around, columns, widths, heads, out, n)
    return n


# With reference counts, unlike the kernels of the scanner: without them, what is made here was freed in use at times.
@nb.njit(nogil=True, cache=True)
def _surroundings(page, i, around):  # type: ignore[no-untyped-def]
    """Which code, heading, cell, row and table block i stands in, and in how many quotations."""
    node, climb = page.blocks[i, B_NODE], True
    while node:
        tag = page.nodes[node, N_TAG]
        if tag in _CODE and page.blocks[i, B_PRE] and not around[_IN_CODE]:
            around[_IN_CODE] = node
        elif tag in _HEADINGS and not around[_IN_HEADING]:
            around[_IN_HEADING] = node
        elif tag == _BLOCKQUOTE:
            around[_QUOTES] = min(around[_QUOTES] + 1, _MAX_QUOTES)
        elif climb and tag in _CELLS and not around[_IN_CELL]:
            around[_IN_CELL] = node
        elif climb and tag == _ROW and not around[_IN_ROW]:
            around[_IN_ROW] = node
        elif climb and tag == _TABLE:
            around[_IN_TABLE], climb = node, False
        node = page.nodes[node, N_PARENT]


@nb.njit(nogil=True, cache=True)
def _data_tables(page, kept, around, columns, n_nodes):  # type: ignore[no-untyped-def]
    """int64 [containers]: the columns of a table of data, 0 for any other container."""
    widths = np.zeros(n_nodes, np.int64)
    rows = np.zeros(n_nodes, np.int64)
    bad = np.zeros(n_nodes, np.bool_)
    last_row = last_cell = np.int64(0)
    counted = np.zeros(n_nodes, np.bool_)
    bad[0] = True
    for k in range(1, n_nodes):
        if page.nodes[k, N_TAG] == _TABLE:
            above = page.nodes[k, N_PARENT]
            while above and page.nodes[above, N_TAG] != _TABLE:
                above = page.nodes[above, N_PARENT]
            bad[above] = True
    for i in range(kept.size):
        table, row, cell = around[i, _IN_TABLE], around[i, _IN_ROW], around[i, _IN_CELL]
        if not kept[i] or not table:
            continue
        b = page.blocks[i]
        if not cell or not row or page.nodes[cell, N_PARENT] != row:
            bad[table] |= bool(cell) or bool(row)  # a caption is no cell, and is written before
            continue
        bad[table] |= around[i, _IN_CODE] != 0 or b[B_BULLET] != 0 or b[B_END] - b[B_START] > _MAX_CELL_BYTES
        widths[table] = max(widths[table], columns[cell] + 1)
        if row == last_row and cell != last_cell and not counted[row]:
            counted[row] = True
            rows[table] += 1
        last_row, last_cell = row, cell
    for k in range(n_nodes):
        if bad[k] or rows[k] < 2:
            widths[k] = 0
    return widths


@nb.njit(nogil=True, cache=True)
def _goes_on(page, last, i, level, around):  # type: ignore[no-untyped-def]
    """Whether a block goes on in the code or the heading that the one before stands in."""
    code, heading = around[i, _IN_CODE], around[i, _IN_HEADING]
    return (code and code == around[last, _IN_CODE]) or (heading and heading == around[last, _IN_HEADING])


@nb.njit(nogil=True, cache=True)
def _part(page, last, i, level, around, columns, widths, heads, out, n):  # type: ignore[no-untyped-def]
    """Write what stands between two kept blocks; (bytes, rows of the table that is being written)."""
    a, b = around[last], around[i]
    if b[_IN_CODE] and a[_IN_CODE] == b[_IN_CODE]:
        lines = 2 + page.blocks[i, B_BLANKS] if level == PARAGRAPH else 1
        for k in range(lines):
            n = _line(page, i, b, k == lines - 1, out, n)
        return n, heads
    if b[_IN_HEADING] and a[_IN_HEADING] == b[_IN_HEADING]:
        return _byte(out, n, _SPACE), heads
    if widths[b[_IN_TABLE]] and a[_IN_TABLE] == b[_IN_TABLE] and a[_IN_CELL]:
        if a[_IN_CELL] == b[_IN_CELL]:
            return _byte(out, n, _SPACE), heads
        if a[_IN_ROW] == b[_IN_ROW]:
            return n, heads
        n, heads = _end_row(page, last, around, columns, widths, heads, out, n)
        return _byte(out, n, _NEWLINE), heads
    n, heads = _finish(page, last, around, columns, widths, heads, out, n)
    apart = a[_IN_CODE] or b[_IN_CODE] or a[_IN_HEADING] or b[_IN_HEADING] or a[_QUOTES] != b[_QUOTES]
    apart = apart or widths[a[_IN_TABLE]] or widths[b[_IN_TABLE]]
    if level == CELL and not apart:
        return _byte(out, n, _TAB), heads
    n = _byte(out, n, _NEWLINE)
    if level == PARAGRAPH or apart:
        for _ in range(min(a[_QUOTES], b[_QUOTES])):
            n = _byte(out, n, _QUOTE)
        n = _byte(out, n, _NEWLINE)
    return n, heads


@nb.njit(nogil=True, cache=True)
def _finish(page, last, around, columns, widths, heads, out, n):  # type: ignore[no-untyped-def]
    """End the code or the table that the last block stands in."""
    a = around[last]
    if a[_IN_CODE]:
        n = _line(page, last, a, True, out, n)
        return _fence(columns[a[_IN_CODE]], out, n), heads
    if widths[a[_IN_TABLE]] and a[_IN_CELL]:
        n, _ = _end_row(page, last, around, columns, widths, heads, out, n)
    return n, np.int64(0)


@nb.njit(nogil=True, cache=True)
def _line(page, i, around, indent, out, n):  # type: ignore[no-untyped-def]
    """Begin another line of code, as deep as its block stands in quotations and lists."""
    n = _byte(out, n, _NEWLINE)
    return _margin(page, i, around, indent, out, n)


@nb.njit(nogil=True, cache=True)
def _margin(page, i, around, indent, out, n):  # type: ignore[no-untyped-def]
    for _ in range(around[_QUOTES]):
        n = _byte(out, n, _QUOTE)
        n = _byte(out, n, _SPACE)
    if indent:
        for _ in range(_INDENT * min(page.blocks[i, B_LISTS], _MAX_LISTS)):
            n = _byte(out, n, _SPACE)
    return n


@nb.njit(nogil=True, cache=True)
def _begin(page, i, around, columns, out, n):  # type: ignore[no-untyped-def]
    """Write what stands before the text of a block that begins something."""
    a, b = around[i], page.blocks[i]
    bullet = b[B_BULLET]
    n = _margin(page, i, a, bullet == 0, out, n)
    if bullet:
        for _ in range(_INDENT * (min(b[B_LISTS], _MAX_LISTS) - 1)):
            n = _byte(out, n, _SPACE)
        if bullet > 0:
            n = _number(out, n, min(bullet, np.int64(999)))
            n = _byte(out, n, _DOT)
        else:
            n = _byte(out, n, _DASH)
        n = _byte(out, n, _SPACE)
    if a[_IN_HEADING]:
        tag = page.nodes[a[_IN_HEADING], N_TAG]
        for level in range(len(_HEADINGS)):
            n = _byte(out, n, _HASH)
            if tag == _HEADINGS[level]:
                break
        return _byte(out, n, _SPACE)
    if a[_IN_CODE]:
        node = page.nodes[a[_IN_CODE]]
        n = _fence(columns[a[_IN_CODE]], out, n)
        for p in range(node[N_LANGUAGE], node[N_LANGUAGE_END]):
            n = _byte(out, n, page.html[p])
        n = _line(page, i, a, True, out, n)
    return n


@nb.njit(nogil=True, cache=True)
def _begin_cell(page, last, i, around, columns, out, n):  # type: ignore[no-untyped-def]
    """Write the bars before a cell, and those of the empty cells before it in its row."""
    a = around[i]
    if not a[_IN_CELL]:
        return n
    column, before = columns[a[_IN_CELL]], np.int64(-1)
    if last >= 0 and around[last, _IN_ROW] == a[_IN_ROW] and around[last, _IN_CELL]:
        if around[last, _IN_CELL] == a[_IN_CELL]:
            return n
        before = columns[around[last, _IN_CELL]]
        n = _byte(out, n, _SPACE)
    else:
        n = _margin(page, i, a, True, out, n)
    for _ in range(max(column - before, 1)):
        n = _byte(out, n, _BAR)
        n = _byte(out, n, _SPACE)
    return n


@nb.njit(nogil=True, cache=True)
def _end_row(page, last, around, columns, widths, heads, out, n):  # type: ignore[no-untyped-def]
    """Write the bars after the last cell of a row, and below the first row of a table those that make it one."""
    a = around[last]
    width = widths[a[_IN_TABLE]]
    for _ in range(max(width - columns[a[_IN_CELL]], np.int64(1))):
        n = _byte(out, n, _SPACE)
        n = _byte(out, n, _BAR)
    if heads == 0:
        n = _byte(out, n, _NEWLINE)
        n = _margin(page, last, a, True, out, n)
        n = _byte(out, n, _BAR)
        for _ in range(width):
            for c in (_SPACE, _DASH, _DASH, _DASH, _SPACE, _BAR):
                n = _byte(out, n, c)
    return n, heads + 1


@nb.njit(nogil=True, cache=True)
def _copy(page, i, around, widths, out, n):  # type: ignore[no-untyped-def]
    """Write the text of a block."""
    a, b = around[i], page.blocks[i]
    cell = widths[a[_IN_TABLE]] != 0 and a[_IN_CELL] != 0
    for p in range(b[B_START], b[B_END]):
        c = page.text[p]
        if c == _NEWLINE:
            n = _byte(out, n, _SPACE) if cell else _line(page, i, a, True, out, n)
            continue
        if c == _BAR and cell:
            n = _byte(out, n, _BACKSLASH)
        n = _byte(out, n, c)
    return n


@kernel
def _fence(ticks, out, n):  # type: ignore[no-untyped-def]
    """Three backticks, or more than any run of them in the code."""
    for _ in range(max(np.int64(3), ticks + 1)):
        n = _byte(out, n, _TICK)
    return n


@kernel
def _longest_run(page, i):  # type: ignore[no-untyped-def]
    """Of backticks in a block."""
    longest = run = np.int64(0)
    for p in range(page.blocks[i, B_START], page.blocks[i, B_END]):
        run = run + 1 if page.text[p] == _TICK else np.int64(0)
        longest = max(longest, run)
    return longest


@kernel
def _number(out, n, value):  # type: ignore[no-untyped-def]
    for power in (100, 10, 1):
        if value >= power:
            n = _byte(out, n, _ZERO + value // power % 10)
    return n


@kernel
def _byte(out, n, c):  # type: ignore[no-untyped-def]
    if n < out.size:
        out[n] = c
    return n + 1
