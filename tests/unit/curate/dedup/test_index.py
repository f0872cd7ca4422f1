"""Deduplication against what an earlier run kept, of which only the index is at hand."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from curate.dedup import splitting
from curate.dedup.config import DedupConfig, UrlRule, Verification
from curate.dedup.index import index_folder
from curate.dedup.order import is_from_earlier_run, order_before, survivor_order
from curate.dedup.signing import minhash
from manifests.errors import RecipeError
from manifests.hashing import UInt64
from pipelines.cli.main import app
from tests import verbs
from tests.unit.curate.dedup.dedup_reference import edited, prose

Rows = list[tuple[str, str]]
CONFIG = DedupConfig(partitions=3, verify=Verification.SIGNATURES, n_bands=42, n_band_rows=3, keep_index=True,
                     survivor_order=(), max_removed_fraction=1.0)


def dedup(out: Path, files: dict[str, Rows], against: tuple[Path, ...] = (),
          config: DedupConfig = CONFIG) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    lines = {name: [{"id": i, "text": text} for i, text in rows] for name, rows in files.items()}
    rows, facts = verbs.dedup(out, lines, config.model_dump(mode="json"), against)
    return {row["id"]: {**row, "of_run": row.get("of_run") and Path(row["of_run"]).name} for row in rows}, facts


def corpus(seed: int, n: int = 90) -> Rows:
    chance = random.Random(seed)
    base = [prose(1000 * seed + i, chance.choice([4, 40, 150])) for i in range(8)]
    rows = []
    for i in range(n):
        text = chance.choice(base)
        positions = [chance.randrange(len(text.split())) for _ in range(chance.choice([0, 0, 1, 2, 4, 7]))]
        rows.append((f"d{i:02d}", edited(text, *positions)))
    return rows


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_in_turn_the_same_documents_survive_as_at_once(tmp_path: Path, seed: int) -> None:
    rows = corpus(seed)
    shares = {"a": rows[:30], "b": rows[30:60], "c": rows[60:]}
    whole, _ = dedup(tmp_path / "whole", shares)
    got = dedup(tmp_path / "a", {"a": shares["a"]})[0]
    got |= dedup(tmp_path / "b", {"b": shares["b"]}, (tmp_path / "a",))[0]
    got |= dedup(tmp_path / "c", {"c": shares["c"]}, (tmp_path / "a", tmp_path / "b"))[0]
    assert {k: v["keep"] for k, v in got.items()} == {k: v["keep"] for k, v in whole.items()}
    kept = {k for k, v in whole.items() if v["keep"]}
    gone = {k: v for k, v in got.items() if not v["keep"]}
    assert len(gone) > 20
    assert {v["duplicate_of"] for v in gone.values()} <= kept
    runs = {k: v["of_run"] for k, v in gone.items() if k >= "d60"}
    assert set(runs.values()) >= {"a", "b"}
    for key, run in runs.items():
        number = int(got[key]["duplicate_of"][1:])
        assert run == ("a" if number < 30 else "b" if number < 60 else None)


def test_the_similarity_is_the_share_of_equal_minima(tmp_path: Path) -> None:
    """Also where candidates of this run are verified by their texts."""
    config = CONFIG.model_copy(update={"verify": Verification.EXACT})
    text = prose(5, 400)
    near, newer = edited(text, 10, 200), prose(6, 300)
    rows = [("copy", text.upper()), ("near", near), ("new", newer), ("newer", edited(newer, 50)),
            ("other", prose(7, 9))]
    dedup(tmp_path / "old", {"a": [("x", text), ("y", prose(8, 50)), ("z", "")]}, config=config)
    got, facts = dedup(tmp_path / "new", {"a": rows}, (tmp_path / "old",), config)
    assert {k: (v["reason"], v["duplicate_of"], v["of_run"]) for k, v in got.items()} == {
        "copy": ("exact_duplicate", "x", "old"), "near": ("near_duplicate", "x", "old"), "new": (None, None, None),
        "newer": ("near_duplicate", "new", None), "other": (None, None, None)}
    minima = minhash(pa.array([text, near]), config)
    assert got["near"]["similarity"] == pytest.approx(float((minima[0] == minima[1]).mean()), abs=1e-6)
    assert got["newer"]["similarity"] == pytest.approx(291 / 301, abs=1e-6)
    assert facts["documents"] == 5


def test_old_documents_stay_though_they_are_alike(tmp_path: Path) -> None:
    """Two runs that did not know of each other kept the same text: neither is removed, and the first is named."""
    text = prose(5, 200)
    for name in ("a", "b"):
        dedup(tmp_path / name, {"x": [(name, text)]})
    got, _ = dedup(tmp_path / "c", {"x": [("c", text), ("d", edited(text, 3))]}, (tmp_path / "b", tmp_path / "a"))
    assert [(v["duplicate_of"], v["of_run"]) for v in got.values()] == [("b", "b")] * 2


@pytest.mark.parametrize("verify", list(Verification))
def test_old_documents_of_a_large_component_stay_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                     verify: Verification) -> None:
    """Several tasks find what one does, also where the first documents of a component are of an earlier run."""
    banner, chance = prose(900, 60), random.Random(4)
    texts = [f"{banner} {prose(i, chance.choice([4, 12, 30]))}" for i in range(40)]
    texts += [edited(chance.choice(texts), chance.randrange(60)) for _ in texts]
    rows = [(f"d{i:02d}", text) for i, text in enumerate(chance.sample(texts, len(texts)))]
    config = CONFIG.model_copy(update={"verify": verify, "bucket_pivots": 3, "n_bands": 60, "n_band_rows": 1})
    dedup(tmp_path / "old", {"a": rows[:25]}, config=config)
    whole = dedup(tmp_path / "whole", {"b": rows[25:]}, (tmp_path / "old",), config)[0]
    monkeypatch.setattr("curate.dedup.components.SLICE_DOCUMENTS", 15)
    monkeypatch.setattr("curate.dedup.splitting.HEAD_DOCUMENTS", 5)
    dealt, bounds = [0], splitting._bounds

    def counted(slices: UInt64, at: Any) -> splitting.Bounds:
        dealt[0] += len(slices)
        return bounds(slices, at)

    monkeypatch.setattr(splitting, "_bounds", counted)
    assert dedup(tmp_path / "split", {"b": rows[25:]}, (tmp_path / "old",), config)[0] == whole
    assert dealt[0] > 15
    assert 3 < sum(row["of_run"] == "old" for row in whole.values()) < sum(not row["keep"] for row in whole.values())


def test_one_document_a_url_across_runs(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"urls": UrlRule.LONGEST})
    first, second = ([{"id": f"{i}", "text": prose(10 * k + i, 20 + k), "url": f"{host}/{i}"} for i in range(3)]
                     for k, host in ((1, "http://example.org"), (2, "https://www.example.org")))
    settings = config.model_dump(mode="json")
    verbs.dedup(tmp_path / "a", {"a": first[:2]}, settings)
    got, _ = verbs.dedup(tmp_path / "b", {"b": second}, settings, (tmp_path / "a",))
    root = str(tmp_path / "a")
    assert [(r["keep"], r["reason"], r["of_run"]) for r in got] == [
        (False, "url_duplicate", root), (False, "url_duplicate", root), (True, None, None)]


def test_documents_of_one_name_in_two_runs_are_told_apart(tmp_path: Path) -> None:
    """Files of one name give documents of one id: a survivor is of the run that the decisions name."""
    old, new = prose(5, 200), prose(6, 200)
    dedup(tmp_path / "a", {"x": [("old", old)]})
    got, _ = dedup(tmp_path / "b", {"x": [("new", new), ("copy", new), ("again", old)]}, (tmp_path / "a",))
    assert {k: (v["duplicate_of"], v["of_run"]) for k, v in got.items()} == {
        "new": (None, None), "copy": ("new", None), "again": ("old", "a")}


def test_an_index_holds_what_was_kept_and_no_text(tmp_path: Path) -> None:
    rows = corpus(4)
    decisions, _ = dedup(tmp_path / "a", {"a": rows})
    index = pq.read_table(tmp_path / "a.index/part-a.parquet")
    assert index["own_id"].to_pylist() == [k for k, v in decisions.items() if v["keep"]]
    kept = [t for i, t in rows if decisions[i]["keep"]]
    assert np.array_equal(np.array(index["minima"].to_pylist(), np.uint32), minhash(pa.array(kept), CONFIG))
    assert "text" not in index.column_names


def test_the_command_keeps_and_takes_an_index(tmp_path: Path) -> None:
    def run(*arguments: str) -> Any:
        result = CliRunner().invoke(app, ["dedup", *arguments, "--format", "json"])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return json.loads(result.stdout)

    text = prose(5, 200)
    for name, some in (("old", [text, prose(6, 90)]), ("new", [edited(text, 3), prose(7, 90)])):
        lines = (json.dumps({"id": f"{name}{i}", "text": t}) + "\n" for i, t in enumerate(some))
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    old, out = str(tmp_path / "decisions"), str(tmp_path / "out")
    run(str(tmp_path / "old.jsonl"), "--out", old, "--keep-index")
    assert index_folder(old, "x") == f"{old}.index"
    assert run(str(tmp_path / "new.jsonl"), "--out", out, "--against", old)["kept"] == 1
    row = pq.read_table(f"{out}.decisions/part-new.parquet").to_pylist()[0]
    assert (row["id"], row["duplicate_of"], row["of_run"]) == ("new0", "old0", old)
    with pytest.raises(RecipeError, match="ngram is 7 here and 5"):
        run(str(tmp_path / "new.jsonl"), "--out", out, "--against", old, "--ngram", "7")
    with pytest.raises(RecipeError, match="keeps no index"):
        run(str(tmp_path / "new.jsonl"), "--out", out, "--against", out)


def test_old_documents_come_first_and_keep_their_order() -> None:
    generator = np.random.default_rng(1)
    ids = generator.integers(0, 2**64, (50, 2), np.uint64)
    order = survivor_order((), {}, ids)
    assert not is_from_earlier_run(order[:, 0]).any()
    old = [order_before(run, order) for run in (0, 1)]
    assert all(is_from_earlier_run(o[:, 0]).all() for o in old)
    rows = [tuple(row) for words in (*old, order) for row in words.tolist()]
    by_id = sorted(range(50), key=lambda i: tuple(ids[i].tolist()))
    assert sorted(range(150), key=lambda i: rows[i]) == [50 * era + i for era in range(3) for i in by_id]
