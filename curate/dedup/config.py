"""What deduplication can be told, and the reasons it gives."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class DedupReason(StrEnum):
    """Why a document is not kept after deduplication."""

    EXACT_DUPLICATE = "exact_duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    NOT_SELECTED = "not_selected"


class DedupConfig(BaseModel):
    """Exact and near-duplicate removal over all sources at once: MinHash-LSH proposes, exact Jaccard decides."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ngram: int = Field(default=5, ge=1, le=64, description="Words a shingle.")
    n_permutations: int = Field(default=128, ge=8, le=4096, description="Permutations of the MinHash signature.")
    seed: int = Field(default=1, ge=0, le=2**32 - 1, description="Seed of the permutations, as datasketch takes it.")
    threshold: float = Field(
        default=0.8, ge=0.05, le=0.99,
        description="Jaccard similarity the bands are chosen for, and the one that removes.")
    verify_threshold: float | None = Field(
        default=None, gt=0.0, le=1.0,
        description="Exact shingle-set Jaccard similarity from which a candidate is removed; the threshold if unset.")
    false_positive_weight: float = Field(
        default=0.1, ge=0.0, le=1.0, description="Weight of useless candidates in the choice of bands.")
    false_negative_weight: float = Field(
        default=0.9, ge=0.0, le=1.0, description="Weight of missed pairs in the choice of bands.")
    n_bands: int | None = Field(
        default=None, ge=1, le=256, description="Bands of the signature, instead of the best choice.")
    n_band_rows: int | None = Field(default=None, ge=1, le=256, description="Rows of a band; goes with n_bands.")
    bucket_pivots: int = Field(
        default=64, ge=1, le=10_000,
        description="In a bucket of more documents than this, each is compared with only so many of the best ones.")
    partitions: int = Field(
        default=16, ge=1, le=4096, description="Into how many pieces the global steps are cut; memory falls with it.")
    max_removed_fraction: float = Field(
        default=0.9, gt=0.0, le=1.0,
        description="The run stops if a source loses more than this share of its documents.")
    guard_min_documents: int = Field(
        default=100, ge=1, description="Sources of fewer selected documents than this may lose any share of them.")

    @model_validator(mode="after")
    def _bands_fit(self) -> Self:
        if (self.n_bands is None) != (self.n_band_rows is None):
            raise ValueError("n_bands and n_band_rows go together: set both or neither")
        if self.n_bands is not None and self.n_band_rows is not None \
                and self.n_bands * self.n_band_rows > self.n_permutations:
            raise ValueError(f"{self.n_bands} bands of {self.n_band_rows} rows need more than "
                             f"n_permutations = {self.n_permutations}")
        if self.false_positive_weight + self.false_negative_weight <= 0:
            raise ValueError("one of false_positive_weight and false_negative_weight must be above zero")
        return self

    @property
    def similarity_threshold(self) -> float:
        """The Jaccard similarity from which a verified candidate is removed."""
        return self.threshold if self.verify_threshold is None else self.verify_threshold
