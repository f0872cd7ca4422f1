"""What decontamination can be told, and the reasons it gives."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


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
        min_length=1, description="Fields joined into an item's text, in order; `a.b` is nested, lists are joined.")
    id_field: str | None = Field(
        default=None, description="Field that names an item; its line number, from 0, if unset.")


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
        description="N-grams found in more documents than this are ignored: common phrases, not leaks.")
