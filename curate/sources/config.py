"""Sources as a recipe describes them, and what stages ask of all of them together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from difflib import get_close_matches
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from curate.extraction.extracted import PageType
from curate.plugins import plugin_facts, plugin_paths, validated
from curate.sources.commoncrawl import CommonCrawlSource
from curate.sources.dates import Days
from curate.sources.kinds import KINDS, TABLE, TOKENS

SOURCE_NAME: Final = r"^[a-z][a-z0-9_-]*$"


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Patterns = Annotated[tuple[str, ...], BeforeValidator(_as_list)]


OWN_KINDS: Final = ("auto", *KINDS, TABLE, TOKENS)
"""Kinds of sources that need no plug-in."""


class SourceConfig(BaseModel):
    """One source of documents: files of its own, a crawl, or the pages of another source that links match.

    Sources are listed in order of trust: of two duplicates, the one whose source comes first is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    files: Patterns = Field((), description="Files, or patterns with *, ? and **; local paths or URLs. One or a list.")
    commoncrawl: CommonCrawlSource | None = Field(
        None, description="Instead of files: archives or pages of a crawl of Common Crawl.")
    kind: str = Field("auto", description=(
        "What the files are: parquet, wet, warc, jsonl, text, or a kind of dump (docs/sources.md); auto looks at their "
        "content. With table, the rows of "
        "Parquet, JSON Lines or text files are the documents as they are: no normalising, no rule on addresses, "
        "lengths or languages, ids of 16 bytes under `doc_id` kept. With tokens, they are parts that `curate tokenizer "
        "encode` made, NAME.parquet and NAME.tokens, which enter at the mixture. Or the name of an installed plug-in "
        "that reads them."))
    options: dict[str, Any] = Field(default_factory=dict, description=(
        "Of a dump: what its kind lets one choose; docs/sources.md lists the options of each. Of a plug-in's kind: its "
        "parameters."))
    in_order: bool = Field(False, description=(
        "Whether the files keep the order in which the patterns name them, instead of that of their paths. Two files "
        "of one name are then known by their paths below the folder that all files share."))
    split_bytes: int | None = Field(1 << 30, ge=1 << 16, description=(
        "Stored bytes of an archive for one part: a larger one is read by several tasks, each of about so many bytes, "
        "and one of up to half as much again is one part, as those of a crawl are. null: every file is one part. For "
        "WARC and ARC files whose size is known: of gzip members, of zstd frames, and plain on a local disk."))
    curated: bool = Field(
        False, description="Its documents are taken as good: they are positive examples for the classifier.")
    filter_language: bool = Field(True, description="Whether extract.languages applies to this source.")
    languages: tuple[str, ...] | None = Field(
        None, description="Languages that are kept of this source; none takes extract.languages.")
    id_column: str = Field("id", description="Column of a JSON Lines or Parquet file that holds a document's own id.")
    text_column: str = Field("text", description="Column of a JSON Lines or Parquet file that holds the text.")
    date_column: str | None = Field(None, description=(
        "Column of a JSON Lines or Parquet file that holds the dates, for `since`, `until` and dedup.survivor_order."))
    quality_column: str | None = Field(None, description=(
        "Of a table: column of scores, for dedup.survivor_order; `quality_score` where no classifier scores."))
    since: date | None = Field(None, description=(
        "First day whose documents are taken, such as 2014-01-01, in UTC: by the archive's record, the dump's entry or "
        "`date_column`."))
    until: date | None = Field(None, description="Last day whose documents are taken.")
    undated: Literal["keep", "drop"] = Field("keep", description=(
        "What becomes of documents without a date, where there is `since` or `until`; they are counted either way."))
    ignore_keep: bool = Field(False, description=(
        "Of a table: whether rows are read whose column `keep` is false."))
    decisions: Patterns = Field((), description=(
        "Of a table: folders of decisions about its rows, as commands write them with --no-apply: rows that they drop "
        "are left out, and their edits are made. One or a list."))
    language: str | None = Field(None, description="Of a table: ISO 639-1 code of all its texts, where it is known.")
    derived_from: str | None = Field(
        None, alias="from", description=(
            "Instead of files: take pages of this source that links match, or of certain kinds; they leave it. Where "
            "several sources are derived from one, a page goes to the first that it fits."))
    labels: tuple[Literal["url", "host"], ...] = Field(
        ("url", "host"), description=(
            "For a derived source: which matches move a page: its own URL was linked, or its host often enough."))
    page_types: tuple[PageType, ...] = Field((), description=(
        "For a derived source, instead of labels: the kinds of pages that it takes (column `page_type`)."))
    min_page_type_score: float = Field(0.5, ge=0, le=1, description=(
        "Least probability of the kind of a page that is taken for it."))

    @property
    def days(self) -> Days:
        """The days whose documents are taken."""
        return Days(since=self.since, until=self.until, undated=self.undated)

    def facts(self) -> dict[str, Any]:
        """What extraction depends on of this source, beside its files."""
        kind = self.commoncrawl.kind if self.commoncrawl else self.kind
        languages = {"languages": list(self.languages)} if self.languages is not None else {}
        of_table = {name: value for name in ("date_column", "quality_column", "language")
                    if (value := getattr(self, name)) is not None}
        days = {"days": self.days.facts()} if self.days.limited else {}
        if self.ignore_keep:
            of_table["ignore_keep"] = True
        dump = KINDS[kind].dump if kind in KINDS else None
        options = {"options": dump.options(**self.options).model_dump(mode="json")} if dump else {}
        plugin = {} if kind in OWN_KINDS else {"plugin": plugin_facts("sources", kind, self.options)}
        return {"kind": kind, "filter_language": self.filter_language, **languages, "id_column": self.id_column,
                "text_column": self.text_column, **of_table, **options, **days, **plugin}

    def holds_pages(self) -> bool:
        """Whether its files may hold HTML."""
        kind = self.commoncrawl.kind if self.commoncrawl else self.kind
        return kind == "auto" or (kind in KINDS and "response" in KINDS[kind].records)

    def plugin_paths(self) -> dict[str, str]:
        """Parameters of a plug-in's kind that are paths, by their positions."""
        return {} if self.kind in OWN_KINDS else plugin_paths("sources", self.kind, self.options)

    @model_validator(mode="before")
    @classmethod
    def _kind_exists(cls, fields: Any) -> Any:
        kind = fields.get("kind", "auto") if isinstance(fields, dict) else "auto"
        given = fields.get("options") if isinstance(fields, dict) else None
        if kind in OWN_KINDS or not isinstance(kind, str) or not isinstance(given, dict | None):
            return fields
        return {**fields, "options": validated("sources", kind, given or {}, OWN_KINDS)}

    @model_validator(mode="after")
    def _options_of_kind(self) -> Self:
        dump = KINDS[self.kind].dump if self.kind in KINDS else None
        if self.kind not in OWN_KINDS:
            return self
        if self.options and dump is None:
            raise ValueError(f"options: the kind {self.kind} has none; a dump's kind is named, as in `kind: mediawiki`")
        if dump is not None:
            known = set(dump.options.model_fields)
            if unknown := sorted(set(self.options) - known):
                close = get_close_matches(unknown[0], known, n=1)
                meant = f" (did you mean {close[0]!r}?)" if close else ""
                raise ValueError(f"options: {self.kind} has no option {unknown[0]!r}{meant}; they are "
                                 f"{', '.join(sorted(known)) or 'none'}")
            dump.options(**self.options)
        return self

    @model_validator(mode="after")
    def _columns_and_days_of_kind(self) -> Self:
        days = self.days
        corpus = self.kind in KINDS and KINDS[self.kind].names is not None
        if corpus and (named := self.model_fields_set & {"id_column", "text_column", "date_column"}):
            raise ValueError(f"{sorted(named)[0]}: the kind {self.kind} says what its columns are called; leave one "
                             "of the two out")
        if days.limited and (self.kind in (TABLE, TOKENS) or self.derived_from):
            raise ValueError("since, until: a table that is read as it is, token files and derived sources have no "
                             "limits")
        return self

    @model_validator(mode="after")
    def _files_or_from(self) -> Self:
        if sum(map(bool, (self.files, self.commoncrawl, self.derived_from))) != 1:
            raise ValueError("needs one of `files`, `commoncrawl`, or `from` naming the source it is derived from")
        if self.page_types and not self.derived_from:
            raise ValueError("page_types: says which pages a derived source takes; this one has no `from`")
        return self


class Sources(Mapping[str, SourceConfig]):
    """The sources of a recipe by name, in order of trust."""

    def __init__(self, sources: Mapping[str, SourceConfig]) -> None:
        self._sources = sources

    def __getitem__(self, name: str) -> SourceConfig:
        return self._sources[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)

    def derived(self, parent: str) -> list[tuple[str, SourceConfig]]:
        """The sources derived from another one, with their names, in order of trust."""
        return [(n, s) for n, s in self.items() if s.derived_from == parent]

    def names_of(self, parent: str) -> list[str]:
        """Names that documents of a source with files may bear: its own, and those of sources derived from it."""
        return [parent, *(name for name, _ in self.derived(parent))]

    def crawled(self) -> list[str]:
        """Sources with files of their own that nobody has chosen."""
        return [name for name, s in self.items() if not (s.curated or s.derived_from)]

    def rank(self) -> dict[str, int]:
        """Order of trust: 0 for the source that comes first."""
        return {name: rank for rank, name in enumerate(self)}
