"""Mixing and packing by themselves, in this process: from token files to a dataset, without a run around them.

The stages are the run's own, executed one shard after another with their records, so the shards are the same bytes that
a run with the same tokens, mixture and seed packs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xxhash
from pydantic import BaseModel

from manifests.errors import InputError, OwnershipError
from manifests.hashing import id_words
from manifests.records import TaskRecord
from manifests.storage import Storage
from manifests.tables import open_table, read_table
from manifests.tasks import InputRef, StageFunction, StageTask, execute
from tokenizer.encoding.token_index import read_index
from tokenizer.mixture.mix import count_tokens, plan_mixture, read_plan
from tokenizer.mixture.mixture import Counts, Plan, is_validation
from tokenizer.mixture.mixture_config import MixtureConfig
from tokenizer.packing.groups import fill_group, group_buckets
from tokenizer.packing.inventory import describe_dataset
from tokenizer.packing.layout import lay_out
from tokenizer.packing.pack import pack_shard
from tokenizer.packing.shuffle import PackConfig, shuffle_part

_INDEX = ("doc_id", "token_start", "n_tokens")


@dataclass(frozen=True, slots=True)
class TokenPart:
    """One part of a source's tokens: flat ids, and an index of its documents (TOKENS)."""

    source: str
    name: str
    tokens: str
    index: str


def find_parts(path: str, source: str | None = None) -> list[TokenPart]:
    """Token parts of a run (all its sources), or of one folder, whose name is the source's unless `source` is given.

    A folder holds index parts (.parquet with doc_id, token_start and n_tokens) with a .tokens file of the same name
    beside each, or in its subfolder `tokens`. Raises InputError where there is none."""
    run = os.path.join(path, "tokens")
    if os.path.exists(os.path.join(path, "recipe.lock.yaml")) and os.path.isdir(run):
        folders = {name: os.path.join(run, name) for name in sorted(os.listdir(run))
                   if os.path.isdir(os.path.join(run, name)) and name != "_records"}
    else:
        folders = {source or os.path.basename(os.path.normpath(path)): path}
    found = [part for name, folder in folders.items() for part in _parts_of(name, folder)]
    if not found:
        raise InputError("holds no token parts", where=path,
                         hint="give a run, or a folder of .parquet indexes with .tokens files")
    return found


def _parts_of(source: str, folder: str) -> list[TokenPart]:
    if not os.path.isdir(folder):
        raise InputError("there is no such folder", where=folder)
    parts = []
    for name in sorted(os.listdir(folder)):
        stem, suffix = os.path.splitext(name)
        places = [os.path.join(folder, f"{stem}.tokens"), os.path.join(folder, "tokens", f"{stem}.tokens")]
        tokens = next((p for p in places if os.path.exists(p)), None)
        if suffix != ".parquet" or tokens is None:
            continue
        index = os.path.join(folder, name)
        with open_table(index) as file:
            missing = sorted(set(_INDEX) - set(file.schema_arrow.names))
        if missing:
            raise InputError(f"is no index of tokens: it has no column {missing[0]!r}", where=index)
        parts.append(TokenPart(source, stem, os.path.abspath(tokens), os.path.abspath(index)))
    return parts


def count_parts(parts: Sequence[TokenPart], seed: int, validation_fraction: float) -> dict[str, Counts]:
    """What every source has of both splits, from the indexes alone: what a mixture is planned on."""
    found: dict[str, list[int]] = {}
    for part in parts:
        total = found.setdefault(part.source, [0, 0, 0, 0])
        for group in read_index(part.index):
            held_out = is_validation(seed, validation_fraction, id_words(group["group_id"]))
            tokens = group["n_tokens"].to_numpy() + 1
            for place, here in ((0, ~held_out), (2, held_out)):
                total[place] += int(np.count_nonzero(here))
                total[place + 1] += int(tokens[here].sum())
    return {name: Counts(*total) for name, total in found.items() if total[0] or total[2]}


@dataclass(slots=True)
class Assembly:
    """Stages executed one after another under one folder, which holds mix/, pack/ and packed/ afterwards."""

    out: str
    seed: int
    records: dict[str, dict[str, TaskRecord]] = field(default_factory=dict)

    def assemble(self, parts: Sequence[TokenPart], tokenizer: str, mixture: MixtureConfig, pack: PackConfig) -> Plan:
        """Mix and pack token parts; returns the mixture's plan. Raises OwnershipError where OUT holds a run."""
        if os.path.exists(os.path.join(self.out, "recipe.lock.yaml")):
            raise OwnershipError("holds a run", where=self.out, hint="choose another --out; `curate run` packs runs")
        storage = Storage(self.out)
        for old in storage.list("packed"):
            storage.remove(old)
        shards = {f"{p.source}/{p.name}": p for p in parts}
        for name, part in shards.items():
            self._make(storage, "mix/counts", name, count_tokens, mixture, {"index": [part.index]},
                       {"source": part.source, "seed": self.seed})
        # The plan takes a part's source from the folder it lies in, so indexes are shown to it under their sources.
        index = [self._named(storage, name, part) for name, part in shards.items()]
        self._make(storage, "mix/plan", "plan", plan_mixture, mixture,
                   {"counts": self._paths(storage, "mix/counts", "counts"), "index": index}, {"seed": self.seed})
        plan = {"plan": self._paths(storage, "mix/plan", "plan")}
        chosen = {"tokenizer": [os.path.abspath(tokenizer)]}
        for name, part in shards.items():
            inputs = {"tokens": [part.tokens], "index": [part.index], **plan, **chosen}
            self._make(storage, "pack/shuffle", name, shuffle_part, pack, inputs, {"source": part.source})
        self._pack(storage, plan, chosen, pack, mixture)
        storage.clear_staging()
        return read_plan(plan["plan"][0])

    def _pack(self, storage: Storage, plan: Mapping[str, list[str]], tokenizer: Mapping[str, list[str]],
              pack: PackConfig, mixture: MixtureConfig) -> None:
        shuffled = {role: self._paths(storage, "pack/shuffle", role) for role in ("tokens", "index")}
        index = {"index": shuffled["index"]}
        self._make(storage, "pack/groups", "groups", group_buckets, pack, {**index, **plan}, {})
        groups = {"groups": self._paths(storage, "pack/groups", "groups")}
        for number in range(self.records["pack/groups"]["groups"].counters["groups"]):
            self._make(storage, "pack/rows", f"{number:06d}", fill_group, pack, {**index, **groups}, {"group": number})
        filled = {"rows": self._paths(storage, "pack/rows", "rows")}
        self._make(storage, "pack/layout", "layout", lay_out, pack, {**groups, **filled, **plan}, {})
        layout = {role: self._paths(storage, "pack/layout", role) for role in ("layout", "shards")}
        rows: list[dict[str, Any]] = read_table(layout["shards"][0]).to_pylist()
        for row in rows:
            facts = {"split": row["split"], "shard_index": row["shard_index"]}
            self._make(storage, "packed", f"{row['split']}/{row['shard_index']:06d}", pack_shard, pack,
                       {**shuffled, **layout, **tokenizer}, facts)
        inputs = {role: self._paths(storage, "packed", role) for role in ("shard", "spans")}
        recipe = xxhash.xxh3_128_hexdigest(f"{mixture.model_dump_json()}\n{pack.model_dump_json()}".encode())
        self._make(storage, "packed", "dataset", describe_dataset, pack,
                   {**inputs, "shards": layout["shards"], **plan}, {"seed": self.seed, "recipe_sha256": recipe})

    def _named(self, storage: Storage, name: str, part: TokenPart) -> str:
        if os.path.basename(os.path.dirname(part.index)) == part.source:
            return part.index
        with open(part.index, "rb") as file:
            storage.write_bytes(f"mix/index/{name}.parquet", file.read())
        return storage.path(f"mix/index/{name}.parquet")

    def _make(self, storage: Storage, stage: str, shard: str, function: StageFunction, config: BaseModel,
              inputs: Mapping[str, Sequence[str]], variables: Mapping[str, Any]) -> None:
        refs = {name: InputRef(tuple(paths), "") for name, paths in inputs.items()}
        task = StageTask(stage, 1, shard, config, config.model_dump(mode="json"), refs, variables)
        self.records.setdefault(stage, {})[shard] = execute(storage, task, function)

    def _paths(self, storage: Storage, stage: str, role: str) -> list[str]:
        """Files of a role of a stage, by shard."""
        return [storage.path(o.path) for _, record in sorted(self.records.get(stage, {}).items())
                for o in record.outputs if o.role == role]
