"""A classifier of one's own, from files of texts: the pipeline's stages, one after the other, in a folder that goes."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow as pa
from pydantic import BaseModel

from curate.classifier.config import ClassifierConfig, LabelsConfig, LinksConfig, SelectConfig
from curate.classifier.examples import examples
from curate.classifier.labels import labels
from curate.classifier.links import link_index, links
from curate.classifier.metrics import metrics
from curate.classifier.samples import samples
from curate.classifier.training import SCORES, classifier
from curate.sources.columns import TextRows
from curate.text.urls import host_of
from manifests.hashing import document_id
from manifests.records import TaskRecord
from manifests.schema import DOCUMENTS, ID
from manifests.storage import Storage
from manifests.tables import read_table, write_table
from manifests.tasks import InputRef, StageFunction, StageTask, execute

POSITIVES: Final = "positives"
NEGATIVES: Final = "negatives"

HELD_OUT: Final = pa.schema([
    pa.field("id", pa.string(), nullable=True, metadata={"comment": "the document's own id"}),
    *SCORES,
])
"""Scores of documents by a model that has not seen their hosts."""


@dataclass(frozen=True, slots=True)
class Texts:
    """One file of texts. name: what ids are made of beside the row's own id, so that no path matters."""

    name: str
    rows: Iterable[TextRows]


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train: each stage's configuration and the seed of everything left to chance."""

    classifier: ClassifierConfig
    labels: LabelsConfig
    links: LinksConfig
    select: SelectConfig
    seed: int


def train(positives: Sequence[Texts], negatives: Sequence[Texts], dumps: Sequence[str], plan: Plan,
          out: str) -> dict[str, int]:
    """Train and judge a classifier; returns the counters of the examples and of the labels.

    positives: good texts. negatives: unfiltered crawl, of which documents that the dumps' links match become positives.
    Leaves in `out`: model.bin, model.json (how it must be fed), metrics.json, card.md, held_out.parquet (HELD_OUT).
    Raises StageError where a class is missing. The same files in the same order give the same bytes."""
    os.makedirs(out, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".training-", dir=out) as folder:
        work = _Stages(Storage(folder), plan.seed)
        linked = work.link_index(dumps, plan.links) if dumps else {}
        parts = [work.part(POSITIVES, i, texts) for i, texts in enumerate(positives)]
        parts += [work.part(NEGATIVES, i, texts) for i, texts in enumerate(negatives)]
        sampled = [work.sampled(shard, path, linked, plan) for shard, path in parts]
        chosen = work.run("classifier/examples", "examples", examples, plan.classifier,
                          {"samples": [work.path(record, "samples") for record in sampled]})
        inputs = {"examples": [work.path(chosen, "examples")]}
        folds = [work.run("classifier", f"fold-{fold}", classifier, plan.classifier, inputs, fold=fold)
                 for fold in range(plan.labels.folds)]
        whole = work.run("classifier", "model", classifier, plan.classifier, inputs, fold=None)
        judged = work.run("classifier/metrics", "metrics", metrics, plan.select,
                          {"scores": [work.path(record, "scores") for record in folds],
                           "model": [work.path(whole, "model")]})
        _publish(work.path(whole, "model"), out, "model.bin")
        _publish(work.path(whole, "card"), out, "model.json")
        _publish(work.path(judged, "metrics"), out, "metrics.json")
        _publish(work.path(judged, "card"), out, "card.md")
        held_out = os.path.join(folder, "held_out.parquet")
        write_table(held_out, HELD_OUT, _held_out([work.path(r, "scores") for r in folds], [p for _, p in parts]))
        _publish(held_out, out, "held_out.parquet")
        return {**work.label_counts, **chosen.counters}


def _publish(path: str, out: str, name: str) -> None:
    shutil.copyfile(path, os.path.join(out, f".{name}"))
    os.replace(os.path.join(out, f".{name}"), os.path.join(out, name))


class _Stages:
    """Stages run one shard at a time in a folder of their own."""

    def __init__(self, storage: Storage, seed: int) -> None:
        self.storage = storage
        self.label_counts: dict[str, int] = {}
        self._seed = seed

    def path(self, record: TaskRecord, role: str) -> str:
        return self.storage.path(record.output(role).path)

    def run(self, stage: str, shard: str, function: StageFunction, config: BaseModel,
            inputs: Mapping[str, Sequence[str]], **variables: Any) -> TaskRecord:
        refs = {name: InputRef(tuple(paths), "") for name, paths in inputs.items()}
        task = StageTask(stage, 1, shard, config, {}, refs, {"seed": self._seed, **variables})
        return execute(self.storage, task, function)

    def link_index(self, dumps: Sequence[str], config: LinksConfig) -> dict[str, list[str]]:
        found = [self.run("classifier/links", f"dump-{i:05d}", links, config, {"dump": [dump]})
                 for i, dump in enumerate(dumps)]
        index = self.run("classifier/link_index", "links", link_index, config,
                         {"links": [self.path(record, "links") for record in found]})
        return {role: [self.path(index, role)] for role in ("urls", "hosts")}

    def part(self, source: str, number: int, texts: Texts) -> tuple[str, str]:
        """(shard, path) of a file's documents, as extraction would have left them."""
        shard = f"{source}/part-{number:05d}"
        path = Path(self.storage.path(f"extract/{shard}.parquet"))
        path.parent.mkdir(parents=True, exist_ok=True)
        write_table(str(path), DOCUMENTS, (_documents(source, texts.name, rows) for rows in texts.rows))
        return shard, str(path)

    def sampled(self, shard: str, path: str, linked: Mapping[str, Sequence[str]], plan: Plan) -> TaskRecord:
        source = shard.split("/")[0]
        matched = linked if source == NEGATIVES else {}
        record = self.run("classifier/labels", shard, labels, plan.labels, {"documents": [path], **matched},
                          source=source, curated=source == POSITIVES)
        for name, n in record.counters.items():
            self.label_counts[name] = self.label_counts.get(name, 0) + n
        return self.run("classifier/samples", shard, samples, plan.classifier,
                        {"documents": [path], "labels": [self.path(record, "labels")]}, negative=source == NEGATIVES)


def _documents(source: str, name: str, rows: TextRows) -> pa.Table:
    """DOCUMENTS of some rows; a null text is an empty one."""
    n, own, urls = len(rows), rows.ids.to_pylist(), rows.urls.to_pylist()
    text = rows.text.fill_null("")
    return pa.table([
        pa.array([document_id(source, name, i) for i in own], ID), rows.ids.cast(pa.string()),
        pa.array([source] * n, pa.string()), rows.urls.cast(pa.string()),
        pa.array([host_of(url) if url else None for url in urls], pa.string()), pa.nulls(n, pa.timestamp("ms", "UTC")),
        pa.array([name] * n, pa.string()), pa.array(range(rows.first_row, rows.first_row + n), pa.int64()),
        pa.array([-1] * n, pa.int64()), pa.nulls(n, pa.string()), pa.nulls(n, pa.float32()), text,
        pa.compute.binary_length(text).cast(pa.int64())], schema=DOCUMENTS)


def _held_out(scores: Sequence[str], parts: Sequence[str]) -> Iterator[pa.Table]:
    own = pl.concat([pl.DataFrame(read_table(path, ["doc_id", "record_id"])) for path in parts])
    own = own.unique("doc_id", keep="first", maintain_order=True)
    for path in scores:
        joined = pl.DataFrame(read_table(path)).join(own, on="doc_id", how="left", maintain_order="left")
        yield joined.rename({"record_id": "id"}).select(HELD_OUT.names).to_arrow().cast(HELD_OUT)
