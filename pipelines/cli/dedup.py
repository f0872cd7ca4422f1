"""`curate dedup`: exact and near-duplicates among files of one's own."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from manifests.errors import InputError, RecipeError
from manifests.storage import is_local
from pipelines.cli.options import Format, FormatOption, IdColumn, TextColumn, TextFiles, checked, emit, read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from curate.dedup.config import DedupRecipe
    from curate.dedup.standalone import Earlier, Outcome, Texts
    from curate.sources.columns import RankedColumns, TextRows


def dedup_command(
    files: TextFiles,
    out: Annotated[str, typer.Option("--out", metavar="OUT", help="Folder for one Parquet part per input file.")],
    exact: Annotated[bool, typer.Option("--exact", help="Remove copies: the same words in the same order.")] = False,
    minhash: Annotated[bool, typer.Option("--minhash", help=(
        "Remove near-duplicates. Where no kind is named: copies and near-duplicates."))] = False,
    urls: Annotated[str | None, typer.Option(metavar="RULE", help=(
        "One row of each canonical URL, from column `url`: the latest, the longest, or the first."))] = None,
    paragraphs: Annotated[bool, typer.Option("--paragraphs", help=(
        "Cut paragraphs that stand in an earlier place, as CCNet does."))] = False,
    sentences: Annotated[bool, typer.Option("--sentences", help=(
        "Cut spans of three sentences that stand in an earlier place, as C4 does."))] = False,
    bloom: Annotated[bool, typer.Option("--bloom", help=(
        "Cut paragraphs and drop rows whose 13-grams were seen, by a Bloom filter, as DCLM does."))] = False,
    min_left_bytes: Annotated[int, typer.Option(min=0, help=(
        "A row that lost paragraphs or sentences is dropped where fewer bytes are left."))] = 0,
    substrings: Annotated[bool, typer.Option("--substrings", help=(
        "Cut passages that stand elsewhere too, byte for byte; all but the first."))] = False,
    min_bytes: Annotated[int, typer.Option(min=16, max=100_000, help="Shortest passage, in UTF-8 bytes.")] = 100,
    cut: Annotated[str, typer.Option(help="repeats: the first of equal passages stays; all: none does.")] = "repeats",
    threshold: Annotated[float, typer.Option(min=0.05, max=0.99, help="Jaccard similarity that removes.")] = 0.8,
    shingles: Annotated[str, typer.Option(help="n-grams of words or of characters.")] = "words",
    ngram: Annotated[int, typer.Option(min=1, max=64, help="Words or characters a shingle.")] = 5,
    verify: Annotated[str, typer.Option(help="exact, or signatures: without comparing texts.")] = "exact",
    survivor_order: Annotated[str, typer.Option(metavar="KEYS", help=(
        "What stays of two duplicates, with commas: source (the file given first), quality, length, date. Then the "
        "first row."))] = "source",
    config: Annotated[str | None, typer.Option(metavar="FILE", help=(
        "YAML with what a recipe says under `dedup`; the options above are then taken from it."))] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Write the kept rows to OUT/kept as well.")] = False,
    against: Annotated[list[str] | None, typer.Option("--against", metavar="DIR", help=(
        "A run, or a folder of decisions, that keeps its index: what it kept comes first and stays. May be given again."
        ))] = None,
    keep_index: Annotated[bool, typer.Option("--keep-index", help=(
        "Keep in OUT/index what --against needs of the kept rows: signatures and hashes, no text."))] = False,
    id_column: IdColumn = "id",
    text_column: TextColumn = "text",
    date_column: Annotated[str, typer.Option(help=(
        "Column or key of the dates, where --urls or --survivor-order asks for them."))] = "date",
    quality_column: Annotated[str, typer.Option(help=(
        "Column or key of the scores, where --survivor-order asks for them."))] = "quality_score",
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    form: FormatOption = Format.TEXT,
) -> None:
    """Mark duplicates in files: curate dedup old.parquet new.jsonl --out decisions --threshold 0.8

    Each part has the id, `keep`, `reason`, `duplicate_of` (id of the kept row it duplicates) and `similarity`; rows in
    input order. No row is removed but for a kept one that is as similar as the threshold asks. --paragraphs,
    --sentences, --bloom and --substrings add `cuts`: start and end in UTF-8 bytes, kind, and the row that has the
    passage first; --apply writes what is left of the text, and every other column."""

    from curate.dedup.standalone import deduplicate

    if not is_local(out):
        raise RecipeError("must be a local folder", where=f"--out {out}", hint="`curate run` writes to object stores")
    every = not (exact or minhash or urls or paragraphs or sentences or bloom or substrings)
    fields: dict[str, Any] = {"exact": exact or every, "near": minhash or every, "urls": urls, "threshold": threshold,
              "shingles": shingles, "ngram": ngram, "verify": verify,
              "paragraphs": {} if paragraphs else None, "sentences": {} if sentences else None,
              "bloom": {} if bloom else None, "min_left_bytes": min_left_bytes,
              "survivor_order": [key.strip() for key in survivor_order.split(",")], "max_removed_fraction": 1.0,
              "substrings": {"min_bytes": min_bytes, "cut": cut} if substrings else None}
    settings = _settings(fields, config)
    settings = settings.model_copy(update={"keep_index": keep_index or settings.keep_index})
    earlier = _earlier(against or [], settings)
    names = _columns(settings, id_column, text_column, date_column, quality_column)
    outcome = deduplicate(_texts(files, names, _needed(settings)), settings, out, workers, apply, earlier)
    for error in outcome.failures:
        print(f"curate: {error}", file=sys.stderr)
    facts = _facts(outcome)
    emit(form, facts, lambda: _sentences(facts, out))
    raise typer.Exit(1 if outcome.failures else 0)


def _settings(fields: dict[str, Any], path: str | None) -> DedupRecipe:
    from curate.dedup.config import DedupRecipe

    if path is not None:
        fields = read_yaml(path, "--config")
    return checked(DedupRecipe, fields, "dedup", "docs/recipe.md lists what dedup takes")


def _earlier(roots: list[str], settings: DedupRecipe) -> list[Earlier]:
    from curate.dedup.index import check_index, index_folder
    from curate.dedup.standalone import Earlier
    from manifests.storage import Storage
    from manifests.tasks import MANIFEST

    found = []
    for number, root in enumerate(roots):
        folder = Storage(index_folder(root, f"--against {root}"))
        names = [n for n in folder.list("") if n.endswith(".parquet") and n != MANIFEST]
        check_index(folder.path(names[0]), settings, f"--against {root}")
        found += [Earlier(root, number, folder.path(name)) for name in names]
    return found


def _columns(settings: DedupRecipe, id_column: str, text_column: str, date: str, quality: str) -> RankedColumns:
    """Which columns are read: dates and scores where something asks for them."""
    from curate.sources.columns import RankedColumns

    order = {key.value for key in settings.survivor_order}
    dated = "date" in order or settings.urls in ("latest", "first")
    return RankedColumns(id=id_column, text=text_column, date=date if dated else None,
                         quality=quality if "quality" in order else None)


def _needed(settings: DedupRecipe) -> set[str]:
    """Which of dates and quality every file must have: what was asked for, not what a rule takes where it is."""
    asked = settings.survivor_order if "survivor_order" in settings.model_fields_set else ()
    return {key.value for key in asked} & {"date", "quality"} | ({"date"} if settings.urls == "latest" else set())


def _texts(patterns: list[str], names: RankedColumns, needed: set[str]) -> list[Texts]:
    from functools import partial

    from curate.dedup.standalone import Texts
    from pipelines.cli.texts import id_column_of
    from pipelines.inputs import find_files, part_names

    paths = find_files(patterns)
    return [Texts(path, part, id_column_of(path, names), partial(_told, path, names, needed), path, names.text)
            for path, part in zip(paths, part_names(paths), strict=True)]


def _told(path: str, names: RankedColumns, needed: set[str]) -> Iterator[TextRows]:
    from pipelines.cli.texts import read_texts

    n = 0
    found: set[str] = set()
    for rows in read_texts(path, names):
        n += len(rows)
        found |= {use for use, column in (("date", rows.dates), ("quality", rows.quality))
                  if column is not None and column.null_count < len(column)}
        yield rows
    for use in sorted(needed - found):
        raise InputError(f"has no {use} under {getattr(names, use)!r} in any row", where=path,
                         hint=f"name the column by --{use}-column")
    print(f"{path}: {n:,} documents", file=sys.stderr)


def _facts(outcome: Outcome) -> dict[str, Any]:
    return {"documents": outcome.documents, "kept": outcome.kept, "bytes": outcome.bytes,
            "kept_bytes": outcome.kept_bytes, "dropped": dict(sorted(outcome.dropped.items())),
            "counters": outcome.counters}


def _sentences(facts: dict[str, Any], out: str) -> str:
    share = facts["kept"] / max(1, facts["documents"])
    lines = [f"{facts['documents']:,} documents, {facts['kept']:,} kept ({share:.1%}); {facts['bytes'] / 1e6:,.1f} MB, "
             f"{facts['kept_bytes'] / 1e6:,.1f} MB kept"]
    lines += [f"  {reason:<20} {n:,}" for reason, n in facts["dropped"].items()]
    counters = facts["counters"]
    kinds = {"paragraphs_cut": "paragraphs", "sentences_cut": "spans of sentences",
             "cuts_bloom": "paragraphs by n-grams", "cuts": "passages"}
    if "documents_cut" in counters:
        told = ", ".join(f"{counters[name]:,} {kind}" for name, kind in kinds.items() if counters.get(name))
        lines.append(f"  cut out of {counters['documents_cut']:,} documents: {told or 'nothing'}; "
                     f"{counters['bytes_cut'] / 1e6:,.2f} MB")
    if counters.get("boilerplate"):
        lines.append(f"  {counters['boilerplate']:,} paragraphs stand on many pages of one host: "
                     f"{os.path.join(out, 'report', 'boilerplate.parquet')}")
    if counters.get("oversize_buckets"):
        lines.append(f"  {counters['oversize_buckets']:,} oversize buckets, "
                     f"{counters['pairs_left_out']:,} of their pairs not compared")
    return "\n".join(lines)
