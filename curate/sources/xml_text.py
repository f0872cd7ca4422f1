"""XML files as UTF-8, whatever they are stored in, and their elements cut out one by one.

No parser sees a whole file: an element is found by its tags and parsed by itself, so that a malformed one costs itself
alone. What could declare entities stands before the first element and is never parsed, so none can grow.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import IO, Final
from xml.etree import ElementTree

from curate.sources.members import Chunk, read_chunks

_DECLARATION: Final = re.compile(rb"""<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_MARKS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_PROLOGUE: Final = re.compile(rb"\s*(?:<\?.*?\?>\s*|<!--.*?-->\s*|<!DOCTYPE[^>\[]*(?:\[.*?\]\s*)?>\s*)*<([\w:.-]+)",
                              re.DOTALL)


def xml_root(head: bytes) -> str | None:
    """The name of the first element of what may be XML, by its first bytes; None where it is none."""
    mark, encoding = _encoding(head)
    if encoding.startswith("utf-16"):
        head = head[mark : mark + (len(head) - mark) // 2 * 2].decode(encoding, "replace").encode()
        mark = 0
    if head[mark : mark + 256].lstrip()[:1] != b"<":
        return None
    found = _PROLOGUE.match(head, mark)
    return found[1].decode("utf-8", "replace") if found else None


def xml_chunks(stream: IO[bytes], opening: bytes | tuple[bytes, ...] = b"") -> Iterator[Chunk]:
    """The decompressed bytes of an XML file in UTF-8, without a byte order mark.

    stream: plain or compressed, seekable. opening: what a member may start with, for reading to go on there after
    damage."""
    decoder: codecs.IncrementalDecoder | None = None
    first = True
    for chunk in read_chunks(stream, opening):
        if first and chunk.data:
            first = False
            mark, encoding = _encoding(chunk.data)
            chunk.data = chunk.data[mark:]
            if encoding != "utf-8":
                decoder = codecs.getincrementaldecoder(encoding)("replace")
        if decoder is not None:
            chunk.data = decoder.decode(chunk.data).encode("utf-8", "replace")
        yield chunk


def _encoding(head: bytes) -> tuple[int, str]:
    """(bytes of the mark, name of the encoding) by the mark or the declaration; UTF-8 where there is neither."""
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return len(mark), encoding
    declared = _DECLARATION.match(head)
    try:
        return 0, codecs.lookup(declared[1].decode()).name if declared else "utf-8"
    except LookupError:
        return 0, "utf-8"


def parse_element(data: bytes | bytearray) -> ElementTree.Element:
    """One element that was cut out of a file. Raises ValueError, with what is wrong, where it is malformed."""
    try:
        # Bounded: expat resolves nothing outside, and since 2.4.1 refuses entities that grow.
        return ElementTree.fromstring(bytes(data))  # nosec B314
    except (ElementTree.ParseError, ValueError) as error:
        raise ValueError(f"malformed XML: {error}") from error


def parse_document(data: bytes) -> ElementTree.Element:
    """A small document, such as the package of a book. Raises ValueError where it is malformed or declares entities."""
    if any("<!ENTITY".encode(encoding) in data for encoding in ("ascii", "utf-16-le", "utf-16-be")):
        raise ValueError("XML that declares entities is not read")
    return parse_element(data)
