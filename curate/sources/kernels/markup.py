"""How hard a page is to parse, measured in one pass over its bytes before any parser sees it.

An HTML parser's time grows with the square of how deep a page nests, of the attributes of one tag, and of the unclosed
formatting elements that it must reopen; its memory grows with the number of tags. A thread inside a parser cannot be
stopped, so such pages are recognised beforehand.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numba as nb
import numpy as np

from curate.text.search import next_byte

_SLOTS: Final = 4096  # open elements are counted by their name's hash
# Elements that never nest by themselves: void ones, and those whose end tag HTML lets writers leave out.
_FLAT: Final = (
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr",
    "basefont", "bgsound", "frame", "keygen", "p", "li", "dt", "dd", "td", "th", "tr", "tbody", "thead", "tfoot",
    "option", "optgroup", "colgroup", "rt", "rp", "html", "head", "body")
_RAW: Final = ("script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes")


def _key(name: str) -> int:
    """A name as the kernel packs it: FNV-1a of its lower-case letters, 32 bits."""
    h = 0x811C9DC5
    for c in name.encode():
        h = ((h ^ c) * 0x01000193) & 0xFFFFFFFF
    return h


_FLAT_KEYS: Final = np.sort(np.array([_key(n) for n in _FLAT], np.int64))
_RAW_KEYS: Final = np.sort(np.array([_key(n) for n in _RAW], np.int64))


class Markup(NamedTuple):
    """n_tags: start tags. depth: most elements open at once, those that never nest left out. n_attributes: most of any
    one tag."""

    n_tags: int
    depth: int
    n_attributes: int


def measure_markup(html: bytes) -> Markup:
    """Counts of a page in an encoding that keeps ASCII, at about the speed of memory; nothing is parsed."""
    return Markup(*(int(v) for v in _measure(np.frombuffer(html, np.uint8), _FLAT_KEYS, _RAW_KEYS)))


@nb.njit(nogil=True, cache=True, inline="always")
def _letter(c):  # type: ignore[no-untyped-def]
    return 97 <= (c | 0x20) <= 122


@nb.njit(nogil=True, cache=True, inline="always")
def _is_space(c):  # type: ignore[no-untyped-def]
    return c == 32 or 9 <= c <= 13


@nb.njit(nogil=True, cache=True)
def _name(data, p):  # type: ignore[no-untyped-def]
    """(hash, end) of the tag name that begins at p."""
    h = np.int64(0x811C9DC5)
    n = data.size
    while p < n:
        c = np.int64(data[p])
        if c == 62 or c == 47 or _is_space(c):
            break
        h = ((h ^ (c | 0x20 if 65 <= c <= 90 else c)) * 0x01000193) & 0xFFFFFFFF
        p += 1
    return h, p


@nb.njit(nogil=True, cache=True)
def _in(keys, key):  # type: ignore[no-untyped-def]
    slot = np.searchsorted(keys, key)
    return slot < keys.size and keys[slot] == key


@nb.njit(nogil=True, cache=True)
def _attributes(data, p):  # type: ignore[no-untyped-def]
    """(number of attributes, offset after the `>`) of the tag whose name ends at p."""
    n, count = data.size, 0
    inside, value = False, False  # within a name or a bare value; after an equals sign
    while p < n:
        c = data[p]
        p += 1
        if c == 62:
            break
        if value and (c == 34 or c == 39):
            while p < n and data[p] != c:
                p += 1
            p = min(p + 1, n)
            inside, value = False, False
        elif c == 61:
            value, inside = True, False
        elif _is_space(c) or (c == 47 and not value):
            if inside:
                inside, value = False, False
        elif not inside:
            inside = True
            count += not value
    return count, p


@nb.njit(nogil=True, cache=True)
def _after_raw(data, p, key):  # type: ignore[no-untyped-def]
    """Offset of the end tag that closes a raw text element whose content begins at p, or the end of the page."""
    n = data.size
    p = next_byte(data, p, 60)
    while p + 1 < n:
        if data[p + 1] == 47 and _name(data, p + 2)[0] == key:
            return p
        p = next_byte(data, p + 1, 60)
    return n


@nb.njit(nogil=True, cache=True)
def _after_comment(data, p):  # type: ignore[no-untyped-def]
    """Offset after the comment, doctype or instruction whose `<!` or `<?` ends before p."""
    n = data.size
    if p + 1 < n and data[p] == 45 and data[p + 1] == 45:
        q = next_byte(data, p + 4, 62)
        while q < n:
            if data[q - 2] == 45 and data[q - 1] == 45:
                return q + 1
            q = next_byte(data, q + 1, 62)
        return n
    return next_byte(data, p, 62) + 1


@nb.njit(nogil=True, cache=True)
def _measure(data, flat, raw):  # type: ignore[no-untyped-def]
    n = data.size
    open_elements = np.zeros(_SLOTS, np.int64)
    n_tags, depth, deepest, most = 0, 0, 0, 0
    p = 0
    while p + 1 < n:
        if data[p] != 60:
            p += 1
            continue
        c = np.int64(data[p + 1])
        if c == 33 or c == 63:
            p = _after_comment(data, p + 2)
        elif c == 47 and p + 2 < n and _letter(np.int64(data[p + 2])):
            key, p = _name(data, p + 2)
            slot = key % _SLOTS
            if open_elements[slot]:
                open_elements[slot] -= 1
                depth -= 1
        elif _letter(c):
            key, p = _name(data, p + 1)
            count, p = _attributes(data, p)
            n_tags += 1
            most = max(most, count)
            if _in(raw, key):
                p = _after_raw(data, p, key)
            elif not _in(flat, key):
                open_elements[key % _SLOTS] += 1
                depth += 1
                deepest = max(deepest, depth)
        else:
            p += 1
    return n_tags, deepest, most
