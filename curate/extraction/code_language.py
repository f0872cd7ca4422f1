"""The language of a block of code: what `pre`, the `code` in it or the boxes around it call it.

`class="language-python"`, `lang-`, `highlight-source-`, `brush: python`, and the attributes `data-lang` and
`data-language`. The name's offsets in the page are kept with the container; whether it is a language is not asked.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from curate.extraction.compiled import kernel
from curate.extraction.page import (
    CLASS,
    CLASS_END,
    DEPTH,
    LANGUAGE,
    LANGUAGE_END,
    N_LANGUAGE,
    N_LANGUAGE_END,
    S_CLASS,
    S_CLASS_END,
    S_NODE,
)

_MARKS: Final = tuple(np.frombuffer(mark, np.uint8) for mark in (b"language-", b"lang-", b"source-", b"brush:"))
_AROUND: Final = 2  # boxes around a `pre` that are asked
_MAX_NAME: Final = 20


@kernel
def note_language(page, alone):  # type: ignore[no-untyped-def]
    """Keep the language that the element just opened names, for the container that it stands in.

    alone: whether it is a `pre`, so that the elements around it may name the language too."""
    s = page.state
    d = s[DEPTH] - 1
    node = page.nodes[page.stack[d, S_NODE]]
    if node[N_LANGUAGE_END]:
        return
    if s[LANGUAGE_END] > s[LANGUAGE]:
        _keep(page, node, s[LANGUAGE], s[LANGUAGE_END])
        return
    if _of_class(page, node, s[CLASS], s[CLASS_END]) or not alone:
        return
    for k in range(max(1, d - _AROUND), d):
        if _of_class(page, node, page.stack[k, S_CLASS], page.stack[k, S_CLASS_END]):
            return


@kernel
def _of_class(page, node, start, end):  # type: ignore[no-untyped-def]
    html = page.html
    for i in range(start, end):
        if i > start and html[i - 1] > 32 and html[i - 1] != 45:
            continue
        for mark in _MARKS:
            k = 0
            while k < mark.size and i + k < end and html[i + k] == mark[k]:
                k += 1
            if k == mark.size:
                i += k
                while i < end and html[i] == 32:
                    i += 1
                return _keep(page, node, i, end)
    return False


@kernel
def _keep(page, node, start, end):  # type: ignore[no-untyped-def]
    """Keep the name at start, up to what no name of a language has in it."""
    html, i = page.html, start
    while i < min(end, start + _MAX_NAME) and _is_of_name(html[i]):
        i += 1
    if i == start:
        return False
    node[N_LANGUAGE], node[N_LANGUAGE_END] = start, i
    return True


@kernel
def _is_of_name(c):  # type: ignore[no-untyped-def]
    """Letters, digits, and + # . - _ of C++, C#, F#, .NET, objective-c."""
    return ((c | 32) >= 97 and (c | 32) <= 122) or (c >= 48 and c <= 57) or c in (35, 43, 45, 46, 95)
