"""The tokenizer in the map of stages: a sample of the clean corpus, its pre-tokens counted, and what is learned."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from manifests.tasks import InputRef
from pipelines.graph import Progress, Shard, Stage, file_ref, part_of, source_ref
from tokenizer.bpe.counting import add_words, count_words
from tokenizer.bpe.sampling import sample_cutoffs, sample_histogram
from tokenizer.bpe.train import train_tokenizer
from tokenizer.encoding.agreement import check_encoders
from tokenizer.encoding.tokens import encode_documents

_log = logging.getLogger(__name__)


def clean_parts(p: Progress) -> Iterator[tuple[str, str, InputRef]]:
    """(shard, source, documents) of every part of the clean corpus that the mixture uses and that has a row."""
    for output in p.outputs("clean", "documents"):
        shard = part_of(output.path, "clean")
        source = shard.split("/")[0]
        if output.n_rows and p.recipe.mixture.sources().get(source):
            yield shard, source, file_ref(output)


def _sample(p: Progress) -> Iterator[Shard]:
    if p.recipe.tokenizer.path is not None:
        return
    for shard, source, documents in clean_parts(p):
        yield Shard(shard, {"documents": documents}, {"source": source, "seed": p.recipe.seed})


def _cutoffs(p: Progress) -> Iterator[Shard]:
    if p.recipe.tokenizer.path is not None:
        return
    fields = {"share", "total_tokens", "weights", "epochs", "tokens"}
    phases = [amounts.model_dump(mode="json", include=fields) for _, amounts in p.recipe.mixture.stages()]
    yield Shard("cutoffs", {"histograms": p.whole("tokenizer/sample", "histogram")},
                {"phases": phases} if p.recipe.tokenizer.sample == "mixture" else {})


def _counts(p: Progress) -> Iterator[Shard]:
    if p.shards("tokenizer/cutoffs"):
        cutoffs = p.output("tokenizer/cutoffs", "cutoffs", "cutoffs")
        for shard, source, documents in clean_parts(p):
            yield Shard(shard, {"documents": documents, "cutoffs": cutoffs}, {"source": source, "seed": p.recipe.seed})


def _words(p: Progress) -> Iterator[Shard]:
    if p.shards("tokenizer/counts"):
        for partition in range(p.recipe.tokenizer.word_partitions):
            yield Shard(f"part-{partition:05d}", {"counts": p.whole("tokenizer/counts", "counts")},
                        {"partition": partition})


def _tokenizer(p: Progress) -> Iterator[Shard]:
    if given := p.other_inputs.get("tokenizer.path", ()):
        yield Shard("tokenizer", {"existing": source_ref(given)})
    else:
        yield Shard("tokenizer", {"words": p.whole("tokenizer/words", "words"),
                                  "cutoffs": p.output("tokenizer/cutoffs", "cutoffs", "cutoffs")})


def tokenizer_file(p: Progress) -> dict[str, InputRef]:
    return {"tokenizer": p.output("tokenizer", "tokenizer", "tokenizer")}


def _check(p: Progress) -> Iterator[Shard]:
    if p.recipe.encode.fast:
        for shard, _, documents in clean_parts(p):
            yield Shard(shard, {"documents": documents, **tokenizer_file(p)})


def _say_who_encodes(p: Progress) -> None:
    counters = p.counters("tokenizer/check")
    if n := counters.get("differing_documents", 0):
        _log.warning("tokenizer/check: the fast encoder differs from tokenizers on %s of %s documents, so tokenizers "
                     "encodes all, some fifty times slower", n, counters["checked_documents"])
    elif counters.get("no_fast_encoder", 0):
        _log.warning("tokenizer/check: the fast encoder does not take this tokenizer, so tokenizers encodes all, some "
                     "fifty times slower")


def _tokens(p: Progress) -> Iterator[Shard]:
    # Only what is unusual is said, so that runs whose encoders agree do not depend on how that was found out.
    differ = {"fast": False} if p.counters("tokenizer/check").get("differing_documents", 0) else {}
    for shard, _, documents in clean_parts(p):
        yield Shard(shard, {"documents": documents, **tokenizer_file(p)}, differ)


def _say_who_failed(p: Progress) -> None:
    checked = p.counters("tokenizer/check")
    said = checked.get("differing_documents", 0) or checked.get("no_fast_encoder", 0)
    failed = p.counters("tokens").get("encoder_fallback", 0)
    if failed and not said:
        _log.warning("tokens: the fast encoder failed on %s parts, which tokenizers encoded", failed)


TOKENIZER_STAGES: tuple[Stage, ...] = (
    Stage("tokenizer/sample", 2, sample_histogram, ("clean",), lambda r: r.tokenizer, _sample),
    Stage("tokenizer/cutoffs", 1, sample_cutoffs, ("tokenizer/sample",), lambda r: r.tokenizer, _cutoffs),
    Stage("tokenizer/counts", 1, count_words, ("tokenizer/cutoffs",), lambda r: r.tokenizer, _counts),
    Stage("tokenizer/words", 1, add_words, ("tokenizer/counts",), lambda r: r.tokenizer, _words),
    Stage("tokenizer", 3, train_tokenizer, ("tokenizer/words",), lambda r: r.tokenizer, _tokenizer),
    Stage("tokenizer/check", 1, check_encoders, ("tokenizer",), lambda r: r.encode, _check, _say_who_encodes),
    Stage("tokens", 3, encode_documents, ("tokenizer/check",), lambda r: r.encode, _tokens, _say_who_failed),
)
"""From the clean corpus to tokenizer.json, and to tokens by it."""
