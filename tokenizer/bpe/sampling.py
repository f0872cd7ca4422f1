"""Which documents a tokenizer is trained on: of each source those of lowest hash, until its share of bytes is met.

Parts give histograms over the hash, and one task turns them into a cutoff for each source. Bins are 1/1024 of the hash
they begin at, so a sample of any size ends within a thousandth of its share, or a document where that is more. Growing
a sample only adds documents; how many parts there are does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests.errors import StageError
from manifests.hashing import UInt64, id_words, keyed_hash
from manifests.tables import read_row_groups, read_table
from manifests.tasks import Work
from tokenizer.bpe.train_config import TokenizerConfig

SAMPLE_HISTOGRAM: Final = pa.schema([
    pa.field("source", pa.string(), nullable=False, metadata={"comment": "name of the source"}),
    pa.field("bin", pa.uint32(), nullable=False, metadata={"comment": "of the keyed hash, on a logarithmic scale"}),
    pa.field("n_documents", pa.int64(), nullable=False, metadata={"comment": "documents in the bin"}),
    pa.field("n_bytes", pa.int64(), nullable=False, metadata={"comment": "UTF-8 bytes of their text"}),
])
SAMPLE_CUTOFFS: Final = pa.schema([
    pa.field("source", pa.string(), nullable=False, metadata={"comment": "name of the source"}),
    pa.field("end_bin", pa.uint32(), nullable=False, metadata={"comment": "documents in bins below it are taken"}),
    pa.field("available_bytes", pa.int64(), nullable=False, metadata={"comment": "UTF-8 bytes that could be taken"}),
    pa.field("sample_bytes", pa.int64(), nullable=False, metadata={"comment": "UTF-8 bytes that are taken"}),
    pa.field("sample_documents", pa.int64(), nullable=False, metadata={"comment": "documents that are taken"}),
])
_SHIFT: Final = np.uint64(42)  # leaves a double's exponent and ten bits of its fraction
_ALL_BINS: Final = 1 << 22
_BYTES_A_TOKEN: Final = 4  # to compare phases that say epochs with phases that say tokens; any corpus is near it

Sizes = npt.NDArray[np.int64]


def document_bins(seed: int, doc_ids: pa.ChunkedArray) -> npt.NDArray[np.uint32]:
    """uint32 [n]: the bin of each document, by its id."""
    return bins(keyed_hash(seed, "tokenizer-sample", id_words(doc_ids)))


def bins(order: UInt64) -> npt.NDArray[np.uint32]:
    """uint32 [n] from uint64 hashes: exponent and ten bits of the hash as a double, so order is kept."""
    return (order.astype(np.float64).view(np.uint64) >> _SHIFT).astype(np.uint32)


def sample_histogram(config: TokenizerConfig, work: Work) -> None:
    """tokenizer/sample: what a clean part holds in each bin of the hash.

    Inputs: documents. Variables: source, seed. Output: histogram (SAMPLE_HISTOGRAM), by bin. Counters: documents,
    bytes, and oversize_documents, which are larger than the whole sample and never taken."""
    seen = Histogram()
    limit = config.sample_bytes
    for group in read_row_groups(work.input("documents"), ["doc_id", "n_bytes"]):
        n_bytes = group["n_bytes"].to_numpy()
        fits = (n_bytes > 0) & (n_bytes <= limit if limit is not None else True)
        seen.add(document_bins(int(work.variables["seed"]), group["doc_id"])[fits], n_bytes[fits])
        work.count("oversize_documents", int((n_bytes > limit).sum()) if limit is not None else 0)
    numbers, documents, sizes = seen.rows()
    source = pa.array([str(work.variables["source"])] * len(numbers), pa.string())
    work.write("histogram", SAMPLE_HISTOGRAM, [pa.table([source, numbers, documents, sizes], schema=SAMPLE_HISTOGRAM)])
    work.count("documents", int(documents.sum()))
    work.count("bytes", int(sizes.sum()))


class Histogram:
    """Documents and bytes by bin."""

    def __init__(self) -> None:
        self._rows = (np.empty(0, np.uint32), np.empty(0, np.int64), np.empty(0, np.int64))

    def add(self, numbers: npt.NDArray[np.uint32], n_bytes: Sizes, documents: Sizes | None = None) -> None:
        """Count documents, one a row unless `documents` says how many."""
        old_bins, old_documents, old_bytes = self._rows
        every, row = np.unique(np.concatenate([old_bins, numbers]), return_inverse=True)
        new_documents, new_bytes = np.zeros(len(every), np.int64), np.zeros(len(every), np.int64)
        ones = documents if documents is not None else np.ones(len(numbers), np.int64)
        np.add.at(new_documents, row, np.concatenate([old_documents, ones]))
        np.add.at(new_bytes, row, np.concatenate([old_bytes, n_bytes]))
        self._rows = (every, new_documents, new_bytes)

    def rows(self) -> tuple[npt.NDArray[np.uint32], Sizes, Sizes]:
        """(bins, documents, bytes), by bin."""
        return self._rows

    @property
    def n_bytes(self) -> int:
        return int(self._rows[2].sum())

    def cutoff(self, budget: int | None) -> tuple[int, int, int]:
        """(end bin, documents, bytes) of the lowest bins whose bytes fit into the budget; None takes all."""
        numbers, documents, sizes = self._rows
        n = len(numbers) if budget is None else int(np.searchsorted(np.cumsum(sizes), budget, "right"))
        end = _ALL_BINS if n == len(numbers) else int(numbers[n])
        return end, int(documents[:n].sum()), int(sizes[:n].sum())


def sample_cutoffs(config: TokenizerConfig, work: Work) -> None:
    """tokenizer/cutoffs: which bins of each source are taken.

    Inputs: histograms (all parts). Variables: phases, where the mixture decides, as `mixture_shares` takes them.
    Output: cutoffs (SAMPLE_CUTOFFS), by source. Raises StageError where there is no text."""
    sources: dict[str, Histogram] = {}
    for path in work.inputs("histograms"):
        table: Any = read_table(path)
        for name in table["source"].unique().to_pylist():
            columns = [table[n].to_numpy() for n in ("bin", "n_bytes", "n_documents")]
            sources.setdefault(name, Histogram()).add(*columns)
    available = {name: sources[name].n_bytes for name in sorted(sources)}
    if not sum(available.values()):
        raise StageError("there is no text to train a tokenizer on", where="tokenizer",
                         hint="loosen the filters that emptied the corpus, or name a file in tokenizer.path")
    phases = work.variables.get("phases")
    shares = mixture_shares(phases, available) if phases is not None else dict(available)
    budgets = byte_budgets(config.sample_bytes, shares, available)
    rows = []
    for name, budget in budgets.items():
        end, n_documents, n_bytes = sources[name].cutoff(budget)
        rows.append({"source": name, "end_bin": end, "available_bytes": available[name], "sample_bytes": n_bytes,
                     "sample_documents": n_documents})
    work.write("cutoffs", SAMPLE_CUTOFFS, [pa.Table.from_pylist(rows, SAMPLE_CUTOFFS)])


def mixture_shares(phases: Sequence[Mapping[str, Any]], available: Mapping[str, int]) -> dict[str, float]:
    """What part of the training text each source is, on any scale, before anything has been tokenized.

    phases: of each its share or total_tokens, and weights, epochs or tokens by source. available: bytes by source."""
    shares = dict.fromkeys(available, 0.0)
    for phase in phases:
        amounts = {n: float(v) for n, v in (phase.get("weights") or phase.get("tokens") or {}).items()}
        for name, epochs in (phase.get("epochs") or {}).items():
            amounts[name] = epochs * available.get(name, 0) / _BYTES_A_TOKEN
        total = sum(amounts.values())
        whole = phase.get("share") or phase.get("total_tokens") or total
        for name, amount in amounts.items():
            if name in shares and total:
                shares[name] += whole * amount / total
    return shares


def byte_budgets(total: int | None, shares: Mapping[str, float], available: Mapping[str, int]
                 ) -> dict[str, int | None]:
    """Bytes to take of each source: in proportion to its share; what one lacks the others give. None: all of it."""
    budgets: dict[str, int | None] = dict.fromkeys(available)
    if total is None or total >= sum(available.values()):
        return budgets
    open_sources, left = {n: s for n, s in shares.items() if s > 0}, float(total)
    budgets = {n: None if n in open_sources else 0 for n in available}
    while open_sources:
        scale = left / sum(open_sources.values())
        full = [n for n, s in open_sources.items() if s * scale >= available[n]]
        for name in full:
            left -= available[name]
            del open_sources[name]
        if not full:
            budgets |= {n: int(s * scale) for n, s in open_sources.items()}
            break
    return budgets


def read_cutoffs(path: str) -> dict[str, int]:
    """The end bin of every source."""
    table = read_table(path, ["source", "end_bin"])
    return dict(zip(table["source"].to_pylist(), table["end_bin"].to_pylist(), strict=True))
