"""The text of pages that hold none in their markup: what scripts would have put there, from the data they come with.

JSON-LD (`articleBody`, `text`), the state of frameworks (`__NEXT_DATA__`, `__NUXT__`, `window.__INITIAL_STATE__` and
other JSON in scripts), and JSON in attributes (Discourse's `data-preloaded`, Inertia's `data-page`). Of all strings
that read like prose, those under the key that has the most of them are the text: posts, paragraphs, a body. It is asked
only of pages whose markup gave next to nothing, so that its cost is that of few pages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import escape, unescape
from typing import Any, Final

SCANT_BYTES: Final = 240
"""UTF-8 bytes of text below which a page is asked for its state: less than a paragraph."""
_MAX_BYTES: Final = 8 << 20  # of a page that is read so
_MAX_STRINGS: Final = 200_000  # of a page that are looked at
_MAX_NESTED: Final = 3  # JSON inside strings of JSON
_MIN_WORDS: Final = 8
_SCRIPT: Final = re.compile(rb"<script\b([^>]{0,500})>(.*?)</script", re.DOTALL | re.IGNORECASE)
_JSON_TYPE: Final = re.compile(rb"application/(?:ld\+)?json|__NEXT_DATA__|__NUXT", re.IGNORECASE)
_ASSIGNED: Final = re.compile(rb"(?:window\.|self\.|var |const |let )[\w.$]{1,60}\s*=\s*(?=\{)")
_ATTRIBUTE: Final = re.compile(rb"""\bdata-(?:preloaded|page|state|props|initial-state)=(?:"([^"]*)"|'([^']*)')""")
_TAG: Final = re.compile(r"</?(?:p|div|br|ul|ol|li|h[1-6]|blockquote|pre|table|a|em|strong|span)\b[^>]*>",
                         re.IGNORECASE)
_WORD: Final = re.compile(r"\w+")
_SENTENCE: Final = re.compile(r"[.!?\u3002\uff01\uff1f]")


def state_html(html: bytes) -> bytes | None:
    """HTML of the text that a page's data holds; None where it holds none.

    Args:
        html: The page, in UTF-8. What is no JSON in it is passed over.
    """
    if len(html) > _MAX_BYTES:
        return None
    strings: dict[str, dict[str, None]] = {}
    for number, (key, value) in enumerate(_strings(html)):
        if number > _MAX_STRINGS:
            break
        if _is_prose(value):
            strings.setdefault(key, {})[value] = None
    if not strings:
        return None
    best = max(strings, key=lambda key: sum(map(len, strings[key])))
    parts = (value if _TAG.search(value) else "".join(f"<p>{escape(p)}</p>" for p in value.split("\n") if p.strip())
             for value in strings[best])
    return "".join(f"<div>{part}</div>" for part in parts).encode("utf-8", "replace")


def _strings(html: bytes) -> Iterator[tuple[str, str]]:
    """(key, string) of all JSON of a page, in order."""
    for match in _SCRIPT.finditer(html):
        if _JSON_TYPE.search(match.group(1)):
            yield from _walk(_parsed(match.group(2)))
        elif assigned := _ASSIGNED.search(match.group(2)):
            yield from _walk(_parsed(match.group(2)[assigned.end() :]))
    for match in _ATTRIBUTE.finditer(html):
        value = (match.group(1) or match.group(2) or b"").decode("utf-8", "replace")
        yield from _walk(_parsed(unescape(value).encode("utf-8", "replace")))


def _parsed(text: bytes) -> Any:
    """The JSON value that a text begins with; None where it begins with none."""
    try:
        return json.JSONDecoder(strict=False).raw_decode(text.decode("utf-8", "replace").lstrip())[0]
    except (ValueError, RecursionError):
        return None


def _walk(value: Any) -> Iterator[tuple[str, str]]:
    """(key, string) below a JSON value in order; a string in a list has the list's key."""
    stack: list[tuple[str, Any, int]] = [("", value, 0)]
    while stack:
        key, value, nested = stack.pop()
        if isinstance(value, dict):
            stack += [(k, v, nested) for k, v in reversed(value.items())]
        elif isinstance(value, list):
            stack += [(key, v, nested) for v in reversed(value)]
        elif isinstance(value, str):
            if nested < _MAX_NESTED and value[:1] in ("{", "["):
                inner = _parsed(value.encode("utf-8", "replace"))
                if isinstance(inner, dict | list):
                    stack.append((key, inner, nested + 1))
                    continue
            yield key, value


def _is_prose(value: str) -> bool:
    """Whether a string reads like text: words enough and the end of a sentence, or markup of text around words."""
    if len(value) < 4 * _MIN_WORDS or value.startswith(("http://", "https://", "data:", "/")):
        return False
    plain = _TAG.sub(" ", value)
    return len(_WORD.findall(plain)) >= _MIN_WORDS and " " in plain and _SENTENCE.search(plain) is not None
