"""`curate filter`: the published heuristic filters on files of one's own."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from manifests.errors import RecipeError
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

    from curate.heuristics.config import RulesConfig
    from pipelines.verb_documents import Decided
    from pipelines.verbs import VerbFile, VerbRun


@with_verb_options(KEEPS)
def filter_command(
    files: TextFiles,
    out: OutFolder,
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
    options: VerbOptions = VerbOptions(),  # noqa: B008 (frozen)
    form: FormatOption = Format.TEXT,
) -> None:
    """Keep texts by a published preset: curate filter pages.parquet --preset fineweb --output filtered

    OUT gets a part for each file: the documents that are kept, with all their columns, every signal, and the text as
    rules on lines edit it. OUT.decisions says of every row `keep`, `reason` (the first rule that failed), `value`,
    `threshold` and every signal. A file that cannot be read is named, the others are done, and the exit code is 1."""

    from curate.heuristics.signals import Words
    from curate.sources.columns import ColumnNames
    from pipelines.inputs import find_files
    from pipelines.verb_documents import write_documents
    from pipelines.verbs import verb_run

    if words not in [w.value for w in Words]:
        raise RecipeError("is not a way of counting words; use paper or datatrove", where=f"--words {words}")
    config = _config(preset, threshold, rules)
    paths = find_files(files)
    names = ColumnNames(id=id_column, text=text_column)
    fields = {"extract": {"identify_language": False, "signals": True, "words": words},
              **_external(language, toxic_words, perplexity_model, pieces, normalise, config)}
    with verb_run("filter", out, paths, fields, ["extract", "signals", "select"], options,
                  source={"id_column": id_column, "text_column": text_column, "language": language}) as done:
        edits = config.editing is not None
        tally = write_documents(done, names, partial(_decided, done, edits), partial(_own, edits))
    facts = tally.facts()
    emit(form, facts, lambda: "\n".join(kept_lines(facts)), done.failures)


def _decided(done: VerbRun, edits: bool, file: VerbFile, documents: str) -> Decided:
    """What the rules say of a file's documents, with every signal."""
    from manifests.schema import SIGNAL_PREFIX
    from manifests.tables import open_table, read_table
    from pipelines.verb_documents import Decided

    task = str(file.task)
    path = done.path("select", task, "decisions")
    rows = read_table(path, ["keep", "reason", "value", "threshold", *(["edits"] if edits else [])])
    with open_table(documents) as table:
        own = [name for name in table.schema_arrow.names if name.startswith(SIGNAL_PREFIX)]
    signals = read_table(documents, own)
    more = None
    if done.view.tasks("signals"):
        external = read_table(done.path("signals", task, "signals"))
        more = external.select([name for name in external.column_names if name != "doc_id"])
    for table in (signals, *([more] if more is not None else [])):
        for name in table.column_names:
            rows = rows.append_column(table.schema.field(name), table[name])
    return Decided(rows, {"select": path}, more)


def _own(edits: bool, schema: pa.Schema) -> list[str]:
    """The columns that documents get: their id, the signals, and where each text was edited."""
    from manifests.schema import SIGNAL_PREFIX

    signals = [name for name in schema.names if name.startswith(SIGNAL_PREFIX)]
    return ["doc_id", *signals, *(["edits"] if edits else [])]


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
