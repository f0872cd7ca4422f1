"""The index of evaluation n-grams, and where training texts contain them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.decontamination.config import DecontaminationConfig
from curate.decontamination.items import Account, read_items
from curate.decontamination.kernels.overlaps import gram_table, scan
from curate.dedup.layout import check_aligned
from curate.text.strings import string_buffers
from curate.text.words import Hashes
from manifests.tables import read_row_groups, read_table
from manifests.tasks import Work

Number = TypeVar("Number", np.int64, np.uint64)

_GRAM: Final = pa.field("gram", pa.uint64(), nullable=False)

GRAMS: Final = pa.schema([
    _GRAM, pa.field("benchmark", pa.string(), nullable=False), pa.field("item", pa.string(), nullable=False)])
"""decontaminate/index: n-grams of items, ascending; items that share one come in the recipe's order."""

_OFFSETS: Final = ("byte_start", "byte_end", "char_start", "char_end", "cut_start", "cut_end")

HITS: Final = pa.schema([
    pa.field("row", pa.int64(), nullable=False), _GRAM,
    *(pa.field(name, pa.int64(), nullable=False) for name in _OFFSETS),
    pa.field("n_chars", pa.int64(), nullable=False)])
"""decontaminate/hits: one row an occurrence, by row and offset; cut_*: bytes with the window; n_chars: of the text."""

GRAM_COUNTS: Final = pa.schema([_GRAM, pa.field("n_documents", pa.int64(), nullable=False)])


@dataclass(frozen=True)
class GramIndex:
    """A set of n-grams that can be looked up fast. grams: distinct, ascending uint64. table: as of `gram_table`."""

    ngram: int
    grams: Hashes
    table: tuple[Hashes, Hashes]


def build_index(texts: pa.Array | pa.ChunkedArray | Iterable[str], ngram: int = 13) -> GramIndex:
    """Index every n-gram of evaluation texts.

    Args:
        texts: Strings, or string or large_string [n]; those of fewer than n words contribute nothing.
        ngram: Words of an n-gram, as `find` counts them.
    """
    strings = texts if isinstance(texts, pa.Array | pa.ChunkedArray) else pa.array(texts, pa.large_string())
    return index_of(scan(*string_buffers(strings), ngram, None, -1)[0], ngram)


@lru_cache(maxsize=1)
def held_names(paths: tuple[str, ...], digest: str) -> pa.Table:
    """GRAMS of the index in these files, which a process keeps for its next part: reading and hashing it again took
    more than searching a part's texts. digest: of the files."""
    return pa.concat_tables([GRAMS.empty_table(), *map(read_table, paths)]).combine_chunks()


@lru_cache(maxsize=1)
def held_index(paths: tuple[str, ...], digest: str, ngram: int) -> GramIndex:
    """The same files' n-grams, to be looked up."""
    grams = [read_table(path, ["gram"])["gram"].to_numpy() for path in paths]
    return index_of(np.concatenate([np.empty(0, np.uint64), *grams]), ngram)


def index_of(grams: Hashes, ngram: int) -> GramIndex:
    """An index of n-gram hashes, which may repeat."""
    once = distinct(grams)
    return GramIndex(ngram, once, gram_table(once))


def distinct(grams: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """The values there are, ascending. Sorting is twenty times as fast here as NumPy's `unique`, which hashes; what is
    sorted already, as grams in a table are, costs a comparison a value."""
    if not bool(np.all(grams[1:] >= grams[:-1])):
        grams = np.sort(grams)
    return grams[np.append(True, grams[1:] != grams[:-1])] if len(grams) else grams


def find(texts: pa.Array | pa.ChunkedArray, index: GramIndex, window: int = 200) -> pa.Table:
    """Every occurrence of an indexed n-gram in texts.

    A word is a whitespace token, lower-cased, without punctuation (Brown et al. 2020, appendix C).

    Args:
        texts: string or large_string [n].
        index: As of `build_index`.
        window: Characters on either side that are cut along with an occurrence.
    Returns:
        HITS, by row and offset.
    """
    grams, rows, offsets, n_chars = scan(*string_buffers(texts), index.ngram, index.table, window)
    columns = {"row": rows, "gram": grams}
    columns |= {name: np.ascontiguousarray(offsets[:, i]) for i, name in enumerate(_OFFSETS)}
    return pa.table(columns | {"n_chars": n_chars[rows]}, schema=HITS)


def index_stage(config: DecontaminationConfig, work: Work) -> None:
    """decontaminate/index, once. Inputs: benchmarks, one file for each of the configuration, in its order.

    Output: `grams`, GRAMS. Memory: the evaluation sets."""
    table = read_grams(config, work.inputs("benchmarks"), work)
    work.count("grams", len(distinct(table["gram"].to_numpy())))
    work.write("grams", GRAMS, [table])


def read_grams(config: DecontaminationConfig, paths: list[str], work: Account) -> pa.Table:
    """GRAMS of all benchmarks, ascending; items are counted, and lines that cannot be read are reported to the task."""
    names: list[str] = []  # of items, and the number of each one's benchmark beside them
    owners: list[int] = []
    found, items = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for number, (benchmark, path) in enumerate(zip(config.benchmarks, paths, strict=True)):
        texts, first = [], len(names)
        for item, text in read_items(benchmark, path, work):
            names.append(item)
            texts.append(text)
        grams, rows, _, _ = scan(*string_buffers(pa.array(texts, pa.large_string())), config.ngram, None, -1)
        work.count(f"items[{benchmark.name}]", len(texts))
        work.count(f"items_too_short[{benchmark.name}]", len(texts) - len(distinct(rows)))
        owners += [number] * len(texts)
        found.append(grams)
        items.append(rows + first)
    every = np.concatenate(found)
    order = np.argsort(every, kind="stable")
    item_rows = np.concatenate(items)[order]
    benchmark_rows = np.array(owners, np.int64)[item_rows]
    benchmarks = pa.array([benchmark.name for benchmark in config.benchmarks], pa.string())
    return pa.table({"gram": every[order], "benchmark": benchmarks.take(pa.array(benchmark_rows)),
                     "item": pa.array(names, pa.string()).take(pa.array(item_rows))}, schema=GRAMS)


def hits_stage(config: DecontaminationConfig, work: Work) -> None:
    """decontaminate/hits, a part. Inputs: documents, decisions (of dedup, same part), index (decontaminate/index).

    Outputs: `hits`, HITS of the kept documents, text read one row group at a time; `gram_counts`, in how many of the
    part's documents each n-gram is."""
    decisions = read_table(work.input("decisions"), ["doc_id", "keep"])
    index = held_index(tuple(work.inputs("index", role="grams")), work.task.inputs["index"].digest, config.ngram)
    found: list[pa.Table] = []
    work.write("hits", HITS, _hits(config, work, decisions, index, found))
    distinct = pa.concat_tables([HITS.empty_table().select(["row", "gram"]), *found])
    counts = distinct.group_by("gram", use_threads=False).aggregate([("row", "count")])
    counts = counts.rename_columns(["gram", "n_documents"]).sort_by("gram")
    work.count("documents_with_hits", pc.count_distinct(distinct["row"]).as_py())
    work.write("gram_counts", GRAM_COUNTS, [counts], name=f"gram_counts/{work.task.name}.parquet")


def _hits(config: DecontaminationConfig, work: Work, decisions: pa.Table, index: GramIndex,
          found: list[pa.Table]) -> Iterator[pa.Table]:
    start = 0
    for group in read_row_groups(work.input("documents"), ["doc_id", "text"]):
        decided = decisions.slice(start, len(group))
        check_aligned(group["doc_id"], decided["doc_id"], work.input("decisions"))
        rows = start + np.flatnonzero(decided["keep"].to_numpy())
        start += len(group)
        kept = group.filter(decided["keep"])
        work.count("documents", len(group))
        work.count("documents_searched", len(kept))
        work.count("bytes_searched", pc.sum(pc.binary_length(kept["text"])).as_py() or 0)
        hits = find(kept["text"], index, config.window)
        hits = hits.set_column(0, HITS.field("row"), pa.array(rows[hits["row"].to_numpy()], pa.int64()))
        work.count("hits", len(hits))
        found.append(hits.select(["row", "gram"]).group_by(["row", "gram"], use_threads=False).aggregate([]))
        yield hits
