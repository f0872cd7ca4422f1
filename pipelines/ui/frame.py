"""The frame of every page: head, navigation, and content whose texts are escaped and whose controls are written out."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from importlib.resources import files
from typing import Any, Final
from urllib.parse import urlencode

from pipelines.terminal import printable

PLACES: Final = (("/", "Overview"), ("/report", "Report"), ("/documents", "Documents"), ("/thresholds", "Thresholds"),
                 ("/row", "Packed rows"), ("/sql", "SQL"))
_STATIC: Final = {"style.css": (("pipelines.report", "report.css"), ("pipelines.ui", "ui.css")),
                  "report.js": (("pipelines.report", "report.js"),), "ui.js": (("pipelines.ui", "ui.js"),),
                  "icon.svg": (("pipelines.ui", "icon.svg"),)}
_MEDIA_TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


def framed(title: str, here: str, content: str) -> str:
    """A page.

    Args:
        title: Of the page; any text.
        here: Which of PLACES it belongs to.
        content: Markup already.
    """
    links = "".join(f'<a href="{path}"{_current(path == here)}>{escape(name)}</a>' for path, name in PLACES)
    return ('<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<link rel="icon" href="/static/icon.svg"><link rel="stylesheet" href="/static/style.css">'
            '<script src="/static/report.js" defer></script>'
            f'<script src="/static/ui.js" defer></script><title>{printable(escape(title))}</title></head>'
            f'<body><header><nav class="places">{links}</nav></header><main><h1>{printable(escape(title))}</h1>'
            f"{printable(content)}</main></body></html>\n")


def static(name: str) -> tuple[bytes, str] | None:
    """(content, media type) of a file that pages name; None where there is none of that name."""
    if name not in _STATIC:
        return None
    text = "".join(files(package).joinpath(file).read_text("utf-8") for package, file in _STATIC[name])
    return text.encode(), _MEDIA_TYPES[name.rpartition(".")[2]]


def link(path: str, query: Mapping[str, Any], text: str) -> str:
    """A link within the server. query: those that are None or empty are left out."""
    given = {name: value for name, value in query.items() if value not in (None, "")}
    target = path + (f"?{urlencode(given)}" if given else "")
    return f'<a href="{escape(target)}">{escape(text)}</a>'


def document_link(doc_id: str, text: str | None = None) -> str:
    """A link to a document's page. doc_id: 32 hex digits, which is what is shown without a text."""
    return link(f"/document/{doc_id}", {}, text or doc_id)


def field(name: str, label: str, value: Any, kind: str = "search", **attributes: Any) -> str:
    """A labelled input of a form."""
    more = "".join(f' {key}="{escape(str(given))}"' for key, given in attributes.items() if given is not None)
    return (f'<label>{escape(label)}<input type="{kind}" name="{escape(name)}" '
            f'value="{escape("" if value is None else str(value))}"{more}></label>')


def choice(name: str, label: str, value: str, options: Mapping[str, str]) -> str:
    """A labelled list to choose from. options: value to what is shown; the empty one chooses nothing."""
    if value and value not in options:
        options = {**options, value: value}
    shown = "".join(f'<option value="{escape(key)}"{" selected" if key == value else ""}>{escape(text)}</option>'
                    for key, text in {"": "any", **options}.items())
    return f'<label>{escape(label)}<select name="{escape(name)}">{shown}</select></label>'


def _current(is_here: bool) -> str:
    return ' aria-current="page"' if is_here else ""
