"""`curate remove` on a finished run: what goes, what stays, and that no later run brings anything back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from tokenizers import Tokenizer
from typer.testing import CliRunner

from curate.why import explain
from manifests import DatasetMismatchError, PackedDataset, PackedLoader
from manifests.errors import InputError, RecipeError
from manifests.removals import PENDING
from manifests.storage import Storage
from manifests.tables import read_table
from manifests.verify import verify
from pipelines.cli.main import app
from pipelines.journal import Journal
from pipelines.recipe import Recipe
from pipelines.removal import Removal, remove
from pipelines.running import Result, Settings, dry_run, run
from tests.integration.conftest import tree as whole_tree
from tokenizer.packing import stages as packing

INLINE = Settings(engine="inline")


def tree(out: Path) -> dict[str, str]:
    """Digests of files; the lock file lists the removals as an input from the next `run` on."""
    return {name: digest for name, digest in whole_tree(out).items() if name != "recipe.lock.yaml"}


def targets_of(out: Path) -> list[dict[str, Any]]:
    """Documents to take out: two whole ones and one that decontamination cut, all of them packed."""
    packed = {i for p in sorted((out / "packed").rglob("*.spans.parquet")) for i in
              read_table(str(p), ["doc_id"])["doc_id"].to_pylist()}
    rows = [r for p in sorted((out / "clean").glob("*/*/part-*.parquet")) for r in
            read_table(str(p), ["doc_id", "parent_id", "url", "text", "source"]).to_pylist() if r["doc_id"] in packed]
    whole = [r for r in rows if r["url"] and r["parent_id"] is None]
    return [whole[0], whole[-1], next(r for r in rows if r["parent_id"] is not None)]


@pytest.fixture(scope="module")
def removed(small_demo: tuple[Path, Result], tmp_path_factory: pytest.TempPathFactory
            ) -> tuple[Path, Path, Removal, list[dict[str, Any]]]:
    """(the run before, the run after, the removal, its documents)."""
    out = tmp_path_factory.mktemp("removal") / "run"
    shutil.copytree(small_demo[0], out)
    rows = targets_of(out)
    done = remove(str(out), [r["url"] for r in rows[:2]], [rows[2]["doc_id"]])  # a piece's id means its document
    return small_demo[0], out, done, rows


def problems(out: Path) -> list[str]:
    return [f"{f.path}: {f.check}: {f.problem}" for f in verify(str(out)) if f.problem]


def stale(recipe: Recipe, out: Path) -> list[str]:
    return [f"{stage.name}/{task.name}: {why}" for stage, plan in dry_run(recipe, str(out))
            for task, why in (plan.stale if plan else [])]


def test_the_run_stays_valid_and_whole(removed: tuple[Any, ...], recipe_of: Callable[..., Recipe],
                                       small_web: Path) -> None:
    _, out, done, _ = removed
    assert problems(out) == []
    assert stale(recipe_of(small_web), out) == []
    assert done.request == 1
    assert len(done.documents) == 3
    assert not (out / ".removal").exists()
    again = run(recipe_of(small_web), str(out), INLINE)
    assert again.n_done == 0
    assert (out / "removals/documents.parquet").exists()
    assert (out / "packed/succession.parquet").exists()
    assert problems(out) == []


def strings(array: pa.Array | pa.ChunkedArray) -> Iterator[str]:
    for value in array.to_pylist():
        yield value if isinstance(value, str) else json.dumps(value, default=str)


def test_the_text_is_gone_from_every_file(removed: tuple[Any, ...]) -> None:
    before, out, _, rows = removed
    needles = [r["text"][20:120] for r in rows]
    ids = Tokenizer.from_file(str(out / "tokenizer/tokenizer.json")).encode_batch([n[10:80] for n in needles])
    runs = [np.array(e.ids[2:-2], np.uint16).tobytes() for e in ids]
    held = {str(before): 0, str(out): 0}
    for root in held:
        for path in sorted(Path(root).rglob("*")):
            if path.suffix == ".parquet":
                table = read_table(str(path))
                for name in table.column_names:
                    kind = table.schema.field(name).type
                    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
                        column = table[name].cast(pa.large_string())
                        held[root] += sum(pc.sum(pc.match_substring(column, n)).as_py() or 0 for n in needles)
            elif path.suffix in (".bin", ".tokens") and path.parent.name != "classifier":
                data = path.read_bytes()
                held[root] += sum(data.count(r) for r in runs)
    assert held[str(before)] > 10
    assert held[str(out)] == 0


def test_every_other_row_is_the_same(removed: tuple[Any, ...]) -> None:
    before, out, done, rows = removed
    lost = read_table(str(out / "packed/succession.parquet")).to_pylist()
    assert {r["dataset"] for r in lost} == {done.dataset}
    assert {r["supersedes"] for r in lost} == {done.supersedes}
    gone = {i for r in read_table(str(out / "removals/documents.parquet")).to_pylist() for i in r["clean_ids"]}
    assert {rows[0]["doc_id"], rows[1]["doc_id"], rows[2]["doc_id"]} <= gone
    n_ignored = 0
    eot_id = read_table(str(out / "packed/manifest.parquet"), ["eot_id"])["eot_id"][0].as_py()
    for split in ("train", "val"):
        old, new = PackedDataset(before, split), PackedDataset(out, split)
        assert len(old) == len(new)
        firsts = {r["shard_index"]: r["first_row"] for r in read_table(str(out / "packed/manifest.parquet")).to_pylist()
                  if r["split"] == split}
        touched = {firsts[r["shard_index"]] + row for r in lost if r["split"] == split for row in r["rows"]}
        for row in range(len(old)):
            if row not in touched and row + 1 not in touched:
                assert (old[row] == new[row]).all()
                assert (old.targets(row) == new.targets(row)).all()
                continue
            mine = np.repeat([d in gone for d in old.documents(row).doc_ids], np.diff(old.documents(row).cu_seqlens))
            assert (new[row] == np.where(mine, eot_id, old[row])).all()
            assert not gone & set(new.documents(row).doc_ids)
            assert (new.targets(row)[:-1] == np.where(mine[1:], -100, old.targets(row)[:-1])).all()
            n_ignored += int(mine.sum())
    assert n_ignored == sum(r["n_tokens"] for r in lost) > 0


def test_files_that_held_none_are_untouched(removed: tuple[Any, ...]) -> None:
    before, out, done, _ = removed
    old, new = tree(before), tree(out)
    changed = {n for n in old if old[n] != new.get(n)}
    listed = {c["path"] for c in done.changes}
    assert listed <= changed
    assert all(n.endswith("manifest.parquet") or n == "packed/sources.parquet" for n in changed - listed)
    assert set(new) - set(old) == {"removals/documents.parquet", "removals/changes.parquet",
                                   "packed/succession.parquet"}


def test_a_checkpoint_may_accept_the_successor(removed: tuple[Any, ...]) -> None:
    before, out, _, _ = removed
    loader = PackedLoader(PackedDataset(before, "train"), 4)
    for _ in range(3):
        next(loader)
    state = loader.state_dict()
    successor = PackedLoader(PackedDataset(out, "train"), 4)
    with pytest.raises(DatasetMismatchError, match="accept_successor"):
        successor.load_state_dict(state)
    successor.load_state_dict(state, accept_successor=True)
    assert next(successor).rows.tolist() == next(loader).rows.tolist()
    with pytest.raises(DatasetMismatchError):  # the other way round, documents would come back
        loader.load_state_dict(successor.state_dict(), accept_successor=True)


def test_packing_again_gives_the_same_bytes(removed: tuple[Any, ...], recipe_of: Callable[..., Recipe],
                                            small_web: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(removed[1], out)
    wanted = tree(out)
    shutil.rmtree(out / "packed/_records")
    assert run(recipe_of(small_web), str(out), INLINE).n_done > 0
    assert tree(out) == wanted


@pytest.mark.slow
def test_merged_parts_lose_them_too(recipe_of: Callable[..., Recipe], small_web: Path, tmp_path: Path,
                                    monkeypatch: pytest.MonkeyPatch) -> None:
    """Shuffled parts that were merged before they were packed: the demo's own are too few for that."""
    monkeypatch.setattr(packing, "SLOTS", 1)
    recipe, out = recipe_of(small_web, "pack.shard_tokens=8192"), tmp_path / "run"
    view = run(recipe, str(out), INLINE).view
    assert view.tasks("pack/merged")
    rows = targets_of(out)
    done = remove(str(out), [r["url"] for r in rows[:2]], [rows[2]["doc_id"]])
    assert [c["path"] for c in done.changes if c["path"].startswith("pack/merged/")]
    assert problems(out) == []
    assert stale(recipe, out) == []
    wanted = tree(out)
    for record in [*(out / "packed").rglob("_records/**/*.json"), *(out / "pack/merged").rglob("_records/**/*.json")]:
        record.unlink()
    assert run(recipe, str(out), INLINE).n_done > 0
    assert tree(out) == wanted


def test_extracting_again_leaves_them_out(removed: tuple[Any, ...], recipe_of: Callable[..., Recipe],
                                          small_web: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(removed[1], out)
    wanted = {d["doc_id"] for d in removed[2].documents}
    for records in list((out / "extract").rglob("_records")):
        shutil.rmtree(records)
    run(recipe_of(small_web), str(out), Settings(engine="inline", until="extract"))
    excluded = [r for p in (out / "extract").glob("*/exclusions/*/*.parquet") for r in read_table(str(p)).to_pylist()
                if r["reason"] == "removed_on_request"]
    assert {r["doc_id"] for r in excluded} == wanted
    kept = {i for p in (out / "extract").glob("*/*/part-*.parquet") for i in
            read_table(str(p), ["doc_id"])["doc_id"].to_pylist()}
    assert not wanted & kept


def test_why_says_so(removed: tuple[Any, ...]) -> None:
    _, out, _, rows = removed
    decisions = [d for h in explain(str(out), rows[0]["url"]) for d in h.decisions]
    assert ("remove", "dropped") in [(d.stage, d.verdict) for d in decisions]
    assert not any(d.stage in ("clean", "packed") for d in decisions)


def test_a_second_removal_succeeds_the_first(removed: tuple[Any, ...], small_demo: tuple[Path, Result],
                                             tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(removed[1], out)
    first = removed[2]
    same = remove(str(out), [d["url"] for d in first.documents if d["url"]], [])
    assert (same.request, same.dataset) == (0, first.dataset)
    done = remove(str(out), [targets_of(out)[0]["url"]], [])
    assert (done.request, done.supersedes) == (2, first.dataset)
    assert problems(out) == []
    state = PackedLoader(PackedDataset(small_demo[0], "train"), 2).state_dict()
    PackedLoader(PackedDataset(out, "train"), 2).load_state_dict(state, accept_successor=True)


def test_copies_go_too_where_asked(small_demo: tuple[Path, Result], tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(small_demo[0], out)
    decisions = [r for p in sorted((out / "dedup/decisions").glob("*/*/part-*.parquet"))
                 for r in read_table(str(p)).to_pylist() if r["duplicate_of"] is not None]
    copy = decisions[0]
    done = remove(str(out), [], [copy["doc_id"]], with_copies=True)
    wanted = {m["doc_id"] for m in decisions if m["duplicate_of"] == copy["duplicate_of"]} | {copy["duplicate_of"]}
    assert {d["doc_id"] for d in done.documents} == wanted
    assert problems(out) == []


class _KilledError(Exception):
    pass


@pytest.mark.parametrize("moves", [-1, 0, 1, 7])
def test_a_killed_removal_is_nothing_or_is_finished(removed: tuple[Any, ...], small_demo: tuple[Path, Result],
                                                    recipe_of: Callable[..., Recipe], small_web: Path, tmp_path: Path,
                                                    monkeypatch: pytest.MonkeyPatch, moves: int) -> None:
    """moves: files moved before the kill; -1 dies before the plan is written."""
    before, finished, _, rows = removed
    out = tmp_path / "run"
    shutil.copytree(small_demo[0], out)
    real, left = Storage.publish, [moves]

    def publish(self: Storage, staged: str, name: str) -> None:
        if name == PENDING and moves == -1:
            raise _KilledError
        if name != PENDING:
            if left[0] == 0:
                raise _KilledError
            left[0] -= 1
        real(self, staged, name)

    # Only what the journal moves: the packed manifest is described in a scratch folder before.
    commit = Journal.commit

    def commit_and_die(self: Journal, remove: Any = ()) -> None:
        monkeypatch.setattr(Storage, "publish", publish)
        commit(self, remove)

    monkeypatch.setattr(Journal, "commit", commit_and_die)
    with pytest.raises(_KilledError):
        remove(str(out), [r["url"] for r in rows[:2]], [rows[2]["doc_id"]])
    monkeypatch.undo()
    if moves == -1:
        assert tree(out) == tree(before)
        return
    assert any("interrupted" in p for p in problems(out))
    if moves == 1:
        assert remove(str(out), [], []).resumed
    run(recipe_of(small_web), str(out), INLINE)  # any later call finishes it first
    assert tree(out) == tree(finished)
    assert problems(out) == []


def test_what_is_not_there_is_named(small_demo: tuple[Path, Result], tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(small_demo[0], out)
    wanted = tree(out)
    (tmp_path / "urls.txt").write_text("https://nowhere.example/\n\n" + targets_of(out)[0]["url"] + "\n")
    with pytest.raises(InputError, match=r"nowhere\.example"):
        remove(str(out), ["https://nowhere.example/"], [])
    arguments = ["remove", str(out), "--urls", str(tmp_path / "urls.txt")]
    assert isinstance(CliRunner().invoke(app, arguments).exception, InputError)
    assert tree(out) == wanted
    result = CliRunner().invoke(app, [*arguments, "--skip-unknown", "--format", "json"])
    assert result.exit_code == 1
    facts = json.loads(result.stdout)
    assert facts["unknown"] == ["https://nowhere.example/"]
    assert len(facts["documents"]) == 1
    with pytest.raises(RecipeError):
        CliRunner().invoke(app, ["remove", str(out)], catch_exceptions=False)
    with pytest.raises(InputError, match="not a finished run"):
        remove(str(tmp_path), ["https://nowhere.example/"], [])
