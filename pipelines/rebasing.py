"""Records and manifests carried over to files that were rewritten in place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

import pyarrow as pa
import xxhash

from manifests.records import OutputFile, TaskRecord, record_name
from manifests.schema import STAGE_MANIFEST
from manifests.storage import Storage
from manifests.tables import read_table, write_table
from manifests.tasks import MANIFEST
from pipelines.journal import Journal

READERS = ("extract", "clean", "packed")
"""Folders of stages that take the list of removals as an input."""


def rewrite_manifests(storage: Storage, journal: Journal, outputs: Mapping[str, OutputFile]) -> None:
    """Stage every STAGE/manifest.parquet that lists a changed file."""
    for name in storage.list(""):
        if not name.endswith(f"/{MANIFEST}") or name in outputs or name.startswith("."):
            continue
        table = read_table(storage.path(name))
        if table.column_names != STAGE_MANIFEST.names:
            continue
        rows = table.to_pylist()
        for row in rows:
            new = outputs.get(row["path"])
            if new is not None:
                row |= {"n_bytes": new.n_bytes, "n_rows": new.n_rows, "xxh3": new.digest,
                        "seal": new.seal}
        if any(row["path"] in outputs for row in rows):
            write_table(journal.stage(name), STAGE_MANIFEST, [pa.Table.from_pylist(rows, STAGE_MANIFEST)])


def rebase(journal: Journal, records: Callable[[], Iterator[TaskRecord]], renamed: Mapping[str, str],
           outputs: Mapping[str, OutputFile], removals: str) -> None:
    """Stage every record that names a changed file, as an output or by its digest as an input.

    Args:
        journal: Where records are staged.
        records: Gives every record of the run, stage by stage and by task; it is asked twice.
        renamed: Digests of changed files as they were, with those that they have.
        outputs: The changed files, by path.
        removals: Digest of the list of removals, which becomes an input of its READERS.
    """
    new_digest = _digests(records(), renamed, outputs)
    for old in records():
        if old.identity.stage == "removals":
            continue
        inputs = {name: new_digest.get(digest, digest) for name, digest in old.identity.inputs.items()}
        if old.identity.stage in READERS:
            inputs["removals"] = removals
        record = replace(old, identity=replace(old.identity, inputs=inputs), fingerprint="",
                         outputs=tuple(outputs.get(o.path, o) for o in old.outputs))
        if record.identity != old.identity or record.outputs != old.outputs:
            with open(journal.stage(record_name(old.identity.stage, old.identity.task)), "wb") as stream:
                stream.write(record.to_json())


def _digests(records: Iterator[TaskRecord], renamed: Mapping[str, str], outputs: Mapping[str, OutputFile]
             ) -> dict[str, str]:
    """What inputs were called, and are called now: single files, and every file of a role of a stage as one.

    A digest that a changed and an unchanged file share names neither: tasks that read it run again in the next run."""
    single, wholes = dict(renamed), dict[str, str]()
    for stage, of_stage in groupby(records, lambda record: record.identity.stage):
        files: dict[str, list[OutputFile]] = {}
        for record in of_stage:
            for output in record.outputs:
                files.setdefault(output.role, []).append(output)
                if output.path not in outputs and stage != "removals":
                    single.pop(output.digest, None)
        for own in files.values():
            if any(output.path in outputs for output in own):
                wholes[_whole(own)] = _whole([outputs.get(output.path, output) for output in own])
    return single | wholes


def _whole(files: Sequence[OutputFile]) -> str:
    """The digest of all files of a role of a stage, by task, as `graph.View.every` has it."""
    return xxhash.xxh3_128_hexdigest(json.dumps([output.digest for output in files]).encode())
