"""Which addresses may give documents, and the lists that a recipe names for them (`url_rules`, `blocklists`)."""

from __future__ import annotations

import os
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

BLOCKLIST_INPUT: Final = "extract.urls.blocklists"
"""Input of a task that holds the files of the list with this number."""
OPTED_OUT_INPUT: Final = "extract.robots.opted_out"


class Blocklist(BaseModel):
    """One list, or a folder of lists."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(min_length=1, description="A file, a pattern, or a folder of lists such as UT1's.")
    kind: Literal["auto", "domains", "hosts", "urls", "words"] = Field(
        default="auto",
        description="domains: hosts and all below them. hosts: those alone. urls: pages, compared in normal form. "
                    "words: whole words anywhere in a URL. auto: by the file's name, else domains.")
    category: str | None = Field(
        default=None, pattern=r"^[a-z0-9_]+$",
        description="What the reason of a drop says after `blocklist_`; none takes the folder's or the file's name.")


class UrlRules(BaseModel):
    """Which addresses may give documents."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schemes: tuple[str, ...] = Field(
        default=("http", "https"), description="URL schemes that are taken, in lower case; empty takes all.")
    blocked_extensions: tuple[str, ...] = Field(
        default=("jpg", "jpeg", "png", "gif", "webp", "svg", "ico", "mp3", "mp4", "avi", "webm", "mov", "wav", "zip",
         "gz", "tar", "rar", "7z", "exe", "dmg", "apk", "iso", "css", "js", "json", "xml", "rss", "atom", "pdf", "doc",
         "docx", "xls", "xlsx", "ppt", "pptx", "woff", "woff2", "ttf"),
        description="File extensions of the URL's path, in lower case and without the dot, whose pages are dropped.")
    blocked_hosts: tuple[str, ...] = Field(
        default=(), description="Host names whose pages are dropped, those of their subdomains too.")
    blocklists: tuple[Blocklist, ...] = Field(
        default=(), description="Lists of domains, hosts, URLs and words; the reason of a drop names the category.")


def pattern_of(path: str) -> str:
    """A list's path as a pattern of input files: a folder means all files below it."""
    return f"{path.rstrip('/')}/**" if os.path.isdir(path) else path
