"""What others hand over becomes Arrow's own, and what is no column or table is named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from manifests.arrow import as_column, as_table, as_texts, kept_mask, text_column, text_slices
from manifests.errors import InputError


def test_columns_of_other_libraries_need_no_copy_of_their_memory() -> None:
    array = pa.array(["a", None], pa.large_string())
    assert as_column(array) is array
    assert as_texts(array) is array
    assert as_column(pl.Series([1, None])).to_pylist() == [1, None]
    assert as_column(pd.Series([1.0, float("nan")])).to_pylist() == [1.0, None]
    numbers = np.arange(3)
    assert as_column(numbers).buffers()[1].address == numbers.ctypes.data


@pytest.mark.parametrize("kind", [pa.string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())])
def test_every_kind_of_strings_becomes_one(kind: pa.DataType) -> None:
    texts = as_texts(pa.chunked_array([pa.array(["a", None, "a"]).cast(kind), pa.array([], pa.string()).cast(kind)]))
    assert texts.type == pa.large_string()
    assert texts.to_pylist() == ["a", None, "a"]


def test_categories_are_strings() -> None:
    given = ["a", None, "b", "a"]
    for column in (pl.Series(given, dtype=pl.Categorical), pl.Series(given, dtype=pl.Enum(["a", "b"])),
                   pd.Series(given, dtype="category")):
        assert as_texts(column).to_pylist() == given
    table = as_table(pl.DataFrame({"c": pl.Series(given, dtype=pl.Categorical)}))
    assert table["c"].take(pa.array([2, 0])).to_pylist() == ["b", "a"]


def test_a_lone_surrogate_costs_itself_alone() -> None:
    assert as_texts(["a\ud83dz", None, "\ud83d\ude00"]).to_pylist() == ["a�z", None, "😀"]


def test_views_become_what_rows_can_be_taken_of() -> None:
    view = pa.table({"s": pa.array(["a"], pa.string_view()), "b": pa.array([b"b"], pa.binary_view()),
                     "l": pa.array([["c"]], pa.list_(pa.string_view())),
                     "r": pa.array([{"x": "d"}], pa.struct([("x", pa.string_view())]))})
    table = as_table(view)
    assert table.take(pa.array([0])).to_pylist() == view.to_pylist()
    plain = pa.table({"a": [1]}, metadata={"k": "v"})
    assert as_table(plain) is plain


def test_names_must_be_one_columns_own() -> None:
    with pytest.raises(InputError, match="pages: has more than one column 'x'"):
        as_table(pa.table([[1], [2], [3]], ["x", "y", "x"]), "pages")


def test_a_mask_is_boolean_or_absent() -> None:
    assert kept_mask(pa.table({"a": [1]})) is None
    mask = kept_mask(pa.table({"keep": [True, None, False]}))
    assert mask is not None
    assert mask.to_pylist() == [True, False, False]
    with pytest.raises(InputError, match="'keep' of string"):
        kept_mask(pa.table({"keep": ["yes"]}))


def test_texts_are_found_by_name() -> None:
    assert text_column(pa.table({"body": ["a"]}), "body").to_pylist() == ["a"]
    with pytest.raises(InputError, match=r"has no column 'text' \(its columns are none"):
        text_column(pa.table({}), "text")


@pytest.mark.parametrize("start", [0, 2])
def test_slices_hold_every_text_once(start: int) -> None:
    texts = as_texts(["x", "aaaa", "b", "", "cc", "dddddddddd", "e"])[start:]
    runs = list(text_slices(texts, 5))
    assert [row for a, b in runs for row in range(a, b)] == list(range(len(texts)))
    sizes = [sum(len(t) for t in texts[a:b].to_pylist()) for a, b in runs]
    assert all(size <= 5 or b - a == 1 for size, (a, b) in zip(sizes, runs, strict=True))
    assert list(text_slices(texts[:0])) == [(0, 0)]
