"""A signal: how much of a text is written in capitals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field


class Shouting:
    """Share of a text's words that are written in capitals, acronyms aside."""

    class Parameters(BaseModel):
        """acronyms: a file of words, one a line, that do not count; the run knows it by its digest."""

        model_config = ConfigDict(frozen=True, extra="forbid")

        min_letters: int = Field(2, ge=1, description="Shorter words do not count.")
        acronyms: Path | None = None

    def __init__(self, parameters: Parameters) -> None:
        self._pattern = rf"^[A-Z]{{{parameters.min_letters},}}$"
        listed = parameters.acronyms.read_text(encoding="utf-8").split() if parameters.acronyms is not None else []
        self._acronyms = pa.array(listed, pa.large_string())

    def values(self, texts: pa.LargeStringArray, languages: pa.StringArray) -> npt.NDArray[np.float64]:
        """Words are split at white space, for all texts at once; a text without words has no value."""
        lists = pc.utf8_split_whitespace(texts)
        words, owners = pc.list_flatten(lists), pc.list_parent_indices(lists).to_numpy()
        counted = pc.greater(pc.utf8_length(words), 0).to_numpy(zero_copy_only=False)
        loud = pc.and_(pc.match_substring_regex(words, self._pattern), pc.invert(pc.is_in(words, self._acronyms)))
        n = np.bincount(owners, weights=counted, minlength=len(texts))
        n_loud = np.bincount(owners, weights=loud.to_numpy(zero_copy_only=False), minlength=len(texts))
        shares = np.full(len(texts), np.nan)
        np.divide(n_loud, n, out=shares, where=n > 0)
        return shares
