"""The training sample of the quality classifier, chosen by hash and without a look at the other parts.

Each part keeps, of each kind of example, the documents with the lowest hashes: those below 2**-k of the range, where
k is chosen from the counts of the whole corpus so that about twice as many as wanted are left, and never more than
training may take. The lowest hashes of all parts together are then among what the parts kept, so training takes a
uniform sample of the corpus, whatever the parts and their order. k moves only when the corpus doubles, so that one more
file does not make every part's sample stale.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.classifier.config import ClassifierConfig
from curate.classifier.kinds import KINDS, Kind
from curate.classifier.labels import Label
from curate.classifier.lines import classifier_lines
from manifests.errors import StageError
from manifests.hashing import id_words, keyed_hash
from manifests.schema import ID
from manifests.tables import one_array, open_table, read_table
from manifests.tasks import Work

_PURPOSE = "classifier"


_KIND_OF_LABEL = {Label.URL: Kind.LINKED, Label.HOST: Kind.LINKED, Label.CURATED: Kind.CURATED}


def _field(name: str, kind: pa.DataType, comment: str, nullable: bool = False) -> pa.Field[Any]:
    return pa.field(name, kind, nullable=nullable, metadata={"comment": comment})


SAMPLES = pa.schema([
    _field("doc_id", ID, "document"),
    _field("order", pa.uint64(), "hash by which samples are chosen and sorted"),
    _field("source", pa.string(), "source after derivation"),
    _field("label", pa.string(), "url, host or curated; null for a negative example", nullable=True),
    _field("kind", pa.string(), "linked, curated or negative"),
    _field("positive", pa.bool_(), "whether it has a label"),
    _field("fold", pa.uint8(), "fold by hash(site)"),
    _field("text", pa.large_string(), "normalised line, as the classifier reads it"),
])


def samples(config: ClassifierConfig, work: Work) -> None:
    """Stage classifier/samples, one task a source part: its candidates for the training sample, as classifier lines.

    Inputs: `documents` (DOCUMENTS part), `labels` (its LABELS). Variables: seed; negative (bool: documents without a
    label are unfiltered crawl); halvings: {kind: k}, see above; none where it is absent. Output `samples` (SAMPLES,
    documents' order, a row group for each of theirs). Counters: documents, sampled_<kind>."""
    labels = read_table(work.input("labels"))
    order = keyed_hash(int(work.variables["seed"]), _PURPOSE, id_words(labels["doc_id"]))
    kind = example_kinds(one_array(labels["label"]), bool(work.variables.get("negative", False)))
    taken = lowest_of_each(order, kind, dict.fromkeys(range(len(KINDS)), config.max_documents))
    for name, n_halvings in work.variables.get("halvings", {}).items():
        taken &= (kind != KINDS.index(Kind(name))) | (order >> np.uint64(64 - n_halvings) == 0 if n_halvings else True)
    work.count("documents", len(labels))
    for number, name in enumerate(KINDS):
        work.count(f"sampled_{name}", int((taken & (kind == number)).sum()))
    frame = labels.append_column("order", pa.array(order)).append_column("kind", pa.array(kind))
    work.write("samples", SAMPLES, _rows(config, work.input("documents"), frame, taken))


def example_kinds(label: pa.Array[Any], negative: bool) -> npt.NDArray[np.int8]:
    """int8 [n]: index in KINDS of each document, -1 for one that is no example. label: string [n], null without."""
    kind = np.full(len(label), KINDS.index(Kind.NEGATIVE) if negative else -1, np.int8)
    for name, of_label in _KIND_OF_LABEL.items():
        hit = pc.equal(label, pa.scalar(str(name))).fill_null(False).to_numpy(zero_copy_only=False)
        kind[hit] = KINDS.index(of_label)
    return kind


def lowest_of_each(order: npt.NDArray[np.uint64], kind: npt.NDArray[np.int8],
                   limits: dict[int, int]) -> npt.NDArray[np.bool_]:
    """bool [n]: for each kind of `limits`, its rows of lowest order, at most so many; equal orders by row."""
    taken = np.zeros(len(order), np.bool_)
    for number, limit in limits.items():
        rows = np.flatnonzero(kind == number)
        taken[rows[np.argsort(order[rows], kind="stable")[:limit]]] = True
    return taken


def _rows(config: ClassifierConfig, path: str, frame: pa.Table, taken: npt.NDArray[np.bool_]) -> Iterator[pa.Table]:
    with open_table(path) as file:
        start = 0
        for group in range(file.num_row_groups):
            n = file.metadata.row_group(group).num_rows
            rows = np.flatnonzero(taken[start : start + n])
            if len(rows):
                part = file.read_row_group(group, columns=["doc_id", "text"], use_threads=False).take(rows)
                yield _sample_rows(config, path, part, frame.slice(start, n).take(rows))
            start += n


def _sample_rows(config: ClassifierConfig, path: str, documents: pa.Table, frame: pa.Table) -> pa.Table:
    if not documents["doc_id"].equals(frame["doc_id"]):
        raise StageError("the labels are not those of these documents", where=path, hint="run with --fresh")
    lines = classifier_lines(documents["text"], config.max_bytes_per_document)
    kinds = pa.array([str(kind) for kind in KINDS]).take(one_array(frame["kind"]))
    return pa.table([frame["doc_id"], frame["order"], frame["source"], frame["label"], kinds,
                     pc.not_equal(kinds, pa.scalar(str(Kind.NEGATIVE))), frame["fold"], lines], schema=SAMPLES)
