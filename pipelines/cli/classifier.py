"""`curate classifier`: train, score, eval and calibrate a quality classifier on files of one's own."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from manifests.errors import InputError, RecipeError
from manifests.storage import replacing
from pipelines.cli.options import (
    OUTPUT,
    RUNS,
    Format,
    FormatOption,
    IdColumn,
    TextColumn,
    TextFiles,
    checked,
    emit,
    shows,
    with_verb_options,
)
from pipelines.verb_options import VerbOptions

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa
    from pydantic import BaseModel

    from curate.sources.columns import ColumnNames
    from pipelines.verbs import VerbRun

app = typer.Typer(help="Train a quality classifier and score texts with any two-label fastText model.",
                  no_args_is_help=True)

Positives = Annotated[list[str], typer.Option("--positives", metavar="F", help="Files of good texts; repeatable.")]
Negatives = Annotated[list[str], typer.Option("--negatives", metavar="F", help="Files of raw crawl; repeatable.")]
ModelOption = Annotated[str, typer.Option("--model", metavar="M", help="A .bin or .ftz of fastText, or of `train`.")]
LabelOption = Annotated[str | None, typer.Option("--label", help="The positive label, where the model does not say.")]
BytesOption = Annotated[int | None, typer.Option("--max-bytes", min=64, help=(
    "Feed the project's normalised line, cut there. Default: what model.json beside the model says, else the text as "
    "it is, on one line."))]

_OTHER = "model"  # what a recipe would call the classifier that scores
_TRAINING = ("extract", "classifier/links", "classifier/link_index", "classifier/labels", "classifier/samples",
             "classifier/examples", "classifier", "classifier/metrics")


@app.command()
@with_verb_options(RUNS)
def train(
    out: Annotated[str, typer.Option(*OUTPUT, metavar="DIR", help="Folder for the model, its card and scores.")],
    positives: Positives = [],  # noqa: B006 (typer copies it)
    negatives: Negatives = [],  # noqa: B006
    links: Annotated[list[str], typer.Option("--links", metavar="F", help=(
        "Reddit submission dumps; documents of --negatives that they link to become positives."))] = [],  # noqa: B006
    kind: Annotated[str, typer.Option(help="fasttext, or hashed-lr for Spark's hashed logistic regression.")
                    ] = "fasttext",
    folds: Annotated[int, typer.Option(min=2, help="Parts of hosts for held-out scores.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every choice.")] = 0,
    settings: Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help=(
        "A field of the recipe's `classifier`, `labels` or `links`, such as dim=32; repeatable."))] = [],  # noqa: B006
    id_column: IdColumn = "id",
    text_column: TextColumn = "text",
    options: VerbOptions = VerbOptions(),  # noqa: B008 (frozen)
    form: FormatOption = Format.TEXT,
) -> None:
    """Train: curate classifier train --positives good.jsonl --negatives crawl.parquet --output quality

    Leaves model.bin, model.json, metrics.json, card.md and held_out.parquet: scores of documents by models that have
    not seen their hosts. Near-duplicates are removed first. The same files and seed give the same bytes."""
    from pipelines.inputs import find_files
    from pipelines.verbs import files_source, verb_run

    if not negatives:
        raise RecipeError("needs unfiltered texts to tell the good ones from", where="--negatives")
    if not positives and not links:
        raise RecipeError("needs good texts, or dumps whose links find them", where="--positives")
    columns = {"id_column": id_column, "text_column": text_column}
    good, raw, dumps = find_files(positives), find_files(negatives), find_files(links)
    sources = {"negatives": files_source(raw, **columns),
               **({"positives": files_source(good, curated=True, **columns)} if good else {})}
    recipe = {"sources": sources, "seed": seed, "mixture": {"weights": {"negatives": 1}},
              **_settings(kind, folds, settings, dumps)}
    with verb_run("classifier", out, raw, recipe, _TRAINING, options, folders=None) as done:
        report = _publish_trained(done, out)
    emit(form, report, lambda: "\n".join(_trained(out, report)), done.failures)


def _publish_trained(done: VerbRun, out: str) -> dict[str, Any]:
    """Copy what was trained into the output's folder; returns the metrics, with counters."""
    from manifests.tables import publish_table

    files = {"model.bin": ("classifier", "model", "model"), "model.json": ("classifier", "model", "card"),
             "metrics.json": ("classifier/metrics", "metrics", "metrics"),
             "card.md": ("classifier/metrics", "metrics", "card")}
    os.makedirs(out, exist_ok=True)
    for name, output in files.items():
        with replacing(os.path.join(out, name)) as staged:
            shutil.copyfile(done.storage.path(done.view.output(*output).paths[0]), staged)
    publish_table(os.path.join(out, "held_out.parquet"), [_held_out(done)])
    with open(os.path.join(out, "metrics.json"), encoding="utf-8") as stream:
        report: dict[str, Any] = json.load(stream)
    report["counters"] = {**done.view.counters("classifier/labels"), **done.view.counters("classifier/examples")}
    return report


def _trained(out: str, report: dict[str, Any]) -> Iterator[str]:
    counters = report["counters"]
    yield (f"{out}/model.bin: {counters.get('linked', 0)} linked, {counters.get('curated', 0)} curated, "
           f"{counters.get('negative', 0)} negative examples")
    yield _figures("held out, all positives", report["overall"])
    if counters.get("linked"):
        yield _figures("held out, linked pages alone", report["reddit"])
    yield f"the card is {out}/card.md"


@app.command()
@with_verb_options(RUNS)
def score(
    files: TextFiles,
    model: ModelOption,
    out: Annotated[str, typer.Option(*OUTPUT, metavar="DIR", help="Folder for one Parquet part per input file.")],
    label: LabelOption = None,
    max_bytes: BytesOption = None,
    id_column: IdColumn = "id",
    text_column: TextColumn = "text",
    options: VerbOptions = VerbOptions(),  # noqa: B008 (frozen)
    form: FormatOption = Format.TEXT,
) -> None:
    """Score: curate classifier score pages.parquet --model quality/model.bin --output scores

    Each part has the id column and `quality_score`, the probability of the positive label; rows in input order."""
    from curate.classifier.scorers import load_scorer
    from curate.classifier.scores import reading_of
    from curate.sources.columns import ColumnNames
    from pipelines.inputs import find_files

    reading = reading_of(model, label, max_bytes)
    scorer = load_scorer(model, reading[0])  # a broken model is named before any work
    names = ColumnNames(id=id_column, text=text_column)
    with _scored(out, find_files(files), model, reading, names, options) as done:
        rows = _write_scores(done, names)
    facts = {"documents": sum(rows), "files": len(rows), "scored_by": scorer.method}
    emit(form, facts, lambda: f"{sum(rows):,} documents of {len(rows)} files scored ({scorer.method}) into {out}",
         done.failures)


def _write_scores(done: VerbRun, names: ColumnNames) -> list[int]:
    """Leave a part of scores for every file; returns how many rows each has."""
    import pyarrow as pa

    from curate.classifier.score_tables import score_column
    from manifests.tables import read_table

    scores, rows = dict(done.outputs("classifier/scores", "scores")), []
    for file, documents in done.outputs("extract", "documents"):
        schema = pa.schema([pa.field(names.id, pa.string()),
                            pa.field("quality_score", pa.float32(), nullable=False)])
        table = pa.table([read_table(documents, ["record_id"])["record_id"],
                          read_table(scores[file])[score_column(_OTHER)]], schema=schema)
        done.out.write(file.part, [table])
        rows.append(len(table))
    return rows


@app.command("eval")
@shows("scoring texts")
def evaluate(
    model: ModelOption,
    positives: Positives = [],  # noqa: B006
    negatives: Negatives = [],  # noqa: B006
    label: LabelOption = None,
    max_bytes: BytesOption = None,
    id_column: IdColumn = "id",
    text_column: TextColumn = "text",
    form: FormatOption = Format.TEXT,
) -> None:
    """Judge a model on labelled texts: curate classifier eval --model M --positives good.jsonl --negatives bad.jsonl

    Prints precision, recall, F1 (at a score of 0.5), AUC and the calibration. The texts must be new to the model."""
    import numpy as np

    from curate.classifier.metrics import calibration, figures
    from curate.classifier.scorers import load_scorer
    from curate.classifier.scores import reading_of
    from curate.sources.columns import ColumnNames

    reading, names = reading_of(model, label, max_bytes), ColumnNames(id=id_column, text=text_column)
    scorer = load_scorer(model, reading[0])
    good, bad = (_all_scores(files, model, reading, names) for files in (positives, negatives))
    both, truth = np.concatenate([good, bad]), np.repeat([True, False], [len(good), len(bad)])
    report: dict[str, Any] = {**figures(both, truth), "calibration": calibration(both, truth),
                              "scored_by": scorer.method}
    emit(form, report, lambda: "\n".join([
        _figures(model, report), f"  expected calibration error {report['calibration']['error']}"]))


@app.command()
def calibrate(
    held_out: Annotated[list[str], typer.Argument(metavar="[HELD_OUT…]", help=(
        "held_out.parquet of `train`, or classifier/fold-*.scores.parquet of a run."))] = [],  # noqa: B006
    positives: Annotated[list[str], typer.Option("--positives", metavar="F", help="Parts of `score` for good texts."),
                         ] = [],  # noqa: B006
    crawl: Annotated[list[str], typer.Option("--crawl", metavar="F", help="Parts of `score` for unfiltered crawl."),
                     ] = [],  # noqa: B006
    linked_only: Annotated[bool, typer.Option("--linked-only", help=(
        "Of held-out positives, only linked pages: GPT-3 matched WebText's scores."))] = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """Choose alpha for the keep rule as GPT-3 did: curate classifier calibrate quality/held_out.parquet

    The alpha at which the kept crawl's scores are distributed most like the positives', and the share it keeps."""
    from curate.classifier.calibrate import calibrate as choose

    good, bad = _held_out_scores(held_out, linked_only) if held_out else (
        _score_files(positives, "--positives"), _score_files(crawl, "--crawl"))
    best = choose(good, bad)
    rows = [f"  {row['alpha']:>5g}   {row['distance']:8.4f}   {row['keep_rate']:>13.2%}   "
            f"{row['keep_rate_positives']:>17.2%}" for row in best["alphas"]]
    emit(form, best, lambda: "\n".join([
        f"alpha {best['alpha']:g} keeps {best['keep_rate']:.2%} of {best['n_crawl']:,} crawled documents, whose scores "
        f"are then nearest to those of {best['n_positives']:,} positives",
        "  alpha   distance   kept of crawl   kept of positives", *rows]))


def _figures(title: str, figures: dict[str, Any]) -> str:
    shown = ", ".join(f"{name} {'none' if figures[name] is None else format(figures[name], '.3f')}"
                      for name in ("precision", "recall", "f1", "auc"))
    return f"{title}: {figures['n_positive']} positives, {figures['n_negative']} negatives: {shown}"


def _settings(kind: str, folds: int, settings: list[str], dumps: list[str]) -> dict[str, Any]:
    """The recipe's fields; a setting goes to the group that has a field of its name."""
    from curate.classifier.config import ClassifierConfig, LabelsConfig, LinksConfig
    from curate.selection.config import SelectConfig
    from pipelines.yaml_text import parse_yaml

    models: dict[str, type[BaseModel]] = {"classifier": ClassifierConfig, "labels": LabelsConfig, "links": LinksConfig,
                                          "select": SelectConfig}
    fields: dict[str, dict[str, Any]] = {"classifier": {"kind": kind.replace("-", "_")}, "labels": {"folds": folds},
                                         "links": {}, "select": {}}
    for setting in settings:
        name, sign, value = setting.partition("=")
        groups = [group for group, model in models.items() if name in model.model_fields]
        if not sign or not groups:
            raise RecipeError("is not KEY=VALUE with a field of classifier, labels or links", where=f"--set {setting}",
                              hint="docs/recipe.md lists them")
        fields[groups[0]][name] = parse_yaml(value, f"--set {setting}")
    for group, model in models.items():
        checked(model, fields[group], group)
    fields["links"] = {**fields["links"], "files": dumps} if dumps else {}
    return {**fields, "links": fields["links"] or None}


def _held_out(done: VerbRun) -> pa.Table:
    """Scores of documents by a model that has not seen their hosts, with the documents' own ids."""
    import polars as pl
    import pyarrow as pa

    from curate.classifier.training import SCORES
    from manifests.tables import read_table

    schema = pa.schema([pa.field("id", pa.string(), metadata={"comment": "the document's own id"}), *SCORES])
    own = pl.concat([pl.DataFrame(read_table(done.storage.path(output.path), ["doc_id", "record_id"]))
                     for output in done.view.outputs("extract", "documents")])
    scores = pl.concat([pl.DataFrame(read_table(done.storage.path(output.path)))
                        for output in done.view.outputs("classifier", "scores")])
    joined = scores.join(own.unique("doc_id", keep="first", maintain_order=True), on="doc_id", how="left",
                         maintain_order="left")
    return joined.rename({"record_id": "id"}).select(schema.names).to_arrow().cast(schema)


@contextmanager
def _scored(out: str, paths: list[str], model: str, reading: tuple[str | None, int | None], names: ColumnNames,
            options: VerbOptions | None = None) -> Iterator[VerbRun]:
    """The stage of scores over files, with OUT.work to work in."""
    from pipelines.verbs import verb_run

    recipe = {"classifiers": {_OTHER: {"path": model, "label": reading[0], "max_bytes": reading[1]}}}
    with verb_run("score", out, paths, recipe, ["extract", "classifier/scores"], options,
                  source={"id_column": names.id, "text_column": names.text}) as done:
        yield done


def _all_scores(patterns: list[str], model: str, reading: tuple[str | None, int | None],
                names: ColumnNames) -> npt.NDArray[np.float32]:
    import numpy as np

    from curate.classifier.score_tables import score_column
    from manifests.tables import read_table
    from pipelines.inputs import find_files

    scores = [np.empty(0, np.float32)]
    if patterns:
        with TemporaryDirectory() as folder, _scored(
                os.path.join(folder, "scores"), find_files(patterns), model, reading, names) as done:
            if done.failures:
                raise done.failures[0]
            scores += [read_table(path)[score_column(_OTHER)].to_numpy()
                       for _, path in done.outputs("classifier/scores", "scores")]
    return np.concatenate(scores)


def _read(path: str, columns: list[str], hint: str) -> pa.Table:
    """Columns of a file of scores. Raises InputError where it lacks one of them."""
    from manifests.tables import open_table, read_table

    with open_table(path) as file:
        if missing := set(columns) - set(file.schema_arrow.names):
            raise InputError(f"has no column {min(missing)!r}", where=path, hint=hint)
    return read_table(path, columns)


def _held_out_scores(patterns: list[str], linked_only: bool) -> tuple[
        npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    import numpy as np

    from pipelines.inputs import find_files

    good, bad = [np.empty(0, np.float32)], [np.empty(0, np.float32)]
    for path in find_files(patterns):
        table = _read(path, ["score", "positive", "kind"], "give held_out.parquet of `curate classifier train`")
        values, positive = table["score"].to_numpy(), table["positive"].to_numpy()
        wanted = np.array(table["kind"].to_pylist()) == "linked" if linked_only else positive
        good.append(values[wanted])
        bad.append(values[~positive])
    return np.concatenate(good), np.concatenate(bad)


def _score_files(patterns: list[str], where: str) -> npt.NDArray[np.float32]:
    import numpy as np

    from pipelines.inputs import find_files

    if not patterns:
        raise RecipeError("needs files of scores, or give held-out scores as arguments", where=where)
    tables = [_read(path, ["quality_score"], "make it with curate classifier score") for path in find_files(patterns)]
    return np.concatenate([table["quality_score"].drop_null().to_numpy() for table in tables])
