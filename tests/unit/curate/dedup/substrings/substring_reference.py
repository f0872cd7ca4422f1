"""A slow, plain Python reading of the rule on repeated passages, and its stages run on made-up documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from curate.dedup.substring_config import SubstringConfig
from manifests.hashing import document_id
from manifests.schema import DEDUP_DECISIONS, DOCUMENTS, EDITS, SELECT_DECISIONS
from tests.unit.curate.graph_runs import GraphRun, recipe_of, run_graph

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


def run_search(root: Path, parts: dict[str, list[Page]], config: SubstringConfig, group: int = 3) -> GraphRun:
    """The stages of the search, after made-up decisions of selection and deduplication."""
    tables: dict[str, dict[str, pa.Table]] = {"extract": {}, "select": {}, "dedup/decisions": {}}
    for part, pages in parts.items():
        for stage, table in _tables(part, pages).items():
            tables[stage][part] = table
    rules = config.model_dump(mode="json")
    signed = recipe_of(["crawl"], dedup={"near": False, "substrings": rules})
    return run_graph(root, signed, tables, ["dedup/signatures", "dedup/anchors", "dedup/repeated", "dedup/contexts",
                                            "dedup/repeats", "dedup/substrings"], group)


def _tables(part: str, pages: list[Page]) -> dict[str, pa.Table]:
    n = len(pages)
    for row, page in enumerate(pages):
        page.doc_id = document_id("test", part, row)
    edits = pa.array([None if p.edits is None else [{"start": a, "end": b, "replacement": w} for a, b, w in p.edits]
                      for p in pages], EDITS)
    known = {
        "doc_id": pa.array([p.doc_id for p in pages], pa.binary(16)), "source": pa.array(["crawl"] * n, pa.string()),
        "text": pa.array([p.text for p in pages], pa.large_string()),
        "n_bytes": pa.array([len(p.text.encode()) for p in pages], pa.int64()),
        "origin_path": pa.array(["x"] * n, pa.string()), "origin_offset": pa.array(range(n), pa.int64()),
        "origin_length": pa.array([-1] * n, pa.int64()), "language_score": pa.array(np.zeros(n, np.float32)),
        "language_share": pa.nulls(n, pa.float32()),
        "edits": edits, "quality_score": pa.array([p.quality for p in pages], pa.float32())}
    keeps = {"extract": [True] * n, "select": [p.selected for p in pages],
             "dedup/decisions": [p.keep and p.selected for p in pages]}
    tables = {}
    for stage, schema in (("extract", DOCUMENTS), ("select", SELECT_DECISIONS), ("dedup/decisions", DEDUP_DECISIONS)):
        columns = {**known, "keep": pa.array(keeps[stage], pa.bool_())}
        tables[stage] = pa.table([columns.get(f.name, pa.nulls(n, f.type)) for f in schema], schema=schema)
    return tables


def order(pages: Sequence[Page]) -> list[Page]:
    """Kept pages in survivor order: higher quality, then the id."""
    return sorted((p for p in pages if p.keep and p.selected), key=lambda p: (-p.quality, p.doc_id))
