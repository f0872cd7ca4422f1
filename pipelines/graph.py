"""What a stage is, and what is known while a run goes on.

A stage is a function, the part of the recipe it depends on, the stages it needs, and a plan: the list of its shards,
made when everything it needs is whole. The list of all stages is in `pipelines/stages.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import xxhash
from pydantic import BaseModel

from manifests.records import Identity, OutputFile, ShardRecord
from manifests.tasks import MANIFEST, InputRef, ShardTask, StageFunction
from pipelines.inputs import InputFile, SourceInputs
from pipelines.recipe import Recipe

REMOVALS_INPUT = "removals"


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard to plan: its name, what it reads, and facts of it that no configuration holds.

    settings: how to work; no output may depend on them."""

    name: str
    inputs: Mapping[str, InputRef]
    variables: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stage:
    """One arrow of the pipeline.

    name: also its folder under the run, unless `folder` says otherwise. needs: stages that must be whole first.
    config: the part of the recipe its bytes depend on. plan: its shards, from what is whole. check: raises StageError
    when the whole stage cannot serve the next ones. reads_source: a shard that fails is set aside, since it is the
    user's input that is broken; elsewhere a failure ends the run, for a missing partition would be a wrong answer.
    writes_manifest: whether `FOLDER/manifest.parquet` lists the stage's files. shards_of: how its shards' names begin,
    where it shares its folder."""

    name: str
    version: int
    function: StageFunction
    needs: tuple[str, ...]
    config: Callable[[Recipe], BaseModel | None]
    plan: Callable[[Progress], Iterable[Shard]]
    check: Callable[[Progress], None] | None = None
    reads_source: bool = False
    writes_manifest: bool = True
    folder: str = ""
    shards_of: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        return self.folder or self.name

    def owns(self, identity: Identity) -> bool:
        """Whether a record is of this stage: two stages may share a folder, so a folder alone does not tell."""
        return identity.stage == self.place and (not self.shards_of or identity.shard.startswith(self.shards_of))

    def task(self, recipe: Recipe, shard: Shard) -> ShardTask:
        """The task of one shard, with the configuration that its record will name."""
        config = self.config(recipe)
        fields = config.model_dump(mode="json") if config is not None else {}
        return ShardTask(self.place, self.version, shard.name, config, fields, shard.inputs, shard.variables,
                         shard.settings)


@dataclass(slots=True)
class Progress:
    """What a run knows so far: the recipe, its inputs, and the records of every shard made."""

    recipe: Recipe
    sources: Sequence[SourceInputs]
    other_inputs: Mapping[str, Sequence[InputFile]]
    records: dict[str, dict[str, ShardRecord]] = field(default_factory=dict)

    def shards(self, stage: str) -> list[ShardRecord]:
        """Records of a whole stage, by shard name."""
        return [record for _, record in sorted(self.records.get(stage, {}).items())]

    def output(self, stage: str, shard: str, role: str) -> InputRef:
        """One file of one shard as an input."""
        return file_ref(self.records[stage][shard].output(role))

    def whole(self, stage: str, role: str, place: str | None = None) -> InputRef:
        """Every file of a role of a whole stage as one input, through the stage's manifest."""
        digests = [o.digest for r in self.shards(stage) for o in r.outputs if o.role == role]
        digest = xxhash.xxh3_128_hexdigest(json.dumps(digests).encode())
        return InputRef((f"{place or stage}/{MANIFEST}",), digest, role)

    def outputs(self, stage: str, role: str) -> list[OutputFile]:
        """Every file of a role of a whole stage, by path."""
        return sorted((o for r in self.shards(stage) for o in r.outputs if o.role == role), key=lambda o: o.path)

    def removals(self) -> dict[str, InputRef]:
        """The list of documents that were taken out of this run, for the stages that would bring them back."""
        files = self.other_inputs.get(REMOVALS_INPUT, ())
        return {"removals": source_ref(files)} if files else {}

    def counters(self, stage: str) -> dict[str, int]:
        """Counters of a stage, summed over its shards."""
        total: dict[str, int] = {}
        for record in self.shards(stage):
            for name, value in record.counters.items():
                total[name] = total.get(name, 0) + value
        return total


def file_ref(output: OutputFile) -> InputRef:
    """An output of one shard as an input of another."""
    return InputRef((output.path,), output.digest, output.role)


def source_ref(files: Sequence[InputFile]) -> InputRef:
    """Files of the user as an input, in their order."""
    digests = [[f.relative, f.digest] for f in files]
    digest = files[0].digest if len(files) == 1 else xxhash.xxh3_128_hexdigest(json.dumps(digests).encode())
    return InputRef(tuple(f.path for f in files), digest)


def part_of(path: str, folder: str) -> str:
    """The shard name in an output's path: `clean/crawl/part-x.parquet` in `clean` is `crawl/part-x`."""
    return str(PurePosixPath(path).relative_to(folder).with_suffix(""))


def documents_and(p: Progress, stage: str, role: str, name: str) -> Iterator[tuple[str, dict[str, InputRef]]]:
    """(shard, its documents and its output of a stage) for every extracted part."""
    for record in p.shards(stage):
        shard = record.identity.shard
        yield shard, {"documents": p.output("extract", shard, "documents"), name: file_ref(record.output(role))}
