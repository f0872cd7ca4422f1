"""What a Content-Type header says: the type and the charset, where several values were joined or one is no type.

Servers and the programs before them send the field twice, or join values by commas. The Fetch standard's rule ("extract
a MIME type") says which value counts: the last that is a type at all; a charset that an earlier value of the same type
gave stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_TYPE: Final = re.compile(rf"[ \t\r\n]*({_TOKEN}/{_TOKEN})(?![^ \t\r\n;,])")
_CHARSET: Final = re.compile(r";[ \t]*charset[ \t]*=[ \t]*(?:\"([^\"]{1,64})\"?|'?([^\s\"';,]{1,64}))", re.IGNORECASE)
# A comma ends a value unless a quoted string holds it.
_VALUE: Final = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*(?:"|\\?\Z))+')
_ANY: Final = "*/*"
_MAX_CHARACTERS: Final = 4096


class MediaType(NamedTuple):
    """kind: such as `text/html`, lower case; None where no value is a type. charset: as it is written, or None."""

    kind: str | None
    charset: str | None


def media_type(values: Iterable[str]) -> MediaType:
    """What the values of Content-Type fields mean together (Fetch, 2.2.2).

    A value whose type is followed by something else than a parameter (the next field, run into it) is read up to there.

    Args:
        values: Of all fields of that name, in order.
    Returns:
        The type and its charset.
    """
    kind: str | None = None
    charset: str | None = None
    for value in _split(values):
        found = _TYPE.match(value)
        if found is None or found[1] == _ANY:
            continue
        named = _CHARSET.search(value, found.end())
        if kind != found[1].lower():
            kind, charset = found[1].lower(), None
        if named is not None:
            charset = (named[1] or named[2]).strip()
    return MediaType(kind, charset)


def _split(values: Iterable[str]) -> Iterator[str]:
    for value in values:
        yield from _VALUE.findall(value[:_MAX_CHARACTERS])
