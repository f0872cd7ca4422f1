"""A packed dataset of dialogues in a folder: shards, spans, manifest, and where every document came from."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import zstandard

from manifests.errors import InputError, OwnershipError, StageError
from manifests.hashing import document_id
from manifests.packing import PACKINGS
from manifests.part_paths import part_path
from manifests.rows import describe_rows, write_rows
from manifests.schema import CHAT_DOCUMENTS, CHAT_SPANS, EXCLUSIONS, PACKED_MANIFEST, SOURCES
from manifests.shard import MANIFEST_VERSION, Header, write_shard
from manifests.shards import TOKENIZER
from manifests.storage import digest_file, open_read
from manifests.tables import TableWriter, write_table
from tokenizer.chat.chat import ChatConfig, ChatCounts, EncodedGroup, fill_shard, recipe_text
from tokenizer.chat.dialogues import LeftOut
from tokenizer.chat.encoder import ChatEncoder, roles_found
from tokenizer.chat.messages import ChatReason
from tokenizer.chat.tasks import TaskEncoder
from tokenizer.encoding.encode import Encoder, load
from tokenizer.mixture.mix import SPLITS

_TABLE_ROWS = 1 << 14
_STAGE = ".curate-tokenizer-chat"  # where a dataset is written; a name that nobody else gives
_PUBLISHED = ("documents", "exclusions", *SPLITS, TOKENIZER, "sources.parquet", "manifest.parquet")  # the manifest last


class _LineEncoder(Protocol):
    """What makes groups of the lines of a file: dialogues by a template, or the sequences of a task."""

    config: ChatConfig
    encoder: Encoder
    source: str

    @property
    def form(self) -> str: ...

    def read(self, lines: Iterable[bytes], id_column: str) -> Iterator[Any]: ...

    def encode(self, path: str, rows: Iterable[Any]) -> Iterator[EncodedGroup | LeftOut]: ...


@dataclass(frozen=True, slots=True)
class ChatFile:
    """An input. name: its path as ids and tables have it. part: file name of its tables."""

    path: str
    name: str
    part: str


def pack_dialogues(config: ChatConfig, files: Sequence[ChatFile], tokenizer: str, out: str, source: str = "dialogues",
                   id_column: str = "id") -> ChatCounts:
    """Pack JSON Lines files into a dataset that `PackedDataset(out, "train")` opens; the same bytes for the same input.

    OUT holds manifest.parquet, sources.parquet, tokenizer.json, train/ and val/ (shards, CHAT_SPANS and row indexes),
    documents/ (CHAT_DOCUMENTS) and exclusions/ (EXCLUSIONS), the latter two a part for each input. What was there of
    these is replaced, at the end.
    Memory: shard_tokens of each split.

    Args:
        config: Template, packing and sizes.
        files: JSON Lines, plain, gzip or zstd.
        tokenizer: As `tokenizer.load` takes it.
        out: Folder of the dataset.
        source: Name of the one source.
        id_column: Field of a line that holds its id.
    Returns:
        How many lines and dialogues were packed, and how many were left out by reason.
    Raises:
        InputError: A file or the tokenizer cannot be read.
        StageError: No line can be packed.
        OwnershipError: OUT holds something of one of these names, and no dataset.
    """
    stage = os.path.join(out, _STAGE)
    _check_owner(out, stage)
    counts = ChatCounts()
    loaded = load(tokenizer)
    make: Any = ChatEncoder if config.task is None else TaskEncoder
    encoder: _LineEncoder = make(config, loaded, tokenizer, source, counts)
    shutil.rmtree(stage, ignore_errors=True)
    for folder in ("documents", "exclusions"):
        os.makedirs(os.path.join(stage, folder))
    shards = _Shards(config, encoder, stage, source)
    try:
        for file in files:
            _pack_file(file, encoder, shards, stage, id_column)
        shards.finish()
        if not shards.rows:
            raise _nothing_packed(config, counts, files[0].path if files else out)
        _publish(stage, out)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return counts


def _nothing_packed(config: ChatConfig, counts: ChatCounts, where: str) -> StageError:
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in sorted(counts.left_out.items()))
    roles = ", ".join(f"{n:,} {role!r}" for role, n in roles_found(counts).items())
    learned = ", ".join(map(repr, config.learned_roles))
    hint = f"left out: {reasons or 'nothing'}"
    if ChatReason.NOTHING_LEARNED in counts.left_out:
        hint += f"; no turn is learned, which takes a role of --learn ({learned}); the turns have {roles}"
    if counts.template_error is not None:
        hint += f"; the template says {counts.template_error!r}"
    return StageError("no line could be packed", where=where, hint=hint)


def _pack_file(file: ChatFile, encoder: _LineEncoder, shards: _Shards, stage: str, id_column: str) -> None:
    documents, exclusions = (_Table(os.path.join(stage, name, file.part), schema)
                             for name, schema in (("documents", CHAT_DOCUMENTS), ("exclusions", EXCLUSIONS)))
    with ExitStack() as stack:
        stack.callback(documents.close)
        stack.callback(exclusions.close)
        lines = stack.enter_context(_lines_of(file.path))
        for row in encoder.encode(file.name, encoder.read(lines, id_column)):
            if isinstance(row, LeftOut):
                exclusions.add(_exclusion(row, file.name, encoder))
                continue
            shards.add(row)
            if row.dialogues[0].offset:
                continue  # a further part of a dialogue that is divided
            for rank, doc_id in enumerate(row.doc_ids):
                documents.add({"doc_id": doc_id, "record_id": row.identity, "source": encoder.source,
                               "origin_path": file.name, "origin_offset": row.line,
                               "rank": row.ranks[rank] if row.ranked else None, "split": SPLITS[int(row.held_out)]})


def _exclusion(row: LeftOut, name: str, encoder: _LineEncoder) -> dict[str, Any]:
    return {"doc_id": document_id(encoder.source, name, row.line), "record_id": None, "source": encoder.source,
            "url": None, "origin_path": name, "origin_offset": row.line, "stage": "chat", "reason": str(row.reason),
            "value": row.n_tokens, "threshold": encoder.config.most_tokens if row.n_tokens is not None else None}


@contextmanager
def _lines_of(path: str) -> Iterator[Iterator[bytes]]:
    """Lines of a plain, gzip or zstd file; what is broken in it is an InputError."""
    with ExitStack() as stack:
        raw = stack.enter_context(open_read(path))
        start = raw.read(4)
        raw.seek(0)
        stream: Any = raw
        if start[:2] == b"\x1f\x8b":
            stream = stack.enter_context(gzip.GzipFile(fileobj=raw, mode="rb"))
        elif start == b"\x28\xb5\x2f\xfd":
            stream = stack.enter_context(zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True))
        try:
            yield iter(io.BufferedReader(stream) if stream is not raw else raw)
        except (OSError, EOFError, zstandard.ZstdError) as error:
            raise InputError(f"cannot be read: {error}", where=path) from error


class _Table:
    """A Parquet file that is written as its rows come."""

    def __init__(self, path: str, schema: pa.Schema) -> None:
        self._schema = schema
        self._rows: list[dict[str, Any]] = []
        self._file = TableWriter(path, schema)

    def add(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        if len(self._rows) >= _TABLE_ROWS:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._file.close()

    def _flush(self) -> None:
        if self._rows:
            self._file.add(pa.Table.from_pylist(self._rows, self._schema))
            self._rows = []


class _Shards:
    """Groups of each split, packed whenever there is a shard's worth of them. rows: of the manifest."""

    def __init__(self, config: ChatConfig, encoder: _LineEncoder, folder: str, source: str) -> None:
        self._config, self._encoder, self._folder, self._source = config, encoder.encoder, folder, source
        self._recipe_sha256 = hashlib.sha256(recipe_text(config, encoder.form).encode()).hexdigest()
        self._waiting: dict[str, list[EncodedGroup]] = {split: [] for split in SPLITS}
        self._n_tokens = dict.fromkeys(SPLITS, 0)
        self._n_rows = dict.fromkeys(SPLITS, 0)
        self.rows: list[dict[str, Any]] = []

    def add(self, group: EncodedGroup) -> None:
        """Take a group; a full shard is written before it."""
        split = SPLITS[int(group.held_out)]
        row_each = PACKINGS[self._config.packing].row_each  # a row for each group, however short
        size = self._config.row_length if row_each else group.n_tokens
        if self._n_tokens[split] + size > self._config.shard_tokens:
            self._write(split)
        self._waiting[split].append(group)
        self._n_tokens[split] += size

    def finish(self) -> None:
        """Write what waits, and the tables of the dataset."""
        for split in SPLITS:
            self._write(split)
        self.rows.sort(key=lambda r: (r["split"], r["shard_index"]))
        write_table(os.path.join(self._folder, "manifest.parquet"), PACKED_MANIFEST,
                    [pa.Table.from_pylist(self.rows, PACKED_MANIFEST)])
        n_tokens = sum(n for r in self.rows if r["split"] == "train" for _, n in r["tokens_by_source"])
        source = {"source_id": 0, "name": self._source, "requested_weight": 1.0, "available_tokens": n_tokens,
                  "selected_tokens": n_tokens, "epochs": 1.0, "realised_share": 1.0}
        write_table(os.path.join(self._folder, "sources.parquet"), SOURCES, [pa.Table.from_pylist([source], SOURCES)])
        Path(self._folder, TOKENIZER).write_bytes(self._encoder.data)

    def _write(self, split: str) -> None:
        groups = self._waiting[split]
        if not groups:
            return
        index = sum(r["split"] == split for r in self.rows)
        name = part_path(f"{split}/{index:06d}")
        os.makedirs(os.path.join(self._folder, os.path.dirname(name)), exist_ok=True)
        payload, spans = fill_shard(self._config, groups, self._encoder)
        header = write_shard(os.path.join(self._folder, f"{name}.bin"), payload, Header(
            self._config.row_length, self._config.packing, self._encoder.eot_id, self._encoder.vocab_size,
            self._encoder.sha256, index, len(spans)))
        spans_path = os.path.join(self._folder, f"{name}.spans.parquet")
        write_table(spans_path, CHAT_SPANS, [spans])
        rows_path = os.path.join(self._folder, f"{name}.rows")
        write_rows(rows_path, spans, header.n_rows, header.row_length, header.payload_digest)
        n_used = sum(g.n_tokens for g in groups)
        n_cut = sum(d.goes_on or d.offset > 0 for g in groups for d in g.dialogues)
        self.rows.append({
            "split": split, "shard_index": index, "phase": 0, "path": f"{name}.bin", "n_bytes": header.n_bytes,
            "dtype": header.dtype.name, "n_tokens": header.n_tokens, "n_rows": header.n_rows,
            "row_length": header.row_length, "packing": header.packing, "n_documents": len(spans),
            "n_spans": len(spans), "padding_tokens": header.n_tokens - n_used - 1,
            "utilisation": n_used / header.n_tokens, "truncated_documents": n_cut, "eot_id": header.eot_id,
            "vocab_size": header.vocab_size, "tokenizer_sha256": header.tokenizer_sha256.hex(),
            "payload_xxh3": header.payload_digest.hex(), "spans_path": f"{name}.spans.parquet",
            "spans_xxh3": digest_file(spans_path), "first_row": self._n_rows[split],
            "tokens_by_source": [(self._source, n_used)], "dropped_tokens": 0, "seed": self._config.seed,
            "recipe_sha256": self._recipe_sha256,
            "special_tokens": sorted(self._encoder.special_tokens.items(), key=lambda item: item[1]),
            "format_version": MANIFEST_VERSION, **describe_rows(rows_path, f"{name}.rows")})
        self._n_rows[split] += header.n_rows
        self._waiting[split], self._n_tokens[split] = [], 0


def _check_owner(out: str, stage: str) -> None:
    """Raise OwnershipError where what would be replaced is of no dataset. One whose replacing was cut short has its
    manifest in the stage yet."""
    there = [name for name in _PUBLISHED if os.path.lexists(os.path.join(out, name))]
    if there and not any(os.path.exists(os.path.join(folder, "manifest.parquet")) for folder in (out, stage)):
        raise OwnershipError(f"holds {', '.join(there)}, and no dataset", where=out,
                             hint="choose another folder, or move or delete what is there")


def _publish(stage: str, out: str) -> None:
    """Replace an earlier dataset by the new one; in between there is no manifest, and so no dataset."""
    for name in reversed(_PUBLISHED):
        path = os.path.join(out, name)
        if os.path.isdir(path):
            shutil.rmtree(path)
        elif os.path.exists(path):
            os.unlink(path)
    for name in _PUBLISHED:
        if os.path.exists(os.path.join(stage, name)):
            os.rename(os.path.join(stage, name), os.path.join(out, name))
