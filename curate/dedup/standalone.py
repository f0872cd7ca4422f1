"""Deduplication of files of one's own: the pipeline's stages in a folder that goes, and decisions by the user's own
ids.

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
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.dedup.components import buckets_stage, components_stage
from curate.dedup.config import DedupConfig, DedupRecipe
from curate.dedup.decisions import decisions_stage, summary_stage
from curate.dedup.exact import copies_stage, exact_stage
from curate.dedup.files.kept_rows import kept_rows
from curate.dedup.files.own_cuts import boilerplate_pages, bytes_left, kept_groups, named_documents, own_boilerplate
from curate.dedup.files.own_decisions import own_decisions, survivor_ids, with_cuts
from curate.dedup.index import against_stage, index_stage
from curate.dedup.layout import filter_of, place_ids
from curate.dedup.passages.bloom import bloom_stage
from curate.dedup.passages.cuts import cuts_stage
from curate.dedup.passages.passage_cuts import passage_cuts_stage
from curate.dedup.passages.passages import ROLES, passages_stage
from curate.dedup.resolve import resolve_stage
from curate.dedup.search import bands_stage, candidates_stage
from curate.dedup.signing import signatures_stage
from curate.dedup.substrings.substring_decisions import substring_decisions_stage
from curate.dedup.substrings.substrings import anchors_stage, contexts_stage, repeated_stage, repeats_stage
from curate.dedup.urls import url_copies_stage, url_keys_stage, urls_stage
from curate.dedup.verify import shingles_stage
from curate.sources.columns import TextRows
from curate.text.urls import hosts_of
from manifests.errors import InputError, no_input
from manifests.records import TaskRecord
from manifests.schema import EDITS, ID, STAGE_MANIFEST
from manifests.storage import Storage
from manifests.tables import read_table, write_table
from manifests.tasks import MANIFEST, InputRef, StageFunction, StageTask, execute, forget_peak

_DOCUMENTS: Final = pa.schema([
    pa.field("doc_id", ID, nullable=False), pa.field("own_id", pa.string()), pa.field("file_row", pa.int64()),
    pa.field("url", pa.string()), pa.field("host", pa.string()), pa.field("date", pa.timestamp("ms", "UTC")),
    pa.field("text", pa.large_string()), pa.field("n_bytes", pa.int64(), nullable=False),
    pa.field("quality_score", pa.float32())])
_SELECTED: Final = pa.schema([
    pa.field("doc_id", ID, nullable=False), pa.field("source", pa.string(), nullable=False),
    pa.field("quality_score", pa.float32()), pa.field("keep", pa.bool_(), nullable=False), pa.field("edits", EDITS)])


@dataclass(frozen=True, slots=True)
class Texts:
    """One file of texts. name: how messages call it. part: file name of its decisions. id_column: of the decisions.
    path: of the file, where its other columns are wanted; text_column: what it calls the text."""

    name: str
    part: str
    id_column: str
    rows: Callable[[], Iterable[TextRows]]
    path: str | None = None
    text_column: str = "text"


@dataclass(frozen=True, slots=True)
class Earlier:
    """A part of the index of an earlier run. root: the run as the user names it. run: its place among the runs."""

    root: str
    run: int
    path: str


@dataclass(slots=True)
class Outcome:
    """What came of it. dropped: documents by reason. counters: of the stages, such as `oversize_buckets`. failures: of
    files that could not be read, and have no part."""

    documents: int = 0
    kept: int = 0
    bytes: int = 0
    kept_bytes: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    counters: dict[str, int] = field(default_factory=dict)
    failures: list[InputError] = field(default_factory=list)

    def add(self, decisions: pa.Table, n_bytes: pa.ChunkedArray) -> None:
        """Count the documents of a part. decisions: as of `with_cuts`."""
        keep, sizes = decisions["keep"].to_numpy(), n_bytes.to_numpy()
        self.documents += len(decisions)
        self.kept += int(keep.sum())
        self.bytes += int(sizes.sum())
        self.kept_bytes += int(bytes_left(sizes, decisions["edits"])[keep].sum())
        self.dropped.update(reason for reason in decisions["reason"].to_pylist() if reason is not None)


def deduplicate(files: Sequence[Texts], config: DedupConfig, out: str, workers: int = 1,
                apply: bool = False, against: Sequence[Earlier] = ()) -> Outcome:
    """Write one part of decisions for each file into `out`, and with `apply` the kept rows into `out/kept`.

    A part of `kept` has the columns of its file, the text as the cuts of passages leave it. workers: processes.
    against: documents that come before all of these and stay; the decisions then have `of_run`, which run a survivor
    is of,
    null for one of these files. With `config.keep_index` the index of the kept rows goes into `out/index`. The same
    files in the same order give the same bytes. A file that cannot be read is left out and named in the outcome. Raises
    StageError where a file loses more than config.max_removed_fraction, InputError where no file is left."""
    os.makedirs(out, exist_ok=True)
    inner = config.model_copy(update={"keep_index": True}) if against else config
    with tempfile.TemporaryDirectory(prefix=".dedup-", dir=out) as folder, Stages(folder, inner, workers) as work:
        files, shards, failures = work.parts(files)
        work.earlier(against, first_number=len(files) + len(failures))
        work.all(shards, {texts.name: rank for rank, texts in enumerate(files)})
        decisions = [work.storage.path(f"dedup/decisions/{shard}.parquet") for shard in shards]
        cuts = [[work.storage.path(f"{stage}/{shard}.parquet") for stage in work.cuts] for shard in shards]
        documents = [work.storage.path(f"extract/{shard}.parquet") for shard in shards]
        reported = shards if "dedup/cuts" in work.cuts else []
        named = named_documents([path for paths in cuts for path in paths])
        named += boilerplate_pages(work.storage, reported)
        survivors = survivor_ids(decisions, documents, named, [(part.root, part.path) for part in against])
        outcome = Outcome(counters=dict(sorted(work.counters.items())), failures=failures)
        for number, texts in enumerate(files):
            found, repeats = with_cuts(read_table(decisions[number]), cuts[number])
            own = read_table(documents[number], ["own_id", "n_bytes"])
            table = own_decisions(texts.id_column, found, repeats, own["own_id"], survivors, bool(against))
            _publish(out, texts.part, table.schema, [table])
            outcome.add(found, own["n_bytes"])
            if apply:
                groups = partial(kept_groups, documents[number], found["keep"], found["edits"])
                _publish(os.path.join(out, "kept"), texts.part,
                         *kept_rows(texts.path, (texts.id_column, texts.text_column), groups))
        if reported:
            report = own_boilerplate(work.storage, reported, survivors)
            _publish(os.path.join(out, "report"), "boilerplate.parquet", report.schema, [report])
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


def _timed(storage: Storage, task: StageTask, function: StageFunction) -> tuple[TaskRecord, float]:
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
        self._records: dict[str, list[TaskRecord]] = {}
        self._pieces = [f"part-{p:05d}" for p in range(config.partitions)]
        # Spawned, not forked: compiled kernels and Arrow have threads that do not survive a fork.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(workers, mp_context=context) if workers > 1 else None

    @property
    def cuts(self) -> list[str]:
        """The stages that cut passages, in their order."""
        ran = {"dedup/cuts": self._recipe.passages, "dedup/substrings": self._recipe.substrings is not None}
        return [stage for stage, on in ran.items() if on]

    def __enter__(self) -> Stages:
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def parts(self, files: Sequence[Texts]) -> tuple[list[Texts], list[str], list[InputError]]:
        """Every file that can be read as a part: (the files, their shards, what the others failed with)."""
        read: list[Texts] = []
        shards: list[str] = []
        failures: list[InputError] = []
        for number, texts in enumerate(files):
            try:
                shards.append(self.part(number, texts))
                read.append(texts)
            except InputError as error:
                failures.append(error)
        if not read and failures:
            raise no_input(failures)
        return read, shards, failures

    def part(self, number: int, texts: Texts) -> str:
        """Write a file's documents as the stages want them; returns the shard's name."""
        shard = f"input/part-{number:05d}"
        paths = [self.storage.path(f"{folder}/{shard}.parquet") for folder in ("extract", "select")]
        for path in paths:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        write_table(paths[0], _DOCUMENTS, _documents(number, texts.rows()))
        facts = read_table(paths[0], ["doc_id", "quality_score"])
        n = len(facts)
        decisions = pa.table([facts["doc_id"], pa.array([texts.name] * n, pa.string()), facts["quality_score"],
                          pa.array(np.ones(n, np.bool_)), pa.nulls(n, EDITS)], schema=_SELECTED)
        write_table(paths[1], _SELECTED, [decisions])
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
        rules = self._recipe.substrings if function in _OF_SUBSTRINGS else self._recipe
        tasks = [StageTask(name, 1, shard, rules, {}, self._refs(shard, given),
                           {**variables, **self._own(shard)}) for shard, given in wanted]
        self._run(name, function, tasks)

    def _run(self, name: str, function: StageFunction, tasks: Sequence[StageTask]) -> None:
        started = time.monotonic()
        args = ([self.storage] * len(tasks), tasks, [function] * len(tasks))
        done = list(self._pool.map(_timed, *args) if self._pool else map(_timed, *args))
        records = self._records[name] = [record for record, _ in done]
        self.costs[name] = Cost(time.monotonic() - started, sum(seconds for _, seconds in done),
                                max((r.peak_memory_bytes for r in records), default=0))
        rows = [{"task": r.identity.task, "role": o.role, "path": o.path, "n_bytes": o.n_bytes, "n_rows": o.n_rows,
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
        """Every stage from documents to decisions, as `pipelines` orders them."""
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
        if self._recipe.passages:
            self.passages(shards, ranks)
        if self._recipe.substrings is not None:
            self.cut(shards, [f"part-{p:05d}" for p in range(self._recipe.substrings.partitions)])
        self.keep_index(shards)

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
                    {**_OWN, **signed, **members},
                    {**old, **members, "index": _INDEX} if old else None)
        self._stage("dedup/resolve", resolve_stage, pieces,
                    {"buckets": "dedup/buckets", "shingles": "dedup/shingles"})

    def settle(self, shards: Sequence[str]) -> None:
        """From what each step removed to the decisions of every part."""
        by_url = self._pieces if self._config.urls is not None else ()
        removals = {"removals": "dedup/resolve"}
        self._stage("dedup/copies", copies_stage, self._pieces, {"copies": "dedup/exact", **removals})
        self._stage("dedup/url_copies", url_copies_stage, by_url,
                    {"copies": "dedup/urls", "drops": "dedup/copies", **removals})
        self._stage("dedup/decisions", decisions_stage, shards,
                    {**_OWN, **removals, "drops": "dedup/copies", "url_drops": "dedup/url_copies"})
        self._stage("dedup/summary", summary_stage, ["summary"], {"counts": "dedup/decisions"})

    def keep_index(self, shards: Sequence[str]) -> None:
        """What a later run needs to know of the documents that are left."""
        if self._config.keep_index:
            decisions = f"{(self.cuts or ['dedup/decisions'])[-1]}/*.parquet"
            self._stage("dedup/index", index_stage, shards,
                        {"documents": _OWN["documents"], "signatures": "dedup/signatures/*.parquet",
                         "decisions": decisions})

    def passages(self, shards: Sequence[str], ranks: Mapping[str, int]) -> None:
        """Paragraphs, sentences and n-grams of the documents that are left which stand in an earlier place."""
        own = {**_OWN, "kept": "dedup/decisions/*.parquet"}
        roles = {role: "dedup/passages" for role in ROLES if getattr(self._recipe, role) is not None}
        self._stage("dedup/passages", passages_stage, shards if roles else (), own, source_rank=dict(ranks))
        self._stage("dedup/passage_cuts", passage_cuts_stage, self._pieces if roles else (), roles)
        self._bloom(shards, own)
        self._stage("dedup/cuts", cuts_stage, shards, {**own, "passages": "dedup/passage_cuts", "bloom": "dedup/bloom"})

    def _bloom(self, shards: Sequence[str], own: Mapping[str, str]) -> None:
        filters = self._recipe.bloom.filters if self._recipe.bloom is not None else 0
        n_words = {r.identity.task: r.counters.get("words_signed", 0) for r in self._records["dedup/signatures"]}
        tasks = []
        for number in range(filters):
            mine = [shard for shard in shards if filter_of(shard, filters) == number]
            refs = {k: InputRef(tuple(v.replace("*", shard) for shard in mine), "") for k, v in own.items()}
            refs["cuts"] = InputRef((f"dedup/passage_cuts/{MANIFEST}",), "")
            tasks.append(StageTask("dedup/bloom", 1, f"filter-{number:05d}", self._recipe, {}, refs, {
                "parts": mine, "n_grams": sum(n_words[shard] for shard in mine)}))
        self._run("dedup/bloom", bloom_stage, tasks)

    def cut(self, shards: Sequence[str], pieces: Sequence[str]) -> None:
        """Passages of the documents that are left which stand elsewhere too."""
        last = "dedup/cuts/*.parquet" if self._recipe.passages else None
        mine = {"documents": _OWN["documents"], "select": last or _OWN["decisions"],
                "decisions": last or "dedup/decisions/*.parquet"}
        self._stage("dedup/anchors", anchors_stage, shards, mine)
        self._stage("dedup/repeated", repeated_stage, pieces, {"anchors": "dedup/anchors"})
        self._stage("dedup/contexts", contexts_stage, shards,
                    {**mine, "signatures": "dedup/signatures/*.parquet", "repeated": "dedup/repeated"})
        self._stage("dedup/repeats", repeats_stage, pieces, {"contexts": "dedup/contexts"})
        self._stage("dedup/substrings", substring_decisions_stage, shards, {**mine, "runs": "dedup/repeats"})


_INDEX: Final = "of the earlier run"
_OWN: Final = {"documents": "extract/*.parquet", "decisions": "select/*.parquet"}
_OF_SUBSTRINGS: Final = (anchors_stage, repeated_stage, contexts_stage, repeats_stage, substring_decisions_stage)
_TOLD: Final = ("documents_cut", "cuts", "bytes_cut", "oversize_buckets", "pairs_left_out", "pairs_checked",
                "pairs_accepted", "components", "full_buckets",
                "largest_component", "documents_without_words", "paragraphs_cut", "sentences_cut", "cuts_bloom",
                "boilerplate", "filter_bytes", "false_positives_per_million")


def _documents(number: int, rows: Iterable[TextRows]) -> Iterator[pa.Table]:
    row = 0
    for some in rows:
        n = len(some)
        text, urls = some.text.fill_null(""), some.urls.cast(pa.string())
        yield pa.table([
            place_ids(number, np.arange(row, row + n)), some.ids.cast(pa.string()),
            pa.array(np.arange(some.first_row, some.first_row + n)), urls, hosts_of(urls),
            _or_nulls(some.dates, n, _DOCUMENTS.field("date").type), text, pc.binary_length(text).cast(pa.int64()),
            _or_nulls(some.quality, n, pa.float32())], schema=_DOCUMENTS)
        row += n


def _or_nulls(column: pa.Array | None, n: int, kind: pa.DataType) -> pa.Array:
    return pa.nulls(n, kind) if column is None else column


def _publish(folder: str, name: str, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    os.makedirs(folder, exist_ok=True)
    part = os.path.join(folder, f".{name}")
    try:
        write_table(part, schema, tables)
        os.replace(part, os.path.join(folder, name))
    finally:
        if os.path.exists(part):
            os.unlink(part)
