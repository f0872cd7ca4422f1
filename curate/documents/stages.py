"""Extraction in the stage graph: one task for each input file, or several for a large archive."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from curate.language.download import lid_model_path
from curate.text.versions import UNICODE_VERSION
from manifests.errors import StageError
from manifests.graph import Source, Stage, Task, View, files_under, source_ref
from manifests.storage import digest_file, is_local
from manifests.tasks import InputRef

TOKENS: Final = "tokens"
"""The source kind that enters the graph at the mixture."""
EXTRACTOR_INPUT: Final = "extract.extractor_parameters"
"""Field of a recipe; the files that a plug-in's extractor needs are inputs of the task under names that begin so."""


def parameters_field(source: str) -> str:
    """Field of a recipe with the parameters of a source's plug-in; the files that they name are inputs of the source's
    tasks under names that begin so."""
    return f"sources.{source}.options"


PRIOR_INPUT: Final = "decisions"
"""With a number after it: the parts of a folder of decisions about the rows of a table."""


def prior_field(source: str, number: int) -> str:
    """The field of the recipe that names a folder of decisions about a source."""
    return f"sources.{source}.decisions.{number}"


def _read(view: View) -> list[Source]:
    """The sources that extraction reads."""
    return [source for source in view.sources if source.config.kind != TOKENS]


def _extract(view: View) -> Iterator[Task]:
    model: dict[str, InputRef] = {}
    if view.section("extract").identify_language:
        path = view.section("extract").language_model or str(lid_model_path())
        model["language_model"] = InputRef((path,), digest_file(path))
    for name, files in view.files.items():
        if name.startswith("extract.") and not name.startswith(f"{EXTRACTOR_INPUT}."):
            model[name] = source_ref(files)
    for source in _read(view):
        facts = {"source": source.name, **source.config.facts()}
        given = files_under(view.files, parameters_field(source.name))
        if (extractor := view.section("extract.plugin")) is not None and source.config.holds_pages():
            facts["extractor"] = extractor
            given |= files_under(view.files, EXTRACTOR_INPUT)
        http = {"http": view.section("http").model_dump(mode="json")}
        prior = {f"{PRIOR_INPUT}.{i}": source_ref(view.files[prior_field(source.name, i)])
                 for i in range(len(source.config.decisions))}
        for file in source.files:
            inputs = {"source": source_ref([file]), **model, **given, **prior, **view.removals()}
            if source.selection is not None:
                inputs["records"] = InputRef((source.selection,), file.digest)
            variables = {**facts, "origin_path": file.relative}
            settings = {} if is_local(file.path) else http
            for part, span in zip(file.parts, file.ranges, strict=True):
                of_part = {"range": list(span)} if file.n_parts > 1 else {}
                n_bytes = inputs["source"].n_bytes // file.n_parts
                own = {**inputs, "source": replace(inputs["source"], n_bytes=n_bytes)}
                yield Task(f"{source.name}/{part}", own, {**variables, **of_part}, settings)


def _no_source_is_empty(view: View) -> None:
    for source in _read(view):
        if not view.records("extract").n_rows("documents", f"{source.name}/"):
            raise StageError("has no document", where=f"source {source.name!r}",
                             hint="see the exclusions under extract/, or take the source out of the recipe")


STAGES: tuple[Stage, ...] = (
    Stage("extract", 18, "curate.documents.stage:extract", "extract", (), _extract, _no_source_is_empty,
          reads_source=True, unicode=UNICODE_VERSION, remembered=False),  # it looks for the language model
)
"""From files to documents."""
