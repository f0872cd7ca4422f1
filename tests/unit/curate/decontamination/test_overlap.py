"""The index of benchmarks: its order, the distinct values of n-gram hashes, and what a process keeps of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from curate.decontamination.config import Benchmark, DecontaminationConfig
from curate.decontamination.overlap import GRAMS, build_index, distinct, held_index, held_names, read_grams
from curate.decontamination.touches import ITEM_GRAMS, ItemIndex, held_items, sorted_grams
from manifests.tables import write_table


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 5)), st.booleans())
def test_distinct_values_ascend(values: list[int], in_order: bool) -> None:
    grams = np.array(sorted(values) if in_order else values, np.uint64)
    assert distinct(grams).tolist() == sorted(set(values))
    assert distinct(grams).dtype == np.uint64


class _Account:
    def __init__(self) -> None:
        self.counters = Counter[str]()

    def count(self, name: str, n: int = 1) -> None:
        self.counters[name] += n

    def report_damage(self, where: str, what: str) -> None:
        raise AssertionError(f"{where}: {what}")


def test_items_that_share_an_n_gram_come_in_the_order_of_the_benchmarks(tmp_path: Path) -> None:
    texts = {"one": ["a b c d", "x y", "b c d e"], "two": ["b c d", "a b c d"]}
    for name, items in texts.items():
        (tmp_path / name).write_text("".join(f'{{"text": "{text}"}}\n' for text in items))
    config = DecontaminationConfig(ngram=3, benchmarks=tuple(
        Benchmark(name=name, path=str(tmp_path / name), fields=("text",)) for name in texts))
    account = _Account()
    table = read_grams(config, [str(tmp_path / name) for name in texts], account)
    grams = table["gram"].to_pylist()
    assert grams == sorted(grams)
    (shared,) = {gram for gram, n in Counter(grams).items() if n == 4}
    owners = [(row["benchmark"], row["item"]) for row in table.to_pylist() if row["gram"] == shared]
    assert owners == [("one", "0"), ("one", "2"), ("two", "0"), ("two", "1")]
    assert account.counters == {"items[one]": 3, "items_too_short[one]": 1, "items[two]": 2, "items_too_short[two]": 0}


@given(st.lists(st.lists(st.tuples(st.integers(8, 10), st.sampled_from((1, 2, 3, 2**64 - 1)), st.integers(0, 4)))))
def test_n_grams_of_items_are_in_order_and_each_there_once(tables: list[list[tuple[int, int, int]]]) -> None:
    rows = [pa.Table.from_pylist([dict(zip(ITEM_GRAMS.names, row, strict=True)) for row in table], ITEM_GRAMS)
            for table in tables]
    found = sorted_grams(rows)
    assert [tuple(row.values()) for row in found.to_pylist()] == sorted({row for table in tables for row in table})
    assert found.schema == ITEM_GRAMS


def test_what_a_process_keeps_of_an_index_is_of_the_files_that_are_there(tmp_path: Path) -> None:
    path = str(tmp_path / "grams.parquet")
    for digest, text in (("first", "one two three"), ("second", "four five six")):
        grams = build_index([text], 3).grams
        write_table(path, GRAMS, [pa.table({"gram": grams, "benchmark": ["b"], "item": ["0"]}, schema=GRAMS)])
        assert held_index((path,), digest, 3).grams.tolist() == grams.tolist()
        assert held_index((path,), digest, 3) is held_index((path,), digest, 3)
        assert held_names((path,), digest)["gram"].to_pylist() == grams.tolist()
    assert len(held_index((), "none", 3).grams) == 0


def test_the_same_holds_of_the_report_s_index(tmp_path: Path) -> None:
    path = str(tmp_path / "grams.parquet")
    found = []
    for digest, text in (("first", "one two three"), ("second", "four five six")):
        rows = pa.table({"ngram": [3], "gram": build_index([text], 3).grams, "item_row": [7]}, schema=ITEM_GRAMS)
        write_table(path, ITEM_GRAMS, [rows])
        index = held_items(path, digest)
        assert isinstance(index, ItemIndex)
        found.append(index.find(pa.array(["one two three", "four five six"], pa.large_string()))["row"].to_pylist())
    assert found == [[0], [1]]
