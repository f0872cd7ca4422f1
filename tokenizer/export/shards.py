"""What every exporter reads: shards in order, their documents, and the text of a split without what belongs to none."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests.dataset import dataset_digest
from manifests.errors import InputError, RecipeError, ShardError
from manifests.hashing import UInt64, id_words
from manifests.manifest import read_manifest, read_sources
from manifests.shard import Tokens, open_shard
from manifests.shards import TOKENIZER
from manifests.spans import spans_of
from manifests.storage import Storage, join, open_read
from manifests.tables import one_array, read_table
from tokenizer.packing.gather import copy_runs

Ints = npt.NDArray[np.int64]
SPLITS = ("train", "val")
_SPANS = ["token_start", "n_tokens", "doc_id", "source_id", "doc_token_offset", "epoch", "truncated_right"]


@dataclass(frozen=True, slots=True)
class Fragments:
    """Documents of a shard, each as one run of its payload: spans of one document that follow one another are joined.

    start, n_tokens: range in the payload, int64 [n]. doc_token_offset: int64 [n]. ends: whether the document ends here,
    with its end-of-text token. joins: whether the first one goes on with the last one of the shard before."""

    start: Ints
    n_tokens: Ints
    words: UInt64
    source_id: Ints
    doc_token_offset: Ints
    epoch: Ints
    ends: npt.NDArray[np.bool_]
    joins: bool = False

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True, slots=True)
class ExportShard:
    """A shard of a dataset as its manifest describes it. tokens_by_source: by the sources' names."""

    files: LocalFiles
    name: str
    spans_name: str
    payload_xxh3: str
    n_tokens: int
    n_rows: int
    index: int
    phase: int
    tokens_by_source: dict[str, int]

    @property
    def path(self) -> str:
        """The shard as a local file."""
        return self.files.path(self.name)

    @property
    def spans_path(self) -> str:
        return self.files.path(self.spans_name)

    @property
    def n_bytes(self) -> int:
        return os.path.getsize(self.path)

    def spans(self) -> pa.Table:
        """SPANS or CHAT_SPANS of the shard."""
        return read_table(self.spans_path)

    def learned(self) -> npt.NDArray[np.bool_]:
        """Which tokens of the payload are learned, bool [N]: those of documents, of dialogues those of answers."""
        spans = spans_of(self.spans())
        change = np.zeros(self.n_tokens + 1, np.int8)
        np.add.at(change, spans.learned_start, 1)
        np.add.at(change, spans.learned_start + spans.learned_n, -1)
        return np.cumsum(change[:-1], dtype=np.int8).astype(np.bool_)

    def tokens(self) -> Tokens:
        """The payload, mapped: uint16 or uint32 [N]."""
        header, tokens = open_shard(self.path)
        if header.payload_digest.hex() != self.payload_xxh3:
            raise ShardError("is another shard than the manifest describes", where=self.path,
                             hint="run `curate verify`, then fetch or pack the shard again")
        return tokens

    def fragments(self) -> Fragments:
        """The shard's documents, in the order of the payload."""
        table: Any = read_table(self.spans_path, _SPANS)
        words = id_words(table["doc_id"])
        start, n_tokens, source_id, offset, epoch = (
            table[c].to_numpy().astype(np.int64)
            for c in ("token_start", "n_tokens", "source_id", "doc_token_offset", "epoch"))
        goes_on = np.zeros(len(start), np.bool_)
        goes_on[1:] = ((words[1:] == words[:-1]).all(axis=1) & (epoch[1:] == epoch[:-1])
                       & (start[1:] == (start + n_tokens)[:-1]) & (offset[1:] == (offset + n_tokens)[:-1]))
        first = np.flatnonzero(~goes_on)
        last = np.concatenate([first[1:], [len(start)]]).astype(np.int64) - 1
        ends = ~table["truncated_right"].to_numpy()[last]
        return Fragments(start[first], (start + n_tokens)[last] - start[first], words[first], source_id[first],
                         offset[first], epoch[first], ends)

    def bounds(self, row_length: int) -> list[npt.NDArray[np.int32]]:
        """cu_seqlens of every row: where its documents begin, 0, and row_length."""
        spans: Any = read_table(self.spans_path, ["token_start", "n_tokens"])
        start = spans["token_start"].to_numpy().astype(np.int64)
        edges = np.unique(np.concatenate([start, start + spans["n_tokens"].to_numpy(),
                                          np.arange(self.n_rows + 1) * row_length]))
        bounds = np.searchsorted(edges, np.arange(self.n_rows + 1) * row_length)
        return [(edges[a : b + 1] - edges[a]).astype(np.int32)
                for a, b in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)]


@dataclass(frozen=True, slots=True)
class ExportDataset:
    """A packed dataset that is to be exported. sources: names by source id. facets: what it has. source: the one that
    is exported, None for all. tokenizer: its tokenizer.json, where it travels with the dataset."""

    files: LocalFiles
    splits: dict[str, list[ExportShard]]
    dtype: np.dtype[Any]
    row_length: int
    packing: str
    eot_id: int
    vocab_size: int
    tokenizer_sha256: str
    digest: str
    sources: dict[int, str]
    facets: frozenset[str]
    tokenizer: bytes | None
    source: int | None = None

    def __enter__(self) -> ExportDataset:
        return self

    def __exit__(self, *_: object) -> None:
        self.files.close()

    @property
    def special_tokens(self) -> dict[str, int]:
        """Ids of the tokenizer's special tokens, by name."""
        added = json.loads(self.tokenizer).get("added_tokens") or [] if self.tokenizer else []
        return {str(token["content"]): int(token["id"]) for token in added if token.get("special")}

    @property
    def tokens_by_source(self) -> dict[str, dict[str, int]]:
        """Tokens of every source in each split."""
        return {split: dict(sum((Counter(shard.tokens_by_source) for shard in shards), Counter()))
                for split, shards in self.splits.items()}

    @property
    def phases(self) -> list[dict[str, int]]:
        """First row and rows of every phase of the training split."""
        rows: list[dict[str, int]] = []
        first = 0
        for shard in self.splits.get("train", []):
            if not rows or rows[-1]["phase"] != shard.phase:
                rows.append({"phase": shard.phase, "first_row": first, "rows": 0})
            rows[-1]["rows"] += shard.n_rows
            first += shard.n_rows
        return rows

    def of_phase(self, phase: int) -> ExportDataset:
        """One phase of the training split alone. Raises RecipeError where there is none of that number."""
        train = [shard for shard in self.splits.get("train", []) if shard.phase == phase]
        if not train:
            known = ", ".join(str(p["phase"]) for p in self.phases)
            raise RecipeError(f"the training split has no phase {phase}", where="--phase", hint=f"it has {known}")
        told = {"phases"} | ({"sources"} if len({n for s in train for n in s.tokens_by_source}) < 2 else set())
        return replace(self, splits={"train": train}, facets=self.facets - told)

    def of_source(self, source: int) -> ExportDataset:
        """One source alone, in formats of documents."""
        return replace(self, source=source)

    def fragments(self, shard: ExportShard) -> Fragments:
        """Documents of a shard that are to be exported, in the order of the payload."""
        fragments = shard.fragments()
        if self.source is None:
            return fragments
        here = fragments.source_id == self.source
        return Fragments(fragments.start[here], fragments.n_tokens[here], fragments.words[here],
                         fragments.source_id[here], fragments.doc_token_offset[here], fragments.epoch[here],
                         fragments.ends[here])

    def stream(self, split: str) -> Iterator[tuple[ExportShard, Tokens, Fragments]]:
        """Every shard of a split with the tokens of its documents, joined, and the documents' offsets in those.

        What belongs to no document is left out: the end-of-text at a shard's start, and padding."""
        last: tuple[Any, ...] | None = None
        for shard in self.splits.get(split, []):
            fragments = self.fragments(shard)
            body = _body(shard.tokens(), fragments, self.dtype)
            starts = np.cumsum(fragments.n_tokens) - fragments.n_tokens
            joins = bool(len(fragments)) and last == (*fragments.words[0].tolist(), int(fragments.epoch[0]),
                                                      int(fragments.doc_token_offset[0]))
            if len(fragments):
                end = int(fragments.doc_token_offset[-1] + fragments.n_tokens[-1])
                last = (*fragments.words[-1].tolist(), int(fragments.epoch[-1]), end)
            yield shard, body, replace(fragments, start=starts, joins=joins)


def _body(tokens: Tokens, fragments: Fragments, dtype: np.dtype[Any]) -> Tokens:
    """Tokens of documents, joined: a view where they lie in one run."""
    if not len(fragments):
        return np.empty(0, dtype)
    ends = fragments.start + fragments.n_tokens
    if (fragments.start[1:] == ends[:-1]).all():
        return tokens[int(fragments.start[0]) : int(ends[-1])]
    body = np.empty(int(fragments.n_tokens.sum()), dtype)
    copy_runs(tokens, fragments.start, np.cumsum(fragments.n_tokens) - fragments.n_tokens, fragments.n_tokens, body)
    return body


def open_dataset(path: str) -> ExportDataset:
    """The packed dataset in a folder, as exports read it; `with` lets go of what was fetched.

    Args:
        path: A run's folder, or its `packed` folder; local or a URL.
    Raises:
        InputError: There is no dataset, or it has no shard.
    """
    storages = (Storage(folder) for folder in (path, join(path, "packed")))
    storage = next((s for s in storages if all(s.exists(n) for n in ("manifest.parquet", "sources.parquet"))), None)
    if storage is None:
        Storage(path).must_exist()
        raise InputError("holds no packed dataset", where=path, hint="give a finished run, or its packed folder")
    folder, files = storage.root, LocalFiles(storage)
    read_manifest(storage.path("manifest.parquet"))  # checked
    manifest = read_table(storage.path("manifest.parquet"))
    rows: list[dict[str, Any]] = manifest.to_pylist()
    if not rows:
        raise InputError("has no shard", where=folder)
    splits: dict[str, list[ExportShard]] = {}
    for row in sorted(rows, key=lambda r: (r["split"], r["shard_index"])):
        splits.setdefault(row["split"], []).append(ExportShard(
            files, row["path"], row["spans_path"], row["payload_xxh3"], row["n_tokens"], row["n_rows"],
            row["shard_index"], row.get("phase") or 0, dict(row.get("tokens_by_source") or [])))
    sources = read_sources(storage.path("sources.parquet"))
    first = rows[0]
    return ExportDataset(
        files=files, facets=_facets(rows, splits),
        tokenizer=storage.read_bytes(TOKENIZER), splits=splits,
        dtype=np.dtype(first["dtype"]).newbyteorder("<"), row_length=first["row_length"],
        packing=first["packing"], eot_id=first["eot_id"], vocab_size=first["vocab_size"],
        tokenizer_sha256=first["tokenizer_sha256"], digest=dataset_digest(manifest),
        sources=sources)


FACETS: Final = {
    "bounds": "where documents begin and end",
    "padding": "which tokens are padding",
    "labels": "which tokens are learned: a trainer learns prompts too",
    "weights": "how much tokens count in the loss",
    "answers": "which answers were compared, their ranks and verdicts, and where rewards are read",
    "sources": "the source of every token",
    "phases": "the phases of the mixture, but for the order of the files; --phase exports one of them",
}
"""What a dataset may have beside tokens, and how a person is told that a format does not hold it."""


def _facets(rows: list[dict[str, Any]], splits: dict[str, list[ExportShard]]) -> frozenset[str]:
    facets = {"bounds"}
    if any(row.get("padding_tokens") for row in rows):
        facets.add("padding")
    if len({name for shards in splits.values() for shard in shards for name in shard.tokens_by_source}) > 1:
        facets.add("sources")
    if len({row.get("phase") or 0 for row in rows if row["split"] == "train"}) > 1:
        facets.add("phases")
    shards = [shard for split in splits.values() for shard in split]
    for shard in shards if "turns" in shards[0].spans().column_names else []:
        spans: Any = shard.spans()
        turns: Any = one_array(spans["turns"]).flatten()
        facets.add("labels")
        there = [n for n in ("group_id", "label", "readout") if n in spans.column_names]
        if any(spans[name].null_count < len(spans) for name in there):
            facets.add("answers")
        if "weight" in {turns.type.field(i).name for i in range(turns.type.num_fields)}:
            weight = turns.field("weight").to_numpy(zero_copy_only=False)
            if len(weight) and np.setdiff1d(weight, [0, 1]).size:
                facets.add("weights")
    return frozenset(facets)


def not_held(dataset: ExportDataset, holds: frozenset[str], by_source: bool) -> list[str]:
    """What a dataset has and a format does not hold, in words. by_source: whether folders tell the sources."""
    told = holds | ({"sources"} if by_source else set())
    return [words for facet, words in FACETS.items() if facet in dataset.facets - told]


class LocalFiles:
    """Files of a dataset as local ones: where they are behind a URL, the last few that were asked for are fetched."""

    def __init__(self, storage: Storage, most: int = 4) -> None:
        self._storage, self._most = storage, most
        self._folder: str | None = None
        self._fetched: dict[str, str] = {}

    def path(self, name: str) -> str:
        """A local file of that content."""
        if self._storage.local:
            return self._storage.path(name)
        if name not in self._fetched:
            if self._folder is None:
                self._folder = tempfile.mkdtemp(prefix="curate-export-")
            while len(self._fetched) >= self._most:
                os.unlink(self._fetched.pop(next(iter(self._fetched))))
            target = os.path.join(self._folder, name.replace("/", "-"))
            with open_read(self._storage.path(name)) as source, open(target, "wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
            self._fetched[name] = target
        return self._fetched[name]

    def close(self) -> None:
        """Remove what was fetched."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder, self._fetched = None, {}


def arrow_list(values: npt.NDArray[Any], lengths: Any, kind: pa.DataType) -> pa.ListArray:
    """Lists of given lengths over one flat array."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values).cast(kind))
