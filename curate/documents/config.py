"""The configuration of the stage `extract`."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from curate.documents.normalise_config import NormaliseConfig
from curate.extraction.extracted import Content, Format
from curate.extraction.extractors import DEFAULT, EXTRACTORS
from curate.heuristics.signals import Words
from curate.plugins import plugin_facts, plugin_paths, validated
from curate.sources.columns import ColumnNames
from curate.sources.robots import RobotsRules
from curate.sources.url_config import UrlRules


class ExtractConfig(BaseModel):
    """What becomes a document."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    extractor: str = Field(default=DEFAULT, description=(
        f"HTML extractor that turns a page into text: {', '.join(EXTRACTORS)}, or that of an installed plug-in. blocks "
        "is the learned one of this project."))
    extractor_parameters: dict[str, Any] = Field(default_factory=dict, description=(
        "Parameters of a plug-in's extractor."))
    content: Content = Field(default=Content.AUTO, description=(
        "What of a page counts as text, for the extractor blocks. auto: what its kind of page is read for, such as "
        "the replies of a forum and the cards of a collection, but no readers' comments below an article; article: "
        "one text, without comments; everything: all that is not navigation or boilerplate."))
    format: Format = Field(default=Format.TEXT, description=(
        "How the extractor blocks writes it. markdown: with headings, lists, tables, code between fences and "
        "quotations."))
    http_statuses: tuple[int, ...] = Field(default=(200,), description="HTTP statuses whose pages are taken.")
    max_html_bytes: int = Field(default=16 << 20, ge=1 << 10, le=1 << 30,
                                description="Bytes of a page's HTML, decompressed, above which it is dropped.")
    max_html_depth: int = Field(
        default=1024, ge=16,
        description="Elements open at once above which a page is dropped unparsed: a parser's time grows with its "
                    "square. Real pages stay below 300.")
    max_html_tags: int = Field(
        default=500_000, ge=1000,
        description="Start tags above which a page is dropped unparsed: a parser takes half a kilobyte for each.")
    max_tag_attributes: int = Field(
        default=1024, ge=64, description="Attributes of one tag above which a page is dropped unparsed.")
    robots: RobotsRules = Field(default_factory=RobotsRules, description="Pages that ask not to be used.")
    urls: UrlRules = Field(default_factory=UrlRules,
                           description="Rules on addresses; text sources are held to blocked_hosts alone.")
    columns: ColumnNames = Field(default_factory=ColumnNames, description="Columns of JSONL and Parquet sources.")
    normalise: NormaliseConfig = Field(
        default_factory=NormaliseConfig, description="Steps that put every text into one form.")
    min_text_bytes: int = Field(default=1, ge=1, description="UTF-8 bytes of text below which a document is dropped.")
    max_text_bytes: int = Field(default=16 << 20, ge=1, le=1 << 30,
                                description="UTF-8 bytes of text above which a document is dropped.")
    identify_language: bool = Field(default=True, description="Whether languages are identified at all.")
    languages: tuple[str, ...] | None = Field(
        default=("en",),
        description="Languages that are kept, where the source is filtered by language; null keeps all. ISO 639-1 or "
                    "639-3 codes, or labels of the model, such as eng_Latn.")
    min_language_score: float = Field(
        default=0.65, ge=0, le=1,
        description="Least probability of the identified language, where languages are filtered.")
    min_language_share: float = Field(
        default=0, ge=0, le=1,
        description="Least share of a text's characters in lines that are not surely of another language than its own, "
                    "where languages are filtered; 1 drops every page of several languages, 0 none.")
    language_model: str | None = Field(
        default=None,
        description="Path of a fastText language identification model; null takes the one in the user's cache.")
    signals: bool = Field(default=True, description="Whether the heuristic signals are computed and stored.")
    words: Words = Field(default=Words.PAPER, description=(
        "What the signals count as words, lines and characters: as the papers do, or exactly as datatrove does."))

    @model_validator(mode="before")
    @classmethod
    def _extractor_exists(cls, fields: Any) -> Any:
        name = fields.get("extractor", DEFAULT) if isinstance(fields, dict) else DEFAULT
        given = fields.get("extractor_parameters") if isinstance(fields, dict) else None
        if name in EXTRACTORS and given:
            raise ValueError(f"extract.extractor_parameters: the extractor {name} has none")
        if name in EXTRACTORS or not isinstance(name, str) or not isinstance(given, dict | None):
            return fields
        return {**fields, "extractor_parameters": validated("extractors", name, given or {}, EXTRACTORS)}

    @model_validator(mode="after")
    def _languages_exist(self) -> Self:
        if self.languages and self.identify_language and self.language_model is None:  # another model has other labels
            from curate.language.codes import mistaken_code

            if wrong := [what for name in self.languages if (what := mistaken_code(name))]:
                raise ValueError(f"languages: {wrong[0]}")
        return self

    def plugin_paths(self) -> dict[str, str]:
        """Parameters of the extractor that are paths, by their positions."""
        if self.extractor in EXTRACTORS:
            return {}
        return plugin_paths("extractors", self.extractor, self.extractor_parameters)

    def plugin_facts(self) -> dict[str, Any] | None:
        """What texts of pages depend on where a plug-in extracts them; None where none does."""
        if self.extractor in EXTRACTORS:
            return None
        return plugin_facts("extractors", self.extractor, self.extractor_parameters)
