"""The record of a task: the one small file that commits its outputs, and knows what made them.

A record names its stage and version, the configuration that mattered, the digests of what was read and the sizes and
digests of what was written. Resuming is comparing fingerprints; staleness is naming the field that differs.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import xxhash

from manifests.confined import confined
from manifests.errors import InputError
from manifests.part_paths import part_path
from manifests.storage import Storage

RECORDS_FOLDER = "_records"
_DIGEST = "xxh3"  # last of the names in a record's file, and of all before it


@dataclass(frozen=True, slots=True)
class OutputFile:
    """One file a task wrote. path: relative to the run. n_rows: -1 where the file is no table. seal: as of `seals`,
    empty where there is none."""

    role: str
    path: str
    n_bytes: int
    digest: str
    n_rows: int
    seal: str = ""


@dataclass(frozen=True, slots=True)
class Damage:
    """Part of the input that could not be read and was skipped. where: file and offset; what: the reason, in words."""

    where: str
    what: str


@dataclass(frozen=True, slots=True)
class Identity:
    """What a task's outputs depend on. inputs: one digest per named input."""

    stage: str
    version: int
    task: str
    config: Mapping[str, Any]
    inputs: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """xxh3-128 of the canonical JSON of every field, 32 hex digits."""
        return _fingerprint({"stage": self.stage, "version": self.version, "task": self.task, "config": self.config,
                             "inputs": self.inputs})


def fingerprints(stage: str, version: int, fields: Mapping[str, Any]
                 ) -> Callable[[str, Mapping[str, Any], Mapping[str, str]], str]:
    """`Identity.fingerprint` for the tasks of one stage, which share all but a little of what is hashed.

    Args:
        stage: Its folder.
        version: Its version.
        fields: Its configuration, whatever it calls `task` gives way to variables.
    Returns:
        A function of a task's name, its variables and its inputs' digests. Where there are variables, the identity's
        configuration holds them as `task`.
    """
    before, after = (json.dumps({key: value for key, value in fields.items()
                                 if key != "task" and (key < "task") == early}, sort_keys=True)[1:-1]
                     for early in (True, False))
    start = f"{before}, " if before else ""
    end = f", {after}" if after else ""
    plain = json.dumps(dict(fields), sort_keys=True)
    tail = f', "stage": {json.dumps(stage)}, "task": '
    encode = json.JSONEncoder(sort_keys=True).encode

    def fingerprint(task: str, variables: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
        config = f'{{{start}"task": {encode(dict(variables))}{end}}}' if variables else plain
        text = f'{{"config": {config}, "inputs": {encode(inputs)}{tail}{encode(task)}, "version": {version}}}'
        return xxhash.xxh3_128_hexdigest(text.encode())

    return fingerprint


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """A finished task. Timings and host are for people; nothing reads them back to decide anything."""

    identity: Identity
    outputs: tuple[OutputFile, ...]
    counters: Mapping[str, int]
    damage: tuple[Damage, ...] = ()
    seconds: float = 0.0
    peak_memory_bytes: int = 0
    host: str = ""
    finished_at: str = ""
    fingerprint: str = field(default="")

    def to_json(self) -> bytes:
        # Not `asdict` of all, which copies the configuration and everything in it.
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)} | {
            "identity": {f.name: getattr(self.identity, f.name) for f in dataclasses.fields(self.identity)},
            "outputs": [asdict(output) for output in self.outputs], "damage": [asdict(found) for found in self.damage],
            "fingerprint": self.identity.fingerprint}
        text = json.dumps(fields, sort_keys=True, indent=1)
        return f'{text[:-2]},\n "{_DIGEST}": "{xxhash.xxh3_128_hexdigest(text.encode())}"\n}}\n'.encode()

    @staticmethod
    def from_json(data: bytes) -> TaskRecord | None:
        """The record in these bytes, or None where they are not a complete record.

        Those of 0.1.0, whose identities call the task a shard, are read as well; they have no digest of their own."""
        try:
            fields = json.loads(data)
            digest = fields.pop(_DIGEST, None)
            if digest is not None and digest != _digest_of(fields):
                return None
        except (ValueError, RecursionError, AttributeError, TypeError):
            return None
        return TaskRecord.from_fields(fields)

    @staticmethod
    def from_fields(fields: Any) -> TaskRecord | None:
        """The record of fields as JSON has them, or None where they are not a complete record."""
        try:
            stored = fields.pop("identity")
            identity = Identity(**{"task" if name == "shard" else name: value for name, value in stored.items()})
            outputs = tuple(OutputFile(**o) for o in fields.pop("outputs"))
            damage = tuple(Damage(**d) for d in fields.pop("damage"))
            record = TaskRecord(identity=identity, outputs=outputs, damage=damage, **fields)
            _check_types(record)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, InputError):
            return None
        return record if record.fingerprint == _fingerprint(stored) else None

    def output(self, role: str) -> OutputFile:
        """The one output of a role."""
        (output,) = (o for o in self.outputs if o.role == role)
        return output


def _check_types(record: TaskRecord) -> None:
    """Raise TypeError or InputError where a record is none that this project wrote: what it names lies below the run.
    """
    identity = record.identity
    texts = [identity.stage, identity.task, record.host, record.finished_at, record.fingerprint]
    numbers = [identity.version, record.peak_memory_bytes]
    for output in record.outputs:
        confined(output.path, "record")
        texts += [output.role, output.digest, output.seal]
        numbers += [output.n_bytes, output.n_rows]
    for damage in record.damage:
        texts += [damage.where, damage.what]
    confined(f"{identity.stage}/{identity.task}", "record")
    if not (all(isinstance(text, str) for text in (*texts, *identity.inputs, *identity.inputs.values()))
            and all(type(number) is int for number in (*numbers, *record.counters.values()))
            and isinstance(identity.config, dict) and isinstance(record.seconds, int | float)):
        raise TypeError("a field of the record has another type")


def _digest_of(fields: Mapping[str, Any]) -> str:
    return xxhash.xxh3_128_hexdigest(json.dumps(fields, sort_keys=True, indent=1).encode())


def _fingerprint(identity: Mapping[str, Any]) -> str:
    return xxhash.xxh3_128_hexdigest(json.dumps(identity, sort_keys=True).encode())


def record_name(stage: str, task: str) -> str:
    """Where a task's record lies: `extract/crawl/_records/1a/part-x-1a2b3c4d.json`."""
    folder, _, name = f"{stage}/{task}".rpartition("/")
    return f"{folder}/{RECORDS_FOLDER}/{part_path(name)}.json"


def read_record(storage: Storage, stage: str, task: str) -> TaskRecord | None:
    """The task's record if it is complete and its outputs are there with the recorded sizes."""
    data = storage.read_bytes(record_name(stage, task))
    record = TaskRecord.from_json(data) if data is not None else None
    if record is None or any(storage.size(o.path) != o.n_bytes for o in record.outputs):
        return None
    return record


def staleness(record: TaskRecord | None, wanted: Identity) -> str | None:
    """Why a task must be done (again), in words; None where its record is up to date."""
    if record is None:
        return "never done"
    have = record.identity
    if have.fingerprint == wanted.fingerprint:
        return None
    if have.version != wanted.version:
        return f"stage version {have.version} -> {wanted.version}"
    for key, value, other in differences(have.config, wanted.config):
        return f"{key}: {value!r} -> {other!r}"
    for name in sorted({*have.inputs, *wanted.inputs}):
        if have.inputs.get(name) != wanted.inputs.get(name):
            return f"input {name} changed"
    return "identity changed"


def differences(have: Any, wanted: Any, prefix: str = "") -> list[tuple[str, Any, Any]]:
    """(dotted key, old, new) of every leaf that differs between two JSON-like values."""
    if not (isinstance(have, Mapping) and isinstance(wanted, Mapping)):
        return [] if have == wanted else [(prefix, have, wanted)]
    found = []
    for key in sorted({*have, *wanted}):
        name = f"{prefix}.{key}" if prefix else key
        found += differences(have.get(key), wanted.get(key), name)
    return found
