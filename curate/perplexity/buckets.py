"""CCNet's head, middle and tail: cut-offs of a whole corpus from the histograms of its parts, and who falls where."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.perplexity.config import Bucket, PerplexityCuts
from manifests.tables import read_table
from manifests.tasks import Work

if TYPE_CHECKING:
    import polars as pl

BIN_SHIFT: Final = 10
"""A bin of the histogram is a perplexity's float32 bits without their last ten: an eight-thousandth of it, or less."""


def _field(name: str, kind: pa.DataType, comment: str) -> pa.Field[Any]:
    return pa.field(name, kind, nullable=False, metadata={"comment": comment})


PERPLEXITY_HISTOGRAM = pa.schema([
    _field("source", pa.string(), "source of the documents"),
    _field("language", pa.string(), "of the documents"),
    _field("bin", pa.uint32(), "bits of the float32 perplexity, shifted right by 10"),
    _field("n", pa.int64(), "documents in it"),
])

PERPLEXITY_CUTOFFS = pa.schema([
    _field("language", pa.string(), "language it holds for"),
    _field("head", pa.float32(), "perplexity at which the head ends and the middle begins"),
    _field("middle", pa.float32(), "perplexity at which the middle ends and the tail begins"),
    _field("n_documents", pa.int64(), "documents it was taken from; 0 where the recipe gives it"),
])


class PerplexityReason(StrEnum):
    """Why a document was dropped: its bucket is not one of those that stay."""

    HEAD = "perplexity_head"
    MIDDLE = "perplexity_middle"
    TAIL = "perplexity_tail"


def count_bins(source: Any, language: Any, perplexity: npt.NDArray[np.float32]) -> pl.DataFrame:
    """Rows of PERPLEXITY_HISTOGRAM from documents; those without a perplexity (NaN) are left out."""
    import polars as pl

    frame = pl.DataFrame({"source": pl.Series(source), "language": pl.Series(language).fill_null(""),
                          "bin": perplexity.view(np.uint32) >> np.uint32(BIN_SHIFT)})
    counted = frame.filter(pl.Series(~np.isnan(perplexity))).group_by("source", "language", "bin").agg(
        pl.len().cast(pl.Int64).alias("n"))
    return counted.select(PERPLEXITY_HISTOGRAM.names)


def cutoffs(config: PerplexityCuts, work: Work) -> None:
    """Stage signals/cutoffs, one task: the perplexities at which each language's head and middle end.

    Input `histograms` (role histogram of signals). Variables: sources, whose documents count. Output `cutoffs`
    (PERPLEXITY_CUTOFFS, by language), exact to a bin. Memory: a row for each bin that occurs."""
    import polars as pl

    tables = [pl.DataFrame(read_table(path)) for path in work.inputs("histograms", role="histogram")]
    counts = pl.concat([pl.DataFrame(PERPLEXITY_HISTOGRAM.empty_table()), *tables])
    counts = counts.filter(pl.col("source").is_in(list(work.variables["sources"])))
    rows: dict[str, tuple[float, float, int]] = {}
    for language in counts["language"].unique().sort():
        bins = counts.filter(pl.col("language") == language).group_by("bin").agg(pl.col("n").sum()).sort("bin")
        edges = [percentile(bins["bin"].to_numpy(), bins["n"].to_numpy(), p) for p in (config.head, config.middle)]
        rows[language] = (edges[0], edges[1], int(bins["n"].sum()))
    rows |= {language: (head, middle, 0) for language, (head, middle) in config.cutoffs.items()}
    columns = [sorted(rows), *([rows[language][i] for language in sorted(rows)] for i in range(3))]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, PERPLEXITY_CUTOFFS, strict=True)]
    work.write("cutoffs", PERPLEXITY_CUTOFFS, [pa.table(arrays, schema=PERPLEXITY_CUTOFFS)])


def percentile(bins: npt.NDArray[np.uint32], counts: npt.NDArray[np.int64], percent: float) -> float:
    """Upper edge of the bin with which the percentage of all documents is reached. bins: rising."""
    total = np.cumsum(counts)
    wanted = -(-round(percent * 10_000_000) * int(total[-1]) // 1_000_000_000)
    index = min(int(np.searchsorted(total, max(1, wanted))), len(total) - 1)
    edge = (bins[index : index + 1].astype(np.uint32) + np.uint32(1)) << np.uint32(BIN_SHIFT)
    return float(edge.view(np.float32)[0])


def buckets(perplexity: npt.NDArray[np.float32], languages: Any, cut: pa.Table) -> tuple[
        pa.Array, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(Bucket of each document as string, null without perplexity or cut-offs; where its head and its middle end,
    float64 [n], NaN without). languages: string [n]. cut: PERPLEXITY_CUTOFFS."""
    import polars as pl

    spoken = pl.Series(languages).fill_null("")
    table = pl.DataFrame(cut)
    ends: list[npt.NDArray[np.float64]] = []
    for name in ("head", "middle"):
        end = spoken.replace_strict(table["language"], table[name].cast(pl.Float64), default=None,
                                      return_dtype=pl.Float64)
        ends.append(end.to_numpy().astype(np.float64))
    known = ~np.isnan(perplexity) & ~np.isnan(ends[0])
    index = (perplexity >= ends[0]).astype(np.int64) + (perplexity >= ends[1])
    names = pa.array([str(b) for b in Bucket])
    return names.take(pa.array(index, mask=~known)), ends[0], ends[1]


def unwanted(perplexity: npt.NDArray[np.float32], languages: Any, cut: pa.Table, keep: Sequence[Bucket]) -> tuple[
        pa.Array, npt.NDArray[np.float64]]:
    """(PerplexityReason of each document whose bucket does not stay, else null; the cut-off on whose wrong side it is,
    float64 [n])."""
    import polars as pl

    names, head, middle = buckets(perplexity, languages, cut)
    bucket = pl.Series(names)
    gone = (~bucket.is_in([str(b) for b in keep])).fill_null(False)
    reasons = {str(b): str(r) for b, r in zip(Bucket, PerplexityReason, strict=True)}
    reason_of = bucket.replace_strict(reasons, default=None, return_dtype=pl.String)
    edge = np.where(perplexity >= middle, middle, head) if Bucket.MIDDLE in keep else head
    reason = pl.select(pl.when(gone).then(reason_of).otherwise(None)).to_series()
    return reason.to_arrow().cast(pa.string()), edge
