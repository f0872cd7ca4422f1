"""The loose form of a URL, by which a person's idea of an address meets the one that was archived.

It forgives more than the form in which links and pages are compared (`curate.text.urls`): besides scheme, user, `www.`,
default port, fragment, trailing slashes and tracking parameters it drops the letters' case and the difference between a
letter and its percent escape. It is made of Arrow's functions alone, so that a look-up loads neither numba nor polars.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.compute as pc

from curate.text.tracking import TRACKING_PARAMETERS

_STEPS: Final = (
    (r"^\s+|\s+$|[\t\r\n]", ""),
    (r"^[a-z][a-z0-9+.-]*://", ""),
    (r"^[^/?#@]*@", ""),
    (r"#.*$", ""),
    (r"^([^/?]*?)\.?(?::(?:80|443))?(/|\?|$)", r"\1\2"),
    (rf"([?&])(?:(?:{'|'.join(TRACKING_PARAMETERS)})=[^&]*(?:&|$))+", r"\1"),
    (r"[?&]+$", ""),
    (r"/+(\?|$)", r"\1"),
    (r"^www\.([^./?]+\.)", r"\1"),
)
_ESCAPED: Final = re.compile(r"%(?:2d|2e|5f|7e|3[0-9]|4[1-9a-f]|5[0-9a]|6[1-9a-f]|7[0-9a])")


def loose_forms(urls: pa.Array[Any] | pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
    """The loose form of each URL. string [n] -> string [n], null where the URL is."""
    forms: Any = pc.utf8_lower(urls.cast(pa.string()))
    for pattern, replacement in _STEPS:
        forms = pc.replace_substring_regex(forms, pattern, replacement)
    forms = pa.chunked_array([forms]) if isinstance(forms, pa.Array) else forms
    odd = pc.fill_null(pc.or_(pc.invert(pc.string_is_ascii(forms)), pc.match_substring(forms, "%")), False)
    if not pc.any(odd).as_py():
        return forms
    plain = pa.array([None if form is None else _plain(form) for form in forms.filter(odd).to_pylist()], pa.string())
    return pa.chunked_array([pc.replace_with_mask(forms.combine_chunks(), odd.combine_chunks(), plain)])


def loose_form(url: str) -> str:
    """The loose form of one URL."""
    return str(loose_forms(pa.array([url.encode("utf-8", "replace").decode()], pa.string()))[0].as_py())


def hosts_of_forms(forms: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
    """Host of each loose form, with its port. string [n] -> string [n]."""
    return pc.struct_field(pc.extract_regex(forms, r"^(?P<host>[^/?]*)"), "host")


def host_of(form: str) -> str:
    """Host of a loose form."""
    return re.split(r"[/?]", form, maxsplit=1)[0]


def _plain(form: str) -> str:
    """A form in ASCII: hosts as the DNS has them, other letters as lower-case percent escapes, needless ones undone."""
    host = host_of(form)
    rest = form[len(host):]
    if not host.isascii():
        host = _ascii_host(host)
    rest = _ESCAPED.sub(lambda escape: unquote(escape.group()), rest)
    return host + (rest if rest.isascii() else quote(rest, safe="".join(map(chr, range(33, 127))))).lower()


def _ascii_host(host: str) -> str:
    try:
        return host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return quote(host).lower()
