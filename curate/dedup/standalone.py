"""Deduplication of files of one's own: the pipeline's stages in a folder that goes, and marks by the user's own ids.

Which of two duplicates stays follows the order of the files and of the rows in them, after what the configuration's
survivor order says. Texts are written once more while it runs, into the folder that goes.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.dedup.components import buckets_stage, components_stage
from curate.dedup.config import DedupConfig, DedupRecipe
from curate.dedup.exact import copies_stage, exact_stage
from curate.dedup.index import against_stage, index_stage
from curate.dedup.layout import place_ids, places_of
from curate.dedup.marks import marks_stage, summary_stage
from curate.dedup.own_cuts import CUTS, cut_bytes, left_texts, named_documents, own_cuts
from curate.dedup.resolve import resolve_stage
from curate.dedup.search import bands_stage, candidates_stage
from curate.dedup.signing import signatures_stage
from curate.dedup.substring_marks import substring_marks_stage
from curate.dedup.substrings import anchors_stage, contexts_stage, repeated_stage, repeats_stage
from curate.dedup.urls import url_copies_stage, url_keys_stage, urls_stage
from curate.dedup.verify import shingles_stage
from curate.sources.columns import TextRows
from manifests.records import ShardRecord
from manifests.schema import EDITS, ID, STAGE_MANIFEST
from manifests.storage import Storage
from manifests.tables import read_row_groups, read_table, write_table
from manifests.tasks import MANIFEST, InputRef, ShardTask, StageFunction, execute, forget_peak

_DOCUMENTS: Final = pa.schema([
    pa.field("doc_id", ID, nullable=False), pa.field("own_id", pa.string()), pa.field("file_row", pa.int64()),
    pa.field("url", pa.string()), pa.field("date", pa.timestamp("ms", "UTC")), pa.field("text", pa.large_string()),
    pa.field("n_bytes", pa.int64(), nullable=False)])
_SELECTED: Final = pa.schema([
    pa.field("doc_id", ID, nullable=False), pa.field("source", pa.string(), nullable=False),
    pa.field("quality_score", pa.float32()), pa.field("keep", pa.bool_(), nullable=False), pa.field("edits", EDITS)])


def marks_schema(id_column: str, cuts: bool = False, against: bool = False) -> pa.Schema:
    """The columns of a part of marks, with the id column named as in the input; cuts: whether passages are cut;
    against: whether survivors may be of an earlier run, which `of_run` then names."""
    return pa.schema([
        pa.field(id_column, pa.string()), pa.field("keep", pa.bool_(), nullable=False), pa.field("reason", pa.string()),
        pa.field("duplicate_of", pa.string(), metadata={"comment": "id of the kept document it duplicates"}),
        pa.field("similarity", pa.float32()),
        *([pa.field("cuts", CUTS, metadata={"comment": "UTF-8 bytes of the text that stand elsewhere too"})]
          if cuts else []), *([pa.field("of_run", pa.string())] if against else [])])


@dataclass(frozen=True, slots=True)
class Texts:
    """One file of texts. name: how messages call it. part: file name of its marks. id_column: of the marks."""

    name: str
    part: str
    id_column: str
    rows: Callable[[], Iterable[TextRows]]


@dataclass(frozen=True, slots=True)
class Earlier:
    """A part of the index of an earlier run. root: the run as the user names it. run: its place among the runs."""

    root: str
    run: int
    path: str


@dataclass(slots=True)
class Outcome:
    """What came of it. dropped: documents by reason. counters: of the stages, such as `oversize_buckets`."""

    documents: int = 0
    kept: int = 0
    bytes: int = 0
    kept_bytes: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    counters: dict[str, int] = field(default_factory=dict)


def deduplicate(files: Sequence[Texts], config: DedupConfig, out: str, workers: int = 1,
                apply: bool = False, against: Sequence[Earlier] = ()) -> Outcome:
    """Write one part of marks for each file into `out`, and with `apply` the kept rows into `out/kept`.

    A part of `kept` has the id, the url where there is one, and the text. workers: processes. against: documents that
    come before all of these and stay; the marks then have `of_run`, which run a survivor is of, null for one of these
    files. With `config.keep_index` the index of the kept rows goes into `out/index`. The same files in the same order
    give the same bytes. Raises StageError where a file loses more than config.max_removed_fraction."""
    os.makedirs(out, exist_ok=True)
    inner = config.model_copy(update={"keep_index": True}) if against else config
    with tempfile.TemporaryDirectory(prefix=".dedup-", dir=out) as folder, Stages(folder, inner, workers) as work:
        shards = [work.part(number, texts) for number, texts in enumerate(files)]
        work.earlier(against, first_number=len(files))
        work.all(shards, {texts.name: rank for rank, texts in enumerate(files)})
        marks = [work.storage.path(f"dedup/marks/{shard}.parquet") for shard in shards]
        cuts = [work.storage.path(f"dedup/substrings/{s}.parquet") for s in (shards if work.cuts else ())]
        documents = [work.storage.path(f"extract/{shard}.parquet") for shard in shards]
        survivors = _survivor_ids(marks, documents, named_documents(cuts), against)
        outcome = Outcome(counters=dict(sorted(work.counters.items())))
        for number, texts in enumerate(files):
            found = _with_cuts(read_table(marks[number]), cuts[number] if cuts else None)
            table = _own_marks(texts.id_column, found, read_table(documents[number], ["own_id", "n_bytes"]), survivors,
                               bool(against),
                               outcome)
            _publish(out, texts.part, table.schema, [table])
            if apply:
                os.makedirs(os.path.join(out, "kept"), exist_ok=True)
                schema = _kept_schema(texts.id_column)
                _publish(os.path.join(out, "kept"), texts.part, schema, _kept(documents[number], found, schema))
        for texts, shard in zip(files, shards if config.keep_index else (), strict=config.keep_index):
            os.makedirs(os.path.join(out, "index"), exist_ok=True)
            part = os.path.join(out, "index", texts.part)
            shutil.copyfile(work.storage.path(f"dedup/index/{shard}.parquet"), f"{part}~")
            os.replace(f"{part}~", part)
    return outcome


@dataclass(frozen=True, slots=True)
class Cost:
    """What a stage took. seconds: by the clock. cpu_seconds: of all processes. peak_bytes: of any of them meanwhile."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def _timed(storage: Storage, task: ShardTask, function: StageFunction) -> tuple[ShardRecord, float]:
    forget_peak()
    started = time.process_time()
    return execute(storage, task, function), time.process_time() - started


class Stages:
    """The stages of deduplication, each over all its shards, in a folder of their own."""

    def __init__(self, folder: str, config: DedupConfig, workers: int) -> None:
        self.storage = Storage(folder)
        self.counters: Counter[str] = Counter()
        self.costs: dict[str, Cost] = {}
        self._recipe = config if isinstance(config, DedupRecipe) else DedupRecipe(**dict(config))
        self._config = self._recipe.documents()
        self._earlier: dict[str, Earlier] = {}
        self._pieces = [f"part-{p:05d}" for p in range(config.partitions)]
        # Spawned, not forked: compiled kernels and Arrow have threads that do not survive a fork.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(workers, mp_context=context) if workers > 1 else None

    @property
    def cuts(self) -> bool:
        """Whether passages are cut out of the documents that stay."""
        return self._recipe.substrings is not None

    def __enter__(self) -> Stages:
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def part(self, number: int, texts: Texts) -> str:
        """Write a file's documents as the stages want them; returns the shard's name."""
        shard = f"input/part-{number:05d}"
        paths = [self.storage.path(f"{folder}/{shard}.parquet") for folder in ("extract", "select")]
        for path in paths:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        write_table(paths[0], _DOCUMENTS, _documents(number, texts.rows()))
        ids = read_table(paths[0], ["doc_id"])["doc_id"]
        n = len(ids)
        marks = pa.table([ids, pa.array([texts.name] * n, pa.string()), pa.nulls(n, pa.float32()),
                          pa.array(np.ones(n, np.bool_)), pa.nulls(n, EDITS)], schema=_SELECTED)
        write_table(paths[1], _SELECTED, [marks])
        return shard

    def earlier(self, parts: Sequence[Earlier], first_number: int) -> None:
        """Let the documents of earlier runs enter, with ids of places behind those of the files."""
        for number, part in enumerate(parts, start=first_number):
            self._earlier[f"{part.run}/{number:05d}"] = part
        self._stage("dedup/against", against_stage, (), {}, {"index": _INDEX})

    def _stage(self, name: str, function: StageFunction, shards: Iterable[str], inputs: Mapping[str, str],
               old_inputs: Mapping[str, str] | None = None, **variables: Any) -> None:
        """inputs: paths, where `*` stands for the shard, and stages, for all their files. old_inputs: the same for the
        parts of earlier runs, where the stage takes them."""
        wanted = [(shard, inputs) for shard in shards]
        wanted += [(shard, old_inputs) for shard in self._earlier if old_inputs is not None]
        rules = self._recipe.substrings if function in _OF_SUBSTRINGS else self._config
        tasks = [ShardTask(name, 1, shard, rules, {}, self._refs(shard, given),
                           {**variables, **self._own(shard)}) for shard, given in wanted]
        started = time.monotonic()
        args = ([self.storage] * len(tasks), tasks, [function] * len(tasks))
        done = list(self._pool.map(_timed, *args) if self._pool else map(_timed, *args))
        records = [record for record, _ in done]
        self.costs[name] = Cost(time.monotonic() - started, sum(seconds for _, seconds in done),
                                max((r.peak_memory_bytes for r in records), default=0))
        rows = [{"shard": r.identity.shard, "role": o.role, "path": o.path, "n_bytes": o.n_bytes, "n_rows": o.n_rows,
                 "xxh3": o.digest} for r in records for o in r.outputs]
        manifest = self.storage.path(f"{name}/{MANIFEST}")
        os.makedirs(os.path.dirname(manifest), exist_ok=True)
        write_table(manifest, STAGE_MANIFEST, [pa.Table.from_pylist(rows, STAGE_MANIFEST)])
        for record in records:
            for counter, n in record.counters.items():
                if counter in _TOLD:
                    self.counters[counter] += n

    def _refs(self, shard: str, inputs: Mapping[str, str]) -> dict[str, InputRef]:
        refs = {k: InputRef((v.replace("*", shard) if "*" in v else f"{v}/{MANIFEST}",), "")
                for k, v in inputs.items() if "*" in v or v in self.costs}
        if inputs.get("index") == _INDEX:
            refs["index"] = InputRef((self._earlier[shard].path,), "")
        return refs

    def _own(self, shard: str) -> dict[str, Any]:
        own: dict[str, Any] = {"old_documents": bool(self._earlier)}
        if shard.startswith("part-"):
            own["partition"] = int(shard[-5:])
        if shard in self._earlier:
            own |= {"run": self._earlier[shard].run, "file_number": int(shard[-5:])}
        return own

    def all(self, shards: Sequence[str], ranks: Mapping[str, int]) -> None:
        """Every stage from documents to marks, as `pipelines` orders them."""
        config, rank = self._config, dict(ranks)
        by_url = self._pieces if config.urls is not None else ()
        self._stage("dedup/url_keys", url_keys_stage, shards if config.urls else (), _OWN, source_rank=rank)
        self._stage("dedup/urls", urls_stage, by_url, {"url_keys": "dedup/url_keys", "old_url_keys": "dedup/against"})
        self._stage("dedup/signatures", signatures_stage, shards, {**_OWN, "losers": "dedup/urls"},
                    source_rank=rank)
        exact = self._pieces if config.exact else ()
        self._stage("dedup/exact", exact_stage, exact,
                    {"text_hashes": "dedup/signatures", "old_text_hashes": "dedup/against"})
        self.search(shards if config.near else ())
        self.settle(shards)

    def search(self, shards: Sequence[str]) -> None:
        """From signatures to the removal of near-duplicates; nothing where there is no shard."""
        pieces = self._pieces if shards else ()
        signed = {"signatures": "dedup/signatures/*.parquet"}
        old = {"signatures": "dedup/against/*.parquet"} if shards else None
        self._stage("dedup/bands", bands_stage, shards, {**signed, "losers": "dedup/exact"}, old)
        self._stage("dedup/candidates", candidates_stage, pieces, {"bands": "dedup/bands"})
        self._stage("dedup/components", components_stage, ["components"],
                    {"buckets": "dedup/candidates", "extents": "dedup/candidates"})
        self._stage("dedup/buckets", buckets_stage, pieces,
                    {"buckets": "dedup/candidates/*.parquet", "homes": "dedup/components/homes/*.parquet"})
        members = {"members": "dedup/components"}
        self._stage("dedup/shingles", shingles_stage, shards,
                    {"documents": _OWN["documents"], **signed, **members},
                    {**old, **members, "index": _INDEX} if old else None)
        self._stage("dedup/resolve", resolve_stage, pieces,
                    {"buckets": "dedup/buckets", "shingles": "dedup/shingles"})

    def settle(self, shards: Sequence[str]) -> None:
        """From what each step removed to the marks of every part."""
        by_url = self._pieces if self._config.urls is not None else ()
        removals = {"removals": "dedup/resolve"}
        self._stage("dedup/copies", copies_stage, self._pieces, {"copies": "dedup/exact", **removals})
        self._stage("dedup/url_copies", url_copies_stage, by_url,
                    {"copies": "dedup/urls", "drops": "dedup/copies", **removals})
        self._stage("dedup/marks", marks_stage, shards,
                    {**_OWN, **removals, "drops": "dedup/copies", "url_drops": "dedup/url_copies"})
        self._stage("dedup/summary", summary_stage, ["summary"], {"counts": "dedup/marks"})
        if self._recipe.substrings is not None:
            self.cut(shards, [f"part-{p:05d}" for p in range(self._recipe.substrings.partitions)])
        if self._config.keep_index:
            marks = "dedup/substrings/*.parquet" if self.cuts else "dedup/marks/*.parquet"
            self._stage("dedup/index", index_stage, shards,
                        {"documents": _OWN["documents"], "signatures": "dedup/signatures/*.parquet", "marks": marks})

    def cut(self, shards: Sequence[str], pieces: Sequence[str]) -> None:
        """Passages of the documents that are left which stand elsewhere too."""
        mine = {"documents": _OWN["documents"], "select": _OWN["marks"], "marks": "dedup/marks/*.parquet"}
        self._stage("dedup/anchors", anchors_stage, shards, mine)
        self._stage("dedup/repeated", repeated_stage, pieces, {"anchors": "dedup/anchors"})
        self._stage("dedup/contexts", contexts_stage, shards,
                    {**mine, "signatures": "dedup/signatures/*.parquet", "repeated": "dedup/repeated"})
        self._stage("dedup/repeats", repeats_stage, pieces, {"contexts": "dedup/contexts"})
        self._stage("dedup/substrings", substring_marks_stage, shards, {**mine, "runs": "dedup/repeats"})


_INDEX: Final = "of the earlier run"
_OWN: Final = {"documents": "extract/*.parquet", "marks": "select/*.parquet"}
_OF_SUBSTRINGS: Final = (anchors_stage, repeated_stage, contexts_stage, repeats_stage, substring_marks_stage)
_TOLD: Final = ("documents_cut", "cuts", "bytes_cut", "oversize_buckets", "pairs_left_out", "pairs_checked",
                "pairs_accepted", "components", "full_buckets",
                "largest_component", "documents_without_words")


def _documents(number: int, rows: Iterable[TextRows]) -> Iterator[pa.Table]:
    row = 0
    for some in rows:
        n = len(some)
        text = some.text.fill_null("")
        yield pa.table([
            place_ids(number, np.arange(row, row + n)), some.ids.cast(pa.string()),
            pa.array(np.arange(some.first_row, some.first_row + n)), some.urls.cast(pa.string()),
            pa.nulls(n, pa.timestamp("ms", "UTC")), text, pc.binary_length(text).cast(pa.int64())], schema=_DOCUMENTS)
        row += n


def _survivor_ids(marks: Sequence[str], documents: Sequence[str], others: Sequence[pa.Array],
                  against: Sequence[Earlier]) -> pa.Table:
    """doc_id, own_id and of_run of every document that some mark names; the rest of the corpus is only passed over."""
    named = [pc.unique(read_table(path, ["duplicate_of"])["duplicate_of"].drop_null()) for path in marks]
    wanted = pc.unique(pa.concat_arrays([pa.array([], ID), *named, *others]))
    files, rows = places_of(wanted)
    found = [_SURVIVORS.empty_table()]
    for number in np.unique(files):
        mine = files == number
        earlier = against[number - len(documents)] if number >= len(documents) else None
        table = read_table(earlier.path if earlier else documents[number], ["doc_id", "own_id"])
        table = table.take(pa.array(rows[mine]))
        own = table["own_id"]
        if earlier:  # a run knows its documents by ids alone
            own = pc.coalesce(own, pa.chunked_array([[i.hex() for i in table["doc_id"].to_pylist()]], pa.string()))
        of_run = pa.array([earlier.root if earlier else None] * len(table), pa.string())
        found.append(pa.table([wanted.filter(pa.array(mine)), own, of_run], schema=_SURVIVORS))
    return pa.concat_tables(found)


_SURVIVORS: Final = pa.schema([_DOCUMENTS.field("doc_id"), _DOCUMENTS.field("own_id"), pa.field("of_run", pa.string())])


def _with_cuts(marks: pa.Table, path: str | None) -> pa.Table:
    """Marks, with those of the search for repeated passages over them."""
    if path is None:
        return marks
    cut = read_table(path, ["keep", "reason", "edits", "repeats"])
    reason = pc.if_else(marks["keep"], cut["reason"], marks["reason"])
    return pa.table({"doc_id": marks["doc_id"], "keep": cut["keep"], "reason": reason,
                     "duplicate_of": marks["duplicate_of"], "similarity": marks["similarity"], "edits": cut["edits"],
                     "repeats": cut["repeats"]})


def _own_marks(id_column: str, marks: pa.Table, documents: pa.Table, survivors: pa.Table, against: bool,
               outcome: Outcome) -> pa.Table:
    cuts = "repeats" in marks.column_names
    place = pc.index_in(marks["duplicate_of"], value_set=survivors["doc_id"].combine_chunks())
    columns = [documents["own_id"], marks["keep"], marks["reason"], survivors["own_id"].take(place),
               marks["similarity"]]
    if cuts:
        columns.append(own_cuts(marks["repeats"], survivors))
    if against:
        columns.append(survivors["of_run"].take(place))
    table = pa.table(columns, schema=marks_schema(id_column, cuts, against))
    sizes, keep = documents["n_bytes"].to_numpy(), marks["keep"].to_numpy()
    outcome.documents += len(table)
    outcome.kept += int(keep.sum())
    outcome.bytes += int(sizes.sum())
    outcome.kept_bytes += int(sizes[keep].sum()) - (cut_bytes(marks) if cuts else 0)
    outcome.dropped.update(v for v in marks["reason"].to_pylist() if v is not None)
    return table


def _kept_schema(id_column: str) -> pa.Schema:
    return pa.schema([pa.field(id_column, pa.string()), pa.field("url", pa.string()),
                      pa.field("text", pa.large_string())])


def _kept(path: str, marks: pa.Table, schema: pa.Schema) -> Iterator[pa.Table]:
    row = 0
    for group in read_row_groups(path, ["own_id", "url", "text", "n_bytes"]):
        mine = marks.slice(row, len(group))
        row += len(group)
        if "edits" in mine.column_names:
            text = left_texts(group["text"], mine["edits"], group["n_bytes"].to_numpy())
            group = group.set_column(2, "text", text)
        yield group.filter(mine["keep"]).drop_columns(["n_bytes"]).rename_columns(schema.names)


def _publish(folder: str, name: str, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    part = os.path.join(folder, f".{name}")
    try:
        write_table(part, schema, tables)
        os.replace(part, os.path.join(folder, name))
    finally:
        if os.path.exists(part):
            os.unlink(part)
