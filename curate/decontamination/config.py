"""The configuration of decontamination, and the reasons it gives."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, model_validator


class DecontaminationReason(StrEnum):
    """Why a document is not kept after decontamination."""

    TOO_MANY_PIECES = "too_many_pieces"
    NO_PIECE_LEFT = "no_piece_left"
    NOT_SELECTED = "not_selected"


class Benchmark(BaseModel):
    """One evaluation set: a JSON Lines file and the fields of it that are text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="Name of the evaluation set, as reports show it.")
    path: str = Field(min_length=1, description="JSON Lines file: plain, .gz or .zst; local or any fsspec URL.")
    fields: tuple[str, ...] = Field(
        min_length=1, description=(
            "Fields joined into an item's text, in order; `a.b` is nested, lists are joined; `*` is all of its text."))
    id_field: str | None = Field(
        default=None, description="Field that names an item; its line number, from 0, if unset.")


class OverlapReportConfig(BaseModel):
    """Which items of evaluation sets training text touches; the defaults are GPT-3's (Brown et al. 2020, appendix C).

    N is a benchmark's own: the percentile of its items' lengths in words, clipped. Shorter n-grams collide by chance,
    longer ones miss what is short."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    percentile: float = Field(
        default=5.0, ge=0.0, le=100.0, description="Percentile of a benchmark's item lengths in words that sets its N.")
    min_ngram: int = Field(default=8, ge=1, le=64, description="Smallest N of the overlap report, in words.")
    max_ngram: int = Field(default=13, ge=1, le=64, description="Largest N of the overlap report, in words.")
    listed_documents: int = Field(
        default=10, ge=0, le=1000, description="Matching documents named for each touched item; all are counted.")

    @model_validator(mode="after")
    def _ordered(self) -> OverlapReportConfig:
        if self.min_ngram > self.max_ngram:
            raise ValueError(f"min_ngram {self.min_ngram} is above max_ngram {self.max_ngram}")
        return self


class DecontaminationConfig(BaseModel):
    """GPT-3's rule; the defaults are the paper's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    benchmarks: tuple[Benchmark, ...] = Field(
        default=(), description="Evaluation sets to keep out of the training text.")
    ngram: int = Field(default=13, ge=1, le=64, description="Words of an overlap that counts as contamination.")
    window: int = Field(
        default=200, ge=0, le=100_000, description="Characters cut on either side of an overlap, along with it.")
    min_piece: int = Field(
        default=200, ge=0, le=100_000, description="Pieces of fewer characters than this are not kept.")
    max_pieces: int = Field(
        default=10, ge=1, le=100_000, description="A document cut into more pieces than this is dropped whole.")
    max_documents: int = Field(
        default=10, ge=1,
        description="N-grams found in more documents than this are ignored: common phrases, not contamination.")
    report: OverlapReportConfig = Field(
        default_factory=OverlapReportConfig, description="Which items of the evaluation sets training text touches.")
