"""The configuration of deduplication, and the reasons it gives."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from curate.dedup.passage_config import BloomConfig, ParagraphsConfig, SentencesConfig
from curate.dedup.substring_config import SubstringConfig

Partitions = Literal["auto"] | Annotated[int, Field(ge=1, le=4096)]


class DedupReason(StrEnum):
    """Why a document is not kept after deduplication."""

    URL_DUPLICATE = "url_duplicate"
    EXACT_DUPLICATE = "exact_duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    NOT_SELECTED = "not_selected"


class UrlRule(StrEnum):
    """Which of the documents with one canonical URL stays."""

    LATEST = "latest"
    LONGEST = "longest"
    FIRST = "first"


class SurvivorKey(StrEnum):
    """What may decide which of two duplicates stays."""

    SOURCE = "source"  # the source that the recipe lists first
    QUALITY = "quality"  # the higher score; none counts as 0
    LENGTH = "length"  # the longer text, in UTF-8 bytes
    DATE = "date"  # the later one; none comes last
    POSITION = "position"  # the file that its source lists first, then the earlier row


class ShingleUnit(StrEnum):
    """What n-grams are made of."""

    WORDS = "words"
    CHARACTERS = "characters"


class SignatureScheme(StrEnum):
    """Whose MinHash signatures these are."""

    AFFINE32 = "affine32"
    DATATROVE64 = "datatrove64"


class Verification(StrEnum):
    """How a candidate pair is checked."""

    EXACT = "exact"
    SIGNATURES = "signatures"


class DedupConfig(BaseModel):
    """Exact and near-duplicate removal over all sources at once: MinHash-LSH proposes, a check of each pair decides."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    urls: UrlRule | None = Field(
        default=None, description=(
            "Keep one document of each canonical URL: the latest by date, the longest, or the first by date; of equals "
            "the first in survivor_order. Off if unset."))
    exact: bool = Field(
        default=True, description="Keep one of the documents that have the same words in the same order.")
    near: bool = Field(default=True, description="Remove near-duplicates by MinHash.")
    near_sources: tuple[str, ...] | None = Field(default=None, description=(
        "Sources whose documents are compared for near-duplicates; null takes all. Exact copies are sought in all."))
    survivor_order: tuple[SurvivorKey, ...] = Field(
        default=(SurvivorKey.SOURCE, SurvivorKey.QUALITY), max_length=4, description=(
            "Survivor order, which says what of two duplicates stays: that of the source listed first, of higher "
            "quality, of greater length, of later date, or of the earlier position: by source, by file as the source "
            "lists them, by row. Where all sources are tables, position comes behind source and quality unless this is "
            "set. doc_id decides between equals. Together with quality, length and position, dates "
            "count in seconds, and no more than 2**30 rows have positions; else 2**40 have."))
    shingles: ShingleUnit = Field(
        default=ShingleUnit.WORDS, description=(
            "What a shingle is an n-gram of: words, or the characters of those words with one space between them."))
    ngram: int = Field(default=5, ge=1, le=64, description="Words or characters a shingle.")
    signature: SignatureScheme = Field(
        default=SignatureScheme.AFFINE32, description=(
            "affine32: datasketch 2's fast scheme. datatrove64: the 64-bit signatures of datatrove, which FineWeb was "
            "made with; several times slower."))
    verify: Verification = Field(
        default=Verification.EXACT, description=(
            "How candidates are checked: exact: Jaccard similarity of the shingle sets, from the texts. signatures: "
            "share of equal minima, without the texts; standard error sqrt(J * (1 - J) / n_permutations)."))
    n_permutations: int = Field(default=128, ge=8, le=16384, description="Permutations of the MinHash signature.")
    seed: int = Field(default=1, ge=0, le=2**32 - 1, description="Seed of the permutations, as datasketch takes it.")
    threshold: float = Field(
        default=0.8, ge=0.05, le=0.99,
        description="Jaccard similarity the bands are chosen for, and the one that removes.")
    verify_threshold: float | None = Field(
        default=None, gt=0.0, le=1.0,
        description="Similarity, as verified, from which a candidate is removed; the threshold if unset.")
    false_positive_weight: float = Field(
        default=0.1, ge=0.0, le=1.0, description="Weight of useless candidates in the choice of bands.")
    false_negative_weight: float = Field(
        default=0.9, ge=0.0, le=1.0, description="Weight of missed pairs in the choice of bands.")
    n_bands: int | None = Field(
        default=None, ge=1, le=256, description="Bands of the signature, instead of the best choice.")
    n_band_rows: int | None = Field(default=None, ge=1, le=1024, description="Rows of a band; goes with n_bands.")
    bucket_pivots: int = Field(
        default=64, ge=1, le=10_000,
        description="Of each bucket a document is compared with the first so many that are kept, in survivor order.")
    partitions: Partitions = Field(
        default="auto", description=(
            "Partitions of the steps over all documents, up to 4,096; memory falls with their number. auto: a power of "
            "two, one partition for 32 parts and for 65,536 documents."))
    keep_index: bool = Field(
        default=False, description=(
            "Keep what later runs need to be deduplicated against this one (`against`), without its texts: of each "
            "kept document its signature, hashes and id; some 4 * n_permutations + 72 bytes."))
    max_removed_fraction: float = Field(
        default=0.9, gt=0.0, le=1.0,
        description="The run stops if a source loses more than this share of its documents.")
    guard_min_documents: int = Field(
        default=100, ge=1, description="Sources of fewer selected documents than this may lose any share of them.")

    @model_validator(mode="after")
    def _schemes_fit(self) -> Self:
        if len(set(self.survivor_order)) < len(self.survivor_order):
            raise ValueError("survivor_order names a key twice")
        if {SurvivorKey.SOURCE, SurvivorKey.POSITION} <= set(self.survivor_order) and len(self.survivor_order) > 3:
            raise ValueError("survivor_order names source and position, between which one more key has room")
        if self.signature is SignatureScheme.DATATROVE64 and self.shingles is not ShingleUnit.WORDS:
            raise ValueError("datatrove64 signatures are of words; set shingles: words")
        return self

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
    def keeps_minima(self) -> bool:
        """Whether whole signatures are written, not only their bands."""
        return self.verify is Verification.SIGNATURES or self.keep_index

    @property
    def similarity_threshold(self) -> float:
        """The similarity from which a verified candidate is removed."""
        return self.threshold if self.verify_threshold is None else self.verify_threshold


class DedupRecipe(DedupConfig):
    """Removal of duplicates: whole documents first, then what is repeated within those that stay."""

    paragraphs: ParagraphsConfig | None = Field(
        default=None, description="Cut paragraphs that occur earlier, as CCNet does; off if unset.")
    sentences: SentencesConfig | None = Field(
        default=None, description=(
            "Cut spans of three sentences that occur earlier, as C4 does; off if unset."))
    bloom: BloomConfig | None = Field(
        default=None, description=(
            "Cut paragraphs and drop documents whose n-grams were seen, as DCLM does; off if unset."))
    passage_sources: tuple[str, ...] | None = Field(default=None, description=(
        "Sources of which paragraphs, sentences and n-grams are cut, and compared with each other; null takes all. "
        "CCNet's rule is for crawled pages: of code it would leave each line once."))
    min_left_bytes: int = Field(
        default=0, ge=0, description=(
            "A document that lost paragraphs or sentences is dropped where fewer bytes than this are left, and always "
            "where none is. What is left of it may then occur nowhere else."))
    substrings: SubstringConfig | None = Field(
        default=None, description="Cut passages that also occur elsewhere, byte for byte; off if unset.")

    against: tuple[str, ...] = Field(default=(), max_length=1000, description=(
        "Runs whose kept documents this one must not repeat: folders of runs, or of decisions of `curate dedup "
        "--keep-index`. Their documents come before all of this run and are never removed; their texts are not "
        "needed, only the index that `keep_index` leaves, which a run with `against` keeps too. One or a list."))

    @field_validator("against", mode="before")
    @classmethod
    def _as_list(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    def documents(self) -> DedupConfig:
        """What the steps that compare whole documents depend on: a rule on passages makes none of them again. Where
        earlier runs lie is no part of it: their indexes are inputs."""
        config = DedupConfig(**{name: getattr(self, name) for name in DedupConfig.model_fields})
        return config.model_copy(update={"keep_index": self.keep_index or bool(self.against)})

    def shuffled(self) -> DedupRecipe:
        """What paragraphs and sentences depend on: neither later rules nor how much must be left."""
        return self.cutting().model_copy(update={"bloom": None, "min_left_bytes": 0})

    def cutting(self) -> DedupRecipe:
        """What the removal of passages depends on: neither the search for substrings, which comes after them, nor where
        earlier runs lie."""
        return self.model_copy(update={"substrings": None, "against": ()})

    @property
    def is_on(self) -> bool:
        """Whether anything is asked for: documents or passages to compare, or an index for later runs."""
        return bool(self.exact or self.near or self.urls or self.passages or self.substrings or self.keep_index
                    or self.against)

    @property
    def repeats(self) -> bool:
        """Whether paragraphs or sentences are compared over the whole corpus."""
        return self.paragraphs is not None or self.sentences is not None

    @property
    def passages(self) -> bool:
        """Whether paragraphs, sentences or n-grams are compared."""
        return self.repeats or self.bloom is not None
