"""Sources of arXiv: single papers (a tar, or one file of TeX, gzipped), and the bulk archives that hold many of them.

A document is a paper's LaTeX by LLaMA's rules (`curate.extraction.latex`). Memory: one paper of at most
`max_paper_bytes`.
"""

from __future__ import annotations

import io
import posixpath
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Final

from curate.charsets.reading import text_as_utf8
from curate.extraction.latex import latex_paper, without_comments
from curate.sources.archive_members import FileMember, read_members
from curate.sources.dump_options import ArxivOptions
from curate.sources.entries import Dump, Entry
from curate.sources.http_file import open_source
from curate.sources.members import read_chunks
from curate.sources.warc import Damage
from curate.text.strings import valid_text

_GZIP: Final = b"\x1f\x8b"
_TAR_MAGIC: Final = slice(257, 262)
_NEW_ID: Final = re.compile(r"(?<!\d)(\d{4}\.\d{4,5})(?:v\d+)?(?!\d)")
_OLD_ID: Final = re.compile(r"([a-z-]+(?:\.[A-Z]{2})?)[/_]?(\d{7})(?:v\d+)?(?!\d)")
_PAPER_NAME: Final = re.compile(r"(?:^|/)(?:\d{4}\.\d{4,5}|[a-z-]+(?:\.[A-Z]{2})?\d{7})(?:v\d+)?\."
                                r"(?:gz|pdf|tar|tar\.gz|tgz|ps|html)$")
_CLASS: Final = re.compile(r"\\document(?:class|style)(?![a-zA-Z])")
_BODY: Final = re.compile(r"\\begin\{document\}")
_PLAIN_TEX: Final = re.compile(r"\\(?:bye|magnification|nopagenumbers|"
                               r"input\s+(?:amstex|amsppt|harvmac|phyzzx|epsf|lanlmac))(?![a-zA-Z])|\\(?:section|begin)\{")
_PAGES: Final = re.compile(r"\\includepdf(?:\[[^\]]*\])?\{[^{}]*\}")
_FEW_CHARACTERS: Final = 200  # of a paper that is pages of a PDF, beside them
_WITHDRAWN: Final = re.compile(r"\A\s*%\s*auto-ignore", re.IGNORECASE)
_TEX_NAMES: Final = (".tex", ".ltx", ".latex", ".txt", "")
_INCLUDED: Final = (".tex", ".ltx", ".bbl", ".txt", "")
_FAVOURED: Final = ("main", "ms", "paper", "article", "manuscript", "root")


class ArxivReason(StrEnum):
    """Why a paper gives no document."""

    WITHDRAWN = "withdrawn"
    PDF_ONLY = "pdf_only"
    POSTSCRIPT_ONLY = "postscript_only"
    NO_TEX = "no_tex"
    NO_MAIN_FILE = "no_main_file"
    TOO_LARGE = "too_large"


@dataclass(slots=True)
class _Paper:
    """files: texts by name. n_other: files that are no TeX. damage: what cannot be read."""

    files: dict[str, str] = field(default_factory=dict)
    first: bytes = b""
    n_bytes: int = 0
    damage: list[str] = field(default_factory=list)


def read_arxiv(dump: Dump) -> Iterator[Entry | Damage]:
    """The papers of a file in order; an Entry's position counts members of a bulk archive."""
    options: ArxivOptions = dump.options
    with closing(open_source(dump.path, dump.http)) as stream:
        if not _is_bulk(stream.read(1 << 10)):
            stream.seek(0)
            data = stream.read(options.max_paper_bytes + 1)
            yield from _paper(0, PurePosixPath(dump.path).name, data, dump)
            return
        stream.seek(0)
        for member in read_members(stream, options.max_paper_bytes):
            if isinstance(member, Damage):
                yield member
            elif member.data is None:
                yield _left_out(member.number, member.name, ArxivReason.TOO_LARGE, member.size, options)
            elif _PAPER_NAME.search(member.name):
                yield from _paper(member.number, member.name, member.data, dump)
            else:
                dump.count("members_that_are_no_papers", 1)


def _is_bulk(head: bytes) -> bool:
    """Whether a tar begins with a paper, or the folder of a month, rather than with a paper's file."""
    name = head[:100].rstrip(b"\0").decode("ascii", "replace")
    return head[_TAR_MAGIC] == b"ustar" and bool(_PAPER_NAME.search(name) or re.fullmatch(r"\d{4}/?", name))


def _left_out(number: int, name: str, reason: ArxivReason, size: int, options: ArxivOptions) -> Entry:
    identifier, date = identity(name)
    limits = (float(size), float(options.max_paper_bytes)) if reason is ArxivReason.TOO_LARGE else (None, None)
    return Entry(number, id=identifier or name, url=f"https://arxiv.org/abs/{identifier}" if identifier else None,
                 date=date, reason=str(reason), value=limits[0], threshold=limits[1])


def identity(name: str) -> tuple[str | None, datetime | None]:
    """(identifier of arXiv, first day of the month that it names) by the name of a file; None without."""
    base = PurePosixPath(name).name
    if found := _NEW_ID.search(base):
        identifier = digits = found[1]
    elif found := _OLD_ID.search(base):
        identifier, digits = f"{found[1]}/{found[2]}", found[2]
    else:
        return None, None
    year, month = int(digits[:2]), int(digits[2:4])
    if not 1 <= month <= 12:
        return None, None
    return identifier, datetime(1900 + year if year > 90 else 2000 + year, month, 1, tzinfo=UTC)


def _paper(number: int, name: str, data: bytes, dump: Dump) -> Iterator[Entry | Damage]:
    options: ArxivOptions = dump.options
    if len(data) > options.max_paper_bytes:
        yield _left_out(number, name, ArxivReason.TOO_LARGE, len(data), options)
        return
    paper = _unpacked(data, options.max_paper_bytes)
    yield from (Damage(number, f"{name}: {what}") for what in paper.damage)
    if paper.n_bytes > options.max_paper_bytes:
        yield _left_out(number, name, ArxivReason.TOO_LARGE, paper.n_bytes, options)
        return
    if (reason := _unusable(paper)) is not None:
        yield _left_out(number, name, reason, 0, options)
        return
    main = main_file(paper.files)
    if main is None:
        yield _left_out(number, name, ArxivReason.NO_MAIN_FILE, 0, options)
        return
    text = latex_paper(paper.files[main], lambda wanted: _included(paper.files, main, wanted), options.max_paper_bytes)
    dump.count("included_files_missing", len(text.missing))
    dump.count("papers_without_sections", int(not text.sectioned))
    dump.count("papers_not_expanded", int(not text.expanded))
    entry = _left_out(number, name, ArxivReason.PDF_ONLY, 0, options)
    if _PAGES.search(text.text) and len(_PAGES.sub("", text.text)) < _FEW_CHARACTERS:
        yield entry
        return
    entry.reason, entry.text, entry.columns = None, valid_text(text.text), {"title": text.title}
    yield entry


def _unpacked(data: bytes, limit: int) -> _Paper:
    """The TeX files of a paper, however it was packed."""
    paper = _Paper()
    plain = data
    if data.startswith(_GZIP):
        parts, size = [], 0
        for chunk in read_chunks(io.BytesIO(data), b""):
            parts.append(chunk.data)
            size += len(chunk.data)
            if chunk.broken is not None:
                paper.damage.append(chunk.broken)
            if size > limit or chunk.broken is not None:
                break
        plain, paper.n_bytes = b"".join(parts), size
        if size > limit:
            return paper
    if plain[_TAR_MAGIC] != b"ustar" and not plain.startswith(b"PK\x03\x04"):
        paper.first = plain
        paper.files = {"paper.tex": text_as_utf8(plain).data.decode()} if _is_text(plain) else {}
        return paper
    paper.n_bytes = 0
    for member in read_members(io.BytesIO(plain), limit):
        if isinstance(member, Damage):
            paper.damage.append(member.what)
        else:
            _add(paper, member)
    return paper


def _add(paper: _Paper, member: FileMember) -> None:
    paper.n_bytes += len(member.data or b"")
    path = PurePosixPath(posixpath.normpath(member.name))
    if path.name.startswith("._") or member.data is None:
        return
    if path.suffix.lower() in (*_TEX_NAMES, ".bbl", ".xxx", ".json") and _is_text(member.data):
        paper.files[str(path)] = text_as_utf8(member.data).data.decode()
    elif not paper.first and path.suffix.lower() in (".pdf", ".ps"):
        paper.first = member.data


def _is_text(data: bytes) -> bool:
    return b"\0" not in data[:4096] and not data.startswith((b"%PDF", b"%!PS"))


def _unusable(paper: _Paper) -> ArxivReason | None:
    """Why a paper has no TeX to read, by what it has instead."""
    if any(_WITHDRAWN.match(text) for text in paper.files.values()):
        return ArxivReason.WITHDRAWN
    if any("\\" in text for name, text in paper.files.items() if PurePosixPath(name).suffix.lower() in _TEX_NAMES):
        return None
    if paper.first.startswith(b"%PDF"):
        return ArxivReason.PDF_ONLY
    return ArxivReason.POSTSCRIPT_ONLY if paper.first.startswith(b"%!PS") else ArxivReason.NO_TEX


def main_file(files: dict[str, str]) -> str | None:
    """The name of a paper's main file: the one that its instructions name, else one with a document class that nothing
    else includes, the more complete and better known by its name first; else one of plain TeX."""
    instructed = _instructed(files)
    if instructed is not None:
        return instructed
    candidates = []
    for name, text in files.items():
        if PurePosixPath(name).suffix.lower() not in _TEX_NAMES:
            continue
        source = without_comments(text)
        if _CLASS.search(source) or _PLAIN_TEX.search(source):
            stem = PurePosixPath(name).stem.lower()
            favour = _FAVOURED.index(stem) if stem in _FAVOURED else len(_FAVOURED)
            candidates.append((not _CLASS.search(source), not _BODY.search(source), name.count("/"),
                               _is_included(name, files), favour, -len(source), name))
    return min(candidates)[-1] if candidates else None


def _instructed(files: dict[str, str]) -> str | None:
    for name, text in files.items():
        if PurePosixPath(name).name.lower() in ("00readme.xxx", "00readme.json", "00readme"):
            found = re.search(r"^(\S+)\s+toplevelfile", text, re.MULTILINE)
            found = found or re.search(r'"filename"\s*:\s*"([^"]+)"[^{}]*"usage"\s*:\s*"toplevel"', text)
            if found and found[1] in files:
                return found[1]
    return None


def _is_included(name: str, files: dict[str, str]) -> bool:
    stem = re.escape(str(PurePosixPath(name).with_suffix("")))
    pattern = re.compile(rf"\\(?:input|include|subfile)\s*\{{?\s*(?:\./)?{stem}(?:\.tex)?\b")
    return any(pattern.search(text) for other, text in files.items() if other != name)


def _included(files: dict[str, str], main: str, wanted: str) -> str | None:
    folder = posixpath.dirname(main)
    for base in {folder, ""}:
        for suffix in _INCLUDED:
            name = posixpath.normpath(posixpath.join(base, wanted + suffix))
            if name in files:
                return files[name]
    return None
