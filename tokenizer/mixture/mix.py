"""The stages that plan the mixture: count what every part holds, then plan exact budgets and their boundaries.

Memory does not grow with the corpus: parts give histograms over the hash that orders a fractional pass, and only the
one bin that a boundary falls in is looked at document by document.
"""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests.errors import StageError
from manifests.hashing import UInt64, id_words, ids_array
from manifests.part_paths import part_name
from manifests.storage import open_read
from manifests.tables import read_table
from manifests.tasks import Work
from tokenizer.encoding.token_index import read_index
from tokenizer.mixture.mixture import Boundary, Counts, Cut, Plan, epoch_order, is_validation, plan_budgets
from tokenizer.mixture.mixture_config import MixtureConfig

SPLITS = ("train", "val")
_BINS = 4096
_SHIFT = np.uint64(52)  # a bin is the top 12 bits of the hash

COUNTS = pa.schema([
    pa.field("source", pa.string(), nullable=False, metadata={"comment": "name of the source"}),
    pa.field("split", pa.string(), nullable=False, metadata={"comment": "train or val"}),
    pa.field("bin", pa.uint16(), nullable=False, metadata={"comment": "top 12 bits of the mixture hash"}),
    pa.field("n_documents", pa.int64(), nullable=False, metadata={"comment": "documents in the bin"}),
    pa.field("n_tokens", pa.int64(), nullable=False, metadata={"comment": "their tokens, one end-of-text each"}),
])


def count_tokens(config: MixtureConfig, work: Work) -> None:
    """mix/counts: histogram of a tokens part over the mixture hash, for each split.

    Inputs: index (TOKENS). Variables: source, seed. Output: counts (COUNTS). Counters: {train,val}_{documents,tokens},
    an end-of-text token counted with each document."""
    seed = int(work.variables["seed"])
    documents = np.zeros((2, _BINS), np.int64)
    tokens = np.zeros((2, _BINS), np.int64)
    for group in read_index(work.input("index")):
        words = id_words(group["doc_id"])
        split = is_validation(seed, config.validation_fraction, id_words(group["group_id"])).astype(np.int64)
        index = (split, (epoch_order(seed, words) >> _SHIFT).astype(np.int64))
        np.add.at(documents, index, 1)
        np.add.at(tokens, index, group["n_tokens"].to_numpy() + 1)
    tables = []
    for split_id, name in enumerate(SPLITS):
        bins = np.flatnonzero(documents[split_id])
        head = [pa.array([value] * len(bins), pa.string()) for value in (str(work.variables["source"]), name)]
        columns = [*head, bins.astype(np.uint16), documents[split_id, bins], tokens[split_id, bins]]
        tables.append(pa.table(columns, schema=COUNTS))
        work.count(f"{name}_documents", int(documents[split_id].sum()))
        work.count(f"{name}_tokens", int(tokens[split_id].sum()))
    work.write("counts", COUNTS, tables)


def plan_mixture(config: MixtureConfig, work: Work) -> None:
    """mix/plan: token budgets of all sources and, where a phase ends within a pass, the document it ends in.

    Inputs: counts (all parts), index (all tokens parts; the folder a part lies in is its source), index_<source> (of a
    source of token files). Variables: seed.
    Output: plan (.json, `Plan`). Counters: total_tokens, val_tokens, and selected_tokens_<source>. Raises StageError
    where a source has a weight but no tokens, or tokens but no weight."""
    seed = int(work.variables["seed"])
    histograms = _read_counts(work.inputs("counts"))
    counts = {name: Counts(int(d[0].sum()), int(t[0].sum()), int(d[1].sum()), int(t[1].sum()))
              for name, (d, t) in histograms.items()}
    plan = plan_budgets(config, counts, seed)
    parts: dict[str, list[str]] = {}
    for path in work.inputs("index"):
        parts.setdefault(os.path.basename(os.path.dirname(part_name(path))), []).append(path)
    for name in work.task.inputs:
        if name.startswith("index_"):
            parts.setdefault(name.removeprefix("index_"), []).extend(work.inputs(name))
    sources = [replace(s, cuts=tuple(
        replace(cut, boundary=_boundary(s.name, cut, plan, histograms[s.name][1][0], parts.get(s.name, [])))
        if cut.tokens else cut for cut in s.cuts)) for s in plan.sources]
    plan = replace(plan, sources=tuple(sources))
    Path(work.output("plan", ".json")).write_text(plan.to_json(), encoding="utf-8")
    work.count("total_tokens", plan.total_tokens)
    work.count("val_tokens", sum(s.val_tokens for s in plan.sources))
    for source in plan.sources:
        work.count(f"selected_tokens_{source.name}", source.selected_tokens)


def read_plan(path: str) -> Plan:
    """The plan that mix/plan wrote."""
    with open_read(path) as file:
        return Plan.from_json(file.read())


Histogram = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


def _read_counts(paths: list[str]) -> dict[str, Histogram]:
    """(documents, tokens) int64 [2, bins] of every source, summed over its parts."""
    histograms: dict[str, Histogram] = {}
    for path in paths:
        table: Any = read_table(path)
        for (source, split), group in _groups(table):
            documents, tokens = histograms.setdefault(
                source, (np.zeros((2, _BINS), np.int64), np.zeros((2, _BINS), np.int64)))
            index = (SPLITS.index(split), group["bin"].to_numpy())
            documents[index] += group["n_documents"].to_numpy()
            tokens[index] += group["n_tokens"].to_numpy()
    return histograms


def _groups(table: pa.Table) -> list[tuple[tuple[str, str], pa.Table]]:
    """A counts file's one or two runs of equal (source, split)."""
    keys = list(zip(table["source"].to_pylist(), table["split"].to_pylist(), strict=True))
    starts = [i for i, key in enumerate(keys) if i == 0 or key != keys[i - 1]]
    return [(keys[a], table.slice(a, b - a)) for a, b in pairwise([*starts, len(keys)])]


def _boundary(source: str, cut: Cut, plan: Plan, tokens: npt.NDArray[np.int64], paths: list[str]) -> Boundary:
    """The document in which a phase of a source ends. tokens: int64 [bins], of the training split."""
    ends = np.cumsum(tokens)
    chosen = int(np.searchsorted(ends, cut.tokens))
    wanted = cut.tokens - int(ends[chosen - 1] if chosen else 0)
    order, words, n_tokens = _documents_of_bin(plan, chosen, paths)
    ranked = np.lexsort((words[:, 1], words[:, 0], order))
    ends = np.cumsum(n_tokens[ranked] + 1)
    last = int(np.searchsorted(ends, wanted))
    if last >= len(ranked):
        raise StageError(f"the token index of {source!r} holds less than was counted", where="mix/plan",
                         hint="the inputs index and counts must be of the same parts")
    row = int(ranked[last])
    kept = wanted - int(ends[last - 1] if last else 0)
    return Boundary(f"{int(order[row]):016x}", ids_array(words[row : row + 1])[0].as_py().hex(), kept)


def _documents_of_bin(plan: Plan, chosen: int, paths: list[str]) -> tuple[UInt64, UInt64, npt.NDArray[np.int64]]:
    """(order, id words, n_tokens) of the training documents in one bin: about 1 in 4,096 of a source's."""
    columns: list[tuple[UInt64, UInt64, npt.NDArray[np.int64]]] = []
    for path in paths:
        for group in read_index(path):
            words, groups = id_words(group["doc_id"]), id_words(group["group_id"])
            order = epoch_order(plan.seed, words)
            here = np.flatnonzero(order >> _SHIFT == np.uint64(chosen))
            here = here[~is_validation(plan.seed, plan.validation_fraction, groups[here])]
            columns.append((order[here], words[here], group["n_tokens"].to_numpy()[here]))
    if not columns:
        return np.empty(0, np.uint64), np.empty((0, 2), np.uint64), np.empty(0, np.int64)
    order, words, n_tokens = (np.concatenate(column) for column in zip(*columns, strict=True))
    return order, words, n_tokens
