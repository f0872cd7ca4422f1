"""What a trainer sees of removals: targets of gaps, and which dataset follows which."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from manifests import DatasetMismatchError, PackedDataset, PackedLoader
from manifests.removals import removed_ids, removed_tokens, superseded
from manifests.schema import REMOVALS, SUCCESSION
from manifests.storage import Storage
from manifests.tables import read_table, write_table
from tests.unit.manifests.test_dataset import T, make_dataset, span


def write_succession(packed: Path, steps: list[tuple[str, str]]) -> None:
    rows = [{"request": i + 1, "dataset": new, "supersedes": old, "split": "train", "shard_index": 0, "rows": [0],
             "n_tokens": 3} for i, (old, new) in enumerate(steps)]
    write_table(str(packed / "succession.parquet"), SUCCESSION, [pa.Table.from_pylist(rows, SUCCESSION)])


def test_targets_skip_what_no_span_covers(tmp_path: Path) -> None:
    make_dataset(tmp_path, [3], spans=[span(1, 5), span(10, 6), span(16, 8)])  # 6 to 9 were removed
    path = tmp_path / "packed/manifest.parquet"
    table = read_table(str(path))
    padding = table.column_names.index("padding_tokens")
    table = table.set_column(padding, table.schema.field(padding), pa.array([4], pa.int64()))
    write_table(str(path), table.schema, [table])
    data = PackedDataset(tmp_path, "train")
    stream = np.arange(3 * T)
    wanted = [-100 if 6 <= t <= 9 or t >= 3 * T else t for t in range(1, 3 * T + 1)]
    assert [t for row in range(3) for t in data.targets(row).tolist()] == wanted
    assert data.batch(np.array([1, 0]))[1].ravel().tolist() == wanted[T : 2 * T] + wanted[:T]
    assert (data[0] == stream[:T]).all()


def test_chain_of_succession(tmp_path: Path) -> None:
    assert superseded(tmp_path, "c") == set()
    assert removed_tokens(Storage(str(tmp_path))) == {}
    write_succession(tmp_path, [("a", "b"), ("b", "c"), ("x", "y")])
    assert superseded(tmp_path, "c") == {"a", "b"}
    assert superseded(tmp_path, "a") == set()
    assert superseded(tmp_path, "y") == {"x"}
    assert removed_tokens(Storage(str(tmp_path))) == {("train", 0): 9}


def test_only_a_predecessor_is_accepted(tmp_path: Path) -> None:
    make_dataset(tmp_path, [2])
    loader = PackedLoader(PackedDataset(tmp_path, "train"), 1)
    state = {**loader.state_dict(), "rows": 1, "dataset": "old"}
    write_succession(tmp_path / "packed", [("old", loader.dataset.digest)])
    with pytest.raises(DatasetMismatchError, match="accept_successor=True"):
        loader.load_state_dict(state)
    with pytest.raises(DatasetMismatchError, match="another"):
        loader.load_state_dict({**state, "dataset": "another"}, accept_successor=True)
    with pytest.raises(DatasetMismatchError, match="seed"):
        loader.load_state_dict({**state, "seed": 5}, accept_successor=True)
    loader.load_state_dict(state, accept_successor=True)
    assert loader.state_dict()["rows"] == 1


def test_removed_ids_are_documents_and_their_pieces(tmp_path: Path) -> None:
    row = {"doc_id": b"d" * 16, "source": "s", "url": None, "request": 1, "clean_ids": [b"p" * 16, b"q" * 16]}
    write_table(str(tmp_path / "r.parquet"), REMOVALS, [pa.Table.from_pylist([row], REMOVALS)])
    assert removed_ids([str(tmp_path / "r.parquet")]).to_pylist() == [b"d" * 16, b"p" * 16, b"q" * 16]
    assert removed_ids([]).to_pylist() == []
