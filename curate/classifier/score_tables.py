"""Tables of scores: their columns, and the histogram from which keep rules learn how the scores of a corpus lie."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

from manifests.schema import ID

OWN: Final = "quality"
"""The run's own classifier, as rules name it."""
BIN_SHIFT: Final = 10
"""A bin of the histogram is a score's float32 bits without their last ten: at most 6e-5 wide, finer near zero."""


def _field(name: str, kind: pa.DataType, comment: str, nullable: bool = False) -> pa.Field[Any]:
    return pa.field(name, kind, nullable=nullable, metadata={"comment": comment})


SCORE_HISTOGRAM: Final = pa.schema([
    _field("score", pa.string(), "which score: quality, or the name of another classifier"),
    _field("source", pa.string(), "source after derivation"),
    _field("language", pa.string(), "of the document; empty where it is unknown"),
    _field("bin", pa.uint32(), "bits of the float32 score, shifted right by 10"),
    _field("n", pa.int64(), "documents in it"),
])


def score_column(name: str) -> str:
    """Column of a classifier's scores: `quality_score` for the run's own, else `quality_<name>`."""
    return "quality_score" if name == OWN else f"quality_{name}"


def scores_schema(names: list[str]) -> pa.Schema:
    """doc_id and a float32 column for each classifier."""
    return pa.schema([_field("doc_id", ID, "document"), *(
        _field(score_column(name), pa.float32(), f"probability of the positive label, by {name}", nullable=True)
        for name in names)])
