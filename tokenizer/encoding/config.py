"""The configuration of encoding."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class EncodeConfig(BaseModel):
    """Encoding the clean corpus."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fast: bool = Field(
        True, description="Encode with gigatoken, checked against tokenizers on a sample of every part.")
    check_fraction: float = Field(
        1 / 512, ge=0.0, le=1.0,
        description="Share of documents that both encoders encode and that must agree; one of every part always is.")
    check_bytes: int = Field(
        1 << 20, ge=1, description="Larger documents are not checked where a part has smaller ones: the reference "
                                   "takes a second for a megabyte.")
