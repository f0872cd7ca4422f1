"""Single commands over files of one's own: the stage graph, with a recipe made of a command's options.

A verb names its files, the fields of its recipe and the stages it wants. Its files become the one source `pages` of
kind `table` (or of what the verb says), and the graph runs in a work folder beside the output, so a command that was
killed goes on where it stopped. What of the run becomes output, and under which names, is the verb's.
"""

from __future__ import annotations

import glob
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from curate.sources.kinds import TABLE
from manifests.errors import CurateError, InputError, RecipeError, no_input
from manifests.graph import View
from manifests.storage import Storage, is_local
from pipelines.inputs import part_names
from pipelines.loading import validate
from pipelines.running import Settings, run

SOURCE: Final = "pages"
"""Name of the source that a verb's files are: ids of documents are made of it."""


@dataclass(frozen=True, slots=True)
class VerbFile:
    """An input file of a verb. part: file name of what is made of it. task: name of its tasks in the run; None where
    it could not be read."""

    path: str
    part: str
    task: str | None


@dataclass(slots=True)
class VerbRun:
    """What the graph made of a verb's files.

    storage: the run in the work folder. view: the records of its stages. files: in the order given. failures: of files
    that could not be read."""

    storage: Storage
    view: View
    files: list[VerbFile]
    failures: list[CurateError] = field(default_factory=list)

    def outputs(self, stage: str, role: str) -> Iterator[tuple[VerbFile, str]]:
        """(file, full path of its output) for every file that could be read, in the order given."""
        paths = {record.identity.task: record.output(role).path for record in self.view.tasks(stage)}
        for file in self.files:
            if file.task is not None:
                yield file, self.storage.path(paths[file.task])


def sources(paths: Sequence[str], **config: Any) -> dict[str, Any]:
    """The sources of a verb's recipe: its files as the table `pages`.

    paths: files, as they stand: no pattern. config: fields of the source beside them; `kind` among them where the files
    are no tables."""
    return {SOURCE: {"files": [glob.escape(p) if is_local(p) else p for p in paths], "kind": TABLE, **config}}


@contextmanager
def verb_run(name: str, out: str, paths: Sequence[str], fields: Mapping[str, Any], only: Sequence[str],
             workers: int = 1, guards: bool = False) -> Iterator[VerbRun]:
    """Run some stages over a verb's files; the work folder goes when the block ends without error.

    Args:
        name: Of the verb, which becomes the recipe's.
        out: The verb's output; `OUT.work` beside it is where the graph runs.
        paths: The input files, in order; one that cannot be read is named and the others are done.
        fields: The recipe, but for name and mixture, which is all of `pages` unless given. Languages are not
            identified, signals not computed and no classifier trained unless they say so.
        only: Stages, or folders of stages; the others count as done, with nothing to show.
        workers: Tasks at a time: in this process, or with more than one on Ray.
        guards: Whether a stage that leaves too little stops the run.
    Yields:
        What the graph made of each file.
    Raises:
        RecipeError: The options make no recipe.
        InputError: None of the files can be read.
    """
    if not is_local(out):
        raise RecipeError("must be a local folder", where=f"--out {out}", hint="`curate run` writes to object stores")
    recipe = validate({"name": name, "sources": sources(paths), "classifier": None, "mixture": {"weights": {SOURCE: 1}},
                       "extract": {"identify_language": False, "signals": False}, **fields}, f"curate {name}")
    work = f"{os.path.abspath(out).rstrip('/')}.work"
    settings = Settings("ray" if workers > 1 else "inline", workers=workers if workers > 1 else None, only=tuple(only),
                        guards=guards, tracebacks=False)
    result = run(recipe, work, settings)
    tables = VerbRun(Storage(work), result.view, _files(result.view, paths), [e for _, e in result.failed])
    _name_damage(tables)
    if result.failed and not any(file.task for file in tables.files):
        raise no_input([InputError(e.what, where=e.where, hint=e.hint) for e in tables.failures])
    yield tables
    shutil.rmtree(work, ignore_errors=True)


def _files(view: View, paths: Sequence[str]) -> list[VerbFile]:
    source = next(s for s in view.sources if s.name == SOURCE)
    done = {record.identity.task for record in view.tasks("extract")}
    tasks = [f"{SOURCE}/{file.part}" for file in source.files]
    return [VerbFile(path, part, task if task in done else None)
            for path, part, task in zip(paths, part_names(paths), tasks, strict=True)]


def _name_damage(tables: VerbRun) -> None:
    """Say on stderr what of the files had to be skipped."""
    paths = {file.task: file.path for file in tables.files}
    for record in tables.view.tasks("extract"):
        for damage in record.damage:
            print(f"{paths[record.identity.task]}: at {damage.where.rpartition('@')[2]}: {damage.what}",
                  file=sys.stderr)
