"""The chunked transfer coding of HTTP undone (RFC 9112, 7.1), in one pass that a hostile body cannot slow down."""

from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np

MAX_LINE_BYTES: Final = 1 << 14
"""Of a line that gives a chunk's size, with its extensions."""
_MAX_SIZE: Final = 1 << 40
_LF, _CR, _BLANK, _TAB, _SEMICOLON = b"\n\r \t;"


def join_chunks(body: bytes) -> tuple[bytes, bool] | None:
    """The content of a body of chunks; extensions and trailers are passed over.

    Blanks around a size, line feeds alone and a missing line end after a chunk are forgiven, as browsers do.

    Args:
        body: As it was sent.
    Returns:
        (the content, whether it is complete: no chunk is cut short, and the last one is there), or None where the body
        does not begin with a chunk.
    """
    content = np.empty(len(body), np.uint8)
    n_bytes, n_chunks, complete = _join(np.frombuffer(body, np.uint8), content)
    return (content[:n_bytes].tobytes(), bool(complete)) if n_chunks else None


@nb.njit(nogil=True, cache=True)
def _join(body, content):  # type: ignore[no-untyped-def]
    """(bytes of content, chunks, whether the last one, of no size, came)."""
    n_bytes = n_chunks = i = 0
    while True:
        size, i = _size(body, i)
        if size < 0:
            return n_bytes, n_chunks, False
        n_chunks += 1
        if size == 0:
            return n_bytes, n_chunks, True
        end = min(i + size, len(body))
        content[n_bytes : n_bytes + end - i] = body[i:end]
        n_bytes += end - i
        if end - i < size:
            return n_bytes, n_chunks, False
        i = end
        if i < len(body) and body[i] == _CR:
            i += 1
        if i < len(body) and body[i] == _LF:
            i += 1


@nb.njit(nogil=True, cache=True)
def _size(body, i):  # type: ignore[no-untyped-def]
    """(size of the chunk whose line begins at i, -1 where that is none; index after the line)."""
    size, n_digits, stop = 0, 0, min(len(body), i + MAX_LINE_BYTES)
    while i < stop and (body[i] == _BLANK or body[i] == _TAB):
        i += 1
    while i < stop:
        c = body[i]
        if 48 <= c <= 57:
            digit = c - 48
        elif 97 <= c | 32 <= 102:
            digit = (c | 32) - 87
        else:
            break
        size, n_digits, i = size * 16 + digit, n_digits + 1, i + 1
        if size > _MAX_SIZE:
            return -1, i
    while i < stop and (body[i] == _BLANK or body[i] == _TAB):
        i += 1
    if n_digits == 0 or i >= stop or (body[i] != _SEMICOLON and body[i] != _CR and body[i] != _LF):
        return (0 if n_digits and size == 0 and i == len(body) else -1), i
    while i < stop and body[i] != _LF:
        i += 1
    return (size, i + 1) if i < stop or size == 0 else (-1, i)
