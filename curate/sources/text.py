"""Plain text files, perhaps compressed: one file is one document, as books are kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

import pyarrow as pa

from curate.charsets.reading import text_as_utf8
from curate.sources.columns import TextRows
from curate.sources.members import read_chunks
from curate.sources.warc import Damage
from curate.text.strings import strings_array, valid_text


def read_text_rows(stream: IO[bytes], max_bytes: int) -> Iterator[TextRows | Damage]:
    """The one row of a text file, without an id, after what is damaged in it.

    Its text is null, and `n_bytes` what was read, where it is longer than max_bytes: no more than that and one block
    are held. A damaged file gives what comes before the damage."""
    data = bytearray()
    for chunk in read_chunks(stream, opening=b""):
        data += chunk.data
        if chunk.broken is not None:
            yield Damage(chunk.member or 0, chunk.broken)
            break
        if len(data) > max_bytes:
            yield TextRows(0, pa.nulls(1, pa.large_string()), pa.nulls(1, pa.string()), pa.nulls(1, pa.string()),
                           n_bytes=len(data))
            return
    text = strings_array([valid_text(text_as_utf8(bytes(data)).data.decode())])
    yield TextRows(0, text, pa.nulls(1, pa.string()), pa.nulls(1, pa.string()), n_bytes=len(data))
