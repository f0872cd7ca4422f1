"""The kinds of dumps: by what each is recognised, what a recipe may choose, and what loads its reader.

Readers bring parsers of markup with them, so none is imported before a file of its kind is read.
"""

from __future__ import annotations

import re
from typing import Final

from curate.sources.archives import ZIP_START
from curate.sources.dump_options import ArxivOptions, CodeOptions, EpubOptions, MediaWikiOptions, StackExchangeOptions
from curate.sources.entries import DumpKind, NoOptions, ReadEntries
from curate.sources.sevenzip import SEVENZIP_START
from curate.sources.xml_text import xml_root
from manifests.schema import SOURCE_COLUMNS

_GUTENBERG: Final = re.compile(
    rb"^[ \t]*\*{3} ?START OF (?:THE|THIS) PROJECT GUTENBERG|^\*+START\*+THE SMALL PRINT!", re.MULTILINE)


def is_mediawiki(head: bytes) -> bool:
    """Whether a file is an export of MediaWiki."""
    return xml_root(head) == "mediawiki"


def is_stackexchange(head: bytes) -> bool:
    """Whether a file is the posts of a StackExchange site, or a 7z archive, which may hold them."""
    return head.startswith(SEVENZIP_START) or xml_root(head) == "posts"


def is_gutenberg(head: bytes) -> bool:
    """Whether a text has Project Gutenberg's mark of where a book begins."""
    return b"\0" not in head and bool(_GUTENBERG.search(head))


def is_epub(head: bytes) -> bool:
    """Whether a zip archive says first that it is an EPUB."""
    return head.startswith(ZIP_START) and head[30:58] == b"mimetypeapplication/epub+zip"


def _mediawiki() -> ReadEntries:
    from curate.sources.mediawiki import read_mediawiki

    return read_mediawiki


MEDIAWIKI: Final = DumpKind(_mediawiki, MediaWikiOptions, (SOURCE_COLUMNS["title"],))


def _stackexchange() -> ReadEntries:
    from curate.sources.stackexchange import read_stackexchange

    return read_stackexchange


STACKEXCHANGE: Final = DumpKind(_stackexchange, StackExchangeOptions, tuple(
    SOURCE_COLUMNS[name] for name in ("title", "tags", "score", "licence")))


def _code() -> ReadEntries:
    from curate.sources.code import read_code

    return read_code


CODE: Final = DumpKind(_code, CodeOptions, tuple(
    SOURCE_COLUMNS[name] for name in ("repository", "path", "programming_language", "licence")), verbatim=True)


def _gutenberg() -> ReadEntries:
    from curate.sources.gutenberg import read_gutenberg

    return read_gutenberg


GUTENBERG: Final = DumpKind(_gutenberg, NoOptions, tuple(SOURCE_COLUMNS[name] for name in ("title", "author")))


def _epub() -> ReadEntries:
    from curate.sources.epub import read_epub

    return read_epub


EPUB: Final = DumpKind(_epub, EpubOptions, tuple(SOURCE_COLUMNS[name] for name in ("title", "author", "licence")))


def _arxiv() -> ReadEntries:
    from curate.sources.arxiv import read_arxiv

    return read_arxiv


ARXIV: Final = DumpKind(_arxiv, ArxivOptions, (SOURCE_COLUMNS["title"],))
