"""Selection: the heuristic rules, then the keep rules on the scores that every document was given before.

Nothing is rewritten: the stage leaves one decision a document, with the reason and what it would have taken to stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.classifier.score_tables import OWN, score_column
from curate.heuristics.plugin_signals import with_signals
from curate.heuristics.rules import columns_of
from curate.heuristics.signals import PERPLEXITY, Words
from curate.perplexity.buckets import buckets
from curate.selection.config import SelectConfig
from curate.selection.keep import judge_scores
from curate.selection.keep_rules import SelectReason
from curate.selection.plugin_edits import load_edits
from curate.selection.stages import PLUGIN_SIGNAL
from curate.selection.text_rules import TextRules, Verdicts, external_values
from manifests.errors import StageError
from manifests.schema import SELECT_DECISIONS, SIGNAL_PREFIX
from manifests.tables import one_array, open_table, read_table
from manifests.tasks import Work

_OWN_SCORE: Final = score_column(OWN)
_BUCKET: Final = pa.field("perplexity_bucket", pa.string(), metadata={
    "comment": "head, middle or tail of its language by perplexity; null where no model speaks it"})


class PageReason(StrEnum):
    """Why a document was dropped before any rule read it; value: the probability of its kind of page."""

    PAGE_TYPE = "page_type"


def select(config: SelectConfig, work: Work) -> None:
    """Stage select, one task a source part: keeps or drops every document.

    Inputs: `documents` (DOCUMENTS part), `labels` (its LABELS; without them sources are the documents' own), `scores`
    (its scores; absent where the recipe has no classifier), `cutoffs` (SCORE_CUTOFFS; for rules that need them),
    `signals` (external ones; absent where the recipe gives none), `signal_<name>` (those of plug-ins that rules read),
    `perplexity_cutoffs`, `select.edits.<number>.…` (files of plug-ins). Variables: seed; words, how the signals were
    counted (paper); crawled, the sources whose buckets count; edits, facts of plug-ins. Output `decisions`
    (SELECT_DECISIONS, a column for each other classifier, and `perplexity_bucket` where there are language models; one
    row a document, in order). Counters: documents, kept, dropped_<reason>, edited, edited_<plug-in>, pii_<kind>, bytes,
    kept_bytes, documents_<source> and kept_<source> by source after derivation; a source that keeps nothing shows
    there."""
    scores = next((read_table(path) for path in work.inputs("scores")), None)
    extra = [] if scores is None else [field for field in scores.schema if field.name not in ("doc_id", _OWN_SCORE)]
    cut = next((read_table(name) for name in work.inputs("perplexity_cutoffs")), None)
    schema = pa.schema([*SELECT_DECISIONS, *extra, *([_BUCKET] if cut is not None else [])],
                       metadata=SELECT_DECISIONS.metadata)
    rules = TextRules(config.rules, config.toxic_words, config.pii, Words(work.variables.get("words", "paper")),
                      config.perplexity_buckets, tuple(work.variables.get("crawled", ())), cut, load_edits(work))
    work.write("decisions", schema, _decisions(config, rules, work, scores, schema))


def _decisions(config: SelectConfig, rules: TextRules, work: Work, scores: pa.Table | None, schema: pa.Schema,
               ) -> Iterator[pa.Table]:
    path = work.input("documents")
    labels = next((read_table(name, ["doc_id", "source"]) for name in work.inputs("labels")), None)
    cut = next((read_table(name) for name in work.inputs("cutoffs")), None)
    external = next((read_table(name) for name in work.inputs("signals")), None)
    of_plugins = {name.removeprefix(PLUGIN_SIGNAL): read_table(work.input(name)) for name in sorted(work.task.inputs)
                  if name.startswith(PLUGIN_SIGNAL)}
    with open_table(path) as file:
        names = ["doc_id", "source", "language", "n_bytes", *(["text"] if rules.reads_text else [])]
        names += ["page_type", "page_type_score"] if config.page_types is not None else []
        names += [_OWN_SCORE] if _OWN_SCORE in file.schema_arrow.names else []
        if config.rules is not None:
            names += [name for name in file.schema_arrow.names if name.startswith(SIGNAL_PREFIX)]
            names += [name for name in columns_of(config.rules.in_force) if name not in names]
        start = 0
        for group in range(file.num_row_groups):
            documents = file.read_row_group(group, columns=names, use_threads=False)
            own_labels = _aligned(labels, start, documents, "labels", path)
            own_scores = _aligned(scores, start, documents, "scores", path)
            signals = _aligned(external, start, documents, "signals", path)
            documents = with_signals(documents, of_plugins, start, path)
            start += len(documents)
            if signals is not None:
                documents = pa.table([*documents.columns, *signals.columns[1:]],
                                     [*documents.column_names, *signals.column_names[1:]])
            decisions = _judge(config, rules, documents, own_labels, own_scores, cut, int(work.variables["seed"]))
            edits, counters = rules.edits(documents, one_array(decisions["keep"]))
            if rules.cut is not None:
                bucket = buckets(external_values(documents, PERPLEXITY), documents["language"], rules.cut)[0]
                decisions = decisions.append_column(_BUCKET, bucket)
            decisions = decisions.append_column("edits", edits).select(schema.names).cast(schema)
            for name, n in counters.items():
                work.count(name, n)
            _count(work, documents["n_bytes"].to_numpy(), decisions)
            yield decisions


def _aligned(table: pa.Table | None, start: int, documents: pa.Table, what: str, path: str) -> pa.Table | None:
    """The rows of a part's table that belong to one row group of its documents."""
    if table is None:
        return None
    rows = table.slice(start, len(documents))
    if not rows["doc_id"].equals(documents["doc_id"]):
        raise StageError(f"the {what} are not those of these documents", where=path, hint="run with --fresh")
    return rows


def _judge(config: SelectConfig, rules: TextRules, documents: pa.Table, labels: pa.Table | None,
           scores: pa.Table | None, cut: pa.Table | None, seed: int) -> pa.Table:
    """The decisions of one row group, without edits: the heuristic rules first, then the keep rules on what passed
    them."""
    n = len(documents)
    source = one_array((documents if labels is None else labels)["source"])
    names = pa.array(list(config.filtered_sources or ()), pa.string())
    filtered = pc.is_in(source, names).to_numpy(zero_copy_only=False)
    if filtered.any() and scores is None:
        name = pc.filter(source, pa.array(filtered))[0].as_py()
        raise StageError("the keep rule needs a trained classifier, and the recipe has none", where=f"source `{name}`",
                         hint="set select.filtered_sources to [], or give the classifier positive examples")
    reason, value, threshold = _of_wanted_pages(config, documents, rules.verdicts(documents))
    if scores is not None and filtered.any():
        verdict = judge_scores(config, documents, scores, cut, seed)
        dropped = pa.array(filtered & ~verdict.keep & reason.is_null().to_numpy(zero_copy_only=False))
        reasons = pa.array([str(r) for r in SelectReason]).take(pa.array(np.maximum(verdict.reason, 0)))
        reason = pc.if_else(dropped, reasons, reason)
        value = pc.if_else(dropped, pa.array(verdict.value), value)
        threshold = pc.if_else(dropped, pa.array(verdict.threshold), threshold)
    own = documents[_OWN_SCORE] if _OWN_SCORE in documents.column_names else pa.nulls(n, pa.float32())
    columns = {"doc_id": documents["doc_id"], "source": source, _OWN_SCORE: own,
               "keep": reason.is_null(), "reason": reason, "value": value, "threshold": threshold}
    columns |= {} if scores is None else {name: scores[name] for name in scores.column_names if name != "doc_id"}
    return pa.table(columns)


def _of_wanted_pages(config: SelectConfig, documents: pa.Table, verdicts: Verdicts) -> Verdicts:
    """The verdicts, where pages of other kinds than are wanted are dropped, with the probability of their kind."""
    if config.page_types is None:
        return verdicts
    kind, (reason, value, threshold) = documents["page_type"], verdicts
    other = pc.and_(pc.is_valid(kind), pc.invert(pc.is_in(kind, pa.array(list(config.page_types), pa.string()))))
    score = documents["page_type_score"].cast(pa.float64())
    return (pc.if_else(other, str(PageReason.PAGE_TYPE), reason), pc.if_else(other, score, value),
            pc.if_else(other, pa.scalar(None, pa.float64()), threshold))


def _count(work: Work, n_bytes: npt.NDArray[np.int64], decisions: pa.Table) -> None:
    keep = decisions["keep"].to_numpy()
    work.count("documents", len(decisions))
    work.count("kept", int(keep.sum()))
    work.count("bytes", int(n_bytes.sum()))
    work.count("kept_bytes", int(n_bytes[keep].sum()))
    for reason, n in _tally(decisions["reason"]).items():
        work.count(f"dropped_{reason}", n)
    kept = _tally(decisions["source"].filter(decisions["keep"]))
    for source, n in _tally(decisions["source"]).items():
        work.count(f"documents_{source}", n)
        work.count(f"kept_{source}", kept.get(source, 0))


def _tally(names: pa.ChunkedArray) -> dict[str, int]:
    """How often each string occurs, nulls aside."""
    counted = pc.value_counts(names.drop_null())
    return dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))
