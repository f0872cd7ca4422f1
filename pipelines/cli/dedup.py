"""`curate dedup`: exact and near-duplicates among files of one's own."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from manifests.errors import InputError, RecipeError
from pipelines.cli.options import (
    KEEPS,
    Format,
    FormatOption,
    IdColumn,
    OutFolder,
    TextColumn,
    TextFiles,
    checked,
    emit,
    kept_lines,
    read_yaml,
    with_verb_options,
)
from pipelines.verb_options import VerbOptions

if TYPE_CHECKING:
    import pyarrow as pa

    from curate.dedup.config import DedupRecipe
    from curate.dedup.files.own_decisions import Decided, OwnIds
    from pipelines.verb_documents import Decided as DecidedFile
    from pipelines.verbs import VerbFile, VerbRun


@with_verb_options(KEEPS)
def dedup_command(
    files: TextFiles,
    out: OutFolder,
    exact: Annotated[bool, typer.Option("--exact", help="Remove copies: the same words in the same order.")] = False,
    minhash: Annotated[bool, typer.Option("--minhash", help=(
        "Remove near-duplicates. Where no kind is named: copies and near-duplicates."))] = False,
    urls: Annotated[str | None, typer.Option(metavar="RULE", help=(
        "One row of each canonical URL, from column `url`: the latest, the longest, or the first."))] = None,
    paragraphs: Annotated[bool, typer.Option("--paragraphs", help=(
        "Cut paragraphs that occur earlier, as CCNet does."))] = False,
    sentences: Annotated[bool, typer.Option("--sentences", help=(
        "Cut spans of three sentences that occur earlier, as C4 does."))] = False,
    bloom: Annotated[bool, typer.Option("--bloom", help=(
        "Cut paragraphs and drop rows whose 13-grams were seen, by a Bloom filter, as DCLM does."))] = False,
    min_left_bytes: Annotated[int, typer.Option(min=0, help=(
        "A row that lost paragraphs or sentences is dropped where fewer bytes are left."))] = 0,
    substrings: Annotated[bool, typer.Option("--substrings", help=(
        "Cut passages that occur elsewhere too, byte for byte; all but the first."))] = False,
    min_bytes: Annotated[int, typer.Option(min=16, max=100_000, help="Shortest passage, in UTF-8 bytes.")] = 100,
    cut: Annotated[str, typer.Option(help="repeats: the first of equal passages stays; all: none does.")] = "repeats",
    threshold: Annotated[float, typer.Option(min=0.05, max=0.99, help="Jaccard similarity that removes.")] = 0.8,
    shingles: Annotated[str, typer.Option(help="n-grams of words or of characters.")] = "words",
    ngram: Annotated[int, typer.Option(min=1, max=64, help="Words or characters a shingle.")] = 5,
    verify: Annotated[str, typer.Option(help="exact, or signatures: without comparing texts.")] = "exact",
    survivor_order: Annotated[str, typer.Option(metavar="KEYS", help=(
        "What stays of two duplicates, with commas: quality, length, date, position (the file given first, then the "
        "first row). Position decides between equals."))] = "position",
    config: Annotated[str | None, typer.Option(metavar="FILE", help=(
        "YAML with the fields of a recipe's `dedup`; the options above are then taken from it."))] = None,
    against: Annotated[list[str] | None, typer.Option("--against", metavar="DIR", help=(
        "A run, or the OUT of a command, that keeps its index: what it kept comes first and stays. Repeatable."
        ))] = None,
    keep_index: Annotated[bool, typer.Option("--keep-index", help=(
        "Keep in OUT.index what --against needs of the kept rows: signatures and hashes, no text."))] = False,
    id_column: IdColumn = "id",
    text_column: TextColumn = "text",
    date_column: Annotated[str, typer.Option(help=(
        "Column or key of the dates, where --urls or --survivor-order asks for them."))] = "date",
    quality_column: Annotated[str, typer.Option(help=(
        "Column or key of the scores, where --survivor-order asks for them."))] = "quality_score",
    options: VerbOptions = VerbOptions(),  # noqa: B008 (frozen)
    form: FormatOption = Format.TEXT,
) -> None:
    """Remove duplicates among files: curate dedup old.parquet new.jsonl --output unique --threshold 0.8

    OUT gets a part for each file: the rows that are kept, with all their columns. OUT.decisions says of every row
    `keep`, `reason`, `duplicate_of` (id of the kept row it duplicates) and `similarity`. No row is removed but for a
    kept one that is as similar as the threshold asks. --paragraphs, --sentences, --bloom and --substrings cut what is
    repeated out of the texts; `removed_spans` in the decisions are start and end in UTF-8 bytes, kind, and the row that
    has the passage first."""
    from curate.dedup.config import DedupRecipe
    from pipelines.inputs import find_files
    from pipelines.verb_files import REPORT
    from pipelines.verbs import verb_run

    every = not (exact or minhash or urls or paragraphs or sentences or bloom or substrings)
    fields: dict[str, Any] = {
        "exact": exact or every, "near": minhash or every, "urls": urls, "threshold": threshold, "shingles": shingles,
        "ngram": ngram, "verify": verify, "paragraphs": {} if paragraphs else None,
        "sentences": {} if sentences else None, "bloom": {} if bloom else None, "min_left_bytes": min_left_bytes,
        "survivor_order": [key.strip() for key in survivor_order.split(",")], "max_removed_fraction": 1.0,
        "substrings": {"min_bytes": min_bytes, "cut": cut} if substrings else None}
    if config is not None:
        fields = read_yaml(config, "--config")
    asked = checked(DedupRecipe, fields, "dedup", "docs/recipe.md lists what dedup takes")
    settings = _by_position(asked, keep_index, against or [])
    if not settings.is_on:
        raise RecipeError("asks for nothing", where=f"--config {config}", hint="set exact, near, or another rule")
    paths = find_files(files)
    columns = _columns(settings, id_column, text_column, date_column, quality_column)
    with verb_run("dedup", out, paths, {"dedup": settings.model_dump(mode="json")}, ["extract", "select", "dedup"],
                  options, source=columns) as done:
        for file, path in done.outputs("extract", "documents"):
            _check_needed(asked, file.path, path, columns)
        facts = _leave(done, settings, id_column, text_column)
    emit(form, facts, lambda: _sentences(facts, f"{out.rstrip('/')}{REPORT}"), done.failures)


def _leave(done: VerbRun, settings: DedupRecipe, id_column: str, text_column: str) -> dict[str, Any]:
    """Leave what is kept, the decisions, and the report and the index that were asked for; returns what came of it."""
    from curate.sources.columns import ColumnNames
    from pipelines.verb_documents import write_documents
    from pipelines.verb_files import INDEX, REPORT

    decided = _decided(done)
    own = _own_ids(done, list(decided.values()), len(settings.against))
    cuts = settings.passages or settings.substrings is not None
    tally = write_documents(
        done, ColumnNames(id=id_column, text=text_column), partial(_of_file, done, decided, own, settings.against),
        lambda schema: ["doc_id", "group_id", *(["edits"] if cuts else [])])
    if settings.passages:
        done.out.write("boilerplate.parquet", [_boilerplate(done, own)], beside=REPORT)
    if settings.keep_index:
        done.take("dedup/index", "index", beside=INDEX)
    return {**tally.facts(), "counters": _counters(done)}


def _by_position(settings: DedupRecipe, keep_index: bool, against: list[str]) -> DedupRecipe:
    """The settings with survivor order as a command has it: what is equal by other keys is decided by position, which
    `source` stands for."""
    keys = ["position" if key == "source" else str(key) for key in settings.survivor_order]
    keys = [*keys, "position"]
    fields = {"survivor_order": keys[: keys.index("position") + 1], "against": against or settings.against,
              "keep_index": keep_index or settings.keep_index}
    return type(settings).model_validate({**settings.model_dump(mode="json"), **fields})


def _columns(settings: DedupRecipe, id_column: str, text_column: str, date: str, quality: str) -> dict[str, str]:
    """Which columns are read, as a source names them: dates and scores where something asks for them."""
    columns = {"id_column": id_column, "text_column": text_column}
    if "date" in settings.survivor_order or settings.urls in ("latest", "first"):
        columns["date_column"] = date
    if "quality" in settings.survivor_order:
        columns["quality_column"] = quality
    return columns


def _check_needed(asked: DedupRecipe, path: str, documents: str, columns: dict[str, str]) -> None:
    """Raise InputError where a file has no date or score in any row, and it was asked for by name."""
    from manifests.tables import read_table

    keys = set(asked.survivor_order if "survivor_order" in asked.model_fields_set else ())
    needed = {use for use in ("date", "quality") if use in keys} | ({"date"} if asked.urls == "latest" else set())
    for use in sorted(needed):
        values = read_table(documents, ["quality_score" if use == "quality" else use]).column(0)
        if values.null_count == len(values):
            raise InputError(f"has no {use} under {columns[f'{use}_column']!r} in any row", where=path,
                             hint=f"name the column by --{use}-column")


def _of_file(done: VerbRun, decided: Mapping[VerbFile, Decided], own: OwnIds, roots: Sequence[str], file: VerbFile,
             documents: str) -> DecidedFile:
    """What was decided of one file's documents, by the user's ids."""
    from curate.dedup.files.own_decisions import own_decisions
    from pipelines.verb_documents import Decided as DecidedFile

    stages = {"select": "select", "dedup": "dedup/decisions", "passages": "dedup/passage_decisions",
              "substrings": "dedup/substrings"}
    paths = {name: done.path(stage, str(file.task), "decisions") for name, stage in stages.items()
             if done.view.tasks(stage)}
    return DecidedFile(own_decisions(decided[file], own, roots), paths)


def _boilerplate(done: VerbRun, own: OwnIds) -> pa.Table:
    """What hosts put on many of their pages, by the user's ids."""
    from curate.dedup.files.own_decisions import own_boilerplate

    return own_boilerplate(_reported(done), own)


def _decided(done: VerbRun) -> dict[VerbFile, Decided]:
    from curate.dedup.files.own_decisions import Decided

    stages = [s for s in ("dedup/passage_decisions", "dedup/substrings") if done.view.tasks(s)]
    later = [dict(done.outputs(stage, "decisions")) for stage in stages]
    return {file: Decided.of(path, [paths[file] for paths in later])
            for file, path in done.outputs("dedup/decisions", "decisions")}


def _reported(done: VerbRun) -> list[str]:
    """The boilerplate of every file, where paragraphs are compared."""
    stage = "dedup/passage_decisions"
    return [path for _, path in done.outputs(stage, "boilerplate")] if done.view.tasks(stage) else []


def _own_ids(done: VerbRun, decided: list[Decided], n_runs: int) -> OwnIds:
    """The user's ids of every document that is named as a survivor, or in the report."""
    from curate.dedup.files.own_decisions import OwnIds
    from curate.dedup.stages import AGAINST_INPUT
    from manifests.tables import one_array, read_table

    pages = [one_array(read_table(path, ["doc_id"])["doc_id"]) for path in _reported(done)]
    here = OwnIds.of([*(d.named() for d in decided), *pages],
                     (path for _, path in done.outputs("extract", "documents")), "record_id")
    earlier = [OwnIds.of([d.named(run) for d in decided],
                         (file.path for file in done.view.files[f"{AGAINST_INPUT}{run}"]), "own_id")
               for run in range(n_runs)]
    return OwnIds(here, earlier)


_COUNTED = ("documents_cut", "removed_spans", "bytes_cut", "oversize_buckets", "met_full_buckets", "pairs_checked",
            "pairs_accepted", "components", "full_buckets", "largest_component", "documents_without_words",
            "paragraphs_removed", "sentences_removed", "removed_spans_bloom", "boilerplate", "filter_bytes",
            "false_positives_per_million")


def _counters(done: VerbRun) -> dict[str, int]:
    total = Counter[str]()
    for stage in done.view.done_stages():
        if stage.startswith("dedup/"):
            total.update({name: n for name, n in done.view.counters(stage).items() if name in _COUNTED})
    return dict(sorted(total.items()))


def _sentences(facts: dict[str, Any], report: str) -> str:
    lines = kept_lines(facts)
    counters = facts["counters"]
    kinds = {"paragraphs_removed": "paragraphs", "sentences_removed": "spans of sentences",
             "removed_spans_bloom": "paragraphs by n-grams", "removed_spans": "passages"}
    if "documents_cut" in counters:
        removed = ", ".join(f"{counters[name]:,} {kind}" for name, kind in kinds.items() if counters.get(name))
        lines.append(f"  removed from {counters['documents_cut']:,} documents: {removed or 'nothing'}; "
                     f"{counters['bytes_cut'] / 1e6:,.2f} MB")
    if counters.get("boilerplate"):
        lines.append(f"  {counters['boilerplate']:,} paragraphs occur on many pages of one host: "
                     f"{os.path.join(report, 'boilerplate.parquet')}")
    if counters.get("oversize_buckets"):
        lines.append(f"  {counters['oversize_buckets']:,} oversize buckets; documents came "
                     f"{counters['met_full_buckets']:,} times to one that was full")
    return "\n".join(lines)
