"""A small run from token parts to packed shards, executed as the engine does: one task at a time, through records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from manifests.hashing import document_id
from manifests.records import TaskRecord
from manifests.schema import TOKENS
from manifests.storage import Storage
from manifests.tables import read_table, write_table
from manifests.tasks import InputRef, StageFunction, StageTask, execute
from tokenizer.encoding.encode import byte_alphabet
from tokenizer.mixture.mix import count_tokens, plan_mixture
from tokenizer.mixture.mixture_config import MixtureConfig
from tokenizer.packing.groups import fill_group, group_buckets
from tokenizer.packing.inventory import describe_dataset
from tokenizer.packing.layout import lay_out
from tokenizer.packing.pack import pack_shard
from tokenizer.packing.shuffle import PackConfig, shuffle_part

Document = tuple[bytes, Sequence[int]]
Corpus = dict[str, dict[str, list[Document]]]
EOT = 256


def byte_tokenizer(path: Path, vocab_size: int = 257) -> str:
    """A tokenizer.json of the 256 bytes without merges; ids beyond them are fillers, the last is end-of-text."""
    vocab = {letter: i for i, letter in enumerate(byte_alphabet())}
    vocab |= {f"filler-{i}": i for i in range(256, vocab_size - 1)}
    tokenizer = Tokenizer(models.BPE(vocab, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken("<|endoftext|>", special=True, normalized=False)])
    path.write_text(tokenizer.to_str(), encoding="utf-8")
    return str(path)


def corpus(sizes: dict[str, dict[str, list[int]]]) -> Corpus:
    """Documents of given lengths: ids that tell documents and places apart."""
    made: Corpus = {}
    for source, parts in sizes.items():
        for part, lengths in parts.items():
            documents = []
            for i, length in enumerate(lengths):
                doc_id = document_id(source, part, i)
                documents.append((doc_id, [(doc_id[0] + 7 * k) % 256 for k in range(length)]))
            made.setdefault(source, {})[part] = documents
    return made


class SmallRun:
    """Executes stages under one root; `pack` goes from token parts to the manifest."""

    def __init__(self, root: Path, seed: int = 7) -> None:
        self.root, self.seed = root, seed
        self.storage = Storage(str(root))
        self.records: dict[tuple[str, str], TaskRecord] = {}
        self.groups: dict[bytes, bytes] = {}

    def execute(self, stage: str, shard: str, function: StageFunction, config: Any,
                inputs: dict[str, list[str]], **variables: Any) -> TaskRecord:
        refs = {name: InputRef(tuple(paths), "") for name, paths in inputs.items()}
        record = execute(self.storage, StageTask(stage, 1, shard, config, {}, refs, variables), function)
        self.records[stage, shard] = record
        return record

    def outputs(self, stage: str, role: str) -> list[str]:
        """Full paths of a role's files, by shard: what a stage manifest lists."""
        found = [(shard, o.path) for (s, shard), r in self.records.items() if s == stage
                 for o in r.outputs if o.role == role]
        return [self.storage.path(path) for _, path in sorted(found)]

    def output(self, stage: str, role: str) -> str:
        (path,) = self.outputs(stage, role)
        return path

    def write_tokens(self, documents: Corpus, dtype: Any = np.uint16) -> None:
        """Token parts as the stage `tokens` leaves them."""
        for source, parts in documents.items():
            for part, docs in parts.items():
                base = self.root / "tokens" / source / part
                base.parent.mkdir(parents=True, exist_ok=True)
                lengths = np.array([len(ids) for _, ids in docs], np.int64)
                ids = np.concatenate([np.array(ids, dtype) for _, ids in docs] or [np.empty(0, dtype)])
                ids.tofile(f"{base}.tokens")
                groups = pa.array([self.groups.get(d) for d, _ in docs], pa.binary(16))
                table = pa.table([pa.array([d for d, _ in docs], pa.binary(16)), np.cumsum(lengths) - lengths, lengths,
                                  groups], schema=TOKENS)
                half = len(table) // 2
                write_table(f"{base}.parquet", TOKENS, [table.slice(0, half), table.slice(half)])

    def pack(self, mixture: MixtureConfig, config: PackConfig, tokenizer: str) -> None:
        """mix/counts, mix/plan, pack/shuffle, pack/layout, packed and its manifest."""
        parts = sorted((self.root / "tokens").glob("*/*.parquet"))
        for path in parts:
            self.execute("mix/counts", f"{path.parent.name}/{path.stem}", count_tokens, mixture,
                         {"index": [str(path)]}, source=path.parent.name, seed=self.seed)
        self.execute("mix/plan", "plan", plan_mixture, mixture,
                     {"counts": self.outputs("mix/counts", "counts"), "index": [str(p) for p in parts]}, seed=self.seed)
        plan = [self.output("mix/plan", "plan")]
        for path in parts:
            inputs = {"tokens": [str(path.with_suffix(".tokens"))], "index": [str(path)], "plan": plan,
                      "tokenizer": [tokenizer]}
            self.execute("pack/shuffle", f"{path.parent.name}/{path.stem}", shuffle_part, config, inputs,
                         source=path.parent.name)
        shuffled = {role: self.outputs("pack/shuffle", role) for role in ("tokens", "index")}
        index = {"index": shuffled["index"]}
        made = self.execute("pack/groups", "groups", group_buckets, config, {**index, "plan": plan})
        groups = {"groups": [self.output("pack/groups", "groups")]}
        for number in range(made.counters["groups"]):
            self.execute("pack/rows", f"{number:06d}", fill_group, config, {**index, **groups}, group=number)
        filled = {"rows": self.outputs("pack/rows", "rows")}
        self.execute("pack/layout", "layout", lay_out, config, {**groups, **filled, "plan": plan})
        layout = {role: [self.output("pack/layout", role)] for role in ("layout", "shards")}
        for row in read_table(layout["shards"][0]).to_pylist():
            inputs = {**shuffled, **layout, "tokenizer": [tokenizer]}
            self.execute("packed", f"{row['split']}/{row['shard_index']:06d}", pack_shard, config, inputs,
                         split=row["split"], shard_index=row["shard_index"])
        inputs = {"shard": self.outputs("packed", "shard"), "spans": self.outputs("packed", "spans"),
                  "shards": layout["shards"], "plan": plan}
        self.execute("packed", "dataset", describe_dataset, config, inputs, seed=self.seed, recipe_sha256="ab" * 32)

    def plan(self) -> dict[str, Any]:
        fields: dict[str, Any] = json.loads(Path(self.output("mix/plan", "plan")).read_text())
        return fields
