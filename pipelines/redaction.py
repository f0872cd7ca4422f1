"""The files of a run without some documents: one rule for every kind of file that holds text or tokens."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.selection.clean import clean_schema
from manifests.errors import InputError
from manifests.part_paths import part_name
from manifests.partitioned import SUFFIX
from manifests.records import OutputFile, TaskRecord
from manifests.removals import is_removed
from manifests.rows import write_rows
from manifests.schema import ID
from manifests.seals import seal_of
from manifests.shard import open_shard, write_shard
from manifests.storage import digest_file
from manifests.tables import open_table, read_row_groups, read_table, write_table
from pipelines.journal import Journal
from tokenizer.packing.instances import read_index
from tokenizer.packing.removed import take_out
from tokenizer.packing.token_blocks import ids_bytes, seal_tokens


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """What files of tokens do not say of themselves."""

    dtype: np.dtype[Any]
    eot_id: int


def dataset_facts(manifest: str) -> DatasetFacts:
    """From packed/manifest.parquet."""
    row: Any = read_table(manifest, ["dtype", "eot_id"]).slice(0, 1).to_pylist()[0]
    return DatasetFacts(np.dtype(row["dtype"]).newbyteorder("<"), int(row["eot_id"]))


class Redaction:
    """Stages new versions of files that hold removed documents.

    outputs: the new files, by path. renamed: digests of the old files, with those of the new. changes: rows of
    REMOVAL_CHANGES without `request`. shards: rows of SUCCESSION without `request` and digests."""

    def __init__(self, journal: Journal, doc_ids: Sequence[bytes], facts: DatasetFacts) -> None:
        self.outputs: dict[str, OutputFile] = {}
        self.renamed: dict[str, str] = {}
        self.changes: list[dict[str, Any]] = []
        self.shards: list[dict[str, Any]] = []
        self._journal, self._facts = journal, facts
        self._parents = pa.array(sorted(doc_ids), ID)
        self._clean_ids: dict[bytes, list[bytes]] = {}

    def clean_ids(self, doc_id: bytes) -> list[bytes]:
        """Clean documents that come from an extracted one, as `clean` found them."""
        return sorted(self._clean_ids.get(doc_id, []))

    @property
    def _ids(self) -> pa.Array:
        return pa.array(sorted({*self._parents.to_pylist(), *(i for v in self._clean_ids.values() for i in v)}), ID)

    def clean(self, record: TaskRecord) -> None:
        """Delete the rows of removed documents and of their fragments from a clean part."""
        for output in record.outputs:
            path = self._journal.path(output.path)
            table: Any = read_table(path, ["doc_id", "parent_id"])
            removed = table.filter(self._of_removed(table)).to_pylist()
            if not removed:
                continue
            for row in removed:
                self._clean_ids.setdefault(row["parent_id"] or row["doc_id"], []).append(row["doc_id"])
            with open_table(path) as file:
                plain = _plain(file.schema_arrow)
                schema = pa.schema([f for f in clean_schema(plain) if f.name in plain.names])  # as its version had it
            groups = (g.filter(pc.invert(self._of_removed(g))) for g in read_row_groups(path))
            n_rows = write_table(self._journal.stage(output.path), schema, groups)
            self._changed(output, "documents_removed", len(removed), n_rows=n_rows)

    def _of_removed(self, table: pa.Table) -> Any:
        return pc.or_(is_removed(table["doc_id"], self._parents), is_removed(table["parent_id"], self._parents))

    def other(self, record: TaskRecord) -> None:
        """Redact whatever else holds text or tokens."""
        roles = {o.role: o for o in record.outputs}
        if record.identity.stage == "clean":
            return
        if {"shard", "spans"} <= set(roles):
            if "rows" not in roles:
                raise InputError("was packed without row indexes", where=roles["shard"].path,
                                 hint="`curate run` packs it as this version does; remove then")
            self._packed(roles["shard"], roles["spans"], roles["rows"])
        elif {"tokens", "index"} <= set(roles):
            self._tokens(roles["tokens"], roles["index"])
        else:
            for output in record.outputs:
                if output.path.endswith(".parquet"):
                    self._text(output)

    def _text(self, output: OutputFile) -> None:
        path = self._journal.path(output.path)
        with open_table(path) as file:
            schema = _plain(file.schema_arrow)
        if {"text", "doc_id"} <= set(schema.names):
            self._blank(output, path, schema, lambda table: pc.is_in(table["doc_id"], value_set=self._ids))

    def _blank(self, output: OutputFile, path: str, schema: pa.Schema, mask: Callable[[pa.Table], Any]) -> None:
        n = pc.sum(mask(read_table(path, ["doc_id"]))).as_py() or 0
        if not n:
            return

        def blanked(table: pa.Table) -> pa.Table:
            gone = mask(table)
            for name, empty in (("text", ""), ("n_bytes", 0)):
                if name in schema.names:
                    kind = schema.field(name)
                    column = pc.if_else(gone, pa.scalar(empty, kind.type), table[name])
                    table = table.set_column(schema.names.index(name), kind, column)
            return table

        n_rows = write_table(self._journal.stage(output.path), schema, map(blanked, read_row_groups(path)))
        self._changed(output, "text_blanked", n, n_rows=n_rows)

    def _tokens(self, tokens: OutputFile, index: OutputFile) -> None:
        """Overwrite ids in a flat file; its index stays, so that plans and layouts computed from it still hold."""
        path, names = self._journal.path(index.path), ["doc_id", "token_start", "n_tokens"]
        table: Any = read_index(path).select(names) if path.endswith(SUFFIX) else read_table(path, names)
        removed = table.filter(is_removed(table["doc_id"], self._ids))
        if not len(removed):
            return
        source, staged = self._journal.path(tokens.path), self._journal.stage(tokens.path)
        shutil.copyfile(source, staged)
        n_tokens, sealed = 0, path.endswith(SUFFIX)
        n_bytes = ids_bytes(source) if sealed else os.path.getsize(staged)
        if n_bytes:
            flat = np.memmap(staged, self._facts.dtype, "r+", shape=(n_bytes // self._facts.dtype.itemsize,))
            for row in removed.to_pylist():
                flat[row["token_start"] : row["token_start"] + row["n_tokens"]] = self._facts.eot_id
                n_tokens += row["n_tokens"]
            flat.flush()
            if sealed:
                seal_tokens(staged, n_bytes)
        self._changed(tokens, "tokens_overwritten", pc.count_distinct(removed["doc_id"]).as_py(), n_tokens)

    def _packed(self, shard: OutputFile, spans: OutputFile, rows: OutputFile) -> None:
        path = self._journal.path(spans.path)
        with open_table(path) as file:
            schema = _plain(file.schema_arrow)
        table: Any = read_table(path)
        removed = table.filter(is_removed(table["doc_id"], self._ids))
        if not len(removed):
            return
        header, payload = open_shard(self._journal.path(shard.path))
        tokens, left = take_out(payload, table, self._ids, header.eot_id)
        done = write_shard(self._journal.stage(shard.path), tokens, replace(header, n_spans=len(left)))
        write_table(self._journal.stage(spans.path), schema, [left.combine_chunks()])
        write_rows(self._journal.stage(rows.path), left, done.n_rows, done.row_length, done.payload_digest)
        n_tokens, n_documents = int(removed["n_tokens"].to_numpy().sum()), pc.count_distinct(removed["doc_id"]).as_py()
        self._changed(shard, "tokens_overwritten", n_documents, n_tokens)
        self._changed(spans, "spans_removed", n_documents, n_rows=len(left))
        self._changed(rows, "spans_removed", n_documents)
        split = part_name(shard.path).split("/")[-2]
        self.shards.append({"split": split, "shard_index": header.shard_index, "n_tokens": n_tokens,
                            "rows": sorted(set(removed["row"].to_pylist()))})

    def replaced(self, old: OutputFile, new: OutputFile) -> None:
        """Take in that a file has a new version."""
        self.outputs[old.path] = new
        self.renamed[old.digest] = new.digest

    def _changed(self, output: OutputFile, change: str, n_documents: int, n_tokens: int = 0, n_rows: int = -1) -> None:
        path = self._journal.path(output.path)
        self.replaced(output, OutputFile(output.role, output.path, os.path.getsize(path), digest_file(path), n_rows,
                                         seal_of(path, output.path)))
        self.changes.append({"path": output.path, "change": change, "n_documents": n_documents, "n_tokens": n_tokens})


def _plain(schema: pa.Schema) -> pa.Schema:
    """A file's schema as it was given to the writer: reading adds a field id to each column."""
    def field(f: pa.Field) -> pa.Field:
        kept = {k: v for k, v in (f.metadata or {}).items() if k != b"PARQUET:field_id"}
        return f.with_metadata(kept or None)

    return pa.schema([field(f) for f in schema], metadata=schema.metadata)
