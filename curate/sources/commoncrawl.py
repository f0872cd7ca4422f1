"""Common Crawl as a source: which archives or records of a crawl are meant, and where they lie.

A crawl is `crawl-data/CRAWL/`: lists of its files (`warc.paths.gz` and others), the archives under `segments/`, and a
Parquet index of every page at `cc-index/table/cc-main/warc/`. What is published there is never changed, so an archive
is known by its path alone: planning a crawl asks for one list, not for the heads of 90,000 files.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import zlib
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, Self

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from curate.sources.http_config import HttpConfig
from manifests.errors import InputError, RecipeError
from manifests.object_stores import S3Access, reached
from manifests.storage import is_local, local_path

BASE_URL: Final = "https://data.commoncrawl.org/"
_MAX_LIST_BYTES: Final = 1 << 28  # of a list of files, decompressed; a crawl's takes about 12 MB
_PATH: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=+-]*(/[A-Za-z0-9][A-Za-z0-9._=+-]*)*")
_INDEX_SUBSET: Final = "/subset=warc/"


def _spec(value: Any) -> Any:
    """A number, or a list of numbers and ranges, as one string."""
    if isinstance(value, list | tuple):
        return ",".join(str(v) for v in value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _check_spec(value: str) -> str:
    numbers(value, 0)
    return value


Numbers = Annotated[str, BeforeValidator(_spec), AfterValidator(_check_spec)]


def numbers(spec: str, n: int) -> list[int]:
    """The numbers that `0-9,17` or `all` means, ascending, each once. n: how many there are, for `all`.

    Raises ValueError where it is neither, or a range runs backwards."""
    if spec == "all":
        return list(range(n))
    numbers: set[int] = set()
    for part in spec.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})\s*(?:-\s*(\d{1,9})\s*)?", part)
        if match is None:
            raise ValueError(f"{part.strip()!r} is no number or range; write 0-9,17 or all")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last - first > 10_000_000:
            raise ValueError(f"the range {part.strip()!r} runs backwards or too far")
        numbers.update(range(first, last + 1))
    return sorted(numbers)


class IndexSelection(BaseModel):
    """Pages chosen from Common Crawl's Parquet index; only their records are fetched.

    A null in a filter takes every page. Every filter must hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: tuple[str, ...] = Field((), description=(
        "Index files, as local paths or URLs; without them, those that `parts` names are read from the crawl."))
    parts: Numbers | None = Field(None, description=(
        "Index files of the crawl by their number in cc-index-table.paths.gz, subset warc: 0-3,7 or all."))
    languages: tuple[Annotated[str, Field(pattern=r"^[a-z]{3}$")], ...] | None = Field(None, description=(
        "ISO 639-3 codes, as in the index: the language of most of the page's text must be one of them."))
    statuses: tuple[int, ...] | None = Field((200,), description="HTTP statuses.")
    mimes: tuple[str, ...] | None = Field(
        ("text/html", "application/xhtml+xml"), description="MIME types, as detected from the page's content.")
    url_pattern: str | None = Field(None, description=(
        "Regular expression (RE2) that must match somewhere in the URL; anchor it with ^ and $."))
    limit: int = Field(1_000_000, ge=1, le=50_000_000, description=(
        "Records at most: the first in the order of the index files and their rows. The selection is held in memory, "
        "at about 20 bytes a record; whole archives are cheaper for a large part of a crawl."))

    @model_validator(mode="after")
    def _files_or_parts(self) -> Self:
        if bool(self.files) == (self.parts is not None):
            raise ValueError("needs either `files` or `parts`")
        return self

    @model_validator(mode="after")
    def _pattern_compiles(self) -> Self:
        if self.url_pattern is not None:
            try:
                pc.match_substring_regex(pa.array([""]), self.url_pattern)
            except pa.ArrowInvalid as error:
                raise ValueError(f"url_pattern: {error}") from error
        return self


class CommonCrawlSource(BaseModel):
    """A crawl of Common Crawl: whole archives by number, or single pages chosen by its index."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    crawl: str = Field(pattern=r"^[A-Z0-9][A-Za-z0-9-]*(/[A-Za-z0-9][A-Za-z0-9-]*)*$", description=(
        "The crawl's name, such as CC-MAIN-2026-43 or CC-NEWS/2026/10."))
    kind: Literal["warc", "wet"] = Field("warc", description="Archived pages, or the texts Common Crawl took of them.")
    archives: Numbers | None = Field(None, description=(
        "Archives by their number in the crawl's list, from 0: 0-9,17 or all. Each is one task of the run."))
    index: IndexSelection | None = Field(None, description="Instead of archives: pages chosen from the crawl's index.")
    base_url: str = Field(BASE_URL, min_length=1, description=(
        "Where the crawl lies: Common Crawl's own address, s3://commoncrawl/, a mirror or a local folder."))

    @model_validator(mode="after")
    def _archives_or_index(self) -> Self:
        if (self.archives is None) == (self.index is None):
            raise ValueError("needs either `archives`, such as 0-9, or `index`")
        if self.index is not None and self.kind != "warc":
            raise ValueError("the index knows the records of WARC files only: leave out `kind: wet`")
        return self

    @property
    def list_path(self) -> str:
        """The list of its archives, relative to the base URL."""
        return f"crawl-data/{self.crawl}/{self.kind}.paths.gz"

    def address(self, path: str) -> str:
        """Where a path of the crawl is to be read."""
        base = os.path.abspath(local_path(self.base_url)) if is_local(self.base_url) else self.base_url
        return f"{base.rstrip('/')}/{path}"


def archive_paths(source: CommonCrawlSource, http: HttpConfig, access: S3Access, where: str) -> list[str]:
    """Paths of the archives that a source names, relative to its base URL, in the order of the crawl's list.

    where: the recipe's field, for errors. Raises InputError where the list cannot be had, RecipeError where the crawl
    has no archive of such a number."""
    listed = _read_list(reached(source.address(source.list_path), access), http)
    return _choose(listed, source.archives or "all", f"{where}.archives", source.list_path)


def index_paths(source: CommonCrawlSource, index: IndexSelection, http: HttpConfig, access: S3Access,
                where: str) -> list[str]:
    """Full paths of the index files of a selection, in its order. Raises as `archive_paths`."""
    if index.parts is None:
        return [os.path.abspath(local_path(f)) if is_local(f) else f for f in index.files]
    name = f"crawl-data/{source.crawl}/cc-index-table.paths.gz"
    listed = [p for p in _read_list(reached(source.address(name), access), http) if _INDEX_SUBSET in p]
    return [source.address(p) for p in _choose(listed, index.parts, f"{where}.index.parts", name)]


def check_path(path: str, where: str) -> str:
    """A path of a list or an index, which is joined to the base URL; raises InputError where it leads elsewhere."""
    if not _PATH.fullmatch(path):
        raise InputError(f"names {path!r:.100}, which is no plain relative path", where=where)
    return path


def _choose(listed: Sequence[str], spec: str, field: str, name: str) -> list[str]:
    wanted = numbers(spec, len(listed))
    if not wanted or wanted[-1] >= len(listed):
        missing = wanted[-1] if wanted else 0
        raise RecipeError(f"there is no file {missing}: {name} lists {len(listed)}", where=field,
                          hint=f"0-{len(listed) - 1}, or all" if listed else "the list is empty")
    return [listed[n] for n in wanted]


def _read_list(path: str, http: HttpConfig) -> list[str]:
    """The lines of a list of files, gzip or plain."""
    from curate.sources.http_file import open_source  # with its client, which few recipes need

    with open_source(path, http) as stream:
        data = stream.read(_MAX_LIST_BYTES)
    if data.startswith(b"\x1f\x8b"):
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as unpacked:
                data = unpacked.read(_MAX_LIST_BYTES)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"is no sound gzip file: {error}", where=path) from error
    return [check_path(line.strip(), path) for line in data.decode("utf-8", "replace").splitlines() if line.strip()]
