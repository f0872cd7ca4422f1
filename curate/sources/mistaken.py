"""Files that would pass as plain texts and are none: errors that were saved under a file's name, pointers, and what is
called an archive or a table and does not begin as one.

A text has no signature, so whatever has no other would be taken for one: one document of markup or raw bytes, with no
word said.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Final, NamedTuple

_COMPRESSIONS: Final = frozenset({".gz", ".zst", ".zstd", ".lz4", ".bz2"})
_CLAIMS: Final = {
    **dict.fromkeys((".parquet", ".pq"), "Parquet"), **dict.fromkeys((".jsonl", ".ndjson", ".json"), "JSON Lines"),
    **dict.fromkeys((".warc", ".wet", ".arc", ".wacz"), "an archive"),
    ".csv": "a table that can be read", ".tsv": "a table that can be read",
}
"""What a file of that name is expected to be, and a plain text is not."""
_LFS_POINTER: Final = b"version https://git-lfs.github.com/spec/"
_STORE_ERROR: Final = re.compile(rb"\s*(?:<\?xml[^>]{0,128}\?>\s*)?<Error>\s*<Code>([A-Za-z]{1,64})</Code>")
_JSON_ARRAY: Final = re.compile(rb"\s*\[\s*(?:\{\s*(?:\"|\})|\]\s*\Z)")
_HTML: Final = re.compile(rb"\s*(?:<\?xml[^>]{0,128}\?>\s*)?(?:<!--.{0,512}?-->\s*)?<(?:!doctype\s+html|html)[\s>]",
                          re.IGNORECASE | re.DOTALL)
_FORMATS: Final = ((b"%PDF-", "a PDF document"), (b"ORC", "an ORC file"), (b"Obj\x01", "an Avro file"),
                   (b"ARROW1", "an Arrow file"), (b"\xfd7zXZ\0", "compressed by xz"),
                   (b"{\\rtf", "an RTF document"))


class Mistake(NamedTuple):
    """what: the file is, as a message says it. hint: what to do."""

    what: str
    hint: str


def claim_of(path: str) -> str | None:
    """What a path or URL says by its name that the file is, in words; None where it says nothing."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(path.split("?")[0]).suffixes]
    while suffixes and suffixes[-1] in _COMPRESSIONS:
        suffixes.pop()
    return _CLAIMS.get(suffixes[-1]) if suffixes else None


def mistaken_text(path: str, head: bytes) -> Mistake | None:
    """Why a file that only a plain text could be is none.

    Args:
        path: Its path or URL: the name counts here, since the content says nothing.
        head: Its first bytes, decompressed.
    Returns:
        What it is instead, or None where it may be a text.
    """
    head = head.removeprefix(b"\xef\xbb\xbf")
    if head.startswith(_LFS_POINTER):
        return Mistake("is a Git LFS pointer, not the file itself", "fetch the file: git lfs pull")
    if error := _STORE_ERROR.match(head):
        return Mistake(f"is an object store's error message ({error[1].decode()})", "fetch the file again")
    for magic, name in _FORMATS:
        if head.startswith(magic):
            return Mistake(f"is {name}, which is not read", "convert it to Parquet, JSON Lines or plain text")
    if _JSON_ARRAY.match(head):
        return Mistake("is one JSON array, not JSON Lines", "write one object a line: jq -c '.[]' FILE")
    claim = claim_of(path)
    if claim == _CLAIMS[".csv"] and re.match(rb"[^\n]*[,;\t]", head):
        return Mistake("is a table in CSV, which is not read",
                       "write it as Parquet or JSON Lines: duckdb -c \"COPY (FROM 'FILE.csv') TO 'FILE.parquet'\"")
    if claim is not None and head:
        return Mistake(f"is not {claim}, as its name says it is, and begins with {head[:24]!r}",
                       "fetch it again, or name a plain text otherwise; a file of lines must begin with a whole line")
    if _HTML.match(head):
        return Mistake("is an HTML page, not a plain text", "pages are read from WARC, ARC and WACZ archives")
    return None
