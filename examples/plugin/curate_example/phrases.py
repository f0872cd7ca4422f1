"""An edit: phrases of a list go, or something stands in their place."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

CHANGES = pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64()), ("replacement", pa.string())]))


class Phrases:
    """Takes the phrases of a list out of texts, or puts another in their place."""

    class Parameters(BaseModel):
        """phrases: a file of phrases, one a line. replacement: what stands in their place; empty for nothing."""

        model_config = ConfigDict(frozen=True, extra="forbid")

        phrases: Path
        replacement: str = ""

    def __init__(self, parameters: Parameters) -> None:
        lines = parameters.phrases.read_bytes().splitlines()
        # The longest first, so that of two phrases that begin alike the longer one goes.
        listed = sorted({line.strip() for line in lines} - {b""}, key=lambda line: (-len(line), line))
        self._pattern = re.compile(b"|".join(map(re.escape, listed)) or rb"(?!)")
        self._replacement = parameters.replacement

    def changes(self, texts: pa.LargeStringArray) -> pa.ListArray:
        """Positions are bytes of UTF-8, so the search is over bytes."""
        found = [[{"start": match.start(), "end": match.end(), "replacement": self._replacement}
                  for match in self._pattern.finditer(memoryview(text.as_buffer()))] for text in texts]
        return pa.array(found, CHANGES)
