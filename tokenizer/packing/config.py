"""The configuration of packing."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from manifests.packing import PACKINGS
from manifests.shard import MAX_SHARD_TOKENS


class PackConfig(BaseModel):
    """How documents become rows and rows become shards."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    row_length: int = Field(
        2048, ge=2, le=1 << 20, description="Tokens of a row, which is the context a model is trained on.")
    shard_tokens: int = Field(
        1 << 26, ge=2, le=MAX_SHARD_TOKENS,
        description="Tokens of a shard: a multiple of row_length. A packing worker holds one shard in memory.")
    buckets: int = Field(
        64, ge=1, le=4096,
        description="Ranges of the shuffle hash; about as many as there will be shards keeps packing's reads small.")
    packing: str = Field("concat", description=(
        f"How documents fill rows: {'; '.join(f'{p.name} {p.description}' for p in PACKINGS.values())}."))
    pad_tail: bool = Field(False, description=(
        "In concat, whether the tail of a phase or split that fills no row becomes a padded row instead of being "
        "dropped. Padding is end-of-text tokens, which are no targets."))

    @field_validator("packing")
    @classmethod
    def _packing_exists(cls, packing: str) -> str:
        if packing not in PACKINGS:
            raise ValueError(f"not a packing; they are {', '.join(PACKINGS)}")
        return packing

    @property
    def shard_rows(self) -> int:
        """Rows of a shard; the last of a stream has fewer."""
        return self.shard_tokens // self.row_length

    @model_validator(mode="after")
    def _whole_rows(self) -> PackConfig:
        if self.shard_tokens % self.row_length:
            nearest = max(1, self.shard_tokens // self.row_length) * self.row_length
            raise ValueError(f"shard_tokens {self.shard_tokens} is not a multiple of row_length {self.row_length}; "
                             f"{nearest} is")
        return self
