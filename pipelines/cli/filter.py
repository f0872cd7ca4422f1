"""`curate filter`: the published heuristic filters on files of one's own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from manifests.errors import RecipeError
from pipelines.cli.options import Format, FormatOption, IdColumn, TextColumn, TextFiles, checked, emit, read_yaml

if TYPE_CHECKING:
    from curate.heuristics.config import RulesConfig


def filter_command(
    files: TextFiles,
    out: Annotated[str, typer.Option("--out", metavar="OUT", help="Folder for one Parquet part per input file.")],
    preset: Annotated[str, typer.Option(help="gopher, c4, fineweb, refinedweb, dclm or gpt3.")] = "gopher",
    words: Annotated[str, typer.Option(help="paper, or datatrove for its exact counts.")] = "paper",
    threshold: Annotated[list[str], typer.Option(metavar="REASON=VALUE", help=(
        "Another threshold for a rule; `null` turns it off. Repeatable."))] = [],  # noqa: B006 (typer copies it)
    rules: Annotated[str | None, typer.Option(metavar="FILE", help=(
        "YAML with the fields of a recipe's select.rules, instead of --preset."))] = None,
    language: Annotated[str, typer.Option(help="ISO 639-1 code of the texts, for the share of stop words.")] = "en",
    toxic_words: Annotated[list[str], typer.Option("--toxic-words", metavar="FILE", help=(
        "Words and phrases, one a line, for the signal toxic_word_fraction; repeatable."))] = [],  # noqa: B006
    perplexity_model: Annotated[str | None, typer.Option(metavar="FILE", help=(
        "N-gram model (.arpa, .arpa.gz, KenLM's binary form) for the signal perplexity."))] = None,
    pieces: Annotated[str | None, typer.Option(metavar="FILE", help="The model's SentencePiece model.")] = None,
    normalise: Annotated[bool, typer.Option(help="Whether the model is fed text in CCNet's normal form.")] = True,
    id_column: IdColumn = "id",
    text_column: TextColumn = "text",
    form: FormatOption = Format.TEXT,
) -> None:
    """Keep or drop texts by a published preset: curate filter pages.parquet --preset fineweb --out filtered

    Each part has the id, `keep`, `reason` (the first rule that failed; null where kept), every signal, and, where rules
    on lines edit, the edited `text` of what is kept; rows in input order. A file that cannot be read is named, the
    others are done, and the exit code is 1."""

    from curate.heuristics.filtering import Tally, filtered
    from curate.heuristics.signals import Words
    from curate.sources.columns import ColumnNames
    from manifests.tables import publish_table
    from pipelines.cli.texts import id_column_of
    from pipelines.inputs import find_files
    from pipelines.verbs import verb_run

    if words not in [w.value for w in Words]:
        raise RecipeError("is not a way of counting words; use paper or datatrove", where=f"--words {words}")
    config = _config(preset, threshold, rules)
    paths = find_files(files)
    names = ColumnNames(id=id_column, text=text_column)
    fields = {"extract": {"identify_language": False, "signals": True, "words": words},
              **_external(language, toxic_words, perplexity_model, pieces, normalise, config)}
    tally = Tally()
    with verb_run("filter", out, paths, fields, ["extract", "signals", "select"],
                  source={"id_column": id_column, "text_column": text_column, "language": language}) as done:
        external = dict(done.outputs("signals", "signals")) if done.view.tasks("signals") else {}
        decisions = dict(done.outputs("select", "decisions"))
        for file, documents in done.outputs("extract", "documents"):
            schema, tables = filtered(documents, external.get(file), decisions[file], config,
                                      id_column_of(file.path, names), tally)
            publish_table(os.path.join(out, file.part), tables, schema)
    facts = tally.facts()
    emit(form, facts, lambda: _sentences(facts), done.failures)


def _external(language: str, toxic_words: list[str], model: str | None, pieces: str | None, normalise: bool,
              config: RulesConfig) -> dict[str, Any]:
    """The recipe's fields for rules, and for signals that need files."""
    from curate.perplexity.models import load_language_model, load_pieces

    if pieces is not None and model is None:
        raise RecipeError("needs --perplexity-model", where="--pieces")
    if model is not None:  # a broken model is named before the first output
        load_language_model(model)
    if pieces is not None:
        load_pieces(pieces)
    select: dict[str, Any] = {"rules": config}
    if toxic_words:  # a signal for rules: by itself it drops nothing
        select["toxic_words"] = {"files": toxic_words, "max_fraction": 1.0}
    perplexity = {"models": {language: model}, "pieces": {language: pieces} if pieces else {}, "normalise": normalise}
    return {"select": select, "perplexity": perplexity if model else None}


def _config(preset: str, thresholds: list[str], rules: str | None) -> RulesConfig:
    from curate.heuristics.config import RulesConfig
    from pipelines.yaml_text import parse_yaml

    fields: Any = {"preset": preset, "thresholds": {}}
    for setting in thresholds:
        reason, sign, value = setting.partition("=")
        if not sign:
            raise RecipeError("is not REASON=VALUE", where=f"--threshold {setting}")
        fields["thresholds"][reason] = parse_yaml(value, f"--threshold {setting}")
    if rules is not None:
        fields = read_yaml(rules, "--rules")
    return checked(RulesConfig, fields, "rules", "docs/filters.md lists presets and reasons")


def _sentences(facts: dict[str, Any]) -> str:
    share = facts["kept"] / max(1, facts["documents"])
    lines = [f"{facts['documents']:,} documents, {facts['kept']:,} kept ({share:.1%}); {facts['bytes'] / 1e6:,.1f} MB, "
             f"{facts['kept_bytes'] / 1e6:,.1f} MB kept"]
    return "\n".join([*lines, *(f"  {reason:<40} {n:,}" for reason, n in facts["dropped"].items())])
