"""A small run from made-up token parts to packed shards."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from manifests.graph import InputFile, Source
from manifests.hashing import document_id
from manifests.records import Identity, OutputFile, TaskRecord
from manifests.schema import TOKENS
from manifests.storage import Storage, digest_file
from manifests.tables import write_table
from manifests.tasks import InputRef, StageFunction, StageTask, execute
from pipelines.planning import Progress
from pipelines.recipe import Recipe
from pipelines.running import Settings, run_stages
from pipelines.stages import STAGES
from tokenizer.encoding.encode import byte_alphabet
from tokenizer.mixture.mixture_config import MixtureConfig
from tokenizer.packing.config import PackConfig

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
            documents: list[tuple[bytes, Sequence[int]]] = []
            for i, length in enumerate(lengths):
                doc_id = document_id(source, part, i)
                documents.append((doc_id, [(doc_id[0] + 7 * k) % 256 for k in range(length)]))
            made.setdefault(source, {})[part] = documents
    return made


class SmallRun:
    """A run under one root whose token parts are made up; `pack` runs the graph from there to the manifest."""

    def __init__(self, root: Path, seed: int = 7) -> None:
        self.root, self.seed = root, seed
        self.storage = Storage(str(root))
        self.records: dict[tuple[str, str], TaskRecord] = {}
        self.groups: dict[bytes, bytes] = {}

    def execute(self, stage: str, task: str, function: StageFunction, config: Any,
                inputs: dict[str, list[str]], **variables: Any) -> TaskRecord:
        """One task by itself, on inputs of the test's own."""
        refs = {name: InputRef(tuple(paths), "") for name, paths in inputs.items()}
        record = execute(self.storage, StageTask(stage, 1, task, config, {}, refs, variables), function)
        self.records[stage, task] = record
        return record

    def outputs(self, stage: str, role: str) -> list[str]:
        """Full paths of a role's files, by task: what a stage manifest lists."""
        found = [(task, o.path) for (s, task), r in self.records.items() if s == stage
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
        """The graph from mix/counts to packed/dataset, over the token parts as sources of kind `tokens`."""
        files: dict[str, list[InputFile]] = {}
        for path in sorted((self.root / "tokens").glob("*/*.*")):
            files.setdefault(path.parent.name, []).append(
                InputFile(str(path), path.name, path.stat().st_size, digest_file(str(path))))
        recipe = Recipe.model_validate({
            "name": "small", "seed": self.seed, "classifier": None, "mixture": mixture, "pack": config,
            "sources": {name: {"files": ["tokens/*"], "kind": "tokens"} for name in files}})
        progress = Progress(recipe, [Source(name, tuple(of), recipe.sources[name]) for name, of in files.items()], {})
        made = OutputFile("tokenizer", os.path.abspath(tokenizer), 0, digest_file(tokenizer), -1)
        progress.finish("tokenizer", {
            "tokenizer": TaskRecord(Identity("tokenizer", 1, "tokenizer", {}, {}), (made,), {})})
        packing = [s for s in STAGES if s.name.startswith(("mix/", "pack"))]
        run_stages(self.storage, progress, packing, Settings("inline"))
        self.records |= {(s.path, r.identity.task): r for s in packing for r in progress.records(s.name).values()}

    def plan(self) -> dict[str, Any]:
        fields: dict[str, Any] = json.loads(Path(self.output("mix/plan", "plan")).read_text())
        return fields
