"""The last stage: packed/manifest.parquet, packed/sources.parquet and packed/tokenizer.json, and the account of every
selected token.

    selected by the mixture = packed in spans + dropped at the end of the split + taken out by `curate remove`

must hold for both splits, or there is no dataset.
"""

from __future__ import annotations

import os
import shutil
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from manifests.errors import ShardError
from manifests.packing import PACKINGS
from manifests.part_paths import part_name
from manifests.rows import describe_rows
from manifests.schema import PACKED_MANIFEST, SOURCES
from manifests.shard import HEADER_BYTES, MANIFEST_VERSION, Header
from manifests.shards import TOKENIZER
from manifests.storage import digest_file, open_read
from manifests.tables import read_table
from manifests.tasks import Work
from tokenizer.encoding.encode import load
from tokenizer.mixture.mix import SPLITS, read_plan
from tokenizer.mixture.mixture import Plan
from tokenizer.packing.config import PackConfig


def describe_dataset(config: PackConfig, work: Work) -> None:
    """packed, shard `dataset`: one row for every shard, one for every source.

    Inputs: shard, spans and rows (all packed shards, in one order), shards (of pack/layout), plan, tokenizer; removals,
    if any. Variables: seed, recipe_sha256. Outputs: manifest (packed/manifest.parquet), sources
    (packed/sources.parquet) and tokenizer (packed/tokenizer.json), so that a copied folder can be decoded.
    Counters: {train,val}_removed_tokens where there are any, and
    {train,val}_{selected,packed,dropped}_tokens. Raises ShardError where they do not add up."""
    plan = read_plan(work.input("plan"))
    layout: Any = read_table(work.input("shards"))
    expected = {(r["split"], r["shard_index"]): r for r in layout.to_pylist()}
    special = sorted(load(work.input("tokenizer")).special_tokens.items(), key=lambda item: item[1])
    rows: list[dict[str, Any]] = []
    packed = {split: np.zeros(len(plan.sources), np.int64) for split in SPLITS}
    # Their digests go into the manifest: of these files every byte is compared with the record. A shard's header has a
    # checksum of its own, and names the payload's digest.
    files = zip(work.inputs("shard"), work.inputs("spans", whole=True), work.inputs("rows"), strict=True)
    for shard, spans, index in files:
        row, tokens = _describe(shard, spans, plan, config.pad_tail or bool(work.inputs("removals")))
        row |= describe_rows(index, _below_packed(index))
        planned = expected.pop((row["split"], row["shard_index"]), None)
        if planned is None or planned["n_tokens"] != row["n_tokens"]:
            raise ShardError("is not a shard of the layout", where=f"{row['split']}/{row['shard_index']:06d}")
        row |= {**{name: planned[name] for name in ("first_row", "phase", "dropped_tokens")},
                "seed": int(work.variables["seed"]), "recipe_sha256": str(work.variables["recipe_sha256"]),
                "special_tokens": special}
        rows.append(row)
        packed[row["split"]] += tokens
    if expected:
        raise ShardError(f"{len(expected)} shards of the layout are missing", where="packed",
                         hint=f"the first is {min(expected)[0]}/{min(expected)[1]:06d}")
    rows.sort(key=lambda r: (r["split"], r["shard_index"]))
    _account(plan, rows, packed, work)
    work.write("manifest", PACKED_MANIFEST, [pa.Table.from_pylist(rows, PACKED_MANIFEST)], name="manifest.parquet")
    work.write("sources", SOURCES, [_sources(plan, packed["train"])], name="sources.parquet")
    with open_read(work.input("tokenizer")) as file, open(work.output("tokenizer", name=TOKENIZER), "wb") as copy:
        shutil.copyfileobj(file, copy)


def _describe(shard: str, spans: str, plan: Plan, may_have_gaps: bool) -> tuple[dict[str, Any], npt.NDArray[np.int64]]:
    """A shard's row of the manifest, and its span tokens by source id, int64 [sources].

    may_have_gaps: whether tokens of a stream may be in no span, since documents were removed or its tail is padded."""
    with open_read(shard) as file:
        header = Header.unpack(file.read(HEADER_BYTES), shard)
    table: Any = read_table(spans, ["doc_id", "source_id", "n_tokens", "truncated_left", "truncated_right"])
    tokens = np.zeros(len(plan.sources), np.int64)
    np.add.at(tokens, table["source_id"].to_numpy(), table["n_tokens"].to_numpy().astype(np.int64))
    path = _below_packed(shard)
    split = path.split("/")[0]
    padding = header.n_tokens - int(tokens.sum()) - 1  # a shard begins with a token of no document
    gaps = padding and PACKINGS[header.packing].is_stream
    if len(table) != header.n_spans or padding < 0 or (gaps and not may_have_gaps):
        raise ShardError("spans and header disagree", where=path)
    row = {
        "split": split, "shard_index": header.shard_index, "path": path, "n_bytes": header.n_bytes,
        "dtype": header.dtype.name, "n_tokens": header.n_tokens, "n_rows": header.n_rows,
        "row_length": header.row_length, "packing": header.packing,
        "n_documents": pc.count_distinct(table["doc_id"]).as_py(), "n_spans": header.n_spans,
        "padding_tokens": padding, "utilisation": int(tokens.sum()) / header.n_tokens,
        "truncated_documents": _n_truncated(table),
        "eot_id": header.eot_id, "vocab_size": header.vocab_size, "tokenizer_sha256": header.tokenizer_sha256.hex(),
        "payload_xxh3": header.payload_digest.hex(), "spans_path": _below_packed(spans),
        "spans_xxh3": digest_file(spans), "format_version": MANIFEST_VERSION,
        "tokens_by_source": [(s.name, int(tokens[s.source_id])) for s in plan.sources if tokens[s.source_id]]}
    return row, tokens


def _below_packed(path: str) -> str:
    """A path such as `…/train/003/003000.bin` from its split on."""
    folder = os.path.dirname(os.path.dirname(part_name(path)))
    return path[len(folder) :].lstrip("/")


def _n_truncated(spans: pa.Table) -> int:
    """Documents of a shard that some row holds only a part of."""
    truncated: Any = pc.or_(spans["truncated_left"], spans["truncated_right"])
    return int(pc.count_distinct(spans.filter(truncated)["doc_id"]).as_py())


def _account(plan: Plan, rows: list[dict[str, Any]], packed: dict[str, npt.NDArray[np.int64]], work: Work) -> None:
    """Count where the selected tokens went, and insist that none is missing.

    A split without any shard has dropped all it had: pack/layout allows that for the val split alone."""
    selected = {"train": plan.total_tokens, "val": sum(s.val_tokens for s in plan.sources)}
    for split in SPLITS:
        of_split = [r for r in rows if r["split"] == split]
        n_packed = int(packed[split].sum())
        n_dropped = sum(r["dropped_tokens"] for r in of_split) if of_split else selected[split]
        work.count(f"{split}_selected_tokens", selected[split])
        work.count(f"{split}_packed_tokens", n_packed)
        work.count(f"{split}_dropped_tokens", n_dropped)
        n_removed = selected[split] - n_packed - n_dropped if work.inputs("removals") else 0
        if n_removed:
            work.count(f"{split}_removed_tokens", n_removed)
        if n_removed < 0 or selected[split] != n_packed + n_dropped + n_removed:
            raise ShardError(f"{selected[split]} tokens were selected, but {n_packed} packed and {n_dropped} dropped",
                             where=f"packed/{split}")


def _sources(plan: Plan, packed: npt.NDArray[np.int64]) -> pa.Table:
    total = max(1, int(packed.sum()))
    rows = [{"source_id": s.source_id, "name": s.name, "requested_weight": s.weight,
             "available_tokens": s.available_tokens, "selected_tokens": s.selected_tokens, "epochs": s.epochs,
             "realised_share": int(packed[s.source_id]) / total} for s in plan.sources]
    return pa.Table.from_pylist(rows, SOURCES)
