"""What a recipe says about the tokenizer."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tokenizer.bpe.special_tokens import PRESETS, expand

_SMALLEST = 257
_LISTED = "; ".join(f"{name} ({', '.join(tokens)})" for name, tokens in PRESETS.items())


class TokenizerConfig(BaseModel):
    """The tokenizer: trained on a sample of the corpus, or taken from a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vocab_size: int = Field(
        32_768, le=1 << 20,
        description="Entries of the vocabulary: 256 bytes, the merges, the end-of-text token, and special tokens.")
    special_tokens: tuple[str, ...] = Field((), max_length=1024, description=(
        "Tokens that no text is encoded to, with ids of their own, in this order, behind the end-of-text token; behind "
        f"all ids where `path` names a tokenizer. Names of presets stand for theirs: {_LISTED}."))
    pattern: Literal["gpt2", "cl100k", "o200k", "llama"] = Field(
        "gpt2", description=(
            "Where text is cut before training; no token crosses a cut. cl100k is GPT-4's and LLaMA 3's pattern "
            "(digits in threes), o200k GPT-4o's, llama is cl100k with every digit alone, as in LLaMA 1 and 2."))
    sample_bytes: int | None = Field(
        1_000_000_000, ge=1, description=(
            "UTF-8 bytes of text to train on, chosen by hash; less if the corpus is smaller. Null takes all of it."))
    sample: Literal["mixture", "corpus"] = Field(
        "mixture", description=(
            "Where the corpus is larger than the sample, which part of it each source is: what the mixture gives it, "
            "as far as its text goes, or its part of the corpus. With mixture, other weights train another tokenizer."))
    min_frequency: int = Field(
        2, ge=1, description="A pair of tokens must occur at least this often in the sample to become a merge.")
    min_word_count: int = Field(
        1, ge=1, description=(
            "Pre-tokens that occur less often in the whole sample are left out of training, which bounds its memory. "
            "1 leaves none out: the merges are then those that tokenizers learns."))
    word_partitions: int = Field(
        8, ge=1, le=4096, description="Partitions in which counts of pre-tokens are added up; each is held in memory.")
    count_memory_bytes: int = Field(
        256 << 20, ge=1 << 20,
        description="Memory for the pre-tokens of one clean part; beyond it they are written out and begun anew.")
    path: str | None = Field(
        None, description=(
            "An existing tokenizer to use as it is; nothing is trained then. A tokenizer.json, GPT-2's encoder.json "
            "and vocab.bpe, tiktoken ranks, or a folder that holds one of these."))

    @field_validator("vocab_size")
    @classmethod
    def _holds_the_bytes(cls, value: int) -> int:
        if value < _SMALLEST:
            raise ValueError(f"needs at least {_SMALLEST} entries: 256 bytes and the end-of-text token")
        return value

    @field_validator("special_tokens", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("special_tokens")
    @classmethod
    def _presets(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return expand(value)

    @model_validator(mode="after")
    def _holds_special_tokens(self) -> Self:
        if self.path is None and self.vocab_size < _SMALLEST + len(self.special_tokens):
            raise ValueError(f"vocab_size {self.vocab_size} does not hold 256 bytes, the end-of-text token and "
                             f"{len(self.special_tokens)} special tokens")
        return self

    @property
    def n_merges(self) -> int:
        """Most merges that the vocabulary holds."""
        return self.vocab_size - _SMALLEST - len(self.special_tokens)
