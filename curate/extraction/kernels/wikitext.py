"""How many constructs of wikitext are opened and never closed, which decides what parsing it costs."""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt


@nb.njit(cache=True, nogil=True)
def count_unclosed(text: npt.NDArray[np.uint8]) -> int:
    """Templates, links, tables, tags and external links without an end.

    A closing mark closes what was opened before it and never what comes after. text: UTF-8 [n]."""
    braces = links = tables = tags = external = 0
    i, n = 0, len(text)
    while i < n - 1:
        a, b = text[i], text[i + 1]
        i += 1
        if a == 123 and b == 123:  # {{
            braces += 1
            i += 1
        elif a == 125 and b == 125:  # }}
            braces -= braces > 0
            i += 1
        elif a == 91 and b == 91:  # [[
            links += 1
            i += 1
        elif a == 93 and b == 93:  # ]]
            links -= links > 0
            i += 1
        elif a == 123 and b == 124:  # {|
            tables += 1
            i += 1
        elif a == 124 and b == 125:  # |}
            tables -= tables > 0
        elif a == 91 and (b == 104 or b == 47):  # [h, [/
            external += 1
        elif a == 93:
            external -= external > 0
        elif (a == 60 and b == 47) or (a == 47 and b == 62):  # </, />
            tags -= tags > 0
        elif a == 60 and (97 <= (b | 32) <= 122) and not _is_single(text, i):
            tags += 1
    return braces + links + tables + tags + external


@nb.njit(cache=True, nogil=True)
def _is_single(text: npt.NDArray[np.uint8], i: int) -> bool:
    """Whether the tag whose name begins at i needs no end: br, hr, li."""
    if i + 2 >= len(text):
        return False
    a, b, c = text[i] | 32, text[i + 1] | 32, text[i + 2]
    if 97 <= (c | 32) <= 122:
        return False
    return bool((a == 98 and b == 114) or (a == 104 and b == 114) or (a == 108 and b == 105))
