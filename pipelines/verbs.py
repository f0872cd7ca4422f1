"""Single commands over the user's files: the stage graph, with a recipe built from a command's options.

A verb names its files, the fields of its recipe and the stages it wants. Its files become the one source `pages` of
kind `table` (or of what the verb says), and the graph runs in a work folder beside the output, so a command that was
killed goes on where it stopped. What of the run becomes output, and under which names, is the verb's.
"""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from curate.sources.kinds import TABLE
from manifests.errors import CurateError, OwnershipError, RecipeError, StageError
from manifests.graph import View
from manifests.storage import Storage, is_local
from pipelines import work_folder
from pipelines.inputs import part_names
from pipelines.loading import validate
from pipelines.recipe import Recipe
from pipelines.running import Settings, run
from pipelines.showing import shown
from pipelines.verb_failures import Failures
from pipelines.verb_files import DECISIONS, INDEX, REPORT, REPORTS, VerbFiles, check_free, target
from pipelines.verb_inputs import refuse_decisions, refuse_replaced
from pipelines.verb_options import VerbOptions

SOURCE: Final = "pages"
"""Name of the source that a verb's files are: document ids depend on it."""


@dataclass(frozen=True, slots=True)
class VerbFile:
    """An input file of a verb. part: file name of its output. task: name of its tasks in the run; None where
    it could not be read."""

    path: str
    part: str
    task: str | None


@dataclass(slots=True)
class VerbRun:
    """The output of the graph for a verb's files.

    name: of the verb. storage: the run in the work folder. view: the records of its stages. files: in the order given.
    out: what the verb will leave, which appears when the block ends. options: as given. failures: of files that could
    not be read."""

    name: str
    storage: Storage
    view: View
    files: list[VerbFile]
    out: VerbFiles
    options: VerbOptions
    failures: list[CurateError] = field(default_factory=list)

    def take(self, stage: str, role: str, beside: str = "") -> None:
        """Leave every file's output of a stage under the file's name, in OUT or in a folder beside it."""
        for file, path in self.outputs(stage, role):
            self.out.take(path, file.part, beside)

    def outputs(self, stage: str, role: str) -> Iterator[tuple[VerbFile, str]]:
        """(file, full path of its output) for every file of which there is one, in the order given."""
        paths = {record.task: record.output(role).path for record in self.view.tasks(stage)}
        for file in self.files:
            if file.task in paths:
                yield file, self.storage.path(paths[file.task])

    def path(self, stage: str, task: str, role: str) -> str:
        """Full path of one output of a task."""
        return self.storage.path(self.view.output(stage, task, role).paths[0])


def files_source(paths: Sequence[str], **config: Any) -> dict[str, Any]:
    """A source of a verb's recipe: files as they are, no patterns, in this order, each a part.

    config: fields of the source beside them; `kind` among them where the files are no tables."""
    files = [glob.escape(p) if is_local(p) else p for p in paths]
    return {"files": files, "in_order": True, "kind": TABLE, "split_bytes": None, **config}


@contextmanager
def verb_run(name: str, out: str, paths: Sequence[str], fields: Mapping[str, Any], only: Sequence[str],
             options: VerbOptions | None = None, guards: bool = False, needs_one: bool = True,
             source: Mapping[str, Any] | None = None, folders: Sequence[str] | None = ()) -> Iterator[VerbRun]:
    """Run some stages over a verb's files. What the block leaves in `VerbRun.out` appears when it ends without error;
    then the work folder goes.

    Args:
        name: Of the verb, which becomes the recipe's.
        out: The verb's output; `OUT.work` beside it is where the graph runs.
        paths: The input files, in order, which are those of the first source; one that cannot be read is named and the
            others are done.
        fields: The recipe, but for its name. Unless they say otherwise, the files are the source `pages`, of which all
            is mixed; languages are not identified, signals not computed, duplicates stay, no classifier is trained.
        only: Stages, or folders of stages, as of `Settings.only`.
        options: How to run, which rows to read, and what is shown meanwhile; nothing is where there are none.
        guards: Whether a stage that leaves too little stops the run.
        needs_one: Whether it is an error that none of the files can be read.
        source: Fields of the source `pages`, as of `files_source`.
        folders: Names of folders that OUT will hold beside a part for each file; None where OUT is anything else.
    Yields:
        The output of the graph for each file.
    Raises:
        RecipeError: The options make no recipe, an input holds decisions where documents are meant, or OUT names no
            folder or what the command reads.
        InputError: None of the files can be read.
        OwnershipError: `OUT.work` is not this verb's or in use, or OUT holds what this verb does not make.
    """
    options = options or VerbOptions(quiet=True)
    given, out = out, _output(out, folders is not None)
    refuse_decisions(name, paths, given)
    refuse_replaced([*paths, *options.decisions], out)
    expected = [] if folders is None else _expected(out, paths, folders)
    recipe = validate({
        "name": name, "sources": {SOURCE: files_source(paths, **options.source(), **(source or {}))},
        "classifier": None, "mixture": {"weights": {SOURCE: 1}},
        "extract": {"identify_language": False, "signals": False}, "dedup": {"exact": False, "near": False}, **fields},
        f"curate {name}")
    work = work_folder.claim(out, name)
    with shown(options.quiet, options.verbose, options.progress, of_stages=False) as reporter:
        failed = Failures(reporter)
        settings = Settings(options.runs_on, options.address, options.workers, only=tuple(only), guards=guards,
                            tracebacks=False)
        view = _run_graph(recipe, work, settings, failed, len(paths))
    if needs_one:
        failed.raise_if_all(len(paths), work)
    done = VerbRun(name, Storage(work), view, _files(view, paths), VerbFiles(work, out), options, failed.errors)
    _name_damage(done)
    yield done
    done.out.publish(expected)
    if not options.keep_work:
        work_folder.remove(work)


def _output(out: str, is_folder: bool) -> str:
    """The full path of a verb's output. Raises RecipeError where it is no local path, or a file where a folder is
    meant."""
    if not is_local(out):
        raise RecipeError("must be a local folder", where=f"--output {out}",
                          hint="`curate run` writes to object stores")
    path = target(out)
    if is_folder and os.path.lexists(path) and not os.path.isdir(path):
        raise RecipeError("is a file, and a folder is meant", where=f"--output {out}")
    return path


def _expected(out: str, paths: Sequence[str], folders: Sequence[str]) -> list[str]:
    """Names of the parts that a verb makes in OUT. Raises OwnershipError where OUT or a folder beside it holds anything
    else than what the verb makes there."""
    parts = part_names(paths)
    for beside in ("", DECISIONS, REPORT, INDEX):
        check_free(f"{out}{beside}", [*parts, *folders, *(REPORTS if beside == REPORT else ())])
    return parts


def _run_graph(recipe: Recipe, work: str, settings: Settings, failed: Failures, n_files: int) -> View:
    """Run a verb's stages in its work folder, which goes where nothing was begun or no file could be read."""
    try:
        return run(recipe, work, settings, failed).view
    except OwnershipError as error:
        if isinstance(error.__cause__, BlockingIOError):  # in use: the hint is to wait, not to delete it
            raise
        raise OwnershipError(error.what, where=error.where, hint=(
            "repeat the command that began it, delete that folder, or choose another --output")) from error
    except StageError:
        failed.raise_if_all(n_files, work)
        raise
    finally:
        work_folder.remove_unused(work)


def _files(view: View, paths: Sequence[str]) -> list[VerbFile]:
    if not paths:
        return []
    source = view.sources[0]
    done = {record.task for record in view.tasks("extract")}
    tasks = [f"{source.name}/{file.part}" for file in source.files]
    return [VerbFile(path, part, task if task in done else None)
            for path, part, task in zip(paths, part_names(paths), tasks, strict=True)]


def _name_damage(tables: VerbRun) -> None:
    """Say on stderr what of the files had to be skipped, and how much of each."""
    paths = {f"{source.name}/{file.part}": file.path for source in tables.view.sources for file in source.files}
    for record in tables.view.tasks("extract"):
        path = paths[record.task]
        for damage in record.damage:
            print(f"{path}: at {damage.where.rpartition('@')[2]}: {damage.what}", file=sys.stderr)
        if n := record.counters.get("damaged", 0):  # the first of them are named
            print(f"{path}: {n:,} {'place' if n == 1 else 'places'} cannot be read, and what stands there is left out",
                  file=sys.stderr)

