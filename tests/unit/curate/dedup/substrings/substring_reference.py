"""A slow, plain Python reading of the rule on repeated passages, and a runner of its stages on files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curate.dedup.config import DedupConfig
from curate.dedup.signing import signatures_stage
from curate.dedup.substrings.substring_config import SubstringConfig
from curate.dedup.substrings.substring_decisions import substring_decisions_stage
from curate.dedup.substrings.substrings import anchors_stage, contexts_stage, repeated_stage, repeats_stage
from manifests.hashing import document_id
from manifests.records import TaskRecord
from manifests.schema import DEDUP_MARKS, DOCUMENTS, EDITS, SELECT_MARKS, STAGE_MANIFEST
from manifests.storage import Storage
from manifests.tables import read_table, write_table
from manifests.tasks import InputRef, StageTask, execute

Cut = tuple[int, int, int | None]  # start, end, document that has its first run first


def cuts(texts: Sequence[str], size: int, every: bool = False) -> list[list[Cut]]:
    """What is cut of texts in survivor order: bytes in a run of `size` that stood before (or stands again: `every`)."""
    data = [t.encode() for t in texts]
    first: dict[bytes, tuple[int, int]] = {}
    again: set[bytes] = set()
    for d, text in enumerate(data):
        for p in range(len(text) - size + 1):
            if first.setdefault(text[p : p + size], (d, p)) != (d, p):
                again.add(text[p : p + size])
    out: list[list[Cut]] = []
    for d, text in enumerate(data):
        gone = [False] * len(text)
        owner: dict[int, int | None] = {}
        for p in range(len(text) - size + 1):
            window = text[p : p + size]
            earlier = first[window] != (d, p)
            if earlier or (every and window in again):
                gone[p : p + size] = [True] * size
                owner[p] = first[window][0] if earlier else None
        out.append([(s, e, owner[q]) for q, s, e in _spans(text, gone)])
    return out


def _spans(text: bytes, gone: list[bool]) -> list[tuple[int, int, int]]:
    """(first byte that is gone, start, end): stretches of what is gone, shrunk to whole characters."""
    found, p = [], 0
    while p < len(text):
        if not gone[p]:
            p += 1
            continue
        q = p
        while q < len(text) and gone[q]:
            q += 1
        start, end = p, q
        while start < end and text[start] & 0xC0 == 0x80:
            start += 1
        while start < end < len(text) and text[end] & 0xC0 == 0x80:
            end -= 1
        if end > start:
            found.append((p, start, end))
        p = q
    return found


def left(text: str, spans: Sequence[Cut]) -> str:
    """What cuts leave of a text."""
    data, place, out = text.encode(), 0, b""
    for start, end, _ in spans:
        out, place = out + data[place:start], end
    return (out + data[place:]).decode()


@dataclass
class Page:
    """A document of a test corpus. edits: (start, end, replacement) that selection left; None: all of the text."""

    text: str
    keep: bool = True
    selected: bool = True
    quality: float = 0.5
    edits: list[tuple[int, int, str | None]] | None = None
    doc_id: bytes = b""

    @property
    def edited(self) -> str:
        data = self.text.encode()
        spans = [(0, len(data), None)] if self.edits is None else self.edits
        return "".join(data[a:b].decode() if word is None else word for a, b, word in spans)


@dataclass
class Stages:
    """The stages of the search in one run folder, after made-up decisions of selection and deduplication."""

    root: Path
    parts: dict[str, list[Page]]
    config: SubstringConfig
    records: dict[str, list[TaskRecord]] = field(default_factory=dict)

    def run(self, group: int = 3) -> Stages:
        for shard, pages in self.parts.items():
            self._write(shard, pages, group)
        shards = list(self.parts)
        pieces = [f"part-{p:05d}" for p in range(self.config.partitions)]
        mine = {"documents": "extract/*.parquet", "select": "select/*.parquet",
                "decisions": "dedup/decisions/*.parquet"}
        self._stage("dedup/signatures", signatures_stage, shards, {**mine, "decisions": "select/*.parquet"},
                    DedupConfig())
        self._stage("dedup/anchors", anchors_stage, shards, mine)
        self._stage("dedup/repeated", repeated_stage, pieces, {"anchors": "dedup/anchors/manifest.parquet"})
        self._stage("dedup/contexts", contexts_stage, shards, {
            **mine, "signatures": "dedup/signatures/*.parquet", "repeated": "dedup/repeated/manifest.parquet"})
        self._stage("dedup/repeats", repeats_stage, pieces, {"contexts": "dedup/contexts/manifest.parquet"})
        self._stage("dedup/substrings", substring_decisions_stage, shards, {
            **mine, "runs": "dedup/repeats/manifest.parquet"})
        return self

    def decisions(self, shard: str) -> list[dict[str, Any]]:
        return read_table(str(self.root / f"dedup/substrings/{shard}.parquet")).to_pylist()

    def bytes_of(self, shard: str) -> bytes:
        return (self.root / f"dedup/substrings/{shard}.parquet").read_bytes()

    def total(self, name: str, counter: str) -> int:
        return sum(r.counters.get(counter, 0) for r in self.records[name])

    def _stage(self, name: str, function: Any, shards: Sequence[str], inputs: dict[str, str],
               config: Any = None) -> None:
        done = []
        for shard in shards:
            refs = {k: InputRef((v.replace("*", shard),), "") for k, v in inputs.items()}
            facts = {"partition": int(shard[-5:])} if shard.startswith("part-") else {"source_rank": {"crawl": 0}}
            task = StageTask(name, 1, shard, config or self.config, {}, refs, facts)
            done.append(execute(Storage(str(self.root)), task, function))
        self.records[name] = done
        rows = [{"task": r.identity.task, "role": o.role, "path": o.path, "n_bytes": o.n_bytes, "n_rows": o.n_rows,
                 "xxh3": o.digest} for r in done for o in r.outputs]
        write_table(str(self.root / name / "manifest.parquet"), STAGE_MANIFEST,
                    [pa.Table.from_pylist(rows, schema=STAGE_MANIFEST)])

    def _write(self, shard: str, pages: list[Page], group: int) -> None:
        n = len(pages)
        for row, page in enumerate(pages):
            page.doc_id = document_id("test", shard, row)
        ids = pa.array([p.doc_id for p in pages], pa.binary(16))
        edits = pa.array([None if p.edits is None else [{"start": a, "end": b, "replacement": w} for a, b, w in p.edits]
                          for p in pages], EDITS)
        known = {
            "doc_id": ids, "source": pa.array(["crawl"] * n), "text": pa.array([p.text for p in pages]),
            "n_bytes": pa.array([len(p.text.encode()) for p in pages], pa.int64()), "origin_path": pa.array(["x"] * n),
            "origin_offset": pa.array(range(n), pa.int64()), "origin_length": pa.array([-1] * n, pa.int64()),
            "language_score": pa.array(np.zeros(n, np.float32)), "edits": edits,
            "quality_score": pa.array([p.quality for p in pages], pa.float32())}
        keeps = {"extract": [True] * n, "select": [p.selected for p in pages],
                 "dedup/decisions": [p.keep and p.selected for p in pages]}
        for folder, schema in (("extract", DOCUMENTS), ("select", SELECT_MARKS), ("dedup/decisions", DEDUP_MARKS)):
            columns = {**known, "keep": pa.array(keeps[folder], pa.bool_())}
            table = pa.table([columns.get(f.name, pa.nulls(n, f.type)) for f in schema], schema=schema)
            path = self.root / folder / f"{shard}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_table(str(path), schema, [table.slice(i, group) for i in range(0, n, group)])


def order(pages: Sequence[Page]) -> list[Page]:
    """Kept pages in survivor order: higher quality, then the id."""
    return sorted((p for p in pages if p.keep and p.selected), key=lambda p: (-p.quality, p.doc_id))
