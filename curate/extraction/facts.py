"""What tells the kind of a page: what it says of itself, its repeated containers, and where its text stands."""

from __future__ import annotations

from typing import Final

import numpy as np

from curate.extraction.compiled import kernel
from curate.extraction.page import (
    B_BULLET,
    B_END,
    B_IMAGES,
    B_LINK_BYTES,
    B_MASK,
    B_START,
    HINT_BITS,
    N_TITLE,
    URL_BYTES,
    URL_DEPTH,
    URL_DIGITS,
    URL_HYPHENS,
)
from curate.extraction.repeats import REPEAT_TOTALS
from curate.extraction.vocabulary import CLASS_SHIFT, CLASSES, GROUPS, HINTS

_ADDRESS: Final = ("address_log_bytes", "address_depth", "address_hyphens", "address_digits")
_TEXT: Final = ("log_bytes", "log_blocks", "link_share", "mean_bytes", "sentences", "title_words", "images", "items",
                "priced_blocks", "long_bytes", "log_prose", "prose_in_comments", "prose_in_messages")
WEIGHED: Final = ("shopping_share", "posting_share", "time_share", "first_person_share", "second_person_share",
                  "consent_share", "is_question", "function_share", "upper_share", "digit_share", "title_covered")
"""Facts of blocks whose mean over the page, by bytes, is one of the page."""
PAGE_FACTS: Final = (*HINTS, *_ADDRESS, *(f"repeated_{t}" for t in REPEAT_TOTALS), *_TEXT,
                     *(f"mean_{w}" for w in WEIGHED), *(f"text_in_{g}" for g in GROUPS),
                     *(f"text_of_class_{c}" for c in CLASSES), *(f"blocks_of_class_{c}" for c in CLASSES))
"""The names of a page's facts."""
_LONG: Final = 300
_PROSE: Final = 80  # bytes of a block of prose at least, which has a sentence and is no link
_COMMENT, _MESSAGE = (1 << (CLASS_SHIFT + CLASSES.index(name)) for name in ("comment", "message"))


@kernel
def put_facts(page, n, x, columns, c_currency, c_sentences, totals, out):  # type: ignore[no-untyped-def]
    """Fill out float32 [len(PAGE_FACTS)]. x: features of the blocks; columns: those of `WEIGHED`; totals: of
    `repeats.put_repeats`."""
    s, c = page.state, 0
    for k in range(len(HINTS)):
        out[c] = (s[HINT_BITS] >> k) & 1
        c += 1
    out[c], out[c + 1] = np.log(np.float32(1 + s[URL_BYTES])), s[URL_DEPTH] if s[URL_BYTES] else -1
    out[c + 2], out[c + 3] = s[URL_HYPHENS], s[URL_DIGITS]
    c += len(_ADDRESS)
    for k in range(totals.size):
        out[c] = totals[k]
        c += 1
    base, weighed = c, c + len(_TEXT)
    masks = weighed + columns.size
    size = linked = long = prose = np.float32(0)
    for i in range(n):
        b = page.blocks[i]
        n_bytes = np.float32(b[B_END] - b[B_START])
        size += n_bytes
        linked += b[B_LINK_BYTES]
        long += n_bytes if n_bytes > _LONG else np.float32(0)
        out[base + 4] += x[i, c_sentences]
        out[base + 6] += b[B_IMAGES]
        out[base + 7] += b[B_BULLET] != 0
        out[base + 8] += x[i, c_currency] > 0
        if n_bytes >= _PROSE and x[i, c_sentences] > 0 and 2 * b[B_LINK_BYTES] < n_bytes:
            prose += n_bytes
            out[base + 11] += n_bytes if b[B_MASK] & _COMMENT else np.float32(0)
            out[base + 12] += n_bytes if b[B_MASK] & _MESSAGE else np.float32(0)
        for k in range(columns.size):
            out[weighed + k] += n_bytes * x[i, columns[k]]
        _add_masks(b[B_MASK], n_bytes, out, masks)
    out[base], out[base + 1], out[base + 2] = np.log(size), np.log(np.float32(n)), linked / size
    out[base + 3], out[base + 5], out[base + 9] = size / n, s[N_TITLE], long / size
    out[base + 10] = np.log(np.float32(1) + prose)
    for k in (11, 12):
        out[base + k] /= max(np.float32(1), prose)
    for k in (4, 6, 7, 8):
        out[base + k] /= n
    for k in range(weighed, out.size - len(CLASSES)):
        out[k] /= size
    for k in range(out.size - len(CLASSES), out.size):
        out[k] /= n


@kernel
def _add_masks(mask, n_bytes, out, c):  # type: ignore[no-untyped-def]
    for g in range(len(GROUPS)):
        if (mask >> g) & 1:
            out[c + g] += n_bytes
    c += len(GROUPS)
    for k in range(len(CLASSES)):
        if (mask >> (CLASS_SHIFT + k)) & 1:
            out[c + k] += n_bytes
            out[c + len(CLASSES) + k] += 1
