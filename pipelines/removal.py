"""Taking documents out of a finished run without moving anything else.

Below extraction a removed document leaves a gap: its text is blank, its tokens are end-of-text, its spans are
gone, its clean rows are deleted. Rows of the dataset keep their numbers, only shards that held it are rewritten, and
records are carried over to the new files, so that a later `curate run` finds nothing to make.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa

from manifests.dataset import dataset_digest
from manifests.errors import InputError, RecipeError
from manifests.records import RECORDS_FOLDER, Identity, OutputFile, TaskRecord, record_name
from manifests.removals import CHANGES, DOCUMENTS, PENDING, SUCCESSION
from manifests.run_records import every_record
from manifests.schema import REMOVAL_CHANGES, REMOVALS
from manifests.schema import SUCCESSION as SUCCESSION_SCHEMA
from manifests.storage import Storage, digest_file
from manifests.tables import read_table, write_table
from manifests.tasks import InputRef, StageTask, execute
from pipelines.journal import Journal, finish_pending
from pipelines.locking import check_format, exclusive, read_lock
from pipelines.rebasing import rebase, rewrite_manifests
from pipelines.redaction import Redaction, dataset_facts
from pipelines.removal_request import copies_of, find_documents, require_known
from tokenizer.packing.config import PackConfig
from tokenizer.packing.inventory import describe_dataset

_PACKED_MANIFEST = "packed/manifest.parquet"


@dataclass(slots=True)
class Removal:
    """What one removal came to. request: its number, 0 where nothing was left to remove. documents: rows of REMOVALS.
    copies: ids of documents that deduplication found to be the same as these, which stay. dataset, supersedes: digests,
    equal where no packed shard held any of them. resumed: whether an interrupted removal was finished first."""

    request: int
    documents: list[dict[str, Any]]
    unknown: list[str]
    copies: list[str]
    changes: list[dict[str, Any]] = field(default_factory=list)
    dataset: str = ""
    supersedes: str = ""
    resumed: bool = False

    def facts(self) -> dict[str, Any]:
        """JSON-ready."""
        documents = [{"doc_id": d["doc_id"].hex(), "source": d["source"], "url": d["url"]} for d in self.documents]
        return {**asdict(self), "documents": documents}


def remove(run: str, urls: Sequence[str], doc_ids: Sequence[bytes], with_copies: bool = False,
           skip_unknown: bool = False) -> Removal:
    """Take documents out of a finished run, by URL as archived or by id, and say what changed.

    with_copies: those that deduplication found to be the same go as well. Raises InputError, having changed nothing,
    where the run is not finished or does not hold one of them (skip_unknown: only names it); RecipeError where none is
    named. Killed before its plan is written it has changed nothing; killed after, the next call of remove or run
    finishes it."""
    storage = Storage(run)
    if not storage.local:
        raise InputError("is on an object store, where many files cannot be replaced as one", where=run,
                         hint="copy the run to a disk, remove there, and copy back what removals/ lists")
    if not (urls or doc_ids or storage.exists(PENDING)):
        raise RecipeError("no document is named", where="--urls, --doc-ids", hint="give a file of either")
    storage.must_exist()
    if not storage.exists(_PACKED_MANIFEST):
        raise InputError("is not a finished run: it has no packed dataset", where=run,
                         hint="leave documents out with the recipe, or finish the run first")
    check_format(storage, read_lock(storage))
    with exclusive(storage):
        resumed = finish_pending(storage)
        matches = find_documents(storage, urls, doc_ids)
        if not skip_unknown:
            require_known(matches)
        copies = copies_of(storage, sorted(matches.documents)) if matches.documents else []
        if with_copies and copies:
            matches.documents |= find_documents(storage, [], copies).documents
            copies = []
        before = read_table(storage.path(DOCUMENTS)) if storage.exists(DOCUMENTS) else REMOVALS.empty_table()
        known = set(before["doc_id"].to_pylist())
        fresh = [row for doc_id, row in sorted(matches.documents.items()) if doc_id not in known]
        done = Removal(0, fresh, matches.unknown, [c.hex() for c in copies if c not in known])
        digest = dataset_digest(read_table(storage.path(_PACKED_MANIFEST)))
        done.dataset = done.supersedes = digest
        done.resumed = resumed
        if fresh:
            _perform(storage, before, done)
    return done


def _perform(storage: Storage, before: pa.Table, done: Removal) -> None:
    journal = Journal(storage)
    try:
        done.request = 1 + max([0, *before["request"].to_pylist()])
        _Surgery(storage, journal, before, done).perform()
        # Reports and cards may quote texts; the index is made anew when a question needs it.
        journal.commit(remove=[name for folder in ("report", "card", "_index") for name in storage.list(folder)])
    except BaseException:
        if not storage.exists(PENDING):
            journal.drop()
        raise


class _Surgery:
    """One removal on its way into a journal."""

    def __init__(self, storage: Storage, journal: Journal, before: pa.Table, done: Removal) -> None:
        self._storage, self._journal, self._before, self._done = storage, journal, before, done
        self._names = [name for name in storage.list("") if f"/{RECORDS_FOLDER}/" in name]

    def perform(self) -> None:
        """Stage every file that changes: tables, shards, manifests, records."""
        facts = dataset_facts(self._storage.path(_PACKED_MANIFEST))
        redaction = Redaction(self._journal, [d["doc_id"] for d in self._done.documents], facts)
        for record in self._records("clean"):  # first: what other files hold is known by the clean documents' ids
            redaction.clean(record)
        for row in self._done.documents:
            row |= {"request": self._done.request, "clean_ids": redaction.clean_ids(row["doc_id"])}
        self._write(DOCUMENTS, REMOVALS, self._before, self._done.documents)
        for record in self._records():
            redaction.other(record)
        if redaction.shards:
            self._describe(redaction)
            rows = [{"request": self._done.request, "dataset": self._done.dataset,
                     "supersedes": self._done.supersedes, **shard} for shard in redaction.shards]
            self._append(SUCCESSION, SUCCESSION_SCHEMA, rows)
        self._done.changes = redaction.changes
        self._append(CHANGES, REMOVAL_CHANGES, [{"request": self._done.request, **c} for c in redaction.changes])
        rewrite_manifests(self._storage, self._journal, redaction.outputs)
        rebase(self._journal, self._records, redaction.renamed, redaction.outputs,
               digest_file(self._journal.path(DOCUMENTS)))
        self._record()

    def _records(self, folder: str = "") -> Iterator[TaskRecord]:
        """Of every task, or of those of a stage's folder; read anew, since those of a large run fill a memory."""
        return every_record(self._storage, self._names, folder)

    def _describe(self, redaction: Redaction) -> None:
        """The packed manifest of the new shards, by the stage that wrote the old one."""
        (old,) = (r for r in self._records("packed") if r.identity.task == "dataset")
        config = {k: v for k, v in old.identity.config.items() if k != "task"}
        inputs = {role: self._inputs(o.path for r in self._records("packed") if r.identity.task != "dataset"
                                     for o in r.outputs if o.role == role) for role in ("shard", "spans", "rows")}
        for name, (stage, role) in {"shards": ("pack/layout", "shards"), "plan": ("mix/plan", "plan"),
                                    "tokenizer": ("tokenizer", "tokenizer")}.items():
            inputs[name] = self._inputs(o.path for r in self._records(stage) if r.identity.stage == stage
                                        for o in r.outputs if o.role == role)
        inputs["removals"] = self._inputs([DOCUMENTS])
        scratch = Storage(self._storage.path(".removal/dataset"))
        done = execute(scratch, StageTask("packed", old.identity.version, "dataset", PackConfig.model_validate(config),
                                          {}, inputs, old.identity.config["task"]), describe_dataset)
        before = {output.path: output for output in old.outputs}
        for output in done.outputs:
            shutil.move(scratch.path(output.path), self._journal.stage(output.path))
            redaction.replaced(before[output.path], output)
        shutil.rmtree(scratch.root)
        self._done.dataset = dataset_digest(read_table(self._journal.path(_PACKED_MANIFEST)))

    def _inputs(self, names: Any) -> InputRef:
        return InputRef(tuple(self._journal.path(n) for n in sorted(names)), "")

    def _append(self, name: str, schema: pa.Schema, rows: list[dict[str, Any]]) -> None:
        there = self._storage.exists(name)
        self._write(name, schema, read_table(self._storage.path(name)) if there else schema.empty_table(), rows)

    def _write(self, name: str, schema: pa.Schema, before: pa.Table, rows: list[dict[str, Any]]) -> None:
        table = pa.concat_tables([before.cast(schema), pa.Table.from_pylist(rows, schema)])
        write_table(self._journal.stage(name), schema, [table.combine_chunks()])

    def _record(self) -> None:
        """The record of the removal itself, so that `verify` checks its tables."""
        outputs = []
        for name in (DOCUMENTS, CHANGES, SUCCESSION):
            path = self._journal.path(name)
            if name != SUCCESSION or self._done.dataset != self._done.supersedes or self._storage.exists(name):
                outputs.append(OutputFile(PurePosixPath(name).stem, name, os.path.getsize(path), digest_file(path),
                                          len(read_table(path))))
        identity = Identity("removals", 1, "documents", {"request": self._done.request}, {})
        record = TaskRecord(identity, tuple(outputs), {"documents": len(self._done.documents)},
                             finished_at=datetime.now(UTC).isoformat(timespec="seconds"))
        with open(self._journal.stage(record_name("removals", "documents")), "wb") as stream:
            stream.write(record.to_json())


def print_removal(done: Removal) -> None:
    """Print a removal for a person: what went, what stays, and which files changed."""
    for name in done.unknown:
        print(f"not in the run: {name}")
    if done.resumed:
        print("finished a removal that was interrupted")
    if not done.request:
        print("nothing else was changed" if done.resumed else "nothing to remove: nothing was changed")
        return
    print(f"removal {done.request}: {len(done.documents):,} documents")
    for row in done.documents:
        print(f"  {row['doc_id'].hex()}  {row['url'] or ''}")
    for change in done.changes:
        tokens = f", {change['n_tokens']:,} tokens" if change["n_tokens"] else ""
        print(f"  {change['path']}: {change['change']}, {change['n_documents']:,} documents{tokens}")
    if done.copies:
        print(f"{len(done.copies):,} copies of them stay (--with-copies takes them out too): "
              f"{', '.join(done.copies[:5])}{' …' if len(done.copies) > 5 else ''}")
    same = "unchanged, for no packed shard held any of them" if done.dataset == done.supersedes else \
        f"supersedes {done.supersedes}"
    print(f"dataset digest {done.dataset}, {same}")
