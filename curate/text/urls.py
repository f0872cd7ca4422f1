"""When two URLs are one page: the normal form in which links and crawled pages are compared.

The normal form of an http or https URL is `host[:port]path[?query]`:

* the scheme and any user name are dropped; tabs, line breaks and surrounding white space are removed;
* the host is lower-case, in its ASCII form (UTS 46) where it can be, without a trailing dot and without a leading
`www.`; * a default port (80, 443) is dropped, and any other is kept;
* percent escapes of letters, digits, `-._~` are decoded; all others are upper-case; other bytes outside printable ASCII
  are escaped as UTF-8 (RFC 3986, sections 2.3 and 6.2.2);
* trailing slashes of the path are dropped; dot segments and the letters' case stay as they are;
* the fragment goes, and so do query parameters that only track (`utm_*`, `fbclid`, `gclid` and the like, see
  `TRACKING_PARAMETERS`); the other parameters keep their order; an empty query is no query.

URLs of other schemes, and strings that are no URLs, have no normal form (null).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import idna
import numba as nb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from curate.text.strings import string_buffers
from curate.text.tracking import TRACKING_PARAMETERS

if TYPE_CHECKING:
    import polars as pl

_HOST = r"(?:[^/?#@]*@)?(\[[0-9A-Fa-f:.]+\]|[^/?#:@\[\]\\]+)"
_URL = rf"(?s)^(?i:https?)://{_HOST}(?::([0-9]*))?([/?][^#]*)?(?:#.*)?$"
_AUTHORITY: Final = r"^[A-Za-z][A-Za-z0-9+.-]*:(?://(?:[^/?#@]*@)?(?P<host>\[[^\]]*\]|[^/?#:]*))?"
_TRACKING = rf"(?i)&(?:{'|'.join(TRACKING_PARAMETERS)})=[^&]*"


@nb.njit(nogil=True, cache=True, inline="always")
def _hex(c):  # type: ignore[no-untyped-def]
    """Value of an ASCII hexadecimal digit, or -1."""
    if 48 <= c <= 57:
        return c - 48
    c |= 0x20
    return c - 87 if 97 <= c <= 102 else -1


@nb.njit(nogil=True, cache=True, inline="always")
def _unreserved(c):  # type: ignore[no-untyped-def]
    """RFC 3986's unreserved characters: letters, digits and -._~"""
    low = c | 0x20
    return 97 <= low <= 122 or 48 <= c <= 57 or c == 45 or c == 46 or c == 95 or c == 126


@nb.njit(nogil=True, cache=True)
def _percent(data, offsets):  # type: ignore[no-untyped-def]
    """Canonical percent escapes of many strings; returns their bytes and offsets."""
    digits = b"0123456789ABCDEF"
    n = offsets.size - 1
    out = np.empty(3 * (offsets[n] - offsets[0]) + 1, np.uint8)
    bounds = np.zeros(n + 1, np.int64)
    q = 0
    for i in range(n):
        p, end = offsets[i], offsets[i + 1]
        while p < end:
            c = np.int64(data[p])
            escape = bool(c <= 0x20 or c >= 0x7F)
            if c == 37 and p + 2 < end:
                high, low = _hex(np.int64(data[p + 1])), _hex(np.int64(data[p + 2]))
                if high >= 0 and low >= 0:
                    c = high * 16 + low
                    escape = not _unreserved(c)
                    p += 2
            if escape:
                out[q] = 37
                out[q + 1] = digits[c >> 4]
                out[q + 2] = digits[c & 15]
                q += 3
            else:
                out[q] = c
                q += 1
            p += 1
        bounds[i + 1] = q
    return out[:q], bounds


def _canonical_escapes(strings: pl.Series) -> pl.Series:
    import polars as pl  # here and below: hosts of ASCII, which every document has, need none of it

    data, offsets = string_buffers(strings.to_arrow())
    out, bounds = _percent(data, np.ascontiguousarray(offsets))
    buffers = [None, pa.py_buffer(bounds), pa.py_buffer(out)]
    return pl.Series(pa.Array.from_buffers(pa.large_string(), len(strings), buffers))


def _ascii_host(host: str) -> str:
    """ASCII form of a host as browsers make it (UTS 46, non-transitional); names that have none stay as they are, so
    that they still equal themselves."""
    if host.isascii():
        return host
    try:
        mapped = idna.uts46_remap(host, std3_rules=False, transitional=False)
        labels = (label if label.isascii() else f"xn--{label.encode('punycode').decode('ascii')}"
                  for label in mapped.split("."))
        return ".".join(labels)
    except (idna.IDNAError, UnicodeError):
        return host


def bare_host(host: str) -> str:
    """A host without its leading `www.`, as sites are counted; `www.com` stays."""
    rest = host.removeprefix("www.")
    return rest if "." in rest else host


def ascii_hosts(hosts: pl.Series) -> pl.Series:
    """Hosts in their ASCII form (UTS 46), where they have one. String [n] -> String [n]."""
    foreign = hosts.filter(hosts.str.contains(r"[^\x00-\x7f]")).unique().to_list()
    # Rare, and only by distinct host.
    return hosts.replace({host: _ascii_host(host) for host in foreign}) if foreign else hosts


def hosts_of(urls: pa.Array) -> pa.Array:
    """Lower-case ASCII host of each URL of any scheme, without user, port and final dot, `www.` kept; null where there
    is none. This is the `host` of documents. string [n] -> string [n]."""
    found = pc.struct_field(pc.extract_regex(urls, _AUTHORITY), "host").cast(pa.string())
    if pc.all(pc.string_is_ascii(found)).as_py() is not False:  # without polars, whose threads a fork does not survive
        plain = pc.utf8_rtrim(pc.ascii_lower(found), ".")
        return pc.if_else(pc.not_equal(plain, ""), plain, pa.scalar(None, pa.string()))
    import polars as pl

    host = pl.Series(found, dtype=pl.String)
    host = ascii_hosts(host.str.to_lowercase().str.strip_chars_end("."))
    return host.to_frame("host").select(pl.when(pl.col("host") != "").then("host"))["host"].to_arrow().cast(pa.string())


def _hosts(raw: pl.Series) -> pl.Series:
    hosts = ascii_hosts(raw.str.to_lowercase().str.strip_chars().str.strip_chars_end("."))
    return hosts.str.replace(r"^www\.([^.]+\..+)$", "$1")


def normalise_urls(urls: pa.Array[Any] | pa.ChunkedArray[Any] | pl.Series) -> pl.DataFrame:
    """Normal form and site of many URLs, vectorised: this is where links meet pages.

    Returns columns `url` (the normal form of this module's docstring) and `host` (lower-case, without `www.` and port),
    both String [n], null where the input is null or no http(s) URL."""
    import polars as pl

    raw = urls if isinstance(urls, pl.Series) else pl.Series(urls)
    text = pl.DataFrame({"raw": raw.cast(pl.String)}).select(
        pl.col("raw").str.replace_all(r"[\t\r\n]", "").str.strip_chars().str.extract_groups(_URL).alias("parts")
    ).unnest("parts")
    host, port = _hosts(text["1"]), text["2"]
    rest = _canonical_escapes(text["3"].fill_null(""))
    query = pl.col("query").str.replace_all(_TRACKING, "").str.replace_all("&+", "&").str.strip_chars("&")
    parts = pl.DataFrame({"host": host, "port": port, "rest": rest}).with_columns(
        pl.when(pl.col("host") != "").then("host").alias("host"),
        pl.when(pl.col("port").is_in(["", "80", "443"])).then(None).otherwise(pl.col("port")).alias("port"),
        pl.col("rest").str.extract(r"^([^?]*)", 1).str.strip_chars_end("/").alias("path"),
        pl.format("&{}", pl.col("rest").str.extract(r"\?(.*)$", 1)).alias("query"),
    ).with_columns(query)
    return parts.select(
        pl.concat_str(
            "host",
            pl.when(pl.col("port").is_not_null()).then(pl.format(":{}", "port")).otherwise(pl.lit("")),
            "path",
            pl.when(pl.col("query").fill_null("") != "").then(pl.format("?{}", "query")).otherwise(pl.lit("")),
        ).alias("url"), "host")


def url_keys(normalised: pl.Series) -> pl.Series:
    """xxh3-64 of each normal form, UInt64 [n], null where it is null.

    One C call a URL: a few hundred nanoseconds, beside a page's own kilobytes."""
    import polars as pl

    hashed = (None if url is None else xxhash.xxh3_64_intdigest(url) for url in normalised.cast(pl.Binary).to_list())
    return pl.Series("url_key", hashed, dtype=pl.UInt64)
