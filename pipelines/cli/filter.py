"""`curate filter`: the published heuristic filters on files of one's own."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from manifests.errors import RecipeError

if TYPE_CHECKING:
    from curate.heuristics.config import RulesConfig
    from curate.heuristics.given import Given


def filter_command(
    files: Annotated[list[str], typer.Argument(metavar="IN…", help="Parquet or JSONL files, folders or patterns.")],
    out: Annotated[str, typer.Option("--out", metavar="OUT", help="Folder for one Parquet part per input file.")],
    preset: Annotated[str, typer.Option(help="gopher, c4, fineweb, refinedweb, dclm or gpt3.")] = "gopher",
    words: Annotated[str, typer.Option(help="paper, or datatrove for its exact counts.")] = "paper",
    threshold: Annotated[list[str], typer.Option(metavar="REASON=VALUE", help=(
        "Another threshold for a rule; `null` turns it off. Repeatable."))] = [],  # noqa: B006 (typer copies it)
    rules: Annotated[str | None, typer.Option(metavar="FILE", help=(
        "YAML with what a recipe says under select.rules, instead of --preset."))] = None,
    language: Annotated[str, typer.Option(help="ISO 639-1 code of the texts, for the share of stop words.")] = "en",
    toxic_words: Annotated[list[str], typer.Option("--toxic-words", metavar="FILE", help=(
        "Words and phrases, one a line, for the signal toxic_word_fraction; repeatable."))] = [],  # noqa: B006
    perplexity_model: Annotated[str | None, typer.Option(metavar="FILE", help=(
        "N-gram model (.arpa, .arpa.gz, KenLM's binary form) for the signal perplexity."))] = None,
    pieces: Annotated[str | None, typer.Option(metavar="FILE", help="The model's SentencePiece model.")] = None,
    normalise: Annotated[bool, typer.Option(help="Whether the model is fed text in CCNet's normal form.")] = True,
    id_column: Annotated[str, typer.Option(help="Column or key of the ids; `doc_id` where it is absent.")] = "id",
    text_column: Annotated[str, typer.Option(help="Column or key of the texts.")] = "text",
    form: Annotated[str, typer.Option("--format", help="text for people, json for programs.")] = "text",
) -> None:
    """Keep or drop texts by a published preset: curate filter pages.parquet --preset fineweb --out filtered

    Each part has the id, `keep`, `reason` (the first rule that failed; null where kept), every signal, and, where rules
    on lines edit, the edited `text` of what is kept; rows in input order. A file that cannot be read is named, the
    others are done, and the exit code is 1."""
    import json

    from curate.heuristics.filtering import Tally
    from curate.heuristics.signals import Words
    from pipelines.cli.texts import each_file
    from pipelines.inputs import find_files

    if form not in ("text", "json"):
        raise RecipeError("is no format; they are text and json", where=f"--format {form}")
    if words not in [w.value for w in Words]:
        raise RecipeError("is no way to count words; they are paper and datatrove", where=f"--words {words}")
    config = _config(preset, threshold, rules)
    paths = find_files(files)
    given = _given(language, toxic_words, perplexity_model, pieces, normalise)
    tally = Tally()
    os.makedirs(out, exist_ok=True)
    failed = each_file(paths, lambda path, name: _filter_file(
        path, os.path.join(out, name), config, Words(words), language, (id_column, text_column), tally, given))
    facts = tally.facts()
    print(json.dumps(facts) if form == "json" else _sentences(facts))
    if failed:
        raise typer.Exit(1)


def _given(language: str, toxic_words: list[str], model: str | None, pieces: str | None, normalise: bool) -> Given:
    from curate.heuristics.given import Given
    from curate.heuristics.listed_words import WordLists
    from curate.perplexity.config import PerplexityReading
    from curate.perplexity.models import load_language_model, load_pieces

    if pieces is not None and model is None:
        raise RecipeError("needs --perplexity-model", where="--pieces")
    if model is not None:  # a broken model is told before the first output
        load_language_model(model)
    if pieces is not None:
        load_pieces(pieces)
    return Given(PerplexityReading(normalise=normalise), {language: model} if model else {},
                 {language: pieces} if pieces else {}, WordLists.read({None: toxic_words}) if toxic_words else None)


def _config(preset: str, thresholds: list[str], rules: str | None) -> RulesConfig:
    import yaml
    from pydantic import ValidationError

    from curate.heuristics.config import RulesConfig

    fields: Any = {"preset": preset, "thresholds": {}}
    for setting in thresholds:
        reason, sign, value = setting.partition("=")
        if not sign:
            raise RecipeError("is not REASON=VALUE", where=f"--threshold {setting}")
        fields["thresholds"][reason] = yaml.safe_load(value)
    if rules is not None:
        if not os.path.isfile(rules):
            raise RecipeError("there is no such file", where=f"--rules {rules}")
        with open(rules, encoding="utf-8") as stream:
            fields = yaml.safe_load(stream)
    try:
        return RulesConfig.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(place) for place in first["loc"]) or "rules"
        raise RecipeError(str(first["msg"]), where=where, hint="docs/filters.md lists presets and reasons") from error


def _filter_file(path: str, target: str, config: RulesConfig, words: Any, language: str, columns: tuple[str, str],
                 tally: Any, given: Given) -> None:
    from curate.heuristics.filtering import Tally, filter_schema, filter_texts
    from curate.sources.columns import ColumnNames
    from manifests.tables import write_table
    from pipelines.cli.texts import id_column_of, read_texts

    names = ColumnNames(id=columns[0], text=columns[1])
    schema = filter_schema(config, id_column_of(path, names), given)
    tables = ((rows.ids, rows.text) for rows in read_texts(path, names))
    part, own = f"{target}.part", Tally()
    try:
        write_table(part, schema, filter_texts(config, words, language, tables, schema, own, given))
        os.replace(part, target)
    finally:
        if os.path.exists(part):
            os.unlink(part)
    tally.add(own)
    print(f"{path}: {tally.documents:,} documents so far, {tally.kept:,} kept", file=sys.stderr)


def _sentences(facts: dict[str, Any]) -> str:
    share = facts["kept"] / max(1, facts["documents"])
    lines = [f"{facts['documents']:,} documents, {facts['kept']:,} kept ({share:.1%}); {facts['bytes'] / 1e6:,.1f} MB, "
             f"{facts['kept_bytes'] / 1e6:,.1f} MB kept"]
    return "\n".join([*lines, *(f"  {reason:<40} {n:,}" for reason, n in facts["dropped"].items())])
