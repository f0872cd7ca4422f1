"""`curate why` and `curate trace`: one document followed through a run, and a token followed home."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.cli.answers import AnswerFormat, AnswerOption, RunFolder, answer


def why_command(
    run: RunFolder,
    document: Annotated[str, typer.Argument(metavar="URL|DOC_ID|HOST", help=(
        "Any form of a page's URL, a doc_id or its first digits, a host, or a part of a URL."))],
    limit: Annotated[int, typer.Option(min=1, help="Documents to follow where several match.")] = 20,
    form: AnswerOption = AnswerFormat.TEXT,
) -> None:
    """Every decision a run took about one document: curate why runs/gpt3 https://example.org/"""
    from manifests.stage_files import StageFiles
    from pipelines.asking.finding import Finder
    from pipelines.asking.lock import locked_recipe, open_run
    from pipelines.asking.telling import decision_rows, found_lines, with_draws

    storage = open_run(run)
    found = Finder(StageFiles(storage)).find(document, limit)
    recipe = locked_recipe(storage)
    found.histories[:] = [with_draws(history, recipe) for history in found.histories]
    answer(form, [h.to_json() for h in found.histories], lambda: decision_rows(found.histories),
           lambda: found_lines(found))


def trace_command(
    run: Annotated[str, typer.Argument(metavar="RUN|PACKED", help="A run's folder or URL, or a packed folder alone.")],
    shard: Annotated[str, typer.Argument(help="A packed shard, such as train/000000.")],
    row: Annotated[int, typer.Argument(help="Row of the shard, from 0.")],
    token: Annotated[int | None, typer.Argument(help="Token of the row, from 0; without it, all.")] = None,
    form: AnswerOption = AnswerFormat.TEXT,
) -> None:
    """From a token to its document, archive, offset and URL: curate trace runs/gpt3 train/000000 0 17"""
    from pipelines.asking.trace import origins
    from tokenizer.show import origin_facts, origin_lines

    facts = origin_facts(run, origins(run, shard, row, token), token)
    answer(form, facts, lambda: facts, lambda: origin_lines(facts))
