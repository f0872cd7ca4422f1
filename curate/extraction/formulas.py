"""Formulas as TeX: what MathML, KaTeX, MathJax and images of formulas say of their source.

`alttext` of a `math` element, its annotation of the type application/x-tex, the text of `script type="math/tex"`, and
the alternative text of images of the classes `latex` and `tex`. Written between `$`, or `$$` where it stands alone.
MathML without such a source is read as text.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from curate.extraction.characters import is_space, put_character, read_reference, written
from curate.extraction.compiled import kernel
from curate.extraction.page import (
    ALT,
    ALT_END,
    BEYOND,
    CLASS_HASH,
    DEPTH,
    DISPLAY,
    MATH_END,
    OUT,
    S_SKIP,
    SELF_CLOSING,
)
from curate.extraction.vocabulary import name_hash

_AMP, _DOLLAR, _LT, _GT, _OPEN, _CLOSE = 38, 36, 60, 62, 123, 125
_END: Final = np.frombuffer(b"</math", np.uint8)
_ANNOTATION: Final = np.frombuffer(b"application/x-tex", np.uint8)
_STYLE: Final = np.frombuffer(b"{\\displaystyle", np.uint8)
_RENDERING: Final = np.int64(name_hash("katex-html") >> 1)
_IMAGE_CLASSES: Final = (np.int64(name_hash("latex") >> 1), np.int64(name_hash("tex") >> 1))
_NEAR: Final = 160  # bytes between the end of KaTeX's MathML and what draws it


@kernel
def read_formula(page, tables, math, i):  # type: ignore[no-untyped-def]
    """Write the TeX of a `math` or an `img` element whose start tag ended at i; the offset to read on from."""
    s = page.state
    if page.stack[s[DEPTH] - 1, S_SKIP] or s[SELF_CLOSING]:
        return i
    if not math:
        if s[ALT_END] > s[ALT] and s[CLASS_HASH] in _IMAGE_CLASSES:
            _put(page, tables, s[ALT], s[ALT_END], False, True)
        return i
    if i < s[MATH_END]:  # every byte is looked ahead at once
        return i
    end = _find(page.html, i, page.html.size, _END)
    s[MATH_END] = end
    if end == page.html.size:
        return i
    first, last = s[ALT], s[ALT_END]
    if first == last:
        first = last = _find(page.html, i, end, _ANNOTATION)
        while first < end and page.html[first] != _GT:
            first += 1
        first = last = min(first + 1, end)
        while last < end and page.html[last] != _LT:
            last += 1
    if first >= last:
        return i
    _put(page, tables, first, last, s[DISPLAY] != 0, True)
    return end


@kernel
def read_tex(page, tables, first, end, alone):  # type: ignore[no-untyped-def]
    """Write the text of a script of MathJax."""
    if page.stack[page.state[DEPTH] - 2, S_SKIP] == 0:
        _put(page, tables, first, end, alone, False)


@kernel
def is_rendering(page, i):  # type: ignore[no-untyped-def]
    """Whether the element whose start tag ended at i draws a formula of KaTeX that was just read."""
    s = page.state
    end = s[MATH_END]
    return s[CLASS_HASH] == _RENDERING and s[BEYOND] == 0 and end > 0 and i > end and i - end < _NEAR


@kernel
def _find(html, i, end, wanted):  # type: ignore[no-untyped-def]
    """Where wanted begins between i and end, in any case; end where it does not."""
    matched = 0
    while i < end:
        c = html[i]
        if c >= 65 and c <= 90:
            c |= 32
        if c != wanted[matched]:
            matched = 0
        if c == wanted[matched]:
            matched += 1
            if matched == wanted.size:
                return np.int64(i + 1 - wanted.size)
        i += 1
    return np.int64(end)


@kernel
def _put(page, tables, first, end, alone, references):  # type: ignore[no-untyped-def]
    html, s = page.html, page.state
    if _find(html, first, min(end, first + _STYLE.size), _STYLE) == first and html[end - 1] == _CLOSE:
        first, end = first + _STYLE.size, end - 1
    while first < end and is_space(html[first]):
        first += 1
    while end > first and is_space(html[end - 1]):
        end -= 1
    if first == end:
        return
    for _ in range(2 if alone else 1):
        put_character(page, np.int64(_DOLLAR), first)
    while first < end:
        c = html[first]
        if c >= 0x80:
            page.text[s[OUT]] = c
            written(page, s[OUT] + 1, 0)
            first += 1
        elif c == _AMP and references:
            first = read_reference(page, tables, first)
        else:
            put_character(page, np.int64(c), first)
            first += 1
    for _ in range(2 if alone else 1):
        put_character(page, np.int64(_DOLLAR), first)
