"""Meta tags of a page, found as the HTML standard's prescan finds them, or as its parser does."""

from __future__ import annotations

from typing import Final

import numpy as np

from curate.text.compiled import kernel

HTTP_EQUIV, CONTENT, CHARSET = range(3)
"""Attributes of a meta tag that count; row i of `values` is where the value of one begins and ends."""
N_ATTRIBUTES: Final = 3
ABSENT: Final = -1
_NAMES: Final = (np.frombuffer(b"http-equiv", np.uint8), np.frombuffer(b"content", np.uint8),
                 np.frombuffer(b"charset", np.uint8))
_META: Final = np.frombuffer(b"meta", np.uint8)
# Elements whose content is text to a parser: nothing in them is a tag but their own end. noscript is none, since no
# script runs here.
_RAW: Final = tuple(np.frombuffer(name, np.uint8) for name in (
    b"script", b"style", b"title", b"textarea", b"xmp", b"iframe", b"noembed", b"noframes"))
_PLAINTEXT: Final = np.frombuffer(b"plaintext", np.uint8)
_LT, _GT, _SLASH, _EQUALS, _DASH, _BANG, _QUESTION = b"<>/=-!?"
_QUOTE, _APOSTROPHE = b"\"'"


@kernel
def next_meta(data, i, stop, parsed, values):  # type: ignore[no-untyped-def]
    """(index after the next meta tag from data[i] on, or -1 where there is none before `stop`). Its attributes are left
    in `values`, int64 [3, 2].

    parsed: as a parser reads, which passes over the text of scripts, styles and the like; the prescan does not."""
    while i < stop:
        if data[i] != _LT:
            i += 1
            continue
        if i + 1 >= stop:
            return -1
        c = data[i + 1]
        if c == _BANG and i + 3 < stop and data[i + 2] == _DASH and data[i + 3] == _DASH:
            i = _after_comment(data, i + 2, stop)
        elif _is_letter(c):
            meta = _is_named(data, i + 1, stop, _META)
            end = _after_tag(data, i + 1, stop, values, meta)
            if meta or end < 0:
                return end
            i = _after_raw(data, i + 1, end, stop) if parsed else end
        elif c == _SLASH and i + 2 < stop and _is_letter(data[i + 2]):
            i = _after_tag(data, i + 2, stop, values, False)
        elif c in (_BANG, _SLASH, _QUESTION):
            while i < stop and data[i] != _GT:
                i += 1
        else:
            i += 1
        if i < 0:
            return -1
    return -1


@kernel
def _is_letter(c):  # type: ignore[no-untyped-def]
    return 97 <= c | 32 <= 122


@kernel
def _is_space(c):  # type: ignore[no-untyped-def]
    return c == 32 or c == 9 or c == 10 or c == 12 or c == 13


@kernel
def _is_named(data, i, stop, name):  # type: ignore[no-untyped-def]
    """Whether a tag's name at data[i] is this one, in any case."""
    end = i + len(name)
    if end >= stop:
        return False
    for k in range(len(name)):
        if data[i + k] | 32 != name[k]:
            return False
    return _is_space(data[end]) or data[end] == _SLASH or data[end] == _GT


@kernel
def _after_comment(data, i, stop):  # type: ignore[no-untyped-def]
    """The index after a comment whose two dashes begin at data[i]; they may end it too."""
    while i + 2 < stop:
        if data[i] == _DASH and data[i + 1] == _DASH and data[i + 2] == _GT:
            return i + 3
        i += 1
    return -1


@kernel
def _after_raw(data, start, i, stop):  # type: ignore[no-untyped-def]
    """The index after the text of an element whose name begins at data[start] and whose tag ends before data[i]."""
    if _is_named(data, start, stop, _PLAINTEXT):
        return -1
    for name in _RAW:
        if _is_named(data, start, stop, name):
            while i + 1 < stop:
                if data[i] == _LT and data[i + 1] == _SLASH and _is_named(data, i + 2, stop, name):
                    return i
                i += 1
            return -1
    return i


@kernel
def _after_tag(data, i, stop, values, meta):  # type: ignore[no-untyped-def]
    """The index after a tag whose name begins at data[i], -1 where it does not end; of a meta tag, its values."""
    if meta:
        values[:, :] = ABSENT
    while i < stop and not _is_space(data[i]) and data[i] != _GT and not (meta and data[i] == _SLASH):
        i += 1
    while True:
        while i < stop and (_is_space(data[i]) or data[i] == _SLASH):
            i += 1
        if i >= stop:
            return -1
        if data[i] == _GT:
            return i + 1
        i = _attribute(data, i, stop, values, meta)
        if i < 0:
            return -1


@kernel
def _attribute(data, i, stop, values, meta):  # type: ignore[no-untyped-def]
    """The index after an attribute that begins at data[i], -1 where the bytes end in it."""
    name = i
    i += 1
    while i < stop and data[i] != _EQUALS and data[i] != _GT and data[i] != _SLASH and not _is_space(data[i]):
        i += 1
    name_end = i
    while i < stop and _is_space(data[i]):
        i += 1
    if i >= stop:
        return -1
    start = end = i
    if data[i] == _EQUALS:
        i += 1
        while i < stop and _is_space(data[i]):
            i += 1
        if i >= stop:
            return -1
        quote = data[i]
        if quote in (_QUOTE, _APOSTROPHE):
            i += 1
            start = i
            while i < stop and data[i] != quote:
                i += 1
            end, i = i, i + 1
        else:
            start = i
            while i < stop and data[i] != _GT and not _is_space(data[i]):
                i += 1
            end = i
        if end >= stop:
            return -1
    elif data[i] != _GT and data[i] != _SLASH:
        i = name_end
    if meta:
        _keep(data, name, name_end, start, end, values)
    return i


@kernel
def _keep(data, name, name_end, start, end, values):  # type: ignore[no-untyped-def]
    """Note a value, if its attribute counts and is the first of its name."""
    for k in range(N_ATTRIBUTES):
        wanted = _NAMES[0] if k == 0 else _NAMES[1] if k == 1 else _NAMES[2]
        if name_end - name == len(wanted) and values[k, 0] == ABSENT:
            same = True
            for j in range(len(wanted)):
                c = data[name + j]
                if 65 <= c <= 90:
                    c |= 32
                if c != wanted[j]:
                    same = False
                    break
            if same:
                values[k, 0], values[k, 1] = start, end
