"""Plain text files, perhaps compressed: one file is one document, as books are kept."""

from __future__ import annotations

from typing import IO

from curate.extraction.html import decode
from curate.sources.members import read_pieces
from curate.sources.warc import Loss


def read_text(stream: IO[bytes], max_bytes: int) -> tuple[str | None, int, list[Loss]]:
    """(text, bytes read, losses) of a file; text is None where it is longer than max_bytes.

    No more than max_bytes and one piece are held. A damaged file gives what comes before the damage."""
    data = bytearray()
    losses = []
    for piece in read_pieces(stream, opening=b""):
        data += piece.data
        if piece.broken is not None:
            losses.append(Loss(piece.member or 0, piece.broken))
            break
        if len(data) > max_bytes:
            return None, len(data), losses
    return decode(bytes(data)), len(data), losses
