"""Token files from elsewhere: located in folders and runs, and counted as a mixture is planned on them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from manifests.errors import AbsentError, InputError
from manifests.hashing import id_words
from manifests.part_paths import files_in
from manifests.tables import open_table
from tokenizer.encoding.token_index import read_index
from tokenizer.mixture.mixture import Counts, is_validation

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
    beside each, or in its subfolder `tokens`.

    Args:
        path: A run, or a folder.
        source: Name of the source, for a folder.
    Raises:
        InputError: There is no token part, or an index lacks a column.
    """
    run = os.path.join(path, "tokens")
    if os.path.exists(os.path.join(path, "recipe.lock.yaml")) and os.path.isdir(run):
        folders = {name: os.path.join(run, name) for name in sorted(os.listdir(run))
                   if os.path.isdir(os.path.join(run, name)) and name != "_records"}
    else:
        folders = {source or os.path.basename(os.path.normpath(path)): path}
    parts = [part for name, folder in folders.items() for part in _parts_of(name, folder)]
    if not parts:
        raise InputError("holds no token parts", where=path,
                         hint="give a run, or a folder of .parquet indexes with .tokens files")
    return parts


def _parts_of(source: str, folder: str) -> list[TokenPart]:
    if not os.path.isdir(folder):
        raise AbsentError("there is no such folder", where=folder)
    parts = []
    for index in files_in(folder):
        here, name = os.path.split(index)
        stem, suffix = os.path.splitext(name)
        candidates = [os.path.join(here, f"{stem}.tokens"), os.path.join(here, "tokens", f"{stem}.tokens")]
        tokens = next((p for p in candidates if os.path.exists(p)), None)
        if suffix != ".parquet" or tokens is None:
            continue
        with open_table(index) as file:
            missing = sorted(set(_INDEX) - set(file.schema_arrow.names))
        if missing:
            raise InputError(f"is not an index of tokens: it has no column {missing[0]!r}", where=index)
        parts.append(TokenPart(source, stem, os.path.abspath(tokens), os.path.abspath(index)))
    return parts


def count_parts(parts: Sequence[TokenPart], seed: int, validation_fraction: float) -> dict[str, Counts]:
    """What every source has of both splits, from the indexes alone: what a mixture is planned on."""
    totals: dict[str, list[int]] = {}
    for part in parts:
        total = totals.setdefault(part.source, [0, 0, 0, 0])
        for group in read_index(part.index):
            held_out = is_validation(seed, validation_fraction, id_words(group["group_id"]))
            tokens = group["n_tokens"].to_numpy() + 1
            for column, here in ((0, ~held_out), (2, held_out)):
                total[column] += int(np.count_nonzero(here))
                total[column + 1] += int(tokens[here].sum())
    return {name: Counts(*total) for name, total in totals.items() if total[0] or total[2]}
