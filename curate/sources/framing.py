"""How records begin and end in the two archive formats: WARC, and ARC, which it replaced.

WARC: ISO 28500:2017 (1.1), also 0.17 to 1.0, with LF instead of CRLF. ARC: the Internet Archive's file format of
1996 (versions 1 and 2), one header line `URL IP date type [result checksum location offset filename] length` a record;
a record of it is given the fields that a WARC record would have.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Framing:
    """How records of one format are told apart.

    openings: what the first bytes of a record may be. start: matches where a record can begin inside other bytes, so
    it asks for more than the opening. longest_start: bytes that `start` may need to see. nests: whether a sound header
    may hold what looks like the start of another, as an ARC header does with a URL inside a URL. header_end: matches
    the end of a record's header. fields: the header's fields from its bytes, names in lower case. terminators: what
    closes a record, the longest first."""

    name: str
    openings: tuple[bytes, ...]
    start: re.Pattern[bytes]
    longest_start: int
    nests: bool
    header_end: re.Pattern[bytes]
    fields: Callable[[bytes], dict[str, str]]
    terminators: tuple[bytes, ...]


def warc_fields(header: bytes) -> dict[str, str]:
    """The fields of a WARC header, names in lower case; of a repeated one the first, continuation lines joined."""
    fields: dict[str, str] = {}
    name = ""
    for line in header.decode("utf-8", "replace").splitlines()[1:]:
        if line[:1] in (" ", "\t") and name:
            fields[name] += " " + line.strip()
            continue
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        if colon:
            fields.setdefault(name, value.strip())
        else:
            name = ""
    return fields


def arc_fields(header: bytes) -> dict[str, str]:
    """The fields of an ARC header line under their WARC names. The archive's own description is a `warcinfo`."""
    words = header.decode("utf-8", "replace").strip().split(" ")
    url, address, date, kind, length = words[0], words[1], words[2], words[3], words[-1]
    return {"warc-type": "warcinfo" if url.startswith("filedesc:") else "response", "warc-target-uri": url,
            "warc-ip-address": address, "warc-date": _iso_date(date), "warc-identified-payload-type": kind,
            "content-length": length}


def _iso_date(digits: str) -> str:
    """`20080430204825` as ISO 8601; what is missing of the time of day is zero."""
    full = digits[:14].ljust(14, "0")
    return f"{full[:4]}-{full[4:6]}-{full[6:8]}T{full[8:10]}:{full[10:12]}:{full[12:14]}Z"


WARC: Final = Framing(
    name="WARC", openings=(b"WARC/", b"warc/"),
    # A version line and a first field, not the mere word in a page.
    start=re.compile(rb"(?:WARC|warc)/[01]\.[0-9]{1,2}\r?\n[A-Za-z-]+[ \t]*:"), longest_start=64, nests=False,
    header_end=re.compile(rb"\r?\n\r?\n"), fields=warc_fields, terminators=(b"\r\n\r\n", b"\n\n"))

ARC: Final = Framing(
    name="ARC", openings=(b"filedesc:", b"http:", b"https:", b"dns:", b"ftp:", b"whois:", b"gopher:"),
    # Version 1: URL, IP address, date, type, length; version 2 has a result code, checksum, location, offset and file
    # name before the length.
    start=re.compile(
        rb"(?:(?:https?|ftp|gopher)://[^ \r\n]{1,4096}|filedesc://[^ /:\r\n]{1,1024}|(?:dns|whois):[^ /\r\n]{1,256}) "
        rb"[0-9A-Fa-f.:]{1,45} [0-9]{8,20} [^ \r\n:]{0,256} (?:[0-9-]{1,4} [^ \r\n]{0,256} [^ \r\n]{0,4096} "
        rb"[0-9-]{1,16} [^ \r\n]{0,1024} )?[0-9]{1,15}\r?\n"), longest_start=1 << 13, nests=True,
    header_end=re.compile(rb"\n"), fields=arc_fields, terminators=(b"\n",))

ARC_START: Final = b"filedesc:"
"""The first bytes of every ARC file."""
