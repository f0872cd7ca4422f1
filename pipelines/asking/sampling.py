"""Documents to look at: a stateless sample of those that were kept, or dropped by a stage or for a reason.

Which documents: those of lowest hash of (seed, id), so that the same question shows the same ones. First the narrow
tables of decisions are read, then the texts of the chosen rows alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.errors import InputError, RecipeError
from manifests.hashing import id_words, keyed_hash
from manifests.single_rows import read_one, read_rows
from manifests.stage_files import StageFile, StageFiles, decision_files
from manifests.suggestion import meant_or_listed
from manifests.tables import open_table, read_table
from pipelines.asking.fates import exclusions_of, fates_of, files_of, tasks_of

_SHOWN: Final = ("doc_id", "url", "source", "language", "page_type", "n_bytes", "text")
_OF: Final = "duplicate_of"
_STAGES: Final = {"dedup": ("dedup/decisions", "dedup/passage_decisions", "dedup/substrings")}


def sample(files: StageFiles, stage: str | None = None, reason: str | None = None, kept: bool = False, n: int = 20,
           seed: int = 0, source: str | None = None, tasks: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Some documents with their texts.

    Args:
        files: The run's.
        stage: Those that this stage dropped: `extract`, `select`, `dedup`, `decontaminate`, or a step of them.
        reason: Those dropped for this reason, whatever stage gave it.
        kept: Those that the run kept, instead; so it is too where neither a stage nor a reason is named.
        n: How many, at most.
        seed: Other documents for every seed.
        source: Only those of this source.
        tasks: Parts that are read; None for all.
    Returns:
        doc_id, url, source, language, page_type, n_bytes, text (None for what extraction left out), and of dropped ones
        stage, reason, value, threshold; of duplicates `duplicate_of`, the document that stayed.
    Raises:
        RecipeError: There is no such stage or reason.
    """
    if kept and (stage or reason):
        asked = " and ".join(name for name, value in (("--stage", stage), ("--reason", reason)) if value)
        raise RecipeError(f"cannot be together with {asked}, which choose among dropped documents", where="--kept",
                          hint="leave out one of them; --stage STAGE alone shows what that stage dropped")
    if stage is None and reason is None:
        return _kept(files, n, seed, source, tasks)
    chosen = _Lowest(n, seed)
    seen: set[str] = set()
    for task in tasks_of(files) if tasks is None else tasks:
        if source is not None and not task.startswith(f"{source}/") and not _derives(files, source):
            continue
        for kind, fates in (("documents", fates_of(files, task)), ("exclusions", exclusions_of(files, task))):
            dropped = fates.filter(_is_of(fates, stage))
            seen.update(pc.unique(dropped["reason"]).drop_null().to_pylist())
            if reason is not None:
                dropped = dropped.filter(pc.fill_null(pc.equal(dropped["reason"], reason), False))
            chosen.add(files.by_task("extract", kind).get(task), dropped)
    _check_asked(files, stage, reason, seen)
    return [row for row in chosen.rows(files) if source is None or row["source"] == source]


def _derives(files: StageFiles, source: str) -> bool:
    return all(not task.startswith(f"{source}/") for task in tasks_of(files))


def _is_of(fates: pa.Table, stage: str | None) -> Any:
    if stage is None:
        return pc.is_valid(fates["stage"])
    return pc.fill_null(pc.is_in(fates["stage"], pa.array(_STAGES.get(stage, (stage,)))), False)


def _check_asked(files: StageFiles, stage: str | None, reason: str | None, seen: set[str]) -> None:
    known = ["extract", *decision_files(files), "remove"]
    if stage is not None and not set(_STAGES.get(stage, (stage,))) & set(known):
        raise RecipeError(f"no stage that decides is called {stage!r}", where="--stage",
                          hint=meant_or_listed(stage, known))
    if reason is not None and reason not in seen:
        of_stage = f" by {stage}" if stage else ""
        raise RecipeError(f"no document was dropped for {reason!r}{of_stage}", where="--reason",
                          hint=meant_or_listed(reason, sorted(seen), "reasons are"))


def dropped_samples(files: StageFiles, stages: Sequence[str], n: int, tasks: Sequence[str] | None = None
                    ) -> list[dict[str, Any]]:
    """`sample` of what each of some stages dropped, n of each, while each part is read once."""
    chosen = {stage: _Lowest(n, 0) for stage in stages}
    for task in tasks_of(files) if tasks is None else tasks:
        for kind, fates in (("documents", fates_of(files, task)), ("exclusions", exclusions_of(files, task))):
            for stage, lowest in chosen.items():
                lowest.add(files.by_task("extract", kind).get(task), fates.filter(_is_of(fates, stage)))
    return [row for lowest in chosen.values() for row in lowest.rows(files)]


def _kept(files: StageFiles, n: int, seed: int, source: str | None, tasks: Sequence[str] | None
          ) -> list[dict[str, Any]]:
    clean = files_of(files, "clean", "documents", tasks)
    if not files.of("clean", "documents"):
        raise InputError("has no clean corpus yet", where=files.storage.root, hint="`curate status` says how far it is")
    chosen = _Lowest(n, seed)
    for file in clean:
        table = read_table(files.path(file), ["doc_id", "source"])
        rows = pa.array(np.arange(len(table)))
        table = table.append_column("row", rows)
        chosen.add(file, table if source is None else table.filter(pc.equal(table["source"], source)))
    return chosen.rows(files)


class _Lowest:
    """The n rows of lowest hash over many files; holds no more."""

    def __init__(self, n: int, seed: int) -> None:
        self._n, self._seed = n, seed
        self._best: list[tuple[int, StageFile, int, dict[str, Any]]] = []

    def add(self, file: StageFile | None, table: pa.Table) -> None:
        """Take rows into account. table: doc_id, row, and what is told of them."""
        if file is None or not len(table):
            return
        keys = keyed_hash(self._seed, "sample", id_words(table["doc_id"]))
        first = np.argsort(keys, kind="stable")[: self._n]
        facts = table.take(pa.array(first)).to_pylist()
        own = [(int(keys[i]), file, int(row["row"]), row) for i, row in zip(first.tolist(), facts, strict=True)]
        self._best = sorted([*self._best, *own], key=lambda entry: entry[0])[: self._n]

    def rows(self, files: StageFiles) -> list[dict[str, Any]]:
        """What was chosen, with texts, by hash."""
        texts: dict[tuple[str, int], dict[str, Any]] = {}
        for path, file in {file.path: file for _, file, _, _ in self._best}.items():
            numbers = sorted(row for _, other, row, _ in self._best if other.path == path)
            for number, found in zip(numbers, read_rows(files.path(file), numbers, _SHOWN).to_pylist(), strict=True):
                texts[path, number] = found
        return [_merged(texts[file.path, row], facts, _kept_instead(files, file, row, facts))
                for _, file, row, facts in self._best]


def _kept_instead(files: StageFiles, file: StageFile, row: int, facts: dict[str, Any]) -> dict[str, Any]:
    """`duplicate_of` of a document that was dropped as a duplicate; nothing of others."""
    decided = decision_files(files).get(facts.get("stage") or "", {}).get(file.task)
    if decided is None or file.role != "documents":
        return {}
    with open_table(files.path(decided)) as table:
        known = _OF in table.schema_arrow.names
    of = read_one(files.path(decided), row, [_OF])[_OF] if known else None
    return {} if of is None else {_OF: of.hex()}


def _merged(found: dict[str, Any], facts: dict[str, Any], instead: dict[str, Any]) -> dict[str, Any]:
    fate: dict[str, Any] = {name: facts[name] for name in ("stage", "reason", "value", "threshold") if name in facts}
    shown: dict[str, Any] = dict.fromkeys(_SHOWN)
    return {**shown, **found, **fate, **instead, "doc_id": found["doc_id"].hex(), "text": found.get("text")}


def sample_lines(rows: list[dict[str, Any]], characters: int) -> Iterator[str]:
    """Documents for a person."""
    for row in rows:
        yield f"{row['doc_id']}  {row['source']}  {row['url'] or '(no URL)'}"
        if row.get("stage"):
            measured = f": {row['value']:.6g}" if row["value"] is not None else ""
            if _OF in row:
                measured = f" of {row[_OF]}" + (f", similarity {row['value']:.4g}" if (row["value"] or 1) < 1 else "")
            limit = f", threshold {row['threshold']:.6g}" if row["threshold"] is not None else ""
            language = f" ({row['language']})" if row["text"] is None and row["language"] else ""
            yield f"  dropped by {row['stage']}: {row['reason']}{language}{measured}{limit}"
        text = row["text"]
        if text is not None:
            short = text if len(text) <= characters else text[:characters] + "…"
            yield from (f"    {line}" for line in short.splitlines() if line.strip())
        yield ""
    if not rows:
        yield "no document was dropped so (a stage may cut texts and drop none; `curate status` says which have run)"
