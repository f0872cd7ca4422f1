"""`curate extract`: documents from archives and text files of one's own, without a recipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from manifests.errors import CurateError, InputError, RecipeError
from manifests.storage import is_local

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor

    from curate.documents.config import ExtractConfig


def extract_command(
    files: Annotated[list[str], typer.Argument(metavar="IN…", help=(
        "WARC, ARC, WACZ, WET, Parquet, JSONL or text files; folders and patterns too."))],
    out: Annotated[str, typer.Option("--out", metavar="DIR", help="Folder for the parts and exclusions/.")],
    source: Annotated[str, typer.Option(metavar="NAME", help="Source that ids and rows of documents name.")] = "pages",
    languages: Annotated[str | None, typer.Option(metavar="CODES", help=(
        "Languages to keep, such as en or en,de; without it, all."))] = None,
    extractor: Annotated[str | None, typer.Option(metavar="NAME", help="HTML extractor; see docs/recipe.md.")] = None,
    config: Annotated[str | None, typer.Option(metavar="FILE", help=(
        "YAML with what a recipe says under `extract`."))] = None,
    id_column: Annotated[str, typer.Option(help="Column or key of the ids; `doc_id` where it is absent.")] = "id",
    text_column: Annotated[str, typer.Option(help="Column or key of the texts.")] = "text",
    workers: Annotated[int | None, typer.Option(min=1, help="Files at a time; one a core by default.")] = None,
    form: Annotated[str, typer.Option("--format", help="text for people, json for programs.")] = "text",
) -> None:
    """Documents and exclusions from archives: curate extract crawl/*.warc.gz --out documents --languages en

    Each input becomes DIR/part-NAME.parquet and DIR/exclusions/part-NAME.parquet. An input that cannot be read is named
    and the others are done; the exit code is then 1."""
    import json

    if form not in ("text", "json"):
        raise RecipeError("is no format; they are text and json", where=f"--format {form}")
    if not is_local(out):
        raise RecipeError("must be a local folder", where=f"--out {out}", hint="`curate run` writes to object stores")
    settings = _settings(config, languages, extractor)
    os.makedirs(out, exist_ok=True)
    jobs, failures = _jobs(files, out, source, (id_column, text_column), settings)
    total: dict[str, int] = {}
    n_missing = len(failures)
    for report in _reports(jobs, min(workers or os.cpu_count() or 1, len(jobs) or 1)):
        for damage in report.damage:
            print(f"{report.path}: {damage}", file=sys.stderr)
        if report.error is not None:
            failures.append(report.error)
        for name, n in report.counters.items():
            total[name] = total.get(name, 0) + n
    for error in failures:
        print(f"curate: {error}", file=sys.stderr)
    with suppress(OSError):  # the staging folder, unless another process stages there too
        os.rmdir(os.path.join(out, ".tmp"))
    facts = {"files": len(jobs) + n_missing, "failed": [e.where for e in failures], **dict(sorted(total.items()))}
    print(json.dumps(facts) if form == "json" else _sentences(facts))
    raise typer.Exit(1 if failures else 0)


@dataclass(frozen=True)
class _Job:
    """One input file. out: folder of the outputs. part: name of its part, without suffix."""

    path: str
    out: str
    part: str
    origin_path: str
    source: str
    columns: tuple[str, str]
    config: ExtractConfig


@dataclass
class _Report:
    """What became of a file."""

    path: str
    counters: dict[str, int] = field(default_factory=dict)
    damage: list[str] = field(default_factory=list)
    error: CurateError | None = None


def _settings(file: str | None, languages: str | None, extractor: str | None) -> ExtractConfig:
    import yaml
    from pydantic import ValidationError

    from curate.documents.config import ExtractConfig

    fields: dict[str, Any] = {"languages": None}
    if file is not None:
        try:
            with open(file, encoding="utf-8") as stream:
                fields |= yaml.safe_load(stream) or {}
        except (OSError, yaml.YAMLError, TypeError, ValueError) as error:
            raise RecipeError(f"cannot be read: {error}", where=file) from error
    if languages is not None:
        fields["languages"] = tuple(code.strip() for code in languages.split(",") if code.strip())
    if extractor is not None:
        fields["extractor"] = extractor
    try:
        return ExtractConfig(**fields)
    except (ValidationError, TypeError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        raise RecipeError(str(first["msg"]), where=".".join(map(str, first["loc"])) or file,
                          hint="docs/recipe.md lists the fields of `extract`") from error


def _jobs(patterns: Sequence[str], out: str, source: str, columns: tuple[str, str], config: ExtractConfig,
          ) -> tuple[list[_Job], list[CurateError]]:
    """A job for each file there is, and an error for each name that stands for none."""
    from pipelines.inputs import find_files, part_names

    paths: dict[str, None] = {}
    failures: list[CurateError] = []
    for pattern in patterns:
        try:
            paths |= dict.fromkeys(find_files([pattern]))
        except CurateError as error:
            failures.append(error)
    found = list(paths)
    root = os.path.commonpath([os.path.dirname(os.path.abspath(p)) for p in found]) if found else ""
    jobs = [_Job(path, out, name.removesuffix(".parquet"), os.path.relpath(os.path.abspath(path), root), source,
                 columns, config) for path, name in zip(found, part_names(found), strict=True)]
    return jobs, failures


def _reports(jobs: Sequence[_Job], workers: int) -> Iterator[_Report]:
    """What became of each file, in the order of the files."""
    if workers == 1:
        yield from map(_extract_file, jobs)
        return
    with _pool(workers) as pool:
        waiting = [pool.submit(_extract_file, job) for job in jobs]
        results = [_result(job, future) for job, future in zip(jobs, waiting, strict=True)]
    for job, report in zip(jobs, results, strict=True):
        yield report or _alone(job)


def _pool(workers: int) -> ProcessPoolExecutor:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


def _result(job: _Job, future: Future[_Report]) -> _Report | None:
    """A worker's report; None where a worker died, which fails the files of all others with it."""
    from concurrent.futures.process import BrokenProcessPool

    try:
        return future.result()
    except BrokenProcessPool:
        return None


def _alone(job: _Job) -> _Report:
    """One file in a process of its own: if that dies, it was this file."""
    with _pool(1) as pool:
        report = _result(job, pool.submit(_extract_file, job))
    return report or _Report(job.path, error=InputError("ended the process that read it", where=job.path))


def _extract_file(job: _Job) -> _Report:
    import pyarrow as pa

    from curate.documents.stage import extract
    from manifests.storage import Storage
    from manifests.tasks import InputRef, StageTask, Work

    pa.set_cpu_count(1)
    facts = {"source": job.source, "origin_path": job.origin_path, "kind": "auto",
             "id_column": job.columns[0], "text_column": job.columns[1]}
    task = StageTask(".", 0, job.part, job.config, {}, {"source": InputRef((os.path.abspath(job.path),), "")}, facts)
    storage = Storage(job.out)
    report = _Report(job.path)
    try:
        with storage.staging() as staging:
            work = Work(storage, task, staging)
            extract(job.config, work)
            work.publish()
        report.counters = dict(work.counters)
        report.damage = [f"{d.where.rpartition('@')[2]}: {d.what}" for d in work.damage]
    except CurateError as error:
        report.error = error
    except Exception as error:  # of this file alone: the others are done
        report.error = InputError(f"cannot be read: {type(error).__name__}: {error}", where=job.path)
    return report


def _sentences(facts: dict[str, Any]) -> str:
    lines = [f"{facts['files']:,} files, {len(facts['failed']):,} failed; {facts.get('candidates', 0):,} records",
             f"{facts.get('documents', 0):,} documents with {facts.get('text_bytes', 0) / 1e6:,.1f} MB of text"]
    return "\n".join([*lines, *(f"  {name:<32} {n:,}" for name, n in facts.items()
                                if name.startswith(("dropped_", "damaged", "normalised_", "mixed_")) and n)])
