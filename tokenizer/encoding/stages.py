"""Encoding in the stage graph: a sample encoded twice, and then everything by the encoder that proved right."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Final

from manifests.graph import Stage, Task, View, file_ref, part_of
from manifests.tasks import InputRef

_log = logging.getLogger(__name__)

UNICODE_VERSION: Final = "16.0.0"
"""Of `tokenizers`, and so of `character_classes.tsv`."""


def corpus_parts(view: View) -> Iterator[tuple[str, str, InputRef]]:
    """(part, source, documents) of every part of the clean corpus that the mixture uses and that has a row; of what was
    extracted, where no stage of the run cleans."""
    stage = "clean" if view.tasks("clean") else "extract"
    sources = view.section("mixture").sources()
    for output in view.outputs(stage, "documents"):
        part = part_of(output.path, stage)
        source = part.split("/")[0]
        if output.n_rows and sources.get(source):
            yield part, source, file_ref(output)


def tokenizer_file(view: View) -> dict[str, InputRef]:
    """The run's tokenizer as an input, by the name under which stages read it."""
    return {"tokenizer": view.output("tokenizer", "tokenizer", "tokenizer")}


def _check(view: View) -> Iterator[Task]:
    if view.section("encode").fast:
        for part, _, documents in corpus_parts(view):
            yield Task(part, {"documents": documents, **tokenizer_file(view)})


def _say_who_encodes(view: View) -> None:
    counters = view.counters("tokenizer/check")
    if n := counters.get("differing_documents", 0):
        _log.warning("tokenizer/check: the fast encoder differs from tokenizers on %s of %s documents, so tokenizers "
                     "encodes all, some fifty times slower", n, counters["checked_documents"])
    elif counters.get("no_fast_encoder", 0):
        _log.warning("tokenizer/check: the fast encoder does not take this tokenizer, so tokenizers encodes all, some "
                     "fifty times slower")


def _tokens(view: View) -> Iterator[Task]:
    # Only what is unusual is reported, so that runs whose encoders agree do not depend on how it was checked.
    differ = {"fast": False} if view.counters("tokenizer/check").get("differing_documents", 0) else {}
    for part, _, documents in corpus_parts(view):
        yield Task(part, {"documents": documents, **tokenizer_file(view)}, differ)


def _say_who_failed(view: View) -> None:
    checked = view.counters("tokenizer/check")
    reported = checked.get("differing_documents", 0) or checked.get("no_fast_encoder", 0)
    failed = view.counters("tokens").get("encoder_fallback", 0)
    if failed and not reported:
        _log.warning("tokens: the fast encoder failed on %s parts, which tokenizers encoded", failed)


STAGES: tuple[Stage, ...] = (
    Stage("tokenizer/check", 1, "tokenizer.encoding.agreement:check_encoders", "encode", ("tokenizer",), _check,
          _say_who_encodes, unicode=UNICODE_VERSION),
    Stage("tokens", 3, "tokenizer.encoding.tokens:encode_documents", "encode", ("tokenizer/check",), _tokens,
          _say_who_failed, unicode=UNICODE_VERSION),
)
"""From the clean corpus to tokens."""
