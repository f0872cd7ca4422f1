"""What the trees see of each block: its text, its position, the elements around it, its neighbours, its page.

No feature is a rule about a site. The text of a block is counted, not read: only two short word lists (boilerplate,
English function words) look at words. float32 throughout, one row a block; `FEATURES` names the columns.
"""

from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np
import numpy.typing as npt

from curate.extraction.compiled import kernel
from curate.extraction.containers import CONTAINER_FACTS, container_sums, put_containers
from curate.extraction.extracted import PAGE_TYPES
from curate.extraction.facts import PAGE_FACTS, WEIGHED, put_facts
from curate.extraction.novelty import NOVELTY, put_novelty
from curate.extraction.page import (
    B_BOLD_BYTES,
    B_BREAK,
    B_BULLET,
    B_DEPTH,
    B_END,
    B_IMAGES,
    B_LINK_BYTES,
    B_LINKS,
    B_LISTS,
    B_MASK,
    B_NODE,
    B_PLACE,
    B_START,
    B_TAGS,
    N_MASK,
    N_PARENT,
    N_TITLE,
    TITLE,
    Page,
)
from curate.extraction.repeats import REPEAT_FACTS, REPEAT_TOTALS, put_repeats
from curate.extraction.vocabulary import CLASS_SHIFT, CLASSES, GROUPS, TEXT_WORD, Vocabulary, find
from curate.extraction.words import next_word
from curate.text.hash_table import slot_of
from curate.text.words import FNV_OFFSET, FNV_PRIME

_TEXT: Final = ("log_bytes", "log_words", "word_bytes", "upper_share", "digit_share", "punctuation_share",
                "separator_share", "ends_sentence", "starts_upper", "log_commas", "log_sentences", "non_ascii_share",
                "boilerplate_share", "function_share", "shopping_share", "posting_share", "time_share",
                "first_person_share", "second_person_share", "consent_share", "title_share",
                "title_covered", "is_question", "currency_share")
_PLACE: Final = ("link_share", "log_links", "bold_share", "depth", "break_before", "break_after", "log_tags",
                 "log_images", "lists", "is_item", "position", "text_position", "html_position", "repeats",
                 "repeats_before")
(F_BYTES, F_WORDS, F_WORD_BYTES, F_UPPER, F_DIGITS, F_PUNCTUATION, F_SEPARATORS, F_ENDS, F_STARTS, F_COMMAS,
 F_SENTENCES, F_NON_ASCII, F_BOILERPLATE, F_FUNCTION, F_SHOPPING, F_POSTING, F_TIME, F_FIRST, F_SECOND, F_CONSENT,
 F_TITLE, F_COVERED, F_QUESTION, F_CURRENCY) = range(len(_TEXT))
(F_LINKED, F_LINKS, F_BOLD, F_DEPTH, F_BEFORE, F_AFTER, F_TAGS, F_IMAGES, F_LISTS, F_ITEM, F_POSITION, F_TEXT_POSITION,
 F_HTML_POSITION, F_REPEATS, F_BEFORE_THIS) = range(len(_TEXT), len(_TEXT) + len(_PLACE))
N_OWN: Final = len(_TEXT) + len(_PLACE)
_SEEN: Final = (F_BYTES, F_LINKED, F_PUNCTUATION, F_ENDS, F_BEFORE, F_SENTENCES, F_BOILERPLATE, F_DEPTH)
"""Facts of a block that its neighbours are told."""
_STEPS: Final = (-1, 1, -2, 2)
_WINDOWS: Final = (3, 10)
_AVERAGED: Final = (F_BYTES, F_LINKED, F_SENTENCES, F_ENDS, F_CONSENT, F_POSTING)
_PAGE: Final = ("page_log_bytes", "page_log_blocks", "page_link_share", "page_mean_bytes", "page_sentences",
                "page_paragraph_share")
_M_BASE: Final = N_OWN
_N_BASE: Final = _M_BASE + len(GROUPS) + 2 * len(CLASSES)
_W_BASE: Final = _N_BASE + len(_STEPS) * (len(_SEEN) + 1)
_C_BASE: Final = _W_BASE + len(_WINDOWS) * len(_AVERAGED)
_R_BASE: Final = _C_BASE + len(CONTAINER_FACTS)
_D_BASE: Final = _R_BASE + len(REPEAT_FACTS)
_P_BASE: Final = _D_BASE + len(NOVELTY)
K_BASE: Final = _P_BASE + len(_PAGE)
F_POLICY: Final = K_BASE + len(PAGE_TYPES)
"""What counts as text: the number of a `Content`. In `auto` the kind of the page decides, `article` leaves out
readers' comments and all beside the article, `everything` keeps what is of the page at all."""
_PARAGRAPH: Final = 1 << GROUPS.index("paragraph")
_NEAR: Final = 2  # containers above a block whose own classes count as near
_HASH_SLOTS: Final = 4
_OWN: Final = _TEXT + _PLACE
FEATURES: Final[tuple[str, ...]] = (
    *_OWN, *(f"in_{g}" for g in GROUPS), *(f"class_{c}" for c in CLASSES), *(f"near_{c}" for c in CLASSES),
    *(f"{name}_{step:+d}" for step in _STEPS for name in (*(_OWN[c] for c in _SEEN), "same_container")),
    *(f"{_OWN[c]}_within_{w}" for w in _WINDOWS for c in _AVERAGED), *CONTAINER_FACTS,
    *REPEAT_FACTS, *NOVELTY, *_PAGE, *(f"kind_{k}" for k in PAGE_TYPES), "policy")
"""The names of the columns."""
N_FEATURES: Final = len(FEATURES)


_WEIGHED: Final = np.array([_OWN.index(name) for name in WEIGHED], np.int64)


def block_features(
        page: Page, n_blocks: int, vocabulary: Vocabulary) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """(float32 [n_blocks, N_FEATURES], float32 [len(PAGE_FACTS)]) of a scanned page.

    The probabilities of kinds are 0: the trees that make them read the facts."""
    out, facts = np.zeros((n_blocks, N_FEATURES), np.float32), np.zeros(len(PAGE_FACTS), np.float32)
    if n_blocks:
        fill_features(page, n_blocks, vocabulary, out, facts)
    return out, facts


@nb.njit(nogil=True, cache=True)
def fill_features(page, n, tables, out, facts):  # type: ignore[no-untyped-def]
    """Fill the features of a page's n blocks, and the facts of the page; both are zero. n is not 0.

    Returns what `repeats.put_repeats` does."""
    seen = np.zeros(2 << int(np.log2(n * 2 + 1)), np.uint64)
    counts = np.zeros(seen.size, np.int64)
    slots = np.empty(n, np.int64)
    for i in range(n):
        slots[i] = _count_same(seen, counts, _text_facts(page, tables, i, out))
        out[i, F_BEFORE_THIS] = min(counts[slots[i]] - 1, 5)
        _put_position(page, i, n, out)
        _put_mask(page, i, out)
    for i in range(n):
        out[i, F_REPEATS] = min(counts[slots[i]] - 1, 5)
    for i in range(n):
        _put_neighbours(page, i, n, out)
    _put_windows(out, n)
    sums = container_sums(page, n, out[:, F_SENTENCES])
    put_containers(page, n, sums, out[:, _C_BASE:_R_BASE])
    totals = np.zeros(len(REPEAT_TOTALS), np.float32)
    alike = put_repeats(page, n, sums, out[:, F_SENTENCES], out[:, _R_BASE:_D_BASE], totals)
    put_novelty(page, n, out[:, F_WORDS], out[:, _D_BASE:_P_BASE])
    _put_page(page, n, out)
    put_facts(page, n, out, _WEIGHED, F_CURRENCY, F_SENTENCES, totals, facts)
    return alike


@kernel
def _count_same(seen, counts, h):  # type: ignore[no-untyped-def]
    slot = slot_of(seen, h)
    seen[slot] = h
    counts[slot] += 1
    return slot


@kernel
def _text_facts(page, tables, i, out):  # type: ignore[no-untyped-def]
    """Count the text of block i; the hash of it."""
    text, row = page.text, out[i]
    start, end = page.blocks[i, B_START], page.blocks[i, B_END]
    upper = digits = marks = separators = commas = sentences = high = letters = currency = 0
    whole = FNV_OFFSET
    p = start
    while p < end:
        c = text[p]
        whole = (whole ^ np.uint64(c)) * FNV_PRIME
        if c >= 0x80:
            high += 1
            currency += c == 0xC2 and p + 1 < end and (text[p + 1] == 0xA3 or text[p + 1] == 0xA5)
            currency += c == 0xE2 and p + 2 < end and text[p + 1] == 0x82 and text[p + 2] >= 0xA0
            width = _wide_mark(text, p, end)
            sentences += width == 1
            commas += width == 2
            marks += width > 0
        elif (c | 32) >= 97 and (c | 32) <= 122:
            letters += 1
            upper += c < 97
        elif c >= 48 and c <= 57:
            digits += 1
        elif c == 46 or c == 33 or c == 63:
            marks += 1
            sentences += p + 1 == end or text[p + 1] <= 32 or text[p + 1] == 34
        elif c == 44 or c == 59 or c == 58:
            marks += 1
            commas += c == 44
        elif c == 124 or c == 47 or c == 45 or c == 62 or c == 60 or c == 42 or c == 95:
            separators += 1
        elif c == 36:
            currency += 1
        p += 1
    n = np.float32(end - start)
    row[F_CURRENCY], row[F_QUESTION] = currency / n, text[end - 1] == 63
    row[F_BYTES], row[F_UPPER], row[F_DIGITS] = np.log(n), upper / max(1, letters), digits / n
    row[F_PUNCTUATION], row[F_SEPARATORS], row[F_NON_ASCII] = marks / n, separators / n, high / n
    row[F_COMMAS], row[F_SENTENCES] = np.log(np.float32(1 + commas)), np.log(np.float32(1 + sentences))
    first = text[start]
    row[F_STARTS] = first >= 65 and first <= 90
    row[F_ENDS] = _ends_sentence(text, start, end)
    _word_facts(page, tables, start, end, row)
    return whole | np.uint64(1)


@kernel
def _wide_mark(text, p, end):  # type: ignore[no-untyped-def]
    """1 where an ideographic, Arabic or Indic full stop or question mark begins, 2 a comma, else 0."""
    if p + 1 >= end:
        return 0
    a, b = text[p], text[p + 1]
    if a == 0xD8 or a == 0xDB:
        return 2 if a == 0xD8 and b == 0x8C else (1 if b == (0x9F if a == 0xD8 else 0x94) else 0)
    if p + 2 >= end:
        return 0
    c = text[p + 2]
    if a == 0xE3 and b == 0x80:
        return 1 if c == 0x82 else (2 if c == 0x81 else 0)
    if a == 0xEF and b == 0xBC:
        return 1 if c == 0x81 or c == 0x9F else (2 if c == 0x8C else 0)
    return 1 if a == 0xE0 and b == 0xA5 and (c == 0xA4 or c == 0xA5) else 0


@kernel
def _ends_sentence(text, start, end):  # type: ignore[no-untyped-def]
    c = text[end - 1]
    if (c == 34 or c == 39 or c == 41) and end - start > 1:
        c = text[end - 2]
    if c == 46 or c == 33 or c == 63:
        return 1.0
    if c == 58:
        return 0.5
    for back in (2, 3):
        if end - back >= start and _wide_mark(text, end - back, end) == 1:
            return 1.0
    return 1.0 if c == 0x9D else 0.0  # a closing curly quote


@kernel
def _word_facts(page, tables, start, end, row):  # type: ignore[no-untyped-def]
    """Two wide characters count for one word."""
    text, s = page.text, page.state
    words = titled = letters = wide = 0
    covered = np.int64(0)  # a bit for each word of the title
    p, before = start, np.uint64(0)
    while True:
        h, p, size, before = next_word(text, p, end, before)
        if size == 0:
            break
        letters += size
        words += 1
        wide += before != 0
        kind = find(tables, TEXT_WORD, h)
        k = 0
        while kind:
            row[F_BOILERPLATE + k] += np.float32(kind & 1)
            kind >>= 1
            k += 1
        hit = 0
        for t in range(s[N_TITLE]):
            if s[TITLE + t] == np.int64(h):
                hit = 1
                covered |= 1 << t
        titled += hit
    n = np.float32(max(1, words))
    for k in range(F_BOILERPLATE, F_CONSENT + 1):
        row[k] /= n
    row[F_TITLE] = titled / n
    words -= wide // 2
    row[F_WORDS], row[F_WORD_BYTES] = np.log(np.float32(1 + words)), letters / np.float32(max(1, words))
    while covered:
        row[F_COVERED] += np.float32(1) / s[N_TITLE]
        covered &= covered - 1


@kernel
def _put_position(page, i, n, out):  # type: ignore[no-untyped-def]
    b, row = page.blocks[i], out[i]
    size = np.float32(b[B_END] - b[B_START])
    total = np.float32(page.blocks[n - 1, B_END])
    row[F_LINKED], row[F_LINKS] = min(np.float32(1), b[B_LINK_BYTES] / size), np.log(np.float32(1 + b[B_LINKS]))
    row[F_BOLD], row[F_DEPTH] = min(np.float32(1), b[B_BOLD_BYTES] / size), b[B_DEPTH]
    row[F_BEFORE], row[F_AFTER] = b[B_BREAK], page.blocks[i + 1, B_BREAK] if i + 1 < n else 3
    row[F_TAGS], row[F_IMAGES] = np.log(np.float32(1 + b[B_TAGS])), np.log(np.float32(1 + b[B_IMAGES]))
    row[F_LISTS], row[F_ITEM], row[F_POSITION] = b[B_LISTS], b[B_BULLET] != 0, i / n
    row[F_TEXT_POSITION], row[F_HTML_POSITION] = b[B_START] / total, b[B_PLACE] / page.html.size


@kernel
def _put_mask(page, i, out):  # type: ignore[no-untyped-def]
    """What a block stands in: anywhere above it, and of the classes also in the containers next to it."""
    mask, near = page.blocks[i, B_MASK], np.int64(0)
    node = page.blocks[i, B_NODE]
    for _ in range(_NEAR):
        near |= page.nodes[node, N_MASK]
        node = page.nodes[node, N_PARENT]
    c = _M_BASE
    for g in range(len(GROUPS)):
        out[i, c] = (mask >> g) & 1
        c += 1
    for k in range(len(CLASSES)):
        out[i, c] = (mask >> (CLASS_SHIFT + k)) & 1
        out[i, c + len(CLASSES)] = (near >> (CLASS_SHIFT + k)) & 1
        c += 1


@kernel
def _put_neighbours(page, i, n, out):  # type: ignore[no-untyped-def]
    """Beyond the page's ends a neighbour's facts are -1."""
    c = _N_BASE
    for step in _STEPS:
        j = i + step
        for fact in _SEEN:
            out[i, c] = out[j, fact] if j >= 0 and j < n else np.float32(-1)
            c += 1
        out[i, c] = j >= 0 and j < n and page.blocks[i, B_NODE] == page.blocks[j, B_NODE]
        c += 1


@kernel
def _put_windows(out, n):  # type: ignore[no-untyped-def]
    """Means over the blocks within w of each, itself included."""
    c = _W_BASE
    for w in _WINDOWS:
        for fact in _AVERAGED:
            total = 0.0
            for j in range(min(w, n)):
                total += out[j, fact]
            for i in range(n):
                if i + w < n:
                    total += out[i + w, fact]
                if i - w - 1 >= 0:
                    total -= out[i - w - 1, fact]
                out[i, c] = total / (min(n - 1, i + w) - max(0, i - w) + 1)
            c += 1


@kernel
def _put_page(page, n, out):  # type: ignore[no-untyped-def]
    size = linked = sentences = paragraphs = 0.0
    for i in range(n):
        b = page.blocks[i]
        size += b[B_END] - b[B_START]
        linked += b[B_LINK_BYTES]
        sentences += out[i, F_SENTENCES]
        if b[B_MASK] & _PARAGRAPH:
            paragraphs += b[B_END] - b[B_START]
    for i in range(n):
        row = out[i]
        row[_P_BASE], row[_P_BASE + 1], row[_P_BASE + 2] = np.log(size), np.log(n), linked / size
        row[_P_BASE + 3], row[_P_BASE + 4], row[_P_BASE + 5] = size / n, sentences, paragraphs / size
