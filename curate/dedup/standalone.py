"""Deduplication of files of one's own: the pipeline's stages in a folder that goes, and marks by the user's own ids.

Which of two duplicates stays follows the order of the files and of the rows in them, after what the configuration's
survivor order says. Texts are written once more while it runs, into the folder that goes.
"""

from __future__ import annotations

import multiprocessing
import os
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

from curate.dedup.config import DedupConfig, DedupRecipe
from curate.dedup.exact import copies_stage, exact_stage
from curate.dedup.layout import Int64, id_order
from curate.dedup.marks import marks_stage, summary_stage
from curate.dedup.own_cuts import CUTS, cut_bytes, left_texts, named_documents, own_cuts
from curate.dedup.search import bands_stage, candidates_stage, components_stage
from curate.dedup.signing import signatures_stage
from curate.dedup.substring_marks import substring_marks_stage
from curate.dedup.substrings import anchors_stage, contexts_stage, repeated_stage, repeats_stage
from curate.dedup.urls import url_copies_stage, url_keys_stage, urls_stage
from curate.dedup.verify import resolve_stage, shingles_stage
from curate.sources.columns import TextRows
from manifests.hashing import UInt64, ids_array, keyed_hash
from manifests.records import ShardRecord
from manifests.schema import EDITS, ID, STAGE_MANIFEST
from manifests.storage import Storage
from manifests.tables import read_row_groups, read_table, write_table
from manifests.tasks import MANIFEST, InputRef, ShardTask, StageFunction, execute

_ROW_BITS: Final = 40

_DOCUMENTS: Final = pa.schema([
    pa.field("doc_id", ID, nullable=False), pa.field("own_id", pa.string()), pa.field("file_row", pa.int64()),
    pa.field("url", pa.string()), pa.field("date", pa.timestamp("ms", "UTC")), pa.field("text", pa.large_string()),
    pa.field("n_bytes", pa.int64(), nullable=False)])
_SELECTED: Final = pa.schema([
    pa.field("doc_id", ID, nullable=False), pa.field("source", pa.string(), nullable=False),
    pa.field("quality_score", pa.float32()), pa.field("keep", pa.bool_(), nullable=False), pa.field("edits", EDITS)])


def marks_schema(id_column: str, cuts: bool = False) -> pa.Schema:
    """The columns of a part of marks, with the id column named as in the input; cuts: whether passages are cut."""
    return pa.schema([
        pa.field(id_column, pa.string()), pa.field("keep", pa.bool_(), nullable=False), pa.field("reason", pa.string()),
        pa.field("duplicate_of", pa.string(), metadata={"comment": "id of the kept document it duplicates"}),
        pa.field("similarity", pa.float32()),
        *([pa.field("cuts", CUTS, metadata={"comment": "UTF-8 bytes of the text that stand elsewhere too"})]
          if cuts else [])])


@dataclass(frozen=True, slots=True)
class Texts:
    """One file of texts. name: how messages call it. part: file name of its marks. id_column: of the marks."""

    name: str
    part: str
    id_column: str
    rows: Callable[[], Iterable[TextRows]]


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
                apply: bool = False) -> Outcome:
    """Write one part of marks for each file into `out`, and with `apply` the kept rows into `out/kept`.

    A part of `kept` has the id, the url where there is one, and the text. workers: processes. The same files in the
    same order give the same bytes. Raises StageError where a file loses more than config.max_removed_fraction."""
    os.makedirs(out, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".dedup-", dir=out) as folder, Stages(folder, config, workers) as work:
        shards = [work.part(number, texts) for number, texts in enumerate(files)]
        work.all(shards, {texts.name: rank for rank, texts in enumerate(files)})
        marks = [work.storage.path(f"dedup/marks/{shard}.parquet") for shard in shards]
        cuts = [work.storage.path(f"dedup/substrings/{s}.parquet") for s in (shards if work.cuts else ())]
        documents = [work.storage.path(f"extract/{shard}.parquet") for shard in shards]
        survivors = _survivor_ids(marks, documents, named_documents(cuts))
        outcome = Outcome(counters=dict(sorted(work.counters.items())))
        for number, texts in enumerate(files):
            found = _with_cuts(read_table(marks[number]), cuts[number] if cuts else None)
            table = _own_marks(texts.id_column, found, read_table(documents[number], ["own_id", "n_bytes"]), survivors,
                               outcome)
            _publish(out, texts.part, table.schema, [table])
            if apply:
                os.makedirs(os.path.join(out, "kept"), exist_ok=True)
                schema = _kept_schema(texts.id_column)
                _publish(os.path.join(out, "kept"), texts.part, schema, _kept(documents[number], found, schema))
    return outcome


@dataclass(frozen=True, slots=True)
class Cost:
    """What a stage took. seconds: by the clock. cpu_seconds: of all processes. peak_bytes: of any of them so far."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def _timed(storage: Storage, task: ShardTask, function: StageFunction) -> tuple[ShardRecord, float]:
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

    def _stage(self, name: str, function: StageFunction, shards: Iterable[str], inputs: Mapping[str, str],
               **variables: Any) -> None:
        """inputs: paths, where `*` stands for the shard, and stages, for all their files."""
        tasks = []
        for shard in shards:
            refs = {k: InputRef((v.replace("*", shard) if "*" in v else f"{v}/{MANIFEST}",), "")
                    for k, v in inputs.items() if "*" in v or v in self.costs}
            own = {"partition": int(shard[-5:])} if shard.startswith("part-") else {}
            rules = self._recipe.substrings if function in _OF_SUBSTRINGS else self._config
            tasks.append(ShardTask(name, 1, shard, rules, {}, refs, {**variables, **own}))
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

    def all(self, shards: Sequence[str], ranks: Mapping[str, int]) -> None:
        """Every stage from documents to marks, as `pipelines` orders them."""
        config, rank = self._config, {"source_rank": dict(ranks)}
        by_url = self._pieces if config.urls is not None else ()
        self._stage("dedup/url_keys", url_keys_stage, shards if config.urls else (), _OWN, **rank)
        self._stage("dedup/urls", urls_stage, by_url, {"url_keys": "dedup/url_keys"})
        self._stage("dedup/signatures", signatures_stage, shards, {**_OWN, "losers": "dedup/urls"}, **rank)
        exact = self._pieces if config.exact else ()
        self._stage("dedup/exact", exact_stage, exact, {"text_hashes": "dedup/signatures"})
        self.search(shards if config.near else ())
        self.settle(shards)

    def search(self, shards: Sequence[str]) -> None:
        """From signatures to the removal of near-duplicates; nothing where there is no shard."""
        pieces = self._pieces if shards else ()
        signed = {"signatures": "dedup/signatures/*.parquet"}
        self._stage("dedup/bands", bands_stage, shards, {**signed, "losers": "dedup/exact"})
        self._stage("dedup/candidates", candidates_stage, pieces, {"bands": "dedup/bands"})
        self._stage("dedup/components", components_stage, ["components"], {"pairs": "dedup/candidates"})
        self._stage("dedup/shingles", shingles_stage, shards,
                    {"documents": _OWN["documents"], **signed, "members": "dedup/components"})
        self._stage("dedup/resolve", resolve_stage, pieces, {"pairs": "dedup/components", "shingles": "dedup/shingles"})

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

    def cut(self, shards: Sequence[str], pieces: Sequence[str]) -> None:
        """Passages of the documents that are left which stand elsewhere too."""
        mine = {"documents": _OWN["documents"], "select": _OWN["marks"], "marks": "dedup/marks/*.parquet"}
        self._stage("dedup/anchors", anchors_stage, shards, mine)
        self._stage("dedup/repeated", repeated_stage, pieces, {"anchors": "dedup/anchors"})
        self._stage("dedup/contexts", contexts_stage, shards,
                    {**mine, "signatures": "dedup/signatures/*.parquet", "repeated": "dedup/repeated"})
        self._stage("dedup/repeats", repeats_stage, pieces, {"contexts": "dedup/contexts"})
        self._stage("dedup/substrings", substring_marks_stage, shards, {**mine, "runs": "dedup/repeats"})


_OWN: Final = {"documents": "extract/*.parquet", "marks": "select/*.parquet"}
_OF_SUBSTRINGS: Final = (anchors_stage, repeated_stage, contexts_stage, repeats_stage, substring_marks_stage)
_TOLD: Final = ("documents_cut", "cuts", "bytes_cut", "oversize_buckets", "pairs_left_out", "pairs_checked",
                "pairs_accepted", "components",
                "largest_component", "documents_without_words")


def _documents(number: int, rows: Iterable[TextRows]) -> Iterator[pa.Table]:
    row = 0
    for some in rows:
        n = len(some)
        text = some.text.fill_null("")
        yield pa.table([
            ids_array(_id_words(number, np.arange(row, row + n))), some.ids.cast(pa.string()),
            pa.array(np.arange(some.first_row, some.first_row + n)), some.urls.cast(pa.string()),
            pa.nulls(n, pa.timestamp("ms", "UTC")), text, pc.binary_length(text).cast(pa.int64())], schema=_DOCUMENTS)
        row += n


def _id_words(number: int, rows: Int64) -> UInt64:
    """Ids that compare as (file, row) do, byte by byte, and whose second half spreads over partitions."""
    place = (np.uint64(number) << np.uint64(_ROW_BITS)) | rows.astype(np.uint64)
    words = np.stack([place.byteswap(), place], axis=1)
    words[:, 1] = keyed_hash(0, "row", words)
    return words


def _survivor_ids(marks: Sequence[str], documents: Sequence[str], others: Sequence[pa.Array]) -> pa.Table:
    """doc_id and own_id of every document that some mark names; the rest of the corpus is only passed over."""
    named = [pc.unique(read_table(path, ["duplicate_of"])["duplicate_of"].drop_null()) for path in marks]
    wanted = pc.unique(pa.concat_arrays([pa.array([], ID), *named, *others]))
    files = (id_order(wanted)[:, 0] >> np.uint64(_ROW_BITS)).astype(np.int64)
    rows = (id_order(wanted)[:, 0] & np.uint64((1 << _ROW_BITS) - 1)).astype(np.int64)
    found = [pa.schema([_DOCUMENTS.field(name) for name in ("doc_id", "own_id")]).empty_table()]
    for number in np.unique(files):
        table = read_table(documents[number], ["doc_id", "own_id"])
        found.append(table.take(pa.array(rows[files == number])))
    return pa.concat_tables(found)


def _with_cuts(marks: pa.Table, path: str | None) -> pa.Table:
    """Marks, with those of the search for repeated passages over them."""
    if path is None:
        return marks
    cut = read_table(path, ["keep", "reason", "edits", "repeats"])
    reason = pc.if_else(marks["keep"], cut["reason"], marks["reason"])
    return pa.table({"doc_id": marks["doc_id"], "keep": cut["keep"], "reason": reason,
                     "duplicate_of": marks["duplicate_of"], "similarity": marks["similarity"], "edits": cut["edits"],
                     "repeats": cut["repeats"]})


def _own_marks(id_column: str, marks: pa.Table, documents: pa.Table, survivors: pa.Table, outcome: Outcome) -> pa.Table:
    cuts = "repeats" in marks.column_names
    place = pc.index_in(marks["duplicate_of"], value_set=survivors["doc_id"].combine_chunks())
    columns = [documents["own_id"], marks["keep"], marks["reason"], survivors["own_id"].take(place),
               marks["similarity"]]
    if cuts:
        columns.append(own_cuts(marks["repeats"], survivors))
    table = pa.table(columns, schema=marks_schema(id_column, cuts))
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
