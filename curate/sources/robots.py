"""What a page asks of crawlers: X-Robots-Tag in its response, and robots meta tags in its HTML."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, Field

from curate.sources.rows import ExtractReason

if TYPE_CHECKING:
    from curate.sources.responses import HttpPage

_HEAD_BYTES: Final = 1 << 16
_META: Final = re.compile(rb"<meta\b([^>]{0,2048})>", re.IGNORECASE)
_ATTRIBUTE: Final = re.compile(r"([a-z-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))", re.IGNORECASE)
_HEAD_END: Final = re.compile(rb"</head\s*>|<body[\s>]", re.IGNORECASE)
_EVERYONE: Final = "robots"


class RobotsRules(BaseModel):
    """Whether pages that ask not to be used are dropped. Nothing is, unless directives or lists are given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    directives: tuple[str, ...] = Field(
        default=(),
        description="Directives whose pages are dropped, such as noai, noindex or noarchive, in lower case; `none` in "
                    "a page counts as noindex.")
    agents: tuple[str, ...] = Field(
        default=(), description="Crawlers, in lower case, whose own directives count too, such as gptbot; those for "
                                "every crawler always count.")
    opted_out: tuple[str, ...] = Field(
        default=(), description="Files of hosts that opted out, one a line, their subdomains included; "
                                "patterns as in sources.")


def robots_reason(page: HttpPage, rules: RobotsRules) -> ExtractReason | None:
    """Why a page must not be used by what it says itself, or None; the header is asked before the HTML."""
    if not rules.directives:
        return None
    asked = frozenset(rules.directives)
    if not asked.isdisjoint(_header_directives(page.robots, frozenset(rules.agents))):
        return ExtractReason.ROBOTS_HEADER
    if not asked.isdisjoint(_meta_directives(page.body, frozenset({_EVERYONE, *rules.agents}))):
        return ExtractReason.ROBOTS_META
    return None


def _header_directives(values: tuple[str, ...], agents: frozenset[str]) -> Iterator[str]:
    """Directives of X-Robots-Tag values; in `agent: a, b` the agent holds for the rest of the value."""
    for value in values:
        applies = True
        for word in value.lower().split(","):
            name, colon, rest = word.partition(":")
            directive = word.strip()
            if colon and name.strip() not in ("unavailable_after", "max-snippet", "max-image-preview",
                                              "max-video-preview"):
                applies, directive = name.strip() in agents, rest.strip()
            if applies:
                yield from _meanings(directive)


def _meta_directives(body: bytes, names: frozenset[str]) -> Iterator[str]:
    end = _HEAD_END.search(body, 0, _HEAD_BYTES)
    for tag in _META.finditer(body, 0, end.start() if end else _HEAD_BYTES):
        pairs = _ATTRIBUTE.findall(html.unescape(tag[1].decode("latin-1")))
        fields = {name.lower(): (a or b or c).strip().lower() for name, a, b, c in pairs}
        if fields.get("name") in names:
            for word in fields.get("content", "").split(","):
                yield from _meanings(word.strip())


def _meanings(directive: str) -> tuple[str, ...]:
    return (directive, "noindex") if directive == "none" else (directive,)
