"""Records and manifests carried over to files that were rewritten in place."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

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


def rebase(journal: Journal, records: Sequence[TaskRecord], outputs: Mapping[str, OutputFile],
           removals: str) -> None:
    """Stage every record that names a changed file, as an output or by its digest as an input.

    removals: digest of the list of removals, which becomes an input of its READERS."""
    renewed = [replace(r, outputs=tuple(outputs.get(o.path, o) for o in r.outputs)) for r in records
               if r.identity.stage != "removals"]
    kept = [r for r in records if r.identity.stage != "removals"]
    new_digest = _digests(kept, renewed)
    for old, new in zip(kept, renewed, strict=True):
        inputs = {name: new_digest.get(digest, digest) for name, digest in old.identity.inputs.items()}
        if old.identity.stage in READERS:
            inputs["removals"] = removals
        record = replace(new, identity=replace(old.identity, inputs=inputs), fingerprint="")
        if record.identity != old.identity or record.outputs != old.outputs:
            with open(journal.stage(record_name(old.identity.stage, old.identity.task)), "wb") as stream:
                stream.write(record.to_json())


def _digests(before: Sequence[TaskRecord], after: Sequence[TaskRecord]) -> dict[str, str]:
    """What inputs were called, and are called now: single files, and every file of a role of a stage as one.

    A digest that a changed and an unchanged file share names neither: tasks that read it run again in the next run."""
    pairs = [(o.digest, n.digest) for old, new in zip(before, after, strict=True)
             for o, n in zip(old.outputs, new.outputs, strict=True)]
    same = {old for old, new in pairs if old == new}
    renamed = {old: new for old, new in pairs if old != new and old not in same}
    old_wholes, new_wholes = _wholes(before), _wholes(after)
    return renamed | {old_wholes[key]: new_wholes[key] for key in old_wholes}


def _wholes(records: Sequence[TaskRecord]) -> dict[tuple[str, str], str]:
    """The digest of every (stage, role), as `graph.View.every` has it."""
    listed: dict[tuple[str, str], list[str]] = {}
    for record in sorted(records, key=lambda r: (r.identity.stage, r.identity.task)):
        for output in record.outputs:
            listed.setdefault((record.identity.stage, output.role), []).append(output.digest)
    return {key: xxhash.xxh3_128_hexdigest(json.dumps(digests).encode()) for key, digests in listed.items()}
