"""The kinds of dumps: by what each is recognised, what a recipe may choose, and what loads its reader.

Readers bring parsers of markup with them, so none is imported before a file of its kind is read.
"""

from __future__ import annotations

from typing import Final

from curate.sources.dump_options import CodeOptions, MediaWikiOptions, StackExchangeOptions
from curate.sources.entries import DumpKind, ReadEntries
from curate.sources.sevenzip import SEVENZIP_START
from curate.sources.xml_text import xml_root
from manifests.schema import SOURCE_COLUMNS


def is_mediawiki(head: bytes) -> bool:
    """Whether a file is an export of MediaWiki."""
    return xml_root(head) == "mediawiki"


def is_stackexchange(head: bytes) -> bool:
    """Whether a file is the posts of a StackExchange site, or a 7z archive, which may hold them."""
    return head.startswith(SEVENZIP_START) or xml_root(head) == "posts"


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
