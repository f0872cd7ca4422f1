"""An export: tokens as JSON Lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field


class Lines:
    """JSON Lines, a document's tokens a line, for whatever reads nothing else."""

    of_documents = True  # a source can be written by itself (`--by-source`)
    holds = frozenset({"bounds", "padding"})  # a line is a document, so its bounds are told, and padding is left out

    class Parameters(BaseModel):
        """max_tokens: longer documents are cut into several lines."""

        model_config = ConfigDict(frozen=True, extra="forbid")

        max_tokens: int = Field(4096, ge=1, description="Tokens of a line.")

    def __init__(self, parameters: Parameters) -> None:
        self._max_tokens = parameters.max_tokens

    def write(self, dataset: Any, folder: Any) -> Mapping[str, Any]:
        """One file a split; `folder.write` gives it its name when it is complete."""
        n_lines: dict[str, int] = {}
        for split in dataset.splits:
            lines = list(self._lines(dataset, split))
            folder.write(f"{split}.jsonl", lines)
            n_lines[split] = len(lines)
        return {"lines": n_lines}

    def _lines(self, dataset: Any, split: str) -> Iterator[bytes]:
        for _, tokens, documents in dataset.stream(split):
            for start, n in zip(documents.start.tolist(), documents.n_tokens.tolist(), strict=True):
                for at in range(start, start + n, self._max_tokens):
                    ids = np.asarray(tokens[at : min(at + self._max_tokens, start + n)])
                    yield json.dumps({"tokens": ids.tolist()}).encode() + b"\n"
