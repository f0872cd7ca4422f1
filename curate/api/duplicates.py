"""Duplicates among tables in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.api.results import kept_rows, with_ids
from curate.api.scratch import Given, rows_of_ids, scratch_run
from curate.dedup.config import DedupRecipe, SurvivorKey
from curate.dedup.files.own_decisions import Decided, OwnIds, own_decisions
from curate.dedup.stages import STAGES
from curate.edits.spans import FlatEdits
from curate.sources.columns import as_ids
from manifests.errors import RecipeError
from manifests.hashing import Int64
from manifests.settings import settings
from manifests.tables import one_array

_ROWS_OF_A_PARTITION: Final = 1 << 20
_PLACE: Final = (
    pa.field("duplicate_of_table", pa.int32(), metadata={
        "comment": "number of the table that the kept row is of, from 0"}),
    pa.field("duplicate_of_row", pa.int64(), metadata={"comment": "number of that row in its table, from 0"}),
)


@overload
def deduplicate(tables: Sequence[Any] | Iterator[Any], *, exact: bool = ..., near: bool = ..., threshold: float = ...,
                config: Mapping[str, Any] | None = ..., text_column: str = ..., apply: bool = ...,
                ignore_keep: bool = ...) -> list[pa.Table]: ...
@overload
def deduplicate(tables: Any, *, exact: bool = ..., near: bool = ..., threshold: float = ...,
                config: Mapping[str, Any] | None = ..., text_column: str = ..., apply: bool = ...,
                ignore_keep: bool = ...) -> pa.Table: ...
def deduplicate(tables: Any, *, exact: bool = True, near: bool = True, threshold: float = 0.8,
                config: Mapping[str, Any] | None = None, text_column: str = "text", apply: bool = True,
                ignore_keep: bool = False) -> pa.Table | list[pa.Table]:
    """Remove duplicates from a table, or from several together, by the stages of a run.

    Survivor order is that of tables and rows: of two duplicates the earlier row stays.

    Args:
        tables: A table with a column of texts, or several. Columns `url`, `date` and `quality_score` serve rules that
            ask for them. Rows whose `keep` is false are left out.
        exact: Whether to remove rows that have the same words in the same order.
        near: Whether to remove near-duplicates: MinHash proposes pairs, their Jaccard similarity decides.
        threshold: Jaccard similarity from which a row is removed.
        config: Further fields of a recipe's `dedup`, such as `paragraphs`, `substrings` or `survivor_order`.
        text_column: Name of the column of texts.
        apply: Whether to return what is left, or the decisions.
        ignore_keep: Whether rows whose `keep` is false are read too.
    Returns:
        Of one table a table, of several a list of as many, in order. Rows that stay, with all their columns, without
        the passages that rules within documents remove. Without `apply`, a row for each: `id` or `doc_id` where the
        table has it, `keep`, `reason`, `duplicate_of`, `duplicate_of_table`, `duplicate_of_row`, `similarity`;
        where passages are compared also `value`, `threshold`, `removed_spans` and `edits` (UTF-8 bytes).
    Raises:
        InputError: There is no such column, `keep` is not boolean, or a name occurs twice.
        RecipeError: A setting is not valid.
    """
    one = not isinstance(tables, Iterable) or isinstance(tables, Mapping) or any(
        hasattr(tables, name) for name in ("__arrow_c_stream__", "__arrow_c_array__"))
    given = [Given.of(table, text_column, ignore_keep, "table" if one else f"table {number}")
             for number, table in enumerate([tables] if one else tables)]
    recipe = _recipe({"exact": exact, "near": near, "threshold": threshold, **(config or {})}, given)
    decided = _decided(given, recipe)
    if apply:
        results = [_left(table, decision, text_column) for table, decision in zip(given, decided, strict=True)]
    else:
        own = _own_ids(decided, given)
        results = [with_ids(table.table, _decisions(decision, own), table.enters)
                   for table, decision in zip(given, decided, strict=True)]
    return results[0] if one else results


def _left(given: Given, decided: Decided, text_column: str) -> pa.Table:
    """The rows that stay of a table, with what is left of their texts."""
    keep = one_array(decided.decisions["keep"])
    sizes = pc.binary_length(given.texts).to_numpy(zero_copy_only=False).astype(np.int64)
    texts = FlatEdits.of(decided.edits, sizes).texts(given.texts).filter(keep)
    return kept_rows(given.table, text_column, pc.indices_nonzero(keep).cast(pa.int64()), texts)


def _recipe(fields: Mapping[str, Any], given: Sequence[Given]) -> DedupRecipe:
    """The settings, with rows in the order given behind whatever else decides which of two stays."""
    n_rows = sum(len(table.texts) for table in given)
    own = settings(DedupRecipe, {"survivor_order": ["position"], "max_removed_fraction": 1.0,
                                 "partitions": 1 + n_rows // _ROWS_OF_A_PARTITION, **fields}, "deduplicate")
    if own.against or own.keep_index:
        raise RecipeError("against and keep_index need a run", where="deduplicate(): config",
                          hint="pipelines.run, or `curate dedup --against`")
    keys = [*(SurvivorKey.POSITION if key is SurvivorKey.SOURCE else key for key in own.survivor_order),
            SurvivorKey.POSITION]
    return own.model_copy(update={"survivor_order": tuple(keys[: keys.index(SurvivorKey.POSITION) + 1])})


def _decided(given: Sequence[Given], recipe: DedupRecipe) -> list[Decided]:
    if not (given and recipe.is_on):
        raise RecipeError("there is nothing to compare", where="deduplicate()",
                          hint="give a table at least, and set exact, near or another rule")
    sections = {"dedup": recipe, "dedup.documents": recipe.documents(), "dedup.passages": recipe.shuffled(),
                "dedup.passage_decisions": recipe.cutting(), "dedup.substrings": recipe.substrings}
    with scratch_run(given, sections, STAGES) as run:
        later = [stage for stage in ("dedup/passage_decisions", "dedup/substrings") if run.view.tasks(stage)]
        passages = zip(*(run.paths(stage) for stage in later), strict=True) if later else ((),) * len(given)
        return [Decided.of(path, list(paths)) for path, paths in zip(run.paths("dedup/decisions"), passages,
                                                                    strict=True)]


def _decisions(decided: Decided, own: OwnIds) -> pa.Table:
    """Decisions of one table, by the ids of the caller's rows."""
    table = own_decisions(decided, own).drop_columns(["cluster_id"])
    survivors = one_array(decided.decisions["duplicate_of"])
    none = survivors.is_null().to_numpy(zero_copy_only=False)
    index = table.column_names.index("duplicate_of")
    for offset, (field, numbers) in enumerate(zip(_PLACE, rows_of_ids(survivors), strict=True), 1):
        table = table.add_column(index + offset, field, pa.array(numbers, mask=none).cast(field.type))
    return table


def _own_ids(decided: Sequence[Decided], given: Sequence[Given]) -> OwnIds:
    """What the caller calls the rows that decisions name: their ids, or else their numbers."""
    ids = pc.unique(pa.concat_arrays([decision.named() for decision in decided]))
    of_table, of_row = rows_of_ids(ids)
    names = np.full(len(ids), None, object)
    for number, table in enumerate(given):
        here = np.flatnonzero(of_table == number)
        names[here] = _names(table.table, of_row[here])
    return OwnIds(pa.table({"doc_id": ids, "own_id": pa.array(names, pa.string())}), [])


def _names(table: pa.Table, rows: Int64) -> list[str]:
    column = next((name for name in ("id", "doc_id") if name in table.column_names), None)
    ids = [None] * len(rows) if column is None else as_ids(table[column].take(pa.array(rows)), column).to_pylist()
    return [str(row) if name is None else name for name, row in zip(ids, rows.tolist(), strict=True)]
