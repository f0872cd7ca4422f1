"""`curate classifier`: train, score, eval and calibrate a quality classifier on files of one's own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from manifests.errors import InputError, RecipeError
from pipelines.cli.options import Format, FormatOption, IdColumn, TextColumn, TextFiles, checked, emit

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa
    from pydantic import BaseModel

    from curate.classifier.scorer import Scorer
    from curate.quality.standalone import Plan, Texts

app = typer.Typer(help="Train a quality classifier and score texts with any two-label fastText model.",
                  no_args_is_help=True)

Positives = Annotated[list[str], typer.Option("--positives", metavar="F", help="Files of good texts; repeatable.")]
Negatives = Annotated[list[str], typer.Option("--negatives", metavar="F", help="Files of raw crawl; repeatable.")]
ModelOption = Annotated[str, typer.Option("--model", metavar="M", help="A .bin or .ftz of fastText, or of `train`.")]
LabelOption = Annotated[str | None, typer.Option("--label", help="The positive label, where the model does not say.")]
BytesOption = Annotated[int | None, typer.Option("--max-bytes", min=64, help=(
    "Feed the project's normalised line, cut there. Default: what model.json beside the model says, else the text as "
    "it is, on one line."))]

ExactOption = Annotated[bool, typer.Option("--exact", help=(
    "Sum whole vectors of every text in float32 as fastText does: its figures to 1e-7, more slowly."))]


@app.command()
def train(
    out: Annotated[str, typer.Option("--out", metavar="DIR", help="Folder for the model, its card and scores.")],
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
    form: FormatOption = Format.TEXT,
) -> None:
    """Train: curate classifier train --positives good.jsonl --negatives crawl.parquet --out quality

    Leaves model.bin, model.json, metrics.json, card.md and held_out.parquet: scores of documents by models that have
    not seen their hosts. Near-duplicates are removed first. The same files and seed give the same bytes."""
    from curate.quality.standalone import train as run
    from manifests.storage import is_local, local_path
    from pipelines.inputs import find_files

    if not negatives:
        raise RecipeError("needs unfiltered texts to tell the good ones from", where="--negatives")
    if not positives and not links:
        raise RecipeError("needs good texts, or dumps whose links find them", where="--positives")
    plan = _plan(kind, folds, seed, settings)
    columns = (id_column, text_column)
    # Stages take relative paths for the run's own.
    dumps = [os.path.abspath(local_path(dump)) if is_local(dump) else dump for dump in find_files(links)]
    counters = run(_texts(positives, columns), _texts(negatives, columns), dumps, plan, out)
    with open(os.path.join(out, "metrics.json"), encoding="utf-8") as stream:
        report = json.load(stream)
    report["counters"] = counters
    if form is Format.JSON:
        print(json.dumps(report))
        return
    print(f"{out}/model.bin: {counters.get('linked', 0)} linked, {counters.get('curated', 0)} curated, "
          f"{counters.get('negative', 0)} negative examples")
    _print_figures("held out, all positives", report["overall"])
    if counters.get("linked"):
        _print_figures("held out, linked pages alone", report["reddit"])
    print(f"the card is {out}/card.md")


@app.command()
def score(
    files: TextFiles,
    model: ModelOption,
    out: Annotated[str, typer.Option("--out", metavar="DIR", help="Folder for one Parquet part per input file.")],
    label: LabelOption = None,
    max_bytes: BytesOption = None,
    exact: ExactOption = False,
    id_column: IdColumn = "id",
    text_column: TextColumn = "text",
    form: FormatOption = Format.TEXT,
) -> None:
    """Score: curate classifier score pages.parquet --model quality/model.bin --out scores

    Each part has the id column and `quality_score`, the probability of the positive label; rows in input order."""
    import pyarrow as pa

    from curate.sources.columns import ColumnNames
    from manifests.tables import write_table
    from pipelines.cli.texts import each_file, id_column_of
    from pipelines.inputs import find_files

    scorer, n_bytes = _scorer(model, label, max_bytes, exact)
    paths = find_files(files)
    os.makedirs(out, exist_ok=True)
    documents: list[int] = []

    def one(path: str, name: str) -> None:
        column = id_column_of(path, ColumnNames(id=id_column, text=text_column))
        schema = pa.schema([pa.field(column, pa.string()), pa.field("quality_score", pa.float32(), nullable=False)])
        staged = os.path.join(out, f".{name}")
        try:
            n = write_table(staged, schema, (
                pa.table([ids, pa.array(found)], schema=schema)
                for ids, found in _scored(path, (id_column, text_column), scorer, n_bytes)))
            os.replace(staged, os.path.join(out, name))
        finally:
            if os.path.exists(staged):
                os.unlink(staged)
        documents.append(n)
        print(f"{path}: {sum(documents):,} documents so far", file=sys.stderr)

    failed = each_file(paths, one)
    n_documents = sum(documents)
    facts = {"documents": n_documents, "files": len(documents), "scored_by": scorer.way}
    emit(form, facts, lambda: (
        f"{n_documents:,} documents of {len(documents)} files scored ({scorer.way}) into {out}"))
    if failed:
        raise typer.Exit(1)


@app.command("eval")
def evaluate(
    model: ModelOption,
    positives: Positives = [],  # noqa: B006
    negatives: Negatives = [],  # noqa: B006
    label: LabelOption = None,
    max_bytes: BytesOption = None,
    exact: ExactOption = False,
    id_column: IdColumn = "id",
    text_column: TextColumn = "text",
    form: FormatOption = Format.TEXT,
) -> None:
    """Judge a model on labelled texts: curate classifier eval --model M --positives good.jsonl --negatives bad.jsonl

    Prints precision, recall, F1 (at a score of 0.5), AUC and the calibration. The texts must be new to the model."""
    import numpy as np

    from curate.classifier.metrics import calibration, figures

    scorer, n_bytes = _scorer(model, label, max_bytes, exact)
    good, bad = (_all_scores(files, (id_column, text_column), scorer, n_bytes) for files in (positives, negatives))
    both, truth = np.concatenate([good, bad]), np.repeat([True, False], [len(good), len(bad)])
    report: dict[str, Any] = {**figures(both, truth), "calibration": calibration(both, truth), "scored_by": scorer.way}
    if form is Format.JSON:
        print(json.dumps(report))
        return
    _print_figures(model, report)
    print(f"  expected calibration error {report['calibration']['error']}")


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
    found = choose(good, bad)
    if form is Format.JSON:
        print(json.dumps(found))
        return
    print(f"alpha {found['alpha']:g} keeps {found['keep_rate']:.2%} of {found['n_crawl']:,} crawled documents, whose "
          f"scores are then nearest to those of {found['n_positives']:,} positives")
    print("  alpha   distance   kept of crawl   kept of positives")
    for row in found["alphas"]:
        print(f"  {row['alpha']:>5g}   {row['distance']:8.4f}   {row['keep_rate']:>13.2%}   "
              f"{row['keep_rate_positives']:>17.2%}")


def _print_figures(title: str, figures: dict[str, Any]) -> None:
    shown = ", ".join(f"{name} {'none' if figures[name] is None else format(figures[name], '.3f')}"
                      for name in ("precision", "recall", "f1", "auc"))
    print(f"{title}: {figures['n_positive']} positives, {figures['n_negative']} negatives: {shown}")


def _plan(kind: str, folds: int, seed: int, settings: list[str]) -> Plan:
    """The configurations of the stages; a setting goes to the one that has a field of its name."""
    import yaml

    from curate.classifier.config import ClassifierConfig, LabelsConfig, LinksConfig, SelectConfig
    from curate.quality.standalone import Plan

    models: dict[str, type[BaseModel]] = {"classifier": ClassifierConfig, "labels": LabelsConfig, "links": LinksConfig,
                                          "select": SelectConfig}
    fields: dict[str, dict[str, Any]] = {"classifier": {"kind": kind.replace("-", "_")}, "labels": {"folds": folds},
                                         "links": {}, "select": {}}
    for setting in settings:
        name, sign, value = setting.partition("=")
        homes = [group for group, model in models.items() if name in model.model_fields]
        if not sign or not homes:
            raise RecipeError("is not KEY=VALUE with a field of classifier, labels or links", where=f"--set {setting}",
                              hint="docs/recipe.md lists them")
        fields[homes[0]][name] = yaml.safe_load(value)
    made: dict[str, Any] = {group: checked(model, fields[group], group) for group, model in models.items()}
    return Plan(made["classifier"], made["labels"], made["links"], made["select"], seed)


def _texts(patterns: list[str], columns: tuple[str, str]) -> list[Texts]:
    from curate.quality.standalone import Texts
    from curate.sources.columns import ColumnNames
    from pipelines.cli.texts import read_texts
    from pipelines.inputs import find_files

    names = ColumnNames(id=columns[0], text=columns[1])
    return [Texts(os.path.basename(path), read_texts(path, names)) for path in find_files(patterns)]


def _scorer(model: str, label: str | None, max_bytes: int | None, exact: bool) -> tuple[Scorer, int | None]:
    """(scorer, how many bytes of the normalised line it reads; None for the text as it is)."""
    from curate.classifier.scorer import load_scorer
    from curate.classifier.scores import read_card

    card = os.path.splitext(model)[0] + ".json"
    facts = read_card(card) if os.path.exists(card) else {}
    n_bytes = max_bytes if max_bytes is not None else facts.get("max_bytes_per_document")
    return load_scorer(model, label or facts.get("positive_label"), exact), n_bytes


def _scored(path: str, columns: tuple[str, str], scorer: Scorer, n_bytes: int | None) -> Iterator[
        tuple[pa.Array[Any], npt.NDArray[np.float32]]]:
    from curate.classifier.lines import classifier_lines
    from curate.sources.columns import ColumnNames
    from pipelines.cli.texts import read_texts

    for rows in read_texts(path, ColumnNames(id=columns[0], text=columns[1])):
        lines = rows.text if n_bytes is None else classifier_lines(rows.text, n_bytes)
        yield rows.ids, scorer.score(lines)


def _all_scores(patterns: list[str], columns: tuple[str, str], scorer: Scorer,
                n_bytes: int | None) -> npt.NDArray[np.float32]:
    import numpy as np

    from pipelines.inputs import find_files

    found = [score for path in find_files(patterns) for _, score in _scored(path, columns, scorer, n_bytes)]
    return np.concatenate([np.empty(0, np.float32), *found])


def _held_out_scores(patterns: list[str], linked_only: bool) -> tuple[
        npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    import numpy as np

    from manifests.tables import open_table, read_table
    from pipelines.inputs import find_files

    good, bad = [np.empty(0, np.float32)], [np.empty(0, np.float32)]
    for path in find_files(patterns):
        with open_table(path) as file:
            if missing := {"score", "positive", "kind"} - set(file.schema_arrow.names):
                raise InputError(f"holds no held-out scores: it has no column {sorted(missing)[0]!r}", where=path,
                                 hint="give held_out.parquet of `curate classifier train`")
        table = read_table(path, ["score", "positive", "kind"])
        values, positive = table["score"].to_numpy(), table["positive"].to_numpy()
        wanted = np.array(table["kind"].to_pylist()) == "linked" if linked_only else positive
        good.append(values[wanted])
        bad.append(values[~positive])
    return np.concatenate(good), np.concatenate(bad)


def _score_files(patterns: list[str], where: str) -> npt.NDArray[np.float32]:
    import numpy as np

    from manifests.tables import open_table, read_table
    from pipelines.inputs import find_files

    if not patterns:
        raise RecipeError("needs files of scores, or give held-out scores as arguments", where=where)
    found = []
    for path in find_files(patterns):
        with open_table(path) as file:
            if "quality_score" not in file.schema_arrow.names:
                raise InputError("has no column 'quality_score'", where=path,
                                 hint="make it with curate classifier score")
        found.append(read_table(path, ["quality_score"])["quality_score"].drop_null().to_numpy())
    return np.concatenate(found)
